"""CT-ICH in both forms: the quirks of the CSVs, the files on disk, and what is dropped or noted."""

import dataset_trees as trees
import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_hounsfield, read_image, read_mask
from hemokit.tables import account


@pytest.fixture
def jpg(tmp_path):
    """The small tree in JPG form."""
    return trees.ct_ich_jpg(tmp_path / "jpg")


@pytest.fixture
def nifti(tmp_path):
    """The small tree in NIfTI form."""
    return trees.ct_ich_nifti(tmp_path / "nifti")


def dropped(table):
    """dict reason -> ids."""
    return {drop.reason: drop.ids for drop in account(table).drops}


def noted(table):
    """All notes in one text."""
    return " | ".join(account(table).notes)


def test_both_forms_give_the_same_table(jpg, nifti):
    """Ids, labels, fracture and sex are equal; byte order mark, CRLF and the two headers leave no trace."""
    columns = ["slice_id", "patient_id", "scan_id", "slice_index", "any", "epidural", "subdural", "fracture", "sex"]
    first, second = open_dataset(jpg)[columns], open_dataset(nifti)[columns]
    assert first.to_numpy().tolist() == second.to_numpy().tolist()
    assert first.iloc[1].tolist() == ["049_002", "049", "049", 1, 1, 1, 0, 1, "female"]


def test_slice_flags_rule(jpg):
    """The demographics of 084 say hemorrhage and those of 049 "Normal CT": the flags of the slices count."""
    table = open_dataset(jpg)
    assert table.groupby("patient_id")["any"].sum().tolist() == [2, 0]


def test_ages(jpg, nifti):
    """Fractions of a year stay; the two-row header and the summary rows are understood, and noted."""
    assert open_dataset(jpg)["age_years"].unique().tolist() == [0.583333333, 18]
    table = open_dataset(nifti)
    assert table["age_years"].unique().tolist() == [0.5, 18]
    assert "2 rows of Patient_demographics.csv without a patient's number (a total or a remark" in noted(table)


def test_demographics_of_absent_patients(jpg):
    """Patient 130 has no images here: that is noted and makes no slices."""
    assert "1 patient of patient_demographics.csv without slices here" in noted(open_dataset(jpg))


def test_missing_and_blank_demographics(jpg):
    """Without the file, or with blanks in it, age and sex are missing, and the first is said."""
    path = jpg / "patient_demographics.csv"
    path.write_text(path.read_text().replace("84,18,", "84,,").replace('"Male"', ""))
    table = open_dataset(jpg)
    assert table[["age_years", "sex"]].isna().sum().tolist() == [2, 2]
    path.unlink()
    table = open_dataset(jpg)
    assert table[["age_years", "sex"]].isna().all().all()
    assert "age and sex: none, because patient_demographics.csv is not in this folder" in noted(table)


@pytest.mark.parametrize(
    "old, new, match",
    [
        ("84,18,", "84,old,", "row 4, column 'Age\\\\n.years.': the value is 'old', but expected a finite"),
        ("84,18,", "84,180,", "the value is '180', but expected at least 0 and at most 130"),
        ('"Male"', '"male?"', "row 4, column 'Gender': the value is 'male\\?'"),
        ("84,18,", "49,18,", "row 4: patient 049 is listed a second time"),
        ("84,18,", "84.0,18,", "row 4, column 'Patient Number': the value is '84.0', but expected a patient's number"),
        ("84,18,", " 84,18,", "row 4, column 'Patient Number': the value is ' 84'"),
        (
            '"Note"\n',
            f'"{"x" * 200_000}"\n',
            "patient_demographics.csv: reading the header failed .Error: field larger",
        ),
        ('"Gender"', '"Sex"', "expected one that starts with 'Gender'"),
    ],
)
def test_wrong_demographics(jpg, old, new, match):
    """Wrong values are named with their row and column."""
    path = jpg / "patient_demographics.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(HemokitError, match=match):
        open_dataset(jpg)


def test_row_and_image_must_both_be_there(jpg):
    """A row without an image and an image without a row are dropped, each with its reason."""
    rows = [row for row in trees.JPG_ROWS if not row.startswith("84,1,")]
    trees.write_diagnosis(jpg / "hemorrhage_diagnosis.csv", [*rows, "85,1,0,0,0,0,0,1,0"])
    table = open_dataset(jpg)
    assert account(table).rows_in == 6 and len(table) == 4
    assert dropped(table) == {
        "listed in hemorrhage_diagnosis.csv, but there is no brain image": ("085_001",),
        "a brain image that hemorrhage_diagnosis.csv does not list": ("084_001",),
    }


