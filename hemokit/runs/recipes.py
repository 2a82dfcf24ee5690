"""What the segmentation lessons share: data to train on, and a run from a recipe, the dict of settings in their text.

A recipe has the keys image_size, windows, filters, batch_norm, loss, learning_rate, schedule, batch_size, epochs,
train_on, images_an_epoch and augmentation (the last three: see `draw_epoch`; names of `losses` and `augment`). It may
have network, weights and frozen (see `build_network`), prepare (of `batches.SliceBatches`) and patience (of `fit`).
"""

import hashlib
from pathlib import Path

import pandas as pd

from hemokit import augment, losses
from hemokit.checks import check_choice, problem
from hemokit.files import sha256
from hemokit.labels import ANY
from hemokit.leaks import check_no_leakage
from hemokit.models.transfer import transfer_unet
from hemokit.models.twobranch import two_branch
from hemokit.models.unet import unet
from hemokit.models.unet_plus_plus import unet_plus_plus
from hemokit.runs.channels import channels_of, windows_for
from hemokit.runs.judging_facts import Facts, choose_on_validation, write_judged
from hemokit.runs.lesson_data import LessonData, choose_data
from hemokit.splits import SPLITS, balance
from hemokit.training import fit, freeze, load, predict
from hemokit.training.checkpoints import BEST

__all__ = [
    "AUGMENTATIONS",
    "LOSSES",
    "NETWORKS",
    "LessonData",
    "build_network",
    "choose_data",
    "draw_epoch",
    "fit_recipe",
    "keep_predictions",
    "recipe_windows",
    "run_folder",
    "train_recipe",
    "weights_told",
]

NETWORKS = {"unet": unet, "two_branch": two_branch, "unet_plus_plus": unet_plus_plus, "transfer_unet": transfer_unet}
OPTIONS = ("filters", "batch_norm", "skips", "halve_slices")  # of a network's builder
ON_BACKBONES = ("transfer_unet", "unet_plus_plus")
AUGMENTATIONS = ("NONE", "STANDARD", "RENYARD", "TWOBRANCH", "FAHIM")
LOSSES = ("binary_crossentropy", "dice_loss", "jaccard_distance", "dice_bce", "pooled_dice_bce")
PIXELS_AT_ONCE = 32 * 128**2  # where nothing is learned: 128 slices of 64 px at once took two thirds of the time of 8


def build_network(recipe, input_shape):
    """Build the network of a recipe.

    Args:
        recipe: network is a key of `NETWORKS`, alone or with a backbone behind a colon ("transfer_unet:ResNet50",
            "unet_plus_plus:VGG16"); without that key it is "unet". Of `OPTIONS` those that the recipe has go to the
            network's builder (to `transfer_unet` all but batch_norm); weights are the backbone's, which frozen=True
            freezes.
        input_shape: (height, width, channels), or (slices, height, width, channels) for a 3-D network.

    Returns:
        keras.Model.

    Raises:
        HemokitError: another network; a backbone too many or too few; weights without one; as the network's builder.
    """
    name, _, backbone = recipe.get("network", "unet").partition(":")
    check_choice(name, NETWORKS, "network")
    if backbone and name not in ON_BACKBONES:
        raise problem(f"the network {name!r} takes no backbone", "its name alone", f"Leave {backbone!r} out.")
    if not backbone and name == "transfer_unet":
        remedy = "Write it behind a colon, as in 'transfer_unet:ResNet50'."
        raise problem(f"the network {name!r} needs a backbone", "its name", remedy)
    if not backbone and recipe.get("weights") is not None:
        came = f"weights {recipe['weights']!r} for the network {name!r} without a backbone"
        raise problem(came, "a backbone, for which there are some", "Set weights to None.")
    options = {key: recipe[key] for key in OPTIONS if key in recipe}
    if backbone:
        options |= {"backbone": backbone, "weights": recipe.get("weights")}
    if name == "transfer_unet":
        options.pop("batch_norm", None)  # its blocks always normalize
    model = NETWORKS[name](input_shape=input_shape, **options)
    return freeze(model) if recipe.get("frozen") else model


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


