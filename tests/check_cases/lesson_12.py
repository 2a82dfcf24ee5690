"""Plausible wrong answers to the exercises of lesson 12."""

import numpy as np

from check_cases import Case

P = np.array([0.1, 0.5, 0.9])
ODDS = P / (1 - P)
FACTOR = 0.02 / 0.98 * 0.85 / 0.15


def empty_is_zero(tp, fp, fn):
    """No division by zero, but an empty slice counts as a failure."""
    each = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    return each.mean(), len(each)


def only_with_hemorrhage(tp, fp, fn):
    """False alarms on normal slices are left out too."""
    left = tp + fn > 0
    return np.mean(2 * tp[left] / (2 * tp + fp + fn)[left]), int(left.sum())


def pooled(tp, fp, fn):
    return 2 * tp.sum() / (2 * tp + fp + fn).sum(), int((2 * tp + fp + fn > 0).sum())


def all_counted(tp, fp, fn):
    """The right mean, but the number of all slices."""
    pixels = 2 * tp + fp + fn
    return (np.mean(2 * tp[pixels > 0] / pixels[pixels > 0]) if pixels.any() else np.nan), len(tp)


# No shift, probabilities for odds, odds that stay odds, a factor of probabilities, and the factor upside down.
WRONG_SHIFTS = (P, 1 - P, P * 0.02 / 0.15, ODDS * FACTOR, ODDS * 0.02 / 0.15 / (1 + ODDS * 0.02 / 0.15))
WRONG_SHIFTS += (ODDS / FACTOR / (1 + ODDS / FACTOR),)

CASES = {
    "q12_1": Case(wrong=(empty_is_zero, only_with_hemorrhage, pooled, all_counted)),
    "q12_2": Case(given=(P, 0.15, 0.02), wrong=WRONG_SHIFTS),
    "q12_3": Case(given=(0.8, 0.9, 0.02), wrong=((0.8, 0.9), (0.9, 0.8), (0.9954, 0.1404), (0.8 * 0.02, 0.9 * 0.98))),
}
