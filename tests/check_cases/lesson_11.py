"""Plausible wrong answers to the exercises of lesson 11."""

import numpy as np

from check_cases import Case
from hemokit.labels import LABELS, SUBTYPES

RNG = np.random.default_rng(0)
FEATURES, GRADIENT = RNG.random((7, 8, 5)), RNG.normal(size=(7, 8, 5))
HEATS, MASKS = RNG.random((9, 7, 8)), RNG.random((9, 7, 8)) > 0.5
HEATS[2], MASKS[2, 0, 0] = 0, True  # a map of zeros points nowhere, though argmax says: at the first pixel
PLACES = HEATS.reshape(9, -1).argmax(axis=1)


def _enlarged(heat, height, width):
    return np.kron(heat, np.ones((height // heat.shape[0], width // heat.shape[1])))


def another_label(features, gradients, label, shape):
    """The shape is repaired, the number of the label is not."""
    weights = gradients[SUBTYPES.index(label) if label in SUBTYPES else 0].mean(axis=(0, 1))
    return _enlarged(np.maximum(features @ weights, 0), *shape)


def height_and_width_swapped(features, gradients, label, shape):
    """The label is repaired, the shape is not."""
    heat = np.maximum(features @ gradients[LABELS.index(label)].mean(axis=(0, 1)), 0)
    return np.kron(heat, np.ones((shape[1] // heat.shape[1], shape[0] // heat.shape[0])))[: shape[1]].T


def without_relu(features, gradients, label, shape):
    return _enlarged(features @ gradients[LABELS.index(label)].mean(axis=(0, 1)), *shape)


def not_enlarged(features, gradients, label, shape):
    return np.maximum(features @ gradients[LABELS.index(label)].mean(axis=(0, 1)), 0)


def everywhere(features, gradients, label, shape):
    heat = np.maximum(features @ gradients[LABELS.index(label)].mean(axis=(0, 1)), 0)
    return np.full(shape, float(heat.any()))


def turned(features, gradients, label, shape):
    return _enlarged(np.maximum(features @ gradients[LABELS.index(label)].mean(axis=(0, 1)), 0), *shape)[::-1]


CASES = {
    "q11_1": Case(
        given=(FEATURES, GRADIENT),
        wrong=(
            FEATURES @ GRADIENT.mean(axis=(0, 1)),
            np.maximum((FEATURES * GRADIENT).sum(axis=-1), 0),
            np.maximum(FEATURES.mean(axis=-1), 0),
            GRADIENT.mean(axis=(0, 1)),
        ),
    ),
    "q11_2": Case(
        given=(HEATS, MASKS),
        wrong=(
            MASKS.reshape(9, -1)[np.arange(9), PLACES],
            (HEATS * MASKS).max(axis=(1, 2)) > 0,
            (HEATS.max(axis=(1, 2)) > 0),
            np.mean(MASKS),
        ),
    ),
    "q11_3": Case(wrong=(another_label, height_and_width_swapped, without_relu, not_enlarged, everywhere, turned)),
}
