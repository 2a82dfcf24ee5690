"""Scores of models that give each slice one label."""

import matplotlib

matplotlib.use("Agg")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
from evaluation_frames import table_of  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from sklearn import metrics as reference  # noqa: E402

from hemokit import plots  # noqa: E402
from hemokit.checks import HemokitError  # noqa: E402
from hemokit.evaluation import (  # noqa: E402
    baseline_figure,
    baseline_text,
    bootstrap_interval,
    class_report,
    label_order,
    model_table,
    paper_rows,
    show_report,
)
from hemokit.evaluation.confusion import confusion_scores, weighted_confusion  # noqa: E402

NAMES = ["normal", "epidural", "subdural", "multi"]
QUICK = {"num_resamples": 100}


def frame_of(true, predicted, patients=None, **columns):
    """Predictions of a classifier; nine slices a patient unless patients are given."""
    patients = np.arange(len(true)) // 9 if patients is None else patients
    return table_of(np.zeros(len(true)), patients).assign(label=list(true), prediction=list(predicted), **columns)


def random_frame(seed=0, total=81, names=NAMES):
    """Labels that are predicted right about every second time."""
    rng = np.random.default_rng(seed)
    true = rng.choice(names, total)
    return frame_of(true, np.where(rng.random(total) < 0.5, true, rng.choice(names, total)))


def estimates(report):
    """The estimates of a report by metric."""
    return report.set_index("metric")["estimate"].to_dict()


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_equal_scikit_learn(pairs):
    """All scores are scikit-learn's, also where labels are absent from the truth, the predictions or both."""
    true, called = np.array(pairs).T
    weights = np.ones((1, len(true)), np.int64)
    found = confusion_scores(weighted_confusion(true, called, 4, weights)[0], range(4))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(true, called))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(true, called))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(true, called, average="macro", zero_division=0))
    assert found["micro_f1"] == pytest.approx(reference.f1_score(true, called, average="micro"))
    assert found["micro_f1"] == pytest.approx(found["accuracy"])
    recalls = reference.recall_score(true, called, labels=range(4), average=None, zero_division=np.nan)
    np.testing.assert_allclose([found[f"recall_{label}"] for label in range(4)], recalls)


