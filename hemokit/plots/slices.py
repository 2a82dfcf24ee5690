"""Slices of a CT: one, or several in rows, with the outlines of masks; CT is gray, whatever lies on it is not."""

from numbers import Integral

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem
from hemokit.plots.style import PREDICTION, TRUTH, axes_or_new
from hemokit.windows import NAMED, apply_window, window_named


def show_slice(image, *, mask=None, prediction=None, window=None, title=None, spacing_mm=None, ax=None):
    """Show one slice, with the outlines of a mask (orange) and of a prediction (blue, dashed).

    Args:
        image: (height, width), or with 1 or 3 channels, in [0, 1]; or Hounsfield units if `window` is given.
        mask, prediction: bool or 0/1 arrays (height, width), or None.
        window: `Window` or its name, for Hounsfield units; the title names it.
        title: text before the window's name.
        spacing_mm: (slice, row, column); gives pixels their true shape. None means square pixels.
        ax: Axes to draw on, or None for a new figure.

    Returns:
        the Axes. An empty mask draws nothing.

    Raises:
        HemokitError: Hounsfield units without a window, a mask of another shape than the slice or not 0/1.
    """
    image, name = as_image(image, window)
    ax = axes_or_new(ax)
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=pixel_aspect(spacing_mm))
    for drawn, color, style in ((mask, TRUTH, "solid"), (prediction, PREDICTION, "dashed")):
        if drawn is not None:
            draw_outline(ax, image, drawn, color, style)
    ax.set_axis_off()
    ax.set_title(", ".join(part for part in (title, name) if part))
    return ax


def montage(images, *, masks=None, predictions=None, titles=None, columns=6, window=None):
    """Show several slices in rows, in the order given; see `show_slice`.

    Args:
        images: sequence of slices, or an array (slices, height, width[, channels]); at least one.
        masks, predictions: as many masks (None for a slice without), or None.
        titles: as many texts, or None.
        columns: slices per row, 1 or more.
        window: for Hounsfield units; named once, above all.

    Returns:
        object array (slices,) of Axes.
    """
    import matplotlib.pyplot as plt

    if len(images) == 0:
        raise problem("there is no image", "at least one", "Look at the table that they come from: is it empty?")
    series = {"masks": masks, "predictions": predictions, "titles": titles}
    for name, values in series.items():
        if values is not None and len(values) != len(images):
            raise problem(f"{len(images)} images and {len(values)} {name}", "one per image", "Pass None where none is.")
    if not isinstance(columns, Integral) or columns < 1:
        raise problem(f"columns is {columns!r}", "a whole number of 1 or more", "Six slices per row are usual.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.2 * columns, 2.4 * rows), squeeze=False, layout="constrained")
    for ax in grid.flat[len(images) :]:
        ax.set_axis_off()
    for number, ax in enumerate(grid.flat[: len(images)]):
        mask, prediction, title = (None if values is None else values[number] for values in series.values())
        shown, _ = as_image(images[number], window)
        show_slice(shown, mask=mask, prediction=prediction, title=title, ax=ax)
    if window is not None:
        figure.suptitle(window_title(window))
    return grid.flat[: len(images)]


def window_title(window):
    """The name of a window as titles say it: "brain window (level 40 HU, width 80 HU)"."""
    window = window_named(window)
    names = [name.replace("_", " ") for name, known in NAMED.items() if known == window]
    return f"{' '.join([*names[:1], 'window'])} (level {window.level:g} HU, width {window.width:g} HU)"


def as_image(image, window):
    """The picture in [0, 1] and the name of the window it is seen through ("" for none)."""
    image = np.asarray(image)
    if window is not None:
        return apply_window(image, window), window_title(window)
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] != 3):
        raise problem(f"the image has shape {image.shape}", "(height, width), with 1 or 3 channels", "Pass one slice.")
    if image.size and not (np.nanmin(image) >= 0 and np.nanmax(image) <= 1):
        raise problem(
            f"the image has values from {np.nanmin(image):g} to {np.nanmax(image):g}",
            "values in [0, 1]",
            "For Hounsfield units pass window='brain'; divide an 8-bit image by 255.",
        )
    return image, ""


def pixel_aspect(spacing_mm):
    """Height of a pixel divided by its width; "equal" where the spacing is unknown."""
    return "equal" if spacing_mm is None else float(spacing_mm[1]) / float(spacing_mm[2])


def draw_outline(ax, image, mask, color, style):
    """Draw the outline of a mask on the Axes of its image; an empty mask draws nothing, another shape is refused."""
    check_same_shape(image[..., 0] if image.ndim == 3 else image, mask, names=("the image", "the mask"))
    mask = check_binary(mask, "mask")
    if mask.any():  # contour warns where there is nothing to draw; the frame of zeros closes outlines at the border
        height, width = mask.shape
        padded = np.pad(mask.astype(float), 1)
        x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
        ax.contour(x, y, padded, levels=[0.5], colors=[color], linestyles=[style], linewidths=1.5)
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))  # which the frame widened
