"""Experiments with a known truth: what intervals, more slices and the best of many runs are worth.

Scores here are a sum over a sum, as Dice is: each slice brings a pair (2 tp, 2 tp + fp + fn). The patients at hand are
taken for the world, so that the truth is known, and tests are drawn from it.
"""

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.evaluation.bootstrap import unit_codes
from hemokit.predictions import counts_at


def dice_pairs(predictions, threshold):
    """The pairs (2 tp, 2 tp + fp + fn) of each patient's slices: list of int64 arrays (slices, 2), by patient id.

    Raises:
        HemokitError: no rows, no patients, rows without masks; no pixel that is positive or predicted.
    """
    tp, fp, fn, _ = counts_at(predictions, threshold)
    pairs, codes = np.stack([2 * tp, 2 * tp + fp + fn], axis=1), unit_codes(predictions)
    if not pairs[:, 1].sum():
        raise problem("no pixel is positive or predicted", "at least one", "Without one there is no Dice.")
    return [pairs[codes == code] for code in range(codes.max() + 1)]


def coverage(pairs, *, num_patients=10, num_tests=300, num_resamples=400, seed=0):
    """How many 95 % bootstrap intervals hold the truth, drawing slices and drawing patients.

    Args:
        pairs: as `dice_pairs` gives them; the score of all of them together is the truth.
        num_patients: in each test, drawn from these with replacement.
        num_tests: how many tests.
        num_resamples: of each interval.
        seed: whole number from 0.

    Returns:
        dict "slices", "patients" -> part of the tests whose interval holds the truth, 0..1. An interval that is
        undefined (no pixel in the whole test) does not hold it.
    """
    rng, truth = np.random.default_rng(seed), _score(np.concatenate(pairs))
    inside = {"slices": 0, "patients": 0}
    for _ in range(num_tests):
        came = [pairs[one] for one in rng.integers(len(pairs), size=num_patients)]
        for unit, values in (("slices", np.concatenate(came)), ("patients", np.stack([one.sum(0) for one in came]))):
            low, high = _interval(values, num_resamples, rng)
            inside[unit] += low <= truth <= high
    return {unit: hits / num_tests for unit, hits in inside.items()}


def sampling_spread(pairs, *, num_patients, num_slices, num_tests=300, seed=0):
    """Standard deviation of the score over tests of so many patients with so many slices each.

    Args:
        pairs, num_tests, seed: as `coverage`.
        num_patients, num_slices: of one test; both are drawn with replacement.
    """
    rng, scores = np.random.default_rng(seed), []
    for _ in range(num_tests):
        some = [pairs[one] for one in rng.integers(len(pairs), size=num_patients)]
        scores.append(_score(np.stack([one[rng.integers(len(one), size=num_slices)].sum(0) for one in some])))
    return float(np.nanstd(scores))


def winners_curse(num_runs=(1, 5, 20, 50), *, truth=0.8, num_patients=20, num_repeats=4000, seed=0):
    """What the best of several equally good runs seems to reach.

    Args:
        num_runs: how many runs compete, one number a row.
        truth: the chance of each run to find a patient.
        num_patients: with hemorrhage, in the validation part and in the test.
        num_repeats: of the whole competition.
        seed: whole number from 0.

    Returns:
        DataFrame runs, best_on_test (mean of the highest test score), chosen_on_validation (mean test score of the
        run with the highest validation score), truth.
    """
    rng, rows = np.random.default_rng(seed), []
    for count in num_runs:
        validation, test = rng.binomial(num_patients, truth, size=(2, num_repeats, count)) / num_patients
        chosen = np.take_along_axis(test, validation.argmax(axis=1)[:, None], axis=1)
        rows.append((count, test.max(axis=1).mean(), chosen.mean(), truth))
    return pd.DataFrame(rows, columns=["runs", "best_on_test", "chosen_on_validation", "truth"])


def _score(pairs):
    """Sum over sum; NaN for 0/0."""
    top, bottom = pairs.sum(axis=0)
    return top / bottom if bottom else np.nan


def _interval(values, num_resamples, rng):
    """Percentile interval of the score, drawing rows of `values`; NaN where it is undefined."""
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), num_resamples)
    top, bottom = (weights @ values).T
    scores = top[bottom > 0] / bottom[bottom > 0]
    return np.quantile(scores, [0.025, 0.975]) if len(scores) else (np.nan, np.nan)
