"""`predict`: a model's probability maps as a predictions frame, batch by batch."""

import keras
import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.predictions import build_predictions
from hemokit.progress import progress_bar
from hemokit.training.sources import check_images_fit

SPACINGS = ("row_spacing_mm", "column_spacing_mm")


def predict(model, pipeline, table, *, batch_size=16, progress=None):
    """Predict every slice of a table.

    Args:
        model: keras.Model that gives (batch, height, width, 1) probabilities; or a `SlidingWindow` around a model of
            patches, which then predicts whole slices.
        pipeline: `batches.SliceBatches` or a dataset of `pipelines.slice_pipeline`, made from `table` without
            training=True, with the target "mask" or None (`scan_batches.ScanBatches` for a model that looks at several
            slices); or arrays: x, or (x, masks), in the order of the table; or
            any iterable of such batches. Where masks come, the pixels of hemorrhage are counted apart.
        table: slice table, one row for each slice of the pipeline, in its order.
        batch_size: of arrays.
        progress: True or False; None shows a bar on a terminal where there is much to do.

    Returns:
        DataFrame as `predictions.build_predictions`: one row a slice, in the table's order, none left out; an empty
        one for no rows. pixel_area_mm2 is that of the model's pixels: the spacing on disk times the ratio of the
        sizes; NaN where spacing or size on disk is unknown. Memory is that of one batch.

    Raises:
        HemokitError: a pipeline of other slices or in another order; outputs that are not one probability a pixel;
            a model that looks at several slices without whole scans.
    """
    check_columns(table, ["slice_id"])
    batches = getattr(pipeline, "batches", pipeline)
    _check_scans(model, batches)
    check_order(batches, table)
    areas = _slice_areas_mm2(table, batches)
    parts, first = [], 0
    with progress_bar(None, total=len(table), description="predict", unit="slice", progress=progress) as bar:
        for images, masks in batches_of(pipeline, batch_size):
            rows = slice(first, first + len(images))
            first += len(images)
            if first > len(table):
                break
            maps = _maps(model, images)
            pixels = np.prod(maps.shape[1:3])
            parts.append(build_predictions(table.iloc[rows], maps, masks, pixel_area_mm2=areas[rows] / pixels))
            bar.update(len(images))
    if first != len(table):
        came = f"the pipeline gives {first} slices{' or more' if first > len(table) else ''}"
        raise problem(came, f"the {len(table)} rows of the table", "Make the pipeline from this very table.")
    return pd.concat(parts, ignore_index=True) if parts else build_predictions(table, np.zeros((0, 1, 1)))


def check_order(batches, table):
    """The rows of the batches are those of the table, in its order, unshuffled."""
    if getattr(batches, "training", False):
        remedy = "Make the pipeline for prediction without training=True."
        raise problem("a pipeline that shuffles and augments", "the slices as they are, in order", remedy)
    own = getattr(batches, "table", None)
    if own is None or own["slice_id"].tolist() == table["slice_id"].tolist():
        return
    pairs = zip(own["slice_id"], table["slice_id"], strict=False)
    differ = next((f"slice {one!r} where the table has {two!r}" for one, two in pairs if one != two), None)
    came = differ or f"{len(own)} slices for a table of {len(table)} rows"
    raise problem(f"the pipeline has {came}", "the same slices in the same order", "Make it from this very table.")


def _check_scans(model, batches):
    """Neighbors in a batch are neighbors in a scan only where each batch is one."""
    if getattr(model, "needs_scans", False) and not getattr(batches, "whole_scans", False):
        came = f"{type(batches).__name__} for a model that looks at several slices"
        raise problem(came, "one whole scan a batch", "Make it by scan_batches.ScanBatches.")


def _slice_areas_mm2(table, batches):
    """The area of each image as the model sees it, in mm2, float64 (rows,); NaN where spacing or size is unknown.

    Slices are padded to a square before they are resized, so it is the square of the longer side.
    """
    if not set(SPACINGS) <= set(table.columns) or not hasattr(batches, "source_shapes"):
        return np.full(len(table), np.nan)
    spacing = table[list(SPACINGS)].astype(float).to_numpy()
    sides = np.asarray(batches.source_shapes).reshape(-1, 2).max(axis=1, initial=0)
    return np.prod(spacing, axis=1) * sides.astype(float) ** 2


def batches_of(pipeline, batch_size):
    """Batches of any source as (images, targets or None), NumPy arrays; what comes behind them is left out."""
    if isinstance(pipeline, np.ndarray) or (isinstance(pipeline, tuple) and isinstance(pipeline[0], np.ndarray)):
        arrays = pipeline if isinstance(pipeline, tuple) else (pipeline,)
        count = len(arrays[0])
        pipeline = (tuple(one[at : at + batch_size] for one in arrays) for at in range(0, count, batch_size))
    for batch in pipeline:
        images, *masks = batch if isinstance(batch, tuple | list) else (batch,)
        yield _numpy(images), _numpy(masks[0]) if masks else None


def predict_filled(model, images, size):
    """What a model gives for a batch that may be smaller than the others, as the last one: array (batch, ...).

    It is filled up to `size` images with black ones, because for another shape a model is compiled anew: half a second
    for a ResNet50 on a CPU, many where XLA compiles.
    """
    missing = max(size - len(images), 0)
    if missing:
        images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
    found = np.asarray(model.predict_on_batch(np.ascontiguousarray(images)))
    return found[: len(found) - missing]


def _maps(model, images):
    """Probabilities (batch, height, width) of one batch by the model's compiled function, in float32.

    `predict_on_batch`, not `model.predict`: that makes a new data set and its threads at every call.
    """
    check_images_fit(model, images.shape[1:])
    maps = np.asarray(model.predict_on_batch(images), np.float32)
    if maps.ndim != 4 or maps.shape[-1] != 1:
        came = f"the model gives values of the shape {maps.shape}"
        raise problem(came, "one probability a pixel, (batch, height, width, 1)", "Predict with a segmentation model.")
    return maps[..., 0]


def _numpy(values):
    return values if isinstance(values, np.ndarray) else keras.ops.convert_to_numpy(values)
