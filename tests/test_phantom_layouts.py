"""The phantom on disk: the four layouts byte by byte, and what the readers get back from them."""

import csv
import hashlib
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_hounsfield, read_image, read_mask
from hemokit.datasets.phantom import phantom_root, roster, write_phantom, writers
from hemokit.datasets.phantom.roster import (
    DAMAGED,
    NUMBERS,
    TYPES_IN_TURN,
    any_mask,
    patient_ids,
    patient_scan,
    patient_studies,
    slice_labels,
    stable_id,
)
from hemokit.datasets.phantom.rsna_folder import stored_values
from hemokit.files import sha256
from hemokit.labels import LABELS, SUBTYPES
from hemokit.tables import account

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder

SETTINGS = {"num_patients": 3, "image_size": 72, "seed": 5}
LAYOUTS = ("ct_ich_jpg", "ct_ich_nifti", "rsna", "windowed_jpg")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The same three patients in all four layouts: dict layout -> folder. Each head is made once, for speed."""
    folder = tmp_path_factory.mktemp("phantoms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roster, "make_phantom", lru_cache(roster.make_phantom))
        return {layout: write_phantom(folder / layout, layout=layout, **SETTINGS) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def studies():
    """All studies of these patients as they were before they were written."""
    settings = {"image_size": SETTINGS["image_size"], "seed": SETTINGS["seed"]}
    return [study for patient in patient_ids(3) for study in patient_studies(patient, **settings)]


def by_slice(studies):
    """Yield slice id, Hounsfield units, mask and labels of every slice of every study."""
    for study in studies:
        labels, masks = slice_labels(study.scan.masks), any_mask(study.scan.masks)
        for k, slice_id in enumerate(study.slice_ids):
            yield slice_id, study.scan.hounsfield[k], masks[k], {label: int(labels[label][k]) for label in LABELS}


def pixels_of(path):
    """The values of an image file, as Pillow reads them."""
    with Image.open(path) as image:
        return np.asarray(image)


def digests(root):
    """The checksum of every file below a folder."""
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}


# -- writing as such --


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_seed_gives_the_same_bytes(layout, roots, tmp_path):
    """Written again, one layout by two processes, every file has the same bytes."""
    workers = 2 if layout == "rsna" else 1
    again = write_phantom(tmp_path / "again", layout=layout, num_workers=workers, **SETTINGS)
    assert digests(again) == digests(roots[layout])


def test_another_seed_gives_other_heads(roots, tmp_path):
    """Another seed changes every image."""
    other = write_phantom(tmp_path / "other", layout="ct_ich_nifti", **{**SETTINGS, "seed": 6})
    ours, theirs = digests(roots["ct_ich_nifti"]), digests(other)
    assert all(ours[name] != theirs[name] for name in ours if name.startswith("ct_scans"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_readme_says_phantom(layout, roots):
    """Nobody can take the folder for real patients."""
    assert "PHANTOM" in (roots[layout] / "README.txt").read_text()


def test_refuses_a_folder_with_something_in_it(tmp_path):
    """What a user has in a folder stays."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(HemokitError, match="a folder with something in it, but expected a new or empty folder"):
        write_phantom(tmp_path, layout="rsna", **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refuses_a_file(tmp_path):
    """A file in the place of the folder is an error."""
    (tmp_path / "root").write_text("mine")
    with pytest.raises(HemokitError, match="there is a file"):
        write_phantom(tmp_path / "root", layout="rsna", **SETTINGS)


def test_an_empty_folder_will_do(tmp_path):
    """An empty folder is filled."""
    (tmp_path / "root").mkdir()
    root = write_phantom(tmp_path / "root", layout="ct_ich_nifti", num_patients=1, image_size=64, seed=0)
    assert (root / "ct_scans" / "049.nii").is_file()


def test_nothing_is_left_after_a_failure(tmp_path, monkeypatch):
    """A failure in the middle leaves no folder, and no temporary one."""

    def fail(folder, patients, seed):
        raise OSError(28, "No space left on device")

    broken = writers.LAYOUTS["ct_ich_nifti"]._replace(finish=fail)
    monkeypatch.setitem(writers.LAYOUTS, "ct_ich_nifti", broken)
    with pytest.raises(HemokitError, match="cannot be written .No space left on device."):
        write_phantom(tmp_path / "root", layout="ct_ich_nifti", num_patients=1, image_size=64, seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "dicom"}, "layout is 'dicom', but expected one of 'ct_ich_jpg'"),
        ({"num_patients": 0}, "num_patients is 0, but expected a whole number from 1 to 900"),
        ({"num_patients": 2.5}, "num_patients is 2.5, but expected a whole number"),
        ({"num_patients": True}, "num_patients is True, but expected a whole number"),
        ({"image_size": 32}, "image_size is 32, but expected a whole number from 64 to 1024"),
        ({"seed": -1}, "seed is -1, but expected a whole number from 0"),
        ({"num_workers": 0}, "num_workers is 0, but expected a whole number from 1"),
    ],
)
def test_wrong_arguments(wrong, message, tmp_path):
    """Each wrong argument is refused by name before anything is written."""
    with pytest.raises(HemokitError, match=message):
        write_phantom(tmp_path / "root", **{"layout": "rsna", **SETTINGS, **wrong})
    assert list(tmp_path.iterdir()) == []


