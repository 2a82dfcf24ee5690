"""The pointing game: does the maximum of a heat map lie on what it should have found?

Zhang et al. 2018, Top-Down Neural Attention by Excitation Backprop (they call a point within 15 pixels a hit).
"""

import numbers
from typing import NamedTuple

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem

TOLERANCE = 15  # pixels, of the paper, whose images are some 500 pixels wide


class Pointing(NamedTuple):
    """How a pointing game went.

    Attributes:
        score: hits / total; NaN for no map at all.
        chance: what points drawn evenly over each image score: the mean share of it that counts as a hit.
        hits: of all maps; a whole number but for ties.
        total: maps, the blank ones too.
        blank: maps that are zero everywhere, and hit nothing.
        tolerance: pixels.
    """

    score: float
    chance: float
    hits: float
    total: int
    blank: int
    tolerance: float


def pointing_hit(heat, mask, *, tolerance=TOLERANCE):
    """Whether the maximum of a map lies on a mask, or near it.

    Args:
        heat: (height, width) or (slices, height, width), at least 0.
        mask: bool or 0/1 of the same shape, with at least one pixel.
        tolerance: how far from the mask a point still hits: pixels, from center to center; in a volume, voxels.

    Returns:
        1.0 or 0.0. Of several equal maxima the share that hits, so that an even map scores what chance does. A map of
        zeros points nowhere: 0.0.

    Raises:
        HemokitError: shapes that differ, values below 0 or not finite, an empty mask, a negative tolerance.

    Source:
        Zhang et al. 2018, Top-Down Neural Attention by Excitation Backprop.
    """
    return _hit(*_checked(heat, mask, tolerance))


def pointing_game(heats, masks, *, tolerance=TOLERANCE):
    """The share of maps whose maximum lies on their mask, or near it, beside what chance gives.

    A wide tolerance makes hits cheap, the more so on small images: look at `chance` too.

    Args:
        heats, masks, tolerance: as `pointing_hit`, one of each per image. Choose the images that have the lesion.

    Returns:
        `Pointing`. No map gives a score and a chance of NaN.

    Raises:
        HemokitError: another number of masks than maps; as `pointing_hit`, naming the map by its number from 0.
    """
    if len(heats) != len(masks):
        raise problem(f"{len(heats)} maps and {len(masks)} masks", "one mask per map", "Pair them up first.")
    hits, shares = [], []
    for number, (heat, mask) in enumerate(zip(heats, masks, strict=True)):
        heat, near = _checked(heat, mask, tolerance, f"map {number}: ")
        shares.append(near.mean())
        hits.append(_hit(heat, near))
    blank = sum(not np.any(heat) for heat in heats)
    score, chance = (float(np.mean(values)) if values else float("nan") for values in (hits, shares))
    return Pointing(score, chance, float(sum(hits)), len(hits), blank, tolerance)


def _hit(heat, near):
    """The share of the maxima of a map that lie where a point hits; 0.0 for a map of zeros."""
    highest = heat.max()
    return float(near[heat == highest].mean()) if highest > 0 else 0.0


def _checked(heat, mask, tolerance, name=""):
    """The map, and a bool array of where a point hits."""
    from scipy import ndimage

    heat = np.asarray(heat)
    check_same_shape(heat, mask, names=(f"{name}the heat map", "its mask"))
    mask = check_binary(mask, f"{name}mask")
    if not mask.any():
        raise problem(f"{name}the mask is empty", "something to point at", "Play with the images that have the lesion.")
    if heat.dtype.kind not in "buif" or not (np.isfinite(heat).all() and heat.min() >= 0):
        remedy = "Pass a map as `gradcam` gives it."
        raise problem(f"{name}the heat map has values that are no heat", "finite numbers from 0 on", remedy)
    is_number = isinstance(tolerance, numbers.Real) and not isinstance(tolerance, bool)
    if not is_number or not 0 <= tolerance < np.inf:
        raise problem(f"tolerance is {tolerance!r}", "pixels, 0 or more", f"The paper's is {TOLERANCE}.")
    return heat, ndimage.distance_transform_edt(~mask) <= tolerance