def test_contradicting_no_hemorrhage(jpg, nifti):
    """A row whose No_Hemorrhage contradicts its flags, either way, is dropped in both forms."""
    rows = [*trees.JPG_ROWS[:3], "84,1,0,0,0,0,0,0,0", "84,2,0,0,1,0,0,1,0"]
    trees.write_diagnosis(jpg / "hemorrhage_diagnosis.csv", rows)
    trees.write_diagnosis(nifti / "hemorrhage_diagnosis_raw_ct.csv", rows)
    for root in (jpg, nifti):
        assert dropped(open_dataset(root))["No_Hemorrhage contradicts the flags of the subtypes"] == (
            "084_001",
            "084_002",
        )


@pytest.mark.parametrize(
    "row, match",
    [
        ("84,2,0,0,0,0,0,1,0", "row 7: slice 2 of patient 84 is listed a second time"),
        ("84,3,0,0,0,2,0,1,0", "row 7, column 'Epidural': the value is '2', but expected 0 or 1"),
        ("84,3,,0,0,0,0,1,0", "column 'Intraventricular': the value is ''"),
        ("84,zero,0,0,0,0,0,1,0", "column 'SliceNumber': the value is 'zero'"),
        ("84,3,0,0,0,0,0,1", "row 7: the row has 8 fields, but expected 9"),
    ],
)
def test_wrong_rows(jpg, row, match):
    """A slice listed twice, odd flags and shifted columns are errors with the row."""
    trees.write_diagnosis(jpg / "hemorrhage_diagnosis.csv", [*trees.JPG_ROWS, row])
    with pytest.raises(HemokitError, match=match):
        open_dataset(jpg)


def test_rows_without_a_patient(nifti):
    """Summary rows without a patient's number are dropped with their line."""
    with open(nifti / "hemorrhage_diagnosis_raw_ct.csv", "a") as stream:
        stream.write(",,1,2,0,3,2,,\n")
    assert dropped(open_dataset(nifti))["no patient number in hemorrhage_diagnosis_raw_ct.csv"] == (
        "hemorrhage_diagnosis_raw_ct.csv, row 7",
    )


def test_bone_images(jpg):
    """Bone images are read by name; the one that is missing (as 084's in the real set) is noted and an error."""
    table = open_dataset(jpg).set_index("slice_id", drop=False)
    assert "slices without a bone image: 1 (084_002)" in noted(table)
    image = read_image(table.loc["049_001"], windows=("brain", "bone"))
    assert image.shape == (72, 88, 2) and image[0, 0].tolist() == pytest.approx([10 / 255, 110 / 255], abs=1e-6)
    assert read_image(table.loc["049_001"]).shape == (72, 88, 1)
    with pytest.raises(HemokitError, match="slice 084_002 has no bone image"):
        read_image(table.loc["084_002"], windows="bone")


def test_jpg_masks_above_127(jpg):
    """The masks are JPEGs with ringing around the edges: above 127 is hemorrhage, exactly the rectangle."""
    row = open_dataset(jpg).iloc[1]
    expected = np.zeros((72, 88), bool)
    expected[16:32, 8:40] = True
    np.testing.assert_array_equal(read_mask(row), expected)


def test_renders_of_two_sizes(jpg):
    """A bone image of another size than the brain image is named with both sizes."""
    row = open_dataset(jpg).iloc[0]
    trees.write_jpg(jpg / "Patients_CT/049/bone/1.jpg", np.zeros((40, 56), np.uint8))
    with pytest.raises(
        HemokitError, match="bone/1.jpg: the bone image is 56 x 40 pixels, but expected 88 x 72, as the"
    ):
        read_image(row, windows=("brain", "bone"))


def test_odd_jpg_masks(jpg):
    """Three equal channels are a mask, colors are none, and a mask of another size than its image is refused."""
    row = open_dataset(jpg).iloc[1]
    mask = np.zeros((72, 88, 3), np.uint8)
    mask[16:32, 8:40] = 255
    path = jpg / "Patients_CT/049/brain/2_HGE_Seg.jpg"
    trees.write_jpg(path, mask)
    assert read_mask(row).sum() == 16 * 32
    trees.write_jpg(path, mask * np.uint8([1, 0, 0]))
    with pytest.raises(HemokitError, match="the mask has colors"):
        read_mask(row)
    trees.write_jpg(path, mask[:48, :, 0])
    with pytest.raises(HemokitError, match="the mask is 88 x 48 pixels, but expected 88 x 72, as its image"):
        read_mask(row)


