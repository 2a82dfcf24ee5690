"""Figures: arrays in, matplotlib Axes out. Nothing is shown or saved here; a notebook does that.

CT is gray; everything else uses colors and line styles that color-blind readers can tell apart (Okabe and Ito 2008;
cividis). Every axis says its quantity and unit.
"""

from hemokit.plots.agreement import area_scatter, bland_altman, calibration_plot
from hemokit.plots.confusion import confusion_heatmap, confusion_pair
from hemokit.plots.curves import curves, pr_curve, roc_curve, threshold_curves, training_curves
from hemokit.plots.heatmaps import draw_heat, gradcam_panels, show_heatmap
from hemokit.plots.intervals import interval_plot
from hemokit.plots.look import look_at_scan
from hemokit.plots.panels import prediction_panels
from hemokit.plots.slices import montage, show_slice, window_title
from hemokit.plots.style import COLORS, LINE_STYLES, PREDICTION, TRUTH
from hemokit.plots.tables import hounsfield_histogram, split_bars

__all__ = [
    "COLORS",
    "LINE_STYLES",
    "PREDICTION",
    "TRUTH",
    "area_scatter",
    "bland_altman",
    "calibration_plot",
    "confusion_heatmap",
    "confusion_pair",
    "curves",
    "draw_heat",
    "gradcam_panels",
    "hounsfield_histogram",
    "interval_plot",
    "look_at_scan",
    "montage",
    "pr_curve",
    "prediction_panels",
    "roc_curve",
    "show_heatmap",
    "show_slice",
    "split_bars",
    "threshold_curves",
    "training_curves",
    "window_title",
]
