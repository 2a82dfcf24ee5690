"""Plausible wrong answers to the exercises of lesson 07."""

import numpy as np

from check_cases import Case
from hemokit.metrics import dice, sum_counts
from hemokit.predictions import counts_at
from hemokit.thresholds import choose_threshold


def _rows(predictions, split):
    return predictions[predictions["split"] == split]


def chosen_on_all_rows(predictions):
    threshold = choose_threshold(predictions.assign(split="validation")).threshold
    return threshold, dice(sum_counts(counts_at(_rows(predictions, "test"), threshold)))


def score_of_validation(predictions):
    found = choose_threshold(_rows(predictions, "validation"))
    return found.threshold, found.score


def always_one_half(predictions):
    return 0.5, dice(sum_counts(counts_at(_rows(predictions, "test"), 0.5)))


def mean_over_slices(predictions):
    threshold = choose_threshold(_rows(predictions, "validation")).threshold
    return threshold, np.nanmean(dice(counts_at(_rows(predictions, "test"), threshold)))


CASES = {
    "q07_1": Case(wrong=((294912, 1024), (295168, 512), (32896, 1024), (128 * 256, 256))),
    "q07_2": Case(
        wrong=(
            lambda scores, empty: np.nan_to_num(scores, nan=empty or 0).mean(),
            lambda scores, empty: np.nanmean(scores),
            lambda scores, empty: scores.mean(),
            lambda scores, empty: np.nansum(scores) / len(scores) if empty is None else np.nanmean(scores) + empty,
        )
    ),
    "q07_3": Case(wrong=(chosen_on_all_rows, score_of_validation, always_one_half, mean_over_slices)),
}
