"""A model on files: the geometry of the masks, volumes counted by hand, and what is refused."""

import gzip
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from export_cases import BRAIN
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import dicom, dicom_bytes
from PIL import Image

from hemokit.__main__ import main
from hemokit.apply import predict_files
from hemokit.apply.outputs import dicom_stem, free_path
from hemokit.apply.squares import from_square, to_square
from hemokit.checks import HemokitError
from hemokit.datasets.phantom import write_phantom
from hemokit.export import Card
from hemokit.slice_cache import prepare_slice

NOTICE = "education only, not a medical device"


def model(size=16, *, channels=(BRAIN,), outputs=None, threshold=0.5, **told):
    """A model that gives back the first channel of its image; with `outputs`, a classifier by the brightest pixel."""
    shape = (size, size, 1) if outputs is None else (len(outputs),)
    card = Card(
        "case", "onnx", "float32", (size, size, len(channels) or 1), shape, "", 1, threshold=threshold,
        channels=channels, outputs=outputs or ("hemorrhage",), **told,
    )  # fmt: skip

    def probabilities(images):
        return images[..., :1] if outputs is None else np.stack([images.max((1, 2, 3))] * len(outputs), 1)

    return SimpleNamespace(card=card, probabilities=probabilities)


def head(shape, bright):
    """Hounsfield units (slices, height, width): air, and 80 HU, the top of the brain window, at the `bright` places."""
    volume = np.full(shape, -1000, np.int16)
    for place in bright:
        volume[place] = 80
    return volume


def write_nifti(path, data, affine):
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def scans_of(folder):
    return pd.read_csv(folder / "scans.csv")


# ---- squares ---------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_square_and_back_keeps_shape_and_range(height, width, size):
    """Whatever the sizes: the square has its size, the way back the slice's, and no value leaves its range."""
    image = np.random.default_rng(height * 41 + width).random((height, width, 2), np.float32)
    square = to_square(image, size)
    back = from_square(square[..., 0], (height, width))
    assert square.shape == (size, size, 2) and back.shape == (height, width)
    assert back.min() >= -1e-6 and back.max() <= image.max() + 1e-5


def test_square_and_back_is_the_same_without_resizing():
    """A slice whose longer side is the model's size comes back bit by bit."""
    image = np.random.default_rng(0).random((7, 9, 1), np.float32)
    assert np.array_equal(from_square(to_square(image, 9)[..., 0], (7, 9)), image[..., 0])


def test_square_is_that_of_the_training(tmp_path):
    """The model is shown what it was trained on: `slice_cache.prepare_slice`, to its rounding."""
    pixels = np.random.default_rng(1).integers(0, 256, (9, 7)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), pixels)
    import hemokit.slice_cache as cache

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "read_image", lambda row, windows: pixels[..., None] / np.float32(255))
        stored = prepare_slice({}, image_size=16)[0]
    assert np.allclose(to_square(pixels[..., None] / np.float32(255), 16), stored / 65535, atol=1e-5)


# ---- pictures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending, channels", [(".png", 1), (".jpg", 1), (".png", 3)])
def test_picture(tmp_path, ending, channels):
    """A mask of the picture's own size, odd as it is; read as a render; no volume."""
    pixels = np.zeros((7, 9), np.uint8)
    pixels[:, 4:] = 255
    stored = pixels if channels == 1 else np.stack([pixels] * 3, axis=-1)
    Image.fromarray(stored).save(tmp_path / f"a{ending}", quality=100)
    result = predict_files(model(27), tmp_path / f"a{ending}", tmp_path / "out")
    with Image.open(tmp_path / "out" / "masks" / "a_mask.png") as mask:
        assert np.array_equal(np.asarray(mask), pixels) and NOTICE in mask.text["Description"]
    row = scans_of(tmp_path / "out").iloc[0]
    assert row["volume_ml"] == "unknown" and row["resized"] == "7 x 9 to 27 x 27 and back"
    assert "render of the model's window, brain (level 40 HU, width 80 HU): 8 bits, not windowed again" in row["read"]
    assert result.slices.iloc[0]["mask_pixels"] == 35 and result.slices.iloc[0]["mask_area_mm2"] == "unknown"
    assert "saved in color" in str(row["notes"]) or channels == 1


