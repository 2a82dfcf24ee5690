"""Plausible wrong answers to the exercises of lesson 05."""

import numpy as np

from check_cases import Case

CONFUSION = np.array([[80, 3, 2], [9, 4, 0], [6, 1, 0]])


def patients_split_but_test_chooses(score, patients, settings, seed):
    ids = np.random.default_rng(seed).permutation(np.unique(patients))
    test = np.isin(patients, ids[: len(ids) // 4])
    return max(score(~test, test, setting) for setting in settings)


def rows_in_three_parts(score, patients, settings, seed):
    """Chosen on a part of its own, but rows are dealt, not patients."""
    part = np.random.default_rng(seed).permutation(len(patients)) % 3
    best = max(settings, key=lambda setting: score(part == 0, part == 1, setting))
    return score(part != 2, part == 2, best)


def validation_reported(score, patients, settings, seed):
    """By patient, but the score that chose is the one that is given back."""
    ids = np.random.default_rng(seed).permutation(np.unique(patients))
    validation = np.isin(patients, ids[: len(ids) // 3])
    return max(score(~validation, validation, setting) for setting in settings)


def never_chosen(score, patients, settings, seed):
    ids = np.random.default_rng(seed).permutation(np.unique(patients))
    test = np.isin(patients, ids[: len(ids) // 4])
    return score(~test, test, settings[0])


def worst_chosen(score, patients, settings, seed):
    ids = np.random.default_rng(seed).permutation(np.unique(patients))
    test, validation, train = (np.isin(patients, part) for part in np.array_split(ids, 3))
    worst = min(settings, key=lambda setting: score(train, validation, setting))
    return score(train | validation, test, worst)


WRONG_SEARCHES = (patients_split_but_test_chooses, rows_in_three_parts, validation_reported, never_chosen, worst_chosen)

CASES = {
    "q05_1": Case(given=(CONFUSION,), wrong=((0.8, 0.8), (0.4203, 0.8), (0.8, 0.4163), 0.8, (0.8, 0.6305))),
    "q05_2": Case(wrong=WRONG_SEARCHES),
    "q05_3": Case(given=(5, 3, 9), wrong=(135, 45, 144, 27)),
}
