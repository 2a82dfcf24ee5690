"""Random changes of an image and its mask, together: one warp for all geometry, brightness on the image alone.

    image, mask = augment_pair(image, mask, RENYARD, key=(seed, epoch, slice_id))

Flip, zoom, shear, rotation, shift and elastic deformation compose into one sampling grid, and each array is sampled
once: the image bilinearly, the mask at the nearest pixel, so that no label is made up and nothing is blurred twice.
What is drawn depends on the key alone, never on the order of calls, on threads or on processes.
"""

import hashlib
import math
import operator
from functools import lru_cache
from numbers import Real
from typing import NamedTuple

import cv2
import numpy as np

from hemokit.checks import check_same_shape, problem

HALF_FROM = 2.0  # pixels: elastic fields at least this smooth are drawn on every second pixel
_MAX_CHANNELS = 4  # that cv2.remap takes at once


class Augmentation(NamedTuple):
    """How much each change may do; all are drawn uniformly, and the defaults change nothing.

    Pixels are of the array that is given, so blur and elastic deformation mean more in a small image.
    """

    flip: float = 0.0  # probability that left and right change places
    rotation_degrees: float = 0.0  # from minus to plus this
    shear_degrees: float = 0.0  # the columns lean by minus to plus this
    zoom: tuple = (1.0, 1.0)  # low, high: one factor for both axes; above 1 the head gets larger
    shift: float = 0.0  # minus to plus this part of the height and of the width, each by itself
    elastic_alpha: tuple = (0.0, 0.0)  # low, high: factor of the smoothed noise in pixels (Simard et al. 2003)
    elastic_sigma: float = 3.0  # of the Gaussian that smooths it, in pixels
    brightness: tuple = (1.0, 1.0)  # low, high: the image is multiplied by this
    brightness_offset: float = 0.0  # minus to plus this is added
    blur: float = 0.0  # Gaussian blur with a sigma up to this, in pixels
    noise: float = 0.0  # standard deviation up to this


NONE = Augmentation()

# Ours: what differs between scanners and head holders, so that a model outlives a change of data set. The brightness
# hardly changes: Hounsfield units are absolute, and a few of them tell blood from brain.
STANDARD = Augmentation(
    flip=0.5, rotation_degrees=15, zoom=(0.9, 1.15), shift=0.05,
    brightness=(0.97, 1.03), brightness_offset=0.015, noise=0.01,
)  # fmt: skip

# renyard: the amounts are the paper's. Not said there, so chosen: shear and rotation to both sides, one zoom factor
# for both axes with values above 1 enlarging, elastic noise from -1 to 1, and black outside the frame.
RENYARD = Augmentation(
    flip=0.5, rotation_degrees=40, shear_degrees=4, zoom=(0.8, 1.5), brightness=(0.3, 1.8), elastic_alpha=(0.0, 20.0)
)  # fmt: skip

# twobranch: rotation 5, flip, zoom 0.1. Not said: which flip (taken as left-right), zoom 0.9 to 1.1.
TWOBRANCH = Augmentation(flip=0.5, rotation_degrees=5, zoom=(0.9, 1.1))

# fahim: the paper names flip, shift, rotation, scale and brightness, but no amounts: these are ours.
FAHIM = Augmentation(flip=0.5, rotation_degrees=20, zoom=(0.9, 1.1), shift=0.06, brightness=(0.9, 1.1))


