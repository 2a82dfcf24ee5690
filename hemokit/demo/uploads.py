"""A file that somebody sent, read in memory: a picture, a NIfTI volume, a DICOM slice or a zipped DICOM series.

Nothing here touches the disk, and no name, number or date of a patient is kept or told.
"""

import io
import zipfile
from pathlib import PurePosixPath

from hemokit.apply.inputs import DICOM_INDEX, PICTURES, VOLUMES, Source, read_scan
from hemokit.checks import counted, problem
from hemokit.formats.bounded import InMemory, library_errors
from hemokit.formats.dicom_files import read_dicom_header
from hemokit.formats.image_files import read_image_size
from hemokit.formats.nifti_files import read_nifti_header

MAX_VOXELS = 2**25  # 128 slices of 512 x 512
MAX_SIDE = 4096  # pixels: a model sees squares, and the square of a strip of 1 x 2**24 would fill any memory
MAX_SLICES = 600
MAX_UNPACKED = 2**27  # bytes of a zip
MAX_FILES = 1000  # in a zip
KINDS = "a JPG, PNG, NIfTI (.nii, .nii.gz), DICOM or zipped DICOM series"


def read_upload(name, data):
    """Read a file from its bytes.

    Args:
        name: what its sender calls it; only its ending counts, and errors name it.
        data: bytes.

    Returns:
        `apply.inputs.Scan`, whose files lie in memory.

    Raises:
        HemokitError: another kind of file, a damaged one, one beyond `MAX_VOXELS`, `MAX_SIDE` or `MAX_SLICES`, and
            whatever the readers in `hemokit.formats` refuse.
    """
    file, low = InMemory(name, data), name.lower()
    if not data:
        raise problem("the file is empty (0 bytes)", KINDS, "Choose another file.", file=name)
    if low.endswith(PICTURES):
        _check_shape((1, *read_image_size(file)), file)
        return read_scan(Source("picture", name, (file,)))
    if low.endswith(VOLUMES):
        _check_shape(read_nifti_header(file).volume_shape, file)
        return read_scan(Source("nifti", name, (file,)))
    if data[128:132] == b"DICM":
        return _read_series((file,), ())
    if data[:4] == b"PK\x03\x04":
        return _read_series(*_unzipped(file))
    raise problem("this is none of the kinds of file that are read here", KINDS, "Choose another.", file=name)


def _unzipped(file):
    """(the DICOM files in a zip, notes); never more than `MAX_UNPACKED` bytes."""
    if file.data.count(b"PK\x01\x02") > MAX_FILES:  # the entries of its directory, of which each costs memory
        raise _too_many(file)
    with library_errors(file, "unpacking the zip"), zipfile.ZipFile(io.BytesIO(file.data)) as packed:
        entries = [entry for entry in packed.infolist() if not entry.is_dir()]
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise _too_many(file)
        if any(entry.flag_bits & 1 for entry in entries):
            raise problem("the zip is encrypted", "one without a password", "Zip it again without one.", file=file)
        found = [InMemory(f"{file.name}/{one.filename}", _unpacked(packed, one, file)) for one in entries]
    slices = tuple(one for one in found if one.data[128:132] == b"DICM" and not _is_index(one))
    if not slices:
        raise problem("the zip holds no DICOM file", "a DICOM series", "Zip the files of one series.", file=file)
    others = len(found) - len(slices)
    return slices, (f"{counted(others, 'file')} in the zip left out: no DICOM slice.",) if others else ()


def _is_index(file):
    """Whether it is the DICOMDIR of a disc, which lists files and holds no slice."""
    return PurePosixPath(file.name).name.lower() == DICOM_INDEX


def _too_many(file):
    expected = f"at most {MAX_FILES} files and {MAX_UNPACKED:,} bytes"
    return problem("the zip holds too much", expected, "Zip one series alone.", file=file)


def _unpacked(packed, entry, file):
    """One entry's bytes, and never more than the zip announces for it."""
    with packed.open(entry) as stream:
        data = stream.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise problem("an entry has another size than announced", "an intact zip", "Zip it again.", file=file)
    return data


def _read_series(files, notes):
    headers = [read_dicom_header(file) for file in files]
    series = {one.series_uid for one in headers}
    if len(series) > 1:
        remedy = "Zip one series alone, without localizers."
        raise problem(f"there are {len(series)} series", "one", remedy, file=files[0])
    sizes = {one.shape for one in headers}
    if len(sizes) > 1:  # before pixels are unpacked: the first size would say nothing of the others
        came = f"the series has slices of {len(sizes)} sizes"
        raise problem(came, "one size", "Leave the localizer out.", file=files[0])
    _check_shape((len(files), *headers[0].shape), files[0])
    scan = read_scan(Source("dicom", files[0].name, files))
    numbers = {*series, *(one.instance_uid for one in headers)}  # they lead to a patient where a hospital keeps them
    return scan._replace(notes=(*notes, *(_without(note, numbers) for note in scan.notes)))


def _without(note, numbers):
    for number in sorted(numbers, key=len, reverse=True):
        note = note.replace(number, "(number left out)")
    return note


def _check_shape(shape, file):
    slices, height, width = shape
    if slices > MAX_SLICES or max(height, width) > MAX_SIDE or slices * height * width > MAX_VOXELS:
        came = f"there are {slices:,} slices of {width:,} x {height:,} pixels"
        expected = f"at most {MAX_SLICES} slices, {MAX_SIDE} pixels a side and {MAX_VOXELS:,} in all"
        raise problem(came, expected, "Take fewer or smaller slices.", file=file)
