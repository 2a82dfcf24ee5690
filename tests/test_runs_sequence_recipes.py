"""The sequence recipe from slices to Table I, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.evaluation import auroc_gain, label_table
from hemokit.pipelines import scan_pipeline
from hemokit.prepare import prepare_store
from hemokit.reduction import read_reduction
from hemokit.runs.sequence_recipes import (
    KEYS,
    PAPER,
    QUICK,
    SequenceSlices,
    put_together,
    sequence_slices,
    train_scans,
    train_sequence,
    train_slices,
)
from hemokit.splits import folds_by_patient, split_by_patient
from hemokit.training import load, predict_scans

SMALL = {**QUICK, "image_size": 32, "epochs": (1, 2), "components": 5, "units": 4}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A phantom of eight patients, as DICOM files and as a store of them, both split by patient."""
    pytest.importorskip("numcodecs")
    place = tmp_path_factory.mktemp("sequence")
    folder = write_phantom(place / "rsna", layout="rsna", num_patients=8, image_size=64, seed=0)
    prepare_store(folder, place / "store", workers=1)
    how = {"fractions": (0.5, 0.25, 0.25), "seed": 0}
    return {name: split_by_patient(open_dataset(place / name), **how) for name in ("rsna", "store")}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs and a cache of its own."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "runs"


@pytest.mark.slow
def test_from_a_store_to_table_one(tables, runs):
    """Slices, vectors, PCA, LSTM: both models predict the same rows, a second time nothing is trained anew."""
    table = tables["store"]
    slices = sequence_slices(table, "quick", SMALL, runs=runs, source="phantom")
    run = train_sequence(slices, SMALL)
    for frame in (slices.predictions, run.predictions):
        assert frame["slice_id"].tolist() == table[table["split"] != "train"]["slice_id"].tolist()
        assert len(label_table(frame[frame["split"] == "test"], num_resamples=100)) == 24
    both = [frame[frame["split"] == "test"] for frame in (slices.predictions, run.predictions)]
    before, after = (roc_auc_score(frame["any"], frame["probability_any"]) for frame in both)
    gain = auroc_gain(*both, unit="slice_id", num_resamples=100).estimate
    assert gain == pytest.approx(after - before, abs=1e-6) and gain != 0
    again = train_sequence(sequence_slices(table, "quick", SMALL, runs=runs, source="phantom"), SMALL)
    assert again.run_dir == run.run_dir and again.predictions.equals(run.predictions)
    reduction = read_reduction(run.run_dir / "reduction.npz")
    vectors = slices.vectors._replace(features=reduction.apply(slices.vectors.features))
    judged = table[table["split"] != "train"].reset_index(drop=True)
    found = predict_scans(load(run.run_dir), scan_pipeline(judged, vectors=vectors, batch_size=3))
    np.testing.assert_allclose(found["probability_any"], run.predictions["probability_any"], atol=1e-5)
    wrong = np.random.default_rng(0).permutation(len(table))
    assert train_sequence(slices, SMALL, order=wrong).run_dir != run.run_dir


@pytest.mark.promises
def test_folds(tables, runs):
    """Every slice is predicted once by models that saw no slice of its patient."""
    table = folds_by_patient(tables["rsna"].drop(columns="split"), num_folds=2, seed=0)
    folds = train_slices(table, "quick", SMALL, runs=runs, source="phantom")
    for frame in (put_together(folds), train_scans(folds, SMALL)[1]):
        assert sorted(frame["slice_id"]) == sorted(table["slice_id"]) and set(frame["split"]) == {"folds by patient"}


@pytest.mark.slow
def test_scan_pipeline_of_images(tables, runs):
    """Without vectors one whole scan a batch; a store gives the images that its DICOM files give."""
    for name, table in tables.items():
        scans = scan_pipeline(table, image_size=16, windows=("brain", "bone"), cache=False)
        images, labels = next(iter(scans))
        first = table[table["scan_id"] == table["scan_id"].iloc[0]]
        assert images.shape == (len(first), 16, 16, 2) and labels.shape == (len(first), 6)
        tables = {**tables, name: images.numpy()}
    np.testing.assert_array_equal(tables["rsna"], tables["store"])


def test_refused(tables, runs):
    """Options of the other kind, a recipe with a key too few, a table without a split, and PCA without patients."""
    table = tables["rsna"]
    with pytest.raises(HemokitError, match="training or a batch_size for images"):
        scan_pipeline(table, image_size=16, batch_size=4)
    with pytest.raises(HemokitError, match="options of images beside vectors"):
        scan_pipeline(table, image_size=16, vectors=())
    some = {name: value for name, value in SMALL.items() if name != "units"}
    with pytest.raises(HemokitError, match="the recipe lacks units"):
        sequence_slices(table, "quick", some, runs=runs, source="phantom")
    with pytest.raises(HemokitError, match="0 are train"):
        sequence_slices(table.assign(split="test"), "quick", SMALL, runs=runs, source="phantom")
    assert set(QUICK) == set(PAPER) == set(KEYS)


@pytest.mark.parametrize("changes, told", [
    ({"model": "resnext"}, "model is 'resnext', but expected one of 'resnext101', 'resnext_small', 'plain_cnn'"),
    ({"augmentation": "standard"}, "augmentation is 'standard'"),
    ({"weights": "imagenet"}, "weights 'imagenet' for resnext_small"),
])  # fmt: skip
def test_wrong_recipes(tables, runs, changes, told):
    """A recipe that cannot be is refused before anything is trained."""
    with pytest.raises(HemokitError, match=told):
        sequence_slices(tables["rsna"], "quick", SMALL | changes, runs=runs, source="phantom")
    assert not list(runs.glob("*"))


@pytest.mark.parametrize("order", [[0, 1], [0.5] * 4])
def test_wrong_orders(order):
    """Places are whole numbers, one a row."""
    slices = SequenceSlices(None, pd.DataFrame({"slice_id": list("abcd")}), None, None, "x", "phantom", 0)
    with pytest.raises(
        HemokitError, match=r"order has the shape \(\d,\) and holds .*, but expected \(4,\) whole numbers"
    ):
        train_sequence(slices, SMALL, order=order)
