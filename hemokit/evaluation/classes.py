"""Scores of models that give each slice one label: accuracy, and what accuracy hides.

A model that always says "normal" has a high accuracy wherever most slices are normal. Balanced accuracy (the mean of
the recalls) and macro F1 (the mean of the F1) ask for every label alike. Micro F1 is the accuracy by another name:
each wrong slice is one false positive and one false negative, so it must never stand beside a macro F1.

The rule for labels without slices: the recall of a label that is never true is 0/0, NaN, and left out of the balanced
accuracy; the F1 of a label that is neither true nor predicted is left out of the macro F1; the note counts both. All
resamples of the bootstrap ask for the same labels as the rows themselves. One in which such a label was not drawn has
no balanced accuracy and no macro F1: a mean over fewer labels would be another quantity, and a higher one where the
rare labels are the hard ones (always "normal" is 1/6 right of six labels, and 1/5 where one of them was not drawn).
The note counts these resamples; where they are more than a tenth, there is no interval (`evaluation.bootstrap`).

The rule for folds: scores of several fits, each with a scale of its own, have no common ranking. Where a frame has a
column `fold` with several folds, AUROC counts pairs of slices of the same fold (those that are ranked right in all
folds, over all such pairs), and AUPRC is the mean over folds, each weighted by its positive slices; a fold with one
label alone has nothing to rank. (Within and between folds: Airola et al., Comput Stat Data Anal 2011;55:1828-1844.)
"""

from numbers import Real

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.evaluation.confusion import confusion_scores, of_all_labels, weighted_confusion
from hemokit.evaluation.papers import baseline_text
from hemokit.evaluation.reports import build_report, check_judged, check_scores
from hemokit.evaluation.scores import auroc, average_precision
from hemokit.metrics import ratio

NORMAL = "normal"
TABLE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc")


def class_report(predictions, *, labels=None, truth="label", predicted="prediction", **resampling):
    """How well slices of several labels are told apart, with intervals by patient.

    Args:
        predictions: a frame of one data set and one split (dataset, patient_id, scan_id, slice_id, split), with the
            true and the predicted label of each slice; for two labels also probability_<the second label>
            and, where a model has better ones to rank by, score_<the second label> (any finite numbers). A column
            fold with several folds keeps auroc and auprc within folds, by the rule at the top of this module.
        labels: the labels in the order of the rows; of two labels the second is the positive one. None takes those
            that occur, "normal" first, the others in their order.
        truth, predicted: the columns of the true and the predicted label (strings or numbers).
        **resampling: unit, num_resamples, confidence, seed as in `bootstrap_interval`.

    Returns:
        DataFrame with `reports.COLUMNS` and the metrics accuracy, balanced_accuracy, macro_f1, micro_f1 and
        recall_<label> of each label; for two labels also auroc and auprc. `positives` counts the slices of that
        label for a recall (of the second label for auroc and auprc), and is missing (NA) for the other metrics.
        A label of one or two patients mostly leaves balanced_accuracy and macro_f1 without interval, by the rule
        at the top of this module: it is missing in about 37 or 14 of 100 resamples of many patients, and where that
        is more than a tenth, the data do not tell how much these vary.

    Raises:
        HemokitError: no rows, mixed data sets or splits, a slice twice; a row without true or predicted label, or
            with one that is not in labels; fewer than two labels, or one twice; scores outside [0, 1].
    """
    frame, labels = _checked(predictions, labels, truth, predicted)
    codes = [frame[column].map({label: place for place, label in enumerate(labels)}) for column in (truth, predicted)]
    true, called = (one.to_numpy(int) for one in codes)
    scores, folds = _positive_scores(frame, labels), _fold_rows(frame)

    occur = [np.bincount(codes, minlength=len(labels)) for codes in (true, called)]

    def statistics(weights):
        confusion = weighted_confusion(true, called, len(labels), weights)
        found = of_all_labels(confusion_scores(confusion, labels), confusion, *occur)
        if len(labels) == 2:
            found |= _ranking(true == 1, scores, weights, folds)
        return found

    notes = _notes(*occur, labels)
    if len(labels) == 2:
        notes |= _ranking_notes(true, scores, labels, folds)
    report = build_report(frame, statistics, unit_name="slices", positives=0, notes=notes, **resampling)
    positives = {f"recall_{label}": int((true == place).sum()) for place, label in enumerate(labels)}
    positives |= dict.fromkeys(("auroc", "auprc"), int((true == 1).sum()))
    report["positives"] = report["metric"].map(positives).astype("Int64")
    report["note"] = [_with_undrawn(row, resampling.get("num_resamples", 1000)) for row in report.itertuples()]
    return report


