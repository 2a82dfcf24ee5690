"""Tests of loading, making and comparing runs."""

import numpy as np
import pandas as pd
import pytest
from evaluation_frames import masked_frame, random_masked

from hemokit import evaluation
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import phantom_root, write_phantom
from hemokit.predictions import build_predictions, write_predictions
from hemokit.runs import so_far
from hemokit.runs.judging_facts import Facts, write_facts, write_judged
from hemokit.runs.so_far import bedside_volumes, load_runs, make_runs, papers_and_here, runs_to_choose_from
from hemokit.splits import split_by_patient


def write_run(folder, seed=0):
    """A run of 8 patients, the first three of them for validation."""
    maps, masks, patients = random_masked(seed)
    split = np.where(patients < 3, "validation", "test")
    frame = masked_frame(maps, masks, patients, split=split)
    write_predictions(frame, folder)
    write_facts(Facts(0.5, 0.5, "27 validation slices", "phantom (synthetic)", "phantom (synthetic)", 7), folder)
    (folder / "run.json").write_text("{}")
    return frame


def test_all_runs_are_loaded(tmp_path):
    """Each folder with predictions and thresholds is a run; others are left alone."""
    frames = {name: write_run(tmp_path / name, seed) for seed, name in enumerate(("b", "a"))}
    (tmp_path / "empty").mkdir()
    runs = load_runs(tmp_path)
    assert list(runs.frames) == ["a", "b"] == list(runs.table.index)
    assert runs.frames["b"]["slice_id"].tolist() == frames["b"]["slice_id"].tolist()
    row = runs.table.loc["a"]
    assert (row["slices"], row["patients"], row["seed"], row["data"]) == (45, 5, 7, "phantom (synthetic)")
    assert 0 < row["validation_dice"] <= 1


def test_a_run_is_chosen_among_those_of_the_folder(capsys):
    """Where the lessons run on a folder, an easy Dice on the phantom wins nothing; without a folder all are there."""
    table = pd.DataFrame({"data": ["phantom (synthetic)", "real scans"], "validation_dice": [0.9, 0.3]}, ["a", "b"])
    assert runs_to_choose_from(table, "folder")["validation_dice"].idxmax() == "b"
    assert capsys.readouterr().out == "Left out, as they were judged on the phantom: a.\n"
    assert runs_to_choose_from(table).equals(table) and runs_to_choose_from(table[:1], "folder").equals(table[:1])


def test_a_run_without_validation_rows_is_named(tmp_path):
    """Which run it is, and what it lacks."""
    frame = write_run(tmp_path / "a", 0)
    write_predictions(frame.assign(split="test"), tmp_path / "a")
    with pytest.raises(HemokitError, match="run 'a': no rows, but expected validation rows with true masks"):
        load_runs(tmp_path)


def test_runs_that_are_there_are_not_made_again(tmp_path, capsys):
    """With runs and without a folder nothing is made; a single one of other data than lesson 07's stays alone."""
    write_run(tmp_path / "a")
    assert make_runs(tmp_path) is None
    assert "a is the only run, of data of its own" in capsys.readouterr().out
    write_run(tmp_path / "b")
    assert make_runs(tmp_path) is None and capsys.readouterr().out == ""
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


def test_a_run_that_is_not_finished_is_named(tmp_path, monkeypatch, capsys):
    """Its record is there and its predictions are not: the trees are made, and the reader learns why."""
    (tmp_path / "07_unet").mkdir()
    (tmp_path / "07_unet" / "run.json").write_text("{}")
    monkeypatch.setattr(so_far, "_choose", lambda *_: (None, "phantom (synthetic)", None))
    monkeypatch.setattr(so_far, "split_by_patient", lambda *_, **__: None)
    monkeypatch.setattr(so_far, "train_trees", lambda *_, **__: (None, None))
    make_runs(tmp_path)
    said = capsys.readouterr().out
    assert said.startswith("07_unet: not finished, so not judged.") and "Two small runs are made" in said


