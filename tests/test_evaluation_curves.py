"""Curves and calibration, against scikit-learn."""

import numpy as np
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from hemokit.checks import HemokitError
from hemokit.evaluation import (
    calibration_table,
    expected_calibration_error,
    pixel_brier,
    pixel_calibration,
    pixel_pr_points,
    pixel_roc_points,
    pr_points,
    roc_points,
    slice_calibration,
    wilson_interval,
)

cases = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40)


@settings(max_examples=100, deadline=None)
@given(cases)
def test_curves_equal_scikit_learn(case):
    """Both curves have scikit-learn's points, in the order of falling thresholds."""
    true, score = (np.array(column) for column in zip(*case, strict=True))
    if len(set(true.tolist())) < 2:
        return
    fpr, tpr, thresholds = reference.roc_curve(true, score / 8, drop_intermediate=False)
    np.testing.assert_allclose(
        roc_points(true, score / 8), np.column_stack([thresholds, fpr, 1 - fpr, tpr]), atol=1e-12
    )
    precision, recall, thresholds = reference.precision_recall_curve(true, score / 8)
    expected = np.column_stack([thresholds, precision[:-1], recall[:-1]])[::-1]
    np.testing.assert_allclose(pr_points(true, score / 8), expected, atol=1e-12)


def test_pixel_curves_equal_the_pixels():
    """From histograms: the same curve as from all pixels, where these are multiples of 1/1000."""
    maps, masks, patients = random_masked(3)
    maps = np.round(maps.astype(np.float64), 3)
    frame, order = masked_frame(maps, masks, patients), ["threshold", "precision", "sensitivity"]
    expected = pr_points(masks.ravel(), maps.ravel())
    found = pixel_pr_points(frame).set_index("threshold").loc[expected["threshold"].round(3)].reset_index()
    np.testing.assert_allclose(found[order], expected[order])
    expected = roc_points(masks.ravel(), maps.ravel())
    found = pixel_roc_points(frame).set_index("threshold").loc[expected["threshold"].round(3)].reset_index()
    np.testing.assert_allclose(found, expected)
    low = pixel_pr_points(masked_frame(maps / 2, masks, patients))
    assert len(low) == 1001 and np.isnan(low["precision"].iloc[0])  # no pixel reaches 1


def test_curves_of_one_class():
    """Without a positive slice there is no sensitivity, and without a negative one no specificity."""
    assert roc_points([0, 0], [0.1, 0.2])["sensitivity"].isna().all()
    assert roc_points([1, 1], [0.1, 0.2])["specificity"].isna().all()
    assert pr_points([0, 0], [0.1, 0.2])["precision"].tolist() == [0, 0]


@pytest.mark.parametrize("function", [roc_points, pr_points])
@pytest.mark.parametrize(
    "true, score, message",
    [
        ([], [], "y_true has shape"),
        ([0, 1], [0.1], "y_true has shape .2,. and probability has shape .1,."),
        ([0, 2], [0.1, 0.2], "y_true holds the value 2"),
        ([0, 1], [0.1, np.nan], "some scores are NaN or infinite"),
    ],
)
def test_curves_refuse(function, true, score, message):
    """No slices, other shapes, other labels, no score."""
    with pytest.raises(HemokitError, match=message):
        function(true, score)


@pytest.mark.parametrize("bins, strategy", [("equal_width", "uniform"), ("equal_count", "quantile")])
def test_calibration_equals_scikit_learn(bins, strategy):
    """Means and fractions of the filled bins are scikit-learn's; counts add up."""
    rng = np.random.default_rng(0)
    probability = rng.random(200) * 0.8
    true = rng.random(200) < probability
    table = calibration_table(true, probability, num_bins=7, bins=bins)
    fraction, mean = calibration_curve(true, probability, n_bins=7, strategy=strategy)
    filled = table[table["n"] > 0]
    np.testing.assert_allclose(filled["observed"], fraction)
    np.testing.assert_allclose(filled["predicted"], mean)
    assert table["n"].sum() == 200 and table["positives"].sum() == true.sum()
    assert (filled["low"] <= filled["observed"]).all() and (filled["observed"] <= filled["high"]).all()


def test_calibration_by_hand():
    """Edges belong to the upper bin, 1 to the last; an empty bin stays, with NaN."""
    table = calibration_table([0, 1, 1, 1], [0.0, 0.25, 0.25, 1.0], num_bins=4)
    assert table["n"].tolist() == [1, 2, 0, 1] and table["positives"].tolist() == [0, 2, 0, 1]
    assert table["predicted"].tolist()[:2] == [0, 0.25] and np.isnan(table["observed"][2])
    assert table["from"].tolist() == [0, 0.25, 0.5, 0.75] and table["to"].iloc[-1] == 1
    assert expected_calibration_error(table) == pytest.approx(2 / 4 * 0.75)
    constant = calibration_table([0, 1], [0.3, 0.3], bins="equal_count")
    assert constant["n"].tolist() == [2]


