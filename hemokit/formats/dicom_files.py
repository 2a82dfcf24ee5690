"""One CT slice in DICOM: Hounsfield units and the facts that sort slices into scans.

pydicom parses the file; what it lets pass, or only warns about, is refused here. The rules (PS3.3 is
the part of the DICOM standard that defines the tags):

- A DICOM file with preamble and "DICM", a CT (Modality), one frame, one sample a pixel, MONOCHROME2,
  16 bits allocated, uncompressed or compressed as `dicom_compressed` reads it. Other compression is refused with
  its name; so is "deflated", where half a megabyte can unpack to gigabytes.
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

import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import caught_warnings, file_size, library_errors, open_file, read_bytes
from hemokit.formats.dicom_compressed import COMPRESSED, unpacked
from hemokit.formats.dicom_header import TAGS, check_layout, integer, read_facts, stored_range

MAX_BYTES = 2**24  # twice the largest slice that is read
MAX_PIXELS = 2**22  # 2048 x 2048
_MAX_PACKED_PIXELS = 2**20  # RLE unpacks up to 64 bytes from one, JPEG 2000 thousands
_UNCOMPRESSED = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}


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
    facts, stored = read_stored(path, max_bytes=max_bytes)
    hounsfield = stored.astype(np.float32)
    hounsfield *= np.float32(facts.slope)
    hounsfield += np.float32(facts.intercept)
    return facts._replace(hounsfield=hounsfield)


def read_stored(path, *, max_bytes=MAX_BYTES):
    """Read one CT slice as the whole numbers that it was stored as: hounsfield = slope x stored + intercept.

    Args:
        path, max_bytes: as `read_dicom`.

    Returns:
        (DicomSlice without its hounsfield, int16 or uint16 array (height, width), which may be read-only). The 12-bit
        quirk is repaired in it.

    Raises:
        HemokitError: as `read_dicom`.
    """
    file_size(path, max_bytes=max_bytes)
    syntax = _transfer_syntax(path)
    stream = _Stream(read_bytes(path, max_bytes=max_bytes))
    dataset = _parse(stream, path, [*TAGS, "PixelData"], stop_before_pixels=False)
    if stream.cut or stream.tell() > len(stream.getbuffer()):
        raise _cut(path, "the file ends within an element")
    facts = _check(dataset, syntax, path)
    stored = _stored_values(dataset, syntax, path)
    if facts.repaired:
        stored = stored + 1000
        stored[stored >= 4096] -= 4096
    return facts._replace(constant=bool(stored.min() == stored.max())), stored


def read_dicom_header(path):
    """Read the same facts without the pixels: `hounsfield` and `constant` are None.

    The metadata rules hold, and an uncompressed file must be long enough for its pixels; the pixels are
    not looked at.
    """
    size = file_size(path, max_bytes=MAX_BYTES)
    syntax = _transfer_syntax(path)
    with library_errors(path, "reading the file"), open_file(path) as stream:
        dataset = _parse(stream, path, TAGS, stop_before_pixels=True)
        start = stream.tell()
    facts = _check(dataset, syntax, path)
    element = 8 if syntax == "1.2.840.10008.1.2" else 12  # tag and length, in explicit files also the type
    needed = start + element + 2 * facts.shape[0] * facts.shape[1]
    if syntax in _UNCOMPRESSED and size < needed:
        raise _cut(path, f"the file has {size:,} bytes and its pixels need {needed:,}")
    return facts


def _transfer_syntax(path):
    """The file's transfer syntax, read before anything else because "deflated" must not be unpacked."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import _read_file_meta_info, read_preamble  # the public one takes paths alone

    with library_errors(path, "reading the DICOM preamble"), caught_warnings("pydicom"), open_file(path) as stream:
        try:
            read_preamble(stream, False)
            meta = _read_file_meta_info(stream)
        except InvalidDicomError as error:
            raise problem(
                "there is no 'DICM' after the first 128 bytes",
                "a DICOM file",
                "The file is damaged or of another kind: download or export it again.",
                file=path,
            ) from error
        syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax in _UNCOMPRESSED or syntax in COMPRESSED:
        return syntax
    from pydicom.uid import UID_dictionary

    name = UID_dictionary.get(syntax, ("unknown",))[0]
    came = f"the transfer syntax is {syntax} ({name})" if syntax else "there is no transfer syntax"
    raise problem(
        came,
        "uncompressed pixels, RLE, or JPEG, JPEG-LS or JPEG 2000 of more than 8 bits",
        "Convert the file first, for example with `dcmconv` or `gdcmconv`.",
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


def _check(dataset, syntax, path):
    """The facts of a slice whose layout is one that is read here."""
    # pydicom warns of values that break a rule of the standard; those in use are all judged, by name.
    with caught_warnings("pydicom"):
        if "Rows" not in dataset and "SamplesPerPixel" not in dataset:
            raise problem("it holds no image", "a CT slice", "Leave the file out.", file=path)
        check_layout(dataset, path, max_pixels=MAX_PIXELS if syntax in _UNCOMPRESSED else _MAX_PACKED_PIXELS)
        return read_facts(dataset, path)


def _stored_values(dataset, syntax, path):
    """The stored values as int16 or uint16 (rows, columns), without a copy where the machine has the file's order."""
    shape = integer(dataset, "Rows", path), integer(dataset, "Columns", path)
    bits, signed = integer(dataset, "BitsStored", path), integer(dataset, "PixelRepresentation", path)
    dtype = np.dtype(np.int16 if signed else np.uint16)
    raw = dataset.get("PixelData")
    if raw is None:
        raise problem("there is no PixelData", "the pixels of a slice", "Download or export it again.", file=path)
    expected = 2 * shape[0] * shape[1]
    if syntax in COMPRESSED:
        raw = unpacked(dataset, syntax, shape, path)
        dtype = dtype.newbyteorder("<")
    else:
        dtype = dtype.newbyteorder(_UNCOMPRESSED[syntax])
    if len(raw) != expected:
        raise _cut(path, f"PixelData has {len(raw):,} bytes, not the {expected:,} of {shape[0]} x {shape[1]} pixels")
    # In 16 bits: a megabyte of wider ones goes back to the system after each slice, and 250 page faults bring it again.
    stored = np.frombuffer(raw, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    low, high = stored_range(bits, signed)
    if stored.min() < low or stored.max() > high:
        raise problem(
            f"the stored values go from {stored.min()} to {stored.max()}",
            f"{low} to {high}, as BitsStored {bits} and PixelRepresentation {signed} allow",
            "Header and pixels contradict each other: leave this file out or export it again.",
            file=path,
        )
    return stored


def _cut(path, came):
    return problem(came, "a complete file", "It was cut off: download or copy it again.", file=path)