# -- the cache --


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


SMALL = {"num_patients": 1, "image_size": 64, "seed": 0}


def test_cache_is_used_again(cache, monkeypatch):
    """The second call finds the folder of the first."""
    first = phantom_root("ct_ich_nifti", **SMALL)
    monkeypatch.setattr(writers, "write_phantom", None)
    assert phantom_root("ct_ich_nifti", **SMALL) == first
    assert first.is_relative_to(cache)


def test_other_settings_and_other_code_have_other_places(cache, monkeypatch):
    """Settings and code are part of the name, so that an old phantom is never served."""
    written = []
    monkeypatch.setattr(writers, "write_phantom", lambda root, **settings: written.append(root))
    for change in ({}, {"num_patients": 2}, {"image_size": 65}, {"seed": 1}):
        phantom_root("ct_ich_nifti", **{**SMALL, **change})
    phantom_root("ct_ich_jpg", **SMALL)
    monkeypatch.setattr(writers, "_code_version", lambda: "changed")
    phantom_root("ct_ich_nifti", **SMALL)
    assert len(set(written)) == 6


def test_callers_at_the_same_time_get_the_same_whole_folder(cache):
    """Two callers at once both get the folder, and nothing else is left."""
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(phantom_root, "ct_ich_nifti", **SMALL) for _ in range(2)]
    first, second = (future.result() for future in both)
    assert first == second
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert (first / "hemorrhage_diagnosis_raw_ct.csv").is_file()


def test_wrong_arguments_are_refused_through_the_cache(cache):
    """An error of write_phantom comes through, and no folder is left."""
    with pytest.raises(HemokitError, match="image_size is 3"):
        phantom_root("rsna", image_size=3)
    assert not cache.exists()


# -- who is in it --


def test_mix_resembles_ct_ich():
    """Of 25 patients 11 are positive, every subtype has at least two, and the first four have both kinds."""
    assert sum(map(bool, TYPES_IN_TURN)) == 11
    assert all(sum(subtype in types for types in TYPES_IN_TURN) >= 2 for subtype in SUBTYPES)
    assert {bool(types) for types in TYPES_IN_TURN[:4]} == {True, False}


def test_patients_with_a_meaning_in_the_real_set_are_left_out():
    """Patients 59 to 65 (not in the NIfTI form) and 70 (chronic) do not occur; there are enough others."""
    assert not {*range(59, 66), 70} & set(NUMBERS)
    assert len(patient_ids(900)) == 900


def test_stable_ids_are_fixed():
    """Ids never change between runs and machines (the value is SHA-256 of "slice/0/049/0/0")."""
    assert stable_id("slice", 0, "049", 0, 0, digits=9) == "ID_" + hashlib.sha256(b"slice/0/049/0/0").hexdigest()[:9]


def test_follow_up_is_the_same_head_elsewhere(studies):
    """The second study of a patient has the same number of mask pixels, give or take those moved out."""
    first, second = (study.scan for study in studies if study.patient_id == patient_ids(2)[1])
    assert first.hounsfield.shape == second.hounsfield.shape
    assert (first.hounsfield != second.hounsfield).any()
    assert any_mask(first.masks).sum() == any_mask(second.masks).sum()


