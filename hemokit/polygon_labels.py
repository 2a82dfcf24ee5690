"""The polygon label files of the window-rendered JPGs: `Results_*.csv`, one row a case and region.

The rules, in order; every row that is not used is counted with its reason in attrs["account"]:

1. Only rows in the states `Labeled` and `Gold Standard`.
2. `Correct Label` holds all regions of its case and is repeated on each of its rows: it counts once. Without it,
   the regions of the case are the `Majority Label`s of its rows. A tracing file has them in `ROI`.
3. One slice in files of several subtypes: all regions, subtype "multi".
4. One slice in several cases of one subtype: equal regions count once; else a Gold Standard case wins; else the
   labels contradict each other and the slice is dropped.
5. A slice with a bad polygon is dropped whole: a mask without one of its regions would be wrong. Only labels that
   speak by rules 1 to 4 are read and tested; whatever stands in the others, they would not be used.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, check_columns, problem
from hemokit.formats.csv_files import read_csv
from hemokit.polygons import POLYGON, REMEDIES, polygon_fault
from hemokit.tables import Account, Drop

STATES = ("Labeled", "Gold Standard")
COLUMNS = (
    "slice_id", "polygons_xy", "subtype", "labeling_state", "num_regions", "label_column", "case_id", "source"
)  # fmt: skip
# The name of the exported project, as in "Results_<name>_2020-11-16_21.31.26.148.csv".
PROJECTS = {
    "Epidural Hemorrhage Detection": "epidural",
    "Intraparenchymal Hemorrhage Detection": "intraparenchymal",
    "Multiple Hemorrhage Detection": "multi",
    "Subarachnoid Hemorrhage Detection": "subarachnoid",
    "Subdural Hemorrhage Detection": "subdural",
    "Brain Hemorrhage Tracing": "intraventricular",
}
NOTES = (
    "Patient ids are not in these files: join them from the DICOM headers before splitting by patient.",
    "No license was found for these labels: do not pass them on.",
)
_EMPTY = re.compile(r"\s*(\[\s*(\[\s*\]\s*(,\s*\[\s*\]\s*)*)?\]\s*)?")  # blank, [], [[]], [[], []]
_FURTHER = "further row of a slice that is used (its regions are in that slice's one row)"
_SUPERSEDED = "superseded by a Gold Standard case of the same slice"
_OVERRULED = "overruled by the Correct Label of its case"


class Row(NamedTuple):
    """One row of a label file; `text` is the cell that is used, from the column `column`, or empty."""

    file: Path
    line: int
    case_id: str
    slice_id: str
    subtype: str
    state: str
    column: str
    text: str


def read_polygon_labels(paths, *, states=STATES, bad_polygons="drop", self_crossing="error"):
    """Read polygon label files into one row per slice.

    Args:
        paths: the folder with the `Results_*.csv` files, one such file, or a list of them.
        states: the values of `Labeling State` to use.
        bad_polygons: "drop" leaves out (and counts) each slice with a polygon that `polygons_to_mask` refuses;
            "error" raises, naming file, row and column.
        self_crossing: "error" counts an outline that touches or crosses itself as bad; "fill" keeps it, for
            `polygons_to_mask(..., self_crossing="fill")`.

    Returns:
        DataFrame with `COLUMNS`, sorted by slice_id: polygons_xy is a list of float arrays (n, 2), normalized to
        0..1 with the origin at the top left; subtype is a subtype or "multi"; source names the file(s).
        attrs["account"] counts the label rows. Files without rows give an empty frame.

    Raises:
        HemokitError: an unknown file name, a missing column, a cell in use that cannot be read.
    """
    check_choice(bad_polygons, ("drop", "error"), "bad_polygons")
    check_choice(self_crossing, ("error", "fill"), "self_crossing")
    states = (states,) if isinstance(states, str) else tuple(states)
    rows = [row for path in _files(paths) for row in _read_rows(path)]
    slices, drops = {}, {}
    for row in rows:
        if row.state not in states:
            drops.setdefault(f"labeling state {row.state!r}", []).append(row)
        elif not row.text:
            drops.setdefault("no region in any label column", []).append(row)
        else:
            slices.setdefault(row.slice_id, []).append(row)
    regions, faults = {}, {}  # by the text of the cell: a Correct Label stands on several rows
    used = []
    for slice_id in sorted(slices):
        best, superseded = _best_cases(slices[slice_id])
        cases = _cases(best)
        speaking = [row for case in cases for row in case]
        for row in speaking:
            if row.text not in regions:
                regions[row.text] = _parse(row)
                faults[row.text] = _worst_fault(regions[row.text], self_crossing)
        outcome = _bad_polygon(speaking, faults, bad_polygons) or _contradiction(cases, regions)
        if outcome:
            drops.setdefault(outcome, []).extend(slices[slice_id])
            continue
        used.append(_as_record(slice_id, speaking, regions))
        drops.setdefault(_SUPERSEDED, []).extend(superseded)
        drops.setdefault(_OVERRULED, []).extend(row for row in best if row not in speaking)
        drops.setdefault(_FURTHER, []).extend(speaking[1:])
    table = pd.DataFrame(used, columns=list(COLUMNS))
    table.attrs["account"] = _account(len(rows), len(used), drops)
    return table


def _files(paths):
    if isinstance(paths, str | Path):
        paths = sorted(Path(paths).glob("Results_*.csv")) if Path(paths).is_dir() else [paths]
    paths = [Path(path) for path in paths]
    if not paths:
        raise problem("there is no label file", "files named Results_*.csv", "Name the folder that holds them.")
    return paths


def _read_rows(path):
    """The rows of one file as a list of `Row`, with the file's subtype."""
    match = re.fullmatch(r"Results_(.+?)_\d{4}-\d\d-\d\d_[\d.]+\.csv", path.name)
    if not match or match[1] not in PROJECTS:
        raise problem(
            f"the file is named {path.name!r}",
            "Results_<project>_<date>_<time>.csv with one of the projects " + ", ".join(map(repr, PROJECTS)),
            "Keep the names of the export: the subtype stands only there.",
            file=path,
        )
    table = read_csv(path)
    label_columns = ["ROI"] if match[1].endswith("Tracing") else ["Correct Label", "Majority Label"]
    columns = ["Case ID", "Origin", "Labeling State", *label_columns]
    check_columns(table, columns, file=path)
    rows = []
    for line, case_id, origin, state, *texts in table[columns].itertuples(name=None):
        found = re.fullmatch(r"(ID_\w+)\.jpg", origin)
        if not found or not case_id:
            raise problem(
                f"the case {case_id!r} is of the image {origin!r}", "a case number and ID_xxxxxxxxx.jpg",
                "Correct or remove this row.", file=path, row=line, column="Origin" if case_id else "Case ID",
            )  # fmt: skip
        labels = zip(label_columns, texts, strict=True)
        column, text = next(((c, t) for c, t in labels if not _EMPTY.fullmatch(t)), ("", ""))
        rows.append(Row(path, line, case_id, found[1], PROJECTS[match[1]], state, column, text))
    return rows


