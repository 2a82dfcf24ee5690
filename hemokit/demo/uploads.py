"""A file that somebody sent, read in memory: a picture, a NIfTI volume, a DICOM slice or a zipped DICOM series.

Nothing here touches the disk, and no name, number or date of a patient is read or kept.
"""

import io
import zipfile
from typing import NamedTuple

import numpy as np

from hemokit.checks import HemokitError, counted, problem
from hemokit.formats.bounded import InMemory, library_errors
from hemokit.formats.dicom_files import MAX_BYTES as MAX_DICOM
from hemokit.formats.dicom_files import read_dicom
from hemokit.formats.dicom_stack import stack_spacing_mm
from hemokit.formats.image_files import read_image_file
from hemokit.formats.nifti_files import read_nifti
from hemokit.formats.nifti_geometry import to_view
from hemokit.formats.nifti_values import to_hounsfield

MAX_VOXELS = 2**25  # 128 slices of 512 x 512
MAX_SIDE = 4096  # pixels: a model sees squares, and the square of a strip of 1 x 2**24 would fill any memory
MAX_SLICES = 600
MAX_UNPACKED = 2**27  # bytes
MAX_FILES = 1000  # in a zip
GRAY_TOLERANCE = 2  # how far the channels of a gray picture that was saved in color may be apart
KINDS = "a JPG, PNG, NIfTI (.nii, .nii.gz), DICOM or zipped DICOM series"


class Upload(NamedTuple):
    """What a file holds.

    Attributes:
        kind: "picture", "nifti" or "dicom".
        values: float32 (slices, height, width), the neck first: Hounsfield units; of a picture its grays in [0, 1].
        spacing_mm: (slice, row, column); None for each that is not known.
        notes: sentences that a user should read beside the result.
        affine, orientation: of a NIfTI file, along its own axes, to write a mask like it; else None.
    """

    kind: str
    values: np.ndarray
    spacing_mm: tuple
    notes: tuple = ()
    affine: np.ndarray | None = None
    orientation: str | None = None


def read_upload(name, data):
    """Read a file from its bytes.

    Args:
        name: what its sender calls it; only its ending counts, and errors name it.
        data: bytes.

    Returns:
        `Upload`.

    Raises:
        HemokitError: another kind of file, a damaged one, one beyond `MAX_VOXELS`, `MAX_SIDE` or `MAX_SLICES`, and
            whatever the readers in `hemokit.formats` refuse.
    """
    file, low = InMemory(name, data), name.lower()
    if not data:
        raise problem("the file is empty (0 bytes)", KINDS, "Choose another file.", file=name)
    if low.endswith((".jpg", ".jpeg", ".png")):
        upload = _picture(file)
    elif low.endswith((".nii", ".nii.gz")):
        upload = _nifti(file)
    elif data[128:132] == b"DICM":
        upload = _dicom([(name, data)], ())
    elif data[:4] == b"PK\x03\x04":
        upload = _dicom(*_unzipped(file))
    else:
        raise problem("this is none of the kinds of file that are read here", KINDS, "Choose another.", file=name)
    return upload


def _picture(file):
    pixels = read_image_file(file)
    if pixels.dtype != np.uint8:
        remedy = "Save it with 8 bits through the model's window, or give the NIfTI or DICOM file."
        raise problem("the picture has 16 bits, of an unknown scale", "8 bits", remedy, file=file)
    notes = ()
    if pixels.ndim == 3:
        apart = int(np.ptp(pixels.astype(np.int16), axis=-1).max())
        if apart > GRAY_TOLERANCE:
            remedy = "Take the slice without colors drawn on it."
            raise problem("the picture has colors", "a gray CT slice", remedy, file=file)
        pixels, notes = pixels[..., 1], ("The picture was saved in color; its three channels agree.",)
    _check_shape((1, *pixels.shape), file)
    return Upload("picture", pixels[np.newaxis].astype(np.float32) / np.float32(255), (None,) * 3, notes)


