"""Scores of slices and of scans: is there a hemorrhage in it?

A segmentation model gives each slice a score through its pixels: their mean (mean_probability, as renyard), the mean
of the highest 1 % (top_probability, better, because most of a slice is never hemorrhage) or the highest one
(max_probability). A classifier gives probability_<label> itself.
"""

from numbers import Integral, Real

import numpy as np

from hemokit.checks import problem
from hemokit.evaluation.reports import KEYS, build_report, check_judged, check_scores, check_truth
from hemokit.evaluation.scores import auroc, average_precision, brier, threshold_counts
from hemokit.labels import ANY
from hemokit.metrics import dice, pixel_accuracy, precision, sensitivity, specificity


def slice_report(predictions, *, threshold=None, score="top_probability", label=ANY, **resampling):
    """How well slices with and without hemorrhage are told apart, with intervals by patient.

    Args:
        predictions: a predictions frame of one data set and one split.
        threshold: a slice with a score of at least this is called positive. Choose it on validation rows. None
            leaves out the rows that need one.
        score: the column with the score of a slice, in [0, 1].
        label: the column with the truth, "any" or a subtype.
        **resampling: unit, num_resamples, confidence, seed as in `bootstrap_interval`.

    Returns:
        DataFrame with `reports.COLUMNS` and the metrics auroc, auprc, brier, prevalence; with a threshold also
        sensitivity, specificity, precision, f1, accuracy, balanced_accuracy. What is undefined is NaN and the
        note says why: with one class alone there is no auroc, auprc and balanced accuracy.

    Raises:
        HemokitError: no rows, mixed data sets or splits, a slice twice, rows without truth, score or patient.
    """
    return _report(check_judged(predictions), "slices", threshold, score, label, resampling)


def scan_report(predictions, *, threshold=None, score="top_probability", label=ANY, top_slices=1, **resampling):
    """How well scans with and without hemorrhage are told apart: as `slice_report`, one row of data a scan.

    Args:
        top_slices: the score of a scan is the mean of this many of its highest slice scores; see `scan_scores`.
        predictions, threshold, score, label, **resampling: as in `slice_report`.
    """
    scans = scan_scores(predictions, score=score, label=label, top_slices=top_slices)
    return _report(scans, "scans", threshold, score, label, resampling)


def scan_scores(predictions, *, score="top_probability", label=ANY, top_slices=1):
    """One score and one label for each scan.

    Args:
        top_slices: the score is the mean over this many slices with the highest scores (all of them in a shorter
            scan). 1 is the maximum: a single false alarm decides; 3 asks for a bleed that is seen on more slices.
        predictions, score, label: as in `slice_report`.

    Returns:
        DataFrame dataset, patient_id, scan_id, slice_id (the scan's id again), split, num_slices, and the columns
        named by label (1 where any slice has it) and score; in the order of patients and scans.

    Raises:
        HemokitError: as `slice_report`; a slice without scan_id; top_slices below 1.
    """
    if not isinstance(top_slices, Integral) or isinstance(top_slices, bool) or top_slices < 1:
        raise problem(f"top_slices is {top_slices!r}", "a whole number from 1", "1 takes the highest slice.")
    frame = check_judged(predictions)
    missing = int(frame["scan_id"].isna().sum())
    if missing:
        remedy = "Join the scans first; windowed JPGs need the DICOM headers."
        raise problem(f"{missing} slices have no scan_id", "a scan for every slice", remedy, column="scan_id")
    check_scores(frame, score)
    frame[label] = check_truth(frame, label).astype(int)
    groups = frame.groupby("scan_id", sort=False)
    scans = groups[list(KEYS[:2])].first()
    scans["slice_id"], scans["split"] = scans.index, groups["split"].first()
    scans["num_slices"], scans[label] = groups.size(), groups[label].max()
    scans[score] = groups[score].agg(lambda values: np.sort(values.to_numpy())[-top_slices:].mean())
    return scans.reset_index()[[*KEYS, "num_slices", label, score]]


def _report(frame, unit_name, threshold, score, label, resampling):
    if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        raise problem(f"the threshold is {threshold!r}", "a number from 0 to 1", "Choose it on validation rows.")
    y_true, scores = check_truth(frame, label), check_scores(frame, score)

    def statistics(weights):
        found = {
            "auroc": auroc(y_true, scores, weights),
            "auprc": average_precision(y_true, scores, weights),
            "brier": brier(y_true, scores, weights),
            "prevalence": weights @ y_true / weights.sum(axis=-1),
        }
        return found if threshold is None else {**found, **_at(threshold_counts(y_true, scores, threshold, weights))}

    called = None if threshold is None else int((scores >= threshold).sum())
    notes = _notes(int(y_true.sum()), len(y_true), called, unit_name)
    return build_report(frame, statistics, unit_name=unit_name, positives=int(y_true.sum()), notes=notes, **resampling)


def _at(counts):
    """Scores of yes-or-no calls."""
    found = {"sensitivity": sensitivity(counts), "specificity": specificity(counts), "precision": precision(counts)}
    found |= {"f1": dice(counts), "accuracy": pixel_accuracy(counts)}
    return {**found, "balanced_accuracy": (found["sensitivity"] + found["specificity"]) / 2}


def _notes(positives, total, called, unit_name):
    """Why a metric is undefined: one sentence for each."""
    notes = {}
    if positives in (0, total):
        which = "negative" if positives == 0 else "positive"
        one_class = f"undefined: all {total} {unit_name} are {which}"
        notes = dict.fromkeys(("auroc", "auprc", "balanced_accuracy"), one_class)
        notes["sensitivity" if positives == 0 else "specificity"] = one_class
    if called == 0:
        notes["precision"] = f"undefined: none of the {total} {unit_name} reaches the threshold"
        if positives == 0:
            notes["f1"] = notes["precision"] + " and none is positive"
    return notes
