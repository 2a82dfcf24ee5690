"""Fahim's detection system as a recipe: slice model -> its features, once -> PCA -> bidirectional LSTM over the scan.

A recipe is a dict with the keys

    model            of slices: "resnext101", "resnext_small", or what `classifiers.build_classifier` builds
    features         the layer whose output are the features ("pool"; "features" of the model "unet")
    weights, head    as `classifiers`, for its models
    image_size, windows, batch_size, augmentation (a name of `augment`)
    epochs           of the slice model, and of the LSTM
    learning_rates   of the two
    components       of PCA; units, dropout: of the LSTM; scans: in a batch of it

    data = sequence_slices(table, "detection", QUICK, runs="runs", source="real scans")
    run = train_sequence(data, QUICK)
    before, after = (one[one["split"] == "test"] for one in (data.predictions, run.predictions))
    label_table(after), auroc_gain(before, after)
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit import augment
from hemokit.batches import SliceBatches
from hemokit.checks import check_choice, check_columns, problem
from hemokit.leaks import check_no_leakage
from hemokit.losses import weighted_log_loss
from hemokit.models.sequence import resnext101, resnext_small, scan_lstm
from hemokit.predictions import write_label_predictions
from hemokit.reduction import fit_reduction, write_reduction
from hemokit.runs.classifiers import MODELS, build_classifier
from hemokit.runs.recipes import AUGMENTATIONS, recipe_windows, weights_told
from hemokit.sequence_batches import SequenceBatches, SliceVectors
from hemokit.splits import SPLITS
from hemokit.training import fit, load, predict_scans, predict_slices, slice_vectors

# What the paper trained, on 21,000 scans; weights are random where ours cannot be downloaded.
PAPER = {
    "model": "resnext101", "features": "pool", "weights": None, "head": "pool", "image_size": 256,
    "windows": ("brain", "subdural", "soft_tissue"), "batch_size": 32, "augmentation": "FAHIM", "epochs": (3, 5),
    "learning_rates": (1e-4, 1e-3), "components": 120, "units": 256, "dropout": 0.0, "scans": 16,
}  # fmt: skip
# For the phantom on two cores.
QUICK = {
    **PAPER, "model": "resnext_small", "image_size": 64, "batch_size": 16, "augmentation": "STANDARD",
    "epochs": (6, 30), "learning_rates": (2e-3, 2e-3), "components": 24, "units": 32, "dropout": 0.3, "scans": 8,
}  # fmt: skip
KEYS = tuple(PAPER)
OWN_MODELS = {"resnext101": resnext101, "resnext_small": resnext_small}


class SequenceSlices(NamedTuple):
    """What the slice model left: its `run_dir`, the split `table`, its `vectors` of all rows, its `predictions` of the
    validation and test rows (the slice model alone), and what the run is told by: `name`, `source`, `seed`."""

    run_dir: Path
    table: pd.DataFrame
    vectors: SliceVectors
    predictions: pd.DataFrame
    name: str
    source: str
    seed: int


class SequenceRun(NamedTuple):
    """The `run_dir` of a sequence model, and its `predictions` of the validation and test rows."""

    run_dir: Path
    predictions: pd.DataFrame


def sequence_slices(table, name, recipe, *, runs, source, seed=0, cache=True):
    """Train the slice model of a recipe, and compute its vectors of all slices once.

    Args:
        table: a split table with whole scans; without validation rows the last epoch is taken, else the best.
        name: of the run.
        recipe: see the module.
        runs: folder of the runs; one with the same data and settings is found again.
        source: of the data, in words.
        seed: whole number from 0.
        cache: as `SliceBatches`; False for a set whose prepared slices do not fit on the disk.

    Returns:
        `SequenceSlices`.

    Raises:
        HemokitError: a recipe with a key too few or an unknown value, rows of no split, none to train on or none to
            predict, a patient in two splits; and as `fit`.
    """
    _check(table, recipe)
    how = {"target": "subtypes", "image_size": recipe["image_size"], "batch_size": recipe["batch_size"]}
    how |= {"windows": recipe_windows(recipe, table), "cache": cache}
    train = SliceBatches(
        _rows(table, "train"), training=True, augmentation=getattr(augment, recipe["augmentation"]), seed=seed, **how
    )
    validation = _rows(table, "validation")
    validation = SliceBatches(validation, **how) if len(validation) else None
    keys = ("model", "weights", "head", "image_size", "windows", "batch_size", "augmentation")
    settings = {"system": f"{name}, slices", "data": source, **{key: recipe[key] for key in keys}}
    settings["weights"] = weights_told(recipe)
    model, run_dir = _fitted(
        _builder(recipe, train.num_channels), train, validation, Path(runs) / f"{name}_slices", settings, seed=seed,
        epochs=recipe["epochs"][0], learning_rate=recipe["learning_rates"][0],
    )  # fmt: skip
    vectors = slice_vectors(model, SliceBatches(table, **how), layer=recipe["features"])
    predictions = predict_slices(vectors, _judged(table))
    write_label_predictions(predictions, run_dir)
    return SequenceSlices(run_dir, table, vectors, predictions, name, source, seed)


def train_sequence(slices, recipe, *, order=None):
    """Fit PCA and the sequence model of a recipe on the vectors of a slice model, and predict validation and test rows.

    Args:
        slices: `SequenceSlices`.
        recipe: see the module.
        order: int array (rows,), other places of the slices in their scans than those of the table: for showing what a
            wrong order costs. None takes slice_index.

    Returns:
        `SequenceRun`.

    Raises:
        HemokitError: as `sequence_slices`, `fit_reduction` and `SequenceBatches`.
    """
    table = slices.table if order is None else slices.table.assign(slice_index=_places(order, len(slices.table)))
    _check(table, recipe)
    features = slices.vectors.features
    reduction = fit_reduction(features, table, num_components=recipe["components"], seed=slices.seed)
    vectors = slices.vectors._replace(features=reduction.apply(features))
    how = {"batch_size": recipe["scans"]}
    train = SequenceBatches(_rows(table, "train"), vectors, training=True, seed=slices.seed, **how)
    validation = _rows(table, "validation")
    validation = SequenceBatches(validation, vectors, **how) if len(validation) else None
    keys = ("components", "units", "dropout", "scans")
    settings = {"system": f"{slices.name}, scans", "data": slices.source, **{key: recipe[key] for key in keys}}
    size = {"num_features": recipe["components"], "units": recipe["units"], "dropout": recipe["dropout"]}
    model, run_dir = _fitted(
        lambda: scan_lstm(**size), train, validation, slices.run_dir.parent / f"{slices.name}_scans", settings,
        seed=slices.seed, epochs=recipe["epochs"][1], learning_rate=recipe["learning_rates"][1],
        precision="float32",  # small products, step by step: bfloat16 gains nothing (15 % slower on a CPU that has it)
    )  # fmt: skip
    write_reduction(reduction, run_dir / "reduction.npz")
    predictions = predict_scans(model, SequenceBatches(_judged(table), vectors, **how))
    predictions["slice_index"] = predict_slices(slices.vectors, _judged(slices.table))["slice_index"]
    write_label_predictions(predictions, run_dir)
    return SequenceRun(run_dir, predictions)


def train_slices(table, name, recipe, *, runs, source, seed=0):
    """Train the slice model of each fold, which sees no slice of its patients, and compute its vectors of all slices.

    There are no validation patients: the recipe's numbers of epochs are chosen beforehand.

    Args:
        table: with the column fold (see `splits.folds_by_patient`).
        name, recipe, runs, source, seed: as `sequence_slices`.

    Returns:
        list of `SequenceSlices`, one a fold.
    """
    check_columns(table, ["slice_id", "fold"])
    found = []
    for fold in sorted(table["fold"].unique()):
        print(f"fold {fold}: slice model", flush=True)
        split = table.assign(split=np.where(table["fold"] == fold, "test", "train"))
        found.append(sequence_slices(split, f"{name}_fold{fold}", recipe, runs=runs, source=source, seed=seed))
    return found


def train_scans(folds, recipe, *, order=None):
    """Train the sequence model of each fold.

    Args:
        folds: what `train_slices` gives.
        recipe: as there.
        order: int array (rows,), other places of the slices in their scans; None takes the right ones.

    Returns:
        (runs, frame): list of `SequenceRun`, one a fold, and the predictions of all slices.
    """
    runs = []
    for number, slices in enumerate(folds):
        print(f"fold {number}: sequence model", flush=True)
        runs.append(train_sequence(slices, recipe, order=order))
    return runs, put_together(runs)


def put_together(runs):
    """The predictions of all folds (`SequenceSlices` or `SequenceRun`) as one frame, by patient, scan and place."""
    frame = pd.concat([one.predictions for one in runs], ignore_index=True).assign(split="folds by patient")
    return frame.sort_values(["patient_id", "scan_id", "slice_index"], ignore_index=True)


def _fitted(build, train, validation, path, settings, *, seed, **options):
    """Train in a folder named by settings and data; the best model, or the last where nothing validates."""
    told = [sorted(settings.items()), seed, sorted(options.items()), train.fingerprint]
    told.append(validation and validation.fingerprint)
    run_dir = path.with_name(f"{path.name}_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]}")
    monitor, which = ("loss", "last") if validation is None else ("val_loss", "best")
    fit(
        build, train, validation, run_dir=run_dir, loss=weighted_log_loss, schedule="cosine", monitor=monitor,
        settings=settings, seed=seed, **options,
    )  # fmt: skip
    return load(run_dir, which), run_dir


def _builder(recipe, num_channels):
    """A function without arguments that builds the slice model."""
    if recipe["model"] in OWN_MODELS and recipe["weights"] is not None:
        came, remedy = f"weights {recipe['weights']!r} for {recipe['model']}", "Set weights to None."
        raise problem(came, "a backbone of keras.applications, for which there are some", remedy)
    shape = (recipe["image_size"],) * 2 + (num_channels,)
    if recipe["model"] in OWN_MODELS:
        return lambda: OWN_MODELS[recipe["model"]](shape)
    return build_classifier({**recipe, "target": "subtypes", "classes": None}, num_channels)


def _places(order, count):
    """The places that stand for those of the table, checked."""
    order = np.asarray(order)
    if order.shape != (count,) or order.dtype.kind not in "iu":
        came, remedy = f"order has the shape {order.shape} and holds {order.dtype}", "Give a place a row of the table."
        raise problem(came, f"({count},) whole numbers", remedy)
    return order


def _rows(table, part):
    return table[table["split"] == part].reset_index(drop=True)


def _judged(table):
    """The rows that are predicted: all but the training rows."""
    return table[table["split"] != "train"].reset_index(drop=True)


def _check(table, recipe):
    missing = [key for key in KEYS if key not in recipe]
    if missing:
        remedy = "Begin with another recipe: {**sequence_recipes.QUICK, ...}."
        raise problem(f"the recipe lacks {', '.join(missing)}", f"the keys {', '.join(KEYS)}", remedy)
    check_choice(recipe["model"], (*OWN_MODELS, *MODELS), "model")
    check_choice(recipe["augmentation"], AUGMENTATIONS, "augmentation")
    check_columns(table, ["slice_id", "patient_id", "scan_id", "split"])
    counts = {part: int((table["split"] == part).sum()) for part in SPLITS}
    if sum(counts.values()) < len(table) or not counts["train"] or sum(counts.values()) == counts["train"]:
        came = f"{len(table)} rows, of which {', '.join(f'{count} are {part}' for part, count in counts.items())}"
        raise problem(came, "rows to train on and others, all of these splits", "Use splits.split_by_patient.")
    check_no_leakage(table)
