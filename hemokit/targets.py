"""What a network learns of a slice, beside masks: its labels as arrays, and how much each slice weighs.

Exclusive classes are rare and frequent, and a network that never names a rare one has a low loss. Two remedies: weigh
the slices of rare classes more in the loss (here), or repeat them (`splits.balance`).
"""

from numbers import Real

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, check_columns, problem
from hemokit.labels import ANY, CLASSES, LABELS, TWO_CLASSES, check_classes, class_names

TARGETS = ("mask", "any", "subtypes", "class")


def names_of(target, classes=CLASSES):
    """The names of a network's outputs for a target: a tuple; None for "mask" and None.

    Raises:
        HemokitError: an unknown target, classes that are none, or that are given for another target than "class".
    """
    if target is not None:
        check_choice(target, TARGETS, "target")
    classes = check_classes(classes)
    if target != "class" and classes != CLASSES:
        remedy = "Choose target='class', or leave classes out."
        raise problem(f"classes beside the target {target!r}", "classes for the target 'class' alone", remedy)
    return {"class": classes, "any": (ANY,), "subtypes": LABELS}.get(target)


def labels_of(table, target, classes=CLASSES):
    """The targets of a table that are not masks.

    Args:
        table: a slice table.
        target: one of `TARGETS`, or None.
        classes: for "class", see `labels.class_names`.

    Returns:
        int32 (rows,) numbers into `classes` for "class", float32 (rows, 1) for "any", float32 (rows, 6) for
        "subtypes" in the order of `labels.LABELS`; None for "mask" and None.

    Raises:
        HemokitError: as `names_of` and `labels.class_names`; a label column that is missing.
    """
    names = names_of(target, classes)
    if names is None:
        return None
    if target == "class":
        return pd.Index(names).get_indexer(class_names(table, names)).astype(np.int32)
    check_columns(table, names)
    return table[list(names)].to_numpy(np.float32)


def weights_of(table, target, class_weights, classes=CLASSES):
    """How much each slice weighs in the loss.

    Args:
        table, classes: as `labels_of`.
        target: "class", or "any", whose classes are `labels.TWO_CLASSES`. Slices with six labels ("subtypes") have no
            class to weigh by, and masks none either.
        class_weights: None; "balanced", by which all classes that occur weigh the same together (number of slices
            over (number of these classes * slices of the class), as scikit-learn's compute_class_weight); or a dict
            with a number above 0 for each class that occurs.

    Returns:
        float32 (rows,) with the mean 1, so that the size of the loss, and with it the learning rate, stays what it
        was; None for None.

    Raises:
        HemokitError: another target, weights that are none, or that lack a class.
    """
    if class_weights is None:
        return None
    if target not in ("class", "any"):
        remedy = "Repeat the slices of rare labels by splits.balance(table, by='class'), or choose a loss that weighs."
        raise problem(f"class_weights beside the target {target!r}", "the target 'class' or 'any'", remedy)
    classes = TWO_CLASSES if target == "any" else check_classes(classes)
    names = class_names(table, classes)
    found, place, counts = np.unique(names.astype(str), return_inverse=True, return_counts=True)
    weights = 1 / counts if _is_balanced(class_weights) else _given_weights(class_weights, found.tolist(), classes)
    rows = weights[place]
    return (rows * (len(rows) / rows.sum())).astype(np.float32) if len(rows) else rows.astype(np.float32)


def _is_balanced(class_weights):
    if not isinstance(class_weights, dict) and class_weights != "balanced":
        remedy = "Use 'balanced' if you have no costs in mind."
        raise problem(f"class_weights is {class_weights!r}", "None, 'balanced' or a dict", remedy)
    return not isinstance(class_weights, dict)


def _given_weights(class_weights, found, classes):
    """The weights of the classes that occur, float64 (classes,)."""
    unknown = [name for name in class_weights if name not in classes]
    missing = [name for name in found if name not in class_weights]
    if unknown or missing:
        came = f"class_weights names {unknown[0]!r}" if unknown else f"class_weights lacks {missing[0]!r}"
        raise problem(came, f"a weight for each of {', '.join(classes)}", "Correct the names.")
    for name, weight in class_weights.items():
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 < weight < np.inf:
            remedy = "To leave a class out, select rows and pass classes without it."
            raise problem(f"the weight of {name!r} is {weight!r}", "a number above 0", remedy)
    return np.array([class_weights[name] for name in found], float)
