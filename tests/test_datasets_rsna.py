"""RSNA 2019: the label file as bytes, headers, order within a scan, and what is dropped."""

import dataset_trees as trees
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_hounsfield, read_mask, read_volume, rsna, rsna_labels
from hemokit.labels import LABELS
from hemokit.tables import account


@pytest.fixture
def root(tmp_path):
    """The small tree."""
    return trees.rsna(tmp_path / "rsna")


def dropped(table):
    """dict reason -> ids."""
    return {drop.reason: drop.ids for drop in account(table).drops}


def write_lines(path, lines):
    path.write_bytes("".join(f"{line}\n" for line in ("ID,Label", *lines)).encode())
    return path


# -- the label file --


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_labels_against_pandas(tmp_path, data):
    """Any images, with rows in any order, in blocks of any size, LF or CRLF: as pandas' pivot gives it."""
    letters = "0123456789abcdefXYZ_-"
    ids = data.draw(st.lists(st.text(letters, min_size=9, max_size=9), min_size=1, max_size=8, unique=True))
    flags = {f"ID_{name}": data.draw(st.text("01", min_size=5, max_size=5)) for name in ids}
    flags = {name: five + max(five) for name, five in flags.items()}  # any = 1 where a subtype is 1
    lines = data.draw(st.permutations(trees.rsna_lines(flags)))
    path = write_lines(tmp_path / "labels.csv", lines)
    if data.draw(st.booleans()):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")[:-2])
    with open(path, "ab") as stream:
        stream.write(data.draw(st.sampled_from([b"", b"\n", b"\r\n\r\n", b"\n" * 300])))  # blank lines at the end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rsna_labels, "BLOCK", data.draw(st.integers(20, 200)))
        labels, twice = rsna_labels.read_rsna_labels(path)
    reference = pd.DataFrame([(line[:12], line[13:].split(",")[0], int(line[-1])) for line in lines])
    reference = reference.pivot_table(index=0, columns=1, values=2).loc[labels.index, list(LABELS)]
    assert labels.to_numpy().tolist() == reference.to_numpy().tolist() and twice == ()


def test_listed_twice(root):
    """Equal duplicates are dropped before pivoting and counted; contradicting ones are an error with both rows."""
    again = trees.rsna_lines({"ID_00000000b": trees.RSNA_LABELS["ID_00000000b"]})
    trees.write_rsna_csv(root / rsna.CSV, trees.RSNA_LABELS, again)
    table = open_dataset(root)
    assert account(table).rows_in == 5 and len(table) == 4
    assert dropped(table) == {
        f"{rsna.CSV} lists the image twice with the same labels: the second listing": ("ID_00000000b",)
    }
    again[1] = again[1][:-1] + "1"
    trees.write_rsna_csv(root / rsna.CSV, trees.RSNA_LABELS, again)
    with pytest.raises(HemokitError, match="row 27: ID_00000000b intraparenchymal is 1, but not in row 9"):
        open_dataset(root)


@pytest.mark.parametrize(
    "row, match",
    [
        ("ID_00000000b_epidural,2", "row 3: the row is 'ID_00000000b_epidural,2', but expected ID_x"),
        ("ID_00000000b_epidural,0.5", "row 3: the row is"),
        ("ID_00000000b_chronic,1", "row 3: the row is"),
        ("ID_00000000b_intraparenchymaL,1", "row 3: the row is"),
        ("ID_0000000_epidural,1", "row 3: the row is"),
        ("XX_00000000b_epidural,1", "row 3: the row is"),
        ("ID_00000 00b_epidural,1", "row 3: the row is"),
        ("", "row 3: the row is ''"),
        ("any,1", "row 3: the row is 'any,1'"),
    ],
)
def test_wrong_row(row, match, tmp_path):
    """A row of another form is named with its line, also when it is in a later block."""
    lines = trees.rsna_lines(trees.RSNA_LABELS)
    lines[1] = row
    with pytest.raises(HemokitError, match=match):
        rsna_labels.read_rsna_labels(write_lines(tmp_path / "labels.csv", lines))


def test_contradicting_any(root):
    """An `any` against its subtypes is named with the file and its row."""
    trees.write_rsna_csv(root / rsna.CSV, trees.RSNA_LABELS | {"ID_00000000b": "100000"})
    with pytest.raises(HemokitError, match="stage_2_train.csv, row 13: ID_00000000b has any = 0 against its subtypes"):
        open_dataset(root)


def test_missing_row_and_header(tmp_path):
    """Five rows for an image, a cut file, another header and no rows."""
    lines = trees.rsna_lines(trees.RSNA_LABELS)
    path = write_lines(tmp_path / "labels.csv", lines[:8] + lines[9:])
    with pytest.raises(HemokitError, match="row 8: ID_00000000b, listed first here, has no row for intraventricular"):
        rsna_labels.read_rsna_labels(path)
    path.write_text("Image,Label\n")
    with pytest.raises(HemokitError, match="row 1: the header is 'Image,Label', but expected ID,Label"):
        rsna_labels.read_rsna_labels(path)
    labels, twice = rsna_labels.read_rsna_labels(write_lines(path, []))
    assert len(labels) == 0 and twice == ()


