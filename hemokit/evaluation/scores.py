"""Scores of slices (or scans) from labels and scores, for one set of weights or for a thousand at once.

`weights` is None (every slice counts once), an array (slices,), or (resamples, slices) as in `bootstrap`: then a
score is an array (resamples,). A score that does not exist, such as an AUROC of one class alone, is NaN.
"""

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem
from hemokit.metrics import Counts, ratio


def auroc(y_true, probability, weights=None):
    """Area under the ROC curve: how often a positive slice scores above a negative one (a tie counts one half).

    NaN where there is one class alone. (Hanley and McNeil, Radiology 1982;143:29-36.)
    """
    positive, negative = _by_value(y_true, probability, weights)
    below = negative.sum(axis=-1, keepdims=True) - negative.cumsum(axis=-1)
    won = (positive * (below + negative / 2)).sum(axis=-1)
    return ratio(won, positive.sum(axis=-1) * negative.sum(axis=-1))


def average_precision(y_true, probability, weights=None):
    """Area under the precision-recall curve, as steps (AUPRC); compare it with the prevalence, not with 0.5.

    NaN where there is no positive slice, and where there is nothing else.
    """
    positive, negative = _by_value(y_true, probability, weights)
    found = positive.cumsum(axis=-1)
    precision = found / np.maximum(found + negative.cumsum(axis=-1), 1)
    both = (positive.sum(axis=-1) > 0) & (negative.sum(axis=-1) > 0)
    return ratio(np.where(both, (positive * precision).sum(axis=-1), 0), np.where(both, positive.sum(axis=-1), 0))


def brier(y_true, probability, weights=None):
    """Mean squared distance of a probability from the truth, 0..1; 0 is perfect (Brier 1950). NaN without slices."""
    y_true, probability, weights = _checked(y_true, probability, weights)
    return ratio(weights @ (probability - y_true) ** 2, weights.sum(axis=-1))


def threshold_counts(y_true, probability, threshold, weights=None):
    """`metrics.Counts` of slices when a score of at least `threshold` is predicted positive."""
    y_true, probability, weights = _checked(y_true, probability, weights)
    predicted = probability >= threshold
    cells = (y_true & predicted, ~y_true & predicted, y_true & ~predicted, ~y_true & ~predicted)
    return Counts(*(weights @ cell.astype(np.int64) for cell in cells))


def pearson(x, y, weights=None):
    """Correlation of two measures; NaN where one of them does not vary, and for fewer than two slices."""
    check_same_shape(x, y, names=("x", "y"))
    x, y = np.asarray(x, float), np.asarray(y, float)
    if not x.size:
        return np.nan if weights is None or np.ndim(weights) < 2 else np.full(len(weights), np.nan)
    weights = np.ones(x.shape) if weights is None else np.asarray(weights, float)
    x, y = (x - x.mean()) / (np.ptp(x) or 1), (y - y.mean()) / (np.ptp(y) or 1)  # no cancellation of large sums
    total = np.maximum(weights.sum(axis=-1), 1)
    covariance = weights @ (x * y) - (weights @ x) * (weights @ y) / total
    spread_x, spread_y = (weights @ one**2 - (weights @ one) ** 2 / total for one in (x, y))
    defined = _varies(x, weights) & _varies(y, weights)
    both = np.where(defined, np.sqrt(np.maximum(spread_x * spread_y, 0)), 0)
    return np.clip(ratio(np.where(defined, covariance, 0), both), -1, 1)[()]


def _varies(values, weights):
    """Whether the values that are drawn at all differ; exact, unlike a variance."""
    drawn = weights > 0
    return np.where(drawn, values, -np.inf).max(axis=-1) > np.where(drawn, values, np.inf).min(axis=-1)


def _checked(y_true, probability, weights):
    """Truth as bool, scores as float64, weights as int64 (1 where none are given)."""
    check_same_shape(y_true, probability, names=("y_true", "probability"))
    y_true, probability = check_binary(y_true, "y_true"), np.asarray(probability, np.float64)
    if y_true.ndim != 1:
        raise problem(f"y_true has shape {y_true.shape}", "one value a slice", "Pass arrays of shape (slices,).")
    if not np.isfinite(probability).all():
        came = f"{int((~np.isfinite(probability)).sum())} scores are NaN or infinite"
        raise problem(came, "a score for every slice", "Look for what made them.")
    weights = np.ones(y_true.shape, np.int64) if weights is None else np.asarray(weights)
    if weights.shape[-1:] != y_true.shape:
        expected = f"(slices,) or (resamples, slices), with {len(y_true)} slices"
        raise problem(f"weights has shape {weights.shape}", expected, "One weight a slice.")
    return y_true, probability, weights


def _by_value(y_true, probability, weights):
    """Weight of the positive and of the negative slices at each distinct score, the highest first."""
    y_true, probability, weights = _checked(y_true, probability, weights)
    if not len(y_true):
        return np.zeros((*weights.shape[:-1], 1)), np.zeros((*weights.shape[:-1], 1))
    order = np.argsort(-probability, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(probability[order]) != 0])
    weights, true = weights[..., order], y_true[order]
    return np.add.reduceat(weights * true, starts, axis=-1), np.add.reduceat(weights * ~true, starts, axis=-1)
