"""Files of a user as scans: a picture, a NIfTI volume, the DICOM slices of one series; from a file or a folder.

What is in a folder is found by name (.jpg, .jpeg, .png, .nii, .nii.gz, .dcm) and, for DICOM, also by the "DICM" after
the first 128 bytes. Every file is in a scan, or refused with its reason, or counted as another kind of file; so are
masks, which are no slices: those beside the slices of CT-ICH (*_HGE_Seg.jpg), and those of our own results.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hemokit.checks import HemokitError, problem
from hemokit.formats.bounded import library_errors
from hemokit.formats.dicom_files import read_dicom, read_dicom_header
from hemokit.formats.dicom_stack import stack_spacing_mm
from hemokit.formats.image_files import read_image_file
from hemokit.formats.nifti_files import read_nifti
from hemokit.formats.nifti_geometry import to_view
from hemokit.formats.nifti_values import to_hounsfield

PICTURES, VOLUMES, MASKS = (".jpg", ".jpeg", ".png"), (".nii", ".nii.gz"), ("_hge_seg.jpg",)
DICOM_NAMES, DICOM_INDEX = (".dcm", ".dicom", ".ima"), "dicomdir"
SLICES, SCANS, MASK_FOLDER = "slices.csv", "scans.csv", "masks"  # what a folder of our own results holds
KINDS = "a JPG, PNG, NIfTI (.nii, .nii.gz) or DICOM file"
GRAY_TOLERANCE = 2  # how far the channels of a gray picture that was saved in color may be apart, of 255
MAX_TURN_DEGREES = 30  # a head is tilted, and so is a gantry; sagittal and coronal slices are turned by 90


class Source(NamedTuple):
    """Files of one scan, not yet read: `kind` is "picture", "nifti" or "dicom"; `name` that of its outputs."""

    kind: str
    name: str
    files: tuple


class Scan(NamedTuple):
    """What a `Source` holds.

    `values` is float32 (slices, height, width), the neck first: Hounsfield units; of a picture its grays in [0, 1].
    `spacing_mm` is (slice, row, column), None for what is not known. `files` name the file of each slice, `notes` are
    sentences that stand beside the result. `orientation` (NIfTI) leads back to the file's own axes.
    """

    kind: str
    values: np.ndarray
    spacing_mm: tuple
    files: tuple
    notes: tuple = ()
    orientation: str | None = None


class Refused(NamedTuple):
    """A file that cannot be used, and why."""

    file: str
    reason: str


def find_sources(path):
    """Look what there is to read, without reading pixels.

    Args:
        path: a file, or a folder, which is searched with all folders in it.

    Returns:
        (list of `Source`, list of `Refused`, number of files of other kinds). A DICOM file belongs to the scan of
        its series.

    Raises:
        HemokitError: nothing to read (the reason of the first file that cannot be); a single file of another kind.
    """
    path = Path(path)
    if not path.exists():
        expected = f"a data set, {KINDS}, or a folder of such files"
        raise problem("there is no such file or folder", expected, "Check the path.", file=path)
    root = path if path.is_dir() else path.parent
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    written = _mask_folders(files)
    sources, refused, others, series = [], [], 0, {}
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            kind = kind_of(file) if written.isdisjoint(file.parents) else None
            if kind is None:
                others += 1
            elif kind == "dicom":
                series.setdefault(read_dicom_header(file).series_uid, []).append(file)
            else:
                sources.append(Source(kind, name, (file,)))
        except HemokitError as error:
            refused.append(Refused(name, str(error)))
    sources += _series(series, root, path)
    if not sources:
        if refused:
            raise HemokitError(refused[0].reason)
        raise problem(
            f"no such file among {len(files)}",
            KINDS,
            "Give a file of one of these kinds, or a folder with some.",
            file=path,
        )
    return sources, refused, others


def read_scan(source):
    """Read the files of a `Source`.

    Returns:
        Scan.

    Raises:
        HemokitError: whatever `hemokit.formats` refuses; a picture with colors or 16 bits; slices of several sizes, or
            that are not axial.
    """
    return {"picture": _picture, "nifti": _nifti, "dicom": _dicom}[source.kind](source.files)


def kind_of(file):
    """What a file is: "picture", "nifti", "dicom", or None (a DICOMDIR, too, has no slice); the content is not checked.

    HemokitError for a file that cannot be opened.
    """
    name = file.name.lower()
    if name.endswith(MASKS) or name == DICOM_INDEX:
        return None
    if name.endswith(PICTURES):
        return "picture"
    if name.endswith(VOLUMES):
        return "nifti"
    with library_errors(file, "opening the file"), open(file, "rb") as stream:
        return "dicom" if name.endswith(DICOM_NAMES) or stream.read(132)[128:] == b"DICM" else None


def _mask_folders(files):
    """The folders of masks that `predict_files` has written, beside its two tables."""
    there = set(files)
    return {one.parent / MASK_FOLDER for one in files if one.name == SCANS and one.with_name(SLICES) in there}


def _series(series, root, path):
    """A `Source` for each series, named by its folder, or its file where it is one alone; numbered where needed."""
    named = {}
    for files in series.values():
        place = files[0] if len(files) == 1 else files[0].parent
        inner = place.relative_to(root).as_posix()
        name = path.resolve().name if inner == "." else inner
        named.setdefault(name or "series", []).append(files)
    for name, several in named.items():
        for number, files in enumerate(several, start=1):
            yield Source("dicom", name if len(several) == 1 else f"{name}_series{number}", tuple(files))


def _picture(files):
    pixels = read_image_file(files[0])
    if pixels.dtype != np.uint8:
        remedy = "Save it with 8 bits through the model's window, or give the NIfTI or DICOM file."
        raise problem("the picture has 16 bits, of an unknown scale", "8 bits", remedy, file=files[0])
    notes = ()
    if pixels.ndim == 3:
        if int(np.ptp(pixels.astype(np.int16), axis=-1).max()) > GRAY_TOLERANCE:
            remedy = "Take the slice without colors drawn on it."
            raise problem("the picture has colors", "a gray CT slice", remedy, file=files[0])
        pixels, notes = pixels[..., 1], ("The picture was saved in color; its three channels agree.",)
    values = pixels[np.newaxis].astype(np.float32) / np.float32(255)
    return Scan("picture", values, (None,) * 3, files, notes)


def _nifti(files):
    nifti = read_nifti(files[0])
    axes, flips = to_view(nifti.orientation)
    values = np.ascontiguousarray(to_hounsfield(nifti.data, files[0]).transpose(axes)[flips])
    spacing = tuple(nifti.spacing_mm[axis] for axis in axes)
    return Scan("nifti", values, spacing, files * len(values), orientation=nifti.orientation)


def _dicom(files):
    slices = [read_dicom(file) for file in files]
    first = slices[0]
    if len({one.shape for one in slices}) > 1:
        came = f"the series has slices of {len({one.shape for one in slices})} sizes"
        raise problem(came, "one size", "Leave the localizer out.", file=files[0])
    named = {}
    for one, file in zip(slices, files, strict=True):
        _check_axial(one, file)
        if one.instance_uid in named:
            came = f"it is the same slice as {named[one.instance_uid].name} (its SOPInstanceUID says so)"
            raise problem(came, "each slice once", "Leave one of the two files out.", file=file)
        named[one.instance_uid] = file
    row, column = np.array(first.orientation).reshape(2, 3)
    order = np.argsort([float(np.cross(row, column) @ one.position_mm) for one in slices], kind="stable")
    slices = [slices[place] for place in order]
    gap, notes = _gap(slices)
    if any(one.repaired for one in slices):
        notes += ("Wrapped 12-bit values were repaired, as those of RSNA 2019 need it.",)
    values = np.stack([one.hounsfield for one in slices])
    one_size = all(np.allclose(one.spacing_mm, first.spacing_mm, rtol=0, atol=1e-3) for one in slices)
    spacing = (gap, *first.spacing_mm) if one_size else (None,) * 3
    return Scan("dicom", values, spacing, tuple(files[place] for place in order), notes)


def _check_axial(one, file):
    """Raise HemokitError unless a slice shows the head as the model saw it; its normal then points up."""
    row, column = np.array(one.orientation).reshape(2, 3)
    if min(row[0], column[1]) < np.cos(np.radians(MAX_TURN_DEGREES)):
        along = [f"({', '.join(f'{value:.3g}' for value in axis)})" for axis in (row, column)]
        came = f"the rows run along {along[0]} and the columns along {along[1]}"
        expected = f"axial slices, rows to the patient's left and columns to the back (to {MAX_TURN_DEGREES} degrees)"
        remedy = "Take the axial series, or convert it to NIfTI, whose axes are turned here."
        raise problem(came, expected, remedy, file=file)


def _gap(slices):
    """(distance of slices in mm, notes): None, and why, where it is not one number."""
    if len(slices) == 1:
        return None, ("One slice alone: the distance to the next is not known.",)
    try:
        return stack_spacing_mm(slices)[0], ()
    except HemokitError as error:
        return None, (f"No volume: {error}",)
