"""Looking through a scan: a slider in a notebook, and a still montage everywhere else.

The slider is of ipywidgets and shows slices as the model gets them: windowed arrays of its size. (ipyniivue is for
whole volumes in NIfTI files.)
"""

from importlib.util import find_spec
from io import BytesIO

import numpy as np

from hemokit.checks import check_binary, check_same_shape, problem
from hemokit.plots.heatmaps import as_heat, draw_heat, draw_scale
from hemokit.plots.slices import as_image, montage, pixel_aspect, show_slice, window_title


def look_at_scan(
    images, *, masks=None, heats=None, titles=None, window=None, spacing_mm=None, columns=6, interactive=None
):
    """Look through the slices of a scan, with its masks and heat maps on or off. For education only.

    Args:
        images: array (slices, height, width[, channels]) in [0, 1], or a sequence of such slices; or Hounsfield units
            if `window` is given. At least one.
        masks: as many masks (bool or 0/1; None for a slice without), or None.
        heats: as many maps in [0, 1] (None for a slice without), or None; see `hemokit.gradcam`.
        titles: as many texts, or None for "slice 0" and so on.
        window: `Window` or its name, for Hounsfield units.
        spacing_mm: (slice, row, column); gives pixels their true shape.
        columns: slices per row of the montage.
        interactive: True for the slider; False for the montage; None for the slider where somebody can move it: with
            ipywidgets, in a notebook that is open (not one that `hemokit run`, nbconvert or papermill executes).

    Returns:
        the slider, boxes to tick for masks and heat maps, and the picture, as one ipywidgets.VBox, which a notebook
        shows where it is the last line of a cell; or object array (slices,) of Axes, with all masks and maps.

    Raises:
        HemokitError: no slice, another number of masks, maps or titles, `interactive=True` without ipywidgets; as
            `show_slice` and `show_heatmap`, for any slice of the scan.
    """
    if interactive and not find_spec("ipywidgets"):
        remedy = "Install it (pip install ipywidgets), or leave interactive out for a montage."
        raise problem("interactive=True, and ipywidgets is not installed", "ipywidgets", remedy)
    number = len(images)
    masks, heats = ([None] * number if values is None else values for values in (masks, heats))
    titles = [f"slice {index}" for index in range(number)] if titles is None else list(titles)
    for name, values in {"masks": masks, "heats": heats, "titles": titles}.items():
        if number == 0 or len(values) != number:
            came = f"{number} images and {len(values)} {name}" if number else "there is no image"
            raise problem(came, "one per image, of at least one image", "Pass None where there is none.")
    if interactive or (interactive is None and is_live()):
        return _slider(images, masks, heats, titles, window, spacing_mm)
    return _still(images, masks, heats, titles, window, spacing_mm, columns)


def is_live():
    """Whether code runs in a notebook that somebody has open, and widgets are installed.

    A front end that a person sits at lets code ask for input; programs that execute notebooks do not.
    (Messaging in Jupyter, execute_request: allow_stdin.)
    """
    if not find_spec("ipywidgets") or not find_spec("IPython"):
        return False
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    request = kernel.get_parent() if hasattr(kernel, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin", False))


def _still(images, masks, heats, titles, window, spacing_mm, columns):
    """All slices at once, each with its mask and map."""
    axes = montage(images, masks=masks, titles=titles, window=window, columns=columns)
    for ax, image, heat in zip(axes, images, heats, strict=True):
        ax.set_aspect(pixel_aspect(spacing_mm))
        if heat is not None:
            draw_heat(ax, as_image(image, window)[0], heat)
    if any(heat is not None for heat in heats):
        figure = axes[0].figure
        figure.set_figheight(figure.get_figheight() + 1)
        draw_scale(figure, list(axes), location="bottom", shrink=0.4, aspect=40)
    return axes


def _slider(images, masks, heats, titles, window, spacing_mm):
    """The widgets; whatever is wrong with a slice is told now, not when the slider comes to it."""
    import ipywidgets

    pictures = [_checked(*one, window) for one in zip(images, masks, heats, strict=True)]

    def png(index, *, with_mask, with_heat):
        mask, heat = masks[index] if with_mask else None, heats[index] if with_heat else None
        return _png(pictures[index], mask, heat, titles[index], window, spacing_mm)

    boxes = {
        name: ipywidgets.Checkbox(value=has, disabled=not has, indent=False, description=text)
        for name, text, has in (
            ("with_mask", "mask", any(one is not None for one in masks)),
            ("with_heat", "heat map", any(one is not None for one in heats)),
        )
    }
    slider = ipywidgets.IntSlider(_first(masks), 0, len(pictures) - 1, description="slice")
    picture = ipywidgets.Image(format="png")

    def show(_=None):
        picture.value = png(slider.value, **{name: box.value for name, box in boxes.items()})

    for one in (slider, *boxes.values()):
        one.observe(show, "value")
    show()
    return ipywidgets.VBox([ipywidgets.HBox([slider, *boxes.values()]), picture])


def _first(masks):
    """The slice to begin with: the one with the largest mask, or the middle one."""
    areas = [0 if mask is None else np.count_nonzero(mask) for mask in masks]
    return int(np.argmax(areas)) if any(areas) else len(masks) // 2


def _checked(image, mask, heat, window):
    """The picture of one slice, after a look at its mask and map."""
    picture = as_image(image, window)[0]
    if mask is not None:
        check_same_shape(picture[..., 0] if picture.ndim == 3 else picture, mask, names=("the image", "the mask"))
        check_binary(mask, "mask")
    if heat is not None:
        as_heat(picture, heat)
    return picture


def _png(picture, mask, heat, title, window, spacing_mm):
    """One slice as the bytes of a PNG file."""
    from matplotlib.figure import Figure  # which pyplot does not know of, and so does not keep or show

    figure = Figure(figsize=(4.8, 5.3))
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.89))  # fixed: a layout would be reckoned anew at each step
    show_slice(picture, mask=mask, title=title, spacing_mm=spacing_mm, ax=ax)
    if heat is not None:
        draw_heat(ax, picture, heat)
    if window is not None:
        figure.suptitle(window_title(window), fontsize="medium")
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
