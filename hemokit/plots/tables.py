"""What a table of slices holds: Hounsfield units and the parts of a split."""

from itertools import cycle

import numpy as np

from hemokit.checks import check_columns, problem
from hemokit.labels import ANY
from hemokit.plots.slices import window_title
from hemokit.plots.style import COLORS, axes_or_new
from hemokit.windows import windows_named


def hounsfield_histogram(hounsfield, windows=("brain",), *, ax=None):
    """Show how often each Hounsfield value occurs (log scale), with the range of each window as a band.

    Args:
        hounsfield: array of any shape in Hounsfield units.
        windows: sequence of `Window`s or names, or a single one.
        ax: Axes to draw on, or None.

    Raises:
        HemokitError: an empty array, NaN, an unknown window.
    """
    values, windows = np.asarray(hounsfield).ravel(), windows_named(windows)
    if not values.size or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise problem("the array is empty or holds NaN", "finite Hounsfield units", "Pass a slice or a volume.")
    ax = axes_or_new(ax)
    ax.hist(values, bins=200, color="0.4", log=True)
    for window, color in zip(windows, cycle(COLORS), strict=False):
        ax.axvspan(window.low, window.high, color=color, alpha=0.25, label=window_title(window))
    ax.set_xlabel("Hounsfield units (HU)")
    ax.set_ylabel("pixels")
    if windows:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def split_bars(table, *, ax=None):
    """Show which part of the patients, slices and positive slices each split holds, with the numbers on the bars.

    Args:
        table: a slice table with the column `split`.
        ax: Axes to draw on, or None.
    """
    check_columns(table, ["patient_id", "split", ANY])
    groups = table.groupby("split")
    counts = {
        "patients": groups["patient_id"].nunique(),
        "slices": groups.size(),
        "positive slices": groups[ANY].sum(),
    }
    order = [name for name in ("train", "validation", "test") if name in groups.groups]
    order += [name for name in groups.groups if name not in order]
    ax = axes_or_new(ax)
    width = 0.8 / max(len(order), 1)
    for number, name in enumerate(order):
        numbers = [int(count[name]) for count in counts.values()]
        parts = [100 * mine / max(int(count.sum()), 1) for mine, count in zip(numbers, counts.values(), strict=True)]
        places = np.arange(len(counts)) + (number - (len(order) - 1) / 2) * width
        bars = ax.bar(places, parts, width, label=name, color=COLORS[number % len(COLORS)])
        ax.bar_label(bars, labels=[f"{one:,}" for one in numbers])
    ax.set_xticks(range(len(counts)), labels=list(counts))
    ax.set_ylabel("part of all (%)")
    if order:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax
