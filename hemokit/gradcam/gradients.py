"""The features of one layer and the gradient of a score with respect to them, on TensorFlow, JAX and PyTorch.

The layer's output is replaced by itself plus zeros, and the gradient is that of the zeros. So it counts every way from
the layer to the output, however deep the layer lies inside of another model, and the model need not be built anew.
"""

import contextlib

import keras

from hemokit.checks import problem
from hemokit.gradcam.layers import output_layer

PROBABILITIES = (keras.activations.sigmoid, keras.activations.softmax, keras.ops.sigmoid, keras.ops.softmax)


def features_and_gradients(model, batch, place, label):
    """What a layer gives for each image of a batch, and how the logit of a label grows with it.

    Args:
        model: as `gradcam` takes it.
        batch: float32 (images, sizes..., channels).
        place: a `layers.Place` of known sizes.
        label: number of the output. The logits of an output with positions are summed over all of them.

    Returns:
        two float32 arrays (images, positions..., features).
    """

    def score(zeros):
        seen = []
        with _added_to(place.layer, zeros, seen), _without_last_activation(model):
            outputs = model(keras.ops.convert_to_tensor(batch), training=False)
        (outputs,) = keras.tree.flatten(outputs)  # one, though perhaps in a list or dict
        # The sum over images too: none of them depends on another, so each has the gradient of its own logit.
        return keras.ops.sum(keras.ops.cast(outputs, "float32")[..., label]), seen[0]

    zeros = keras.ops.zeros((len(batch), *place.shape[1:]), "float32")
    return tuple(_numpy(one) for one in _gradient(score, zeros))


def with_sizes(model, batch, places):
    """The same places with the sizes that they have for this batch."""
    if all(None not in place.shape[1:] for place in places):
        return places
    seen = [[] for _ in places]
    with contextlib.ExitStack() as stack:
        for place, outputs in zip(places, seen, strict=True):
            stack.enter_context(_added_to(place.layer, None, outputs))
        model(keras.ops.convert_to_tensor(batch), training=False)
    return [place._replace(shape=tuple(one.shape)) for place, (one,) in zip(places, seen, strict=True)]


def _gradient(score, at):
    """What a function gives beside its value, and the gradient of the value, at a tensor; on the backend in use."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(at)
            value, beside = score(at)
        return beside, tape.gradient(value, at, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    if backend == "jax":
        import jax

        return jax.grad(score, has_aux=True)(at)[::-1]
    if backend == "torch":
        import torch

        at = at.detach().requires_grad_()
        value, beside = score(at)
        return beside.detach(), torch.autograd.grad(value, at, allow_unused=True, materialize_grads=True)[0]
    raise problem(f"the backend is {backend!r}", "tensorflow, jax or torch", "Set KERAS_BACKEND to one of them.")


@contextlib.contextmanager
def _added_to(layer, zeros, seen):
    """For a while, let a layer put its output into `seen` and add `zeros` to it."""
    call = layer.call

    def and_zeros(*args, **kwargs):
        outputs = call(*args, **kwargs)
        seen.append(outputs)
        return outputs if zeros is None else outputs + keras.ops.cast(zeros, outputs.dtype)

    with _call_replaced(layer, and_zeros):
        yield


@contextlib.contextmanager
def _without_last_activation(model):
    """For a while, let the last layer give logits instead of the sigmoid or softmax of them."""
    last = output_layer(model)
    if type(last).__name__ in ("Sigmoid", "Softmax"):  # a layer of its own, or of keras.ops
        with _call_replaced(last, lambda inputs, *args, **kwargs: inputs):
            yield
        return
    activation = getattr(last, "activation", None)
    if activation in PROBABILITIES:
        last.activation = keras.activations.linear
    try:
        yield
    finally:
        if activation in PROBABILITIES:
            last.activation = activation


@contextlib.contextmanager
def _call_replaced(layer, call):
    layer.call = call
    try:
        yield
    finally:
        del layer.call  # that of its class shows again


def _numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