# -- CT-ICH, JPG form --


def test_jpg_diagnosis_csv_as_the_real_one(roots):
    """Byte order mark, CRLF, the header, and patient numbers without leading zero."""
    raw = (roots["ct_ich_jpg"] / "hemorrhage_diagnosis.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfPatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,")
    assert raw.count(b"\r\n") == raw.count(b"\n")
    assert raw.split(b"\r\n")[1].startswith(b"49,1,")


def test_jpg_demographics_csv_as_the_real_one(roots):
    """A newline in the quoted header, blank for 0, a fractional age where the patient is an infant."""
    text = (roots["ct_ich_jpg"] / "patient_demographics.csv").read_bytes().decode()
    assert text.startswith('"Patient Number","Age\n(years)","Gender","Intraventricular","Intraparenchymal",')
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    assert rows[2][3:8] == [""] * 5
    assert set(rows[1][3:8]) == {"", "1"}


def test_jpg_files_as_the_real_ones(roots):
    """One channel, 8 bit, masks only where there is hemorrhage, one bone image missing."""
    root = roots["ct_ich_jpg"]
    with Image.open(root / "Patients_CT" / "049" / "brain" / "1.jpg") as image:
        assert (image.mode, image.size, image.quantization[0][:4]) == ("L", (72, 72), [8, 6, 5, 8])
    masks = list(root.glob("Patients_CT/*/brain/*_HGE_Seg.jpg"))
    rows = pd.read_csv(root / "hemorrhage_diagnosis.csv", encoding="utf-8-sig")
    assert len(masks) == (rows["No_Hemorrhage"] == 0).sum() > 0
    assert len(list(root.glob("Patients_CT/*/brain/*.jpg"))) == len(rows) + len(masks)
    assert len(list(root.glob("Patients_CT/*/bone/*.jpg"))) == len(rows) - 1


def test_jpg_renders_are_the_measured_windows(roots):
    """35 HU is 117 of 255 in the brain render and 74.5 in the bone render, to within the JPEG's rounding."""
    scan = patient_scan("050", image_size=72, seed=5)
    k = len(scan.hounsfield) // 2
    for window, low, width in (("brain", -20, 120), ("bone", -900, 3200)):
        pixels = pixels_of(roots["ct_ich_jpg"] / "Patients_CT" / "050" / window / f"{k + 1}.jpg").astype(float)
        expected = np.clip((scan.hounsfield[k] - low) / width, 0, 1) * 255
        assert np.abs(pixels - expected).mean() < 5


# -- CT-ICH, NIfTI form --


def test_nifti_turns_into_the_picture(roots):
    """np.rot90 of a slice of the volume is the picture, in Hounsfield units, with the spacing in the header."""
    import nibabel

    scan = patient_scan("049", image_size=72, seed=5)
    image = nibabel.load(roots["ct_ich_nifti"] / "ct_scans" / "049.nii")
    volume = image.get_fdata()
    for k in range(0, len(scan.hounsfield), 5):
        np.testing.assert_array_equal(np.rot90(volume[:, :, k]), scan.hounsfield[k])
    slice_mm, row_mm, column_mm = scan.spacing_mm
    np.testing.assert_allclose(image.header.get_zooms(), (column_mm, row_mm, slice_mm), rtol=1e-6)
    assert nibabel.aff2axcodes(image.affine) == ("L", "A", "S")
    assert image.header.get_data_dtype() == np.int16


def test_nifti_masks_are_near_0_and_255(roots, studies):
    """Masks are no whole numbers, as in the real files, and above 127 exactly where the hemorrhage is."""
    import nibabel

    values = nibabel.load(roots["ct_ich_nifti"] / "masks" / "049.nii").get_fdata()
    assert np.abs(values - np.rint(values)).min() > 0
    assert set(np.unique(np.rint(values))) == {0, 255}
    mask = any_mask(studies[0].scan.masks)
    np.testing.assert_array_equal(np.rot90(values, axes=(0, 1)).transpose(2, 0, 1) > 127, mask)