def test_mask_notes(jpg):
    """No masks at all is one clear sentence; a missing one and one too many are counted."""
    brain = jpg / "Patients_CT/049/brain"
    (brain / "2_HGE_Seg.jpg").rename(brain / "1_HGE_Seg.jpg")
    notes = noted(open_dataset(jpg))
    assert "masks: 1 slices with hemorrhage have no mask (049_002)" in notes
    assert "masks: 1 slices without hemorrhage have a mask (049_001)" in notes
    for path in brain.glob("*_HGE_Seg.jpg"):
        path.unlink()
    table = open_dataset(jpg)
    assert table["mask_path"].isna().all() and "masks: none in this folder" in noted(table)


def test_strange_entries(jpg):
    """Files that are no images are counted; hidden ones are not; one patient in two folders is an error."""
    (jpg / "Patients_CT/049/brain/Thumbs.db").write_text("x")
    (jpg / "Patients_CT/049/brain/.hidden").write_text("x")
    (jpg / "Patients_CT/049/bone/9.jpg").write_text("x")
    notes = noted(open_dataset(jpg))
    assert "entries of Patients_CT that are no images, not used: 1 (049/brain/Thumbs.db)" in notes
    assert "masks or bone images without a brain image, not used: 1 (049_009)" in notes
    (jpg / "Patients_CT/49").mkdir()
    with pytest.raises(HemokitError, match="patient 049 has two folders, 049 and 49"):
        open_dataset(jpg)


@pytest.mark.parametrize("form", ["jpg", "nifti"])
def test_patient_070_is_kept_and_noted(form, request):
    """The chronic patient stays in the table, and the reason to leave it out of segmentation is visible."""
    root = request.getfixturevalue(form)
    csv = next(root.glob("hemorrhage_diagnosis*.csv"))
    csv.write_bytes(csv.read_bytes().replace(b"\n84,", b"\n70,"))
    for path in [*root.glob("*/084*")]:
        path.rename(path.with_name(path.name.replace("084", "070")))
    table = open_dataset(root)
    assert "070" in set(table["patient_id"])
    assert "patient 070 is kept here, but leave it out of segmentation: chronic hemorrhage" in noted(table)
    (root / "README.txt").write_text("PHANTOM: synthetic")
    assert "070 is kept" not in noted(open_dataset(root))


def test_nifti_is_turned_once(nifti):
    """Slice k of the file, turned once and not mirrored, in Hounsfield units: left stays left."""
    table = open_dataset(nifti)
    np.testing.assert_array_equal(read_hounsfield(table.iloc[2]), trees.nifti_volume(3, 49)[2])
    assert table[["slice_spacing_mm", "row_spacing_mm", "column_spacing_mm"]].iloc[0].tolist() == [5, 0.5, 0.5]


def test_nifti_masks_are_not_integral(nifti):
    """0.004 and 254.98 are read as no and yes."""
    table = open_dataset(nifti)
    assert [int(read_mask(row).sum()) for row in table.itertuples()] == [0, 9, 9, 0, 0]


def test_nifti_slices_without_rows(nifti):
    """The third slice of 084 has no label: dropped; a row beyond the volume or without one: dropped too."""
    rows = [*trees.JPG_ROWS, "49,9,0,0,0,0,0,1,0", "59,1,0,0,0,0,0,1,0"]
    trees.write_diagnosis(nifti / "hemorrhage_diagnosis_raw_ct.csv", rows)
    table = open_dataset(nifti)
    assert account(table).rows_in == 8 and len(table) == 5
    assert dropped(table) == {
        "listed in hemorrhage_diagnosis_raw_ct.csv, but the patient has no volume": ("059_001",),
        "listed with a SliceNumber beyond the end of the volume": ("049_009",),
        "a slice of a volume that hemorrhage_diagnosis_raw_ct.csv does not list": ("084_003",),
    }


def test_nifti_third_axis_downward(nifti):
    """Where the header says that slices run downward, slice_index still counts from the neck."""
    volume = trees.nifti_volume(3, 49)
    for name in ("ct_scans", "masks"):
        trees.write_nifti(nifti / name / "049.nii", volume * (name == "ct_scans"), diagonal=(-0.5, 0.5, -5.0))
    table = open_dataset(nifti)
    indices = table.set_index("slice_id")["slice_index"]
    assert indices[["049_001", "049_002", "049_003"]].tolist() == [2, 1, 0]
    row = table[table["slice_id"] == "049_001"].iloc[0]
    np.testing.assert_array_equal(read_hounsfield(row), volume[0])


