"""The card beside an exported model: what it sees, what its numbers mean, how good it is, and the hash of its file.

`unet.tflite` has the card `unet.tflite.json`. Whoever runs the model needs nothing else, and runs it only if the file
is the one that the card was written for.
"""

import json
import math
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from hemokit import __version__
from hemokit.checks import problem
from hemokit.files import write_whole
from hemokit.formats.bounded import read_bytes
from hemokit.predictions import NOTICE

COREML = "coreml"  # a folder, for Apple's machines: its card is read, the model is not run here
SUFFIXES = {"keras": ".keras", "litert": ".tflite", "onnx": ".onnx"}
MAX_BYTES = 2**20  # a card is text; most are three kilobytes


class Card(NamedTuple):
    """What must be known of an exported model.

    `format` is a key of `SUFFIXES` or "coreml", `precision` "float32", "float16" or "int8". `input_shape` is (height,
    width, channels) of images in [0, 1]; `output_shape` what comes back for one image: (height, width, outputs), or
    (outputs,). `outputs` names the outputs. `channels` says what each input channel shows: tuple of dicts with name,
    dataset, level, width (HU; None where it is not known); empty where nothing is known. `threshold` is that of pixels
    (or of labels), `slice_threshold` that of a slice's top_probability (`predictions.slice_scores`), None if none was
    chosen; `chosen_on` says where they come from. `trained_on`, `data` and `judged_on` are words. `scores` are rows of
    a report, `compared` rows of `compare_exported`, both tuples of dicts. `about` holds more facts, of JSON values.
    """

    name: str
    format: str
    precision: str
    input_shape: tuple
    output_shape: tuple
    sha256: str
    size_bytes: int
    outputs: tuple = ("hemorrhage",)
    channels: tuple = ()
    threshold: float | None = None
    slice_threshold: float | None = None
    chosen_on: str = ""
    trained_on: str = ""
    judged_on: str = ""
    data: str = ""
    scores: tuple = ()
    compared: tuple = ()
    about: dict = {}  # noqa: RUF012  never changed
    hemokit_version: str = __version__
    notice: str = NOTICE


OWN = ("format", "precision", "input_shape", "output_shape", "sha256", "size_bytes", "hemokit_version", "notice")
TOLD = tuple(name for name in Card._fields if name not in OWN)  # what whoever exports may say


def caveats(card):
    """What must be read beside whatever the model says: tuple of sentences."""
    learned_from_phantom = "phantom" in (card.trained_on or card.data).lower()
    return ("The model never saw a patient: on real scans it may be wrong everywhere.",) * learned_from_phantom


def card_path(path):
    """Where the card of an exported file stands: the file's name and .json."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def write_card(card, path):
    """Write the `Card` of the file at `path` beside it, whole; numbers that are not finite become null.

    Returns:
        Path of the card.
    """
    with write_whole(card_path(path)) as stream:
        json.dump(_finite(card._asdict()), stream, indent=2, allow_nan=False)
        stream.write("\n")
    return card_path(path)


def read_card(path):
    """Read the card of the file at `path`.

    Returns:
        Card.

    Raises:
        HemokitError: no card beside the file, one that hemokit did not write.
    """
    beside = card_path(path)
    if not beside.is_file():
        remedy = "Copy both files together, or export the model again: hemokit export."
        raise problem(f"there is no card {beside.name} beside it", "the model with its card", remedy, file=path)
    data = read_bytes(beside, max_bytes=MAX_BYTES)
    try:
        content = json.loads(data)
        missing = [name for name in Card._fields if name not in content]
        card = None if missing else Card(**{name: content[name] for name in Card._fields})
        card = card and card._replace(**{name: tuple(getattr(card, name)) for name in _TUPLES})
        wrong = f"it lacks {', '.join(missing)}" if missing else _wrong(card)
    except (ValueError, TypeError, RecursionError) as error:
        wrong = f"it is no JSON of a card ({str(error)[:_SHOWN]})"
    if wrong:
        raise problem(
            f"a card that is damaged: {wrong}", "what hemokit export wrote", "Export the model again.", file=beside
        )
    return card


_TUPLES = ("input_shape", "output_shape", "outputs", "channels", "scores", "compared")
_TEXTS = ("name", "precision", "sha256", "chosen_on", "trained_on", "judged_on", "data", "notice")
_THRESHOLDS = ("threshold", "slice_threshold")


_SHOWN = 80  # characters of what came


def _wrong(card):
    """Which field of a card is not of its kind or does not fit the others, in words; None where all are right."""
    fits = {name: isinstance(getattr(card, name), str) for name in _TEXTS}
    fits["format"] = card.format in (*SUFFIXES, COREML)
    fits["input_shape"] = len(card.input_shape) == 3 and all(map(_is_size, card.input_shape))
    fits["output_shape"] = len(card.output_shape) in (1, 3) and all(map(_is_size, card.output_shape))
    fits |= {name: getattr(card, name) is None or _is_probability(getattr(card, name)) for name in _THRESHOLDS}
    named = len(card.outputs) == _last(card.output_shape)
    fits["outputs"] = named and all(isinstance(one, str) for one in card.outputs)
    fits["channels"] = all(map(_is_channel, card.channels)) and len(card.channels) in (0, _last(card.input_shape))
    fits |= {name: all(isinstance(one, dict) for one in getattr(card, name)) for name in ("scores", "compared")}
    fits["about"] = isinstance(card.about, dict)
    return next((f"{name} is {str(getattr(card, name))[:_SHOWN]!r}" for name, good in fits.items() if not good), None)


def _last(shape):
    return shape[-1] if shape else None


def _is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**15


def _is_channel(one):
    """Whether a channel has its names and a window: level and width, finite and in HU, or neither is known."""
    if not isinstance(one, dict) or not {"name", "dataset", "level", "width"} <= set(one):
        return False
    level, width = one["level"], one["width"]
    if level is None and width is None:
        return True
    return _is_number(level) and _is_number(width) and width > 0


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_probability(value):
    return _is_number(value) and 0 <= value <= 1


def _finite(value):
    """JSON values of what NumPy, and tables with missing values, hold."""
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
