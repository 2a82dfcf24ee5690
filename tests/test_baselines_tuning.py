"""The search for settings: on folds by patient, alike on one process and on a cluster, never on test rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from hemokit.baselines import searches
from hemokit.baselines.features import build_features
from hemokit.baselines.running import cross_predict, fold_table
from hemokit.baselines.searches import Score, Task, best_trial, search_settings
from hemokit.baselines.tuning import cross_predict_tuned, tune
from hemokit.checks import HemokitError
from hemokit.evaluation import class_report

NAMES = ["normal", "epidural", "subdural"]
GRID = {"n_neighbors": [1, 3, 5, 7]}


def table_of(num_patients=12, per_patient=8, names=NAMES, seed=0):
    """A slice table and 9x8 images whose brightness tells the label, with much noise."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"patient_id": np.repeat([f"{one:03}" for one in range(num_patients)], per_patient)})
    table["dataset"], table["scan_id"] = "phantom", table["patient_id"]
    table["slice_index"] = np.tile(np.arange(per_patient), num_patients)
    table["slice_id"] = table["patient_id"] + "_" + table["slice_index"].astype(str)
    codes = rng.integers(0, len(names), len(table))
    shapes = rng.random((len(names), 72))
    images = 0.5 * shapes[codes] + rng.random((len(table), 72))
    return table, np.rint(images / 1.5 * 255).astype(np.uint8), np.array(names)[codes]


@pytest.fixture(scope="module")
def case():
    """(features, labels, table) of three labels."""
    table, images, labels = table_of()
    return build_features(images), labels, table


@pytest.fixture(scope="module")
def two():
    """(features, labels, table) of two labels."""
    table, images, labels = table_of(names=["hemorrhage", "normal"])
    return build_features(images), labels, table


@pytest.fixture(scope="module")
def task(case):
    """A kNN on folds by patient."""
    features, labels, table = case
    numbers = fold_table(labels, table, num_folds=4)["fold"].to_numpy()
    folds = [(np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)) for fold in range(4)]
    return Task(KNeighborsClassifier(), features.coordinates, labels, folds, Score("balanced_accuracy"))