# -- the table --


def test_order_comes_from_the_position(root):
    """a, b, c lie at 5, 10 and 0 mm: from the neck c, a, b, whatever the file names say."""
    table = open_dataset(root)
    scan = table[table["scan_id"] == "1.1"]
    assert scan["slice_id"].str[-1].tolist() == ["c", "a", "b"] and scan["slice_index"].tolist() == [0, 1, 2]
    assert set(scan["patient_id"]) == {"P1"} and scan["any"].tolist() == [1, 0, 1]
    assert read_volume(scan)[:, 1, 1].tolist() == [2, 0, 1]


def test_spacing(root):
    """Slices lie 5 mm apart; a scan of one slice has no spacing; pixels are 0.5 by 0.4 mm."""
    table = open_dataset(root)
    assert table["slice_spacing_mm"].tolist()[:3] == [5, 5, 5] and np.isnan(table["slice_spacing_mm"].iloc[3])
    assert table[["row_spacing_mm", "column_spacing_mm"]].iloc[0].tolist() == [0.5, 0.4]


def test_listed_or_on_disk_only(root):
    """An image without a file and a file without labels are dropped, each with its reason."""
    (root / rsna.IMAGES / "ID_00000000a.dcm").rename(root / rsna.IMAGES / "ID_00000000e.dcm")
    (root / rsna.IMAGES / "notes.txt").write_text("x")
    table = open_dataset(root)
    assert account(table).rows_in == 5 and len(table) == 3
    assert dropped(table) == {
        "listed, but there is no DICOM file": ("ID_00000000a",),
        "a DICOM file that stage_2_train.csv does not list": ("ID_00000000e",),
    }
    assert any("1 entries of stage_2_train are no DICOM files" in note for note in account(table).notes)


def test_no_files_at_all(root):
    """With the labels alone the table is empty, and everything is accounted for."""
    for path in (root / rsna.IMAGES).iterdir():
        path.unlink()
    table = open_dataset(root)
    assert len(table) == 0 and account(table).rows_in == 4


def test_known_bad_file(root):
    """The damaged file of the real set is left out with the manifest's reason, without being opened."""
    labels = trees.RSNA_LABELS | {"ID_6431af929": "000000"}
    trees.write_rsna_csv(root / rsna.CSV, labels)
    (root / rsna.IMAGES / "ID_6431af929.dcm").write_text("short")
    reasons = dropped(open_dataset(root))
    assert reasons == {"damaged file: its pixel data are shorter than its header says": ("ID_6431af929",)}


def test_damaged_and_constant_files(root):
    """A cut file is found by its length; damaged and constant pixels are found when asked for."""
    path = root / rsna.IMAGES / "ID_00000000a.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    flat = np.full((8, 9), 1024, np.int16).tobytes()
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000d.dcm", patient="P2", series="1.2", z=0.0, PixelData=flat)
    refused = "the DICOM file is refused (see the notes for why)"
    table = open_dataset(root)
    assert dropped(table) == {refused: ("ID_00000000a",)} and len(table) == 3
    assert any("refused files: 1, the first: " in note and "00000000a.dcm" in note for note in account(table).notes)
    assert any(note.startswith("pixels: not looked at") for note in account(table).notes)
    table = open_dataset(root, check_pixels=True)
    assert not any(note.startswith("pixels") for note in account(table).notes)
    constant = "constant image: every pixel has the same value"
    assert dropped(table) == {refused: ("ID_00000000a",), constant: ("ID_00000000d",)}


def test_one_left_out_leaves_a_gap(root):
    """Of the scan c, a, b the middle one is constant: the others keep their places 0 and 2."""
    flat = np.full((8, 9), 1024, np.int16).tobytes()
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000a.dcm", patient="P1", series="1.1", z=5.0, PixelData=flat)
    table = open_dataset(root, check_pixels=True)
    assert table[table["scan_id"] == "1.1"]["slice_index"].tolist() == [0, 2]


def test_twelve_bit_quirk(root):
    """The quirk is noted for the table, and repaired when the slice is read."""
    stored = np.full((8, 9), 1040, np.uint16) - 1000
    stored[0, 0] = 0 + 4096 - 1000  # air: -1000 HU
    header = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": 0}
    path = root / rsna.IMAGES / "ID_00000000d.dcm"
    trees.write_dicom(path, patient="P2", series="1.2", z=0.0, PixelData=stored.tobytes(), **header)
    table = open_dataset(root)
    assert any("1 slices have the 12-bit quirk" in note for note in account(table).notes)
    slice_d = read_hounsfield(table[table["slice_id"] == "ID_00000000d"].iloc[0])
    assert slice_d[0, 0] == -1000 and slice_d[1, 1] == 40


