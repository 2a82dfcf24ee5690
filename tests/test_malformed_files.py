"""The promises about damaged files: refused with one HemokitError that names the file, quickly, in little memory.

Figures: every class of damage in `malformed.MALFORMED`; the long runs carry the mark `promises`.
"""

import contextlib
import gzip
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from malformed import (
    GOOD,
    MALFORMED,
    READ,
    dicom,
    dicom_bytes,
    encoded,
    nifti,
    png,
    write,
)

from hemokit.checks import HemokitError
from hemokit.formats.dicom_files import read_dicom_header
from hemokit.formats.image_files import read_image_size
from hemokit.formats.nifti_files import read_nifti_header

FILES = 2  # per class of damage; the marked run takes 20


def peak_mb():
    """Peak resident memory since the last reset, in MB; the peak starts anew at every call (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) / 1024


def refusal(read, path, **options):
    """(message, seconds, MB more at the peak) of a read that must fail with HemokitError and nothing else."""
    peak_mb()
    before, start = peak_mb(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(HemokitError, match="expected") as caught:
            read(path, **options)
    return str(caught.value), time.perf_counter() - start, peak_mb() - before


def check_class(name, folder, files):
    kind, make, options = MALFORMED[name]
    for seed in range(files):
        path = write(folder, kind, make(np.random.default_rng(seed)), f"file{seed}")
        message, seconds, megabytes = refusal(READ[kind], path, **options)
        assert str(path) in message, f"{name}: the file is not named in {message!r}"
        assert seconds <= 2 and megabytes <= 512, f"{name}: {seconds:.1f} s, {megabytes:.0f} MB"


def test_the_good_files_are_read(tmp_path):
    """The files that the damage starts from are read without an error."""
    for kind, make in GOOD.items():
        for seed in range(4):
            assert READ[kind](write(tmp_path, kind, make(np.random.default_rng(seed)))) is not None


def test_there_are_at_least_60_classes():
    """The promise I1 counts at least 60 classes of damage."""
    assert len(MALFORMED) >= 60


@pytest.mark.parametrize("name", MALFORMED)
def test_damage_is_refused(name, tmp_path):
    """Each class of damage gives a HemokitError with the file's name, within 2 s and 512 MB (promise I1)."""
    check_class(name, tmp_path, FILES)


@pytest.mark.promises
@pytest.mark.parametrize("name", MALFORMED)
def test_damage_is_refused_in_20_files(name, tmp_path):
    """The same with 20 files a class (promise I1 at full size)."""
    check_class(name, tmp_path, 20)


# ---- I2: a file cut at any 1 % is refused


