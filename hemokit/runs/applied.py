"""The model of `hemokit predict`, whatever it is: a run's folder or an exported file, with its card."""

from pathlib import Path

from hemokit.checks import problem
from hemokit.datasets import READERS
from hemokit.export import Card, Exported, load_exported
from hemokit.files import sha256

SHIPPED = Path(__file__).parent.parent / "demo" / "model" / "phantom_unet.onnx"  # a U-Net that learned on the phantom


def open_model(path):
    """Open a model: the folder of `hemokit train`, or a file of `hemokit export`.

    Returns:
        Exported: with its card, which a run gets from what it knows of itself.

    Raises:
        HemokitError: as `load_exported` and `read_run`; no such path.
    """
    path = model_path(path)
    if path.is_file():
        return load_exported(path)
    from hemokit.runs.exporting import card_of  # brings Keras, which an exported file does not need
    from hemokit.runs.prediction import load_run, read_run
    from hemokit.training.checkpoints import BEST

    settings, facts = read_run(path)
    model, weights = load_run(path), sha256(path / BEST)
    told = card_of(path, settings, facts, weights)
    shapes = (tuple(one.shape[1:]) for one in (model.inputs[0], model.outputs[0]))
    card = Card(
        format="keras", precision="float32", sha256=weights, size_bytes=(path / BEST).stat().st_size,
        **dict(zip(("input_shape", "output_shape"), shapes, strict=True)), **told,
    )  # fmt: skip
    return Exported(card, model.predict_on_batch)


def model_path(path):
    """The path of a model that is there; "demo" is the small one that comes with the package."""
    path = SHIPPED if str(path) == "demo" and not Path(path).exists() else Path(path)
    check_there(path)
    return path


def check_there(path):
    """Raise HemokitError where there is no model at a path."""
    if not Path(path).exists():
        expected = "the folder that hemokit train wrote, or a file of hemokit export"
        raise problem("there is no such file or folder", expected, "Check the path.", file=path)


def is_dataset(root):
    """Whether a path is the folder of a data set, and not just a folder of files, or a file."""
    root = Path(root)
    return root.is_dir() and any(reader.find(root) is not None for reader in READERS.values())
