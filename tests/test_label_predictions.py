"""Frames of classifiers: from outputs to a frame that can be judged, to a file and back."""

import keras
import numpy as np
import pandas as pd
import pytest

from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.evaluation.classes import class_report
from hemokit.evaluation.slices import slice_report
from hemokit.labels import ANY, CLASSES, LABELS, SUBTYPES, TWO_CLASSES, class_names
from hemokit.predictions import build_label_predictions, read_label_predictions, write_label_predictions
from hemokit.training import predict_labels

SIZES = {"image_size": 16, "batch_size": 7, "cache": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sixteen slices of two phantom patients, as test rows."""
    root = tmp_path_factory.mktemp("labels") / "phantom"
    slices = open_dataset(write_phantom(root, layout="ct_ich_nifti", num_patients=2, image_size=64, seed=1))
    return slices.groupby("patient_id").sample(8, random_state=3).assign(split="test")


def network(outputs, activation):
    """A linear model of the left half of the image."""
    image = keras.Input((16, 16, 1))
    x = keras.layers.Flatten()(keras.layers.Cropping2D(((0, 0), (0, 8)))(image))
    kernel = keras.initializers.RandomNormal(seed=outputs)
    return keras.Model(image, keras.layers.Dense(outputs, activation, kernel_initializer=kernel)(x))


def drawn(count, outputs, *, exclusive, seed=0):
    """Random probabilities (count, outputs)."""
    values = np.random.default_rng(seed).random((count, outputs), np.float32)
    return values / values.sum(axis=1, keepdims=True) if exclusive else values


@pytest.mark.parametrize("classes", [CLASSES, TWO_CLASSES])
def test_classes(table, classes):
    """A softmax gives label, prediction and a probability for each class, in the table's order, ready to be judged."""
    batches, model = SliceBatches(table, target="class", classes=classes, **SIZES), network(len(classes), "softmax")
    found = predict_labels(model, batches, table)
    images = np.concatenate([batches[index][0] for index in range(len(batches))])
    expected = model.predict_on_batch(images)
    columns = [f"probability_{name}" for name in classes]
    np.testing.assert_allclose(found[columns], expected, atol=1e-6)
    assert found["prediction"].tolist() == [classes[place] for place in expected.argmax(axis=1)]
    assert found["label"].tolist() == class_names(table, classes).tolist()
    assert found["slice_id"].tolist() == table["slice_id"].tolist() and set(found["split"]) == {"test"}
    report = class_report(found, labels=classes, num_resamples=100).set_index("metric")["estimate"]
    assert report["accuracy"] == pytest.approx((found["label"] == found["prediction"]).mean())
    arrays = predict_labels(model, images, table, labels=classes, batch_size=5)
    np.testing.assert_allclose(arrays[columns], found[columns], atol=1e-6)


@pytest.mark.parametrize("target, labels", [("subtypes", LABELS), ("any", (ANY,))])
def test_labels_that_occur_together(table, target, labels):
    """Sigmoids give the true columns and a probability for each label; slice_report takes them."""
    batches, model = SliceBatches(table, target=target, **SIZES), network(len(labels), "sigmoid")
    found = predict_labels(model, batches, table)
    assert found[list(LABELS)].equals(table[list(LABELS)].reset_index(drop=True).astype("int8"))
    assert "label" not in found and [name for name in found if "prob" in name] == [f"probability_{n}" for n in labels]
    assert len(slice_report(found, score="probability_any", num_resamples=100))


def test_flip(table):
    """With flip, the mean of what the model says of the image and of its mirror image."""
    images, model = np.random.default_rng(0).random((16, 16, 16, 1), np.float32), network(7, "softmax")
    one, two, both = (
        predict_labels(model, given, table, labels=CLASSES, flip=flip).filter(like="probability")
        for given, flip in ((images, False), (images[:, :, ::-1].copy(), False), (images, True))
    )
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-6)
    assert not np.allclose(one, two)


def test_a_dataset_gives_the_same(table):
    """A pipeline of tf.data is predicted as its batches are; its target names the labels."""
    pipelines = pytest.importorskip("hemokit.pipelines")
    model = network(7, "softmax")
    found = predict_labels(model, pipelines.slice_pipeline(table, target="class", **SIZES), table)
    pd.testing.assert_frame_equal(found, predict_labels(model, SliceBatches(table, target="class", **SIZES), table))


def test_batches_of_one_size(table):
    """A smaller last batch is filled up, so that no model is compiled for two shapes; what fills it is not told."""
    images, shapes = np.random.default_rng(0).random((16, 16, 16, 1), np.float32), []

    class Model:
        inputs = outputs = None

        def predict_on_batch(self, x):
            shapes.append(x.shape)
            return np.stack([x[:, 0, 0, 0], 1 - x[:, 0, 0, 0]], axis=1)

    found = predict_labels(Model(), images, table, labels=TWO_CLASSES, batch_size=7)
    assert shapes == [(7, 16, 16, 1)] * 3
    np.testing.assert_array_equal(found[f"probability_{TWO_CLASSES[0]}"], images[:, 0, 0, 0])


def test_no_rows(table, tmp_path):
    """No rows give an empty frame with all columns, on disk too."""
    found = predict_labels(network(7, "softmax"), np.zeros((0, 16, 16, 1), np.float32), table.head(0), labels=CLASSES)
    assert not len(found) and {"label", "probability_multi"} <= set(found.columns)
    write_label_predictions(found, tmp_path)
    assert list(read_label_predictions(tmp_path).columns) == list(found.columns)


