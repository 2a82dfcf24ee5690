"""Heat maps over slices: what stands in them, not how they look."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")  # before pyplot: no window on any machine
import matplotlib.pyplot as plt  # noqa: E402

from hemokit import plots  # noqa: E402
from hemokit.checks import HemokitError  # noqa: E402

IMAGE = np.linspace(0, 1, 7 * 8).reshape(7, 8)
HEAT = np.flipud(IMAGE).astype(np.float32)
MASK = np.zeros((7, 8), bool)
MASK[2:4, 3:7] = True


@pytest.fixture(autouse=True)
def close_figures(monkeypatch):
    """Close all figures after each test; showing one is a failure."""
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show() was called"))
    yield
    plt.close("all")


def test_show_heatmap():
    """The slice as it is, and over it the map on the scale from 0 to 1, transparent where it is 0."""
    _, ax = plt.subplots()
    assert plots.show_heatmap(IMAGE, HEAT, title="slice 7", ax=ax) is ax
    slice_, heat = ax.images
    np.testing.assert_array_equal(slice_.get_array(), IMAGE)
    np.testing.assert_array_equal(heat.get_array(), HEAT)
    assert heat.get_clim() == slice_.get_clim() == (0, 1)
    alpha = heat.get_alpha()
    assert alpha[HEAT == 0] == 0 and alpha.max() < 1 and (np.argsort(alpha.ravel()) == np.argsort(HEAT.ravel())).all()
    assert ax.get_title() == "slice 7" and len(ax.figure.axes) == 1 and not ax.texts


def test_mask_window_spacing_and_color_scale():
    """The mask's outline lies on the map; the title names the window; the scale goes from 0 to 1."""
    hounsfield = np.linspace(-1000, 1500, 56).reshape(7, 8)
    how = {"mask": MASK, "window": "brain", "spacing_mm": (5, 1, 2), "colorbar": True, "colorbar_label": "share"}
    ax = plots.show_heatmap(hounsfield, HEAT, **how)
    assert ax.collections[0].get_zorder() > ax.images[1].get_zorder() and ax.get_aspect() == 0.5
    assert ax.get_title() == "brain window (level 40 HU, width 80 HU)"
    scale = ax.figure.axes[1]
    assert scale.get_ylim() == (0, 1) and scale.get_ylabel() == "share"
    ax.figure.canvas.draw()


def test_zeros_say_so():
    """A map of zeros leaves the slice as it is, and says that there is nothing."""
    ax = plots.show_heatmap(IMAGE, np.zeros((7, 8)))
    assert [text.get_text() for text in ax.texts] == ["no evidence"] and not ax.images[1].get_alpha().any()


def test_panels():
    """Rows of the map, the map over the slice, and the slice; the mask in both; headers, titles, one color scale."""
    color = np.dstack([IMAGE] * 3)
    grid = plots.gradcam_panels([IMAGE, color], [HEAT, 0 * HEAT], masks=[MASK, None], titles=["one", "two"])
    assert grid.shape == (2, 3) and [ax.get_title() for ax in grid[0]] == ["heat map", "overlay", "slice"]
    np.testing.assert_array_equal(grid[0, 0].images[0].get_array(), HEAT)
    assert [len(ax.images) for ax in grid[1]] == [1, 2, 1]
    assert [len(ax.collections) for ax in grid.flat] == [0, 1, 1, 0, 0, 0]
    assert [ax.texts[0].get_text() for ax in grid[:, 0]] == ["one", "no evidence"]
    assert [text.get_text() for text in grid[1, 0].texts] == ["no evidence", "two"]
    figure = grid[0, 0].figure
    assert len(figure.axes) == 7 and figure.axes[6].get_xlim() == (0, 1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth"]
    figure.canvas.draw()


def test_panels_of_hounsfield_units():
    """The window is named once, above all; without masks nothing speaks of a truth; a given figure is used."""
    figure = plt.figure()
    grid = plots.gradcam_panels(np.zeros((1, 7, 8)), HEAT[None], window="brain", figure=figure)
    assert grid[0, 0].figure is figure and "brain window" in figure.get_suptitle() and not figure.legends


@pytest.mark.parametrize(
    "heat, told",
    [
        (HEAT[:-1], r"the image has shape \(7, 8\) and the heat map has shape \(6, 8\)"),
        (2 * HEAT, "values from 0 to 2, but expected values in"),
        (HEAT - 0.5, "values from -0.5 to 0.5"),
        (HEAT * np.nan, "values from nan"),
        (np.full((7, 8), "x"), "the heat map has <U1 values"),
    ],
)
def test_wrong_maps(heat, told):
    """A map of another shape or range is refused, alone and in panels."""
    with pytest.raises(HemokitError, match=told):
        plots.show_heatmap(IMAGE, heat)
    with pytest.raises(HemokitError, match=told):
        plots.gradcam_panels([IMAGE], [heat])


def test_wrong_numbers():
    """As many maps, masks and titles as slices, and at least one slice."""
    with pytest.raises(HemokitError, match="there is no image"):
        plots.gradcam_panels([], [])
    with pytest.raises(HemokitError, match="heats is None"):
        plots.gradcam_panels([IMAGE], None)
    with pytest.raises(HemokitError, match="1 images and 2 heats"):
        plots.gradcam_panels([IMAGE], [HEAT, HEAT])
    with pytest.raises(HemokitError, match="1 images and 0 masks"):
        plots.gradcam_panels([IMAGE], [HEAT], masks=[])
    with pytest.raises(HemokitError, match="the mask holds|mask holds the value 255"):
        plots.show_heatmap(IMAGE, HEAT, mask=MASK * np.uint8(255))
