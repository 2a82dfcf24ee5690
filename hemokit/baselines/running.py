"""Predictions out of fold: every slice is predicted by a model that saw no slice of its patient."""

import warnings
from contextlib import contextmanager
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from hemokit.baselines.features import as_features
from hemokit.baselines.models import model_named
from hemokit.checks import HemokitError, check_columns, counted, problem
from hemokit.labels import ANY
from hemokit.leaks import check_patients
from hemokit.progress import progress_bar
from hemokit.splits import folds_by_patient

_LOWEST = np.finfo(float).min  # the score of a label without training rows: finite, so that slices can be ranked
_IDS = ("dataset", "patient_id", "scan_id", "slice_id", "slice_index")


class Fitted(NamedTuple):
    """One fit: `prediction` (m,), `probability` and `score` float64 (m, classes) of the test rows, `notes` in words."""

    prediction: np.ndarray
    probability: np.ndarray
    notes: tuple
    estimator: object
    score: np.ndarray


def cross_predict(
    model_name, features, labels, patients, *, num_folds=5, seed=0, progress=None, choose=None, **settings
):
    """Predict every slice with a model that was fitted on the other folds, which hold other patients.

    Args:
        model_name: a key of `MODELS`.
        features: `Features`; or `Pixels` or a matrix (n, p), from which they are built (once for several models is
            faster).
        labels: one for each row: strings, whole numbers or bools, at least two different ones.
        patients: a slice table of the same rows, whose ids go into the result, whose column `fold` is used where it
            has one and whose column `any` deals patients evenly (see `splits.folds_by_patient`); or patient ids
            alone, strings: then the patients with any other label than the most frequent are dealt evenly, and the
            result has no slice ids, without which `class_report` and `model_table` do not judge: pass the table.
        num_folds, seed: of the folds (not used where the table has its own); the seed is the model's too.
        progress: True or False; None shows a bar for much work.
        choose: None, or a function that takes the training rows of a fold (bool array) and returns a dict of
            settings for it, chosen on these rows alone, and a list of notes; see `tuning.cross_predict_tuned`.
        **settings: of the model, see `models`.

    Returns:
        DataFrame, a row for each row in, in the same order: the ids that are known, `split` ("folds", as these are
        predictions out of fold), `fold`, `label`, `prediction`, `probability_<label>` for every label, sorted (rows
        sum to 1), and `score_<label>`: the decision function of models that have one, else the probability. Scores
        rank the slices of one fold; the probabilities of QDA, with so many pixels, are nearly all 0 or 1 and do not.
        Each fold has a fit of its own, whose scores may be higher throughout than another's: `class_report` ranks
        within folds.
        attrs["notes"] holds sentences, among them
        - a label without a training row in a fold: there it has probability 0 and is never predicted;
        - a label of one patient only: its slices are never in training when they are tested;
        - a fold with one label in training: it is predicted for all;
        - a fit that stopped before it converged.

    Raises:
        HemokitError: numbers of rows that differ, fewer patients than folds, one label only, missing labels or
            patient ids, NaN in features, and what a model cannot be fitted with, with the fold.
    """
    model, features = model_named(model_name), as_features(features)
    labels = check_labels(labels, len(features.coordinates))
    frame = fold_table(labels, patients, num_folds=num_folds, seed=seed)
    classes, folds = np.unique(labels), frame["fold"].to_numpy()
    estimator = model(**settings)  # a wrong setting is told before the first fit
    if hasattr(estimator, "check_installed"):
        estimator.check_installed()
    probability, prediction = np.zeros((len(labels), len(classes))), labels.copy()
    score = probability.copy()
    notes = list(_notes_on_patients(labels, frame["patient_id"]))
    numbers, chosen = np.unique(folds), {}
    for fold in progress_bar(numbers, total=len(numbers), description=model_name, unit="fold", progress=progress):
        test = folds == fold
        own, told = ({}, ()) if choose is None else choose(~test)
        chosen[int(fold)] = {**settings, **own}
        try:
            fitted = fit_predict(model_name, features, labels, ~test, test, seed=seed, **chosen[int(fold)])
        except HemokitError as error:
            raise type(error)(f"fold {fold}: {error}") from error
        prediction[test], probability[test], score[test] = fitted.prediction, fitted.probability, fitted.score
        notes += [f"fold {fold}: {note}" for note in (*told, *fitted.notes)]
    frame.insert(frame.columns.get_loc("fold"), "split", "folds")
    frame["label"], frame["prediction"] = labels, prediction
    for name, values in (("probability", probability), ("score", score)):
        frame[[f"{name}_{label}" for label in classes]] = values
    used = settings if choose is None else chosen
    frame.attrs = {"model": model_name, "settings": used, "seed": seed, "notes": tuple(notes)}
    return frame


