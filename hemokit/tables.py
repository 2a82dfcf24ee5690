"""The slice table: one row is one slice. What every reader gives and everything after it takes.

The account of what was left out travels with the table, in `table.attrs["account"]`.
"""

from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.labels import ANY, LABELS, SUBTYPES

ID_COLUMNS = ("patient_id", "scan_id", "slice_id")
COLUMNS = ("dataset", *ID_COLUMNS, "slice_index", "image_path", "mask_path", *LABELS)
SLICES = "slices"  # the unit of an account that counts the rows of its table


class Drop(NamedTuple):
    """Rows left out for one reason: `reason` in words and the `ids` (slice ids, or "file, row n")."""

    reason: str
    ids: tuple

    def __deepcopy__(self, memo):
        return self  # immutable; pandas deep-copies attrs at every step


class Account(NamedTuple):
    """rows in = rows used + rows dropped. `unit` says what was counted (for example "labeled slices")."""

    rows_in: int
    rows_used: int
    drops: tuple = ()
    unit: str = SLICES
    notes: tuple = ()

    def __deepcopy__(self, memo):
        return self

    def as_frame(self):
        """One line per reason, then the rows used: DataFrame(outcome, rows, examples)."""
        rows = [(f"dropped: {drop.reason}", len(drop.ids), ", ".join(drop.ids[:3])) for drop in self.drops]
        rows.append(("used", self.rows_used, ""))
        return pd.DataFrame(rows, columns=["outcome", "rows", "examples"])

    def __str__(self):
        parts = [f"{self.rows_in} {self.unit} in", f"{self.rows_used} used"]
        parts += [f"{len(drop.ids)} dropped ({drop.reason})" for drop in self.drops]
        return "; ".join(parts) + "".join(f". {note.rstrip('.')}" for note in self.notes)


def build_table(rows, *, rows_in, drops=(), unit=SLICES, notes=()):
    """Turn a reader's rows into a checked slice table that carries its account.

    Args:
        rows: DataFrame (or anything that makes one) with at least `COLUMNS`; other columns follow them.
        rows_in: how many rows were found, before anything was dropped.
        drops: sequence of `Drop` (empty ones are left out).
        unit: what a row is, for the account's sentence.
        notes: sentences that a user must see ("masks: none in this folder").

    Returns:
        DataFrame sorted by patient_id, scan_id, slice_index, slice_id, with attrs["account"]. Whatever the
        layout, labels are int8, text is of dtype object with None where it is missing, and slice_index is
        int64, or nullable Int64 where the place of some slice in its scan is unknown.

    Raises:
        HemokitError: as `check_slice_table`; or rows that are neither used nor dropped.
    """
    table = pd.DataFrame(rows)
    check_columns(table, COLUMNS)
    table = table[[*COLUMNS, *[column for column in table.columns if column not in COLUMNS]]]
    table = _with_types(check_slice_table(table.reset_index(drop=True)))
    table = table.sort_values(["patient_id", "scan_id", "slice_index", "slice_id"], kind="stable", ignore_index=True)
    drops = tuple(drop for drop in drops if drop.ids)
    lost = rows_in - len(table) - sum(len(drop.ids) for drop in drops)
    if lost:
        raise problem(
            f"{rows_in} {unit} came in and {lost} of them are neither used nor dropped",
            "rows in = rows used + rows dropped",
            "This is a mistake of the reader: please report it.",
        )
    table.attrs["account"] = Account(rows_in, len(table), drops, unit, tuple(notes))
    return table


def _with_types(table):
    """The checked table with the types that `build_table` promises, the same on every version of pandas."""
    typed = {}
    for column in table.columns:
        values = table[column]
        if column in LABELS:
            typed[column] = values.astype("int8")
        elif column == "slice_index":
            places = values.astype("Int64")
            typed[column] = places if places.isna().any() else places.astype("int64")
        elif values.dtype == object or isinstance(values.dtype, pd.StringDtype):
            typed[column] = values.astype(object).where(values.notna(), None)
    return table.assign(**typed)


