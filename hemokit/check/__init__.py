"""The exercises: `check.q01_2(answer)` says how an answer does, and never stops the notebook.

Every exercise of lesson NN stands in `hemokit.check.lesson_NN`, which is imported when it is asked for.
"""

import ast
import ctypes
import dis
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hemokit.checks import problem

TIME_LIMIT = 10  # seconds that an answer may take


class Exercise(NamedTuple):
    """One exercise. Call it with an answer; ask it for `.hint()` or `.solution()`.

    Attributes:
        name: "q01_2" is the second exercise of lesson 01, and the name of the variable in lesson_01.py.
        judge: function (answer, *given) -> None where the answer is right, else a clause that says what
            differs and does not give the answer away. What it raises counts as "not yet".
        reference: function (*given) -> the right answer (itself a function where one is asked for).
        clue: what `.hint()` prints.
        code: what `.solution()` prints: a function (its source is shown) or text; the solution cell of the
            lesson holds the same lines.
        stub: the code that a learner is given, where it is more than `...` (a broken function to repair).
    """

    name: str
    judge: Callable
    reference: Callable
    clue: str
    code: Callable | str
    stub: Any = ...

    def __call__(self, answer, *given):
        """Print one of three states; return the answer when it is correct, else the reference.

        Args:
            answer: the learner's value or function; `...` where the exercise was not attempted.
            *given: what the right answer depends on (a table, an image), in the lesson's own data.

        Raises:
            HemokitError: more or less is given than the task cell passes.
        """
        _check_given(self, given)
        verdict = _verdict(self, answer, given)
        print(f"{self.name}: {verdict}")
        return answer if verdict == CORRECT else self.reference(*given)

    def hint(self):
        """Print a clue."""
        print(f"{self.name}: {self.clue}")

    def solution(self):
        """Print code that solves the exercise."""
        print(solution_code(self))


CORRECT = "Correct."
NOT_ATTEMPTED = "Not attempted: the reference stands in."


def solution_code(exercise):
    """The lines that `.solution()` prints, as text."""
    code = exercise.code
    return (code if isinstance(code, str) else inspect.getsource(code)).strip()


def exercises():
    """Every exercise of every lesson that exists: dict name -> Exercise, in order."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("lesson_"))
    found = [vars(importlib.import_module(f"{__name__}.{module}")) for module in modules]
    return {name: value for names in found for name, value in names.items() if isinstance(value, Exercise)}


def differs(got, expected, what, *, tolerance=1e-5):
    """Say how `got` differs from `expected` without telling `expected`; None where they agree.

    Args:
        got: the learner's value, of any type.
        expected: a number, a string, an array, or a tuple or list of these.
        what: what is compared, as the subject of a sentence ("the image of air").
        tolerance: the largest absolute difference between numbers that counts as equal.

    Returns:
        a clause such as "the image of air is too large", or None.
    """
    if isinstance(expected, tuple | list):
        return _sequence_differs(got, expected, what, tolerance)
    if isinstance(expected, str):
        return None if isinstance(got, str) and got == expected else f"{what} is {got!r}, which is not it"
    return _array_differs(got, np.asarray(expected), what, tolerance)


def _sequence_differs(got, expected, what, tolerance):
    if not isinstance(got, tuple | list | np.ndarray):
        return f"{what} should hold {len(expected)} values, but it is {_type_of(got)}"
    if len(got) != len(expected):
        return f"{what} should hold {len(expected)} values, but it holds {len(got)}"
    parts = (
        differs(g, e, f"{what}, value {n},", tolerance=tolerance)
        for n, (g, e) in enumerate(zip(got, expected, strict=True), 1)
    )
    return next((part for part in parts if part), None)


def _array_differs(got, expected, what, tolerance):
    array = np.asarray(got)
    if array.dtype.kind not in "buif":
        return f"{what} should be made of numbers, but it is {_type_of(got)}"
    if array.shape != expected.shape:
        return f"{what} has shape {array.shape}, but shape {expected.shape} is wanted"
    if (array.dtype.kind == "b") != (expected.dtype.kind == "b"):
        return f"{what} holds {array.dtype} values, which is not the kind wanted"
    gap = array.astype(float) - expected.astype(float)
    wrong = ~(np.abs(gap) <= tolerance) & ~(np.isnan(array.astype(float)) & np.isnan(expected.astype(float)))
    if not wrong.any():
        return None
    if array.dtype.kind == "b" or np.isnan(gap[wrong][0]):
        way = "differs"
    else:
        way = "is too large" if gap[wrong][0] > 0 else "is too small"
    if array.ndim == 0:
        return f"{what} {way}"
    place = ", ".join(map(str, np.argwhere(wrong)[0]))
    return f"{what} differs in {wrong.sum()} of {wrong.size} places: the first, [{place}], {way}"


def _type_of(value):
    """A value's type as the end of a sentence."""
    if value is ...:
        return "still `...`"
    return "None" if value is None else f"of type {type(value).__name__}"