def test_grid_equals_scikit_learn(task):
    """Every setting has the scores of GridSearchCV, and the best one is the same."""
    trials = search_settings(task, GRID)
    search = GridSearchCV(task.estimator, GRID, scoring="balanced_accuracy", cv=task.folds)
    search.fit(task.matrix, task.labels)
    assert trials["settings"].tolist() == search.cv_results_["params"]
    np.testing.assert_allclose(trials["score"], search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(trials["fold_3"], search.cv_results_["split3_test_score"])
    assert best_trial(trials)["settings"] == search.best_params_
    assert trials["rows"].eq(96).all() and trials["note"].eq("").all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_halving_equals_scikit_learn(task):
    """Rounds, rows, scores and choice are those of HalvingGridSearchCV."""
    grid = {"n_neighbors": [1, 2, 3], "weights": ["uniform", "distance"], "p": [1, 2]}
    trials = search_settings(task, grid, method="halving", seed=5)
    search = HalvingGridSearchCV(
        task.estimator, grid, scoring="balanced_accuracy", cv=task.folds, random_state=5, factor=3
    )
    search.fit(task.matrix, task.labels)
    np.testing.assert_allclose(trials["score"], search.cv_results_["mean_test_score"])
    assert trials["rows"].tolist() == search.cv_results_["n_resources"].tolist()
    assert trials["round"].max() > 0 and best_trial(trials)["settings"] == search.best_params_


@pytest.mark.slow
def test_tpe(task):
    """Whole numbers stay whole and in range; the same seed draws the same; the scores are those of a grid."""
    space = {"n_neighbors": [1, 9], "weights": ["uniform", "distance"]}
    first, again = (search_settings(task, space, method="tpe", num_trials=12, seed=3) for _ in range(2))
    assert len(first) == 12 and first["settings"].tolist() == again["settings"].tolist()
    numbers = [one["n_neighbors"] for one in first["settings"]]
    assert all(type(one) is int and 1 <= one <= 9 for one in numbers) and len(set(numbers)) > 3
    best = best_trial(first)
    single = search_settings(task, {name: [value] for name, value in best["settings"].items()})
    assert best["score"] == single["score"].iloc[0] == first["score"].max()
    other = search_settings(task, space, method="tpe", num_trials=12, seed=4)
    assert other["settings"].tolist() != first["settings"].tolist()


def test_tpe_draws_between_the_values(two):
    """Far apart, numbers are drawn on a logarithmic scale; None and words are taken as they are."""
    features, labels, table = two
    tuned = tune("svm_rbf", features, labels, table, method="tpe", grid={"C": [0.01, 100]}, num_trials=12, num_folds=2)
    drawn = np.array([one["C"] for one in tuned.trials["settings"]])
    assert (drawn >= 0.01).all() and (drawn <= 100).all() and (drawn < 1).any() and (drawn > 1).any()
    grid = {"max_depth": [2, None], "criterion": ["gini"]}
    tuned = tune("tree", features, labels, table, method="tpe", grid=grid, num_trials=6, num_folds=2)
    assert {one["max_depth"] for one in tuned.trials["settings"]} == {2, None}
    assert {one["criterion"] for one in tuned.trials["settings"]} == {"gini"}


@pytest.mark.parametrize("values", [[1, 4], [1, 12]])
def test_tpe_draws_whole_numbers_evenly(values):
    """Numbers at the ends are not drawn half as often: uniform, or as a logarithmic scale has it."""
    pytest.importorskip("hyperopt")
    from hyperopt.pyll.stochastic import sample

    rng, space = np.random.default_rng(0), searches._space({"n": values})
    drawn = [searches._value(values, sample(space, rng)["n"]) for _ in range(1500)]
    whole = np.arange(1, values[1] + 1)
    widths = np.diff(np.log(np.arange(0.5, values[1] + 1))) if values[1] >= 10 else np.ones(len(whole))
    found = [drawn.count(one) / 1500 for one in whole]
    np.testing.assert_allclose(found, widths / widths.sum(), atol=0.04)
    assert found[0] > 1.5 * found[1] if values[1] >= 10 else min(found) > 0.2


def test_last_round_without_a_score(case, monkeypatch):
    """The best of the round before is taken, never of an earlier one with a higher score, and a note says so."""
    trials = pd.DataFrame({"settings": [{"n_neighbors": one} for one in (1, 3, 5, 7)]})
    trials = trials.assign(score=[0.9, 0.5, 0.6, np.nan], round=[0, 1, 1, 2], rows=[9, 27, 27, 96])
    assert best_trial(trials)["settings"] == {"n_neighbors": 5}
    monkeypatch.setattr("hemokit.baselines.tuning.search_settings", lambda *args, **how: trials)
    tuned = tune("knn", *case, method="halving", grid=GRID)
    note = "no setting of round 2 of halving has a score: the best of round 1 is taken, which saw 27 of 96 rows"
    assert tuned.notes == (note,) and tuned.settings == {"n_neighbors": 5}
    nested = cross_predict_tuned("knn", *case, method="halving", grid=GRID, num_folds=2)
    starts = [one.split(" is taken")[0] for one in nested.attrs["notes"]]
    assert starts == [f"fold {fold}: {note.split(' is taken')[0]}" for fold in (0, 1)]


def test_number_of_fits(case, monkeypatch):
    """Nested tuning fits 5 folds x (9 settings x 3 inner folds) and once more for each fold: 140 times."""
    fits, original = [], KNeighborsClassifier.fit

    def counting(self, X, y):
        fits.append(len(y))
        return original(self, X, y)

    monkeypatch.setattr(KNeighborsClassifier, "fit", counting)
    grid = {"n_neighbors": [1, 3, 5], "p": [1, 2, 3]}
    cross_predict_tuned("knn", *case, grid=grid)
    assert len(fits) == 5 * 9 * 3 + 5 == 140
    fits.clear()
    tune("knn", *case, grid=grid)
    assert len(fits) == 9 * 5 + 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "halving", "tpe"])
