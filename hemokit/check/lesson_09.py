"""The exercises of lesson 09."""

import numpy as np

from hemokit.check import Exercise, differs
from hemokit.patches import cut_patches, patch_positions, patch_weights

_LEAST = -(0.001 * np.log(0.001) + 0.999 * np.log(0.999))


def put_together(patches, positions, shape, weights):
    total, weight = np.zeros(shape), np.zeros(shape)
    for patch, (top, left) in zip(patches, positions, strict=True):
        place = slice(top, top + len(patch)), slice(left, left + len(patch[0]))
        total[place] += weights * patch
        weight[place] += weights
    return total / weight


def broken_put_together(patches, positions, shape, weights):
    whole = np.zeros(shape)
    for patch, (top, left) in zip(patches, positions, strict=True):
        whole[top : top + len(patch), left : left + len(patch[0])] = patch
    return whole


def _judge_stitching(answer):
    rng = np.random.default_rng(0)
    for shape, patch, stride, kind in (
        ((16, 16), (8, 8), (4, 4), "gaussian"),
        ((9, 14), (4, 6), (3, 2), "triangular"),
        ((7, 8), (7, 8), (7, 8), "uniform"),
    ):
        positions, weights = patch_positions(shape, patch, stride), patch_weights(patch, kind)
        image = rng.random(shape)
        for patches, what in (
            (cut_patches(image, positions, patch), "an image that was cut and put together"),
            (rng.random((len(positions), *patch)), "what becomes of patches that do not agree"),
        ):
            expected = put_together(patches, positions, shape, weights)
            found = differs(answer(patches.copy(), positions.copy(), shape, weights.copy()), expected, what)
            if found:
                return found
    return None


q09_1 = Exercise(
    "q09_1",
    judge=lambda answer: differs(answer, (25, 16), "the pair (how_many, cover)"),
    reference=lambda: (25, 16),
    clue="Along one side a crop of 64 starts at 0, 16, 32, 48 and 64. Which of these hold the pixel at 63?",
    code="how_many, cover = ((128 - 64) // 16 + 1) ** 2, (64 // 16) ** 2",
)

q09_2 = Exercise(
    "q09_2",
    judge=lambda answer: differs(answer, (0.001, _LEAST), "the pair (best, cost)", tolerance=6e-5),
    reference=lambda: (0.001, _LEAST),
    clue="The derivative of -(q ln p + (1 - q) ln(1 - p)) is 0 at one p. Put it in; np.log is the natural logarithm.",
    code="best = 0.001\ncost = -(0.001 * np.log(best) + 0.999 * np.log(1 - best))",
)

q09_3 = Exercise(
    "q09_3",
    judge=_judge_stitching,
    reference=lambda: put_together,
    clue="Add up weights * patch in one array and the weights in another. What is their quotient?",
    code=put_together,
    stub=broken_put_together,
)
