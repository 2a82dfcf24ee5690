"""The predictions frame: one row is one slice, with counts of its pixels by probability instead of the image.

A model writes it, judging reads it, and neither needs the other: thresholds, scores and curves come from the counts
(1001 whole numbers a slice), exactly, for every threshold that is a multiple of 1/1000.

Classifiers have frames of their own, with a probability for each label.

Reading order: histograms (the counts), frames (from maps to a frame), stored (on disk), labels (of classifiers),
neighbors.
"""

from hemokit.predictions.frames import COLUMNS, FLOATS, MEASURES, build_predictions, slice_scores
from hemokit.predictions.histograms import (
    HISTOGRAMS,
    NUM_BINS,
    check_probabilities,
    counts_at,
    pixel_histogram,
    stack_histograms,
)
from hemokit.predictions.labels import build_label_predictions, read_label_predictions, write_label_predictions
from hemokit.predictions.neighbors import average_neighbors
from hemokit.predictions.stored import NOTICE, read_predictions, write_predictions

__all__ = [
    "COLUMNS",
    "FLOATS",
    "HISTOGRAMS",
    "MEASURES",
    "NOTICE",
    "NUM_BINS",
    "average_neighbors",
    "build_label_predictions",
    "build_predictions",
    "check_probabilities",
    "counts_at",
    "pixel_histogram",
    "read_label_predictions",
    "read_predictions",
    "slice_scores",
    "stack_histograms",
    "write_label_predictions",
    "write_predictions",
]