def test_jobs_change_nothing(case, method):
    """Two processes find what one finds."""
    how = {"method": method, "grid": GRID, "num_folds": 3, "num_trials": 5 if method == "tpe" else None}
    one, two = (tune("knn", *case, num_jobs=jobs, **how) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.trials.drop(columns="seconds"), two.trials.drop(columns="seconds"))
    assert one.settings == two.settings


@pytest.mark.promises
def test_cluster_changes_nothing(case):
    """A Dask cluster of two processes finds what one process finds, by client and by address."""
    distributed = pytest.importorskip("distributed")
    how = {"grid": GRID, "num_folds": 3}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len(client.run(lambda: __import__("os").getpid())) == 2
        for method, num_trials in (("grid", None), ("halving", None), ("tpe", 4)):
            here = tune("knn", *case, method=method, num_trials=num_trials, **how)
            there = tune("knn", *case, method=method, num_trials=num_trials, dask_client=client, **how)
            pd.testing.assert_frame_equal(here.trials.drop(columns="seconds"), there.trials.drop(columns="seconds"))
            assert (here.settings, here.score) == (there.settings, there.score)
        nested = cross_predict_tuned("knn", *case, num_folds=2, grid=GRID, dask_client=client)
        pd.testing.assert_frame_equal(nested, cross_predict_tuned("knn", *case, num_folds=2, grid=GRID))
        by_address = tune("knn", *case, dask_client=cluster.scheduler_address, **how)
        assert by_address.settings == tune("knn", *case, **how).settings


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", 5])
def test_no_cluster(case, address):
    """An address without a scheduler is one sentence."""
    pytest.importorskip("distributed")  # before its configuration is changed for a while
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
        pytest.raises(HemokitError, match=f"dask_client is '?{address}.*expected a distributed.Client, or the address"),
    ):
        tune("knn", *case, dask_client=address, grid=GRID)


def test_tuned(case):
    """The best settings, their score, and a model that was fitted with them on all rows."""
    features, labels, table = case
    tuned = tune("knn", features, labels, table, grid=GRID, num_folds=3)
    assert tuned.score == tuned.trials["score"].max()
    assert tuned.estimator.n_neighbors == tuned.settings["n_neighbors"]
    assert tuned.estimator.n_samples_fit_ == len(labels)
    assert (tuned.estimator.predict(features.coordinates) == labels).mean() > 0.5
    ids = tune("knn", features, labels, table["patient_id"].tolist(), grid=GRID, num_folds=3)
    assert ids.settings in GRID_SETTINGS


GRID_SETTINGS = [{"n_neighbors": value} for value in GRID["n_neighbors"]]


@pytest.mark.parametrize("name", ["logistic", "lda", "qda", "pca_knn", "tree"])
def test_models_with_their_own_grids(case, name):
    """The grid of each model fits it; a setting that is given stays fixed."""
    tuned = tune(name, *case, num_folds=2, **({"C": 0.01, "grid": {}} if name == "logistic" else {}))
    assert tuned.trials["score"].notna().any()
    if name == "logistic":
        assert tuned.estimator.C == 0.01 and tuned.settings == {} and len(tuned.trials) == 1


def test_fixed_settings_leave_the_grid(case):
    """A setting that is given is not searched for; the rest of the model's own grid is."""
    tuned = tune("knn", *case, num_folds=2, n_neighbors=3)
    assert tuned.settings == {} and tuned.estimator.n_neighbors == 3 and len(tuned.trials) == 1
    tuned = tune("tree", *case, num_folds=2, max_depth=2)
    assert list(tuned.settings) == ["min_samples_leaf"] and tuned.estimator.max_depth == 2
    frame = cross_predict_tuned("knn", *case, num_folds=2, inner_folds=2, n_neighbors=3)
    assert frame.attrs["settings"] == {0: {"n_neighbors": 3}, 1: {"n_neighbors": 3}}
    plain = cross_predict("knn", *case, num_folds=2, n_neighbors=3)
    assert frame["prediction"].equals(plain["prediction"])


@pytest.mark.parametrize("function", [tune, cross_predict_tuned])
def test_fixed_settings_in_the_grid_are_refused(case, function, monkeypatch):
    """What is fixed and searched for at once is told before the first fit."""
    monkeypatch.setattr(KNeighborsClassifier, "fit", None)
    with pytest.raises(
        HemokitError, match="^'n_neighbors' is fixed at 3 and in the grid, but expected a setting in one"
    ):
        function("knn", *case, grid=GRID, n_neighbors=3)


