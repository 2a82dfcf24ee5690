"""Volumes in milliliters: what is read in the clinic. True and predicted, scan by scan, and how far they agree."""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_same_shape, problem
from hemokit.evaluation.reports import build_report, check_judged
from hemokit.evaluation.scores import pearson
from hemokit.metrics import ratio
from hemokit.predictions import counts_at

_LIMIT = 1.96  # of a normal distribution, 95 % lie within so many standard deviations


class Agreement(NamedTuple):
    """Bland-Altman: mean difference (predicted - true) in mL, the 95 % limits of agreement, and how many scans."""

    bias: float
    low: float
    high: float
    n: int


def volume_table(predictions, *, threshold):
    """True and predicted volume of hemorrhage of each scan.

    Args:
        predictions: a predictions frame of one data set and one split, with true masks in every row; whole scans.
        threshold: as in `segmentation_report`.

    Returns:
        DataFrame dataset, patient_id, scan_id, split, num_slices, true_ml, predicted_ml, mean_ml, difference_ml
        (predicted - true). A volume is pixels x pixel_area_mm2 x slice_spacing_mm / 1000, summed over the slices:
        the distance of the slices, not the thickness of the beam. Where a slice of a scan has no known area or
        spacing (JPGs), its volumes are NaN; attrs["note"] counts these scans.

    Raises:
        HemokitError: as `segmentation_report`; a slice without scan_id; an area or spacing that is not above 0.
    """
    frame = check_judged(predictions, ["pixel_area_mm2", "slice_spacing_mm"])
    missing = int(frame["scan_id"].isna().sum())
    if missing:
        remedy = "Join the scans first; windowed JPGs need the DICOM headers."
        raise problem(f"{missing} slices have no scan_id", "a scan for every slice", remedy, column="scan_id")
    counts, pixel_ml = counts_at(frame, threshold), _pixel_ml(frame)
    frame = frame.assign(true_ml=(counts.tp + counts.fn) * pixel_ml, predicted_ml=(counts.tp + counts.fp) * pixel_ml)
    groups = frame.groupby("scan_id", sort=False)
    table = groups[["dataset", "patient_id"]].first()
    table["scan_id"], table["split"], table["num_slices"] = table.index, groups["split"].first(), groups.size()
    table[["true_ml", "predicted_ml"]] = groups[["true_ml", "predicted_ml"]].sum(min_count=1)
    unknown = groups["true_ml"].agg(lambda values: values.isna().any())
    table.loc[unknown, ["true_ml", "predicted_ml"]] = np.nan
    table["mean_ml"] = (table["true_ml"] + table["predicted_ml"]) / 2
    table["difference_ml"] = table["predicted_ml"] - table["true_ml"]
    table = table.reset_index(drop=True)
    table.attrs["note"] = _note(int(unknown.sum()), len(table))
    return table


def volume_report(predictions, *, threshold, **resampling):
    """How far predicted and true volumes agree over scans, with intervals by patient.

    Args:
        predictions, threshold: as in `volume_table`.
        **resampling: unit ("patient_id" or "scan_id"), num_resamples, confidence, seed as in `bootstrap_interval`.

    Returns:
        DataFrame with `reports.COLUMNS` and the metrics bias_ml, lower_limit_ml, upper_limit_ml (Bland-Altman),
        mean_absolute_error_ml, volume_correlation, true_ml and predicted_ml (means a scan). n counts the scans
        with a known volume, and the note those without.

    Raises:
        HemokitError: as `volume_table`; no scan with a known volume.
    """
    table = volume_table(predictions, threshold=threshold)
    known = table[table["true_ml"].notna()].reset_index(drop=True)
    if not len(known):
        remedy = "JPGs have no spacing: use the NIfTI or DICOM form, or judge areas in pixels."
        raise problem(f"no one of {len(table)} scans has a known volume", "pixel area and slice spacing", remedy)
    true, predicted = known["true_ml"].to_numpy(), known["predicted_ml"].to_numpy()

    def statistics(weights):
        bias, low, high = _agreement(predicted - true, weights)
        total = weights.sum(axis=-1)
        return {
            **{"bias_ml": bias, "lower_limit_ml": low, "upper_limit_ml": high},
            "mean_absolute_error_ml": weights @ np.abs(predicted - true) / total,
            "volume_correlation": pearson(true, predicted, weights),
            **{"true_ml": weights @ true / total, "predicted_ml": weights @ predicted / total},
        }

    notes = dict.fromkeys(statistics(np.ones((1, len(known)), int)), table.attrs["note"])
    return build_report(known, statistics, unit_name="scans", positives=(true > 0).sum(), notes=notes, **resampling)


def bland_altman(true_ml, predicted_ml):
    """Bias and 95 % limits of agreement (bias +- 1.96 standard deviations, n - 1) of two measures of the same scans.

    Scans where one of them is NaN are left out; n counts the others. NaN for fewer than two scans (the bias of one
    is known). (Bland and Altman, Lancet 1986;327:307-310.)
    """
    check_same_shape(true_ml, predicted_ml, names=("true_ml", "predicted_ml"))
    difference = np.asarray(predicted_ml, float) - np.asarray(true_ml, float)
    difference = difference[~np.isnan(difference)].ravel()
    return Agreement(*map(float, _agreement(difference, np.ones(difference.shape))), difference.size)


def _agreement(difference, weights):
    """Bias and limits, for one set of weights or many."""
    total = weights.sum(axis=-1)
    bias = ratio(weights @ difference, total)
    offset = difference.mean() if len(difference) else 0.0  # no cancellation of large sums
    square = weights @ (difference - offset) ** 2 - total * (bias - offset) ** 2
    spread = _LIMIT * np.sqrt(np.maximum(ratio(square, np.where(total > 1, total - 1, 0)), 0))
    return bias, bias - spread, bias + spread


def _pixel_ml(frame):
    """Volume of one pixel of each slice in mL; NaN where it is not known."""
    for column in ("pixel_area_mm2", "slice_spacing_mm"):
        wrong = frame[frame[column] <= 0]
        if len(wrong):
            came = f"slice {wrong['slice_id'].iloc[0]!r} has {column} = {wrong[column].iloc[0]:g}"
            raise problem(came, "a number above 0, or NaN where it is not known", "Correct it.", column=column)
    return (frame["pixel_area_mm2"] * frame["slice_spacing_mm"] / 1000).to_numpy(float)


def _note(unknown, total):
    if not unknown:
        return ""
    return f"{unknown} of {total} scans have an unknown volume (no pixel area or slice spacing) and are left out"