def augment_pair(image, mask, augmentation, *, key):
    """Change an image and its mask in the same way.

    First comes the warp: what lies outside the frame is 0, in image and mask. Then, on the image alone: blur, the
    factor, the offset with the noise, and clipping to [0, 1], as a display does. Offset and noise leave pixels of
    exactly 0 and 1 as they are: a window has saturated them, or they lie outside the frame.

    Args:
        image: float32 array (height, width, channels) in [0, 1].
        mask: bool or uint8 array (height, width), or None.
        augmentation: an `Augmentation`, such as `STANDARD`.
        key: (seed, epoch, slice_id) or (seed, epoch, slice_id, copy): three whole numbers from 0 and a string.

    Returns:
        (image, mask): new arrays of the same shapes and types, the image in [0, 1]; mask is None if it was None.

    Raises:
        HemokitError: arrays of other types or shapes, an empty image, values outside [0, 1], a wrong key or setting.
    """
    _check_pair(image, mask)
    check_augmentation(augmentation)
    rng = random_of(key)
    flip, angle, shear, zoom, down, right, alpha, factor, offset, blur, noise = rng.random(11).tolist()  # fixed places
    angle, shear, right, down, offset = (2 * part - 1 for part in (angle, shear, right, down, offset))
    settings = augmentation
    if settings[:6] == NONE[:6]:  # no geometry
        image, mask = image.copy(order="C"), None if mask is None else mask.copy()
    else:
        affine = affine_of(
            image.shape, flip=flip < settings.flip, angle=settings.rotation_degrees * angle,
            shear=settings.shear_degrees * shear, zoom=_between(settings.zoom, zoom),
            shift_xy=(settings.shift * right * image.shape[1], settings.shift * down * image.shape[0]),
        )  # fmt: skip
        alpha = _between(settings.elastic_alpha, alpha)
        places = sampling_grid(image.shape[:2], affine, alpha=alpha, sigma=settings.elastic_sigma, rng=rng)
        image, mask = warp_pair(image, mask, places)
    _change_brightness(
        image, rng, factor=_between(settings.brightness, factor), offset=settings.brightness_offset * offset,
        blur=settings.blur * blur, noise=settings.noise * noise,
    )  # fmt: skip
    return image, mask


def random_of(key):
    """A generator of random numbers for one key: a hash of the key (BLAKE2b) is its first state."""
    try:
        seed, epoch, slice_id, *copy = key
        numbers = [operator.index(number) for number in (seed, epoch, *(copy or (0,)))]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 3 or min(numbers) < 0 or not isinstance(slice_id, str):
        raise problem(f"the key is {key!r}", "(seed, epoch, slice_id) or (seed, epoch, slice_id, copy)", "Give both.")
    text = "{} {} {} ".format(*numbers) + slice_id
    return np.random.Generator(np.random.SFC64(_Hash(text.encode())))


class _Hash(np.random.bit_generator.ISeedSequence):
    """The seeds of a generator from a text; NumPy's own SeedSequence takes numbers, and several times as long."""

    def __init__(self, text):
        self.text = text

    def generate_state(self, n_words, dtype=np.uint32):
        size = n_words * np.dtype(dtype).itemsize  # SFC64 asks for 24 bytes; a digest has up to 64
        return np.frombuffer(hashlib.blake2b(self.text, digest_size=size).digest(), dtype)


def affine_of(shape, *, flip=False, angle=0.0, shear=0.0, zoom=1.0, shift_xy=(0.0, 0.0)):
    """Where an output pixel comes from, without elastic deformation.

    The picture is flipped, enlarged, sheared and turned about its middle, then shifted; this is the inverse of it.

    Args:
        shape: (height, width, ...) in pixels.
        flip: left and right change places.
        angle: in degrees; positive turns the picture counterclockwise, as it is seen.
        shear: in degrees: a row moves to the right by its distance below the middle times tan(shear).
        zoom: factor; shift_xy: to the right and down, in pixels.

    Returns:
        float64 array (2, 3): source (x, y) = array[:, :2] @ output (x, y) + array[:, 2].
    """
    cosine, sine = math.cos(math.radians(angle)) / zoom, math.sin(math.radians(angle)) / zoom
    lean, side = math.tan(math.radians(shear)), -1 if flip else 1
    # Turn back and shrink, lean back, flip back: plain numbers, as this is done once an image.
    matrix = ((side * (cosine - lean * sine), -side * (sine + lean * cosine)), (sine, cosine))
    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    x, y = middle[0] + shift_xy[0], middle[1] + shift_xy[1]
    rows = zip(matrix, middle, strict=True)
    return np.array([(of_x, of_y, start - of_x * x - of_y * y) for (of_x, of_y), start in rows])


