"""Figures: what stands in them, not how they look."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")  # before pyplot: no window on any machine
import matplotlib.pyplot as plt  # noqa: E402
from sklearn.metrics import confusion_matrix  # noqa: E402

from hemokit import plots  # noqa: E402
from hemokit.checks import HemokitError  # noqa: E402
from hemokit.windows import BRAIN  # noqa: E402

IMAGE = np.linspace(0, 1, 7 * 8).reshape(7, 8)
HOUNSFIELD = np.linspace(-1000, 1500, 7 * 8).reshape(7, 8)
MASK = np.zeros((7, 8), bool)
MASK[2:4, 3:7] = True


@pytest.fixture(autouse=True)
def close_figures(monkeypatch):
    """Close all figures after each test; showing one is a failure."""
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show() was called"))
    yield
    plt.close("all")


def outline(collection):
    """The corners of a drawn contour as (left, right, top, bottom)."""
    x, y = np.vstack([path.vertices for path in collection.get_paths()]).T
    return x.min(), x.max(), y.min(), y.max()


def test_show_slice():
    """The pixels as they are, gray from 0 to 1, on the Axes that were given."""
    _, ax = plt.subplots()
    assert plots.show_slice(IMAGE, title="slice 7", ax=ax) is ax
    (shown,) = ax.images
    np.testing.assert_array_equal(shown.get_array(), IMAGE)
    assert shown.get_cmap().name == "gray" and shown.get_clim() == (0, 1) and ax.get_title() == "slice 7"
    assert not ax.axison and not ax.collections


def test_show_slice_through_a_window():
    """Hounsfield units are windowed and the title says how."""
    ax = plots.show_slice(HOUNSFIELD, window="brain", title="049")
    assert ax.get_title() == "049, brain window (level 40 HU, width 80 HU)"
    assert ax.images[0].get_array().min() == 0 and ax.images[0].get_array().max() == 1
    assert plots.show_slice(HOUNSFIELD, window=(35, 90)).get_title() == "window (level 35 HU, width 90 HU)"


def test_show_slice_outlines():
    """The outline runs along the mask's pixels, also at the border; truth solid orange, prediction dashed blue."""
    border = np.zeros((7, 8), bool)
    border[:, 0] = True
    ax = plots.show_slice(IMAGE, mask=MASK, prediction=border)
    truth, prediction = ax.collections
    np.testing.assert_allclose(outline(truth), (2.5, 6.5, 1.5, 3.5))
    np.testing.assert_allclose(outline(prediction), (-0.5, 0.5, -0.5, 6.5))
    assert matplotlib.colors.to_hex(truth.get_edgecolor()[0]).upper() == plots.TRUTH
    assert matplotlib.colors.to_hex(prediction.get_edgecolor()[0]).upper() == plots.PREDICTION
    assert truth.get_linestyle() != prediction.get_linestyle()
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 7.5), (6.5, -0.5))  # as large as a slice without an outline


def test_show_slice_with_an_empty_mask():
    """An empty mask draws nothing and warns of nothing."""
    assert not plots.show_slice(IMAGE, mask=np.zeros((7, 8))).collections


def test_show_slice_channels_and_spacing():
    """One channel is gray, three are colors; pixels have their true shape."""
    assert plots.show_slice(IMAGE[..., None]).images[0].get_array().shape == (7, 8)
    assert plots.show_slice(np.dstack([IMAGE] * 3), mask=MASK).images[0].get_array().shape == (7, 8, 3)
    assert plots.show_slice(IMAGE, spacing_mm=(5, 0.5, 0.25)).get_aspect() == 2.0