def test_pictures_that_are_refused(tmp_path):
    """Colors, 16 bits, and a picture for a model of two windows: one sentence, and nothing is left."""
    Image.fromarray(np.full((8, 9, 3), (9, 9, 90), np.uint8)).save(tmp_path / "color.png")
    Image.fromarray(np.zeros((8, 9), np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "gray.png")
    two = model(channels=(BRAIN, {**BRAIN, "name": "bone", "level": 600.0}))
    for name, one, sentence in (
        ("color.png", model(), "color.png: the picture has colors, but expected a gray CT slice"),
        ("deep.png", model(), "deep.png: the picture has 16 bits"),
        ("gray.png", two, "gray.png: a picture shows one window, and the model sees 2 channels"),
    ):
        with pytest.raises(HemokitError, match=sentence):
            predict_files(one, tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


# ---- NIfTI -----------------------------------------------------------------------------------------------


def oblique(degrees=11.0, spacing=(0.5, 0.7, 5.0), signs=(-1, 1, 1)):
    """An affine turned about the patient's left-right axis, as a scan with a tilted head has it."""
    angle = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(np.array(spacing) * signs)
    affine[:3, 3] = (12.5, -80.25, 33.0)
    return affine


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_on_its_own_grid(tmp_path, signs, ending):
    """Three voxels of one place: the mask has them in the file's own axes, with the same affine, bit by bit."""
    volume = head((9, 7, 8), [(slice(2, 5), 3, 6)])
    path = write_nifti(tmp_path / f"scan{ending}", volume, oblique(signs=signs))
    predict_files(model(9), path, tmp_path / "out")
    mask = nib.load(tmp_path / "out" / "masks" / f"scan_mask{ending}")
    source = nib.load(path)
    assert mask.shape == source.shape and np.array_equal(mask.affine, source.affine)
    assert all(np.array_equal(mask.header[name], source.header[name]) for name in ("pixdim", "qform_code", "srow_x"))
    assert np.array_equal(np.asarray(mask.dataobj), volume == 80)
    assert NOTICE in mask.header["descrip"].item().decode()


def test_volume_by_hand(tmp_path):
    """Twelve voxels of 0.5 x 0.5 x 5 mm are 15 cubic millimeters: 0.015 mL; each slice has its area."""
    volume = head((8, 8, 7), [(slice(1, 4), slice(2, 4), slice(3, 5))])
    path = write_nifti(tmp_path / "scan.nii", volume, np.diag([-0.5, 0.5, 5, 1]))
    result = predict_files(model(8), path, tmp_path / "out")
    assert result.scans.iloc[0]["volume_ml"] == pytest.approx(0.015)
    assert result.slices["mask_area_mm2"].tolist() == [0, 0, 0, 1.5, 1.5, 0, 0]
    assert result.slices["slice_index"].tolist() == list(range(7)) and result.scans.iloc[0]["resized"] == "no"
    assert result.slices["hemorrhage"].sum() == result.scans.iloc[0]["slices_with_hemorrhage"] == 2


def test_header_text_does_not_travel(tmp_path):
    """A name in the description of the input is not in the mask."""
    image = nib.Nifti1Image(head((8, 8, 7), [(4, 4, 4)]), np.diag([-1, 1, 5, 1]))
    image.header["descrip"] = b"Doe^Jane"
    nib.save(image, tmp_path / "scan.nii.gz")
    predict_files(model(8), tmp_path / "scan.nii.gz", tmp_path / "out")
    assert b"Doe" not in gzip.decompress((tmp_path / "out" / "masks" / "scan_mask.nii.gz").read_bytes())


def test_hounsfield_needs_windows(tmp_path):
    """A model whose card names no windows, or one that is not known, is not shown Hounsfield units."""
    path = write_nifti(tmp_path / "scan.nii", head((8, 8, 7), [(4, 4, 4)]), np.diag([-1, 1, 5, 1]))
    for channels in ((), ({**BRAIN, "level": None, "width": None},)):
        with pytest.raises(HemokitError, match="so Hounsfield units cannot be shown to it"):
            predict_files(model(8, channels=channels), path, tmp_path / "out")


def test_windows_are_those_of_the_card(tmp_path):
    """80 HU is white in the brain window and gray in a wider one: 2/3 at level 40, width 120."""
    path = write_nifti(tmp_path / "scan.nii", head((8, 8, 7), [(4, 4, 4)]), np.diag([-1, 1, 5, 1]))
    for width, top in ((80, 1.0), (120, 5 / 6)):
        result = predict_files(model(8, channels=({**BRAIN, "width": width},)), path, tmp_path / f"out{width}")
        assert result.slices["top_probability"].max() == pytest.approx(top, abs=1e-6)


# ---- DICOM -----------------------------------------------------------------------------------------------


def write_series(folder, gaps=(0, 5, 10), *, uid="1.2.3", **fields):
    """Three slices of 16 x 16; four pixels at 80 HU in the one in the middle; file names against the order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, place in enumerate(gaps):
        stored = np.full((16, 16), 24, np.int16)
        if number == 1:
            stored[3:5, 6:8] = 1104
        told = {
            "SOPInstanceUID": f"{uid}.{number + 1}", "SeriesInstanceUID": uid, "StudyInstanceUID": "1.2",
            "ImagePositionPatient": [0, 0, float(place)], "PixelSpacing": [0.5, 0.5], **fields,
        }  # fmt: skip
        made = dicom(np.random.default_rng(0), stored=stored, **told)
        (folder / f"{9 - number}.dcm").write_bytes(made if isinstance(made, bytes) else dicom_bytes(made))
    return folder


def test_series_volume_by_hand(tmp_path):
    """Four pixels of 0.5 x 0.5 mm, slices 5 mm apart: 0.005 mL; slices in the order of their places."""
    result = predict_files(model(16), write_series(tmp_path / "in" / "scan"), tmp_path / "out")
    row = result.scans.iloc[0]
    assert row["scan"] == "scan" and row["volume_ml"] == pytest.approx(0.005)
    assert result.slices["file"].tolist() == ["9.dcm", "8.dcm", "7.dcm"]
    assert result.slices["mask_pixels"].tolist() == [0, 4, 0]
    assert cv2.imread(str(tmp_path / "out/masks/scan/8_mask.png"), 0).astype(bool).sum() == 4


def test_series_with_a_gap(tmp_path):
    """Where a slice is missing the volume is unknown, and the table says why; two series are two scans."""
    write_series(tmp_path / "in", (0, 5, 15))
    result = predict_files(model(16), tmp_path / "in", tmp_path / "out")
    row = result.scans.iloc[0]
    assert row["volume_ml"] == "unknown" and "the gaps between slices go from 5.00 to 10.00 mm" in row["notes"]
    write_series(tmp_path / "in" / "other", uid="1.2.4")
    assert len(predict_files(model(16), tmp_path / "in", tmp_path / "two").scans) == 2


def test_a_slice_twice_is_refused(tmp_path):
    """A copy would count its volume again; both files are named."""
    folder = write_series(tmp_path / "in", (0, 5))
    (folder / "copy.dcm").write_bytes((folder / "9.dcm").read_bytes())
    with pytest.raises(
        HemokitError, match=r"copy\.dcm: it is the same slice as 9\.dcm .*Leave one of the two"
    ) as error:
        predict_files(model(16), folder, tmp_path / "out")
    assert "1.2.3" not in str(error.value)


@pytest.mark.parametrize("turn, axial", [(25, True), (35, False)])
def test_turned_slices(tmp_path, turn, axial):
    """A head tilted by 25 degrees is read, one by 35 is not, whichever axis is turned."""
    cos, sin = float(np.cos(np.radians(turn))), float(np.sin(np.radians(turn)))
    for number, axes in enumerate(([1, 0, 0, 0, cos, -sin], [cos, sin, 0, -sin, cos, 0], [cos, 0, sin, 0, 1, 0])):
        path = write_series(tmp_path / str(number), ImageOrientationPatient=axes)
        if axial:
            assert len(predict_files(model(16), path, tmp_path / f"out{number}").slices) == 3
            continue
        with pytest.raises(HemokitError, match="the rows run along .* but expected axial slices"):
            predict_files(model(16), path, tmp_path / f"out{number}")


def test_slices_that_are_not_axial(tmp_path):
    """Rows from the front, from below, to the right: a flipped or coronal picture is nothing that a model learned."""
    for number, axes in enumerate(([1, 0, 0, 0, -1, 0], [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 1, 0])):
        path = write_series(tmp_path / str(number), ImageOrientationPatient=axes)
        with pytest.raises(HemokitError, match="rows to the patient's left and columns to the back"):
            predict_files(model(16), path, tmp_path / "out")


def test_pixels_of_two_sizes(tmp_path):
    """A series of two pixel sizes has masks, but neither areas nor a volume."""
    folder = write_series(tmp_path / "in", (0, 5))
    write_series(tmp_path / "other", (10,), PixelSpacing=[0.25, 0.5], SOPInstanceUID="1.2.3.9")
    (tmp_path / "other" / "9.dcm").rename(folder / "1.dcm")
    result = predict_files(model(16), folder, tmp_path / "out")
    assert set(result.slices["mask_area_mm2"]) == {"unknown"} and result.slices["mask_pixels"].sum() == 4
    row = result.scans.iloc[0]
    assert row["volume_ml"] == "unknown" and row["spacing_mm"] == "unknown: the size of a pixel is not one number"
    assert "spacing_mm is" in row["notes"]


def test_bare_uids_keep_their_last_number(tmp_path):
    """Files named 1.2.9, 1.2.8, 1.2.7 without an ending have masks of these names."""
    folder = write_series(tmp_path / "in")
    for path in list(folder.iterdir()):
        path.rename(folder / f"1.2.{path.stem}")
    predict_files(model(16), folder, tmp_path / "out")
    written = sorted(one.name for one in (tmp_path / "out" / "masks").rglob("*.png"))
    assert written == ["1.2.7_mask.png", "1.2.8_mask.png", "1.2.9_mask.png"]
    assert [dicom_stem(one) for one in ("1.2.3", "a.DCM", "b.ima", "c.dicom", "d")] == ["1.2.3", "a", "b", "c", "d"]


def test_scan_is_named_by_its_folder(tmp_path, monkeypatch):
    """The folder given as .. has a name of its own."""
    (write_series(tmp_path / "scan") / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "scan" / "deep")
    assert predict_files(model(16), "..", tmp_path / "out").scans["scan"].tolist() == ["scan"]


def test_every_file_of_a_refused_series_is_told(tmp_path):
    """Three files of a coronal series beside a picture: three rows in refused.csv, one sentence in README.txt."""
    write_series(tmp_path / "in" / "coronal", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "in" / "a.png")
    predict_files(model(16), tmp_path / "in", tmp_path / "out")
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert refused["file"].tolist() == ["coronal/7.dcm", "coronal/8.dcm", "coronal/9.dcm"]
    said = (tmp_path / "out" / "README.txt").read_text()
    assert "refused: 3 files" in said and said.count("Refused: ") == 1


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    """A file without the right to read it is refused, and the others are used; alone, its reason is all."""
    write_series(tmp_path / "in")
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "in" / "a.png")

    def forbidden(file, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hemokit.apply.inputs.open", forbidden, raising=False)
    result = predict_files(model(16), tmp_path / "in", tmp_path / "out")
    assert len(result.scans) == 1 and [one.file for one in result.refused] == ["7.dcm", "8.dcm", "9.dcm"]
    with pytest.raises(HemokitError, match=r"^\S+7\.dcm: opening the file failed [^.]*Permission denied") as error:
        predict_files(model(16), tmp_path / "in" / "7.dcm", tmp_path / "two")
    assert str(error.value).count("but expected") == 1


def test_seg_that_fails_leaves_the_masks(tmp_path, monkeypatch):
    """Where the SEG cannot be written, the PNGs stay, and the table says why."""

    def fails(masks, files, gap_mm):
        raise HemokitError("writing a DICOM SEG failed")

    monkeypatch.setattr("hemokit.apply.seg.is_installed", lambda: True)
    monkeypatch.setattr("hemokit.apply.seg.segmentation", fails)
    row = predict_files(model(16), write_series(tmp_path / "in"), tmp_path / "out").scans.iloc[0]
    assert row["masks"].count(".png") == 3 and "No DICOM SEG: writing a DICOM SEG failed" in row["notes"]


def test_seg_is_said_to_name_the_patient(tmp_path, monkeypatch):
    """Beside a SEG, which holds the name as its series does, the table says so."""
    monkeypatch.setattr("hemokit.apply.seg.is_installed", lambda: True)
    monkeypatch.setattr("hemokit.apply.seg.segmentation", lambda masks, files, gap_mm: (b"seg", ()))
    row = predict_files(model(16), write_series(tmp_path / "in"), tmp_path / "out").scans.iloc[0]
    assert "in_seg.dcm" in row["masks"] and "The DICOM SEG names the patient, as its series does." in row["notes"]


def test_dicom_seg(tmp_path):
    """The segmentation has a frame for each slice, in its place, with the pixels of the mask, and says what it is."""
    seg = pytest.importorskip("highdicom.seg", reason="the extra seg is not installed")
    from hemokit.apply.inputs import find_sources, read_scan
    from hemokit.apply.seg import segmentation
    from hemokit.formats.dicom_files import read_dicom_header

    scan = read_scan(find_sources(write_series(tmp_path / "in"))[0][0])
    masks = scan.values > 60
    data, notes = segmentation(masks, scan.files, scan.spacing_mm[0])
    (tmp_path / "seg.dcm").write_bytes(data)
    read = seg.segread(tmp_path / "seg.dcm")
    order = [read_dicom_header(file).instance_uid for file in scan.files]
    assert [uid for _, _, uid in read.get_source_image_uids()] == order and NOTICE in read.SeriesDescription
    assert np.array_equal(read.get_pixels_by_source_instance(order, segment_numbers=[1])[..., 0], masks)
    assert len(notes) == 2 and "slice thickness" in notes[0] and "frame of reference" in notes[1]
    assert segmentation(masks, scan.files, None)[0] is None


def test_without_highdicom(tmp_path, monkeypatch):
    """Where highdicom is missing, there are PNGs, and the table says how to get a SEG."""
    monkeypatch.setattr("hemokit.apply.seg.is_installed", lambda: False)
    result = predict_files(model(16), write_series(tmp_path / "in"), tmp_path / "out")
    assert "hemokit[seg]" in result.scans.iloc[0]["notes"] and not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.slow
def test_series_of_the_phantom(tmp_path):
    """A phantom's RSNA files: every file is in a scan or refused, every mask is written, and volumes are numbers."""
    root = write_phantom(tmp_path / "p", layout="rsna", num_patients=1, image_size=64, seed=0)
    result = predict_files(model(32, threshold=0.9), root / "stage_2_train", tmp_path / "out")
    files = list((root / "stage_2_train").glob("*.dcm"))
    assert len(result.slices) + len(result.refused) == len(files)
    assert all(isinstance(one, float) for one in result.scans["volume_ml"])
    assert len(list((tmp_path / "out" / "masks").rglob("*_mask.png"))) == len(result.slices)


# ---- folders, tables, refusals ---------------------------------------------------------------------------


def test_folder_counts_everything(tmp_path):
    """Good files are used, broken ones told with their reason, others counted; names that clash get numbers."""
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "deep/a.png"):
        Image.fromarray(np.full((8, 9), 200, np.uint8)).save(root / name)
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:-9])
    (root / "notes.txt").write_text("x")
    result = predict_files(model(), root, tmp_path / "out")
    assert (len(result.scans), len(result.refused), result.others) == (3, 1, 1)
    written = {one.relative_to(tmp_path / "out" / "masks").as_posix() for one in tmp_path.glob("out/masks/**/*.png")}
    assert written == {"a_mask.png", "a_mask_2.png", "deep/a_mask.png"}
    refused = pd.read_csv(tmp_path / "out" / "refused.csv")
    assert refused["file"].tolist() == ["broken.png"] and "broken.png: " in refused["reason"][0]
    for name in ("slices.csv", "scans.csv", "refused.csv"):
        assert set(pd.read_csv(tmp_path / "out" / name)["notice"]) == {NOTICE}
    assert (tmp_path / "out" / "README.txt").read_text().startswith("Education only, not a medical device.")


