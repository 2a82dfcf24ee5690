"""Tables of networks' masks: thresholds of each split's own, test rows of several splits scored together."""

import numpy as np
import pandas as pd
import pytest

from hemokit.labels import SUBTYPES
from hemokit.metrics import Counts, dice, pixel_accuracy, sum_counts
from hemokit.predictions import build_predictions, counts_at
from hemokit.runs import mask_lessons
from hemokit.runs.mask_lessons import both_sides, decided, judge_masks, masks_beside_papers, train_networks


def frame(fold, best):
    """Four patients a part of one slice each; from `best` up a pixel is hemorrhage, in all slices but the last."""
    parts = []
    for part in ("validation", "test"):
        maps = np.tile(np.arange(0.05, 1, 0.1, np.float32), (4, 1)).reshape(4, 2, 5)
        masks = maps >= best
        masks[3] = False
        names = [f"{part}{fold}{number}" for number in range(4)]
        rows = pd.DataFrame({"dataset": "drawn", "patient_id": names, "scan_id": names, "slice_id": names})
        rows = rows.assign(slice_index=0, split=part, any=masks.any(axis=(1, 2)).astype(int))
        parts.append(build_predictions(rows.assign(**dict.fromkeys(SUBTYPES, 0)), maps, masks))
    return pd.concat(parts, ignore_index=True)


def test_decided_keeps_the_counts():
    """Cut at its own threshold, a frame has at 0.5 the counts that it had there; other rows are gone."""
    given = frame(0, best=0.7)
    test, threshold = decided(given)
    before = counts_at(given[given["split"] == "test"], threshold)
    assert threshold == pytest.approx(0.75, abs=0.06) and set(test["split"]) == {"test"}
    for cut in (0.001, 0.5, 1.0):
        assert all((one == other).all() for one, other in zip(counts_at(test, cut), before, strict=True))


def test_several_splits_are_one_score():
    """Pixels of both splits together, each cut at its own threshold: false ones in the empty slice alone."""
    frames = {"good": [frame(0, best=0.7), frame(1, best=0.3)]}
    row = judge_masks(frames, source="drawn").loc["good"]
    tp, fp = 3 * (3 + 7), 3 + 7
    assert row["dice"].startswith(f"{2 * tp / (2 * tp + fp):.2f} [")
    assert (row["n"], row["positives"], row["patients"], row["black_at_half"]) == (8, 6, 8, 0.0)
    assert row["false_alarms"] == 1.0
    assert row["threshold"].count(",") == 1 and row["data"] == "drawn"


def test_papers_and_a_black_picture():
    """Each figure of the paper has ours and that of no pixel at all beside it."""
    frames = {"ours": [frame(0, best=0.7)]}
    board = masks_beside_papers(frames, {"ours": ("twobranch", "two-branch network")}, source="drawn")
    board = board.set_index("metric")
    assert board["paper"].to_dict() == {"auroc": 0.98, "iou": 0.56, "pixel_accuracy": 0.9978, "macro_f1": 0.92}
    pooled = sum_counts(counts_at(decided(frames["ours"][0])[0], 0.5))
    background = Counts(pooled.tn, pooled.fn, pooled.fp, pooled.tp)
    assert float(board.loc["macro_f1", "here"]) == pytest.approx((dice(pooled) + dice(background)) / 2, abs=6e-4)
    assert board.loc["pixel_accuracy", "here"].startswith(f"{pixel_accuracy(pooled):.3f}")
    truth = (pooled.tp + pooled.fn) / sum(pooled)
    assert board.loc["pixel_accuracy", "always_black"] == pytest.approx(1 - truth)
    # Each of the three levels of hemorrhage ties with one of the 31 other pixels, of the empty slice, and 28 lie below.
    assert float(board.loc["auroc", "here"]) == pytest.approx((28 + 1.5) / 31, abs=6e-4)
    assert set(board["paper_network"]) == {"two-branch network"}


def test_half_a_point_for_the_background():
    """renyard's IoU is the mean of that of hemorrhage and of background: a black picture has half of the latter."""
    frames = {"ours": [frame(0, best=0.7)]}
    board = masks_beside_papers(frames, {"ours": ("renyard", "U-Net")}, source="drawn").set_index("metric")
    pooled = sum_counts(counts_at(decided(frames["ours"][0])[0], 0.5))
    empty = (pooled.tn + pooled.fp) / sum(pooled)
    assert board.loc["iou_with_background", "always_black"].tolist() == pytest.approx([empty / 2] * 2, abs=1e-4)


def test_specificity_praises_a_black_picture():
    """fahim's table has a specificity, of CT-ICH alone; no pixel at all has 1, and a sensitivity of 0."""
    board = masks_beside_papers(
        {"ours": [frame(0, best=0.7)]}, {"ours": ("fahim", "UNet++ DenseNet169")}, source="drawn"
    )
    board = board.set_index("metric")
    assert board["always_black"].to_dict() == {"iou": 0.0, "dice": 0.0, "sensitivity": 0.0, "specificity": 1.0}
    assert board.loc["dice", "paper_over"] == "mean; of what is not said"
    assert board.loc["dice", "paper_data"] == "CT-ICH NIfTI, 82 patients"


def test_networks_are_trained_on_the_same_splits(monkeypatch):
    """Each network on each fold, in folders with plain names; what comes back is in the order of the folds."""
    seen = []

    def train(table, name, recipe, **how):
        seen.append((name, recipe, tuple(table["split"]), how["seed"]))
        return name, len(seen)

    monkeypatch.setattr(mask_lessons, "train_recipe", train)
    table = pd.DataFrame({"slice_id": list("abcdefg"), "patient_id": list("pqrstuv"), "any": [1, 0, 1, 0, 1, 0, 1]})
    how = {"name": "08", "runs": "r", "source": "drawn", "seed": 3}
    frames, folders = train_networks(table, {"Dice + BCE": 1, "U-Net, b": 2}, folds=[0, 4], **how)
    assert folders == {"Dice + BCE": ["08_Dice_BCE_fold0", "08_Dice_BCE_fold4"]} | {
        "U-Net, b": ["08_U_Net_b_fold0", "08_U_Net_b_fold4"]
    }
    assert frames == {"Dice + BCE": [1, 3], "U-Net, b": [2, 4]}
    assert seen[0][2] == seen[1][2] != seen[2][2] == seen[3][2] and seen[0][3] == 3
    assert train_networks(table, {"one": 1}, **how)[1] == {"one": ["08_one"]}


def test_both_sides_counts_slices_and_patients():
    """A copy counts once, a slice without hemorrhage not at all, and a patient beside the slice."""
    rows = [("p", "p1", 1, "train"), ("p", "p1", 1, "test"), ("p", "p1", 1, "test"), ("p", "p2", 1, "test")]
    rows += [("q", "q1", 1, "test"), ("p", "p3", 0, "test"), ("q", "q2", 0, "validation")]
    said = both_sides(pd.DataFrame(rows, columns=["patient_id", "slice_id", "any", "split"]))
    told = "3 test slices with hemorrhage: 1 have a copy among the training rows"
    assert said == f"{told}, 2 another slice of their patient"
