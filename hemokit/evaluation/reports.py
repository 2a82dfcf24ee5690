"""What every report has in common: which frames may be judged, the columns, and how it is printed.

A report is a DataFrame with a row for each metric. It says on what it was measured: data, n, split and seed stand
in every row, so that a row that is copied somewhere else still tells.
"""

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.evaluation.bootstrap import show_interval, unit_codes, weighted_intervals

KEYS = ("dataset", "patient_id", "scan_id", "slice_id", "split")
COLUMNS = (
    *("metric", "estimate", "low", "high", "n", "unit", "positives", "patients", "data", "split", "seed"),
    *("confidence", "undefined", "note"),
)


def check_judged(predictions, columns=()):
    """Return the rows in the order of their ids; raise HemokitError where they must not be judged together.

    Refused are: no rows; several data sets; several splits (a test score that holds training slices); a slice that
    stands twice (a table that was balanced by copies); a scan of two patients. Slices that belong to no split are
    fine, among themselves.
    """
    check_columns(predictions, [*KEYS, *columns])
    if not len(predictions):
        raise problem("the predictions have no rows", "at least one slice", "Look at the filter before.")
    for column, what, remedy in (
        ("dataset", "data sets", "Judge each data set alone, and put the reports side by side."),
        ("split", "splits", "Take one: predictions[predictions['split'] == 'test']. Training rows flatter a score."),
    ):
        names = sorted(str(name) for name in predictions[column].unique())
        if len(names) > 1:
            raise problem(f"the rows are of {len(names)} {what} ({', '.join(names)})", f"one of the {what}", remedy)
    twice = predictions["slice_id"][predictions["slice_id"].duplicated()]
    if len(twice):
        came = f"slice {twice.iloc[0]!r} stands in {int((predictions['slice_id'] == twice.iloc[0]).sum())} rows"
        raise problem(came, "each slice once", "Judge rows that were not balanced by copies.", column="slice_id")
    scans = predictions[["scan_id", "patient_id"]].dropna().drop_duplicates()["scan_id"]
    if scans.duplicated().any():
        came = f"scan {scans[scans.duplicated()].iloc[0]!r} stands under several patients"
        raise problem(came, "one patient a scan", "Correct the ids.", column="scan_id")
    return predictions.sort_values(["patient_id", "scan_id", "slice_id"], ignore_index=True)


def check_truth(predictions, label):
    """The 0/1 labels as a bool array (rows,); HemokitError where a row has none."""
    check_columns(predictions, [label])
    labels = predictions[label]
    wrong = ~labels.isin([0, 1])
    if wrong.any():
        came = f"{int(wrong.sum())} of {len(labels)} rows have no label 0 or 1"
        raise problem(came, "the truth in every row", "Slices of unknown truth cannot be judged.", column=label)
    return labels.to_numpy(int).astype(bool)


def check_scores(predictions, column):
    """A column of scores as a float array (rows,); HemokitError unless each lies in [0, 1]."""
    check_columns(predictions, [column])
    scores = predictions[column].to_numpy(float)
    wrong = ~((scores >= 0) & (scores <= 1))
    if wrong.any():
        came = f"{int(wrong.sum())} of {len(scores)} scores are not in [0, 1] (the first is {scores[wrong][0]:g})"
        raise problem(came, "a probability in every row", "Predict these slices again.", column=column)
    return scores


def build_report(frame, statistics, *, unit_name, positives, notes=None, unit="patient_id", seed=0, **resampling):
    """Estimate, interval and origin of several metrics.

    Args:
        frame: what was judged, one row a slice or a scan, from `check_judged`.
        statistics: as in `bootstrap.weighted_intervals`; the order of its names is that of the report.
        unit_name: "slices" or "scans": what n counts.
        positives: how many of them are positive.
        notes: dict metric -> sentence.
        unit, seed, **resampling: as in `bootstrap_interval`.

    Returns:
        DataFrame with `COLUMNS`: low and high are NaN where there is no interval, and `note` says why; `undefined`
        counts the resamples that were left out.
    """
    notes = notes or {}
    found = weighted_intervals(statistics, unit_codes(frame, unit), unit=unit, seed=seed, **resampling)
    origin = {
        "n": len(frame), "unit": unit_name, "positives": int(positives), "patients": frame["patient_id"].nunique(),
        **origin_of(frame), "seed": seed, "confidence": resampling.get("confidence", 0.95),
    }  # fmt: skip
    rows = []
    for metric, (interval, undefined, note) in found.items():
        known = notes.get(metric, "")
        note = known if known.startswith("undefined") else "; ".join(filter(None, (known, note)))
        told = {"undefined": undefined, "note": note}
        rows.append({"metric": metric, **interval._asdict(), **origin, **told})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def origin_of(frame):
    """The data set and the split of rows from `check_judged`: dict; the split of an unsplit table is "none"."""
    split = frame["split"].iloc[0]
    return {"data": frame["dataset"].iloc[0], "split": "none" if pd.isna(split) else split}


def show_report(report, *, digits=2):
    """A report or leaderboard to read: each figure with its interval in one cell, as in 0.71 [0.62, 0.80].

    Args:
        report: a frame with columns (estimate, low, high), or triples such as (dice, dice_low, dice_high).
        digits: after the point.

    Returns:
        DataFrame; the figure and its two limits become one column of text ("" where a run has none). Columns that
        are of use only to programs (confidence, undefined) and empty notes are left out.
    """
    shown = report.drop(columns=[name for name in ("confidence", "undefined") if name in report])
    for name in [column for column in report.columns if f"{column}_low" in report] + ["estimate"]:
        low, high = ("low", "high") if name == "estimate" else (f"{name}_low", f"{name}_high")
        if {name, low, high} <= set(shown.columns):
            cells, empty = shown[[name, low, high]].to_numpy(float), "undefined" if name == "estimate" else ""
            shown = shown.drop(columns=[low, high])
            texts = [empty if np.isnan(cell[0]) else show_interval(*cell, digits=digits) for cell in cells]
            shown[name] = np.array(texts, object)
    if "note" in shown and not shown["note"].astype(bool).any():
        shown = shown.drop(columns="note")
    return shown
