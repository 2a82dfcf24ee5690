"""One CT slice in DICOM: Hounsfield units and the facts that sort slices into scans.

pydicom parses the file; what it lets pass, or only warns about, is refused here. The rules (PS3.3 is
the part of the DICOM standard that defines the tags):

- A DICOM file with preamble and "DICM", a CT (Modality), one frame, one sample a pixel, MONOCHROME2,
  16 bits allocated, uncompressed or RLE. Other compression is refused with its name; so is "deflated",
  where half a megabyte can unpack to gigabytes.
- RescaleSlope and RescaleIntercept must be there (PS3.3 C.11.1): hounsfield = slope x stored + intercept,
  each file by its own pair. The slope is above 0 and at most 10, RescaleType is HU where it is given, and
  the two must be able to express -900 to 1000 HU; so a lost intercept is found.
- Stored values must fit into BitsStored, with the sign of PixelRepresentation.
- The 12-bit quirk of RSNA 2019: BitsStored 12, PixelRepresentation 0 and an intercept above -100 mean
  that the stored values have wrapped. Repaired exactly: v = stored + 1000, minus 4096 where v >= 4096,
  intercept -1000; `repaired` says so. All other files keep their values bit by bit.
- Padding (PixelPaddingValue) is scaled like every other value, never replaced; `padding_hounsfield`
  tells its value. It lies far below air, so every window shows it black.
- A constant slice is no error but says so (`constant`), so that a reader can count it.
- Window center and width, with one value or several, are not read; nor is the patient's name.
- Nothing may be cut off, within the pixels or after them.
"""

import io
import math
from typing import NamedTuple

import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import caught_warnings, file_size, library_errors, read_bytes

MAX_BYTES = 2**26
MAX_PIXELS = 2**22  # 2048 x 2048
_MAX_PACKED_PIXELS = 2**20  # RLE unpacks up to 64 bytes from one
_UNCOMPRESSED = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}
_RLE = "1.2.840.10008.1.2.5"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_TAGS = (
    "SOPInstanceUID Modality SliceThickness PatientID StudyInstanceUID SeriesInstanceUID "
    "ImagePositionPatient ImageOrientationPatient SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows "
    "Columns PixelSpacing BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue "
    "RescaleIntercept RescaleSlope RescaleType"
).split()


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


class _Stream(io.BytesIO):
    """Bytes that remember whether a read came back short, which pydicom does not always tell."""

    cut = False

    def read(self, size=-1):
        data = super().read(size)
        self.cut |= 0 < len(data) < (size or 0)
        return data


def read_dicom(path, *, max_bytes=MAX_BYTES):
    """Read one CT slice.

    Args:
        path: a DICOM file (any name).
        max_bytes: largest file that is read.

    Returns:
        DicomSlice.

    Raises:
        HemokitError: anything that breaks the rules of this module.
    """
    file_size(path, max_bytes=max_bytes)
    syntax = _transfer_syntax(path)
    stream = _Stream(read_bytes(path, max_bytes=max_bytes))
    dataset = _parse(stream, path, [*_TAGS, "PixelData"], stop_before_pixels=False)
    if stream.cut or stream.tell() > len(stream.getbuffer()):
        raise _cut(path, "the file ends within an element")
    facts = _facts(dataset, path)
    _check_pixels(dataset, syntax, path)
    stored = _stored_values(dataset, syntax, path)
    if facts.repaired:
        stored = stored + 1000
        stored[stored >= 4096] -= 4096
    hounsfield = stored.astype(np.float32) * np.float32(facts.slope) + np.float32(facts.intercept)
    return facts._replace(hounsfield=hounsfield, constant=bool(stored.min() == stored.max()))


def read_dicom_header(path):
    """Read the same facts without the pixels: `hounsfield` and `constant` are None.

    The metadata rules hold, and an uncompressed file must be long enough for its pixels; the pixels are
    not looked at.
    """
    size = file_size(path, max_bytes=MAX_BYTES)
    syntax = _transfer_syntax(path)
    with library_errors(path, "reading the file"), open(path, "rb") as stream:
        dataset = _parse(stream, path, _TAGS, stop_before_pixels=True)
        start = stream.tell()
    facts = _facts(dataset, path)
    _check_pixels(dataset, syntax, path)
    needed = start + 2 * facts.shape[0] * facts.shape[1]
    if syntax in _UNCOMPRESSED and size < needed:
        raise _cut(path, f"the file has {size:,} bytes and its pixels need {needed:,}")
    return facts