def model_table(models, *, labels=None, truth="label", predicted="prediction", **resampling):
    """Put several models beside each other, on the same slices, with the papers' accuracies.

    Args:
        models: dict name -> predictions frame, in the order to be shown. Put the two dummies, "most_frequent" and
            "stratified", first: what they reach is nothing. A name of `baselines.MODELS` gets the papers' figures.
        labels, truth, predicted, **resampling: as in `class_report`, also what it does with folds; labels None takes
            those that occur in any of the frames.

    Returns:
        DataFrame, one row a model: model, data, n, patients, split, predicted_labels ("2 of 6": how many of the
        labels the model ever predicts), accuracy, balanced_accuracy, macro_f1 and, for two labels, auroc and auprc,
        each with _low and _high; paper (accuracies as text, of other data: see `paper_rows`), seed, note.
        `show_report` makes it readable. No models give an empty frame.

    Raises:
        HemokitError: as `class_report`, with the model's name; models that were not judged on the same slices with
            the same true labels.
    """
    limits = [f"{metric}{end}" for metric in TABLE_METRICS for end in ("", "_low", "_high")]
    columns = ["model", "data", "n", "patients", "split", "predicted_labels", *limits, "paper", "seed", "note"]
    if not models:
        return pd.DataFrame(columns=columns)
    labels = _common_labels(models, truth, predicted) if labels is None else list(labels)
    _check_same_slices(models, truth)
    rows = []
    for name, frame in models.items():
        try:
            report = class_report(frame, labels=labels, truth=truth, predicted=predicted, **resampling)
        except ValueError as error:
            raise type(error)(f"model {name!r}: {error}") from None
        rows.append({"model": name, **_line(report), "paper": baseline_text(name)})
        rows[-1]["predicted_labels"] = f"{frame[predicted].nunique()} of {len(labels)}"
    return pd.DataFrame(rows, columns=[column for column in columns if column in rows[0]])


def label_order(values):
    """The distinct labels in the order of the reports: "normal" first, then numbers, then words: list."""
    values = {value.item() if isinstance(value, np.generic) else value for value in values}
    words = [value for value in values if not isinstance(value, Real)]
    numbers = [value for value in values if isinstance(value, Real)]
    return [*sorted(numbers), *sorted(words, key=lambda word: (word != NORMAL, str(word)))]


def _checked(predictions, labels, truth, predicted):
    """The rows in order, and the list of labels."""
    frame = check_judged(predictions, [truth, predicted])
    for column in (truth, predicted):
        missing = int(frame[column].isna().sum())
        if missing:
            came = f"{missing} of {len(frame)} rows have no label"
            raise problem(came, "a label in every row", "Judge the rows whose label is known.", column=column)
    labels = label_order([*frame[truth], *frame[predicted]]) if labels is None else list(labels)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        came = f"the labels are {labels}"
        raise problem(came, "two labels or more, each once", "Pass labels= with all that could occur.")
    for column in (truth, predicted):
        unknown = frame[column][~frame[column].isin(labels)]
        if len(unknown):
            came = f"slice {frame['slice_id'][unknown.index[0]]!r} has the label {unknown.iloc[0]!r}"
            raise problem(came, f"one of {labels}", "List every label in labels=.", column=column)
    return frame, labels


def _positive_scores(frame, labels):
    """What ranks slices for the second of two labels: float array (rows,), or None where there is nothing.

    Scores go before probabilities, which a model such as QDA on many pixels rounds to 0 and 1.
    """
    score, column = f"score_{labels[1]}", f"probability_{labels[1]}"
    probability = check_scores(frame, column) if len(labels) == 2 and column in frame else None
    return frame[score].to_numpy(float) if probability is not None and score in frame else probability


def _fold_rows(frame):
    """The row numbers of each fold: a list of int arrays; all rows where the frame has no column fold."""
    codes = pd.factorize(frame["fold"])[0] if "fold" in frame else np.zeros(len(frame), int)
    return [np.flatnonzero(codes == code) for code in np.unique(codes)]


def _ranking(positive, scores, weights, folds):
    """AUROC and AUPRC of two labels, within folds; NaN without probabilities."""
    if scores is None:
        return dict.fromkeys(("auroc", "auprc"), np.full(len(weights), np.nan))
    if len(folds) == 1:
        return {"auroc": auroc(positive, scores, weights), "auprc": average_precision(positive, scores, weights)}
    sums = np.zeros((4, len(weights)))  # pairs ranked right, pairs, precision of positive slices, these slices
    for rows in folds:
        true, score, drawn = positive[rows], scores[rows], weights[:, rows]
        count = drawn @ true.astype(np.int64)
        pairs = count * (drawn.sum(axis=1) - count)
        weight = np.where(pairs > 0, count, 0)
        right, precision = (np.nan_to_num(one(true, score, drawn)) for one in (auroc, average_precision))
        sums += right * pairs, pairs, precision * weight, weight
    return {"auroc": ratio(sums[0], sums[1]), "auprc": ratio(sums[2], sums[3])}


