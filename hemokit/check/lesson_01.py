"""The exercises of lesson 01."""

import numpy as np

from hemokit.check import Exercise, differs
from hemokit.windows import BONE, BRAIN, SUBDURAL, stack_windows


def window_by_hand(hounsfield, level, width):
    low = level - width / 2
    return np.clip((hounsfield - low) / width, 0, 1)


def to_hounsfield(stored_values, intercept):
    values = stored_values.astype(int)
    if intercept > -100:  # stored 12-bit values have wrapped
        values = values + 1000
        values[values >= 4096] -= 4096
        intercept = -1000
    return values + intercept


def broken_to_hounsfield(stored_values, intercept):
    values = stored_values.astype(int)
    return values + intercept


def _judge_window(answer):
    for value, side, shade in ((-1000, "below", 0), (3000, "above", 1)):
        found = differs(answer(np.array([value]), 40, 80), np.array([shade]), f"{value} HU, {side} the brain window,")
        if found:
            return found
    hounsfield = np.array([[-1000.0, -21, -20, 30], [79, 80, 81, 3000]])
    soft = np.array([[0, 0, 0, 0.625], [1, 1, 1, 1]])
    return differs(answer(hounsfield.copy(), 20, 80), soft, "the image at level 20 and width 80") or differs(
        answer(hounsfield.copy(), 600, 2800),
        window_by_hand(hounsfield, 600, 2800),
        "the image at level 600 and width 2800",
    )


def _judge_stored(answer):
    hounsfield = np.array([[-1000, -30, 0], [35, 1200, 3000]])
    whole = answer((hounsfield + 1024).astype(np.uint16), -1024)
    found = differs(whole, hounsfield, "of a good file (intercept -1024), the slice")
    if found:
        return found
    stored = (hounsfield % 4096).astype(np.uint16)
    wrapped = answer(stored.copy(), 0)
    return differs(wrapped, hounsfield, "of a wrapped file (intercept 0), the slice")


q01_1 = Exercise(
    "q01_1",
    judge=lambda answer: differs(answer, (BRAIN.low, BRAIN.high), "the pair (low, high)"),
    reference=lambda: (BRAIN.low, BRAIN.high),
    clue="Half of the width lies below the level, and half of it above.",
    code="low, high = 40 - 80 / 2, 40 + 80 / 2",
)

q01_2 = Exercise(
    "q01_2",
    judge=_judge_window,
    reference=lambda: window_by_hand,
    clue="Subtract the lower end, divide by the width, and let np.clip see to what lies outside.",
    code=window_by_hand,
)

q01_3 = Exercise(
    "q01_3",
    judge=lambda answer, hounsfield: differs(
        answer, stack_windows(hounsfield, (BRAIN, BONE, SUBDURAL)), "the composite"
    ),
    reference=lambda hounsfield: stack_windows(hounsfield, (BRAIN, BONE, SUBDURAL)),
    clue="stack_windows takes the windows in the order red, green, blue.",
    code='composite = stack_windows(hounsfield, ("brain", "bone", "subdural"))',
)

q01_4 = Exercise(
    "q01_4",
    judge=_judge_stored,
    reference=lambda: to_hounsfield,
    clue="Three steps, for wrapped files alone: add 1000, take 4096 from what reached 4096, use the intercept -1000.",
    code=to_hounsfield,
    stub=broken_to_hounsfield,
)
