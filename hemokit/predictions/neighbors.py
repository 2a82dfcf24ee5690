"""What neighboring slices say: a bleed goes through several slices, a false alarm mostly through one."""

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem


def average_neighbors(predictions, *, reach=2):
    """Replace the probabilities of each slice by their mean over it and its neighbors in the scan.

    Args:
        predictions: frame of a classifier with scan_id, slice_index and probability_<label>; exclusive classes keep
            summing to 1, and `prediction` is chosen anew.
        reach: how many places up and down; 0 changes nothing. Neighbors that a scan does not have are left out of
            the mean, so that its ends have fewer.

    Returns:
        a new frame, rows in the same order, without score_<label>. No rows give an empty frame.

    Raises:
        HemokitError: a column that is missing, a slice without scan_id or slice_index, one place twice in a scan.
    """
    names = [name for name in predictions.columns if name.startswith("probability_")]
    check_columns(predictions, ["scan_id", "slice_index"])
    if not names:
        raise problem("no column probability_<label>", "predictions of a classifier", "Make them by predict_labels.")
    if not isinstance(reach, int) or isinstance(reach, bool) or reach < 0:
        raise problem(f"reach is {reach!r}", "a whole number from 0", "1 or 2 are usual.")
    _check_places(predictions)
    scans, places = predictions["scan_id"], predictions["slice_index"].astype("int64")
    known = predictions[names].set_index(pd.MultiIndex.from_arrays([scans, places]))
    shifted = [known.reindex(pd.MultiIndex.from_arrays([scans, places + step])) for step in range(-reach, reach + 1)]
    means = np.nanmean([one.to_numpy(float) for one in shifted], axis=0) if len(known) else known.to_numpy(float)
    frame = predictions.drop(columns=[name for name in predictions.columns if name.startswith("score_")])
    frame = frame.assign(**dict(zip(names, means.T, strict=True)))
    if "prediction" in frame.columns and len(frame):
        labels = np.array([name.removeprefix("probability_") for name in names], object)
        frame["prediction"] = labels[means.argmax(axis=1)]
    return frame


def _check_places(predictions):
    """Each slice has a place of its own in a scan."""
    for column in ("scan_id", "slice_index"):
        if predictions[column].isna().any():
            came = f"{int(predictions[column].isna().sum())} of {len(predictions)} slices have no {column}"
            raise problem(came, "a place for every slice", "Join the scans first.", column=column)
    twice = predictions[predictions.duplicated(["scan_id", "slice_index"])]
    if len(twice):
        came = f"scan {twice['scan_id'].iloc[0]!r} has two slices at place {twice['slice_index'].iloc[0]}"
        raise problem(came, "one slice a place", "Predict each slice once.", column="slice_index")
