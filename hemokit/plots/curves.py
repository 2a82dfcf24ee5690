"""Lines over a threshold, over a false alarm rate, or over epochs."""

import numpy as np

from hemokit.checks import check_columns, check_same_shape, problem
from hemokit.plots.style import COLORS, LINE_STYLES, REFERENCE, axes_or_new

LEGEND_BELOW = 0.45  # inches under the Axes: what the numbers and the name of an axis take
LEGEND_ROW = 3.8  # inches that three entries take side by side
_NAMES = {"f1": "F1 (Dice)", "iou": "IoU", "correlation": "correlation of areas"}


def curves(lines, *, x_label, y_label, title=None, ax=None):
    """Draw lines that differ in color and style, with a legend: ROC, precision and recall, training history.

    Args:
        lines: dict name -> (x, y), sequences of one length.
        x_label, y_label: the quantity and its unit.
        title: text above, or None.
        ax: Axes to draw on, or None.
    """
    ax = axes_or_new(ax)
    for number, (name, (x, y)) in enumerate(lines.items()):
        check_same_shape(x, y, names=(f"x of {name!r}", f"y of {name!r}"))
        color, style = COLORS[number % len(COLORS)], LINE_STYLES[number % len(LINE_STYLES)]
        ax.plot(x, y, label=name, color=color, linestyle=style)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.set_title(title or "")
    ax.grid(alpha=0.3)
    if lines:
        ax.legend()
    return ax


def pr_curve(points, *, chosen=None, no_skill=None, title=None, ax=None):
    """Draw precision against sensitivity (recall), with the chosen threshold marked and written.

    Args:
        points: DataFrame with the columns threshold, precision and sensitivity, as `evaluation.pr_points` gives it.
        chosen: the threshold in use, or None; the mark stands on the point that predicts the same.
        no_skill: the part of positives (0 to 1), which is the precision of guessing, as a dotted line; or None.
        title: text above, or None.
        ax: Axes to draw on, or None.

    Returns:
        the Axes.

    Raises:
        HemokitError: no points, a column missing, a threshold at which nothing is predicted, a no_skill outside
            [0, 1], no positive slice.
    """
    points = _defined(points, "precision", "sensitivity").sort_values("threshold")
    ax = axes_or_new(ax)
    ax.plot(points["sensitivity"], points["precision"], color=COLORS[0], label="model", drawstyle="steps-post")
    if no_skill is not None:
        if not 0 <= no_skill <= 1:
            raise problem(f"no_skill is {no_skill!r}", "the part of positives, from 0 to 1", "Pass their mean label.")
        ax.axhline(no_skill, **REFERENCE, label=f"guessing ({no_skill:.2f})")
    if chosen is not None:
        row = _mark(ax, points, chosen, "sensitivity", "precision")
        said = f"precision {row['precision']:.2f}\nsensitivity {row['sensitivity']:.2f}"
        _write_beside(ax, row["sensitivity"], row["precision"], f"threshold {chosen:.3g}\n{said}")
    return _unit_square(ax, "sensitivity (recall)", "precision", title)


def roc_curve(points, *, chosen=None, title=None, ax=None):
    """Draw sensitivity against the false positive rate (1 - specificity), with the chosen threshold marked.

    Args:
        points: DataFrame with the columns threshold, false_positive_rate and sensitivity, as `evaluation.roc_points`
            gives it.
        chosen, title, ax: as `pr_curve`.

    Returns:
        the Axes; the dotted diagonal is guessing.

    Raises:
        HemokitError: no points, a column missing, a threshold above all of theirs, one class alone.
    """
    points = _defined(points, "false_positive_rate", "sensitivity")
    ax = axes_or_new(ax)
    ax.plot(points["false_positive_rate"], points["sensitivity"], color=COLORS[0], label="model")
    ax.plot([0, 1], [0, 1], **REFERENCE, label="guessing")
    if chosen is not None:
        row = _mark(ax, points, chosen, "false_positive_rate", "sensitivity")
        said = f"sensitivity {row['sensitivity']:.2f}\nspecificity {1 - row['false_positive_rate']:.2f}"
        _write_beside(ax, row["false_positive_rate"], row["sensitivity"], f"threshold {chosen:.3g}\n{said}")
    return _unit_square(ax, "false positive rate (1 - specificity)", "sensitivity", title)


