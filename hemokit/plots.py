"""Figures: arrays in, matplotlib Axes out. Nothing is shown or saved here; a notebook does that.

CT is gray; everything else uses colors and line styles that color-blind readers can tell apart (Okabe and Ito 2008;
cividis). Every axis says its quantity and unit.
"""

from numbers import Integral, Real

import numpy as np

from hemokit.checks import check_binary, check_choice, check_columns, check_same_shape, problem
from hemokit.labels import ANY
from hemokit.windows import NAMED, apply_window, window_named, windows_named

TRUTH, PREDICTION = "#E69F00", "#56B4E9"  # orange and sky blue: both stand out on gray
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")


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
    image, name = _as_image(image, window)
    ax = _axes(ax)
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=_aspect(spacing_mm))
    for drawn, color, style in ((mask, TRUTH, "solid"), (prediction, PREDICTION, "dashed")):
        if drawn is not None:
            _outline(ax, image, drawn, color, style)
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
        shown, _ = _as_image(images[number], window)
        show_slice(shown, mask=mask, prediction=prediction, title=title, ax=ax)
    if window is not None:
        figure.suptitle(window_title(window))
    return grid.flat[: len(images)]


def window_title(window):
    """The name of a window as titles say it: "brain window (level 40 HU, width 80 HU)"."""
    window = window_named(window)
    names = [name.replace("_", " ") for name, known in NAMED.items() if known == window]
    return f"{' '.join([*names[:1], 'window'])} (level {window.level:g} HU, width {window.width:g} HU)"


def hounsfield_histogram(hounsfield, windows=("brain",), *, ax=None):
    """Show how often each Hounsfield value occurs (log scale), with the range of each window as a band.

    Args:
        hounsfield: array of any shape in Hounsfield units.
        windows: sequence of `Window`s or names, or a single one.
        ax: Axes to draw on, or None.

    Raises:
        HemokitError: an empty array, NaN, an unknown window.
    """
    values, windows = np.asarray(hounsfield).ravel(), windows_named(windows)
    if not values.size or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise problem("the array is empty or holds NaN", "finite Hounsfield units", "Pass a slice or a volume.")
    ax = _axes(ax)
    ax.hist(values, bins=200, color="0.4", log=True)
    for window, color in zip(windows, _cycle(COLORS), strict=False):
        ax.axvspan(window.low, window.high, color=color, alpha=0.25, label=window_title(window))
    ax.set_xlabel("Hounsfield units (HU)")
    ax.set_ylabel("pixels")
    if windows:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def confusion_heatmap(y_true, y_pred, labels, *, normalize=None, ax=None):
    """Show how often each true label got each predicted label.

    Args:
        y_true, y_pred: sequences of one length whose values are all in `labels`. Where no label is a number,
            they may be codes instead: 0 for the first label, 1 for the second, and so on.
        labels: the values, each once, in the order of the rows and columns.
        normalize: None for counts, "true" (each row sums to 1: the diagonal is the sensitivity), "pred" (each
            column sums to 1) or "all". A row or column without entries shows "-".
        ax: Axes to draw on, or None.

    Returns:
        the Axes; rows are the truth.

    Raises:
        HemokitError: a value that is no label, a label given twice, sequences of different lengths or with rows.
    """
    import matplotlib

    labels = list(labels)
    matrix = _confusion(y_true, y_pred, labels)
    shown = matrix.astype(float)
    if normalize is not None:
        axis = {"true": 1, "pred": 0, "all": None}[check_choice(normalize, ("true", "pred", "all"), "normalize")]
        total = np.broadcast_to(matrix.sum(axis=axis, keepdims=True), matrix.shape)
        shown = np.divide(matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0)
    ax = _axes(ax)
    top = 1 if normalize else max(matrix.max(initial=0), 1)
    ax.imshow(shown, cmap=matplotlib.colormaps["cividis"].with_extremes(bad="0.9"), vmin=0, vmax=top)
    for row, column in np.ndindex(*matrix.shape):
        value = shown[row, column]
        text = "-" if np.isnan(value) else f"{value:.2f}" if normalize else f"{matrix[row, column]:,}"
        color = "white" if value < 0.5 * top else "black"  # the lower half of cividis is dark; NaN is light gray
        ax.text(column, row, text, ha="center", va="center", color=color)
    ax.set_xticks(range(len(labels)), labels=[str(label) for label in labels], rotation=45, ha="right")
    ax.set_yticks(range(len(labels)), labels=[str(label) for label in labels])
    ax.set_xlabel("predicted label")
    what = {None: "counts", "true": "part of each true label", "pred": "part of each prediction", "all": "part of all"}
    ax.set_ylabel("true label")
    ax.set_title(what[normalize])
    return ax


