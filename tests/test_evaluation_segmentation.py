"""Scores of masks and volumes."""

import numpy as np
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked
from sklearn import metrics as reference

from hemokit.checks import HemokitError
from hemokit.evaluation import (
    bland_altman,
    iou_with_background,
    segmentation_report,
    volume_report,
    volume_table,
)
from hemokit.metrics import Counts


def drawn(*slices):
    """Slices (7, 8) with the first so many pixels set."""
    stack = np.zeros((len(slices), 56))
    for one, number in zip(stack, slices, strict=True):
        one[:number] = 1
    return stack.reshape(-1, 7, 8)


def test_by_hand():
    """Six slices: two exact, one half found, one false alarm, two empty; each figure by hand."""
    frame = masked_frame(drawn(4, 8, 2, 4, 0, 0).astype(np.float32), drawn(4, 8, 4, 0, 0, 0), range(6))
    report = segmentation_report(frame, threshold=0.5).set_index("metric")
    found = report["estimate"]  # pooled: tp 14, fp 4, fn 2, tn 316
    assert found["dice"] == pytest.approx(28 / 34) and found["iou"] == pytest.approx(14 / 20)
    assert found["precision"] == pytest.approx(14 / 18) and found["sensitivity"] == pytest.approx(14 / 16)
    assert found["specificity"] == pytest.approx(316 / 320) and found["pixel_accuracy"] == pytest.approx(330 / 336)
    assert found["slice_dice"] == pytest.approx((1 + 1 + 4 / 6 + 0) / 4)
    assert found["slice_iou"] == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    true, predicted = [4, 8, 4, 0, 0, 0], [4, 8, 2, 4, 0, 0]
    assert found["area_correlation"] == pytest.approx(np.corrcoef(true, predicted)[0, 1])
    assert found["area_correlation_positives"] == pytest.approx(np.corrcoef(true[:3], predicted[:3])[0, 1])
    assert found["iou_with_background"] == pytest.approx((14 / 20 + 316 / 322) / 2)
    note = "mean over 4 of 6 slices; 2 are empty in truth and prediction"
    assert report.loc[["slice_dice", "slice_iou"], "note"].str.startswith(note).all()
    assert set(report["positives"]) == {3} and set(report["n"]) == {6} and set(report["unit"]) == {"slices"}


def test_equals_scikit_learn():
    """Pooled figures equal scikit-learn's on the pixels, at a threshold that some pixels meet exactly."""
    maps, masks, patients = random_masked(1)
    maps = np.round(maps, 2).astype(np.float64)
    found = segmentation_report(masked_frame(maps, masks, patients), threshold=0.4).set_index("metric")["estimate"]
    true, predicted = masks.ravel(), maps.ravel() >= 0.4
    assert found["dice"] == pytest.approx(reference.f1_score(true, predicted))
    assert found["iou"] == pytest.approx(reference.jaccard_score(true, predicted))
    both = reference.jaccard_score(true, predicted, average="macro")
    assert found["iou_with_background"] == pytest.approx(both)


def test_empty_prediction_flatters_some():
    """Without a predicted pixel Dice is 0, but accuracy and the IoU with background look well."""
    frame = masked_frame(np.zeros((6, 7, 8)), drawn(1, 0, 1, 0, 0, 0), range(6))
    report = segmentation_report(frame, threshold=0.5).set_index("metric")
    assert report.loc["dice", "estimate"] == 0 and report.loc["pixel_accuracy", "estimate"] > 0.99
    assert report.loc["iou_with_background", "estimate"] == pytest.approx(0.5, abs=0.01)
    assert report.loc["iou_with_background", "note"].startswith("misleads: half of it is background")
    assert report.loc["precision", "note"] == "undefined: no pixel reaches the threshold"
    assert np.isnan(iou_with_background(Counts(0, 0, 0, 9)))


def test_nothing_drawn_at_all():
    """All empty: the Dice is NaN, not 0 and not 1; and no slice has one."""
    report = segmentation_report(masked_frame(np.zeros((6, 7, 8)), drawn(*[0] * 6), range(6)), threshold=0.5)
    found = report.set_index("metric")
    assert found.loc[["dice", "iou", "slice_dice", "area_correlation_positives"], "estimate"].isna().all()
    assert found.loc["sensitivity", "note"] == "undefined: none of the 6 slices has hemorrhage"
    assert found.loc["slice_dice", "note"].startswith("mean over 0 of 6 slices; 6 are empty")


