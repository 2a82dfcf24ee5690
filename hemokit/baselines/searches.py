"""Three ways to search for settings of a scikit-learn estimator on given folds: all of a grid, halving, TPE.

"grid" fits every combination (scikit-learn's GridSearchCV). "halving" fits all of them on few rows and keeps the best
third for three times as many, until few are left for all rows (HalvingGridSearchCV). "tpe" fits `num_trials` settings
between the smallest and the largest value of the grid, the later ones near the good ones before (hyperopt's tree of
Parzen estimators; Bergstra et al., NeurIPS 2011).

A setting that cannot be fitted in some fold has no score, is never the best, and its trial says so.
"""

import contextlib
import math
import sys
import warnings
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, check_choice, problem
from hemokit.evaluation.confusion import confusion_scores, weighted_confusion
from hemokit.evaluation.scores import auroc, average_precision
from hemokit.progress import progress_bar

METHODS = ("grid", "halving", "tpe")
RANKINGS = {"auroc": auroc, "auprc": average_precision}
SCORINGS = ("balanced_accuracy", "macro_f1", "accuracy", "micro_f1", *RANKINGS)
NUM_TRIALS = 30  # of TPE; the first third is drawn at random
_FACTOR = 3  # of halving


class Score(NamedTuple):
    """A metric of `class_report` as scikit-learn's scoring: called with an estimator, rows and true labels.

    `positive` is the label that AUROC and AUPRC rank; the other metrics do not use it.
    """

    metric: str
    positive: object = None

    def __call__(self, estimator, X, y):
        """The score of fitted `estimator` on rows `X` with labels `y`; NaN where it is undefined."""
        if self.metric in RANKINGS:
            return float(RANKINGS[self.metric](y == self.positive, _positive_scores(estimator, X, self.positive)))
        predicted = estimator.predict(X)
        labels, codes = np.unique(np.concatenate([y, predicted]), return_inverse=True)
        true, called = codes[: len(y)], codes[len(y) :]
        confusion = weighted_confusion(true, called, len(labels), np.ones((1, len(y)), np.int64))
        return float(confusion_scores(confusion, labels)[self.metric][0])


class Task(NamedTuple):
    """What is searched on: an unfitted estimator, rows, labels, (train, test) row numbers of each fold, a `Score`."""

    estimator: object
    matrix: np.ndarray
    labels: np.ndarray
    folds: list
    score: Score


def search_settings(task, grid, *, method="grid", num_trials=None, seed=0, progress=None):
    """Try settings of an estimator on given folds.

    Args:
        task: `Task`.
        grid: dict parameter -> list of values; an empty one gives a single trial.
        method: one of `METHODS`.
        num_trials: for "tpe" alone; None takes `NUM_TRIALS`. "tpe" searches numbers between the smallest and the
            largest value (on a logarithmic scale where these are a factor of 10 or more apart), and takes other
            values (None, words) as they are. Whole numbers are drawn between half a step below the smallest and
            above the largest, and rounded.
        seed: of halving's rows and of TPE.
        progress: True or False; None shows the bar on a terminal. It counts settings, rounds or trials.

    Returns:
        DataFrame of trials in the order they were made: `settings` (dict), score (mean over the folds), spread
        (their standard deviation), fold_0, fold_1, ..., round and rows (of halving; else 0 and all), seconds, note.

    Raises:
        HemokitError: another method, a bad grid or num_trials; settings that cannot be fitted, not one of them; a
            package that is not installed.
    """
    check_choice(method, METHODS, "method")
    grid = check_grid(grid)
    if num_trials is not None and method != "tpe":
        came = f"num_trials is {num_trials!r} for {method!r}"
        raise problem(came, "None", f"{method!r} tries the whole grid; num_trials is for 'tpe'.")
    num_trials = NUM_TRIALS if num_trials is None else num_trials
    if not isinstance(num_trials, Integral) or isinstance(num_trials, bool) or num_trials < 1:
        raise problem(f"num_trials is {num_trials!r}", "a whole number from 1", "30 is usual.")
    progress = sys.stderr.isatty() if progress is None else progress
    if hasattr(task.estimator, "check_installed"):
        task.estimator.check_installed()  # in a search, scikit-learn takes it for settings that do not fit
    with warnings.catch_warnings():  # what these say, the trials and the last fit say too
        for message in (
            ".*fits failed",
            "One or more of the (test|train) scores",
            "Scoring failed",
            ".*failed to converge",
            ".*did not converge",
        ):
            warnings.filterwarnings("ignore", message=f"(?s){message}")
        if not grid or method == "grid":
            trials = _grid(task, grid, progress)
        elif method == "halving":
            trials = _halving(task, grid, seed, progress)
        else:
            trials = _tpe(task, grid, num_trials, seed, progress)
    if trials["score"].isna().all():
        came = f"none of the {len(trials)} settings has a score ({trials['note'].iloc[0]})"
        raise problem(
            came, "one that can be fitted and judged", "Change the grid, or use more patients or fewer folds."
        )
    return trials


