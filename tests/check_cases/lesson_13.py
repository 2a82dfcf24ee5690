"""Plausible wrong answers to the exercises of lesson 13."""

import numpy as np

from check_cases import Case

KEPT = {}
KEPT_TOO = {}


def not_clipped(values, low, high):
    step = (high - low) / 255
    return low + step * np.round((values - low) / step)


def one_step_too_many(values, low, high):
    step = (high - low) / 256
    return low + step * np.clip(np.round((values - low) / step), 0, 255)


def low_forgotten(values, low, high):
    step = (high - low) / 255
    return step * np.clip(np.round(values / step), 0, 255)


def levels_alone(values, low, high):
    return np.clip(np.round((values - low) / (high - low) * 255), 0, 255)


def refuses_but_shares(upload, read, model):
    """An upload that fails is refused, but two at once still meet in a global."""
    try:
        KEPT["image"] = read(upload)
        KEPT["mask"] = model(KEPT["image"]) >= 0.5
    except ValueError:
        return 422, None
    return 200, KEPT["mask"]


def local_but_an_empty_mask(upload, read, model):
    """Nothing is shared, but who sent no picture is told that there is no hemorrhage."""
    try:
        mask = model(read(upload)) >= 0.5
    except ValueError:
        return 200, np.zeros((8, 9), bool)
    return 200, mask


def told_but_with_a_mask(upload, read, model):
    """The status is right, and the previous mask goes with it."""
    try:
        KEPT["mask"] = model(read(upload)) >= 0.5
    except ValueError:
        return 422, KEPT.get("mask")
    return 200, KEPT["mask"]


def remembers(upload, read, model):
    """Every answer is right, but the last image stays in memory."""
    try:
        image = KEPT_TOO["image"] = read(upload)
    except ValueError:
        return 422, None
    return 200, model(image) >= 0.5


def not_caught(upload, read, model):
    return 200, model(read(upload)) >= 0.5


CASES = {
    "q13_1": Case(
        wrong=((62.79, 31.40, 15.70), (7.849, 3.925, 3.925), (7849348, 3924674, 1962337), (1.96, 1.96, 1.96))
    ),
    "q13_2": Case(wrong=(not_clipped, one_step_too_many, low_forgotten, levels_alone)),
    "q13_3": Case(wrong=(refuses_but_shares, local_but_an_empty_mask, told_but_with_a_mask, remembers, not_caught)),
}