def test_refused():
    """Rows without masks, thresholds between the bins and mixed splits are refused."""
    frame = masked_frame(*random_masked())
    with pytest.raises(HemokitError, match="the threshold is 0.1234"):
        segmentation_report(frame, threshold=0.1234)
    with pytest.raises(HemokitError, match="of 2 splits"):
        segmentation_report(frame.assign(split=["test"] + ["validation"] * (len(frame) - 1)), threshold=0.5)
    with pytest.raises(HemokitError, match="6 of 6 rows have no pixel counts"):
        segmentation_report(frame_of([0, 1] * 3, [0.1] * 6, range(6)), threshold=0.5)


def test_volumes_by_hand():
    """Pixels x 2 mm2 x 5 mm = 0.01 mL each, summed over the slices of a scan."""
    frame = masked_frame(drawn(10, 20, 30, 0), drawn(10, 10, 40, 0), [0, 0, 1, 2])
    table = volume_table(frame, threshold=0.5)
    assert table["true_ml"].tolist() == pytest.approx([0.2, 0.4, 0]) and table.attrs["note"] == ""
    assert table["predicted_ml"].tolist() == pytest.approx([0.3, 0.3, 0])
    assert table["difference_ml"].tolist() == pytest.approx([0.1, -0.1, 0])
    assert table["mean_ml"].tolist() == pytest.approx([0.25, 0.35, 0])
    assert table["num_slices"].tolist() == [2, 1, 1] and table["scan_id"].tolist() == ["s0", "s1", "s2"]


def test_unknown_spacing_is_counted():
    """One slice without spacing makes its scan's volume unknown; the report leaves it out and says so."""
    frame = masked_frame(drawn(10, 20, 30, 0), drawn(10, 10, 40, 0), [0, 0, 1, 2])
    frame.loc[1, "slice_spacing_mm"] = np.nan
    table = volume_table(frame, threshold=0.5)
    assert table["true_ml"].isna().tolist() == [True, False, False]
    note = "1 of 3 scans have an unknown volume (no pixel area or slice spacing) and are left out"
    assert table.attrs["note"] == note
    report = volume_report(frame, threshold=0.5)
    assert set(report["n"]) == {2} and report["note"].str.startswith(note).all()
    with pytest.raises(HemokitError, match="no one of 3 scans has a known volume"):
        volume_report(frame.assign(pixel_area_mm2=np.nan), threshold=0.5)


def test_volume_report():
    """Bias and limits are those of Bland and Altman's formulas on the table; the mean error is by hand."""
    frame = masked_frame(*random_masked(2))
    table = volume_table(frame, threshold=0.5)
    found = volume_report(frame, threshold=0.5).set_index("metric")
    limits = bland_altman(table["true_ml"], table["predicted_ml"])
    names = ["bias_ml", "lower_limit_ml", "upper_limit_ml"]
    assert found.loc[names, "estimate"].tolist() == pytest.approx(list(limits[:3])) and limits.n == 8
    difference = table["difference_ml"]
    assert limits[:2] == pytest.approx((difference.mean(), difference.mean() - 1.96 * difference.std()))
    assert found.loc["mean_absolute_error_ml", "estimate"] == pytest.approx(difference.abs().mean())
    assert (found["low"] < found["estimate"]).all() and (found["estimate"] < found["high"]).all()


def test_bland_altman():
    """By hand; unknown volumes are left out; one scan has a bias and no limits, none has nothing."""
    assert bland_altman([1, 2, 9], [2, 4, np.nan]) == pytest.approx(
        (1.5, 1.5 - 1.96 * 0.5**0.5, 1.5 + 1.96 * 0.5**0.5, 2)
    )
    assert bland_altman([1], [3])[0] == 2 and np.isnan(bland_altman([1], [3])[1:3]).all()
    assert np.isnan(bland_altman([], [])[:3]).all() and bland_altman([], []).n == 0
    with pytest.raises(HemokitError, match="true_ml has shape"):
        bland_altman([1, 2], [1])


def test_volumes_refused():
    """A spacing of 0 and a slice without a scan are refused."""
    frame = masked_frame(*random_masked())
    with pytest.raises(HemokitError, match="has slice_spacing_mm = 0, but expected a number above 0"):
        volume_table(frame.assign(slice_spacing_mm=0.0), threshold=0.5)
    with pytest.raises(HemokitError, match="slices have no scan_id"):
        volume_table(frame.assign(scan_id=None), threshold=0.5)
