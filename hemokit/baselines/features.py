"""What a model is given of the slices: coordinates of whole slices, or small pixels."""

from typing import NamedTuple

import cv2
import numpy as np

from hemokit.baselines.pixels import Pixels
from hemokit.baselines.rotation import ExactRotation
from hemokit.checks import check_choice, problem

NEEDS = ("coordinates", "pixels")
TREE_SIZE = 64


class Features(NamedTuple):
    """The same slices twice.

    `coordinates` float64 (slices, r), exact for models of inner products, and `num_pixels`, what they stand for;
    `pixels` float32 (slices, q) in [0, 1], for models that look at single pixels.
    """

    coordinates: np.ndarray
    num_pixels: int
    pixels: np.ndarray

    def of(self, needs):
        """The matrix that a model with this need is fitted on."""
        return getattr(self, check_choice(needs, NEEDS, "needs"))


def build_features(pixels, *, tree_size=TREE_SIZE):
    """Rotate whole slices once, and shrink them for the trees.

    Trees ask for one pixel at a time, and no rotation keeps what they answer. On 512x512 slices a single tree and
    XGBoost would look at all 262,144 pixels, a forest at 512 of them (the square root) at each node, most of them
    nearly copies of their neighbors. Averages of areas, 64x64 of them, are a 64th of the columns with less noise. The
    size is a choice, not an equivalence: it costs the finest detail, such as a thin rim of blood.

    Args:
        pixels: `Pixels` of all rows, training and test alike (see `ExactRotation` why that leaks nothing), or a
            matrix uint8 or float (slices, p), whose columns then stay as they are for the trees.
        tree_size: height and width of what trees see; slices that are smaller stay as they are.

    Returns:
        `Features`.

    Raises:
        HemokitError: as `ExactRotation.fit`: no rows, NaN, another type than uint8 and floats; `Pixels` whose rows
            are not of height * width pixels.
    """
    if isinstance(pixels, Pixels):
        _check_size(pixels)
    values = pixels.values if isinstance(pixels, Pixels) else np.asarray(pixels)
    rotation = ExactRotation().fit(values)
    small = small_pixels(pixels, tree_size) if isinstance(pixels, Pixels) else _as_floats(values)
    return Features(rotation.coordinates_, rotation.num_pixels_, small)


def as_features(features):
    """`Features` as they are; of `Pixels` or a matrix they are built. HemokitError where its parts differ in rows."""
    if not isinstance(features, Features):
        return build_features(features)
    rows = len(features.coordinates), len(features.pixels)
    if rows[0] != rows[1]:
        came = f"the features have {rows[0]} rows of coordinates and {rows[1]} rows of pixels"
        raise problem(came, "the same slices in both", "Build them anew with build_features.")
    return features


def small_pixels(pixels, size=TREE_SIZE):
    """Averages of areas: float32 (slices, size * size) in [0, 1]; smaller slices keep their pixels."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise problem(f"tree_size is {size!r}", "a whole number from 1", f"{TREE_SIZE} is usual.")
    if max(pixels.height, pixels.width) <= size:
        return _as_floats(pixels.values)
    small = np.empty((len(pixels.values), size * size), np.float32)
    for place, row in enumerate(pixels.values):
        image = _as_floats(row).reshape(pixels.height, pixels.width)
        small[place] = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).ravel()
    return small


def _check_size(pixels):
    shape = np.shape(pixels.values)
    if len(shape) == 2 and shape[1] != pixels.height * pixels.width:
        came = f"rows of {shape[1]} pixels for slices of height {pixels.height} and width {pixels.width}"
        raise problem(came, f"{pixels.height * pixels.width} pixels in a row", "Give the size that was flattened.")


def _as_floats(values):
    return values.astype(np.float32) / np.float32(255) if values.dtype == np.uint8 else values.astype(np.float32)