def test_names_of_dicom_files_count(tmp_path):
    """A .dcm that is none is refused with its name, an index of a disc is another kind of file."""
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.dcm").write_bytes(b"text")
    (tmp_path / "DICOMDIR").write_bytes(dicom_bytes(dicom(np.random.default_rng(0))))
    result = predict_files(model(), tmp_path, tmp_path / "out")
    assert [one.file for one in result.refused] == ["a.dcm"] and result.others == 1
    assert "a.dcm: " in result.refused[0].reason


def test_a_model_of_the_phantom_says_so(tmp_path):
    """In README.txt, where the masks are; other models do not."""
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(tmp_path / "a.png")
    caveat = "The model never saw a patient: on real scans it may be wrong everywhere."
    for trained_on, told in (("a synthetic phantom", True), ("real scans", False)):
        predict_files(model(trained_on=trained_on), tmp_path / "a.png", tmp_path / trained_on)
        assert (caveat in (tmp_path / trained_on / "README.txt").read_text()) == told


def test_own_results_are_no_scans(tmp_path):
    """Masks that an earlier call wrote into the folder are other files; pictures in a folder "masks" of one's own are
    pictures."""
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(tmp_path / "a.png")
    predict_files(model(), tmp_path, tmp_path / "out")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(tmp_path / "masks" / "b.png")
    result = predict_files(model(), tmp_path, tmp_path / "again")
    assert sorted(result.scans["scan"]) == ["a.png", "masks/b.png"]
    assert result.others == 4  # README.txt, two tables and a mask


