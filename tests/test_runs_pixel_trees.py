"""Tests of the detector of boosted trees."""

import json

import numpy as np
import pytest

from hemokit import evaluation, splits
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.predictions import read_predictions
from hemokit.runs.judging_facts import read_facts
from hemokit.runs.pixel_trees import pixel_features, predict_trees, train_trees

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "phantom"
    write_phantom(folder, layout="ct_ich_nifti", num_patients=8, image_size=64, seed=0)
    return splits.split_by_patient(open_dataset(folder), fractions=(0.5, 0.25, 0.25), seed=0)


def test_trees_write_a_run_that_can_be_judged(table, tmp_path):
    """Predictions with masks and millimeters, thresholds of validation rows, settings; the same twice."""
    trees, made = train_trees(table, tmp_path / "run", source="phantom (synthetic)", image_size=32)
    read = read_predictions(tmp_path / "run")
    assert read["slice_id"].tolist() == made["slice_id"].tolist()
    assert set(read["split"]) == {"validation", "test"}
    assert sorted(read["slice_id"]) == sorted(table.loc[table["split"] != "train", "slice_id"])
    facts = read_facts(tmp_path / "run")
    assert facts.judged_on == "phantom (synthetic)" and "validation" in facts.chosen_on
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["settings"]["system"] == "trees"
    report = evaluation.segmentation_report(read[read["split"] == "test"], threshold=facts.threshold)
    assert report["n"].iloc[0] == (table["split"] == "test").sum()
    again = train_trees(table, tmp_path / "again", source="phantom (synthetic)", image_size=32)[1]
    assert np.allclose(again["mean_probability"], made["mean_probability"], atol=1e-6)
    rows = table[table["split"] == "test"].reset_index(drop=True)
    area = predict_trees(trees, rows)["pixel_area_mm2"]
    assert np.allclose(area, 4 * rows["row_spacing_mm"] * rows["column_spacing_mm"])  # 64 pixels seen as 32


def test_no_rows_give_an_empty_frame(table, tmp_path):
    """Predicting nothing gives a frame with the columns of predictions."""
    trees, made = train_trees(table, tmp_path / "run", source="phantom (synthetic)", image_size=32)
    assert list(predict_trees(trees, table.head(0)).columns) == list(made.columns)


def test_training_needs_hemorrhage(table, tmp_path):
    """Training rows without hemorrhage teach nothing; nothing is written."""
    normal = table[(table["any"] == 0) | (table["split"] != "train")].reset_index(drop=True)
    with pytest.raises(HemokitError, match="0 of them with hemorrhage"):
        train_trees(normal, tmp_path / "run", source="phantom (synthetic)", image_size=32)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shape", [(16, 16), (8, 9), (32, 32)])
def test_features_are_finite(shape):
    """Air, bone and noise of any size give numbers; the first feature is the brightness itself."""
    for image in (np.zeros(shape), np.ones(shape), np.random.default_rng(0).random(shape)):
        features = pixel_features(image)
        assert features.shape == (*shape, 11) and features.dtype == np.float32 and np.isfinite(features).all()
        assert np.array_equal(features[..., 0], image.astype(np.float32))


def test_features_turn_with_the_image():
    """A mirrored image has mirrored features."""
    image = np.random.default_rng(0).random((24, 24))
    assert np.allclose(pixel_features(image[:, ::-1]), pixel_features(image)[:, ::-1], atol=1e-5)
