"""Packed slices: equal after unpacking, whatever the values; anything else than what was written is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hemokit.checks import HemokitError

pytest.importorskip("numcodecs")
from hemokit.formats.slice_frames import MAX_VALUES, pack_slice, unpack_slice  # noqa: E402

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
VALUES = st.one_of(
    arrays.arrays(np.int32, SHAPES, elements=st.integers(-(2**15), 2**15 - 1)),
    arrays.arrays(np.int32, SHAPES, elements=st.integers(0, 2**16 - 1)),
)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.booleans())
def test_unpacking_undoes_packing(stored, into_memory):
    """All values of 16 bits, signed or not, come back; also into memory that is larger."""
    frame, crc32, signed = pack_slice(stored)
    out = np.full(200, 7, np.uint8) if into_memory else None
    found = unpack_slice(frame, crc32, stored.shape, signed, out=out)
    assert found.dtype == (np.int16 if signed else np.uint16) and signed == (stored.min() < 0)
    np.testing.assert_array_equal(found, stored)
    assert pack_slice(stored)[0] == frame


@pytest.mark.parametrize("stored, match", [
    (np.array([[-1, 40000]]), "stored values from -1 to 40000"),
    (np.array([[0, 65536]]), "stored values from 0 to 65536"),
    (np.zeros((7, 8, 9), int), "stored values of shape"),
    (np.zeros((0, 8), int), "stored values of shape"),
    (np.zeros((7, 8), np.float32), "type float32"),
    (np.broadcast_to(0, (MAX_VALUES + 1, 1)), "stored values of shape"),
])  # fmt: skip
def test_what_cannot_be_packed(stored, match):
    """More than 16 bits, another rank, fractions, nothing, too much."""
    with pytest.raises(HemokitError, match=match):
        pack_slice(stored)


def test_every_flipped_bit_is_found():
    """Each bit of a frame, each cut and another size are refused, and the error names the file."""
    stored = np.random.default_rng(0).integers(0, 4096, (7, 8))
    frame, crc32, signed = pack_slice(stored)
    for bit in range(8 * len(frame)):
        wrong = bytearray(frame)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HemokitError, match=r"a\.blosc: a slice whose bytes are not those"):
            unpack_slice(bytes(wrong), crc32, (7, 8), signed, file="a.blosc")
    for length in range(len(frame)):
        with pytest.raises(HemokitError, match="not those that were written"):
            unpack_slice(frame[:length], crc32, (7, 8), signed)
    with pytest.raises(HemokitError, match="a frame of another size, but expected 126 bytes"):
        unpack_slice(frame, crc32, (7, 9), signed)
