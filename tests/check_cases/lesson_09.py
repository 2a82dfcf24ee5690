"""Plausible wrong answers to the exercises of lesson 09."""

import numpy as np

from check_cases import Case
from hemokit.check.lesson_09 import put_together


def keeps_the_first(patches, positions, shape, weights):
    whole = np.full(shape, np.nan)
    for patch, (top, left) in zip(patches, positions, strict=True):
        part = whole[top : top + len(patch), left : left + len(patch[0])]
        part[...] = np.where(np.isnan(part), patch, part)
    return whole


def plain_mean(patches, positions, shape, weights):
    return put_together(patches, positions, shape, np.ones_like(weights))


def undivided(patches, positions, shape, weights):
    total = np.zeros(shape)
    for patch, (top, left) in zip(patches, positions, strict=True):
        total[top : top + len(patch), left : left + len(patch[0])] += weights * patch
    return total


CASES = {
    "q09_1": Case(wrong=((16, 16), (25, 4), (4, 1), (25, 25))),
    "q09_2": Case(wrong=((0.5, np.log(2)), (0.0, 0.0), (0.001, 0.0069), (0.001, 0.0114))),
    "q09_3": Case(wrong=(keeps_the_first, plain_mean, undivided)),
}
