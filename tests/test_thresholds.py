"""The threshold search against every distinct value tried one by one, and what it refuses."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hemokit import exact_search
from hemokit.checks import HemokitError
from hemokit.labels import LABELS
from hemokit.predictions import build_predictions, counts_at
from hemokit.thresholds import choose_threshold, search_threshold

FLOATS = (np.float16, np.float32, np.float64)


def brute_force(true, probability, objective, thresholds=None):
    """(highest best threshold, score): every value that occurs, or the given ones; NaN is never chosen."""
    best = (-np.inf, -1)
    for threshold in np.unique(probability).astype(float) if thresholds is None else thresholds:
        predicted = probability.astype(float) >= threshold
        if objective == "correlation":
            areas = [one.reshape(len(one), -1).sum(axis=1) for one in (true, predicted)]
            score = np.corrcoef(*areas)[0, 1] if np.ptp(areas[1]) else -np.inf
        else:
            both, either = np.sum(true & predicted), np.sum(true | predicted)
            score = both / either if objective == "iou" else 2 * both / (both + either)
        best = max(best, (score, threshold), key=lambda pair: (np.round(pair[0], 11), pair[1]))
    return best[::-1]


def draw(seed, *, dtype=np.float32, values=None, slices=7, shape=(8, 9), share=0.2):
    """A mask and probabilities that know something of it; `values` makes them a few distinct ones."""
    rng = np.random.default_rng(seed)
    true = rng.random((slices, *shape)) < share * rng.random((slices, 1, 1))
    true[0, 0, :2] = 1
    true[1:, 0, :2] = 0
    true[-1] = 0  # a normal slice: areas that are all equal correlate with nothing
    probability = np.where(true, rng.beta(3, 2, true.shape), rng.beta(0.3, 2, true.shape))
    if values:
        probability = np.round(probability * values) / values
    return true, probability.astype(dtype)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(FLOATS), st.sampled_from([None, 1, 4, 255]),
    st.sampled_from(["f1", "iou", "correlation"]),
)  # fmt: skip
def test_equals_brute_force(seed, dtype, values, objective):
    """The best of all distinct values, and of ties the highest, for every type and for many equal values."""
    true, probability = draw(seed, dtype=dtype, values=values)
    found = search_threshold(true, probability, objective=objective, split="validation")
    threshold, score = brute_force(true, probability, objective)
    assert found.threshold == threshold
    assert found.score == pytest.approx(score, abs=1e-11)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(FLOATS), st.sampled_from([None, 3]), st.sampled_from(["f1", "correlation"])
)
def test_equals_brute_force_where_bins_are_cut(seed, dtype, values, objective):
    """The same when next to nothing may be sorted, so that bins are cut down to single values, in many parts."""
    true, probability = draw(seed, dtype=dtype, values=values, slices=3)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GATHER": 2, "RANGES": 2, "_CELLS": 8, "CHUNK": 50}.items():
            patch.setattr(exact_search, name, value)
        found = search_threshold(true, probability, objective=objective)
    threshold, score = brute_force(true, probability, objective)
    assert (found.threshold, found.score) == (threshold, pytest.approx(score, abs=1e-11))


def test_a_million_pixels():
    """The optimum of scikit-learn's curve, with less memory than a sort of the pixels needs."""
    true, probability = draw(0, slices=64, shape=(128, 128), share=0.03)
    precision, recall, thresholds = reference.precision_recall_curve(true.ravel(), probability.ravel())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    tracemalloc.start()
    found = search_threshold(true, probability)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.threshold, found.score) == (thresholds[f1.argmax()], pytest.approx(f1.max(), rel=1e-12))
    assert peak < 16e6


@pytest.mark.parametrize("objective", ["f1", "correlation"])
@pytest.mark.parametrize("low, high", [(0.5, 0.5001), (0.0, 1e-30), (0.99999, 1.0)])
def test_values_close_together(objective, low, high):
    """All probabilities lie in one bin or in a few."""
    true, probability = draw(1)
    probability = (low + (high - low) * probability.astype(float)).astype(np.float32)
    found = search_threshold(true, probability, objective=objective)
    assert found.threshold == brute_force(true, probability, objective)[0]


def test_the_other_objectives_differ():
    """The three objectives answer three questions: F1 and IoU agree on the threshold, not on the score."""
    true, probability = draw(0)
    f1, iou, areas = (search_threshold(true, probability, objective=name) for name in ("f1", "iou", "correlation"))
    assert f1.threshold == iou.threshold and iou.score == pytest.approx(f1.score / (2 - f1.score), rel=1e-12)
    assert areas.threshold != f1.threshold


