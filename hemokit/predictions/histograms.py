"""The pixels of a slice counted by probability, and the agreement with the true mask that follows from the counts.

Bin k counts the pixels with k/1000 <= probability < (k + 1)/1000, and bin 1000 those of probability 1. So "at least
k/1000" is exactly "bin k or above". The comparison is one of float64 numbers: np.float32(0.7) is a little less than
0.7, and lies in bin 699.
"""

import numpy as np

from hemokit.checks import check_binary, check_columns, check_same_shape, problem
from hemokit.metrics import Counts

NUM_BINS = 1001
HISTOGRAMS = ("background", "hemorrhage")
_EDGES = np.arange(NUM_BINS) / 1000


def check_probabilities(values, name="probability"):
    """Return `values` as a float16, float32 or float64 array; HemokitError unless every value lies in [0, 1].

    Whole numbers and bools (0 and 1) become float32. An empty array is fine.
    """
    array = np.asarray(values)
    if array.dtype.kind in "biu":
        array = array.astype(np.float32)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise problem(f"{name} holds {array.dtype} values", "float32 probabilities", "Convert it to float32 first.")
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN passes through min and max
        wrong = array[~((array >= 0) & (array <= 1))][0]
        remedy = "Pass logits through a sigmoid, divide 8-bit values by 255, and look for what made a NaN."
        raise problem(f"{name} holds the value {wrong:g}", "probabilities from 0 to 1", remedy)
    return array


def pixel_histogram(probability, mask=None):
    """Count the pixels of an image by probability, outside and inside the true mask.

    Args:
        probability: array of any shape, in [0, 1].
        mask: bool or 0/1 array of the same shape, or None where the truth is not known.

    Returns:
        (background, hemorrhage): two int32 arrays (1001,), see the top of this module. Without a mask, hemorrhage
        is None and background counts all pixels. An empty image gives zeros.

    Raises:
        HemokitError: values outside [0, 1], NaN, another shape, a mask with other values than 0 and 1.
    """
    probability = check_probabilities(probability)
    bins = _bins(probability.ravel())
    if mask is None:
        return np.bincount(bins, minlength=NUM_BINS).astype(np.int32), None
    check_same_shape(mask, probability, names=("mask", "probability"))
    bins += NUM_BINS * check_binary(mask, "mask").ravel()
    background, hemorrhage = np.bincount(bins, minlength=2 * NUM_BINS).astype(np.int32).reshape(2, NUM_BINS)
    return background, hemorrhage


def stack_histograms(predictions):
    """The pixel counts of all rows as two int64 arrays (slices, 1001): background, hemorrhage.

    Raises:
        HemokitError: a row without counts inside the true mask.
    """
    check_columns(predictions, HISTOGRAMS)
    for column in HISTOGRAMS:
        without = sum(one is None for one in predictions[column])
        if without:
            raise problem(
                f"{without} of {len(predictions)} rows have no pixel counts in {column!r}",
                "slices whose true mask is known",
                "Predict with masks, or judge the slices by their labels.",
                column=column,
            )
    return tuple(np.array(predictions[name].tolist(), np.int64).reshape(-1, NUM_BINS) for name in HISTOGRAMS)


def counts_at(predictions, threshold):
    """Count agreement with the true masks when the pixels of at least this probability are predicted positive.

    Args:
        predictions: a predictions frame whose rows all have true masks.
        threshold: a multiple of 1/1000 from 0 to 1.

    Returns:
        `metrics.Counts` of int64 arrays (slices,); no rows give empty arrays.

    Raises:
        HemokitError: another threshold, a row without counts inside the true mask.
    """
    first = _first_bin(threshold)
    background, hemorrhage = stack_histograms(predictions)
    fp, tp = background[:, first:].sum(axis=1), hemorrhage[:, first:].sum(axis=1)
    return Counts(tp, fp, hemorrhage[:, :first].sum(axis=1), background[:, :first].sum(axis=1))


def _bins(probability):
    """The bin of each value (int64): float32 times 1000 is exact in float64; float64 values are compared."""
    if probability.dtype == np.float64:
        return np.searchsorted(_EDGES, probability, side="right") - 1
    return np.multiply(probability, 1000.0, dtype=np.float64).astype(np.int64)


def _first_bin(threshold):
    """The bin that begins at the threshold."""
    number = np.round(threshold * 1000) if np.isscalar(threshold) and np.isreal(threshold) else np.nan
    if not (0 <= number <= 1000 and abs(threshold - number / 1000) <= 1e-9):
        remedy = "Between two of these the counts of a slice are not known: round it."
        raise problem(f"the threshold is {threshold!r}", "a multiple of 1/1000 from 0 to 1", remedy)
    return int(number)