def curves(lines, *, x_label, y_label, title=None, ax=None):
    """Draw lines that differ in color and style, with a legend: ROC, precision and recall, training history.

    Args:
        lines: dict name -> (x, y), sequences of one length.
        x_label, y_label: the quantity and its unit.
        title: text above, or None.
        ax: Axes to draw on, or None.
    """
    ax = _axes(ax)
    for number, (name, (x, y)) in enumerate(lines.items()):
        check_same_shape(x, y, names=(f"x of {name!r}", f"y of {name!r}"))
        color, style = COLORS[number % len(COLORS)], LINE_STYLES[number % len(LINE_STYLES)]
        ax.plot(x, y, label=name, color=color, linestyle=style)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.set_title(title or "")
    ax.grid(alpha=0.3)
    if lines:
        ax.legend()
    return ax


def split_bars(table, *, ax=None):
    """Show which part of the patients, slices and positive slices each split holds, with the numbers on the bars.

    Args:
        table: a slice table with the column `split`.
        ax: Axes to draw on, or None.
    """
    check_columns(table, ["patient_id", "split", ANY])
    groups = table.groupby("split")
    counts = {
        "patients": groups["patient_id"].nunique(),
        "slices": groups.size(),
        "positive slices": groups[ANY].sum(),
    }
    order = [name for name in ("train", "validation", "test") if name in groups.groups]
    order += [name for name in groups.groups if name not in order]
    ax = _axes(ax)
    width = 0.8 / max(len(order), 1)
    for number, name in enumerate(order):
        numbers = [int(count[name]) for count in counts.values()]
        parts = [100 * mine / max(int(count.sum()), 1) for mine, count in zip(numbers, counts.values(), strict=True)]
        places = np.arange(len(counts)) + (number - (len(order) - 1) / 2) * width
        bars = ax.bar(places, parts, width, label=name, color=COLORS[number % len(COLORS)])
        ax.bar_label(bars, labels=[f"{one:,}" for one in numbers])
    ax.set_xticks(range(len(counts)), labels=list(counts))
    ax.set_ylabel("part of all (%)")
    if order:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


def _axes(ax):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # here, because the import takes half a second

    return plt.subplots(layout="constrained")[1]


def _cycle(values):
    while True:
        yield from values


def _as_image(image, window):
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


def _aspect(spacing_mm):
    """Height of a pixel divided by its width."""
    return "equal" if spacing_mm is None else float(spacing_mm[1]) / float(spacing_mm[2])


def _outline(ax, image, mask, color, style):
    check_same_shape(image[..., 0] if image.ndim == 3 else image, mask, names=("the image", "the mask"))
    mask = check_binary(mask, "mask")
    if mask.any():  # contour warns where there is nothing to draw; the frame of zeros closes outlines at the border
        height, width = mask.shape
        padded = np.pad(mask.astype(float), 1)
        x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
        ax.contour(x, y, padded, levels=[0.5], colors=[color], linestyles=[style], linewidths=1.5)


def _confusion(y_true, y_pred, labels):
    """Matrix of counts: row is the truth, column the prediction."""
    check_same_shape(y_true, y_pred)
    if np.ndim(y_true) != 1 or np.ndim(labels) != 1:
        raise problem(
            f"y_true has shape {np.shape(y_true)} and labels has shape {np.shape(labels)}",
            "plain sequences, one value a slice",
            "Flatten them, or take argmax(axis=-1) of one-hot labels.",
        )
    place = {label: number for number, label in enumerate(labels)}
    if len(place) < len(labels):
        raise problem(f"labels is {labels}", "each label once", "Name every row of the matrix differently.")
    if not any(isinstance(label, Real | np.bool_) for label in labels):
        place |= {number: number for number in range(len(labels))}  # integer codes
    matrix = np.zeros((len(labels), len(labels)), int)
    for true, predicted in zip(np.asarray(y_true).tolist(), np.asarray(y_pred).tolist(), strict=True):
        for value in (true, predicted):
            if value not in place:
                raise problem(f"the label {value!r}", f"one of {labels}", "List every label, in the order to be shown.")
        matrix[place[true], place[predicted]] += 1
    return matrix
