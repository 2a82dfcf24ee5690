"""From a slice to the square that a model sees, and from its map back to the slice: the geometry of the training.

As `slice_cache.prepare_slice` does it: black on both sides until it is square, areas averaged where it shrinks.
"""

import cv2
import numpy as np

STEPS = 1000  # maps are sent in thousandths, rounded down: then `probability >= threshold` is exact for these


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
    if side == size:
        return square
    how = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(one, (size, size), interpolation=how) for one in np.moveaxis(square, -1, 0)], axis=-1)


def from_square(heights, shape):
    """Bring a map of the square back to the slice: bilinear, the added sides cut off.

    Args:
        heights: float32 (size, size).
        shape: (height, width) of the slice.

    Returns:
        float32 of that shape.
    """
    side, above, left = _place(*shape)
    whole = heights if side == len(heights) else cv2.resize(heights, (side, side), interpolation=cv2.INTER_LINEAR)
    return whole[above : above + shape[0], left : left + shape[1]]


def in_steps(probability):
    """A map in [0, 1] as uint16 thousandths, rounded down: step >= k where, and only where, probability >= k/1000."""
    edges = np.arange(1, STEPS + 1, dtype=np.float32) / np.float32(STEPS)
    steps = np.minimum(np.floor(probability * np.float32(STEPS)), STEPS - 1).astype(np.int32)
    steps += probability >= edges[steps]  # a product that was rounded down, though the step is reached
    below = np.where(steps > 0, edges[np.maximum(steps, 1) - 1], np.float32(0))
    return (steps - (probability < below)).astype(np.uint16)


def _place(height, width):
    side = max(height, width)
    return side, (side - height) // 2, (side - width) // 2
