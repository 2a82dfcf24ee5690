"""The options of `hemokit train`: each one's type, how it is read, and what --help says of it."""

from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import counted, problem
from hemokit.cli.options import FOLDER, SEED, decimal, numbers, whole_number

PATIENTS = 40


def _number(low, high, text):
    """A whole number from low to high."""
    return typer.Option(parser=whole_number(low, high), metavar="N", help=text)


def _name(text):
    return typer.Option(metavar="NAME", help=text)


Data = Annotated[Path | None, typer.Option("--data", **FOLDER, help="Folder with images and masks; else the phantom.")]
Out = Annotated[Path, typer.Option(**FOLDER, help="Folder of the run; an unfinished run in it goes on.")]
ImageSize = Annotated[int, _number(16, 1024, "Height and width the model sees, in pixels.")]
BatchSize = Annotated[int, _number(1, 1024, "Slices a step.")]
Epochs = Annotated[int, _number(1, 100_000, "Epochs in all.")]
Windows = Annotated[list[str] | None, _name("Window of a channel, or LEVEL:WIDTH in HU; repeatable.")]
Augmentation = Annotated[str, _name("standard, renyard, twobranch, fahim or none.")]
Loss = Annotated[str, _name("pooled_dice_bce, dice_bce, bce, dice or jaccard.")]
LearningRate = Annotated[float, typer.Option(parser=decimal, metavar="X", help="Of Adam.")]
Schedule = Annotated[str, _name("Of the learning rate: cosine (falls to 0 with the epochs) or constant.")]
Filters = Annotated[tuple, typer.Option(parser=numbers, metavar="N,N,...", help="Channels of the U-Net's levels.")]
BatchNorm = Annotated[bool, typer.Option(help="Normalize after each convolution.")]
Patients = Annotated[int | None, _number(3, 900, f"Of the phantom, without --data: {PATIENTS} if not given.")]
Fractions = Annotated[
    tuple | None,
    typer.Option(parser=numbers, metavar="X,X,X", help="Train, validation, test; 0.7,0.15,0.15 if not given."),
]
Fold = Annotated[
    int | None, typer.Option(parser=whole_number(0, 99), metavar="K", help="Test on this fold of --num-folds.")
]
NumFolds = Annotated[int | None, _number(3, 100, "See --fold; 5 if not given.")]
Folds = Annotated[int | None, _number(3, 100, "Train all of N folds, and judge them together.")]
Balance = Annotated[bool, typer.Option(help="Repeat positive training slices, after the split.")]
Precision = Annotated[str, _name("auto, float32 or mixed_bfloat16.")]
Seed = Annotated[int, typer.Option(**SEED, help="Seed of split, weights, order and augmentation.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write curves for TensorBoard too.")]


def check_together(*, root, patients, fractions, fold, num_folds, folds):
    """Raise HemokitError where two of the options contradict each other."""
    if fold is not None and folds is not None:
        raise problem("--fold and --folds", "one of them", "--folds N runs every fold; --fold K runs one.")
    if fractions is not None and (fold is not None or folds is not None):
        raise problem("--fractions and folds", "one of them", "Folds are parts of equal size.")
    if num_folds is not None and fold is None:
        raise problem("--num-folds without --fold", "both", "--folds N runs every fold; --fold K runs one.")
    if root is not None and patients is not None:
        raise problem("--data and --patients", "one of them", "--patients is the size of the phantom, without --data.")
    parts = folds or (fold is not None and (num_folds or 5)) or 0
    if root is None and (patients or PATIENTS) < parts:
        came = f"{counted(patients or PATIENTS, 'patient')} for {parts} folds"
        raise problem(came, "at least one patient a fold", "Take more --patients, or fewer folds.")
