"""The polygon label files, in all their spellings."""

import csv
import json

import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.masks import polygons_to_mask, read_polygon_labels

DETECTION = [
    "Case ID",
    "Origin",
    "URL",
    "Labeling State",
    "All Labels",
    "Total Reads",
    "Total Qualified Reads",
    "Majority Label",
    "Number of ROIs",
    "Correct Label",
    "Difficulty",
    "Agreement",
    "Comments",
    "Internal Notes",
]
TRACING = [
    "Case ID",
    "Origin",
    "Labeling State",
    "ROI",
    "All Annotations",
    "Number of Annotations",
    "Number of ROIs",
    "Difficulty",
]
EPIDURAL = "Results_Epidural Hemorrhage Detection_2020-11-16_21.31.26.148.csv"
SUBDURAL = "Results_Subdural Hemorrhage Detection_2020-11-16_21.35.48.040.csv"
SUBDURAL_2 = "Results_Subdural Hemorrhage Detection_2020-11-16_21.37.19.745.csv"
MULTIPLE = "Results_Multiple Hemorrhage Detection_2020-11-16_21.36.24.018.csv"
BRAIN_TRACING = "Results_Brain Hemorrhage Tracing_2020-09-28_15.21.52.597.csv"


def square(left, top, side=0.25):
    """A region as the files hold it: a list of {"x", "y"}."""
    corners = ((0, 0), (side, 0), (side, side), (0, side))
    return [{"x": left + x, "y": top + y} for x, y in corners]


A, B, C = square(0.0, 0.0), square(0.5, 0.0), square(0.5, 0.5)
BOW = [A[0], A[2], A[1], A[3]]


def row(case="1", image="ID_000000001.jpg", majority="", correct="", state="Labeled"):
    """One row of a detection file; lists are written as the real files do."""
    majority = majority if isinstance(majority, str) else json.dumps(majority)
    correct = correct if isinstance(correct, str) else str(correct)
    return [case, image, "u", state, str([json.dumps(C)]), 19.0, 5.0, majority, 1.0, correct, 0.0, 0.9, "", ""]


def write(folder, rows, name=EPIDURAL, header=DETECTION):
    """Write a label file; returns its path."""
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return folder / name


def pixels(table, slice_id="ID_000000001"):
    """The number of pixels of a slice's mask, of 64."""
    (polygons,) = table.loc[table["slice_id"] == slice_id, "polygons_xy"]
    return int(polygons_to_mask(polygons, (8, 8)).sum())


def drops(table):
    """Reason -> number of rows; checks on the way that the account adds up."""
    told = table.attrs["account"]
    assert told.rows_in == told.rows_used + sum(len(drop.ids) for drop in told.drops)
    assert told.rows_used == len(table) and told.unit == "label rows"
    return {drop.reason.split(" (")[0]: len(drop.ids) for drop in told.drops}


def test_three_rows_with_one_correct_label(tmp_path):
    """All regions stand on each of the case's rows: they count once, and three rows make one."""
    regions = [A, B, C]
    path = write(tmp_path, [row(majority=one, correct=regions) for one in regions])
    table = read_polygon_labels([path])
    assert len(table) == 1 and pixels(table) == 12
    (record,) = table.to_dict("records")
    assert record["num_regions"] == 3 and record["label_column"] == "Correct Label" and record["case_id"] == "1"
    assert (record["subtype"], record["labeling_state"], record["source"]) == ("epidural", "Labeled", EPIDURAL)
    np.testing.assert_array_equal(record["polygons_xy"][1][0], [0.5, 0.0])
    assert drops(table) == {"further row of a slice that is used": 2}
    assert table.attrs["account"].drops[0].ids == (f"{EPIDURAL}, row 3", f"{EPIDURAL}, row 4")
    assert "Patient ids are not in these files" in str(table.attrs["account"])


def test_majority_labels_of_a_case(tmp_path):
    """Without a Correct Label the regions are the Majority Labels of the rows together."""
    table = read_polygon_labels(write(tmp_path, [row(majority=A), row(majority=B), row(majority=A)]))
    assert pixels(table) == 8 and table["num_regions"].tolist() == [2]
    assert table["label_column"].tolist() == ["Majority Label"]


