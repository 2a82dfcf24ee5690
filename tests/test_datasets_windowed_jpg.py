"""Window-rendered JPGs: folders, colors, sizes, flagged names, patients, and polygons joined as masks."""

import shutil

import dataset_trees as trees
import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_image, read_mask, read_volume
from hemokit.datasets.windowed_jpg import bone_to_gray
from hemokit.tables import account


@pytest.fixture
def root(tmp_path):
    """The small tree."""
    return trees.windowed_jpg(tmp_path / "tree")


def dropped(table):
    """dict reason -> ids."""
    return {drop.reason: drop.ids for drop in account(table).drops}


def noted(table):
    """All notes in one text."""
    return " | ".join(account(table).notes)


@pytest.mark.parametrize("options", [{"labels_folder": "Hemorrhage Segmentation Project"}, {"doubled": True}])
def test_other_spellings_of_the_folders(options, root, tmp_path):
    """The other label folder, and doubled class folders (renders/epidural/epidural), give the same table."""
    other = open_dataset(trees.windowed_jpg(tmp_path / "other", **options))
    columns = ["slice_id", "any", "epidural", "subdural"]
    pd.testing.assert_frame_equal(other[columns], open_dataset(root)[columns])


def test_folders_that_are_none_of_ours_are_noted(root, tmp_path):
    """A class or a window of another name, and a class folder that holds renders beside the doubled one."""
    (root / "renders/other/brain_window").mkdir(parents=True)
    (root / "renders/epidural/brain").mkdir()
    assert "of no class or no window and were not used: other, epidural/brain" in noted(open_dataset(root))
    both = trees.windowed_jpg(tmp_path / "both", doubled=True)
    inner = both / "renders/epidural/epidural/brain_window"
    (both / "renders/epidural/brain_window").mkdir()
    for path in inner.glob("*.jpg"):
        path.rename(both / "renders/epidural/brain_window" / path.name)
    columns = ["slice_id", "any", "epidural", "subdural"]
    pd.testing.assert_frame_equal(open_dataset(both)[columns], open_dataset(root)[columns])
    path = next((both / "renders/epidural/brain_window").glob("*.jpg"))
    (inner / path.name).write_bytes(path.read_bytes())
    with pytest.raises(HemokitError, match="but expected a render once"):
        open_dataset(both)


def test_flagged_names_are_left_out(root):
    """The names in flagged.txt are dropped and counted; without the file nothing is."""
    table = open_dataset(root)
    assert dropped(table) == {"named in flagged.txt": ("ID_00000000d",)} and account(table).rows_in == 4
    path = root / "HemorrhageLabels" / "flagged.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(HemokitError, match="flagged.txt: reading the names failed"):
        open_dataset(root)
    path.unlink()
    assert dropped(open_dataset(root)) == {}


def test_listed_or_rendered_only(root):
    """A label without a render and a render without a label are dropped, each with its reason."""
    for path in root.glob("renders/normal/*/ID_00000000a.jpg"):
        path.rename(path.with_name("ID_00000000e.jpg"))
    (root / "renders/normal/brain_window/readme.txt").write_text("x")
    table = open_dataset(root)
    assert account(table).rows_in == 5 and "1 files in renders are no renders" in noted(table)
    assert dropped(table) == {
        "listed in hemorrhage-labels.csv, but there is no render": ("ID_00000000a",),
        "a render that hemorrhage-labels.csv does not list": ("ID_00000000e",),
        "named in flagged.txt": ("ID_00000000d",),
    }


def test_missing_window(root):
    """A slice may lack a window, but not a required one; what is missing cannot be read."""
    (root / "renders/normal/subdural_window/ID_00000000a.jpg").unlink()
    (root / "renders/subdural/brain_window/ID_00000000c.jpg").unlink()
    table = open_dataset(root)
    assert dropped(table)["no brain_window render"] == ("ID_00000000c",)
    row = table[table["slice_id"] == "ID_00000000a"].iloc[0]
    with pytest.raises(HemokitError, match="ID_00000000a has no subdural_window image"):
        read_image(row, windows=("brain_window", "subdural_window"))
    assert pd.isna(row["subdural_window_path"]) and pd.isna(row["max_contrast_window_path"])
    assert len(open_dataset(root, required=())) == 3
    with pytest.raises(HemokitError, match="required is 'bone', but expected one of 'brain_window'"):
        open_dataset(root, required=("bone",))


