"""Augmentation: image and mask stay together, values stay in range, and the key alone decides."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemokit import augment
from hemokit.augment import FAHIM, NONE, RENYARD, STANDARD, TWOBRANCH, Augmentation, affine_of, augment_pair
from hemokit.checks import HemokitError

NAMED = {"NONE": NONE, "STANDARD": STANDARD, "RENYARD": RENYARD, "TWOBRANCH": TWOBRANCH, "FAHIM": FAHIM}
ALL = Augmentation(
    flip=0.5, rotation_degrees=30, shear_degrees=10, zoom=(0.7, 1.4), shift=0.1, elastic_alpha=(5.0, 20.0),
    brightness=(0.5, 1.5), brightness_offset=0.2, blur=1.0, noise=0.1,
)  # fmt: skip
KEY = (0, 0, "ID_1")


def picture(height=7, width=9, channels=1, seed=0):
    """A random image and mask."""
    rng = np.random.default_rng(seed)
    return rng.random((height, width, channels), np.float32), rng.random((height, width)) > 0.5


def by_hand(array, places, bilinear):
    """Sample one channel pixel by pixel, 0 outside: a slow reference."""
    height, width = array.shape
    at = lambda y, x: array[y, x] if 0 <= y < height and 0 <= x < width else 0.0  # noqa: E731
    found = np.zeros(places.shape[:2])
    for row, column in np.ndindex(found.shape):
        x, y = map(float, places[row, column])
        left, top = math.floor(x), math.floor(y)
        a, b = x - left, y - top
        if bilinear:
            found[row, column] = (1 - b) * ((1 - a) * at(top, left) + a * at(top, left + 1)) + b * (
                (1 - a) * at(top + 1, left) + a * at(top + 1, left + 1)
            )
        else:
            found[row, column] = at(math.floor(y + 0.5), math.floor(x + 0.5))
    return found


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_shapes_types_and_range(name, channels):
    """Whatever the setting and the number of channels, shape and type stay, and values are in [0, 1]."""
    image, mask = picture(channels=channels)
    for number in range(20):
        changed, moved = augment_pair(image, mask, NAMED[name], key=(0, number, "a"))
        assert changed.shape == (7, 9, channels) and changed.dtype == np.float32 and moved.dtype == bool
        assert changed.min() >= 0 and changed.max() <= 1 and moved.shape == (7, 9)


def test_none_changes_nothing():
    """NONE gives equal arrays, and new ones."""
    image, mask = picture()
    same, also = augment_pair(image, mask, NONE, key=KEY)
    assert (same == image).all() and (also == mask).all()
    assert not np.shares_memory(same, image) and not np.shares_memory(also, mask)


def test_input_is_left_alone():
    """Neither array that is given is written to."""
    image, mask = picture()
    before = image.copy(), mask.copy()
    augment_pair(image, mask, ALL, key=KEY)
    assert (image == before[0]).all() and (mask == before[1]).all()


@pytest.mark.parametrize("setting", [NONE, RENYARD, STANDARD, Augmentation(brightness=(2.0, 2.0))])
def test_layout_in_memory_does_not_matter(setting):
    """Arrays in Fortran order, turned views and read-only arrays give the same pair."""
    image, mask = picture(8, 9, channels=2)
    expected = augment_pair(image, mask, setting, key=KEY)
    turned = image[::-1, ::-1].copy()[::-1, ::-1], mask[::-1].copy()[::-1]
    image.setflags(write=False)
    for one, two in [(np.asfortranarray(image), np.asfortranarray(mask)), turned, (image, mask)]:
        found = augment_pair(one, two, setting, key=KEY)
        assert (found[0] == expected[0]).all() and (found[1] == expected[1]).all() and found[0].max() <= 1


@pytest.mark.parametrize("height, width", [(7, 9), (8, 7), (9, 8), (1, 8), (8, 1)])
def test_flip_is_exact(height, width):
    """A flip alone is a mirror, pixel for pixel."""
    image, mask = picture(height, width, channels=2)
    flipped, moved = augment_pair(image, mask, Augmentation(flip=1.0), key=KEY)
    assert (flipped == image[:, ::-1]).all() and (moved == mask[:, ::-1]).all()


def test_quarter_turn_by_hand():
    """A turn by 90 degrees is counterclockwise, as np.rot90 has it."""
    image, mask = picture(8, 8)
    places = augment.sampling_grid((8, 8), affine_of((8, 8), angle=90))
    turned, moved = augment.warp_pair(image, mask, places)
    assert np.allclose(turned[..., 0], np.rot90(image[..., 0]), atol=1e-4) and (moved == np.rot90(mask)).all()


def test_shift_and_zoom_by_hand():
    """Positive shifts go right and down; zoom above 1 enlarges about the middle; shear moves lower rows right."""
    image = np.zeros((9, 9, 1), np.float32)
    image[4, 4] = 1
    move = lambda **options: augment.warp_pair(  # noqa: E731
        image, None, augment.sampling_grid((9, 9), affine_of((9, 9), **options))
    )[0][..., 0]
    assert np.argwhere(move(shift_xy=(2, 1)))[0].tolist() == [5, 6]
    assert move(zoom=2).sum() == pytest.approx(4)
    image[...] = 0
    image[6, 4] = 1
    assert move(shear=45)[6].argmax() == 6


@given(st.integers(7, 9), st.integers(7, 9), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_one_warp_equals_slow_reference(height, width, number):
    """Image bilinear and mask nearest at one grid, as a loop over the pixels gives them."""
    image, mask = picture(height, width, seed=number)
    rng = augment.random_of((0, 0, str(number)))
    affine = affine_of(image.shape, flip=number % 2 == 1, angle=17.0, shear=5.0, zoom=0.9, shift_xy=(0.7, -0.4))
    places = augment.sampling_grid((height, width), affine, alpha=10.0, sigma=3.0, rng=rng)
    warped, moved = augment.warp_pair(image, mask, places)
    # OpenCV may round places to 1/32 of a pixel.
    assert np.abs(warped[..., 0] - by_hand(image[..., 0], places, True)).max() < 0.07
    edge = np.abs(places - np.floor(places) - 0.5).min(axis=-1) < 0.02
    assert ((moved == by_hand(mask.astype(float), places, False)) | edge).all()


@given(st.integers(0, 10**9), st.sampled_from([RENYARD, STANDARD, TWOBRANCH, FAHIM, ALL]))
@settings(max_examples=60, deadline=None)
def test_blob_stays_on_blob(number, setting):
    """Where an image is its own smooth mask, the moved mask is where the moved image is above one half."""
    image = cv2.GaussianBlur(np.random.default_rng(number).random((33, 31), np.float32), (0, 0), 3)
    image = (image - image.min()) / (image.max() - image.min())
    mask = image > 0.5
    only_geometry = setting._replace(brightness=(1.0, 1.0), brightness_offset=0.0, blur=0.0, noise=0.0)
    warped, moved = augment_pair(image[..., None], mask, only_geometry, key=(0, number, "a"))
    bright = warped[..., 0] > 0.5
    edges = [cv2.morphologyEx(one.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) for one in (bright, moved)]
    assert not ((bright != moved) & (edges[0] == 0) & (edges[1] == 0)).any()


def test_labels_are_not_made_up():
    """A mask of several labels holds no other ones after the warp, and 0 outside the frame."""
    image, _ = picture(33, 31)
    labels = np.random.default_rng(1).choice(np.array([3, 90, 255], np.uint8), (33, 31))
    for number in range(50):
        moved = augment_pair(image, labels, ALL, key=(0, number, "a"))[1]
        assert set(np.unique(moved)) <= {0, 3, 90, 255} and moved.dtype == np.uint8


def test_brightness_never_touches_the_mask_nor_geometry_the_brightness():
    """renyard's mistake is impossible: with brightness alone, the mask stays; with geometry alone, so do the values."""
    image, mask = np.full((16, 16, 1), 0.5, np.float32), np.eye(16, dtype=bool)
    bright = Augmentation(brightness=(0.3, 1.8), brightness_offset=0.2, noise=0.1, blur=1.0)
    for number in range(20):
        changed, same = augment_pair(image, mask, bright, key=(0, number, "a"))
        assert (same == mask).all() and not np.array_equal(changed, image)
        still = augment_pair(image, mask, Augmentation(flip=0.5), key=(0, number, "a"))[0]
        assert (still == 0.5).all()


