"""Scores of slices and scans, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hemokit.checks import HemokitError
from hemokit.evaluation import (
    auroc,
    average_precision,
    brier,
    check_judged,
    pearson,
    scan_report,
    scan_scores,
    show_report,
    slice_report,
)

# Few distinct scores, so that ties are frequent.
cases = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(cases)
def test_weighted_scores_equal_scikit_learn(case):
    """AUROC, average precision and Brier equal scikit-learn's with sample weights; one class alone is NaN."""
    true, score, weights = (np.array(column) for column in zip(*case, strict=True))
    score = score / 8
    how = {"sample_weight": weights}
    if len(set(true[weights > 0].tolist())) == 2:
        assert auroc(true, score, weights) == pytest.approx(reference.roc_auc_score(true, score, **how))
        expected = reference.average_precision_score(true, score, **how)
        assert average_precision(true, score, weights) == pytest.approx(expected)
        assert brier(true, score, weights) == pytest.approx(reference.brier_score_loss(true, score, **how))
    else:
        assert np.isnan([auroc(true, score, weights), average_precision(true, score, weights)]).all()


@settings(max_examples=100, deadline=None)
@given(cases)
def test_weights_are_copies(case):
    """A weight of 3 is three copies of the slice; many sets of weights at once are each of them alone."""
    true, score, weights = (np.array(column) for column in zip(*case, strict=True))
    for function in (auroc, average_precision, brier, pearson):
        copies = function(np.repeat(true, weights), np.repeat(score / 8, weights))
        both = function(true, score / 8, np.stack([weights, np.ones_like(weights)]))
        np.testing.assert_allclose(both, [copies, function(true, score / 8)], atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_laws(case):
    """AUROC ignores rising maps of the scores, and exchanging the classes mirrors it."""
    true, score, _ = (np.array(column) for column in zip(*case, strict=True))
    np.testing.assert_equal(auroc(true, score), auroc(true, score**3 + 1))
    np.testing.assert_allclose(auroc(true, score), 1 - auroc(~true.astype(bool), score))


def test_pearson():
    """Pearson r is SciPy's, also for tiny changes of large values; NaN for what does not vary."""
    from scipy.stats import pearsonr

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 65536, 9), rng.integers(0, 65536, 9)
    assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic)
    assert pearson(x + 10**9, y) == pytest.approx(pearsonr(x, y).statistic)
    assert np.isnan([pearson(x, np.full(9, 0.1)), pearson([], []), pearson([1], [1])]).all()
    one = np.r_[np.zeros(8), 1e6]
    assert np.isnan(pearson(one, one, np.r_[np.ones(8), 0]))


def test_by_hand():
    """Six slices of six patients, one mistake on each side: every figure by hand."""
    frame = frame_of([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.7, 0.2, 0.1], range(6))
    report = slice_report(frame, threshold=0.5)
    found = report.set_index("metric")["estimate"]
    assert found["auroc"] == pytest.approx(8 / 9)
    assert found["auprc"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.49 + 0.04 + 0.01) / 6)
    third = ["sensitivity", "specificity", "precision", "f1", "accuracy", "balanced_accuracy"]
    assert found[third].tolist() == pytest.approx([2 / 3] * 6) and found["prevalence"] == 0.5
    origin = {"n": 6, "unit": "slices", "positives": 3, "patients": 6, "data": "phantom", "split": "test", "seed": 0}
    assert report[list(origin)].drop_duplicates().to_dict("records") == [origin]
    assert "f1" not in slice_report(frame)["metric"].tolist()


def test_threshold_is_included():
    """A score equal to the threshold is positive."""
    found = slice_report(frame_of([1, 0] * 3, [0.5, 0.25] * 3, range(6)), threshold=0.5).set_index("metric")
    assert found.loc["accuracy", "estimate"] == 1


@pytest.mark.parametrize("label, which", [(0, "negative"), (1, "positive")])
def test_one_class(label, which):
    """With one class alone what needs both is NaN, and the note says so; the rest stays."""
    report = slice_report(frame_of([label] * 6, [0.1] * 6, range(6)), threshold=0.5).set_index("metric")
    undefined = report[report["note"].str.startswith("undefined")]
    missing = "sensitivity" if label == 0 else "specificity"
    assert {"auroc", "auprc", "balanced_accuracy", missing} <= set(undefined.index)
    assert undefined["estimate"].isna().all()
    assert report.loc["auroc", "note"] == f"undefined: all 6 slices are {which}"
    assert report.loc["precision", "note"].startswith("undefined: none of the 6 slices reaches the threshold")
    assert report.loc["brier", "estimate"] == pytest.approx((label - 0.1) ** 2)


def test_few_patients_have_no_interval():
    """Four patients: estimates, and a note in the place of each interval."""
    report = slice_report(frame_of([0, 1] * 4, [0.1, 0.9] * 4, np.repeat(range(4), 2)))
    assert report["low"].isna().all() and report["estimate"].notna().all()
    assert (report["note"] == "no interval: 4 patients, at least 5 are needed").all()


