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
    try:
        content = json.loads(read_bytes(beside, max_bytes=MAX_BYTES))
        card = Card(**{name: content[name] for name in Card._fields})
        card = card._replace(**{name: tuple(getattr(card, name)) for name in _TUPLES})
        fits = _fits(card)
    except (ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise problem("a card that is damaged", "what hemokit export wrote", "Export the model again.", file=beside)
    return card


_TUPLES = ("input_shape", "output_shape", "outputs", "channels", "scores", "compared")
_TEXTS = ("name", "precision", "sha256", "chosen_on", "trained_on", "judged_on", "data", "notice")


def _fits(card):
    """Whether the values of a card are of their kinds, and fit each other."""
    whole = (*card.input_shape, *card.output_shape)
    sizes = all(isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**15 for one in whole)
    texts = all(isinstance(getattr(card, name), str) for name in _TEXTS)
    numbers = all(one is None or _is_probability(one) for one in (card.threshold, card.slice_threshold))
    shapes = len(card.input_shape) == 3 and len(card.output_shape) in (1, 3)
    named = shapes and len(card.outputs) == card.output_shape[-1] and all(isinstance(one, str) for one in card.outputs)
    seen = not card.channels or len(card.channels) == card.input_shape[-1]
    rows = all(isinstance(one, dict) for one in (*card.channels, *card.scores, *card.compared, card.about))
    windows = rows and all(_is_channel(one) for one in card.channels)
    return (
        card.format in (*SUFFIXES, COREML)
        and sizes
        and texts
        and numbers
        and shapes
        and named
        and seen
        and rows
        and windows
    )


def _is_channel(one):
    """Whether a channel has its names and a window: level and width, finite and in HU, or neither is known."""
    if not {"name", "dataset", "level", "width"} <= set(one):
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
