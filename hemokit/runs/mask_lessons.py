"""What the lessons on losses and networks do more than once: training on the same splits, and tables of masks.

`frames` is a dict name of a network -> list of its predictions frames, one for each split that it was trained on, with
validation and test rows. The splits of one list share no test patient (the folds of one seed do not).
"""

import re

import numpy as np
import pandas as pd

from hemokit.evaluation import paper_rows, pixel_roc_points, segmentation_report, show_report
from hemokit.labels import ANY
from hemokit.metrics import Counts, dice, sum_counts
from hemokit.predictions import HISTOGRAMS, NUM_BINS, counts_at
from hemokit.runs.data import with_split
from hemokit.runs.recipes import train_recipe
from hemokit.thresholds import choose_threshold

SHOWN = ("dice", "iou", "precision", "sensitivity")
_NAMES = {"background": ("tn", "fp"), "hemorrhage": ("fn", "tp")}


def train_networks(table, systems, *, name, folds=None, fractions=(0.6, 0.2, 0.2), runs, source, seed=0):
    """Train several networks on the same splits of the same patients.

    Args:
        table: a slice table with masks.
        systems: dict name of a network -> its recipe (see `recipes`).
        name: what the folders of the runs begin with.
        folds: numbers of folds out of five, see `runs.data.with_split`; None is one split into `fractions`.
        fractions, runs, source, seed: as `with_split` and `recipes.train_recipe`.

    Returns:
        (frames, folders): dicts name of a network -> a list with one predictions frame, or one folder, for each split.
    """
    frames, folders = {one: [] for one in systems}, {one: [] for one in systems}
    for fold in [None] if folds is None else folds:
        dealt = with_split(table, fractions=fractions, fold=fold, seed=seed)
        for one, recipe in systems.items():
            what = f"{name}_{re.sub('[^A-Za-z0-9]+', '_', one)}" + ("" if fold is None else f"_fold{fold}")
            print(what.replace("_", " "), flush=True)
            folder, frame = train_recipe(dealt, what, recipe, runs=runs, source=source, seed=seed)
            frames[one].append(frame)
            folders[one].append(folder)
    return frames, folders


def both_sides(rows):
    """Say how many test slices with hemorrhage are trained on as well: themselves, or others of their patients.

    Args:
        rows: a table with the columns slice_id, patient_id, any and split; copies of a slice count once.

    Returns:
        one sentence.
    """
    train, test = (rows[rows["split"] == part].drop_duplicates("slice_id") for part in ("train", "test"))
    bled = test[test[ANY] == 1]
    copies, patients = (int(bled[name].isin(train[name]).sum()) for name in ("slice_id", "patient_id"))
    told = f"{len(bled)} test slices with hemorrhage: {copies} have a copy among the training rows"
    return f"{told}, {patients} another slice of their patient"


def judge_masks(frames, *, source, seed=0):
    """Score the masks of several networks on their test rows, each at the thresholds of its own validation rows.

    Args:
        frames: see the module.
        source: of the data, in words.
        seed: of the intervals.

    Returns:
        DataFrame, one row a network: threshold (one for each split, as text); Dice, IoU, precision and sensitivity of
        all test pixels with intervals by patient, as text; dice_at_half, the Dice at 0.5 without any choice;
        black_at_half, the part of the slices with hemorrhage in which no pixel reaches 0.5; false_alarms, the part of
        the slices without it in which some pixel reaches the threshold; then n, positives, patients, data, split, seed.

    Raises:
        HemokitError: as `thresholds.choose_threshold` and `evaluation.segmentation_report`.
    """
    return pd.DataFrame({name: _judged(several, source, seed) for name, several in frames.items()}).T


def decided(frame):
    """The test rows of a predictions frame as masks: probabilities 0 and 1, cut at the validation rows' threshold.

    So the test rows of several splits, each with a threshold of its own, can be scored together at 0.5.

    Returns:
        (predictions frame of the test rows, threshold).
    """
    threshold = choose_threshold(frame[frame["split"] == "validation"]).threshold
    test = frame[frame["split"] == "test"].reset_index(drop=True)
    counts = counts_at(test, threshold)
    for column in HISTOGRAMS:
        below, above = (getattr(counts, name) for name in _NAMES[column])
        cut = np.zeros((len(test), NUM_BINS), np.int32)
        cut[:, 0], cut[:, -1] = below, above
        test[column] = list(cut)
    return test, threshold


