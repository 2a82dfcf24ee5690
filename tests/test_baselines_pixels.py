"""Slices as rows of 8-bit pixels, and what models are given of them."""

import cv2
import numpy as np
import pandas as pd
import pytest

from hemokit.baselines.features import as_features, build_features, small_pixels
from hemokit.baselines.pixels import Pixels, read_pixels, to_bytes
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_image
from hemokit.datasets.phantom import write_phantom


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A phantom of one patient at 64 x 64 pixels, as JPG and in Hounsfield units."""
    tables = {}
    for layout in ("ct_ich_jpg", "ct_ich_nifti"):
        root = tmp_path_factory.mktemp(layout)
        write_phantom(root, layout=layout, num_patients=1, image_size=64, seed=0)
        tables[layout] = open_dataset(root).iloc[::9].reset_index(drop=True)
    return tables


@pytest.mark.parametrize("layout, window", [("ct_ich_jpg", None), ("ct_ich_jpg", "bone"), ("ct_ich_nifti", "subdural")])
def test_values_are_those_of_read_image(phantom, layout, window):
    """Each row is one slice through the window, times 255, in the table's order."""
    table = phantom[layout].iloc[::-1]
    pixels = read_pixels(table, window=window, progress=False)
    assert pixels.values.shape == (len(table), 64 * 64) and pixels.values.dtype == np.uint8
    assert (pixels.height, pixels.width) == (64, 64)
    image = read_image(table.iloc[1], windows=None if window is None else (window,))
    assert np.abs(pixels.values[1] / 255 - image.ravel()).max() <= 0.5 / 255 + 1e-6


def test_another_size_comes_through_the_cache(phantom, tmp_path, monkeypatch):
    """With image_size areas are averaged; rows that stand twice, in any order, are read once; the cache is used."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path))
    table = phantom["ct_ich_jpg"].iloc[[2, 0, 2]]
    pixels = read_pixels(table, image_size=16)
    image = cv2.resize(read_image(table.iloc[1])[..., 0], (16, 16), interpolation=cv2.INTER_AREA)
    assert pixels.values.shape == (3, 256)
    assert np.array_equal(pixels.values[0], pixels.values[2])
    assert np.abs(pixels.values[1] / 255 - image.ravel()).max() <= 0.5 / 255 + 2e-5
    assert len(list((tmp_path / "slices").iterdir())) == 1


def test_no_rows(phantom):
    """A table without rows gives pixels without rows."""
    assert read_pixels(phantom["ct_ich_jpg"].iloc[:0]).values.shape == (0, 0)


def test_unequal_sizes_are_refused(phantom, tmp_path):
    """Slices of two sizes are named with their sizes and the way out."""
    table = phantom["ct_ich_jpg"].copy()
    cv2.imwrite(str(tmp_path / "wide.jpg"), np.zeros((7, 9), np.uint8))
    table.loc[1, "image_path"] = str(tmp_path / "wide.jpg")
    match = f"slice {table['slice_id'][0]} is 64 x 64 pixels and slice {table['slice_id'][1]} is 9 x 7.*image_size=256"
    with pytest.raises(HemokitError, match=match):
        read_pixels(table)


def test_several_data_sets_are_refused(phantom):
    """The two forms of CT-ICH share their slice_ids, by which the cache knows slices: one table of both is refused."""
    both = pd.concat(phantom.values(), ignore_index=True)
    assert both["slice_id"].duplicated().any()
    with pytest.raises(HemokitError, match="column 'dataset': the table has slices of ct_ich_jpg, ct_ich_nifti, but"):
        read_pixels(both, image_size=16)
    assert len(read_pixels(both, progress=False).values) == len(both)


@pytest.mark.parametrize("size", [0, 2.5, True, "64"])
def test_other_sizes_are_refused(phantom, size):
    """image_size is a whole number from 1, and so is the size of what trees see."""
    with pytest.raises(HemokitError, match="image_size is"):
        read_pixels(phantom["ct_ich_jpg"], image_size=size)
    with pytest.raises(HemokitError, match="tree_size is"):
        small_pixels(Pixels(np.zeros((1, 64), np.uint8), 8, 8), size)


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_values_outside_are_refused(value):
    """NaN and values outside [0, 1] are refused, never wrapped round."""
    with pytest.raises(HemokitError, match="an image holds the value"):
        to_bytes(np.array([0.5, value]))


def test_small_pixels_are_averages_of_areas():
    """Trees see means of blocks; slices that are small enough stay as they are."""
    values = np.random.default_rng(0).integers(0, 256, (3, 16 * 24), dtype=np.uint8)
    small = small_pixels(Pixels(values, 16, 24), 8)
    means = values.reshape(3, 8, 2, 8, 3).mean(axis=(2, 4)) / 255
    assert small.dtype == np.float32 and np.allclose(small, means.reshape(3, 64), atol=1e-6)
    assert np.array_equal(small_pixels(Pixels(values, 16, 24)), values.astype(np.float32) / 255)


def test_features_of_a_matrix_and_of_pixels():
    """A matrix keeps its columns for the trees; features are not built twice; another need is refused."""
    values = np.random.default_rng(0).integers(0, 256, (7, 72), dtype=np.uint8)
    features = as_features(values)
    assert as_features(features) is features and features.num_pixels == 72
    assert features.of("pixels").shape == (7, 72) and features.of("coordinates").shape == (7, 8)
    assert np.array_equal(as_features(values / 255).pixels, (values / 255).astype(np.float32))
    assert build_features(Pixels(values, 8, 9), tree_size=3).pixels.shape == (7, 9)
    with pytest.raises(HemokitError, match="needs is 'columns'"):
        features.of("columns")