def test_scan_scores():
    """A scan has the label of any slice, and the mean of its highest slices; a short scan of those it has."""
    frame = frame_of([0, 0, 1, 0], [0.2, 0.6, 0.4, 0.5], [0, 0, 0, 1])
    for top_slices, scores in ((1, [0.6, 0.5]), (2, [0.5, 0.5]), (9, [0.4, 0.5])):
        scans = scan_scores(frame, top_slices=top_slices)
        assert scans["top_probability"].tolist() == pytest.approx(scores)
    assert scans["any"].tolist() == [1, 0] and scans["num_slices"].tolist() == [3, 1]
    assert scans["patient_id"].tolist() == ["0", "1"] and scans["scan_id"].tolist() == ["s0", "s1"]
    report = scan_report(frame, threshold=0.55).set_index("metric")
    assert report.loc["accuracy", "estimate"] == 1 and set(report["unit"]) == {"scans"} and set(report["n"]) == {2}


def test_other_labels_and_scores():
    """A classifier's column and a subtype are judged by the same functions."""
    frame = frame_of([0, 1] * 3, [0.5] * 6, range(6)).assign(probability_subdural=[0.1, 0.9] * 3)
    report = slice_report(frame, score="probability_subdural", label="subdural").set_index("metric")
    assert report.loc["auroc", "estimate"] == 1
    assert slice_report(frame, score="mean_probability").set_index("metric").loc["auroc", "estimate"] == 0.5


def refused(**columns):
    """A good frame with some columns changed."""
    return frame_of([0, 1] * 3, [0.1, 0.9] * 3, range(6)).assign(**columns)


@pytest.mark.parametrize(
    "frame, message",
    [
        (refused(split=["test"] * 5 + ["train"]), r"the rows are of 2 splits \(test, train\)"),
        (refused(split=["test"] * 5 + [None]), "the rows are of 2 splits"),
        (refused(dataset=["a"] * 5 + ["b"]), r"the rows are of 2 data sets \(a, b\)"),
        (refused(slice_id=list("aabcde")), "slice 'a' stands in 2 rows, but expected each slice once"),
        (refused(scan_id=list("aabcde")), "scan 'a' stands under several patients"),
        (refused(any=[0, 1, 0, 1, 0, np.nan]), "1 of 6 rows have no label 0 or 1"),
        (refused(top_probability=[0, 1, 0, 1, 0, np.nan]), "1 of 6 scores are not in"),
        (refused(patient_id=list("abcde") + [None]), "1 of 6 rows have no patient_id"),
        (refused().iloc[:0], "the predictions have no rows"),
        (refused().drop(columns="top_probability"), "lacks the column"),
    ],
)
def test_refused_frames(frame, message):
    """Mixed splits and data, copies, rows without truth, score or patient are refused with what to do."""
    with pytest.raises(HemokitError, match=message):
        slice_report(frame)


def test_refused_settings():
    """A threshold that is no probability, and scans of no slices, are refused."""
    with pytest.raises(HemokitError, match="the threshold is 50"):
        slice_report(refused(), threshold=50)
    with pytest.raises(HemokitError, match="top_slices is 0"):
        scan_report(refused(), top_slices=0)
    with pytest.raises(HemokitError, match="1 slices have no scan_id"):
        scan_report(refused(scan_id=list("abcde") + [None]))
    with pytest.raises(HemokitError, match="weights has shape"):
        auroc([0, 1], [0.1, 0.2], [1, 1, 1])
    with pytest.raises(HemokitError, match="1 scores are NaN or infinite"):
        auroc([0, 1], [0.1, np.nan])


def test_unsplit_rows_are_judged_as_such():
    """A table that was never split is judged, and its report says none."""
    report = slice_report(frame_of([0, 1] * 3, [0.1, 0.9] * 3, range(6), split=None))
    assert set(report["split"]) == {"none"}
    assert check_judged(refused())["slice_id"].is_monotonic_increasing


def test_show_report():
    """The readable form has one cell for figure and interval, and the origin."""
    shown = show_report(slice_report(masked_frame(*random_masked())))
    assert shown.columns.tolist() == [
        "metric",
        "estimate",
        "n",
        "unit",
        "positives",
        "patients",
        "data",
        "split",
        "seed",
    ]
    assert shown["estimate"].str.fullmatch(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]").all()
    assert isinstance(shown, pd.DataFrame)


@pytest.mark.slow
def test_size_of_a_real_data_set():
    """1,000 resamples of AUROC over 1,225 slices of 35 patients take well below two seconds of work."""
    import time

    rng = np.random.default_rng(0)
    frame = frame_of(rng.random(1225) < 0.1, rng.random(1225), np.repeat(range(35), 35))
    begin = time.process_time()
    slice_report(frame, threshold=0.5)
    assert time.process_time() - begin < 2
