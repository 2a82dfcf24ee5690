"""The runs in a folder: load all of them, make small ones where there are too few, put the papers beside them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit import evaluation
from hemokit.checks import HemokitError, problem
from hemokit.course.phantoms import IN_QUICK
from hemokit.datasets import open_dataset, read_mask
from hemokit.datasets.phantom import phantom_root
from hemokit.masks import abc2_ml, volume_ml
from hemokit.predictions import read_predictions
from hemokit.runs.judging_facts import NAME, read_facts
from hemokit.runs.lesson_data import choose_data
from hemokit.runs.pixel_trees import predict_trees, train_trees
from hemokit.splits import split_by_patient
from hemokit.thresholds import choose_threshold

MIN_PATIENTS = 20  # in a folder that is to be trained and judged on
FRACTIONS = (0.4, 0.25, 0.35)  # many patients for the test: here judging is the subject
LESSON_07 = IN_QUICK["07"]  # its phantom
YARDSTICK_PATIENTS = 24  # of the training: trees learn from fewer as well, and sooner

# Published figures to put beside ours: system, metric, n, and what was wrong with the test.
PICKED = (
    ("renyard", "auprc", "127 slices, 4 patients", "model and threshold chosen on the test"),
    ("northeastern", "dice", "86 slices", "slices on both sides, threshold from the test"),
    ("math7243", "pixel_accuracy", "not stated", "by slice; an empty mask scores about as much"),
    ("twobranch", "iou", "20 % of 2,501 slices and copies", "copies on both sides"),
    ("fahim", "dice", "not stated", "split of CT-ICH not known"),
    ("field", "dice", "not stated", "none known"),
)
PAPER_COLUMNS = ("who", "metric", "score", "over", "n", "data", "split", "leak", "seed")


class Loaded(NamedTuple):
    """All runs: `frames` name -> predictions frame, `facts` name -> `Facts`, and a `table` with a row a run."""

    frames: dict
    facts: dict
    table: pd.DataFrame


class Outside(NamedTuple):
    """Predictions of a folder that no run was trained on, split into validation and test; `source` in words."""

    frame: pd.DataFrame
    source: str


def make_runs(runs, root=None, *, phantom=None, most_patients=100, seed=0):
    """Make runs of boosted trees where they are needed.

    Two, 12_trees_coarse and 12_trees_fine, where `runs` has no run with predictions yet, or where a folder is given.
    One, 12_trees, where there is the run of lesson 07 alone: a yardstick that is judged on the same slices.

    Args:
        runs: folder of runs, made if missing.
        root: a folder of the user, or None. It is trained on if at least 20 of its patients can be; else a phantom is,
            and the folder is predicted.
        phantom: dict, num_patients and image_size.
        most_patients: of the folder.
        seed: whole number from 0.

    Returns:
        `Outside`, or None where there is no folder that was not trained on.

    Raises:
        HemokitError: no such folder, or one that cannot be read.
    """
    phantom = {"num_patients": 40, "image_size": 128} | (phantom or {})
    if root is None and _folders(runs):
        _add_yardstick(Path(runs), seed)
        return None
    table, source, outside = _choose(root, phantom, most_patients, seed)
    begun = sorted(path.parent.name for path in Path(runs).glob("*/run.json") if not (path.parent / NAME).is_file())
    if root is None and begun:
        print(f"{', '.join(begun)}: not finished, so not judged. The lesson or command that began it goes on with it.")
    print(f"Two small runs are made of {source}: trees that look at each pixel.", flush=True)
    table = split_by_patient(table, fractions=FRACTIONS, seed=seed)
    how = {"source": source, "seed": seed}
    train_trees(table, Path(runs) / "12_trees_coarse", image_size=32, **how)
    trees, _ = train_trees(table, Path(runs) / "12_trees_fine", image_size=128, **how)
    if outside is None:
        return None
    seen = predict_trees(trees, outside.frame.drop(columns="split", errors="ignore"))
    halves = split_by_patient(seen, fractions={"validation": 0.5, "test": 0.5}, seed=seed)
    return Outside(halves, f"{outside.source}; trained on {source}")


def load_runs(runs):
    """Read every run in a folder that has predictions of validation and test rows, with thresholds.

    Returns:
        `Loaded`. The columns of the table: data, slices and patients of the test, seed, threshold (highest Dice of
        the validation rows) and validation_dice.

    Raises:
        HemokitError: there is none; a damaged file; a run without true masks.
    """
    folders = _folders(runs)
    if not folders:
        remedy = "Run lesson 07, or hemokit train --out FOLDER/NAME."
        raise problem("there is no run", "folders with predictions.csv and judging.json", remedy, file=Path(runs))
    frames = {folder.name: read_predictions(folder) for folder in folders}
    facts = {folder.name: read_facts(folder) for folder in folders}
    rows = [_row(name, frame, facts[name]) for name, frame in frames.items()]
    return Loaded(frames, facts, pd.DataFrame(rows).set_index("run"))


def runs_to_choose_from(table, root=None):
    """The rows of `load_runs(...).table` among which one may choose: where there is a folder, not those of the phantom.

    A Dice on the phantom's easy slices says nothing against one on real scans.

    Args:
        table: of `Loaded`.
        root: the folder that the lessons run on, or None.

    Returns:
        rows of the table; all of them where there is no folder, or no run on anything but the phantom.
    """
    real = table[~table["data"].str.contains("phantom")]
    if root is None or not len(real):
        return table
    if len(real) < len(table):
        print(f"Left out, as they were judged on the phantom: {', '.join(table.index.drop(real.index))}.")
    return real


def bedside_volumes(table=None, *, seed=0):
    """True volumes and their estimates by ABC/2, of each scan with hemorrhage.

    Args:
        table: a slice table with spacings and masks; None is a phantom of 12 patients.
        seed: of that phantom.

    Returns:
        DataFrame patient_id, counted_ml, abc2_ml; see `masks.abc2_ml`.

    Raises:
        HemokitError: an unknown spacing, a missing mask.
    """
    if table is None:
        table = open_dataset(phantom_root("ct_ich_nifti", num_patients=12, seed=seed))
    rows = []
    for _, scan in table.groupby("scan_id"):
        places = scan.loc[scan["any"] == 1, "slice_index"]
        if not len(places):
            continue
        scan = scan[scan["slice_index"].between(places.min(), places.max())].sort_values("slice_index")
        mask = np.stack([read_mask(row) for _, row in scan.iterrows()])
        first = scan.iloc[0]
        spacing = tuple(first.get(f"{axis}_spacing_mm") for axis in ("slice", "row", "column"))
        volumes = {"counted_ml": volume_ml(mask, spacing), "abc2_ml": abc2_ml(mask, spacing)}
        rows.append({"patient_id": first["patient_id"], **volumes})
    return pd.DataFrame(rows, columns=["patient_id", "counted_ml", "abc2_ml"])


def papers_and_here(reports):
    """Published figures and ours in one table, each with n, data, split, and what is known of a leak.

    Args:
        reports: list of reports, each with its data in words in the column data; the first two rows are shown.

    Returns:
        DataFrame who, metric, score, over (of Dice and IoU, as `evaluation.paper_rows`), n, data, split, leak, seed.
    """
    figures, rows = evaluation.paper_rows(), []
    for who, metric, n, leak in PICKED:
        found = figures[(figures["system"] == who) & (figures["metric"] == metric)]
        one = found.iloc[-1 if who == "twobranch" else 0]  # of twobranch its own network
        data = one["note"].split(",")[0] if who == "field" else one["data"]
        split = "by patient, five folds" if who == "field" else one["split"]
        score = evaluation.show_interval(one["value"], one["low"], one["high"], digits=3)
        score = score.replace("no interval", "none given")
        rows.append((who, metric, score, one["over"] or "-", n, data, split, leak, "-"))
    for report in reports:
        for one in report.head(2).itertuples():
            n = f"{one.n} {one.unit}, {one.patients} patients"
            score = evaluation.show_interval(one.estimate, one.low, one.high)
            over = "all pixels together" if one.metric in ("dice", "iou") else "-"
            rows.append(("here", one.metric, score, over, n, one.data, "by patient", "none known", one.seed))
    return pd.DataFrame(rows, columns=list(PAPER_COLUMNS)).set_index("who")


def _choose(root, phantom, most_patients, seed):
    """What to train on, in words too, and the `Outside` folder that can only be predicted, or None."""
    outside = None
    if root is not None:
        data = choose_data(root, phantom=phantom, most_patients=most_patients, seed=seed)
        if data.unmasked is not None:
            return data.table, data.source, Outside(data.unmasked, data.unmasked_source)
        if data.table["patient_id"].nunique() >= MIN_PATIENTS:
            return data.table, data.source, None
        print(f"Fewer than {MIN_PATIENTS} patients to train and to judge on. The phantom stands in.")
        outside = Outside(data.table, data.source)
    return open_dataset(phantom_root("ct_ich_nifti", seed=seed, **phantom)), "phantom (synthetic)", outside


def _add_yardstick(runs, seed):
    """Beside a single run on the phantom of lesson 07: trees with the same split. Another single run stays alone."""
    (only, *others), data = _folders(runs), None
    if others:
        return
    frame, facts = read_predictions(only), read_facts(only)
    if (frame["dataset"] == "ct_ich_nifti").all() and facts.judged_on == "phantom (synthetic)":
        table = open_dataset(phantom_root(seed=seed, **LESSON_07))
        data = _with_split_of(frame, table)
    if data is None:
        print(f"{only.name} is the only run, of data of its own: the leaderboard has one row.")
        return
    print(f"{only.name} is the only run: trees that look at each pixel are made beside it, judged on the same slices.")
    print(
        f"(They learn from {YARDSTICK_PATIENTS} of its training patients, and see images of 64 x 64 pixels.)",
        flush=True,
    )
    train_trees(data, runs / "12_trees", source="phantom (synthetic)", image_size=64, seed=seed)


def _with_split_of(frame, table):
    """The table with the split of a run's predictions, or None where its slices are others.

    Rows that the run did not predict are its training rows; those of the first patients are taken.
    """
    rows = table.set_index("slice_id").reindex(frame["slice_id"])
    if rows["any"].tolist() != frame["any"].tolist() or rows["patient_id"].tolist() != frame["patient_id"].tolist():
        return None
    split = table["slice_id"].map(dict(zip(frame["slice_id"], frame["split"], strict=True))).fillna("train")
    taken = table.loc[split == "train", "patient_id"].unique()[:YARDSTICK_PATIENTS]
    return table.assign(split=split)[(split != "train") | table["patient_id"].isin(taken)].reset_index(drop=True)


def _folders(runs):
    """The folders of runs that can be judged, by name; predictions of other folders have no run.json."""
    found = [path.parent for path in Path(runs).glob("*/predictions.csv")]
    return sorted(one for one in found if all((one / name).is_file() for name in ("judging.json", "run.json")))


def _row(name, frame, facts):
    final = frame[frame["split"] == "test"]
    try:
        chosen = choose_threshold(frame[frame["split"] == "validation"])
    except HemokitError as error:
        raise HemokitError(f"run {name!r}: {error}") from None
    return {
        "run": name, "data": facts.judged_on, "slices": len(final), "patients": final["patient_id"].nunique(),
        "seed": facts.seed, "threshold": chosen.threshold, "validation_dice": chosen.score,
    }  # fmt: skip
