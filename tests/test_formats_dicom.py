"""Tests of hemokit.formats.dicom_files and dicom_stack. Damage of all kinds stands in test_malformed_files.py."""

import math
import threading

import numpy as np
import pydicom
import pytest
from malformed import dicom, dicom_bytes, write
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from hemokit.checks import HemokitError
from hemokit.formats.dicom_files import read_dicom, read_dicom_header
from hemokit.formats.dicom_stack import stack_spacing_mm

RNG = np.random.default_rng(0)
STORED = RNG.integers(-2000, 3000, (7, 8)).astype(np.int16)
TWELVE = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}


def made(folder, name="file", **fields):
    """The path of a slice with the given fields."""
    return write(folder, "dcm", dicom_bytes(dicom(np.random.default_rng(0), **fields)), name)


def test_values_and_facts(tmp_path):
    """Stored values become Hounsfield units; the facts for sorting come along, the name does not."""
    fields = {"SliceThickness": "5", "PixelPaddingValue": -2000, "PixelSpacing": [0.5, 0.4]}
    one = read_dicom(made(tmp_path, stored=STORED, **fields))
    assert one.hounsfield.dtype == np.float32
    np.testing.assert_array_equal(one.hounsfield, STORED.astype(int) - 1024)
    assert (one.patient_id, one.study_uid, one.series_uid, one.instance_uid) == (
        "ID_0a1b2c3d",
        "1.2.3",
        "1.2.3.9",
        "1.2.3.4",
    )
    assert (one.position_mm, one.orientation) == ((-125, -125, 40), (1, 0, 0, 0, 1, 0))
    assert (one.spacing_mm, one.thickness_mm, one.shape) == ((0.5, 0.4), 5, (7, 8))
    assert (one.slope, one.intercept, one.padding_hounsfield) == (1, -1024, -3024)
    assert (one.repaired, one.constant) == (False, False)
    assert "Roe" not in repr(one)


def test_the_header_alone_gives_the_same_facts(tmp_path):
    """Without the pixels all but `hounsfield` and `constant` is the same."""
    path = made(tmp_path, stored=STORED, SliceThickness="5", PixelPaddingValue=-2000)
    assert read_dicom_header(path) == read_dicom(path)._replace(hounsfield=None, constant=None)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_uncompressed_transfer_syntaxes(tmp_path, syntax):
    """Implicit, explicit and big-endian files hold the same values."""
    stored = STORED.astype(">i2") if syntax.endswith(".2.2") else STORED
    one = read_dicom(made(tmp_path, syntax=syntax, stored=STORED, PixelData=stored.tobytes()))
    np.testing.assert_array_equal(one.hounsfield, STORED.astype(int) - 1024)


def test_rle(tmp_path):
    """RLE is unpacked, and equals the uncompressed file."""
    dataset = dicom(np.random.default_rng(0), stored=STORED)
    packed = RLELosslessEncoder.encode(
        STORED.tobytes(),
        rows=7,
        columns=8,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=1,
        number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
    )
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    dataset.PixelData = encapsulate([packed])
    dataset["PixelData"].is_undefined_length = True
    path = write(tmp_path, "dcm", dicom_bytes(dataset))
    np.testing.assert_array_equal(read_dicom(path).hounsfield, STORED.astype(int) - 1024)
    assert read_dicom_header(path).shape == (7, 8)


