"""Core ML, for Apple's machines: a package folder with its card, where coremltools is installed.

`pip install 'hemokit[tensorflow,coreml]'` (Linux on x86-64, and macOS). It runs on Apple's systems alone, so hemokit
writes it and does not load it: what it gives there is to be compared with the ONNX file of the same model.
"""

import hashlib
import json
from pathlib import Path

from hemokit.checks import problem
from hemokit.export.cards import COREML, Card, write_card
from hemokit.export.converting import check_card, converting, names_of, shapes_of
from hemokit.files import write_whole_folder

SUFFIX = ".mlpackage"


def export_coreml(model, path, *, card=None):
    """Write a model as a Core ML package (ML program, float16 as Apple's converter chooses) and its card.

    Args:
        model, card: as `export_model`.
        path: folder to make, ending in .mlpackage; it must not be there.

    Returns:
        Path of the folder. Its card's sha256 is `folder_sha256`; `read_card` reads it.

    Raises:
        HemokitError: another ending, a folder that is there, coremltools that is not installed.
    """
    path = Path(path)
    if path.suffix != SUFFIX or path.exists():
        came = f"{path.name} {'is there already' if path.exists() else 'has another ending'}"
        raise problem(came, f"a new folder ending in {SUFFIX}", "Choose another name.", file=path)
    check_card(card or {})
    input_shape, output_shape = shapes_of(model)
    with write_whole_folder(path) as folder, converting(COREML, extras="tensorflow,coreml"):
        _converted(model).save(str(folder / f"model{SUFFIX}"))
        for one in (folder / f"model{SUFFIX}").iterdir():  # coremltools wants a folder of this name
            one.rename(folder / one.name)
        (folder / f"model{SUFFIX}").rmdir()
    told = {"name": path.stem, "outputs": names_of(output_shape[-1]), **(card or {})}
    files = [one for one in path.rglob("*") if one.is_file()]
    written = Card(
        format=COREML, precision="float16", input_shape=input_shape, output_shape=output_shape,
        sha256=folder_sha256(path), size_bytes=sum(one.stat().st_size for one in files), **told,
    )  # fmt: skip
    write_card(written, path)
    return path


def folder_sha256(folder):
    """The SHA-256 over the names and the SHA-256 of all files in a folder, sorted by name: 64 hex digits."""
    files = sorted(one for one in Path(folder).rglob("*") if one.is_file())
    told = [[one.relative_to(folder).as_posix(), hashlib.sha256(one.read_bytes()).hexdigest()] for one in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _converted(model):
    import coremltools
    import tensorflow as tf

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    return coremltools.convert([traced], source="tensorflow", convert_to="mlprogram")
