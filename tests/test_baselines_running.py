"""Predictions out of fold, by patient, and what happens at the edges."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from hemokit.baselines import running
from hemokit.baselines.features import build_features
from hemokit.baselines.models import MODELS
from hemokit.baselines.pixels import Pixels, read_pixels
from hemokit.baselines.running import check_labels, cross_predict, fit_predict, fold_table
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.evaluation.scores import auroc
from hemokit.labels import seven_way
from hemokit.splits import folds_by_patient

SMALL = {"pca_knn": {"pca__n_components": 5}, "xgboost": {"n_estimators": 3}, "random_forest": {"n_estimators": 9}}


def draw_rows(num_patients=15, per_patient=4, num_classes=3, seed=0):
    """8-bit rows of 9 x 9 pixels whose brightness tells the label, labels, and patients of several labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_patients * per_patient)
    labels[:num_classes] = range(num_classes)
    values = rng.normal(80 + 40 * labels[:, None], 40, (len(labels), 81)).clip(0, 255)
    patients = np.repeat([f"{number:03d}" for number in range(num_patients)], per_patient)
    return values.astype(np.uint8), np.array(["normal", "epidural", "subdural"])[labels], patients


@pytest.mark.parametrize("name", MODELS)
def test_every_row_is_predicted_once_out_of_fold(name):
    """Rows in are rows out, in order, with the fold of their patient and probabilities that sum to 1."""
    if name == "xgboost":
        pytest.importorskip("xgboost")
    values, labels, patients = draw_rows()
    frame = cross_predict(name, values, labels, patients, **SMALL.get(name, {}))
    columns = ["patient_id", "split", "fold", "label", "prediction"]
    names = ["epidural", "normal", "subdural"]
    assert frame.columns.tolist() == columns + [f"{x}_{name}" for x in ("probability", "score") for name in names]
    assert frame["patient_id"].tolist() == patients.tolist() and frame["label"].tolist() == labels.tolist()
    assert len(frame[["patient_id", "fold"]].drop_duplicates()) == 15 and set(frame["fold"]) == set(range(5))
    probability = frame[[x for x in frame if x.startswith("probability_")]].to_numpy()
    assert np.allclose(probability.sum(axis=1), 1) and probability.min() >= 0
    if name not in ("most_frequent", "stratified"):
        assert (frame["label"] == frame["prediction"]).mean() > 0.6
    assert frame.attrs["notes"] == () and frame.attrs["model"] == name


def test_no_row_sees_its_own_patient():
    """A model that knows its training rows by heart is no better than guessing where patients are all it could know."""
    rng = np.random.default_rng(0)
    patients = np.repeat([str(number) for number in range(30)], 4)
    faces = rng.integers(0, 256, (30, 81))
    values = (0.9 * faces[patients.astype(int)] + rng.integers(0, 25, (120, 81))).astype(np.uint8)
    labels = np.repeat(rng.integers(0, 2, 30), 4)
    frame = cross_predict("knn", values, labels, patients, n_neighbors=1)
    assert (frame["label"] == frame["prediction"]).mean() < 0.7
    inside = fit_predict("knn", values, labels, np.arange(120) % 4 > 0, np.arange(120) % 4 == 0, n_neighbors=1)
    assert (inside.prediction == labels[::4]).all()


def test_the_order_of_rows_does_not_matter():
    """Shuffled rows get the same predictions."""
    values, labels, patients = draw_rows()
    order = np.random.default_rng(1).permutation(len(labels))
    frame = cross_predict("lda", values, labels, patients)
    again = cross_predict("lda", values[order], labels[order], patients[order])
    assert again["prediction"].tolist() == frame["prediction"][order].tolist()
    assert np.allclose(again["probability_normal"], frame["probability_normal"][order], atol=1e-8)


def test_a_table_gives_ids_and_folds():
    """Ids are carried over; `any` deals the patients; a column fold is used as it is."""
    values, labels, patients = draw_rows()
    ids = [f"s{place}" for place in range(len(labels))]
    table = pd.DataFrame({"slice_id": ids, "patient_id": patients, "any": (labels != "normal").astype(int)})
    frame = cross_predict("most_frequent", values, labels, table.set_index("slice_id", drop=False), seed=3)
    assert frame["slice_id"].tolist() == ids
    assert frame["fold"].tolist() == folds_by_patient(table, seed=3)["fold"].tolist()
    own = table.assign(fold=(table["patient_id"] > "007").astype(int) + 4)
    assert cross_predict("most_frequent", values, labels, own)["fold"].tolist() == own["fold"].tolist()


def test_label_without_training_row_has_probability_0():
    """Where one patient alone has a label, it has probability 0 when that patient is tested, and a note says so."""
    values, labels, patients = draw_rows()
    labels = np.where(labels == "subdural", "normal", labels)
    labels[patients == "003"] = "subdural"
    for name in ("logistic", "svm_rbf", "qda", "xgboost", "knn"):
        frame = cross_predict(name, values, labels, patients, **SMALL.get(name, {}))
        theirs = frame[frame["patient_id"] == "003"]
        assert (theirs["probability_subdural"] == 0).all() and (theirs["prediction"] != "subdural").all()
        assert frame.attrs["notes"] == (
            "label 'subdural' has one patient: its slices are never in training when they are tested, "
            "so that none can be predicted right",
            f"fold {theirs['fold'].iloc[0]}: no training row is 'subdural': probability 0",
        )