@pytest.mark.parametrize("empty", ["", "[]", "[[]]", "[[], []]", " [ [ ] , [] ] "])
def test_every_spelling_of_empty(tmp_path, empty):
    """Empty: Correct Label falls back on Majority Label; both: the row is dropped and counted."""
    rows = [row("1", "ID_000000001.jpg", A, empty), row("2", "ID_000000002.jpg", empty, empty)]
    table = read_polygon_labels(write(tmp_path, rows))
    assert table["slice_id"].tolist() == ["ID_000000001"] and pixels(table) == 4
    assert drops(table) == {"no region in any label column": 1}


def test_empty_region_beside_a_full_one(tmp_path):
    """[[], [{...}]] is one region."""
    assert pixels(read_polygon_labels(write(tmp_path, [row(majority=B, correct=[[], A])]))) == 4


def test_row_without_labels_in_a_case_with_some(tmp_path):
    """It is dropped as empty; the Correct Label of one row speaks for the case, not the Majority Label of another."""
    table = read_polygon_labels(write(tmp_path, [row(correct=[A]), row(majority=B), row()]))
    assert pixels(table) == 4
    assert drops(table) == {"no region in any label column": 1, "overruled by the Correct Label of its case": 1}


def test_labeling_states(tmp_path):
    """Only Labeled and Gold Standard are used, unless asked otherwise."""
    states = ["Labeled", "Gold Standard", "Ready", "In Progress", "Flagged", "Flagged"]
    rows = [row(str(k), f"ID_00000000{k}.jpg", A, state=state) for k, state in enumerate(states)]
    path = write(tmp_path, rows)
    table = read_polygon_labels(path)
    assert table["labeling_state"].tolist() == ["Labeled", "Gold Standard"]
    assert drops(table) == {
        "labeling state 'Ready'": 1,
        "labeling state 'In Progress'": 1,
        "labeling state 'Flagged'": 2,
    }
    assert len(read_polygon_labels(path, states=("Flagged",))) == 2
    assert len(read_polygon_labels(path, states="Flagged")) == 2  # one state, not its letters


@pytest.mark.parametrize(
    "project, subtype",
    [
        ("Epidural Hemorrhage Detection", "epidural"),
        ("Intraparenchymal Hemorrhage Detection", "intraparenchymal"),
        ("Multiple Hemorrhage Detection", "multi"),
        ("Subarachnoid Hemorrhage Detection", "subarachnoid"),
        ("Subdural Hemorrhage Detection", "subdural"),
    ],
)
def test_subtype_from_the_file_name(tmp_path, project, subtype):
    """The subtype stands only in the name of the file."""
    path = write(tmp_path, [row(majority=A)], f"Results_{project}_2020-11-16_21.36.18.668.csv")
    assert read_polygon_labels(path)["subtype"].tolist() == [subtype]


@pytest.mark.parametrize("roi", [json.dumps(A), str(A), json.dumps([A]), str([A, []])])
def test_tracing_file(tmp_path, roi):
    """The tracing file has other columns; its regions stand in ROI, in any of the spellings."""
    path = write(tmp_path, [["7", "ID_000000001.jpg", "Labeled", roi, "", 1, 1, 0]], BRAIN_TRACING, TRACING)
    table = read_polygon_labels(path)
    assert pixels(table) == 4
    assert table[["subtype", "label_column"]].to_numpy().tolist() == [["intraventricular", "ROI"]]


def test_folder_of_files(tmp_path):
    """A folder stands for its Results_*.csv; slices are sorted by id whatever the order of the files."""
    write(tmp_path, [row("2", "ID_00000000b.jpg", A)], EPIDURAL)
    write(tmp_path, [row("1", "ID_00000000a.jpg", A)], SUBDURAL)
    (tmp_path / "hemorrhage-labels.csv").write_text("Image,any\n")
    assert read_polygon_labels(tmp_path)["slice_id"].tolist() == ["ID_00000000a", "ID_00000000b"]


