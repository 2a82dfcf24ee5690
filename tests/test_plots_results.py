"""Figures of results: curves, agreement, panels, leaderboards. What stands in them, not how they look."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")  # before pyplot: no window on any machine
import matplotlib.pyplot as plt  # noqa: E402

from hemokit import plots  # noqa: E402
from hemokit.checks import HemokitError  # noqa: E402

IMAGES = np.stack([np.linspace(0, 1, 7 * 8).reshape(7, 8)] * 3)
MASKS = np.zeros((3, 7, 8), bool)
MASKS[0, 2:4, 3:7] = True
PROBABILITIES = np.zeros((3, 7, 8), np.float32)
PROBABILITIES[0, 2:4, 3:5] = 0.5  # the left half of the truth
PROBABILITIES[2, 0, 0] = 0.5  # a false alarm
POINTS = pd.DataFrame(
    {
        "threshold": [0.9, 0.5, 0.2],
        "precision": [1.0, 0.75, 0.5],
        "sensitivity": [0.3, 0.6, 1.0],
        "false_positive_rate": [0.0, 0.1, 0.7],
    }
)


@pytest.fixture(autouse=True)
def close_figures(monkeypatch):
    """Close all figures after each test; showing one is a failure."""
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show() was called"))
    yield
    plt.close("all")


def legend_of(place):
    """The texts of a legend."""
    return [text.get_text() for text in place.get_legend().get_texts()]


def lines_of(ax):
    """Lines by their names."""
    return {line.get_label(): line for line in ax.lines}


def test_prediction_panels():
    """Scan, truth, heat map and outcome of each slice; Dice above it, or that there is none."""
    grid = plots.prediction_panels(IMAGES, MASKS, PROBABILITIES[..., None], threshold=0.5, titles="abc")
    assert grid.shape == (3, 4) and [ax.get_title() for ax in grid[0]][:3] == ["scan", "truth", "prediction"]
    assert [ax.get_title() for ax in grid[:, 3]] == ["outcome\nDice 0.67", "empty: no Dice", "Dice 0.00"]
    np.testing.assert_array_equal(grid[0, 2].images[0].get_array(), PROBABILITIES[0])
    assert grid[0, 2].images[0].get_cmap().name == "cividis" and grid[0, 2].images[0].get_clim() == (0, 1)
    np.testing.assert_array_equal(grid[0, 1].images[1].get_array()[..., 3] > 0, MASKS[0])
    assert [len(ax.collections) for ax in grid[:, 3]] == [2, 0, 1]
    assert [ax.texts[0].get_text() for ax in grid[:, 0]] == list("abc")
    (legend,) = grid[0, 0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["truth", "prediction (probability at least 0.5)"]


def test_prediction_panels_of_masks_through_a_window():
    """A predicted mask is painted on the slice; the window is named once, above all; pixels have their shape."""
    hounsfield = IMAGES * 1000 - 500
    grid = plots.prediction_panels(
        hounsfield, MASKS, PROBABILITIES > 0, window="brain", spacing_mm=(5, 0.5, 0.25), metrics=[{"IoU": 0.5}] * 3
    )
    assert grid[0, 0].figure.get_suptitle() == "brain window (level 40 HU, width 80 HU)"
    np.testing.assert_array_equal(grid[2, 2].images[1].get_array()[..., 3] > 0, PROBABILITIES[2] > 0)
    assert {ax.get_aspect() for ax in grid.flat} == {2.0} and grid[1, 3].get_title() == "IoU 0.50"


def test_prediction_panels_without_truth():
    """A slice of unknown truth says so; a metric that is NaN is none."""
    grid = plots.prediction_panels(IMAGES[:1], [None], PROBABILITIES[:1], threshold=0.5)
    assert grid[0, 1].texts[0].get_text() == "not known" and grid[0, 3].get_title() == "outcome\ntruth not known"
    shown = plots.prediction_panels(IMAGES[:1], [None], MASKS[:1], metrics=[{"Dice": np.nan}])
    assert shown[0, 3].get_title() == "outcome\nDice: none"


@pytest.mark.parametrize(
    "images, masks, predictions, options, sentence",
    [
        (IMAGES[:0], MASKS[:0], MASKS[:0], {}, "there is no image"),
        (IMAGES, MASKS[:2], MASKS, {}, "3 images and 2 masks"),
        (IMAGES, MASKS, MASKS, {"metrics": [{}]}, "3 images and 1 metrics"),
        (IMAGES, None, MASKS, {}, "masks is None"),
        (IMAGES, MASKS, PROBABILITIES, {}, "the threshold is None"),
        (IMAGES, MASKS, PROBABILITIES, {"threshold": 1.5}, "the threshold is 1.5"),
        (IMAGES, MASKS, MASKS, {"threshold": 0.5}, "the threshold 0.5 and bool predictions"),
        (IMAGES, MASKS, PROBABILITIES * 6 - 1, {"threshold": 0.5}, "a prediction has values from -1 to 2"),
        (IMAGES, MASKS, [MASKS[0], MASKS[1], PROBABILITIES[2]], {}, "masks and probabilities"),
        (IMAGES, MASKS, MASKS * 255, {}, "mask > 127"),
        (IMAGES, MASKS, MASKS.transpose(0, 2, 1), {}, r"the image has shape \(7, 8\) and the prediction has shape"),
        (IMAGES, MASKS[:, :6], MASKS, {}, r"the mask has shape \(6, 8\)"),
    ],
)
def test_prediction_panels_refuses(images, masks, predictions, options, sentence):
    """Other numbers or shapes, probabilities without a threshold, logits."""
    with pytest.raises(HemokitError, match=sentence):
        plots.prediction_panels(images, masks, predictions, **options)


def test_pr_curve():
    """The curve as steps; the chosen threshold stands on the point that predicts the same, and is written."""
    ax = plots.pr_curve(POINTS, chosen=0.4, no_skill=0.2, title="Slices")
    lines = lines_of(ax)
    assert lines["model"].get_xdata().tolist() == [1.0, 0.6, 0.3]
    assert lines["chosen threshold"].get_xydata().tolist() == [[0.6, 0.75]]
    assert ax.texts[0].get_text() == "threshold 0.4\nprecision 0.75\nsensitivity 0.60"
    assert lines["guessing (0.20)"].get_ydata() == [0.2, 0.2] and ax.get_title() == "Slices"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sensitivity (recall)", "precision")


def test_roc_curve():
    """The curve, the diagonal of guessing, and the chosen point."""
    ax = plots.roc_curve(POINTS, chosen=0.9)
    assert lines_of(ax)["chosen threshold"].get_xydata().tolist() == [[0, 0.3]]
    assert lines_of(ax)["guessing"].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert ax.texts[0].get_text() == "threshold 0.9\nsensitivity 0.30\nspecificity 1.00"


@pytest.mark.parametrize("draw", [plots.pr_curve, plots.roc_curve])
@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.2])
def test_small_curves_keep_their_text(draw, threshold):
    """In a figure of 3 inches the note stays inside the Axes, the legend in the figure and off the axis' name."""
    _, ax = plt.subplots(figsize=(3, 3.4), layout="constrained")
    draw(POINTS, chosen=threshold, ax=ax).figure.canvas.draw()
    box, note, legend = ax.bbox, ax.texts[0].get_window_extent(), ax.get_legend().get_window_extent()
    assert box.x0 <= note.x0 and note.x1 <= box.x1 and box.y0 <= note.y0 and note.y1 <= box.y1
    assert legend.x0 >= 0 and legend.x1 <= ax.figure.bbox.x1
    assert legend.y0 >= 0 and legend.y1 <= ax.xaxis.label.get_window_extent().y0


