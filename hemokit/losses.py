"""Losses of masks, labels and probabilities: per sample, float32 inside, and with a right answer for an empty slice.

Most slices of a head CT hold no blood, so what a loss says about an empty truth decides what is learned from them.
Here it is written once: a slice without blood costs 0 where nothing is predicted, and otherwise

    m / (m + EMPTY_SHARE)        m = mean of the predicted probabilities

which grows with every falsely predicted pixel and never loses its gradient. EMPTY_SHARE, one pixel in a hundred, is
about the size of a bleed: a false one of that size costs 0.5, on images of every size. Slices with blood need no
smoothing, and get none: on binary masks the losses are 1 - dice and 1 - iou of `hemokit.metrics`.

Every function takes the truth and the prediction, float, bool or whole numbers in [0, 1], both (batch, ...) of one
shape, any rank from 2 up (images with channels (batch, height, width, outputs), volumes), and returns float32
(batch,), one loss a sample over everything in it; Keras takes the mean. `pooled_dice_bce` alone looks at a batch as a
whole, and `weighted_log_loss` is of labels. Each can be named by a saved model.
"""

import keras
from keras import ops

from hemokit.checks import problem
from hemokit.labels import ANY, LABELS

EMPTY_SHARE = 0.01


@keras.saving.register_keras_serializable(package="hemokit")
def binary_crossentropy(y_true, y_pred):
    """Mean binary cross-entropy of each sample, in nats.

    Args:
        y_true: (batch, ...) truth in [0, 1].
        y_pred: (batch, ...) probabilities. 0 and 1 count as 1e-7 from it, so that no loss is infinite.

    Returns:
        float32 (batch,), at least 0.

    Raises:
        HemokitError: shapes that differ, or without a batch axis and another.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred), axis=_inner(y_true))


@keras.saving.register_keras_serializable(package="hemokit")
def dice_loss(y_true, y_pred):
    """Soft Dice loss of each sample: 1 - 2 sum(t p) / (sum(t) + sum(p)); the module's rule for an empty truth.

    Args:
        y_true: (batch, ...) masks in [0, 1].
        y_pred: (batch, ...) probabilities.

    Returns:
        float32 (batch,) in [0, 1].

    Raises:
        HemokitError: shapes that differ, or without a batch axis and another.

    Source:
        Milletari, Navab, Ahmadi 2016, V-Net (with squares in the denominator; here without, as in most later work).
    """
    both, truth, predicted, smooth = _means(y_true, y_pred)
    return (truth + predicted - 2 * both) / (truth + predicted + smooth)


@keras.saving.register_keras_serializable(package="hemokit")
def jaccard_distance(y_true, y_pred):
    """Soft Jaccard distance of each sample: 1 - sum(t p) / (sum(t) + sum(p) - sum(t p)); the rule for an empty truth.

    Args:
        y_true: (batch, ...) masks in [0, 1].
        y_pred: (batch, ...) probabilities.

    Returns:
        float32 (batch,) in [0, 1]; 2 dice / (1 + dice) of the Dice loss wherever the truth holds something.

    Raises:
        HemokitError: shapes that differ, or without a batch axis and another.
    """
    both, truth, predicted, smooth = _means(y_true, y_pred)
    return (truth + predicted - 2 * both) / (truth + predicted - both + smooth)


@keras.saving.register_keras_serializable(package="hemokit")
def dice_bce(y_true, y_pred):
    """Soft Dice loss plus binary cross-entropy, float32 (batch,): the overlap, and a gradient from every pixel.

    Arguments and errors are those of `dice_loss` and `binary_crossentropy`.
    """
    return dice_loss(y_true, y_pred) + binary_crossentropy(y_true, y_pred)


@keras.saving.register_keras_serializable(package="hemokit")
def pooled_dice_bce(y_true, y_pred):
    """Soft Dice loss of all pixels of a batch together, plus binary cross-entropy of each sample: float32 (batch,).

    It is the headline score, the Dice of pooled counts, made smooth: a large bleed counts for more than a small one,
    and slices without blood add only their false positives. So it depends on what a batch holds: each should have
    some blood in it (`splits.balance`). In short runs it learned faster than the mean over samples.

    Arguments and errors are those of `dice_loss` and `binary_crossentropy`. A batch without any blood follows the
    module's rule for an empty truth.
    """
    both, truth, predicted, smooth = _means(y_true, y_pred, over_batch=True)
    return (truth + predicted - 2 * both) / (truth + predicted + smooth) + binary_crossentropy(y_true, y_pred)


@keras.saving.register_keras_serializable(package="hemokit")
def weighted_log_loss(y_true, y_pred):
    """The log loss of the RSNA 2019 challenge, where `any` weighs as much as two subtypes.

    Args:
        y_true: (batch, ..., 6) labels 0 or 1 in the order of `labels.LABELS`: any first.
        y_pred: (batch, ..., 6) probabilities. 0 and 1 count as 1e-7 from it, so that no loss is infinite.

    Returns:
        float32 (batch, ...), a weighted mean over the labels of each slice, in nats; the challenge's score is its mean
        over all slices.

    Raises:
        HemokitError: shapes that differ, or without six labels.

    Source:
        RSNA Intracranial Hemorrhage Detection (Kaggle 2019), evaluation: weighted multi-label logarithmic loss.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    if y_true.shape[-1] != len(LABELS):
        came = f"y_true has shape {tuple(y_true.shape)}"
        raise problem(came, f"(batch, ..., {len(LABELS)})", "Make the batches with the target 'subtypes'.")
    weights = ops.convert_to_tensor([2.0 if label == ANY else 1.0 for label in LABELS], "float32")
    return ops.sum(ops.binary_crossentropy(y_true, y_pred) * weights, axis=-1) / (len(LABELS) + 1)


