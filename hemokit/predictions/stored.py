"""A predictions frame on disk: predictions.csv to read and to sort, histograms.npz beside it."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.files import write_whole
from hemokit.formats.csv_files import parse_float, parse_int, read_csv
from hemokit.labels import LABELS
from hemokit.predictions.frames import COLUMNS, MEASURES, TEXT, check_rows, with_histograms
from hemokit.predictions.histograms import HISTOGRAMS, NUM_BINS

NOTICE = "education only, not a medical device"
_CSV, _NPZ = "predictions.csv", "histograms.npz"


def write_predictions(predictions, folder):
    """Write predictions.csv (a row a slice, to read and to sort) and histograms.npz, each whole or not at all.

    Args:
        predictions: a predictions frame; beside `COLUMNS` it may have columns `probability_<label>`.
        folder: is made if missing; files of these names in it are replaced.

    Raises:
        HemokitError: columns that are missing or not known, a slice twice.
    """
    check_columns(predictions, COLUMNS)
    check_rows(predictions)
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
    check_rows(frame, path)
    arrays = _read_arrays(counts_path)
    _check_arrays(arrays, frame, counts_path)
    lists = [
        [row if known else None for row, known in zip(arrays[name], arrays[f"{name}_known"], strict=True)]
        for name in HISTOGRAMS
    ]
    pairs = list(zip(*lists, strict=True))
    return with_histograms(frame.reset_index(drop=True), pairs)


def _parse(text, path):
    """One column of the file as values; a blank cell is missing where that may be."""
    name = text.name
    if name in TEXT:
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
    except OSError as error:
        said = f" ({error.strerror or error})"
    except (ValueError, TypeError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error):
        said = ": it is damaged, or of another kind"  # NumPy's advice, to allow pickled data, is a bad one here
    remedy = f"It is written beside {_CSV}: keep the two together, or predict again."
    raise problem(f"the file cannot be read{said}", "the pixel counts", remedy, file=path)


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
