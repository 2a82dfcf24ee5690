"""Calibration: of the slices (or pixels) that were given 70 %, are 70 % hemorrhage?

The table is what a reliability diagram draws. (Niculescu-Mizil and Caruana 2005; the expected calibration error as
in Naeini et al. 2015. It depends on the bins: always say how many.)
"""

from numbers import Integral

import numpy as np
import pandas as pd

from hemokit.checks import check_binary, check_choice, check_columns, check_same_shape, problem
from hemokit.evaluation.bootstrap import check_confidence, percentile_interval, resample_weights, unit_codes
from hemokit.evaluation.reports import check_judged, check_scores, check_truth, origin_of
from hemokit.labels import ANY
from hemokit.metrics import ratio
from hemokit.predictions import NUM_BINS, stack_histograms

COLUMNS = ("from", "to", "n", "positives", "predicted", "observed", "low", "high")


def calibration_table(
    y_true, probability, *, num_bins=10, bins="equal_width", groups=None, num_resamples=1000, confidence=0.95, seed=0
):
    """Compare probabilities with what was true, in bins.

    Args:
        y_true: 0/1 array (slices,).
        probability: float array (slices,) in [0, 1].
        num_bins: 1 or more.
        bins: "equal_width" (0..0.1, 0.1..0.2, ...) or "equal_count" (about as many slices in each; fewer bins where
            values are equal). A bin holds its lower edge, the last one both.
        groups: patient ids (slices,): intervals come from resampling whole patients. None takes every slice for
            itself (Wilson 1927), which is too narrow where patients have many slices.
        num_resamples, confidence, seed: as in `bootstrap_interval`.

    Returns:
        DataFrame with `COLUMNS`, one row a bin from low to high: its edges (from, to), n slices and how many are
        positive, the mean probability (predicted), the part that is positive (observed) and its interval (low,
        high). An empty bin has n = 0 and NaN.

    Raises:
        HemokitError: no values, other shapes, values outside [0, 1]; a confidence that is none.
    """
    y_true, probability = _check_pair(y_true, probability)
    check_confidence(confidence)
    edges = _edges(probability, num_bins, bins)
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(edges) - 2)
    member = np.eye(len(edges) - 1)[place]  # (slices, bins)
    sums = np.stack([member, member * y_true[:, None], member * probability[:, None]])
    how = {"num_resamples": num_resamples, "confidence": confidence, "seed": seed}
    return _table(edges, sums, None if groups is None else _codes(groups, len(y_true)), how)


def slice_calibration(
    predictions, *, score="top_probability", label=ANY, num_bins=10, bins="equal_width", num_resamples=1000,
    confidence=0.95, seed=0,
):  # fmt: skip
    """Calibration of the slice scores: `calibration_table` by patient, with the columns unit, data, split and seed.

    Args:
        predictions, score, label: as in `slice_report`.
        num_bins, bins, num_resamples, confidence, seed: as in `calibration_table`.
    """
    frame = check_judged(predictions)
    truth, scores = check_truth(frame, label), check_scores(frame, score)
    unit_codes(frame)
    how = {"num_resamples": num_resamples, "confidence": confidence, "seed": seed}
    table = calibration_table(truth, scores, num_bins=num_bins, bins=bins, groups=frame["patient_id"], **how)
    return table.assign(unit="slices", patients=frame["patient_id"].nunique(), **origin_of(frame), seed=seed)