def test_refusals(table):
    """Other slices, another order, other outputs, other images, and labels that nobody names."""
    model, images = network(7, "softmax"), np.zeros((16, 16, 16, 1), np.float32)
    batches = SliceBatches(table, target="class", **SIZES)
    gray = np.zeros((16, 16, 16, 3), np.float32)
    shuffled = SliceBatches(table.assign(split="train"), target="class", training=True, **SIZES)
    for made, pipeline, rows, labels, told in [
        (model, batches, table[::-1], None, "the pipeline has slice '.*' where the table has"),
        (model, shuffled, table, None, "a pipeline that shuffles and augments"),
        (model, images[:8], table, CLASSES, "the pipeline gives 8 slices, but expected the 16 rows"),
        (model, images, table.head(3), CLASSES, "gives 16 slices or more"),
        (model, images, table, None, "labels is None, and the pipeline names none"),
        (model, images, table, CLASSES[:-1], r"values of the shape \(16, 7\), but expected \(16, 6\), one for each"),
        (model, gray, table, CLASSES, "images of 16 x 16 x 3, but expected 16 x 16 x 1, which 'functional"),
        (network(7, "sigmoid"), batches, table, None, "slices sum to .* expected 1, as classes exclude each other"),
        (network(7, None), batches, table, None, "probability holds the value"),
    ]:
        with pytest.raises(HemokitError, match=told):
            predict_labels(made, pipeline, rows, labels=labels)
    six = CLASSES[:-1] if "multi" in class_names(table) else CLASSES[1:]
    with pytest.raises(HemokitError, match="of 16 slices are of other classes"):
        build_label_predictions(table, drawn(16, 6, exclusive=True), six)
    with pytest.raises(HemokitError, match=r"probabilities has shape \(16, 6\)"):
        build_label_predictions(table, drawn(16, 6, exclusive=True), CLASSES)


@pytest.mark.parametrize("labels", [CLASSES, TWO_CLASSES, LABELS, (ANY,)])
def test_files_give_the_same_frame(table, tmp_path, labels):
    """Write and read: equal frames with equal types, also with a fold, and what is not known missing."""
    exclusive = labels not in (LABELS, (ANY,))
    rows = table.assign(fold=range(16)) if exclusive else table.drop(columns="split").assign(scan_id=None)
    rows = rows if exclusive else rows.assign(slice_index=pd.array([None, *range(15)], "Int64"))
    frame = build_label_predictions(rows, drawn(16, len(labels), exclusive=exclusive), labels)
    write_label_predictions(frame, tmp_path / "run")
    pd.testing.assert_frame_equal(read_label_predictions(tmp_path / "run"), frame)
    lines = (tmp_path / "run" / "label_predictions.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",notice") and all(line.endswith(', not a medical device"') for line in lines[1:])


@pytest.mark.parametrize("labels", ["words", "numbers"])
def test_files_of_baselines(table, tmp_path, labels):
    """What baselines.cross_predict gives comes back, scores far below zero too, and is judged alike."""
    from hemokit.baselines import cross_predict

    truth = class_names(table, TWO_CLASSES) if labels == "words" else table["any"].to_numpy()
    matrix = np.random.default_rng(0).random((16, 5))
    frame = cross_predict("logistic", matrix, truth, table.drop(columns="split"), num_folds=2)
    frame.loc[0, frame.columns[-1]] = np.finfo(float).min
    write_label_predictions(frame, tmp_path)
    found = read_label_predictions(tmp_path)
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    reports = [class_report(one, num_resamples=100) for one in (found, frame)]
    pd.testing.assert_frame_equal(*reports)


def test_refuses_to_write(table, tmp_path):
    """A slice twice, a column of another frame, missing ids, words that look like numbers; nothing is left behind."""
    frame = build_label_predictions(table, drawn(16, 7, exclusive=True), CLASSES)
    for wrong, told in [
        (pd.concat([frame, frame[:1]]), "stands twice"),
        (frame.assign(mine=1), "there is a column 'mine'"),
        (frame.drop(columns="prediction"), "lacks the column.s. 'prediction'"),
        (frame.drop(columns=["label", "prediction"]), "lacks the column.s. 'any'"),
        (frame.drop(columns="slice_id"), "lacks the column.s. 'slice_id'"),
        (frame.assign(label="7"), "labels such as '7', but expected words"),
        (frame.assign(label=["normal", *range(15)]), "labels such as 'normal', 0, 1, but expected words, or whole"),
        (frame.assign(label=None), "column 'label': labels such as None, but expected .* one in each row"),
    ]:
        with pytest.raises(HemokitError, match=told):
            write_label_predictions(wrong, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("probability_normal", "chance", "there is a column 'chance'"),
        ("notice", "remark", "lacks the column.s. 'notice'"),
        (",0.", ",1.", "row 2, column 'probability_normal': the value is (1[.]|'1[.])"),
        (",0.", ",x", "row 2, column 'probability_normal': the value is 'x"),
    ],
)
def test_refuses_a_changed_file(table, tmp_path, old, new, sentence):
    """Each change is told with its place."""
    write_label_predictions(build_label_predictions(table, drawn(16, 7, exclusive=True), CLASSES), tmp_path)
    path = tmp_path / "label_predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(HemokitError, match=sentence):
        read_label_predictions(tmp_path)
    path.unlink()
    with pytest.raises(HemokitError, match="label_predictions.csv"):
        read_label_predictions(tmp_path)


def test_all_subtypes_are_exclusive_unless_any_is_there(table):
    """Five subtypes as outputs are classes: slices without one of them are refused."""
    with pytest.raises(HemokitError, match="slices are of other classes .*normal"):
        build_label_predictions(table, drawn(16, 5, exclusive=True), SUBTYPES)
