"""Recipes of classifiers: models, batches, runs, folds, and the start from the phantom."""

import socket
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.labels import CLASSES, LABELS, TWO_CLASSES, class_names
from hemokit.models.unet import unet
from hemokit.runs import classifier_lessons, classifiers, pretraining
from hemokit.splits import folds_by_patient, split_by_patient
from hemokit.training import load

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder

RECIPE = {
    "model": "plain_cnn", "head": "pool", "weights": None, "image_size": 32, "windows": ("brain_wide",),
    "target": "class", "classes": TWO_CLASSES, "imbalance": "weights", "epochs": (0, 1), "learning_rates": (1e-3, 1e-3),
    "flip": False, "batch_size": 32, "augmentation": "STANDARD", "patience": None,
}  # fmt: skip
HOW = {"source": "phantom (synthetic)", "seed": 0}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A phantom of six patients."""
    root = tmp_path_factory.mktemp("classifiers") / "p"
    return open_dataset(write_phantom(root, layout="ct_ich_jpg", num_patients=6, image_size=64))


@pytest.fixture(scope="module")
def split(table):
    return split_by_patient(table, fractions=(0.5, 0.25, 0.25))


@pytest.fixture
def segmenter(tmp_path):
    """The folder of a run of a small U-Net, not trained."""
    unet((32, 32, 1), filters=(4, 8), batch_norm=True).save(tmp_path / "best.keras")
    return tmp_path


@pytest.mark.parametrize(
    "changes, outputs",
    [
        ({}, 2),
        ({"classes": CLASSES}, 7),
        ({"target": "subtypes", "classes": None}, len(LABELS)),
        ({"target": "any", "classes": None}, 1),
        ({"classes": CLASSES[:-1]}, 6),
        ({"model": "VGG16", "head": "pool"}, 2),
    ],
)
def test_model_of_a_recipe(changes, outputs):
    """A recipe gives the model with as many outputs as its target has."""
    model = classifiers.build_classifier(RECIPE | changes, 1)()
    assert model.output_shape == (None, outputs)


def test_training_rows_alone_are_treated(split):
    """The imbalance is treated in training alone: weights there, copies there, and each slice once elsewhere."""
    train = split[split["split"] == "train"]
    weighted = classifiers.classifier_batches(train, RECIPE, training=True)
    assert len(weighted[0]) == 3 and len(classifiers.classifier_batches(train, RECIPE)[0]) == 2
    repeated = classifiers.classifier_batches(train, RECIPE | {"imbalance": "repeat"}, training=True)
    assert repeated.table["any"].mean() == pytest.approx(0.5, abs=0.03) and len(repeated[0]) == 2
    for classes in (None, CLASSES):
        recipe = RECIPE | {"imbalance": "repeat", "classes": classes}
        counts = class_names(classifiers.classifier_batches(train, recipe, training=True).table, CLASSES)
        counts = np.unique(counts, return_counts=True)[1]
        assert len(counts) > 2 and counts.min() == counts.max()


def test_run_predicts_what_was_not_trained_on(split, tmp_path):
    """A run predicts validation and test rows once each, and is found again."""
    folder, frame = classifiers.train_classifier(split, "small", RECIPE, runs=tmp_path, **HOW)
    assert sorted(frame["slice_id"]) == sorted(split["slice_id"][split["split"] != "train"])
    assert set(frame["label"]) <= set(TWO_CLASSES) and (folder / "label_predictions.csv").is_file()
    written = (folder / "last.keras").stat().st_mtime_ns
    again, same = classifiers.train_classifier(split, "small", RECIPE, runs=tmp_path, **HOW)
    assert again == folder and same.equals(frame)
    assert (folder / "last.keras").stat().st_mtime_ns == written


def test_every_fold_is_predicted_by_another_model(table, segmenter, tmp_path):
    """All slices are predicted once, in the table's order, by a run for each fold, on the U-Net of a file."""
    folds = folds_by_patient(table, num_folds=2)
    recipe = RECIPE | {"model": "unet", "weights": segmenter, "imbalance": None, "flip": True}
    frame = classifiers.cross_validate(folds, "unet", recipe, runs=tmp_path / "runs", **HOW)
    assert frame["slice_id"].tolist() == folds["slice_id"].tolist()
    assert frame["fold"].tolist() == folds["fold"].tolist() and set(frame["split"]) == {"folds"}
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_other_weights_are_another_run(split, segmenter, tmp_path):
    """A run on a U-Net is found again in the same process; a U-Net with other weights in the same place is another."""
    recipe = RECIPE | {"model": "unet", "weights": segmenter, "imbalance": None}
    how = {"runs": tmp_path / "runs", **HOW}
    first, _ = classifiers.train_classifier(split, "unet", recipe, **how)
    written = (first / "last.keras").stat().st_mtime_ns
    again, _ = classifiers.train_classifier(split, "unet", recipe, **how)
    assert again == first and (first / "last.keras").stat().st_mtime_ns == written
    unet((32, 32, 1), filters=(4, 8), batch_norm=True).save(segmenter / "best.keras")
    assert classifiers.train_classifier(split, "unet", recipe, **how)[0] != first


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"model": "cnn"}, "model is 'cnn'"),
        ({"augmentation": "standard"}, "augmentation is 'standard'"),
        ({"epochs": (1, 0)}, "the plain network has nothing to freeze"),
        ({"model": "VGG16", "epochs": (0, 0)}, "one of them at least"),
        ({"model": "VGG16", "weights": "gone.h5"}, "gone.h5: no such file"),
        ({"weights": "imagenet"}, "weights 'imagenet' for the plain network"),
        ({"model": "unet", "weights": None}, "the model 'unet' without weights, but expected the folder of a segm"),
        ({"cached_epochs": 2}, r"cached_epochs with epochs \(0, \d\), but expected a frozen phase and one after it"),
    ],
)
def test_wrong_recipes(split, tmp_path, changes, told):
    """A recipe that cannot be is refused before anything is trained."""
    with pytest.raises(HemokitError, match=told):
        classifiers.train_classifier(split, "x", RECIPE | changes, runs=tmp_path, **HOW)


