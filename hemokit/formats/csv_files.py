"""CSV files as exact text, row by row: nothing is guessed, shifted, dropped or converted.

pandas on its own fills short rows, turns "NA" into a missing value, "049" into 49 and "1e5" into a
float. Here every cell stays the text of the file ("" for a blank one), and numbers are read by name,
with the file, the row and the column in the error. The rules:

- UTF-8, with or without byte order mark; lines end in LF or CRLF, mixed if need be. Other encodings,
  NUL bytes and bare CR line ends are refused.
- Comma and double quote as in RFC 4180. Every row has as many fields as the header; a row with more or
  fewer (an unquoted polygon, a lost comma) is refused.
- Blank lines are fine at the end of the file and refused elsewhere. A file with a header alone is an
  empty table; a file without a header is refused.
- The index of the table is the line number, as an editor counts it, of the row's first line.
"""

import codecs
import math
import re

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, check_columns, problem
from hemokit.formats.bounded import read_bytes
from hemokit.formats.csv_rows import table_from_bytes

MAX_BYTES = 2**29  # four times the largest table in use (4.5 million rows, 120 MB)
_SPREADSHEET = "Correct it. A spreadsheet may have changed it: take the original file again."
_CHANGED_FLAG = re.compile(r"[01]\.0*(?:E[+-]00)?|TRUE|FALSE", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def read_csv(path, *, columns=None, unique=None, allow_extra=True, header_rows=1, max_bytes=MAX_BYTES):
    """Read a CSV file as text.

    Args:
        path: the file.
        columns: names that must be there (in any order), or None.
        unique: a column, or several that together name a row: no two rows may have the same.
        allow_extra: whether columns beyond `columns` are accepted.
        header_rows: rows that make up the header; the names of several rows are joined by a space.
        max_bytes: largest file that is read.

    Returns:
        DataFrame of strings with all columns in the file's order; the index is the line number of each
        row (the header is line 1); attrs["file"] is the path. A header without rows gives an empty frame.

    Raises:
        HemokitError: anything that breaks the rules of this module, with the file and the line.
    """
    data = read_bytes(path, max_bytes=max_bytes).removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    if columns is not None and len(columns) > 1:
        _check_separator(data.split(b"\n", 1)[0], path)
    table = table_from_bytes(data, path, header_rows)
    table.attrs["file"] = str(path)
    if columns is not None:
        check_columns(table, columns, file=path)
        extra = [name for name in table.columns if name not in columns]
        if extra and not allow_extra:
            raise problem(
                f"there is a column {extra[0]!r}",
                f"no other than {', '.join(map(repr, columns))}",
                "Is this the right file? Remove the column if so.",
                file=path,
                row=1,
            )
    if unique is not None:
        _check_unique(table, [unique] if isinstance(unique, str) else list(unique))
    return table


def _check_separator(header, path):
    """Spreadsheets write semicolons or tabs where the comma is the decimal point."""
    for separator, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in header and b"," not in header:
            remedy = "A spreadsheet may have saved it so: take the original file again, or save it with commas."
            raise problem(f"the columns are separated by {name}", "commas", remedy, file=path, row=1)


def _check_unique(table, columns):
    check_columns(table, columns, file=table.attrs["file"])
    twice = np.flatnonzero(table.duplicated(columns))
    if len(twice):
        second = table.iloc[twice[0]][columns]
        first = table.index[(table[columns] == second).all(axis=1)][0]
        raise problem(
            f"{', '.join(map(repr, second))} stands already in row {first}",
            "each only once",
            "Remove one of the two rows.",
            file=table.attrs["file"],
            row=int(table.index[twice[0]]),
            column=", ".join(columns),
        )


def parse_int(text, *, file, row, column, low=None, high=None):
    """The integer that `text` writes in plain digits, from `low` to `high` (both included); else HemokitError.

    "1e5", "1.0", " 1", "" and "NA" are refused; "049" is 49.
    """
    if not (isinstance(text, str) and _INTEGER.fullmatch(text)):
        raise problem(
            f"the value is {text!r}",
            "a whole number in plain digits",
            _SPREADSHEET if isinstance(text, str) and _FLOAT.fullmatch(text) else "Correct it.",
            file=file,
            row=row,
            column=column,
        )
    return _in_range(int(text), text, low, high, file, row, column)


def parse_float(text, *, file, row, column, low=None, high=None):
    """The finite decimal number that `text` writes, from `low` to `high` (both included); else HemokitError."""
    value = float(text) if isinstance(text, str) and _FLOAT.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise problem(
            f"the value is {text!r}", "a finite decimal number", "Correct it.", file=file, row=row, column=column
        )
    return _in_range(value, text, low, high, file, row, column)


def parse_flag(text, *, file, row, column):
    """0 or 1 from exactly "0" or "1"; else HemokitError."""
    if text not in ("0", "1"):
        remedy = _SPREADSHEET if isinstance(text, str) and _CHANGED_FLAG.fullmatch(text) else "Correct it."
        raise problem(f"the value is {text!r}", "0 or 1", remedy, file=file, row=row, column=column)
    return int(text)


def integer_column(table, column, low=None, high=None):
    """A column of `read_csv` as int64 array (rows,), each value by `parse_int`."""
    return _parsed(table, column, np.int64, lambda text, **place: parse_int(text, low=low, high=high, **place))


def float_column(table, column, low=None, high=None, *, blank=None):
    """A column of `read_csv` as float64 array (rows,), each value by `parse_float`.

    A blank cell is refused unless `blank` says what it means (for example `math.nan`).
    """

    def parse(text, **place):
        return blank if text == "" and blank is not None else parse_float(text, low=low, high=high, **place)

    return _parsed(table, column, np.float64, parse)


def flag_column(table, column, *, blank=None):
    """A column of `read_csv` as int8 array (rows,) of 0 and 1, each value by `parse_flag`.

    A blank cell is refused unless `blank` (0 or 1) says what it means.
    """

    def parse(text, **place):
        return blank if text == "" and blank is not None else parse_flag(text, **place)

    return _parsed(table, column, np.int8, parse)


def _parsed(table, column, dtype, parse):
    """Parse each different text once; the first wrong one, in the order of the rows, raises."""
    file = table.attrs.get("file")
    check_columns(table, [column], file=file)
    codes, texts = pd.factorize(table[column].to_numpy(object), use_na_sentinel=False)
    values = np.empty(len(texts), dtype)
    for code, text in enumerate(texts):
        try:
            values[code] = parse(text, file=file, row=None, column=column)
        except HemokitError:
            row = int(table.index[np.argmax(codes == code)])
            parse(text, file=file, row=row, column=column)
    return values[codes]


def _in_range(value, text, low, high, file, row, column):
    if (low is not None and value < low) or (high is not None and value > high):
        limits = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
        raise problem(f"the value is {text!r}", " and ".join(limits), "Correct it.", file=file, row=row, column=column)
    return value
