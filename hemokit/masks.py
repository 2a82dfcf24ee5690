"""Masks: which pixels are hemorrhage. From polygons and back, cleaned, counted and measured.

A mask is a bool array (height, width), a stack of them (slices, height, width). Polygons exist only at the
door: `polygons` draws them, `polygon_labels` reads them from files; their public names are here as well.
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_binary, check_choice, check_columns, problem
from hemokit.labels import ANY
from hemokit.polygon_labels import read_polygon_labels
from hemokit.polygons import mask_to_polygons, polygons_to_mask
from hemokit.tables import Account, Drop, account

__all__ = [
    "Lesion",
    "abc2_ml",
    "clean_masks",
    "label_lesions",
    "lesions",
    "mask_to_polygons",
    "polygons_to_mask",
    "read_polygon_labels",
    "volume_ml",
]


class Lesion(NamedTuple):
    """One connected component: `box` has (first, stop) per axis, `centroid` is the mean pixel index per axis."""

    label: int
    num_pixels: int
    box: tuple
    centroid: tuple


def clean_masks(table, masks, *, shape=None, min_fraction=0.0, max_fraction=1.0, overlapping="keep"):
    """Drop the slices whose mask cannot be used for training, and count them with the reason.

    The rules, in order (the first that applies is the reason): no mask although the label says hemorrhage;
    not of the size `shape`; an empty mask although the label says hemorrhage; a mask that is not empty on a
    slice labeled normal; regions that overlap (if asked for); a mask of less or more of the image than given.
    The last three are the cleaning of the Northeastern report (2023, section 4.2), which gives no figures for
    them and chose them by the model's score; they are off unless you set them.

    Args:
        table: a slice table (columns slice_id and any; mask_path or polygons_xy where there are masks).
        masks: a function that takes a row and returns its mask, such as `datasets.read_mask`; or one mask a
            row, None where there is none.
        shape: (height, width) that every mask must have, or None for any.
        min_fraction, max_fraction: smallest and largest part of the image, 0..1, that a mask of a positive
            slice may cover.
        overlapping: "drop" drops slices of which two polygons share a pixel (needs polygons_xy), "keep" does not.

    Returns:
        the rows kept, in order; attrs["account"] goes on from the table's own. An empty table stays as it is.

    Raises:
        HemokitError: a mask that cannot be read or is not 0/1; settings that contradict each other.
    """
    check_columns(table, ["slice_id", ANY])
    check_choice(overlapping, ("keep", "drop"), "overlapping")
    if not 0 <= min_fraction <= max_fraction <= 1:
        raise problem(
            f"min_fraction is {min_fraction} and max_fraction {max_fraction}",
            "0 <= min_fraction <= max_fraction <= 1",
            "Give parts of the image: 0.01 is one pixel in a hundred.",
        )
    if not callable(masks) and len(masks) != len(table):
        raise problem(f"{len(masks)} masks for {len(table)} rows", "one mask a row", "Pass None where there is none.")
    reasons = []
    for number, (_, row) in enumerate(table.iterrows()):
        mask = _mask_of(row, masks) if callable(masks) else masks[number]
        reasons.append(_why_unusable(row, mask, shape, (min_fraction, max_fraction), overlapping))
    drops = {}
    for slice_id, reason in zip(table["slice_id"], reasons, strict=True):
        if reason:
            drops.setdefault(reason, []).append(slice_id)
    kept = table[np.array([reason is None for reason in reasons], bool)].reset_index(drop=True)
    before = account(table)
    if before.rows_used != len(table):  # it counted something else than the rows of this table
        before = Account(len(table), len(table), notes=before.notes)
    new = tuple(Drop(reason, tuple(ids)) for reason, ids in drops.items())
    kept.attrs["account"] = before._replace(rows_used=len(kept), drops=before.drops + new)
    return kept


def lesions(mask):
    """Find the lesions: connected components, the largest first (equal ones in the order of their first pixel).

    Args:
        mask: bool or 0/1 array (height, width), pixels that meet at a corner belong together; or
            (slices, height, width), with all 26 neighbors.

    Returns:
        list of `Lesion`; its `label` is its number, from 1, in `label_lesions(mask)`. Empty for an empty mask,
        also for one without pixels.
    """
    from scipy import ndimage

    labels = label_lesions(mask)
    if not labels.size:
        return []
    sizes = np.bincount(labels.ravel())
    found = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = np.nonzero(labels[box] == label)
        centroid = tuple(float((axis + part.start).mean()) for axis, part in zip(inside, box, strict=True))
        found.append(Lesion(label, int(sizes[label]), tuple((part.start, part.stop) for part in box), centroid))
    return found


def label_lesions(mask):
    """Number the lesions of a mask: int32 array of its shape, 0 outside, 1 the largest lesion (see `lesions`)."""
    from scipy import ndimage

    mask = _check_mask(mask)
    if not mask.size:
        return np.zeros(mask.shape, np.int32)
    labels, number = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    rank = np.zeros(number + 1, np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, number + 1)
    return rank[labels]


def volume_ml(mask, spacing_mm):
    """Volume of a mask in milliliters: pixels times the volume of one.

    Args:
        mask: bool or 0/1 array (slices, height, width), or (height, width) for one slice.
        spacing_mm: (slice, row, column): distances of the centers in mm. The first is the distance of slices,
            not the thickness of the beam.

    Returns:
        float; 0.0 for an empty mask.

    Raises:
        HemokitError: a spacing that is unknown (None, NaN), not above 0, or not three numbers.
    """
    mask = _check_mask(mask)
    return int(mask.sum()) * float(_check_spacing(spacing_mm).prod()) / 1000


def abc2_ml(mask, spacing_mm, *, weighted=False):
    """Volume in milliliters by the bedside rule ABC/2, as a reader without a computer estimates it.

    On the slice with the largest area, A is the largest diameter and B the largest diameter perpendicular to it; C is
    the number of slices with hemorrhage times their distance (Kothari et al., Stroke 1996;27:1304-1305). It takes a
    bleed for an ellipsoid (pi/6 ABC, 5 % more); beside `volume_ml` it shows how wrong that is for ragged ones.

    Args:
        mask: bool or 0/1 array (slices, height, width), or (height, width) for one slice.
        spacing_mm: (slice, row, column) in mm, as in `volume_ml`.
        weighted: False counts every slice with hemorrhage once. True counts as Kothari's paper: a slice with more
            than 75 % of the largest area as one, with 25 % to 75 % as a half, with less as none. Made for few
            thick slices; over many thin ones it makes C a third too short.

    Returns:
        float, the sum over the lesions (see `lesions`); 0.0 for an empty mask. Diameters run from outer edge to
        outer edge of the pixels' convex hull, so one pixel has its diagonal.

    Raises:
        HemokitError: as `volume_ml`.
    """
    mask = _check_mask(mask)
    spacing = _check_spacing(spacing_mm)
    stack = mask if mask.ndim == 3 else mask[None]
    labels = label_lesions(stack)
    boxes = [(one.label, tuple(slice(*ends) for ends in one.box)) for one in lesions(stack)]
    return float(sum(_abc(labels[box] == label, spacing, weighted) for label, box in boxes) / 2000)


def _abc(lesion, spacing, weighted):
    """A x B x C of one lesion (slices, height, width) in cubic millimeters."""
    areas = lesion.sum(axis=(1, 2))
    a, b = _diameters(lesion[areas.argmax()], spacing[1:])
    part = areas / areas.max()
    counted = np.where(part > 0.75, 1.0, np.where(part >= 0.25, 0.5, 0.0)) if weighted else areas > 0
    return a * b * counted.sum() * spacing[0]


def _diameters(area, spacing):
    """Largest diameter of a mask (height, width) in mm, and the largest one perpendicular to it."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist, squareform

    corners = (np.argwhere(area)[:, None] + [[0, 0], [0, 1], [1, 0], [1, 1]]).reshape(-1, 2) * spacing
    hull = corners[ConvexHull(corners).vertices]
    distances = squareform(pdist(hull))
    first, last = np.unravel_index(distances.argmax(), distances.shape)
    longest = distances[first, last]
    along = (hull[last] - hull[first]) / longest
    x, y = (hull - hull[first]) @ along, (hull - hull[first]) @ [-along[1], along[0]]
    ends = np.isin(np.arange(len(hull)), [first, last])
    above, below = (_chain(x, y, side | ends) for side in (y > 0, y < 0))
    return longest, float((np.interp(x, *above) - np.interp(x, *below)).max())


