"""The heat map of Grad-CAM.

For a layer with feature maps A_k and a label with the logit y: weight_k is the mean over all positions of dy/dA_k, and
the map is ReLU(sum_k weight_k A_k), enlarged to the image and divided by its maximum.
(Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization. For models
with an output per position, y is the sum over all: Vinogradova et al. 2020, Towards Interpretable Semantic
Segmentation via Gradient-weighted Class Activation Mapping.)
"""

import numbers

import keras
import numpy as np

from hemokit.checks import problem
from hemokit.gradcam.gradients import features_and_gradients, with_sizes
from hemokit.gradcam.layers import output_layer, place_named, places_of
from hemokit.labels import CLASSES, LABELS
from hemokit.models.backbones import field_of


def gradcam(model, image, *, label, layer=None, names=None):
    """Map the evidence of a model for one label over an image or a volume.

    Args:
        model: keras.Model of one input and one output: (batch, labels), or (batch, ..., labels) of a segmentation
            model, whose logits are summed over all positions. A sigmoid or softmax at the end is left out: the map
            is of the logit. It is left as it was.
        image: one sample without the batch, as the model was trained on: numbers (height, width, channels), or
            (slices, height, width, channels); a single channel may be left out.
        label: the number of the output, from 0; or its name, see `names`.
        layer: name of the layer whose features are looked at, also inside of a backbone ("conv5_block3_out"); see
            `spatial_layers`. None is the last one with positions of a classifier, and of a segmentation model the
            last with the fewest positions, the end of the bottleneck.
        names: what the outputs mean, one name each, as `SliceBatches.names`. None takes six sigmoids for
            `labels.LABELS` and a softmax over seven for `labels.CLASSES`; other outputs then have numbers alone, for
            their count does not tell which classes they are.

    Returns:
        float32 (height, width) or (slices, height, width) in [0, 1], the maximum 1; all zeros where nothing in the
        layer speaks for the label.

    Raises:
        HemokitError: a model of several inputs or outputs, an image of another shape or with values that are not
            finite, a label that is none, names that are not one for each output, a layer that has no positions or that
            the output does not depend on, a gradient that is not finite, a backend other than TensorFlow, JAX and
            PyTorch.

    Source:
        Selvaraju et al. 2017, Grad-CAM; see the top of this module.
    """
    image = np.asarray(image)
    return gradcam_batch(model, image[None] if image.ndim else image, label=label, layer=layer, names=names)[0]


def gradcam_batch(model, images, *, label, layer=None, names=None):
    """The maps of several images by one gradient, which takes a fraction of the time that each by itself does.

    Args:
        model, label, layer, names: as `gradcam`; what the model says of an image must not depend on the others.
        images: an array (images, ...) of what `gradcam` takes. All are held in memory with the layer's features.

    Returns:
        float32 (images, height, width) or (images, slices, height, width), each map as `gradcam` gives it.

    Raises:
        HemokitError: as `gradcam`.
    """
    places = places_of(model)
    batch, number = _checked_batch(model, images), _label_number(model, label, names)
    place = place_named(with_sizes(model, batch, places), layer, is_classifier=len(model.outputs[0].shape) == 2)
    features, gradients = features_and_gradients(model, batch, place, number)
    weights = gradients.mean(axis=tuple(range(1, gradients.ndim - 1)))  # (images, features)
    weights = weights.reshape(len(weights), *(1,) * (features.ndim - 3), -1, 1)
    evidence = np.maximum((features @ weights)[..., 0], 0)  # (images, positions...)
    if not np.isfinite(evidence).all():
        came = f"features or gradients of layer {place.layer.name!r} for label {label!r} are not finite"
        raise problem(came, "finite numbers", "Look at the model's weights: did its training diverge?")
    heats = np.stack([_over_image(one, batch.shape[1:-1], place) for one in evidence])
    highest = heats.max(axis=tuple(range(1, heats.ndim)), keepdims=True)
    return np.divide(heats, highest, out=heats, where=highest > 0)


def spatial_layers(model):
    """The names of the layers that `gradcam` can look at, those inside of a backbone too, from the input on.

    Raises:
        HemokitError: a model of several inputs or outputs, or without such a layer.
    """
    return [place.layer.name for place in places_of(model)]


def _checked_batch(model, images):
    """The images as a float32 batch, as the model takes it."""
    wanted = tuple(model.inputs[0].shape[1:])
    try:
        images = np.asarray(images)
    except ValueError as error:  # images of several sizes in a list
        came, remedy = f"images that make no array ({error})", "Give images of one size."
        raise problem(came, f"an array of images of the shape {wanted}", remedy) from error
    if images.ndim == len(wanted) and wanted[-1] == 1 and images.shape[-1] != 1:
        images = images[..., None]
    sizes = images.shape[1:]
    fits = len(sizes) == len(wanted) and all(size in (None, own) for own, size in zip(sizes, wanted, strict=True))
    if not fits or not len(images) or images.dtype.kind not in "buif":
        came = f"{'an image' if images.ndim and len(images) else 'no image'} of the shape {sizes}, {images.dtype}"
        remedy = "Give one image as the model was trained on to gradcam, an array of such images to gradcam_batch."
        raise problem(came, f"numbers of the shape {wanted}", remedy)
    if not np.isfinite(images).all():
        raise problem("the image holds values that are not finite", "finite numbers", "Look at how it was read.")
    return images.astype(np.float32)


def _label_number(model, label, names):
    """The number of the output for a label."""
    count = model.outputs[0].shape[-1]
    names = _names_by_count(model, count) if names is None else _checked_names(names, count)
    if isinstance(label, str) and label in names:
        return names.index(label)
    is_number = isinstance(label, numbers.Integral) and not isinstance(label, bool)
    if is_number and 0 <= label < count:
        return int(label)
    expected = f"a number from 0 to {count - 1}" + (f", or one of {', '.join(names)}" if names else "")
    remedy = "Name one output of the model." if names else "Pass a number, or what the outputs mean as names=(...)."
    raise problem(f"label is {label!r}", expected, remedy)


def _checked_names(names, count):
    """The names of the outputs as a tuple; HemokitError unless there is one for each."""
    given = tuple(names) if isinstance(names, tuple | list) else ()
    are_names = all(isinstance(name, str) for name in given) and len(set(given)) == len(given)
    if len(given) != count or not are_names:
        expected = f"{count} different names, one for each output"
        raise problem(f"names is {names!r}", expected, "Pass those of the batches that the model was trained on.")
    return given


def _names_by_count(model, count):
    """The names of outputs whose number and last activation leave one meaning alone; () for all others."""
    activation = getattr(output_layer(model), "activation", None)
    if activation is keras.activations.sigmoid and count == len(LABELS):
        return LABELS
    return CLASSES if activation is keras.activations.softmax and count == len(CLASSES) else ()


def _over_image(evidence, sizes, place):
    """The map of a layer, enlarged linearly and cut to the image; float32 of the sizes of the image."""
    from scipy import ndimage

    cells = []  # where the middle of each pixel lies, counted in cells of the layer from the middle of its first
    for count, size in zip(evidence.shape, sizes, strict=True):
        first, length = field_of(place.owner, place.layer.name, count, size)
        cells.append((np.arange(size) + 0.5 - first) * count / length - 0.5)
    grid = np.meshgrid(*cells, indexing="ij")
    return ndimage.map_coordinates(evidence.astype(np.float32), grid, order=1, mode="nearest")
