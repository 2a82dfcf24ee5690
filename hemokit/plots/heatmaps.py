"""Heat maps over slices: where a model looks (see `hemokit.gradcam`), for education only.

A map has one fixed scale, 0 to 1. Over a slice it is the more transparent the lower it is, so that the slice stays to
be seen where the map says nothing.
"""

import numpy as np

from hemokit.checks import check_same_shape, problem
from hemokit.plots.slices import as_image, show_slice, window_title
from hemokit.plots.style import TRUTH, axes_or_new, figure_or_new

CMAP = "viridis"  # stands out on gray and on white bone; cividis is gray in its middle, as the slice is
OPACITY = 0.75  # of the highest value
HEADERS = ("heat map", "overlay", "slice")
SCALE = {"cmap": CMAP, "vmin": 0, "vmax": 1, "interpolation": "nearest"}
LABEL = "evidence (share of the map's maximum)"


def show_heatmap(
    image, heat, *, mask=None, window=None, title=None, spacing_mm=None, colorbar=False, colorbar_label=LABEL, ax=None
):
    """Show one slice in gray with a heat map over it, and the outline of a mask (orange) if there is one.

    Args:
        image: a slice as `show_slice` takes it: (height, width), or with 1 or 3 channels, in [0, 1]; or Hounsfield
            units if `window` is given.
        heat: (height, width) in [0, 1], as `gradcam` gives it.
        mask: bool or 0/1 array (height, width), or None.
        window: `Window` or its name, for Hounsfield units; the title names it.
        title: text before the window's name.
        spacing_mm: (slice, row, column); gives pixels their true shape. None means square pixels.
        colorbar: True adds the color scale, 0 to 1.
        colorbar_label: what it measures.
        ax: Axes to draw on, or None for a new figure.

    Returns:
        the Axes. A map of zeros leaves the slice as it is and says "no evidence".

    Raises:
        HemokitError: as `show_slice`; a map of another shape than the slice, or with values outside [0, 1].
    """
    ax = axes_or_new(ax)
    show_slice(image, mask=mask, window=window, title=title, spacing_mm=spacing_mm, ax=ax)
    draw_heat(ax, image, heat)
    if colorbar:
        draw_scale(ax.figure, ax, colorbar_label)
    return ax


def draw_heat(ax, image, heat):
    """Lay a heat map over the Axes of its image, under its outlines; one of zeros says so, another shape is refused."""
    from matplotlib.patheffects import withStroke

    heat = as_heat(image, heat)
    ax.imshow(heat, alpha=OPACITY * heat, aspect=ax.get_aspect(), **SCALE)
    for outline in ax.collections:  # with a black edge, to be seen on every color of the map
        outline.set_path_effects([withStroke(linewidth=3, foreground="black")])
    if not heat.any():
        _say_empty(ax)


def draw_scale(figure, axes, label=LABEL, **where):
    """The scale of all maps."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), CMAP), ax=axes, **where)
    bar.set_label(label)


def as_heat(image, heat):
    """The map as a float32 array; HemokitError for another shape than its image's, or values outside [0, 1]."""
    image, heat = np.asarray(image), np.asarray(heat)
    check_same_shape(image[..., 0] if image.ndim == 3 else image, heat, names=("the image", "the heat map"))
    if heat.dtype.kind not in "buif" or not (heat.min(initial=0) >= 0 and heat.max(initial=0) <= 1):
        ends = f"values from {heat.min():g} to {heat.max():g}" if heat.dtype.kind in "buif" else f"{heat.dtype} values"
        remedy = "Pass a map as `gradcam` gives it; divide another one by its maximum."
        raise problem(f"the heat map has {ends}", "values in [0, 1]", remedy)
    return heat.astype(np.float32)


def gradcam_panels(
    images, heats, *, masks=None, titles=None, window=None, spacing_mm=None, colorbar_label=LABEL, figure=None
):
    """Show slices in rows: the heat map, the map over the slice, and the slice; the mask's outline (orange) in both.

    Args:
        images: sequence of slices, or an array (slices, height, width[, channels]), as `show_slice` takes them.
        heats: as many maps (height, width) in [0, 1].
        masks: as many masks (None for a slice without), or None.
        titles: as many texts, which stand beside the maps, or None: the label and its probability, say.
        window: `Window` or its name, for Hounsfield units; named once, above all.
        spacing_mm: (slice, row, column); gives pixels their true shape.
        colorbar_label: what the color scale measures.
        figure: an empty matplotlib Figure to draw on, which gets its size and layout here; None for a new one.

    Returns:
        object array (slices, 3) of Axes.

    Raises:
        HemokitError: no slice, another number of maps, masks or titles; as `show_heatmap`.
    """
    _check_numbers(images, heats=heats, masks=masks, titles=titles)
    pictures = [as_image(image, window)[0] for image in images]
    maps = [as_heat(*pair) for pair in zip(pictures, heats, strict=True)]
    figure = figure_or_new(figure)
    figure.set(size_inches=(7.6, 2.45 * len(pictures) + 0.9), layout_engine="constrained")
    grid = figure.subplots(len(pictures), 3, squeeze=False)
    for number, (alone, overlay, slice_) in enumerate(grid):
        picture, mask = pictures[number], None if masks is None else masks[number]
        show_slice(picture, mask=mask, spacing_mm=spacing_mm, ax=slice_)
        show_heatmap(picture, maps[number], mask=mask, spacing_mm=spacing_mm, ax=overlay)
        alone.imshow(maps[number], aspect=slice_.get_aspect(), **SCALE)
        alone.set_axis_off()
        if not maps[number].any():
            _say_empty(alone)
        if titles is not None:
            alone.text(-0.06, 0.5, titles[number], transform=alone.transAxes, rotation=90, ha="right", va="center")
    for ax, header in zip(grid[0], HEADERS, strict=True):
        ax.set_title(header, fontsize="medium")
    if window is not None:
        figure.suptitle(window_title(window))
    draw_scale(figure, grid[:, :2], colorbar_label, location="bottom", shrink=0.6, pad=0.01)
    if masks is not None:
        _name_outline(figure)
    return grid


def _check_numbers(images, **series):
    """Raise unless there are slices, and as many of everything that is given."""
    if len(images) == 0:
        raise problem("there is no image", "at least one", "Look at the table that they come from: is it empty?")
    for name, values in series.items():
        if values is None and name == "heats":
            raise problem("heats is None", "one map per image", "Make them by `gradcam`.")
        if values is not None and len(values) != len(images):
            raise problem(f"{len(images)} images and {len(values)} {name}", "one per image", "Pass one for each slice.")


def _say_empty(ax):
    """Write that a map is zero everywhere."""
    ax.text(0.5, 0.03, "no evidence", transform=ax.transAxes, color="white", ha="center")


def _name_outline(figure):
    from matplotlib.lines import Line2D

    figure.legend(handles=[Line2D([], [], color=TRUTH, label="truth")], loc="outside lower right")
