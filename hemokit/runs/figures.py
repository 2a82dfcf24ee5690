"""The figures of a report, drawn on Figure objects: no window is opened, and no notebook's figures are touched."""

from collections.abc import Callable
from typing import NamedTuple

from hemokit import evaluation, plots
from hemokit.predictions import NOTICE, counts_at
from hemokit.runs.judging import masked_rows, whole_scans
from hemokit.runs.judging_facts import SCORE


class Picture(NamedTuple):
    """A figure to be: the `table` that it belongs to, its text for those who cannot see it, and `draw`.

    `draw(figure)` draws on an empty matplotlib Figure, and gives the Axes that has the title.
    """

    table: str
    alt: str
    draw: Callable


def pictures(judgement):
    """Every figure that the tables of a judgement allow: dict name (of the file, without .png) -> `Picture`."""
    frame, parts, found = judgement.judged, judgement.parts, {}
    truth, scores = frame["any"].to_numpy(int), frame[SCORE].to_numpy(float)
    chosen = parts[0].facts.slice_threshold if len(parts) == 1 else None
    chosen = chosen if chosen is not None and (scores >= chosen).any() else None
    if 0 < truth.sum() < len(truth):
        pr, roc = evaluation.pr_points(truth, scores), evaluation.roc_points(truth, scores)
        how = {"chosen": chosen, "title": "Slices with hemorrhage"}
        draw = _on(plots.pr_curve, pr, no_skill=truth.mean(), **how)
        found["slices_pr"] = Picture("slices", "Precision against sensitivity of the slices", draw)
        alt = "Sensitivity against the false positive rate of the slices"
        found["slices_roc"] = Picture("slices", alt, _on(plots.roc_curve, roc, **how))
    if "calibration" in judgement.tables:
        alt = "Part of the slices with hemorrhage against the predicted probability, and the number of slices a bin"
        found["calibration"] = Picture(
            "calibration", alt, lambda one: _calibration(judgement.tables["calibration"], one)
        )
    return found | _of_masks(judgement)


def draw_picture(picture, judgement):
    """Draw a `Picture` with the data in its title; gives the matplotlib Figure."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    ax = picture.draw(figure)
    ax.set_title(f"{ax.get_title()}\n{_origin(picture, judgement)}", fontsize="medium")
    figure.supxlabel(NOTICE, x=0.99, ha="right", fontsize=6, color="0.4")  # the layout leaves room for it
    return figure


def alt_text(picture, judgement):
    """What a figure shows, with its data, in one line."""
    return f"{picture.alt}; {_origin(picture, judgement)}"


def _on(plot, *arrays, **how):
    """The `draw` of a plot on one pair of Axes."""
    return lambda figure: plot(*arrays, ax=figure.add_subplot(), **how)


def _of_masks(judgement):
    """The pictures that need true masks."""
    parts, found = judgement.parts, {}
    if len(parts) == 1 and parts[0].search is not None:
        table, threshold = parts[0].search.table, parts[0].facts.threshold
        draw = _on(plots.threshold_curves, table, threshold, title="Pixels of the validation rows")
        found["threshold"] = Picture("thresholds", "F1, IoU and the correlation of areas against the threshold", draw)
    if "segmentation" in judgement.tables:
        draw = _on(plots.area_scatter, *_areas(judgement), unit="pixels of the model")
        found["areas"] = Picture("segmentation", "Predicted against true area, a point a slice", draw)
    if "volumes" in judgement.tables and judgement.tables["volumes"]["n"].iloc[0] > 1:
        alt = "Difference of predicted and true volume against their mean, a point a scan"
        found["volumes"] = Picture("volumes", alt, _on(plots.bland_altman, *_volumes(judgement)))
    return found


def _origin(picture, judgement):
    """The data of a figure, its n and its split, in words."""
    split, shown = judgement.split, f"{len(judgement.judged)} slices"
    if picture.table == "thresholds":
        rows = judgement.parts[0].predictions
        split, shown = "validation", f"{(rows['split'] == 'validation').sum()} slices"
    elif picture.table == "segmentation":
        shown = f"{len(masked_rows(judgement.called))} slices"
    elif picture.table == "volumes":
        shown = f"{len(_volumes(judgement)[0])} scans"
    return f"{judgement.data}, {shown}, split {split}"


def _calibration(table, figure):
    """The curve, and the counts below it."""
    figure.set_size_inches(5.5, 6.5)
    return plots.calibration_plot(table, axes=figure.subplots(2, 1, gridspec_kw={"height_ratios": [3, 1]}))


def _areas(judgement):
    """True and predicted area of each slice in pixels of the model."""
    counts = counts_at(masked_rows(judgement.called), 0.5)
    return counts.tp + counts.fn, counts.tp + counts.fp


def _volumes(judgement):
    """True and predicted volume of each scan in mL, where both are known."""
    table = evaluation.volume_table(whole_scans(judgement.called), threshold=0.5).dropna(subset=["true_ml"])
    return table["true_ml"], table["predicted_ml"]
