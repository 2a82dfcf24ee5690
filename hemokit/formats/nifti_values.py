"""What the voxels of a NIfTI volume mean: scaled values, Hounsfield units, masks. The rules stand in `nifti_files`."""

import numpy as np

from hemokit.checks import problem


def scale(stored, header, path):
    """slope x stored + intercept; integers stay as they are where nothing applies."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or (np.isnan(slope) and np.isnan(intercept)):
        slope, intercept = 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise problem(
            f"slope is {slope} and intercept {intercept}",
            "finite numbers",
            "The file is damaged: download or export it again.",
            file=path,
        )
    if slope == 1 and intercept == 0 and stored.dtype.kind in "iu":
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    data = stored.astype(np.float32)
    if slope != 1 or intercept != 0:
        data = data * np.float32(slope) + np.float32(intercept)
    bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if bad:
        raise problem(
            f"{bad} of {data.size} voxels are NaN or infinite",
            "a number in every voxel",
            "Find out what they mean and fill them before saving the volume.",
            file=path,
        )
    return data


def to_hounsfield(data, path):
    """`data` as float32, where it can be a CT."""
    low, high = float(data.min()), float(data.max())
    if low < -(2**16) or high > 2**16 or (low >= 0 and high <= 255):
        raise problem(
            f"the values go from {low:g} to {high:g}",
            "Hounsfield units (air is about -1000, bone above 300)",
            "This looks like a mask, a windowed image or a volume without its slope: take the CT itself.",
            file=path,
        )
    return data.astype(np.float32, copy=False)


def to_mask(data, path):
    """`data` as bool, where it is a mask of about 0 and 1 or about 0 and 255."""
    low, high = float(data.min()), float(data.max())
    if low >= -0.5 and high <= 1.5:
        middle = np.count_nonzero((data > 0.25) & (data < 0.75)) if data.dtype.kind == "f" else 0
        if not middle:
            return data > 0.5
        raise problem(
            f"{middle} voxels of the mask lie between 0.25 and 0.75",
            "values of about 0 and 1",
            "If these are probabilities, apply a threshold first.",
            file=path,
        )
    if low < -0.5 or not 200 <= high <= 256:
        raise problem(
            f"the mask has values from {low:g} to {high:g}",
            "about 0 and 1, or about 0 and 255",
            "A CT or a map of several labels is no mask: save the one label as 0 and 255.",
            file=path,
        )
    middle = np.count_nonzero((data > 64) & (data < 191)) / data.size
    if middle > 0.05:  # soft edges are few; gray values are many
        raise problem(
            f"{middle:.0%} of the mask's voxels lie between 64 and 191".replace("%", " %"),
            "about 0 and 255",
            "This looks like an image: take the mask.",
            file=path,
        )
    return data > 127
