"""The figures that the five reports published, so that a result table can put them beside ours.

They were measured on other slices, often split by slice, with other rules: never the same experiment. `data`,
`over` and `note` say what is known. The names of metrics are those of our reports where the meaning is the same.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, check_columns


class Figure(NamedTuple):
    """One published figure; low and high are its interval where one was given.

    `over` is for Dice and IoU, whose figure depends on it: over all pixels in one pot, or the mean of images, each with
    its own; and "not said" where the paper leaves it open.
    """

    system: str
    task: str
    model: str
    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan
    note: str = ""
    over: str = ""


# Where the figures come from: data, and how it was split.
_ORIGIN = {
    "renyard": ("CT-ICH JPG", "4 patients (127 slices) for threshold, model choice and test alike"),
    "northeastern": ("RSNA renders with polygons", "by slice; several rows a slice, so slices are on both sides"),
    "math7243": ("RSNA renders", "70/20/10 by slice"),
    "twobranch": ("CT-ICH JPG", "80/20 by slice, copies on both sides"),
    "fahim": ("RSNA 2019 DICOM", "21,000/744/3,528 scans"),
    "field": ("see the note", "see the note"),
}
_ORIGIN_OF_MASKS = {"fahim": ("CT-ICH NIfTI, 82 patients", "not said")}
SYSTEMS = tuple(_ORIGIN)
_NOT_SAID = "not said"
# "Avg." in their table. All pixels together, an IoU of 0.338 would be a Dice of 2 x 0.338 / 1.338 = 0.505, not 0.433.
_AVERAGE = "mean; of what is not said"
_BY_PATIENT = "CT-ICH, five folds by patient; fahim's table quotes it as an average"
_NOT_READ = "not looked up"
_ONE_PATIENT_SET = "threshold chosen on the same slices"
_TEST_THRESHOLD = "threshold 0.245 chosen on the test set"
_CALLED_F1 = _TEST_THRESHOLD + "; called F1"
_MICRO = "called F1; equal to the accuracy"
_OTHER_F1 = "called F1; not micro (that would be 0.337); which it is, is not said"

_FIGURES = (
    Figure("renyard", "slice", "U-Net", "auprc", 0.93, 0.925, 0.935, "slice score: mean probability"),
    Figure("renyard", "slice", "U-Net", "f1", 0.875, 0.817, 0.933, _ONE_PATIENT_SET),
    Figure("renyard", "slice", "U-Net", "precision", 0.824, note=_ONE_PATIENT_SET),
    Figure("renyard", "slice", "U-Net", "sensitivity", 0.933, note=_ONE_PATIENT_SET),
    Figure("renyard", "segmentation", "U-Net", "area_correlation", 0.80, note=_ONE_PATIENT_SET),
    Figure("renyard", "segmentation", "U-Net", "iou_with_background", 0.716, 0.675, 0.757, "in the text", _NOT_SAID),
    Figure("renyard", "segmentation", "U-Net", "iou_with_background", 0.64, note="in the abstract", over=_NOT_SAID),
    Figure("renyard", "latency", "U-Net on an iPhone 6S", "seconds_per_slice", 0.218),
    Figure("northeastern", "segmentation", "U-Net", "iou", 0.401, note=_TEST_THRESHOLD, over=_NOT_SAID),
    Figure("northeastern", "segmentation", "U-Net", "dice", 0.577, note=_CALLED_F1, over=_NOT_SAID),
    Figure("northeastern", "segmentation", "U-Net", "pixel_accuracy", 0.990, note="an empty mask gets about as much"),
    Figure("northeastern", "six_class", "logistic", "accuracy", 0.315),
    Figure("northeastern", "six_class", "logistic", "micro_f1", 0.315, note=_MICRO),
    Figure("northeastern", "six_class", "LDA", "accuracy", 0.337),
    Figure("northeastern", "six_class", "LDA", "f1", 0.350, note=_OTHER_F1),
    Figure("northeastern", "six_class", "random forest", "accuracy", 0.425),
    Figure("northeastern", "six_class", "random forest", "micro_f1", 0.425, note=_MICRO),
    Figure("northeastern", "six_class", "XGBoost", "accuracy", 0.418),
    Figure("northeastern", "six_class", "XGBoost", "micro_f1", 0.418, note=_MICRO),
    Figure("northeastern", "six_class", "SVM", "accuracy", 0.3826),
    Figure("northeastern", "six_class", "SVM", "micro_f1", 0.3826, note=_MICRO),
    Figure("northeastern", "six_class", "kNN", "accuracy", 0.3754),
    Figure("northeastern", "six_class", "kNN", "micro_f1", 0.3754, note=_MICRO),
    Figure("northeastern", "six_class", "Xception", "accuracy", 0.6183),
    Figure("northeastern", "six_class", "Xception", "macro_f1", 0.22),
    Figure("northeastern", "six_class", "VGG-16", "accuracy", 0.3323),
    Figure("northeastern", "six_class", "VGG-16", "macro_f1", 0.20),
    Figure("math7243", "seven_class", "logistic, one against the rest", "accuracy", 0.15),
    Figure("math7243", "seven_class", "kNN after PCA", "accuracy", 0.25),
    Figure("math7243", "seven_class", "decision tree", "accuracy", 0.20),
    Figure("math7243", "seven_class", "random forest", "accuracy", 0.115),
    Figure("math7243", "seven_class", "ten-layer CNN", "accuracy", 0.1502),
    Figure("math7243", "seven_class", "ResNet50", "accuracy", 0.3029),
    Figure("math7243", "seven_class", "Xception", "accuracy", 0.6586),
    Figure("math7243", "six_class", "ResNet50", "accuracy", 0.3140, note="in the text; 0.3114 in the table"),
    Figure("math7243", "slice", "ResNet50", "accuracy", 0.7054, note="balanced"),
    Figure("math7243", "slice", "Xception", "accuracy", 0.8016, note="balanced"),
    Figure("math7243", "slice", "QDA", "accuracy", 0.50, note="subdural window, balanced: guessing"),
    Figure("math7243", "segmentation", "ResNet50 U-Net", "pixel_accuracy", 0.9894),
    Figure("math7243", "segmentation", "ResNet50 U-Net", "precision", 0.7732),
    Figure("math7243", "segmentation", "ResNet50 U-Net", "sensitivity", 0.7165),
    Figure("twobranch", "segmentation", "U-Net", "auroc", 0.94),
    Figure("twobranch", "segmentation", "U-Net", "iou", 0.32, over=_NOT_SAID),
    Figure("twobranch", "segmentation", "two-branch network", "auroc", 0.98),
    Figure("twobranch", "segmentation", "two-branch network", "iou", 0.56, over=_NOT_SAID),
    Figure("twobranch", "segmentation", "two-branch network", "pixel_accuracy", 0.9978),
    Figure(
        "twobranch", "segmentation", "two-branch network", "macro_f1", 0.92, note="background is one of two classes"
    ),
    *(
        Figure("fahim", task, "ResNeXt-101 + LSTM", f"auroc_{label}", value, note=f"AUC of {task}s")
        for label, scan, one in (
            ("any", 0.9822, 0.9825),
            ("epidural", 0.9146, 0.9767),
            ("intraparenchymal", 0.9825, 0.9910),
            ("intraventricular", 0.9882, 0.9965),
            ("subarachnoid", 0.9633, 0.9780),
            ("subdural", 0.9493, 0.9678),
        )
        for task, value in (("scan", scan), ("slice", one))
    ),
    *(
        Figure("fahim", "segmentation", "UNet++ DenseNet169", metric, value, note="128x128 crops of CT-ICH", over=over)
        for metric, value, over in (
            ("iou", 0.338, _AVERAGE),
            ("dice", 0.433, _AVERAGE),
            ("sensitivity", 0.673, ""),
            ("specificity", 0.727, ""),
        )
    ),
    Figure("field", "segmentation", "CT-ICH, its authors", "dice", 0.31, note=_BY_PATIENT, over=_AVERAGE),
    Figure("field", "segmentation", "Swin-UNETR, weak labels", "dice", 0.44, note="CT-ICH", over=_NOT_READ),
    Figure("field", "segmentation", "INSTANCE 2022 winner", "dice", 0.6925, note="INSTANCE 2022", over=_NOT_READ),
    Figure("field", "slice", "RSNA 2019 winner", "weighted_log_loss", 0.0438, note="RSNA 2019 hidden test set"),
)

# The classical models by their names in `baselines.MODELS`; both reports have a random forest. math7243's RBF SVM has
# no figure: on two labels none is given, on seven it did not converge.
_BASELINES = {
    "logistic": "logistic",
    "logistic_ovr": "logistic, one against the rest",
    "lda": "LDA",
    "qda": "QDA",
    "knn": "kNN",
    "pca_knn": "kNN after PCA",
    "svm_rbf": "SVM",
    "tree": "decision tree",
    "random_forest": "random forest",
    "xgboost": "XGBoost",
}


def paper_rows(system=None, *, task=None):
    """The published figures as a table.

    Args:
        system: "renyard", "northeastern", "math7243", "twobranch", "fahim", "field" (others), or None for all.
        task: "segmentation", "slice", "scan", "six_class", "seven_class", "latency", or None for all.

    Returns:
        DataFrame system, task, model, metric, value, low, high (NaN where no interval was published), data, split,
        note, over (of Dice and IoU: over all pixels together, a mean, or not said; "" for others). A system without
        figures for the task gives an empty frame.

    Raises:
        HemokitError: another system or task.
    """
    rows = pd.DataFrame(_FIGURES, columns=list(Figure._fields))
    origin = [_origin(one.system, one.task) for one in rows.itertuples()]
    rows.insert(7, "data", [data for data, _ in origin])
    rows.insert(8, "split", [split for _, split in origin])
    if system is not None:
        rows = rows[rows["system"] == check_choice(system, SYSTEMS, "system")]
    if task is not None:
        rows = rows[rows["task"] == check_choice(task, sorted({one.task for one in _FIGURES}), "task")]
    return rows.reset_index(drop=True)


def beside_paper(report, system, *, task="segmentation"):
    """Put the published figures into a report, as the columns paper and paper_data.

    Args:
        report: a frame with the column metric.
        system: one of `SYSTEMS`.
        task: as in `paper_rows`.

    Returns:
        a copy. paper is text, "0.93 [0.925, 0.935]" or "0.716 [0.675, 0.757] or 0.64" where a paper gives
        several figures, and "" where it gives none.
    """
    check_columns(report, ["metric"])
    rows = paper_rows(check_choice(system, SYSTEMS, "system"), task=task)
    told = {metric: _told(group) for metric, group in rows.groupby("metric")}
    cells = report["metric"].map(lambda metric: told.get(metric, ""))
    data = _origin(system, task)[0]
    return report.assign(paper=cells, paper_data=[f"{system}: {data}" if cell else "" for cell in cells])


def baseline_text(name):
    """The published accuracies of a classical model, by its name in `baselines.MODELS`, as text.

    Returns:
        "0.425 (northeastern, six_class) or 0.115 (math7243, seven_class)"; "" for a model without figures.
    """
    return " or ".join(f"{row.value:.4g} ({row.system}, {row.task})" for row in _baseline_rows(name).itertuples())


def baseline_figure(name, system):
    """The published accuracy of a classical model in one of the systems, as a number.

    Args:
        name: a key of `baselines.MODELS`.
        system: one of `SYSTEMS`.

    Returns:
        float from 0 to 1; NaN for a model (also an unknown one) without a figure there.

    Raises:
        HemokitError: another system.
    """
    rows = _baseline_rows(name)
    values = rows["value"][rows["system"] == check_choice(system, SYSTEMS, "system")]
    return float(values.iloc[0]) if len(values) else np.nan


def _origin(system, task):
    """(data, how it was split) of a system's figures for one task."""
    return (_ORIGIN_OF_MASKS if task == "segmentation" else _ORIGIN).get(system, _ORIGIN[system])


def _baseline_rows(name):
    rows = paper_rows()
    return rows[(rows["model"] == _BASELINES.get(name)) & (rows["metric"] == "accuracy")]


def _told(rows):
    """The figures of one metric in one cell; the model is named where there are several."""
    named = len(set(rows["model"])) > 1
    cells = []
    for row in rows.itertuples():
        figure = f"{row.value:.4g}" + ("" if np.isnan(row.low) else f" [{row.low:.4g}, {row.high:.4g}]")
        cells.append(f"{figure} ({row.model})" if named else figure)
    return " or ".join(cells)
