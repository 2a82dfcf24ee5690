"""Two-phase training: what is frozen stays, what is interrupted goes on, and features need no second computation."""

import shutil

import keras
import numpy as np
import pytest
from training_cases import state_of

from hemokit.augment import NONE
from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.losses import dice_bce, dice_loss, jaccard_distance, pooled_dice_bce
from hemokit.models.transfer import class_probabilities, unet_classifier
from hemokit.models.unet import unet
from hemokit.training import cached_features, fit, fit_head, fit_in_two_phases, freeze, head_of, load, unfreeze
from hemokit.training.precision import choose_precision
from hemokit.training.run_record import describe_model

LOSS = {"loss": "sparse_categorical_crossentropy", "precision": "float32"}
PHASES = {**LOSS, "epochs": (2, 2), "learning_rates": (0.01, 0.001)}


def build(classes=7, multi_label=False, named="ResNet50"):
    """A classifier like those of models.transfer, on a stand-in of three layers with the name of a backbone."""
    x = inside = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(4, 3, strides=4, name="conv")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    encoder = keras.Model(inside, x, name=named)
    image = keras.Input((32, 32, 1), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(encoder(image))
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(image, class_probabilities(x, classes, multi_label), name="tiny_classifier")


class StopAt(keras.callbacks.Callback):
    """Ctrl-C in the second batch of an epoch, counted over both phases from 0."""

    def __init__(self, epoch):
        super().__init__()
        self.left = epoch + 1

    def on_epoch_begin(self, epoch, logs=None):
        self.left -= 1

    def on_train_batch_begin(self, batch, logs=None):
        if not self.left and batch == 1:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training and validation batches of two phantom patients with classes as targets; a cache for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEMOKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        root = tmp_path_factory.mktemp("data") / "phantom"
        table = open_dataset(write_phantom(root, layout="ct_ich_jpg", num_patients=2, image_size=64, seed=1))
        first = table["patient_id"] == table["patient_id"].iloc[0]
        options = {"target": "class", "image_size": 32, "batch_size": 9}
        train = SliceBatches(table[first].assign(split="train"), training=True, class_weights="balanced", **options)
        yield train, SliceBatches(table[~first].assign(split="validation"), **options)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run of both phases that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fit_in_two_phases(build, *data, run_dir=folder, **PHASES)


def weights_of(model, part=None):
    """The weights of the stand-in backbone, or of one of its layers."""
    encoder = model.get_layer("ResNet50")
    return [np.array(one) for one in (encoder if part is None else encoder.get_layer(part)).get_weights()]


def same(one, two):
    """Are two lists of arrays equal?"""
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.slow
def test_phases(whole):
    """Frozen, the backbone stays as it was built; unfrozen, its kernels move and its batch statistics do not."""
    folder, history = whole
    assert list(history["phase"]) == ["frozen"] * 2 + ["unfrozen"] * 2 and history["epoch"].tolist() == [1, 2, 1, 2]
    assert history["learning_rate"].to_numpy() == pytest.approx([0.01, 0.01, 0.001, 0.001])
    keras.utils.set_random_seed(0)
    start, frozen, last = build(), load(folder / "frozen", "last"), load(folder / "unfrozen", "last")
    assert same(weights_of(start), weights_of(frozen)) and same(weights_of(start, "norm"), weights_of(last, "norm"))
    assert not same(weights_of(start, "conv"), weights_of(last, "conv"))


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, pytest.param(2, marks=pytest.mark.promises), 3])
def test_resumes_in_either_phase(data, whole, tmp_path, epoch):
    """Stopped in the first phase, between both or in the second, a run ends as one that was not, to the last bit."""
    with pytest.raises(KeyboardInterrupt):
        fit_in_two_phases(build, *data, run_dir=tmp_path, callbacks=[StopAt(epoch)], **PHASES)
    history = fit_in_two_phases(build, *data, run_dir=tmp_path, **PHASES)
    assert history.drop(columns="seconds").equals(whole[1].drop(columns="seconds"))
    for name in ("frozen", "unfrozen"):
        assert state_of(tmp_path / name) == state_of(whole[0] / name)


def test_one_rate_for_two_phases_is_refused(data, tmp_path):
    """learning_rate is an option of `fit` that both phases bring themselves."""
    with pytest.raises(HemokitError, match="learning_rate for two phases, but expected learning_rates, one for each"):
        fit_in_two_phases(build, *data, run_dir=tmp_path, **PHASES, learning_rate=0.01)


@pytest.mark.promises
def test_another_first_phase_is_noticed(data, whole, tmp_path):
    """A second phase does not go on from a first one that was trained anew in another way."""
    shutil.copytree(whole[0] / "unfrozen", tmp_path / "unfrozen")
    with pytest.raises(HemokitError, match="settings begins_with"):
        fit_in_two_phases(build, *data, run_dir=tmp_path, **PHASES | {"learning_rates": (0.02, 0.001)})


