"""From probability maps to a predictions frame: its columns, and their types."""

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.labels import LABELS
from hemokit.predictions.histograms import HISTOGRAMS, check_probabilities, pixel_histogram

FLOATS = ("mean_probability", "top_probability", "max_probability")
MEASURES = ("pixel_area_mm2", "slice_spacing_mm")
TEXT = ("dataset", "patient_id", "scan_id", "slice_id", "split")
_IDS = TEXT[:4]
COLUMNS = (*_IDS, "slice_index", "split", *LABELS, *FLOATS, "num_pixels", *MEASURES, *HISTOGRAMS)


def build_predictions(table_rows, probabilities, masks=None, *, pixel_area_mm2=None):
    """Turn a model's probability maps, of one batch or of all slices, into a predictions frame.

    Args:
        table_rows: rows of a slice table, one for each map (the column `split` and `slice_spacing_mm` are used
            where the table has them).
        probabilities: float array (slices, height, width) or (slices, height, width, 1), in [0, 1].
        masks: bool or 0/1 array of the same shape, or None where no true mask is known.
        pixel_area_mm2: area of one pixel of the maps (not of the images on disk, if they were resized): a number,
            one for each slice, or None where it is not known.

    Returns:
        DataFrame with `COLUMNS`, one row a slice, in the order given; batches are joined by `pd.concat` with
        ignore_index=True. No rows give an empty frame. mean_probability, top_probability (mean of the highest 1 %
        of the pixels, rounded down, at least one) and max_probability are over all pixels of the slice.

    Raises:
        HemokitError: numbers of rows and maps that differ, maps without pixels, and as `pixel_histogram`.
    """
    check_columns(table_rows, [*_IDS, "slice_index", *LABELS])
    maps = _stack(probabilities, len(table_rows), "probabilities")
    masks = [None] * len(maps) if masks is None else _stack(masks, len(table_rows), "masks")
    frame = table_rows[[*_IDS, "slice_index"]].reset_index(drop=True)
    frame["split"] = table_rows["split"].to_numpy() if "split" in table_rows.columns else None
    frame[list(LABELS)] = table_rows[list(LABELS)].to_numpy()
    frame[list(FLOATS)] = np.array([slice_scores(one) for one in maps]).reshape(-1, len(FLOATS))
    frame["num_pixels"] = np.prod(maps.shape[1:], dtype=np.int64)
    frame["pixel_area_mm2"] = _column(pixel_area_mm2, len(maps))
    known = "slice_spacing_mm" in table_rows.columns
    frame["slice_spacing_mm"] = _column(table_rows["slice_spacing_mm"].to_numpy() if known else None, len(maps))
    pairs = [pixel_histogram(*pair) for pair in zip(maps, masks, strict=True)]
    return with_histograms(frame, pairs)


def with_histograms(frame, pairs):
    """The frame with its types, and the two columns of arrays."""
    frame = frame.assign(**{name: _typed(name, frame[name]) for name in frame.columns})
    for place, name in enumerate(HISTOGRAMS):
        frame[name] = pd.Series(np.fromiter((pair[place] for pair in pairs), object, len(frame)), dtype=object)
    return frame


def check_rows(frame, path=None):
    """Raise where a slice stands twice, or a column is none of this frame."""
    unknown = [name for name in frame.columns if name not in COLUMNS and not name.startswith("probability_")]
    if unknown:
        expected = "the columns of a predictions frame, and probability_<label>"
        raise problem(f"there is a column {unknown[0]!r}", expected, "Remove or rename it.", file=path)
    twice = frame["slice_id"][frame["slice_id"].duplicated()]
    if len(twice):
        raise problem(f"slice_id {twice.iloc[0]!r} stands twice", "each slice once", "Write one row a slice.")


def _stack(values, num_rows, name):
    """Maps or masks as (slices, height, width)."""
    array = np.asarray(values)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or len(array) != num_rows or (num_rows and not array.size):
        expected = f"({num_rows}, height, width), one map for each of the {num_rows} rows"
        raise problem(f"{name} has shape {np.shape(values)}", expected, "Pass the rows and maps of the same slices.")
    return array


def slice_scores(probability):
    """What a model's map says of its slice: mean over the pixels, mean of the highest 1 % of them, and maximum.

    Args:
        probability: (height, width) in [0, 1], as the model gives it: after a resize all three are others.

    Returns:
        three floats, in the order of `FLOATS`. A slice is judged, and its threshold chosen, by the second.
    """
    flat = check_probabilities(probability).ravel()
    top = max(1, flat.size // 100)
    highest = np.partition(flat, flat.size - top)[-top:]
    return flat.mean(dtype=np.float64), highest.mean(dtype=np.float64), float(highest.max())


def _column(values, num_rows):
    """One float for each row; None is NaN."""
    if values is None:
        return np.full(num_rows, np.nan)
    values = np.asarray(values, float)
    if values.shape not in ((), (num_rows,)):
        raise problem(f"pixel_area_mm2 of shape {values.shape}", f"one number, or {num_rows}", "Give one a row.")
    return np.broadcast_to(values, (num_rows,)).copy()


def _typed(name, values):
    """One column with the type that it has in every predictions frame."""
    if name in TEXT:
        return values.astype(object).where(values.notna(), None)
    if name == "slice_index":
        places = values.astype("Int64")
        return places if places.isna().any() else places.astype("int64")
    return values.astype("int8" if name in LABELS else "int64" if name == "num_pixels" else "float64")
