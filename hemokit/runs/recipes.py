"""What the segmentation lessons share: data to train on, and a run from a recipe, the dict of settings in their text.

A recipe has the keys image_size, windows, filters, batch_norm, loss, learning_rate, schedule, batch_size, epochs,
train_on, images_an_epoch and augmentation (the last three: see `draw_epoch`; names of `losses` and `augment`).
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hemokit import augment, losses
from hemokit.checks import check_choice, problem
from hemokit.datasets import find_dataset, open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.labels import ANY
from hemokit.manifests import is_phantom
from hemokit.models.unet import unet
from hemokit.runs.channels import channels_of, windows_for
from hemokit.runs.data import has_truth, keep_masked
from hemokit.runs.judging_facts import Facts, choose_on_validation, write_judged
from hemokit.splits import SPLITS, balance
from hemokit.training import fit, load, predict

MIN_PATIENTS = 5  # with hemorrhage and masks: three to train, one to validate, one to test


class LessonData(NamedTuple):
    """`table` to train on, `source` in words; `unmasked` and its source: a folder that can only be predicted, or None.

    source is "phantom (synthetic)" or "real scans".
    """

    table: pd.DataFrame
    source: str
    unmasked: pd.DataFrame | None = None
    unmasked_source: str = ""


def choose_data(root, *, phantom, most_patients=None, seed=0):
    """Open the folder of a lesson's DATA; where it cannot be trained on, say why, and let a phantom stand in.

    Args:
        root: a folder, or None for the phantom.
        phantom: dict, num_patients and image_size of the phantom.
        most_patients: take the first so many; None takes all.
        seed: of the phantom.

    Returns:
        `LessonData`. Slices with hemorrhage and without a mask are left out of `table`, and counted in its account.

    Raises:
        HemokitError: no such folder, or one that cannot be read.
    """
    unmasked, unmasked_source = None, ""
    if root is not None:
        table, source = _first_patients(open_dataset(root), most_patients), _source(root)
        masked = table[has_truth(table) & (table[ANY] == 1)]["patient_id"].nunique()
        if masked >= MIN_PATIENTS:
            return LessonData(keep_masked(table), source)
        named = bool(table["patient_id"].notna().all())
        lacks = f"too few masks ({masked} patients with hemorrhage have them)" if named else "no names of patients"
        print(f"{source}, {len(table)} slices: {lacks}, so nothing is trained on it. The phantom stands in.")
        unmasked, unmasked_source = (table, source) if named else (None, "")
    folder = phantom_root("ct_ich_nifti", seed=seed, **phantom)
    return LessonData(open_dataset(folder), _source(folder), unmasked, unmasked_source)


def draw_epoch(train, recipe, *, seed=0):
    """The rows of one epoch: the same in each, augmented differently.

    Args:
        train: rows of the split "train".
        recipe: train_on is "all", "positive" (slices with hemorrhage alone) or "balanced" (positive ones repeated);
            images_an_epoch are drawn of these, with repeats where there are fewer; None takes each once.
        seed: of what is repeated.

    Returns:
        the rows with the column copy, which numbers the repeats of a slice from 0.

    Raises:
        HemokitError: no row to draw from; of "balanced" rows also another split (the others are refused by batches).
    """
    train_on = check_choice(recipe["train_on"], ("all", "positive", "balanced"), "train_on")
    rows = train[train[ANY] == 1] if train_on == "positive" else train
    rows = balance(rows, seed=seed) if train_on == "balanced" else rows
    if not len(rows):
        raise problem(f"no training row is {train_on}", "at least one", "Look at the split.")
    count = recipe["images_an_epoch"] or len(rows)
    rows = rows.sample(count, replace=count > len(rows), random_state=seed)
    return rows.assign(copy=rows.groupby("slice_id").cumcount()).reset_index(drop=True)


def recipe_windows(recipe, table):
    """How the folder of a table shows the recipe's windows: what `slice_pipeline` takes."""
    layout = table["dataset"].iloc[0]
    return windows_for(channels_of(layout, recipe["windows"]), layout)


def run_folder(runs, name, recipe, train, validation, *, seed=0):
    """Name the folder of a run by its settings and the fingerprints of its data (pipelines of `slice_pipeline`).

    The same lesson run twice finds its run again, and other data or settings never do.
    """
    told = [sorted(recipe.items()), seed, train.batches.fingerprint, validation.batches.fingerprint]
    return Path(runs) / f"{name}_{hashlib.sha256(repr(told).encode()).hexdigest()[:8]}"


def train_recipe(table, name, recipe, *, runs, source, seed=0):
    """All that a lesson does step by step: pipelines, training, predictions of validation and test rows, on disk.

    Args:
        table: a split table with masks.
        name: of the run.
        recipe: see the module.
        runs: folder of the runs.
        source: of the data, in words.
        seed: whole number from 0.

    Returns:
        (folder of the run, predictions frame).
    """
    from hemokit.pipelines import slice_pipeline

    rows = {part: table[table["split"] == part].reset_index(drop=True) for part in SPLITS}
    windows = recipe_windows(recipe, table)
    how = {"target": "mask", "windows": windows, **{key: recipe[key] for key in ("image_size", "batch_size")}}
    augmentation = getattr(augment, recipe["augmentation"])
    drawn = draw_epoch(rows["train"], recipe, seed=seed)
    train = slice_pipeline(drawn, training=True, augmentation=augmentation, seed=seed, **how)
    validation = slice_pipeline(rows["validation"], **how)
    run_dir = run_folder(runs, name, recipe, train, validation, seed=seed)
    size = (recipe["image_size"], recipe["image_size"], len(windows))
    fit(
        lambda: unet(size, filters=recipe["filters"], batch_norm=recipe["batch_norm"]), train, validation,
        run_dir=run_dir, epochs=recipe["epochs"], loss=getattr(losses, recipe["loss"]), seed=seed,
        learning_rate=recipe["learning_rate"], schedule=recipe["schedule"],
        metrics=[losses.SoftDice()], monitor="val_dice",
        settings={"system": name, "data": source, **recipe},
    )  # fmt: skip
    model = load(run_dir)
    frames = [predict(model, slice_pipeline(rows[part], **how), rows[part]) for part in SPLITS[1:]]
    predictions = pd.concat(frames, ignore_index=True)
    keep_predictions(predictions, run_dir, source=source, seed=seed)
    return run_dir, predictions


def keep_predictions(predictions, run_dir, *, source, seed=0):
    """Write predictions and, beside them, the thresholds that their validation rows give; returns the `Facts`."""
    facts = Facts(trained_on=source, judged_on=source, seed=seed, data=source)
    facts = choose_on_validation(predictions, facts)[0]
    write_judged(predictions, facts, run_dir)
    return facts


def _source(root):
    return "phantom (synthetic)" if is_phantom(find_dataset(root)[1]) else "real scans"


def _first_patients(table, most_patients):
    """The slices of the first patients; all where patients have no names."""
    if most_patients is None or table["patient_id"].isna().any():
        return table
    first = table["patient_id"].unique()[:most_patients]
    return table[table["patient_id"].isin(first)].reset_index(drop=True)
