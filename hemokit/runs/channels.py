"""Which CT window each channel of a model shows, and how another folder can show the same one.

The rule: a channel is a window in Hounsfield units. A folder with Hounsfield units can show any window. A folder of
JPGs can show only the windows that its renders were saved through, because a rendered JPG cannot be windowed again.
So a model that was trained on one layout sees another one only through the very same windows; nothing is taken for
something like it.
"""

import re
from typing import NamedTuple

from hemokit.checks import problem
from hemokit.datasets import HOUNSFIELD, READERS
from hemokit.windows import NAMED, Window, window_named

# CT-ICH's were measured on 40 real patients (see datasets/phantom/ct_ich_folders.py); those of windowed_jpg are what
# their names say. What a render that is not listed was saved through is not known.
SAVED_THROUGH = {
    "ct_ich_jpg": {"brain": NAMED["brain_wide"], "bone": Window(700, 3200)},
    "windowed_jpg": {"brain_window": NAMED["brain"], "subdural_window": NAMED["subdural"]},
}


class Channel(NamedTuple):
    """What a channel shows: its `name` in a layout (`dataset`), and its window in HU (None where it is not known)."""

    name: str
    dataset: str
    level: float | None
    width: float | None

    def __str__(self):
        if self.level is None:
            return f"{self.name} (a window that is not known)"
        return f"{self.name} (level {self.level:g} HU, width {self.width:g} HU)"


def channels_of(dataset, names=None):
    """Choose the channels of a model by name.

    Args:
        dataset: the layout, a key of `READERS`.
        names: for Hounsfield layouts names of windows, or "LEVEL:WIDTH"; for JPGs names of renders, or of the windows
            that these were saved through. None is the layout's default.

    Returns:
        list of `Channel`, at least one.

    Raises:
        HemokitError: a name that is none, a window that the renders do not show.
    """
    if names is None or not len(names):
        names = ("brain",) if dataset in HOUNSFIELD else READERS[dataset].DEFAULT_WINDOWS
    return [_channel(dataset, name) for name in names]


def windows_for(channels, dataset):
    """How a layout shows the channels of a model: what `read_image` takes as `windows`.

    Args:
        channels: list of `Channel`, of the training.
        dataset: the layout of the other folder.

    Returns:
        tuple of `Window`s for Hounsfield layouts, of names of renders for JPGs.

    Raises:
        HemokitError: a window that the renders of this layout do not show, or that is not known.
    """
    return tuple(_shown(channel, dataset) for channel in channels)


def _channel(dataset, name):
    if dataset not in HOUNSFIELD and name in READERS[dataset].RENDERS:
        return Channel(name, dataset, *SAVED_THROUGH[dataset].get(name, (None, None)))
    renders = () if dataset in HOUNSFIELD else READERS[dataset].RENDERS
    window = _window(name, renders)
    named = [known for known, one in NAMED.items() if one == window]
    channel = Channel(named[0] if named else "window", dataset, *window)
    return channel if dataset in HOUNSFIELD else channel._replace(name=_render(dataset, channel))


def _window(name, renders=()):
    """The window that a name or "LEVEL:WIDTH" stands for."""
    numbers = re.fullmatch(r"(-?\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", name)
    if numbers:
        return window_named(Window(float(numbers[1]), float(numbers[2])))
    if name not in NAMED:
        known = ", ".join([*renders, *NAMED])
        raise problem(f"the window is {name!r}", f"one of {known}, or LEVEL:WIDTH in HU", "Correct --windows.")
    return NAMED[name]


def _shown(channel, dataset):
    if channel.level is None:
        if channel.dataset != dataset:
            came = f"the model sees {channel}, and the folder is {dataset}"
            remedy = "Predict on a folder of that layout, or train with another --windows."
            raise problem(came, f"a folder of {channel.dataset}", remedy)
        return channel.name
    if dataset in HOUNSFIELD:
        return Window(channel.level, channel.width)
    return _render(dataset, channel)


def _render(dataset, channel):
    """The render that was saved through the channel's window."""
    saved = SAVED_THROUGH[dataset]
    for name, window in saved.items():
        if window == (channel.level, channel.width):
            return name
    there = ", ".join(str(Channel(name, dataset, *window)) for name, window in saved.items())
    remedy = "A rendered JPG cannot be windowed again: train through one of these windows (--windows LEVEL:WIDTH)."
    raise problem(f"the window is {channel}", f"one that {dataset} was saved through: {there}", remedy)
