"""Which label was taken for which."""

from numbers import Real

import numpy as np

from hemokit.checks import check_choice, check_same_shape, problem
from hemokit.evaluation.classes import confusion_scores
from hemokit.plots.style import axes_or_new


def confusion_heatmap(y_true, y_pred, labels, *, normalize=None, ax=None):
    """Show how often each true label got each predicted label.

    Args:
        y_true, y_pred: sequences of one length whose values are all in `labels`. Where no label is a number,
            they may be codes instead: 0 for the first label, 1 for the second, and so on.
        labels: the values, each once, in the order of the rows and columns.
        normalize: None for counts, "true" (each row sums to 1: the diagonal is the sensitivity), "pred" (each
            column sums to 1) or "all". A row or column without entries shows "-".
        ax: Axes to draw on, or None.

    Returns:
        the Axes; rows are the truth.

    Raises:
        HemokitError: a value that is no label, a label given twice, sequences of different lengths or with rows.
    """
    import matplotlib

    labels = list(labels)
    matrix = _confusion(y_true, y_pred, labels)
    shown = matrix.astype(float)
    if normalize is not None:
        axis = {"true": 1, "pred": 0, "all": None}[check_choice(normalize, ("true", "pred", "all"), "normalize")]
        total = np.broadcast_to(matrix.sum(axis=axis, keepdims=True), matrix.shape)
        shown = np.divide(matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0)
    ax = axes_or_new(ax)
    top = 1 if normalize else max(matrix.max(initial=0), 1)
    ax.imshow(shown, cmap=matplotlib.colormaps["cividis"].with_extremes(bad="0.9"), vmin=0, vmax=top)
    for row, column in np.ndindex(*matrix.shape):
        value = shown[row, column]
        text = "-" if np.isnan(value) else f"{value:.2f}" if normalize else f"{matrix[row, column]:,}"
        color = "white" if value < 0.5 * top else "black"  # the lower half of cividis is dark; NaN is light gray
        ax.text(column, row, text, ha="center", va="center", color=color)
    ax.set_xticks(range(len(labels)), labels=[str(label) for label in labels], rotation=45, ha="right")
    ax.set_yticks(range(len(labels)), labels=[str(label) for label in labels])
    ax.set_xlabel("predicted label")
    what = {None: "counts", "true": "part of each true label", "pred": "part of each prediction", "all": "part of all"}
    ax.set_ylabel("true label")
    ax.set_title(what[normalize])
    return ax


def confusion_pair(y_true, before, after, labels, *, names=("before tuning", "after tuning"), normalize="true"):
    """Show two predictions of the same slices beside each other, such as those before and after tuning.

    The titles say what a single number hides: accuracy, balanced accuracy (the mean of the recalls), and how many of
    the labels are predicted at all.

    Args:
        y_true: the true labels, one a slice.
        before, after: two sequences of predicted labels of that length.
        labels, normalize: as in `confusion_heatmap`.
        names: the titles' first words.

    Returns:
        array of two Axes.

    Raises:
        HemokitError: as `confusion_heatmap`.
    """
    import matplotlib.pyplot as plt

    labels = list(labels)
    _, pair = plt.subplots(1, 2, figsize=(4 + len(labels), 2 + len(labels) / 2), layout="constrained")
    for ax, name, predicted in zip(pair, names, (before, after), strict=True):
        confusion_heatmap(y_true, predicted, labels, normalize=normalize, ax=ax)
        matrix = _confusion(y_true, predicted, labels)
        scores = confusion_scores(matrix, labels)
        told = f"accuracy {scores['accuracy']:.2f}, balanced {scores['balanced_accuracy']:.2f}"
        called = np.count_nonzero(matrix.sum(axis=0))
        ax.set_title(f"{name}\n{told}\n{called} of {len(labels)} labels predicted")
    return pair


def _confusion(y_true, y_pred, labels):
    """Matrix of counts: row is the truth, column the prediction."""
    check_same_shape(y_true, y_pred)
    if np.ndim(y_true) != 1 or np.ndim(labels) != 1:
        raise problem(
            f"y_true has shape {np.shape(y_true)} and labels has shape {np.shape(labels)}",
            "plain sequences, one value a slice",
            "Flatten them, or take argmax(axis=-1) of one-hot labels.",
        )
    place = {label: number for number, label in enumerate(labels)}
    if len(place) < len(labels):
        raise problem(f"labels is {labels}", "each label once", "Name every row of the matrix differently.")
    if not any(isinstance(label, Real | np.bool_) for label in labels):
        place |= {number: number for number in range(len(labels))}  # integer codes
    matrix = np.zeros((len(labels), len(labels)), int)
    for true, predicted in zip(np.asarray(y_true).tolist(), np.asarray(y_pred).tolist(), strict=True):
        for value in (true, predicted):
            if value not in place:
                raise problem(f"the label {value!r}", f"one of {labels}", "List every label, in the order to be shown.")
        matrix[place[true], place[predicted]] += 1
    return matrix