def test_ties_take_the_highest():
    """Between 0.2 and 0.9 nothing changes but the value; a perfect separation is met at its upper end."""
    true = np.array([0, 0, 1, 1])
    assert search_threshold(true, np.array([0.1, 0.2, 0.9, 0.9])).threshold == 0.9
    # 0.6 gives tp 1 of 1 predicted, 0.3 gives tp 2 of 4 predicted: F1 2/3 both
    found = search_threshold(np.array([1, 0, 0, 1]), np.array([0.6, 0.5, 0.4, 0.3]))
    assert (found.threshold, found.score) == (0.6, pytest.approx(2 / 3))


def test_constant_probabilities():
    """One value: it is the threshold for F1; areas that are all equal have no correlation."""
    true, _ = draw(0)
    found = search_threshold(true, np.full(true.shape, 0.25, np.float32))
    assert found.threshold == 0.25 and found.score == pytest.approx(2 * true.mean() / (1 + true.mean()))
    with pytest.raises(HemokitError, match="the predicted areas are equal at every threshold"):
        search_threshold(true, np.full(true.shape, 0.25), objective="correlation")


def test_constant_areas_are_never_chosen():
    """At 0.5 each slice has one pixel (no correlation); at 0.2 the areas are right."""
    true = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    probability = np.array([[0.5, 0.1, 0.1], [0.5, 0.2, 0.1], [0.5, 0.2, 0.2]])
    found = search_threshold(true, probability, objective="correlation")
    assert (found.threshold, found.score) == (0.2, 1.0)
    assert found.table["correlation"].isna().any()


def test_minus_zero_and_whole_numbers():
    """-0 is 0; bool and integer probabilities are 0 and 1; 1 is a threshold."""
    assert search_threshold([1, 1], np.array([-0.0, 0.0], np.float32)).threshold == 0
    assert str(search_threshold([1, 1], np.array([-0.0, 0.0])).threshold) == "0.0"
    for dtype in (bool, np.uint8, np.int64):
        assert search_threshold([0.0, 1.0], np.array([0, 1], dtype))[:2] == (1.0, 1.0)


def test_order_and_layout_do_not_matter():
    """Reversed, transposed and strided views give the same result."""
    true, probability = draw(2)
    expected = search_threshold(true, probability)
    for view in (np.s_[::-1], np.s_[:, ::-1, ::-1]):
        assert search_threshold(true[view], probability[view])[:2] == expected[:2]
    assert search_threshold(true.T, probability.T)[:2] == expected[:2]


@pytest.mark.parametrize("objective", ["f1", "correlation"])
def test_table(objective):
    """Sorted thresholds, the best among them, each with the scores of scikit-learn."""
    true, probability = draw(3)
    found = search_threshold(true, probability, objective=objective)
    table = found.table
    assert 100 < len(table) <= 1001 and table["threshold"].is_monotonic_increasing
    assert table.loc[table["threshold"] == found.threshold, objective].tolist() == [found.score]
    for row in table.iloc[:: len(table) // 8].itertuples():
        pair = true.ravel(), (probability.astype(float) >= row.threshold).ravel()
        assert row.f1 == pytest.approx(reference.f1_score(*pair, zero_division=0))
        assert row.iou == pytest.approx(reference.jaccard_score(*pair, zero_division=0))
        assert row.precision == pytest.approx(reference.precision_score(*pair, zero_division=np.nan), nan_ok=True)
        assert row.sensitivity == pytest.approx(reference.recall_score(*pair))


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"probability": [0.5, np.nan, 0.2, 0.1]}, "probability holds the value nan"),
        ({"probability": [0.5, 1.5, 0.2, 0.1]}, "the value 1.5, but expected probabilities from 0 to 1"),
        ({"probability": np.array([0.5, -1e-30, 0, 0], np.float32)}, "the value -1e-30"),
        ({"probability": np.array([0, 255, 0, 0], np.uint8)}, "the value 255.*divide 8-bit values by 255"),
        ({"probability": np.array([1, 0, 1, 0], complex)}, "holds complex128 values"),
        ({"probability": [0.5, 0.2]}, r"y_true has shape \(4,\) and probability has shape \(2,\)"),
        ({"y_true": [0, 255, 0, 0]}, "y_true holds the value 255.*mask > 127"),
        ({"y_true": [0, 0, 0, 0]}, "no pixel is truly positive"),
        ({"y_true": [], "probability": []}, "no pixel is truly positive"),
        ({"objective": "dice"}, "objective is 'dice'"),
        ({"split": "test"}, "1 of 1 rows are of the split 'test'.*Choose the threshold on validation rows"),
        ({"split": np.array(["validation", "test"])}, "1 of 2 rows are of the split 'test'"),
        ({"split": pd.Series(["validation", None])}, "1 rows are of the split None"),
        ({"objective": "correlation"}, r"the shape is \(4,\), but expected \(slices"),
        ({"objective": "correlation", "y_true": np.eye(2), "probability": np.eye(2)}, "true areas of all slices"),
    ],
)
def test_refuses(change, sentence):
    """Values, shapes and rows from which no threshold may be chosen."""
    good = {"y_true": [0, 1, 0, 1], "probability": [0.1, 0.2, 0.3, 0.4]}
    with pytest.raises(HemokitError, match=sentence):
        search_threshold(**{**good, **change})