def weights_told(recipe):
    """What the weights of a recipe are, not where they lie: another content is another run."""
    weights = recipe.get("weights")
    if weights in (None, "imagenet"):
        return weights
    path = Path(weights) / BEST if recipe.get("model") == "unet" else Path(weights)
    if not path.is_file():
        raise problem("no such file", "the weights that the recipe names", "Train or download them first.", file=path)
    return f"sha256 {sha256(path)}"


def _told(recipe):
    return {**recipe, "weights": weights_told(recipe)} if "weights" in recipe else recipe


def run_folder(runs, name, recipe, train, validation, *, seed=0):
    """Name the folder of a run by its settings and the fingerprints of its data (pipelines of `slice_pipeline`).

    The same lesson run twice finds its run again, and other data or settings never do.
    """
    told = [sorted(_told(recipe).items()), seed, train.batches.fingerprint, validation.batches.fingerprint]
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

    Raises:
        HemokitError: an augmentation or a loss of another name; as `draw_epoch` and `fit_recipe`.
    """
    from hemokit.pipelines import slice_pipeline

    check_no_leakage(table)
    rows = {part: table[table["split"] == part].reset_index(drop=True) for part in SPLITS}
    windows = recipe_windows(recipe, table)
    how = {key: recipe[key] for key in ("image_size", "batch_size")} | {"prepare": recipe.get("prepare")}
    how |= {"target": "mask", "windows": windows}
    augmentation = getattr(augment, check_choice(recipe["augmentation"], AUGMENTATIONS, "augmentation"))
    drawn = draw_epoch(rows["train"], recipe, seed=seed)
    train = slice_pipeline(drawn, training=True, augmentation=augmentation, seed=seed, **how)
    how["batch_size"] = max(how["batch_size"], PIXELS_AT_ONCE // recipe["image_size"] ** 2)
    validation, test = (slice_pipeline(rows[part], **how) for part in SPLITS[1:])
    size = (recipe["image_size"], recipe["image_size"], len(windows))
    run_dir = fit_recipe(name, recipe, size, train, validation, runs=runs, source=source, seed=seed)
    model = load(run_dir)
    frames = [predict(model, validation, rows["validation"]), predict(model, test, rows["test"])]
    predictions = pd.concat(frames, ignore_index=True)
    keep_predictions(predictions, run_dir, source=source, seed=seed)
    return run_dir, predictions


def fit_recipe(name, recipe, input_shape, train, validation, *, runs, source, seed=0):
    """Train the network of a recipe in the folder of its run, or find it trained there.

    Args:
        name, recipe, runs, source, seed: as `train_recipe`.
        input_shape: as `build_network`.
        train, validation: pipelines with masks, as `run_folder`.

    Returns:
        folder of the run.

    Raises:
        HemokitError: a loss of another name; as `build_network` and `training.fit`.
    """
    loss = getattr(losses, check_choice(recipe["loss"], LOSSES, "loss"))
    run_dir = run_folder(runs, name, recipe, train, validation, seed=seed)
    fit(
        lambda: build_network(recipe, input_shape), train, validation, patience=recipe.get("patience"),
        run_dir=run_dir, epochs=recipe["epochs"], loss=loss, seed=seed,
        learning_rate=recipe["learning_rate"], schedule=recipe["schedule"],
        metrics=[losses.SoftDice()], monitor="val_dice",
        settings={"system": name, "data": source, **_told(recipe)},
    )  # fmt: skip
    return run_dir


def keep_predictions(predictions, run_dir, *, source, seed=0):
    """Write predictions and, beside them, the thresholds that their validation rows give; returns the `Facts`."""
    facts = Facts(trained_on=source, judged_on=source, seed=seed, data=source)
    facts = choose_on_validation(predictions, facts)[0]
    write_judged(predictions, facts, run_dir)
    return facts