def test_dummy_has_nothing_to_tune(case):
    """The dummies have an empty grid: one trial, by every method; always one label is one of three in balance."""
    for method in ("grid", "halving", "tpe"):
        tuned = tune("most_frequent", *case, method=method, num_folds=2)
        assert tuned.settings == {} and tuned.score == pytest.approx(1 / 3)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "macro_f1", "accuracy", "micro_f1", "auroc", "auprc"])
def test_score_is_that_of_the_report(two, scoring):
    """A scoring is the metric of that name in the report."""
    features, labels, table = two
    frame = cross_predict("knn", features, labels, table, num_folds=2)
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(features.coordinates[:48], labels[:48])
    rows, true = features.coordinates[48:], labels[48:]
    frame = frame.iloc[48:].assign(label=true, prediction=model.predict(rows))
    frame["probability_hemorrhage"] = model.predict_proba(rows)[:, 0]
    expected = class_report(frame, num_resamples=100).set_index("metric").loc[scoring, "estimate"]
    assert Score(scoring, "hemorrhage")(model, rows, true) == pytest.approx(expected)
    if scoring == "auroc":
        assert expected == pytest.approx(roc_auc_score(true == "hemorrhage", model.predict_proba(rows)[:, 0]))


@pytest.mark.parametrize("name", ["qda", "logistic", "svm_rbf", "random_forest"])
def test_ranking_is_that_of_the_report(two, name):
    """AUROC ranks by the decision function where there is one, as in the report: QDA's probabilities are 0 or 1."""
    features, labels, table = two
    own = table.assign(fold=np.repeat([0, 1], 48))
    frame = cross_predict(name, features, labels, own)
    tuned = tune(name, features, labels, own, grid={}, scoring="auroc")
    for fold in (0, 1):
        rows = frame[frame["fold"] == fold]
        report = class_report(rows, num_resamples=100).set_index("metric")
        assert tuned.trials[f"fold_{fold}"][0] == pytest.approx(report.loc["auroc", "estimate"])


def test_score_of_missing_labels():
    """Labels without slices are left out, in silence: no warning comes from it."""

    class Always:
        def predict(self, X):
            return np.array(["epidural"] * len(X))

    true = np.array(["normal", "epidural", "epidural"])
    assert Score("balanced_accuracy")(Always(), np.zeros((3, 1)), true) == balanced_accuracy_score(true, true) / 2
    expected = f1_score(true, ["epidural"] * 3, average="macro", zero_division=0)
    assert Score("macro_f1")(Always(), np.zeros((3, 1)), true) == pytest.approx(expected)


def test_patients_stay_together(case, monkeypatch):
    """No fit of the search sees a slice of a patient that it is judged on."""
    seen = []
    original = search_settings

    def spying(task, *args, **how):
        seen.append(task)
        return original(task, *args, **how)

    monkeypatch.setattr("hemokit.baselines.tuning.search_settings", spying)
    features, labels, table = case
    tune("knn", features, labels, table, grid=GRID, num_folds=4)
    patients = table["patient_id"].to_numpy()
    assert len(seen[0].folds) == 4
    for train, test in seen[0].folds:
        assert not set(patients[train]) & set(patients[test]) and len(train) + len(test) == len(labels)


def test_held_out_fold_is_never_seen(case, monkeypatch):
    """Whatever stands in the fold that is predicted, the same settings are chosen for it, on the other rows alone."""
    features, labels, table = case
    folds = fold_table(labels, table, num_folds=3)["fold"].to_numpy()
    table = table.assign(fold=folds)
    seen = []

    def spying(task, *args, **how):
        seen.append(task.matrix)
        return search_settings(task, *args, **how)

    monkeypatch.setattr("hemokit.baselines.tuning.search_settings", spying)
    frame = cross_predict_tuned("knn", features, labels, table, grid=GRID)
    for fold, matrix in enumerate(seen):
        np.testing.assert_array_equal(matrix, features.coordinates[folds != fold])
    wrong = labels.copy()
    wrong[folds == 0] = np.roll(wrong[folds == 0], 1)
    other = cross_predict_tuned("knn", features, wrong, table, grid=GRID)
    assert frame.attrs["settings"][0] == other.attrs["settings"][0]
    assert (frame["prediction"] == other["prediction"])[folds == 0].all()