@pytest.mark.promises
def test_the_run_of_lesson_07_gets_a_yardstick(tmp_path, monkeypatch, capsys):
    """Trees with its split, judged on its very slices, so that both are one test set of the leaderboard."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(so_far, "LESSON_07", {"layout": "ct_ich_nifti", "num_patients": 8, "image_size": 64})
    table = open_dataset(phantom_root("ct_ich_nifti", num_patients=8, image_size=64, seed=0))
    table = split_by_patient(table, fractions=(0.5, 0.25, 0.25), seed=1)
    kept = table[table["split"] != "train"].reset_index(drop=True)
    noise = np.random.default_rng(0).random((len(kept), 8, 8), np.float32)
    frame = build_predictions(kept, noise, noise > 0.9)
    source = "phantom (synthetic)"
    write_judged(frame, Facts(0.5, 0.5, "validation", source, source, 0, source), tmp_path / "runs" / "07_unet")
    (tmp_path / "runs" / "07_unet" / "run.json").write_text("{}")
    make_runs(tmp_path / "runs")
    assert "judged on the same slices" in capsys.readouterr().out
    runs = load_runs(tmp_path / "runs")
    assert list(runs.frames) == ["07_unet", "12_trees"]
    for part in ("validation", "test"):
        ids = [set(one["slice_id"][one["split"] == part]) for one in runs.frames.values()]
        assert ids[0] == ids[1] and ids[0]


def test_no_run_is_said(tmp_path):
    """An empty folder, or none, is one clear error."""
    with pytest.raises(HemokitError, match="there is no run"):
        load_runs(tmp_path / "runs")


@pytest.mark.promises
def test_small_folders_are_predicted_by_trees_of_the_phantom(tmp_path, monkeypatch, capsys):
    """Too few patients to train on: the phantom stands in, and the folder is predicted, split by patient."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    folder = write_phantom(tmp_path / "own", layout="ct_ich_jpg", num_patients=6, image_size=64, seed=1)
    small = {"num_patients": 14, "image_size": 64}
    outside = make_runs(tmp_path / "runs", folder, phantom=small)
    assert "The phantom stands in" in capsys.readouterr().out
    assert outside.source == "phantom (synthetic); trained on phantom (synthetic)"
    assert sorted(outside.frame["slice_id"]) == sorted(open_dataset(folder)["slice_id"])
    assert outside.frame.groupby("patient_id")["split"].nunique().max() == 1
    assert list(load_runs(tmp_path / "runs").frames) == ["12_trees_coarse", "12_trees_fine"]


@pytest.mark.slow
def test_bedside_volumes_of_each_bleeding_scan(tmp_path):
    """A row for each scan with hemorrhage; a JPG has no millimeters, so no volume."""
    table = open_dataset(write_phantom(tmp_path / "n", layout="ct_ich_nifti", num_patients=4, image_size=64, seed=0))
    volumes = bedside_volumes(table)
    assert volumes["patient_id"].tolist() == sorted(table.loc[table["any"] == 1, "patient_id"].unique())
    assert (volumes[["counted_ml", "abc2_ml"]] > 0).all(axis=None)
    with pytest.raises(HemokitError, match="spacing_mm"):
        bedside_volumes(table.drop(columns="row_spacing_mm"))


def test_papers_stand_above_ours():
    """Six published figures, then two rows of each report with their own data and seed."""
    maps, masks, patients = random_masked()
    report = evaluation.segmentation_report(masked_frame(maps, masks, patients), threshold=0.5, seed=5)
    rows = papers_and_here([report.assign(data="phantom (synthetic)")])
    assert list(rows.index) == ["renyard", "northeastern", "math7243", "twobranch", "fahim", "field", "here", "here"]
    assert rows.loc["renyard", "score"] == "0.930 [0.925, 0.935]" and rows.loc["twobranch", "score"].startswith("0.560")
    here = rows.loc["here"].iloc[0]
    assert here["n"] == "72 slices, 8 patients" and here["data"] == "phantom (synthetic)" and here["seed"] == 5
    assert rows["over"].tolist() == [
        *("-", "not said", "-", "not said", "mean; of what is not said", "mean; of what is not said"),
        *("all pixels together", "all pixels together"),
    ]
    assert not pd.isna(rows).any(axis=None)
