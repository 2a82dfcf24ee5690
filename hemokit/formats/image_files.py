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

JPEG has no checksum: damage inside the picture's data that leaves the markers alone (a flipped bit; a
lower half that was lost before somebody closed the file with a new end marker) cannot be seen here. Only
a checksum finds it: `hemokit.files.sha256` and the data manifests.
"""

import os

import cv2
import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import file_size, library_errors, name_of, open_file, read_bytes
from hemokit.formats.image_headers import (
    PNG_START,
    check_jpeg_end,
    checked_png,
    read_jpeg_header,
    read_png_header,
)

MAX_PIXELS = 2**24  # 4096 x 4096
MAX_BYTES = 2**27
_EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


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
        check_jpeg_end(data, path)
    else:
        data = checked_png(data, header, path)
    with library_errors(path, "decoding the image"):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    _check_decoded(image, header, path)
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])  # OpenCV gives BGR


def read_image_size(path, *, max_pixels=MAX_PIXELS):
    """(height, width) from the header alone, without decoding; the rest of the file is not checked."""
    size = file_size(path, max_bytes=MAX_BYTES)
    with library_errors(path, "reading the file"), open_file(path) as stream:
        start = stream.read(2**16)  # nearly always more than enough
    try:
        header = _read_header(start, path, max_pixels)
    except ValueError:
        if size <= len(start):
            raise
        header = _read_header(read_bytes(path, max_bytes=MAX_BYTES), path, max_pixels)
    return header.height, header.width


def check_image_file(path, *, max_pixels=MAX_PIXELS):
    """Raise HemokitError unless the file is whole from header to end marker; the picture is not decoded."""
    data = read_bytes(path, max_bytes=MAX_BYTES)
    header = _read_header(data, path, max_pixels)
    if header.kind == "JPEG":
        check_jpeg_end(data, path)
    else:
        checked_png(data, header, path)


def _read_header(data, path, max_pixels):
    if data.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif data.startswith(PNG_START):
        kind = "PNG"
    else:
        raise problem(
            f"the content is no JPEG or PNG (it starts with {data[:8]!r})",
            "a JPEG or PNG image",
            "The file is damaged or only named like an image.",
            file=path,
        )
    extension = os.path.splitext(name_of(path))[1].lower()
    if _EXTENSIONS.get(extension) != kind:
        raise problem(
            f"the name ends in {extension!r}, but the content is a {kind}",
            "a name that agrees with the content (.jpg, .jpeg, .png)",
            "Rename the file if it is the right one.",
            file=path,
        )
    header = read_jpeg_header(data, path) if kind == "JPEG" else read_png_header(data, path)
    if not 0 < header.height * header.width <= max_pixels:
        raise problem(
            f"the header announces {header.width} x {header.height} pixels",
            f"1 to {max_pixels:,} pixels",
            "The file is damaged or no CT slice; if it is right, raise max_pixels.",
            file=path,
        )
    return header


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