def test_nifti_mask_on_another_grid(nifti):
    """A mask of another shape than its scan is an error with both shapes."""
    trees.write_nifti(nifti / "masks" / "049.nii", np.zeros((4, 8, 9), np.uint8))
    with pytest.raises(HemokitError, match=r"the mask has \(9, 8, 4\) voxels, but expected the \(9, 8, 3\)"):
        open_dataset(nifti)


def test_nifti_changed_since(nifti):
    """A volume that got shorter after the table was made is noticed."""
    row = open_dataset(nifti).iloc[2]
    trees.write_nifti(nifti / "ct_scans" / "049.nii", trees.nifti_volume(2, 49))
    with pytest.raises(HemokitError, match="slice_index is 2, but expected 0 to 1. Open the data set again"):
        read_hounsfield(row)


def test_nifti_twice_and_orphans(nifti):
    """A mask without a scan is noted; a patient with two volumes is an error."""
    trees.write_nifti(nifti / "masks" / "100.nii", np.zeros((3, 8, 9), np.uint8))
    assert "1 masks have no scan (100)" in noted(open_dataset(nifti))
    trees.write_nifti(nifti / "ct_scans" / "49.nii.gz", trees.nifti_volume(3, 49))
    with pytest.raises(HemokitError, match="patient 049 has 049.nii and 49.nii.gz"):
        open_dataset(nifti)


def test_nifti_without_orientation(nifti):
    """A header that states no orientation is taken as published (LAS), and that is noted."""
    for name in ("ct_scans", "masks"):
        path = nifti / name / "049.nii"
        data = bytearray(path.read_bytes())
        data[252:256] = bytes(4)  # qform_code and sform_code
        path.write_bytes(data)
    table = open_dataset(nifti)
    assert "1 volumes (049) have headers without orientation: taken as LAS, as published" in noted(table)
    np.testing.assert_array_equal(read_hounsfield(table.iloc[2]), trees.nifti_volume(3, 49)[2])
    assert int(read_mask(table.iloc[2]).sum()) == 9 and not read_mask(table.iloc[0]).any()


def test_nifti_with_another_orientation(nifti):
    """A header that says RAS is followed: mirrored against plain np.rot90, left stays left, and it is noted."""
    volume, mask = trees.nifti_volume(3, 49), np.zeros((3, 8, 9), np.uint8)
    for name, array in (("ct_scans", volume), ("masks", mask)):
        trees.write_nifti(nifti / name / "049.nii", array, diagonal=(0.5, 0.5, 5.0))
    table = open_dataset(nifti)
    assert "1 volumes (049) run to RAS, not to LAS as published: the header is followed" in noted(table)
    np.testing.assert_array_equal(read_hounsfield(table.iloc[2]), volume[2, :, ::-1])
    assert "LAS" not in noted(open_dataset(trees.ct_ich_nifti(nifti.parent / "as published")))


def test_numbers_of_the_jpg_form(nifti):
    """Patient 051's numbers are 9 higher than in the JPG form, where none is below 1; the others' are equal."""
    rows = [*trees.JPG_ROWS[:3], "51,9,0,0,0,0,0,1,0", "51,10,0,0,0,0,0,1,0"]
    trees.write_diagnosis(nifti / "hemorrhage_diagnosis_raw_ct.csv", rows)
    trees.write_nifti(nifti / "ct_scans" / "051.nii", trees.nifti_volume(10, 51))
    table = open_dataset(nifti)
    assert str(table["jpg_slice_number"].dtype) == "Int64"
    assert table["jpg_slice_number"].tolist() == [1, 2, 3, pd.NA, 1]
    assert "slice numbers exceed those of the JPG form (051 by 9): match the forms by jpg_slice_number" in noted(table)
    (nifti / "README.txt").write_text("PHANTOM: synthetic")
    assert open_dataset(nifti)["jpg_slice_number"].tolist() == [1, 2, 3, 9, 10]


def test_nifti_strange_entries(nifti):
    """Files that are no volumes are counted and named."""
    (nifti / "ct_scans" / "notes.txt").write_text("x")
    (nifti / "masks" / "049_old.nii").write_text("x")
    (nifti / "masks" / ".hidden").write_text("x")
    note = "entries of ct_scans and masks that are no volumes, not used: 2 (ct_scans/notes.txt, masks/049_old.nii)"
    assert note in noted(open_dataset(nifti))
