"""`hemokit train`: a U-Net on a folder (or the phantom), its threshold from validation rows, its test rows judged."""

from pathlib import Path

import pandas as pd

from hemokit import losses
from hemokit.batches import SliceBatches
from hemokit.checks import problem
from hemokit.models.unet import unet
from hemokit.predictions import NOTICE
from hemokit.runs.channels import channels_of, windows_for
from hemokit.runs.data import keep_masked, split_lines, with_split
from hemokit.runs.judging import judge, read_parts
from hemokit.runs.judging_facts import REPORT, Facts, choose_on_validation, remove_judged, write_judged
from hemokit.runs.panels import NAME as PANELS
from hemokit.runs.panels import write_panels
from hemokit.runs.reports import facts_lines, headline, write_report
from hemokit.runs.settings import AUGMENTATIONS, LOSSES, check_recipe
from hemokit.splits import balance
from hemokit.tables import account
from hemokit.training import fit, load, predict
from hemokit.training.checkpoints import RECORD


def train_split(data, out, recipe, *, fractions=(0.7, 0.15, 0.15), fold=None, num_folds=5):
    """Train on one split, write the run's folder and its report, and print what happens.

    Args:
        data: `data.Data`.
        out: folder of the run; a run that is there goes on if it was made with the same data and settings.
        recipe: `settings.Recipe`.
        fractions, fold, num_folds: see `data.with_split`.

    Returns:
        `judging.Judgement` of the test rows.

    Raises:
        HemokitError: no masks, no patients, another run in `out`, windows that the data cannot show.
    """
    check_recipe(recipe)
    if any(Path(out).glob("fold_*")):
        raise problem(f"{out} holds folds", "a folder of one run", "Choose another --out.")
    channels = channels_of(data.layout, recipe.windows)
    table = keep_masked(data.table)
    print(f"Counts: {account(table)}")
    table = with_split(table, fractions=fractions, fold=fold, num_folds=num_folds, seed=recipe.seed)
    print(f"Windows: {'; '.join(map(str, channels))}", *split_lines(table), sep="\n", flush=True)
    if not table["any"][table["split"] == "validation"].any():
        remedy = "Take another --seed, or more patients; no threshold could be chosen after the training."
        raise problem("no validation patient has hemorrhage", "at least one", remedy)
    if not table["any"][table["split"] == "test"].any():
        said = "No test patient has hemorrhage: after the training there are no masks to score."
        print(f"Warning: {said} Another --seed, or more patients, can help (Ctrl-C ends this run).", flush=True)
    split = {"fractions": list(fractions)} if fold is None else {"fold": fold, "num_folds": num_folds}
    told = {"trained_on": data.described, "phantom": data.is_phantom, "split": split}
    told["channels"] = [list(channel) for channel in channels]
    if data.drawn is not None:
        told["phantom_patients"] = data.drawn  # of the built-in one: whoever needs its slices again draws as many
    _fit(table, windows_for(channels, data.layout), out, recipe, told)
    _predict(table, channels, out, recipe, data)
    return report_run(out, seed=recipe.seed)


def train_folds(data, out, recipe, *, num_folds=5):
    """Train one model a fold into out/fold_0, out/fold_1, ..., and judge all their test rows together.

    Every patient is tested once, by the model that never saw it; see `train_split`.
    """
    if (Path(out) / RECORD).exists():
        raise problem(f"{out} is the folder of one run", "a folder for folds", "Choose another --out.")
    for fold in range(num_folds):
        print(f"Fold {fold} of {num_folds}, in {Path(out) / f'fold_{fold}'}", flush=True)
        train_split(data, Path(out) / f"fold_{fold}", recipe, fold=fold, num_folds=num_folds)
    print(f"All {num_folds} folds together", flush=True)
    return report_run(out, seed=recipe.seed)


def report_run(out, *, seed=0):
    """Judge the predictions of a run, write out/report and print the figures to look at first."""
    judgement = judge(read_parts(out), seed=seed)
    folder = write_report(judgement, Path(out) / REPORT)
    print(*facts_lines(judgement), "", headline(judgement).to_string(index=False), sep="\n")
    print(*judgement.notes, f"The whole report: {folder / 'report.md'}", sep="\n", flush=True)
    return judgement


def _fit(table, windows, out, recipe, told):
    """Train, or go on with what is in `out`."""
    train = table[table["split"] == "train"].reset_index(drop=True)
    train = balance(train, seed=recipe.seed) if recipe.balance else train
    shape = {"target": "mask", "image_size": recipe.image_size, "windows": windows, "batch_size": recipe.batch_size}
    train = SliceBatches(
        train, training=True, augmentation=AUGMENTATIONS[recipe.augmentation], seed=recipe.seed, **shape
    )
    validation = SliceBatches(table[table["split"] == "validation"], **shape)
    size = (recipe.image_size, recipe.image_size, len(windows))
    settings = {name: value for name, value in recipe._asdict().items() if name not in ("epochs", "tensorboard")}
    fit(
        lambda: unet(size, filters=recipe.filters, batch_norm=recipe.batch_norm), train, validation,
        run_dir=out, epochs=recipe.epochs, loss=getattr(losses, LOSSES[recipe.loss]),
        learning_rate=recipe.learning_rate, schedule=recipe.schedule, seed=recipe.seed,
        metrics=[losses.SoftDice()], monitor="val_dice", precision=recipe.precision,
        tensorboard=recipe.tensorboard, settings={**settings, **told, "notice": NOTICE},
    )  # fmt: skip


def _predict(table, channels, out, recipe, data):
    """Write predictions of the validation and the test rows, their thresholds from the validation rows, and panels."""
    remove_judged(out)  # it is of the model before, and so are the panels
    (Path(out) / PANELS).unlink(missing_ok=True)
    shape = {"image_size": recipe.image_size, "batch_size": recipe.batch_size}
    shape["windows"] = windows_for(channels, data.layout)
    model, parts = load(out), []
    for name in ("validation", "test"):
        rows = table[table["split"] == name].reset_index(drop=True)
        parts.append(predict(model, SliceBatches(rows, target="mask", **shape), rows))
    predictions = pd.concat(parts, ignore_index=True)
    facts = Facts(trained_on=data.described, judged_on=data.described, seed=recipe.seed, data=data.name)
    facts, _ = choose_on_validation(predictions, facts)
    write_judged(predictions, facts, out)
    write_panels(model, table, predictions, facts, out, channels=channels, **shape)
