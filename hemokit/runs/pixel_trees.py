"""A detector without a network: boosted trees that look at each pixel and its surroundings, made in seconds.

It is the run to have when there is none, and a yardstick for networks. What it writes is judged like any other run.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.files import write_whole
from hemokit.predictions import NOTICE, build_predictions
from hemokit.runs.channels import channels_of, windows_for
from hemokit.runs.data import has_truth
from hemokit.runs.judging_facts import Facts, choose_on_validation, write_judged
from hemokit.slice_cache import LEVELS, prepare_slice

KEPT = 0.15  # of the pixels without hemorrhage that are learned from; they weigh accordingly more
SOFT = 0.35  # darker surroundings are air, fat or water, where no fresh blood is looked for
BONE = 0.98


class Trees(NamedTuple):
    """The fitted `model` of pixels, and how it sees a slice: size, windows (names, as in a recipe)."""

    model: object
    image_size: int
    windows: tuple


def train_trees(table, run_dir, *, source, image_size=128, windows=("brain_wide",), seed=0):
    """Learn from the training rows, predict validation and test rows, and write a run that can be judged.

    Args:
        table: a slice table with the column split and a true mask for every slice.
        run_dir: gets predictions.csv, histograms.npz, judging.json (thresholds of the validation rows), run.json.
        source: of the data, in words.
        image_size: height and width in pixels that the trees see.
        windows: names, see `runs.channels`; the first one is looked at.
        seed: whole number from 0.

    Returns:
        (`Trees`, predictions frame).

    Raises:
        HemokitError: no training rows, no hemorrhage in them; no validation rows with hemorrhage; missing masks.
    """
    check_columns(table, ["split"])
    rows = {name: table[table["split"] == name].reset_index(drop=True) for name in ("train", "validation", "test")}
    trees = Trees(_fit(rows["train"], image_size, windows, seed), image_size, tuple(windows))
    frames = [predict_trees(trees, rows[name]) for name in ("validation", "test")]
    predictions = pd.concat(frames, ignore_index=True)
    facts = choose_on_validation(predictions, Facts(trained_on=source, judged_on=source, seed=seed, data=source))[0]
    settings = {"system": "trees", "data": source, "image_size": image_size, "windows": list(windows), "seed": seed}
    with write_whole(Path(run_dir) / "run.json") as stream:
        json.dump({"notice": NOTICE, "settings": {"seed": seed, "settings": settings}}, stream, indent=2)
        stream.write("\n")
    write_judged(predictions, facts, run_dir)
    return trees, predictions


def predict_trees(trees, table):
    """Predict every slice of a table: the predictions frame, with masks where all of them are known."""
    masked = bool(has_truth(table).all())
    frames = [_predict_one(trees, row, masked) for row in (table.iloc[[place]] for place in range(len(table)))]
    return pd.concat(frames, ignore_index=True) if frames else build_predictions(table, np.zeros((0, 1, 1)))


def pixel_features(image):
    """What the trees know of each pixel.

    Args:
        image: float array (height, width) in [0, 1], through a brain window.

    Returns:
        float32 array (height, width, 11): the brightness itself and of surroundings of four sizes, the contrast with
        the nearest ones, their unrest, the brightest and the darkest value nearby, the distance to the bone, and how
        far inside the skull it is. Lengths are in parts of the image's height, and mean the same at every size.
    """
    from scipy import ndimage

    step = image.shape[0] / 128
    image = np.asarray(image, np.float32)
    smooth = [ndimage.gaussian_filter(image, size * step) for size in (1, 2, 4, 8)]
    mean = ndimage.gaussian_filter(image, 3 * step)
    unrest = ndimage.gaussian_filter(image**2, 3 * step) - mean**2
    near = 2 * round(3 * step) + 1
    brightest = ndimage.maximum_filter(image, near)
    darkest = ndimage.minimum_filter(smooth[0], near)
    bone = image >= BONE
    distance = ndimage.distance_transform_edt(~bone) / step if bone.any() else np.full(image.shape, 128.0)
    inside = ndimage.gaussian_filter(ndimage.binary_fill_holes(bone).astype(np.float32), 4 * step)
    features = [image, *smooth, np.abs(image - smooth[0]), unrest, brightest, darkest, distance, inside]
    return np.stack(features, axis=-1).astype(np.float32)


def _fit(rows, image_size, windows, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    if not len(rows) or not rows["any"].any():
        came = f"{len(rows)} training rows, {int(rows['any'].sum())} of them with hemorrhage"
        raise problem(came, "training rows with hemorrhage", "Split by patient first, into more for training.")
    rng, features, labels = np.random.default_rng(seed), [], []
    for _, row in rows.iterrows():
        image, mask, _ = _prepared(rows, row, image_size, windows, masks=True)
        seen = pixel_features(image)
        chosen = _looked_at(seen) & (mask | (rng.random(mask.shape) < KEPT))
        features.append(seen[chosen])
        labels.append(mask[chosen])
    labels = np.concatenate(labels)
    how = {"max_iter": 80, "max_leaf_nodes": 15, "l2_regularization": 1.0, "early_stopping": False}
    model = HistGradientBoostingClassifier(**how, random_state=seed)
    with _one_thread():
        return model.fit(np.concatenate(features), labels, sample_weight=np.where(labels, 1, 1 / KEPT))


def _predict_one(trees, row, masked):
    """A predictions frame of one row."""
    from scipy import ndimage

    image, mask, shape = _prepared(row, row.iloc[0], trees.image_size, trees.windows, masks=masked)
    seen = pixel_features(image)
    chosen = _looked_at(seen)
    probability = np.zeros(image.shape, np.float32)
    if chosen.any():
        with _one_thread():
            probability[chosen] = trees.model.predict_proba(seen[chosen])[:, 1]
    probability = ndimage.gaussian_filter(probability, trees.image_size / 128).clip(0, 1)
    area = _area_mm2(row.iloc[0], shape) / image.size
    return build_predictions(row, probability[None], None if mask is None else mask[None], pixel_area_mm2=area)


def _one_thread():
    """Threads that wait for each other at every slice took ten times as long on a busy machine as one alone."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def _prepared(table, row, image_size, windows, *, masks):
    layout = table["dataset"].iloc[0]
    shown = windows_for(channels_of(layout, windows), layout)
    image, mask, shape = prepare_slice(row, image_size=image_size, windows=shown, masks=masks)
    return image[..., 0] / np.float32(LEVELS), mask, shape


def _looked_at(features):
    """Where blood may be: no bone, and no dark surroundings."""
    return (features[..., 1] > SOFT) & (features[..., 0] < BONE)


def _area_mm2(row, shape):
    """The area of the square that is seen, in mm2; NaN where the spacing is unknown."""
    if "row_spacing_mm" not in row.index:
        return np.nan
    return float(row["row_spacing_mm"]) * float(row["column_spacing_mm"]) * max(shape) ** 2