def test_freezing_is_recorded():
    """What is trainable is part of the description of a model, and survives a copy; batch_norm decides of the rest."""
    model = build()
    told = [describe_model(model)["digest"]]
    for change in (freeze, unfreeze, lambda one: unfreeze(one, batch_norm=True)):
        told.append(describe_model(change(model))["digest"])
        again = keras.models.clone_model(model)
        assert len(again.trainable_variables) == len(model.trainable_variables)
    assert len(set(told)) == 3 and told[0] == told[3]  # all trainable, as it was built
    assert [len(change(model).trainable_variables) for change in (freeze, unfreeze)] == [2, 4]


@pytest.mark.promises
def test_training_the_head_is_training_the_classifier(data, tmp_path):
    """Without augmentation, the head on cached features ends where it ends with the frozen backbone in the loop."""
    train = SliceBatches(data[0].table, target="class", image_size=32, batch_size=9, training=True, augmentation=NONE)
    model = build()
    model.layers[-3].rate = 0  # dropout draws other numbers in a network of another shape
    before = [np.array(one) for one in model.get_weights()]
    options = {**LOSS, "epochs": 3, "learning_rate": 0.05, "metrics": ["accuracy"]}
    slow = fit(freeze(model), train, data[1], run_dir=tmp_path / "slow", **options)
    slow_weights = head_of(load(tmp_path / "slow")).get_weights()
    model.set_weights(before)
    fast = fit_head(model, train, data[1], run_dir=tmp_path / "fast", **options)
    for one, two in zip(slow_weights, head_of(model).get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    columns = ["loss", "val_loss", "accuracy", "val_accuracy"]
    np.testing.assert_allclose(slow[columns], fast[columns], atol=1e-5)
    assert same(weights_of(model), before[: len(weights_of(model))])


def test_cached_features(data):
    """Rows in the order of the table, targets and weights beside them, each augmented epoch its own."""
    train, validation = data
    model = build()
    network = keras.Model(model.inputs[0], model.get_layer("pool").output)
    found = cached_features(model, train, epochs=2, precision="float32")
    found.epoch = 3  # of two: the features of epoch 1, in the order of epoch 3
    for one, two in zip(found[1][1:], train.batch(1, 3)[1:], strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(found[1][0], found.features[1][train.rows_of(1, 3)])
    np.testing.assert_allclose(found.features[1][train.rows_of(1, 1)], network(train.batch(1, 1)[0]), atol=1e-6)
    assert found.features.shape == (2, len(train.table), 4) and not np.array_equal(*found.features)
    assert found.fingerprint != cached_features(build(), train, epochs=2, precision="float32").fingerprint
    assert len(cached_features(model, validation)[0]) == 2  # no weights


@pytest.mark.promises
def test_two_phases_on_cached_features(data, tmp_path):
    """The first phase on features, interrupted in the second: as a run that was not; the backbone is that of build."""
    options = {**PHASES, "cached_epochs": 2, "optimizer": keras.optimizers.SGD(momentum=0.9), "patience": 5}
    history = fit_in_two_phases(build, *data, run_dir=tmp_path / "a", **options)
    assert history["learning_rate"].to_numpy() == pytest.approx([0.01, 0.01, 0.001, 0.001])
    with pytest.raises(KeyboardInterrupt):
        fit_in_two_phases(build, *data, run_dir=tmp_path / "b", callbacks=[StopAt(3)], **options)
    again = fit_in_two_phases(build, *data, run_dir=tmp_path / "b", **options)
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))
    assert state_of(tmp_path / "a" / "unfrozen") == state_of(tmp_path / "b" / "unfrozen")
    numbers = iter(range(9))

    def other():
        keras.utils.set_random_seed(next(numbers))
        return build()

    with pytest.raises(HemokitError, match="build gives another backbone each time"):
        fit_in_two_phases(other, *data, run_dir=tmp_path / "c", **options)


def test_cached_run_keeps_its_precision(data, tmp_path):
    """Called again without a precision, a run goes on in its own, which is not the one that is the fastest here."""
    other = {"float32": "mixed_bfloat16", "mixed_bfloat16": "float32"}[choose_precision()]
    model, how = build(), {"run_dir": tmp_path, "epochs": 1, "loss": LOSS["loss"]}
    history = fit_head(model, *data, precision=other, **how)
    assert fit_head(model, *data, **how).equals(history)


