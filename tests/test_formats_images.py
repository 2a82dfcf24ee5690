"""Tests of hemokit.formats.image_files. Damage of all kinds stands in test_malformed_files.py."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from malformed import encoded, exif, jpeg_with, pixels, png, write
from PIL import Image

from hemokit.checks import HemokitError
from hemokit.formats.image_files import read_image_file, read_image_size


def saved(image, kind, **options):
    """The bytes that Pillow, not OpenCV, writes for an array."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, {"jpg": "JPEG", "png": "PNG"}[kind], **options)
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(7, 8), (7, 8, 3)])
def test_png_pixels_are_exact_and_rgb(tmp_path, shape):
    """A PNG by another library comes back pixel for pixel, colors in the order R, G, B."""
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    read = read_image_file(write(tmp_path, "png", saved(image, "png")))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pixels_are_those_of_another_decoder(tmp_path, channels, progressive):
    """A JPEG is decoded as Pillow does it, to within two gray levels of rounding."""
    image = pixels(np.random.default_rng(0), channels)
    data = saved(image, "jpg", progressive=progressive, quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    read = read_image_file(write(tmp_path, "jpg", data), channels=channels)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= 2


def test_red_is_the_first_channel(tmp_path):
    """A red JPEG has its red in channel 0."""
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    read = read_image_file(write(tmp_path, "jpg", saved(red, "jpg")))
    assert read[..., 0].min() > 240 and read[..., 1:].max() < 15


@pytest.mark.parametrize("shape", [(7, 8), (7, 8, 3)])
def test_16_bits_stay_16_bits(tmp_path, shape):
    """Values above 255 of a 16-bit PNG are neither clipped nor scaled."""
    image = np.random.default_rng(0).integers(0, 2**16, shape).astype(np.uint16)
    read = read_image_file(write(tmp_path, "png", encoded(".png", image)))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, image if image.ndim == 2 else image[..., ::-1])  # cv2 wrote BGR


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation(tmp_path, order):
    """Orientation 1 is read; every other is refused with its number, in both byte orders."""
    rng = np.random.default_rng(0)
    assert read_image_file(write(tmp_path, "jpg", jpeg_with(rng, exif(1, order)))).ndim == 2
    for orientation in range(2, 9):
        path = write(tmp_path, "jpg", jpeg_with(rng, exif(orientation, order)))
        with pytest.raises(HemokitError, match=f"the EXIF orientation is {orientation}, but expected 1"):
            read_image_file(path)


def test_exif_in_a_png_counts_as_well(tmp_path):
    """The eXIf chunk of a PNG is looked at like the one of a JPEG."""
    block = exif(6)[10:]
    with pytest.raises(HemokitError, match="the EXIF orientation is 6"):
        read_image_file(write(tmp_path, "png", png((7, 8, 8, 0, 0), bytes(64), [(b"eXIf", block)])))


@pytest.mark.parametrize("block", [b"", b"MM", b"II*\0\xff\xff\xff\xff", b"XX*\0" + bytes(20), bytes(30)])
def test_a_broken_exif_block_turns_nothing(tmp_path, block):
    """A block that holds no orientation is passed over."""
    body = b"Exif\0\0" + block
    data = jpeg_with(np.random.default_rng(0), b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)
    assert read_image_file(write(tmp_path, "jpg", data)).ndim == 2


def test_a_thumbnail_does_not_hide_a_cut(tmp_path):
    """An end marker inside the header (a thumbnail's) is not the end of the picture."""
    thumbnail = encoded(".jpg", np.zeros((8, 8), np.uint8))
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = jpeg_with(np.random.default_rng(0), segment)
    assert read_image_file(write(tmp_path, "jpg", data)).ndim == 2
    with pytest.raises(HemokitError, match="within its header"):
        read_image_file(write(tmp_path, "jpg", data[: 2 + len(segment)]))


def test_the_number_of_channels_can_be_asked_for(tmp_path):
    """Gray is not made RGB, nor RGB gray."""
    rng = np.random.default_rng(0)
    with pytest.raises(HemokitError, match=r"file\.jpg: the image has 1 channel\(s\), but expected 3"):
        read_image_file(write(tmp_path, "jpg", encoded(".jpg", pixels(rng, 1))), channels=3)
    with pytest.raises(HemokitError, match=r"file\.png: the image has 3 channel\(s\), but expected 1"):
        read_image_file(write(tmp_path, "png", encoded(".png", pixels(rng, 3))), channels=1)


def test_too_many_pixels_are_refused_by_the_header(tmp_path):
    """The limit holds for both readers, and the size is in the message."""
    path = write(tmp_path, "png", encoded(".png", np.zeros((7, 8), np.uint8)))
    assert read_image_file(path, max_pixels=56).shape == (7, 8)
    for read in (read_image_file, read_image_size):
        with pytest.raises(HemokitError, match="announces 8 x 7 pixels, but expected 1 to 55 pixels"):
            read(path, max_pixels=55)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_the_size_comes_from_the_header(tmp_path, kind):
    """(height, width) is read from a file whose picture is cut off, and with a header of 200 KB."""
    image = np.zeros((70, 80), np.uint8)
    data = encoded(f".{kind}", image)
    assert read_image_size(write(tmp_path, kind, data)) == (70, 80)
    assert read_image_size(write(tmp_path, "JPG" if kind == "jpg" else "PNG", data[: len(data) - 20])) == (70, 80)
    filler = (b"\xff\xe5\xff\xff" + bytes(65533)) * 3
    if kind == "jpg":
        assert read_image_size(write(tmp_path, "jpg", data[:2] + filler + data[2:])) == (70, 80)
        assert read_image_file(write(tmp_path, "jpeg", data[:2] + filler + data[2:])).shape == (70, 80)


def test_names_and_paths(tmp_path):
    """Upper case is fine; another extension, a folder, a missing file and a missing value are refused."""
    data = encoded(".jpg", np.zeros((8, 8), np.uint8))
    assert read_image_file(str(write(tmp_path, "JPEG", data))).shape == (8, 8)
    with pytest.raises(HemokitError, match=r"file\.dat: the name ends in '\.dat', but the content is a JPEG"):
        read_image_file(write(tmp_path, "dat", data))
    with pytest.raises(HemokitError, match="no such file"):
        read_image_file(tmp_path / "none.jpg")
    with pytest.raises(HemokitError, match="this is a folder"):
        read_image_size(tmp_path)
    with pytest.raises(HemokitError, match="cannot be looked up"):
        read_image_file(float("nan"))


def test_real_images(ct_ich_root):
    """The slices of CT-ICH are gray, 650 x 650, and decode as OpenCV alone does it."""
    paths = sorted(Path(ct_ich_root).glob("Patients_CT/*/brain/*.jpg"))[::50]
    for path in paths:
        read = read_image_file(path, channels=1)
        assert read.shape == read_image_size(path) == (650, 650)
        np.testing.assert_array_equal(read, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
