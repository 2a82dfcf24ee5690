"""What training learns from: the same rows in the same order, and never the wrong split (L3)."""

import keras
import numpy as np
import pytest
from training_cases import arrays, build, build_simple

from hemokit import training
from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.models.unet import unet
from hemokit.patch_batches import PatchBatches
from hemokit.training.precision import choose_precision, computing_in
from hemokit.training.run_record import describe_model, read_record
from hemokit.training.sources import ArrayBatches, as_source, check_sources

SIZES = {"target": "mask", "image_size": 8, "batch_size": 4, "cache": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four phantom patients: two to train, one to validate, one to test."""
    root = tmp_path_factory.mktemp("sources") / "phantom"
    slices = open_dataset(write_phantom(root, layout="ct_ich_jpg", num_patients=4, image_size=64, seed=1))
    names = dict(zip(slices["patient_id"].unique(), ("train", "train", "validation", "test"), strict=True))
    return slices.groupby("patient_id").head(5).assign(split=lambda rows: rows["patient_id"].map(names))


def batches(table, *splits, **options):
    """Slice batches of some splits."""
    return SliceBatches(table[table["split"].isin(splits)], **SIZES, **options)


def test_arrays_in_an_order_of_seed_and_epoch():
    """Each epoch brings each sample once, in an order that seed and epoch alone decide; validation keeps the order."""
    x, y = np.arange(9.0), np.arange(9.0)
    data = ArrayBatches((x, y), batch_size=4, seed=3, training=True)
    orders = []
    for epoch in (0, 1, 0):
        data.epoch = epoch
        orders.append(np.concatenate([data[i][0] for i in range(len(data))]).tolist())
    assert orders[0] == orders[2] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == x.tolist()
    assert [len(data[i][1]) for i in range(3)] == [4, 4, 1]
    assert ArrayBatches((x, y), batch_size=9)[0][0].tolist() == x.tolist()


def test_array_fingerprints():
    """They change with values, shape, type, batch size and, in training, the seed."""
    x, y = arrays()
    options = [{"batch_size": 4}, {"batch_size": 5}, {"batch_size": 4, "training": True}]
    options += [{"batch_size": 4, "training": True, "seed": 1}]
    several = [(x, y), (y, x), (x[:7], y[:7]), (x.astype("f8"), y), (x.reshape(8, 64), y.reshape(8, 64))]
    found = [ArrayBatches((x, y), **one).fingerprint for one in options]
    found += [ArrayBatches(one, batch_size=4).fingerprint for one in several[1:]]
    assert len(set(found)) == len(found) == 8


def test_facts_of_slices(table):
    """The record tells data sets, slices, patients and splits."""
    facts = as_source(batches(table, "train")).facts
    told = {name: facts[name] for name in ("datasets", "slices", "patients", "splits", "batches", "batch_size")}
    assert told == {
        "datasets": ["ct_ich_jpg"], "slices": 10, "patients": 2, "splits": {"train": 10}, "batches": 3, "batch_size": 4,
    }  # fmt: skip
    assert len(facts["fingerprint"]) == 64


WRONG = {
    "test rows to train": (("test",), ("validation",), "5 of 5 rows given as train data are of the split 'test'"),
    "mixed rows to train": (("train", "validation"), ("validation",), "5 of 15 rows given as train data"),
    "test rows to validate": (("train",), ("test",), "given as validation data are of the split 'test'"),
    "train rows to validate": (("train",), ("train",), "given as validation data are of the split 'train'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_split_is_refused(table, tmp_path, name):
    """L3: rows of another split are refused before anything is trained or written."""
    train, validation, told = WRONG[name]
    with pytest.raises(HemokitError, match=told):
        training.fit(build_simple, batches(table, *train), batches(table, *validation), run_dir=tmp_path, epochs=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, told",
    [
        ({"target": "any"}, "target of the validation data is 'any', but expected 'mask', as of the training data"),
        ({"image_size": 16}, "image_size of the validation data is 16, but expected 8"),
        ({"prepare": "equalize_and_stretch"}, "prepare of the validation data is 'equalize_and_stretch', but expected"),
        ({"windows": ("bone",)}, "windows of the validation data is .*bone.* but expected .*brain"),
    ],
)
def test_validation_of_another_kind_is_refused(table, options, told):
    """Where validation has another target, size or windows than training, its loss would mean nothing."""
    train, rows = as_source(batches(table, "train")), table[table["split"] == "validation"]
    with pytest.raises(HemokitError, match=told):
        check_sources(train, as_source(SliceBatches(rows, **SIZES | options)))
    check_sources(train, as_source(SliceBatches(rows, windows="brain", **SIZES)))  # which None is


def test_validation_patches_of_another_size_are_refused(table, tmp_path):
    """Patches of validation that the model does not take are named before training, not after an epoch of it."""
    how = {"image_size": 8, "batch_size": 4, "cache": False}
    train, validation = (
        PatchBatches(table[table["split"] == name], patch=(size, size), training=name == "train", **how)
        for name, size in (("train", 8), ("validation", 4))
    )
    with pytest.raises(HemokitError, match="images of 4 x 4 x 1, but expected 8 x 8 x 1"):
        training.fit(lambda: unet((8, 8, 1), filters=(2, 2)), train, validation, run_dir=tmp_path, epochs=1)
    assert not list(tmp_path.iterdir())


def test_validation_of_other_classes_is_refused(table):
    """Two classes to train and two others to validate: the same numbers stand for other things."""
    normal, options = table[table["any"] == 0], SIZES | {"target": "class"}
    one = SliceBatches(normal[normal["split"] == "train"], classes=("normal", "subdural"), **options)
    other = SliceBatches(normal[normal["split"] == "validation"], classes=("normal", "epidural"), **options)
    with pytest.raises(HemokitError, match="names of the validation data is .*, as of the training data"):
        check_sources(as_source(one), as_source(other))


def test_patient_on_both_sides_is_refused(table):
    """L3: where the table has no splits, one patient in both is refused; so is one slice without a patient."""
    rows = table.drop(columns="split")
    both = as_source(SliceBatches(rows[::2], **SIZES)), as_source(SliceBatches(rows[1::2], **SIZES))
    with pytest.raises(HemokitError, match=r"patient '.*' is in the training and in the validation data \(4 such"):
        check_sources(*both)
    same = [one._replace(table=one.table.assign(patient_id=None)) for one in (both[0], both[0])]
    with pytest.raises(HemokitError, match="slice '.*' is in the training and in the validation data"):
        check_sources(*same)


@pytest.mark.slow
def test_slices_shuffled_and_augmented_are_resumed(table, tmp_path):
    """A run interrupted in its second epoch goes on with the batches of that epoch, as a pipeline or as batches."""
    pipelines = pytest.importorskip("hemokit.pipelines")
    train, validation = batches(table, "train", training=True), batches(table, "validation")
    options = {"optimizer": "sgd", "epochs": 3}
    whole = training.fit(build_simple, train, validation, run_dir=tmp_path / "whole", **options)
    pipeline = pipelines.slice_pipeline(table[table["split"] == "train"], training=True, **SIZES)
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: stop_at(pipeline.batches.epoch, batch)
    )
    with pytest.raises(KeyboardInterrupt):
        training.fit(build_simple, pipeline, validation, run_dir=tmp_path / "parts", callbacks=[stop], **options)
    train.epoch = 17  # whatever the data did before
    parts = training.fit(build_simple, train, validation, run_dir=tmp_path / "parts", **options)
    assert parts["loss"].tolist() == whole["loss"].tolist()
    assert parts["val_loss"].tolist() == whole["val_loss"].tolist()
    plain = training.fit(build_simple, batches(table, "train"), validation, run_dir=tmp_path / "plain", **options)
    assert plain["loss"].tolist() != whole["loss"].tolist()


def test_a_dataset_of_the_user(tmp_path):
    """A tf.data.Dataset of one's own trains as arrays do; of its data nothing is known but the number of batches."""
    tf = pytest.importorskip("tensorflow")
    x, y = arrays()
    options = {"optimizer": "sgd", "epochs": 2, "monitor": "loss", "batch_size": 8}
    own = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    told = training.fit(build_simple, own, None, run_dir=tmp_path / "own", **options)
    assert told["loss"].tolist() == pytest.approx(
        training.fit(build_simple, (x, y), None, run_dir=tmp_path / "arrays", **options)["loss"].tolist(), rel=0.02
    )  # it may have been trained in bfloat16, in another order of a batch
    facts = read_record(tmp_path / "own")["data"]["train"]
    assert facts["fingerprint"] is None and facts["batches"] == 1


def stop_at(epoch, batch):
    """Ctrl-C at the second batch of the second epoch; a pipeline that runs already shows the next epoch's number."""
    if (epoch, batch) == (2, 1):
        raise KeyboardInterrupt


def test_automatic_precision(monkeypatch):
    """bfloat16 with the processor's flag or a new GPU, float32 without; a name given is taken as it is."""
    for flags, where, capability, expected in [
        ({"avx2", "avx512_bf16"}, "cpu", 0, "mixed_bfloat16"),
        ({"avx2", "avx512f"}, "cpu", 0, "float32"),
        (set(), "cuda:0", 9.0, "mixed_bfloat16"),
        ({"amx_bf16"}, "/device:gpu:0", 7.5, "float32"),
    ]:
        monkeypatch.setattr("hemokit.training.precision._cpu_flags", lambda flags=flags: flags)
        monkeypatch.setattr("hemokit.training.precision.device", lambda where=where: where)
        monkeypatch.setattr("hemokit.training.precision._gpu_capability", lambda capability=capability: capability)
        if keras.backend.backend() != "jax" or where != "cpu":
            assert choose_precision() == expected
        assert choose_precision("float32") == "float32"


def test_computing_in_bfloat16():
    """Inside the block the layers compute in bfloat16 but the last two, whose output is a probability; then no more."""
    model = build()
    x = arrays()[0]
    exact = keras.ops.convert_to_numpy(model(x))
    with computing_in(model, "mixed_bfloat16"):
        types = [layer.compute_dtype for layer in model.layers]
        mixed = model(x)
    assert types == ["bfloat16"] * 5 + ["float32"] * 2 and keras.backend.standardize_dtype(mixed.dtype) == "float32"
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    mixed = keras.ops.convert_to_numpy(mixed)
    assert 0 < np.abs(mixed - exact).max() < 0.02
    assert np.array_equal(keras.ops.convert_to_numpy(model(x)), exact)


def test_both_ways_to_a_probability_stay_in_float32():
    """Where two layers are added up before the probability, both compute in float32, and what lies before does not."""
    x = keras.layers.Dense(3, name="before")(image := keras.Input((4,)))
    logits = keras.layers.Add()([keras.layers.Dense(2, name=name)(x) for name in ("one", "other")])
    model = keras.Model(image, keras.layers.Activation("softmax")(logits))
    with computing_in(model, "mixed_bfloat16"):
        types = {layer.name: layer.compute_dtype for layer in model.layers}
    assert [types[name] for name in ("before", "one", "other")] == ["bfloat16", "float32", "float32"]


def test_description_of_a_model():
    """It does not depend on automatic names, and tells architectures of one size apart."""
    first, second = describe_model(build()), describe_model(build())
    assert first == second and first["parameters"] == 65
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="relu")])
    assert describe_model(other)["digest"] != describe_model(build_simple())["digest"]
