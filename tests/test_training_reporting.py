"""What a run shows: a line an epoch, a bar on a terminal, a curve in a notebook, TensorBoard on request."""

import contextlib
import sys
from types import SimpleNamespace

import keras
import pytest
from training_cases import fit_simple

from hemokit.training.reporting import epoch_line, reporter, watchers

ROW = {"epoch": 3, "seconds": 12.34, "loss": 0.123456, "val_loss": 0.2, "learning_rate": 1e-3}


def test_epoch_line():
    """Epoch, time and values on one line; the best epoch so far says so."""
    line = "epoch  3/10  12.3 s  loss 0.1235  val_loss 0.2  learning_rate 0.001"
    assert epoch_line(ROW, 10, False) == line and epoch_line(ROW, 10, True) == f"{line}  best so far"


def test_quiet_workers(capsys):
    """All workers but the first say nothing, and show nothing."""
    reporter(10, [ROW], quiet=True)(ROW, True)
    assert capsys.readouterr().out == "" and watchers(None, quiet=True, tensorboard=True) == []


def test_live_curve(monkeypatch, capsys):
    """In a notebook the losses so far are drawn anew, in place of the last picture."""
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    monkeypatch.setattr(display, "clear_output", lambda wait: shown.append("cleared"))
    reporter(10, [ROW, {**ROW, "epoch": 4}], live=True)(ROW, False)
    assert shown[0] == "cleared"
    lines = shown[1].axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["loss", "val_loss"] and lines[0].get_xdata().tolist() == [3, 4]
    assert "epoch  3/10" in capsys.readouterr().out


def test_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    """On a terminal the batches of each epoch are counted on a bar."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit_simple(tmp_path, epochs=1)
    assert "epoch 1/1" in capsys.readouterr().err


@pytest.mark.slow
def test_tensorboard(tmp_path):
    """Curves for TensorBoard lie in the run's folder."""
    pytest.importorskip("tensorboard")
    fit_simple(tmp_path, epochs=1, tensorboard=True)
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.slow
@pytest.mark.parametrize("stops", [False, True])
def test_a_bar_is_gone_before_anything_else_is_said(stops, tmp_path, monkeypatch):
    """The line of an epoch comes after its bar; Ctrl-C in an epoch leaves none."""
    told, bar = [], SimpleNamespace(update=lambda number: None)
    bar.close = lambda: told.append("closed")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("hemokit.training.reporting.progress_bar", lambda *_, **how: told.append("bar") or bar)
    monkeypatch.setattr("hemokit.training.reporting.epoch_line", lambda *_: told.append("line"))

    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if stops:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if stops else contextlib.nullcontext():
        fit_simple(tmp_path, epochs=1, callbacks=[Stops()])
    assert told == (["bar", "closed"] if stops else ["bar", "closed", "line", "closed"])
