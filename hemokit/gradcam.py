"""Grad-CAM: where in the image the evidence of a classifier for one label lies.

For a layer with feature maps A_k and a label with the logit y: weight_k is the mean over all positions of dy/dA_k, and
the map is ReLU(sum_k weight_k A_k), enlarged to the image and divided by its maximum.
(Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization.)

It is a map of one layer's features, coarse and blurred, and says nothing about whether the label is right. Lesson 11
shows when it misleads.
"""

import contextlib

import keras
import numpy as np

from hemokit.checks import problem
from hemokit.labels import LABELS
from hemokit.models.backbones import field_of
from hemokit.models.shapes import are_counts


def gradcam(model, image, *, label, layer=None):
    """Map the evidence of a model for one label over an image or a volume.

    Args:
        model: keras.Model of one input with outputs (batch, labels), or (batch, ..., labels) of a segmentation model,
            whose logits are summed over all positions. A last sigmoid or softmax is left out: y is the logit.
        image: float array of one sample without the batch: (height, width, channels), or (slices, height, width,
            channels); a grey image may leave out its channel.
        label: the number of the output, from 0; or its name where the model has the six outputs of `labels.LABELS`.
        layer: name of the layer whose features are looked at, also inside of a backbone ("conv5_block3_out"); None
            is the last one whose output has positions: the deepest features of a classifier.

    Returns:
        float32 (height, width) or (slices, height, width) in [0, 1], the maximum 1; all zeros where nothing in the
        layer speaks for the label.

    Raises:
        HemokitError: an image of another shape or with values that are not finite, a label that is none, no such
            layer, a layer without positions, one that the output does not depend on, a backend other than TensorFlow,
            JAX or PyTorch.
    """
    batch = _one_batch(model, image)
    number = _label_number(model, label)
    owner, layer = _layer_named(model, layer)
    features, gradient = _features_and_gradient(model, batch, layer, number)
    axes = tuple(range(features.ndim - 1))
    evidence = np.maximum(features @ gradient.mean(axis=axes), 0)  # (positions)
    if not np.isfinite(evidence).all():
        remedy = "Look at the model's weights: did its training diverge?"
        raise problem(f"the gradient of label {label!r} is not finite", "finite numbers", remedy)
    heat = _over_image(evidence, batch.shape[1:-1], owner, layer)
    highest = heat.max(initial=0)
    return heat / highest if highest > 0 else heat


def spatial_layers(model):
    """The names of the layers that `gradcam` can look at, those inside of a backbone too, from input to output."""
    return [layer.name for _, layer in _layers_with_positions(model)]


def _features_and_gradient(model, batch, layer, number):
    """The features of one layer and the gradient of the logit with respect to them: float32 (positions, features).

    The layer's output is replaced by itself plus zeros, and the gradient is that of the zeros. So it counts every way
    from the layer to the output, however deep the layer lies inside of another model.
    """
    seen = []

    def score(zeros):
        with _added_to(layer, zeros, seen), _without_last_activation(model):
            outputs = model(keras.ops.convert_to_tensor(batch), training=False)
        return keras.ops.sum(keras.ops.cast(outputs, "float32")[..., number])

    with _added_to(layer, None, seen):
        model(keras.ops.convert_to_tensor(batch), training=False)
    if not seen:
        raise problem(f"the output does not come by the layer {layer.name!r}", "a layer on the way", "Choose another.")
    features = seen.pop()
    if len(features.shape) - 2 != batch.ndim - 2:
        came = f"layer {layer.name!r} gives features of the shape {tuple(features.shape)}"
        raise problem(came, "one with positions", f"Choose one such as {spatial_layers(model)[-1]!r}.")
    gradient = _gradient(score, keras.ops.zeros_like(features))
    return _numpy(features)[0], _numpy(gradient)[0]