def sampling_grid(shape, affine, *, alpha=0.0, sigma=3.0, rng=None):
    """Where each output pixel comes from: elastic displacement first, then the affine map.

    The displacement in x and in y is uniform noise from -1 to 1, smoothed by a Gaussian, times alpha (Simard et al.
    2003, doi:10.1109/ICDAR.2003.1227801). A smooth field need not be drawn at every pixel: from sigma = `HALF_FROM`
    on, noise is drawn on every second one, smoothed there, and enlarged by `cv2.pyrUp`, which is itself a Gaussian of
    variance 1 and leaves straight lines straight. The variances add up to sigma**2, and the mean square is that of
    the full drawing. Noise in 256 steps will do: each displacement is a sum of dozens of values.

    Args:
        shape: (height, width).
        affine: as `affine_of`.
        alpha: in pixels; 0 draws nothing. Far from the rim the standard deviation of a displacement is about
            alpha / (2 * sigma * sqrt(3 * pi)).
        sigma: in pixels, above 0.
        rng: np.random.Generator; needed where alpha is not 0.

    Returns:
        float32 array (height, width, 2) of source places (x, y).
    """
    if not alpha:
        return cv2.transform(pixel_grid(*shape), affine)
    if sigma < HALF_FROM:
        grid = pixel_grid(*shape)
        noise = _smooth_noise(grid.shape, sigma, rng)
        return cv2.transform(cv2.scaleAdd(noise, alpha, grid, dst=noise), affine)
    grid = half_grid(*shape)
    # Every second pixel holds a quarter of the draws, so their mean is twice as restless: hence the half.
    noise = _smooth_noise(grid.shape, math.sqrt((sigma**2 - 1) / 4), rng)
    places = cv2.transform(cv2.scaleAdd(noise, alpha / 2, grid, dst=noise), affine)
    return cv2.pyrUp(places)[2 : 2 + shape[0], 2 : 2 + shape[1]]


