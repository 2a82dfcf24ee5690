"""The pointing game, on maps whose maximum is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hemokit.checks import HemokitError
from hemokit.evaluation import pointing_game, pointing_hit

MASK = np.zeros((7, 9), bool)
MASK[2:4, 3:5] = True


def one_at(*position, shape=(7, 9)):
    """A map that is 1 in one place."""
    heat = np.zeros(shape, np.float32)
    heat[position] = 1
    return heat


@pytest.mark.parametrize(
    "position, tolerance, hit",
    [((2, 3), 0, 1), ((2, 6), 0, 0), ((2, 6), 1.9, 0), ((2, 6), 2, 1), ((5, 6), 2.8, 0), ((5, 6), 2.9, 1)],
)
def test_hit(position, tolerance, hit):
    """A point hits on the mask, or up to the tolerance away from it, along a straight line."""
    assert pointing_hit(one_at(*position), MASK, tolerance=tolerance) == hit


def test_volumes():
    """In a volume the distance is counted in voxels, across slices too."""
    mask = one_at(1, 2, 3, shape=(7, 8, 9)) > 0
    heat = one_at(3, 2, 3, shape=(7, 8, 9))
    assert [pointing_hit(heat, mask, tolerance=tolerance) for tolerance in (1, 2)] == [0, 1]


def test_ties_and_zeros():
    """Of several maxima the share that hits counts; a map of zeros points nowhere."""
    heat = one_at(2, 3) + one_at(0, 0) + one_at(6, 8)
    assert pointing_hit(heat, MASK, tolerance=0) == pytest.approx(1 / 3)
    assert pointing_hit(np.ones((7, 9)), MASK, tolerance=0) == pytest.approx(4 / 63)
    assert pointing_hit(np.zeros((7, 9)), MASK, tolerance=99) == 0


def test_game():
    """Hits of all maps, blank ones too, beside what chance gives."""
    heats = [one_at(2, 3), one_at(6, 8), np.zeros((7, 9)), one_at(3, 4)]
    game = pointing_game(heats, [MASK] * 4, tolerance=0)
    assert game == (0.5, pytest.approx(4 / 63), 2.0, 4, 1, 0)
    empty = pointing_game([], [])
    assert math.isnan(empty.score) and math.isnan(empty.chance) and empty.total == 0 and empty.tolerance == 15


@given(arrays(np.uint8, (4, 5), elements=st.integers(0, 3)), arrays(bool, (4, 5)), st.floats(0, 3))
def test_laws(heat, mask, tolerance):
    """A wider tolerance never hits less, a factor changes nothing, and an even map scores what chance does."""
    mask[0, 0] = True
    hit = pointing_hit(heat, mask, tolerance=tolerance)
    assert 0 <= hit <= pointing_hit(heat, mask, tolerance=tolerance + 1)
    assert hit == pointing_hit(heat * 0.125, mask, tolerance=tolerance)
    even = pointing_game([np.ones((4, 5))], [mask], tolerance=tolerance)
    assert even.score == pytest.approx(even.chance)


@pytest.mark.parametrize(
    "heat, mask, tolerance, told",
    [
        (one_at(0, 0), MASK[:-1], 1, r"map 0: the heat map has shape \(7, 9\)"),
        (one_at(0, 0), MASK & False, 1, "map 0: the mask is empty, but expected something to point at"),
        (one_at(0, 0), MASK * 255, 1, "map 0: mask holds the value 255"),
        (one_at(0, 0) * np.nan, MASK, 1, "map 0: the heat map has values that are no heat"),
        (-one_at(0, 0), MASK, 1, "no heat"),
        (np.full((7, 9), "x"), MASK, 1, "no heat"),
        (one_at(0, 0), MASK, -1, "tolerance is -1, but expected pixels"),
        (one_at(0, 0), MASK, np.nan, "tolerance is nan"),
        (one_at(0, 0), MASK, "15", "tolerance is '15'"),
        (one_at(0, 0), MASK, True, "tolerance is True"),
        (one_at(0, 0), MASK, None, "tolerance is None, but expected pixels"),
        (one_at(0, 0), MASK, 1j, "tolerance is 1j"),
    ],
)
def test_errors(heat, mask, tolerance, told):
    """What is wrong is told with the number of the map."""
    with pytest.raises(HemokitError, match=told):
        pointing_game([heat], [mask], tolerance=tolerance)


def test_numbers():
    """One mask per map."""
    with pytest.raises(HemokitError, match="1 maps and 2 masks"):
        pointing_game([one_at(0, 0)], [MASK, MASK])
