"""JPEG and PNG files, whole or not at all.

`cv2.imread` gives None for a damaged file, turns pictures by their EXIF entry, and takes gigabytes for
a small file with a large header. Here the header is read first, by the rules below, and then OpenCV
decodes the bytes; what comes out must be what the header announced.

- The content decides, and must agree with the name: .jpg/.jpeg is a JPEG, .png is a PNG.
- One channel (gray) or three (RGB). Palettes, transparency, CMYK, animation: refused.
- 8 bits; PNG also 16 bits, which stay 16 bits. Less than 8 bits, 12-bit JPEG, interlaced PNG: refused.
- An EXIF orientation other than 1 is refused: nothing is turned in silence.
- A file must end where its picture ends (JPEG: end-of-image marker; PNG: IEND chunk, all chunks with
  the right checksum). So a file cut anywhere is refused, and so is one with something after its end.

JPEG has no checksum: damage inside the picture's data that leaves the markers alone cannot be seen
here. `hemokit.files.sha256` and the data manifests find it.
"""

import os
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import file_size, library_errors, read_bytes

MAX_PIXELS = 2**24  # 4096 x 4096
MAX_BYTES = 2**27
_EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3}
_PNG_REFUSED = {3: "a palette", 4: "transparency", 6: "transparency"}
_MAX_SCANS = 64  # progressive JPEGs have about ten; thousands are a way to burn hours


class ImageHeader(NamedTuple):
    """What a file announces: `kind` "JPEG" or "PNG", size in pixels, channels (1 or 3), bits (8 or 16)."""

    kind: str
    height: int
    width: int
    channels: int
    bits: int


def read_image_file(path, *, channels=None, max_pixels=MAX_PIXELS):
    """Read a JPEG or PNG file.

    Args:
        path: the file, named .jpg, .jpeg or .png.
        channels: 1 (gray) or 3 (RGB) when the file must have just that; None takes either. Nothing is converted.
        max_pixels: largest height x width that is decoded.

    Returns:
        uint8 array, or uint16 for a 16-bit PNG: (height, width) for gray, (height, width, 3) RGB for color.

    Raises:
        HemokitError: anything that breaks the rules of this module.
    """
    data = read_bytes(path, max_bytes=MAX_BYTES)
    header = _read_header(data, path, max_pixels)
    if channels is not None and header.channels != channels:
        raise problem(
            f"the image has {header.channels} channel(s)",
            f"{channels}",
            "Is this the right file? Gray and RGB are not converted into each other here.",
            file=path,
        )
    if header.kind == "JPEG":
        _check_jpeg_end(data, path)
    else:
        _check_png_chunks(data, header, path)
    with library_errors(path, "decoding the image"):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    _check_decoded(image, header, path)
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])  # OpenCV gives BGR


def read_image_size(path, *, max_pixels=MAX_PIXELS):
    """(height, width) from the header alone, without decoding; the rest of the file is not checked."""
    size = file_size(path, max_bytes=MAX_BYTES)
    with library_errors(path, "reading the file"), open(path, "rb") as stream:
        start = stream.read(2**16)  # nearly always more than enough
    try:
        header = _read_header(start, path, max_pixels)
    except ValueError:
        if size <= len(start):
            raise
        header = _read_header(read_bytes(path, max_bytes=MAX_BYTES), path, max_pixels)
    return header.height, header.width


def _read_header(data, path, max_pixels):
    if data.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif data.startswith(_PNG_START):
        kind = "PNG"
    else:
        raise problem(
            f"the content is no JPEG or PNG (it starts with {data[:8]!r})",
            "a JPEG or PNG image",
            "The file is damaged or only named like an image.",
            file=path,
        )
    extension = os.path.splitext(os.fspath(path))[1].lower()
    if _EXTENSIONS.get(extension) != kind:
        raise problem(
            f"the name ends in {extension!r}, but the content is a {kind}",
            "a name that agrees with the content (.jpg, .jpeg, .png)",
            "Rename the file if it is the right one.",
            file=path,
        )
    header = _read_jpeg_header(data, path) if kind == "JPEG" else _read_png_header(data, path)
    if not 0 < header.height * header.width <= max_pixels:
        raise problem(
            f"the header announces {header.width} x {header.height} pixels",
            f"1 to {max_pixels:,} pixels",
            "The file is damaged or no CT slice; if it is right, raise max_pixels.",
            file=path,
        )
    return header


def _read_jpeg_header(data, path):
    header = None
    for marker, _, payload in _jpeg_segments(data, path):
        if marker == 0xE1 and payload.startswith(b"Exif\0\0"):
            _check_orientation(payload[6:], path)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header
            if header is not None or marker > 0xC2 or len(payload) < 6 or payload[0] != 8:
                raise problem(
                    f"the JPEG has a frame of type {marker - 0xC0} with {payload[0] if payload else 0} bits",
                    "one baseline or progressive frame of 8 bits",
                    "Save the image as an ordinary 8-bit JPEG or as a PNG.",
                    file=path,
                )
            size = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
            header = ImageHeader("JPEG", *size, payload[5], 8)
    if header is None:
        raise _truncated(path, "the JPEG has no frame header")
    if header.channels not in (1, 3):
        raise _channels_refused(path, f"{header.channels} channels (CMYK?)")
    return header