def _check_given(exercise, given):
    """Raise HemokitError unless `given` is what the exercise needs beside the answer."""
    signature = inspect.signature(exercise.reference)
    try:
        signature.bind(*given)
    except TypeError:
        call = f"check.{exercise.name}({', '.join(['answer', *signature.parameters])})"
        remedy = f"Call it as the task cell does: {call}."
        came = f"check.{exercise.name} was given {1 + len(given)} thing(s)"
        raise problem(came, f"{1 + len(signature.parameters)}", remedy) from None


class _NotAttempted(Exception):
    """The answer is still the stub."""


class _TooLong(BaseException):
    """Raised inside an answer that runs for too long; a BaseException, so that `except Exception` lets it pass."""


def _verdict(exercise, answer, given):
    if _untouched(answer, exercise.stub):
        return NOT_ATTEMPTED
    judged = _guarded(answer) if callable(answer) else answer
    try:
        difference = _within(TIME_LIMIT, lambda: exercise.judge(judged, *given))
    except _NotAttempted:
        return NOT_ATTEMPTED
    except _TooLong:
        difference = f"it was still running after {TIME_LIMIT:g} s. Does a loop never end?"
    except BaseException as error:  # a learner's code may raise anything, SystemExit included
        if isinstance(error, KeyboardInterrupt):
            raise
        difference = f"checking it raised {type(error).__name__}: {error}"
    if difference is None:
        return CORRECT
    stop = "" if difference.endswith((".", "!", "?")) else "."
    return f"Not yet: {difference}{stop} The reference stands in."


def _untouched(answer, stub):
    """Whether the answer is `...`, holds nothing but `...`, is a function without a body, or is the stub itself."""
    if answer is ...:
        return True
    if isinstance(answer, tuple | list | dict) and len(answer):
        return all(part is ... for part in (answer.values() if isinstance(answer, dict) else answer))
    if not inspect.isfunction(answer):
        return False
    if _gives_a_gap(answer):
        return True
    return stub is not ... and _steps(answer) is not None and _steps(answer) == _steps(stub)


def _gives_a_gap(function):
    """Whether a function does nothing but give back `...` or None: `return 11` is an attempt, and so is `return x`."""
    steps = [step for step in dis.get_instructions(function) if step.opname not in ("RESUME", "NOP")]
    constants = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    others = {step.opname for step in steps} - {"LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    return not others and len(constants) == 1 and constants[0] in (None, ...)


def _steps(function):
    """What a function is given and does, as text without layout and comments; None where its source is not known."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    first = tree.body[0]
    return ast.dump(ast.Module([first.args, *first.body], [])) if isinstance(first, ast.FunctionDef) else None


def _guarded(function):
    """The learner's function, which says so when it gives back `...` or nothing."""

    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if _untouched(result, None):
            raise _NotAttempted
        if result is None:
            raise ValueError("the function gives back None. Is `return` missing?")
        return result

    return call


def _within(seconds, function):
    """Run `function` in a thread, and stop it there after `seconds`: works on every system and in every kernel."""
    outcome = []

    def work():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a division by zero, say: the verdict tells it better
        thread.start()
        thread.join(seconds)
    if not outcome:
        _stop(thread)
        raise _TooLong
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def _stop(thread):
    """Raise _TooLong in a thread until it ends, and say nothing where a `__del__` or a weak reference swallows it."""
    hooks = sys.unraisablehook, threading.excepthook

    def but_for_ours(hook):
        return lambda news: None if news.exc_type is _TooLong else hook(news)

    sys.unraisablehook, threading.excepthook = map(but_for_ours, hooks)
    try:
        for _ in range(40):
            if not thread.is_alive():
                break
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TooLong))
            thread.join(0.05)
    finally:
        sys.unraisablehook, threading.excepthook = hooks


def __getattr__(name):
    number = re.fullmatch(r"q(\d\d)_\d+", name)
    if number and f"lesson_{number[1]}" in {module.name for module in pkgutil.iter_modules(__path__)}:
        lesson = vars(importlib.import_module(f"{__name__}.lesson_{number[1]}"))
        if name in lesson:
            return lesson[name]
    raise AttributeError(f"there is no exercise {name!r}; there are {', '.join(exercises())}")


def __dir__():
    return [*globals(), *exercises()]
