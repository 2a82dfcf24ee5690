"""Tests of the experiments with a known truth."""

import numpy as np
import pytest
from evaluation_frames import masked_frame, random_masked

from hemokit import evaluation
from hemokit.checks import HemokitError


def patients_that_differ(num_patients=40, num_slices=30, seed=0):
    """Each patient has a score of its own, 0.2 to 0.9, and all slices agree with it."""
    rng = np.random.default_rng(seed)
    found = rng.uniform(0.2, 0.9, num_patients)
    return [np.stack([rng.binomial(100, one, num_slices), np.full(num_slices, 100)], axis=1) for one in found]


def test_pairs_make_the_pooled_dice():
    """The pairs of all patients add up to the Dice of all pixels."""
    maps, masks, patients = random_masked()
    pairs = evaluation.dice_pairs(masked_frame(maps, masks, patients), 0.5)
    assert [len(one) for one in pairs] == [9] * 8
    top, bottom = np.concatenate(pairs).sum(axis=0)
    predicted = maps >= 0.5
    tp, fp, fn = (predicted & masks).sum(), (predicted & ~masks).sum(), (~predicted & masks).sum()
    assert top / bottom == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_pairs_need_a_pixel():
    """Where truth and prediction are empty everywhere, there is no Dice to simulate."""
    frame = masked_frame(np.zeros((4, 7, 8)), np.zeros((4, 7, 8), bool), [1, 1, 2, 2])
    with pytest.raises(HemokitError, match="no pixel is positive"):
        evaluation.dice_pairs(frame, 0.5)


def test_slices_promise_too_much():
    """Where patients differ and their slices agree, drawing slices misses the truth most of the time."""
    held = evaluation.coverage(patients_that_differ(), num_tests=200, num_resamples=200)
    assert held["slices"] < 0.4 < 0.8 < held["patients"]


def test_equal_patients_can_be_drawn_either_way():
    """Where slices are independent, both intervals hold the truth about as often as they say."""
    rng = np.random.default_rng(0)
    pairs = [np.stack([rng.binomial(100, rng.uniform(0, 1, 30)), np.full(30, 100)], axis=1) for _ in range(60)]
    held = evaluation.coverage(pairs, num_patients=20, num_tests=200, num_resamples=200)
    assert held["slices"] > 0.85 and held["patients"] > 0.85


def test_patients_buy_more_than_slices():
    """Eight times the slices of the same number of patients help little; eight times the patients help."""
    pairs = patients_that_differ()
    few, more_slices, more_patients = (
        evaluation.sampling_spread(pairs, num_patients=patients, num_slices=slices)
        for patients, slices in ((10, 8), (10, 64), (80, 8))
    )
    assert more_slices > 0.8 * few and more_patients < 0.5 * few


def test_the_best_of_many_flatters():
    """One run is honest; the best of many equal ones is not, unless it was chosen on validation."""
    curse = evaluation.winners_curse((1, 30), truth=0.7, seed=1).set_index("runs")
    assert curse.loc[1, "best_on_test"] == pytest.approx(0.7, abs=0.01)
    assert curse.loc[30, "best_on_test"] > 0.85
    assert curse["chosen_on_validation"].to_numpy() == pytest.approx([0.7, 0.7], abs=0.01)


def test_seeds_repeat():
    """The same seed gives the same numbers."""
    pairs = patients_that_differ(8, 7)
    how = {"num_tests": 20, "num_resamples": 50, "seed": 3}
    assert evaluation.coverage(pairs, **how) == evaluation.coverage(pairs, **how)