def test_wrong_tables(table, split, tmp_path):
    """Patients on both sides, rows of no split, nothing to predict, and a recipe that lacks keys are refused."""
    how = {"runs": tmp_path, **HOW}
    rows = table.assign(split=np.where(np.arange(len(table)) % 2, "train", "test"))
    with pytest.raises(HemokitError, match="x patient in two splits"):
        classifiers.train_classifier(rows, "x", RECIPE, **how)
    with pytest.raises(HemokitError, match="x patient in two splits"):
        classifiers.cross_validate(table.assign(fold=np.arange(len(table)) % 2), "x", RECIPE, **how)
    with pytest.raises(HemokitError, match="the column.* 'fold'"):
        classifiers.cross_validate(table, "x", RECIPE, **how)
    for wrong in (split.assign(split="train"), split.replace({"split": {"test": "val"}})):
        with pytest.raises(HemokitError, match="rows to train on and others, all of these splits"):
            classifiers.train_classifier(wrong, "x", RECIPE, **how)
    with pytest.raises(HemokitError, match="the recipe lacks flip"):
        classifiers.train_classifier(split, "x", {key: RECIPE[key] for key in RECIPE if key != "flip"}, **how)


def test_early_stopping_needs_validation(table, split, tmp_path):
    """Patience would choose on the fold that is tested, or on the training loss."""
    bare = split[split["split"] != "validation"]
    with pytest.raises(HemokitError, match="patience in a recipe, and no validation rows"):
        classifiers.train_classifier(bare, "x", RECIPE | {"patience": 2}, runs=tmp_path, **HOW)
    with pytest.raises(HemokitError, match="patience in a recipe for folds"):
        classifiers.cross_validate(table.assign(fold=0), "x", RECIPE | {"patience": 2}, runs=tmp_path, **HOW)


def test_unet_classifier_wants_normal_first():
    """Its first class is the one that blood speaks against; without "normal" that would be a kind of blood."""
    recipe = RECIPE | {"model": "unet", "weights": "x", "classes": CLASSES[1:]}
    with pytest.raises(HemokitError, match="'unet' with the classes epidural, .*, but expected 'normal' as the first"):
        classifiers.build_classifier(recipe, 1)


@pytest.mark.parametrize("target", ["any", "class"])
def test_unet_classifier_begins_where_the_segmenter_is(segmenter, target):
    """Untrained, the logit of blood is the mean of the highest 1 % of the pixels' logits times a constant."""
    classes = TWO_CLASSES if target == "class" else None
    recipe = RECIPE | {"model": "unet", "weights": segmenter, "target": target, "classes": classes}
    model = classifiers.build_classifier(recipe, 1)()
    images = np.random.default_rng(0).random((3, 32, 32, 1), np.float32)
    whole = load(segmenter)
    pixels = keras.Model(whole.inputs[0], whole.get_layer("logits").output).predict(images, verbose=0).reshape(3, -1)
    logit = 0.3 * np.sort(pixels, axis=1)[:, -10:].mean(axis=1)
    np.testing.assert_allclose(model.predict(images, verbose=0)[:, -1], 1 / (1 + np.exp(-logit)), atol=1e-5)