def test_nested_predictions_are_judged(case):
    """Each fold has the predictions of its own settings, and the frame goes into the report as it is."""
    features, labels, table = case
    frame = cross_predict_tuned("knn", features, labels, table, num_folds=3, grid=GRID, weights="distance")
    assert list(frame.attrs["settings"]) == [0, 1, 2]
    for fold, settings in frame.attrs["settings"].items():
        assert settings["weights"] == "distance"
        plain = cross_predict("knn", features, labels, table, num_folds=3, **settings)
        rows = frame["fold"] == fold
        assert (frame["prediction"] == plain["prediction"])[rows].all()
    report = class_report(frame, num_resamples=100)
    assert report["split"].eq("folds").all() and report["n"].eq(len(labels)).all()


def test_refuses_test_rows(case):
    """Rows of the split "test" are refused in both; training and validation rows are fine."""
    features, labels, table = case
    split = table.assign(split=["train"] * 64 + ["validation"] * 16 + ["test"] * 16)
    for function in (tune, cross_predict_tuned):
        with pytest.raises(HemokitError, match="column 'split': 16 of 96 rows are of the split 'test'"):
            function("knn", features, labels, split, grid=GRID)
    fine = split.replace({"split": {"test": "train"}})
    assert tune("knn", features, labels, fine, grid=GRID, num_folds=2).settings in GRID_SETTINGS


def test_settings_that_cannot_be_fitted(case):
    """They have no score, the note tells why, and another one wins; without any other one it is an error."""
    tuned = tune("knn", *case, grid={"n_neighbors": [-1, 3]}, num_folds=2)
    assert tuned.settings == {"n_neighbors": 3} and np.isnan(tuned.trials["score"][0])
    assert tuned.trials["note"][0].startswith("not fitted: ") and "n_neighbors" in tuned.trials["note"][0]
    tuned = tune("qda", *case, method="tpe", grid={"shrinkage": [-0.5, 0.5]}, num_trials=9, num_folds=2)
    assert tuned.trials["score"].isna().any() and tuned.settings["shrinkage"] > 0
    for method in ("grid", "tpe"):
        how = {"method": method, "num_trials": 2 if method == "tpe" else None}
        with pytest.raises(HemokitError, match="none of the .* settings has a score .not fitted: .*n_neighbors"):
            tune("knn", *case, grid={"n_neighbors": [-2, -1]}, num_folds=2, **how)
    with pytest.raises(HemokitError, match="halving stopped .*n_neighbors"):
        tune("knn", *case, grid={"n_neighbors": [-2, -1]}, num_folds=2, method="halving")


def test_folds_without_ranking(two):
    """A fold with one label alone has no AUROC: it is left out and noted; with no other fold it is an error."""
    features, labels, table = two
    own = table.assign(fold=np.repeat([0, 1, 2], 32))
    some = np.where(own["fold"] == 2, "normal", labels)
    tuned = tune("knn", features, some, own, grid=GRID, scoring="auroc")
    assert tuned.notes == ("1 of 3 folds have one label alone: no auroc, left out",)
    assert "fold_1" in tuned.trials and "fold_2" not in tuned.trials
    own = table.assign(fold=np.repeat([0, 1, 2, 3], 24))
    alone = np.where(own["fold"] % 2 == 0, "normal", "hemorrhage")
    with pytest.raises(HemokitError, match="in no fold the rows have both labels"):
        tune("knn", features, alone, own, grid=GRID, scoring="auprc")


def test_one_label_in_training(two):
    """Nothing can be tuned with one label: an error for `tune`; a fold of `cross_predict_tuned` is not tuned."""
    features, labels, table = two
    own = table.assign(fold=np.repeat([0, 1], 48))
    one = np.where(own["fold"] == 1, "normal", labels)
    with pytest.raises(HemokitError, match="all training rows of fold 0 are 'normal', but expected at least two"):
        tune("knn", features, one, own, grid=GRID)
    frame = cross_predict_tuned("knn", features, one, own, grid=GRID, inner_folds=2)
    assert frame.attrs["settings"][0] == {} and frame["prediction"][frame["fold"] == 0].eq("normal").all()


