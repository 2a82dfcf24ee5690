"""What may be in a .keras file: settings of known layers and numbers; never code, a path, or another file's name.

A .keras file is a zip of metadata.json, config.json and model.weights.h5. Keras' safe mode refuses Lambda layers; but a
config can also name any Python module, layers that unpickle (TorchModuleWrapper) or that read other files (TFSMLayer,
lookups of words), and an HDF5 file can take its numbers from other files (external and virtual data sets, links). All
that is refused here, before Keras sees the file.
"""

import io
import json
import re
import zipfile

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors

MEMBERS = ("metadata.json", "config.json", "model.weights.h5", "hemokit.json")
MAX_UNPACKED = 2**31
MAX_CONFIG = 2**24
_KERAS = re.compile(
    r"keras(\.src)?\.(layers|models|initializers|regularizers|constraints|activations|dtype_policies|ops|losses"
    r"|metrics|optimizers)(\.[a-z0-9_]+)*|keras"
)
_HEMOKIT = re.compile(r"hemokit\.(models|losses)(\.[a-z_]+)*")
_FORBIDDEN = {
    *("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),  # run code
    *("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"),  # read a file that the config names
}


def check_keras_archive(data, path):
    """Raise HemokitError unless the bytes of a .keras file hold nothing but settings and numbers.

    Args:
        data: bytes of the whole file.
        path: for the sentence.
    """
    with library_errors(path, "opening the file as a .keras archive"):
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    _check_members(members, path)
    with library_errors(path, "reading config.json"):
        config = json.loads(archive.read("config.json"))
        found = sorted(set(_suspicious(config)))
    if found:
        came = f"the model holds {found[0]}"
        remedy = "Do not load it: such a file can run code or read other files of this machine."
        raise problem(came, "layers of Keras and hemokit alone", remedy, file=path)
    with library_errors(path, "reading model.weights.h5"):
        _check_weights(archive.read("model.weights.h5"), path)


def _check_members(members, path):
    names = [member.filename for member in members]
    strange = [name for name in names if name not in MEMBERS]
    if strange or len(set(names)) != len(names) or not set(MEMBERS[:3]) <= set(names):
        came = f"the archive holds {', '.join(map(repr, strange or names))[:200]}"
        raise problem(came, ", ".join(MEMBERS[:3]), "Do not load it: no model is saved so.", file=path)
    config = next(member for member in members if member.filename == "config.json")
    if sum(member.file_size for member in members) > MAX_UNPACKED or config.file_size > MAX_CONFIG:
        raise problem("the archive unpacks to gigabytes", "the weights of a model", "Do not load it.", file=path)


def _check_weights(data, path):
    """Raise HemokitError unless the numbers of an HDF5 file all lie in it; h5py comes with Keras."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        remedy = "Install it: pip install 'hemokit[tensorflow]'; or export the model to litert or onnx."
        raise problem(f"{error.name} is not installed", "what reads the weights", remedy, file=path) from None
    remedy = "Do not load it: such a file can read other files of this machine."
    with h5py.File(io.BytesIO(data), "r") as weights:
        links, sizes = [], []
        weights.visititems_links(lambda name, link: links.append((name, type(link))))
        for name, kind in links:
            if kind is not h5py.HardLink:
                raise problem(f"the weights hold the {kind.__name__} {name!r}", "numbers alone", remedy, file=path)
        for name, _ in links:
            one = weights[name]
            if isinstance(one, h5py.Dataset) and (one.external or one.is_virtual):
                raise problem(f"the numbers of {name!r} lie in another file", "numbers alone", remedy, file=path)
            sizes.append(one.nbytes if isinstance(one, h5py.Dataset) else 0)
    if sum(sizes) > MAX_UNPACKED:
        raise problem("the weights unpack to gigabytes", "the weights of a model", "Do not load it.", file=path)


def _suspicious(value):
    """Whatever in a config is no layer of Keras or hemokit, in words."""
    if isinstance(value, list):
        for one in value:
            yield from _suspicious(one)
    if not isinstance(value, dict):
        return
    name, module = value.get("class_name"), value.get("module")
    if name is not None and str(name).rpartition(".")[2] in _FORBIDDEN:  # Keras also finds keras + "layers.Lambda"
        yield f"a layer of the class {name}"
    elif name is not None and not str(name).isidentifier():
        yield f"the class {name!r}"[:200]
    elif name is not None and not _is_known(module, value.get("registered_name")):
        yield f"{name!r} of the module {module!r}"[:200]
    for one in value.values():
        yield from _suspicious(one)


def _is_known(module, registered):
    if module is None or module == "builtins":  # of Keras' own registry: hemokit's classes, and plain types
        return registered is None or str(registered).startswith("hemokit>")
    return isinstance(module, str) and bool(_KERAS.fullmatch(module) or _HEMOKIT.fullmatch(module))