# Promise I5: sixteen kinds of odd metadata; each is refused with its name, or follows a stated rule.
ODD = {
    "no slope": ({"RescaleSlope": None}, "column 'RescaleSlope': RescaleSlope is missing"),
    "no intercept": ({"RescaleIntercept": None}, "column 'RescaleIntercept': RescaleIntercept is missing"),
    "slope 0": ({"RescaleSlope": "0"}, "RescaleSlope 0 and"),
    "negative slope": ({"RescaleSlope": "-1"}, "RescaleSlope -1 and"),
    "slope 100": ({"RescaleSlope": "100"}, "RescaleSlope 100 and"),
    "tiny slope": ({"RescaleSlope": "0.001"}, "turn 16-bit values into -1056.77 to -991.233"),
    "slope NaN": ({"RescaleSlope": "NaN"}, r"RescaleSlope is \(nan,\)"),
    "two intercepts": ({"RescaleIntercept": ["-1024", "0"]}, "RescaleIntercept is .*, but expected 1 finite"),
    "unsigned, intercept 0": (
        {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0, "RescaleIntercept": "0"},
        "turn 16-bit values into 0 to 65535",
    ),
    "MONOCHROME1": ({"PhotometricInterpretation": "MONOCHROME1"}, "PhotometricInterpretation is 'MONOCHROME1'"),
    "Modality MR": ({"Modality": "MR"}, "Modality is 'MR', but expected 'CT'"),
    "RescaleType US": ({"RescaleType": "US"}, "RescaleType is 'US', but expected 'HU'"),
    "8 bits": ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "BitsAllocated is 8, but expected 16"),
    "values beyond BitsStored": (
        {**TWELVE, "stored": np.full((7, 8), 5000, np.int16)},
        "stored values go from 5000 to 5000, but expected 0 to 4095",
    ),
    "signed values beyond BitsStored": (
        {"BitsStored": 12, "HighBit": 11, "stored": np.full((7, 8), 2048, np.int16)},
        "expected -2048 to 2047",
    ),
    "12-bit quirk with another slope": ({**TWELVE, "RescaleSlope": "2", "RescaleIntercept": "0"}, "RescaleSlope 2 and"),
    "HighBit shifted": ({"BitsStored": 12, "HighBit": 15}, "BitsStored is 12, HighBit 15"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_metadata_is_refused_by_name(tmp_path, name):
    """Each odd way to Hounsfield units is refused, in the header as in the whole file (promise I5)."""
    fields, message = ODD[name]
    path = made(tmp_path, **fields)
    with pytest.raises(HemokitError, match=rf"file\.dcm.*{message}"):
        read_dicom(path)
    if "stored" not in message and "-2048" not in message:
        with pytest.raises(HemokitError, match=message):
            read_dicom_header(path)


def test_each_slice_has_its_own_slope(tmp_path):
    """Slopes that differ within a series are applied slice by slice (rule of promise I5)."""
    for slope, intercept in ((1, -1024), (0.5, -1000), (2, -2048)):
        one = read_dicom(made(tmp_path, stored=STORED, RescaleSlope=str(slope), RescaleIntercept=str(intercept)))
        np.testing.assert_array_equal(one.hounsfield, STORED * np.float32(slope) + np.float32(intercept))


def test_harmless_metadata(tmp_path):
    """Window values, a rescale type of HU, odd identifiers and extra elements change nothing and warn of nothing."""
    plain = read_dicom(made(tmp_path, stored=STORED))
    fields = {"WindowCenter": ["40", "x"], "RescaleType": "HU", "SOPInstanceUID": "1.2.03", "NumberOfFrames": "1"}
    one = read_dicom(made(tmp_path, stored=STORED, **{**fields, "WindowCenter": [40, 80, 600]}))
    np.testing.assert_array_equal(one.hounsfield, plain.hounsfield)
    assert one.instance_uid == "1.2.03"


def wrap(true_stored):
    """What a file with the quirk holds for stored values that mean `true_stored` - 1000 HU."""
    return ((true_stored.astype(int) - 1000) % 4096).astype(np.uint16)


def check_quirk(folder, seeds):
    for seed in seeds:
        true = np.random.default_rng(seed).integers(0, 4096, (7, 8))
        stored = wrap(true)
        path = made(folder, stored=stored, RescaleIntercept=str([0, 1, -24, -99][seed % 4]), **TWELVE)
        one = read_dicom(path)
        assert one.repaired and one.intercept == -1000
        np.testing.assert_array_equal(one.hounsfield, true - 1000)
        untouched = read_dicom(made(folder, stored=stored, RescaleIntercept="-1024", **TWELVE))
        assert not untouched.repaired
        np.testing.assert_array_equal(untouched.hounsfield, stored.astype(int) - 1024)


def test_the_12_bit_quirk_is_repaired_exactly(tmp_path):
    """Wrapped slices come back with error 0, good ones keep every value (promise I6, 40 slices)."""
    check_quirk(tmp_path, range(40))


@pytest.mark.promises
def test_the_12_bit_quirk_in_1000_slices(tmp_path):
    """The same with 1000 random slices (promise I6 at full size)."""
    check_quirk(tmp_path, range(1000))


def test_every_stored_value_of_the_quirk(tmp_path):
    """All 4096 values: 0 means 0 HU, 3095 means 3095, 3096 wraps to -1000, 4095 to -1."""
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    hounsfield = read_dicom(made(tmp_path, stored=stored, RescaleIntercept="0", **TWELVE)).hounsfield.ravel()
    assert hounsfield[[0, 3095, 3096, 4095]].tolist() == [0, 3095, -1000, -1]
    assert sorted(hounsfield) == list(range(-1000, 3096))


def test_the_border_of_the_quirk(tmp_path):
    """An intercept of just -100 is not the quirk; without it such a file cannot hold air and is refused."""
    assert read_dicom(made(tmp_path, stored=wrap(np.full((7, 8), 5)), RescaleIntercept="-99.5", **TWELVE)).repaired
    with pytest.raises(HemokitError, match="turn 12-bit values into -100 to 3995"):
        read_dicom(made(tmp_path, stored=np.zeros((7, 8), np.uint16), RescaleIntercept="-100", **TWELVE))


def test_a_constant_slice_says_so(tmp_path):
    """A slice of one value is read, and marked."""
    one = read_dicom(made(tmp_path, stored=np.full((7, 8), 24, np.int16)))
    assert one.constant and (one.hounsfield == -1000).all()
    assert math.isnan(one.thickness_mm) and math.isnan(one.padding_hounsfield)


def test_paths(tmp_path):
    """A missing file, a folder and a file of another kind are refused; the extension does not matter."""
    for read in (read_dicom, read_dicom_header):
        with pytest.raises(HemokitError, match="no such file"):
            read(tmp_path / "none.dcm")
        with pytest.raises(HemokitError, match="this is a folder"):
            read(tmp_path)
        with pytest.raises(HemokitError, match="there is no 'DICM'"):
            read(write(tmp_path, "dcm", b"x" * 500))
    data = dicom_bytes(dicom(RNG))
    assert read_dicom(write(tmp_path, "bin", data)).shape == (14, 15)
    with pytest.raises(HemokitError, match="at most 99 bytes"):
        read_dicom(write(tmp_path, "dcm", data), max_bytes=99)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1.99", "1.2.3"])
def test_other_compression_is_named(tmp_path, syntax):
    """The refusal names the transfer syntax and a way out."""
    with pytest.raises(HemokitError, match=rf"the transfer syntax is {syntax} \(.*\).*Convert the file"):
        read_dicom_header(made(tmp_path, syntax=syntax))


def test_a_header_of_a_cut_file_is_refused(tmp_path):
    """Too few bytes for the pixels show without reading them."""
    data = dicom_bytes(dicom(RNG))
    for end in range(200, len(data), 7):
        with pytest.raises(HemokitError, match=r"file\.dcm"):
            read_dicom_header(write(tmp_path, "dcm", data[:end]))


def test_pydicom_reads_the_same_values(tmp_path):
    """An independent reader agrees on a file that needs no repair."""
    path = made(tmp_path, stored=STORED)
    dataset = pydicom.dcmread(path)
    np.testing.assert_array_equal(
        read_dicom(path).hounsfield, pydicom.pixels.apply_rescale(dataset.pixel_array, dataset)
    )


def test_threads_may_read_at_once(tmp_path):
    """Eight threads get what one gets, with pydicom's warnings caught in each."""
    paths = [made(tmp_path, f"file{n}", RescaleIntercept=str(-1024 - n), SOPInstanceUID="1.02") for n in range(8)]
    results = {}

    def read(n):
        results[n] = [read_dicom(paths[n]).intercept for _ in range(5)]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [-1024 - n] * 5 for n in range(8)}


