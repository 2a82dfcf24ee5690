"""Scores, against scikit-learn as an independent reference."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from hemokit.checks import HemokitError
from hemokit.metrics import (
    Counts,
    confusion_counts,
    dice,
    iou,
    pixel_accuracy,
    precision,
    sensitivity,
    specificity,
    sum_counts,
)

SCORES = (dice, iou, precision, sensitivity, specificity, pixel_accuracy)
pairs = arrays(bool, st.tuples(st.just(2), st.integers(1, 7), st.just(8)))


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_scores_equal_scikit_learn(pair):
    """Counts and all six scores are those of scikit-learn, which says NaN only when asked to."""
    true, predicted = pair[0].ravel(), pair[1].ravel()
    counts = confusion_counts(pair[0], pair[1])
    tn, fp, fn, tp = reference.confusion_matrix(true, predicted, labels=[False, True]).ravel()
    assert counts == Counts(tp, fp, fn, tn)
    nan = {"zero_division": np.nan}
    expected = [
        reference.f1_score(true, predicted, **nan),
        reference.jaccard_score(true, predicted, zero_division=0) if (true | predicted).any() else np.nan,
        reference.precision_score(true, predicted, **nan),
        reference.recall_score(true, predicted, **nan),
        reference.recall_score(true, predicted, pos_label=False, **nan),
        reference.accuracy_score(true, predicted),
    ]
    np.testing.assert_allclose([score(counts) for score in SCORES], expected, rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_laws(pair):
    """Dice and IoU do not change when truth and prediction are exchanged; precision becomes sensitivity."""
    counts, swapped = confusion_counts(*pair), confusion_counts(*pair[::-1])
    for score in (dice, iou, pixel_accuracy):
        assert score(counts) == score(swapped) or math.isnan(score(counts))
    np.testing.assert_equal(precision(counts), sensitivity(swapped))
    if sum(counts[:3]):
        assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)), rel=1e-12)
    assert sum(counts) == pair[0].size


@settings(max_examples=50, deadline=None)
@given(pairs)
def test_per_slice_counts_pool_to_the_whole(pair):
    """One entry a slice; their sum, and the sum of single slices, is the count of all."""
    each = confusion_counts(*pair, per_slice=True)
    assert each.tp.shape == pair[0].shape[:1] and each.tp.dtype == np.int64
    singles = [confusion_counts(true, predicted) for true, predicted in zip(*pair, strict=True)]
    assert [one.fp for one in singles] == each.fp.tolist()
    assert sum_counts(each) == sum_counts(singles) == confusion_counts(*pair)


@pytest.mark.parametrize(
    "counts, undefined",
    [
        (Counts(0, 0, 0, 9), {dice, iou, precision, sensitivity}),
        (Counts(0, 3, 0, 6), {sensitivity}),
        (Counts(0, 0, 3, 6), {precision}),
        (Counts(9, 0, 0, 0), {specificity}),
        (Counts(0, 0, 0, 0), set(SCORES)),
    ],
)
def test_zero_by_zero_is_nan(counts, undefined):
    """The rule for empty masks: NaN exactly where the denominator is 0, a plain float elsewhere."""
    for score in SCORES:
        assert isinstance(score(counts), float)
        assert math.isnan(score(counts)) == (score in undefined)


def test_per_slice_scores():
    """An array of scores, NaN where both masks are empty, so that nanmean leaves these slices out."""
    true = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0]])
    predicted = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]])
    scores = dice(confusion_counts(true, predicted, per_slice=True))
    np.testing.assert_array_equal(scores, [2 / 3, np.nan, 0])
    assert np.nanmean(scores) == pytest.approx(1 / 3)


def test_large_masks_do_not_overflow():
    """Counts are 64-bit whatever the type of the masks."""
    ones = np.ones((300, 300), np.uint8)
    assert confusion_counts(ones, ones) == Counts(90_000, 0, 0, 0)
    assert sum_counts([Counts(2**40, 0, 0, 0)] * 4).tp == 2**42
    assert dice(Counts(2**40, 2**40, 0, 0)) == pytest.approx(2 / 3)


def test_sum_of_nothing():
    """No slices pool to zeros."""
    assert sum_counts([]) == Counts(0, 0, 0, 0)
    assert confusion_counts(np.zeros((0, 8)), np.zeros((0, 8))) == Counts(0, 0, 0, 0)


@pytest.mark.parametrize(
    "true, predicted, sentence",
    [
        ([0, 1], [[0, 1]], r"y_true has shape \(2,\) and y_pred has shape \(1, 2\)"),
        ([0, 255], [0, 1], "y_true holds the value 255.*mask > 127"),
        ([0, 1], [0.2, 0.9], "y_pred holds the value 0.2.*apply a threshold first"),
        ([0, 1], [0, np.nan], "y_pred holds the value nan"),
    ],
)
def test_refuses(true, predicted, sentence):
    """Shapes that would broadcast, mask images, probabilities, NaN."""
    with pytest.raises(HemokitError, match=sentence):
        confusion_counts(true, predicted)


def test_per_slice_needs_slices():
    """A single value has no slices."""
    with pytest.raises(HemokitError, match="per_slice=True with a single value"):
        confusion_counts(1, 1, per_slice=True)
