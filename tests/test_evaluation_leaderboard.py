"""All runs in one table, and the papers' figures beside them."""

import numpy as np
import pandas as pd
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked

from hemokit.checks import HemokitError
from hemokit.evaluation import (
    Entry,
    beside_paper,
    leaderboard,
    paper_rows,
    segmentation_report,
    show_report,
    slice_report,
)
from hemokit.predictions import write_predictions


@pytest.fixture(scope="module")
def frame():
    """Predictions of eight patients, with masks."""
    return masked_frame(*random_masked())


def test_rows_are_the_reports(frame):
    """A line holds the Dice and AUROC of the two reports, with intervals and origin."""
    board = leaderboard([("a", frame, 0.5)], num_resamples=200, seed=1)
    row = board.iloc[0]
    for metric, report in (
        ("dice", segmentation_report(frame, threshold=0.5, num_resamples=200, seed=1)),
        ("auroc", slice_report(frame, num_resamples=200, seed=1)),
    ):
        expected = report.set_index("metric").loc[metric, ["estimate", "low", "high"]]
        assert row[[metric, f"{metric}_low", f"{metric}_high"]].tolist() == expected.tolist()
    assert row[["model", "data", "n", "patients", "split", "threshold", "seed"]].tolist() == [
        *("a", "phantom", 72, 8, "test", 0.5, 1)
    ]


def test_order_and_test_sets(frame):
    """Better runs come first among those of the same slices; other slices have another letter."""
    blurred = masked_frame(random_masked()[0] * 0.7, *random_masked()[1:])
    few = frame[frame["patient_id"] < "6"]
    board = leaderboard([("blurred", blurred, 0.5), ("sharp", frame, 0.5), ("few", few, 0.5)], num_resamples=100)
    assert board["model"].tolist() == ["sharp", "blurred", "few"] and board["test_set"].tolist() == ["A", "A", "B"]


def test_run_without_masks(frame):
    """A run without a threshold has no Dice, and an empty cell to read; the paper's figures stand beside."""
    entry = Entry("b", frame, run_seed=3, parameters=1962337, system="northeastern", score="mean_probability")
    board = leaderboard([entry], num_resamples=100)
    assert np.isnan(board["dice"][0]) and show_report(board)["dice"][0] == ""
    assert board["paper_dice"][0] == "0.577" and board["paper_auroc"][0] == ""
    assert board[["run_seed", "parameters"]].values.tolist() == [[3, 1962337]]
    assert board["paper"][0].startswith("northeastern: RSNA")


def test_from_a_folder(frame, tmp_path):
    """A folder of predictions is read; the line is the same."""
    write_predictions(frame, tmp_path)
    board = leaderboard([("a", tmp_path, 0.5)], num_resamples=100)
    pd.testing.assert_frame_equal(board, leaderboard([("a", frame, 0.5)], num_resamples=100))


def test_leaderboard_refuses(frame):
    """A name twice; and a bad frame is named."""
    with pytest.raises(HemokitError, match="'a' stands 2 times"):
        leaderboard([("a", frame, 0.5), ("a", frame, 0.6)])
    with pytest.raises(HemokitError, match="run 'mixed': the rows are of 2 splits"):
        leaderboard([("mixed", frame.assign(split=["train"] + ["test"] * 71), 0.5)])
    with pytest.raises(HemokitError, match="run 'none': the predictions have no rows"):
        leaderboard([("none", frame.iloc[:0], 0.5)])
    with pytest.raises(HemokitError, match="run 'short': .*'dataset'"):
        leaderboard([("short", frame.drop(columns="dataset"), 0.5)])
    assert leaderboard([]).empty


def test_few_patients_are_noted():
    """The note of a line says for which figure there is no interval."""
    board = leaderboard([("few", frame_of([0, 1] * 2, [0.1, 0.9] * 2, [0, 0, 1, 1]))])
    assert board["note"][0] == "auroc: no interval: 2 patients, at least 5 are needed"


def test_paper_rows():
    """The published figures, of one system and task or of all."""
    rows = paper_rows("renyard", task="slice").set_index("metric")
    assert rows.loc["auprc", ["value", "low", "high"]].tolist() == [0.93, 0.925, 0.935]
    assert rows.loc["f1", "value"] == 0.875
    assert paper_rows("northeastern", task="segmentation").set_index("metric").loc["dice", "value"] == 0.577
    assert set(paper_rows()["system"]) == {"renyard", "northeastern", "math7243", "twobranch", "fahim", "field"}
    assert paper_rows("renyard", task="scan").empty
    assert ((paper_rows()["value"] > 0) & (paper_rows()["value"] < 1)).all()
    assert not paper_rows()[["data", "split"]].isna().any(axis=None)
    overlap = paper_rows()["metric"].isin(["dice", "iou", "iou_with_background"])
    assert (paper_rows()["over"] != "").equals(overlap)
    assert paper_rows("northeastern").set_index("metric").loc["dice", "over"] == "not said"
    assert paper_rows("fahim").set_index("metric").loc["dice", "over"].startswith("mean")
    with pytest.raises(HemokitError, match="system is 'nobody'"):
        paper_rows("nobody")
    with pytest.raises(HemokitError, match="task is 'sleep'"):
        paper_rows(task="sleep")


def test_beside_paper(frame):
    """A report gets the figures of its metrics, several in one cell, and stays as it is otherwise."""
    report = segmentation_report(frame, threshold=0.5, num_resamples=100)
    both = beside_paper(report, "renyard").set_index("metric")
    assert both.loc["iou_with_background", "paper"] == "0.716 [0.675, 0.757] or 0.64"
    assert both.loc["dice", ["paper", "paper_data"]].tolist() == ["", ""]
    assert both.loc["area_correlation", "paper_data"] == "renyard: CT-ICH JPG"
    pd.testing.assert_frame_equal(both.reset_index()[report.columns], report)
    with pytest.raises(HemokitError, match="system is None, but expected one of 'renyard'"):
        beside_paper(report, None)
    named = beside_paper(report, "twobranch").set_index("metric").loc["iou", "paper"]
    assert named == "0.32 (U-Net) or 0.56 (two-branch network)"
