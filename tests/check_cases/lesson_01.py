"""Plausible wrong answers to the exercises of lesson 01."""

import numpy as np

from check_cases import Case
from hemokit.windows import stack_windows

HOUNSFIELD = np.linspace(-1000, 2000, 72).reshape(8, 9)


def untouched_stored_values(stored_values, intercept):
    values = (stored_values.astype(int) + 1000) % 4096 - 1000
    return values if intercept > -100 else stored_values  # the intercept of a good file is forgotten


def always_repaired(stored_values, intercept):
    return (stored_values.astype(int) + 1000) % 4096 - 1000  # spoils good files


def shifted_without_the_wrap(stored_values, intercept):
    values = stored_values.astype(int)
    return values + (1000 - 1000 if intercept > -100 else intercept)


def wrapped_in_16_bits(stored_values, intercept):
    return stored_values + np.uint16(intercept % 65536)


CASES = {
    "q01_1": Case(wrong=((40, 80), (-40, 120), (80, 0))),
    "q01_2": Case(
        wrong=(
            lambda hounsfield, level, width: hounsfield,  # nothing done
            lambda hounsfield, level, width: (hounsfield - (level - width / 2)) / width,  # never clipped
            lambda hounsfield, level, width: np.clip((hounsfield - level) / width, 0, 1),  # level taken as the low end
            lambda hounsfield, level, width: np.clip((hounsfield - level + width / 2) / width * 255, 0, 255),
        )
    ),
    "q01_3": Case(
        given=(HOUNSFIELD,),
        wrong=(
            stack_windows(HOUNSFIELD, ("brain", "subdural", "bone")),
            stack_windows(HOUNSFIELD, ("brain", "subdural", "soft_tissue")),
            np.moveaxis(stack_windows(HOUNSFIELD, ("brain", "bone", "subdural")), -1, 0),
        ),
    ),
    "q01_4": Case(wrong=(untouched_stored_values, always_repaired, shifted_without_the_wrap, wrapped_in_16_bits)),
}
