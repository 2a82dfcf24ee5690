"""The slice table: one row is one slice. What every reader gives and everything after it takes.

The account of what was left out travels with the table, in `table.attrs["account"]`.
"""

from typing import NamedTuple

import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.labels import ANY, LABELS, SUBTYPES

ID_COLUMNS = ("patient_id", "scan_id", "slice_id")
COLUMNS = ("dataset", *ID_COLUMNS, "slice_index", "image_path", "mask_path", *LABELS)


class Drop(NamedTuple):
    """Rows left out for one reason: `reason` in words and the `ids` (slice ids, or "file, row n")."""

    reason: str
    ids: tuple

    def __deepcopy__(self, memo):
        return self  # immutable; pandas deep-copies attrs at every step


class Account(NamedTuple):
    """rows in = rows used + rows dropped. `unit` says what was counted (for example "labelled slices")."""

    rows_in: int
    rows_used: int
    drops: tuple = ()
    unit: str = "slices"
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


def build_table(rows, *, rows_in, drops=(), unit="slices", notes=()):
    """Turn a reader's rows into a checked slice table that carries its account.

    Args:
        rows: DataFrame (or anything that makes one) with at least `COLUMNS`; other columns follow them.
        rows_in: how many rows were found, before anything was dropped.
        drops: sequence of `Drop` (empty ones are left out).
        unit: what a row is, for the account's sentence.
        notes: sentences that a user must see ("masks: none in this folder").

    Returns:
        DataFrame sorted by patient_id, scan_id, slice_index, slice_id, with attrs["account"].

    Raises:
        HemokitError: as `check_slice_table`; or rows that are neither used nor dropped.
    """
    table = pd.DataFrame(rows)
    check_columns(table, COLUMNS)
    table = table[[*COLUMNS, *[column for column in table.columns if column not in COLUMNS]]]
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
    return check_slice_table(table)


def account(table):
    """The `Account` of a table, or one without drops when the table carries none."""
    return table.attrs.get("account", Account(len(table), len(table)))


def check_slice_table(table):
    """Return `table`, or raise HemokitError where it breaks the contract of a slice table.

    The contract: all of `COLUMNS`; ids are strings (a missing patient_id or scan_id is allowed, a
    missing slice_id is not); slice_id is unique; labels are 0/1, and `any` is 1 exactly where a
    subtype is 1. An empty table is fine.
    """
    check_columns(table, COLUMNS)
    for column in ID_COLUMNS:
        values = table[column].dropna()
        wrong = values[~values.map(lambda value: isinstance(value, str))]
        if len(wrong):
            raise problem(
                f"{column} {wrong.tolist()[0]!r} is {type(wrong.tolist()[0]).__name__}",
                "ids to be strings",
                "Read ids as text: as numbers, '049' becomes 49.",
                row=wrong.index[0],
                column=column,
            )
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
    _check_labels(table)
    return table


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