@pytest.mark.parametrize("cached_epochs", [None, 1])
def test_without_validation_it_goes_on_from_the_last_epoch(data, tmp_path, cached_epochs):
    """With monitor="loss" the second phase begins with the last frozen epoch, though the first had the lowest loss."""
    options = {**PHASES, "monitor": "loss", "learning_rates": (30.0, 1e-12), "optimizer": "sgd"}
    history = fit_in_two_phases(build, data[0], None, run_dir=tmp_path, cached_epochs=cached_epochs, **options)
    assert history["loss"][1] > history["loss"][0] and "val_loss" not in history
    begun = load(tmp_path / "unfrozen", "last").get_weights()[-2:]
    best, last = (load(tmp_path / "frozen", which).get_weights()[-2:] for which in ("best", "last"))
    assert not np.allclose(best[1], last[1], rtol=0.01)
    np.testing.assert_allclose(begun[1], last[1], rtol=1e-4)


@pytest.mark.slow
def test_metrics_and_mixed_precision(data, tmp_path):
    """Six sigmoids with an AUC of "any" alone, by name, in bfloat16."""
    options = {"target": "subtypes", "image_size": 32, "batch_size": 9}
    train = SliceBatches(data[0].table, training=True, **options)
    validation = SliceBatches(data[1].table, **options)
    auc = keras.metrics.AUC(multi_label=True, num_labels=6, label_weights=[1, 0, 0, 0, 0, 0], name="auroc_any")
    history = fit_in_two_phases(
        lambda: build(6, multi_label=True), train, validation, run_dir=tmp_path, epochs=(1, 1), metrics=[auc],
        loss="binary_crossentropy", precision="mixed_bfloat16",
    )  # fmt: skip
    assert history["val_auroc_any"].between(0, 1).all()
    assert load(tmp_path / "unfrozen").get_layer("ResNet50").get_layer("conv").kernel.dtype == "float32"


def test_refusals(data, tmp_path, monkeypatch):
    """No backbone, no layer pool, masks as targets, other classes, other images, and numbers for one phase alone."""
    flat = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    with pytest.raises(HemokitError, match="has no backbone"):
        freeze(flat)
    with pytest.raises(HemokitError, match="has no layer 'pool'"):
        cached_features(flat, data[1])
    segmenter = unet((32, 32, 1), filters=(2, 2))
    with pytest.raises(HemokitError, match="'unet_classifier' has no layer 'pool'"):
        head_of(unet_classifier(segmenter, num_classes=7))  # its pixels go past the features
    with pytest.raises(HemokitError, match="cached_epochs is 0, but expected a whole number from 1"):
        fit_head(build(), *data, run_dir=tmp_path, epochs=1, cached_epochs=0, **LOSS)
    with pytest.raises(HemokitError, match="epochs is 1.5, but expected a whole number from 1"):
        cached_features(build(), data[1], epochs=1.5)
    masks = SliceBatches(data[1].table, target="mask", image_size=32, batch_size=9, cache=False)
    with pytest.raises(HemokitError, match="batches without labels"):
        cached_features(build(), masks)
    larger = SliceBatches(data[1].table, target="class", image_size=40, batch_size=9, cache=False)
    with pytest.raises(HemokitError, match="images of 40 x 40 x 1, but expected 32 x 32 x 1"):
        cached_features(build(), larger)
    monkeypatch.setattr("hemokit.training.features.predict_filled", None)  # refused before a feature is computed
    with pytest.raises(HemokitError, match=r"'tiny_classifier' gives \(None, 6\), but expected \(batch, 7\), one for"):
        fit_head(build(6), *data, run_dir=tmp_path, epochs=1, **LOSS)
    with pytest.raises(HemokitError, match=r"'tiny_classifier' gives \(None, 6\), but expected \(batch, 7\), one for"):
        fit(build(6), *data, run_dir=tmp_path, epochs=1, **LOSS)
    arrays = np.zeros((3, 32, 32, 1), np.float32), np.array([0, 7, -1])
    with pytest.raises(HemokitError, match=r"the class 7 among the targets \(2 such in all\), but expected .* 0 to 6"):
        fit(build(), arrays, None, run_dir=tmp_path, epochs=1, monitor="loss", **LOSS)
    for loss in (dice_bce, pooled_dice_bce, dice_loss, jaccard_distance):
        with pytest.raises(HemokitError, match=f"loss {loss.__name__}, which is one of pixels, for labels"):
            fit(build(), *data, run_dir=tmp_path, epochs=1, loss=loss)
    small = SliceBatches(
        data[0].table, target="class", image_size=16, batch_size=9, windows=("brain", "bone"), cache=False
    )
    with pytest.raises(HemokitError, match="images of 16 x 16 x 2, but expected 32 x 32 x 1, which 'tiny_classifier'"):
        fit(build(), small, None, run_dir=tmp_path, epochs=1, monitor="loss")
    with pytest.raises(HemokitError, match="epochs is 4, but expected two numbers"):
        fit_in_two_phases(build, *data, run_dir=tmp_path, **PHASES | {"epochs": 4})
