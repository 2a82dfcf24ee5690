"""Plausible wrong answers to every exercise, one module a lesson: CASES maps the exercise's name to a Case."""

from typing import NamedTuple


class Case(NamedTuple):
    """`wrong` answers (two at least), and what is `given` to the check beside the answer."""

    wrong: tuple
    given: tuple = ()
