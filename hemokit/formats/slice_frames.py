"""A slice as a Blosc frame: the numbers it was stored as, without loss, unpacked in a tenth of a millisecond.

LZ4 of shuffled bytes (`numcodecs`, the codec of Zarr). On slices of 512x512 with the noise of a scanner, on one core:

    LZ4, shuffled bytes       1.9 times smaller, unpacked in 0.09 ms: this one
    LZ4, shuffled bits        2.3 times smaller, unpacked in 0.2 ms
    Zstandard, shuffled bits  2.5 times smaller, unpacked in 0.4 ms
    16-bit PNG                2.5 times smaller, unpacked in 8 ms, as also in a TFRecord

A TFRecord would need TensorFlow to be read, and a decoder that takes ten times as long as reading plain DICOM.
A frame has no checksum of its own: its CRC-32 travels beside it, and every read compares it.
"""

import zlib

import numpy as np

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors

SETTINGS = {"cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}  # shuffle 1: of bytes
MAX_VALUES = 2**22
_KINDS = {True: np.dtype("<i2"), False: np.dtype("<u2")}


def pack_slice(stored):
    """Pack the stored values of a slice.

    Args:
        stored: int array (height, width), within int16 or within uint16.

    Returns:
        (bytes of the frame, its CRC-32, whether the values are signed). Equal values give equal bytes, with the same
        version of numcodecs.

    Raises:
        HemokitError: values that 16 bits cannot hold, no values, more than `MAX_VALUES`.
    """
    stored = np.asarray(stored)
    if stored.ndim != 2 or not 0 < stored.size <= MAX_VALUES or stored.dtype.kind not in "iu":
        came = f"stored values of shape {stored.shape} and type {stored.dtype}"
        raise problem(came, f"whole numbers (height, width), 1 to {MAX_VALUES:,}", "Pass one slice as it was stored.")
    low, high = int(stored.min()), int(stored.max())
    signed = low < 0
    limits = np.iinfo(_KINDS[signed])
    if low < limits.min or high > limits.max:
        came = f"stored values from {low} to {high}"
        raise problem(came, "what 16 bits hold, signed or not", "Pass one slice as it was stored.")
    frame = bytes(_codec().encode(np.ascontiguousarray(stored, _KINDS[signed])))
    return frame, zlib.crc32(frame), signed


def unpack_slice(frame, crc32, shape, signed, *, out=None, file=None):
    """Unpack a frame of `pack_slice`.

    Args:
        frame: bytes, or a uint8 array of them.
        crc32: of these.
        shape: (height, width).
        signed: as `pack_slice` said.
        out: uint8 array of `MAX_VALUES` x 2 or fewer, as many as are needed, to unpack into; None makes a new one.
        file: path that an error names.

    Returns:
        int16 or uint16 array (height, width), which lies in `out` if that was given.

    Raises:
        HemokitError: bytes that are not those that were written; a frame of another size.
    """
    if zlib.crc32(frame) != crc32:
        came = "a slice whose bytes are not those that were written (its CRC-32 differs)"
        raise problem(came, "an intact store", "Copy it again, or prepare it again.", file=file)
    expected = 2 * shape[0] * shape[1]
    if len(frame) < 16 or int.from_bytes(bytes(frame[4:8]), "little") != expected:  # what Blosc's header announces
        raise problem("a frame of another size", f"{expected:,} bytes", "Prepare the store again.", file=file)
    with library_errors(file, "unpacking the slice"):
        values = _codec().decode(frame, None if out is None else out[:expected])
    return np.frombuffer(values, _KINDS[bool(signed)]).reshape(shape)


def _codec():
    try:
        from numcodecs import Blosc, blosc
    except ImportError:
        remedy = "Run: pip install 'hemokit[dicom]'."
        raise problem("the package numcodecs is not installed", "it, for prepared stores", remedy) from None
    blosc.use_threads = False  # threads would put blocks down in any order; and they do not survive a fork
    return Blosc(**SETTINGS)
