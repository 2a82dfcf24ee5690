"""What neighboring slices say: a bleed goes through several slices, a false alarm mostly through one."""

from numbers import Integral

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem


def average_neighbors(predictions, *, reach=2):
    """Replace the probabilities of each slice by their mean over it and its neighbors in the scan.

    Args:
        predictions: frame of a classifier with scan_id, slice_index and probability_<label>; exclusive classes keep
            summing to 1, and `prediction` (words or whole numbers) is chosen anew. Where there is a column dataset,
            scans of different data sets are different scans, whatever their names.
        reach: how many places up and down; 0 changes nothing. Neighbors that a scan does not have are left out of
            the mean, so that its ends have fewer.

    Returns:
        a new frame, rows in the same order, without score_<label>. No rows give an empty frame.

    Raises:
        HemokitError: a column that is missing, also that of a label that was predicted; a slice without dataset,
            scan_id, slice_index or a finite probability; one place twice in a scan.
    """
    names = [name for name in predictions.columns if name.startswith("probability_")]
    check_columns(predictions, ["scan_id", "slice_index"])
    if not names:
        raise problem("no column probability_<label>", "predictions of a classifier", "Make them by predict_labels.")
    if not isinstance(reach, Integral) or isinstance(reach, bool) or reach < 0:
        raise problem(f"reach is {reach!r}", "a whole number from 0", "1 or 2 are usual.")
    scan = ["dataset", "scan_id"] if "dataset" in predictions.columns else ["scan_id"]
    _check_places(predictions, scan)
    _check_probabilities(predictions, names)
    scans, places = [predictions[name] for name in scan], predictions["slice_index"].astype("int64")
    known = predictions[names].set_index(pd.MultiIndex.from_arrays([*scans, places]))
    shifted = [known.reindex(pd.MultiIndex.from_arrays([*scans, places + step])) for step in range(-reach, reach + 1)]
    means = np.nanmean([one.to_numpy(float) for one in shifted], axis=0) if len(known) else known.to_numpy(float)
    frame = predictions.drop(columns=[name for name in predictions.columns if name.startswith("score_")])
    frame = frame.assign(**dict(zip(names, means.T, strict=True)))
    if "prediction" in frame.columns and len(frame):
        frame["prediction"] = _labels(predictions, names)[means.argmax(axis=1)]
    return frame


def _labels(predictions, names):
    """The label of each probability_<label>, as the columns prediction and label have it: numbers stay numbers."""
    values = set(predictions["prediction"].dropna())
    lacking = {str(value) for value in values} - {name.removeprefix("probability_") for name in names}
    if lacking:
        came = f"the prediction {min(lacking)!r} has no column 'probability_{min(lacking)}'"
        remedy = "Give the probabilities of all labels, or leave out the column prediction."
        raise problem(came, "a probability of each label that is predicted", remedy, column="prediction")
    values |= set(predictions["label"].dropna()) if "label" in predictions.columns else set()
    known = {str(value): value for value in values}
    own = [known.get(name.removeprefix("probability_"), name.removeprefix("probability_")) for name in names]
    if values and all(isinstance(value, Integral) and not isinstance(value, bool) for value in values):
        own = [int(label) if str(label).isdecimal() else label for label in own]  # some may occur nowhere
        return np.array(own, None if all(isinstance(label, int) for label in own) else object)
    return np.array(own, object)


def _check_probabilities(predictions, names):
    """Each slice has probabilities of its own: they are averaged, not invented."""
    for name in names:
        wrong = int((~np.isfinite(predictions[name].to_numpy(float))).sum())
        if wrong:
            remedy = "Predict these slices, or leave their rows out."
            raise problem(f"{wrong} of {len(predictions)} slices have none", "a finite number", remedy, column=name)


def _check_places(predictions, scan):
    """Each slice has a place of its own in a scan."""
    for column in (*scan, "slice_index"):
        if predictions[column].isna().any():
            came = f"{int(predictions[column].isna().sum())} of {len(predictions)} slices have no {column}"
            raise problem(came, "a place for every slice", "Join the scans first.", column=column)
    twice = predictions[predictions.duplicated([*scan, "slice_index"])]
    if len(twice):
        came = f"scan {twice['scan_id'].iloc[0]!r} has two slices at place {twice['slice_index'].iloc[0]}"
        raise problem(came, "one slice a place", "Predict each slice once.", column="slice_index")
