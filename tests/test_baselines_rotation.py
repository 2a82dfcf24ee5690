"""Whole slices in few coordinates: nothing that a model of inner products sees changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from hemokit.baselines.rotation import BLOCK, ExactRotation, inner_products, squared_lengths
from hemokit.checks import HemokitError


def draw_pixels(num_rows=9, num_pixels=7 * 8 * 9, seed=0):
    """Random 8-bit rows, all values from 0 to 255 among them."""
    return np.random.default_rng(seed).integers(0, 256, (num_rows, num_pixels), dtype=np.uint8)


def distances(first, second):
    """All squared distances, the slow way."""
    return np.array([[np.square(one - other).sum() for other in second] for one in first])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(1, 3000), st.sampled_from([0, 7, 255]), st.integers(1, BLOCK))
def test_8_bit_inner_products_are_exact(num_rows, num_pixels, low, block):
    """The sums are those of whole numbers, also of all-white images and for blocks that do not divide the pixels."""
    pixels = np.maximum(draw_pixels(num_rows, num_pixels, seed=num_pixels), low).astype(np.uint8)
    products, sums = inner_products(pixels, pixels, block=block)
    whole = pixels.astype(np.int64)
    assert np.array_equal(products, whole @ whole.T / 255**2)
    assert np.array_equal(sums, whole.sum(axis=1) / 255)


def test_largest_block_of_black_images_is_exact():
    """A block of 1,024 columns at -128 sums to 2**24 exactly, the last number before float32 skips some."""
    pixels = np.zeros((2, BLOCK), np.uint8)
    pixels[1, -1] = 1
    products, _ = inner_products(pixels, pixels)
    assert np.array_equal(products * 255**2, [[0, 0], [0, 1]])


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_coordinates_keep_products_sums_and_variance(kind):
    """Inner products, distances and the sums of rows come from at most n + 1 coordinates."""
    pixels = draw_pixels()
    pixels = pixels if kind is np.uint8 else (pixels / 255).astype(kind)
    rotation = ExactRotation(block=100).fit(pixels)
    plain = pixels / 255 if kind is np.uint8 else pixels.astype(float)
    assert rotation.coordinates_.shape[1] <= 10
    assert np.allclose(rotation.coordinates_ @ rotation.coordinates_.T, plain @ plain.T, rtol=1e-12)
    assert np.allclose(rotation.coordinates_ @ rotation.ones_, plain.sum(axis=1), rtol=1e-12)
    assert np.allclose(distances(rotation.coordinates_, rotation.coordinates_), distances(plain, plain), atol=1e-9)


def test_new_rows_keep_distances_to_fitted_ones():
    """What lies outside the fitted subspace is one more coordinate; of fitted rows it is 0."""
    pixels = draw_pixels(16)
    rotation = ExactRotation()
    fitted = rotation.fit_transform(pixels[:9])
    again, new = rotation.transform(pixels[:9]), rotation.transform(pixels[9:])
    assert np.allclose(again, fitted, atol=1e-9) and (again[:, -1] == 0).all() and (new[:, -1] > 0.1).all()
    assert np.allclose(distances(new, fitted), distances(pixels[9:] / 255, pixels[:9] / 255), rtol=1e-9)


def test_rank_is_that_of_the_rows():
    """Rows that stand twice, constant rows and a single black one add no coordinate beside the first."""
    pixels = draw_pixels(7)
    once = ExactRotation().fit(pixels).coordinates_
    twice = ExactRotation().fit(np.concatenate([pixels, pixels, np.full_like(pixels[:1], 9)])).coordinates_
    assert twice.shape[1] == once.shape[1] == 8
    assert ExactRotation().fit(np.zeros((1, 8), np.uint8)).coordinates_.tolist() == [[0.0]]
    assert ExactRotation().fit(np.full((3, 9), 255, np.uint8)).coordinates_ == pytest.approx(np.full((3, 1), 3.0))


def test_more_rows_than_pixels():
    """With fewer pixels than rows there are as many coordinates as pixels."""
    pixels = draw_pixels(20, 8)
    coordinates = ExactRotation().fit(pixels).coordinates_
    assert coordinates.shape == (20, 8)
    assert np.allclose(coordinates @ coordinates.T, pixels / 255 @ (pixels.T / 255))


def test_memory_mapped_pixels_stay_on_disk(tmp_path):
    """A memory-mapped file gives the same coordinates, and is kept as it is."""
    pixels = draw_pixels()
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    rotation = ExactRotation().fit(mapped)
    assert np.array_equal(rotation.coordinates_, ExactRotation().fit(pixels).coordinates_)
    assert np.shares_memory(rotation.X_, mapped)


def test_it_is_a_transformer():
    """clone and set_params work, and lengths are those of the pixels."""
    rotation = clone(ExactRotation(block=8)).set_params(block=9)
    assert rotation.block == 9 and rotation.fit(draw_pixels()).n_features_in_ == 504
    pixels = draw_pixels(7)
    assert squared_lengths(pixels) == pytest.approx(np.square(pixels / 255).sum(axis=1), rel=1e-14)


@pytest.mark.parametrize(
    "pixels, block, match",
    [
        (
            np.zeros((0, 9), np.uint8),
            8,
            "X has 0 rows of 9 pixels, but expected at least one slice, of at least one pixel. Look",
        ),
        (np.zeros(9, np.uint8), 8, "X has shape .9,."),
        (np.zeros((7, 9), int), 8, "X holds int64 values, but expected uint8"),
        (np.zeros((7, 9), np.uint8), 1025, "block is 1025"),
        (np.where(np.eye(7) > 0, np.nan, 0.5), 8, "row 0 of X holds NaN"),
        (np.where(np.eye(7)[::-1] > 0, np.inf, 0.5), 8, "row 0 of X holds NaN or infinity"),
    ],
)
def test_refusals(pixels, block, match):
    """Other shapes, types and blocks, and NaN, are refused in one sentence."""
    with pytest.raises(HemokitError, match=match):
        ExactRotation(block=block).fit(pixels)


def test_other_rows_are_refused():
    """New rows have the fitted type and size."""
    rotation = ExactRotation().fit(draw_pixels())
    with pytest.raises(HemokitError, match="rows of 9 uint8 pixels, but expected 504 uint8 pixels"):
        rotation.transform(np.zeros((2, 9), np.uint8))
    with pytest.raises(HemokitError, match="rows of 504 float64 pixels"):
        rotation.transform(np.zeros((2, 504)))
