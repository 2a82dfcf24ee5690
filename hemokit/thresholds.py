"""The threshold that makes a mask of probabilities: chosen on validation rows, never on test rows.

A pixel is predicted positive where probability >= threshold. A threshold that was chosen on the rows on which it is
then scored flatters the score: so both functions refuse rows of the split "test".
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, check_columns, check_same_shape, problem
from hemokit.exact_search import Areas, Pooled, search
from hemokit.metrics import Counts, dice, iou, precision, sensitivity
from hemokit.predictions import check_probabilities, stack_histograms
from hemokit.splits import SPLITS

OBJECTIVES = ("f1", "iou", "correlation")
_ON_VALIDATION = "Choose the threshold on validation rows, then score the test rows once with it."


class Search(NamedTuple):
    """The best threshold, its score, and a table of at most 1001 thresholds with their scores, for curves."""

    threshold: float
    score: float
    table: pd.DataFrame


def search_threshold(y_true, probability, *, objective="f1", split=None):
    """Find the best of all thresholds: exactly, in about one pass, with memory that does not grow with the pixels.

    Args:
        y_true: bool or 0/1 array of any shape; for "correlation" (slices, ...).
        probability: array of the same shape in [0, 1]; float16, float32 or float64 (others are converted).
        objective: "f1" (Dice) or "iou" of all pixels together, or "correlation": Pearson's r of the predicted with
            the true areas, one pair a slice, in pixels.
        split: the split of these rows, or one for each, if known.

    Returns:
        `Search`. The threshold is the value of `probability` with the highest score, of equal scores the highest
        value (correlations are equal when they agree to 12 digits). Table: threshold, f1, iou, precision,
        sensitivity, and for "correlation" also correlation; near the multiples of 1/1000, and the best one. A
        score of 0/0 is NaN, and so is the correlation where all predicted areas are equal: such a threshold is
        never chosen.

    Raises:
        HemokitError: rows of the split "test"; shapes that differ; NaN or values outside [0, 1]; no positive pixel;
            for "correlation" fewer than two slices, or areas that are all equal.
    """
    check_choice(objective, OBJECTIVES, "objective")
    _check_split(split)
    check_same_shape(y_true, probability, names=("y_true", "probability"))
    y_true, probability = np.asarray(y_true), np.asarray(probability)
    if probability.dtype not in (np.float16, np.float32, np.float64):  # else values are checked as they are read
        probability = check_probabilities(probability)
    if objective == "correlation":
        _check_slices(y_true.shape)
    pixels = (Areas if objective == "correlation" else Pooled)(y_true, probability)
    _check_positive(int(np.sum(pixels.positive)))
    if objective == "correlation":
        _check_areas(pixels.true)
    score, threshold, columns, edges, sums = search(pixels)
    if score == -np.inf:
        raise _undefined("the predicted areas are equal at every threshold")
    table = _curves(pixels, *_some(edges, sums, threshold, columns))
    return Search(threshold, score / (2 - score) if objective == "iou" else score, table)


def choose_threshold(predictions, *, objective="f1"):
    """Choose a threshold from a predictions frame: the best multiple of 1/1000, with exact counts.

    Args:
        predictions: a predictions frame of training or validation rows (column split) with true masks.
        objective: "f1" or "iou" of all pixels together, or "correlation": Pearson's r of the predicted with the
            true areas, one pair a slice, in mm2 (in pixels where no row has a pixel area).

    Returns:
        `Search`: of equal scores the highest threshold. The table has all 1001 thresholds with f1, iou, precision,
        sensitivity and correlation; undefined scores are NaN and never chosen.

    Raises:
        HemokitError: no rows; rows of the split "test", or of none; rows without a true mask; no positive pixel;
            for "correlation" fewer than two slices, areas that are all equal, or pixel areas that only some rows have.
    """
    check_choice(objective, OBJECTIVES, "objective")
    check_columns(predictions, ["split", "pixel_area_mm2"])
    if not len(predictions):
        raise problem("no rows", "validation rows with true masks", "Predict the validation rows as well.")
    _check_split(predictions["split"])
    at_least = [counts[:, ::-1].cumsum(axis=1)[:, ::-1] for counts in stack_histograms(predictions)]
    fp, tp = (one.sum(axis=0) for one in at_least)
    _check_positive(int(tp[:1].sum()))
    table = _table(np.arange(1001) / 1000, tp, tp + fp, tp[0])
    areas, true = at_least[0] + at_least[1], at_least[1][:, 0]
    if objective == "correlation":
        _check_slices(areas.shape)
        _check_areas(true)
    table["correlation"] = _correlations(areas, true, _pixel_areas(predictions, objective))
    score = table[objective].fillna(-np.inf).to_numpy()
    if score.max() == -np.inf:
        raise _undefined("the predicted areas are equal at every threshold")
    highest = len(score) - 1 - score[::-1].argmax()
    return Search(float(table["threshold"][highest]), float(score[highest]), table)


def _table(thresholds, tp, predicted, positive):
    """The scores of pooled counts at each threshold."""
    counts = Counts(tp, predicted - tp, positive - tp, 0)
    scores = {"f1": dice(counts), "iou": iou(counts), "precision": precision(counts)}
    return pd.DataFrame({"threshold": thresholds, **scores, "sensitivity": sensitivity(counts)})


def _some(edges, sums, threshold, columns):
    """Of the bins' edges those below the multiples of 1/1000, and the best threshold: (thresholds, columns)."""
    which = np.unique(np.searchsorted(edges, np.arange(1000) / 1000, side="right") - 1)
    which = which[edges[which] != threshold]
    thresholds = np.append(edges[which], threshold)
    order = thresholds.argsort()
    return thresholds[order], np.column_stack([sums[:, which], columns])[:, order]


