"""What the lessons on classifiers share: a model from a recipe, a run of it, and all folds of it.

A recipe is a dict with the keys

    model            "plain_cnn", a key of `backbones.BACKBONES`, or "unet" (a classifier on a trained U-Net)
    head             "pool" or "decoder", of backbones
    weights          None, "imagenet" or a file, of backbones; of "unet" the folder of a segmentation run
    image_size       pixels a side
    windows          names, as `channels.channels_of`
    target, classes  "class" with labels.CLASSES or fewer; "any" or "subtypes" (classes is None)
    imbalance        None, "weights" (rare classes weigh more in the loss) or "repeat" (they are repeated)
    epochs           (frozen, unfrozen), either may be 0; of "plain_cnn" the first is 0
    learning_rates   of the two
    flip             True predicts each slice mirrored too, and takes the mean of both
    batch_size, augmentation (a name of `augment`), patience (epochs without a better validation loss, or None)

and, where wanted, `cached_epochs` (of features of the frozen phase, see `training.fit_in_two_phases`),
`trains_batch_norm` (of what is unfrozen; without it where weights is None alone) and `schedule` ("constant"; without it
"cosine").
"""

import contextlib
import hashlib
import io
import json
import socket
from pathlib import Path

import numpy as np
import pandas as pd

from hemokit import augment
from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError, check_choice, check_columns, check_whole, problem
from hemokit.labels import ANY, CLASSES, NORMAL, TWO_CLASSES
from hemokit.leaks import check_no_leakage
from hemokit.models.backbones import BACKBONES
from hemokit.models.transfer import plain_cnn, transfer_classifier, unet_classifier
from hemokit.predictions import build_label_predictions, write_label_predictions
from hemokit.runs.recipes import AUGMENTATIONS, recipe_windows, weights_told
from hemokit.splits import SPLITS, balance
from hemokit.targets import labels_of, names_of, weights_of
from hemokit.training import fit, fit_in_two_phases, freeze, load, predict_labels, unfreeze
from hemokit.training.heads import fit_dense

KEYS = (
    *("model", "head", "weights", "image_size", "windows", "target", "classes", "imbalance", "epochs"),
    *("learning_rates", "flip", "batch_size", "augmentation", "patience"),
)
HEAD_KEYS = ("classes", "imbalance", "epochs", "learning_rates", "batch_size", "patience")  # of `train_head`
IMBALANCE = (None, "weights", "repeat")
DOWNLOAD_TIMEOUT = 20  # seconds without an answer, after which a download has failed
MODELS = ("plain_cnn", *BACKBONES, "unet")