@pytest.mark.parametrize(
    "image, options, sentence",
    [
        (HOUNSFIELD, {}, "values from -1000 to 1500.*pass window='brain'"),
        (IMAGE * 255, {}, "values from 0 to 255.*divide an 8-bit image by 255"),
        (np.full((7, 8), np.nan), {}, "values from nan"),
        (IMAGE[0], {}, "the image has shape"),
        (np.dstack([IMAGE] * 2), {}, "the image has shape"),
        (IMAGE, {"mask": MASK.T}, r"the image has shape \(7, 8\) and the mask has shape \(8, 7\)"),
        (IMAGE, {"mask": MASK * 255}, "mask > 127"),
        (HOUNSFIELD, {"window": "brian"}, "window is 'brian'"),
    ],
)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_show_slice_refuses(image, options, sentence):
    """Hounsfield units without a window, 8-bit images, NaN, masks that do not fit."""
    with pytest.raises(HemokitError, match=sentence):
        plots.show_slice(image, **options)


def test_montage():
    """One Axes a slice in the order given, with its mask and title; the window is named once."""
    axes = plots.montage(
        [HOUNSFIELD] * 5, masks=[MASK, None, None, None, MASK], titles="abcde", columns=3, window="bone"
    )
    assert len(axes) == 5 and [ax.get_title() for ax in axes] == list("abcde")
    assert [len(ax.collections) for ax in axes] == [1, 0, 0, 0, 1]
    figure = axes[0].figure
    assert figure.get_suptitle() == "bone window (level 600 HU, width 2800 HU)"
    assert len(figure.axes) == 6 and not figure.axes[5].axison and not figure.axes[5].images


def test_montage_refuses():
    """No image, or another number of masks or titles."""
    with pytest.raises(HemokitError, match="there is no image"):
        plots.montage([])
    for name in ("masks", "predictions", "titles"):
        with pytest.raises(HemokitError, match=f"2 images and 1 {name}"):
            plots.montage([IMAGE] * 2, **{name: [None]})
    for columns in (0, -1, 2.5, None):
        with pytest.raises(HemokitError, match=f"columns is {columns}"):
            plots.montage([IMAGE], columns=columns)


def test_hounsfield_histogram():
    """All pixels are counted; each window is a band from black to white."""
    ax = plots.hounsfield_histogram(HOUNSFIELD, ("brain", "bone"))
    assert ax.get_xlabel() == "Hounsfield units (HU)" and ax.get_yscale() == "log"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["brain window (level 40 HU, width 80 HU)", "bone window (level 600 HU, width 2800 HU)"]
    bars, bands = ax.patches[:200], ax.patches[200:]
    assert sum(bar.get_height() for bar in bars) == HOUNSFIELD.size
    assert [(band.get_x(), band.get_width()) for band in bands] == [(0, 80), (-800, 2800)]
    with pytest.raises(HemokitError, match="empty or holds NaN"):
        plots.hounsfield_histogram([np.nan])
    with pytest.raises(HemokitError, match="windows is None"):
        plots.hounsfield_histogram(HOUNSFIELD, None)


def test_hounsfield_histogram_of_one_window_or_none():
    """A window or its name stands for itself; without one there is no legend."""
    for window in ("brain", BRAIN):
        legend = plots.hounsfield_histogram(HOUNSFIELD, window).get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["brain window (level 40 HU, width 80 HU)"]
    assert plots.hounsfield_histogram(HOUNSFIELD, ()).get_legend() is None


TRUE, PREDICTED, LABELS = list("aabbbc"), list("abbbca"), ["a", "b", "c", "d"]


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_confusion_heatmap_equals_scikit_learn(normalize):
    """Rows are the truth; every cell shows its number; empty rows and columns show a dash, not zero."""
    ax = plots.confusion_heatmap(TRUE, PREDICTED, LABELS, normalize=normalize)
    counts = confusion_matrix(TRUE, PREDICTED, labels=LABELS)
    expected = confusion_matrix(TRUE, PREDICTED, labels=LABELS, normalize=normalize).astype(float)
    if normalize in ("true", "pred"):
        axis = ("pred", "true").index(normalize)
        expected[np.broadcast_to(counts.sum(axis, keepdims=True) == 0, counts.shape)] = np.nan
    np.testing.assert_allclose(np.ma.filled(ax.images[0].get_array(), np.nan), expected)
    texts = np.array([text.get_text() for text in ax.texts]).reshape(4, 4)
    assert texts[1, 1] == {None: "2", "true": "0.67", "pred": "0.67", "all": "0.33"}[normalize]
    assert texts[3, 0] == {None: "0", "true": "-", "pred": "0.00", "all": "0.00"}[normalize]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == LABELS
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted label", "true label")


