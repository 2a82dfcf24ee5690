"""Which layers of a model, and of the models inside of it, `gradcam` can look at."""

from typing import NamedTuple

import keras
import numpy as np

from hemokit.checks import problem


class Place(NamedTuple):
    """A layer whose output has positions.

    Attributes:
        owner: the model that holds the layer: the one looked at, or one inside of it.
        layer: the layer.
        shape: of its output: (None, positions..., features); sizes may be None.
    """

    owner: keras.Model
    layer: keras.layers.Layer
    shape: tuple


def places_of(model):
    """Every place on the way from the input to the output of a model, from the input on.

    Returns:
        list of `Place`. A layer that is used several times is none, for it has no features of its own; nor is one
        inside of a model that is called several times.

    Raises:
        HemokitError: no functional or sequential model of one input and one output, or no layer with positions.
    """
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if not isinstance(model, keras.Model) or len(inputs) != 1 or len(outputs) != 1:
        came = f"{getattr(model, 'name', model)!r} has {len(inputs)} inputs and {len(outputs)} outputs"
        raise problem(came, "a Keras model of one input and one output", "Build it from keras.Input to one output.")
    found = _walk(model, outputs, len(inputs[0].shape))
    if not found:
        raise problem(f"no layer of {model.name!r} has positions", "a convolutional network", "Choose another model.")
    return found


def place_named(places, name, *, is_classifier):
    """The place of a name; for None the last one of a classifier, and else the last of the fewest positions.

    Raises:
        HemokitError: no such place, or several in models inside of each other.
    """
    if name is not None:
        named = [place for place in places if place.layer.name == name]
        if len(named) == 1:
            return named[0]
        came = f"layer is {name!r}, " + (f"which {len(named)} models have" if named else "which is none of them")
        expected = f"a layer with positions on the way to the output, such as {places[-1].layer.name!r}"
        raise problem(came, expected, "gradcam.spatial_layers(model) lists them.")
    if is_classifier:
        return places[-1]
    fewest = min(np.prod(place.shape[1:-1]) for place in places)
    return [place for place in places if np.prod(place.shape[1:-1]) == fewest][-1]


def output_layer(model):
    """The layer or operation that gives the output, inside of nested models too."""
    history = model.outputs[0]._keras_history
    while _is_graph(history.operation):
        history = history.operation.outputs[history.tensor_index]._keras_history
    return history.operation


def _walk(model, outputs, rank):
    """The places of a model that some of its outputs depend on, in the order of its layers."""
    tensors, found = _behind(outputs), []
    for layer in model.layers:
        own = tensors.get(id(layer), ())
        if _is_graph(layer):
            calls = {one._keras_history.node_index for one in own}
            if len(calls) == 1:
                found += _walk(layer, [layer.outputs[one._keras_history.tensor_index] for one in own], rank)
        elif len(own) == 1 and len(own[0].shape) == rank and not isinstance(layer, keras.layers.InputLayer):
            found.append(Place(model, layer, tuple(own[0].shape)))
    return found


def _is_graph(layer):
    """Whether a layer is a model whose own layers can be seen; a subclass of keras.Model is one layer."""
    return isinstance(layer, keras.Model) and bool(getattr(layer, "outputs", None))


def _behind(outputs):
    """All symbolic tensors that some depend on: {id of the layer that gives them: [tensor, ...]}."""
    todo, seen, found = list(outputs), set(), {}
    while todo:
        tensor = todo.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            operation, node, _ = tensor._keras_history
            found.setdefault(id(operation), []).append(tensor)
            todo += operation._inbound_nodes[node].input_tensors
    return found