def imagenet_or_random(backbone, input_shape):
    """Give "imagenet" where Keras can have these weights, else None after one line that says so: for lessons.

    Args:
        backbone: a key of `BACKBONES`.
        input_shape: of the model to be built.

    Returns:
        "imagenet" or None, to be passed on as `weights`.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # Keras sets none
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras tells the address even where nothing comes from it
            transfer_classifier(backbone, input_shape, num_classes=2, weights="imagenet")
    except HemokitError as error:
        if "downloaded" not in str(error):
            raise
        print(f"{backbone}: ImageNet weights cannot be downloaded here, so it starts from random ones.")
        return None
    finally:
        socket.setdefaulttimeout(before)
    return "imagenet"


def build_classifier(recipe, num_channels):
    """The model of a recipe, as a function without arguments that builds it anew."""
    check_choice(recipe["model"], MODELS, "model")
    if recipe["model"] == "plain_cnn" and recipe["weights"] is not None:
        came = f"weights {recipe['weights']!r} for the plain network"
        raise problem(came, "a backbone, for which there are some", "Set weights to None.")
    if recipe["model"] == "unet" and recipe["weights"] is None:
        remedy = "Set weights to pretraining.phantom_segmenter(...)."
        raise problem("the model 'unet' without weights", "the folder of a segmentation run", remedy)
    classes = names_of(recipe["target"], recipe["classes"] or CLASSES)
    if recipe["model"] == "unet" and recipe["target"] == "class" and classes[0] != NORMAL:
        remedy = "Name it first, or choose another model: this one takes what looks like blood for all others."
        raise problem(f"the model 'unet' with the classes {', '.join(classes)}", f"{NORMAL!r} as the first", remedy)
    shape = (recipe["image_size"],) * 2 + (num_channels,)
    outputs = {"num_classes": len(classes), "multi_label": recipe["target"] != "class"}

    def build():
        if recipe["model"] == "plain_cnn":
            return plain_cnn(shape, **outputs)
        if recipe["model"] == "unet":
            return unet_classifier(load(recipe["weights"]), **outputs)
        return transfer_classifier(recipe["model"], shape, weights=recipe["weights"], head=recipe["head"], **outputs)

    return build


def classifier_batches(table, recipe, *, training=False, seed=0):
    """The slices of a table as a recipe wants them: `SliceBatches`.

    Args:
        table: rows of one split.
        recipe: see the module.
        training: augment, shuffle, and treat the imbalance.
        seed: of all three.
    """
    how = {"target": recipe["target"], "image_size": recipe["image_size"], "batch_size": recipe["batch_size"]}
    how |= {"classes": recipe["classes"]} if recipe["classes"] else {}
    how["windows"] = recipe_windows(recipe, table)
    if not training:
        return SliceBatches(table, **how)
    table, how["class_weights"] = _treated(table, recipe, seed)
    return SliceBatches(table, training=True, augmentation=getattr(augment, recipe["augmentation"]), seed=seed, **how)


def train_head(features, table, recipe, *, optimizer=None, seed=0):
    """Train one dense layer with a softmax on features that were computed once, without a word.

    That is what the frozen phase of a classifier with head="pool" learns, at a constant rate and without
    augmentation: seconds, where the backbone would take minutes.

    Args:
        features: float array (rows, features) in the order of the table: `training.cached_features(...).features[0]`.
        table: a split table with slices of the recipe's classes alone.
        recipe: see the module; classes, imbalance, the first of epochs and of learning_rates, batch_size and patience
            count. The weights of the epoch with the lowest validation loss are taken.
        optimizer: None is Adam at the recipe's rate; else a Keras optimizer, of which a fresh copy is used.
        seed: whole number from 0.

    Returns:
        predictions frame as `predict_labels`, of the validation and test rows.

    Raises:
        HemokitError: slices outside of the classes, a recipe with an unknown value or without frozen epochs.
    """
    _check_keys(recipe, HEAD_KEYS)
    check_whole(recipe["epochs"][0], "epochs[0]", 1)
    recipe = recipe | {"target": "class"}
    _check_splits(table)
    if features.shape != (len(table), *features.shape[1:]) or features.ndim != 2:
        came = f"features of the shape {features.shape}"
        raise problem(came, f"({len(table)}, features), one row a slice", "Take features[0] of `cached_features`.")
    train, validation, test = (np.flatnonzero(table["split"] == part) for part in SPLITS)
    labels, classes = labels_of(table, "class", recipe["classes"]), recipe["classes"]
    drawn, class_weights = _treated(table.iloc[train].reset_index(drop=True), recipe, seed)
    place = pd.Index(table["slice_id"]).get_indexer(drawn["slice_id"])
    weights = weights_of(drawn, "class", class_weights, classes)
    arrays = (features[place], labels[place], *(() if weights is None else (weights,)))
    head = fit_dense(
        arrays, (features[validation], labels[validation]), num_classes=len(classes), epochs=recipe["epochs"][0],
        learning_rate=recipe["learning_rates"][0], optimizer=optimizer, batch_size=recipe["batch_size"],
        patience=recipe["patience"], seed=seed,
    )  # fmt: skip
    rows = np.concatenate([validation, test])
    return build_label_predictions(table.iloc[rows].reset_index(drop=True), head(features[rows]), classes)


def train_classifier(table, name, recipe, *, runs, source, seed=0):
    """Train a recipe on the train rows of a split table, and predict its validation and test rows.

    Args:
        table: a split table; of "class" with the slices of its classes alone (see `labels.class_names`).
        name: of the run.
        recipe: see the module.
        runs: folder of the runs; one with the same data and settings is found again.
        source: of the data, in words.
        seed: whole number from 0.

    Returns:
        (folder of the run, predictions frame as `predict_labels`, of the splits that the table has but train).

    Raises:
        HemokitError: a recipe with an unknown value, or with patience where nothing validates; and as `fit`.
    """
    _check_keys(recipe, KEYS)
    check_choice(recipe["model"], MODELS, "model")
    check_choice(recipe["augmentation"], AUGMENTATIONS, "augmentation")
    _check_splits(table)
    frozen, unfrozen = recipe["epochs"]
    if not frozen + unfrozen or (frozen and recipe["model"] == "plain_cnn"):
        expected = "(frozen, unfrozen) epochs, one of them at least; the plain network has nothing to freeze"
        raise problem(f"epochs is {recipe['epochs']!r}", expected, "As in epochs=(0, 10).")
    if recipe.get("cached_epochs") is not None and not (frozen and unfrozen):
        came, remedy = f"cached_epochs with epochs {recipe['epochs']!r}", "Leave cached_epochs out."
        raise problem(came, "a frozen phase and one after it", remedy)
    rows = {part: table[table["split"] == part].reset_index(drop=True) for part in SPLITS}
    if recipe["patience"] is not None and not len(rows["validation"]):
        came, remedy = "patience in a recipe, and no validation rows", "Set patience to None."
        raise problem(came, "a fixed number of epochs, or patients to choose by", remedy)
    train = classifier_batches(rows["train"], recipe, training=True, seed=seed)
    validation = classifier_batches(rows["validation"], recipe) if len(rows["validation"]) else None
    settings = {"system": name, "data": source, **recipe, "weights": weights_told(recipe)}
    told = [sorted(settings.items()), seed, train.fingerprint, validation and validation.fingerprint]
    run_dir = Path(runs) / f"{name}_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]}"
    model = _fit(recipe, train, validation, run_dir, settings, seed)
    frames = [
        predict_labels(model, classifier_batches(part, recipe), part, flip=recipe["flip"])
        for part in (rows["validation"], rows["test"]) if len(part)
    ]  # fmt: skip
    predictions = pd.concat(frames, ignore_index=True)
    write_label_predictions(predictions, run_dir)
    return run_dir, predictions


def cross_validate(table, name, recipe, *, runs, source, seed=0):
    """Predict every slice of a table by a model that saw no slice of its patient: one run for each of its folds.

    There are no validation patients here: a recipe has a fixed number of epochs, chosen beforehand, and its last epoch
    is what predicts. (Stopping by the fold that is tested would choose on it.)

    Args:
        table: with the column fold (see `splits.folds_by_patient`).
        name, recipe, runs, source, seed: as `train_classifier`; patience must be None.

    Returns:
        predictions frame as `predict_labels` of all rows, in the table's order, with the column fold and the split
        "folds".

    Raises:
        HemokitError: as `train_classifier`.
    """
    check_columns(table, ["slice_id", "fold"])
    if recipe["patience"] is not None:
        raise problem("patience in a recipe for folds", "a fixed number of epochs", "Set patience to None.")
    frames = []
    for fold in sorted(table["fold"].unique()):
        split = table.assign(split=table["fold"].eq(fold).map({True: "test", False: "train"}))
        own = train_classifier(split, f"{name}_fold{fold}", recipe, runs=runs, source=source, seed=seed)[1]
        frames.append(own)
    frame = pd.concat(frames).assign(split="folds")
    return frame.set_index("slice_id", drop=False).loc[table["slice_id"]].reset_index(drop=True)


def _fit(recipe, train, validation, run_dir, settings, seed):
    """Train in one phase or two; the model of the best epoch, or of the last where nothing validates."""
    build, (frozen, unfrozen) = build_classifier(recipe, train.num_channels), recipe["epochs"]
    loss = "sparse_categorical_crossentropy" if recipe["target"] == "class" else "binary_crossentropy"
    how = {"loss": loss, "seed": seed, "settings": settings, "patience": recipe["patience"]}
    how["schedule"] = recipe.get("schedule", "cosine")
    how["monitor"] = "loss" if validation is None else "val_loss"
    which = "last" if validation is None else "best"
    # Random weights come without statistics that are worth keeping.
    batch_norm = recipe.get("trains_batch_norm", recipe["weights"] is None)
    if frozen and unfrozen:
        rates = recipe["learning_rates"]
        fit_in_two_phases(
            build, train, validation, run_dir=run_dir, epochs=(frozen, unfrozen), learning_rates=rates,
            batch_norm=batch_norm, cached_epochs=recipe.get("cached_epochs"), **how,
        )  # fmt: skip
        return load(run_dir / "unfrozen", which)

    def begin():
        if recipe["model"] == "plain_cnn":
            return build()
        return freeze(build()) if frozen else unfreeze(build(), batch_norm=batch_norm)

    rate = recipe["learning_rates"][0 if frozen else 1]
    fit(begin, train, validation, run_dir=run_dir, epochs=frozen or unfrozen, learning_rate=rate, **how)
    return load(run_dir, which)


def _treated(table, recipe, seed):
    """The training rows of a recipe, repeated where it wants that, and its class_weights."""
    imbalance = check_choice(recipe["imbalance"], IMBALANCE, "imbalance")
    if imbalance == "repeat":
        by_class = recipe["target"] == "class" and tuple(recipe["classes"] or CLASSES) != TWO_CLASSES
        table = balance(table, by="class" if by_class else ANY, seed=seed)
    return table, "balanced" if imbalance == "weights" else None


def _check_keys(recipe, keys):
    missing = [key for key in keys if key not in recipe]
    if missing:
        remedy = "Begin with another recipe: {**pretraining.FINE_TUNING, ...}."
        raise problem(f"the recipe lacks {', '.join(missing)}", f"the keys {', '.join(keys)}", remedy)


def _check_splits(table):
    """Raise HemokitError for rows of no split, for nothing to train on or to predict, and for leaks."""
    check_columns(table, ["slice_id", "patient_id", "split"])
    counts = {part: int((table["split"] == part).sum()) for part in SPLITS}
    if sum(counts.values()) < len(table) or not counts["train"] or sum(counts.values()) == counts["train"]:
        came = f"{len(table)} rows, of which {', '.join(f'{count} are {part}' for part, count in counts.items())}"
        raise problem(came, "rows to train on and others, all of these splits", "Use splits.split_by_patient.")
    check_no_leakage(table)
