"""Synthetic slices to click on: short phantom scans, drawn when they are asked for and kept."""

import functools
import threading
from typing import NamedTuple

import numpy as np

from hemokit.apply.inputs import Scan
from hemokit.checks import check_choice
from hemokit.datasets.phantom import make_phantom
from hemokit.windows import BRAIN_WIDE, apply_window

SIZE, SLICES = 256, 15


class Example(NamedTuple):
    """`title` for its button; `subtypes` that bleed; the phantom's `seed`."""

    title: str
    subtypes: tuple
    seed: int


EXAMPLES = {
    "intraparenchymal": Example("Bleed within the brain", ("intraparenchymal",), 4),
    "epidural": Example("Epidural bleed", ("epidural",), 2),
    "subdural": Example("Subdural bleed", ("subdural",), 5),
    "none": Example("No bleed", (), 8),
}


@functools.lru_cache(maxsize=len(EXAMPLES))
def read_example(name):
    """A synthetic scan as if somebody had sent it.

    Args:
        name: a key of `EXAMPLES`.

    Returns:
        (`apply.inputs.Scan`, number of the slice to show first: the one with the largest bleed, else the middle one).

    Raises:
        HemokitError: another name.
    """
    example = EXAMPLES[check_choice(name, EXAMPLES, "example")]
    scan = make_phantom(name, seed=example.seed, image_size=SIZE, num_slices=SLICES, subtypes=example.subtypes)
    areas = np.sum([mask.sum(axis=(1, 2)) for mask in scan.masks.values()], axis=0)
    first = int(areas.argmax()) if areas.any() else 2 * len(areas) // 3
    notes = ("Synthetic: this is a phantom, drawn by a program, and no patient.",)
    return Scan("phantom", scan.hounsfield.astype(np.float32), scan.spacing_mm, (), notes), first


def draw_all():
    """Draw all examples in the background, so that a click need not wait for the phantom; returns the thread."""
    thread = threading.Thread(target=lambda: [read_example(name) for name in EXAMPLES], daemon=True)
    thread.start()
    return thread


def read_thumbnail(model, name):
    """The slice of an example that is shown first, through the model's first window: uint8 (height, width)."""
    upload, first = read_example(name)
    window = model.windows[0] or BRAIN_WIDE
    return np.rint(apply_window(upload.values[first], window) * 255).astype(np.uint8)
