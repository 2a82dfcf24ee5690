"""Outlines to pixels and back, against slow exact references."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from hemokit.checks import HemokitError
from hemokit.polygons import mask_to_polygons, polygon_fault, polygons_to_mask

SQUARE = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]


def slow_mask(points, shape):
    """Pixel by pixel in exact fractions: a center is inside after an odd number of crossings at or left of it."""
    height, width = shape
    corners = [(Fraction(x) * width, Fraction(y) * height) for x, y in np.asarray(points, float).tolist()]
    mask = np.zeros(shape, bool)
    for row in range(height):
        y = Fraction(2 * row + 1, 2)
        crossings = []
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y1 <= y) != (y2 <= y):
                crossings.append(x1 + (y - y1) * (x2 - x1) / (y2 - y1))
        for column in range(width):
            mask[row, column] = sum(x <= Fraction(2 * column + 1, 2) for x in crossings) % 2
    return mask


def slow_crossing(points):
    """Whether a closed line touches or crosses itself: every pair of edges, in whole numbers."""
    n = len(points)
    edges = [(points[i], points[(i + 1) % n]) for i in range(n)]

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    def on(a, b, c):  # c on the edge a-b
        between = all(min(a[k], b[k]) <= c[k] <= max(a[k], b[k]) for k in (0, 1))
        return side(a, b, c) == 0 and between

    for (i, (a, b)), (j, (c, d)) in combinations(enumerate(edges), 2):
        if j == i + 1 or (i == 0 and j == n - 1):
            (far, shared, other) = (a, b, d) if j == i + 1 else (b, a, c)
            if on(shared, other, far) or on(shared, far, other):
                return True
        elif (
            any([on(a, b, c), on(a, b, d), on(c, d, a), on(c, d, b)])
            or side(a, b, c) != side(a, b, d)
            and side(c, d, a) != side(c, d, b)
        ):
            return True
    return False


def area(points):
    """Area by the shoelace formula."""
    x, y = np.asarray(points, float).T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def star(rng, corners, center=(0.5, 0.5), radius=0.5):
    """A random outline without crossings: corners in the order of their angles around a center."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.3, 1, corners)
    return np.column_stack([center[0] + reach * np.cos(angle), center[1] + reach * np.sin(angle)])


def good_stars(number, seed, **options):
    """That many stars that `polygon_fault` accepts (a star may miss its center and then be fine all the same)."""
    rng = np.random.default_rng(seed)
    stars = (star(rng, int(rng.integers(3, 12)), **options) for _ in range(3 * number))
    good = [points for points in stars if polygon_fault(points) is None]
    assert len(good) >= number
    return good[:number]


def test_two_thousand_polygons_pixel_by_pixel():
    """Promise C2: 2,000 generated polygons have exactly the pixels of the slow reference."""
    for points in good_stars(2000, seed=1):
        np.testing.assert_array_equal(polygons_to_mask([points], (7, 9)), slow_mask(points, (7, 9)))


def test_two_thousand_exact_areas():
    """Promise C2: 2,000 skylines with corners on pixel edges have exactly the pixels of their area."""
    rng = np.random.default_rng(2)
    for _ in range(2000):
        heights = rng.integers(1, 9, 7)
        tops = [(column + side, 8 - height) for column, height in enumerate(heights) for side in (0, 1)]
        points = np.array([(0, 8), *tops, (7, 8)]) / (7, 8)
        assert polygons_to_mask([points], (8, 7)).sum() == heights.sum() == round(area(points) * 56)


def test_areas_are_unbiased():
    """Over 300 outlines of any form the pixels sum to the exact area within 0.1 % (fillPoly: 3 % too many)."""
    stars = good_stars(300, seed=3, center=(0.5, 0.4), radius=0.3)
    exact = np.array([area(points) for points in stars]) * 256 * 256
    drawn = np.array([polygons_to_mask([points], (256, 256)).sum() for points in stars])
    assert abs(drawn.sum() / exact.sum() - 1) < 0.001