def _chain(x, y, chosen):
    """One side of a convex outline, from end to end of its diameter."""
    order = np.argsort(x[chosen], kind="stable")
    return x[chosen][order], y[chosen][order]


def _check_mask(mask):
    mask = check_binary(mask, "mask")
    if mask.ndim not in (2, 3):
        raise problem(
            f"the mask has shape {mask.shape}",
            "(height, width) or (slices, height, width)",
            "Take out the channel axis.",
        )
    return mask


def _check_spacing(spacing_mm):
    """The spacing as a float array (3,)."""
    try:
        spacing = np.array(spacing_mm, float)
    except (TypeError, ValueError):
        spacing = np.array(np.nan)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or (spacing <= 0).any():
        raise problem(
            f"spacing_mm is {spacing_mm!r}",
            "(slice, row, column) in mm, all above 0",
            "Without known spacing there is no volume: JPGs have none, NIfTI and DICOM headers do.",
        )
    return spacing


def _mask_of(row, read_mask):
    """The mask of a row, or None where it says hemorrhage and names neither a mask nor polygons."""
    named = isinstance(row.get("mask_path"), str) or isinstance(row.get("polygons_xy"), list)
    return read_mask(row) if named or not row[ANY] else None


def _why_unusable(row, mask, shape, fractions, overlapping):
    """None, or the reason to drop this slice."""
    if mask is None:
        return "no mask although labeled hemorrhage" if row[ANY] else None
    mask = check_binary(mask, f"the mask of slice {row['slice_id']!r}")
    if shape is not None and mask.shape != tuple(shape):
        return f"the mask is not {shape[0]}x{shape[1]}"
    if not row[ANY]:
        return "a mask although labeled normal" if mask.any() else None
    if not mask.any():
        return "an empty mask although labeled hemorrhage"
    if overlapping == "drop" and _overlap(row, mask.shape):
        return "regions overlap"
    if mask.mean() < fractions[0]:
        return f"the mask covers less than {fractions[0]:g} of the image"
    return f"the mask covers more than {fractions[1]:g} of the image" if mask.mean() > fractions[1] else None


def _overlap(row, shape):
    if not isinstance(row.get("polygons_xy"), list):
        raise problem(
            f"slice {row['slice_id']!r} has no polygons_xy",
            "polygons, to see whether they overlap",
            "Pass overlapping='keep'.",
        )
    drawn = [polygons_to_mask([points], shape) for points in row["polygons_xy"]]
    return bool((np.sum(drawn, axis=0) > 1).any())
