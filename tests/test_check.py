"""Tests of the exercises: the mechanism, and every exercise that exists."""

import ast
import contextlib
import difflib
import gc
import importlib
import inspect
import itertools
import time

import numpy as np
import pytest

from hemokit import check
from hemokit.checks import HemokitError

EXERCISES = check.exercises()


def case_of(name):
    return importlib.import_module(f"check_cases.lesson_{name[1:3]}").CASES[name]


EVERY = pytest.mark.parametrize("name", EXERCISES)


@EVERY
def test_reference_is_correct(name, capsys):
    """The reference passes its own check and comes back as it is."""
    given = case_of(name).given
    answer = EXERCISES[name].reference(*given)
    assert EXERCISES[name](answer, *given) is answer
    assert capsys.readouterr().out == f"{name}: Correct.\n"


@EVERY
def test_wrong_answers_are_not_yet(name, capsys):
    """Two or more plausible wrong answers get "Not yet", and the reference comes back."""
    exercise, (wrong, given) = EXERCISES[name], case_of(name)
    assert len(wrong) >= 2
    for answer in wrong:
        assert exercise(answer, *given) is not answer
        said = capsys.readouterr().out
        assert said.startswith(f"{name}: Not yet: ") and said.count("\n") == 1
        assert not _gives_away(said, exercise.reference(*given))


@pytest.mark.parametrize("name, digits, coarse", [("q12_2", 2, 1), ("q12_3", 3, 2)])
def test_rounded_answers_are_correct(name, digits, coarse, capsys):
    """Probabilities are right with the digits that the lesson prints, and wrong with fewer."""
    exercise, given = EXERCISES[name], case_of(name).given
    for answer, said in ((digits, "Correct."), (coarse, "Not yet")):
        exercise(np.round(exercise.reference(*given), answer), *given)
        assert said in capsys.readouterr().out


def _gives_away(said, reference):
    """Whether a message holds the answer itself (a text, or a number of two digits and more)."""
    return isinstance(reference, str | int | float) and len(str(reference)) > 1 and str(reference) in said


@EVERY
def test_stub_is_not_attempted(name, capsys):
    """The untouched stub is not attempted, and the reference stands in."""
    exercise, given = EXERCISES[name], case_of(name).given
    stub = exercise.stub
    assert exercise(stub, *given) is not stub
    assert capsys.readouterr().out == f"{name}: Not attempted: the reference stands in.\n"


def half_repaired(exercise):
    """The function to repair with each choice of its broken lines repaired, but for none and all of them."""
    broken, whole = (inspect.getsource(one).splitlines() for one in (exercise.stub, exercise.code))
    broken[0], pairs = whole[0], []
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, broken, whole, autojunk=False).get_opcodes():
        old, new = broken[i1:i2], whole[j1:j2]
        pairs += zip(old, new, strict=True) if len(old) == len(new) else [("\n".join(old), "\n".join(new))]
    for chosen in itertools.product(*({old, new} for old, new in pairs)):
        lines = list(chosen)
        if lines not in ([old for old, _ in pairs], [new for _, new in pairs]):
            names = dict(vars(inspect.getmodule(exercise.code)))
            exec("\n".join(lines), names)
            yield names[exercise.code.__name__]


BY_HALVES = [name for name, one in EXERCISES.items() if one.stub is not ... and any(half_repaired(one))]


@pytest.mark.parametrize("name", BY_HALVES)
def test_half_a_repair_is_not_yet(name):
    """A function in which some of the broken lines are repaired, and not all, is not taken for correct."""
    exercise = EXERCISES[name]
    for half in half_repaired(exercise):
        said = check._verdict(exercise._replace(stub=...), half, case_of(name).given)
        assert said.startswith("Not yet: ")