@pytest.mark.parametrize(
    "how, message",
    [
        ({"method": "random"}, "method is 'random', but expected one of 'grid', 'halving', 'tpe'"),
        ({"scoring": "f1"}, "scoring is 'f1'"),
        ({"scoring": "auroc"}, "there are 3 labels, but expected two for 'auroc'"),
        ({"num_trials": 9}, "num_trials is 9 for 'grid', but expected None"),
        ({"method": "tpe", "num_trials": 0}, "num_trials is 0, but expected a whole number from 1"),
        ({"num_jobs": 0}, "num_jobs is 0, but expected a number of processes"),
        ({"grid": {"n_neighbors": []}}, "the grid has .. for 'n_neighbors'"),
        ({"grid": {"weights": "uniform"}}, "the grid has 'uniform' for 'weights'"),
        ({"grid": [1]}, "the grid is .1., but expected a dict"),
        ({"grid": {"depth": [1]}}, "the setting 'depth' was given"),
        ({"depth": 1}, "the setting 'depth' was given"),
        ({"num_folds": 13}, "12 patients for 13 parts"),
    ],
)
def test_refuses(case, how, message):
    """Settings that mean nothing are refused before the first fit."""
    with pytest.raises(HemokitError, match=message):
        tune("knn", *case, **{"grid": GRID, **how})


def test_packages_that_are_missing(case, monkeypatch):
    """Without hyperopt or distributed a sentence says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "hyperopt", None)
    with pytest.raises(HemokitError, match=r"hyperopt is not installed.*pip install 'hemokit\[baselines\]'"):
        tune("knn", *case, method="tpe", grid=GRID)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(HemokitError, match=r"distributed is not installed.*pip install 'hemokit\[dask\]'"):
        tune("knn", *case, dask_client="tcp://127.0.0.1:1", grid=GRID)
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    for method in ("grid", "halving"):
        with pytest.raises(HemokitError, match="^xgboost is not installed"):
            tune("xgboost", *case, method=method)


@pytest.mark.parametrize("method, unit", [("grid", "4/4"), ("halving", "2/2"), ("tpe", "5/5")])
def test_progress(case, capsys, method, unit):
    """One bar that ends full."""
    how = {"method": method, "num_trials": 5 if method == "tpe" else None, "grid": GRID, "num_folds": 2}
    tune("knn", *case, progress=True, **how)
    told = capsys.readouterr().err
    assert f"{method}: 100%" in told and unit in told
    tune("knn", *case, **how)
    assert capsys.readouterr().err == ""
    cross_predict_tuned("knn", *case, progress=True, **{**how, "num_folds": 3})
    told = capsys.readouterr().err
    assert "knn: 100%" in told and "3/3" in told and method not in told


@pytest.mark.parametrize("method", ["grid", "halving"])
def test_no_warnings_of_scores(case, method):
    """Settings that are fitted but cannot predict do not fill the screen; the trial's note tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = {"n_neighbors": [3, 5, 60, 70]}  # 60 of 48 training rows
        tuned = tune("knn", *case, grid=grid, num_folds=2, method=method)
    assert tuned.settings["n_neighbors"] in (3, 5)
    assert "no score in 2 of 2 folds" in set(tuned.trials["note"])


def test_constant_images_are_one_sentence(case):
    """The reason that no setting has a score is told without the name of an exception."""
    _, labels, table = case
    with pytest.raises(HemokitError, match="has a score .not fitted: QDA found no label with two different"):
        tune("qda", np.zeros((96, 72), np.uint8), labels, table, num_folds=2)


def test_no_warnings_of_fits(case):
    """A fit that stops early does not fill the screen; the last fit's own note tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = tune("logistic", *case, grid={"C": [1.0, 100.0]}, num_folds=2, max_iter=2)
    assert any("stopped before it converged" in note for note in tuned.notes)
