"""Several labels side by side, for slices and for scans: fahim's Table I; and whether one model beats another."""

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.evaluation.bootstrap import bootstrap_interval
from hemokit.evaluation.reports import check_judged, check_scores, check_truth
from hemokit.evaluation.scores import auroc
from hemokit.evaluation.slices import scan_report, scan_scores, slice_report
from hemokit.labels import ANY, LABELS

# Fahim, Table I: AUC of scans and of slices on RSNA 2019.
TABLE_I = {
    "any": (0.9822, 0.9825), "epidural": (0.9146, 0.9767), "intraparenchymal": (0.9825, 0.9910),
    "intraventricular": (0.9882, 0.9965), "subarachnoid": (0.9633, 0.9780), "subdural": (0.9493, 0.9678),
}  # fmt: skip
COLUMNS = ("metric", "estimate", "low", "high", "n", "unit", "positives", "patients", "data", "split", "seed", "note")
_METRICS = ("auroc", "accuracy")


def label_table(predictions, *, threshold=0.5, labels=LABELS, top_slices=1, **resampling):
    """AUROC and accuracy of each label, by scan and by slice, with intervals by patient and the paper's AUC.

    Args:
        predictions: a frame of `build_label_predictions` with `labels.LABELS`, of one data set and one split.
        threshold: a slice (or scan) with at least this probability is called positive; a number, or a dict label ->
            number. Choose it on validation rows.
        labels: which.
        top_slices: as `scan_scores`: 1 takes the highest probability of a scan's slices.
        **resampling: as `slice_report`.

    Returns:
        DataFrame, for each label two rows of scans and two of slices: label, metric ("auroc" or "accuracy"), estimate,
        low, high, n, unit ("scans" or "slices"), positives, patients, data, split, seed, note, paper (NaN for
        accuracy). `show_report` makes it readable.

    Raises:
        HemokitError: as `slice_report` and `scan_report`; a label without a threshold.
    """
    rows = []
    for label in labels:
        score, cut = f"probability_{label}", _threshold(threshold, label)
        how = {"threshold": cut, "score": score, "label": label, **resampling}
        reports = scan_report(predictions, top_slices=top_slices, **how), slice_report(predictions, **how)
        for report, paper in zip(reports, TABLE_I[label], strict=True):
            own = report[report["metric"].isin(_METRICS)][list(COLUMNS)]
            rows.append(own.assign(label=label, paper=np.where(own["metric"] == "auroc", paper, np.nan)))
    return pd.concat(rows, ignore_index=True)[["label", *COLUMNS, "paper"]]


def challenge_score(predictions):
    """The weighted log loss of the RSNA 2019 challenge: `any` weighs as much as two subtypes; lower is better.

    Args:
        predictions: as `label_table`.

    Returns:
        float, the mean over slices and weights, in nats; probabilities count as at least 1e-7 from 0 and 1.

    Raises:
        HemokitError: no rows, columns that are missing, rows that must not be judged together; a label that is not 0 or
            1, a probability outside [0, 1].
    """
    names = [f"probability_{label}" for label in LABELS]
    predictions = check_judged(predictions, [*LABELS, *names])
    for label, name in zip(LABELS, names, strict=True):
        check_truth(predictions, label), check_scores(predictions, name)
    truth, said = predictions[list(LABELS)].to_numpy(float), predictions[names].to_numpy(float)
    said = np.clip(said, 1e-7, 1 - 1e-7)
    losses = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))
    return float(np.average(losses.mean(axis=0), weights=[2 if label == ANY else 1 for label in LABELS]))


def auroc_gain(before, after, *, label=ANY, by_scan=False, **resampling):
    """By how much one model's AUROC exceeds another's on the same slices, with an interval by patient.

    Both are judged on each resample of patients, so that what is hard about a patient is hard for both.

    Args:
        before, after: frames as `label_table`, of the same slices in any order.
        label: which.
        by_scan: compare scans, by the highest probability of their slices.
        **resampling: num_resamples, confidence, seed and unit of `bootstrap_interval`.

    Returns:
        `Interval` of the difference: above 0 where `after` is better.

    Raises:
        HemokitError: other slices, or other labels of them; as `bootstrap_interval`.
    """
    score, keys = f"probability_{label}", ["dataset", "patient_id", "scan_id", "slice_id", "split"]
    for frame in (before, after):
        check_columns(frame, [*keys, label, score])
    first, second = check_judged(before), check_judged(after)
    if first["slice_id"].tolist() != second["slice_id"].tolist() or (first[label] != second[label]).any():
        raise problem("predictions of other slices", "the same slices with the same labels", "Predict one table twice.")
    both = first[[*keys, label]].assign(before=first[score], after=second[score])

    def gain(frame):
        values = []
        for column in ("before", "after"):
            judged = scan_scores(frame, score=column, label=label) if by_scan else frame
            values.append(auroc(judged[label].to_numpy(bool), judged[column].to_numpy(float)))
        return values[1] - values[0]

    return bootstrap_interval(gain, both, **resampling)


def _threshold(threshold, label):
    if not isinstance(threshold, dict):
        return threshold
    if label not in threshold:
        raise problem(f"no threshold for {label!r}", "one for each label", "Add it, or give one number for all.")
    return threshold[label]
