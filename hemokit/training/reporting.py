"""How a run tells where it is: one line an epoch, a bar on a terminal, a live curve in a notebook, TensorBoard."""

import contextlib
import sys
from importlib.util import find_spec

import keras

from hemokit.checks import problem
from hemokit.progress import progress_bar


class BatchBar(keras.callbacks.Callback):
    """A progress bar over the batches of each epoch, for terminals; it goes when the epoch ends, and by `close`."""

    def __init__(self):
        super().__init__()
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        words = {"description": f"epoch {epoch + 1}/{self.params['epochs']}", "unit": "batch"}
        self._bar = progress_bar(None, total=self.params["steps"] or 0, progress=True, **words)
        self._bar.leave = False

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        self.close()

    def close(self):
        """Clear the line of the bar, for what is said next: also after Ctrl-C, of which Keras tells no callback."""
        if self._bar is not None:
            self._bar.close()


def reporter(epochs, history, *, live=None, quiet=False):
    """The function (row, is_best) that `Bookkeeper` calls at the end of an epoch.

    Args:
        epochs: number of epochs, for the line.
        history: the list of rows that the run fills.
        live: True draws the losses anew in a notebook after each epoch.
        quiet: say nothing (all but the first of several workers).
    """
    if live and not find_spec("IPython"):
        raise problem("live=True outside a notebook", "a notebook", "Leave live out; each epoch prints a line.")

    def report(row, is_best):
        if quiet:
            return
        if live:
            _draw(history)
        print(epoch_line(row, epochs, is_best), flush=True)

    return report


def epoch_line(row, epochs, is_best):
    """One row of the history as a line of text."""
    values = [f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "seconds")]
    head = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  {row['seconds']:.1f} s"
    return "  ".join([head, *values, *(["best so far"] if is_best else [])])


def watchers(run_dir, *, tensorboard=False, quiet=False):
    """The Keras callbacks that show: a bar on a terminal; TensorBoard's, writing to run_dir/tensorboard."""
    shown = [BatchBar()] if not quiet and sys.stderr.isatty() else []
    if tensorboard and not quiet:
        shown.append(_tensorboard(run_dir))
    return shown


@contextlib.contextmanager
def cleared(callbacks):
    """However the block ends, no bar of these callbacks stays on the terminal."""
    try:
        yield
    finally:
        for one in callbacks:
            if isinstance(one, BatchBar):
                one.close()


def _tensorboard(run_dir):
    missing = [name for name in ("tensorboard", "tensorflow") if not find_spec(name)]
    if missing:
        remedy = f"Install it (pip install {' '.join(missing)}), or leave tensorboard out: history.csv has the curves."
        raise problem(f"tensorboard=True, and {missing[0]} is not installed", "TensorBoard and TensorFlow", remedy)
    return keras.callbacks.TensorBoard(run_dir / "tensorboard")


def _draw(history):
    """The loss curves in place of the last ones."""
    import matplotlib.pyplot as plt
    from IPython.display import clear_output, display

    figure, axes = plt.subplots(figsize=(6, 3))
    for name in [name for name in history[0] if "loss" in name]:
        axes.plot([row["epoch"] for row in history], [row[name] for row in history], marker="o", label=name)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    clear_output(wait=True)
    display(figure)
    plt.close(figure)
