"""What the model looked at: Grad-CAM where the Keras model is at hand, else a map of occlusions.

Grad-CAM needs gradients, which LiteRT and ONNX Runtime do not give. Covering the slice patch by patch needs none: where
the score falls most, the model had looked (Zeiler and Fergus 2014, Visualizing and Understanding Convolutional
Networks, section 4.2). The page names which of the two it shows.
"""

import numpy as np

from hemokit.demo.answers import images_of
from hemokit.demo.squares import from_square, in_steps

PATCHES = 12  # along each side
TOP = 100  # the score of a map is the mean of its highest 1 %, as in `predictions`


def heat_map(model, upload, number):
    """Where the model looked in one slice.

    Args:
        model: `models.Model`; its `gradcam`, a function image -> (size, size), is used where there is one.
        upload: `uploads.Upload`.
        number: of the slice, from 0.

    Returns:
        uint16 (height, width) in thousandths, the highest 1000; zeros where nothing speaks for a hemorrhage.
    """
    image = images_of(model, upload, [number])[0]
    heat = occlusions(model, image) if model.gradcam is None else model.gradcam(image)
    return in_steps(np.clip(from_square(heat.astype(np.float32), upload.values.shape[1:]), 0, 1))


def occlusions(model, image, *, patches=PATCHES):
    """How much the score falls when a patch is covered with the mean gray of the head.

    Args:
        model: anything with `probabilities`.
        image: float32 (size, size, channels) in [0, 1].
        patches: along each side; each is twice as wide as their distance.

    Returns:
        float32 (size, size) in [0, 1], the highest 1; zeros where the score falls nowhere.
    """
    size = len(image)
    head = image[image.max(axis=-1) > 0]
    gray = head.mean(axis=0) if len(head) else np.zeros(image.shape[-1], np.float32)
    starts = np.linspace(0, size, patches + 1).round().astype(int)
    centers = [(row, column) for row in range(patches) for column in range(patches)]
    whole = _scores(model, image[np.newaxis])[0]
    heat, counted = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    for first in range(0, len(centers), 2 * patches):
        covered = [(_reach(starts, row), _reach(starts, column)) for row, column in centers[first : first + 2 * patches]]
        images = np.repeat(image[np.newaxis], len(covered), axis=0)
        for one, place in zip(images, covered, strict=True):
            one[place] = gray
        for place, score in zip(covered, _scores(model, images), strict=True):
            heat[place] += max(0.0, whole - score)
            counted[place] += 1
    heat /= counted
    return heat / heat.max() if heat.max() > 1e-4 else np.zeros_like(heat)


def _reach(starts, number):
    """A patch and half of each neighbor."""
    half = (starts[number + 1] - starts[number]) // 2
    return slice(max(0, starts[number] - half), starts[number + 1] + half)


def _scores(model, images):
    """One number an image: the mean of the highest 1 % of the map, or the highest output."""
    found = model.probabilities(images)
    if found.ndim == 2:
        return found.max(axis=1)
    pixels = np.sort(found[..., 0].reshape(len(found), -1), axis=1)
    return pixels[:, -max(1, pixels.shape[1] // TOP) :].mean(axis=1)
