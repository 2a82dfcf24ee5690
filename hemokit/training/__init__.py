"""Training: `fit` makes a run, `load` gives its model, `predict` (of segmentation models) and
`predict_labels` (of classifiers) turn slices into a predictions frame. With a `SlidingWindow` around it a model of
patches is one of whole slices.

Reading order: sources (what is learned from), precision, checkpoints, run_record, epochs (what happens at the end of
each), recipe, reporting, distribution, fitting, features, heads, finetuning, sliding_window, prediction,
label_prediction, slice_vectors, scan_prediction.
"""

from hemokit.training.checkpoints import load
from hemokit.training.features import cached_features, fit_head, head_of
from hemokit.training.finetuning import fit_in_two_phases, freeze, unfreeze
from hemokit.training.fitting import fit
from hemokit.training.label_prediction import predict_labels
from hemokit.training.prediction import predict
from hemokit.training.scan_prediction import predict_scans, predict_slices
from hemokit.training.slice_vectors import slice_vectors
from hemokit.training.sliding_window import SlidingWindow, predict_sliding_window

__all__ = [
    "SlidingWindow",
    "cached_features",
    "fit",
    "fit_head",
    "fit_in_two_phases",
    "freeze",
    "head_of",
    "load",
    "predict",
    "predict_labels",
    "predict_scans",
    "predict_slices",
    "predict_sliding_window",
    "slice_vectors",
    "unfreeze",
]
