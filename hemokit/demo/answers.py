"""What the page gets for a file: a picture, a map of the probability and a few figures of each slice, as bytes.

An answer is made from its request alone. Nothing of it is kept: no file, no global, no session.
"""

import json
import zlib
from typing import NamedTuple

import numpy as np

from hemokit.apply.windowing import check_windows, outputs_of
from hemokit.demo.steps import in_steps
from hemokit.predictions import NOTICE
from hemokit.windows import apply_window


class Answer(NamedTuple):
    """What a model says of an upload.

    Attributes:
        pictures: uint8 (slices, height, width), as they are shown.
        maps: uint16 (slices, height, width), the probability in thousandths; None of a model without masks.
        outputs: float (slices, labels): the highest probability of a pixel, or the model's outputs.
        spacing_mm: (slice, row, column), None where unknown.
        notes: sentences to be read beside it.
    """

    pictures: np.ndarray
    maps: np.ndarray | None
    outputs: np.ndarray
    spacing_mm: tuple
    notes: tuple


def check(model, upload):
    """Raise HemokitError unless an upload can be shown through the windows of a model."""
    check_windows(upload.kind, model.windows, model.window_words)


def answer(model, upload):
    """Let a model look at all slices of an upload.

    Args:
        model: `models.Model`.
        upload: `apply.inputs.Scan`.

    Returns:
        `Answer`.

    Raises:
        HemokitError: as `check`.
    """
    check(model, upload)
    maps = np.empty(upload.values.shape, np.uint16) if model.makes_masks else None
    outputs = []
    for number, (one, _) in enumerate(outputs_of(model.probabilities, upload, model.windows, model.image_size)):
        if maps is not None:
            maps[number] = in_steps(one)
        outputs.append(one if maps is None else [one.max()])
    notes = (*model.caveats, *upload.notes, *_about_windows(model, upload))
    return Answer(_pictures(model, upload), maps, np.array(outputs, float), upload.spacing_mm, notes)


def packed(found, model):
    """An answer as gzipped bytes, piece by piece: 4 bytes (length of the JSON, little-endian), JSON, pictures, maps.

    Args:
        found: `Answer`.
        model: `models.Model`, for the names of its outputs.

    Yields:
        bytes. The maps are uint16, little-endian; where there are none, the JSON says so.
    """
    slices, height, width = found.pictures.shape
    told = {
        "slices": slices, "height": height, "width": width, "maps": found.maps is not None,
        "outputs": found.outputs.round(4).tolist(), "labels": list(model.labels), "spacing_mm": found.spacing_mm,
        "notes": list(found.notes), "notice": NOTICE,
    }  # fmt: skip
    head = json.dumps(told).encode()
    packer = zlib.compressobj(1, wbits=31)
    yield packer.compress(len(head).to_bytes(4, "little") + head)
    for arrays in (found.pictures, found.maps):
        for one in () if arrays is None else arrays:
            yield packer.compress(np.ascontiguousarray(one.astype(one.dtype.newbyteorder("<"))).tobytes())
    yield packer.flush()


def _pictures(model, upload):
    pictures = np.empty(upload.values.shape, np.uint8)
    for picture, values in zip(pictures, upload.values, strict=True):  # one at a time: memory
        shown = values if upload.kind == "picture" else apply_window(values, model.windows[0])
        picture[...] = np.rint(shown * 255)
    return pictures


def _about_windows(model, upload):
    if upload.kind != "picture":
        return ()
    window = model.windows[0]
    if window is None:
        return (f"{model.window_words}: a picture of another kind gives a mask that means nothing.",)
    return (
        f"A picture does not say its window: this one is taken to show {model.window_words}, as the model was "
        "trained. Saved through another window, it gives a mask that means nothing.",
    )