def test_renders_of_two_sizes(root):
    """Channels of several sizes are no image: the file and both sizes are named."""
    row = open_dataset(root).iloc[0]
    trees.write_jpg(
        root / "renders/normal/subdural_window/ID_00000000a.jpg", trees.bone_colors(np.zeros((40, 56), int))
    )
    with pytest.raises(
        HemokitError, match="subdural_window image is 56 x 40 pixels, but expected 64 x 48, as the brain"
    ):
        read_image(row, windows=("brain_window", "subdural_window"))


def test_two_label_folders(root):
    """Labels in two folders are refused, with both names: which are right?"""
    shutil.copytree(root / "HemorrhageLabels", root / "Old labels")
    with pytest.raises(HemokitError, match="'HemorrhageLabels' and 'Old labels' hold labels, but expected one folder"):
        open_dataset(root)


def test_odd_sizes(root):
    """A slice of another size than most is dropped with the usual size, or kept when asked for."""
    path = root / "renders/normal/brain_window/ID_00000000a.jpg"
    trees.write_jpg(path, trees.bone_colors(np.zeros((40, 56), np.uint8)))
    assert dropped(open_dataset(root))["not 64 x 48 pixels"] == ("ID_00000000a",)
    assert len(open_dataset(root, keep_odd_sizes=True)) == 3


def test_damaged_render(root):
    """A render without a readable header is dropped, and the notes say what is wrong with the first one."""
    (root / "renders/normal/brain_window/ID_00000000a.jpg").write_bytes(b"GIF89a")
    table = open_dataset(root)
    assert dropped(table)["the render is refused (see the notes for why)"] == ("ID_00000000a",)
    assert "refused renders: 1, the first: " in noted(table) and "the content is no JPEG or PNG" in noted(table)


