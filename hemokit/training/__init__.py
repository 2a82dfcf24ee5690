"""Training: `fit` makes a run, `load` gives its model, `predict` turns slices into a predictions frame.

Reading order: sources (what is learned from), precision, checkpoints, run_record, epochs (what happens at the end of
each), recipe, reporting, distribution, fitting, prediction.
"""

from hemokit.training.checkpoints import load
from hemokit.training.fitting import fit
from hemokit.training.prediction import predict

__all__ = ["fit", "load", "predict"]