def masks_beside_papers(frames, models, *, source, seed=0):
    """Put what two papers report of their masks beside the same scores here, and beside those of a black picture.

    Args:
        frames: see the module.
        models: dict name of a network -> (system, model) as in `evaluation.paper_rows`.
        source, seed: as `judge_masks`.

    Returns:
        DataFrame, one row a figure of a paper: network, metric, paper_network, paper, paper_over (what its mean is
        over, see `evaluation.paper_rows`), paper_data, paper_split, here (text, with an interval where
        `segmentation_report` gives one), always_black (what no pixel at all would get; NaN where that is undefined), n,
        patients, data, split, seed.

    Raises:
        HemokitError: as `judge_masks`.
    """
    rows = []
    for name, (system, model) in models.items():
        figures = paper_rows(system, task="segmentation")
        figures = figures[figures["model"] == model]
        test = pd.concat([decided(one)[0] for one in frames[name]], ignore_index=True)
        raw = pd.concat([one[one["split"] == "test"] for one in frames[name]], ignore_index=True)
        report = segmentation_report(test, threshold=0.5, seed=seed)
        report = show_report(report, digits=3).set_index("metric")["estimate"]
        pooled = sum_counts(counts_at(test, 0.5))
        here = report.to_dict() | {"macro_f1": f"{_macro_f1(pooled):.3f}", "auroc": f"{_pixel_auroc(raw):.3f}"}
        black = _of_black(pooled)
        for one in figures.itertuples():
            told = {"network": name, "metric": one.metric, "paper_network": model, "paper": one.value}
            told |= {"paper_over": one.over, "paper_data": one.data, "paper_split": one.split}
            told |= {"here": here[one.metric], "always_black": black.get(one.metric, np.nan)}
            rows.append(told | _origin(test, source, seed))
    return pd.DataFrame(rows)


def _judged(several, source, seed):
    cut, thresholds = zip(*(decided(frame) for frame in several), strict=True)
    test = pd.concat(cut, ignore_index=True)
    raw = pd.concat([frame[frame["split"] == "test"] for frame in several], ignore_index=True)
    report = show_report(segmentation_report(test, threshold=0.5, seed=seed)).set_index("metric")["estimate"]
    counts = counts_at(raw, 0.5)
    bled = (counts.tp + counts.fn) > 0
    found = {"threshold": ", ".join(f"{one:.3f}" for one in thresholds)} | {name: report[name] for name in SHOWN}
    found["dice_at_half"] = round(float(np.nan_to_num(dice(sum_counts(counts)))), 3)
    found["black_at_half"] = round(float((counts.tp + counts.fp == 0)[bled].mean()), 3)
    called = counts_at(test, 0.5)
    found["false_alarms"] = round(float((called.fp > 0)[~bled].mean()), 3)
    return found | _origin(test, source, seed)


def _origin(test, source, seed):
    told = {"n": len(test), "positives": int(test[ANY].sum()), "patients": test["patient_id"].nunique()}
    return told | {"data": source, "split": "test, by patient", "seed": seed}


def _macro_f1(counts):
    """The mean of the Dice of hemorrhage and of that of background."""
    background = Counts(counts.tn, counts.fn, counts.fp, counts.tp)
    return float((np.nan_to_num(dice(counts)) + dice(background)) / 2)


def _pixel_auroc(predictions):
    points = pixel_roc_points(predictions)
    return float(np.trapezoid(points["sensitivity"], points["false_positive_rate"]))


def _of_black(counts):
    """The scores of a prediction without a pixel; precision is undefined."""
    none = 0 * counts.tp
    black = Counts(none, none, counts.tp + counts.fn, counts.tn + counts.fp)
    total = sum(counts)
    scores = {"pixel_accuracy": black.tn / total, "specificity": 1.0 if black.tn else np.nan, "auroc": 0.5}
    scores |= {"iou": 0.0, "sensitivity": 0.0, "dice": 0.0, "iou_with_background": black.tn / total / 2}
    return {name: round(float(value), 4) for name, value in scores.items()} | {"macro_f1": round(_macro_f1(black), 4)}