def test_nifti_csvs_as_the_real_ones(roots):
    """No byte order mark; a header of two rows and summary rows at the end of the demographics."""
    raw = (roots["ct_ich_nifti"] / "hemorrhage_diagnosis_raw_ct.csv").read_bytes()
    assert raw.startswith(b"PatientNumber,SliceNumber,")
    rows = list(csv.reader(io.StringIO((roots["ct_ich_nifti"] / "Patient_demographics.csv").read_text())))
    assert len({len(row) for row in rows}) == 1
    assert [row[0] for row in rows] == ["Patient Number", "", "49", "50", "51", "Total", "Mean age", "SD of age"]


# -- RSNA --


def read_dicom_raw(path):
    """A dataset by pydicom alone; the real ids are no dotted numbers either, which pydicom mentions."""
    import pydicom

    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(path)
        list(dataset)  # turns every value into what it means now, not when it is first used
        return dataset


def test_rsna_stored_values_come_back(roots, studies):
    """Stored values, through the header (and the stated repair of the quirk), are the Hounsfield units."""
    seen = set()
    for slice_id, hounsfield, _, _ in by_slice(studies):
        if slice_id == DAMAGED:
            continue
        dataset = read_dicom_raw(roots["rsna"] / "stage_2_train" / f"{slice_id}.dcm")
        dtype = "<i2" if dataset.PixelRepresentation else "<u2"
        values = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns).astype(int)
        intercept = int(dataset.RescaleIntercept)
        lowest = -1024
        if dataset.BitsStored == 12 and dataset.PixelRepresentation == 0 and intercept > -100:
            values = values + 1000
            values[values >= 4096] -= 4096
            intercept = lowest = -1000
        np.testing.assert_array_equal(values + intercept, np.maximum(hounsfield, lowest))
        seen.add((dataset.BitsStored, lowest))
    assert seen == {(16, -1024), (12, -1024), (12, -1000)}


def test_quirk_wraps_as_stated():
    """Air at -1000 HU is stored as 3096, water as 0, bone at 3000 as 3000."""
    values, header = stored_values(np.array([[-1024, -1000, 0, 3000]], np.int16), patient_ids(3)[2])
    assert values.tolist() == [[3096, 3096, 0, 3000]]
    assert (header["BitsStored"], header["RescaleIntercept"], header["PixelRepresentation"]) == (12, "0", 0)


def test_rsna_headers(roots, studies):
    """Slices of a study share a series and lie in order in the patient; a patient has two studies; windows repeat."""
    facts = {"SeriesInstanceUID": {}, "StudyInstanceUID": {}, "PatientID": {}}
    several = set()
    for study in studies:
        heights = []
        for slice_id in study.slice_ids:
            dataset = read_dicom_raw(roots["rsna"] / "stage_2_train" / f"{slice_id}.dcm")
            heights.append(float(dataset.ImagePositionPatient[2]))
            several.add(dataset["WindowCenter"].VM)
            for name, ids in facts.items():
                ids.setdefault((study.patient_id, study.number), set()).add(str(dataset[name].value))
        assert heights == sorted(heights) and len(set(heights)) == len(heights)
        assert list(study.slice_ids) != sorted(study.slice_ids)
    assert all(len(values) == 1 for ids in facts.values() for values in ids.values())
    distinct = {name: len({next(iter(values)) for values in ids.values()}) for name, ids in facts.items()}
    assert distinct == {"SeriesInstanceUID": 4, "StudyInstanceUID": 4, "PatientID": 3}
    assert several == {1, 2}


def test_rsna_damaged_file_is_short(roots):
    """The damaged file has fewer bytes of pixels than its header says."""
    dataset = read_dicom_raw(roots["rsna"] / "stage_2_train" / f"{DAMAGED}.dcm")
    assert len(dataset.PixelData) < dataset.Rows * dataset.Columns * 2


def test_rsna_csv(roots, studies):
    """Six rows an image in the real order, four images listed twice, the labels as in the masks."""
    rows = pd.read_csv(roots["rsna"] / "stage_2_train.csv")
    assert list(rows.columns) == ["ID", "Label"]
    assert [name[13:] for name in rows["ID"][:6]] == [*SUBTYPES, "any"]
    once = rows.drop_duplicates("ID")
    assert len(rows) - len(once) == 24
    read = {}
    for name, value in zip(once["ID"], once["Label"], strict=True):
        read.setdefault(name[:12], {})[name[13:]] = value
    expected = {slice_id: labels for slice_id, _, _, labels in by_slice(studies)}
    assert read == expected


