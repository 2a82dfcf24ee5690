"""How well numbers agree with the truth: areas, volumes, probabilities."""

import numpy as np

from hemokit.checks import check_columns, check_same_shape, problem
from hemokit.plots.style import COLORS, REFERENCE, axes_or_new


def area_scatter(true_area, predicted_area, *, unit="mm²", ax=None):
    """Draw the predicted against the true area of hemorrhage, with the identity line and Pearson's r.

    Args:
        true_area, predicted_area: arrays (slices,), 0 or more; a slice without hemorrhage has 0.
        unit: text for the axes, such as "mm²" or "pixels".
        ax: Axes to draw on, or None.

    Returns:
        the Axes; slices with hemorrhage are circles, those without triangles. r is over all of them, and "not
        defined" where one side is constant.

    Raises:
        HemokitError: no slice, another length, NaN or a negative area.
    """
    true_area, predicted_area = _check_pair(true_area, predicted_area, "area")
    positive = true_area > 0
    ax = axes_or_new(ax)
    for chosen, name, color, marker in (
        (positive, "with hemorrhage", COLORS[0], "o"),
        (~positive, "without", COLORS[1], "^"),
    ):
        style = {"facecolors": "none", "edgecolors": color, "marker": marker, "linewidths": 0.9, "s": 22}
        ax.scatter(true_area[chosen], predicted_area[chosen], **style, label=f"{name} ({int(chosen.sum())})")
    top = max(true_area.max(), predicted_area.max(), 1e-9) * 1.05
    ax.plot([0, top], [0, top], **REFERENCE, label="equal")
    ax.set(xlabel=f"true area ({unit})", ylabel=f"predicted area ({unit})", aspect="equal")
    ax.set(xlim=(-0.03 * top, top), ylim=(-0.03 * top, top))
    ax.set_title(f"Pearson r {_pearson(true_area, predicted_area)}, {len(true_area)} slices")
    ax.legend()
    return ax


def bland_altman(true_ml, predicted_ml, *, ax=None):
    """Draw predicted minus true volume against their mean, with the mean difference and limits of agreement.

    Args:
        true_ml, predicted_ml: arrays (scans,) of volumes in mL, 0 or more; at least two scans.
        ax: Axes to draw on, or None.

    Returns:
        the Axes; the limits are mean +- 1.96 standard deviations (Bland and Altman 1986).

    Raises:
        HemokitError: fewer than two scans, another length, NaN or a negative volume.
    """
    true_ml, predicted_ml = _check_pair(true_ml, predicted_ml, "volume")
    if len(true_ml) < 2:
        raise problem("there is one scan", "at least two", "One difference has no spread.")
    middle, difference = (true_ml + predicted_ml) / 2, predicted_ml - true_ml
    mean, reach = difference.mean(), 1.96 * difference.std(ddof=1)
    ax = axes_or_new(ax)
    ax.scatter(middle, difference, facecolors="none", edgecolors=COLORS[0])
    ax.axhline(0, **REFERENCE)
    for value, name, style in (
        (mean, f"mean difference {mean:+.1f} mL", "-"),
        (mean + reach, f"mean + 1.96 SD: {mean + reach:+.1f} mL", "--"),
        (mean - reach, f"mean - 1.96 SD: {mean - reach:+.1f} mL", "--"),
    ):
        ax.axhline(value, color=COLORS[1], linestyle=style, label=name)
    ax.set(xlabel="mean of true and predicted volume (mL)", ylabel="predicted - true volume (mL)")
    ax.set_title(f"Agreement of volumes, {len(true_ml)} scans")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1, frameon=False)
    return ax


def calibration_plot(table, *, axes=None):
    """Draw which part is positive against the predicted probability, and below how many slices (or pixels) there are.

    Args:
        table: a row a bin with the columns from, to, n, predicted, observed, low and high, as
            `evaluation.calibration_table` gives it; its column unit, if there, names what n counts. Empty bins are
            left out, and so are intervals that are NaN.
        axes: two Axes, for the curve and the counts, or None.

    Returns:
        the Axes of the curve; the other Axes of its figure are the counts.

    Raises:
        HemokitError: a column missing, no bin that holds something.
    """
    check_columns(table, ["from", "to", "n", "predicted", "observed", "low", "high"])
    table = table[table["n"] > 0]
    if not len(table):
        raise problem("all bins are empty", "at least one with a slice", "Look at the predictions: are there any?")
    unit = table["unit"].iloc[0] if "unit" in table.columns else "slices"
    above, below = _two_axes() if axes is None else axes
    above.plot([0, 1], [0, 1], **REFERENCE, label="perfectly calibrated")
    above.vlines(table["predicted"], table["low"], table["high"], color=COLORS[0], linewidth=1.5)
    known = table[["low", "high"]].notna().all(axis=1)
    said = "with interval" if known.all() else "with interval where there is one" if known.any() else "no interval"
    above.plot(table["predicted"], table["observed"], "o-", color=COLORS[0], label=f"observed, {said}")
    above.set(xlabel="mean predicted probability", ylabel="part that is positive", title="Calibration")
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.grid(alpha=0.3)
    above.legend(loc="upper left")
    below.bar(table["from"], table["n"], (table["to"] - table["from"]), align="edge", color="0.6", edgecolor="white")
    below.set(xlabel="predicted probability, bins", ylabel=unit, xlim=(-0.02, 1.02))
    if table["n"].max() > 20 * table["n"].min():
        below.set(yscale="log", ylim=(0.5, None))
    return above


def _two_axes():
    import matplotlib.pyplot as plt

    ratios = {"height_ratios": [3, 1]}
    return plt.subplots(2, 1, figsize=(5.5, 6.5), layout="constrained", gridspec_kw=ratios)[1]


def _check_pair(true, predicted, what):
    """Two float arrays of one length, at least 1, finite and not negative."""
    true, predicted = np.asarray(true, float), np.asarray(predicted, float)
    check_same_shape(true, predicted, names=(f"the true {what}", f"the predicted {what}"))
    if true.ndim != 1 or not true.size:
        raise problem(f"the true {what} has shape {true.shape}", "(n,) with at least one", "Pass one number for each.")
    both = np.concatenate([true, predicted])
    if not (np.isfinite(both).all() and both.min() >= 0):
        wrong = both[~(np.isfinite(both) & (both >= 0))][0]
        raise problem(f"{what} holds {wrong:g}", "finite numbers of 0 or more", "Leave out what is not known.")
    return true, predicted


def _pearson(first, second):
    """Pearson's r as text."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return "not defined"
    return f"{np.corrcoef(first, second)[0, 1]:.2f}"