def threshold_curves(table, chosen=None, *, title=None, ax=None):
    """Draw F1, IoU and the correlation of areas against the threshold.

    Args:
        table: DataFrame with the column threshold and some of f1, iou and correlation: the `table` of a
            `thresholds.Search`.
        chosen: the threshold that the search found, or None; a line, with its number in the legend.
        title, ax: as `curves`.

    Returns:
        the Axes.

    Raises:
        HemokitError: no rows, none of the columns.
    """
    table = _check_points(table, ["threshold"])
    names = [name for name in _NAMES if name in table.columns and table[name].notna().any()]
    if not names:
        raise problem("the table has no scores", f"one of {', '.join(_NAMES)}", "Pass the table of a search.")
    lines = {_NAMES[name]: (table["threshold"], table[name]) for name in names}
    ax = curves(lines, x_label="threshold (probability)", y_label="score", title=title, ax=ax)
    if chosen is not None:
        ax.axvline(chosen, color="black", linewidth=1, label=f"chosen: {chosen:.3g}")
        ax.legend()  # it says the number too: a note of its own would lie under it
    return ax


def training_curves(history, *, metric="loss", ax=None):
    """Draw a value of the training and of the validation rows by epoch, with the best epoch marked.

    Args:
        history: DataFrame with the columns `metric` and, if there were validation rows, val_<metric>; one row an
            epoch, in order; numbered by its column epoch, or from 1.
        metric: a column; lower is better if "loss" is in its name, else higher.
        ax: Axes to draw on, or None.

    Returns:
        the Axes.

    Raises:
        HemokitError: no epoch, no such column.
    """
    history = _check_points(history, [metric])
    epochs = history["epoch"] if "epoch" in history.columns else np.arange(1, len(history) + 1)
    lines, validated = {"training": (epochs, history[metric])}, f"val_{metric}"
    known = validated in history.columns and history[validated].notna().any()
    if known:
        lines["validation"] = (epochs, history[validated])
    ax = curves(lines, x_label="epoch", y_label=metric, title=f"{metric.capitalize()} by epoch", ax=ax)
    if known:
        best = int((np.nanargmin if "loss" in metric else np.nanargmax)(history[validated]))
        epoch, value = np.asarray(epochs)[best], history[validated].iloc[best]
        ax.plot([epoch], [value], "o", color=COLORS[1], label=f"best: epoch {epoch}, {value:.3g}")
        ax.legend()
    ax.xaxis.get_major_locator().set_params(integer=True)
    if len(history) == 1:
        ax.set_xticks([np.asarray(epochs)[0]])
        for line in ax.lines[:2]:
            line.set_marker(".")
    return ax


def _check_points(points, columns):
    check_columns(points, columns)
    if not len(points):
        raise problem("the table has no rows", "at least one point", "Look at what it was made from: is it empty?")
    return points


def _defined(points, *names):
    """The points at which both values are defined: precision is not where nothing is predicted."""
    points = _check_points(points, ["threshold", *names]).dropna(subset=list(names))
    if not len(points):
        remedy = "With one class alone there is no curve: judge slices with and without hemorrhage."
        raise problem(f"{' and '.join(names)} are defined at no threshold", "at least one point", remedy)
    return points


def _mark(ax, points, chosen, x, y):
    """Mark the point at which the same is predicted as at the threshold `chosen`; gives its row."""
    same = points[points["threshold"] >= chosen]
    if not len(same):
        highest = points["threshold"].max()
        remedy = "Above all scores nothing is predicted: choose a lower one."
        raise problem(f"the chosen threshold is {chosen!r}", f"one up to {highest:g}", remedy)
    row = same.loc[same["threshold"].idxmin()]
    ax.plot([row[x]], [row[y]], "o", color=COLORS[1], markersize=8, label="chosen threshold", zorder=3)
    return row


def _write_beside(ax, x, y, text):
    """Write toward the middle of the unit square, in short lines, so that nothing runs over its border."""
    side, up = ("left" if x < 1 / 3 else "right" if x > 2 / 3 else "center"), y < 0.5
    offset = ({"left": 10, "right": -10, "center": 0}[side], 10 if up else -10)
    place = {"ha": side, "va": "bottom" if up else "top", "bbox": {"fc": "white", "ec": "none", "alpha": 0.7, "pad": 1}}
    note = ax.annotate(text, (x, y), xytext=offset, textcoords="offset points", fontsize="small", **place)
    note.set_in_layout(False)  # else the layout makes room for it beside the square


def _unit_square(ax, x_label, y_label, title):
    """Both axes from 0 to 1, with names, a grid and a legend."""
    ax.set(xlabel=x_label, ylabel=y_label, title=title or "", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.grid(alpha=0.3)
    _legend_below(ax)
    return ax


def _legend_below(ax):
    """The legend under the name of the axis, never over the text; its entries stand in a row where that fits."""
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -LEGEND_BELOW, ax.figure.dpi_scale_trans)
    wide = ax.get_position().width * ax.figure.get_figwidth() >= LEGEND_ROW
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below}
    ax.legend(**place, ncols=3 if wide else 1, frameon=False)
