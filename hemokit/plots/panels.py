"""Panels as in the papers: a slice, its truth, the prediction, and what came of it."""

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem
from hemokit.metrics import confusion_counts, dice
from hemokit.plots.slices import as_image, show_slice, window_title
from hemokit.plots.style import PREDICTION, TRUTH, figure_or_new

HEADERS = ("scan", "truth", "prediction", "outcome")


def prediction_panels(
    images, masks, predictions, *, threshold=None, titles=None, metrics=None, window=None, spacing_mm=None, figure=None
):
    """Show slices in rows: scan, truth (orange), prediction, and both outlines with the score.

    Args:
        images: sequence of slices, or an array (slices, height, width[, channels]), as `show_slice` takes them.
        masks: as many true masks (height, width), bool or 0/1; None for a slice whose truth is not known.
        predictions: as many arrays (height, width[, 1]): masks (bool or whole numbers 0/1), or probabilities
            (float, in [0, 1]), which are shown as a heat map.
        threshold: from which probability on a pixel is predicted; None if predictions are masks.
        titles: as many texts, which stand beside the scans, or None.
        metrics: as many dicts name -> value, which stand above the outcomes; NaN is shown as "none". None writes
            the Dice of the slice, "empty: no Dice" where truth and prediction are empty.
        window: `Window` or its name, for Hounsfield units; named once, above all.
        spacing_mm: (slice, row, column); gives pixels their true shape.
        figure: an empty matplotlib Figure to draw on, which gets its size and layout here; None for a new one.

    Returns:
        object array (slices, 4) of Axes.

    Raises:
        HemokitError: no slice, another number of masks or predictions, shapes that differ, probabilities without
            a threshold or a threshold with masks, values outside [0, 1].
    """
    _check_numbers(images, {"masks": masks, "predictions": predictions, "titles": titles, "metrics": metrics})
    maps, found = _decide(predictions, threshold)
    figure = figure_or_new(figure)
    figure.set(size_inches=(9.6, 2.35 * len(images) + 0.9), layout_engine="constrained")
    grid = figure.subplots(len(images), 4, squeeze=False)
    for number, axes in enumerate(grid):
        image, mask = as_image(images[number], window)[0], masks[number]
        mask = None if mask is None else check_binary(mask, "mask")
        for drawn, name in ((mask, "the mask"), (maps[number], "the prediction")):
            if drawn is not None:
                check_same_shape(image[..., 0] if image.ndim == 3 else image, drawn, names=("the image", name))
        _draw_row(axes, image, mask, maps[number], found[number], spacing_mm)
        axes[3].set_title(_outcome(mask, found[number], metrics and metrics[number]), fontsize="medium")
        if titles is not None:
            axes[0].text(-0.06, 0.5, titles[number], transform=axes[0].transAxes, rotation=90, ha="right", va="center")
    for ax, header in zip(grid[0], HEADERS, strict=True):
        ax.set_title(f"{header}\n{ax.get_title()}" if header == "outcome" else header, fontsize="medium")
    if window is not None:
        figure.suptitle(window_title(window))
    _explain(figure, grid, threshold)
    return grid


def _check_numbers(images, series):
    """Raise unless there are slices, and as many of everything."""
    if len(images) == 0:
        raise problem("there is no image", "at least one", "Look at the table that they come from: is it empty?")
    for name, values in series.items():
        if values is not None and len(values) != len(images):
            raise problem(f"{len(images)} images and {len(values)} {name}", "one per image", "Pass one for each slice.")
    if series["masks"] is None or series["predictions"] is None:
        missing = "masks" if series["masks"] is None else "predictions"
        raise problem(f"{missing} is None", "one per image", "For unknown truth pass a list with None for the slice.")


def _decide(predictions, threshold):
    """The arrays to show and the predicted masks (bool); the two are the same where predictions are masks."""
    maps = [np.asarray(one) for one in predictions]
    maps = [one[..., 0] if one.ndim == 3 and one.shape[-1] == 1 else one for one in maps]
    are_floats = {one.dtype.kind == "f" for one in maps}
    if len(are_floats) > 1:
        raise problem("predictions holds masks and probabilities", "one kind", "Convert all to one dtype.")
    if are_floats == {False}:
        if threshold is not None:
            came = f"the threshold {threshold!r} and {maps[0].dtype} predictions"
            raise problem(came, "float probabilities with a threshold", "Pass the probabilities, or threshold=None.")
        maps = [check_binary(one, "the prediction") for one in maps]
        return maps, maps
    if isinstance(threshold, bool) or not np.isscalar(threshold) or not np.isreal(threshold) or not 0 <= threshold <= 1:
        came = f"the threshold is {threshold!r}"
        raise problem(came, "a number from 0 to 1 with probabilities", "Choose it on the validation rows.")
    for one in maps:
        if one.size and not (np.nanmin(one) >= 0 and one.max() <= 1):
            remedy = "Pass probabilities, not logits; divide an 8-bit map by 255."
            raise problem(f"a prediction has values from {one.min():g} to {one.max():g}", "values in [0, 1]", remedy)
    return maps, [one >= threshold for one in maps]


def _draw_row(axes, image, mask, shown, found, spacing_mm):
    """The four pictures of one slice."""
    scan, truth, prediction, outcome = axes
    show_slice(image, spacing_mm=spacing_mm, ax=scan)
    show_slice(image, spacing_mm=spacing_mm, ax=truth)
    if mask is None:
        truth.text(0.5, 0.03, "not known", transform=truth.transAxes, color="white", ha="center")
    else:
        _fill(truth, mask, TRUTH)
    if shown.dtype.kind == "f":
        picture = {"cmap": "cividis", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
        prediction.imshow(shown, aspect=scan.get_aspect(), **picture)
        prediction.set_axis_off()
    else:
        show_slice(image, spacing_mm=spacing_mm, ax=prediction)
        _fill(prediction, found, PREDICTION)
    show_slice(image, mask=mask, prediction=found, spacing_mm=spacing_mm, ax=outcome)


def _fill(ax, mask, color):
    """Paint a mask over a slice."""
    from matplotlib.colors import to_rgba

    ax.imshow(mask[..., None] * np.array(to_rgba(color, 0.85)), aspect=ax.get_aspect(), interpolation="nearest")


def _outcome(mask, found, metrics):
    """What stands above the outcome of one slice."""
    if metrics is not None:
        shown = [f"{name} {value:.2f}" if value == value else f"{name}: none" for name, value in metrics.items()]
        return ", ".join(shown)
    if mask is None:
        return "truth not known"
    score = dice(confusion_counts(mask, found))
    return "empty: no Dice" if np.isnan(score) else f"Dice {score:.2f}"


def _explain(figure, grid, threshold):
    """The scale of the heat maps, and which outline is which."""
    from matplotlib.lines import Line2D

    if threshold is not None:
        bar = figure.colorbar(grid[-1, 2].images[0], ax=grid[:, 2], location="bottom", shrink=0.9, pad=0.01)
        bar.set_label("probability")
        bar.ax.axvline(threshold, color="white", linewidth=3)
        bar.ax.axvline(threshold, color="black", linewidth=1)
    name = "prediction" if threshold is None else f"prediction (probability at least {threshold:g})"
    lines = [Line2D([], [], color=TRUTH, label="truth"), Line2D([], [], color=PREDICTION, linestyle="--", label=name)]
    figure.legend(handles=lines, loc="outside lower center", ncols=2)