def check_cuts(kind, folder, data):
    for percent in range(1, 100):
        path = write(folder, kind, data[: len(data) * percent // 100])
        message, *_ = refusal(READ[kind], path)
        assert str(path) in message, f"{kind} cut at {percent} %: {message}"


@pytest.mark.parametrize("kind", ["jpg", "png", "nii", "nii.gz", "dcm"])
def test_a_cut_at_any_percent_is_refused(kind, tmp_path):
    """A file cut at 1 %, 2 %, ..., 99 % is refused (promise I2: 5 formats x 99)."""
    check_cuts(kind, tmp_path, GOOD[kind](np.random.default_rng(0)))


@pytest.mark.parametrize("kind", ["jpg", "png", "nii", "nii.gz", "dcm"])
def test_a_cut_of_the_last_bytes_is_refused(kind, tmp_path):
    """One to twelve bytes missing at the end are enough to be refused."""
    data = GOOD[kind](np.random.default_rng(1))
    for missing in range(1, 13):
        refusal(READ[kind], write(tmp_path, kind, data[:-missing]))


def test_a_cut_after_the_pixels_of_a_dicom_file_is_refused(tmp_path):
    """A cut within elements that follow the pixels is refused as well, wherever it falls."""
    data = dicom_bytes(dicom(np.random.default_rng(0), DataSetTrailingPadding=bytes(40)))
    READ["dcm"](write(tmp_path, "dcm", data))
    for missing in [*range(1, 40), *range(41, 52)]:  # 52: the whole element is gone, and nothing is cut
        refusal(READ["dcm"], write(tmp_path, "dcm", data[:-missing]))


def test_a_cut_table_is_refused_where_it_shows(tmp_path):
    """A CSV cut within a row lacks fields or a closing quote; one cut after a row or in its last field cannot show."""
    data = GOOD["csv"](np.random.default_rng(3))
    for end in range(1, len(data), 5):
        path = write(tmp_path, "csv", data[:end])
        last = data[:end].rstrip(b"\n").rsplit(b"\n", 1)[-1]
        if end > data.index(b"\n") and len(last.split(b'",')) == 1 and not last.endswith(b"label"):
            refusal(READ["csv"], path)


# ---- I3: a .nii.gz is read to its checksum


def test_bit_flips_in_a_packed_volume_are_refused(tmp_path):
    """Of 300 single-bit flips in a .nii.gz at least 299 are refused, and none changes a voxel (promise I3).

    What can pass are bits that carry nothing: gzip's time stamp and codes that the stream does not use.
    """
    rng = np.random.default_rng(0)
    grid = np.add.outer(np.add.outer(np.arange(48), np.arange(48)), 50 * np.arange(12)) - 1000
    packed = gzip.compress(nifti((grid + rng.integers(0, 9, grid.shape)).astype(np.int16)), mtime=0)
    whole = READ["nii.gz"](write(tmp_path, "nii.gz", packed, "whole")).array
    refused = 0
    for bit in np.random.default_rng(1).choice(8 * len(packed), 300, replace=False):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << (bit % 8)
        try:
            array = READ["nii.gz"](write(tmp_path, "nii.gz", bytes(changed))).array
            np.testing.assert_array_equal(array, whole)
        except HemokitError:
            refused += 1
    print(f"{refused} of 300 refused, the others harmless")
    assert refused >= 299


# ---- I10: bombs are refused before memory is taken


def deflated_zeros(size, wbits):
    """A deflate stream of `size` zeros, made in no time by repeating one packed block; without a checksum."""
    packer = zlib.compressobj(9, wbits=wbits)
    start = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (size // 2**20 - 1) + packer.flush()


def png_bomb(width, height, packed, chunks=()):
    data = bytearray(png((width, height, 8, 0, 0), b"", chunks))
    start = data.index(b"IDAT") - 4
    chunk = b"IDAT" + packed
    return (
        bytes(data[:start]) + struct.pack(">I", len(packed)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[-12:]
    )


def sparse(path, start):
    with open(path, "wb") as stream:
        stream.write(start)
        stream.truncate(2**33)
    return path


GIGABYTE = 2**30
SMALL = np.zeros((7, 8, 9), np.int16)


def bombs(folder):
    """(name, kind, path) of small files that unpack to, or announce, a gigabyte and more."""
    rng = np.random.default_rng(0)
    header = nifti(SMALL)[:352]
    large = nifti(SMALL, dim=[3, 1024, 1024, 512, 1, 1, 1, 1])[:352]
    frame = bytearray(encoded(".jpg", np.zeros((8, 8), np.uint8)))
    frame[frame.index(b"\xff\xc0") + 5 :][:4] = b"\xff\xff\xff\xff"
    place = frame.index(b"\xff\xc0")
    frame[place + 5 : place + 9] = b"\xff\xdc\xff\xdc"
    deflated = dicom_bytes(dicom(rng, syntax="1.2.840.10008.1.2.1.99"))
    start = deflated.index(b"1.2.840.10008.1.2.1.99") + 22
    made = {
        "PNG of 40000 x 40000": ("png", png_bomb(40000, 40000, deflated_zeros(GIGABYTE, 15))),
        "PNG with more pixels than announced": ("png", png_bomb(8, 8, deflated_zeros(GIGABYTE, 15))),
        "JPEG of 65500 x 65500": ("jpg", bytes(frame)),
        "JPEG with 5000 scans": ("jpg", scans()),
        "gzip: a gigabyte announced": ("nii.gz", gzip.compress(large)[:-8] + deflated_zeros(GIGABYTE, -15)),
        "gzip: more than announced": ("nii.gz", gzip.compress(header) + deflated_zeros(GIGABYTE, 31)),
        "gzip: no NIfTI inside": ("nii.gz", deflated_zeros(GIGABYTE, 31)),
        "DICOM deflated": ("dcm", deflated[:start] + b"\0" * (start % 2) + deflated_zeros(GIGABYTE, -15)),
        "DICOM of 65535 x 65535": ("dcm", dicom_bytes(dicom(rng, Rows=65535, Columns=65535))),
        "DICOM element of 4 GB": ("dcm", huge_element(rng)),
        "DICOM RLE": ("dcm", rle_bomb(rng)),
    }
    for name, (kind, data) in made.items():
        yield name, kind, write(folder, kind, data, name.replace(" ", "-").replace(":", ""))
    yield "CSV of 8 GB", "csv", sparse(folder / "large.csv", b"a,b\n")
    yield "NIfTI of 8 GB", "nii", sparse(folder / "large.nii", header)


def scans():
    data = encoded(".jpg", np.zeros((8, 8), np.uint8))
    start = data.index(b"\xff\xda")
    return data[:start] + data[start:-2] * 5000 + data[-2:]


def huge_element(rng):
    data = dicom_bytes(dicom(rng))
    place = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:place] + b"\xfe\xff\xff\xff" + data[place + 4 :]


def rle_bomb(rng):
    """Runs of 128 equal bytes from two, far more than the 14 x 15 pixels of the header."""
    body = struct.pack("<16I", 2, 64, 64 + 2**22, *[0] * 13) + b"\x81\0" * 2**22
    dataset = dicom(rng, syntax="1.2.840.10008.1.2.5")
    from pydicom.encaps import encapsulate

    dataset.PixelData = encapsulate([body])
    dataset["PixelData"].is_undefined_length = True
    return dicom_bytes(dataset)


def test_bombs_are_refused_before_memory_is_taken(tmp_path):
    """Thirteen bombs: each refused within 1 s and 200 MB (promise I10)."""
    figures = []
    for name, kind, path in bombs(tmp_path):
        message, seconds, megabytes = refusal(READ[kind], path)
        figures.append((name, seconds, megabytes))
        assert str(path) in message and seconds < 1 and megabytes < 200, (name, seconds, megabytes, message)
    assert len(figures) >= 12
    print(*(f"{name}: {seconds:.3f} s, +{megabytes:.0f} MB" for name, seconds, megabytes in figures), sep="\n")


def test_a_text_bomb_in_a_png_is_never_unpacked(tmp_path, capfd):
    """A PNG whose comment unpacks to a gigabyte is read like any other: comments are not looked at."""
    text = b"a\0\0" + deflated_zeros(GIGABYTE, 15)
    path = write(tmp_path, "png", png((7, 8, 8, 0, 0), bytes(64), [(b"zTXt", text)]))
    peak_mb()
    before = peak_mb()
    assert READ["png"](path).shape == (8, 7)
    assert peak_mb() - before < 200
    assert capfd.readouterr().err == ""


# ---- any other damage


def damaged(data, rng):
    """`data` with one to five random changes: bits flipped, bytes set, removed or put in."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        place, count = int(rng.integers(min(len(data), 1000))), int(rng.integers(1, 9))
        change = int(rng.integers(4))
        if change == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif change == 1:
            data[place] = int(rng.choice([0, 1, 127, 128, 255]))
        elif change == 2:
            del data[place : place + count]
        else:
            data[place:place] = rng.integers(0, 256, count).astype(np.uint8).tobytes()
    return bytes(data)


def check_any_damage(kind, folder, seeds):
    headers = {"dcm": read_dicom_header, "nii": read_nifti_header, "nii.gz": read_nifti_header}
    headers |= {"jpg": read_image_size, "png": read_image_size, "csv": READ["csv"]}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        path = write(folder, kind, damaged(GOOD[kind](rng), rng))
        for read in (READ[kind], headers[kind]):
            try:
                read(path)
            except HemokitError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize("kind", GOOD)
def test_any_damage_gives_a_result_or_one_error(kind, tmp_path):
    """Random damage is read or refused, and nothing else ever comes out: no other exception, no warning."""
    check_any_damage(kind, tmp_path, range(100))


@pytest.mark.promises
@pytest.mark.parametrize("kind", GOOD)
def test_any_damage_in_2000_files(kind, tmp_path):
    """The same with 2000 files of each format."""
    check_any_damage(kind, tmp_path, range(2000))
