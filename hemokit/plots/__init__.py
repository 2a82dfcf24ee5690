"""Figures: arrays in, matplotlib Axes out. Nothing is shown or saved here; a notebook does that.

CT is gray; everything else uses colors and line styles that color-blind readers can tell apart (Okabe and Ito 2008;
cividis). Every axis says its quantity and unit.
"""

from hemokit.plots.confusion import confusion_heatmap
from hemokit.plots.curves import curves
from hemokit.plots.slices import montage, show_slice, window_title
from hemokit.plots.style import COLORS, LINE_STYLES, PREDICTION, TRUTH
from hemokit.plots.tables import hounsfield_histogram, split_bars

__all__ = [
    "COLORS",
    "LINE_STYLES",
    "PREDICTION",
    "TRUTH",
    "confusion_heatmap",
    "curves",
    "hounsfield_histogram",
    "montage",
    "show_slice",
    "split_bars",
    "window_title",
]
