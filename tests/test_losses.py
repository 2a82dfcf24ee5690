"""Losses: against sums done by hand, against the metrics on binary masks, and where Keras' own Dice goes wrong."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hemokit.checks import HemokitError
from hemokit.losses import (
    EMPTY_SHARE,
    SoftDice,
    binary_crossentropy,
    dice_bce,
    dice_loss,
    jaccard_distance,
    pooled_dice_bce,
)
from hemokit.metrics import confusion_counts, dice, iou

LOSSES = (binary_crossentropy, dice_loss, jaccard_distance, dice_bce, pooled_dice_bce)
unit = st.floats(0, 1, width=32)
soft_pairs = arrays(np.float32, st.tuples(st.just(2), st.integers(1, 3), st.integers(1, 7), st.just(8)), elements=unit)
mask_pairs = arrays(bool, (2, 3, 7, 8, 1))
T, P = np.float32([[[1], [1], [0], [0]]]), np.float32([[[0.8], [0.4], [0.2], [0.0]]])


def values(loss, y_true, y_pred):
    """What the loss gives, as a NumPy array."""
    return keras.ops.convert_to_numpy(loss(y_true, y_pred))


def gradient(loss, y_true, y_pred):
    """Derivative of the summed loss by every predicted value, through TensorFlow's tape."""
    import tensorflow as tf

    y_pred = tf.Variable(y_pred)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(y_true, y_pred))
    return tape.gradient(total, y_pred).numpy()


def test_by_hand():
    """Truth 1 1 0 0, prediction .8 .4 .2 0: overlap 1.2, sums 2 and 1.4."""
    assert values(dice_loss, T, P) == pytest.approx([1 - 2.4 / 3.4], rel=1e-6)
    assert values(jaccard_distance, T, P) == pytest.approx([1 - 1.2 / 2.2], rel=1e-6)
    entropy = -(math.log(0.8) + math.log(0.4) + math.log(0.8)) / 4
    assert values(binary_crossentropy, T, P) == pytest.approx([entropy], rel=1e-5)
    assert values(dice_bce, T, P) == pytest.approx([entropy + 1 - 2.4 / 3.4], rel=1e-5)


def test_pooled_by_hand():
    """Two slices, one without blood: one Dice of all their pixels, and the entropy of each."""
    truth, predicted = np.concatenate([T, 0 * T]), np.concatenate([P, P[:, ::-1]])
    entropy = values(binary_crossentropy, truth, predicted)
    assert values(pooled_dice_bce, truth, predicted) == pytest.approx(entropy + 1 - 2.4 / 4.8, rel=1e-6)


def test_pooled_without_blood():
    """A batch without blood follows the rule for an empty slice: two false pixels in 200 cost 0.5."""
    empty = np.zeros((2, 10, 10, 1), np.float32)
    predicted = empty.copy()
    predicted[0, 0, :2] = 1
    entropy = values(binary_crossentropy, empty, predicted)
    assert values(pooled_dice_bce, empty, predicted) - entropy == pytest.approx([0.5, 0.5], rel=1e-5)


