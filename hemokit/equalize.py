"""Contrast by histogram: equalization, then a stretch between two percentiles, as the two-branch paper prepares slices.

Both change what a gray value means from slice to slice: after them a value is a rank within its slice and no longer a
density. Use them on images for a network, never before anything that is measured in Hounsfield units.
"""

from numbers import Real

import numpy as np

from hemokit.checks import problem

PERCENTILES = (2, 98)  # of the two-branch paper


def equalize_and_stretch(image, *, percentiles=PERCENTILES):
    """The preprocessing of the two-branch paper: `equalize`, then `stretch` to percentiles 2 to 98.

    Arguments, result and errors are those of the two.
    """
    return stretch(equalize(image), percentiles=percentiles)


PREPARATIONS = {"equalize_and_stretch": equalize_and_stretch}  # what `batches.SliceBatches` can do to each image


def equalize(image):
    """Spread the gray values of an image so that each range of values holds about as many pixels.

    A value becomes the share of pixels that are not brighter, counted from the darkest value: (c - c0) / (n - c0) with
    c the pixels up to it, c0 those of the darkest value and n all. Each value that occurs is counted by itself, so
    images of 8 bit (divided by 255) come out as by OpenCV's equalizeHist, but for its rounding to 8 bit.

    Args:
        image: float (height, width) or (height, width, channels) in [0, 1]; each channel is one by itself.

    Returns:
        float32 of the same shape in [0, 1]; the darkest value becomes 0 and the brightest 1. A constant channel has
        nothing to spread and stays as it is; an empty image gives an empty one.

    Raises:
        HemokitError: whole numbers, NaN or infinite values, values outside of [0, 1], another rank.
    """
    return _by_channel(_equalized, _checked(image))


def stretch(image, *, percentiles=PERCENTILES):
    """Make the values between two percentiles of an image fill the range from 0 to 1.

    Args:
        image: as `equalize`; each channel is one by itself.
        percentiles: (low, high) with 0 <= low < high <= 100, as `numpy.percentile` (linear) takes them.

    Returns:
        float32 of the same shape in [0, 1]: 0 up to the low percentile, 1 from the high one, linear between. A channel
        in which both are the same value (a constant one, or a speck on black) has no range and stays as it is; an
        empty image gives an empty one.

    Raises:
        HemokitError: as `equalize`; percentiles that are no such two numbers.
    """
    low, high = _check_percentiles(percentiles)

    def stretched(channel):
        dark, bright = np.percentile(channel, (low, high))
        return np.clip((channel - dark) / (bright - dark), 0, 1) if bright > dark else channel

    return _by_channel(stretched, _checked(image))


def _equalized(channel):
    _, level, counts = np.unique(channel, return_inverse=True, return_counts=True)
    if len(counts) == 1:
        return channel
    up_to = np.cumsum(counts)
    return ((up_to - counts[0]) / (channel.size - counts[0]))[level].reshape(channel.shape)


def _by_channel(change, image):
    """A float32 image, each channel of which went through a function by itself."""
    if not image.size:
        return image.astype(np.float32)
    if image.ndim == 2:
        return change(image).astype(np.float32)
    channels = [change(image[..., number]) for number in range(image.shape[-1])]
    return np.stack(channels, axis=-1).astype(np.float32)


def _checked(image):
    """The image as an array; HemokitError unless it is one with values in [0, 1]."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.dtype.kind != "f":
        came = f"an array of the shape {image.shape}, {image.dtype}"
        remedy = "Read it by datasets.read_image, or divide 8-bit values by 255."
        raise problem(came, "floats in [0, 1], (height, width) or (height, width, channels)", remedy)
    if image.size and not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        strange = int((~np.isfinite(image)).sum())
        finite = image[np.isfinite(image)]
        values = f"values from {finite.min():g} to {finite.max():g}" if finite.size else "values"
        came = values + (f", {strange} of them NaN or infinite" if strange else "")
        raise problem(came, "finite values in [0, 1]", "Show Hounsfield units through a window first.")
    return image


def _check_percentiles(percentiles):
    given = percentiles if isinstance(percentiles, tuple | list) and len(percentiles) == 2 else ()
    if not given or not all(isinstance(one, Real) for one in given) or not 0 <= given[0] < given[1] <= 100:
        raise problem(f"percentiles is {percentiles!r}", "(low, high) from 0 to 100", "The paper's are (2, 98).")
    return given
