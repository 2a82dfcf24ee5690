"""`hemokit train | predict | evaluate`: a model, its predictions on a folder, and their scores."""

import contextlib
import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import problem
from hemokit.cli import train_options as options
from hemokit.cli.interrupts import Interrupted
from hemokit.cli.options import FOLDER, SEED, decimal, whole_number

FRACTIONS = (0.7, 0.15, 0.15)
NOTICE = "For education only, not a medical device."


def train(
    root: options.Data = None,
    out: options.Out = Path("hemokit_train"),
    image_size: options.ImageSize = 128,
    batch_size: options.BatchSize = 8,
    epochs: options.Epochs = 30,
    windows: options.Windows = None,
    augmentation: options.Augmentation = "standard",
    loss: options.Loss = "pooled_dice_bce",
    learning_rate: options.LearningRate = 4e-3,
    schedule: options.Schedule = "cosine",
    filters: options.Filters = "8,16,32,64,128",
    batch_norm: options.BatchNorm = True,
    patients: options.Patients = None,
    fractions: options.Fractions = None,
    fold: options.Fold = None,
    num_folds: options.NumFolds = None,
    folds: options.Folds = None,
    balance: options.Balance = True,
    precision: options.Precision = "auto",
    seed: options.Seed = 0,
    tensorboard: options.TensorBoard = False,
):
    """Train a U-Net to segment hemorrhage, and judge it on patients it never saw.

    Patients are split first. The threshold comes from the validation patients, the report from the test patients.
    Without --data it trains on the synthetic phantom. For education only, not a medical device.
    """
    chosen = {"fractions": fractions, "fold": fold, "num_folds": num_folds}
    options.check_together(root=root, patients=patients, folds=folds, **chosen)
    from hemokit.runs.settings import Recipe, check_plan

    recipe = Recipe(
        image_size, batch_size, epochs, tuple(windows or ()), augmentation, loss, learning_rate, schedule, balance,
        precision, seed, filters, batch_norm, tensorboard,
    )  # fmt: skip
    split = {"fractions": fractions or FRACTIONS, "fold": fold, "num_folds": num_folds or 5}
    check_plan(recipe, root, **split)
    with _keras_at_hand():
        from hemokit.runs import training
    try:
        data = _open_data(root, patients or options.PATIENTS)
        if folds is not None:
            training.train_folds(data, out, recipe, num_folds=folds)
        else:
            training.train_split(data, out, recipe, **split)
    except KeyboardInterrupt:
        kept = f"finished epochs are kept in {out}" if out.exists() else "no epoch was begun"
        raise Interrupted(f"{kept}; run the same command again to go on") from None


def predict(
    run_dir: Annotated[Path, typer.Argument(**{**FOLDER, "metavar": "RUN_DIR"}, help="What hemokit train wrote.")],
    root: Annotated[Path, typer.Option("--data", **FOLDER, help="Folder of a data set; it needs no masks.")],
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder for the predictions.")],
    batch_size: Annotated[int, typer.Option(parser=whole_number(1, 1024), metavar="N", help="Slices a step.")] = 16,
):
    """Predict every slice of a folder with a trained model.

    Writes predictions.csv, histograms.npz and judging.json, for hemokit evaluate. The folder must show the windows
    that the model was trained with. A JPG shows only the one it was saved through (CT-ICH brain: level 40, width 120).
    For education only, not a medical device.
    """
    from hemokit.datasets import find_dataset
    from hemokit.runs.data import open_data
    from hemokit.runs.judging_facts import check_folder
    from hemokit.tables import account

    check_folder(run_dir, "the folder that hemokit train wrote")
    find_dataset(root)  # what is wrong with the paths is said before Keras comes, which takes long
    with _keras_at_hand():
        from hemokit.runs.prediction import predict_folder, read_run, summary_lines
    facts = read_run(run_dir)[1]
    data = open_data(root)
    print(f"Data: {data.described}. {NOTICE}")
    print(f"Counts: {account(data.table)}")
    print(f"The model was trained on {facts.trained_on}.", flush=True)
    predictions, facts = predict_folder(run_dir, data, out, batch_size=batch_size)
    print(f"Predicted: {facts.judged_on}.")
    print(*summary_lines(predictions), sep="\n")
    print(f"Wrote {len(predictions)} predictions to {out}. Judge them with: hemokit evaluate {out}")


def evaluate(
    folder: Annotated[Path, typer.Argument(**{**FOLDER, "metavar": "DIR"}, help="What train or predict wrote.")],
    threshold: Annotated[
        float | None, typer.Option(parser=decimal, metavar="T", help="Of pixels, 0 to 1; else the run's own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(**FOLDER, help="Folder for the report; DIR/report if not given.")] = None,
    seed: Annotated[int, typer.Option(**SEED, help="Seed of the intervals.")] = 0,
):
    """Judge predictions: slices, scans, masks, calibration, volumes, with intervals by patient.

    Needs no model. Thresholds come from the run's validation rows, never from the rows that are scored.
    Writes report.md, tables as CSV and figures. For education only, not a medical device.
    """
    from hemokit.runs.judging import judge, read_parts
    from hemokit.runs.judging_facts import REPORT
    from hemokit.runs.reports import report_text, write_report

    judgement = judge(read_parts(folder, threshold=threshold), seed=seed)
    written = write_report(judgement, folder / REPORT if out is None else out)
    print(report_text(judgement))
    print(f"Wrote the report and its figures to {written}")


def _open_data(root, patients):
    """The data to train on, named before and after they are read."""
    from hemokit.runs.data import open_data

    if root is None:
        print("No --data: training on the synthetic phantom.", flush=True)
    data = open_data(root, patients=patients, progress=sys.stderr.isatty())
    print(f"Data: {data.described}. {NOTICE}", flush=True)
    return data


@contextlib.contextmanager
def _keras_at_hand():
    """Around the imports that bring Keras: without TensorFlow's chatter, and one sentence where it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and find_spec("tensorflow"):
            with _errors_to_nowhere():
                importlib.import_module("tensorflow")
        yield
    except ModuleNotFoundError as error:
        remedy = "Install it: pip install 'hemokit[tensorflow]'; or set KERAS_BACKEND to one that is there."
        raise problem(f"{error.name} is not installed", "Keras and its backend", remedy) from None


@contextlib.contextmanager
def _errors_to_nowhere():
    """Silence what libraries written in C++ say on the error channel; Python's exceptions are not touched."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
