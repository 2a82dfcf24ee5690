"""Predictions of a model: every slice once, in order, with the area of its pixels."""

import keras
import numpy as np
import pandas as pd
import pytest

from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.predictions import build_predictions
from hemokit.training import predict

SIZES = {"image_size": 16, "batch_size": 4, "cache": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Nine slices of a phantom patient in Hounsfield units: they have spacings."""
    root = tmp_path_factory.mktemp("prediction") / "phantom"
    slices = open_dataset(write_phantom(root, layout="ct_ich_nifti", num_patients=1, image_size=64, seed=1))
    return slices.head(9).assign(split="test")


@pytest.fixture(scope="module")
def model():
    """A model whose probability is the image itself."""
    return keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Activation("linear")])


def test_every_slice_in_order(table, model):
    """Batches with a smaller last one give what all slices at once give."""
    batches = SliceBatches(table, target="mask", **SIZES)
    images, masks = (np.concatenate(parts) for parts in zip(*(batches[i] for i in range(3)), strict=True))
    area = (table["row_spacing_mm"] * table["column_spacing_mm"] * (64 / 16) ** 2).to_numpy()
    expected = build_predictions(table, images, masks, pixel_area_mm2=area)
    for pipeline in (batches, pytest.importorskip("hemokit.pipelines").pipeline_of(batches)):
        found = predict(model, pipeline, table)
        areas = ["pixel_area_mm2"] if pipeline is not batches else []  # a dataset made by hand carries no sizes
        left_out = ["background", "hemorrhage", *areas]
        pd.testing.assert_frame_equal(found.drop(columns=left_out), expected.drop(columns=left_out))
        for column in ("background", "hemorrhage"):
            assert np.array_equal(np.stack(found[column]), np.stack(expected[column]))


def test_arrays_and_batches_without_masks(table, model):
    """Arrays in the table's order give the same; without masks all pixels count as background."""
    batches = SliceBatches(table, target=None, **SIZES)
    images = np.concatenate([batches[i] for i in range(3)])
    whole, parts = predict(model, images, table), predict(model, batches, table)
    assert whole["hemorrhage"].isna().all() and parts["hemorrhage"].isna().all()
    assert whole["mean_probability"].tolist() == parts["mean_probability"].tolist()
    assert whole["pixel_area_mm2"].isna().all() and parts["pixel_area_mm2"].notna().all()
    assert (np.stack(parts["background"]).sum(axis=1) == 256).all()


def test_area_of_padded_slices(table, model, monkeypatch):
    """A slice that is not square was padded to its longer side, so that side decides the size of a pixel."""
    monkeypatch.setattr(SliceBatches, "source_shapes", property(lambda self: np.array([[64, 48]] * 9)))
    found = predict(model, SliceBatches(table, target=None, **SIZES), table)["pixel_area_mm2"]
    row = table.iloc[0]
    assert found[0] == pytest.approx(row["row_spacing_mm"] * row["column_spacing_mm"] * 16)


def test_empty(table, model):
    """No rows give an empty frame with all columns."""
    found = predict(model, np.zeros((0, 16, 16, 1), np.float32), table.head(0))
    assert not len(found) and "background" in found.columns


def test_refusals(table, model):
    """Another order, other slices, a shuffling pipeline, too many or too few images, and other outputs are refused."""
    batches = SliceBatches(table, target=None, **SIZES)
    shuffled = SliceBatches(table.assign(split="train"), target=None, training=True, **SIZES)
    images = np.zeros((9, 16, 16, 1), np.float32)
    flat = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    for made, pipeline, rows, told in [
        (model, batches, table[::-1], "the pipeline has slice '.*' where the table has '.*'"),
        (model, batches, table.head(8), "the pipeline has 9 slices for a table of 8 rows"),
        (model, shuffled, table, "a pipeline that shuffles and augments"),
        (model, images[:8], table, "the pipeline gives 8 slices, but expected the 9 rows"),
        (model, images, table.head(3), "the pipeline gives 9 slices or more"),
        (flat, images, table, r"values of the shape \(9, 256\)"),
    ]:
        with pytest.raises(HemokitError, match=told):
            predict(made, pipeline, rows)
