"""What a format costs: how far its probabilities are from Keras', how much Dice is lost, how large and fast it is."""

import time

import numpy as np
import pandas as pd

from hemokit.checks import check_same_shape, problem
from hemokit.metrics import confusion_counts, dice

CALLS = 20  # of which the median time is taken
COLUMNS = (
    *("format", "precision", "size_bytes", "slices", "max_difference", "threshold"),
    *("dice_keras", "dice", "dice_lost", "ms_per_slice"),
)


def compare_exported(model, exported, images, masks, threshold=None):
    """Run the same slices through a Keras model and its exported forms, and score both against the true masks.

    Args:
        model: keras.Model, or float32 array of its probabilities for `images`.
        exported: `Exported`, or a list of them.
        images: float32 (n, height, width, channels) in [0, 1], at least one.
        masks: bool or 0/1 (n, height, width) or (n, height, width, outputs): where hemorrhage is; None where that is
            not known, or the model gives no masks.
        threshold: of pixels; None takes that of each card.

    Returns:
        DataFrame, a row for each exported form, columns `COLUMNS`: size_bytes of the file, the largest absolute
        difference of probabilities, Dice over all pixels pooled of Keras and of this form (NaN without masks, or
        where truth and mask are empty), Dice lost (positive is worse), and milliseconds a slice, one at a time, of a
        warmed-up model on this machine (median).
    """
    images = np.asarray(images)
    if not len(images):
        raise problem("there are no images", "at least one", "Pass some slices, with hemorrhage among them.")
    expected = model if isinstance(model, np.ndarray) else _predicted(model, images)
    forms = exported if isinstance(exported, list | tuple) else [exported]
    return pd.DataFrame([_row(one, expected, images, masks, threshold) for one in forms], columns=COLUMNS)


def _row(exported, expected, images, masks, threshold):
    card = exported.card
    threshold = card.threshold if threshold is None else threshold
    got = exported.probabilities(images)
    check_same_shape(expected, got, names=("the probabilities of Keras", f"those of {card.format}"))
    scores = [np.nan, np.nan]
    if masks is not None:
        if threshold is None:
            raise problem("no threshold is known", "one of pixels", "Pass threshold=0.5, say.")
        scores = [_dice(masks, one, threshold) for one in (expected, got)]
    difference = float(np.abs(got.astype(float) - expected).max())
    return {
        "format": card.format, "precision": card.precision, "size_bytes": card.size_bytes, "slices": len(images),
        "max_difference": difference, "threshold": threshold, "dice_keras": scores[0], "dice": scores[1],
        "dice_lost": scores[0] - scores[1], "ms_per_slice": _milliseconds(exported, images),
    }  # fmt: skip


def _dice(masks, probabilities, threshold):
    truth = np.asarray(masks)
    truth = truth[..., None] if truth.ndim == 3 else truth
    check_same_shape(truth, probabilities, names=("masks", "probabilities"))
    return float(dice(confusion_counts(truth, probabilities >= threshold)))


def _predicted(model, images):
    parts = [np.asarray(model.predict_on_batch(images[at : at + 16])) for at in range(0, len(images), 16)]
    return np.concatenate(parts).astype(np.float32)


def _milliseconds(exported, images, *, repeats=CALLS):
    """Median time of one slice at a time; `probabilities` has run before, so nothing is loaded now."""
    times = []
    for number in range(repeats):
        image = images[number % len(images)][None]
        start = time.perf_counter()
        exported.probabilities(image)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