def test_brightness_by_hand():
    """Factor, then clipping to [0, 1]; offset and noise leave saturated pixels alone."""
    image = np.float32([[0, 0.2, 0.6, 1]])[..., None]
    doubled = augment_pair(image, None, Augmentation(brightness=(2.0, 2.0)), key=KEY)[0]
    assert doubled.ravel() == pytest.approx([0, 0.4, 1, 1])
    for number in range(10):
        changed = augment_pair(image, None, Augmentation(brightness_offset=0.1, noise=0.1), key=(0, number, "a"))[0]
        assert changed.ravel()[[0, 3]].tolist() == [0, 1] and (changed.ravel()[1:3] != image.ravel()[1:3]).all()


@pytest.mark.parametrize("channels", [1, 5])
def test_blur_is_gaussian(channels):
    """Blur lies between none and that of the largest sigma, and keeps the mean away from the rim."""
    image = np.zeros((15, 15, channels), np.float32)
    image[7, 7] = 1
    widest = cv2.GaussianBlur(image[..., 0], (0, 0), 1.5).max()
    peaks = []
    for number in range(30):
        blurred = augment_pair(image, None, Augmentation(blur=1.5), key=(0, number, "a"))[0]
        assert blurred.shape == image.shape and blurred[..., -1].sum() == pytest.approx(1, abs=1e-4)
        peaks.append(blurred[7, 7, 0])
    assert widest <= min(peaks) + 1e-6 and min(peaks) < 0.2 and max(peaks) > 0.5