def _ranking_notes(true, scores, labels, folds):
    """Which label is the positive one and what is ranked together, or why there is no ranking."""
    notes = dict.fromkeys(("auroc", "auprc"), f"positive is {labels[1]!r}")
    if scores is None:
        return dict.fromkeys(notes, f"undefined: the frame has no column 'probability_{labels[1]}'")
    if len(set(true.tolist())) == 1:
        return dict.fromkeys(notes, f"undefined: all {len(true)} slices are {labels[true[0]]!r}")
    if len(folds) == 1:
        return notes
    alone = sum(len(set(true[rows].tolist())) == 1 for rows in folds)
    if alone == len(folds):
        return dict.fromkeys(notes, f"undefined: each of {alone} folds has one label alone")
    left_out = f"; {alone} of {len(folds)} folds have one label alone: left out" if alone else ""
    notes["auroc"] += f"; pairs within {len(folds)} folds{left_out}"
    notes["auprc"] += f"; mean of {len(folds)} folds, weighted by positives{left_out}"
    return notes


def _notes(true, called, labels):
    """What the means leave out, which labels are never predicted, and what micro F1 is: dict metric -> sentence."""
    absent = [str(label) for label, count in zip(labels, true, strict=True) if not count]
    neither = [str(label) for label, *counts in zip(labels, true, called, strict=True) if not any(counts)]
    dropped = [str(label) for label, *counts in zip(labels, true, called, strict=True) if counts[0] and not counts[1]]
    never = _told(dropped, labels, "are true but never predicted")
    notes = {f"recall_{label}": "undefined: no slice has this label" for label in absent}
    notes["balanced_accuracy"] = "; ".join(filter(None, (_told(absent, labels, "have no slice: left out"), never)))
    neither = _told(neither, labels, "are neither true nor predicted: left out")
    notes["macro_f1"] = "; ".join(filter(None, (neither, never)))
    return {**notes, "micro_f1": "equal to the accuracy, as each slice has one label"}


def _told(some, labels, what):
    return f"{len(some)} of {len(labels)} labels {what} ({', '.join(some)})" if some else ""


def _with_undrawn(row, num_resamples):
    """The note of one metric, with how many resamples its mean leaves out."""
    if row.metric not in ("balanced_accuracy", "macro_f1") or not row.undefined:
        return row.note
    if "no interval: undefined in" in row.note:
        return f"{row.note}, where a label was not drawn"
    told = f"{row.undefined} of {num_resamples} resamples left out, where a label was not drawn"
    return "; ".join(filter(None, (row.note, told)))


def _line(report):
    """One row of the model table from a report."""
    first = report.iloc[0]
    line = {name: first[name] for name in ("data", "n", "patients", "split", "seed")}
    rows = report.set_index("metric")
    for metric in (name for name in TABLE_METRICS if name in rows.index):
        values = rows.loc[metric, ["estimate", "low", "high"]].astype(float)
        line |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), values, strict=True))
    noted = [rows.loc[name, "note"] for name in ("balanced_accuracy", "macro_f1", "auroc") if name in rows.index]
    clauses = [clause for note in noted if not note.startswith("positive is") for clause in note.split("; ") if clause]
    line["note"] = "; ".join(dict.fromkeys(clauses))  # what holds of both means is told once
    return line


def _common_labels(models, truth, predicted):
    values = []
    for name, frame in models.items():
        try:
            check_columns(frame, [truth, predicted])
        except ValueError as error:
            raise type(error)(f"model {name!r}: {error}") from None
        values += [*frame[truth].dropna(), *frame[predicted].dropna()]
    return label_order(values)


def _check_same_slices(models, truth):
    """HemokitError unless all frames hold the same slices with the same true labels."""
    first, *others = models
    for name in (first, *others):
        check_columns(models[name], ["dataset", "slice_id", truth])
    rows = [models[name][["dataset", "slice_id", truth]] for name in (first, *others)]
    expected = set(rows[0].itertuples(index=False, name=None))
    for name, one in zip(others, rows[1:], strict=True):
        different = expected ^ set(one.itertuples(index=False, name=None))
        if different:
            came = f"{first!r} and {name!r} differ in slices or true labels, first at {min(different, key=str)}"
            raise problem(came, "the same slices for every model", "Judge other slices in a table of their own.")
