"""`hemokit train | predict | evaluate`: a model, its predictions on a folder, and their scores."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import HemokitError
from hemokit.cli import train_options as options
from hemokit.cli.frameworks import keras_at_hand
from hemokit.cli.interrupts import Interrupted
from hemokit.cli.options import FOLDER, SEED, decimal, whole_number

BATCH_SIZE = 16  # slices that predict takes at once
FRACTIONS = (0.7, 0.15, 0.15)
NOTICE = "For education only, not a medical device."
SHOWN = 20  # scans whose volume is printed


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
    with keras_at_hand():
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
    model: Annotated[
        Path, typer.Argument(**{**FOLDER, "metavar": "MODEL"}, help="What hemokit train or hemokit export wrote.")
    ],
    root: Annotated[
        Path,
        typer.Option(
            "--data", **{**FOLDER, "metavar": "PATH"}, help="A data set (needs no masks), files, or one file."
        ),
    ],
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder for the predictions.")],
    batch_size: Annotated[
        int | None,
        typer.Option(parser=whole_number(1, 1024), metavar="N", help="Slices a step, of a data set; 16 if not given."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(parser=decimal, metavar="T", help="Of pixels of files, 0 to 1; else the model's own."),
    ] = None,
):
    """Predict every slice of a data set, or of a JPG, PNG, NIfTI or DICOM file, or of a folder of such files.

    MODEL is the folder of hemokit train, or a .keras, .tflite or .onnx file of hemokit export with its card; or demo,
    the small model of hemokit demo, which learned on the synthetic phantom alone.

    For a data set it writes predictions.csv, histograms.npz and judging.json, for hemokit evaluate. The folder must
    show the windows that the model was trained with. A JPG shows only the one it was saved through (CT-ICH brain:
    level 40, width 120).

    For files it writes masks in their own geometry (NIfTI with the same affine, PNG of the same size, DICOM SEG with
    'hemokit[seg]'), slices.csv, and scans.csv with volumes in mL, "unknown" where the file has no spacing. A JPG or PNG
    is taken for a render of the model's window. For education only, not a medical device.
    """
    from hemokit.runs.applied import is_dataset, model_path

    model = model_path(model)
    if threshold is not None and not 0 <= threshold <= 1:
        raise typer.BadParameter(f"{threshold:g} came, but expected a number from 0 to 1.", param_hint="'--threshold'")
    if is_dataset(root) or (root.is_dir() and not _has_files(root)):
        return _predict_dataset(model, root, out, batch_size or BATCH_SIZE, threshold)
    if batch_size is not None:
        raise typer.BadParameter("files are read scan by scan: leave it out.", param_hint="'--batch-size'")
    return _predict_files(model, root, out, threshold)


def _predict_dataset(model, root, out, batch_size, threshold):
    from hemokit.datasets import find_dataset
    from hemokit.export import load_exported
    from hemokit.runs.data import open_data
    from hemokit.tables import account

    if threshold is not None:
        raise typer.BadParameter("a data set is judged later: give it to hemokit evaluate.", param_hint="'--threshold'")
    find_dataset(root)  # what is wrong with the paths is said before Keras comes, which takes long
    exported = load_exported(model) if model.is_file() else None
    with keras_at_hand():
        from hemokit.runs.prediction import predict_exported, predict_folder, read_run, summary_lines
    trained_on = exported.card.trained_on if exported else read_run(model)[1].trained_on
    data = open_data(root)
    print(f"Data: {data.described}. {NOTICE}")
    print(f"Counts: {account(data.table)}")
    print(f"The model was trained on {trained_on or 'unknown data'}.", flush=True)
    if exported is None:
        predictions, facts = predict_folder(model, data, out, batch_size=batch_size)
    else:
        predictions, facts = predict_exported(exported, data, out, batch_size=batch_size)
    print(f"Predicted: {facts.judged_on}.")
    print(*summary_lines(predictions), sep="\n")
    print(f"Wrote {len(predictions)} predictions to {out}. Judge them with: hemokit evaluate {out}")


def _predict_files(model, path, out, threshold):
    from hemokit.apply import predict_files
    from hemokit.apply.files import lines_of
    from hemokit.apply.inputs import find_sources
    from hemokit.runs.applied import open_model

    find_sources(path)  # what is wrong with the paths is said first
    with keras_at_hand() if model.is_dir() else contextlib.nullcontext():
        exported = open_model(model)
    result = predict_files(exported, path, out, threshold=threshold, progress=sys.stderr.isatty())
    chosen = exported.card.threshold if threshold is None else threshold
    print(*lines_of(result, exported.card, chosen), sep="\n")
    if "volume_ml" in result.scans:
        print(*(f"  {row.scan}: {_volume(row)}" for row in result.scans.head(SHOWN).itertuples()), sep="\n")
        if len(result.scans) > SHOWN:
            print(f"  and {len(result.scans) - SHOWN} more, in scans.csv")
    print(f"Wrote slices.csv, scans.csv{' and masks' if 'masks' in result.scans else ''} to {out}.")
    if result.refused:
        raise typer.Exit(1)


def _volume(row):
    """The volume of a scan in words, and on how many slices it is."""
    told = f"{row.volume_ml:.2f} mL" if isinstance(row.volume_ml, float) else f"volume {row.volume_ml}"
    return f"{told}, hemorrhage on {row.slices_with_hemorrhage} of {row.slices} slices"


def _has_files(root):
    """Whether a folder holds anything that `apply.inputs` reads; if not, it was meant as a data set."""
    from hemokit.apply.inputs import kind_of

    for one in root.rglob("*"):
        try:
            if one.is_file() and kind_of(one):
                return True
        except HemokitError:  # it cannot be opened: whoever reads the folder says so
            return True
    return False


def evaluate(
    folder: Annotated[Path, typer.Argument(**{**FOLDER, "metavar": "DIR"}, help="What train or predict wrote.")],
    threshold: Annotated[
        float | None, typer.Option(parser=decimal, metavar="T", help="Of pixels, 0 to 1; else the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(**FOLDER, help="Folder for the report; else DIR/report, or DIR/report_at_T.")
    ] = None,
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
    # The scores on a card are those of REPORT, so that holds the run's own threshold alone.
    own = folder / (REPORT if threshold is None else f"{REPORT}_at_{threshold:g}")
    written = write_report(judgement, own if out is None else out)
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
