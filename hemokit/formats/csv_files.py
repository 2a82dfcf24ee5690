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
import csv
import io
import math
import re

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, check_columns, problem
from hemokit.formats.bounded import library_errors, read_bytes

MAX_BYTES = 2**29  # four times the largest table in use (4.5 million rows, 120 MB)
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
    data = read_bytes(path, max_bytes=max_bytes).removeprefix(codecs.BOM_UTF8)
    _check_text(data, path)
    if header_rows == 1 and b'"' not in data:
        table = _read_plain(data, path)
    else:
        table = _read_quoted(data, path, header_rows)
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


def _check_text(data, path):
    """Raise unless `data` is UTF-8 without NUL bytes and has something in its first line."""
    position = data.find(b"\0")
    if position >= 0:
        raise problem(
            "there is a NUL byte",
            "plain text",
            "Save the table as CSV in UTF-8 (this may be UTF-16 or a damaged file).",
            file=path,
            row=data.count(b"\n", 0, position) + 1,
        )
    if not data.isascii():
        try:
            codecs.utf_8_decode(data, "strict", True)
        except UnicodeDecodeError as error:
            raise problem(
                f"the byte 0x{data[error.start]:02x} is not UTF-8",
                "text in UTF-8",
                "Save the table as CSV in UTF-8.",
                file=path,
                row=data.count(b"\n", 0, error.start) + 1,
            ) from error
    if not data.split(b"\n", 1)[0].strip():
        raise problem("the first line is blank", "the column names", "Put a header in line 1.", file=path, row=1)


def _read_plain(data, path):
    """The fast way, for text without quotes: lines and commas are counted as arrays, then pandas cuts."""
    bare = data.count(b"\r") != data.count(b"\r\n") and re.search(rb"\r(?!\n)", data)
    if bare:
        raise _bare_return(path, data.count(b"\n", 0, bare.start()) + 1)
    data = data.rstrip(b"\r\n")
    counts = _count_fields(data)  # (lines,)
    header = data.split(b"\n", 1)[0].decode().rstrip("\r").split(",")
    _check_header(header, path)
    wrong = np.flatnonzero(counts != len(header))
    if len(wrong):
        raise _ragged(int(counts[wrong[0]]), header, path, int(wrong[0]) + 1)
    if len(counts) == 1:
        return pd.DataFrame(columns=header, index=pd.RangeIndex(2, 2), dtype=str)
    with library_errors(path, "cutting the lines into fields"):
        table = pd.read_csv(
            io.BytesIO(data),
            names=header,
            skiprows=1,
            index_col=False,
            dtype=str,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            skip_blank_lines=False,
            on_bad_lines="error",
            encoding="utf-8",
        )
    if len(table) != len(counts) - 1:
        raise problem(f"{len(table)} rows were cut", f"{len(counts) - 1} lines", "Please report this file.", file=path)
    table.index = pd.RangeIndex(2, len(table) + 2)
    return table


def _count_fields(data):
    """Fields in each line of `data` (no quotes, no line end at the end); 0 for a blank line."""
    codes = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(codes == ord("\n")), len(codes))  # (lines,)
    commas = np.searchsorted(np.flatnonzero(codes == ord(",")), ends)
    fields = np.diff(commas, prepend=0) + 1
    lengths = np.diff(ends, prepend=-1) - 1
    carriage = np.zeros(len(ends), bool)
    carriage[lengths > 0] = codes[ends[lengths > 0] - 1] == ord("\r")
    fields[lengths == carriage] = 0
    return fields


def _read_quoted(data, path, header_rows):
    """The exact way, by the csv module: quotes may hold commas and newlines."""
    # The limit of the csv module is one per process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    reader = csv.reader(io.StringIO(data.decode(), newline="\n"), strict=True)
    lines, rows, header, blank = [], [], None, None
    line = 1
    try:
        for row in reader:
            if row and blank is not None:
                raise _ragged(0, header or row, path, blank)
            if not row:
                blank = line if blank is None else blank
            elif header is None or len(lines) < header_rows:
                header = row if header is None else _join_header(header, row, path, line)
                lines.append(line)
            elif len(row) != len(header):
                raise _ragged(len(row), header, path, line)
            else:
                lines.append(line)
                rows.append(row)
            line = reader.line_num + 1
    except csv.Error as error:
        if "new-line character" in str(error):
            raise _bare_return(path, reader.line_num) from error
        raise problem(
            f"the quotes are wrong ({error})",
            'fields with commas, quotes or newlines inside "...", quotes doubled',
            "Correct the quotes in this row, or export the table again.",
            file=path,
            row=line,
        ) from error
    if len(lines) < header_rows:
        raise problem(
            f"there are {len(lines)} rows", f"a header of {header_rows} rows", "Is the file complete?", file=path
        )
    _check_header(header, path)
    index = pd.Index(lines[header_rows:], dtype="int64")
    return pd.DataFrame(rows, columns=header, index=index, dtype=str)


def _join_header(header, row, path, line):
    if len(row) != len(header):
        raise _ragged(len(row), header, path, line)
    return [" ".join(part for part in parts if part) for parts in zip(header, row, strict=True)]


def _check_header(header, path):
    seen = set()
    for name in header:
        if name in seen:
            raise problem(
                f"the column {name!r} stands twice in the header",
                "every column name once",
                "Rename one of the two columns.",
                file=path,
                row=1,
                column=name,
            )
        seen.add(name)


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


def _ragged(count, header, path, line):
    came = "the line is blank" if count == 0 else f"the row has {count} fields"
    return problem(
        came,
        f"{len(header)} fields, as in the header",
        'A lost or extra comma shifts the columns: text with commas belongs inside "...".',
        file=path,
        row=line,
    )


def _bare_return(path, line):
    return problem(
        "there is a carriage return that is not part of CRLF",
        "lines that end in LF or CRLF",
        "Save the file with Unix or Windows line ends.",
        file=path,
        row=line,
    )


def parse_int(text, *, file, row, column, low=None, high=None):
    """The integer that `text` writes in plain digits, from `low` to `high` (both included); else HemokitError.

    "1e5", "1.0", " 1", "" and "NA" are refused; "049" is 49.
    """
    if not (isinstance(text, str) and _INTEGER.fullmatch(text)):
        raise problem(
            f"the value is {text!r}", "a whole number in plain digits", "Correct it.", file=file, row=row, column=column
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
        raise problem(f"the value is {text!r}", "0 or 1", "Correct it.", file=file, row=row, column=column)
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
