"""The exercises of lesson 06."""

import numpy as np
from sklearn.metrics import balanced_accuracy_score

from hemokit.check import Exercise, differs


def train_and_judge(images, labels, parts, fit):
    train, validation, test = (parts == part for part in ("train", "validation", "test"))
    model = fit(images[train], labels[train], images[validation], labels[validation])
    return balanced_accuracy_score(labels[test], model(images[test]))


def broken_train_and_judge(images, labels, parts, fit):
    images = 2 * images - 1  # as Xception wants them
    train, test = parts == "train", parts == "test"
    model = fit(images[train], labels[train], images[test], labels[test])
    return (model(images[test]) == labels[test]).mean()


def _balanced_weights(counts):
    counts = np.asarray(counts)
    return counts.sum() / (len(counts) * counts)


def _drawn(seed):
    """Images of few pixels, labels of which one is rare, and parts of a split, each with both labels."""
    rng = np.random.default_rng(seed)
    images = rng.random((36, 7, 8, 1)).astype(np.float32)
    labels = (np.arange(36) % 4 == 0).astype(int)
    return images, labels, np.repeat(["train", "validation", "test"], [16, 8, 12])


def _judge_train(answer):
    for seed in (0, 1):
        images, labels, parts = _drawn(seed)
        calls, asked = [], []

        def fit(*given, calls=calls, asked=asked):
            calls.append(given)

            def model(x):
                asked.append(np.asarray(x))
                return (asked[-1].mean(axis=(1, 2, 3)) > 0.55).astype(int)

            return model

        score = answer(images.copy(), labels.copy(), parts.copy(), fit)
        found = _called_badly(calls, asked, images, labels, parts)
        if found:
            return found
        test = parts == "test"
        called = (images[test].mean(axis=(1, 2, 3)) > 0.55).astype(int)
        found = differs(score, balanced_accuracy_score(labels[test], called), "the balanced accuracy of the test rows")
        if found:
            return found
    return None


def _called_badly(calls, asked, images, labels, parts):
    """None, or what is wrong with the rows that `fit` and its model were given."""
    if len(calls) != 1 or len(calls[0]) != 4:
        return f"fit should be called once with four arrays; it was called {len(calls)} time(s)"
    train, validation, test = (parts == part for part in ("train", "validation", "test"))
    if any(np.min(x) < 0 or np.max(x) > 1 for x in (calls[0][0], calls[0][2], *asked)):
        return "the model is given values outside of 0 to 1, and it takes those from 0 to 1"
    wanted = (images[train], labels[train], images[validation], labels[validation])
    names = ("images to learn from", "labels to learn from", "images to choose by", "labels to choose by")
    for got, right, name in zip(calls[0], wanted, names, strict=True):
        if not np.array_equal(got, right):
            return f"the {name} are not those of the right rows, unchanged"
    if len(asked) != 1 or not np.array_equal(asked[0], images[test]):
        return "the model should be asked once, for the test rows, unchanged"
    return None


q06_1 = Exercise(
    "q06_1",
    judge=lambda answer: differs(answer, (14343, 42247), "the pair (pool_head, dense_head)"),
    reference=lambda: (14343, 42247),
    clue="A dense layer from a numbers to b numbers has a * b weights, and b biases.",
    code="""pool_head = 2048 * 7 + 7
dense_head = (32 * 256 + 256) + (256 * 128 + 128) + (128 * 7 + 7)""",
)

q06_2 = Exercise(
    "q06_2",
    judge=lambda answer, counts: differs(answer, _balanced_weights(counts), "the array of weights", tolerance=1e-3),
    reference=_balanced_weights,
    clue="Each class shall get 1 / len(counts) of all slices, counts.sum(): divide that by how many slices it has.",
    code="class_weights = counts.sum() / (len(counts) * counts)",
)

q06_3 = Exercise(
    "q06_3",
    judge=_judge_train,
    reference=lambda: train_and_judge,
    clue="Which values does the model want, which patients may choose the penalty, and which score does not follow the "
    "frequent class?",
    code=train_and_judge,
    stub=broken_train_and_judge,
)