@keras.saving.register_keras_serializable(package="hemokit")
class SoftDice(keras.metrics.Metric):
    """Soft Dice of all pixels of an epoch together: 2 sum(t p) / (sum(t) + sum(p)), a metric to follow.

    It is near the headline score of a report, needs no threshold, and does not depend on how the slices were put into
    batches; so `fit(..., metrics=[SoftDice()], monitor="val_dice")` keeps the epoch that segments best. 0 where truth
    and prediction are empty throughout.

    Args:
        name: of the column in the history.
        **options: dtype.
    """

    def __init__(self, name="dice", **options):
        super().__init__(name=name, **options)
        self.both, self.whole = (self.add_weight(name=part, initializer="zeros") for part in ("both", "whole"))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = _pair(y_true, y_pred)
        self.both.assign_add(ops.sum(y_true * y_pred))
        self.whole.assign_add(ops.sum(y_true) + ops.sum(y_pred))

    def result(self):
        return 2 * self.both / ops.maximum(self.whole, keras.backend.epsilon())


def _means(y_true, y_pred, *, over_batch=False):
    """Per sample: mean of t p, of t, of p, and the smoothing, which only a sample with an empty truth gets.

    With `over_batch`, the same of the whole batch: four scalars.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    axes = None if over_batch else _inner(y_true)
    truth = ops.mean(y_true, axis=axes)
    smooth = ops.where(truth > 0, 0.0, EMPTY_SHARE)
    return ops.mean(y_true * y_pred, axis=axes), truth, ops.mean(y_pred, axis=axes), smooth


def _pair(y_true, y_pred):
    """Both as float32 tensors, after a look at their shapes; nothing is broadcast."""
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    differ = any(None not in sizes and sizes[0] != sizes[1] for sizes in zip(*shapes, strict=False))
    if differ or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 2:
        raise problem(
            f"y_true has shape {shapes[0]} and y_pred has shape {shapes[1]}",
            "two of one shape (batch, ...)",
            "A mask needs the channel axis that the model's output has: mask[..., None].",
        )
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def _inner(x):
    """All axes but the batch."""
    return tuple(range(1, len(x.shape)))