def test_centers_on_the_outline():
    """A center on a left or top side is inside, on a right or bottom side outside: halves share no pixel."""
    corners = np.array([[1.5, 1.5], [4.5, 1.5], [4.5, 3.5], [1.5, 3.5]]) / 8
    mask = polygons_to_mask([corners], (8, 8))
    assert np.argwhere(mask).tolist() == [[row, column] for row in (1, 2) for column in (1, 2, 3)]
    cut = [[[0, 0], [1, 0], [0, 1]], [[1, 0], [1, 1], [0, 1]]]  # along a diagonal through centers
    upper, lower = (polygons_to_mask([half], (8, 8)) for half in cut)
    assert (upper ^ lower).all()


def test_ten_by_ten_square_is_a_hundred_pixels():
    """The square that fillPoly draws with 121 pixels."""
    assert polygons_to_mask([np.array([[10, 20], [20, 20], [20, 30], [10, 30]]) / 64], (64, 64)).sum() == 100


def test_direction_start_and_closing_point_do_not_matter():
    """Clockwise or not, from any corner, closed or not, with corners said twice: the same mask."""
    points = good_stars(9, seed=4)[0]
    mask = polygons_to_mask([points], (7, 8))
    variants = points[::-1], np.roll(points, 2, axis=0), np.vstack([points, points[:1]]), np.repeat(points, 2, axis=0)
    for variant in variants:
        np.testing.assert_array_equal(polygons_to_mask([variant], (7, 8)), mask)


def test_union():
    """Regions add up; overlapping pixels stay inside; no region at all is an empty mask."""
    first, second = np.array(SQUARE), np.array(SQUARE) + 0.125
    both = polygons_to_mask([first, second], (8, 8))
    np.testing.assert_array_equal(both, polygons_to_mask([first], (8, 8)) | polygons_to_mask([second], (8, 8)))
    assert polygons_to_mask([], (7, 8)).shape == (7, 8) and not polygons_to_mask([], (7, 8)).any()


def test_whole_image_and_less_than_a_pixel():
    """An outline along the border covers all; one between the centers covers none."""
    assert polygons_to_mask([[[0, 0], [1, 0], [1, 1], [0, 1]]], (7, 9)).all()
    assert not polygons_to_mask([np.array(SQUARE) / 100], (7, 9)).any()


@pytest.mark.parametrize(
    "points, sentence",
    [
        ([], "has 0 points"),
        ([[0.1, 0.1], [0.2, 0.2]], "has 2 different points"),
        ([[0.1, 0.1], [0.2, 0.2], [0.1, 0.1], [0.1, 0.1]], "has 2 different points"),
        ([[0.1, 0.1], [0.3, 0.3], [0.2, 0.2]], "no area"),
        ([[0.1, 0.1], [0.5, float("nan")], [0.1, 0.3]], "1 values that are NaN"),
        ([[0.1, 0.1], [float("inf"), 0.2], [0.1, 0.3]], "1 values that are NaN or infinite"),
        ([[10, 10], [200, 20], [10, 300]], "from 10 to 300.*pixel coordinates.*Divide x by the image's width"),
        ([[0.1, 0.1], [1.2, 0.2], [0.1, 0.3]], "from 0.1 to 1.2"),
        ([[0.1, 0.1], [0.5, -0.2], [0.1, 0.3]], "from -0.2 to 0.5"),
        ([[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]], "crosses itself"),
        ([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]] * 2, "crosses itself"),
        ([[0.1, 0.1, 0.1], [0.5, 0.2, 0.1], [0.1, 0.3, 0.1]], r"shape \(3, 3\)"),
        ([[0.1, 0.1], [0.5]], "different lengths"),
        ([["0.1", "0.1"], ["0.5", "0.2"], ["0.1", "0.3"]], "not .n, 2. numbers"),
        (0.5, r"shape \(\)"),
    ],
)
def test_bad_polygons(points, sentence):
    """Every fault is named with the polygon's number, and nothing is drawn."""
    with pytest.raises(HemokitError, match=f"polygon 1 .*{sentence}"):
        polygons_to_mask([SQUARE, points], (7, 8))