def test_curves_of_points_refuse():
    """No points, no such column, a threshold at which nothing is predicted, one class, a rate of guessing over 1."""
    with pytest.raises(HemokitError, match="the table has no rows"):
        plots.pr_curve(POINTS[:0])
    with pytest.raises(HemokitError, match="lacks the column.*'precision'"):
        plots.pr_curve(POINTS[["threshold", "sensitivity"]])
    with pytest.raises(HemokitError, match=r"the chosen threshold is 0.95, but expected one up to 0.9"):
        plots.pr_curve(POINTS, chosen=0.95)
    with pytest.raises(HemokitError, match="no_skill is 20"):
        plots.pr_curve(POINTS, no_skill=20)
    with pytest.raises(HemokitError, match="defined at no threshold"):
        plots.roc_curve(POINTS.assign(sensitivity=np.nan))


def test_threshold_curves():
    """A line for each score that is there, and the chosen threshold beside its own."""
    table = pd.DataFrame({"threshold": [0, 0.5, 1], "f1": [0.1, 0.8, 0], "iou": [0.05, 0.7, 0], "correlation": np.nan})
    ax = plots.threshold_curves(table, 0.5)
    assert legend_of(ax) == ["F1 (Dice)", "IoU", "chosen: 0.5"] and not ax.texts
    assert ax.lines[2].get_xdata() == [0.5, 0.5] and ax.get_xlabel() == "threshold (probability)"
    with pytest.raises(HemokitError, match="the table has no scores"):
        plots.threshold_curves(table[["threshold", "correlation"]])