def _jpeg_segments(data, path):
    """Yield (marker, position after it, payload) of the segments up to and including start-of-scan."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise problem(
                f"there is no JPEG marker at byte {position}",
                "a marker",
                "The file is damaged: download it again.",
                file=path,
            )
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        payload = data[position + 4 : position + 2 + length]
        position += 2 + length
        if len(payload) != length - 2:
            break
        yield marker, position, payload
        if marker == 0xDA:
            return
    raise _truncated(path, "the JPEG ends within its header")


def _check_jpeg_end(data, path):
    """The coded picture holds no end-of-image marker, so the first one must be the end of the file."""
    start = next(position for marker, position, _ in _jpeg_segments(data, path) if marker == 0xDA)
    end = data.find(b"\xff\xd9", start)
    if end < 0:
        raise _truncated(path, "the JPEG has no end-of-image marker")
    if end + 2 != len(data):
        raise _trailing(path, len(data) - end - 2)
    scans = data.count(b"\xff\xda", start) + 1
    if scans > _MAX_SCANS:
        raise problem(f"the JPEG has {scans} scans", f"at most {_MAX_SCANS}", "Save the image again.", file=path)


def _read_png_header(data, path):
    size, kind, payload = _png_chunk(data, 8, path)
    if kind != b"IHDR" or size != 13:
        raise problem(f"the PNG starts with {kind!r}", "its header (IHDR)", "The file is damaged.", file=path)
    width, height = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
    bits, color, interlaced = payload[8], payload[9], payload[12]
    if color not in _PNG_CHANNELS:
        raise _channels_refused(path, _PNG_REFUSED.get(color, f"color type {color}"))
    if bits not in (8, 16) or interlaced:
        came = "interlaced" if interlaced else f"of {bits} bits"
        raise problem(f"the PNG is {came}", "8 or 16 bits, not interlaced", "Save the image again that way.", file=path)
    return ImageHeader("PNG", height, width, _PNG_CHANNELS[color], bits)


def _png_chunk(data, position, path):
    size = int.from_bytes(data[position : position + 4], "big")
    kind = data[position + 4 : position + 8]
    payload = data[position + 8 : position + 8 + size]
    checksum = data[position + 8 + size : position + 12 + size]
    if len(checksum) < 4:
        raise _truncated(path, "the PNG ends within a chunk")
    if zlib.crc32(payload, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
        raise problem(
            f"the checksum of the PNG chunk {kind!r} is wrong",
            "an undamaged file",
            "Download or export it again.",
            file=path,
        )
    return size, kind, payload


def _check_png_chunks(data, header, path):
    """Walk all chunks, and unpack the pixels once to see that they are as many as announced."""
    position, pixels, kind = 8, [], b""
    while kind != b"IEND":
        size, kind, payload = _png_chunk(data, position, path)
        position += 12 + size
        if kind in (b"tRNS", b"acTL"):
            raise _channels_refused(path, "transparency" if kind == b"tRNS" else "animation")
        if kind == b"eXIf":
            _check_orientation(payload, path)
        if kind == b"IDAT":
            pixels.append(payload)
    if position != len(data):
        raise _trailing(path, len(data) - position)
    expected = header.height * (1 + header.width * header.channels * header.bits // 8)
    inflate = zlib.decompressobj()
    with library_errors(path, "unpacking the PNG"):
        found = len(inflate.decompress(b"".join(pixels), expected + 1))
    if found != expected or not inflate.eof:
        came = f"the PNG unpacks to {found:,} bytes" if found <= expected else "the PNG unpacks to more bytes"
        raise problem(came, f"the {expected:,} bytes of its header", "The file is damaged.", file=path)


def _check_orientation(tiff, path):
    """Raise unless the EXIF block's orientation (tag 274 of its first directory) is absent or 1."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return  # no EXIF after all; nothing acts upon it

    def number(start, size):
        return int.from_bytes(tiff[start : start + size], order)

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if number(entry, 2) == 274 and number(entry + 8, 2) != 1:
            raise problem(
                f"the EXIF orientation is {number(entry + 8, 2)}",
                "1 (as stored)",
                "A viewer would turn this image; turn its pixels and remove the EXIF entry.",
                file=path,
            )


def _check_decoded(image, header, path):
    shape = (header.height, header.width) + ((3,) if header.channels == 3 else ())
    dtype = np.uint16 if header.bits == 16 else np.uint8
    if image is None or image.shape != shape or image.dtype != dtype:
        came = "nothing" if image is None else f"{image.dtype} {image.shape}"
        raise problem(
            f"decoding gave {came}",
            f"{np.dtype(dtype)} {shape} as announced in the header",
            "The file is damaged: download or export it again.",
            file=path,
        )


def _truncated(path, came):
    return problem(came, "a complete file", "It was cut off: download or copy it again.", file=path)


def _trailing(path, count):
    return problem(
        f"{count} bytes follow after the end of the image",
        "nothing there",
        "The file is damaged or two files in one: export it again.",
        file=path,
    )


def _channels_refused(path, came):
    return problem(f"the image has {came}", "gray or RGB", "Save it as gray or RGB without transparency.", file=path)
