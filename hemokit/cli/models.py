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
from hemokit.cli.interrupts import Interrupted
from hemokit.cli.options import FOLDER, SEED, decimal, numbers, whole_number

PATIENTS = 40
FRACTIONS = (0.7, 0.15, 0.15)
NOTICE = "For education only, not a medical device."


def train(
    root: Annotated[
        Path | None, typer.Option("--data", **FOLDER, help="Folder with images and masks; else the phantom.")
    ] = None,
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder of the run; an unfinished run in it goes on.")] = Path(
        "hemokit_train"
    ),
    image_size: Annotated[
        int,
        typer.Option(parser=whole_number(16, 1024), metavar="N", help="Height and width the model sees, in pixels."),
    ] = 128,
    batch_size: Annotated[int, typer.Option(parser=whole_number(1, 1024), metavar="N", help="Slices a step.")] = 8,
    epochs: Annotated[int, typer.Option(parser=whole_number(1, 100_000), metavar="N", help="Epochs in all.")] = 30,
    windows: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Window of a channel, or LEVEL:WIDTH in HU; repeatable."),
    ] = None,
    augmentation: Annotated[
        str, typer.Option(metavar="NAME", help="standard, renyard, twobranch, fahim or none.")
    ] = "standard",
    loss: Annotated[str, typer.Option(metavar="NAME", help="pooled_dice_bce, dice_bce, bce, dice or jaccard.")] = (
        "pooled_dice_bce"
    ),
    learning_rate: Annotated[float, typer.Option(parser=decimal, metavar="X", help="Of Adam.")] = 4e-3,
    schedule: Annotated[
        str, typer.Option(metavar="NAME", help="Of the learning rate: cosine (falls to 0 with the epochs) or constant.")
    ] = "cosine",
    filters: Annotated[
        tuple, typer.Option(parser=numbers, metavar="N,N,...", help="Channels of the U-Net's levels.")
    ] = "8,16,32,64,128",
    batch_norm: Annotated[bool, typer.Option(help="Normalize after each convolution.")] = True,
    patients: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(3, 900), metavar="N", help=f"Of the phantom, without --data: {PATIENTS} if not given."
        ),
    ] = None,
    fractions: Annotated[
        tuple | None,
        typer.Option(parser=numbers, metavar="X,X,X", help="Train, validation, test; 0.7,0.15,0.15 if not given."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(parser=whole_number(0, 99), metavar="K", help="Test on this fold of --num-folds.")
    ] = None,
    num_folds: Annotated[
        int | None, typer.Option(parser=whole_number(3, 100), metavar="N", help="See --fold; 5 if not given.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(parser=whole_number(3, 100), metavar="N", help="Train all of N folds, and judge them together."),
    ] = None,
    balance: Annotated[bool, typer.Option(help="Repeat positive training slices, after the split.")] = True,
    precision: Annotated[str, typer.Option(metavar="NAME", help="auto, float32 or mixed_bfloat16.")] = "auto",
    seed: Annotated[int, typer.Option(**SEED, help="Seed of split, weights, order and augmentation.")] = 0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write curves for TensorBoard too.")] = False,
):
    """Train a U-Net to segment hemorrhage, and judge it on patients it never saw.

    Patients are split first. The threshold comes from the validation patients, the report from the test patients.
    Without --data it trains on the synthetic phantom. For education only, not a medical device.
    """
    if fold is not None and folds is not None:
        raise problem("--fold and --folds", "one of them", "--folds N runs every fold; --fold K runs one.")
    if fractions is not None and (fold is not None or folds is not None):
        raise problem("--fractions and folds", "one of them", "Folds are parts of equal size.")
    if num_folds is not None and fold is None:
        raise problem("--num-folds without --fold", "both", "--folds N runs every fold; --fold K runs one.")
    if root is not None and patients is not None:
        raise problem("--data and --patients", "one of them", "--patients is the size of the phantom, without --data.")
    with _keras_at_hand():
        from hemokit.runs import training
    from hemokit.runs.data import open_data

    recipe = training.Recipe(
        image_size, batch_size, epochs, tuple(windows or ()), augmentation, loss, learning_rate, schedule, balance,
        precision, seed, filters, batch_norm, tensorboard,
    )  # fmt: skip
    training.check_recipe(recipe)
    try:
        if root is None:
            print("No --data: training on the synthetic phantom.", flush=True)
        data = open_data(root, patients=patients or PATIENTS, progress=sys.stderr.isatty())
        print(f"Data: {data.described}. {NOTICE}", flush=True)
        if folds is not None:
            training.train_folds(data, out, recipe, num_folds=folds)
        else:
            folded = {"fold": fold, "num_folds": num_folds or 5}
            training.train_split(data, out, recipe, fractions=fractions or FRACTIONS, **folded)
    except KeyboardInterrupt:
        raise Interrupted(f"finished epochs are kept in {out}; run the same command again to go on") from None


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
    with _keras_at_hand():
        from hemokit.runs.prediction import predict_folder, read_run, summary_lines
    from hemokit.runs.data import open_data
    from hemokit.tables import account

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