@EVERY
@pytest.mark.parametrize(
    "answer",
    [None, "blood", object(), np.zeros((7, 8, 9)), [[]], float("nan"), print, int],
    ids=lambda value: type(value).__name__,
)
def test_wrong_type_is_not_yet(name, answer, capsys):
    """An answer of a wrong type gets "Not yet", never a traceback."""
    EXERCISES[name](answer, *case_of(name).given)
    assert f"{name}: Not yet: " in capsys.readouterr().out


@EVERY
def test_function_that_fails_is_not_yet(name, capsys, monkeypatch):
    """A function that raises, leaves, recurses or never ends gets "Not yet"."""
    exercise, given = EXERCISES[name], case_of(name).given
    monkeypatch.setattr(check, "TIME_LIMIT", 0.2)
    for answer in (raises, leaves, recurses, never_ends, gives_nothing):
        exercise(answer, *given)
        assert f"{name}: Not yet: " in capsys.readouterr().out


@EVERY
def test_hint_and_solution(name, capsys):
    """The hint says something and keeps the solution; the solution is Python."""
    exercise = EXERCISES[name]
    assert name == exercise.name
    exercise.hint()
    hint = capsys.readouterr().out
    exercise.solution()
    solution = capsys.readouterr().out
    assert len(hint) > 20 and solution.strip() not in hint
    assert ast.parse(solution).body


def raises(*args, **kwargs):
    raise KeyError("no such thing")


def leaves(*args, **kwargs):
    raise SystemExit(1)


def recurses(*args, **kwargs):
    return recurses(*args, **kwargs)


def never_ends(*args, **kwargs):
    while True:
        with contextlib.suppress(Exception):
            len(args)


def gives_nothing(*args, **kwargs):
    _ = len(args)


def an_exercise(stub=...):
    return check.Exercise("q99_1", lambda f: check.differs(f(2), 4, "it"), lambda: abs, "Twice.", "double = 2", stub)


def test_an_endless_answer_is_stopped(monkeypatch, capsys):
    """An endless answer ends within the limit, and its thread does not run on."""
    monkeypatch.setattr(check, "TIME_LIMIT", 0.2)
    start = time.perf_counter()
    an_exercise()(never_ends)
    assert time.perf_counter() - start < 2
    assert "still running after 0.2 s" in capsys.readouterr().out
    assert not [thread for thread in check.threading.enumerate() if thread.daemon and "work" in thread.name]


@pytest.mark.slow
def test_a_swallowed_stop_is_no_news(monkeypatch, capsys):
    """A stop that falls into a `__del__`, where Python can only warn, is tried again without a word."""
    monkeypatch.setattr(check, "TIME_LIMIT", 0.1)

    class Slow:
        def __del__(self):
            end = time.perf_counter() + 0.02
            while time.perf_counter() < end:
                pass

    def leaves_slow_things(x):
        while True:
            Slow()
            time.sleep(0.005)

    an_exercise()(leaves_slow_things)
    gc.collect()
    assert "still running after 0.1 s" in capsys.readouterr().out
    assert not [thread for thread in check.threading.enumerate() if thread.daemon and "work" in thread.name]


def test_interrupt_is_the_users_own(monkeypatch):
    """Ctrl-C in an answer stops the notebook, as everywhere else."""

    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        an_exercise()(interrupted)


@pytest.mark.parametrize("stub", [..., (..., ...), {"low": ...}, lambda x: ..., lambda x: None])
def test_stubs_are_known(stub, capsys):
    """`...`, a tuple or dict of it, and a function that gives it back or has no body are stubs."""
    an_exercise()(stub)
    assert "Not attempted" in capsys.readouterr().out


@pytest.mark.parametrize("attempt", [lambda x: 11, lambda x: 0, lambda x: False, lambda x: "", lambda x: x])
def test_a_short_function_is_an_attempt(attempt, capsys):
    """A function that gives back a constant or what it was given is wrong here, but no stub."""
    an_exercise()(attempt)
    assert "Not yet: " in capsys.readouterr().out


