"""CT windows: which Hounsfield units become black, gray and white.

A window of level L and width W shows L - W/2 as black and L + W/2 as white (DICOM PS3.3 C.11.2.1.3,
function LINEAR_EXACT).
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_choice, problem


class Window(NamedTuple):
    """A CT window in Hounsfield units: `level` is its middle, `width` its extent (positive)."""

    level: float
    width: float

    @property
    def low(self):
        """Hounsfield units shown as black."""
        return self.level - self.width / 2

    @property
    def high(self):
        """Hounsfield units shown as white."""
        return self.level + self.width / 2


BRAIN = Window(40, 80)
SUBDURAL = Window(80, 200)
SOFT_TISSUE = Window(40, 380)
BONE = Window(600, 2800)
BRAIN_WIDE = Window(40, 120)

NAMED = {
    "brain": BRAIN,
    "subdural": SUBDURAL,
    "soft_tissue": SOFT_TISSUE,
    "bone": BONE,
    "brain_wide": BRAIN_WIDE,
}


def window_named(window):
    """Return a `Window`: `window` itself, or the one that a name such as "brain" stands for."""
    if isinstance(window, str):
        return NAMED[check_choice(window, NAMED, "window")]
    try:
        window = Window(*map(float, window))
    except (TypeError, ValueError):
        raise problem(
            f"the window is {window!r}",
            "a name, or Window(level, width) with two numbers",
            f"The names are {', '.join(map(repr, NAMED))}.",
        ) from None
    if not (np.isfinite(window.level) and np.isfinite(window.width) and window.width > 0):
        raise problem(
            f"the window has level {window.level:g} and width {window.width:g}",
            "a finite level and a width above 0",
            "Window takes (level, width) in that order; brain is Window(40, 80).",
        )
    if Window(window.width, window.level) in NAMED.values():
        raise problem(
            f"the window has level {window.level:g} and width {window.width:g}",
            "level first, then width",
            f"They look swapped: write Window({window.width:g}, {window.level:g}).",
        )
    return window


def windows_named(windows):
    """Return a tuple of `Window`s: of a sequence of windows or names, or of a single one of them."""
    if isinstance(windows, str | Window):
        windows = (windows,)
    if not np.iterable(windows):
        raise problem(f"windows is {windows!r}", "names or `Window`s", "For the brain alone pass windows=('brain',).")
    return tuple(map(window_named, windows))


def apply_window(hounsfield, window):
    """Show Hounsfield units through a window.

    Args:
        hounsfield: array of any shape in Hounsfield units (air about -1000, water 0, bone up to 3000).
        window: a `Window`, or the name of one ("brain", "bone", ...).

    Returns:
        float32 array of the same shape in [0, 1]: 0 at level - width/2 and below, 1 at level + width/2
        and above. An empty array gives an empty array.

    Raises:
        HemokitError: NaN, a width that is not above 0, or values that surely are an image: of type uint8, or of
            at least 49 pixels that fill 0..1, or reach from 0 to between 250 and 255. A crop
            inside the brain that holds neither air nor bone is fine.
    """
    window = window_named(window)
    array = np.asarray(hounsfield)
    _check_hounsfield(array)
    image = (array.astype(np.float32) - np.float32(window.low)) / np.float32(window.width)
    return np.clip(image, 0, 1, out=image)


def stack_windows(hounsfield, windows):
    """Show one slice or volume through several windows, as the channels of one image.

    Args:
        hounsfield: array (..., height, width) in Hounsfield units.
        windows: sequence of `Window`s or names, at least one.

    Returns:
        float32 array (..., height, width, len(windows)) in [0, 1].

    Raises:
        HemokitError: as `apply_window`; no window at all.
    """
    windows = windows_named(windows)
    if not windows:
        raise problem("no window was given", "at least one", "For the brain alone pass windows=('brain',).")
    return np.stack([apply_window(hounsfield, window) for window in windows], axis=-1)


def _check_hounsfield(array):
    if array.dtype == np.uint8:
        raise problem(
            f"apply_window got 8-bit values from {array.min(initial=255)} to {array.max(initial=0)}",
            "Hounsfield units (air is about -1000)",
            "This looks like an already windowed JPG: read it with datasets.read_image.",
        )
    if array.dtype.kind not in "iuf":
        raise problem(
            f"apply_window got {array.dtype} values", "numbers in Hounsfield units", "Convert the array first."
        )
    if not array.size:
        return
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise problem(
            f"apply_window got {int((~np.isfinite(array)).sum())} values that are NaN or infinite",
            "finite Hounsfield units",
            "Find out which file they come from; nothing is replaced here.",
        )
    # A crop inside the brain has no air either, so only what fills 0..1 or 0..255 is refused; not a few lone numbers.
    is_scaled = 0 <= low < high <= 1
    is_8_bit = low == 0 and 250 <= high <= 255
    if array.ndim >= 2 and array.size >= 49 and (is_scaled or is_8_bit):
        raise problem(
            f"apply_window got values from {low:g} to {high:g}",
            "Hounsfield units (air is about -1000)",
            "This looks like an already windowed JPG: read it with datasets.read_image.",
        )