# -- window-rendered JPGs --


def test_windowed_jpg_renders(roots, studies):
    """RGB through the bone map, in the folder of the class, with one slice missing a window and one of odd size."""
    root = roots["windowed_jpg"] / "renders"
    assert len({path.name for path in root.iterdir()}) == 7
    files = [path for path in root.rglob("*.jpg") if path.parent.name == "brain_window"]
    sizes = [pixels_of(path).shape for path in files]
    assert sum(size != (72, 72, 3) for size in sizes) == 2
    assert len(list(root.rglob("*.jpg"))) == 4 * (len(list(by_slice(studies))) - 1) - 3
    pixels = pixels_of(files[0]).astype(int)
    assert (pixels[..., 2] - pixels[..., 0]).max() > 20  # the bone map is bluish between black and white


def test_windowed_jpg_shares_ids_with_rsna(roots):
    """Every render is a slice of the RSNA phantom of the same seed."""
    renders = {path.stem for path in (roots["windowed_jpg"] / "renders").rglob("*.jpg")}
    dicoms = {path.stem for path in (roots["rsna"] / "stage_2_train").glob("*.dcm")}
    assert renders == dicoms - {DAMAGED}


def test_windowed_jpg_label_files(roots):
    """Seven files; Correct Label is the same on each row of a case, Majority Label is JSON; all empty spellings."""
    folder = roots["windowed_jpg"] / "HemorrhageLabels"
    tables = {path.name: pd.read_csv(path, dtype=str, keep_default_na=False) for path in folder.glob("Results_*.csv")}
    assert len(tables) == 7 and sum("Subdural" in name for name in tables) == 2
    states, empty = set(), set()
    for name, table in tables.items():
        states |= set(table["Labeling State"])
        if "Tracing" in name:
            assert list(table.columns)[:4] == ["Case ID", "Origin", "Labeling State", "ROI"]
            continue
        assert table.groupby("Case ID")["Correct Label"].nunique().le(1).all()
        empty |= set(table["Correct Label"][~table["Correct Label"].str.contains("x")])
        for text in table["Majority Label"]:
            assert text in ("", "[]") or set(json.loads(text)[0]) == {"x", "y"}
    assert {"Labeled", "Gold Standard", "Flagged", "In Progress", "Ready"} <= states
    assert {"", "[]", "[[]]", "[[], []]"} <= empty


def test_windowed_jpg_regions_are_normalized(roots):
    """All coordinates lie in 0..1."""
    text = "".join(path.read_text() for path in (roots["windowed_jpg"] / "HemorrhageLabels").glob("Results_*.csv"))
    values = [float(value) for value in re.findall(r"'[xy]': ([0-9.e-]+)", text)]
    assert values and min(values) >= 0 and max(values) <= 1


# -- read back through the readers --


@pytest.fixture(scope="module")
def tables(roots):
    """The slice tables of the four folders, the windowed JPGs joined with the patients of the DICOM headers."""
    tables = {layout: open_dataset(roots[layout]) for layout in LAYOUTS[:3]}
    return {**tables, "windowed_jpg": open_dataset(roots["windowed_jpg"], patients=tables["rsna"])}