def test_one_label_in_training_is_predicted_for_all():
    """A fold whose training rows have one label predicts it without a fit."""
    values, labels, patients = draw_rows(num_patients=2, num_classes=2)
    labels = np.where(patients == "000", "normal", "epidural")
    frame = cross_predict("svm_rbf", values, labels, patients, num_folds=2)
    assert (frame["prediction"] != frame["label"]).all()
    assert "fold 0: all training rows are 'normal': it is predicted for all" in frame.attrs["notes"] or (
        "fold 1: all training rows are 'normal': it is predicted for all" in frame.attrs["notes"]
    )


def test_qda_notes_a_class_without_width():
    """A class with one row in training is left out of QDA, and a note says so."""
    values, labels, patients = draw_rows()
    train = np.arange(len(labels)) >= 20
    labels[train & (labels == "subdural")] = "normal"
    labels[25] = "subdural"
    fitted = fit_predict("qda", values, labels, train, ~train)
    assert fitted.notes == ("'subdural' has no two different training rows: left out",)
    assert (fitted.probability[:, 2] == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_constant_images_are_allowed(name):
    """One constant image among others, and nothing but black ones, go through every model that has enough columns."""
    if name == "xgboost":
        pytest.importorskip("xgboost")
    values, labels, patients = draw_rows()
    values[5] = 77
    frame = cross_predict(name, values, labels, patients, **SMALL.get(name, {}))
    assert np.isfinite(frame["probability_normal"]).all()
    if name in ("qda", "pca_knn"):
        with pytest.raises(
            HemokitError, match="^fold 0: (pca_knn cannot be fitted|QDA found no label with two different)"
        ):
            cross_predict(name, np.zeros_like(values), labels, patients)
    else:
        cross_predict(name, np.zeros_like(values), labels, patients, **SMALL.get(name, {}))


def test_stopped_fits_are_noted():
    """A fit that did not converge is a note, not a warning; other warnings come through."""
    values, labels, patients = draw_rows()
    frame = cross_predict("logistic", values, labels, patients, max_iter=1)
    assert len(frame.attrs["notes"]) == 5 and "fold 0: the fit stopped before it converged" in frame.attrs["notes"][0]

    notes = []
    with pytest.warns(UserWarning, match="other"), running._told(notes, "x"):
        warnings.warn("early", ConvergenceWarning, stacklevel=1)
        warnings.warn("other", UserWarning, stacklevel=1)
    assert len(notes) == 1


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda v, y, p: (v, y[1:], p), "labels has shape .59,. for 60 rows"),
        (lambda v, y, p: (v, y, p[1:]), "there are 60 labels and 59 patients"),
        (lambda v, y, p: (v, np.array(["a"] * 60), p), "all 60 labels are 'a', but expected at least two"),
        (lambda v, y, p: (v, np.where(y == "normal", None, y), p), "labels are missing"),
        (lambda v, y, p: (v, np.where(y == "normal", 0.5, 1.0), p), "labels hold .'0.5', '1.0'"),
        (lambda v, y, p: (v, np.where(y == "normal", np.inf, 1.0), p), "labels hold .'1.0', 'inf'"),
        (lambda v, y, p: (v, [1, *y[1:].tolist()], p), "labels hold .*but expected strings, or whole numbers"),
        (lambda v, y, p: (v, y, np.repeat(["a", "b", "c", "d"], 15)), "4 patients for 5 parts"),
        (lambda v, y, p: (v, y, np.arange(60)), "patient_id"),
        (lambda v, y, p: (v, y, pd.DataFrame({"patient_id": p, "fold": np.arange(60) % 5})), "is in 4 folds"),
        (lambda v, y, p: (v, y, pd.DataFrame({"patient_id": p, "fold": 1})), "two folds or more"),
        (lambda v, y, p: (np.where(np.arange(81) == 3, np.nan, v / 255), y, p), "row 0 of X holds NaN"),
        (lambda v, y, p: (v.astype(int), y, p), "X holds int64 values"),
    ],
)
def test_refusals(change, match):
    """What cannot be fitted is told in one sentence."""
    with pytest.raises(HemokitError, match=match):
        cross_predict("lda", *change(*draw_rows()))


def test_settings_that_do_not_fit():
    """More components than training rows, too many neighbors and unknown settings are told."""
    values, labels, patients = draw_rows()
    with pytest.raises(HemokitError, match="pca_knn cannot be fitted on 48 rows of 3 labels .n_components=50 must"):
        cross_predict("pca_knn", values[:, :20], labels, patients)
    with pytest.raises(HemokitError, match="knn cannot"):
        cross_predict("knn", values, labels, patients, n_neighbors=99)
    with pytest.raises(HemokitError, match="the setting 'depth'"):
        cross_predict("tree", values, labels, patients, depth=3)
    with pytest.raises(HemokitError, match="there are no training rows"):
        fit_predict("tree", values, labels, np.zeros(60, bool), np.ones(60, bool))


