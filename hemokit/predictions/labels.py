"""Predictions of classifiers: a probability for each label of a slice, beside the truth; in memory and on disk.

There are two kinds of frames, told apart by their columns. Of exclusive classes: `label` (the truth), `prediction`,
probability_<label> for each class, score_<label> where a model ranks by something better. Of labels that occur
together: the columns `labels.LABELS` (the truth) and probability_<label> for those that the model knows.
"""

from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.files import write_whole
from hemokit.formats.csv_files import parse_float, parse_int, read_csv
from hemokit.labels import ANY, LABELS, class_names
from hemokit.predictions.frames import TEXT
from hemokit.predictions.histograms import check_probabilities
from hemokit.predictions.stored import NOTICE

CLASS_COLUMNS = ("label", "prediction")
FILE = "label_predictions.csv"
_SUM = 1e-3  # how far a softmax in float32 or bfloat16 may be from 1


def are_exclusive(labels):
    """Are these labels classes of which each slice has one? All are but `labels.LABELS` and ("any",)."""
    return tuple(labels) not in (LABELS, (ANY,))


def build_label_predictions(table_rows, probabilities, labels):
    """Turn the outputs of a classifier into a frame.

    Args:
        table_rows: rows of a slice table, one for each output (split and fold are taken along where it has them).
        probabilities: float array (slices, labels) in [0, 1].
        labels: what the outputs mean: exclusive classes (see `labels.class_names`), whose probabilities sum to 1;
            or `labels.LABELS` or ("any",), which have a probability each.

    Returns:
        DataFrame, one row a slice, in the order given: dataset, patient_id, scan_id, slice_id, slice_index, split
        (None without one), fold; then `label`, `prediction` (the first of the most probable classes) and
        probability_<label>, as `evaluation.classes.class_report` takes it; or `labels.LABELS` and
        probability_<label>, for `evaluation.slices.slice_report`. No rows give an empty frame.

    Raises:
        HemokitError: another shape, values outside [0, 1], probabilities of exclusive classes that do not sum to 1,
            slices outside of the classes.
    """
    labels, values = tuple(labels), np.asarray(probabilities)
    check_columns(table_rows, [*TEXT[:4], "slice_index", *LABELS])
    if values.shape != (len(table_rows), len(labels)):
        came = f"probabilities has shape {values.shape}"
        remedy = "Name the labels of this model's outputs, in their order."
        raise problem(came, f"({len(table_rows)}, {len(labels)}), one for each of {', '.join(labels)}", remedy)
    values = check_probabilities(values).astype(np.float64)
    names = [*TEXT[:4], "slice_index", *(name for name in ("split", "fold") if name in table_rows.columns)]
    frame = table_rows[names].reset_index(drop=True)
    if "split" not in frame:
        frame.insert(5, "split", None)
    if are_exclusive(labels):
        _check_sums(values)
        frame["label"] = class_names(table_rows, labels)
        frame["prediction"] = np.array(labels, dtype=object)[values.argmax(axis=1)]
    else:
        frame[list(LABELS)] = table_rows[list(LABELS)].to_numpy()
    frame[[f"probability_{label}" for label in labels]] = values
    return _typed(frame)


def write_label_predictions(predictions, folder):
    """Write label_predictions.csv, a row a slice, whole or not at all.

    Args:
        predictions: a frame of `build_label_predictions` or `baselines.cross_predict`. Its attrs are not stored.
        folder: is made if missing; a file of this name in it is replaced.

    Raises:
        HemokitError: columns that are missing or not known, a slice twice, labels that would come back as others.
    """
    _check(predictions)
    for name in (name for name in CLASS_COLUMNS if name in predictions):
        _check_labels(predictions[name])
    with write_whole(Path(folder) / FILE) as stream:
        predictions.assign(notice=NOTICE).to_csv(stream, index=False, lineterminator="\n")