def expected_slices(studies, layout):
    """dict slice_id -> (Hounsfield units, mask, labels) under the ids of a layout."""
    if layout in ("rsna", "windowed_jpg"):
        return {slice_id: rest for slice_id, *rest in by_slice(studies)}
    slices = {}
    for study in studies:
        if study.number == 0:  # CT-ICH has no follow-ups
            for k, (_, *rest) in enumerate(by_slice([study]), start=1):
                slices[f"{study.patient_id}_{k:03d}"] = rest
    return slices


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_come_back(layout, tables, studies):
    """Every row has the labels of its masks, and no slice is missing but those that the layout loses."""
    expected = {slice_id: labels for slice_id, (_, _, labels) in expected_slices(studies, layout).items()}
    table = tables[layout].set_index("slice_id")[list(LABELS)]
    assert table.to_dict("index") == {
        slice_id: labels for slice_id, labels in expected.items() if slice_id in table.index
    }
    # windowed_jpg: damaged, two flagged, one without the brain window, two of odd size
    assert len(expected) - len(table) == {"ct_ich_jpg": 0, "ct_ich_nifti": 0, "rsna": 1, "windowed_jpg": 6}[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_order_and_patients_come_back(layout, tables, studies):
    """Rows sorted by slice_index are the slices from the neck upward, and every scan has its patient."""
    order = {}
    for study in studies:
        if layout in ("rsna", "windowed_jpg"):
            order[study.patient_id, study.number] = list(study.slice_ids)
        elif study.number == 0:
            order[study.patient_id, 0] = [f"{study.patient_id}_{k + 1:03d}" for k in range(len(study.slice_ids))]
    read = [list(rows.sort_values("slice_index")["slice_id"]) for _, rows in tables[layout].groupby("scan_id")]
    there = set(tables[layout]["slice_id"])
    assert sorted(read) == sorted([name for name in names if name in there] for names in order.values())
    assert tables[layout]["patient_id"].nunique() == 3


@pytest.mark.parametrize(
    ("layout", "least_dice", "without_mask"), [("ct_ich_jpg", 0.99, 0), ("ct_ich_nifti", 1, 0), ("windowed_jpg", 1, 3)]
)
def test_masks_come_back(layout, least_dice, without_mask, tables, studies):
    """The masks are those that were drawn: exactly, or to within what JPEG loses; some label rows are unusable."""
    expected = expected_slices(studies, layout)
    counts, refused = np.zeros(3, int), 0
    for _, row in tables[layout].iterrows():
        truth = expected[row["slice_id"]][1]
        if row["any"] and layout == "windowed_jpg" and row["polygons_xy"] is None:
            with pytest.raises(HemokitError, match="has hemorrhage and no mask"):
                read_mask(row)
            refused += 1
            continue
        mask = read_mask(row)
        counts += (mask & truth).sum(), mask.sum(), truth.sum()
    assert 2 * counts[0] / (counts[1] + counts[2]) >= least_dice
    assert counts[2] > 0 and refused == without_mask


@pytest.mark.parametrize("layout", ["ct_ich_nifti", "rsna"])
def test_hounsfield_units_come_back(layout, tables, studies):
    """Hounsfield units are exact, but that the 12-bit quirk holds none under -1000."""
    expected = expected_slices(studies, layout)
    for _, row in tables[layout].iloc[::4].iterrows():
        read, truth = read_hounsfield(row), expected[row["slice_id"]][0]
        assert np.array_equal(read, truth) or np.array_equal(read, np.maximum(truth, -1000))


@pytest.mark.parametrize("layout", ["ct_ich_jpg", "windowed_jpg"])
def test_renders_come_back(layout, tables, studies):
    """The default picture is the window of the Hounsfield units, to within 5 of 255 on average."""
    expected = expected_slices(studies, layout)
    low, width = {"ct_ich_jpg": (-20, 120), "windowed_jpg": (0, 80)}[layout]
    for _, row in tables[layout].iloc[::9].iterrows():
        truth = np.clip((expected[row["slice_id"]][0] - low) / width, 0, 1)
        assert np.abs(read_image(row)[..., 0] - truth).mean() < 5 / 255


def test_facts_of_patients_come_back(tables, studies):
    """Age in years, sex, fractures and spacing are those of the scans."""
    for layout in ("ct_ich_jpg", "ct_ich_nifti"):
        for study in studies:
            rows = tables[layout][tables[layout]["patient_id"] == study.patient_id].sort_values("slice_index")
            scan = study.scan
            assert 0 <= scan.age_years - rows["age_years"].iloc[0] < 1
            assert rows["sex"].unique() == [scan.sex.lower()]
            assert rows["fracture"].tolist() == scan.fracture.astype(int).tolist()
            if layout == "ct_ich_nifti":
                spacing = rows[["slice_spacing_mm", "row_spacing_mm", "column_spacing_mm"]].iloc[0]
                np.testing.assert_allclose(spacing.astype(float), scan.spacing_mm, rtol=1e-6)


def test_account_adds_up(tables):
    """What is lost is counted under a reason."""
    reasons = {layout: [drop.reason for drop in account(table).drops] for layout, table in tables.items()}
    assert reasons["ct_ich_jpg"] == reasons["ct_ich_nifti"] == []
    assert any("damaged" in reason for reason in reasons["rsna"])
    assert any("flagged.txt" in reason for reason in reasons["windowed_jpg"])