def test_one_slice_under_two_subtypes(tmp_path):
    """All its regions, subtype "multi", both sources named."""
    write(tmp_path, [row("1", correct=[A])], EPIDURAL)
    write(tmp_path, [row("2", correct=[B])], SUBDURAL)
    table = read_polygon_labels(tmp_path)
    assert table["subtype"].tolist() == ["multi"] and pixels(table) == 8
    assert table["source"].tolist() == [f"{EPIDURAL}; {SUBDURAL}"] and table["case_id"].tolist() == ["1; 2"]
    assert drops(table) == {"further row of a slice that is used": 1}


def test_one_slice_twice_under_one_subtype(tmp_path):
    """Equal regions count once; different ones contradict each other; a Gold Standard case wins."""
    write(tmp_path, [row("1", correct=[A]), row("2", "ID_000000002.jpg", A), row("3", "ID_000000003.jpg", A)], SUBDURAL)
    gold = row("6", "ID_000000003.jpg", B, state="Gold Standard")
    write(tmp_path, [row("4", correct=[A]), row("5", "ID_000000002.jpg", B), gold], SUBDURAL_2)
    table = read_polygon_labels(tmp_path)
    assert table["slice_id"].tolist() == ["ID_000000001", "ID_000000003"]
    assert pixels(table) == 4 and table["case_id"].tolist() == ["1; 4", "6"]
    assert drops(table) == {
        "contradiction: several cases of one slice and subtype with different regions": 2,
        "superseded by a Gold Standard case of the same slice": 1,
        "further row of a slice that is used": 1,
    }


def test_different_correct_labels_in_one_case(tmp_path):
    """A case cannot have two truths; the order of the regions does not matter."""
    rows = [row(correct=[A]), row(correct=[B]), *[row("2", "ID_000000002.jpg", A, c) for c in ([A, B], [B, A])]]
    table = read_polygon_labels(write(tmp_path, rows))
    assert table["num_regions"].tolist() == [2]
    assert drops(table)["contradiction: different Correct Labels in one case"] == 2


@pytest.mark.parametrize(
    "region, kind",
    [
        (A[:2], "fewer than 3 points"),
        (BOW, "self-crossing"),
        ([{"x": 100, "y": 100}, {"x": 200, "y": 100}, {"x": 200, "y": 200}], "pixel coordinates"),
        ([*A[:3], {"x": 1.5, "y": 0.1}], "outside the image"),
        ([*A[:3], {"x": float("nan"), "y": 0.1}], "not finite"),
        ([{"x": k / 8, "y": k / 8} for k in range(4)], "no area"),
    ],
)
def test_bad_polygon_drops_its_slice_or_raises(tmp_path, region, kind):
    """The slice is left out whole, with its good regions, and counted; or file, row and column are named."""
    path = write(tmp_path, [row("9", "ID_000000009.jpg", A), row(majority=B), row(majority=region)])
    table = read_polygon_labels(path)
    assert table["slice_id"].tolist() == ["ID_000000009"] and drops(table) == {f"bad polygon: {kind}": 2}
    with pytest.raises(
        HemokitError, match=r"148\.csv, row 4, column 'Majority Label': a polygon of slice 'ID_000000001'"
    ):
        read_polygon_labels(path, bad_polygons="error")


@pytest.mark.parametrize("bad", [json.dumps(BOW), "nonsense"])
def test_bad_label_that_is_not_used(tmp_path, bad):
    """A good Gold Standard stands beside a bad superseded case, a good Correct Label beside a bad Majority Label."""
    rows = [
        row("1", majority=bad),
        row("2", correct=[A], state="Gold Standard"),
        row("3", "ID_000000003.jpg", majority=bad),
        row("3", "ID_000000003.jpg", correct=[A]),
    ]
    table = read_polygon_labels(write(tmp_path, rows), bad_polygons="error")
    assert pixels(table) == pixels(table, "ID_000000003") == 4
    assert drops(table) == {
        "superseded by a Gold Standard case of the same slice": 1,
        "overruled by the Correct Label of its case": 1,
    }
    assert [drop.ids for drop in table.attrs["account"].drops] == [(f"{EPIDURAL}, row 2",), (f"{EPIDURAL}, row 4",)]


