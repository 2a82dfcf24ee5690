"""Tests of hemokit.formats.csv_files: forty traps, each with its exact outcome (promise C1)."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.formats import csv_rows
from hemokit.formats.csv_files import (
    flag_column,
    float_column,
    integer_column,
    parse_flag,
    parse_float,
    parse_int,
    read_csv,
)

POLYGON = '[{""x"": 0.25, ""y"": 0.5}, {""x"": 0.75, ""y"": 0.5}]'

# (name, content, options, rows by line number): what must be read, cell by cell.
READ = [
    ("plain", b"a,b\n1,2\n3,4\n", {}, {2: ["1", "2"], 3: ["3", "4"]}),
    ("byte order mark", b"\xef\xbb\xbfa,b\n1,2\n", {"columns": ["a", "b"]}, {2: ["1", "2"]}),
    ("CRLF", b"a,b\r\n1,2\r\n", {}, {2: ["1", "2"]}),
    ("LF and CRLF mixed", b"a,b\r\n1,2\n3,4\r\n", {}, {2: ["1", "2"], 3: ["3", "4"]}),
    ("no line end at the end", b"a,b\n1,2", {}, {2: ["1", "2"]}),
    ("blank lines at the end", b"a,b\n1,2\n\n\r\n", {}, {2: ["1", "2"]}),
    ("header alone", b"a,b\n", {"columns": ["a"]}, {}),
    ("header alone, quoted", b'"a","b"\n', {}, {}),
    ("leading zeros", b"id,b\n049,1\n", {}, {2: ["049", "1"]}),
    ("NA, nan, null, None", b"a,b,c,d\nNA,nan,null,None\n", {}, {2: ["NA", "nan", "null", "None"]}),
    ("exponent and decimals", b"a,b\n1e5,1.0\n", {}, {2: ["1e5", "1.0"]}),
    ("true and false", b"a,b\nTrue,false\n", {}, {2: ["True", "false"]}),
    ("dates", b"a,b\n2020-11-16,1/2\n", {}, {2: ["2020-11-16", "1/2"]}),
    ("blank cells", b"a,b,c\n,,\n1,,\n", {}, {2: ["", "", ""], 3: ["1", "", ""]}),
    ("spaces kept", b"a,b\n 1 ,\t2\n", {}, {2: [" 1 ", "\t2"]}),
    ("comma in quotes", b'a,b\n"1,5",2\n', {}, {2: ["1,5", "2"]}),
    ("newline in the header", b'"Age\n(years)",b\n1,2\n', {}, {3: ["1", "2"]}),
    ("newline in a cell", b'a,b\n"1\n2",3\n4,5\n', {}, {2: ["1\n2", "3"], 4: ["4", "5"]}),
    ("doubled quotes", f'a,b\n"{POLYGON}",1\n'.encode(), {}, {2: [POLYGON.replace('""', '"'), "1"]}),
    ("UTF-8 letters", "a,b\né,日本\n".encode(), {}, {2: ["é", "日本"]}),
    ("many columns, few wanted", b"a,b,c\n1,2,3\n", {"columns": ["c"]}, {2: ["1", "2", "3"]}),
    ("two header rows", b"Id,Type,\n,A,B\n1,0,1\n", {"header_rows": 2}, {3: ["1", "0", "1"]}),
    ("id twice, together unique", b"a,b\n1,x\n1,y\n", {"unique": ["a", "b"]}, {2: ["1", "x"], 3: ["1", "y"]}),
]

# (name, content, options, pattern): what must be refused, with the line.
REFUSED = [
    ("short row", b"a,b,c\n1,2,3\n1,2\n", {}, "row 3: the row has 2 fields, but expected 3"),
    ("long row", b"a,b\n1,2\n1,2,3\n", {}, "row 3: the row has 3 fields, but expected 2"),
    ("short row after a quoted newline", b'a,b\n"x\ny",2\n1\n', {}, "row 4: the row has 1 fields"),
    ("unquoted polygon", b"a,b\n[{x: 0.1, y: 0.2}],1\n", {}, "row 2: the row has 3 fields"),
    ("half-quoted polygon", b'a,b\n[{"x": 0.1, "y": 0.2}],1\n', {}, "row 2: the row has 3 fields"),
    ("quote after a space", b'a,b\nx, "1,2"\n', {}, "row 2: the row has 3 fields"),
    ("trailing comma", b"a,b\n1,2,\n", {}, "row 2: the row has 3 fields"),
    ("blank line within", b"a,b\n1,2\n\n3,4\n", {}, "row 3: the line is blank"),
    ("blank line within, quoted", b'a,b\n"1",2\n\n3,4\n', {}, "row 3: the line is blank"),
    ("open quote", b'a,b\n1,2\n"3,4\n5,6\n', {}, "row 3: the quotes are wrong"),
    ("text after a quote", b'a,b\n"1"x,2\n', {}, "row 2: the quotes are wrong"),
    ("column twice", b"a,b,a\n1,2,3\n", {}, "row 1, column 'a': .*stands twice"),
    ("column missing", b"a,b\n1,2\n", {"columns": ["a", "c"]}, r"lacks the column\(s\) 'c'"),
    ("column in another case", b"ID,label\n1,2\n", {"columns": ["ID", "Label"]}, r"lacks the column\(s\) 'Label'"),
    ("column too many", b"a,b\n1,2\n", {"columns": ["a"], "allow_extra": False}, "row 1: there is a column 'b'"),
    ("id twice", b"a,b\n1,2\n3,4\n1,5\n", {"unique": "a"}, "row 4, column 'a': '1' stands already in row 2"),
    ("NUL", b"a,b\n1,2\n3\0,4\n", {}, "row 3: there is a NUL byte"),
    ("Latin-1", b"a,b\n1,2\n\xe9,4\n", {}, "row 3: the byte 0xe9 is not UTF-8"),
    ("UTF-16", "a,b\n1,2\n".encode("utf-16"), {}, "row 1: there is a NUL byte"),
    ("old Mac line ends", b"a,b\r1,2\r", {}, "row 1: there is a carriage return"),
    ("carriage return in a row", b"a,b\n1,2\n3\r,4\n", {}, "row 3: there is a carriage return"),
    ("carriage return, quoted file", b'a,b\n"1",2\n3\r,4\n', {}, "row 3: there is a carriage return"),
    ("empty file", b"", {}, "the file is empty"),
    ("only blank lines", b"\n\n", {}, "row 1: the first line is blank"),
    ("blank first line", b"\na,b\n1,2\n", {}, "row 1: the first line is blank"),
    ("too large", b"a,b\n1,2\n", {"max_bytes": 3}, "the file has 8 bytes, but expected at most 3"),
    ("one header row of two", b"a,b\n", {"header_rows": 2}, "there are 1 rows"),
]


def table_of(tmp_path, content, **options):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    return read_csv(path, **options)


def cells(table):
    return {int(line): list(row) for line, row in zip(table.index, table.to_numpy(), strict=True)}


def test_there_are_forty_fixtures():
    """The promise C1 counts forty fixtures."""
    assert len(READ) + len(REFUSED) >= 40


@pytest.mark.parametrize(("content", "options", "rows"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_text_is_read_exactly(tmp_path, content, options, rows):
    """Every cell is the file's text, every index the line an editor shows."""
    table = table_of(tmp_path, content, **options)
    assert cells(table) == rows
    assert table.attrs["file"] == str(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("content", "options", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_traps_are_refused_with_the_line(tmp_path, content, options, message):
    """Every trap gives a HemokitError with the file and, where there is one, the line."""
    with pytest.raises(HemokitError, match=rf"table\.csv.*{message}"):
        table_of(tmp_path, content, **options)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """A path without a file, a folder and a missing value are told apart."""
    with pytest.raises(HemokitError, match="no such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(HemokitError, match="this is a folder"):
        read_csv(tmp_path)
    with pytest.raises(HemokitError, match="nan: the path cannot be looked up"):
        read_csv(math.nan)


def test_header_rows_are_joined(tmp_path):
    """Names of a two-row header are joined by a space, blanks left out."""
    table = table_of(tmp_path, b"Id,Type,\n,A,B\n1,0,1\n", header_rows=2)
    assert list(table.columns) == ["Id", "Type A", "B"]


def test_an_empty_table_has_text_columns(tmp_path):
    """A header alone gives an empty frame that behaves like a full one."""
    table = table_of(tmp_path, b"a,b\n")
    assert table.shape == (0, 2)
    assert integer_column(table, "a").dtype == np.int64
    assert flag_column(table, "b").shape == (0,)


TEXT = st.text(st.sampled_from('ab ,"\n0é'), max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    """Any text survives writing with quotes and reading, and line numbers count the newlines before a row."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
    table = table_of(tmp_path_factory.mktemp("csv"), stream.getvalue().encode())
    assert table.to_numpy().tolist() == [list(row) for row in rows]
    newlines = np.cumsum([2] + ["".join(row).count("\n") + 1 for row in rows])[:-1]
    assert table.index.tolist() == newlines.tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[st.text(st.sampled_from("ab 0é.-"), max_size=4)] * 3), max_size=6), st.booleans())
def test_the_fast_way_equals_the_exact_way(rows, windows):
    """Text without quotes gives the same table by arrays and pandas as by the csv module."""
    end = "\r\n" if windows else "\n"
    data = end.join(["x,y,z", *(",".join(row) for row in rows)]).encode()
    fast, exact = csv_rows._read_plain(data, "f"), csv_rows._read_quoted(data, "f", 1)
    pd.testing.assert_frame_equal(fast, exact, check_index_type=False)


@pytest.mark.parametrize(
    "text", ["1e5", "1.0", " 1", "1 ", "", "NA", "nan", "+1", "0x1", "1_000", "٣", "--1", "9" * 30]
)
def test_odd_integers_are_refused(text):
    """Only plain digits are an integer; the error has file, row and column."""
    with pytest.raises(HemokitError, match=r"f\.csv, row 7, column 'n': the value is .* a whole number"):
        parse_int(text, file="f.csv", row=7, column="n")


def test_integers_have_limits():
    """Both limits are included."""
    place = {"file": "f.csv", "row": 7, "column": "n", "low": 1, "high": 3}
    assert [parse_int(text, **place) for text in ("1", "2", "3", "003")] == [1, 2, 3, 3]
    for text in ("0", "4", "-1"):
        with pytest.raises(HemokitError, match=f"the value is '{text}', but expected at least 1 and at most 3"):
            parse_int(text, **place)


def test_floats_are_plain_and_finite():
    """Fractions and exponents are floats; nan, inf, blanks and two dots are not."""
    place = {"file": "f.csv", "row": 2, "column": "x"}
    assert [parse_float(text, **place) for text in ("0.5", "-1", "1e-3", ".5")] == [0.5, -1, 0.001, 0.5]
    for text in ("nan", "inf", "", "1.2.3", "1,5", "1e999", None):
        with pytest.raises(HemokitError, match="a finite decimal number"):
            parse_float(text, **place)


def test_flags_are_0_or_1():
    """Only the texts "0" and "1" are flags."""
    assert (parse_flag("0", file=None, row=2, column="x"), parse_flag("1", file=None, row=2, column="x")) == (0, 1)
    for text in ("2", "", "True", "1.0", None, 1):
        with pytest.raises(HemokitError, match="expected 0 or 1"):
            parse_flag(text, file=None, row=2, column="x")


def test_columns_are_parsed_and_the_first_wrong_row_is_named(tmp_path):
    """Whole columns: values in the order of the rows, the first bad row in the error."""
    table = table_of(tmp_path, b"n,x,f\n3,0.5,1\n-2,,\n3,2,0\n")
    assert integer_column(table, "n").tolist() == [3, -2, 3]
    np.testing.assert_array_equal(float_column(table, "x", blank=math.nan), [0.5, np.nan, 2])
    assert flag_column(table, "f", blank=0).tolist() == [1, 0, 0]
    assert flag_column(table, "f", blank=0).dtype == np.int8
    with pytest.raises(HemokitError, match="row 3, column 'f': the value is ''"):
        flag_column(table, "f")
    with pytest.raises(HemokitError, match="row 3, column 'n': .*at least 0"):
        integer_column(table, "n", low=0)
    with pytest.raises(HemokitError, match="lacks the column"):
        integer_column(table, "nothing")


def test_real_tables(ct_ich_root):
    """The two CSVs of CT-ICH: a byte order mark, CRLF, and a newline within the quotes of the header."""
    diagnosis = read_csv(Path(ct_ich_root) / "hemorrhage_diagnosis.csv", unique=["PatientNumber", "SliceNumber"])
    assert integer_column(diagnosis, "PatientNumber", 49, 130).max() == 130 or len(diagnosis) < 2501
    assert set(flag_column(diagnosis, "No_Hemorrhage")) == {0, 1}
    people = read_csv(Path(ct_ich_root) / "patient_demographics.csv")
    assert people.columns[1] == "Age\n(years)" and people.index[0] == 3


def test_what_a_spreadsheet_changes_is_told():
    """49.0, 5.00E+01 and TRUE are numbers or flags in another form; other texts are only to be corrected."""
    place = {"file": "a.csv", "row": 2, "column": "n"}
    for text in ("49.0", "5.00E+01"):
        with pytest.raises(HemokitError, match="A spreadsheet may have changed it: take the original file again"):
            parse_int(text, **place)
    for text in ("1.0", "TRUE"):
        with pytest.raises(HemokitError, match="A spreadsheet may have changed it"):
            parse_flag(text, **place)
    with pytest.raises(HemokitError, match="Correct it.$"):
        parse_int("x", **place)


@pytest.mark.parametrize("separator, name", [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_named(tmp_path, separator, name):
    """One short sentence instead of all columns twice."""
    path = tmp_path / "a.csv"
    path.write_text(f"a{separator}b\n1{separator}2,5\n")
    with pytest.raises(HemokitError, match=f"row 1: the columns are separated by {name}, but expected commas"):
        read_csv(path, columns=["a", "b"])
