"""ROC and precision-recall curves as tables: a row a threshold, from the highest down.

Predicted positive is a score of at least the threshold. For pixels the tables come from the histograms, at every
multiple of 1/1000, exactly.
"""

import numpy as np
import pandas as pd

from hemokit.checks import check_binary, check_same_shape, problem
from hemokit.evaluation.reports import check_judged
from hemokit.metrics import ratio
from hemokit.predictions import NUM_BINS, stack_histograms


def roc_points(y_true, probability):
    """The ROC curve: DataFrame threshold, false_positive_rate, specificity, sensitivity.

    Args:
        y_true: 0/1 array (slices,).
        probability: float array (slices,).

    Returns:
        one row for each distinct score, after a first row (infinity, 0, 1, 0). NaN where there is one class alone.

    Raises:
        HemokitError: no slices, other shapes, other labels than 0 and 1, a score that is NaN or infinite.
    """
    return _roc(*_cumulated(y_true, probability))


def pr_points(y_true, probability):
    """The precision-recall curve: DataFrame threshold, precision, sensitivity, one row for each distinct score.

    See `roc_points`. Draw it as steps: the area under straight lines is too large. Sensitivity is NaN where no slice
    is positive.
    """
    return _pr(*_cumulated(y_true, probability))


def pixel_roc_points(predictions):
    """The ROC curve of all pixels of a predictions frame, at the thresholds 1, 0.999, ..., 0; see `roc_points`."""
    return _roc(*_cumulated_pixels(predictions))


def pixel_pr_points(predictions):
    """The precision-recall curve of all pixels of a predictions frame; see `pr_points`, and for the frame
    `segmentation_report`. Precision is NaN at thresholds that no pixel reaches.
    """
    return _pr(*_cumulated_pixels(predictions))


def _roc(thresholds, tp, fp):
    rates = [ratio(np.append(0, one), np.full(len(one) + 1, one[-1])) for one in (fp, tp)]
    rows = {"false_positive_rate": rates[0], "specificity": 1 - rates[0], "sensitivity": rates[1]}
    return pd.DataFrame({"threshold": np.append(np.inf, thresholds), **rows})


def _pr(thresholds, tp, fp):
    rows = {"precision": ratio(tp, tp + fp), "sensitivity": ratio(tp, np.full(len(tp), tp[-1]))}
    return pd.DataFrame({"threshold": thresholds, **rows})


def _cumulated(y_true, probability):
    """Distinct scores, the highest first, and how many positive and negative slices reach each."""
    check_same_shape(y_true, probability, names=("y_true", "probability"))
    y_true, probability = check_binary(y_true, "y_true"), np.asarray(probability, float)
    if y_true.ndim != 1 or not y_true.size:
        raise problem(f"y_true has shape {y_true.shape}", "(slices,), at least one", "Pass one value a slice.")
    if not np.isfinite(probability).all():
        raise problem("some scores are NaN or infinite", "a score for every slice", "Look for what made them.")
    order = np.argsort(-probability, kind="stable")
    scores, true = probability[order], y_true[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    return scores[last], true.cumsum()[last], (~true).cumsum()[last]


def _cumulated_pixels(predictions):
    background, hemorrhage = stack_histograms(check_judged(predictions))
    thresholds = np.arange(NUM_BINS)[::-1] / 1000
    return thresholds, hemorrhage.sum(axis=0)[::-1].cumsum(), background.sum(axis=0)[::-1].cumsum()