def test_keep_crossing_outlines(tmp_path):
    """self_crossing="fill" keeps them as they are, for the same choice when drawing."""
    table = read_polygon_labels(write(tmp_path, [row(majority=BOW)]), self_crossing="fill")
    assert polygons_to_mask(table["polygons_xy"][0], (16, 16), self_crossing="fill").any() and drops(table) == {}


@pytest.mark.parametrize(
    "cell",
    [
        "[{'x': 0.1, 'y': 0.2}, {'x'", '{"x": 0.1, "y": 0.1}', "[[0.1, 0.2], [0.3, 0.4], [0.5, 0.1]]", "nonsense", "7",
        '[{"x": 0.1}]', '[{"x": "0.1", "y": "0.1"}]', '[{"x": null, "y": 0.1}]', '[{"x": 0, "y": 0, "z": 0}]', "[null]",
        '""', "{}", "[{}]", "null", "0", '[[], ""]',
        '[{"x": true, "y": 0.1}, {"x": 0.5, "y": 0.5}, {"x": 0, "y": 0.9}]',
        "__import__('os').getcwd()", "[" * 100_000, '[{"x": 1' + "0" * 400 + ', "y": 0}]', '[{"x": [1], "y": [2]}]',
    ],
)  # fmt: skip
def test_cells_that_cannot_be_read(tmp_path, cell):
    """Never evaluated, never guessed: file, row and column are named."""
    path = write(tmp_path, [row("9", "ID_000000009.jpg", A), row(majority=A, correct=cell)])
    with pytest.raises(HemokitError, match=r"148\.csv, row 3, column 'Correct Label': the label .* cannot be read"):
        read_polygon_labels(path)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"image": "photo.jpg"}, "row 2, column 'Origin': the case '1' is of the image 'photo.jpg'"),
        ({"image": "../ID_000000001.jpg"}, "column 'Origin'"),
        ({"case": ""}, "row 2, column 'Case ID'"),
    ],
)
def test_rows_of_no_slice(tmp_path, changes, sentence):
    """A row that names no case or no slice is an error."""
    with pytest.raises(HemokitError, match=sentence):
        read_polygon_labels(write(tmp_path, [row(majority=A, **changes)]))


def test_wrong_files(tmp_path):
    """Unknown names, missing columns, no file, and unquoted polygons that shift the columns."""
    with pytest.raises(HemokitError, match="there is no label file"):
        read_polygon_labels(tmp_path)
    with pytest.raises(HemokitError, match="the file is named 'labels.csv'.*Epidural Hemorrhage Detection"):
        read_polygon_labels(write(tmp_path, [], "labels.csv"))
    with pytest.raises(HemokitError, match="lacks the column.*'ROI'"):
        read_polygon_labels(write(tmp_path, [], BRAIN_TRACING))
    path = write(tmp_path, [])
    path.write_text(path.read_text() + ",".join(["1", "ID_000000001.jpg", "u", "Labeled", json.dumps(A)]) + "\n")
    with pytest.raises(HemokitError, match="row 2"):
        read_polygon_labels(path)
    with pytest.raises(HemokitError, match="bad_polygons is 'repair'"):
        read_polygon_labels(path, bad_polygons="repair")


def test_file_without_rows(tmp_path):
    """A header alone is an empty frame with an account of nothing."""
    table = read_polygon_labels(write(tmp_path, []))
    assert len(table) == 0 and list(table)[:2] == ["slice_id", "polygons_xy"] and drops(table) == {}


def test_accounts_add_up(tmp_path):
    """Promise C3: 300 random rows over two files, all kinds mixed; every row is used or dropped with a reason."""
    rng = np.random.default_rng(0)
    cells = ["", "[[]]", [A], [B], [A, B], [BOW]]
    for name in (SUBDURAL, MULTIPLE):
        rows = [
            row(str(rng.integers(60)), f"ID_{rng.integers(50):09d}.jpg", "", cells[rng.integers(6)],
                ["Labeled", "Gold Standard", "Ready"][rng.integers(3)])
            for _ in range(150)
        ]  # fmt: skip
        write(tmp_path, rows, name)
    table = read_polygon_labels(tmp_path)
    assert table.attrs["account"].rows_in == 300 and table["slice_id"].is_unique and len(drops(table)) >= 5