def _nifti(file):
    nifti = read_nifti(file, max_bytes=MAX_UNPACKED)
    axes, flips = to_view(nifti.orientation)
    _check_shape(tuple(nifti.data.shape[axis] for axis in axes), file)
    values = np.ascontiguousarray(to_hounsfield(nifti.data, file).transpose(axes)[flips])
    spacing = tuple(nifti.spacing_mm[axis] for axis in axes)
    return Upload("nifti", values, spacing, affine=nifti.affine, orientation=nifti.orientation)


def _unzipped(file):
    """([(name, bytes), ...] of the DICOM files in a zip, notes); never more than `MAX_UNPACKED` bytes."""
    with library_errors(file, "unpacking the zip"), zipfile.ZipFile(io.BytesIO(file.data)) as packed:
        entries = [entry for entry in packed.infolist() if not entry.is_dir()]
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            expected = f"at most {MAX_FILES} files and {MAX_UNPACKED:,} bytes"
            raise problem("the zip holds more", expected, "Zip one series alone.", file=file)
        if any(entry.flag_bits & 1 for entry in entries):
            raise problem("the zip is encrypted", "one without a password", "Zip it again without one.", file=file)
        found = [(entry.filename, _unpacked(packed, entry, file)) for entry in entries]
    slices = [(name, data) for name, data in found if data[128:132] == b"DICM"]
    if not slices:
        raise problem("the zip holds no DICOM file", "a DICOM series", "Zip the files of one series.", file=file)
    others = len(found) - len(slices)
    notes = (f"{counted(others, 'file')} in the zip left out: no DICOM.",) if others else ()
    return [(f"{file.name}/{name}", data) for name, data in slices], notes


def _unpacked(packed, entry, file):
    """One entry's bytes, and never more than the zip announces for it."""
    with packed.open(entry) as stream:
        data = stream.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise problem("an entry has another size than announced", "an intact zip", "Zip it again.", file=file)
    return data


def _dicom(files, notes):
    slices = [read_dicom(InMemory(name, data), max_bytes=MAX_DICOM) for name, data in files]
    first = slices[0]
    if len({(one.series_uid, one.shape) for one in slices}) > 1:
        came = f"there are {len({one.series_uid for one in slices})} series, or slices of several sizes"
        raise problem(came, "one series of one size", "Zip one series alone, without localizers.", file=files[0][0])
    _check_shape((len(slices), *first.shape), files[0][0])
    row, column = np.array(first.orientation).reshape(2, 3)
    slices.sort(key=lambda one: float(np.cross(row, column) @ one.position_mm))
    gap, more = _gap(slices)
    if any(one.repaired for one in slices):
        more += ("Wrapped 12-bit values were repaired, as those of RSNA 2019 need it.",)
    values = np.stack([one.hounsfield for one in slices])
    return Upload("dicom", values, (gap, *first.spacing_mm), notes + more)


def _gap(slices):
    """(distance of slices in mm, notes): None, and why, where it is not one number."""
    if len(slices) == 1:
        return None, ("One slice alone: its distance from the next is not known, so there is an area and no volume.",)
    try:
        return stack_spacing_mm(slices)[0], ()
    except HemokitError as error:
        reason = str(error).replace(slices[0].series_uid, "(number left out)")
        for one in slices:
            reason = reason.replace(one.instance_uid, "(number left out)")
        return None, (f"No volume: {reason}",)


def _check_shape(shape, file):
    slices, height, width = shape
    if slices > MAX_SLICES or max(height, width) > MAX_SIDE or slices * height * width > MAX_VOXELS:
        came = f"there are {slices:,} slices of {width:,} x {height:,} pixels"
        expected = f"at most {MAX_SLICES} slices, {MAX_SIDE} pixels a side and {MAX_VOXELS:,} in all"
        raise problem(came, expected, "Take fewer or smaller slices.", file=file)
