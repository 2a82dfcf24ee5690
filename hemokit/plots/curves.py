"""Lines over a threshold or over time."""

from hemokit.checks import check_same_shape
from hemokit.plots.style import COLORS, LINE_STYLES, axes_or_new


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