def test_training_curves():
    """Both losses by epoch; the lowest validation loss is marked."""
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2, 1], "val_loss": [3.0, 1.5, 2]})
    ax = plots.training_curves(history)
    assert legend_of(ax) == ["training", "validation", "best: epoch 2, 1.5"]
    assert ax.lines[2].get_xydata().tolist() == [[2, 1.5]]
    assert legend_of(plots.training_curves(history[["loss"]])) == ["training"]
    assert plots.training_curves(history[:1]).get_xticks().tolist() == [1]
    with pytest.raises(HemokitError, match="the table has no rows"):
        plots.training_curves(history[:0])


def test_area_scatter():
    """Slices with hemorrhage and without have markers of their own; r is over all of them."""
    true, predicted = np.array([0, 0, 10, 20]), np.array([0, 5, 8, 25])
    ax = plots.area_scatter(true, predicted, unit="pixels")
    assert ax.get_title() == f"Pearson r {np.corrcoef(true, predicted)[0, 1]:.2f}, 4 slices"
    assert legend_of(ax) == ["with hemorrhage (2)", "without (2)", "equal"]
    assert ax.collections[0].get_offsets().tolist() == [[10, 8], [20, 25]]
    assert ax.collections[1].get_offsets().tolist() == [[0, 0], [0, 5]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true area (pixels)", "predicted area (pixels)")


def test_area_scatter_of_constants():
    """r is not defined where one side is constant; zeros alone are fine."""
    assert plots.area_scatter([0, 0], [0, 0]).get_title() == "Pearson r not defined, 2 slices"


def test_bland_altman():
    """Differences over means; mean difference and limits of agreement by hand."""
    ax = plots.bland_altman([10, 20, 30], [12, 21, 33])
    assert ax.collections[0].get_offsets().tolist() == [[11, 2], [20.5, 1], [31.5, 3]]
    heights = [line.get_ydata()[0] for line in ax.lines]
    np.testing.assert_allclose(heights, [0, 2, 2 + 1.96, 2 - 1.96])
    assert ax.get_ylabel() == "predicted - true volume (mL)"


@pytest.mark.parametrize("draw", [plots.area_scatter, plots.bland_altman])
def test_agreement_refuses(draw):
    """Other lengths, NaN, negative numbers, nothing."""
    with pytest.raises(HemokitError, match="has shape"):
        draw([1, 2], [1])
    with pytest.raises(HemokitError, match=r"has shape \(0,\)"):
        draw([], [])
    with pytest.raises(HemokitError, match="holds nan"):
        draw([1, np.nan], [1, 2])
    with pytest.raises(HemokitError, match="holds -2"):
        draw([1, 3], [1, -2])


def test_bland_altman_of_one_scan():
    """One difference has no spread."""
    with pytest.raises(HemokitError, match="there is one scan"):
        plots.bland_altman([1], [1])


def test_calibration_plot():
    """A point and an interval for each bin that holds something; the counts below."""
    table = pd.DataFrame(
        {
            "from": [0, 0.5, 0.9],
            "to": [0.5, 0.9, 1],
            "n": [100, 0, 4],
            "predicted": [0.2, np.nan, 0.95],
            "observed": [0.1, np.nan, 0.75],
            "low": [0.05, np.nan, np.nan],
            "high": [0.3, np.nan, np.nan],
            "unit": "pixels",
        }
    )
    ax = plots.calibration_plot(table)
    drawn = lines_of(ax)["observed, with interval where there is one"]
    assert drawn.get_xydata().tolist() == [[0.2, 0.1], [0.95, 0.75]]
    above, below = ax.figure.axes
    assert above is ax and [bar.get_height() for bar in below.patches] == [100, 4]
    assert (below.get_ylabel(), below.get_yscale()) == ("pixels", "log")
    with pytest.raises(HemokitError, match="all bins are empty"):
        plots.calibration_plot(table[1:2])
    assert "observed, with interval" in lines_of(plots.calibration_plot(table[:2]))
    assert "observed, no interval" in lines_of(plots.calibration_plot(table[2:]))


ROWS = pd.DataFrame(
    [["here", 0.6, 0.5, 0.7, "here"], ["renyard", 0.716, np.nan, np.nan, "paper"]],
    columns=["name", "estimate", "low", "high", "source"],
)


def test_interval_plot():
    """From top to bottom; papers have other markers; each row's numbers are written."""
    ax = plots.interval_plot(ROWS, x_label="pooled IoU")
    assert [text.get_text() for text in ax.texts] == ["0.60 (0.50 to 0.70)", "0.72"]
    assert [line.get_marker() for line in ax.lines] == ["None", "o", "D"]
    assert list(ax.lines[0].get_xdata()) == [0.5, 0.7] and ax.get_ylim() == (1.5, -0.5)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["here", "renyard"] and len(ax.figure.legends) == 1
    assert not plots.interval_plot(ROWS[:1].drop(columns="source"), x_label="IoU").figure.legends


@pytest.mark.parametrize(
    "rows, sentence",
    [
        (ROWS[:0], "there are no rows"),
        (ROWS.assign(source="blog"), "the source of 'here' is 'blog'"),
        (ROWS.assign(estimate=np.nan), "'here' is nan"),
        (ROWS.assign(low=0.9), "'here' is 0.6 with the interval 0.9 to 0.7"),
        (ROWS.assign(low=np.nan), "'here' is 0.6 with the interval nan to 0.7"),
    ],
)
def test_interval_plot_refuses(rows, sentence):
    """Nothing to draw, an undefined score, half an interval."""
    with pytest.raises(HemokitError, match=sentence):
        plots.interval_plot(rows, x_label="IoU")


def test_given_axes_are_used():
    """Every chart draws on the Axes that it is given."""
    for draw in (
        lambda ax: plots.pr_curve(POINTS, ax=ax),
        lambda ax: plots.roc_curve(POINTS, ax=ax),
        lambda ax: plots.area_scatter([1, 2], [1, 2], ax=ax),
        lambda ax: plots.bland_altman([1, 2], [1, 2], ax=ax),
        lambda ax: plots.interval_plot(ROWS, x_label="IoU", ax=ax),
        lambda ax: plots.training_curves(pd.DataFrame({"loss": [1.0]}), ax=ax),
    ):
        _, ax = plt.subplots()
        assert draw(ax) is ax and ax.figure.axes == [ax]
