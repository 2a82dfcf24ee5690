"""Slices as rows of 8-bit pixels: what the classical models of the papers are given."""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_columns, problem
from hemokit.datasets import read_image
from hemokit.progress import progress_bar
from hemokit.slice_cache import LEVELS, cached_slices, open_slices, unique_slices

_AT_ONCE = 64  # slices, so that no float copy of all of them is ever made


class Pixels(NamedTuple):
    """Flattened slices: `values` uint8 (slices, height * width), where 255 is 1, and the size of one slice."""

    values: np.ndarray
    height: int
    width: int


def read_pixels(table, *, window=None, image_size=None, progress=None):
    """Read every slice through one window as 8-bit pixels.

    Args:
        table: a slice table; the result has its rows, in its order.
        window: one window as in `datasets.read_image` (a name, or a `Window` for Hounsfield data); None is the brain.
        image_size: None keeps the size on disk, which must be the same for all slices. A number makes squares of that
            size through the slice cache: what is not square is padded with 0, shrinking averages areas.
        progress: True or False; None shows a bar for much work.

    Returns:
        `Pixels`: image values times 255, rounded. 1,835 slices of 512x512 take 481 MB. No rows give (0, 0).

    Raises:
        HemokitError: slices of several sizes; with image_size, slices of several data sets (the cache knows slices by
            their slice_id alone), a size that is no whole number; and as `datasets.read_image`.
    """
    check_columns(table, ["dataset", "slice_id"])
    windows = None if window is None else (window,)
    if not len(table):
        return Pixels(np.zeros((0, 0), np.uint8), 0, 0)
    if image_size is None:
        return _read_as_they_are(table, windows, progress)
    if isinstance(image_size, bool) or not isinstance(image_size, int | np.integer) or image_size < 1:
        raise problem(f"image_size is {image_size!r}", "a whole number from 1, or None", "Pass 64, for example.")
    if table["dataset"].nunique() > 1:
        came = f"the table has slices of {', '.join(sorted(map(str, table['dataset'].unique())))}"
        remedy = "Read each data set alone: two may call different slices by one slice_id."
        raise problem(came, "one data set for an image_size", remedy, column="dataset")
    folder = cached_slices(table, image_size=int(image_size), windows=windows, progress=progress)
    place = {slice_id: k for k, slice_id in enumerate(unique_slices(table)["slice_id"])}
    images = open_slices(folder).images  # uint16 (unique slices, size, size, 1)
    values = np.empty((len(table), int(image_size) ** 2), np.uint8)
    rows = [place[slice_id] for slice_id in table["slice_id"]]
    for start in range(0, len(rows), _AT_ONCE):
        part = images[rows[start : start + _AT_ONCE]]
        values[start : start + len(part)] = to_bytes(part.reshape(len(part), -1) / np.float32(LEVELS))
    return Pixels(values, int(image_size), int(image_size))


def to_bytes(image):
    """Image values in [0, 1] as uint8 from 0 to 255; HemokitError for NaN and values outside."""
    image = np.asarray(image)
    if image.size and not (image.min() >= 0 and image.max() <= 1):  # NaN passes through min and max
        wrong = image[~((image >= 0) & (image <= 1))][0]
        raise problem(f"an image holds the value {wrong:g}", "values from 0 to 1", "Window it, or divide by its range.")
    return np.rint(image * 255).astype(np.uint8)


def _read_as_they_are(table, windows, progress):
    bar = progress_bar(
        table.to_dict("records"), total=len(table), description="reading", unit="slice", progress=progress
    )
    values = shape = None
    for place, row in enumerate(bar):
        image = to_bytes(read_image(row, windows=windows)[..., 0])  # (height, width)
        if values is None:
            shape, first = image.shape, row["slice_id"]
            values = np.empty((len(table), image.size), np.uint8)
        if image.shape != shape:
            raise problem(
                f"slice {first} is {shape[1]} x {shape[0]} pixels and slice {row['slice_id']} is "
                f"{image.shape[1]} x {image.shape[0]}",
                "slices of one size",
                "Pass image_size=256 (or another size), to which all of them are brought.",
            )
        values[place] = image.ravel()
    return Pixels(values, *shape)
