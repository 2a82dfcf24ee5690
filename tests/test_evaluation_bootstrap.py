"""Intervals by patient."""

import numpy as np
import pandas as pd
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hemokit.checks import HemokitError
from hemokit.evaluation import (
    Interval,
    auroc,
    bootstrap_interval,
    bootstrap_values,
    scan_report,
    scan_scores,
    segmentation_report,
    show_interval,
    slice_report,
)
from hemokit.evaluation.bootstrap import percentile_interval, resample_weights, unit_codes
from hemokit.metrics import dice, sum_counts
from hemokit.predictions import counts_at


def mean_of(column):
    """A statistic: the mean of a column."""
    return lambda frame: frame[column].mean()


def groups(values, size):
    """A frame with one value a patient, on `size` slices each."""
    patients = np.repeat([f"{number:03}" for number in range(len(values))], size)
    slices = [f"{patient}_{place}" for place, patient in enumerate(patients)]
    return pd.DataFrame({"patient_id": patients, "slice_id": slices, "value": np.repeat(values, size)})


@pytest.mark.slow
def test_copies_of_slices_do_not_narrow():
    """Ten equal slices a patient give the interval of one slice a patient: n is the number of patients."""
    values = np.random.default_rng(1).normal(size=20)
    once, ten = (bootstrap_interval(mean_of("value"), groups(values, size)) for size in (1, 10))
    assert once == pytest.approx(ten)
    by_slice = bootstrap_interval(mean_of("value"), groups(values, 10), unit="slice_id")
    assert by_slice.high - by_slice.low < 0.5 * (once.high - once.low)


@pytest.mark.slow
def test_standard_error_of_a_mean():
    """For a mean of patients the interval is about 1.96 standard errors on both sides."""
    values = np.random.default_rng(2).normal(size=60)
    found = bootstrap_interval(mean_of("value"), groups(values, 3), num_resamples=2000)
    error = 1.96 * values.std() / np.sqrt(60)
    assert found.estimate == pytest.approx(values.mean())
    assert [found.estimate - found.low, found.high - found.estimate] == pytest.approx([error, error], rel=0.08)


@pytest.mark.slow
def test_coverage():
    """Of 300 samples of 30 patients, about 95 % of the intervals hold the true mean (3 standard errors: 91 to 99)."""
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(300):
        values = rng.normal(size=30)
        weights = np.concatenate(list(resample_weights(np.arange(30), num_resamples=500, seed=seed)))
        found = percentile_interval(values.mean(), weights @ values / 30, 30).interval
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / 300 <= 0.99


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 99))
def test_slices_of_a_patient_travel_together(patients, seed):
    """Rows of one patient have one weight, and the patients drawn are as many as there are."""
    codes = unit_codes(pd.DataFrame({"patient_id": [str(one) for one in patients]}))
    weights = np.concatenate(list(resample_weights(codes, num_resamples=100, seed=seed)))
    assert weights.shape == (100, len(patients))
    first = [int(np.flatnonzero(codes == code)[0]) for code in range(codes.max() + 1)]
    assert (weights == weights[:, first][:, codes]).all()
    assert (weights[:, first].sum(axis=1) == len(first)).all()


@pytest.mark.slow
def test_copies_get_ids_of_their_own():
    """A patient drawn twice is two patients and two scans of the resampled frame, and no slice stands twice."""
    frame = frame_of([0, 1] * 6, np.linspace(0, 1, 12), np.repeat(range(6), 2))

    def statistic(drawn):
        assert drawn["slice_id"].is_unique and (drawn.groupby("patient_id").size() == 2).all()
        assert len(scan_scores(drawn)) == 6
        return drawn["patient_id"].nunique()

    assert (bootstrap_values(statistic, frame, num_resamples=100) == 6).all()
    without = frame.assign(scan_id=None)  # a missing id stays missing in every copy
    assert (bootstrap_values(lambda drawn: drawn["scan_id"].nunique(), without, num_resamples=100) == 0).all()


def test_seed_and_order_of_rows():
    """The same seed gives the same interval, whatever the order of the rows; another seed another."""
    frame = frame_of([0, 1, 1] * 10, np.random.default_rng(0).random(30), np.repeat(range(10), 3))
    mixed = frame.sample(frac=1, random_state=4)
    first, again, other = (
        bootstrap_interval(mean_of("top_probability"), rows, num_resamples=200, seed=seed)
        for rows, seed in ((frame, 0), (mixed, 0), (frame, 1))
    )
    assert first == again != other
    pd.testing.assert_frame_equal(slice_report(frame, threshold=0.5), slice_report(mixed, threshold=0.5))


