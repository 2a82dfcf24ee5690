"""The facts in the header of a CT slice, each checked and each error with the tag's name.

The rules stand in `dicom_files`.
"""

import math
from typing import NamedTuple

import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors

# All that is read of a header: nothing here names the patient.
TAGS = (
    *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
)


class DicomSlice(NamedTuple):
    """One slice.

    `hounsfield` is float32 (height, width), None from `read_dicom_header`; lengths are in mm, in the
    patient's frame (x to the left, y to the back, z to the head); `orientation` holds the directions of
    a row and of a column; `spacing_mm` is (row, column); a missing thickness is NaN. `repaired`,
    `constant` and `padding_hounsfield` (NaN for none) are told in the module's rules.
    """

    hounsfield: np.ndarray
    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    position_mm: tuple
    orientation: tuple
    spacing_mm: tuple
    thickness_mm: float
    shape: tuple
    slope: float
    intercept: float
    padding_hounsfield: float
    repaired: bool
    constant: bool


def read_facts(dataset, path):
    """All facts of a slice, checked one by one; warnings of pydicom about values are left to the caller."""
    modality = _text(dataset, "Modality", path)
    if modality != "CT":
        raise problem(f"Modality is {modality!r}", "'CT'", "Take the CT series of this study.", file=path)
    kind = _text(dataset, "RescaleType", path, default="HU")
    if kind != "HU":
        raise problem(f"RescaleType is {kind!r}", "'HU'", "Take a series in Hounsfield units.", file=path)
    slope, intercept = (_numbers(dataset, name, 1, path)[0] for name in ("RescaleSlope", "RescaleIntercept"))
    stored_bits, signed = integer(dataset, "BitsStored", path), integer(dataset, "PixelRepresentation", path)
    repaired = stored_bits == 12 and signed == 0 and slope == 1 and intercept > -100
    if repaired:
        intercept = -1000.0
    low, high = stored_range(stored_bits, signed)
    if not 0 < slope <= 10 or slope * low + intercept > -900 or slope * high + intercept < 1000:
        raise problem(
            f"RescaleSlope {slope:g} and RescaleIntercept {intercept:g} turn {stored_bits}-bit values into "
            f"{slope * low + intercept:g} to {slope * high + intercept:g}",
            "a slope above 0 and at most 10, and a range that holds air (-900) and bone (1000)",
            "The header does not lead to Hounsfield units: leave this file out or correct it from its source.",
            file=path,
        )
    padding = integer(dataset, "PixelPaddingValue", path, default=math.nan)
    return DicomSlice(
        hounsfield=None,
        patient_id=_text(dataset, "PatientID", path),
        study_uid=_text(dataset, "StudyInstanceUID", path),
        series_uid=_text(dataset, "SeriesInstanceUID", path),
        instance_uid=_text(dataset, "SOPInstanceUID", path),
        position_mm=_numbers(dataset, "ImagePositionPatient", 3, path),
        orientation=_directions(dataset, path),
        spacing_mm=_spacing(dataset, path),
        thickness_mm=_numbers(dataset, "SliceThickness", 1, path, default=(math.nan,))[0],
        shape=(integer(dataset, "Rows", path), integer(dataset, "Columns", path)),
        slope=slope,
        intercept=intercept,
        padding_hounsfield=math.nan if repaired else slope * padding + intercept,
        repaired=repaired,
        constant=None,
    )


def check_layout(dataset, path, *, max_pixels):
    """Raise unless the pixels are those of one plain CT slice, and at most `max_pixels`."""
    wanted = {"SamplesPerPixel": 1, "BitsAllocated": 16, "NumberOfFrames": 1}
    for name, value in wanted.items():
        found = integer(dataset, name, path, default=1 if name == "NumberOfFrames" else None)
        if found != value:
            raise problem(f"{name} is {found}", f"{value}", "Take a series of plain CT slices.", file=path)
    photometric = _text(dataset, "PhotometricInterpretation", path)
    if photometric != "MONOCHROME2":
        raise problem(
            f"PhotometricInterpretation is {photometric!r}",
            "'MONOCHROME2'",
            "Inverted or colored pictures are no Hounsfield units: take the original series.",
            file=path,
        )
    bits, high, sign = (integer(dataset, name, path) for name in ("BitsStored", "HighBit", "PixelRepresentation"))
    if not 1 < bits <= 16 or high != bits - 1 or sign not in (0, 1):
        raise problem(
            f"BitsStored is {bits}, HighBit {high} and PixelRepresentation {sign}",
            "2 to 16 bits, HighBit = BitsStored - 1, and 0 or 1",
            "Export the file again.",
            file=path,
        )
    rows, columns = (integer(dataset, name, path) for name in ("Rows", "Columns"))
    if not (rows > 0 and columns > 0 and rows * columns <= max_pixels):
        raise problem(
            f"the header announces {rows} x {columns} pixels",
            f"1 to {max_pixels:,} pixels",
            "Is this one CT slice?",
            file=path,
        )


def stored_range(bits, signed):
    """The least and the greatest value that `bits` can store, as two integers."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def _directions(dataset, path):
    """ImageOrientationPatient: two directions of length 1, at right angles."""
    values = _numbers(dataset, "ImageOrientationPatient", 6, path)
    row, column = np.array(values[:3]), np.array(values[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > 0.01:
        raise problem(
            f"ImageOrientationPatient is {values}", "two unit vectors at right angles", "Export it again.", file=path
        )
    return values


def _spacing(dataset, path):
    values = _numbers(dataset, "PixelSpacing", 2, path)
    if min(values) <= 0:
        raise problem(f"PixelSpacing is {values}", "two lengths above 0 mm", "Export the file again.", file=path)
    return values


def _value(dataset, name, path, default):
    """The element's value, `default` where it is absent or empty; None as default means it must be there."""
    with library_errors(path, f"reading {name}"):
        value = dataset.get(name)
    if value is None or value == "" or (hasattr(value, "__len__") and len(value) == 0):
        if default is None:
            raise problem(
                f"{name} is missing", "it to be there", "Export the file again with it.", file=path, column=name
            )
        return default
    return value


def _text(dataset, name, path, default=None):
    return str(_value(dataset, name, path, default)).strip()


def integer(dataset, name, path, default=None):
    """An element as int, or `default` where it is missing; HemokitError where it is no whole number."""
    value = _value(dataset, name, path, default)
    if value is default:
        return value
    with library_errors(path, f"reading {name}"):
        return int(value)


def _numbers(dataset, name, count, path, default=None):
    """`count` finite floats as a tuple."""
    value = _value(dataset, name, path, default)
    if value is default:
        return value
    with library_errors(path, f"reading {name}"):
        values = tuple(float(number) for number in (value if hasattr(value, "__len__") else [value]))
    if len(values) != count or not all(map(math.isfinite, values)):
        raise problem(
            f"{name} is {values}", f"{count} finite number(s)", "Export the file again.", file=path, column=name
        )
    return values
