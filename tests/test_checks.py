"""The sentences that errors are made of."""

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import (
    HemokitError,
    check_binary,
    check_choice,
    check_columns,
    check_same_shape,
    check_whole,
    counted,
    problem,
)


def test_problem_has_three_clauses_and_the_place():
    """File, row and column come first, then what came, what was expected, what to do."""
    error = problem("x is 3", "x below 2", "Make it smaller.", file="a.csv", row=7, column="x")
    assert isinstance(error, HemokitError) and isinstance(error, ValueError)
    assert str(error) == "a.csv, row 7, column 'x': x is 3, but expected x below 2. Make it smaller."


def test_problem_without_a_place():
    """Without a file the sentence begins with what came."""
    assert str(problem("x is 3", "2", "Fix.")) == "x is 3, but expected 2. Fix."


def test_check_choice():
    """A choice comes back; anything else is told together with the choices."""
    assert check_choice("b", ("a", "b"), "letter") == "b"
    with pytest.raises(HemokitError, match=r"letter is 'c', but expected one of 'a', 'b'"):
        check_choice("c", iter("ab"), "letter")


def test_check_columns():
    """A missing column is named, with the columns that are there."""
    table = pd.DataFrame({"Any": [1]})
    check_columns(table, ["Any"])
    with pytest.raises(HemokitError, match=r"x\.csv: the table lacks the column\(s\) 'any'.*It has 'Any'"):
        check_columns(table, ["Any", "any"], file="x.csv")


def test_check_same_shape():
    """Shapes that would broadcast are refused all the same."""
    check_same_shape(np.zeros((7, 8)), np.ones((7, 8)))
    with pytest.raises(HemokitError, match=r"y_true has shape \(7, 8\) and y_pred has shape \(1, 8\)"):
        check_same_shape(np.zeros((7, 8)), np.zeros((1, 8)))


@pytest.mark.parametrize("dtype", [bool, np.uint8, int, np.float32, float])
def test_check_binary_accepts_zero_and_one(dtype):
    """0 and 1 of any number type become bool."""
    result = check_binary(np.array([[0, 1], [1, 0]], dtype), "mask")
    assert result.dtype == bool and result.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "values, sentence",
    [
        (np.array([0, 255], np.uint8), "mask holds the value 255.*0/255 mask image: use mask > 127"),
        ([0.0, 0.3], "mask holds the value 0.3.*apply a threshold first"),
        ([1.0, np.nan], "mask holds the value nan"),
        ([np.nan, np.nan], "mask holds the value nan"),
        (np.array(5), "mask holds the value 5"),
        (["0", "1"], "mask holds .* values"),
        ([None, 1], "mask holds object values"),
    ],
)
def test_check_binary_refuses(values, sentence):
    """Mask images, probabilities, NaN and texts are refused by name."""
    with pytest.raises(HemokitError, match=sentence):
        check_binary(values, "mask")


def test_check_binary_of_nothing():
    """An empty array is fine."""
    assert check_binary(np.zeros((0, 8)), "mask").shape == (0, 8)
    assert check_binary(np.zeros(0, object), "mask").dtype == bool


def test_counts_in_words():
    """One has no s, and thousands have a comma."""
    assert [counted(n, "row") for n in (0, 1, 2, 1024)] == ["0 rows", "1 row", "2 rows", "1,024 rows"]


@pytest.mark.parametrize("value", [-1, 2.0, True, "3"])
def test_whole_numbers(value):
    """A whole number of at least the least is given back as an int; others are refused."""
    assert check_whole(np.int64(7), "epochs", 7) == 7
    with pytest.raises(HemokitError, match="epochs is .* a whole number from 0"):
        check_whole(value, "epochs", 0)
