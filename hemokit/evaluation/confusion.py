"""Counts of true against predicted labels, of many resamples at a time, and the scores that they give."""

import numpy as np

from hemokit.metrics import ratio


def weighted_confusion(true, called, num_labels, weights):
    """Confusion matrices of resamples, exact.

    Args:
        true, called: int arrays (rows,), the numbers of the true and the predicted label.
        weights: int array (resamples, rows), how often each row stands in each resample.

    Returns:
        float array (resamples, num_labels, num_labels) of counts; rows are the truth.
    """
    from scipy.sparse import csr_array

    cells = (true * num_labels + called, np.arange(len(true)))
    place = csr_array((np.ones(len(true)), cells), shape=(num_labels**2, len(true)))
    return (place @ weights.T).T.reshape(-1, num_labels, num_labels)


def confusion_scores(confusion, labels):
    """Accuracy, balanced accuracy, macro F1, micro F1 and the recalls of confusion matrices.

    Args:
        confusion: array (..., labels, labels) of counts; rows are the truth.
        labels: their names.

    Returns:
        dict metric -> float array (...), by the rule for labels without slices in `classes`; NaN without any slice.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, called = confusion.sum(axis=-1), confusion.sum(axis=-2)
    recall, f1 = ratio(right, true), ratio(2 * right, true + called)
    return {
        "accuracy": ratio(right.sum(axis=-1), true.sum(axis=-1)),
        "balanced_accuracy": _mean(recall),
        "macro_f1": _mean(f1),
        "micro_f1": ratio(2 * right.sum(axis=-1), (true + called).sum(axis=-1)),
        **{f"recall_{label}": recall[..., place] for place, label in enumerate(labels)},
    }


def of_all_labels(found, confusion, true, called):
    """The scores of resamples, without the means of those that lack a label which the rows have.

    Args:
        found: dict metric -> float array (resamples,), from `confusion_scores`.
        confusion: array (resamples, labels, labels) of counts, what they come from.
        true, called: int arrays (labels,), how often each label is true and predicted in the rows.

    Returns:
        dict as `found`, with NaN for balanced_accuracy where a label that is true in the rows was not drawn, and for
        macro_f1 there and where a label that is never true, but predicted in the rows, was not predicted.
    """
    drawn = confusion.sum(axis=-1) > 0
    asked = drawn | (confusion.sum(axis=-2) > 0)
    undrawn = (~drawn[:, true > 0]).any(axis=1)
    lacking = {"balanced_accuracy": undrawn, "macro_f1": undrawn | (~asked[:, called > 0]).any(axis=1)}
    return found | {metric: np.where(where, np.nan, found[metric]) for metric, where in lacking.items()}


def _mean(values):
    """Mean over the last axis of what is defined; NaN where nothing is."""
    return ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))
