"""The structure of JPEG and PNG files: headers, segments, chunks, and where they end.

Only what decides whether a file is whole and how large its picture is; OpenCV decodes the picture.
"""

import zlib
from typing import NamedTuple

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors

PNG_START = b"\x89PNG\r\n\x1a\n"
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


def read_jpeg_header(data, path):
    """The size and depth of a JPEG, from its bytes; HemokitError for a kind that is not read (ITU-T T.81, annex B)."""
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


def check_jpeg_end(data, path):
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


def read_png_header(data, path):
    """The size and depth of a PNG, from its bytes; HemokitError for a kind that is not read (W3C PNG, 11.2.2)."""
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


def checked_png(data, header, path):
    """Walk all chunks and unpack the pixels once, to see that both are whole.

    Returns:
        the bytes of the same picture without the chunks that do not belong to the pixels (texts, profiles),
        which could unpack to anything.
    """
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
    packed = b"".join(pixels)
    expected = header.height * (1 + header.width * header.channels * header.bits // 8)
    inflate = zlib.decompressobj()
    with library_errors(path, "unpacking the PNG"):
        found = len(inflate.decompress(packed, expected + 1))
    if found != expected or not inflate.eof:
        came = f"the PNG unpacks to {found:,} bytes" if found < expected else "the PNG unpacks to more bytes"
        raise problem(came, f"the {expected:,} bytes of its header", "The file is damaged.", file=path)
    return data[:33] + b"".join(_packed_chunk(*chunk) for chunk in ((b"IDAT", packed), (b"IEND", b"")))


def _packed_chunk(kind, payload):
    checksum = zlib.crc32(payload, zlib.crc32(kind))
    return len(payload).to_bytes(4, "big") + kind + payload + checksum.to_bytes(4, "big")


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
