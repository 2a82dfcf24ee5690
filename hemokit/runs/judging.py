"""From predictions on disk to tables: slices, scans, masks, calibration, volumes. No model, no Keras."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit import evaluation
from hemokit.checks import HemokitError, check_columns, problem
from hemokit.predictions import NUM_BINS, read_predictions
from hemokit.runs.judging_facts import SCORE, Facts, check_folder, choose_on_validation, planned_folds, read_facts

CALLS = "probability_called"  # 1.0 where the slice score reaches its threshold
CALLED = ("sensitivity", "specificity", "precision", "f1", "accuracy", "balanced_accuracy")


class Part(NamedTuple):
    """Predictions of one model with its thresholds; a run over folds has several.

    `search` is None if none was made. `missing` names the folds of the same run that have no predictions (yet), and
    `num_folds` says how many there are in all; 0 where the part is no fold.
    """

    folder: Path
    predictions: pd.DataFrame
    facts: Facts
    search: object = None
    missing: tuple = ()
    num_folds: int = 0


class Judgement(NamedTuple):
    """`tables` by name; `notes` (what was not judged, and why); the rows `judged`, as they are and `called`.

    In `called` the thresholds of each part have made every probability 0 or 1. `data` and `split` are what the tables
    say of all rows: a short name of the data (of the layout, where no more is known), and "test" or "none".
    """

    tables: dict
    notes: list
    judged: pd.DataFrame
    called: pd.DataFrame
    parts: list
    data: str
    split: str


def read_parts(folder, *, threshold=None):
    """Read the predictions in a folder, or those in its folders fold_0, fold_1, ..., with their thresholds.

    Args:
        folder: what `hemokit train` or `hemokit predict` wrote.
        threshold: of pixels, in place of the run's; a multiple of 1/1000.

    Returns:
        list of `Part`, at least one.

    Raises:
        HemokitError: nothing there, or both; a damaged file; no threshold, and no validation rows to choose it on.
    """
    folder = Path(folder)
    check_folder(folder, "the folder that hemokit train or hemokit predict wrote")
    folds = sorted(folder.glob("fold_*/predictions.csv"), key=lambda path: (len(path.parent.name), path.parent.name))
    places = [path.parent for path in folds] if not (folder / "predictions.csv").is_file() else [folder]
    if folds and places == [folder]:
        remedy = "Give one of the folders fold_*, or move the predictions of the one run elsewhere."
        raise problem("there are predictions and folds", "one of them", remedy, file=folder)
    if not places:
        remedy = "Give the folder that hemokit train or hemokit predict wrote."
        raise problem("there are no predictions", "predictions.csv and histograms.npz", remedy, file=folder)
    told = _told_of_folds(folder, folds) if folds else {}
    return [_read_part(place, threshold)._replace(**told) for place in places]


def judge(parts, *, seed=0, num_resamples=1000):
    """Judge the test rows (all rows of predictions without a split) of the parts together.

    Each part's pixels and slices are called by that part's own thresholds. Tables: slices, scans, segmentation,
    calibration (of slices), volumes; those that the rows do not allow are missing, and a note says why.

    Args:
        parts: list of `Part`.
        seed, num_resamples: of the intervals.

    Returns:
        `Judgement`.

    Raises:
        HemokitError: no test rows; one slice in several parts.
    """
    rows = [_judged_rows(part) for part in parts]
    frame = pd.concat(rows, ignore_index=True)
    called = pd.concat([_called(one, part.facts) for one, part in zip(rows, parts, strict=True)], ignore_index=True)
    notes = []
    if len(parts) > 1:
        notes.append("Each fold's own threshold is applied to its own test rows.")
        notes.append(
            "AUROC, AUPRC and calibration take the scores of all folds together, though each model has a scale of its "
            "own, which may lower the first two. The report of each fold has its own."
        )
    unit, said = _unit(frame)
    how = {"seed": seed, "num_resamples": num_resamples}
    tables = {}
    for name, make in (
        ("slices", lambda: _with_calls(evaluation.slice_report, frame, called, unit=unit, **how)),
        ("scans", lambda: _with_calls(evaluation.scan_report, frame, called, unit=_scan_unit(unit), **how)),
        ("segmentation", lambda: _segmentation(called, unit, how)),
        ("calibration", lambda: evaluation.slice_calibration(frame, score=SCORE, **how)),
        ("volumes", lambda: _volumes(called, unit, how)),
    ):
        try:
            tables[name] = make()
        except HemokitError as error:
            notes.append(f"{name}: not judged, because {error}")
    without = len(frame) - sum(one is not None for one in frame["hemorrhage"])
    if without and "segmentation" in tables:
        notes.append(
            f"segmentation: {len(frame)} slices = {len(frame) - without} used + {without} without a true mask."
        )
    if not tables:
        raise HemokitError(notes[-1])
    names = {part.facts.data or part.facts.judged_on.split(";")[0] for part in parts} - {""}
    data = " and ".join(sorted(names)) or frame["dataset"].iloc[0]
    tables = {name: table.assign(data=data) for name, table in tables.items()}
    split = "none" if frame["split"].isna().all() else "test"
    return Judgement(tables, [*said, *notes], frame, called, parts, data, split)


def masked_rows(frame):
    """The rows whose true mask is known.

    Raises:
        HemokitError: no slice with hemorrhage has one, so that masks cannot be judged.
    """
    known = frame[[one is not None for one in frame["hemorrhage"]]]
    if not frame["any"].any():
        came = f"none of the {len(frame)} slices has hemorrhage"
        raise problem(came, "at least one, to judge masks on", "Judge more patients: another seed, or folds.")
    if not known["any"].any():
        came = f"0 of {int(frame['any'].sum())} slices with hemorrhage have a true mask"
        raise problem(came, "masks to compare with", "The folder holds none.")
    return known.reset_index(drop=True)


def whole_scans(frame):
    """The rows of the scans in which every true mask is known: only these have a true volume."""
    kept = masked_rows(frame)
    unknown = frame["scan_id"][~frame["slice_id"].isin(kept["slice_id"])]
    return kept[~kept["scan_id"].isin(unknown)].reset_index(drop=True)


def _told_of_folds(folder, done):
    """How many folds the run in a folder has by its own record, and which of them have no predictions."""
    done = {path.parent.name for path in done}
    counted = [planned_folds(one) for one in folder.glob("fold_*") if one.is_dir()]
    names = {f"fold_{fold}" for fold in range(max(counted, default=0))}
    names |= {one.name for one in folder.glob("fold_*") if one.is_dir()}  # begun, and of an unknown number
    return {"missing": tuple(sorted(names - done, key=lambda name: (len(name), name))), "num_folds": len(names)}


def _read_part(folder, threshold):
    predictions = read_predictions(folder)
    check_columns(predictions, [SCORE])
    facts = read_facts(folder) or Facts()
    search = None
    if (predictions["split"] == "validation").any():  # the curve is drawn even where a threshold is given
        try:
            facts, search = choose_on_validation(predictions, facts)
        except HemokitError:
            if threshold is None and facts.threshold is None:
                raise
    if threshold is not None:
        facts = facts._replace(
            threshold=threshold, chosen_on=f"{facts.chosen_on or 'another run'} (that of pixels: given by --threshold)"
        )
    if facts.threshold is None:
        came = "no threshold, and no validation rows to choose one on"
        remedy = "Give --threshold; it is never chosen on the rows that are scored."
        raise problem(came, "a threshold that does not come from these rows", remedy, file=folder)
    return Part(folder, predictions, facts, search)


def _judged_rows(part):
    frame = part.predictions
    if frame["split"].isna().all():
        return frame
    rows = frame[frame["split"] == "test"]
    if not len(rows):
        names = ", ".join(sorted(frame["split"].dropna().unique()))
        remedy = "Rows that the model or the threshold was chosen on flatter a score: predict other patients."
        raise problem(f"rows of {names} alone", "test rows, or rows of no split", remedy, file=part.folder)
    return rows.reset_index(drop=True)


def _called(frame, facts):
    """The frame with each pixel and slice called by the thresholds: probabilities become 0 and 1."""
    first = int(np.round(facts.threshold * 1000)) if np.isfinite(facts.threshold) else -1
    if not 0 <= first < NUM_BINS or abs(facts.threshold * 1000 - first) > 1e-6:
        remedy = "Pixels are counted in steps of 1/1000: round it."
        raise problem(f"the threshold is {facts.threshold!r}", "a multiple of 1/1000 from 0 to 1", remedy)
    called = frame.copy()
    for name in ("background", "hemorrhage"):
        columns = [None if one is None else _two_bins(one, first) for one in frame[name]]
        called[name] = pd.Series(np.fromiter(columns, object, len(frame)), dtype=object)
    slice_threshold = np.nan if facts.slice_threshold is None else facts.slice_threshold
    called[CALLS] = np.where(np.isnan(slice_threshold), np.nan, frame[SCORE] >= slice_threshold)
    return called


def _two_bins(counts, first):
    """Counts by probability as counts of 0 and 1."""
    two = np.zeros_like(counts)
    two[0], two[-1] = counts[:first].sum(), counts[first:].sum()
    return two


def _unit(frame):
    """By what to resample, and a note where that is not the patient."""
    if frame["patient_id"].notna().all():
        return "patient_id", []
    return "slice_id", ["Patients are not known: intervals are by slice, and too narrow."]


def _scan_unit(unit):
    return "patient_id" if unit == "patient_id" else "scan_id"


def _with_calls(report, frame, called, **how):
    """Scores without a threshold from the probabilities, the others from the calls."""
    table = report(frame, score=SCORE, **how)
    if called[CALLS].isna().any():
        return table
    calls = report(called, score=CALLS, threshold=0.5, **how)
    return pd.concat([table, calls[calls["metric"].isin(CALLED)]], ignore_index=True)


def _segmentation(called, unit, how):
    return evaluation.segmentation_report(masked_rows(called), threshold=0.5, unit=unit, **how)


def _volumes(called, unit, how):
    return evaluation.volume_report(whole_scans(called), threshold=0.5, unit=_scan_unit(unit), **how)