def test_class_folder_against_labels(root):
    """Where folder and labels disagree the labels count, and the slices are noted; in two folders is an error."""
    for window in ("brain_window", "subdural_window"):
        source = root / "renders/epidural" / window / "ID_00000000b.jpg"
        target = root / "renders/multi" / window / source.name
        target.parent.mkdir(parents=True)
        source.rename(target)
    table = open_dataset(root)
    assert "class folder that their labels contradict (the labels count): 1, such as ID_00000000b" in noted(table)
    assert table.set_index("slice_id").loc["ID_00000000b", "epidural"] == 1
    trees.write_jpg(source, np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(HemokitError, match="ID_00000000b stands in epidural and multi"):
        open_dataset(root)


def test_contradicting_any(root):
    """A row of the label CSV whose any contradicts its subtypes is an error with the row."""
    path = root / "HemorrhageLabels" / "hemorrhage-labels.csv"
    path.write_text(path.read_text().replace("ID_00000000a,0,", "ID_00000000a,1,"))
    with pytest.raises(HemokitError, match="row 2: ID_00000000a has any = 1 against its subtypes"):
        open_dataset(root)


# -- colors --


def test_color_map_is_undone(root):
    """A gray ramp that went through the map and JPEG comes back to within 3 of 255."""
    image = read_image(open_dataset(root).iloc[0])
    ramp = np.tile(np.arange(0, 256, 4), (48, 1))
    assert np.abs(image[..., 0] * 255 - ramp).max() < 3


def test_every_color_of_the_map():
    """Without JPEG in between every gray value is exact to half a step, also after the nearest color is taken."""
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    back = bone_to_gray(trees.bone_colors(gray)) * 255
    assert back.dtype == np.float32 and np.abs(back - gray).max() < 0.5


@pytest.mark.parametrize(
    "make", [lambda gray: np.stack([gray] * 3, -1), lambda gray: trees.bone_colors(gray)[..., ::-1]]
)
def test_other_colors_are_refused(make, root):
    """Plain gray, and the map with red and blue swapped, are not undone as if they were the map."""
    gray = np.random.default_rng(0).integers(60, 200, (48, 64)).astype(np.uint8)
    row = open_dataset(root).iloc[0]
    trees.write_jpg(root / "renders/normal/brain_window/ID_00000000a.jpg", make(gray))
    with pytest.raises(HemokitError, match="of 255 away from the map `bone`"):
        read_image(row)


# -- masks --


def test_polygons_are_joined(root):
    """b has a rectangle, from 0.25 to 0.75 of both sides; c has none, which is said and an error; a is empty."""
    table = open_dataset(root).set_index("slice_id", drop=False)
    mask = read_mask(table.loc["ID_00000000b"])
    expected = np.zeros((48, 64), bool)
    expected[12:36, 16:48] = True
    np.testing.assert_array_equal(mask, expected)
    assert not read_mask(table.loc["ID_00000000a"]).any()
    with pytest.raises(HemokitError, match="ID_00000000c has hemorrhage and no mask"):
        read_mask(table.loc["ID_00000000c"])
    assert "masks: 1 slices have polygons; 1 slices with hemorrhage have none" in noted(table)
    assert "label files: 1 label rows in; 1 used" in noted(table)


def test_polygons_that_fit_no_slice(root):
    """Polygons of slices that are not in the table, or have no hemorrhage by the labels, are counted."""
    folder = root / "HemorrhageLabels"
    first = "Results_Subdural Hemorrhage Detection_2020-11-16_21.35.48.040.csv"
    second = "Results_Subdural Hemorrhage Detection_2020-11-16_21.37.19.745.csv"
    trees.write_results(folder / first, "ID_00000000a")
    trees.write_results(folder / second, "ID_00000000c", "ID_00000000f")
    notes = noted(open_dataset(root))
    assert "masks: 3 slices have polygons; 0 slices with hemorrhage have none" in notes
    assert "masks: 1 slices with polygons are not in this table" in notes
    assert "masks: 1 slices without hemorrhage by hemorrhage-labels.csv have polygons" in notes


def test_no_label_files(root):
    """Without label files one sentence says that there are no masks."""
    next((root / "HemorrhageLabels").glob("Results_*")).unlink()
    table = open_dataset(root)
    assert "masks: no label files" in noted(table) and table["polygons_xy"].isna().all()


# -- patients --


def test_without_patients(root):
    """Patient, scan and order are missing, and the notes say what that forbids."""
    table = open_dataset(root)
    assert table[["patient_id", "scan_id", "slice_index"]].isna().all().all()
    assert "a split by patient needs patients=" in noted(table)
    with pytest.raises(HemokitError, match="the rows are of 1 scan"):
        read_volume(table)


def test_patients_from_the_dicom_headers(root, tmp_path):
    """An RSNA table joins patient, scan and order; slices that it lacks are dropped."""
    patients = open_dataset(trees.rsna(tmp_path / "rsna"))
    table = open_dataset(root, patients=patients)
    assert table["slice_id"].str[-1].tolist() == ["c", "a", "b"] and set(table["patient_id"]) == {"P1"}
    assert table["slice_index"].tolist() == [0, 1, 2] and "a split by patient" not in noted(table)
    assert read_volume(table, read=read_image).shape == (3, 48, 64, 1)
    table = open_dataset(root, patients=patients[patients["slice_id"] != "ID_00000000a"])
    assert dropped(table)["no patient in the table given as patients"] == ("ID_00000000a",)


def test_patients_from_a_file(root, tmp_path):
    """A CSV with Image and patient_id will do; ids stay text; a slice listed twice is an error."""
    path = tmp_path / "patients.csv"
    path.write_text("Image,patient_id\nID_00000000a.jpg,007\nID_00000000b,007\nID_00000000c,\n")
    table = open_dataset(root, patients=path)
    assert table["patient_id"].tolist() == ["007", "007"] and table["slice_index"].isna().all()
    assert dropped(table)["no patient in the table given as patients"] == ("ID_00000000c",)
    path.write_text("slice_id,patient_id,scan_id,slice_index\nID_00000000a,7,S,3\nID_00000000a,8,S,4\n")
    with pytest.raises(HemokitError, match="ID_00000000a stands twice"):
        open_dataset(root, patients=path)
    path.write_text("slice_id,patient_id,scan_id,slice_index\nID_00000000a,7,S,-3\n")
    with pytest.raises(HemokitError, match="row 2, column 'slice_index': the value is '-3'"):
        open_dataset(root, patients=path)
    with pytest.raises(HemokitError, match="patients is 5 .int., but expected a path"):
        open_dataset(root, patients=5)
    half = pd.DataFrame({"slice_id": ["ID_00000000a"], "patient_id": ["7"], "slice_index": [0.5]})
    with pytest.raises(HemokitError, match="slice 'ID_00000000a' has slice_index = 0.5, but expected a whole number"):
        open_dataset(root, patients=half)
    path.write_text("slice,patient\n")
    with pytest.raises(HemokitError, match="lacks the column"):
        open_dataset(root, patients=path)
