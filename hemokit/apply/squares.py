"""From a slice to the square that a model sees, and from its map back to the slice: the geometry of the training.

As `slice_cache.prepare_slice` does it: black on both sides until it is square, then resized. Areas are averaged where
it shrinks, values interpolated (bilinear) where it grows; back the same way.
"""

import cv2
import numpy as np


def to_square(image, size):
    """Bring a slice to the square of a model.

    Args:
        image: float32 (height, width, channels).
        size: height and width of the square.

    Returns:
        float32 (size, size, channels).
    """
    height, width, channels = image.shape
    side, above, left = _place(height, width)
    square = np.zeros((side, side, channels), np.float32)
    square[above : above + height, left : left + width] = image
    return np.stack([_resized(one, size) for one in np.moveaxis(square, -1, 0)], axis=-1)


def from_square(heights, shape):
    """Bring a map of the square back to the slice; the added sides are cut off.

    Args:
        heights: float32 (size, size).
        shape: (height, width) of the slice.

    Returns:
        float32 of that shape.
    """
    side, above, left = _place(*shape)
    return _resized(heights, side)[above : above + shape[0], left : left + shape[1]]


def _place(height, width):
    side = max(height, width)
    return side, (side - height) // 2, (side - width) // 2


def _resized(values, size):
    if len(values) == size:
        return values
    how = cv2.INTER_AREA if size < len(values) else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(values), (size, size), interpolation=how)