def account(table):
    """The `Account` of a table, or one without drops when the table carries none.

    pandas hands the account on to whatever is made of a table. Where rows were taken away or added since
    (a filter, `concat`, copies), its numbers are of the table before: then the account is of the rows that
    are here, and its first note says what they were taken from.
    """
    told = table.attrs.get("account", Account(len(table), len(table)))
    if told.unit != SLICES or told.rows_used == len(table):  # other units are no rows of the table
        return told
    note = f"taken from a table of {told.rows_used} rows ({told._replace(notes=())})"
    return Account(len(table), len(table), notes=(note, *told.notes))


def check_slice_table(table):
    """Return `table`, or raise HemokitError where it breaks the contract of a slice table.

    The contract: all of `COLUMNS`; ids are strings that are not empty (a missing patient_id or scan_id is
    allowed, a missing slice_id is not); slice_id is unique; a scan_id is of one patient; slice_index is a
    whole number from 0, or missing where it is unknown; labels are 0/1, and `any` is 1 exactly where a
    subtype is 1. An empty table is fine.
    """
    check_columns(table, COLUMNS)
    _check_ids(table)
    if table["slice_id"].isna().any():
        raise problem(
            f"{int(table['slice_id'].isna().sum())} rows have no slice_id", "an id for every slice", "Fill slice_id."
        )
    twice = table["slice_id"][table["slice_id"].duplicated()]
    if len(twice):
        raise problem(
            f"slice_id {twice.iloc[0]!r} stands in {int((table['slice_id'] == twice.iloc[0]).sum())} rows",
            "each slice once",
            "Drop the duplicates (and count them).",
            column="slice_id",
        )
    _check_scans(table)
    _check_places(table)
    _check_labels(table)
    return table


def _check_ids(table):
    for column in ID_COLUMNS:
        values = table[column].dropna()
        wrong = values[[not isinstance(value, str) for value in values]]
        if len(wrong):
            raise problem(
                f"{column} {wrong.tolist()[0]!r} is {type(wrong.tolist()[0]).__name__}",
                "ids to be strings",
                "Read ids as text: as numbers, '049' becomes 49.",
                row=wrong.index[0],
                column=column,
            )
        empty = values[values == ""]
        if len(empty):
            came = f"{column} is empty text"
            remedy = "Fill it; an unknown patient_id or scan_id is None."
            raise problem(came, "an id", remedy, row=empty.index[0], column=column)


def _check_scans(table):
    """Raise where one scan_id stands under several patients."""
    pairs = table[["scan_id", "patient_id"]].dropna().drop_duplicates()
    twice = pairs["scan_id"][pairs["scan_id"].duplicated()]
    if len(twice):
        patients = pairs["patient_id"][pairs["scan_id"] == twice.iloc[0]].tolist()
        raise problem(
            f"scan {twice.iloc[0]!r} stands under {len(patients)} patients ({', '.join(map(repr, patients[:3]))})",
            "one patient a scan",
            "Correct the ids: a split by patient would put one scan on two sides.",
            column="scan_id",
        )


def _check_places(table):
    """Raise unless every known slice_index is a whole number from 0."""
    known = table["slice_index"].notna()
    values = table["slice_index"][known]
    wrong = (values < 0) if pd.api.types.is_integer_dtype(values) else [not _is_place(value) for value in values]
    wrong = table[known][np.asarray(wrong, bool)]
    if len(wrong):
        raise problem(
            f"slice {wrong['slice_id'].iloc[0]!r} has slice_index = {wrong['slice_index'].tolist()[0]!r}",
            "a whole number from 0, or a missing value",
            "Count the slices of a scan from 0, upward from the neck.",
            column="slice_index",
        )


def _is_place(value):
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < 2**31 and value % 1 == 0


def _check_labels(table):
    for label in LABELS:
        wrong = table[~table[label].isin([0, 1])]
        if len(wrong):
            raise problem(
                f"slice {wrong['slice_id'].iloc[0]!r} has {label} = {wrong[label].tolist()[0]!r}",
                "labels 0 or 1",
                "Correct the label, or drop the slice and count it.",
                column=label,
            )
    subtypes = table[list(SUBTYPES)].max(axis=1)
    wrong = table[table[ANY].astype(int) != subtypes.astype(int)] if len(table) else table
    if len(wrong):
        first = wrong.iloc[0]
        raise problem(
            f"slice {first['slice_id']!r} has any = {first[ANY]}, its subtypes say {subtypes[wrong.index[0]]}",
            "any = 1 exactly where a subtype is 1",
            "Correct the labels, or drop the slice and count it.",
            column=ANY,
        )
