"""A run on patches from a recipe: trained on crops, it predicts whole slices and scans by a sliding window.

A recipe has image_size, windows, loss, learning_rate, schedule, batch_size, epochs and augmentation as in
`runs.recipes`, and

    patch, stride                 sizes of a crop and its steps, (height, width) or (slices, height, width)
    hard_negatives, negatives     crops without hemorrhage an epoch, see `patch_batches.Sampling`; without both keys an
                                  epoch has every crop
    network and its options       as `recipes.build_network`
    validate_on                   "all" validation scans, or the "positive" ones alone: to watch the training; the
                                  threshold always comes from all
    predict_stride                of the sliding window over whole slices
"""

import pandas as pd

from hemokit import augment
from hemokit.checks import check_choice
from hemokit.labels import ANY
from hemokit.leaks import check_no_leakage
from hemokit.metrics import Counts, dice, precision, sensitivity, sum_counts
from hemokit.patch_batches import Sampling
from hemokit.predictions import counts_at
from hemokit.runs.recipes import fit_recipe, keep_predictions, recipe_windows
from hemokit.scan_batches import ScanBatches
from hemokit.splits import SPLITS
from hemokit.thresholds import choose_threshold
from hemokit.training import load, predict
from hemokit.training.sliding_window import SlidingWindow

SIZES = ("small", "middle", "large")


def patch_pipelines(table, recipe, *, seed=0):
    """The pipelines of patches that a recipe trains on and watches.

    Args:
        table: a split table with masks.
        recipe: see the module.
        seed: of order, draw and augmentation.

    Returns:
        (training, validation): as `pipelines.patch_pipeline`. Validation patches do not overlap.

    Raises:
        HemokitError: a patient in two splits; as `patch_pipeline`.
    """
    from hemokit.pipelines import patch_pipeline

    check_no_leakage(table)
    train, watched = (table[table["split"] == part].reset_index(drop=True) for part in SPLITS[:2])
    if check_choice(recipe["validate_on"], ("all", "positive"), "validate_on") == "positive":
        bled = watched.loc[watched[ANY] == 1, "scan_id"]
        watched = watched[watched["scan_id"].isin(bled)].reset_index(drop=True)
    how = {key: recipe[key] for key in ("patch", "image_size", "batch_size")}
    how |= {"windows": recipe_windows(recipe, table), "prepare": recipe.get("prepare")}
    shares = {key: recipe[key] for key in Sampling._fields if key in recipe}
    training = patch_pipeline(
        train, stride=recipe["stride"], training=True, sampling=Sampling(**shares) if shares else None, seed=seed,
        augmentation=getattr(augment, recipe["augmentation"]), **how,
    )  # fmt: skip
    return training, patch_pipeline(watched, stride=recipe["patch"], **how)


def predict_whole(model, rows, recipe):
    """Predict whole slices with a model of patches; with patches of several slices, scan by scan.

    Args:
        model: of `recipes.fit_recipe`, loaded.
        rows: a slice table; for patches of several slices as `scan_batches.ScanBatches`.
        recipe: see the module.

    Returns:
        predictions frame, one row a slice.

    Raises:
        HemokitError: as `training.predict`.
    """
    from hemokit.batches import SliceBatches

    how = {"target": "mask", "image_size": recipe["image_size"], "prepare": recipe.get("prepare")}
    how["windows"] = recipe_windows(recipe, rows)
    size = {"patch": recipe["patch"], "stride": recipe["predict_stride"], "batch_size": 4 * recipe["batch_size"]}
    window = SlidingWindow(model, **size)
    batches = ScanBatches(rows, **how) if window.needs_scans else SliceBatches(rows, batch_size=16, **how)
    return predict(window, batches, rows)


def train_patches(table, name, recipe, *, runs, source, seed=0):
    """Train on patches and predict whole validation and test slices; both are on disk then.

    Args:
        table: a split table with masks.
        name: of the run.
        recipe: see the module.
        runs: folder of the runs; a run of these data and settings is found again.
        source: of the data, in words.
        seed: whole number from 0.

    Returns:
        (folder of the run, predictions frame).

    Raises:
        HemokitError: as `patch_pipelines` and `recipes.fit_recipe`.
    """
    train, validation = patch_pipelines(table, recipe, seed=seed)
    size = (*recipe["patch"], train.batches.num_channels)
    run_dir = fit_recipe(name, recipe, size, train, validation, runs=runs, source=source, seed=seed)
    model = load(run_dir)
    frames = [predict_whole(model, table[table["split"] == part].reset_index(drop=True), recipe) for part in SPLITS[1:]]
    predictions = pd.concat(frames, ignore_index=True)
    keep_predictions(predictions, run_dir, source=source, seed=seed)
    return run_dir, predictions


def masks_by_size(frames, *, source, seed=0):
    """Score masks of several networks by how large the hemorrhage is: thirds of the test slices with hemorrhage.

    Args:
        frames: dict name of a network -> predictions frame of the same validation and test rows.
        source: of the data, in words; seed: of the split.

    Returns:
        DataFrame, one row a network and third (small, middle, large): pixels (the largest true area of the third);
        found (part of its slices in which some true pixel is predicted); sensitivity, precision and Dice of its
        pixels together; n, patients, data, split, seed. Thirds are of one truth, thresholds of each network's own
        validation rows. No rows where fewer than three test slices have hemorrhage.

    Raises:
        HemokitError: as `thresholds.choose_threshold`.
    """
    lines = []
    for name, frame in frames.items():
        threshold = choose_threshold(frame[frame["split"] == "validation"]).threshold
        test = frame[frame["split"] == "test"]
        counts = counts_at(test, threshold)
        test = test.assign(**counts._asdict(), area=counts.tp + counts.fn).query("area > 0")
        if len(test) < len(SIZES):
            continue
        thirds = pd.qcut(test["area"].rank(method="first"), len(SIZES), labels=SIZES)
        for size, some in test.groupby(thirds, observed=True):
            lines.append(
                {"network": name, "size": size, **_scored(some), "data": source, "split": "test", "seed": seed}
            )
    return pd.DataFrame(lines)


def _scored(rows):
    """The scores of the rows of one size."""
    pooled = sum_counts(Counts(*(rows[name].to_numpy() for name in Counts._fields)))
    scores = {"sensitivity": sensitivity(pooled), "precision": precision(pooled), "dice": dice(pooled)}
    told = {"pixels": int(rows["area"].max()), "found": (rows["tp"] > 0).mean(), **scores}
    return told | {"n": len(rows), "patients": rows["patient_id"].nunique()}