def _parse(row):
    """The regions of a cell, a list of arrays (n, 2); JSON or a Python literal, one region or a list of them."""
    try:
        value = json.loads(row.text.replace("'", '"'))  # 30 times faster than ast.literal_eval; only x, y in it
        if not isinstance(value, list) or not value:
            raise ValueError("no list of points")
        value = [value] if isinstance(value[0], dict) else value
        regions = [_points(region) for region in value if region != []]
        if not regions:
            raise ValueError("no region")
        return regions
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise problem(
            f"the label {row.text[:60]!r}... cannot be read ({error})",
            "a list of points {'x': .., 'y': ..}, or a list of such lists",
            "Fetch the file again; it may have been cut, or saved by a spreadsheet.",
            file=row.file,
            row=row.line,
            column=row.column,
        ) from None


def _points(region):
    points = [(point["x"], point["y"]) for point in region]
    if any(len(point) != 2 for point in region):
        raise ValueError("a point has more than x and y")
    array = np.array(points)
    # true and false must be looked for one by one: beside floats, numpy makes 1.0 and 0.0 of them
    if array.dtype.kind not in "if" or array.ndim != 2 or any(type(value) is bool for xy in points for value in xy):
        raise ValueError("a coordinate is no number")
    return array.astype(float)


def _worst_fault(regions, self_crossing):
    """None, or the first (kind, sentence) that forbids the use of these regions."""
    faults = (polygon_fault(points) for points in regions)
    return next((fault for fault in faults if fault and (fault[0], self_crossing) != ("self-crossing", "fill")), None)