def test_dice_of_an_epoch():
    """The metric is the Dice of all pixels, however they came in batches: 2 * 2.4 / (2 * 3.4) of twice the same."""
    metric = SoftDice()
    metric.update_state(T, P)
    metric.update_state(np.concatenate([T, 0 * T]), np.concatenate([P, 0 * P]))
    assert float(metric.result()) == pytest.approx(2.4 / 3.4, rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_empty_slice():
    """Without blood: 0 for an empty prediction, then more with every false pixel, 0.5 for one in a hundred."""
    empty = np.zeros((4, 10, 20, 1), np.float32)
    predicted = empty.copy()
    predicted[1, 0, 0] = predicted[2, 0, :2] = 1
    predicted[3] = 1
    for loss in (dice_loss, jaccard_distance):
        assert values(loss, empty, predicted) == pytest.approx([0, 1 / 3, 0.5, 1 / (1 + EMPTY_SHARE)], rel=1e-6)
    assert values(binary_crossentropy, empty, predicted)[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [dice_loss, jaccard_distance])
def test_empty_slice_has_a_gradient(loss):
    """Every pixel of a falsely bright slice is pulled down, and the last one still is."""
    for probability in (0.0, 0.01, 0.5, 1.0):
        slope = gradient(loss, np.zeros((1, 9, 8, 1), np.float32), np.full((1, 9, 8, 1), probability, np.float32))
        assert np.isfinite(slope).all() and (slope > 1e-5).all()


def test_missed_blood_has_a_gradient():
    """An empty prediction costs 1 where there is blood, and its pixels are pulled up, the others left alone."""
    truth = np.zeros((1, 7, 8, 1), np.float32)
    truth[0, 3, 4] = 1
    for loss in (dice_loss, jaccard_distance):
        assert values(loss, truth, np.zeros_like(truth)) == pytest.approx([1])
        slope = gradient(loss, truth, np.full_like(truth, 1e-3))
        assert slope[0, 3, 4, 0] < 0 and (np.delete(slope.ravel(), 3 * 8 + 4) > 0).all()


def test_keras_dice_gets_an_empty_slice_wrong():
    """Keras' Dice calls a correctly empty slice a total failure, and pools a batch; this one does neither."""
    empty = np.zeros((1, 7, 8, 1), np.float32)
    assert float(keras.losses.Dice()(empty, empty)) == pytest.approx(1)
    assert values(dice_loss, empty, empty) == pytest.approx([0])
    truth = np.zeros((2, 10, 10, 1), np.float32)
    truth[0] = 1
    truth[1, 0, 0] = 1  # a small bleed, missed, beside a large one, found
    predicted = truth.copy()
    predicted[1] = 0
    assert float(keras.losses.Dice()(truth, predicted)) < 0.01
    assert values(dice_loss, truth, predicted) == pytest.approx([0, 1])


@settings(max_examples=60, deadline=None)
@given(mask_pairs)
def test_binary_masks_equal_the_metrics(pair):
    """On masks the losses are 1 - dice and 1 - iou, wherever the truth is not empty."""
    counts = confusion_counts(*pair, per_slice=True)
    some = counts.tp + counts.fn > 0
    for loss, score in ((dice_loss, dice), (jaccard_distance, iou)):
        np.testing.assert_allclose(values(loss, *pair)[some], 1 - score(counts)[some], atol=1e-6)
        nothing = ~some & (counts.fp == 0)
        assert (values(loss, *pair)[nothing] == 0).all()


@settings(max_examples=60, deadline=None)
@given(soft_pairs)
def test_laws(pair):
    """Losses lie in [0, 1]; truth and prediction may change places if neither is empty; Jaccard follows from Dice."""
    dices, jaccards = (values(loss, *pair) for loss in (dice_loss, jaccard_distance))
    assert dices.shape == pair.shape[1:2] and dices.dtype == np.float32
    for loss in (dices, jaccards):
        assert (loss >= -1e-6).all() and (loss <= 1 + 1e-6).all()
    both = (pair.reshape(2, pair.shape[1], -1).mean(-1) > 1e-6).all(0)
    np.testing.assert_allclose(values(dice_loss, *pair[::-1])[both], dices[both], atol=1e-5)
    np.testing.assert_allclose(values(jaccard_distance, *pair[::-1])[both], jaccards[both], atol=1e-5)
    np.testing.assert_allclose(jaccards[both], (2 * dices / (1 + dices))[both], atol=1e-5)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss is not pooled_dice_bce])
@pytest.mark.parametrize("shape", [(3, 8), (3, 7, 8, 2), (3, 7, 8, 9, 1)])
def test_every_rank_and_each_sample_alone(loss, shape):
    """Lists, images and volumes: one value a sample, the same whoever else is in the batch."""
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, shape), rng.random(shape, np.float32)
    together = values(loss, truth, predicted)
    assert together.shape == (3,)
    alone = [values(loss, truth[i : i + 1], predicted[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_raised_first(loss):
    """A bfloat16 prediction gives the float32 loss of its values: 512 x 512 pixels are not summed in 8 bits."""
    truth = np.zeros((1, 512, 512, 1), np.float32)
    truth[:, 100:120] = 1
    half = keras.ops.cast(np.full_like(truth, 0.25), "bfloat16")
    assert keras.backend.standardize_dtype(loss(truth, half).dtype) == "float32"
    assert values(loss, truth, half) == pytest.approx(values(loss, truth, np.full_like(truth, 0.25)), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_shapes_are_refused(loss):
    """Nothing is broadcast: a mask without its channel, another size, a single value."""
    for true, predicted in [((2, 7, 8), (2, 7, 8, 1)), ((2, 7, 8, 1), (2, 7, 1, 1)), ((2,), (2,))]:
        with pytest.raises(HemokitError, match=r"y_true has shape .* mask\[\.\.\., None\]"):
            loss(np.zeros(true, np.float32), np.zeros(predicted, np.float32))


@pytest.mark.parametrize("loss", LOSSES)
def test_saved_with_the_model(loss, tmp_path):
    """A compiled model that was saved and loaded has the same loss."""
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")])
    model.compile(loss=loss)
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    model.train_on_batch(images, images > 0.5)
    before = model.evaluate(images, images > 0.5, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss is loss
    assert loaded.evaluate(images, images > 0.5, verbose=0) == pytest.approx(before, rel=1e-6)
    expected = values(loss, images > 0.5, model.predict(images, verbose=0)).mean()
    assert before == pytest.approx(expected, rel=1e-5)
