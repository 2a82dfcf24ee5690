"""Where the voxels of a NIfTI volume lie: affine, voxel sizes, orientation, all checked.

World axes are NIfTI's: x runs to the patient's Right, y to Anterior, z to Superior. An orientation such as
"LAS" says where the axes of the file run to.
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors

MAX_SHEAR_DEGREES = 1.0
_MAX_ROTATION_DEGREES = 30.0
_LETTERS = ("LR", "PA", "IS")  # ends of the world axes, low and high
_VIEW = "SPL"  # slices, rows, columns of the viewing orientation run towards these


class NiftiHeader(NamedTuple):
    """What a header says.

    `shape`, `spacing_mm` and `orientation` (for example "LAS") follow the file's axes; `affine` (4, 4)
    leads from indices to mm; `volume_shape` and `volume_spacing_mm` are (slice, row, column) in viewing
    orientation.
    """

    shape: tuple
    affine: np.ndarray
    spacing_mm: tuple
    orientation: str
    volume_shape: tuple
    volume_spacing_mm: tuple


def geometry(header, path, assume, max_shear_degrees):
    """Where the voxels lie, from a NIfTI-1 header; HemokitError where qform, sform and sizes disagree."""
    shape = tuple(int(n) for n in header["dim"][1:4])
    pixdim = np.array(header["pixdim"][1:4], np.float64)
    unit = int(header["xyzt_units"]) % 8
    if unit not in (0, 2) or not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
        came = f"voxel sizes {tuple(pixdim.tolist())} with unit code {unit}"
        raise problem(came, "positive voxel sizes in mm (unit code 2, or 0 for none)", "Correct the header.", file=path)
    affine = _affine(header, shape, pixdim, path, assume)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(spacing, pixdim, rtol=0.01, atol=0):
        raise problem(
            f"the affine has voxels of {spacing.round(4).tolist()} mm, pixdim says {pixdim.round(4).tolist()} mm",
            "one voxel size",
            "Correct the header.",
            file=path,
        )
    orientation = _orientation(affine[:3, :3] / spacing, path, max_shear_degrees)
    axes, _ = to_view(orientation)
    spacing = tuple(spacing.tolist())
    view = tuple(shape[axis] for axis in axes), tuple(spacing[axis] for axis in axes)
    return NiftiHeader(shape, affine, spacing, orientation, *view)


def _affine(header, shape, pixdim, path, assume):
    """The sform, else the qform, else the assumed one (4, 4); both must agree where both are given."""
    with library_errors(path, "reading the orientation"):
        sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    given = [affine for affine in (sform, qform) if affine is not None]
    for affine in given:
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise problem(
                f"the affine is {affine[:3].tolist()}", "three finite axes in space", "Correct it.", file=path
            )
    if len(given) == 2:
        distance = corner_distance(sform, qform, shape)
        if distance > pixdim.min() / 2:
            raise problem(
                f"sform and qform put the same voxel up to {distance:.2f} mm apart",
                "both to agree to half a voxel",
                "Find out which one is right and delete the other (set its code to 0).",
                file=path,
            )
    if given:
        return given[0]
    if assume is None:
        raise problem(
            "the header has neither sform nor qform, so left and right are unknown",
            "an affine",
            'If you know how the axes run, say so: assume="LAS" (to Left, Anterior, Superior).',
            file=path,
        )
    affine = np.eye(4)
    worlds, signs = _axes_of(assume)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[worlds[axis], axis] = signs[axis] * pixdim[axis]
    return affine


def corner_distance(first, second, shape):
    """Largest distance in mm between the places that two affines give to the corners of a volume."""
    corners = np.array([(*corner, 1) for corner in np.ndindex(2, 2, 2)], float)  # (8, 4)
    corners[:, :3] *= np.array(shape) - 1
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())


def _orientation(cosines, path, max_shear_degrees):
    """Letters such as "LAS" from the axes' directions (3, 3), one column an axis."""
    products = np.abs(cosines.T @ cosines)[[0, 0, 1], [1, 2, 2]]
    shear = float(np.degrees(np.arcsin(np.clip(products, 0, 1))).max())
    if shear > max_shear_degrees:
        raise problem(
            f"the axes are {shear:.1f} degrees off right angles (gantry tilt or shear)",
            f"at most {max_shear_degrees:g} degrees",
            "Resample the volume onto a straight grid, or raise max_shear_degrees if you know what it means.",
            file=path,
        )
    turned = float(np.degrees(np.arccos(np.clip(np.abs(cosines).max(axis=0), 0, 1))).max())
    worlds = np.abs(cosines).argmax(axis=0)
    if turned > _MAX_ROTATION_DEGREES or len(set(worlds.tolist())) < 3:
        raise problem(
            f"an axis is {turned:.1f} degrees off the patient's axes",
            f"at most {_MAX_ROTATION_DEGREES:g} degrees",
            "Resample the volume onto the patient's axes.",
            file=path,
        )
    return "".join(_LETTERS[world][int(cosines[world, axis] > 0)] for axis, world in enumerate(worlds))


def _axes_of(orientation):
    """(world axis of each letter, its sign), for example "LAS" -> ([0, 1, 2], [-1, 1, 1])."""
    worlds = [next((w for w, ends in enumerate(_LETTERS) if letter in ends), None) for letter in orientation]
    if sorted(worlds, key=str) != [0, 1, 2]:
        raise problem(
            f"the orientation is {orientation!r}", 'three letters such as "LAS"', "Give one of L/R, P/A, I/S each."
        )
    return worlds, [2 * _LETTERS[world].index(letter) - 1 for world, letter in zip(worlds, orientation, strict=True)]


def to_view(orientation):
    """(axes to transpose to, slices that flip) that bring an array into viewing orientation."""
    worlds, signs = _axes_of(orientation)
    view_worlds, view_signs = _axes_of(_VIEW)
    axes = [worlds.index(world) for world in view_worlds]
    return axes, tuple(slice(None, None, signs[axis] * sign) for axis, sign in zip(axes, view_signs, strict=True))
