"""Scores of masks: the pooled Dice as the headline, the others beside it, each with its rule for empty slices."""

import numpy as np

from hemokit.evaluation.reports import build_report, check_judged
from hemokit.evaluation.scores import pearson
from hemokit.metrics import Counts, dice, iou, pixel_accuracy, precision, sensitivity, specificity
from hemokit.predictions import counts_at

_POOLED = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "pixel_accuracy": pixel_accuracy,
}


def segmentation_report(predictions, *, threshold, **resampling):
    """How well the predicted masks meet the true ones, with intervals by patient.

    Args:
        predictions: a predictions frame of one data set and one split, with true masks in every row.
        threshold: pixels of at least this probability are predicted positive; a multiple of 1/1000. Choose it on
            validation rows.
        **resampling: unit, num_resamples, confidence, seed as in `bootstrap_interval`.

    Returns:
        DataFrame with `reports.COLUMNS` and the metrics
        dice (the headline), iou, precision, sensitivity, specificity, pixel_accuracy: of the pixels of all slices
        together;
        slice_dice, slice_iou: mean over slices. A slice that is empty in truth and prediction has none and is left
        out; the note counts them;
        area_correlation: Pearson r of true and predicted pixels a slice, over all slices (renyard's figure: the
        many empty slices raise it), area_correlation_positives: over the slices with hemorrhage alone;
        iou_with_background: the mean of the IoU of hemorrhage and of background, as renyard's "IoU". It misleads: a
        prediction without a single pixel already gets about one half. It is here so that it can be recognized.

    Raises:
        HemokitError: as `slice_report`; rows without a true mask; another threshold.
    """
    frame = check_judged(predictions)
    counts = counts_at(frame, threshold)
    positive = counts.tp + counts.fn > 0
    notes = _notes(counts, positive)
    return build_report(
        frame, _statistics(counts, positive), unit_name="slices", positives=positive.sum(), notes=notes, **resampling
    )


def iou_with_background(counts):
    """Mean of the IoU of hemorrhage and of the IoU of background; NaN where one of them is 0/0."""
    return (iou(counts) + iou(Counts(counts.tn, counts.fn, counts.fp, counts.tp))) / 2


def _statistics(counts, positive):
    true_area, predicted_area = counts.tp + counts.fn, counts.tp + counts.fp
    each = {"slice_dice": dice(counts), "slice_iou": iou(counts)}

    def statistics(weights):
        pooled = Counts(*(weights @ field for field in counts))
        found = {name: score(pooled) for name, score in _POOLED.items()}
        found |= {name: _weighted_mean(values, weights) for name, values in each.items()}
        found["area_correlation"] = pearson(true_area, predicted_area, weights)
        chosen = true_area[positive], predicted_area[positive], weights[:, positive]
        found["area_correlation_positives"] = pearson(*chosen)
        return {**found, "iou_with_background": iou_with_background(pooled)}

    return statistics


def _weighted_mean(values, weights):
    """Mean of the values that are not NaN; NaN where there are none."""
    defined = ~np.isnan(values)
    total = weights @ defined.astype(float)
    return np.where(total > 0, weights @ np.where(defined, values, 0) / np.maximum(total, 1), np.nan)


def _notes(counts, positive):
    total, empty = len(positive), int((counts.tp + counts.fp + counts.fn == 0).sum())
    left_out = f"mean over {total - empty} of {total} slices; {empty} are empty in truth and prediction"
    notes = {"slice_dice": left_out, "slice_iou": left_out}
    notes["area_correlation"] = f"all {total} slices; the empty ones raise it"
    notes["area_correlation_positives"] = f"the {int(positive.sum())} slices with hemorrhage"
    notes["iou_with_background"] = "misleads: half of it is background"
    if not positive.any():
        notes["sensitivity"] = f"undefined: none of the {total} slices has hemorrhage"
    if not (counts.tp + counts.fp).any():
        notes["precision"] = "undefined: no pixel reaches the threshold"
    return notes