def test_a_function_with_a_gap_is_a_stub(capsys):
    """A prepared function with `...` at its end was not attempted."""

    def prepared(x):
        twice = ...
        return twice

    an_exercise()(prepared)
    assert "Not attempted" in capsys.readouterr().out


def test_a_broken_function_is_a_stub_until_it_is_touched(capsys):
    """The function to repair is known by what it does, wherever it was written."""

    def stub(x):
        """Docstring."""
        return [y * 3 for y in (x,)][0]

    def untouched(x):
        """Docstring."""

        return [y * 3 for y in (x,)][0]

    def touched(x):
        """Docstring."""
        return [y * 4 for y in (x,)][0]

    an_exercise(stub)(untouched)
    assert "Not attempted" in capsys.readouterr().out
    an_exercise(stub)(touched)
    assert "Not yet: it is too large." in capsys.readouterr().out


def test_forgotten_return_is_named(capsys):
    """A function that gives back nothing is told so."""
    an_exercise()(gives_nothing)
    assert "Is `return` missing?" in capsys.readouterr().out


@pytest.mark.parametrize("ends", ["it is wrong", "it is wrong.", "Is it wrong?"])
def test_one_stop_after_what_differs(ends, capsys):
    """What a judge or an error says ends in one stop, whether it brings its own or not."""
    an_exercise()._replace(judge=lambda answer: ends)(3)
    said = capsys.readouterr().out
    assert said == f"q99_1: Not yet: {ends.rstrip('.')}{'' if ends[-1] == '?' else '.'} The reference stands in.\n"


@pytest.mark.parametrize(("name", "given"), [("q00_1", ()), ("q00_1", (1, 2)), ("q01_3", ())])
def test_what_is_given_is_asked_for(name, given):
    """A call without the table or image of the task cell says how to call."""
    with pytest.raises(HemokitError, match=rf"expected 2. Call it as the task cell does: check\.{name}\(answer, \w+\)"):
        EXERCISES[name](0.5, *given)


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (3, 2, "it is too large"),
        (np.float32(1), 2, "it is too small"),
        ("2", 2, "it should be made of numbers, but it is of type str"),
        (np.zeros((7, 8)), np.zeros((8, 7)), r"it has shape (7, 8), but shape (8, 7) is wanted"),
        (np.eye(3), np.zeros((3, 3)), "it differs in 3 of 9 places: the first, [0, 0], is too large"),
        (np.array([True, False]), np.array([True, True]), "it differs in 1 of 2 places: the first, [1], differs"),
        (np.array([0, 1]), np.array([True, True]), "it holds int64 values, which is not the kind wanted"),
        (float("nan"), 2, "it differs"),
        ([1, 2], (1, 3), "it, value 2, is too small"),
        ([1], (1, 3), "it should hold 2 values, but it holds 1"),
        (7, (1, 3), "it should hold 2 values, but it is of type int"),
        ("a", "b", "it is 'a', which is not it"),
        ((1, ...), (1, 3), "it, value 2, should be made of numbers, but it is still `...`"),
        (None, 2, "it should be made of numbers, but it is None"),
        (2.000001, 2, None),
        (float("nan"), float("nan"), None),
        ((1.0, "b"), [1, "b"], None),
    ],
)
def test_differs(got, expected, said):
    """What differs is said in words, and what agrees is None."""
    assert check.differs(got, expected, "it") == said


@pytest.mark.parametrize("name", ["q99_1", "q00_9", "q0_1"])
def test_unknown_exercise(name):
    """A mistyped name lists the exercises there are, also within a lesson that exists."""
    with pytest.raises(AttributeError, match=f"no exercise '{name}'; there are q00_1"):
        getattr(check, name)


def test_check_is_reached_by_name():
    """Every exercise is an attribute of `check`, and is listed for completion."""
    assert check.q00_1 is EXERCISES["q00_1"]
    assert set(EXERCISES) <= set(dir(check))
