"""Estimates with their intervals, one below the other: a leaderboard."""

import numpy as np

from hemokit.checks import check_columns, problem
from hemokit.plots.style import COLORS, axes_or_new


def interval_plot(rows, *, x_label, title=None, ax=None):
    """Draw estimates with intervals from top to bottom (a forest plot); figures of papers get other markers.

    Args:
        rows: DataFrame, one row a line, with the columns name, estimate, low and high (NaN: no interval is known)
            and, if wanted, source: "here" (filled circle, the default) or "paper" (open diamond).
        x_label: the quantity and its unit.
        title: text above, or None.
        ax: Axes to draw on, or None for a figure as high as the rows need.

    Returns:
        the Axes; the numbers stand at the right.

    Raises:
        HemokitError: no rows, a column missing, an estimate that is NaN, low above high, one limit alone, another
            source.
    """
    check_columns(rows, ["name", "estimate", "low", "high"])
    sources = rows["source"] if "source" in rows.columns else ["here"] * len(rows)
    _check_rows(rows, sources)
    own = ax is None
    ax = axes_or_new(ax)
    if own:
        ax.figure.set_size_inches(7, 1.5 + 0.36 * len(rows))
    for place, (row, source) in enumerate(zip(rows.itertuples(), sources, strict=True)):
        here = source == "here"
        color = COLORS[0] if here else COLORS[1]
        if not np.isnan(row.low):
            ax.plot([row.low, row.high], [place, place], color=color, linewidth=2)
        ax.plot([row.estimate], [place], "o" if here else "D", color=color, markerfacecolor=color if here else "white")
        said = f"{row.estimate:.2f}" + ("" if np.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})")
        ax.text(1.02, place, said, transform=ax.get_yaxis_transform(), va="center")
    ax.set_yticks(range(len(rows)), labels=[str(name) for name in rows["name"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(xlabel=x_label, title=title or "")
    ax.grid(axis="x", alpha=0.3)
    ax.locator_params(axis="x", nbins=6)
    if len(set(sources)) > 1:
        _explain(ax.figure if own else ax, own)
    return ax


def _check_rows(rows, sources):
    if not len(rows):
        raise problem("there are no rows", "at least one estimate", "Look at what they come from: is it empty?")
    for row, source in zip(rows.itertuples(), sources, strict=True):
        if source not in ("here", "paper"):
            raise problem(f"the source of {row.name!r} is {source!r}", "'here' or 'paper'", "Correct it.")
        ordered = np.isnan([row.low, row.high]).all() or row.low <= row.high
        if not np.isfinite(row.estimate) or not ordered:
            came = f"{row.name!r} is {row.estimate:g} with the interval {row.low:g} to {row.high:g}"
            raise problem(came, "a number with low <= high, or no interval", "Leave out a score that is not defined.")


def _explain(place, below):
    """Which marker is whose: below the figure, or inside the Axes that were given."""
    from matplotlib.lines import Line2D

    here = Line2D([], [], marker="o", color=COLORS[0], label="here")
    paper = Line2D([], [], marker="D", color=COLORS[1], markerfacecolor="white", linestyle="", label="a paper's figure")
    place.legend(handles=[here, paper], loc="outside lower center" if below else "best", ncols=2)
