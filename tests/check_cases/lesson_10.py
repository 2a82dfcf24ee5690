"""Plausible wrong answers to the exercises of lesson 10."""

import numpy as np
import pandas as pd

from check_cases import Case

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, (9, 6))
SAID = RNG.uniform(0.05, 0.95, (9, 6))
LOSSES = -np.log(np.where(TRUTH == 1, SAID, 1 - SAID))
VALUES, SCANS = RNG.random(24), np.repeat(["a", "b", "c"], [7, 8, 9])


def by_file_name(headers):
    return headers.groupby("series")["file"].rank().to_numpy(int) - 1


def still_text(headers):
    return headers.groupby("series")["z"].rank().to_numpy(int) - 1


def still_by_patient(headers):
    return headers["z"].astype(float).groupby(headers["patient"]).rank().to_numpy(int) - 1


def in_sorted_order(headers):
    ordered = headers.assign(z=headers["z"].astype(float)).sort_values(["series", "z"])
    return ordered.groupby("series").cumcount().to_numpy()


def from_the_top(headers):
    return (-headers["z"].astype(float)).groupby(headers["series"]).rank().to_numpy(int) - 1


CASES = {
    "q10_1": Case(wrong=(by_file_name, still_text, still_by_patient, in_sorted_order, from_the_top)),
    "q10_2": Case(
        given=(TRUTH, SAID),
        wrong=(LOSSES.mean(), np.average(LOSSES, axis=1, weights=[1, 1, 1, 1, 1, 2]).mean(), LOSSES.sum(axis=1).mean()),
    ),
    "q10_3": Case(
        given=(VALUES, SCANS),
        wrong=(
            pd.Series(VALUES).rolling(3, center=True, min_periods=1).mean().to_numpy(),
            pd.Series(VALUES).groupby(SCANS).transform(lambda own: own.rolling(3).mean()).to_numpy(),
            VALUES,
        ),
    ),
}
