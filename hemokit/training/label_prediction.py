"""`predict_labels`: what a classifier says of each slice, as a frame to judge, batch by batch."""

import numpy as np

from hemokit.checks import check_columns, problem
from hemokit.predictions import build_label_predictions
from hemokit.progress import progress_bar
from hemokit.training.prediction import batches_of, check_order, predict_filled
from hemokit.training.sources import check_images_fit


def predict_labels(model, pipeline, table, *, labels=None, flip=False, batch_size=16, progress=None):
    """Predict the labels of every slice of a table.

    Args:
        model: keras.Model that gives (batch, labels) probabilities.
        pipeline: `batches.SliceBatches` or a dataset of `pipelines.slice_pipeline`, made from `table` without
            training=True, with any target or None; or arrays: x, or (x, targets), in the order of the table; or any
            iterable of such batches.
        table: slice table, one row for each slice of the pipeline, in its order.
        labels: what the outputs mean, in their order: exclusive classes (a softmax), or `labels.LABELS` or ("any",)
            (sigmoids). None takes those of the pipeline's target.
        flip: also predict each slice mirrored from left to right, and take the mean of both.
        batch_size: of arrays.
        progress: True or False; None shows a bar on a terminal where there is much to do.

    Returns:
        DataFrame as `predictions.build_label_predictions`: one row a slice, in the table's order, none left out; an
        empty one for no rows.

    Raises:
        HemokitError: a pipeline of other slices or in another order, labels that are not known, images that the model
            does not take, another number of outputs, and as `build_label_predictions`.
    """
    check_columns(table, ["slice_id"])
    batches = getattr(pipeline, "batches", pipeline)
    check_order(batches, table)
    labels = _labels(labels, batches)
    parts, count, size = [np.zeros((0, len(labels)), np.float32)], 0, 0
    with progress_bar(None, total=len(table), description="predict", unit="slice", progress=progress) as bar:
        for images, _ in batches_of(pipeline, batch_size):
            count += len(images)
            size = len(images) if getattr(batches, "whole_scans", False) else max(size, len(images))
            if count > len(table):
                break
            parts.append(_probabilities(model, images, size, labels, flip))
            bar.update(len(images))
    if count != len(table):
        came = f"the pipeline gives {count} slices{' or more' if count > len(table) else ''}"
        raise problem(came, f"the {len(table)} rows of the table", "Make the pipeline from this very table.")
    return build_label_predictions(table, np.concatenate(parts), labels)


def _labels(labels, batches):
    labels = getattr(batches, "names", None) if labels is None else labels
    if not isinstance(labels, tuple | list) or not labels or not all(isinstance(one, str) for one in labels):
        remedy = "Pass labels=CLASSES, LABELS or those that the model was trained on."
        raise problem(f"labels is {labels!r}, and the pipeline names none", "the names of the outputs", remedy)
    return tuple(labels)


def _probabilities(model, images, size, labels, flip):
    """Probabilities of one batch of at most `size` images: float32 (batch, labels)."""
    check_images_fit(model, images.shape[1:])
    views = (images, images[:, :, ::-1]) if flip else (images,)
    outputs = [predict_filled(model, one, size).astype(np.float32) for one in views]
    if outputs[0].shape != (len(images), len(labels)):
        came = f"the model gives values of the shape {outputs[0].shape}"
        expected = f"({len(images)}, {len(labels)}), one for each of {', '.join(labels)}"
        raise problem(came, expected, "Name the classes that this model was trained on, or build it with as many.")
    return np.mean(outputs, axis=0, dtype=np.float32)
