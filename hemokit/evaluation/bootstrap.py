"""Intervals by patient: whole patients are drawn again and again, never single slices.

The slices of one patient resemble each other, so 1,000 slices of 20 patients tell about 20 patients. Every resample
draws as many patients as there are, with replacement (Efron and Tibshirani 1993, chapter 13: the percentile
interval). It is written as a whole-number weight for each row: how often its patient was drawn.

Three rules. (1) With fewer than 5 patients there is no interval; below about 20 it tends to be too narrow.
(2) A resample in which the statistic is undefined (NaN: no positive slice was drawn, say) is left out and counted.
(3) If more than a tenth of the resamples are undefined, there is no interval.
"""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem

MIN_UNITS = 5
MAX_UNDEFINED = 0.1
_CELLS = 4_000_000  # weights held at one time
_IDS = ("patient_id", "scan_id", "slice_id")


class Interval(NamedTuple):
    """An estimate and its interval; `low` and `high` are NaN where there is none. Prints as 0.71 [0.62, 0.80]."""

    estimate: float
    low: float
    high: float

    def __str__(self):
        return show_interval(*self)


class Resampled(NamedTuple):
    """An `interval`, how many resamples were `undefined`, and a `note` that says why there is no interval (or "")."""

    interval: Interval
    undefined: int
    note: str


def show_interval(estimate, low=np.nan, high=np.nan, *, digits=2):
    """Write a figure with its interval, as in 0.71 [0.62, 0.80]; "undefined" for NaN, "0.71 [no interval]"."""
    if np.isnan(estimate):
        return "undefined"
    estimate, low, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in (estimate, low, high))  # no -0.00
    return f"{estimate} [no interval]" if "nan" in (low, high) else f"{estimate} [{low}, {high}]"


def bootstrap_interval(statistic, predictions, *, unit="patient_id", num_resamples=1000, confidence=0.95, seed=0):
    """Percentile interval of any statistic of a predictions frame, by patient.

    Args:
        statistic: a function that takes a frame and returns a float, NaN where it is undefined.
        predictions: a predictions frame, or any DataFrame with the column `unit`. The order of its rows does not
            matter where it has the column slice_id.
        unit: the column whose values are drawn whole. By slice ("slice_id") the interval is too narrow.
        num_resamples: 100 or more.
        confidence: between 0 and 1.
        seed: a whole number from 0; the same seed gives the same interval.

    Returns:
        `Interval`. A patient drawn twice stands in the resampled frame twice, under ids of its own ("049",
        "049~1"), so that a statistic over scans or patients counts it twice.

    Raises:
        HemokitError: fewer than 5 patients; the statistic undefined, or in more than a tenth of the resamples; a row
            without id.
    """
    values = bootstrap_values(statistic, predictions, unit=unit, num_resamples=num_resamples, seed=seed)
    check_confidence(confidence)
    estimate, num_units = float(statistic(_ordered(predictions))), predictions[unit].nunique()
    found = percentile_interval(estimate, values, num_units, unit=unit, confidence=confidence)
    if found.note:
        remedy = "Report the estimate alone, with its n, or judge more patients."
        raise problem(found.note, "a statistic that can be resampled", remedy)
    return found.interval


def bootstrap_values(statistic, predictions, *, unit="patient_id", num_resamples=1000, seed=0):
    """The statistic of every resample, NaN where it is undefined: float array (num_resamples,)."""
    frame = _ordered(predictions)
    codes = unit_codes(frame, unit)
    ids = {name: frame[name].to_numpy(object) for name in _IDS if name in frame}
    values = []
    for weights in resample_weights(codes, num_resamples=num_resamples, seed=seed):
        values += [float(statistic(_resampled(frame, ids, row))) for row in weights]
    return np.array(values)


