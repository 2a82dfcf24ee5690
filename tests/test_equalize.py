"""Equalization and contrast stretch: against OpenCV and hand counts, their laws, and what they refuse."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hemokit.checks import HemokitError
from hemokit.equalize import equalize, equalize_and_stretch, stretch

images = arrays.arrays(np.float32, (7, 8), elements=st.floats(0, 1, width=32))


def test_equalized_by_hand():
    """Of 2, 1, 1 and 4 pixels the values become 0, 1/6, 2/6 and 6/6: the share of what is beyond the darkest."""
    image = np.array([[0.1, 0.2, 0.9, 0.9], [0.9, 0.1, 0.3, 0.9]])
    expected = np.array([[0, 1 / 6, 1, 1], [1, 0, 2 / 6, 1]], np.float32)
    result = equalize(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_like_opencv(seed):
    """Images of 8 bit come out as by equalizeHist, to half of its last bit."""
    values = np.random.default_rng(seed).gamma(2, 25, (64, 57)).clip(0, 255).astype(np.uint8)
    expected = cv2.equalizeHist(values) / 255
    assert np.abs(equalize(values / 255) - expected).max() <= 0.5 / 255 + 1e-6


@given(images)
def test_order_is_kept(image):
    """Equal values stay equal, and brighter ones brighter; a second equalization changes nothing."""
    result = equalize(image)
    order = np.argsort(image, axis=None, kind="stable")
    before, after = image.ravel()[order], result.ravel()[order]
    if before[0] == before[-1]:
        np.testing.assert_array_equal(result, image)
        return
    np.testing.assert_array_equal(np.diff(before) > 0, np.diff(after) > 0)
    assert (after[0], after[-1]) == (0, 1)
    np.testing.assert_array_equal(equalize(result), result)


def percentile(values, share):
    """The linear percentile of sorted values, written out."""
    place = share / 100 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


@given(images)
def test_stretched_by_definition(image):
    """Below percentile 2 is 0, beyond 98 is 1, and between it is linear; no range leaves the image as it is."""
    dark, bright = (percentile(np.sort(image.astype(float), axis=None), share) for share in (2, 98))
    result = stretch(image.astype(float))
    if dark == bright:
        np.testing.assert_array_equal(result, image)
    elif bright - dark > 1e-6:
        expected = [min(max((value - dark) / (bright - dark), 0), 1) for value in image.ravel().tolist()]
        np.testing.assert_allclose(result.ravel(), expected, atol=1e-6)


def test_both_in_this_order():
    """Equalized first, then stretched: a head on black loses its black half at the percentile of 2."""
    image = np.zeros((8, 9))
    image[2:6, 2:7] = np.linspace(0.4, 0.6, 20).reshape(4, 5)
    np.testing.assert_array_equal(equalize_and_stretch(image), stretch(equalize(image)))
    assert equalize_and_stretch(image)[0, 0] == 0 and equalize_and_stretch(image).max() == 1


def test_channels_are_by_themselves():
    """Each channel is an image of its own; the mask's shape and the image given are left as they are."""
    image = np.random.default_rng(0).random((7, 8, 3), np.float32)
    before = image.copy()
    for change in (equalize, stretch, equalize_and_stretch):
        result = change(image)
        assert result.shape == image.shape and result.dtype == np.float32
        for number in range(3):
            np.testing.assert_array_equal(result[..., number], change(image[..., number]))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("change", [equalize, stretch, equalize_and_stretch])
@pytest.mark.parametrize("image", [np.zeros((7, 8)), np.full((7, 8, 2), 0.3), np.zeros((0, 8)), np.zeros((7, 8, 0))])
def test_nothing_to_spread(change, image):
    """Constant and empty images stay as they are."""
    result = change(image)
    np.testing.assert_array_equal(result, image.astype(np.float32))
    assert result.shape == image.shape


@pytest.mark.parametrize(
    "image, told",
    [
        (np.array([[0.5, np.nan]]), "values from 0.5 to 0.5, 1 of them NaN or infinite, but expected finite values"),
        (np.array([[np.nan]]), "values, 1 of them NaN"),
        (np.array([[-1000.0, 40.0]]), "values from -1000 to 40, .* through a window first"),
        (np.array([[0, 255]], np.uint8), r"shape \(1, 2\), uint8, but expected floats"),
        (np.zeros(7), r"shape \(7,\), float64, but expected floats"),
    ],
)
def test_wrong_images(image, told):
    """Nothing that is no image in [0, 1] is repaired."""
    for change in (equalize, stretch):
        with pytest.raises(HemokitError, match=told):
            change(image)


@pytest.mark.parametrize("percentiles", [(98, 2), (2, 2), (-1, 98), (2, 101), (2,), 2, "ab", (2, np.nan)])
def test_wrong_percentiles(percentiles):
    """Two numbers in order are asked for."""
    with pytest.raises(HemokitError, match="percentiles is .*, but expected .low, high. from 0 to 100"):
        stretch(np.zeros((7, 8)), percentiles=percentiles)
