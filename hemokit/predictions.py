"""The predictions frame: one row is one slice, with counts of its pixels by probability instead of the image.

A model writes it, judging reads it, and neither needs the other: thresholds, scores and curves come from the counts
(1001 whole numbers a slice), exactly, for every threshold that is a multiple of 1/1000.

Bin k counts the pixels with k/1000 <= probability < (k + 1)/1000, and bin 1000 those of probability 1. So "at least
k/1000" is exactly "bin k or above". The comparison is one of float64 numbers: np.float32(0.7) is a little less than
0.7, and lies in bin 699.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from hemokit.checks import check_binary, check_columns, check_same_shape, problem
from hemokit.files import write_whole
from hemokit.formats.csv_files import parse_float, parse_int, read_csv
from hemokit.labels import LABELS
from hemokit.metrics import Counts

NUM_BINS = 1001
NOTICE = "education only, not a medical device"
FLOATS = ("mean_probability", "top_probability", "max_probability")
MEASURES = ("pixel_area_mm2", "slice_spacing_mm")
HISTOGRAMS = ("background", "hemorrhage")
_TEXT = ("dataset", "patient_id", "scan_id", "slice_id", "split")
_IDS = _TEXT[:4]
COLUMNS = (*_IDS, "slice_index", "split", *LABELS, *FLOATS, "num_pixels", *MEASURES, *HISTOGRAMS)
_EDGES = np.arange(NUM_BINS) / 1000
_CSV, _NPZ = "predictions.csv", "histograms.npz"


def check_probabilities(values, name="probability"):
    """Return `values` as a float16, float32 or float64 array; HemokitError unless every value lies in [0, 1].

    Whole numbers and bools (0 and 1) become float32. An empty array is fine.
    """
    array = np.asarray(values)
    if array.dtype.kind in "biu":
        array = array.astype(np.float32)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise problem(f"{name} holds {array.dtype} values", "float32 probabilities", "Convert it to float32 first.")
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN passes through min and max
        wrong = array[~((array >= 0) & (array <= 1))][0]
        remedy = "Pass logits through a sigmoid, divide 8-bit values by 255, and look for what made a NaN."
        raise problem(f"{name} holds the value {wrong:g}", "probabilities from 0 to 1", remedy)
    return array


def pixel_histogram(probability, mask=None):
    """Count the pixels of an image by probability, outside and inside the true mask.

    Args:
        probability: array of any shape, in [0, 1].
        mask: bool or 0/1 array of the same shape, or None where the truth is not known.

    Returns:
        (background, hemorrhage): two int32 arrays (1001,), see the top of this module. Without a mask, hemorrhage
        is None and background counts all pixels. An empty image gives zeros.

    Raises:
        HemokitError: values outside [0, 1], NaN, another shape, a mask with other values than 0 and 1.
    """
    probability = check_probabilities(probability)
    bins = _bins(probability.ravel())
    if mask is None:
        return np.bincount(bins, minlength=NUM_BINS).astype(np.int32), None
    check_same_shape(mask, probability, names=("mask", "probability"))
    bins += NUM_BINS * check_binary(mask, "mask").ravel()
    background, hemorrhage = np.bincount(bins, minlength=2 * NUM_BINS).astype(np.int32).reshape(2, NUM_BINS)
    return background, hemorrhage


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
    frame[list(FLOATS)] = np.array([_slice_scores(one) for one in maps]).reshape(-1, len(FLOATS))
    frame["num_pixels"] = np.prod(maps.shape[1:], dtype=np.int64)
    frame["pixel_area_mm2"] = _column(pixel_area_mm2, len(maps))
    known = "slice_spacing_mm" in table_rows.columns
    frame["slice_spacing_mm"] = _column(table_rows["slice_spacing_mm"].to_numpy() if known else None, len(maps))
    pairs = [pixel_histogram(*pair) for pair in zip(maps, masks, strict=True)]
    return _with_histograms(frame, pairs)


def stack_histograms(predictions):
    """The pixel counts of all rows as two int64 arrays (slices, 1001): background, hemorrhage.

    Raises:
        HemokitError: a row without counts inside the true mask.
    """
    check_columns(predictions, HISTOGRAMS)
    for column in HISTOGRAMS:
        without = sum(one is None for one in predictions[column])
        if without:
            raise problem(
                f"{without} of {len(predictions)} rows have no pixel counts in {column!r}",
                "slices whose true mask is known",
                "Predict with masks, or judge the slices by their labels.",
                column=column,
            )
    return tuple(np.array(predictions[name].tolist(), np.int64).reshape(-1, NUM_BINS) for name in HISTOGRAMS)


def counts_at(predictions, threshold):
    """Count agreement with the true masks when the pixels of at least this probability are predicted positive.

    Args:
        predictions: a predictions frame whose rows all have true masks.
        threshold: a multiple of 1/1000 from 0 to 1.

    Returns:
        `metrics.Counts` of int64 arrays (slices,); no rows give empty arrays.

    Raises:
        HemokitError: another threshold, a row without counts inside the true mask.
    """
    first = _first_bin(threshold)
    background, hemorrhage = stack_histograms(predictions)
    fp, tp = background[:, first:].sum(axis=1), hemorrhage[:, first:].sum(axis=1)
    return Counts(tp, fp, hemorrhage[:, :first].sum(axis=1), background[:, :first].sum(axis=1))


def write_predictions(predictions, folder):
    """Write predictions.csv (a row a slice, to read and to sort) and histograms.npz, each whole or not at all.

    Args:
        predictions: a predictions frame; beside `COLUMNS` it may have columns `probability_<label>`.
        folder: is made if missing; files of these names in it are replaced.

    Raises:
        HemokitError: columns that are missing or not known, a slice twice.
    """
    check_columns(predictions, COLUMNS)
    _check_rows(predictions)
    arrays = {"slice_id": np.array(predictions["slice_id"].tolist(), str)}
    arrays["mean_probability"] = predictions["mean_probability"].to_numpy(float)
    for name in HISTOGRAMS:
        known = np.array([one is not None for one in predictions[name]], bool)
        arrays[name], arrays[f"{name}_known"] = np.zeros((len(known), NUM_BINS), np.int32), known
        arrays[name][known] = predictions[name][known].tolist() or 0
    with write_whole(Path(folder) / _NPZ, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    with write_whole(Path(folder) / _CSV) as stream:
        rows = predictions.drop(columns=list(HISTOGRAMS)).assign(notice=NOTICE)
        rows.to_csv(stream, index=False, lineterminator="\n")


def read_predictions(folder):
    """Read what `write_predictions` wrote: the same frame again.

    Raises:
        HemokitError: a file that is missing or damaged, a cell that is no number where one is due, two files that
            are not of the same predictions.
    """
    path, counts_path = Path(folder) / _CSV, Path(folder) / _NPZ
    text = read_csv(path, columns=[*COLUMNS[: -len(HISTOGRAMS)], "notice"], unique="slice_id")
    frame = pd.DataFrame({name: _parse(text[name], path) for name in text.columns if name != "notice"})
    _check_rows(frame, path)
    arrays = _read_arrays(counts_path)
    _check_arrays(arrays, frame, counts_path)
    lists = [
        [row if known else None for row, known in zip(arrays[name], arrays[f"{name}_known"], strict=True)]
        for name in HISTOGRAMS
    ]
    pairs = list(zip(*lists, strict=True))
    return _with_histograms(frame.reset_index(drop=True), pairs)


def _bins(probability):
    """The bin of each value (int64): float32 times 1000 is exact in float64; float64 values are compared."""
    if probability.dtype == np.float64:
        return np.searchsorted(_EDGES, probability, side="right") - 1
    return np.multiply(probability, 1000.0, dtype=np.float64).astype(np.int64)


def _first_bin(threshold):
    """The bin that begins at the threshold."""
    number = np.round(threshold * 1000) if np.isscalar(threshold) and np.isreal(threshold) else np.nan
    if not (0 <= number <= 1000 and abs(threshold - number / 1000) <= 1e-9):
        remedy = "Between two of these the counts of a slice are not known: round it."
        raise problem(f"the threshold is {threshold!r}", "a multiple of 1/1000 from 0 to 1", remedy)
    return int(number)


def _stack(values, num_rows, name):
    """Maps or masks as (slices, height, width)."""
    array = np.asarray(values)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or len(array) != num_rows or (num_rows and not array.size):
        expected = f"({num_rows}, height, width), one map for each of the {num_rows} rows"
        raise problem(f"{name} has shape {np.shape(values)}", expected, "Pass the rows and maps of the same slices.")
    return array


def _slice_scores(probability):
    """Mean over the pixels, mean of the highest 1 % of them, and maximum."""
    flat = check_probabilities(probability).ravel()
    top = max(1, flat.size // 100)
    highest = np.partition(flat, flat.size - top)[-top:]
    return flat.mean(dtype=np.float64), highest.mean(dtype=np.float64), float(highest.max())


def _column(values, num_rows):
    """One float for each row; None is NaN."""
    if values is None:
        return np.full(num_rows, np.nan)
    return np.broadcast_to(np.asarray(values, float), (num_rows,)).copy()


def _with_histograms(frame, pairs):
    """The frame with its types, and the two columns of arrays."""
    frame = frame.assign(**{name: _typed(name, frame[name]) for name in frame.columns})
    for place, name in enumerate(HISTOGRAMS):
        frame[name] = pd.Series(np.fromiter((pair[place] for pair in pairs), object, len(frame)), dtype=object)
    return frame


def _typed(name, values):
    """One column with the type that it has in every predictions frame."""
    if name in _TEXT:
        return values.astype(object).where(values.notna(), None)
    if name == "slice_index":
        places = values.astype("Int64")
        return places if places.isna().any() else places.astype("int64")
    return values.astype("int8" if name in LABELS else "int64" if name == "num_pixels" else "float64")


def _check_rows(frame, path=None):
    """Raise where a slice stands twice, or a column is none of this frame."""
    unknown = [name for name in frame.columns if name not in COLUMNS and not name.startswith("probability_")]
    if unknown:
        expected = "the columns of a predictions frame, and probability_<label>"
        raise problem(f"there is a column {unknown[0]!r}", expected, "Remove or rename it.", file=path)
    twice = frame["slice_id"][frame["slice_id"].duplicated()]
    if len(twice):
        raise problem(f"slice_id {twice.iloc[0]!r} stands twice", "each slice once", "Write one row a slice.")


def _parse(text, path):
    """One column of the file as values; a blank cell is missing where that may be."""
    name = text.name
    if name in _TEXT:
        return text.astype(object).mask((text == "") & (name not in ("dataset", "slice_id")), None)
    whole = name in ("slice_index", "num_pixels", *LABELS)
    place = {"file": path, "column": name, "low": 0}
    place["high"] = None if name in (*MEASURES, "slice_index", "num_pixels") else 1
    parse, optional = parse_int if whole else parse_float, not whole or name == "slice_index"
    values = [None if cell == "" and optional else parse(cell, row=row, **place) for row, cell in text.items()]
    return pd.Series(values, text.index, "Int64" if whole else "float64")


def _read_arrays(path):
    """The arrays of histograms.npz, or HemokitError where it is missing or damaged."""
    names = ("slice_id", "mean_probability", *HISTOGRAMS, *(f"{name}_known" for name in HISTOGRAMS))
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        remedy = f"It is written beside {_CSV}: keep the two together, or predict again."
        raise problem(f"the file cannot be read ({error})", "the pixel counts", remedy, file=path) from None


def _check_arrays(arrays, frame, path):
    """Raise unless the counts are of the slices and of the very predictions in the frame."""
    shapes = {name: (len(frame), NUM_BINS) if name in HISTOGRAMS else (len(frame),) for name in arrays}
    same = all(arrays[name].shape == shape for name, shape in shapes.items())
    same = same and all(arrays[name].dtype == np.int32 for name in HISTOGRAMS)
    same = same and arrays["slice_id"].tolist() == frame["slice_id"].tolist()
    same = same and np.array_equal(arrays["mean_probability"], frame["mean_probability"].to_numpy(), equal_nan=True)
    pixels = arrays["background"].sum(axis=1) + arrays["hemorrhage"].sum(axis=1) if same else None
    if not same or (arrays["background_known"] & (pixels != frame["num_pixels"].to_numpy())).any():
        remedy = "One of the files was changed or comes from another run: predict again."
        raise problem("the counts are of other predictions", f"those of the slices in {_CSV}", remedy, file=path)
