"""NIfTI-1 volumes (.nii, .nii.gz): read to the last byte, in one orientation.

nibabel parses the header; the bytes are read here, because nibabel stops before the checksum of a
.nii.gz (it accepts most single-bit flips) and takes as much memory as a header asks for. The rules:

- The file holds exactly what its header announces: not less (cut off), not more (something appended).
  A .nii.gz is unpacked to its end, where gzip's checksum stands, and never beyond what is announced.
- Three axes (more only if their length is 1), real numbers without NaN or infinity. NIfTI-2, pairs of
  .hdr and .img, RGB and complex numbers are refused.
- Values are slope x stored + intercept; a slope of 0 means "as stored" (NIfTI-1 standard), NaN for both
  as well; any other odd pair is refused.
- The affine is the authority on left and right. The sform counts, else the qform; where both are there
  they must agree to half a voxel, and with the voxel sizes (pixdim) to 1 %. A header with neither is
  refused unless `assume` names the axes, for example "LAS".
- Axes may be rotated up to 30 degrees from the patient's; axes that are not at right angles (gantry
  tilt left in the grid) are refused, with the angle.

Viewing orientation, which `read_nifti_volume` gives: (slices, height, width) with slices from inferior
to superior, rows from anterior to posterior, columns from the patient's right to left. That is the
view of the CT-ICH JPGs: there `np.rot90(data[:, :, k])` shows slice k, so the axes of its files run to
Left, Anterior and Superior ("LAS"), and a file with that affine gives exactly `np.rot90(data[:, :, k])`.
"""

import functools
import gzip
import os
from typing import NamedTuple

import numpy as np

from hemokit.checks import check_choice, problem
from hemokit.formats.bounded import InMemory, file_size, library_errors, name_of, open_file
from hemokit.formats.nifti_geometry import MAX_SHEAR_DEGREES, corner_distance, geometry, to_view
from hemokit.formats.nifti_values import scale, to_hounsfield, to_mask

MAX_BYTES = 2**28  # 512 x 512 x 512 voxels of two bytes
_NUMBERS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}  # by datatype code
_DAMAGED = "The file is damaged: download or export it again."


class Nifti(NamedTuple):
    """`data` along the file's axes: float32 where a slope applies or floats are stored, else integers as stored."""

    data: np.ndarray
    affine: np.ndarray
    spacing_mm: tuple
    orientation: str


class Volume(NamedTuple):
    """`array` (slices, height, width) in viewing orientation, read-only; `spacing_mm` (slice, row, column)."""

    array: np.ndarray
    spacing_mm: tuple


@np.errstate(all="ignore")  # damaged numbers may overflow on the way; every result is judged
def read_nifti_header(path, *, assume=None, max_shear_degrees=MAX_SHEAR_DEGREES):
    """Read and check the header alone (a few kilobytes); whether the voxels are whole is not checked.

    Args:
        path: a .nii or .nii.gz file.
        assume: orientation such as "LAS" for a file whose header has none; None refuses such a file.
        max_shear_degrees: how far the axes may be from right angles.

    Returns:
        NiftiHeader.
    """
    return geometry(read_nifti_fields(path), path, assume, max_shear_degrees)


def read_nifti_fields(path):
    """The fields of the header as nibabel names them (nibabel.Nifti1Header), of which memory is safe; else as above."""
    file_size(path, max_bytes=2**40)
    with library_errors(path, "reading the header"), _open(path) as stream:
        return _parse(stream.read(348), path)