@pytest.mark.promises
@pytest.mark.parametrize("imbalance", [None, "weights", "repeat"])
def test_head_on_features(split, imbalance):
    """A dense layer learns from features that tell the label, predicts validation and test once, the same each time."""
    noise = np.random.default_rng(0).normal(size=(len(split), 7))
    features = (noise + 4 * split[["any"]].to_numpy()).astype(np.float32)
    recipe = RECIPE | {"imbalance": imbalance, "epochs": (20, 0), "learning_rates": (0.05, 0)}
    frame, same = (classifiers.train_head(features, split, recipe) for _ in range(2))
    assert (frame["label"] == frame["prediction"]).mean() > 0.95 and frame.equals(same)
    assert sorted(frame["slice_id"]) == sorted(split["slice_id"][split["split"] != "train"])


@pytest.mark.promises
def test_frozen_features_may_be_cached(split, tmp_path):
    """A recipe may compute the features of its frozen phase once."""
    recipe = RECIPE | {"model": "VGG16", "epochs": (1, 1), "cached_epochs": 1, "augmentation": "NONE"}
    folder, frame = classifiers.train_classifier(split, "two", recipe, runs=tmp_path, **HOW)
    assert len(frame) and (folder / "frozen" / "best.keras").is_file()


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"epochs": (0, 5)}, r"epochs\[0\] is 0, but expected a whole number from 1"),
        ({"epochs": (1, 0), "imbalance": "both"}, "imbalance is 'both'"),
    ],
)
def test_wrong_recipes_of_a_head(split, changes, told):
    """No epochs, or an unknown treatment, and nothing is trained."""
    with pytest.raises(HemokitError, match=told):
        classifiers.train_head(np.zeros((len(split), 3), np.float32), split, RECIPE | changes)


def test_head_needs_its_own_keys_alone(split):
    """A recipe of `HEAD_KEYS`, and nothing else, is enough for each treatment."""
    recipe = {key: RECIPE[key] for key in classifiers.HEAD_KEYS} | {"imbalance": "repeat", "epochs": (1, 0)}
    frame = classifiers.train_head(np.zeros((len(split), 3), np.float32), split, recipe)
    assert len(frame) == (split["split"] != "train").sum()


@pytest.mark.parametrize("weights, batch_norm, schedule", [(None, True, None), ("file", False, "constant")])
def test_how_two_phases_are_trained(split, tmp_path, monkeypatch, weights, batch_norm, schedule):
    """Statistics that a file brings are kept, random ones are trained; the rates follow a cosine, or what is named."""
    seen = {}

    def fitting(build, train, validation, **how):
        seen.update(how)
        raise InterruptedError

    monkeypatch.setattr(classifiers, "fit_in_two_phases", fitting)
    recipe = RECIPE | {"model": "VGG16", "epochs": (2, 1), "weights": weights and tmp_path / weights}
    (tmp_path / "file").write_bytes(b"of weights")
    recipe |= {"schedule": schedule} if schedule else {}
    with pytest.raises(InterruptedError):
        classifiers.train_classifier(split, "two", recipe, runs=tmp_path, **HOW)
    assert (seen["epochs"], seen["batch_norm"], seen["schedule"]) == ((2, 1), batch_norm, schedule or "cosine")


def test_no_imagenet_is_one_line(monkeypatch, capsys):
    """Without a way to ImageNet's weights a lesson goes on from random ones and says so; other errors stay errors."""

    def download(*args, **kwargs):
        print("Downloading data from ...")
        assert socket.getdefaulttimeout() == classifiers.DOWNLOAD_TIMEOUT
        raise OSError("no way there")

    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", download)
    assert classifiers.imagenet_or_random("VGG16", (32, 32, 3)) is None
    assert capsys.readouterr().out == (
        "VGG16: ImageNet weights cannot be downloaded here, so it starts from random ones.\n"
    )
    assert socket.getdefaulttimeout() is None
    with pytest.raises(HemokitError, match="2 channels"):
        classifiers.imagenet_or_random("VGG16", (32, 32, 2))


