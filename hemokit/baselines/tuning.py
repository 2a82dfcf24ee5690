"""The search for a model's settings, on folds by patient, and never on what is judged afterwards.

    tuned = tune("svm_rbf", features, labels, train, method="tpe")              # tuned.settings, .score, .trials
    predictions = cross_predict_tuned("svm_rbf", features, labels, table)       # tuned again inside every fold

The score of the best of many settings is too high, because luck is chosen with it: it is for choosing, not for
reporting. Judge on patients that no setting saw: test rows kept away from `tune`, or `cross_predict_tuned`, which
searches within the training patients of each fold (nested cross-validation; Varma and Simon 2006).
"""

import sys
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.baselines.features import as_features
from hemokit.baselines.models import model_named
from hemokit.baselines.running import check_labels, cross_predict, fit_predict, fold_table
from hemokit.baselines.searches import RANKINGS, SCORINGS, Score, Task, best_trial, check_grid, search_settings
from hemokit.baselines.workers import workers
from hemokit.checks import check_choice, problem
from hemokit.evaluation.classes import label_order


class Tuned(NamedTuple):
    """What a search found.

    `settings` are the best ones and `score` their mean over the folds; `trials` has a row for each trial (see
    `searches.search_settings`); `estimator` is fitted with the best settings on all rows; `notes` are sentences.
    """

    settings: dict
    score: float
    trials: pd.DataFrame
    estimator: object
    notes: tuple


def tune(
    model_name, features, labels, patients, *, method="grid", scoring="balanced_accuracy", grid=None, num_folds=5,
    num_trials=None, num_jobs=1, dask_client=None, seed=0, progress=None, **settings,
):  # fmt: skip
    """Search for the settings of a model with the highest score on folds by patient.

    Args:
        model_name, features, labels, patients: as in `cross_predict`; the rows of patients that may be looked at. A
            table with its own column `fold` keeps these folds.
        method: "grid", "halving" or "tpe": see `searches`.
        scoring: "balanced_accuracy", "macro_f1", "accuracy", "micro_f1" (the accuracy again), and for two labels
            "auroc" and "auprc" of the second one ("normal" is the first). Accuracy is the choice that rewards
            dropping rare labels.
        grid: dict setting -> values to try; None takes the model's own, without the settings that are fixed. The
            dummies have none: one trial.
        num_folds, seed: of the folds by patient; the seed is the model's and the search's too.
        num_trials: of "tpe"; None takes 30.
        num_jobs: processes for the fits; -1 takes all cores.
        dask_client: a `distributed.Client` or the address of its scheduler: the fits run there. The outcome is the
            same with any number of processes and with a cluster.
        progress: True or False; None shows one bar on a terminal.
        **settings: of the model, fixed: not searched for.

    Returns:
        `Tuned`. Of equal scores the first trial wins. A fold whose rows cannot be ranked, because they have one label
        alone, is left out of "auroc" and "auprc"; the notes count these.

    Raises:
        HemokitError: rows of the split "test"; as `cross_predict` and `search_settings`; a fold with one label in
            training; a ranking of more than two labels; a setting that is fixed and in `grid`.
    """
    features = as_features(features)
    labels = check_labels(labels, len(features.coordinates))
    best, trials, notes = _search(
        *(model_name, features, labels, patients), method=method, scoring=scoring, grid=grid, num_folds=num_folds,
        num_trials=num_trials, num_jobs=num_jobs, dask_client=dask_client, seed=seed, progress=progress, **settings,
    )  # fmt: skip
    everything = np.ones(len(labels), bool)
    fitted = fit_predict(model_name, features, labels, everything, ~everything, seed=seed, **settings, **best.settings)
    return Tuned(best.settings, float(best.score), trials, fitted.estimator, (*notes, *fitted.notes))


def cross_predict_tuned(
    model_name, features, labels, patients, *, num_folds=5, inner_folds=3, seed=0, progress=None, **how
):
    """Predict every slice with a model that was tuned and fitted on the other folds alone.

    For each fold the search runs on folds within its training patients; the patients that are predicted are never
    seen by it. So the predictions may be judged.

    Args:
        model_name, features, labels, patients, num_folds, seed: as in `cross_predict`.
        inner_folds: folds by patient within the training rows.
        progress: True or False; None shows one bar, of the folds, on a terminal.
        **how: of `tune`: method, scoring, grid, num_trials, num_jobs, dask_client, and fixed settings.

    Returns:
        as `cross_predict`; attrs["settings"] is a dict fold -> the settings that were chosen there. A fold with one
        label in training is not tuned. attrs["notes"] holds those of the searches too, as "fold 0: ...".

    Raises:
        HemokitError: as `tune`, among them rows of the split "test" anywhere: they would be in training.
    """
    features = as_features(features)
    labels = check_labels(labels, len(features.coordinates))
    _check_no_test_rows(patients)

    def choose(train):
        if len(np.unique(labels[train])) < 2:
            return {}, ()
        rows, table = _part(features, train), _rows(patients, train)
        options = {"num_folds": inner_folds, "seed": seed, "progress": False, **how}
        best, _, notes = _search(model_name, rows, labels[train], table, **options)
        return best.settings, notes

    fixed = {name: value for name, value in how.items() if name not in _OPTIONS}
    progress = sys.stderr.isatty() if progress is None else progress
    settings = {"num_folds": num_folds, "seed": seed, "progress": progress, "choose": choose, **fixed}
    return cross_predict(model_name, features, labels, patients, **settings)


