"""Tests of what the demo computes: squares, answers, heat maps, results, and which model it opens."""

import csv
import io
import zipfile

import cv2
import nibabel
import numpy as np
import pytest
from demo_cases import SIZE, brightness, formula, unpacked
from hypothesis import given
from hypothesis import strategies as st
from malformed import AFFINE, nifti

from hemokit.apply.inputs import Scan
from hemokit.apply.squares import from_square, to_square
from hemokit.checks import HemokitError
from hemokit.demo.answers import answer, packed
from hemokit.demo.examples import EXAMPLES, read_example
from hemokit.demo.heat import heat_map, occlusions
from hemokit.demo.models import of_exported, open_model
from hemokit.demo.results import write_result
from hemokit.demo.steps import in_steps
from hemokit.demo.uploads import read_upload
from hemokit.windows import BONE, BRAIN, BRAIN_WIDE


def picture(height=40, width=50, seed=0):
    pixels = np.random.default_rng(seed).random((1, height, width)).astype(np.float32)
    return Scan("picture", pixels, (None, None, None), ())


def volume():
    array = np.random.default_rng(0).integers(-100, 200, (7, 8, 9)).astype(np.int16)
    return read_upload("a.nii", nifti(array)), array


@given(st.floats(0, 1, width=32))
def test_a_step_is_reached_just_where_the_probability_is(value):
    """step >= k if, and only if, probability >= k/1000 in float32: for every threshold that the page can choose."""
    step = int(in_steps(np.array([value], np.float32))[0])
    reached = np.float32(value) >= np.arange(1, 1001, dtype=np.float32) / np.float32(1000)
    assert step == reached.sum()


def test_an_answer_holds_what_the_model_says():
    """Maps are the model's, brought back to the slice; the highest probability stands beside them."""
    upload = picture()
    found = answer(formula(), upload)
    square = to_square(upload.values[0][..., None], SIZE)
    wanted = from_square(brightness(square[None])[0, ..., 0], (40, 50))
    np.testing.assert_array_equal(found.maps[0], in_steps(wanted))
    assert found.outputs[0, 0] == pytest.approx(wanted.max())
    assert "does not say its window" in found.notes[0]


def test_an_answer_is_unpacked_as_it_was():
    """What the page reads from the bytes is what was found."""
    upload, _ = volume()
    found = answer(formula(), upload)
    told, pictures, maps = unpacked(b"".join(packed(found, formula())))
    np.testing.assert_array_equal(pictures, found.pictures)
    np.testing.assert_array_equal(maps, found.maps)
    assert told["slices"] == 9 and told["notice"] == "education only, not a medical device"
    np.testing.assert_allclose(told["spacing_mm"], (5, 0.45, 0.45), rtol=1e-6)


def test_a_model_without_masks_gives_its_outputs():
    """One number a label and slice, no map."""
    model = formula(probabilities=lambda images: images.mean(axis=(1, 2)), labels=("any",), makes_masks=False)
    found = answer(model, volume()[0])
    assert found.maps is None and found.outputs.shape == (9, 1)
    assert unpacked(b"".join(packed(found, model)))[2] is None


def test_windows_that_cannot_be_shown_are_refused():
    """A picture for a model of two windows; Hounsfield units for one whose window nobody knows."""
    with pytest.raises(HemokitError, match="the model sees 2 channels"):
        answer(formula(windows=(BRAIN, BONE)), picture())
    with pytest.raises(HemokitError, match="Hounsfield units cannot be shown to it"):
        answer(formula(windows=(None,)), volume()[0])


def test_hounsfield_units_go_through_every_window():
    """Two windows are two channels, in their order."""
    seen = []
    model = formula(windows=(BRAIN, BRAIN_WIDE), probabilities=lambda images: seen.append(images) or brightness(images))
    answer(model, volume()[0])
    assert seen[0].shape == (8, SIZE, SIZE, 2) and seen[1].shape == (1, SIZE, SIZE, 2)


def test_occlusion_finds_what_the_model_looks_at():
    """A model that sees one bright spot alone: the map is highest there, and zero far from it."""
    image = np.full((SIZE, SIZE, 1), 0.2, np.float32)
    image[20:24, 8:12] = 1
    heat = occlusions(formula(threshold=0.5), image)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.max() == 1 and 16 <= row < 28 and 4 <= column < 16
    assert heat[:8, 20:].max() == 0