@pytest.mark.parametrize("make", [
    lambda confidence: calibration_table([0, 1], [0.3, 0.3], confidence=confidence),
    lambda confidence: calibration_table([0, 1], [0.3, 0.3], groups=["a", "b"], confidence=confidence),
    lambda confidence: wilson_interval(3, 9, confidence=confidence),
])  # fmt: skip
def test_a_confidence_in_percent_is_refused(make):
    """95 is no part of one."""
    with pytest.raises(HemokitError, match="confidence is 95, but expected a number between 0 and 1"):
        make(95)


def test_wilson_equals_scipy():
    """The interval without patients is SciPy's; without slices it is NaN."""
    from scipy.stats import binomtest

    for positives, n in ((0, 7), (3, 8), (9, 9)):
        expected = binomtest(positives, n).proportion_ci(method="wilson")
        assert wilson_interval(positives, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(wilson_interval(0, 0)).all()


def test_calibration_by_patient_is_wider():
    """Slices that are copies of each other narrow Wilson's interval, and not the one by patient."""
    rng = np.random.default_rng(1)
    true, patients = np.repeat(rng.random(30) < 0.4, 20), np.repeat([f"{one}" for one in range(30)], 20)
    alone = calibration_table(true, np.full(600, 0.4), num_bins=1).iloc[0]
    by_patient = calibration_table(true, np.full(600, 0.4), num_bins=1, groups=patients).iloc[0]
    assert by_patient["high"] - by_patient["low"] > 3 * (alone["high"] - alone["low"])
    assert by_patient["low"] < by_patient["observed"] < by_patient["high"]


def test_slice_calibration():
    """The frame's table is that of its columns, by patient, with its origin in every row."""
    frame = frame_of([0, 1] * 6, np.linspace(0.05, 0.95, 12), np.repeat(range(6), 2))
    table = slice_calibration(frame, num_bins=5)
    order = frame.sort_values("slice_id")
    expected = calibration_table(order["any"], order["top_probability"], num_bins=5, groups=order["patient_id"])
    np.testing.assert_allclose(table[expected.columns], expected)
    origin = {"unit": "slices", "patients": 6, "data": "phantom", "split": "test", "seed": 0}
    assert table[list(origin)].drop_duplicates().to_dict("records") == [origin]


def test_pixel_calibration_equals_the_pixels():
    """From histograms: counts are exact, means and the Brier score to the width of a bin."""
    maps, masks, patients = random_masked(4)
    maps[1, :2] = 1.0
    frame = masked_frame(maps, masks, patients)
    table = pixel_calibration(frame, num_bins=20)
    expected = calibration_table(masks.ravel(), maps.ravel().astype(float), num_bins=20)
    assert table["n"].tolist() == expected["n"].tolist()
    assert table["positives"].tolist() == expected["positives"].tolist()
    np.testing.assert_allclose(table["predicted"], expected["predicted"], atol=0.0005)
    assert set(table["unit"]) == {"pixels"} and table["n"].sum() == maps.size
    assert pixel_brier(frame) == pytest.approx(((maps - masks) ** 2).mean(), abs=0.001)
    assert expected_calibration_error(table) == pytest.approx(expected_calibration_error(expected), abs=0.0006)


def test_calibration_refuses():
    """Bins that are none, values outside [0, 1], no slices, other lengths."""
    with pytest.raises(HemokitError, match="num_bins is 0"):
        calibration_table([0, 1], [0.1, 0.2], num_bins=0)
    with pytest.raises(HemokitError, match="bins is 'round'"):
        calibration_table([0, 1], [0.1, 0.2], bins="round")
    with pytest.raises(HemokitError, match="not in .0, 1."):
        calibration_table([0, 1], [0.1, 1.2])
    with pytest.raises(HemokitError, match="y_true has shape"):
        calibration_table([], [])
    with pytest.raises(HemokitError, match="1 groups for 2 slices"):
        calibration_table([0, 1], [0.1, 0.2], groups=["a"])
    with pytest.raises(HemokitError, match="num_bins is 7, but expected a divisor of 1000"):
        pixel_calibration(masked_frame(*random_masked()), num_bins=7)
    with pytest.raises(HemokitError, match="lacks the column"):
        expected_calibration_error(pr_points([0, 1], [0.1, 0.2]))