def test_confusion_heatmap_of_numbers():
    """Labels may be numbers; no predictions at all give zeros."""
    ax = plots.confusion_heatmap(np.array([0, 1]), np.array([1, 1]), [0, 1])
    assert ax.images[0].get_array().tolist() == [[0, 1], [0, 1]]
    assert plots.confusion_heatmap([], [], [0, 1]).images[0].get_array().sum() == 0


def test_confusion_heatmap_of_codes_with_names():
    """0 and 1 stand for the first and the second name; where a label is a number, numbers are labels only."""
    names = ["normal", "hemorrhage"]
    ax = plots.confusion_heatmap(np.array([0, 1, 1]), ["normal", "hemorrhage", "normal"], names)
    assert ax.images[0].get_array().tolist() == [[1, 0], [1, 1]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == names
    assert plots.confusion_heatmap([0], [0], [1.0, 0.0]).images[0].get_array().tolist() == [[0, 0], [0, 1]]
    for labels, wrong in ((names, 2), (names, -1), (["normal", 1], 0)):
        with pytest.raises(HemokitError, match=f"the label {wrong}"):
            plots.confusion_heatmap([wrong], [wrong], labels)


def test_confusion_heatmap_refuses():
    """Unknown labels, other lengths, unknown normalization, tables, labels named twice."""
    with pytest.raises(HemokitError, match=r"y_true has shape \(1, 2\).*plain sequences"):
        plots.confusion_heatmap([[0, 1]], [[0, 1]], [0, 1])
    with pytest.raises(HemokitError, match="each label once"):
        plots.confusion_heatmap(["a"], ["a"], ["a", "a"])
    with pytest.raises(HemokitError, match="the label 'x'"):
        plots.confusion_heatmap(["x"], ["a"], LABELS)
    with pytest.raises(HemokitError, match="y_true has shape"):
        plots.confusion_heatmap(["a"], ["a", "b"], LABELS)
    with pytest.raises(HemokitError, match="normalize is 'rows'"):
        plots.confusion_heatmap(TRUE, PREDICTED, LABELS, normalize="rows")


def test_curves():
    """Each line has its data, its name, a color and a style of its own."""
    lines = {name: ([0, 1, 2], [value] * 3) for value, name in enumerate("abc")}
    ax = plots.curves(lines, x_label="epoch", y_label="loss", title="History")
    assert [line.get_label() for line in ax.lines] == list("abc")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0] * 3, [1] * 3, [2] * 3]
    assert len({line.get_color() for line in ax.lines}) == len({line.get_linestyle() for line in ax.lines}) == 3
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("epoch", "loss", "History")
    with pytest.raises(HemokitError, match="x of 'a' has shape"):
        plots.curves({"a": ([0, 1], [1])}, x_label="x", y_label="y")


def test_split_bars():
    """Bars are parts of the whole; the numbers stand on them; the splits in their usual order."""
    table = pd.DataFrame(
        {
            "patient_id": list("aabbccdd"),
            "split": ["train"] * 4 + ["test"] * 2 + ["validation"] * 2,
            "any": [1, 0, 1, 0, 1, 0, 1, 1],
        }
    )
    ax = plots.split_bars(table)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "validation", "test"]
    assert [bar.get_height() for bar in ax.containers[0]] == [50, 50, 40]
    assert [text.get_text() for text in ax.texts] == ["2", "4", "2", "1", "2", "2", "1", "2", "1"]
    assert ax.get_ylabel() == "part of all (%)"
    with pytest.raises(HemokitError, match="lacks the column.*'split'"):
        plots.split_bars(table.drop(columns="split"))