def test_where_nothing_is_found_there_is_no_map():
    """Neither for a dark slice nor for a model that says the same of all; Grad-CAM is used where it is given."""
    assert not occlusions(formula(), np.full((SIZE, SIZE, 1), 0.2, np.float32)).any()
    same = formula(probabilities=lambda images: np.full((len(images), SIZE, SIZE, 1), 0.9, np.float32))
    assert not heat_map(same, picture(), 0).any()
    nothing = formula(probabilities=lambda images: np.zeros((len(images), 1), np.float32), makes_masks=False)
    assert not heat_map(nothing, picture(), 0).any()  # of a score of 0 nothing can be lost
    ours = formula(gradcam=lambda image: np.ones((SIZE, SIZE), np.float32))
    assert (heat_map(ours, picture(), 0) == 1000).all()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_the_mask_of_a_nifti_file_lies_on_its_grid(tmp_path):
    """Same shape and affine; read as the file itself is read it is the mask that the page shows."""
    upload, array = volume()
    found = answer(formula(), upload)
    files = unzipped(write_result(found, upload, formula(), threshold=300))
    (tmp_path / "mask.nii.gz").write_bytes(files["mask.nii.gz"])
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    assert mask.shape == array.shape and b"not a medical device" in bytes(mask.header["descrip"])
    np.testing.assert_allclose(mask.affine, AFFINE, atol=1e-5)
    shown = np.moveaxis(np.rot90(np.asarray(mask.dataobj)), -1, 0) > 0
    np.testing.assert_array_equal(shown, found.maps >= 300)
    rows = list(csv.DictReader(io.StringIO(files["slices.csv"].decode())))
    assert [int(row["mask_pixels"]) for row in rows] == shown.sum(axis=(1, 2)).tolist()
    assert f"{shown.sum() * 5 * 0.45**2 / 1000:.2f} mL" in files["README.txt"].decode()


def test_the_mask_of_a_picture_is_a_png_and_its_volume_unknown():
    """0 and 255; every file says what it is not for."""
    upload = picture()
    found = answer(formula(), upload)
    files = unzipped(write_result(found, upload, formula(), threshold=500))
    mask = cv2.imdecode(np.frombuffer(files["mask.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, (found.maps[0] >= 500) * np.uint8(255))
    assert all(b"not a medical device" in data for data in files.values())
    assert "unknown" in files["README.txt"].decode() and ",unknown," in files["slices.csv"].decode()
    with pytest.raises(HemokitError, match="thousandths from 1 to 1000"):
        write_result(found, upload, formula(), threshold=0)


def test_examples_are_synthetic_scans():
    """Each has its bleed where it is first shown, and says that it is a phantom."""
    upload, first = read_example("epidural")
    assert 0 <= first < len(upload.values) and None not in upload.spacing_mm
    assert "phantom" in upload.notes[0] and len(EXAMPLES) == 4
    with pytest.raises(HemokitError, match="example is 'none of these'"):
        read_example("none of these")


class Fake:
    """Stands for an exported model with the card that a test wants."""

    def __init__(self, **changes):
        from hemokit.export import Card

        channel = {"name": "brain_wide", "dataset": "rsna", "level": 40, "width": 120}
        told = {
            "channels": (channel,),
            "threshold": 0.25,
            "trained_on": "phantom",
            "chosen_on": "validation",
            **changes,
        }
        self.card = Card("Unet", "onnx", "float32", *told.pop("shapes", ((32, 32, 1),) * 2), "0" * 64, 7, **told)
        self.probabilities = brightness


def test_a_card_becomes_what_the_page_says():
    """Window, threshold, and that a phantom is no patient."""
    model = of_exported(Fake(), "a.onnx")
    assert model.windows == (BRAIN_WIDE,) and model.threshold == 0.25 and model.makes_masks
    assert any("never saw a patient" in one for one in model.about)
    assert model.caveats == ("The model never saw a patient: on real scans it may be wrong everywhere.",)
    assert of_exported(Fake(trained_on="real scans", data="a synthetic phantom"), "a.onnx").caveats == ()
    unknown = of_exported(Fake(channels=(), threshold=None), "a.onnx")
    assert unknown.windows == (None,) and "0.5 stands in" in " ".join(unknown.about)


def test_models_that_the_page_cannot_show_are_refused():
    """Several masks, an image that is no square, a Keras model."""
    with pytest.raises(HemokitError, match="a.keras: a Keras model, but expected an .onnx or .tflite file"):
        open_model("a.keras")
    with pytest.raises(HemokitError, match="a.onnx: there is no such file or folder"):
        open_model("a.onnx")
    with pytest.raises(HemokitError, match="one mask"):
        of_exported(Fake(shapes=((32, 32, 1), (32, 32, 5)), outputs=tuple("abcde")), "a.onnx")
    with pytest.raises(HemokitError, match="a square"):
        of_exported(Fake(shapes=((32, 16, 1), (32, 16, 1))), "a.onnx")


@pytest.mark.slow
def test_a_run_s_folder_gives_gradcam(tmp_path, monkeypatch):
    """The exported file answers, the Keras model draws the maps; it is loaded when the first one is asked for."""
    pytest.importorskip("keras")
    from hemokit.demo.models import GRADCAM
    from hemokit.models.unet import unet
    from hemokit.runs import exporting, prediction

    loaded = []
    monkeypatch.setattr("hemokit.demo.models.load_exported", lambda path, num_threads: Fake())
    monkeypatch.setattr(exporting, "export_run", lambda folder, format: tmp_path / "run.onnx")
    monkeypatch.setattr(
        prediction, "load_run", lambda folder: loaded.append(folder) or unet((32, 32, 1), filters=(4, 8))
    )
    model = open_model(tmp_path)
    assert model.heat_words == GRADCAM and loaded == []
    heat = heat_map(model, picture(), 0)
    assert heat.shape == (40, 50) and heat.max() <= 1000
    heat_map(model, picture(seed=1), 0)
    assert loaded == [tmp_path]