def test_report_by_hand():
    """Nine slices: 4 of 5 normal right, 1 of 3 epidural, the one subdural missed."""
    true = ["normal"] * 5 + ["epidural"] * 3 + ["subdural"]
    report = class_report(frame_of(true, ["normal"] * 4 + ["epidural"] * 2 + ["normal"] * 3), labels=NAMES)
    found = estimates(report)
    assert found["accuracy"] == found["micro_f1"] == pytest.approx(5 / 9)
    assert found["balanced_accuracy"] == pytest.approx((4 / 5 + 1 / 3 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((8 / 12 + 2 / 5 + 0) / 3)
    assert np.isnan(found["recall_multi"])
    rows = report.set_index("metric")
    assert rows.loc["recall_multi", "note"] == "undefined: no slice has this label"
    assert rows.loc["balanced_accuracy", "note"].startswith(
        "1 of 4 labels have no slice: left out (multi); 1 of 4 labels are true but never predicted (subdural)"
    )
    assert rows.loc["macro_f1", "note"].startswith("1 of 4 labels are neither true nor predicted: left out (multi)")
    assert rows.loc["recall_epidural", "positives"] == 3 and pd.isna(rows.loc["accuracy", "positives"])
    assert rows["n"].eq(9).all() and rows["unit"].eq("slices").all() and rows["split"].eq("test").all()
    assert rows.loc["accuracy", "note"] == "no interval: 1 patients, at least 5 are needed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_intervals_equal_the_general_way():
    """Weights give the very intervals that copies of rows give; a label that is not drawn is left out there."""
    frame = random_frame()
    report = class_report(frame, num_resamples=150, seed=3).set_index("metric")
    for metric, score in (
        ("balanced_accuracy", reference.balanced_accuracy_score),
        ("macro_f1", lambda true, called: reference.f1_score(true, called, average="macro", zero_division=0)),
    ):
        expected = bootstrap_interval(
            lambda rows, score=score: score(rows["label"], rows["prediction"]), frame, num_resamples=150, seed=3
        )
        assert report.loc[metric, ["estimate", "low", "high"]].tolist() == pytest.approx(list(expected))


def test_rare_label_is_counted():
    """A label of one patient has no recall in the resamples without that patient: more than a tenth, so no interval."""
    true = ["multi"] * 9 + ["normal"] * 72
    rows = class_report(frame_of(true, true), labels=["normal", "multi"], **QUICK).set_index("metric")
    assert rows.loc["recall_multi", "note"] == (
        f"no interval: undefined in {rows.loc['recall_multi', 'undefined']} of 100 resamples"
    )
    assert rows.loc["recall_multi", "undefined"] > 20
    for metric in ("balanced_accuracy", "macro_f1"):
        assert rows.loc[metric, "estimate"] == 1 and np.isnan(rows.loc[metric, "low"])
        assert rows.loc[metric, "undefined"] == rows.loc["recall_multi", "undefined"]
        assert rows.loc[metric, "note"].endswith("of 100 resamples, where a label was not drawn")


def test_resamples_ask_for_every_label():
    """Always "normal" is exactly 1/6 right of six labels: no resample counts that lacks a label of few patients."""
    names = ["normal", "epidural", "intraparenchymal", "subarachnoid", "subdural", "multi"]
    true = np.repeat(names, [180, 63, 63, 45, 45, 36])  # multi: 4 of 48 patients
    report = class_report(frame_of(true, ["normal"] * len(true)), num_resamples=500).set_index("metric")
    assert report.loc["balanced_accuracy", ["estimate", "low", "high"]].tolist() == pytest.approx([1 / 6] * 3)
    left_out = report.loc["balanced_accuracy", "undefined"]
    assert 0 < left_out <= 50 and report.loc["macro_f1", "undefined"] == left_out
    note = f"; {left_out} of 500 resamples left out, where a label was not drawn"
    assert report.loc[["balanced_accuracy", "macro_f1"], "note"].str.endswith(note).all()
    assert report.loc["accuracy", "undefined"] == 0 and report.loc["accuracy", "note"] == ""


def test_macro_f1_keeps_its_labels():
    """A label that is predicted in one patient and never true counts 0 in macro F1; without it there is no mean."""
    true = np.repeat(["normal", "epidural"], 9)[np.arange(180) % 18]
    called = true.copy()
    called[:2] = "multi"
    report = class_report(frame_of(true, called), labels=["normal", "epidural", "multi"], **QUICK).set_index("metric")
    assert report.loc["macro_f1", "undefined"] > 20 and np.isnan(report.loc["macro_f1", "low"])
    assert report.loc["balanced_accuracy", "high"] == 1


def test_two_labels_are_ranked():
    """The second of two labels is the positive one; its probability gives AUROC and AUPRC."""
    rng = np.random.default_rng(1)
    true = rng.choice(["hemorrhage", "normal"], 72)
    scores = np.clip((true == "hemorrhage") * 0.3 + rng.random(72) * 0.7, 0, 1)
    frame = frame_of(true, np.where(scores > 0.5, "hemorrhage", "normal"), probability_hemorrhage=scores)
    report = class_report(frame, **QUICK)
    found, rows = estimates(report), report.set_index("metric")
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(true == "hemorrhage", scores))
    assert found["auprc"] == pytest.approx(reference.average_precision_score(true == "hemorrhage", scores))
    assert rows.loc["auroc", "note"] == "positive is 'hemorrhage'"
    assert rows.loc["auroc", "positives"] == (true == "hemorrhage").sum()
    rounded = frame.assign(probability_hemorrhage=0.5, score_hemorrhage=9 * scores - 99)
    assert estimates(class_report(rounded, **QUICK)) == found  # scores rank where probabilities do not
    other = class_report(frame, labels=["hemorrhage", "normal"], **QUICK).set_index("metric").loc["auroc"]
    assert np.isnan(other["estimate"]) and other["note"] == "undefined: the frame has no column 'probability_normal'"
    one = class_report(frame.assign(label="normal"), labels=["normal", "hemorrhage"], **QUICK).set_index("metric")
    assert one.loc["auroc", "note"] == "undefined: all 72 slices are 'normal'"
    assert np.isnan(one.loc["auroc", "estimate"])


def ranked_frame(seed=0, folds=3):
    """Two labels with scores in whole steps, so that there are ties, in folds of patients."""
    frame = random_frame(seed, names=["normal", "hemorrhage"])
    rng = np.random.default_rng(seed)
    score = (frame["label"] == "hemorrhage") * 1.0 + rng.integers(0, 4, len(frame))
    fold = frame["patient_id"].astype(int) % folds
    return frame.assign(probability_hemorrhage=score / 8, score_hemorrhage=score, fold=fold)


def test_folds_are_ranked_apart():
    """Pairs within folds, by hand; a constant added to one fold's scores changes neither estimate nor interval."""
    frame = ranked_frame()
    report = class_report(frame, **QUICK)
    won = pairs = precision = 0
    for _, rows in frame.groupby("fold"):
        true, score = rows["label"] == "hemorrhage", rows["score_hemorrhage"].to_numpy()
        differences = score[true][:, None] - score[~true]
        won, pairs = won + (differences > 0).sum() + (differences == 0).sum() / 2, pairs + differences.size
        precision += reference.average_precision_score(true, score) * true.sum()
    assert estimates(report)["auroc"] == pytest.approx(won / pairs)
    assert estimates(report)["auprc"] == pytest.approx(precision / (frame["label"] == "hemorrhage").sum())
    notes = report.set_index("metric")["note"]
    assert notes["auroc"] == "positive is 'hemorrhage'; pairs within 3 folds"
    assert notes["auprc"] == "positive is 'hemorrhage'; mean of 3 folds, weighted by positives"
    shifted = frame.assign(score_hemorrhage=frame["score_hemorrhage"] + 99 * (frame["fold"] == 1))
    pd.testing.assert_frame_equal(class_report(shifted, **QUICK), report)
    pooled = class_report(shifted.drop(columns="fold"), **QUICK)
    assert abs(estimates(pooled)["auroc"] - won / pairs) > 0.05


@pytest.mark.slow
def test_interval_of_folds_equals_the_general_way():
    """The weights of resamples give the intervals that copies of rows give."""
    frame = ranked_frame(1)

    def slowly(rows):
        parts = [(one["label"] == "hemorrhage", one["score_hemorrhage"]) for _, one in rows.groupby("fold")]
        parts = [(true, score, true.sum() * (~true).sum()) for true, score in parts if 0 < true.sum() < len(true)]
        return sum(reference.roc_auc_score(*part[:2]) * part[2] for part in parts) / sum(part[2] for part in parts)

    expected = bootstrap_interval(slowly, frame, num_resamples=100, seed=0)
    found = class_report(frame, **QUICK, seed=0).set_index("metric").loc["auroc", ["estimate", "low", "high"]]
    assert found.tolist() == pytest.approx(list(expected))


def test_one_fold_and_folds_of_one_label():
    """One fold is scikit-learn's own; folds of one label are left out and counted, and all of them are nothing."""
    frame = ranked_frame(folds=1)
    true = frame["label"] == "hemorrhage"
    assert estimates(class_report(frame, **QUICK))["auroc"] == pytest.approx(
        reference.roc_auc_score(true, frame["score_hemorrhage"])
    )
    some = ranked_frame()
    some.loc[some["fold"] == 2, "label"] = "normal"
    rest = some[some["fold"] < 2]
    found = class_report(some, **QUICK).set_index("metric")
    for metric in ("auroc", "auprc"):
        assert found.loc[metric, "note"].endswith("; 1 of 3 folds have one label alone: left out")
        assert found.loc[metric, "estimate"] == pytest.approx(estimates(class_report(rest, **QUICK))[metric])
    alone = some.assign(fold=(some["label"] == "normal").astype(int))
    row = class_report(alone, **QUICK).set_index("metric").loc["auroc"]
    assert np.isnan(row["estimate"]) and row["note"] == "undefined: each of 2 folds has one label alone"


def test_order_of_labels():
    """Normal comes first, so that of two labels the hemorrhage is positive; numbers before words."""
    assert label_order(["hemorrhage", "normal", "normal"]) == ["normal", "hemorrhage"]
    assert label_order([10, 9, True, "b", "normal", "a"]) == [1, 9, 10, "normal", "a", "b"]
    numbers = class_report(frame_of([0, 1] * 9, [0, 0] * 9, probability_1=0.5), **QUICK)
    assert {"recall_0", "recall_1"} <= set(numbers["metric"])
    assert estimates(numbers)["auroc"] == 0.5


def test_order_of_rows_changes_nothing():
    """The report belongs to the slices, not to their order."""
    frame = random_frame()
    mixed = frame.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(class_report(frame, **QUICK), class_report(mixed, **QUICK))


@pytest.mark.parametrize(
    "change, how, message",
    [
        ({"label": None}, {}, "column 'label': 81 of 81 rows have no label, but expected a label in every row"),
        ({"prediction": np.nan}, {}, "column 'prediction': 81 of 81 rows have no label"),
        ({}, {"labels": NAMES[:2]}, "but expected one of .'normal', 'epidural'."),
        ({}, {"labels": [*NAMES, "multi"]}, "two labels or more, each once"),
        ({"label": "multi", "prediction": "multi"}, {}, "the labels are .'multi'., but expected two labels or more"),
        ({}, {"truth": "kind"}, "lacks the column.s. 'kind'"),
        ({"split": ["train"] + ["test"] * 80}, {}, "the rows are of 2 splits"),
        ({}, {"seed": -1}, "seed is -1"),
    ],
)
def test_report_refuses(change, how, message):
    """Rows without label, unknown labels, one label alone, mixed splits: a sentence each."""
    with pytest.raises(HemokitError, match=message):
        class_report(random_frame().assign(**change), **how)
    with pytest.raises(HemokitError, match="the predictions have no rows"):
        class_report(random_frame().iloc[:0])
    two = random_frame(names=["a", "b"]).assign(probability_b=1.5)
    with pytest.raises(HemokitError, match=r"column 'probability_b': 81 of 81 scores are not in \[0, 1\]"):
        class_report(two)


def test_model_table():
    """Rows are the reports in the order given; the papers' accuracies stand beside the models they had."""
    good, always = random_frame(), random_frame().assign(prediction="normal")
    table = model_table({"most_frequent": always, "random_forest": good}, **QUICK)
    assert table["model"].tolist() == ["most_frequent", "random_forest"]
    assert table["predicted_labels"].tolist() == ["1 of 4", "4 of 4"]
    report = class_report(good, **QUICK).set_index("metric")
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        found = table.loc[1, [metric, f"{metric}_low", f"{metric}_high"]].tolist()
        assert found == report.loc[metric, ["estimate", "low", "high"]].tolist()
    assert table.loc[0, "balanced_accuracy"] == pytest.approx(1 / 4)
    assert table["paper"].tolist() == ["", "0.425 (northeastern, six_class) or 0.115 (math7243, seven_class)"]
    assert table.loc[0, "note"].startswith("3 of 4 labels are true but never predicted")
    unused = model_table({"good": good}, labels=[*NAMES, "gone"], **QUICK).loc[0, "note"]
    assert "left out (gone); 1 of 5 labels are neither true nor predicted: left out (gone)" in unused
    assert "auroc" not in table
    shown = show_report(table)
    assert shown.loc[0, "balanced_accuracy"].startswith("0.25 [") and "accuracy_low" not in shown


def test_model_table_of_two_labels():
    """Two labels bring AUROC and AUPRC; a model without probabilities has none, and the note says why."""
    frame = random_frame(names=["normal", "hemorrhage"])
    ranked = frame.assign(probability_hemorrhage=np.linspace(0, 1, len(frame)))
    table = model_table({"ranked": ranked, "labels": frame}, **QUICK)
    assert table["auroc"].isna().tolist() == [False, True]
    assert "no column 'probability_hemorrhage'" in table.loc[1, "note"] and table.loc[0, "note"] == ""


def test_model_table_refuses():
    """Models of other slices or other truths are not comparable; a bad frame is named; nothing gives nothing."""
    frame = random_frame()
    with pytest.raises(HemokitError, match="'a' and 'b' differ in slices or true labels"):
        model_table({"a": frame, "b": frame.iloc[1:]})
    with pytest.raises(HemokitError, match="'a' and 'b' differ"):
        model_table({"a": frame, "b": frame.assign(label="multi")})
    with pytest.raises(HemokitError, match="model 'a': column 'prediction': 81 of 81"):
        model_table({"a": frame.assign(prediction=None)}, labels=NAMES)
    with pytest.raises(HemokitError, match="model 'a': the table lacks"):
        model_table({"a": frame.drop(columns="label")})
    assert model_table({}).empty


def test_baseline_text():
    """A model that no paper had, and the dummies, have no figure."""
    assert baseline_text("logistic_ovr") == "0.15 (math7243, seven_class)"
    assert baseline_text("svm_rbf") == "0.3826 (northeastern, six_class)"
    assert baseline_text("most_frequent") == baseline_text("logistic, tuned") == ""


def test_baseline_figure():
    """The same accuracies as numbers; NaN where a paper gives none; an F1 of 0.350 beside 0.337 is no micro F1."""
    assert baseline_figure("random_forest", "northeastern") == 0.425
    assert baseline_figure("random_forest", "math7243") == 0.115
    assert np.isnan([baseline_figure(*pair) for pair in (("svm_rbf", "math7243"), ("none", "renyard"))]).all()
    with pytest.raises(HemokitError, match="system is 'harvard'"):
        baseline_figure("lda", "harvard")
    rows = paper_rows("northeastern", task="six_class").pivot_table(index="model", columns="metric", values="value")
    assert (rows["micro_f1"].dropna() == rows["accuracy"][rows["micro_f1"].notna()]).all()
    assert rows.loc["LDA", "f1"] == 0.350 and np.isnan(rows.loc["LDA", "micro_f1"])


def test_confusion_pair():
    """Two heatmaps of the same slices; the titles show that the accuracy rose by dropping a label."""
    true = list("aaaaabbbcc")
    before, after = list("abcababcac"), list("aaaaabbaab")
    pair = plots.confusion_pair(true, before, after, list("abc"))
    assert [ax.get_title() for ax in pair] == [
        "before tuning\naccuracy 0.40, balanced 0.41\n3 of 3 labels predicted",
        "after tuning\naccuracy 0.70, balanced 0.56\n2 of 3 labels predicted",
    ]
    counts = reference.confusion_matrix(true, after, normalize="true")
    np.testing.assert_allclose(pair[1].images[0].get_array(), counts)
    with pytest.raises(HemokitError, match="the label 'd'"):
        plots.confusion_pair(true, before, ["d"] * 10, list("abc"))
    plt.close("all")
