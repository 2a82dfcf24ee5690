"""Compressed DICOM: equal to what was compressed, or one sentence; and every file that pydicom brings along."""

import random
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from malformed import dicom, dicom_bytes, write
from pydicom.pixels import get_encoder

from hemokit.checks import HemokitError
from hemokit.formats import dicom_compressed
from hemokit.formats.dicom_files import read_dicom, read_dicom_header, read_stored

JPEG_LS, JPEG_2000, LOSSLESS = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70"
SMOOTH = np.add.outer(np.arange(71), np.arange(72)) * 14  # 0 to 1974
NOISY = (SMOOTH + np.random.default_rng(0).integers(0, 90, SMOOTH.shape)).astype(np.int16)


def compressed(syntax, stored=NOISY, **fields):
    """The bytes of a DICOM file with compressed pixels."""
    dataset = dicom(np.random.default_rng(0), stored=stored, **fields)
    if syntax == LOSSLESS:
        return by_gdcm(dataset)
    pytest.importorskip({JPEG_LS: "jpeg_ls", JPEG_2000: "openjpeg"}[syntax])
    assert get_encoder(syntax).is_available
    with pydicom.config.disable_value_validation():
        dataset.compress(syntax, generate_instance_uid=False)
    return dicom_bytes(dataset)


def by_gdcm(dataset):
    """JPEG lossless, which pydicom can read and not write."""
    gdcm = pytest.importorskip("gdcm")
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = (str(Path(folder, name)) for name in ("plain.dcm", "packed.dcm"))
        Path(plain).write_bytes(dicom_bytes(dataset))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(plain)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(packed)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        dataset.PixelData = pydicom.dcmread(packed).PixelData
    dataset.file_meta.TransferSyntaxUID = LOSSLESS
    dataset["PixelData"].is_undefined_length = True
    return dicom_bytes(dataset)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, LOSSLESS])
@pytest.mark.parametrize("signed", [True, False])
def test_lossless_is_lossless(tmp_path, syntax, signed):
    """The pixels are those that were compressed; header and pixels agree."""
    stored = NOISY - 1000 if signed else NOISY.astype(np.uint16)
    sign = {"PixelRepresentation": int(signed), "BitsStored": 16 if signed else 12, "HighBit": 15 if signed else 11}
    path = write(tmp_path, "dcm", compressed(syntax, stored, **sign))
    facts, found = read_stored(path)
    np.testing.assert_array_equal(found, stored)
    np.testing.assert_array_equal(read_dicom(path).hounsfield, stored.astype(np.float32) - 1024)
    assert facts.shape == read_dicom_header(path).shape == (71, 72)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, LOSSLESS])
def test_cut_and_changed_codestreams(tmp_path, syntax):
    """Damage in the pixels is another picture or one error that names the file; never another exception."""
    data, rng, refused = compressed(syntax), random.Random(0), 0
    start = data.index(b"\xe0\x7f\x10\x00") + 30  # within PixelData
    for number in range(60):
        wrong = bytearray(data)
        wrong[rng.randrange(start, len(data))] ^= 1 << rng.randrange(8)
        wrong = wrong[: rng.randrange(start, len(data))] if number % 3 == 0 else wrong
        path = write(tmp_path, "dcm", bytes(wrong))
        try:
            assert read_dicom(path).hounsfield.shape == (71, 72)
        except HemokitError as error:
            refused += str(error).startswith(str(path))
    assert refused >= 20  # all that were cut


def sized(syntax, rows, columns):
    """A compressed file whose codestream announces another size than its header."""
    data = bytearray(compressed(syntax))
    if syntax == JPEG_2000:
        place = data.index(b"\xff\x4f\xff\x51") + 8
        data[place : place + 8] = columns.to_bytes(4, "big") + rows.to_bytes(4, "big")
    else:
        place = data.index(b"\xff\xf7" if syntax == JPEG_LS else b"\xff\xc3") + 5
        data[place : place + 4] = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, LOSSLESS])
def test_bombs(tmp_path, syntax):
    """A codestream that announces gigabytes, or any other size than the header, never reaches a decoder."""
    for rows, columns in ((60000, 60000), (71, 73)):
        path = write(tmp_path, "dcm", sized(syntax, rows, columns))
        begun = time.perf_counter()
        with pytest.raises(HemokitError, match=f"the codestream announces {rows} x {columns} pixels of 1 comp"):
            read_dicom(path)
        assert time.perf_counter() - begun < 1


def test_without_a_decoder(tmp_path, monkeypatch):
    """Where no decoder is installed, the error says how to get one."""
    path = write(tmp_path, "dcm", compressed(JPEG_2000))

    class Missing:
        is_available, UID = False, pydicom.uid.JPEG2000Lossless

    monkeypatch.setattr("pydicom.pixels.get_decoder", lambda uid: Missing)
    with pytest.raises(HemokitError, match="no decoder of JPEG 2000 .* is installed.*pip install 'hemokit.dicom.'"):
        read_dicom(path)


def test_no_size_is_refused():
    """A codestream without a header of a frame has no size."""
    assert dicom_compressed._jpeg_size(b"\xff\xd8\xff\xd9" * 9) is None
    assert dicom_compressed._jpeg_2000_size(b"\xff\x4f\xff\x51\x00") is None


def test_a_size_that_a_decoder_would_pass_over_does_not_count():
    """A SIZ within a box before the codestream, and a frame header after a marker without a length, give no size."""
    data = compressed(JPEG_2000)
    stream = data[data.index(b"\xff\x4f\xff\x51") :]
    assert dicom_compressed._jpeg_2000_size(stream) == (71, 72, 1)
    assert dicom_compressed._jpeg_2000_size(b"\0\0\0\x0cjP  \r\n\x87\n" + stream) is None
    frame = b"\xff\xf7\0\x0b\x0c\0\x47\0\x48\1\1\x11\0"
    assert dicom_compressed._jpeg_size(b"\xff\xd8" + frame) == (71, 72, 1)
    assert dicom_compressed._jpeg_size(b"\xff\xd8\xff\xe0\0\x04\0\0" + frame) == (71, 72, 1)
    for marker in (0x00, 0x01, 0xD0, 0xD7, 0xD8, 0xD9, 0xDA):
        assert dicom_compressed._jpeg_size(bytes((0xFF, 0xD8, 0xFF, marker, 0, 4, 0, 0)) + frame) is None
    assert dicom_compressed._jpeg_size(b"\0\0" + frame) is None


def bundled():
    """Every file in pydicom's own folder of data."""
    folder = Path(pydicom.data.__file__).parent
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_every_file_of_pydicom():
    """Each is read as a CT slice, or refused in one sentence that begins with its name; some are of each kind."""
    read, refused = {}, {}
    for path in bundled():
        try:
            read[path.name] = read_dicom(path).hounsfield
        except HemokitError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error) and "but expected" in str(error)
            refused[path.name] = str(error)
    assert "CT_small.dcm" in read and "MR_small.dcm" in refused
    assert len(read) >= 10 and len(refused) >= 60
    assert all(slice_.ndim == 2 and slice_.dtype == np.float32 for slice_ in read.values())