@pytest.mark.slow
def test_reports_equal_the_general_way():
    """Weights give the very intervals that copies of rows give, for slices, scans and pixels."""
    frame = masked_frame(*random_masked())
    how = {"num_resamples": 100, "seed": 3}
    slices = slice_report(frame, **how).set_index("metric").loc["auroc"]
    expected = bootstrap_interval(lambda one: roc_auc_score(one["any"], one["top_probability"]), frame, **how)
    assert slices[["estimate", "low", "high"]].tolist() == pytest.approx(list(expected))
    scans = scan_report(frame, top_slices=2, **how).set_index("metric").loc["brier"]
    expected = bootstrap_interval(
        lambda one: ((scan_scores(one, top_slices=2)["any"] - scan_scores(one, top_slices=2)["top_probability"]) ** 2)
        .mean(), frame, **how,
    )  # fmt: skip
    assert scans[["estimate", "low", "high"]].tolist() == pytest.approx(list(expected))
    masks = segmentation_report(frame, threshold=0.5, **how).set_index("metric").loc["dice"]
    expected = bootstrap_interval(lambda one: dice(sum_counts(counts_at(one, 0.5))), frame, **how)
    assert masks[["estimate", "low", "high"]].tolist() == pytest.approx(list(expected))


def test_chunks_change_nothing(monkeypatch):
    """The resamples are the same when memory allows few at a time."""
    codes = np.arange(9)
    whole = np.concatenate(list(resample_weights(codes, num_resamples=100)))
    monkeypatch.setattr("hemokit.evaluation.bootstrap._CELLS", 60)
    assert (np.concatenate(list(resample_weights(codes, num_resamples=100))) == whole).all()


def test_undefined_resamples():
    """Few undefined resamples are left out and counted; more than a tenth, and there is no interval."""
    values = np.r_[np.full(10, np.nan), np.arange(90.0)]
    found = percentile_interval(40.0, values, 9)
    assert found.undefined == 10 and found.note == ""
    assert found.interval[1:] == pytest.approx(np.quantile(np.arange(90), [0.025, 0.975]))
    values[10] = np.nan
    found = percentile_interval(40.0, values, 9)
    assert np.isnan(found.interval.low) and found.note == "no interval: undefined in 11 of 100 resamples"


@pytest.mark.parametrize(
    "how, message",
    [
        ({"num_resamples": 99}, "num_resamples is 99, but expected a whole number of at least 100"),
        ({"confidence": 95}, "confidence is 95, but expected a number between 0 and 1"),
        ({"seed": -1}, "seed is -1, but expected a whole number from 0"),
        ({"seed": True}, "seed is True"),
        ({"unit": "ward"}, "lacks the column.s. 'ward'"),
    ],
)
def test_bad_settings(how, message):
    """Settings that mean nothing are refused."""
    with pytest.raises(HemokitError, match=message):
        bootstrap_interval(mean_of("value"), groups(range(9), 1), **how)


def test_no_interval_is_an_error_when_asked_for():
    """Four patients, no patients, unknown patients, an undefined statistic: a sentence each."""
    with pytest.raises(HemokitError, match="no interval: 4 patients, at least 5 are needed"):
        bootstrap_interval(mean_of("value"), groups(range(4), 9))
    with pytest.raises(HemokitError, match="the frame has no rows"):
        bootstrap_interval(mean_of("value"), groups([], 1))
    with pytest.raises(HemokitError, match="1 of 9 rows have no patient_id"):
        bootstrap_interval(mean_of("value"), groups(range(9), 1).replace({"patient_id": {"003": None}}))
    with pytest.raises(HemokitError, match="undefined for these rows"):
        bootstrap_interval(lambda frame: np.nan, groups(range(9), 1))
    with pytest.raises(HemokitError, match="undefined in .* of 1000 resamples"):
        bootstrap_interval(lambda frame: auroc(frame["value"] > 7, frame["value"]), groups(range(9), 1))


@pytest.mark.parametrize(
    "interval, text",
    [
        ((0.714, 0.617, 0.804), "0.71 [0.62, 0.80]"),
        ((0.5, np.nan, np.nan), "0.50 [no interval]"),
        ((np.nan, np.nan, np.nan), "undefined"),
        ((-0.001, -0.2, 0.001), "0.00 [-0.20, 0.00]"),
    ],
)
def test_show(interval, text):
    """An interval prints as readers expect it, and never as minus zero."""
    assert str(Interval(*interval)) == show_interval(*interval) == text