@lru_cache(maxsize=8)
def pixel_grid(height, width):
    """The place (x, y) of every pixel: float32 (height, width, 2), not to be written to."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=-1).astype(np.float32)


@lru_cache(maxsize=8)
def half_grid(height, width):
    """The place of every second pixel, with one more on each side, as `cv2.pyrUp` needs them; else as `pixel_grid`."""
    return 2 * pixel_grid((height + 1) // 2 + 2, (width + 1) // 2 + 2) - 2


def _smooth_noise(shape, sigma, rng):
    """Uniform noise from -1 to 1 (in 256 steps), smoothed: float32. Raw bytes are the fastest noise there is."""
    count = math.prod(shape)
    raw = rng.bit_generator.random_raw(-(-count // 8)).view(np.uint8)[:count].reshape(shape)
    kernel = cv2.getGaussianKernel(2 * round(3 * sigma) + 1, sigma)
    return cv2.sepFilter2D(raw, cv2.CV_32F, kernel, kernel * (2 / 255), delta=-1).reshape(shape)


def warp_pair(image, mask, places):
    """Sample an image (bilinear) and a mask (nearest) at `places`, float32 (height, width, 2) of (x, y)."""
    groups = [image[..., first : first + _MAX_CHANNELS] for first in range(0, image.shape[2], _MAX_CHANNELS)]
    groups = [cv2.remap(np.ascontiguousarray(group), places, None, cv2.INTER_LINEAR) for group in groups]
    warped = groups[0] if len(groups) == 1 else cv2.merge([plane for group in groups for plane in cv2.split(group)])
    warped = warped.reshape(image.shape)
    if mask is None:
        return warped, None
    flat = mask.view(np.uint8) if mask.dtype == bool else mask
    return warped, cv2.remap(np.ascontiguousarray(flat), places, None, cv2.INTER_NEAREST).view(mask.dtype)


def check_augmentation(augmentation):
    """Return the `Augmentation`, or raise HemokitError where it means nothing."""
    try:
        return _checked(augmentation)
    except TypeError:  # of what cannot be hashed
        raise problem("the augmentation holds a list", "numbers, and pairs as tuples", "Write (low, high).") from None


@lru_cache(maxsize=64)
def _checked(augmentation):
    if not isinstance(augmentation, Augmentation):
        remedy = "Use one of NONE, STANDARD, RENYARD, TWOBRANCH, FAHIM, or one with STANDARD._replace(...)."
        raise problem(f"augmentation is {augmentation!r}", "an Augmentation", remedy)
    limits = {"flip": 1, "rotation_degrees": 180, "shear_degrees": 60, "shift": 1, "elastic_sigma": 1000}
    limits |= {"brightness_offset": 1, "blur": 100, "noise": 1}
    for name, high in limits.items():
        value = getattr(augmentation, name)
        low = 0.1 if name == "elastic_sigma" else 0
        if not _is_number(value) or not low <= value <= high:
            raise problem(f"{name} is {value!r}", f"a number from {low} to {high}", f"Choose another {name}.")
    for name, low in {"zoom": 0.05, "brightness": 0, "elastic_alpha": 0}.items():
        pair = getattr(augmentation, name)
        ok = isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_number, pair))
        if not ok or not low <= pair[0] <= pair[1] <= 1000:
            raise problem(f"{name} is {pair!r}", f"(low, high) with {low} <= low <= high", "Give two numbers in order.")
    return augmentation


def _check_pair(image, mask):
    if not isinstance(image, np.ndarray) or image.dtype != np.float32 or image.ndim != 3 or not image.size:
        came = f"the image is {getattr(image, 'dtype', type(image).__name__)} of shape {np.shape(image)}"
        raise problem(came, "float32 (height, width, channels), not empty", "Read it with datasets.read_image.")
    low, high = image.min(), image.max()
    if not (low >= 0 and high <= 1):  # nor NaN
        came = f"the image holds values from {low:g} to {high:g}"
        raise problem(came, "values in [0, 1]", "Apply a window to Hounsfield units first.")
    if mask is None:
        return
    if not isinstance(mask, np.ndarray) or mask.dtype not in (bool, np.uint8):
        came = f"the mask is {getattr(mask, 'dtype', type(mask).__name__)}"
        raise problem(came, "a bool or uint8 array", "Read it with datasets.read_mask.")
    check_same_shape(image[..., 0], mask, names=("the image", "the mask"))


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _between(pair, part):
    return pair[0] + (pair[1] - pair[0]) * part


def _change_brightness(image, rng, *, factor, offset, blur, noise):
    """Change an image in place, and leave it in [0, 1]."""
    flat = image.reshape(len(image), -1)  # OpenCV writes to it; both are C-contiguous
    if blur > 0.2:
        cv2.GaussianBlur(image, (0, 0), blur, dst=image)
    if offset or noise:
        inside = (image > 0) & (image < 1)
    if factor != 1:
        image *= np.float32(factor)
    if offset or noise:
        added = _grain(image.shape, noise, rng) if noise else np.zeros((), np.float32)
        image += (added + np.float32(offset)) * inside
        np.maximum(image, 0, out=image)
    cv2.threshold(flat, 1, 0, cv2.THRESH_TRUNC, dst=flat)  # the fastest clipping; also of what the warp rounded up


def _grain(shape, sigma, rng):
    """Noise of standard deviation `sigma`, a little smooth as in CT, the same in all channels."""
    kernel = cv2.getGaussianKernel(5, 0.7)
    scale = sigma * np.sqrt(3 * 255 / 257) / (kernel**2).sum()  # of 256 steps from -1 to 1, and of their smoothing
    return np.float32(scale) * _smooth_noise(shape[:2], 0.7, rng)[..., None]
