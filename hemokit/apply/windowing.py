"""How a model sees a scan: through its windows, once, in the square of its training; and its maps at full size.

`hemokit predict` and the page of `hemokit demo` both go through here, so they show a model the same.
"""

import numpy as np

from hemokit.apply.squares import from_square, to_square
from hemokit.checks import problem
from hemokit.windows import Window, stack_windows

BATCH = 8  # slices that are prepared and run at once: memory does not grow with the scan


def images_of(scan, windows, size, numbers=None):
    """The images of a scan for a model.

    Args:
        scan: `inputs.Scan` that `check_windows` let pass.
        windows: a `Window` a channel; None stands for one that is not known, of a picture alone.
        size: height and width of the model's square.
        numbers: of the slices, from 0; None takes all.

    Returns:
        float32 (slices, size, size, channels) in [0, 1].
    """
    numbers = range(len(scan.values)) if numbers is None else numbers
    return np.stack([np.clip(to_square(_channels(scan, windows, one), size), 0, 1) for one in numbers])


def outputs_of(probabilities, scan, windows, size):
    """What a model says of each slice of a scan, and, where it says it of pixels, the same at the slice's own size.

    Args:
        probabilities: function float32 (n, size, size, channels) -> (n, size, size, 1), or (n, labels).
        scan: `inputs.Scan` that `check_windows` let pass.
        windows: a `Window` a channel, None where it is not known.
        size: height and width of the model's square.

    Yields:
        for each slice a pair: float32 (height, width), and the model's own map (size, size); or twice (labels,).
    """
    count, shape = len(scan.values), scan.values.shape[1:]
    for first in range(0, count, BATCH):
        found = probabilities(images_of(scan, windows, size, range(first, min(first + BATCH, count))))
        for one in found:
            yield (one, one) if one.ndim == 1 else (from_square(one[..., 0], shape), one[..., 0])


def check_seen(kind, card, file):
    """Raise HemokitError where a model cannot be shown a kind of file: each with its reason."""
    check_square(card, file)
    check_windows(kind, windows_of(card), shown(card), file)


def check_square(card, file=None):
    """Raise HemokitError for a model of images that are not square: slices are padded to a square."""
    height, width, _ = card.input_shape
    if height != width:
        came = f"a model of {height} x {width} pixels"
        raise problem(came, "one of square images", "Train it with one --image-size.", file=file)


def check_windows(kind, windows, words, file=None):
    """Raise HemokitError where a kind of file cannot be shown through windows; `words` are the windows in words."""
    if kind == "picture":
        if not shows_pictures(windows):
            came = f"a picture shows one window, and the model sees {len(windows)} channels ({words})"
            remedy = "Give the NIfTI or DICOM file, or a model of one window."
            raise problem(came, "Hounsfield units", remedy, file=file)
    elif None in windows:
        came = f"the model sees {words}, so Hounsfield units cannot be shown to it"
        raise problem(came, "a model whose card names its windows in HU", "Export it with its windows.", file=file)


def shows_pictures(windows):
    """Whether a picture, which was saved through one window, is all that a model sees."""
    return len(windows) == 1 or (len(set(windows)) == 1 and None not in windows)


def windows_of(card):
    """The `Window` of each channel: tuple, None where one is not known."""
    if not card.channels:
        return (None,) * card.input_shape[-1]
    return tuple(None if one["level"] is None else Window(one["level"], one["width"]) for one in card.channels)


def shown(card):
    """The windows in words."""
    if not card.channels:
        return "windows that its card does not name"
    return "; ".join(dict.fromkeys(map(_said, card.channels)))


def _said(channel):
    if channel["level"] is None:
        return f"{channel['name']} (a window that is not known)"
    return f"{channel['name']} (level {channel['level']:g} HU, width {channel['width']:g} HU)"


def how_read(kind, card):
    """What a table says about how a scan was read."""
    if kind == "picture":
        return f"as a render of the model's window, {shown(card)}: 8 bits, not windowed again"
    return f"in Hounsfield units, through {shown(card)}"


def _channels(scan, windows, number):
    """One slice as float32 (height, width, channels) in [0, 1]."""
    one = scan.values[number]
    if scan.kind == "picture":
        return np.repeat(one[..., np.newaxis], len(windows), axis=-1)
    return stack_windows(one, windows)