def test_outside_the_frame_is_black():
    """What comes from beyond the frame is 0 even where the image is made brighter."""
    image, mask = np.full((32, 32, 1), 0.5, np.float32), np.ones((32, 32), bool)
    setting = Augmentation(zoom=(0.5, 0.5), brightness=(1.5, 1.5), brightness_offset=0.3, noise=0.1)
    changed, moved = augment_pair(image, mask, setting, key=KEY)
    assert changed[0].max() == 0 and not moved[0].any() and moved[16, 16] and changed[16, 16] > 0


def test_key_decides():
    """Equal keys give equal pairs; each part of the key changes them; the order of calls does not."""
    image, mask = picture(16, 16)
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (0, 0, "a", 1), (0, 0, "0 a"), (0, 10, "a")]
    first = [augment_pair(image, mask, ALL, key=key)[0] for key in keys]
    again = [augment_pair(image, mask, ALL, key=key)[0] for key in reversed(keys)][::-1]
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert len({array.tobytes() for array in first}) == len(keys)
    assert np.array_equal(augment_pair(image, mask, ALL, key=(np.int64(0), np.int32(0), "a", 0))[0], first[0])


def test_key_is_the_same_everywhere():
    """The random numbers of a key are fixed for good: no process, Python hash or platform has a say."""
    found = augment.random_of((7, 3, "049_014", 1)).integers(0, 2**32, 3).tolist()
    assert found == [3846324534, 788049236, 3783766926]


def test_draws_cover_their_ranges():
    """Over many keys each amount reaches near both its ends, and a flip comes half the time."""
    parts = np.array([augment.random_of((0, 0, str(number))).random(11) for number in range(2000)])
    assert parts.min(axis=0).max() < 0.01 and parts.max(axis=0).min() > 0.99
    assert np.abs(parts.mean(axis=0) - 0.5).max() < 0.03
    assert np.abs(np.corrcoef(parts.T) - np.eye(11)).max() < 0.1


def displacements(sigma, number=30, size=96):
    """Fields for alpha = 1, without the rim: (number, size, size, 2)."""
    still, rim = affine_of((size, size)), int(3 * sigma)
    grid = augment.pixel_grid(size, size)
    fields = [
        augment.sampling_grid((size, size), still, alpha=1.0, sigma=sigma, rng=augment.random_of((0, 0, str(k)))) - grid
        for k in range(number)
    ]
    return np.array(fields)[:, rim:-rim, rim:-rim]


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0, 5.0])
def test_elastic_field_is_simards(sigma):
    """Spread and correlation are those of uniform noise through a Gaussian, also where drawn on every second pixel."""
    fields = displacements(sigma)
    expected = 1 / (2 * sigma * np.sqrt(3 * np.pi))
    assert fields.std() == pytest.approx(expected, rel=0.05)
    for axis in (1, 2):
        for distance in (1, 2, 3, 5):
            near, far = np.moveaxis(fields, axis, 0)[:-distance], np.moveaxis(fields, axis, 0)[distance:]
            found = (near * far).mean() / (fields**2).mean()
            assert found == pytest.approx(np.exp(-(distance**2) / (4 * sigma**2)), abs=0.04)
    assert abs((fields[..., 0] * fields[..., 1]).mean()) < 0.05 * fields.var()


