"""The compressed pixels of a DICOM file (PS3.5, annex A.4), by the decoders that pydicom knows.

RLE needs nothing more than pydicom; the others need `pip install 'hemokit[dicom]'`. Before a decoder sees anything,
the size that the codestream itself announces is compared with the header's: half a megabyte of JPEG 2000 can
announce gigabytes. 8-bit JPEG ("baseline") is refused: a CT slice has 12 bits and more.
"""

from hemokit.checks import problem
from hemokit.formats.bounded import caught_warnings, library_errors

RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
# Lossless but for .51, .81, .91 and .203: what these lost is lost, and their values are read as they are.
_JPEG_FAMILY = tuple(_JPEG + end for end in ("51", "57", "70", "80", "81"))
_JPEG_2000 = tuple(_JPEG + end for end in ("90", "91", "201", "202", "203"))
COMPRESSED = (RLE, *_JPEG_FAMILY, *_JPEG_2000)


def unpacked(dataset, syntax, shape, path):
    """Decode the one frame of a compressed slice.

    Args:
        dataset: pydicom Dataset with PixelData.
        syntax: transfer syntax, one of `COMPRESSED`.
        shape: (rows, columns) of the header.
        path: of the file, for errors.

    Returns:
        bytes, little endian, two a pixel: what an uncompressed file would hold.

    Raises:
        HemokitError: no decoder installed, a codestream of another size, damaged data, warnings of a decoder.
    """
    raw, expected = dataset.PixelData, 2 * shape[0] * shape[1]
    if len(raw) > 1.1 * expected + 4096:
        came = f"{len(raw):,} bytes of compressed pixels"
        raise problem(came, f"no more than {expected:,} and a little", "Export again.", file=path)
    _check_decoder(syntax, path)
    with library_errors(path, "unpacking the compressed pixels"), caught_warnings("pydicom") as sentences:
        if syntax != RLE:
            _check_size(_frame(raw), syntax, shape, path)
        pixels = dataset.pixel_array
    if sentences:
        raise problem(f"pydicom warns: {sentences[0]}", "an intact file", "Export the file again.", file=path)
    if pixels.shape != tuple(shape) or pixels.dtype.itemsize != 2:
        came = f"the pixels unpack to {pixels.shape} of {pixels.dtype}"
        raise problem(came, f"{tuple(shape)} of 16 bits", "Export the file again.", file=path)
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def _check_decoder(syntax, path):
    from pydicom.pixels import get_decoder

    decoder = get_decoder(syntax)
    if not decoder.is_available:
        came = f"no decoder of {decoder.UID.name} is installed"
        raise problem(came, "one that pydicom can use", "Run: pip install 'hemokit[dicom]'.", file=path)


def _frame(raw):
    """The codestream of the one frame, from all its fragments."""
    from pydicom.encaps import get_frame

    return get_frame(raw, 0, number_of_frames=1)


def _check_size(stream, syntax, shape, path):
    """Raise unless a codestream announces the header's rows and columns, and one component."""
    found = _jpeg_2000_size(stream) if syntax in _JPEG_2000 else _jpeg_size(stream)
    if found != (*shape, 1):
        told = "no size" if found is None else f"{found[0]} x {found[1]} pixels of {found[2]} components"
        came = f"the codestream announces {told}"
        raise problem(came, f"{shape[0]} x {shape[1]} of 1, as the header", "Export the file again.", file=path)


def _jpeg_size(stream):
    """(rows, columns, components) of the first frame header (ITU-T T.81 and T.87), or None."""
    if not stream.startswith(b"\xff\xd8"):
        return None
    position = 2
    while position + 10 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = (int.from_bytes(stream[position + at : position + at + 2], "big") for at in (5, 7))
            return rows, columns, stream[position + 9]
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xDA:  # without a length, or the pixels already
            return None
        else:
            position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return None


def _jpeg_2000_size(stream):
    """(rows, columns, components) of the SIZ segment, which comes first (ITU-T T.800, A.5.1), or None.

    DICOM holds the bare codestream (PS3.5, 8.2.4): within the boxes of a JP2 file another SIZ could stand before it.
    """
    siz = stream[4 : 4 + 38]
    if not stream.startswith(b"\xff\x4f\xff\x51") or len(siz) < 38:
        return None
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4], "big") for at in (4, 8, 12, 16))
    return bottom - top, right - left, int.from_bytes(siz[36:38], "big")