def _gradient(score, at):
    """The gradient of a function of one tensor, on the backend in use."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            value = score(at)
        return tape.gradient(value, at)
    if backend == "jax":
        import jax

        return jax.grad(score)(at)
    if backend == "torch":
        import torch

        at = at.detach().requires_grad_()
        return torch.autograd.grad(score(at), at)[0]
    raise problem(f"the backend is {backend!r}", "tensorflow, jax or torch", "Set KERAS_BACKEND to one of them.")


@contextlib.contextmanager
def _added_to(layer, zeros, seen):
    """For a while, let a layer put its output into `seen` and add `zeros` to it."""
    call = layer.call

    def and_zeros(*args, **kwargs):
        outputs = call(*args, **kwargs)
        seen.append(outputs)
        return outputs if zeros is None else outputs + keras.ops.cast(zeros, outputs.dtype)

    layer.call = and_zeros
    try:
        yield
    finally:
        del layer.call


@contextlib.contextmanager
def _without_last_activation(model):
    """For a while, let the last layer give logits."""
    last = _output_layer(model)
    activation = getattr(last, "activation", None)
    if activation is None:
        yield
        return
    last.activation = keras.activations.linear
    try:
        yield
    finally:
        last.activation = activation


def _output_layer(model):
    """The layer that gives the output, inside of nested models too."""
    layer = model.outputs[0]._keras_history.operation
    return _output_layer(layer) if isinstance(layer, keras.Model) else layer


def _one_batch(model, image):
    """The image as a float32 batch of one, as the model takes it."""
    if len(model.inputs) != 1:
        raise problem(f"the model has {len(model.inputs)} inputs", "one image", "Build a model of one input.")
    wanted, image = model.inputs[0].shape[1:], np.asarray(image)
    if image.ndim == len(wanted) - 1 and wanted[-1] == 1:
        image = image[..., None]
    fits = image.ndim == len(wanted) and all(size in (None, own) for own, size in zip(image.shape, wanted, strict=True))
    if not fits or image.dtype.kind not in "buif":
        came = f"an image of the shape {image.shape}, {image.dtype}"
        raise problem(came, f"numbers of the shape {tuple(wanted)}", "Give one image as the model was trained on.")
    if not np.isfinite(image).all():
        raise problem("the image holds values that are not finite", "numbers in [0, 1]", "Look at how it was read.")
    return image[None].astype(np.float32)


def _label_number(model, label):
    """The number of the output for a label."""
    count = model.outputs[0].shape[-1]
    if isinstance(label, str) and count == len(LABELS) and label in LABELS:
        return LABELS.index(label)
    if are_counts([label + 1 if isinstance(label, int | np.integer) else label]) and label < count:
        return int(label)
    names = f", or one of {', '.join(LABELS)}" if count == len(LABELS) else ""
    raise problem(f"label is {label!r}", f"a number from 0 to {count - 1}{names}", "Name one output of the model.")


def _layer_named(model, name):
    """The model that holds a layer, and the layer; None is the one to look at by default."""
    found = _layers_with_positions(model)
    if not found:
        raise problem(f"no layer of {model.name!r} has positions", "a convolutional network", "Choose another model.")
    if name is not None:
        named = [pair for pair in found if pair[1].name == name]
        if not named:
            remedy = "gradcam.spatial_layers(model) lists them."
            raise problem(f"layer is {name!r}", f"one with positions, such as {found[-1][1].name!r}", remedy)
        return named[-1]
    if len(model.outputs[0].shape) == 2:
        return found[-1]
    fewest = min(np.prod(layer.output.shape[1:-1]) for _, layer in found)  # of a segmentation model: the bottleneck
    return [pair for pair in found if np.prod(pair[1].output.shape[1:-1]) == fewest][-1]


def _layers_with_positions(model):
    """Pairs (model that holds it, layer) of this model and those inside of it, in their order."""
    rank, found = len(model.inputs[0].shape), []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _layers_with_positions(layer)
        elif not isinstance(layer, keras.layers.InputLayer) and _rank(layer) == rank:
            found.append((model, layer))
    return found


def _rank(layer):
    """The number of axes of a layer's output; 0 where it has none or several."""
    try:
        return len(layer.output.shape)
    except (AttributeError, ValueError):
        return 0


def _over_image(evidence, sizes, owner, layer):
    """The map of a layer, enlarged linearly and cut to the image; float32 of the sizes of the image."""
    from scipy import ndimage

    fields = [field_of(owner, layer.name, size) for size in sizes]
    cells = []
    for (first, length), count, size in zip(fields, evidence.shape, sizes, strict=True):
        pixel = np.arange(size) + 0.5 - first
        cells.append(pixel * count / length - 0.5)
    grid = np.meshgrid(*cells, indexing="ij")
    return ndimage.map_coordinates(evidence.astype(np.float32), grid, order=1, mode="nearest")


def _numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