def test_elastic_field_is_alike_on_every_pixel():
    """Pixels drawn and pixels in between move equally much."""
    fields = displacements(3.0, number=60)
    spreads = [fields[:, down::2, right::2].std() for down in (0, 1) for right in (0, 1)]
    assert max(spreads) / min(spreads) < 1.02


def test_elastic_field_equals_scipy_in_spread():
    """The same spread as the recipe in SciPy: uniform noise, gaussian_filter with sigma 3."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).uniform(-1, 1, (60, 96, 96))
    reference = gaussian_filter(noise, (0, 3, 3))[:, 9:-9, 9:-9]
    assert displacements(3.0).std() == pytest.approx(reference.std(), rel=0.05)


def test_noise_has_its_standard_deviation():
    """Noise of 0.05 spreads by 0.05."""
    grain = augment._grain((64, 64, 3), 0.05, augment.random_of(KEY))
    assert grain.std() == pytest.approx(0.05, rel=0.1) and abs(grain.mean()) < 0.005


def test_named_settings_are_the_papers():
    """The amounts that the papers give."""
    assert RENYARD[:7] == (0.5, 40, 4, (0.8, 1.5), 0.0, (0.0, 20.0), 3.0) and RENYARD.brightness == (0.3, 1.8)
    assert TWOBRANCH[:5] == (0.5, 5, 0.0, (0.9, 1.1), 0.0) and TWOBRANCH.brightness == (1.0, 1.0)
    assert FAHIM.flip and FAHIM.shift and FAHIM.rotation_degrees and FAHIM.zoom != (1, 1) and FAHIM.brightness != (1, 1)
    for setting in (RENYARD, TWOBRANCH, FAHIM):
        assert (setting.brightness_offset, setting.blur, setting.noise) == (0, 0, 0)


@pytest.mark.parametrize(
    "image, mask, message",
    [
        (np.zeros((8, 8), np.float32), None, "not empty"),
        (np.zeros((0, 8, 1), np.float32), None, "not empty"),
        (np.zeros((8, 8, 1)), None, "float32"),
        ([[0]], None, "the image is list"),
        (np.full((8, 8, 1), -1000, np.float32), None, "Apply a window"),
        (np.float32([[[0.5], [np.nan], [0.5]]]), None, "values in"),
        (np.full((8, 8, 1), 1.5, np.float32), None, "values in"),
        (np.zeros((8, 8, 1), np.float32), np.zeros((7, 8), bool), "one shape"),
        (np.zeros((8, 8, 1), np.float32), np.zeros((8, 8), np.float32), "bool or uint8"),
    ],
)
def test_wrong_arrays(image, mask, message):
    """Other types, shapes or values are refused."""
    with pytest.raises(HemokitError, match=message):
        augment_pair(image, mask, STANDARD, key=KEY)


@pytest.mark.parametrize(
    "key", [(0, "a"), (0, 0, 5), (-1, 0, "a"), (0, 0.5, "a"), 7, (0, 0, "a", 1, 2), (0, 0, "a", -1)]
)
def test_wrong_keys(key):
    """A key is two or three whole numbers and the id of a slice."""
    with pytest.raises(HemokitError, match="the key is"):
        augment_pair(*picture(), STANDARD, key=key)


@pytest.mark.parametrize(
    "changes",
    [
        {"flip": 2}, {"flip": True}, {"rotation_degrees": -5}, {"zoom": (1.5, 0.8)}, {"zoom": (0.0, 1.0)},
        {"zoom": 0.1}, {"zoom": (0.9, 1.0, 1.1)}, {"brightness": (-1, 1)}, {"elastic_alpha": 20},
        {"elastic_sigma": 0}, {"noise": math.nan},
        {"shift": "a"},
    ],
)  # fmt: skip
def test_wrong_settings(changes):
    """A setting that means nothing is named."""
    with pytest.raises(HemokitError, match=next(iter(changes))):
        augment_pair(*picture(), STANDARD._replace(**changes), key=KEY)


def test_no_setting():
    """What is no Augmentation is refused with the names that there are; lists in it too."""
    with pytest.raises(HemokitError, match="pairs as tuples"):
        augment_pair(*picture(), STANDARD._replace(zoom=[0.9, 1.1]), key=KEY)
    with pytest.raises(HemokitError, match="NONE, STANDARD, RENYARD"):
        augment_pair(*picture(), "renyard", key=KEY)
