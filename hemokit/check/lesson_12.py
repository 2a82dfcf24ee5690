"""The exercises of lesson 12."""

import numpy as np

from hemokit.check import Exercise, differs

TWO_DIGITS, THREE_DIGITS = 0.0051, 0.00051  # answers that are rounded as the lesson prints them are right, too


def mean_dice(tp, fp, fn):
    pixels = 2 * tp + fp + fn
    left = pixels > 0
    each = 2 * tp[left] / pixels[left]
    return (each.mean() if left.any() else np.nan), int(left.sum())


def broken_mean_dice(tp, fp, fn):
    each = (2 * tp + 1e-6) / (2 * tp + fp + fn + 1e-6)
    return each.mean(), len(each)


# tp, fp, fn of small tests, and what each is about.
_CASES = (
    (([3, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 5]), "four slices, one of them empty in truth and prediction"),
    (([0, 0, 0], [0, 0, 0], [0, 4, 0]), "a model that finds nothing"),
    (([0, 0], [3, 0], [0, 0]), "one false alarm and one empty slice"),
    (([2, 5], [0, 1], [1, 0]), "two slices with hemorrhage"),
    (([0, 0], [0, 0], [0, 0]), "slices that are all empty"),
)


def _judge_mean_dice(answer):
    for fields, about in _CASES:
        arrays = [np.array(field) for field in fields]
        found = differs(answer(*(one.copy() for one in arrays)), mean_dice(*arrays), f"for {about}: (mean, number)")
        if found:
            return found
    return None


def _shifted(p, usual, rare):
    odds = p / (1 - p) * (rare / (1 - rare)) / (usual / (1 - usual))
    return odds / (1 + odds)


def _predictive_values(sensitivity, specificity, rare):
    ppv = sensitivity * rare / (sensitivity * rare + (1 - specificity) * (1 - rare))
    npv = specificity * (1 - rare) / (specificity * (1 - rare) + (1 - sensitivity) * rare)
    return ppv, npv


q12_1 = Exercise(
    "q12_1",
    judge=_judge_mean_dice,
    reference=lambda: mean_dice,
    clue="2 * tp + fp + fn is 0 for a slice that is empty on both sides: choose the others first, then divide.",
    code=mean_dice,
    stub=broken_mean_dice,
)

q12_2 = Exercise(
    "q12_2",
    judge=lambda answer, *given: differs(
        answer, _shifted(*given), "the array of shifted probabilities", tolerance=TWO_DIGITS
    ),
    reference=_shifted,
    clue="Probabilities to odds, odds times a factor, and back: p = odds / (1 + odds).",
    code="""odds = p / (1 - p) * (rare / (1 - rare)) / (usual / (1 - usual))
shifted = odds / (1 + odds)""",
)

q12_3 = Exercise(
    "q12_3",
    judge=lambda answer, *given: differs(
        answer, _predictive_values(*given), "the pair (ppv, npv)", tolerance=THREE_DIGITS
    ),
    reference=_predictive_values,
    clue="Think of 10,000 slices: how many bleed, how many of these are called, how many of the others are called?",
    code="""ppv = sensitivity * rare / (sensitivity * rare + (1 - specificity) * (1 - rare))
npv = specificity * (1 - rare) / (specificity * (1 - rare) + (1 - sensitivity) * rare)""",
)