def best_trial(trials):
    """The row of `search_settings` with the highest score, the first of equal ones.

    Of halving it is one of the last round; where no setting has a score there, one of the latest round with a score
    (`Tuned.notes` then say so).
    """
    scored = trials[trials["score"].notna()]
    last = scored[scored["round"] == scored["round"].max()]
    return last.loc[last["score"].idxmax()]


def check_grid(grid):
    """The grid as a dict parameter -> list of values; HemokitError unless each has at least one value."""
    remedy = "Write a dict such as {'C': [1, 10]}."
    if not isinstance(grid, dict):
        raise problem(f"the grid is {grid!r}", "a dict of settings and lists of values", remedy)
    for name, values in grid.items():
        if isinstance(values, str) or not np.iterable(values) or not np.size(values):
            raise problem(f"the grid has {values!r} for {name!r}", "a list of at least one value", remedy)
    return {name: list(values) for name, values in grid.items()}


def _grid(task, grid, progress):
    """GridSearchCV on some settings at a time, as many as the workers can take, so that the bar moves."""
    from joblib import effective_n_jobs
    from sklearn.model_selection import GridSearchCV, ParameterGrid

    settings = list(ParameterGrid(grid))
    at_once = max(1, effective_n_jobs() // len(task.folds))
    parts = [settings[start : start + at_once] for start in range(0, len(settings), at_once)]
    trials = []
    with progress_bar(None, total=len(settings), description="grid", unit="setting", progress=progress) as bar:
        for part in parts:
            lists = [{name: [value] for name, value in one.items()} for one in part]
            search = GridSearchCV(task.estimator, lists, scoring=task.score, cv=task.folds, refit=False)
            try:
                trials.append(_trials(search.fit(task.matrix, task.labels).cv_results_, task))
            except ValueError as error:  # not a single fit was possible
                trials.append(_failed(part, task, error))
            bar.update(len(part))
    return pd.concat(trials, ignore_index=True)


def _halving(task, grid, seed, progress):
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV, ParameterGrid

    rounds = 1 + math.floor(math.log(len(ParameterGrid(grid)), _FACTOR))
    with progress_bar(None, total=rounds, description="halving", unit="round", progress=progress) as bar:
        folds = _Rounds(task.folds, bar)
        search = HalvingGridSearchCV(
            task.estimator, grid, scoring=task.score, cv=folds, refit=False, factor=_FACTOR, random_state=seed
        )
        try:
            search.fit(task.matrix, task.labels)
        except ValueError as error:
            came = f"halving stopped ({_last_line(error)})"
            remedy = "Try method='grid': halving begins with few rows, in which labels may be missing."
            raise problem(came, "settings that can be fitted on a part of the rows", remedy) from None
        bar.update(rounds - bar.n)
    return _trials(search.cv_results_, task)


def _tpe(task, grid, num_trials, seed, progress):
    try:
        from hyperopt import STATUS_FAIL, STATUS_OK, Trials, fmin, tpe
        from hyperopt.exceptions import AllTrialsFailed
    except ImportError:
        remedy = "Run: pip install 'hemokit[baselines]', or take another method."
        raise problem("the package hyperopt is not installed", "it, for method 'tpe'", remedy) from None
    known, trials = {}, []
    with progress_bar(None, total=num_trials, description="tpe", unit="trial", progress=progress) as bar:

        def loss(drawn):
            settings = {name: _value(grid[name], value) for name, value in drawn.items()}
            key = repr(settings)
            if key not in known:
                known[key] = _grid(task, {name: [value] for name, value in settings.items()}, False)
            trials.append(known[key])
            bar.update()
            score = known[key]["score"].iloc[0]
            return {"status": STATUS_FAIL} if np.isnan(score) else {"status": STATUS_OK, "loss": -score}

        suggest = partial(tpe.suggest, n_startup_jobs=max(1, num_trials // 3))
        how = {"rstate": np.random.default_rng(seed), "trials": Trials(), "show_progressbar": False, "verbose": False}
        with contextlib.suppress(AllTrialsFailed):  # the trials tell
            fmin(loss, _space(grid), algo=suggest, max_evals=num_trials, return_argmin=False, **how)
    return pd.concat(trials, ignore_index=True)


class _Rounds:
    """Folds for HalvingGridSearchCV that move the bar: it asks for them at the beginning of each round."""

    def __init__(self, folds, bar):
        self.folds, self.bar, self.begun = folds, bar, False

    def get_n_splits(self, X=None, y=None, groups=None):
        return len(self.folds)

    def split(self, X=None, y=None, groups=None):
        self.bar.update(self.begun)
        self.begun = True
        return iter(self.folds)


def _space(grid):
    """Where hyperopt draws the values of each parameter: see `search_settings`."""
    from hyperopt import hp

    space = {}
    for name, values in grid.items():
        low, high = (min(values), max(values)) if _are_numbers(values) else (0, 0)
        half = 0.5 if _are_whole(values) else 0  # so that whole numbers at the ends are drawn as often as others
        if low == high:
            space[name] = hp.choice(name, range(len(values)))
        elif low > 0 and high >= 10 * low:
            space[name] = hp.loguniform(name, math.log(low - half), math.log(high + half))
        else:
            space[name] = hp.uniform(name, low - half, high + half)
    return space


def _value(values, drawn):
    """A drawn number as a setting: a place in the list, a whole number where all are, else itself."""
    if not _are_numbers(values) or min(values) == max(values):
        return values[int(drawn)]
    drawn = min(max(drawn, min(values)), max(values))  # half a step beyond whole numbers; exp(log(x)) may be beyond x
    return int(round(drawn)) if _are_whole(values) else float(drawn)


def _are_numbers(values):
    return all(isinstance(value, Real) and not isinstance(value, bool) for value in values)


def _are_whole(values):
    return _are_numbers(values) and all(isinstance(value, Integral) for value in values)


def _positive_scores(estimator, X, positive):
    """What ranks rows for the positive one of two labels; 0 for all where training did not have both.

    As in `running`, the decision function goes before probabilities, which may be rounded to 0 and 1.
    """
    known = list(estimator.classes_)
    if positive not in known or len(known) != 2:
        return np.zeros(len(X))
    place = known.index(positive)
    if not hasattr(estimator, "decision_function"):
        return np.asarray(estimator.predict_proba(X))[:, place]
    limit = np.finfo(float).max
    return np.clip(estimator.decision_function(X), -limit, limit) * (1 if place else -1)


def _trials(results, task):
    """The trials in the `cv_results_` of a search."""
    scores = np.column_stack([results[f"split{fold}_test_score"] for fold in range(len(task.folds))])
    total = len(results["params"])
    trials = pd.DataFrame({"settings": list(results["params"]), "score": results["mean_test_score"]})
    trials["spread"] = results["std_test_score"]
    trials[[f"fold_{fold}" for fold in range(scores.shape[1])]] = scores
    trials["round"] = np.asarray(results.get("iter", np.zeros(total)), int)
    trials["rows"] = np.asarray(results.get("n_resources", np.full(total, len(task.labels))), int)
    trials["seconds"] = (results["mean_fit_time"] + results["mean_score_time"]) * len(task.folds)
    undefined = np.isnan(scores).sum(axis=1)
    trials["note"] = [f"no score in {one} of {scores.shape[1]} folds" if one else "" for one in undefined]
    return trials


def _failed(settings, task, error):
    """Trials of settings that could not be fitted in any fold."""
    names = ["score", "spread", *(f"fold_{fold}" for fold in range(len(task.folds)))]
    trials = pd.DataFrame({"settings": settings}).assign(**dict.fromkeys(names, np.nan))
    return trials.assign(round=0, rows=len(task.labels), seconds=np.nan, note=f"not fitted: {_last_line(error)}")


def _last_line(error):
    """What scikit-learn says last: the first failed fit's own error; of hemokit's, the sentence alone."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = f"{HemokitError.__module__}.{HemokitError.__qualname__}: "
    return lines[-1].removeprefix(own) if lines else type(error).__name__
