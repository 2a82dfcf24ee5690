"""What happens at the beginning and at the end of each epoch, as one Keras callback."""

import math
import random
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.files import write_whole
from hemokit.training.checkpoints import BEST, HISTORY, LAST, read_state, write_checkpoint
from hemokit.training.precision import FLOAT32, computing_in

SCHEDULES = ("constant", "cosine")


class Bookkeeper(keras.callbacks.Callback):
    """Sets the epoch of the data, the seeds and the learning rate; keeps the history; writes the checkpoints; stops.

    Whatever it needs to know of earlier epochs (the best value, how long ago) it reads from the history, so that a
    resumed run decides as an uninterrupted one does.

    Args:
        run_dir: where best.keras, last.keras and history.csv go; None writes nothing (all but the first worker).
        made_with: dict of data and settings, stored in the checkpoints beside the history.
        history: list of dicts, the rows of the epochs before this session; it grows.
        batches: the training data, whose `epoch` is set; or None.
        monitor, patience: see `fit`.
        rate: function epoch (from 0) -> learning rate, or None to leave it to the optimizer.
        seed: with the epoch, of all global random numbers; but TensorFlow's are seeded once a session, because it then
            compiles every function anew, which takes a second or more. (There Keras' layers draw from generators of
            their own, which the checkpoints hold; with PyTorch dropout draws from its global one.)
        report: function (row, is_best), called when the epoch is on disk.
    """

    def __init__(self, *, run_dir, made_with, history, batches, monitor, patience, rate, seed, report):
        super().__init__()
        self.run_dir, self.made_with, self.history, self.batches = run_dir, made_with, history, batches
        self.monitor, self.patience, self.rate = monitor, patience, rate
        self.seed, self.report = seed, report

    def on_train_begin(self, logs=None):
        keras.utils.set_random_seed(self._seed_of(len(self.history)))
        if self.run_dir is not None and not self.history:
            self._write()  # a run killed in its first epoch begins again with the same weights

    def on_epoch_begin(self, epoch, logs=None):
        if keras.backend.backend() == "tensorflow":
            random.seed(self._seed_of(epoch))
            np.random.seed(self._seed_of(epoch))  # noqa: NPY002
        else:
            keras.utils.set_random_seed(self._seed_of(epoch))
        if self.batches is not None:
            self.batches.epoch = epoch
        if self.rate is not None:
            self.model.optimizer.learning_rate = self.rate(epoch)
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        row = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - self._begun, 3), **logs}
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._check(row)
        best = best_row(self.history, self.monitor)
        is_best = best is None or _better(row[self.monitor], best[self.monitor], self.monitor)
        self.history.append(row)
        if self.run_dir is not None:
            self._write(row if is_best else None)
        self.report(row, is_best)
        if has_stopped(self.history, self.monitor, self.patience):
            self.model.stop_training = True

    def _seed_of(self, epoch):
        return int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])

    def _check(self, row):
        if self.monitor not in row:
            remedy = "Give validation data, or choose a monitor from the history's columns."
            raise problem(f"monitor is {self.monitor!r}", f"one of {', '.join(map(repr, row))}", remedy)
        wrong = [name for name in ("loss", self.monitor) if not math.isfinite(row[name])]
        if wrong:
            remedy = "Lower the learning rate, or look for bad values in the data; the last good epoch is kept."
            raise problem(f"{wrong[0]} is {row[wrong[0]]} in epoch {row['epoch']}", "a finite number", remedy)

    def _write(self, best=None):
        """`best` is this epoch's row if it is the best one; its file comes first.

        If only that gets written, the epoch is run again, and gives the same one.
        """
        state = {"made_with": self.made_with, "history": self.history}
        with computing_in(self.model, FLOAT32):
            if best and not self._is_on_disk(best):
                write_checkpoint(self.model, self.run_dir / BEST, state, with_optimizer=False)
            write_checkpoint(self.model, self.run_dir / LAST, state)
        write_history(self.run_dir, self.history)

    def _is_on_disk(self, row):
        """Was an epoch at least this good written by a session that was then killed before last.keras?"""
        saved = read_state(self.run_dir / BEST)
        saved = saved and best_row(saved["history"], self.monitor)
        return bool(saved) and not _better(row[self.monitor], saved[self.monitor], self.monitor)


def best_row(history, monitor):
    """The first row with the best value of `monitor`, or None without rows."""
    best = None
    for row in history:
        if best is None or _better(row[monitor], best[monitor], monitor):
            best = row
    return best


def has_stopped(history, monitor, patience):
    """Have `patience` epochs passed without a better value? Never for patience None."""
    return patience is not None and bool(history) and history[-1]["epoch"] - _best_epoch(history, monitor) >= patience


def write_history(run_dir, history):
    """Write history.csv, whole."""
    with write_whole(Path(run_dir) / HISTORY) as stream:
        history_frame(history).to_csv(stream, index=False, lineterminator="\n")


def history_frame(history):
    """The rows as a DataFrame: epoch (from 1), seconds, loss, val_loss, metrics, learning_rate."""
    return pd.DataFrame(history, columns=None if history else ["epoch", "seconds", "loss", "learning_rate"])


def rate_of(settings, epochs):
    """The learning rate by epoch (from 0), for `Bookkeeper`; None leaves it to the optimizer, and to callbacks."""
    rate = settings["learning_rate"]
    if settings["schedule"] == "cosine":
        return lambda epoch: rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
    return None


def _better(value, than, monitor):
    """Losses go down, everything else (accuracy, dice, ...) up."""
    return value < than if "loss" in monitor else value > than


def _best_epoch(history, monitor):
    return best_row(history, monitor)["epoch"]