def _transfer_syntax(path):
    """The file's transfer syntax, read before anything else because "deflated" must not be unpacked."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    with library_errors(path, "reading the DICOM preamble"), caught_warnings("pydicom"):
        try:
            meta = read_file_meta_info(path)
        except InvalidDicomError as error:
            raise problem(
                "there is no 'DICM' after the first 128 bytes",
                "a DICOM file",
                "The file is damaged or of another kind: download or export it again.",
                file=path,
            ) from error
        syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax in _UNCOMPRESSED or syntax == _RLE:
        return syntax
    from pydicom.uid import UID

    came = f"the transfer syntax is {syntax} ({UID(syntax).name})" if syntax else "there is no transfer syntax"
    raise problem(
        came,
        "uncompressed pixels or RLE",
        "Decompress the file first, for example with `dcmdjpeg`, `dcmconv` or `pydicom decompress`.",
        file=path,
    )


def _parse(stream, path, tags, *, stop_before_pixels):
    """A pydicom data set of the `tags` alone; warnings while parsing are errors."""
    from pydicom import dcmread

    with library_errors(path, "parsing the DICOM file"), caught_warnings("pydicom") as sentences:
        dataset = dcmread(stream, specific_tags=tags, stop_before_pixels=stop_before_pixels)
        short = [
            str(element.tag)
            for element in dataset.values()
            if getattr(element, "is_raw", False)
            and element.length != 0xFFFFFFFF
            and len(element.value or b"") != element.length
        ]
    if short:
        raise _cut(path, f"the file ends within element {short[0]}")
    if sentences:
        raise problem(f"pydicom warns: {sentences[0]}", "an intact file", "Export the file again.", file=path)
    return dataset


def _facts(dataset, path):
    """All facts of a slice, checked one by one."""
    modality = _text(dataset, "Modality", path)
    if modality != "CT":
        raise problem(f"Modality is {modality!r}", "'CT'", "Take the CT series of this study.", file=path)
    kind = _text(dataset, "RescaleType", path, default="HU")
    if kind != "HU":
        raise problem(f"RescaleType is {kind!r}", "'HU'", "Take a series in Hounsfield units.", file=path)
    slope, intercept = (_numbers(dataset, name, 1, path)[0] for name in ("RescaleSlope", "RescaleIntercept"))
    stored_bits, signed = _integer(dataset, "BitsStored", path), _integer(dataset, "PixelRepresentation", path)
    repaired = stored_bits == 12 and signed == 0 and intercept > -100
    if repaired and slope == 1:
        intercept = -1000.0
    low, high = _stored_range(stored_bits, signed)
    if not 0 < slope <= 10 or slope * low + intercept > -900 or slope * high + intercept < 1000:
        raise problem(
            f"RescaleSlope {slope:g} and RescaleIntercept {intercept:g} turn {stored_bits}-bit values into "
            f"{slope * low + intercept:g} to {slope * high + intercept:g}",
            "a slope above 0 and at most 10, and a range that holds air (-900) and bone (1000)",
            "The header does not lead to Hounsfield units: leave this file out or correct it from its source.",
            file=path,
        )
    padding = _integer(dataset, "PixelPaddingValue", path, default=math.nan)
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
        shape=(_integer(dataset, "Rows", path), _integer(dataset, "Columns", path)),
        slope=slope,
        intercept=intercept,
        padding_hounsfield=math.nan if repaired else slope * padding + intercept,
        repaired=repaired,
        constant=None,
    )


def _check_pixels(dataset, syntax, path):
    """Raise unless the pixels are laid out as this module reads them, and not too many."""
    wanted = {"SamplesPerPixel": 1, "BitsAllocated": 16, "NumberOfFrames": 1}
    for name, value in wanted.items():
        found = _integer(dataset, name, path, default=1 if name == "NumberOfFrames" else None)
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
    bits, high = _integer(dataset, "BitsStored", path), _integer(dataset, "HighBit", path)
    if high != bits - 1:
        raise problem(
            f"HighBit is {high} and BitsStored {bits}", "HighBit = BitsStored - 1", "Export again.", file=path
        )
    pixels = _integer(dataset, "Rows", path) * _integer(dataset, "Columns", path)
    limit = MAX_PIXELS if syntax in _UNCOMPRESSED else _MAX_PACKED_PIXELS
    if not 0 < pixels <= limit:
        raise problem(f"the header announces {pixels:,} pixels", f"1 to {limit:,}", "Is this one CT slice?", file=path)


def _stored_values(dataset, syntax, path):
    """The stored values as int32 (rows, columns)."""
    shape = _integer(dataset, "Rows", path), _integer(dataset, "Columns", path)
    bits, signed = _integer(dataset, "BitsStored", path), _integer(dataset, "PixelRepresentation", path)
    dtype = np.dtype(np.int16 if signed else np.uint16)
    raw = dataset.get("PixelData")
    if raw is None:
        raise problem("there is no PixelData", "the pixels of a slice", "Download or export it again.", file=path)
    expected = 2 * shape[0] * shape[1]
    if syntax == _RLE:
        raw = _unpack_rle(dataset, raw, expected, path)
        dtype = dtype.newbyteorder("<")
    else:
        dtype = dtype.newbyteorder(_UNCOMPRESSED[syntax])
    if len(raw) != expected:
        raise _cut(path, f"PixelData has {len(raw):,} bytes, not the {expected:,} of {shape[0]} x {shape[1]} pixels")
    stored = np.frombuffer(raw, dtype).reshape(shape).astype(np.int32)
    low, high = _stored_range(bits, signed)
    if stored.min() < low or stored.max() > high:
        raise problem(
            f"the stored values go from {stored.min()} to {stored.max()}",
            f"{low} to {high}, as BitsStored {bits} and PixelRepresentation {signed} allow",
            "Header and pixels contradict each other: leave this file out or export it again.",
            file=path,
        )
    return stored


def _unpack_rle(dataset, raw, expected, path):
    if len(raw) > 1.1 * expected + 1024:
        raise problem(
            f"{len(raw):,} bytes of RLE", f"no more than {expected:,} and a little", "Export again.", file=path
        )
    with library_errors(path, "unpacking the RLE pixels"), caught_warnings("pydicom") as sentences:
        pixels = dataset.pixel_array
    if sentences:
        raise problem(f"pydicom warns: {sentences[0]}", "an intact file", "Export the file again.", file=path)
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def _stored_range(bits, signed):
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
    with library_errors(path, f"reading {name}"), caught_warnings("pydicom"):  # each value is judged by the caller
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


def _integer(dataset, name, path, default=None):
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


def _cut(path, came):
    return problem(came, "a complete file", "It was cut off: download or copy it again.", file=path)