def resample_weights(codes, *, num_resamples=1000, seed=0):
    """How often each row stands in each resample, in chunks that fit into memory.

    Args:
        codes: int array (rows,), the number of each row's patient, 0 .. patients - 1; see `unit_codes`.

    Yields:
        int64 arrays (some resamples, rows), num_resamples in all; rows of one patient have equal weights.
    """
    if not isinstance(num_resamples, Integral) or num_resamples < 100:
        raise problem(f"num_resamples is {num_resamples!r}", "a whole number of at least 100", "Take 1000.")
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise problem(f"seed is {seed!r}", "a whole number from 0", "Write seed=0, and keep the number.")
    rng, num_units = np.random.default_rng(seed), int(codes.max()) + 1
    chunk = max(1, _CELLS // max(len(codes), 1))
    for first in range(0, num_resamples, chunk):
        drawn = rng.multinomial(num_units, np.full(num_units, 1 / num_units), min(chunk, num_resamples - first))
        yield drawn[:, codes]


def unit_codes(frame, unit="patient_id"):
    """Number the patients (or scans, or slices) in the order of their ids: int array (rows,)."""
    check_columns(frame, [unit])
    if not len(frame):
        raise problem("the frame has no rows", "at least one slice", "Look at the filter before.")
    missing = int(frame[unit].isna().sum())
    if missing:
        raise problem(
            f"{missing} of {len(frame)} rows have no {unit}",
            "an id in every row, because whole patients are resampled",
            "Join the patients first; or pass unit='slice_id' and say that the interval is too narrow.",
            column=unit,
        )
    return pd.factorize(frame[unit], sort=True)[0]


def percentile_interval(estimate, values, num_units, *, unit="patient_id", confidence=0.95):
    """The interval between two percentiles of resampled values, by the three rules above: `Resampled`."""
    undefined = int(np.isnan(values).sum())
    note = ""
    if np.isnan(estimate):
        note = "undefined for these rows"
    elif num_units < MIN_UNITS:
        name = {"patient_id": "patients", "scan_id": "scans", "slice_id": "slices"}.get(unit, f"values of {unit}")
        note = f"no interval: {num_units} {name}, at least {MIN_UNITS} are needed"
    elif undefined > MAX_UNDEFINED * len(values):
        note = f"no interval: undefined in {undefined} of {len(values)} resamples"
    if note:
        return Resampled(Interval(float(estimate), np.nan, np.nan), undefined, note)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[~np.isnan(values)], [tail, 1 - tail])
    return Resampled(Interval(float(estimate), float(low), float(high)), undefined, "")


def weighted_intervals(statistics, codes, *, unit="patient_id", num_resamples=1000, confidence=0.95, seed=0):
    """Intervals of several statistics from the same resamples, without copying a single row.

    Args:
        statistics: a function that takes weights (resamples, rows) and returns a dict: name -> float array
            (resamples,). Weights of 1 give the estimates.
        codes: as in `resample_weights`.

    Returns:
        dict: name -> `Resampled`, equal to `bootstrap_interval` with the same seed.
    """
    check_confidence(confidence)
    estimates = statistics(np.ones((1, len(codes)), np.int64))
    chunks = [statistics(weights) for weights in resample_weights(codes, num_resamples=num_resamples, seed=seed)]
    values = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in estimates}
    num_units = int(codes.max()) + 1
    return {
        name: percentile_interval(float(one[0]), values[name], num_units, unit=unit, confidence=confidence)
        for name, one in estimates.items()
    }


def check_confidence(confidence):
    """Raise HemokitError unless a confidence is a number between 0 and 1."""
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        raise problem(f"confidence is {confidence!r}", "a number between 0 and 1", "0.95 is usual.")


def _ordered(frame):
    """The rows in the order of their slices, so that their order in the file changes nothing."""
    return frame.sort_values("slice_id", ignore_index=True) if "slice_id" in frame else frame.reset_index(drop=True)


def _resampled(frame, ids, weights):
    """Rows repeated by their weights; the second copy of a patient gets ids of its own, and so on."""
    rows = np.repeat(np.arange(len(frame)), weights)
    copy = np.arange(len(rows)) - np.repeat(np.cumsum(weights) - weights, weights)
    resampled = frame.take(rows).reset_index(drop=True)
    again = copy > 0
    for name, values in ids.items():
        named = values[rows]
        named[again] = [  # a missing id stays missing
            value if pd.isna(value) else f"{value}~{number}"
            for value, number in zip(named[again], copy[again], strict=True)
        ]
        resampled[name] = named
    return resampled