@np.errstate(all="ignore")
def read_nifti(path, *, assume=None, max_shear_degrees=MAX_SHEAR_DEGREES, max_bytes=MAX_BYTES):
    """Read a volume along the file's own axes.

    Args:
        path, assume, max_shear_degrees: as in `read_nifti_header`.
        max_bytes: largest size, unpacked, that is read.

    Returns:
        Nifti.

    Raises:
        HemokitError: anything that breaks the rules of this module.
    """
    raw, header = _read_whole(path, max_bytes)
    grid = geometry(header, path, assume, max_shear_degrees)
    dtype = np.dtype(_NUMBERS[int(header["datatype"])]).newbyteorder(header.endianness)
    start = int(header["vox_offset"])
    stored = np.frombuffer(raw, dtype, offset=start).reshape(grid.shape, order="F")
    data = scale(stored, header, path)
    return Nifti(data, grid.affine, grid.spacing_mm, grid.orientation)


@np.errstate(all="ignore")
def check_nifti_size(path, *, max_bytes=MAX_BYTES):
    """Raise HemokitError unless the file has the size that its header announces; the voxels are not read.

    A .nii.gz ends with its unpacked size (RFC 1952, ISIZE): cut off anywhere, other bytes stand there.
    """
    found = file_size(path, max_bytes=max_bytes)
    with library_errors(path, "reading the header"), _open(path) as stream:
        expected = _announced_bytes(_parse(stream.read(348), path), path, max_bytes)
        packed = isinstance(stream, gzip.GzipFile)
    if packed:
        with library_errors(path, "reading the end of the file"), open_file(path) as stream:
            stream.seek(-4, os.SEEK_END)
            found = int.from_bytes(stream.read(4), "little")
    if found != expected:
        raise (_cut(path, found, expected) if found < expected else _too_long(path, expected))


def read_nifti_volume(
    path, *, kind="hounsfield", assume=None, max_shear_degrees=MAX_SHEAR_DEGREES, max_bytes=MAX_BYTES
):
    """Read a volume in viewing orientation; the last few are kept, so reading slice by slice is cheap.

    Args:
        path, assume, max_shear_degrees, max_bytes: as in `read_nifti`.
        kind: "hounsfield" gives float32, and refuses values that all lie in 0..255 (a mask, a windowed
            image) or beyond 65536; "mask" gives bool. A mask of 0 and 1 is true above 0.5; one of
            about 0 and 255 is true above 127; other values (label maps, Hounsfield units) are refused.

    Returns:
        Volume(array, spacing_mm); the array is shared and read-only (copy it to change it).
    """
    check_choice(kind, ("hounsfield", "mask"), "kind")
    file_size(path, max_bytes=max_bytes)
    info = os.stat(path)
    key = (os.path.abspath(path), info.st_mtime_ns, info.st_size)
    return _read_volume(key, kind, assume, max_shear_degrees, max_bytes)


@functools.lru_cache(maxsize=4)  # image and mask of two patients; about 50 MB each
def _read_volume(key, kind, assume, max_shear_degrees, max_bytes):
    path = key[0]
    nifti = read_nifti(path, assume=assume, max_shear_degrees=max_shear_degrees, max_bytes=max_bytes)
    data = to_mask(nifti.data, path) if kind == "mask" else to_hounsfield(nifti.data, path)
    axes, flips = to_view(nifti.orientation)
    array = np.ascontiguousarray(data.transpose(axes)[flips])
    array.setflags(write=False)
    return Volume(array, tuple(nifti.spacing_mm[axis] for axis in axes))


def check_same_grid(image_path, mask_path, *, assume=None):
    """Raise HemokitError unless two files have the same shape and the same affine to half a voxel."""
    image, mask = (read_nifti_header(path, assume=assume) for path in (image_path, mask_path))
    if image.shape != mask.shape:
        raise problem(
            f"the mask has {mask.shape} voxels",
            f"the {image.shape} of {image_path}",
            "Take the right pair.",
            file=mask_path,
        )
    distance = corner_distance(image.affine, mask.affine, image.shape)
    if distance > min(image.spacing_mm) / 2:
        raise problem(
            f"the mask lies up to {distance:.2f} mm away from {image_path}",
            "mask and image on one grid",
            "Take the right pair, or resample the mask onto the image.",
            file=mask_path,
        )