@pytest.mark.promises
def test_start_from_the_phantom(table, tmp_path, monkeypatch):
    """A phantom in the layout of the data is learned from, and the run is found again."""
    asked = []

    def phantom(layout, **options):
        asked.append((layout, options))
        return Path(table["image_path"].iloc[0]).parents[3]

    monkeypatch.setattr(pretraining, "phantom_root", phantom)
    recipe = pretraining.SEGMENTATION | {"image_size": 32, "filters": (4, 8), "epochs": 1}
    how = {"runs": tmp_path / "runs", "num_patients": 6, "recipe": recipe}
    path = pretraining.phantom_segmenter("ct_ich_jpg", **how)
    assert load(path).name == "unet"
    assert pretraining.phantom_segmenter("ct_ich_jpg", **how) == path
    assert asked == [("ct_ich_jpg", {"num_patients": 6, "seed": 0})] * 2
    with pytest.raises(HemokitError, match="layout is 'rsna', but expected one of 'ct_ich_jpg', 'ct_ich_nifti'"):
        pretraining.phantom_segmenter("rsna", **how)


@pytest.mark.parametrize(
    ("asked", "trained"), [({}, False), ({"trains_batch_norm": True}, True), ({"trains_batch_norm": False}, False)]
)
def test_batch_norm_of_a_start(split, tmp_path, monkeypatch, asked, trained):
    """A file of weights keeps its statistics; a start from nothing that lies in a file may train them all the same."""
    blank = unet((32, 32, 1), filters=(4, 8), batch_norm=True)
    blank.save(tmp_path / "best.keras")
    seen = []
    unfreeze = classifiers.unfreeze

    def unfreezing(model, *, batch_norm):
        seen.append(batch_norm)
        return unfreeze(model, batch_norm=batch_norm)

    monkeypatch.setattr(classifiers, "unfreeze", unfreezing)
    recipe = RECIPE | {"model": "unet", "weights": tmp_path} | asked
    classifiers.train_classifier(split, "start", recipe, runs=tmp_path / "runs", **HOW)
    assert seen == [trained]


def test_slices_of_the_lesson(table, monkeypatch, capsys):
    """A class has no more slices than asked for, no patient of the other hospital, and a folder goes before."""
    root = Path(table["image_path"].iloc[0]).parents[3]
    monkeypatch.setattr(classifier_lessons, "phantom_root", lambda layout, **options: root)
    how = {"phantom": {"num_patients": 6}, "most_each": 5, "fractions": (0.5, 0.25, 0.25)}
    data = classifier_lessons.choose_slices(None, **how)
    assert data.table["label"].value_counts().max() == 5 and data.source == "phantom (synthetic)"
    assert not set(data.table["patient_id"]) & set(data.elsewhere["patient_id"]) and len(data.elsewhere)
    monkeypatch.setattr(classifier_lessons, "MIN_PATIENTS", 99)
    again = classifier_lessons.choose_slices(root, **how)
    assert again.table.equals(data.table) and "the phantom stands in" in capsys.readouterr().out
    monkeypatch.setattr(classifier_lessons, "MIN_PATIENTS", 0)
    given = classifier_lessons.choose_slices(root, **how)
    assert set(given.table["patient_id"]) > set(data.table["patient_id"])


def test_dummies_and_their_table(split):
    """Dummies say what the training rows say, and stand in a table of the test rows."""
    rows = split.assign(label=split["any"].map({0: "normal", 1: "hemorrhage"}))
    frames = classifier_lessons.dummies(rows)
    assert set(frames["most_frequent"]["prediction"]) == {rows.query("split == 'train'")["label"].mode()[0]}
    board = classifier_lessons.judge_tests(frames, TWO_CLASSES, source="phantom (synthetic)")
    assert board.index.tolist() == ["most_frequent", "stratified"]
    assert (board["n"] == (rows["split"] == "test").sum()).all()
    assert board.loc["most_frequent", "predicted_labels"] == "1 of 2"
    counts = classifier_lessons.count_classes(rows, ("normal", "hemorrhage", "multi"))
    assert counts.loc["multi"].tolist() == [0, 0, 0, 0] and counts["train"].sum() == (rows["split"] == "train").sum()


def test_features_are_scaled_by_training_rows_alone():
    """Training rows get mean 0 and deviation 1, others the same change; a constant feature becomes 0."""
    table = pd.DataFrame({"split": ["train", "train", "test"]})
    scaled = classifier_lessons.standardize(np.array([[1.0, 7], [3, 7], [7, 7]]), table)
    np.testing.assert_allclose(scaled, [[-1, 0], [1, 0], [5, 0]])


def test_few_patients_of_both_kinds():
    """At most so many training patients with and without hemorrhage, all test rows, nothing else."""
    table = pd.DataFrame({"patient_id": list("aabbccdde"), "any": [1, 0, 0, 0, 0, 1, 0, 0, 1]})
    table["split"] = ["train"] * 6 + ["validation"] * 2 + ["test"]
    few = classifier_lessons.few_patients(table, 1)
    assert len(few) == 5 and set(few["split"]) == {"train", "test"} and {"b", "e"} < set(few["patient_id"])
