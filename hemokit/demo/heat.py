"""What the model looked at: Grad-CAM where the Keras model is at hand, else a map of occlusions.

Grad-CAM needs gradients, which LiteRT and ONNX Runtime do not give. Hiding the slice patch by patch needs none: where
the mask loses most of its probability, the model had looked (Zeiler and Fergus 2014, Visualizing and Understanding
Convolutional Networks, section 4.2). A patch is hidden by a blur, not by one gray: gray on air looks like a finding
(Fong and Vedaldi 2017, Interpretable Explanations of Black Boxes). The page names which of the two it shows.
"""

import cv2
import numpy as np

from hemokit.apply.squares import from_square
from hemokit.apply.windowing import images_of
from hemokit.demo.answers import check
from hemokit.demo.steps import in_steps

PATCHES = 12  # along each side
UNSEEN = 0.02  # a patch that a blur changes by less, such as air, is left as it is
BLUR = 1 / 12  # of the side: the standard deviation that hides a patch
LEAST = 0.01  # part of the score that must be lost somewhere, else there is no map


def heat_map(model, upload, number):
    """Where the model looked in one slice.

    Args:
        model: `models.Model`; its `gradcam`, a function image -> (size, size), is used where there is one.
        upload: `apply.inputs.Scan`.
        number: of the slice, from 0.

    Returns:
        uint16 (height, width) in thousandths, the highest 1000; zeros where nothing speaks for a hemorrhage.
    """
    check(model, upload)
    image = images_of(upload, model.windows, model.image_size, [number])[0]
    heat = occlusions(model, image) if model.gradcam is None else model.gradcam(image)
    return in_steps(np.clip(from_square(heat.astype(np.float32), upload.values.shape[1:]), 0, 1))


def occlusions(model, image, *, patches=PATCHES):
    """How much of the score is lost when a patch is blurred.

    Args:
        model: anything with `probabilities` and `threshold`.
        image: float32 (size, size, channels) in [0, 1].
        patches: along each side; each is hidden with half of its neighbors.

    Returns:
        float32 (size, size) in [0, 1], the highest 1; zeros where there is no mask, or hardly anything is lost. The
        score is the probability within the mask that the whole slice gives, or the highest output.
    """
    size, reach = len(image), len(image) / patches
    found = model.probabilities(image[np.newaxis])[0]
    score = _score_of(found, model.threshold)
    if score is None:
        return np.zeros((size, size), np.float32)
    hidden = cv2.GaussianBlur(image, (0, 0), BLUR * size).reshape(image.shape)
    lost = np.zeros((patches, patches), np.float32)
    places = {
        (row, column): (_around(row, reach, size), _around(column, reach, size))
        for row, column in np.ndindex(patches, patches)
    }
    worth = [key for key, place in places.items() if np.abs(image[place] - hidden[place]).max() > UNSEEN]
    for first in range(0, len(worth), patches):
        keys = worth[first : first + patches]
        images = np.repeat(image[np.newaxis], len(keys), axis=0)
        for one, key in zip(images, keys, strict=True):
            one[places[key]] = hidden[places[key]]
        for key, one in zip(keys, model.probabilities(images), strict=True):
            lost[key] = score(found) - score(one)
    if lost.max() <= LEAST * score(found):
        return np.zeros((size, size), np.float32)
    heat = cv2.resize(np.maximum(lost, 0), (size, size), interpolation=cv2.INTER_LINEAR)
    return heat / heat.max()


def _around(number, reach, size):
    """A patch and half of each neighbor."""
    return slice(max(0, round((number - 0.5) * reach)), min(size, round((number + 1.5) * reach)))


def _score_of(found, threshold):
    """A function from an output to one number; None where there is no mask."""
    if found.ndim == 1:
        highest = int(found.argmax())
        return lambda output: float(output[highest])
    mask = found[..., 0] >= threshold
    return (lambda output: float(output[..., 0][mask].sum())) if mask.any() else None