def read_label_predictions(folder):
    """Read what `write_label_predictions` wrote: the same frame again.

    Labels that are all whole numbers come back as numbers, others as words.

    Raises:
        HemokitError: a file that is missing or damaged, a cell that is no number where one is due.
    """
    path = Path(folder) / FILE
    text = read_csv(path, columns=[*TEXT, "notice"], unique="slice_id").drop(columns="notice")
    _check(text, path)
    frame = pd.DataFrame({name: _parse(text[name], path) for name in text.columns})
    return _typed(frame.reset_index(drop=True))


def _check(frame, path=None):
    """Raise unless the columns are those of one of the two kinds, and each slice stands once."""
    check_columns(frame, TEXT, file=path)
    kind = CLASS_COLUMNS if "label" in frame else LABELS
    check_columns(frame, kind, file=path)
    known = {*TEXT, *kind, "slice_index", "fold"}
    unknown = [name for name in frame if name not in known and not str(name).startswith(("probability_", "score_"))]
    if unknown:
        expected = "ids, labels, probability_<label> and score_<label>"
        remedy = "Remove or rename it; frames of segmentation models are for write_predictions."
        raise problem(f"there is a column {unknown[0]!r}", expected, remedy, file=path)
    twice = frame["slice_id"][frame["slice_id"].duplicated()]
    if len(twice):
        raise problem(f"slice_id {twice.iloc[0]!r} stands twice", "each slice once", "Write one row a slice.")


def _check_labels(values):
    """Raise where text cannot tell what the labels are: missing ones, and words that look like numbers."""
    words = all(isinstance(value, str) and value and not _looks_whole(value) for value in values)
    if not words and not all(isinstance(value, Integral) and not isinstance(value, bool) for value in values):
        kinds = ", ".join(sorted({repr(value) for value in values.tolist()})[:3])
        remedy = "Name the classes, or make all of them ints."
        raise problem(f"labels such as {kinds}", "words, or whole numbers, one in each row", remedy, column=values.name)


def _check_sums(values):
    sums = values.sum(axis=1)
    wrong = np.abs(sums - 1) > _SUM
    if wrong.any():
        came = f"the probabilities of {int(wrong.sum())} of {len(sums)} slices sum to {sums[wrong][0]:.3g} or the like"
        remedy = "Sigmoids of labels that occur together have labels=LABELS; logits need a softmax."
        raise problem(came, "1, as classes exclude each other", remedy)


def _parse(text, path):
    """One column of the file as values; a blank cell is missing where that may be."""
    name = text.name
    if name in TEXT:
        return text.astype(object).mask((text == "") & (name not in ("dataset", "slice_id")), None)
    place = {"file": path, "column": name}
    if name in CLASS_COLUMNS:
        if len(text) and all(map(_looks_whole, text)):
            return pd.Series([parse_int(cell, row=row, **place) for row, cell in text.items()], text.index)
        return text.astype(object)
    if name.startswith("score_"):
        return pd.Series([parse_float(cell, row=row, **place) for row, cell in text.items()], text.index, "float64")
    whole = name in ("slice_index", "fold", *LABELS)
    place |= {"low": 0, "high": None if name in ("slice_index", "fold") else 1}
    parse = parse_int if whole else parse_float
    empty = name == "slice_index"
    values = [None if cell == "" and empty else parse(cell, row=row, **place) for row, cell in text.items()]
    return pd.Series(values, text.index, "Int64" if whole else "float64")


def _looks_whole(text):
    return text.removeprefix("-").isdecimal()


def _typed(frame):
    """The frame with the types that its columns have in every one of them."""
    types = dict.fromkeys((name for name in frame if name in LABELS), "int8")
    types |= {"fold": "int64"} if "fold" in frame else {}
    if "slice_index" in frame:
        types["slice_index"] = "Int64" if frame["slice_index"].isna().any() else "int64"
    frame = frame.astype(types)
    words = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in TEXT}
    named = [name for name in CLASS_COLUMNS if name in frame and all(isinstance(one, str) for one in frame[name])]
    return frame.assign(**words, **{name: frame[name].astype(object) for name in named})
