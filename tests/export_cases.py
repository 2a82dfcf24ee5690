"""Small exported models for tests, made without TensorFlow, and files that must not be loaded."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np

from hemokit.export.cards import Card, write_card

BRAIN = {"name": "brain", "dataset": "ct_ich_nifti", "level": 40.0, "width": 80.0}


def write_carded(path, data, *, format, shape=(8, 8, 1), **told):
    """Write bytes as an exported model whose card has the right hash."""
    path = Path(path)
    path.write_bytes(data)
    told = {"precision": "float32", "input_shape": shape, "output_shape": (*shape[:2], 1), **told}
    digest = hashlib.sha256(data).hexdigest()
    write_card(Card(name="case", format=format, sha256=digest, size_bytes=len(data), **told), path)
    return path


def onnx_bytes(shape=(8, 8, 1), *, operator="Identity", domain="", external=None):
    """An ONNX model of one node; `external` is a path that a constant claims to lie in."""
    from onnx import TensorProto, helper

    sides = ["n", *shape]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)
    back = helper.make_tensor_value_info("probability", TensorProto.FLOAT, sides)
    inputs, constants = ["image"], []
    if external is not None:
        constant = helper.make_tensor("stolen", TensorProto.FLOAT, [1], np.zeros(1, np.float32).tobytes(), raw=True)
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        for key, value in (("location", str(external)), ("offset", "0"), ("length", "4")):
            constant.external_data.add(key=key, value=value)
        inputs, constants, operator = ["image", "stolen"], [constant], "Add"
    node = helper.make_node(operator, inputs, ["probability"], domain=domain)
    graph = helper.make_graph([node], "case", [image], [back], constants)
    sets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=sets, ir_version=9).SerializeToString()


def write_onnx(path, shape=(8, 8, 1), **told):
    """An exported model that gives back its image, with card: pixels of at least half are hemorrhage."""
    told = {"threshold": 0.5, "slice_threshold": 0.75, "channels": (BRAIN,) * shape[-1], **told}
    return write_carded(path, onnx_bytes(shape), format="onnx", shape=shape, **told)


class Bomb:
    """Whoever unpickles it makes a file."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


def weights(write=lambda file: None):
    """The bytes of an HDF5 file, into which `write` puts what it holds."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        write(file)
    return stream.getvalue()


def keras_archive(layers=(), *, members=(), numbers=b""):
    """A .keras file of the given layers (dicts), of more members (name, bytes), and of weights (bytes of HDF5)."""
    config = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "case", "layers": list(layers), "input_layers": [], "output_layers": []},
        "registered_name": "Functional",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", numbers)
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def layer(class_name, module="keras.layers", registered=None, **config):
    """One layer of a config."""
    return {"class_name": class_name, "module": module, "registered_name": registered, "config": config}


def malicious(flag):
    """Name -> (file name, bytes, format of its card): files that would run code or read files if they were loaded."""
    bomb = pickle.dumps(Bomb(flag))
    system = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}
    layers = {
        "lambda": layer("Lambda", function={"class_name": "__lambda__"}),
        "function of os": layer("Activation", activation=system),
        "layer that unpickles": layer("TorchModuleWrapper"),
        "layer that reads files": layer("TFSMLayer", filepath="/etc"),
        "vocabulary in a file": layer("StringLookup", vocabulary="/etc/passwd"),
        **{
            f"dotted {name}": layer(f"layers.{name}", module="keras", filepath="/etc")
            for name in ("Lambda", "TFSMLayer", "StringLookup", "TorchModuleWrapper")
        },
        "dotted class": layer("utils.get_file", module="keras"),
        "class of another package": layer("Evil", module="evil"),
        "keras.utils": layer("get_file", module="keras.utils", registered="x"),
    }
    return {
        "pickle": ("model.pkl", bomb, "keras"),
        "pickle named keras": ("model.keras", bomb, "keras"),
        "pickle named tflite": ("model.tflite", bomb, "litert"),
        "pickle named onnx": ("model.onnx", bomb, "onnx"),
        "joblib": ("model.joblib", bomb, "keras"),
        "hdf5": ("model.h5", b"\x89HDF\r\n\x1a\n" + bomb, "keras"),
        **{name: ("model.keras", keras_archive([one]), "keras") for name, one in layers.items()},
        "zip slip": ("model.keras", keras_archive(members=[("../../evil.py", b"import os")]), "keras"),
        "pickle inside": ("model.keras", keras_archive(members=[("assets/data.pkl", bomb)]), "keras"),
        "onnx that reads a file": ("model.onnx", onnx_bytes(external="../../../../etc/hostname"), "onnx"),
        "onnx with own operator": ("model.onnx", onnx_bytes(operator="RunCode", domain="evil"), "onnx"),
    }