def _open(path):
    name = name_of(path).lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise problem(
            "the name does not say NIfTI", ".nii or .nii.gz", "Rename the file if it is the right one.", file=path
        )
    with open_file(path) as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if packed != name.endswith(".gz"):
        came = "compressed with gzip" if packed else "not compressed with gzip"
        raise problem(f"the content is {came}", "a name that says so (.nii, .nii.gz)", "Rename the file.", file=path)
    if not packed:
        return open_file(path)
    return gzip.open(open_file(path) if isinstance(path, InMemory) else path)


def _read_whole(path, max_bytes):
    """(bytes of the file, unpacked; parsed header), where they fit together."""
    size = file_size(path, max_bytes=max_bytes)
    with library_errors(path, "reading the file"), _open(path) as stream:
        start = stream.read(352)
        header = _parse(start, path)
        expected = _announced_bytes(header, path, max_bytes)
        if not isinstance(stream, gzip.GzipFile) and size < expected:
            raise _cut(path, size, expected)
        raw = start + stream.read(expected - len(start) + 1)  # one more: gzip checks its sum at the end
    if len(raw) < expected:
        raise _cut(path, len(raw), expected)
    if len(raw) > expected:
        raise _too_long(path, expected)
    return raw, header


def _announced_bytes(header, path, max_bytes):
    """The size of the whole file, unpacked, that a header announces."""
    shape = header.get_data_shape()
    voxels = int(np.prod([int(n) for n in shape], dtype=object))
    expected = int(header["vox_offset"]) + voxels * int(header["bitpix"]) // 8
    if expected > max_bytes:
        raise problem(
            f"the header announces {shape} voxels, {expected:,} bytes",
            f"at most {max_bytes:,} bytes",
            "The file is damaged or no head CT; if it is right, raise max_bytes.",
            file=path,
        )
    return expected


def _too_long(path, expected):
    came = f"the content goes on after the {expected:,} bytes that the header announces"
    return problem(came, "nothing there", _DAMAGED, file=path)


def _cut(path, found, expected):
    return problem(
        f"there are {found:,} bytes",
        f"the {expected:,} bytes that the header announces",
        "It was cut off: download or copy it again.",
        file=path,
    )


def _parse(block, path):
    """The nibabel header of 348 bytes, with the fields that decide about memory checked."""
    from nibabel import Nifti1Header

    if len(block) < 348:
        raise problem(
            f"there are {len(block)} bytes", "a header of 348 bytes", "It was cut off: copy it again.", file=path
        )
    header = Nifti1Header(block[:348], check=False)
    magic = bytes(header["magic"])
    if int(header["sizeof_hdr"]) != 348 or magic.rstrip(b"\0") != b"n+1":
        raise problem(
            f"the header starts with {int(header['sizeof_hdr'])} and its magic is {magic!r}",
            "a NIfTI-1 file (348, b'n+1')",
            "Convert it to a single NIfTI-1 file (for example with nibabel), or get an undamaged one.",
            file=path,
        )
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _NUMBERS or np.dtype(_NUMBERS[code]).itemsize * 8 != bits:
        raise problem(
            f"the voxels have datatype code {code} with {bits} bits",
            "whole or real numbers of 8 to 64 bits (no RGB, no complex)",
            "Save the volume as int16 or float32.",
            file=path,
        )
    dim = [int(n) for n in header["dim"]]
    shape = dim[1 : dim[0] + 1] if 3 <= dim[0] <= 7 else []
    if len(shape) < 3 or min(shape) < 1 or max(shape[3:], default=1) > 1:
        raise problem(
            f"the header announces {dim[0]} axes of lengths {dim[1:]}",
            "three axes of at least 1 voxel",
            "Save one volume per file.",
            file=path,
        )
    offset = float(header["vox_offset"])
    if not (352 <= offset < 2**24 and offset == int(offset)):
        raise problem(f"the voxels start at byte {offset:g}", "a whole number from 352", _DAMAGED, file=path)
    return header