def fit_predict(model_name, features, labels, train, test, *, seed=0, **settings):
    """Fit a model on some rows and predict others.

    Args:
        model_name, features, labels, seed, **settings: as `cross_predict`.
        train, test: bool arrays (n,) or row numbers from 0; no row may be in both.

    Returns:
        `Fitted`; its probabilities have a column for every label of `labels`, sorted, 0 where training has none. With
        one label in training there is no fit: that label is predicted, and estimator is None.

    Raises:
        HemokitError: no training rows; rows that are not there, or in both; another number of labels than rows; and
            what the model cannot be fitted with.
    """
    model, features, labels = model_named(model_name), as_features(features), np.asarray(labels)
    _check_one_each(labels, len(features.coordinates))
    train, test = _two_parts(train, test, len(labels))
    matrix, classes, known = features.of(model.needs), np.unique(labels), np.unique(labels[train])
    probability = np.zeros((len(labels[test]), len(classes)))
    notes = [f"no training row is {label!r}: probability 0" for label in classes.tolist() if label not in known]
    if not len(known):
        raise problem("there are no training rows", "at least one", "Use more patients, or fewer folds.")
    if len(known) == 1:
        probability[:, classes == known[0]] = 1
        notes.append(f"all training rows are {known.tolist()[0]!r}: it is predicted for all")
        return Fitted(np.repeat(known, len(probability)), probability, tuple(notes), None, probability.copy())
    estimator = model(seed=seed, num_pixels=features.num_pixels if model.needs == "coordinates" else None, **settings)
    with _told(notes, f"{model_name} cannot be fitted on {len(labels[train])} rows of {len(known)} labels"):
        estimator.fit(matrix[train], labels[train])
        prediction, score = labels[test].copy(), np.full(probability.shape, _LOWEST)
        if len(prediction):
            prediction, there = estimator.predict(matrix[test]), np.isin(classes, estimator.classes_)
            probability[:, there] = estimator.predict_proba(matrix[test])
            score[:, there] = _scores(estimator, matrix[test], probability[:, there])
    notes += [f"{label!r} has no two different training rows: left out" for label in _left_out(estimator)]
    return Fitted(prediction, probability, tuple(notes), estimator, score)


def fold_table(labels, patients, *, num_folds=5, seed=0):
    """The ids and the fold of every row, as `cross_predict` and the search for settings use them.

    Args:
        labels: array (n,).
        patients, num_folds, seed: as `cross_predict`.

    Returns:
        DataFrame with the id columns that are known and the int column `fold`.

    Raises:
        HemokitError: as `splits.folds_by_patient`; another number of rows than labels; a patient in two folds.
    """
    if isinstance(patients, pd.DataFrame):
        check_columns(patients, ["patient_id"])
        table = patients.reset_index(drop=True)
    else:
        table = pd.DataFrame({"patient_id": np.asarray(patients, dtype=object)})
    if len(table) != len(labels):
        came = f"there are {len(labels)} labels and {len(table)} patients"
        raise problem(came, "one of each for every row", "Take both from the same table.")
    ids = table[[name for name in _IDS if name in table.columns]].copy()
    if "fold" in table.columns:
        ids["fold"] = _own_folds(table)
        return ids
    if ANY not in table.columns:
        values, counts = np.unique(labels, return_counts=True)
        table = table.assign(**{ANY: (labels != values[counts.argmax()]).astype(int)})
    ids["fold"] = folds_by_patient(table[["patient_id", ANY]], num_folds=num_folds, seed=seed)["fold"].to_numpy()
    return ids


