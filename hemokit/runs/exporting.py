"""`hemokit export`: the model of a run as a file that runs elsewhere, with a card of what the run knows."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, check_choice, counted, problem
from hemokit.export import FORMATS, PRECISIONS, compare_exported, export_model, load_exported, read_card, write_card
from hemokit.export.cards import SUFFIXES
from hemokit.files import sha256
from hemokit.labels import ANY
from hemokit.predictions import read_predictions
from hemokit.runs.channels import Channel, windows_for
from hemokit.runs.data import has_truth, open_data
from hemokit.runs.judging_facts import REPORT
from hemokit.runs.prediction import load_run, read_run, were_seen
from hemokit.training import predict
from hemokit.training.checkpoints import BEST

EXPORTED = "exported"
CALIBRATION, COMPARED = 100, 64  # slices that int8 learns its ranges from, and that formats are compared on
TABLES = ("segmentation", "slices")  # of the run's report
KEPT = ("metric", "estimate", "low", "high", "n", "unit", "patients", "data", "split", "seed")


def export_run(run_dir, out=None, *, format, precision="float32", root=None):
    """Export the best model of a run.

    Args:
        run_dir: what `hemokit train` wrote.
        out: file to write; None is exported/<run>.<format> in the run's folder, and then a file that was made of the
            same weights before is used again, with a card of what the run knows now.
        format: "keras", "litert" or "onnx".
        precision: "float32"; for LiteRT "float16" or "int8" too.
        root: the folder that the run was trained on, where formats are compared (and int8 finds its calibration
            slices); a run on the built-in phantom needs none for int8.

    Returns:
        Path of the file. With `root`, its card says what the format costs: see `compared_rows`.

    Raises:
        HemokitError: no run, names that do not fit, int8 without data, slices that the model cannot be shown.
    """
    check_choice(format, FORMATS, "format")
    check_choice(precision, PRECISIONS, "precision")
    run_dir, asked = Path(run_dir), out is not None or root is not None
    settings, facts = read_run(run_dir)
    name = run_dir.resolve().name + ("" if precision == "float32" else f"_{precision}")
    path = Path(out) if out is not None else run_dir / EXPORTED / f"{name}{SUFFIXES[format]}"
    weights = sha256(run_dir / BEST) if (run_dir / BEST).is_file() else None
    told = card_of(run_dir, settings, facts, weights)
    if not asked and path.is_file() and _made_of(path, weights, precision):
        write_card(read_card(path)._replace(**told), path)  # the run may have been judged again since
        return path
    model = load_run(run_dir)
    data = None if root is None else open_data(root)
    if precision == "int8" and data is None:
        if "phantom_patients" not in settings:
            came, expected = "int8 came without --data", "the folder that the model was trained on"
            raise problem(came, expected, "int8 learns the range of its values from some of those slices.")
        data = open_data(patients=settings["phantom_patients"])
    slices = None if data is None else _slices_of(run_dir, settings, data, model)
    calibration = _calibration(slices) if precision == "int8" else None
    export_model(model, path, format=format, precision=precision, calibration=calibration, card=told)
    if slices is not None:
        write_card(read_card(path)._replace(compared=tuple(compared_rows(slices, model, path))), path)
    return path


def card_of(run_dir, settings, facts, weights):
    """What a run knows of its model, as `export_model` takes it."""
    told = {name: settings[name] for name in ("loss", "seed", "filters", "split", "phantom") if name in settings}
    return {
        "name": Path(run_dir).resolve().name,
        "outputs": ("hemorrhage",),
        "channels": tuple(Channel(*one)._asdict() for one in settings["channels"]),
        "threshold": facts.threshold, "slice_threshold": facts.slice_threshold, "chosen_on": facts.chosen_on,
        "trained_on": facts.trained_on, "judged_on": facts.judged_on, "data": facts.data,
        "scores": tuple(row for name in TABLES for row in _scores(Path(run_dir) / REPORT / f"{name}.csv")),
        "about": {"weights_sha256": weights, "settings": told, "resized": "padded to a square, then resized"},
    }  # fmt: skip


def _scores(path):
    """Rows of one table of the run's report; none where the run has no report."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{"of": path.stem, **{name: _number(row[name]) for name in KEPT if name in row}} for row in rows]