def pixel_calibration(predictions, *, num_bins=10, num_resamples=1000, confidence=0.95, seed=0):
    """Calibration of the pixels, from the histograms: the same columns, n counts pixels, intervals by patient.

    Args:
        predictions: as in `segmentation_report`.
        num_bins: bins of equal width; a divisor of 1000, because pixels are counted in steps of 1/1000. So
            predicted is known to 0.0005.
        num_resamples, confidence, seed: as in `bootstrap_interval`.
    """
    _check_num_bins(num_bins)
    check_confidence(confidence)
    if 1000 % num_bins:
        raise problem(f"num_bins is {num_bins}", "a divisor of 1000", "Take 10, 20, 25, 40, 50 or 100.")
    frame = check_judged(predictions)
    background, hemorrhage = stack_histograms(frame)
    starts = np.arange(num_bins) * (1000 // num_bins)  # probability 1, counted alone, belongs to the last
    counts = background + hemorrhage
    sums = np.stack([np.add.reduceat(one, starts, axis=1) for one in (counts, hemorrhage, counts * _middles())])
    how = {"num_resamples": num_resamples, "confidence": confidence, "seed": seed}
    table = _table(np.arange(num_bins + 1) / num_bins, sums, unit_codes(frame), how)
    return table.assign(unit="pixels", patients=frame["patient_id"].nunique(), **origin_of(frame), seed=seed)


def expected_calibration_error(table):
    """Mean distance of probability and truth over the bins of a calibration table, weighted by n; 0..1, 0 is best."""
    check_columns(table, COLUMNS)
    filled = table[table["n"] > 0]
    distance = (filled["predicted"] - filled["observed"]).abs()
    return float(ratio((distance * filled["n"]).sum(), filled["n"].sum()))


def pixel_brier(predictions):
    """Mean squared distance of the pixels' probabilities from the truth, known to 0.001: float."""
    background, hemorrhage = stack_histograms(check_judged(predictions))
    middles = _middles()
    squares = hemorrhage.sum(axis=0) @ (1 - middles) ** 2 + background.sum(axis=0) @ middles**2
    return ratio(squares, background.sum() + hemorrhage.sum())


def wilson_interval(positives, n, *, confidence=0.95):
    """Interval of a fraction of independent cases (Wilson 1927): (low, high), arrays; NaN where n is 0."""
    from scipy.stats import norm

    check_confidence(confidence)
    z = norm.ppf((1 + confidence) / 2)
    n, part = np.asarray(n, float), ratio(positives, n)
    center = ratio(n * part + z**2 / 2, n + z**2)
    half = ratio(z * np.sqrt(n * part * (1 - part) + z**2 / 4), n + z**2)
    return np.maximum(center - half, 0), np.minimum(center + half, 1)


def _table(edges, sums, codes, how):
    """The table from sums (count, positives, probability; rows; bins)."""
    n, positives, probability = sums.sum(axis=1)
    fraction = ratio(positives, n)
    if codes is None:
        low, high = wilson_interval(positives, n, confidence=how["confidence"])
    else:
        low, high = _by_patient(sums, fraction, codes, **how)
    columns = (edges[:-1], edges[1:], n.astype(int), positives.astype(int), ratio(probability, n), fraction, low, high)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _by_patient(sums, fraction, codes, *, num_resamples, confidence, seed):
    """Limits of each bin's fraction: two lists."""
    chunks = resample_weights(codes, num_resamples=num_resamples, seed=seed)
    drawn = np.concatenate([ratio(weights @ sums[1], weights @ sums[0]) for weights in chunks])
    found = [
        percentile_interval(estimate, values, codes.max() + 1, confidence=confidence).interval
        for estimate, values in zip(fraction, drawn.T, strict=True)
    ]
    return [one.low for one in found], [one.high for one in found]


def _check_pair(y_true, probability):
    check_same_shape(y_true, probability, names=("y_true", "probability"))
    y_true, probability = check_binary(y_true, "y_true"), np.asarray(probability, float)
    if y_true.ndim != 1 or not y_true.size:
        raise problem(f"y_true has shape {y_true.shape}", "(slices,), at least one", "Pass one value a slice.")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise problem("some probabilities are not in [0, 1]", "numbers from 0 to 1", "Pass logits through a sigmoid.")
    return y_true, probability


def _check_num_bins(num_bins):
    if not isinstance(num_bins, Integral) or isinstance(num_bins, bool) or num_bins < 1:
        raise problem(f"num_bins is {num_bins!r}", "a whole number from 1", "Ten bins are usual.")


def _edges(probability, num_bins, bins):
    """Edges of the bins, rising."""
    _check_num_bins(num_bins)
    if check_choice(bins, ("equal_width", "equal_count"), "bins") == "equal_width":
        return np.arange(num_bins + 1) / num_bins
    edges = np.unique(np.quantile(probability, np.arange(num_bins + 1) / num_bins))
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def _codes(groups, num_rows):
    if len(groups) != num_rows:
        raise problem(f"{len(groups)} groups for {num_rows} slices", "one patient id a slice", "Pass the column.")
    return unit_codes(pd.DataFrame({"patient_id": np.asarray(groups, object)}))


def _middles():
    """The probability that stands for each bin of the histograms."""
    return np.append((np.arange(NUM_BINS - 1) + 0.5) / 1000, 1.0)
