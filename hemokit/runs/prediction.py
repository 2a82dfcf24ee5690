"""`hemokit predict`: the model of a run on another folder, as predictions that can be judged without it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from hemokit.apply.windowing import check_square
from hemokit.batches import SliceBatches
from hemokit.checks import counted, problem
from hemokit.evaluation import show_interval, slice_report
from hemokit.export.archives import check_keras_archive
from hemokit.formats.bounded import read_bytes
from hemokit.labels import ANY
from hemokit.predictions import read_predictions
from hemokit.runs.channels import Channel, windows_for
from hemokit.runs.data import has_truth
from hemokit.runs.judging_facts import SCORE, Facts, read_facts, remove_judged, write_judged
from hemokit.training import load, predict
from hemokit.training.checkpoints import BEST
from hemokit.training.run_record import RECORD, read_record

SEEN = "the folder of the training: a model has seen most of these patients, and every score flatters it"


def predict_folder(run_dir, data, out, *, batch_size=16):
    """Predict every slice of a folder with the best model of a run, and write what judging needs.

    Args:
        run_dir: what `hemokit train` wrote.
        data: `data.Data` of the folder. Where a true mask is known, pixels in it are counted apart.
        out: folder to write: predictions.csv, histograms.npz, judging.json (the thresholds of the run). A report in
            it, of earlier predictions, is removed.
        batch_size: slices a batch.

    Returns:
        (predictions frame, the `Facts` written): split is empty, as the folder's slices belong to none; where it is
        the folder of the training, judged_on says so.

    Raises:
        HemokitError: no run, a run of another kind, windows that the folder cannot show, `out` is a run itself.
    """
    settings, facts = read_run(run_dir)
    _check_out(out)
    channels = [Channel(*one) for one in settings["channels"]]
    predictions = _predict(load_run(run_dir), data, channels, image_size=settings["image_size"], batch_size=batch_size)
    judged = f"{data.described}; {SEEN}" if were_seen(predictions, read_predictions(run_dir)) else data.described
    return _write(predictions, facts._replace(judged_on=judged, data=data.name), out)


def predict_exported(exported, data, out, *, batch_size=16):
    """Predict every slice of a folder with an exported model, and write what judging needs: see `predict_folder`.

    Args:
        exported: `export.Exported` of a model of masks, whose card names its windows.
        data, out, batch_size: as `predict_folder`.

    Returns:
        as `predict_folder`. Whether the model was trained on these slices, an exported file does not know.

    Raises:
        HemokitError: as `predict_folder`; a card without windows, or of images that are not square.
    """
    card = exported.card
    _check_out(out)
    check_square(card)
    if not card.channels:
        remedy = "Export the run again: hemokit export."
        raise problem("the card of the model names no windows", "what its channels show", remedy)
    model = SimpleNamespace(predict_on_batch=exported.probabilities, name=card.name)
    channels = [Channel(*(one[name] for name in Channel._fields)) for one in card.channels]
    predictions = _predict(model, data, channels, image_size=card.input_shape[0], batch_size=batch_size)
    facts = Facts(
        card.threshold, card.slice_threshold, card.chosen_on, card.trained_on, data.described, None, data.name
    )
    return _write(predictions, facts, out)


def _check_out(out):
    if (Path(out) / RECORD).exists():
        remedy = "Choose another --out: the run's own predictions stay as they are."
        raise problem(f"{out} is the folder of a run", "a folder for these predictions", remedy)


def _write(predictions, facts, out):
    """Write predictions and facts in place of earlier ones; returns both."""
    if remove_judged(out):
        print(f"{out}: the report of earlier predictions is removed; hemokit evaluate makes one of these.", flush=True)
    write_judged(predictions, facts, out)
    return predictions, facts


def were_seen(predictions, own, *, rtol=1e-3):
    """Whether slices of a folder are those of the run: most of the ids that both know have the same score."""
    here, there = (one.set_index("slice_id")["mean_probability"] for one in (predictions, own))
    pairs = pd.concat([here, there], axis=1, join="inner").to_numpy()
    same = np.isclose(*pairs.T, rtol=rtol, atol=0)
    return len(pairs) > 0 and bool(same.mean() > 0.5)


def read_run(run_dir):
    """The settings of `hemokit train` and its facts.

    Raises:
        HemokitError: no run there, one that `hemokit train` did not make, or one that goes on: its thresholds are of
            the model before.
    """
    record, facts = read_record(run_dir), read_facts(run_dir)
    settings = record.get("settings", {}).get("settings", {})
    if not record.get("finished") or "channels" not in settings or "image_size" not in settings or facts is None:
        folds = sorted(Path(run_dir).glob("fold_*"))
        remedy = (
            f"Give one fold, such as {folds[0]}." if folds else "Give the folder that hemokit train wrote, finished."
        )
        raise problem("no finished run of hemokit train", "run.json and judging.json of one", remedy, file=run_dir)
    return settings, facts


def load_run(run_dir):
    """The best model of a run, after `check_keras_archive` has looked at the file: runs are passed on, too.

    Raises:
        HemokitError: as `check_keras_archive` and `training.load`.
    """
    path = Path(run_dir) / BEST
    if path.is_file():
        check_keras_archive(read_bytes(path, max_bytes=2**31), path)
    return load(run_dir)


def _predict(model, data, channels, **shape):
    """Rows with a known true mask, then the others, in the order of the table again."""
    table = data.table.drop(columns="split", errors="ignore")
    shape["windows"] = windows_for(channels, data.layout)
    known, parts = has_truth(table), []
    if not table[ANY][known].any():  # masks of normal slices alone judge nothing
        known[:] = False
    for chosen, target in ((known, "mask"), (~known, None)):
        rows = table[chosen].reset_index(drop=True)
        if len(rows):
            parts.append(predict(model, SliceBatches(rows, target=target, **shape), rows))
    predictions = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    place = pd.Index(predictions["slice_id"]).get_indexer(table["slice_id"])
    return predictions.iloc[place].reset_index(drop=True)


def summary_lines(predictions):
    """How well slices with and without hemorrhage are told apart, where both are there: lines of text."""
    truth = predictions[ANY].to_numpy(int)
    counts = f"{counted(len(predictions), 'slice')}, {int(truth.sum())} labeled as hemorrhage"
    if not 0 < truth.sum() < len(truth):
        return [f"{counts}: no AUROC, because all are of one kind."]
    known = predictions["patient_id"].notna().all()
    report = slice_report(predictions, score=SCORE, unit="patient_id" if known else "slice_id")
    row = report.set_index("metric").loc["auroc"]
    by = f"interval by patient, {counted(row['patients'], 'patient')}" if known else "interval by slice: too narrow"
    shown = show_interval(row["estimate"], row["low"], row["high"])
    return [f"Slice AUROC {shown} ({counts}; {by}; 95 %, seed {row['seed']}). {row['note']}".rstrip()]