_OPTIONS = ("method", "scoring", "grid", "num_trials", "num_jobs", "dask_client")


def _search(
    model_name, features, labels, patients, *, method="grid", scoring="balanced_accuracy", grid=None, num_folds,
    num_trials=None, num_jobs=1, dask_client=None, seed, progress, **settings,
):  # fmt: skip
    """`tune` without the fit on all rows: the best trial, all trials, and notes."""
    task, grid, notes = _task(
        model_name, features, labels, patients, grid=grid, scoring=scoring, num_folds=num_folds, seed=seed, **settings
    )
    with workers(num_jobs, dask_client, [task.matrix]):
        trials = search_settings(task, grid, method=method, num_trials=num_trials, seed=seed, progress=progress)
    best, last = best_trial(trials), trials["round"].max()
    if best["round"] < last:
        lost = f"no setting of round {last} of {method} has a score: the best of round {best['round']} is taken"
        notes.append(f"{lost}, which saw {best['rows']} of {len(labels)} rows")
    return best, trials, notes


def _task(model_name, features, labels, patients, *, grid, scoring, num_folds, seed, **settings):
    """The `Task`, the grid, and notes."""
    check_choice(scoring, SCORINGS, "scoring")
    _check_no_test_rows(patients)
    model = model_named(model_name)
    grid = _grid_beside(settings, model, grid)
    model(**{**settings, **{name: values[0] for name, values in grid.items()}})  # a wrong name is told first
    estimator = model(seed=seed, num_pixels=features.num_pixels if model.needs == "coordinates" else None, **settings)
    numbers = fold_table(labels, patients, num_folds=num_folds, seed=seed)["fold"].to_numpy()
    folds = {fold: (np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)) for fold in np.unique(numbers)}
    for fold, (train, _) in folds.items():
        if len(set(labels[train].tolist())) < 2:
            came = f"all training rows of fold {fold} are {labels[train[0]].item()!r}"
            raise problem(came, "at least two labels to tune on", "Use more patients, or fewer folds.")
    score, kept = Score(scoring), list(folds.values())
    if scoring in RANKINGS:
        score, kept = Score(scoring, _positive(labels, scoring)), _ranked(kept, labels, scoring)
    left_out = len(folds) - len(kept)
    notes = [f"{left_out} of {len(folds)} folds have one label alone: no {scoring}, left out"] if left_out else []
    return Task(estimator, features.of(model.needs), labels, kept, score), grid, notes


def _grid_beside(fixed, model, grid):
    """What is searched beside the settings that are fixed."""
    if grid is None:
        return check_grid({name: values for name, values in model.grid.items() if name not in fixed})
    both = [name for name in check_grid(grid) if name in fixed]
    if both:
        came = f"{both[0]!r} is fixed at {fixed[both[0]]!r} and in the grid"
        raise problem(came, "a setting in one place", "Take it out of the grid, or do not fix it.")
    return check_grid(grid)


def _ranked(folds, labels, scoring):
    """The folds whose test rows have both labels."""
    kept = [(train, test) for train, test in folds if len(set(labels[test].tolist())) == 2]
    if not kept:
        remedy = "Use fewer folds, or another scoring."
        raise problem("in no fold the rows have both labels", f"some to rank for {scoring!r}", remedy)
    return kept


def _positive(labels, scoring):
    """The second of two labels."""
    order = label_order(labels)
    if len(order) != 2:
        came = f"there are {len(order)} labels"
        raise problem(came, f"two for {scoring!r}", "Take balanced_accuracy or macro_f1 for several labels.")
    return order[1]


def _check_no_test_rows(patients):
    if isinstance(patients, pd.DataFrame) and "split" in patients.columns:
        count = int((patients["split"] == "test").sum())
        if count:
            came = f"{count} of {len(patients)} rows are of the split 'test'"
            remedy = (
                "Tune on table[table['split'] != 'test']: a setting chosen on test rows makes their score too high."
            )
            raise problem(came, "training and validation rows", remedy, column="split")


def _part(features, rows):
    """The same `Features` of some rows."""
    return features._replace(coordinates=features.coordinates[rows], pixels=features.pixels[rows])


def _rows(patients, rows):
    """Some rows of a table (without its folds, which are the outer ones), or of patient ids."""
    if isinstance(patients, pd.DataFrame):
        return patients[rows].drop(columns="fold", errors="ignore")
    return np.asarray(patients, dtype=object)[rows]