def _curves(pixels, thresholds, sums):
    """The table of a search."""
    table = _table(thresholds, sums[0], sums[1], int(np.sum(pixels.positive)))
    if isinstance(pixels, Areas):
        table["correlation"] = np.where(np.isinf(pixels.score(sums)), np.nan, pixels.score(sums))
    return table


def _pixel_areas(predictions, objective):
    """The pixel area of each row, or ones where no row has one; NaN where only some have."""
    areas = predictions["pixel_area_mm2"].to_numpy(float)
    some = np.isnan(areas).any() and not np.isnan(areas).all()
    if some and objective == "correlation":
        came = f"{int(np.isnan(areas).sum())} of {len(areas)} rows have no pixel_area_mm2"
        raise problem(came, "areas of all slices in one unit", "Fill it for all rows, or set it to NaN for all.")
    return np.full(len(areas), np.nan) if some else np.where(np.isnan(areas), 1.0, areas)


def _correlations(areas, true, pixel_areas):
    """Pearson's r of each column of `areas` (slices, thresholds) with `true` (slices,), rounded to 12 digits."""
    areas, true = areas * pixel_areas[:, None], true * pixel_areas
    constant = (np.ptp(areas, axis=0) == 0) | (np.ptp(true) == 0)
    areas, true = areas - areas.mean(axis=0), true - true.mean()
    whole = np.sqrt((areas**2).sum(axis=0) * (true**2).sum())
    return np.round(np.divide(true @ areas, whole, out=np.full(len(whole), np.nan), where=~constant & (whole > 0)), 12)


def _check_split(split):
    """Raise where rows are of the test split, or of none that is known."""
    if split is None:
        return
    names = pd.Series([split] if isinstance(split, str) else np.asarray(split).ravel().tolist(), dtype=object)
    wrong = [None if name is np.nan else name for name in names[~names.isin(SPLITS)].tolist()]
    if wrong:
        remedy = "Split by patient first (hemokit.splits.split_by_patient)."
        raise problem(f"{len(wrong)} rows are of the split {wrong[0]!r}", f"one of {', '.join(SPLITS)}", remedy)
    tested = int((names == "test").sum())
    if tested:
        came = f"{tested} of {len(names)} rows are of the split 'test'"
        raise problem(came, "rows that are not scored later", _ON_VALIDATION, column="split")


def _check_positive(positive):
    if not positive:
        raise problem("no pixel is truly positive", "at least one", "Without one, no threshold is better than another.")


def _check_slices(shape):
    if len(shape) < 2 or shape[0] < 2:
        raise problem(f"the shape is {shape}", "(slices, ...) with two slices or more", "Pass the stack of slices.")


def _check_areas(true):
    if (true == true[0]).all():
        raise _undefined("the true areas of all slices are equal")


def _undefined(came):
    return problem(came, "areas that differ", "Their correlation is not defined: use f1, or other slices.")
