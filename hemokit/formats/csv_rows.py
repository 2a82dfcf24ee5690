"""From the bytes of a CSV file to a table of text: the two ways behind `csv_files.read_csv`.

Text without quotes is checked with array operations and cut by pandas (millions of rows in seconds);
text with quotes goes through the csv module. Both give the same table and the same errors.
"""

import codecs
import csv
import io
import re

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.formats.bounded import library_errors


def table_from_bytes(data, path, header_rows):
    """Cut `data` (bytes, without line ends at its end) into a DataFrame of strings, index = line numbers."""
    _check_text(data, path)
    if header_rows == 1 and b'"' not in data:
        return _read_plain(data, path)
    return _read_quoted(data, path, header_rows)


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
