"""`predict_scans`: what a sequence model says of each slice, as a frame beside that of the slice model."""

import numpy as np

from hemokit.checks import problem
from hemokit.labels import LABELS
from hemokit.predictions import build_label_predictions


def predict_scans(model, batches):
    """Predict the labels of every slice of the scans of a table.

    Args:
        model: keras.Model as `models.sequence.scan_lstm`.
        batches: `SequenceBatches`, or a dataset of `scan_pipeline` with vectors, without training.

    Returns:
        DataFrame as `predictions.build_label_predictions`: a row a slice, in the order of the table.

    Raises:
        HemokitError: batches for training, a model for other vectors.
    """
    batches = getattr(batches, "batches", batches)
    if batches.training:
        raise problem("batches for training", "scans in the order of the table", "Make them without training=True.")
    width = batches.shapes[0][-1]
    if model.inputs[0].shape[-1] != width:
        came = f"vectors of {width} numbers a slice"
        expected = f"{model.inputs[0].shape[-1]}, which {model.name!r} takes"
        raise problem(came, expected, "Take the vectors that it was trained on.")
    probabilities = np.zeros((len(batches.table), len(LABELS)), np.float32)
    for index in range(len(batches)):
        batch, rows = batches.batch(index, 0), batches.rows_of(index)
        found = np.asarray(model.predict_on_batch(batch[0] if isinstance(batch, tuple) else batch), np.float32)
        probabilities[rows[rows >= 0]] = found[rows >= 0]
    return build_label_predictions(batches.table, probabilities, LABELS)


def predict_slices(vectors, table):
    """What the slice model alone said, from `SliceVectors`: the frame to compare with.

    Args:
        vectors: `SliceVectors` with the probabilities of `labels.LABELS`.
        table: rows that have vectors, in any order.

    Returns:
        DataFrame as `predict_scans`.

    Raises:
        HemokitError: slices without vectors.
    """
    place = {name: number for number, name in enumerate(vectors.slice_ids)}
    missing = [name for name in table["slice_id"] if name not in place]
    if missing:
        came = f"{len(missing)} slices have no vectors, such as {missing[0]!r}"
        raise problem(came, "vectors of every slice", "Compute them for this very table.")
    rows = [place[name] for name in table["slice_id"]]
    return build_label_predictions(table, np.asarray(vectors.probabilities)[rows], LABELS)
