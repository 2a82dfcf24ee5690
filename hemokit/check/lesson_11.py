"""The exercises of lesson 11."""

import numpy as np

from hemokit.check import Exercise, differs
from hemokit.labels import LABELS, SUBTYPES

_SIZES = (((3, 5), (12, 10)), ((5, 3), (10, 12)), ((4, 4), (16, 16)))  # cells and pixels: some cells are not square


def _heat(features, gradient):
    return np.maximum(features @ gradient.mean(axis=(0, 1)), 0)


def _hits(heats, masks):
    flat = heats.reshape(len(heats), -1)
    on_mask = masks.reshape(len(masks), -1)[np.arange(len(flat)), flat.argmax(axis=1)]
    return on_mask & (flat.max(axis=1) > 0)


def map_of(features, gradients, label, shape):
    weights = gradients[LABELS.index(label)].mean(axis=(0, 1))
    heat = np.maximum(features @ weights, 0)
    height, width = shape[0] // heat.shape[0], shape[1] // heat.shape[1]
    return np.kron(heat, np.ones((height, width)))


def broken_map_of(features, gradients, label, shape):
    weights = gradients[SUBTYPES.index(label)].mean(axis=(0, 1))
    heat = np.maximum(features @ weights, 0)
    height, width = shape[1] // heat.shape[1], shape[0] // heat.shape[0]
    return np.kron(heat, np.ones((height, width)))


def _judge_map_of(answer):
    rng = np.random.default_rng(0)
    for cells, shape in _SIZES:
        features = rng.random((*cells, 6))
        gradients = rng.normal(size=(len(LABELS), *features.shape))
        gradients -= gradients.mean(axis=(1, 2), keepdims=True) - rng.normal(size=(len(LABELS), 1, 1, 6))
        for label in reversed(LABELS):  # subtypes first: of "any" a wrong list knows nothing
            expected = map_of(features, gradients, label, shape)
            found = _mapped_badly(answer(features.copy(), gradients.copy(), label, shape), expected)
            if found:
                return (
                    f"for {cells[0]} x {cells[1]} cells, an image of {shape[0]} x {shape[1]} and the label {label!r} "
                    f"{found}"
                )
    return None


def _mapped_badly(got, expected):
    """None, or what is wrong with an enlarged map; how it is enlarged, and to what maximum, is left to the learner."""
    got = np.asarray(got)
    if got.shape != expected.shape:
        return f"the map has shape {got.shape}, but shape {expected.shape} is wanted"
    if got.dtype.kind != "f" or not np.isfinite(got).all() or got.min() < 0:
        return "the map has values that are no evidence: it should hold finite numbers from 0 on"
    if not got.any() or not expected.any():
        return None if got.any() == expected.any() else "a map is empty that should not be, or the other way round"
    if got.min() == got.max() or np.corrcoef(got.ravel(), expected.ravel())[0, 1] < 0.8:
        return "the evidence lies elsewhere. Whose gradient is it?"
    return None


q11_1 = Exercise(
    "q11_1",
    judge=lambda answer, *given: differs(answer, _heat(*given), "the map", tolerance=1e-4),
    reference=lambda features, gradient: _heat(features, gradient),
    clue="gradient.mean(axis=(0, 1)) has one number a feature; features @ numbers weighs and sums in one step.",
    code="""weights = gradient.mean(axis=(0, 1))  # one a feature
heat = np.maximum(features @ weights, 0)""",
)

q11_2 = Exercise(
    "q11_2",
    judge=lambda answer, *given: differs(answer, _hits(*given), "the array of hits"),
    reference=lambda heats, masks: _hits(heats, masks),
    clue="Make each map one row, ask argmax where its maximum lies, and look there in the rows of the masks. And a "
    "map of zeros?",
    code="""flat = heats.reshape(len(heats), -1)
places = flat.argmax(axis=1)
on_mask = truth.reshape(len(truth), -1)[np.arange(len(flat)), places]
hits = on_mask & (flat.max(axis=1) > 0)""",
)

q11_3 = Exercise(
    "q11_3",
    judge=_judge_map_of,
    reference=lambda: map_of,
    clue="The model has six outputs, in the order of LABELS. And rows go with rows: try an image that is not square.",
    code=map_of,
    stub=broken_map_of,
)
