"""How a model sees a scan: through the windows of its card, once, in the square that it was trained with."""

import numpy as np

from hemokit.apply.squares import to_square
from hemokit.checks import problem
from hemokit.windows import Window, stack_windows


def images_of(scan, card):
    """The images of a scan for a model.

    Args:
        scan: `inputs.Scan`.
        card: `export.Card`, which says the windows and the size.

    Returns:
        float32 (slices, size, size, channels) in [0, 1].

    Raises:
        HemokitError: as `check_seen`.
    """
    check_seen(scan.kind, card, scan.files[0])
    size, windows = card.input_shape[0], windows_of(card)
    if scan.kind == "picture":
        pictures = scan.values[..., np.newaxis]
    else:
        pictures = (stack_windows(one, windows) for one in scan.values)
    return np.stack([np.clip(to_square(one, size), 0, 1) for one in pictures])


def check_seen(kind, card, file):
    """Raise HemokitError where a model cannot be shown a kind of file: each with its reason."""
    height, width, channels = card.input_shape
    if height != width:
        came = f"a model of {height} x {width} pixels"
        raise problem(came, "one of square images", "Train it with one --image-size.", file=file)
    if kind == "picture":
        if channels > 1:
            came = f"a picture shows one window, and the model sees {channels} channels ({shown(card)})"
            raise problem(
                came, "Hounsfield units", "Give the NIfTI or DICOM file, or a model of one window.", file=file
            )
        return
    if not card.channels or any(one["level"] is None for one in card.channels):
        came = f"the model sees {shown(card)}, so Hounsfield units cannot be shown to it"
        raise problem(came, "a model whose card names its windows in HU", "Export it with its windows.", file=file)


def windows_of(card):
    """The `Window` of each channel; empty where one is not known."""
    known = bool(card.channels) and all(one["level"] is not None for one in card.channels)
    return tuple(Window(one["level"], one["width"]) for one in card.channels) if known else ()


def shown(card):
    """The windows in words."""
    if not card.channels:
        return "windows that its card does not name"
    return "; ".join(_said(one) for one in card.channels)


def _said(channel):
    if channel["level"] is None:
        return f"{channel['name']} (a window that is not known)"
    return f"{channel['name']} (level {channel['level']:g} HU, width {channel['width']:g} HU)"


def how_read(kind, card):
    """What a table says about how a scan was read."""
    if kind == "picture":
        return f"as a render of the model's window, {shown(card)}: 8 bits, not windowed again"
    return f"in Hounsfield units, through {shown(card)}"