def _number(text):
    """A field of the report as JSON has it: None where it is empty, a number where it is one, else text."""
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and "." not in text else value


def _made_of(path, weights, precision):
    """Whether an exported file that is there holds these weights."""
    try:
        card = read_card(path)
    except HemokitError:
        return False
    same = card.about.get("weights_sha256") == weights and card.precision == precision
    return same and sha256(path) == card.sha256


class Slices(NamedTuple):
    """Slices of the run's own data: `train` and `test` tables; `batches` makes them images; `described` in words."""

    train: pd.DataFrame
    test: pd.DataFrame
    batches: object
    described: str


def _slices_of(run_dir, settings, data, model):
    """The slices of a folder that the run trained on and tested; none where it is another folder.

    Names are not enough: two phantoms have the same. So the model must say of some slices what it said in the run.
    """
    from hemokit.batches import SliceBatches

    def batches(rows, target):
        return SliceBatches(rows, target=target, **shape)

    channels = [Channel(*one) for one in settings["channels"]]
    shape = {"image_size": settings["image_size"], "windows": windows_for(channels, data.layout), "batch_size": 16}
    own, table = read_predictions(run_dir), data.table[has_truth(data.table)].reset_index(drop=True)
    seen = {split: set(own["slice_id"][own["split"] == split]) for split in ("validation", "test")}
    known = seen["test"] | seen["validation"]  # what is left of the run's own folder is its training
    judged = table[table["slice_id"].isin(known)]
    some = _evenly(judged, COMPARED).reset_index(drop=True)
    if not len(some) or not were_seen(predict(model, batches(some, "mask"), some), own, rtol=0.05):
        return Slices(table.iloc[:0], table.iloc[:0], batches, data.described)
    whole = known <= set(data.table["slice_id"])
    train = table[~table["slice_id"].isin(known)] if whole else table.iloc[:0]
    return Slices(train, judged[judged["slice_id"].isin(seen["test"])], batches, data.described)


def _calibration(slices):
    """float32 images of training slices, half of them with hemorrhage where there are enough."""
    rows = _spread(slices.train, CALIBRATION)
    if not len(rows):
        came = f"{slices.described} has no training slices of this run"
        raise problem(came, "the folder that the model was trained on", "Give that as --data.")
    batches = slices.batches(rows, None)
    return np.concatenate([batches[number] for number in range(len(batches))])


def compared_rows(slices, model, path):
    """Rows of `compare_exported` on test slices of the run, as dicts; none where the folder has none of them."""
    rows = _spread(slices.test, COMPARED)
    if not len(rows):
        return []
    batches = slices.batches(rows, "mask")
    pairs = [batches[number] for number in range(len(batches))]
    images, masks = (np.concatenate(one) for one in zip(*pairs, strict=True))
    table = compare_exported(model, load_exported(path), images, masks > 0.5)
    where = f"{counted(len(rows), 'test slice')} of {counted(rows['patient_id'].nunique(), 'patient')}"
    return table.assign(judged_on=f"{slices.described}: {where}").to_dict("records")


def _spread(table, count):
    """At most `count` rows in their order, evenly spread, half of them with hemorrhage where there are enough."""
    parts = [table[table[ANY] == 1], table[table[ANY] == 0]]
    first = min(len(parts[0]), max(count // 2, count - len(parts[1])))
    chosen = [_evenly(parts[0], first), _evenly(parts[1], count - first)]
    return pd.concat(chosen).sort_index().reset_index(drop=True)


def _evenly(rows, count):
    count = min(len(rows), count)
    return rows.iloc[np.linspace(0, len(rows) - 1, count).round().astype(int)] if count else rows.iloc[:0]