@pytest.mark.parametrize(
    "train, test, match",
    [
        (range(50), [59, 60], "test has the row number 60, but expected numbers from 0 to 59"),
        ([-1, 3], [5], "train has the row number -1"),
        (range(50), range(49, 60), "1 row in train and in test, from row 49 on, but expected no row in both"),
        (np.ones(60, bool), np.ones(60, bool), "60 rows in train and in test"),
        (np.ones(59, bool), [59], "train has shape .59,. and holds bool values, but expected 60 bools, or row numbers"),
        ([0.5, 1.5], [59], "train has shape .2,. and holds float64 values"),
    ],
)
def test_rows_that_are_refused(train, test, match):
    """Rows that are not there, and rows of training among those that are predicted, are a sentence each."""
    values, labels, _ = draw_rows()
    with pytest.raises(HemokitError, match=match):
        fit_predict("knn", values, labels, train, test)


def test_features_that_are_refused():
    """Coordinates and pixels of different rows, and pixels of another size than they say, are a sentence each."""
    values, labels, patients = draw_rows()
    features = build_features(values)
    with pytest.raises(HemokitError, match="60 rows of coordinates and 59 rows of pixels"):
        cross_predict("tree", features._replace(pixels=features.pixels[:59]), labels, patients)
    with pytest.raises(HemokitError, match="labels has shape .59,. for 60 rows"):
        fit_predict("tree", features, labels[:59], range(50), range(50, 59))
    with pytest.raises(HemokitError, match="rows of 81 pixels for slices of height 9 and width 8"):
        build_features(Pixels(values, 9, 8))


def test_sentences_stay_what_they_are(monkeypatch):
    """What is told by hemokit itself is not told again as rows that do not fit."""
    values, labels, patients = draw_rows()
    with pytest.raises(HemokitError, match="^fold 0: shrinkage is 0, but expected a number above 0, to 1"):
        cross_predict("qda", values, labels, patients, shrinkage=0)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(HemokitError, match="^xgboost is not installed, but expected it. Run: pip install"):
        cross_predict("xgboost", values, labels, patients)


def test_labels_of_every_kind():
    """bools and whole floats become whole numbers, strings stay strings."""
    assert check_labels(np.array([True, False]), 2).tolist() == [1, 0]
    assert check_labels(pd.Series([0.0, 2.0]), 2).tolist() == [0, 2]
    assert check_labels(["a", "b"], 2).tolist() == ["a", "b"]


def test_folds_of_patient_ids_alone():
    """Without a column any, patients with another label than the most frequent one are dealt evenly."""
    _, labels, patients = draw_rows(20, num_classes=1)
    labels[::16] = "epidural"  # 5 patients
    folds = fold_table(labels, patients)["fold"].to_numpy()
    assert sorted(folds[::16]) == [0, 1, 2, 3, 4]


def test_features_are_rotated_once():
    """Features that are built before give the same predictions."""
    values, labels, patients = draw_rows()
    features = build_features(values)
    pd.testing.assert_frame_equal(
        cross_predict("svm_rbf", features, labels, patients), cross_predict("svm_rbf", values, labels, patients)
    )


@pytest.mark.parametrize("name", ["qda", "lda", "logistic", "logistic_ovr", "svm_rbf", "knn", "tree"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores_rank_as_probabilities_do(name, num_classes):
    """Higher scores are higher probabilities, within a fold; scores of QDA differ where its probabilities are all 1."""
    values, labels, patients = draw_rows(num_classes=num_classes)
    frame = cross_predict(name, values, labels, patients)
    for _, rows in frame.groupby("fold"):
        difference = rows["score_normal"] - rows["score_epidural"]
        ratio = rows["probability_normal"] - rows["probability_epidural"]
        assert (ratio[difference > 0] >= 0).all() and (ratio[difference < 0] <= 0).all()
    if name == "qda":
        assert frame["score_normal"].nunique() > frame["probability_normal"].nunique()


@pytest.mark.promises
def test_real_slices(ct_ich_root, tmp_path, monkeypatch):
    """On the real CT-ICH a linear model finds more hemorrhage than chance; a subtype of one patient is noted."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path))
    table = open_dataset(ct_ich_root)
    features = build_features(read_pixels(table, image_size=64, progress=False))
    frame = cross_predict("logistic", features, table["any"], table)
    assert frame["slice_id"].tolist() == table["slice_id"].tolist()
    assert 0.55 < auroc(frame["label"], frame["probability_1"]) < 0.8
    subtypes = seven_way(table)
    lonely = table["patient_id"].groupby(subtypes).nunique().eq(1)
    notes = cross_predict("most_frequent", features, subtypes, table).attrs["notes"]
    assert sum("has one patient" in note for note in notes) == lonely.sum()