def stack(folder, places, **fields):
    slices = []
    for n, place in enumerate(places):
        own = {"ImagePositionPatient": list(place), "SOPInstanceUID": f"1.2.{n}", **fields}
        slices.append(read_dicom_header(made(folder, stored=STORED, **own)))
    return slices


def test_stack_spacing(tmp_path):
    """Evenly spaced slices in any order give (slice, row, column) spacing."""
    slices = stack(tmp_path, [(0, 0, 10), (0, 0, 0), (0, 0, 5)], PixelSpacing=[0.5, 0.4])
    assert stack_spacing_mm(slices) == (5, 0.5, 0.4)


def test_stack_errors_have_numbers(tmp_path):
    """Uneven gaps, one place twice, a tilted gantry, a lonely slice and mixed series are refused."""
    with pytest.raises(HemokitError, match="gaps between slices go from 5.00 to 10.00 mm"):
        stack_spacing_mm(stack(tmp_path, [(0, 0, 0), (0, 0, 5), (0, 0, 15)]))
    with pytest.raises(HemokitError, match=r"1\.2\.0 and 1\.2\.1 are 0.000 mm apart"):
        stack_spacing_mm(stack(tmp_path, [(0, 0, 0), (0, 0, 0), (0, 0, 5)]))
    tilted = [0.0, 5 * math.sin(math.radians(15)), 5 * math.cos(math.radians(15))]
    places = [[n * step for step in tilted] for n in range(3)]
    with pytest.raises(HemokitError, match="the gantry is tilted by 15.0 degrees"):
        stack_spacing_mm(stack(tmp_path, places))
    assert stack_spacing_mm(stack(tmp_path, places), max_tilt_degrees=20)[0] == pytest.approx(tilted[2], abs=1e-5)
    with pytest.raises(HemokitError, match="there are 1 slices"):
        stack_spacing_mm(stack(tmp_path, [(0, 0, 0)]))
    one, other = stack(tmp_path, [(0, 0, 0), (0, 0, 5)])
    changes = {
        "series_uid": "9",
        "shape": (9, 9),
        "spacing_mm": (1.0, 1.0),
        "orientation": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
    }
    for name, value in changes.items():
        with pytest.raises(HemokitError, match=f"{name} is .* in slice 1.2.0 and .* in 1.2.1"):
            stack_spacing_mm([one, other._replace(**{name: value})])


def test_the_range_that_the_header_must_express(tmp_path):
    """The borders, -900 and 1000 HU and a slope of 10, are included."""
    stored = np.zeros((7, 8), np.uint16)
    for intercept in ("-900", "-3095"):
        assert read_dicom(made(tmp_path, stored=stored, RescaleIntercept=intercept, **TWELVE)).shape == (7, 8)
    for intercept, message in (("-899", "-899 to 3196"), ("-3096", "-3096 to 999")):
        with pytest.raises(HemokitError, match=f"turn 12-bit values into {message}"):
            read_dicom(made(tmp_path, stored=stored, RescaleIntercept=intercept, **TWELVE))
    assert read_dicom_header(made(tmp_path, RescaleSlope="10")).slope == 10
    with pytest.raises(HemokitError, match="RescaleSlope 10.5 and"):
        read_dicom_header(made(tmp_path, RescaleSlope="10.5"))
