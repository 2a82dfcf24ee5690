"""Every model by name, and its answers on coordinates beside those of plain scikit-learn on pixels."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from hemokit.baselines.estimators import NamedXGB, RbfSVC, ShrunkQDA
from hemokit.baselines.features import build_features
from hemokit.baselines.models import MODELS, model_named
from hemokit.baselines.rotation import ExactRotation
from hemokit.checks import HemokitError

TIGHT = {"tol": 1e-10, "max_iter": 10_000}


def draw_slices(num_classes, num_rows=90, seed=0):
    """8-bit rows of 14 x 14 pixels whose classes differ in place, brightness and spread, and their names."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_rows) % num_classes
    centers, widths = rng.uniform(60, 190, (num_classes, 196)), np.array([32, 34, 40, 30])
    noise = rng.normal(0, 1, (num_rows, 12)) @ rng.normal(0, 1, (12, 196))
    values = 0.3 * centers[labels] + 85 + widths[labels][:, None] * (0.35 * noise + rng.normal(0, 0.4, (num_rows, 196)))
    names = np.array(["normal", "epidural", "multi", "subdural"])[:num_classes]
    return np.rint(values.clip(0, 255)).astype(np.uint8), names[labels]


# What a user of scikit-learn writes, on pixels.
PLAIN = {
    "logistic": (lambda: LogisticRegression(C=0.1, **TIGHT), {"C": 0.1, **TIGHT}),
    "logistic_ovr": (
        lambda: OneVsRestClassifier(LogisticRegression(C=0.1, **TIGHT)),
        {f"estimator__{name}": value for name, value in {"C": 0.1, **TIGHT}.items()},
    ),
    "lda": (
        lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3),
        {"covariance_estimator__shrinkage": 0.3},
    ),
    "qda": (lambda: QuadraticDiscriminantAnalysis(solver="eigen", shrinkage=0.3, tol=1e-12), {"shrinkage": 0.3}),
    "knn": (lambda: KNeighborsClassifier(n_neighbors=3), {"n_neighbors": 3}),
    "pca_knn": (
        lambda: make_pipeline(PCA(20, svd_solver="full"), KNeighborsClassifier()),
        {"pca__n_components": 20},
    ),
    "svm_rbf": (lambda: SVC(C=10, gamma="scale"), {"C": 10}),
}


QDA = ("qda", "decision_function")  # differences of log posteriors of hundreds, so that the relative error counts


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", PLAIN)
def test_answers_are_those_of_plain_scikit_learn(name, num_classes):
    """On rotated rows each model predicts, with the same scores, what scikit-learn does on float64 pixels."""
    if name == "qda" and "solver" not in QuadraticDiscriminantAnalysis().get_params():
        pytest.skip("this scikit-learn's QDA has no solver for fewer rows than pixels: it came with 1.8")
    pixels, labels = draw_slices(num_classes)
    train = np.arange(len(labels)) % 5 != 0
    features = build_features(pixels)
    build, how = PLAIN[name]
    plain = build().fit(pixels[train] / 255, labels[train])
    ours = MODELS[name](num_pixels=features.num_pixels, **how).fit(features.coordinates[train], labels[train])
    expected = plain.predict(pixels[~train] / 255)
    assert np.array_equal(ours.predict(features.coordinates[~train]), expected)
    assert len(set(expected)) > 1
    assert (expected == labels[~train]).mean() > 1.5 / num_classes
    for score in ("predict_proba", "decision_function"):
        if hasattr(plain, score):
            found = getattr(ours, score)(features.coordinates[~train])
            reference = getattr(plain, score)(pixels[~train] / 255)
            assert np.allclose(found, reference, rtol=1e-6, atol=0 if (name, score) == QDA else 1e-6)


@pytest.mark.parametrize("name", ["lda", "qda", "svm_rbf"])
def test_number_of_pixels_matters(name):
    """Without the number of pixels behind the coordinates three models would give other scores."""
    pixels, labels = draw_slices(3)
    features = build_features(pixels)
    scores = [
        MODELS[name](num_pixels=known).fit(features.coordinates, labels).decision_function(features.coordinates)
        for known in (None, features.num_pixels)
    ]
    assert not np.allclose(*scores, rtol=1e-3)


