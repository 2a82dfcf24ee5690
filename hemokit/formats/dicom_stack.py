"""Whether slices make up one straight, evenly spaced volume."""

import numpy as np

from hemokit.checks import problem

MAX_TILT_DEGREES = 1.0
GAP_TOLERANCE_MM = 0.1


def stack_spacing_mm(slices, *, max_tilt_degrees=MAX_TILT_DEGREES):
    """The voxel size of a scan, where its slices share one grid with even gaps.

    Args:
        slices: two or more `DicomSlice` of one series, in any order.
        max_tilt_degrees: largest angle between the step from slice to slice and the slices' normal.

    Returns:
        (slice, row, column) spacing in mm.

    Raises:
        HemokitError: several series, orientations, pixel sizes or shapes; two slices in one place; gaps
            that differ by more than 0.1 mm; a tilted gantry. Each with the numbers.
    """
    if len(slices) < 2:
        raise problem(f"there are {len(slices)} slices", "at least two", "A single slice has no slice spacing.")
    for name in ("series_uid", "shape", "spacing_mm", "orientation"):
        _check_one(slices, name)
    row, column = np.array(slices[0].orientation).reshape(2, 3)
    normal = np.cross(row, column)
    places = np.array([one.position_mm for one in slices])  # (slices, 3)
    order = np.argsort(places @ normal, kind="stable")
    steps = np.diff(places[order], axis=0)
    gaps = steps @ normal
    series = slices[0].series_uid
    if gaps.min() < GAP_TOLERANCE_MM:
        first, second = (slices[order[gaps.argmin() + n]].instance_uid for n in (0, 1))
        raise problem(
            f"in series {series} the slices {first} and {second} are {gaps.min():.3f} mm apart",
            "every slice in a place of its own",
            "Drop one of the two, and count it.",
        )
    if gaps.max() - gaps.min() > GAP_TOLERANCE_MM:
        raise problem(
            f"in series {series} the gaps between slices go from {gaps.min():.2f} to {gaps.max():.2f} mm",
            f"even gaps (to {GAP_TOLERANCE_MM} mm)",
            "A slice may be missing; measure volumes slice by slice, or leave the scan out.",
        )
    tilt = float(np.degrees(np.arccos(np.clip(gaps / np.linalg.norm(steps, axis=1), -1, 1))).max())
    if tilt > max_tilt_degrees:
        raise problem(
            f"in series {series} the gantry is tilted by {tilt:.1f} degrees",
            f"at most {max_tilt_degrees:g} degrees",
            "Resample the scan onto a straight grid, or read it slice by slice.",
        )
    return (float(gaps.mean()), *slices[0].spacing_mm)


def _check_one(slices, name):
    """Raise unless all slices agree in `name` (numbers to 0.001)."""
    first = getattr(slices[0], name)
    for other in slices[1:]:
        value = getattr(other, name)
        same = value == first if isinstance(first, str) else np.allclose(value, first, rtol=0, atol=1e-3)
        if not same:
            raise problem(
                f"{name} is {first} in slice {slices[0].instance_uid} and {value} in {other.instance_uid}",
                "slices of one series on one grid",
                "Sort the slices by series first; leave out localizers and reformatted slices.",
            )