def test_nothing_to_read_and_nothing_usable(tmp_path):
    """An empty folder, a text file, a folder of broken files: one sentence, no output."""
    (tmp_path / "in").mkdir()
    with pytest.raises(HemokitError, match="no such file among 0, but expected a JPG, PNG, NIfTI"):
        predict_files(model(), tmp_path / "in", tmp_path / "out")
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    with pytest.raises(HemokitError, match=r"none of 2 scans could be used; the first: .*a\.png: the content is no"):
        predict_files(model(), tmp_path / "in", tmp_path / "out")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in"]


def test_out_is_not_overwritten(tmp_path):
    """A folder that is there stays as it is."""
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(HemokitError, match="is there already, but expected a folder to make"):
        predict_files(model(), tmp_path / "a.png", tmp_path)


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan"), "0.5"])
def test_thresholds_that_are_refused(tmp_path, threshold):
    """A percentage, a negative number, text: no probability reaches them, or all do."""
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(HemokitError, match="threshold is .*, but expected a number from 0 to 1"):
        predict_files(model(), tmp_path / "a.png", tmp_path / "out", threshold=threshold)


def test_killed_in_between_leaves_nothing(tmp_path):
    """An exception while it computes leaves neither a folder nor a part of one."""
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    broken = model()
    broken.probabilities = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError, match="division"):
        predict_files(broken, tmp_path / "a.png", tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_models_that_are_refused(tmp_path):
    """No threshold, several masks: said before anything is read."""
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    several = model()
    several.card = several.card._replace(output_shape=(16, 16, 3))
    for one, sentence in ((model(threshold=None), "names no threshold"), (several, "a model of 3 masks")):
        with pytest.raises(HemokitError, match=sentence):
            predict_files(one, tmp_path / "a.png", tmp_path / "out")


def test_classifier_gives_scores_and_no_masks(tmp_path):
    """A probability for each label and slice; no mask, no volume."""
    Image.fromarray(np.full((8, 9), 51, np.uint8)).save(tmp_path / "a.png")
    result = predict_files(model(outputs=("any", "subdural")), tmp_path / "a.png", tmp_path / "out")
    assert result.slices.iloc[0]["probability_subdural"] == pytest.approx(0.2)
    assert "volume_ml" not in result.scans and not (tmp_path / "out" / "masks").exists()


def test_slice_threshold_calls_slices(tmp_path):
    """Where the card has a threshold of slices, it decides; a slice can be called although its mask is empty."""
    Image.fromarray(np.full((8, 9), 102, np.uint8)).save(tmp_path / "a.png")
    row = predict_files(model(slice_threshold=0.3), tmp_path / "a.png", tmp_path / "out").slices.iloc[0]
    assert row["hemorrhage"] == 1 and row["mask_pixels"] == 0


def test_one_pixel_is_no_slice(tmp_path):
    """The threshold of slices is one of the mean of the highest 1 %, here two pixels, in the model's own map."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[3, 4] = 204
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for slice_threshold, called in ((0.5, 0), (0.3, 1)):
        made = model(slice_threshold=slice_threshold)
        row = predict_files(made, tmp_path / "a.png", tmp_path / f"out{called}").slices.iloc[0]
        assert row["hemorrhage"] == called and row["mask_pixels"] == 1
        assert (row["top_probability"], row["max_probability"]) == pytest.approx((0.4, 0.8))


def test_thresholds_are_told(tmp_path):
    """Where a threshold comes from stands in README.txt; one of pixels is refused where there is no mask."""
    Image.fromarray(np.full((8, 9), 102, np.uint8)).save(tmp_path / "a.png")
    made = model(slice_threshold=0.3, chosen_on="nine slices")
    for threshold, told in (
        (None, r"from 0\.\d+ on \(chosen on nine slices\)"),
        (0.9, r"from 0\.9 on \(given by the user\)"),
    ):
        out = tmp_path / f"out{threshold}"
        predict_files(made, tmp_path / "a.png", out, threshold=threshold)
        assert re.search(f"{told}.*is at least 0\\.3 \\(chosen on nine", (out / "README.txt").read_text())
    with pytest.raises(HemokitError, match="a threshold of pixels for a model of 2 labels"):
        predict_files(model(outputs=("any", "subdural")), tmp_path / "a.png", tmp_path / "no", threshold=0.5)


def test_free_path_on_disks_without_capitals(tmp_path):
    """A_mask.png and a_mask.png are one name on some disks: the second gets a number."""
    (tmp_path / "A_mask.png").touch()
    assert free_path(tmp_path, "a_mask", ".png").name == "a_mask_2.png"


def test_command_line_on_folders(tmp_path, capsys):
    """An exported file on a CT-ICH patient's folder of JPGs, whose masks are no slices, and on a DICOM series."""
    pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")
    pytest.importorskip("onnx", reason="the extra deploy is not installed")
    from export_cases import write_onnx

    path, patient = write_onnx(tmp_path / "m.onnx", (16, 16, 1)), tmp_path / "049" / "brain"
    patient.mkdir(parents=True)
    for name in ("13.jpg", "14.jpg", "14_HGE_Seg.jpg"):
        Image.fromarray(np.full((9, 8), 200, np.uint8)).save(patient / name)
    assert main(["predict", str(path), "--data", str(patient), "--out", str(tmp_path / "jpgs")]) == 0
    said = capsys.readouterr().out
    assert "Used: 2 scans with 2 slices; refused: 0 files; other kinds of file, not looked at: 1." in said
    assert sorted(one.name for one in (tmp_path / "jpgs" / "masks").iterdir()) == ["13_mask.png", "14_mask.png"]
    series = write_series(tmp_path / "series")
    assert main(["predict", str(path), "--data", str(series), "--out", str(tmp_path / "dicom")]) == 0
    assert "series: 0.01 mL, hemorrhage on 1 of 3 slices" in capsys.readouterr().out


@pytest.mark.slow
def test_command_line(tmp_path, capsys):
    """An exported file on one picture: volume unknown, notice, exit code 0; on a folder with a broken file, 1."""
    pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")
    pytest.importorskip("onnx", reason="the extra deploy is not installed")
    from export_cases import write_onnx

    path = write_onnx(tmp_path / "m.onnx", (16, 16, 1))
    root = Path(tmp_path / "in")
    root.mkdir()
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(root / "a.png")
    assert main(["predict", str(path), "--data", str(root / "a.png"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Education only, not a medical device.") and "a.png: volume unknown" in said
    (root / "b.png").write_bytes(b"no picture")
    assert main(["predict", str(path), "--data", str(root), "--out", str(tmp_path / "two")]) == 1
    assert "Refused: " in capsys.readouterr().out
    for arguments, sentence in (
        ([str(tmp_path / "none"), "--data", str(root)], "there is no such file or folder"),
        ([str(path), "--data", str(root), "--threshold", "2"], "expected a number from 0 to 1"),
        ([str(path), "--data", str(root), "--batch-size", "4"], "files are read scan by scan"),
        ([str(path), "--data", str(tmp_path / "none")], "expected"),
    ):
        assert main(["predict", *arguments, "--out", str(tmp_path / "three")]) == 2
        assert sentence in capsys.readouterr().err and not (tmp_path / "three").exists()
