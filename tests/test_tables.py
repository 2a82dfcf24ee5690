"""The slice table and its account."""

import copy

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.labels import LABELS
from hemokit.tables import COLUMNS, Account, Drop, account, build_table, check_slice_table


def row(slice_id, **values):
    """One valid row, with the values that a test cares for."""
    base = {"dataset": "x", "patient_id": "p1", "scan_id": "s1", "slice_id": slice_id, "slice_index": 0}
    return {**base, "image_path": "a", "mask_path": None, **dict.fromkeys(LABELS, 0), **values}


def test_build_table_orders_rows_and_columns():
    """Rows by patient, scan and index; the fixed columns first, extras behind; the account travels along."""
    rows = [row("b", age_years=3, slice_index=1), row("c", patient_id="p0", scan_id="s0"), row("a", slice_index=10)]
    table = build_table(rows, rows_in=5, drops=[Drop("blank", ("x", "y")), Drop("never", ())], notes=["No masks."])
    assert list(table) == [*COLUMNS, "age_years"]
    assert table["slice_id"].tolist() == ["c", "b", "a"] and table.index.tolist() == [0, 1, 2]
    assert account(table) == Account(5, 3, (Drop("blank", ("x", "y")),), "slices", ("No masks.",))


@pytest.mark.parametrize("rows_in", [0, 2])
def test_rows_must_add_up(rows_in):
    """Rows that vanish, or come from nowhere, are a mistake of the reader."""
    with pytest.raises(HemokitError, match="neither used nor dropped"):
        build_table([row("a")], rows_in=rows_in)


def test_account_in_words_and_as_frame():
    """The sentence and the frame say the same numbers."""
    told = Account(5, 3, (Drop("blank", ("x", "y")),), "label rows", ("No masks.", "No patients"))
    assert str(told) == "5 label rows in; 3 used; 2 dropped (blank). No masks. No patients"
    frame = told.as_frame()
    assert frame["rows"].sum() == 5 and frame["examples"].tolist() == ["x, y", ""]


def test_account_survives_pandas():
    """Filters that keep every row, and copies, keep the account; a table without one accounts for itself."""
    table = build_table([row("a"), row("b")], rows_in=2)
    assert account(table[table["any"] == 0]) is account(table) is account(copy.deepcopy(table))
    assert account(pd.DataFrame({"x": [1, 2]})) == Account(2, 2)


def test_account_of_other_rows():
    """After a filter or concat the numbers are those of the rows at hand, and the notes tell where they came from."""
    table = build_table([row("a"), row("b")], rows_in=3, drops=[Drop("blank", ("x",))], notes=["No masks."])
    note = "taken from a table of 2 rows (3 slices in; 2 used; 1 dropped (blank))"
    assert account(table[:1]) == Account(1, 1, notes=(note, "No masks."))
    assert account(pd.concat([table, table])) == Account(4, 4, notes=(note, "No masks."))
    counted_otherwise = Account(5, 3, (Drop("blank", ("x", "y")),), "label rows")
    table.attrs["account"] = counted_otherwise  # of the files: their rows are not the table's
    assert account(table) is counted_otherwise


def test_types_are_always_the_same():
    """Labels int8, text object with None, places int64; Int64 where one of them is unknown."""
    rows = pd.DataFrame([row("a", sex="male", slice_index=1.0), row("b", sex=np.nan, slice_index=np.nan)])
    rows = rows.astype(dict.fromkeys(LABELS, "uint8") | {"slice_id": "string", "image_path": "string"})
    table = build_table(rows, rows_in=2)
    assert {str(table[label].dtype) for label in LABELS} == {"int8"}
    texts = ["dataset", "patient_id", "scan_id", "slice_id", "image_path", "mask_path", "sex"]
    assert {str(table[column].dtype) for column in texts} == {"object"}
    assert table["mask_path"].tolist() == [None, None] and table["sex"].tolist() == ["male", None]
    assert str(table["slice_index"].dtype) == "Int64" and table["slice_index"].tolist() == [1, pd.NA]
    assert str(build_table(rows[:1], rows_in=1)["slice_index"].dtype) == "int64"
    assert (table["any"] - np.int8(1)).tolist() == [-1, -1]
    empty = build_table(pd.DataFrame(columns=list(COLUMNS)), rows_in=0)
    assert str(empty["any"].dtype) == "int8" and str(empty["slice_index"].dtype) == "int64"


def test_broken_rows_are_no_table():
    """`build_table` checks before it sorts and converts: ids 1 and "1" together, half a place."""
    with pytest.raises(HemokitError, match="patient_id 1 is int"):
        build_table([row("a", patient_id="1"), row("b", patient_id=1)], rows_in=2)
    with pytest.raises(HemokitError, match="slice 'a' has slice_index = 0.5"):
        build_table([row("a", slice_index=0.5)], rows_in=1)


def test_missing_patients_and_empty_tables_are_fine():
    """Patients and scans may be unknown; an empty table is a table."""
    check_slice_table(pd.DataFrame([row("a", patient_id=None, scan_id=np.nan)]))
    assert len(build_table(pd.DataFrame(columns=list(COLUMNS)), rows_in=0)) == 0


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([row("a", patient_id=49)], "patient_id 49 is int, but expected ids to be strings"),
        ([row(7)], "slice_id 7 is int"),
        ([row("")], "slice_id is empty text, but expected an id"),
        ([row("a", patient_id="")], "patient_id is empty text"),
        ([row("a"), row("b", patient_id="p2")], "scan 's1' stands under 2 patients .'p1', 'p2'."),
        ([row("a", slice_index=-1)], "slice 'a' has slice_index = -1, but expected a whole number from 0"),
        ([row("a", slice_index=0.5)], "slice_index = 0.5"),
        ([row("a", slice_index="3")], "slice_index = '3'"),
        ([row("a", slice_index=True)], "slice_index = True"),
        ([row("a", slice_index=np.inf)], "slice_index = inf"),
        ([row(None)], "1 rows have no slice_id"),
        ([row("a"), row("a", slice_index=1)], "slice_id 'a' stands in 2 rows"),
        ([row("a", epidural=2)], "slice 'a' has epidural = 2"),
        ([row("a", epidural=np.nan)], "slice 'a' has epidural = "),
        ([row("a", subdural="1")], "slice 'a' has subdural = '1'"),
        ([row("a", any=1)], "slice 'a' has any = 1, its subtypes say 0"),
        ([row("a", epidural=1)], "slice 'a' has any = 0, its subtypes say 1"),
        ([{"slice_id": "a"}], "the table lacks the column"),
    ],
)
def test_broken_tables(rows, sentence):
    """Numbers for ids, doubles, labels that are not 0/1 or contradict each other."""
    with pytest.raises(HemokitError, match=sentence):
        check_slice_table(pd.DataFrame(rows))
