"""Scores of masks, all from four counts; and the rule for empty masks, once.

The rule: a score of 0/0 is NaN. So the Dice of two empty masks is NaN, not 1 and not 0; a mean over slices leaves
it out and says how many it left out. The headline is the score of the pooled counts (`sum_counts`), which is 0/0
only where nothing at all is drawn.
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem


class Counts(NamedTuple):
    """Pixels (or slices) that are true positive, false positive, false negative, true negative.

    The fields are ints, or int64 arrays of one shape: one entry a slice.
    """

    tp: int
    fp: int
    fn: int
    tn: int


def confusion_counts(y_true, y_pred, *, per_slice=False):
    """Count agreement and disagreement of a prediction with the truth.

    Args:
        y_true: bool or 0/1 array of any shape.
        y_pred: the same; probabilities must pass a threshold first.
        per_slice: True gives one entry for each index of the first axis (slices, ...).

    Returns:
        `Counts` of ints, or of int64 arrays (slices,). Empty arrays count 0.

    Raises:
        HemokitError: other values than 0 and 1, different shapes.
    """
    check_same_shape(y_true, y_pred)
    y_true, y_pred = check_binary(y_true, "y_true"), check_binary(y_pred, "y_pred")
    if per_slice and y_true.ndim == 0:
        raise problem("per_slice=True with a single value", "an array (slices, ...)", "Pass a stack of masks.")
    axes = tuple(range(1 if per_slice else 0, y_true.ndim))
    positive, predicted = y_true.sum(axes, dtype=np.int64), y_pred.sum(axes, dtype=np.int64)
    tp = (y_true & y_pred).sum(axes, dtype=np.int64)
    total = np.prod([y_true.shape[axis] for axis in axes], dtype=np.int64)
    counts = Counts(tp, predicted - tp, positive - tp, total - positive - predicted + tp)
    return counts if per_slice else Counts(*map(int, counts))


def sum_counts(counts):
    """Pool counts: the sum of a sequence of `Counts`, or of the entries of one per-slice `Counts`; `Counts` of ints."""
    if isinstance(counts, Counts):
        return Counts(*(int(np.sum(field)) for field in counts))
    return Counts(*(int(sum(np.sum(one[field]) for one in counts)) for field in range(4)))


def dice(counts):
    """Dice = 2 tp / (2 tp + fp + fn), also called F1; NaN where truth and prediction are both empty."""
    return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts):
    """Intersection over union = tp / (tp + fp + fn), the Jaccard index; NaN where both are empty."""
    return ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts):
    """Which part of the predicted is true = tp / (tp + fp); NaN where nothing is predicted."""
    return ratio(counts.tp, counts.tp + counts.fp)


def sensitivity(counts):
    """Which part of the true is found (recall) = tp / (tp + fn); NaN where nothing is true."""
    return ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts):
    """Which part of the rest is left alone = tn / (tn + fp); NaN where everything is true."""
    return ratio(counts.tn, counts.tn + counts.fp)


def pixel_accuracy(counts):
    """Which part is right = (tp + tn) / all; near 1 for an empty prediction, so no score of a segmentation."""
    return ratio(counts.tp + counts.tn, counts.tp + counts.fp + counts.fn + counts.tn)


def ratio(part, whole):
    """part / whole as a float, or a float array of their shape; NaN where whole is 0."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    ratio = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)
    return ratio if ratio.ndim else float(ratio)