def _bad_polygon(rows, faults, bad_polygons):
    """None, or the reason why a polygon of these rows cannot be used; raises where that was asked for."""
    for row in rows:
        if not faults[row.text]:
            continue
        kind, sentence = faults[row.text]
        if bad_polygons == "drop":
            return f"bad polygon: {kind}"
        raise problem(
            f"a polygon of slice {row.slice_id!r} {sentence}",
            POLYGON,
            f"{REMEDIES[kind]} bad_polygons='drop' leaves such slices out and counts them.",
            file=row.file,
            row=row.line,
            column=row.column,
        )
    return None


def _cases(rows):
    """Rows by file and case; where a case has a Correct Label, only the rows that carry it speak for it."""
    cases = {}
    for row in rows:
        cases.setdefault((row.file, row.case_id), []).append(row)
    for key, some in cases.items():
        cases[key] = [row for row in some if row.column == "Correct Label"] or some
    return list(cases.values())


def _shapes(rows, regions):
    return frozenset(points.tobytes() for row in rows for points in regions[row.text])


def _contradiction(cases, regions):
    """None, or why these cases of one slice cannot all be true (rules 2 and 4)."""
    for case in cases:
        if case[0].column == "Correct Label" and len({_shapes([row], regions) for row in case}) > 1:
            return "contradiction: different Correct Labels in one case"
    for subtype in {case[0].subtype for case in cases}:
        same = [case for case in cases if case[0].subtype == subtype]
        if len({_shapes(case, regions) for case in same}) > 1:
            return "contradiction: several cases of one slice and subtype with different regions"
    return None


def _best_cases(rows):
    """Split the rows in those to use and those of cases that a Gold Standard case of their subtype supersedes."""
    golden = {(row.file, row.case_id) for row in rows if row.state == "Gold Standard"}
    settled = {row.subtype for row in rows if row.state == "Gold Standard"}
    best, superseded = [], []
    for row in rows:
        keep = (row.file, row.case_id) in golden or row.subtype not in settled
        (best if keep else superseded).append(row)
    return best, superseded


def _as_record(slice_id, speaking, regions):
    polygons = {points.tobytes(): points for row in speaking for points in regions[row.text]}  # each shape once
    subtypes = sorted({row.subtype for row in speaking})

    def listed(values):
        return "; ".join(dict.fromkeys(values))

    return (
        slice_id,
        list(polygons.values()),
        subtypes[0] if len(subtypes) == 1 else "multi",
        listed(row.state for row in speaking),
        len(polygons),
        listed(row.column for row in speaking),
        listed(row.case_id for row in speaking),
        listed(row.file.name for row in speaking),
    )


def _account(rows_in, rows_used, drops):
    drops = tuple(
        Drop(reason, tuple(f"{row.file.name}, row {row.line}" for row in some))
        for reason, some in drops.items()
        if some
    )
    lost = rows_in - rows_used - sum(len(drop.ids) for drop in drops)
    if lost:
        raise problem(
            f"{lost} label rows are neither used nor dropped",
            "rows in = rows used + rows dropped",
            "This is a mistake of the reader: please report it.",
        )
    return Account(rows_in, rows_used, drops, "label rows", NOTES)
