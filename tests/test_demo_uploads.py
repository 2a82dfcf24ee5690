"""Tests of hemokit.demo.uploads: each kind of file, read in memory."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from malformed import dicom, dicom_bytes, nifti

from hemokit.checks import HemokitError
from hemokit.demo.uploads import read_upload


def gray(height=8, width=9):
    return np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def zipped(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, data in files.items():
            stream.writestr(name, data)
    return target.getvalue()


def series(places=(5, 0, 10), **fields):
    """The files of a series, slice by slice in the order of `places` (mm)."""
    rng = np.random.default_rng(0)
    made = {"SOPInstanceUID": None}
    files = {}
    for number, place in enumerate(places):
        stored = np.full((7, 8), 1000 + place, np.int16)
        one = {"ImagePositionPatient": [0, 0, place], "SOPInstanceUID": f"1.2.3.{number}", "stored": stored, **fields}
        files[f"x/{number}"] = dicom_bytes(dicom(rng, **{**made, **one}))
    return files


def test_a_picture_keeps_its_grays():
    """Gray values become parts of 255; nothing is known of distances."""
    upload = read_upload("a.PNG", png(gray()))
    np.testing.assert_allclose(upload.values[0] * 255, gray(), atol=1e-4)
    assert (upload.kind, upload.spacing_mm, upload.values.shape) == ("picture", (None, None, None), (1, 8, 9))


def test_a_gray_picture_in_color_is_read_and_said():
    """Three equal channels are one, and a note says so; three different ones are refused."""
    upload = read_upload("a.png", png(np.repeat(gray()[..., None], 3, axis=-1)))
    assert "saved in color" in upload.notes[0]
    with pytest.raises(HemokitError, match="the picture has colors"):
        read_upload("a.png", png(np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)))


def test_16_bits_of_a_png_are_refused():
    """They have no scale that could be known."""
    with pytest.raises(HemokitError, match="16 bits, of an unknown scale"):
        read_upload("a.png", png(gray().astype(np.uint16) * 200))


def test_a_nifti_volume_comes_in_viewing_orientation():
    """As `read_nifti_volume` gives it: of an LAS file the slices turned by a quarter, the neck first."""
    array = np.random.default_rng(0).integers(-1000, 2000, (7, 8, 9)).astype(np.int16)
    upload = read_upload("a.nii", nifti(array))
    np.testing.assert_array_equal(upload.values, np.moveaxis(np.rot90(array), -1, 0))
    np.testing.assert_allclose(upload.spacing_mm, (5, 0.45, 0.45), rtol=1e-6)


def test_a_zipped_series_is_sorted_from_the_neck():
    """By position, not by name; the distance of slices is known where it is even."""
    upload = read_upload("a.zip", zipped(series()))
    np.testing.assert_allclose(upload.values[:, 0, 0], [-24, -19, -14])
    assert upload.spacing_mm == (5, 0.5, 0.5) and upload.notes == ()


def test_a_single_dicom_slice_has_an_area_alone():
    """The distance to a next slice is not known, and that is said."""
    upload = read_upload("whatever", series()["x/0"])
    assert upload.spacing_mm == (None, 0.5, 0.5)
    assert "not known" in upload.notes[0]


def test_uneven_gaps_and_other_files_are_said():
    """No volume where the gaps differ, with no number of the patient in the sentence; a left-out file is counted."""
    upload = read_upload("a.zip", zipped({**series((0, 5, 20)), "DICOMDIR": b"text"}))
    assert upload.spacing_mm[0] is None
    assert upload.notes[0] == "1 file in the zip left out: no DICOM slice."
    assert "No volume" in upload.notes[1] and "1.2.3" not in upload.notes[1]


def test_the_index_of_a_disc_is_no_slice():
    """A DICOMDIR beside a series is left out; what holds no image says so."""
    index = dicom_bytes(dicom(np.random.default_rng(0), **dict.fromkeys(("Rows", "Columns", "SamplesPerPixel"))))
    upload = read_upload("disc.zip", zipped({**series(), "DICOMDIR": index}))
    assert len(upload.values) == 3 and upload.notes == ("1 file in the zip left out: no DICOM slice.",)
    with pytest.raises(HemokitError, match="plan.dcm: it holds no image, but expected a CT slice"):
        read_upload("plan.dcm", index)


@pytest.mark.parametrize("axes", [[1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1], [-1, 0, 0, 0, 1, 0]])
def test_slices_that_are_not_axial_are_refused(axes):
    """Coronal, sagittal and mirrored ones, as `hemokit predict` refuses them: the model never saw such."""
    with pytest.raises(HemokitError, match="the rows run along .* but expected axial slices"):
        read_upload("a.zip", zipped(series(ImageOrientationPatient=axes)))


def test_two_series_in_a_zip_are_refused():
    """One is expected."""
    files = {**series(), **{f"y{name}": data for name, data in series(SeriesInstanceUID="1.2.3.77").items()}}
    with pytest.raises(HemokitError, match="2 series"):
        read_upload("a.zip", zipped(files))


def test_slices_of_several_sizes_are_refused_before_they_are_unpacked(monkeypatch):
    """The size of the first one alone would let any memory be filled by the others."""
    monkeypatch.setattr("hemokit.demo.uploads.read_scan", lambda source: pytest.fail("pixels were read"))
    large = series((20,), stored=np.full((70, 80), 1000, np.int16))
    with pytest.raises(HemokitError, match="slices of 2 sizes, but expected one size. Leave the localizer out"):
        read_upload("a.zip", zipped({**series(), "y": large["x/0"]}))


def test_the_directory_of_a_zip_is_counted_before_it_is_parsed():
    """1001 entries are refused by their number, whatever else is wrong with the zip; 1000 are looked at."""
    with pytest.raises(HemokitError, match="the zip holds too much"):
        read_upload("a.zip", b"PK\x03\x04" + b"PK\x01\x02" * 1001)
    with pytest.raises(HemokitError, match="unpacking the zip failed"):
        read_upload("a.zip", b"PK\x03\x04" + b"PK\x01\x02" * 1000)


def test_zips_of_nothing_damage_and_bombs_are_refused():
    """Each with its reason, and before anything large is unpacked."""
    with pytest.raises(HemokitError, match="holds no DICOM file"):
        read_upload("a.zip", zipped({"a.txt": b"text"}))
    with pytest.raises(HemokitError, match="unpacking the zip failed"):
        read_upload("a.zip", zipped(series())[:-40])
    with pytest.raises(HemokitError, match="the zip holds too much"):
        read_upload("a.zip", zipped({"a": bytes(2**27), "b": b"1"}))
    with pytest.raises(HemokitError, match="the zip holds too much"):
        read_upload("a.zip", zipped({str(number): b"" for number in range(1001)}))


@pytest.mark.parametrize("name, data", [("a.txt", b"text"), ("", b"1"), ("a.gif", b"GIF89a"), ("a.png", b"")])
def test_other_files_are_refused_with_the_kinds(name, data):
    """The sentence lists what can be read."""
    with pytest.raises(HemokitError, match="JPG, PNG, NIfTI"):
        read_upload(name, data)


def test_strips_and_endless_scans_are_refused():
    """A model sees squares: a strip would need the memory of its length squared; each slice needs time."""
    with pytest.raises(HemokitError, match="1 slices of 5,000 x 7 pixels"):
        read_upload("a.png", png(gray(7, 5000)))
    many = np.full((2, 2, 700), -1000, np.int16)
    with pytest.raises(HemokitError, match="700 slices"):
        read_upload("a.nii", nifti(many))