def test_uneven_gaps_are_noted():
    """Gaps of 5 and 10 mm: the scan is named with the difference; the even scan beside it is not."""
    z = {
        "a": ("1.1", 0.0),
        "b": ("1.1", 5.0),
        "c": ("1.1", 15.0),
        "d": ("1.2", 0.0),
        "e": ("1.2", 5.0),
        "f": ("1.2", 10.0),
    }
    rows = pd.DataFrame(z.values(), index=list(z), columns=["scan_id", "position_mm"]).assign(patient_id="P1")
    facts = pd.DataFrame({"error": [""], "repaired": [0]})
    notes = rsna._notes(rsna._in_scans(rows), facts, 0, True)
    assert [note for note in notes if "uneven" in note] == [
        "1 scans have uneven gaps between slices (in 1.1 they differ by 5.00 mm): their slice_spacing_mm is the "
        "median, so volumes of them are estimates"
    ]


def test_same_position_and_two_patients(root):
    """Slices at one position are noted; one scan under two patients is an error."""
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000a.dcm", patient="P1", series="1.1", z=10.0)
    notes = account(open_dataset(root)).notes
    assert any("1 scans have slices at the same position" in note for note in notes)
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000d.dcm", patient="P2", series="1.1", z=20.0)
    with pytest.raises(HemokitError, match=r"scan 1.1 stands under 2 patients"):
        open_dataset(root)


def test_no_masks(root):
    """RSNA has no masks: one sentence says so, and a mask_path from elsewhere is refused."""
    table = open_dataset(root)
    assert account(table).notes[0].startswith("masks: none in this data set")
    with pytest.raises(HemokitError, match="RSNA has no masks"):
        read_mask(table.iloc[0].to_dict() | {"mask_path": "x.png"})


# -- headers that are kept --


def test_kept_headers(root, tmp_path, monkeypatch):
    """With headers= the second opening reads no file, a changed file is read again, and the table is the same."""
    keep = tmp_path / "headers.csv"
    first = open_dataset(root, headers=keep)
    read = []
    original = rsna.read_headers.__globals__["_read_one"]
    monkeypatch.setitem(rsna.read_headers.__globals__, "_read_one", lambda job: read.append(job) or original(job))
    pd.testing.assert_frame_equal(open_dataset(root, headers=keep), first)
    assert read == []
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000d.dcm", patient="P9", series="1.9", z=0.0, PatientName="longer")
    assert "P9" in set(open_dataset(root, headers=keep)["patient_id"]) and len(read) == 1
    pd.testing.assert_frame_equal(open_dataset(root, headers=keep), open_dataset(root))


def test_refused_files_are_read_again(root, tmp_path, monkeypatch):
    """What was refused for want of a decoder is there as soon as the decoder is."""
    keep = tmp_path / "headers.csv"
    places = rsna.read_headers.__globals__
    original = places["_read_one"]

    def without_decoder(job):
        lacks = job[0].endswith("ID_00000000a.dcm")
        return (None, None, np.nan, np.nan, np.nan, 0, 0, "no decoder") if lacks else original(job)

    with monkeypatch.context() as patch:
        patch.setitem(places, "_read_one", without_decoder)
        assert "ID_00000000a" not in set(open_dataset(root, headers=keep)["slice_id"])
    pd.testing.assert_frame_equal(open_dataset(root, headers=keep), open_dataset(root))
    assert "ID_00000000a" in set(open_dataset(root, headers=keep)["slice_id"])


def test_kept_headers_remember_errors_and_pixels(root, tmp_path):
    """A refused file stays refused; headers alone do not count as checked pixels."""
    keep = tmp_path / "headers.csv"
    path = root / rsna.IMAGES / "ID_00000000a.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    flat = np.full((8, 9), 1024, np.int16).tobytes()
    trees.write_dicom(root / rsna.IMAGES / "ID_00000000d.dcm", patient="P2", series="1.2", z=0.0, PixelData=flat)
    assert len(open_dataset(root, headers=keep)) == len(open_dataset(root, headers=keep)) == 3
    for _ in range(2):
        assert len(open_dataset(root, headers=keep, check_pixels=True)) == 2
    with pytest.raises(HemokitError, match="headers is a folder, but expected the path of a CSV file"):
        open_dataset(root, headers=tmp_path)
    with pytest.raises(HemokitError, match="headers is 5 .int., but expected a path"):
        open_dataset(root, headers=5)
    keep.write_text("slice_id\n")
    with pytest.raises(HemokitError, match="lacks the column"):
        open_dataset(root, headers=keep)


@pytest.mark.slow
def test_worker_processes(root, monkeypatch):
    """Two worker processes give the table of one."""
    monkeypatch.setitem(rsna.read_headers.__globals__, "_PROCESSES_FROM", 1)
    pd.testing.assert_frame_equal(open_dataset(root, workers=2), open_dataset(root))