@pytest.mark.parametrize("name", ["lda", "qda", "svm_rbf", "knn", "logistic"])
def test_rotation_of_training_rows_alone(name):
    """A rotation fitted on training rows, with new rows transformed, predicts as one of all rows."""
    pixels, labels = draw_slices(3)
    features, rotation = build_features(pixels), ExactRotation()
    how = {"C": 0.1, **TIGHT} if name == "logistic" else {}  # lbfgs stops by tolerance, elsewhere in other axes
    together = MODELS[name](num_pixels=196, **how).fit(features.coordinates[:60], labels[:60])
    alone = MODELS[name](num_pixels=196, **how).fit(rotation.fit_transform(pixels[:60]), labels[:60])
    expected = together.predict_proba(features.coordinates[60:])
    assert np.allclose(alone.predict_proba(rotation.transform(pixels[60:])), expected, rtol=1e-6, atol=1e-6)


def test_qda_without_width():
    """A class of one row, or of equal rows, is left out by QDA; no width at all and no shrinkage are refused."""
    rows = np.array([[0.0, 1], [0, 2], [1, 0], [3, 0], [5, 5], [7, 7], [7, 7]])
    labels = np.array(["a", "a", "b", "b", "one", "same", "same"])
    model = ShrunkQDA().fit(rows, labels)
    assert model.left_out_ == ["one", "same"]
    assert np.allclose(model.predict_proba(rows)[:, 2:], 0) and set(model.predict(rows)) == {"a", "b"}
    with pytest.raises(
        HemokitError, match="QDA found no label with two different training rows, but expected slices that differ"
    ):
        ShrunkQDA().fit(rows[4:], labels[4:])
    with pytest.raises(HemokitError, match="shrinkage is 0"):
        ShrunkQDA(shrinkage=0).fit(rows, labels)


def test_qda_on_more_columns_than_pixels():
    """The empty last coordinate of `fit_transform` changes nothing, even where there are few pixels."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(30, 3)), np.arange(30) % 2
    padded = np.column_stack([rows, np.zeros(30)])
    expected = ShrunkQDA(num_pixels=3).fit(rows, labels).predict_proba(rows)
    assert np.allclose(ShrunkQDA(num_pixels=3).fit(padded, labels).predict_proba(padded), expected)


def test_rows_without_variance():
    """Equal rows give an SVM the gamma 1, as scikit-learn."""
    rows, labels = np.zeros((8, 3)), np.arange(8) % 2
    assert RbfSVC(num_pixels=9).fit(rows, labels).gamma_ == SVC(gamma="scale").fit(rows, labels)._gamma == 1


@pytest.mark.parametrize("labels", [np.array(["b", "a", "c"]), np.array([7, 3, 5])])
def test_xgboost_takes_any_labels(labels):
    """Strings and numbers that do not start at 0 come back as they were."""
    pytest.importorskip("xgboost")
    rows = np.repeat(np.eye(3, dtype=np.float32), 8, axis=0)
    model = NamedXGB(n_estimators=5).fit(rows, np.repeat(labels, 8))
    assert model.predict(rows).tolist() == np.repeat(labels, 8).tolist()
    assert model.predict_proba(rows).shape == (24, 3) and model.classes_.tolist() == sorted(labels.tolist())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_a_scikit_learn_estimator(name):
    """Its grid holds parameters, it can be cloned, and it says what it needs and who used it."""
    model = MODELS[name]
    estimator = clone(model(seed=3, num_pixels=99))
    parameters = estimator.get_params()
    assert set(model.grid) <= set(parameters) and model.needs in ("coordinates", "pixels") and model.source
    counting = [value for key, value in parameters.items() if key.split("__")[-1] == "num_pixels"]
    assert counting == ([99] if name in ("lda", "qda", "svm_rbf") else [])
    if name in ("stratified", "tree", "random_forest", "xgboost"):
        assert parameters["random_state"] == 3


def test_unknown_names():
    """A model or a setting that does not exist is named with what there is."""
    with pytest.raises(HemokitError, match="model_name is 'svm', but expected one of 'most_frequent'"):
        model_named("svm")
    with pytest.raises(HemokitError, match="the setting 'c' was given, but expected one of C,"):
        MODELS["logistic"](c=1)