def predictions(true, probability, **values):
    """A predictions frame of validation rows."""
    rows = pd.DataFrame({"slice_id": [f"P_{number}" for number in range(len(true))]})
    for column in ("dataset", "patient_id", "scan_id", "split"):
        rows[column] = "validation"
    rows[["slice_index", *LABELS]] = 0
    return build_predictions(rows, probability, true, pixel_area_mm2=0.25).assign(**values)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["f1", "iou", "correlation"]))
def test_choose_equals_brute_force(seed, objective):
    """The best multiple of 1/1000, of ties the highest; its row of the table agrees with `counts_at`."""
    true, probability = draw(seed)
    frame = predictions(true, probability)
    found = choose_threshold(frame, objective=objective)
    threshold, score = brute_force(true, probability, objective, np.arange(1001) / 1000)
    assert found.threshold == threshold and found.score == pytest.approx(score, abs=1e-11)
    assert len(found.table) == 1001
    row, counts = found.table.iloc[round(threshold * 1000)], counts_at(frame, threshold)
    assert row["sensitivity"] == pytest.approx(counts.tp.sum() / true.sum())


def test_choose_is_near_the_exact_search():
    """On the grid the best F1 is at most a little below the best of all values."""
    true, probability = draw(5, slices=9)
    exact, grid = search_threshold(true, probability), choose_threshold(predictions(true, probability))
    assert exact.score - 0.02 < grid.score <= exact.score


def test_choose_in_mm2():
    """Areas in mm2 weigh the slices; where no slice has a pixel area, pixels are compared."""
    true, probability = draw(6)
    frame = predictions(true, probability)
    pixels = choose_threshold(frame.assign(pixel_area_mm2=np.nan), objective="correlation")
    assert pixels[:2] == choose_threshold(frame, objective="correlation")[:2]
    other = choose_threshold(frame.assign(pixel_area_mm2=np.arange(1.0, 8)), objective="correlation")
    assert other.score != pixels.score


@pytest.mark.parametrize(
    "values, objective, sentence",
    [
        ({"split": "test"}, "f1", "7 of 7 rows are of the split 'test'"),
        ({"split": ["validation"] * 6 + ["test"]}, "f1", "1 of 7 rows are of the split 'test'"),
        ({"split": None}, "f1", "7 rows are of the split None.*Split by patient first"),
        ({"hemorrhage": None}, "f1", "7 of 7 rows have no pixel counts in 'hemorrhage'"),
        ({"pixel_area_mm2": [np.nan] + [1.0] * 6}, "correlation", "1 of 7 rows have no pixel_area_mm2"),
    ],
)
def test_choose_refuses(values, objective, sentence):
    """Test rows, rows of no split, rows without truth, areas of two units."""
    with pytest.raises(HemokitError, match=sentence):
        choose_threshold(predictions(*draw(0), **values), objective=objective)


@pytest.mark.parametrize("objective", ["f1", "correlation"])
def test_choose_refuses_where_nothing_can_be_chosen(objective):
    """No rows, no positive pixel."""
    true, probability = draw(0)
    with pytest.raises(HemokitError, match="no rows, but expected validation rows with true masks"):
        choose_threshold(predictions(true, probability)[:0], objective=objective)
    with pytest.raises(HemokitError, match="no pixel is truly positive"):
        choose_threshold(predictions(true & False, probability), objective=objective)
    same = np.broadcast_to(true[:1], true.shape)
    with pytest.raises(HemokitError, match="the true areas of all slices are equal"):
        choose_threshold(predictions(same, probability), objective="correlation")