@pytest.mark.parametrize("shape", [(8,), (7, 8, 3), (0, 8), (7.5, 8), (8, float("inf")), None])
def test_bad_shapes(shape):
    """The shape is two whole numbers above zero."""
    with pytest.raises(HemokitError, match="shape is"):
        polygons_to_mask([SQUARE], shape)


@pytest.mark.parametrize("polygons", [None, float("nan"), 7, "abc", {"x": 1}])
def test_no_list_of_polygons(polygons):
    """A slice that was not labeled has no polygons, which is not the same as an empty list."""
    with pytest.raises(HemokitError, match=r"polygons_xy is .*Pass \[\] for a slice"):
        polygons_to_mask(polygons, (7, 8))


@pytest.mark.parametrize("shape", [(0, 8), (7, 0), (0, 0)])
def test_mask_without_pixels(shape):
    """It has no outline."""
    assert mask_to_polygons(np.zeros(shape, bool)) == []


def test_crossing_against_every_pair():
    """On a coarse grid, where touching is common, the search agrees with the test of every pair of edges."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(1500):
        points = rng.integers(0, 7, (int(rng.integers(3, 8)), 2))
        points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
        if len(points) < 3 or (polygon_fault(points / 8) or [""])[0] == "no area":
            continue
        crossing = slow_crossing([tuple(map(int, point)) for point in points])
        assert (polygon_fault(points / 8) is not None) == crossing, points
        found += crossing
    assert 300 < found < 1200


def test_crossing_in_blocks():
    """A comb of 3,000 teeth, all overlapping in x, is compared in blocks; one tooth too long is found."""
    teeth = np.array([(0.9 if number % 4 in (1, 2) else 0.1, number // 2 * 1e-4) for number in range(3000)])
    comb = np.vstack([teeth, [(0.05, 0.2), (0.05, 0.0)]])
    assert polygon_fault(comb) is None
    comb[-2] = (0.5, 0.1)
    assert polygon_fault(comb)[0] == "self-crossing"


def test_fill_a_crossing_outline():
    """ "fill" keeps what the line goes around, once or twice; other faults stay errors."""
    bow = [[0.25, 0.25], [0.75, 0.75], [0.75, 0.25], [0.25, 0.75]]
    assert polygons_to_mask([bow], (8, 8), self_crossing="fill").sum() == 8
    twice = polygons_to_mask([SQUARE * 2], (8, 8), self_crossing="fill")
    np.testing.assert_array_equal(twice, polygons_to_mask([SQUARE], (8, 8)))
    with pytest.raises(HemokitError, match="has no area"):
        polygons_to_mask([[[0, 0], [0.5, 0.5], [1, 1]]], (8, 8), self_crossing="fill")
    with pytest.raises(HemokitError, match="self_crossing is 'repair'"):
        polygons_to_mask([bow], (8, 8), self_crossing="repair")


@settings(max_examples=300, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_mask_to_polygons_and_back(mask):
    """Any mask comes back exactly: single pixels, holes, holes in holes, pixels that meet at corners."""
    polygons = mask_to_polygons(mask)
    np.testing.assert_array_equal(polygons_to_mask(polygons, mask.shape), mask)
    drawn = sum(polygons_to_mask([one], mask.shape).astype(int) for one in polygons)
    assert np.max(drawn, initial=0) <= 1  # no pixel belongs to two polygons


def test_mask_to_polygons_by_hand():
    """A pixel is a square of four corners; a ring is cut in the row where its hole begins."""
    mask = np.zeros((8, 8), bool)
    mask[2, 3] = True
    (square,) = mask_to_polygons(mask)
    assert sorted(map(tuple, (square * 8).tolist())) == [(3, 2), (3, 3), (4, 2), (4, 3)]
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert [len(points) for points in mask_to_polygons(ring)] == [4, 8]
    assert mask_to_polygons(np.zeros((7, 8), bool)) == []


def test_mask_to_polygons_refuses():
    """Mask images of 0 and 255 and volumes are refused."""
    with pytest.raises(HemokitError, match="mask > 127"):
        mask_to_polygons(np.full((7, 8), 255, np.uint8))
    with pytest.raises(HemokitError, match=r"shape \(7, 8, 9\)"):
        mask_to_polygons(np.zeros((7, 8, 9), bool))