def check_labels(labels, num_rows):
    """Labels as an array of strings or whole numbers, or HemokitError: missing ones, another length, one label only."""
    _check_one_each(labels, num_rows)
    series = pd.Series(list(labels), dtype=object)
    if series.isna().any():
        raise problem(f"{int(series.isna().sum())} labels are missing", "one for each row", "Leave these rows out.")
    if series.map(lambda label: isinstance(label, str)).all():
        array = series.to_numpy().astype(str)
    elif series.map(_is_whole).all():
        array = series.to_numpy().astype(int)
    else:
        came = f"labels hold {sorted({str(label) for label in series})[:3]}"
        raise problem(came, "strings, or whole numbers", "A class is a name: threshold what is measured first.")
    if len(np.unique(array)) < 2:
        came = f"all {num_rows} labels are {array.tolist()[0]!r}" if num_rows else "there are no rows"
        raise problem(came, "at least two different labels", "Choose another target, or more patients.")
    return array


def _check_one_each(labels, num_rows):
    if np.ndim(labels) != 1 or len(labels) != num_rows:
        came = f"labels has shape {np.shape(labels)} for {num_rows} rows"
        raise problem(came, "one label for each row", "Take them from the table that was read.")


def _two_parts(train, test, total):
    """The row numbers of both parts: two int arrays; HemokitError where a row is not there, or in both."""
    parts = {"train": np.asarray(train), "test": np.asarray(test)}
    for name, rows in parts.items():
        if (
            rows.ndim != 1
            or (rows.dtype == bool and len(rows) != total)
            or (rows.size and rows.dtype.kind not in "bui")
        ):
            came = f"{name} has shape {rows.shape} and holds {rows.dtype} values"
            raise problem(came, f"{total} bools, or row numbers", "Write patients != one for train, and == for test.")
        parts[name] = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        wrong = parts[name][(parts[name] < 0) | (parts[name] >= total)]
        if len(wrong):
            came = f"{name} has the row number {wrong[0]}"
            raise problem(came, f"numbers from 0 to {total - 1}", "Take them from the same rows as the features.")
    both = np.intersect1d(*parts.values())
    if len(both):
        came = f"{counted(len(both), 'row')} in train and in test, from row {both[0]} on"
        raise problem(came, "no row in both", "What was trained on tells nothing about new slices: split by patient.")
    return parts["train"], parts["test"]


def _is_whole(label):
    return isinstance(label, Real | np.bool_) and bool(np.isfinite(label)) and label == int(label)


def _own_folds(table):
    check_patients(table)
    folds = table["fold"]
    if not pd.api.types.is_integer_dtype(folds) or folds.nunique() < 2:
        raise problem("the column fold holds no whole numbers of two folds or more", "fold numbers", "See read_folds.")
    shared = table.groupby("patient_id")["fold"].nunique()
    if (shared > 1).any():
        came = f"patient {shared.index[shared > 1][0]!r} is in {shared.max()} folds"
        raise problem(came, "each patient in one fold", "Deal patients with folds_by_patient, not slices.")
    return folds.to_numpy()


def _notes_on_patients(labels, patients):
    counts = pd.DataFrame({"label": labels, "patient": patients.to_numpy()}).groupby("label")["patient"].nunique()
    for label in counts.index[counts == 1].tolist():
        yield (
            f"label {label!r} has one patient: its slices are never in training when they are tested, "
            "so that none can be predicted right"
        )


@contextmanager
def _told(notes, came):
    """Add a note on a fit that stopped early, pass other warnings on, and turn what fails into a HemokitError."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            yield
        except HemokitError:  # is a ValueError, and a sentence already
            raise
        except (ValueError, np.linalg.LinAlgError) as error:
            remedy = "Change the settings, or use more slices."
            raise problem(f"{came} ({error})", "enough rows for its settings", remedy) from error
    early = [one for one in heard if issubclass(one.category, ConvergenceWarning)]
    notes += ["the fit stopped before it converged: raise max_iter"] if early else []
    for one in heard:
        if one not in early:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _scores(estimator, rows, probability):
    """What ranks rows even where probabilities are 0 and 1: the decision function, else the probabilities."""
    if not hasattr(estimator, "decision_function"):
        return probability
    scores = estimator.decision_function(rows)
    scores = np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
    return np.clip(scores, _LOWEST, -_LOWEST)  # QDA gives -inf to a label that it left out


def _left_out(estimator):
    return np.asarray(getattr(estimator, "left_out_", [])).tolist()
