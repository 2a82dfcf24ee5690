"""The classical models by name.

    model = MODELS["svm_rbf"]
    estimator = model(seed=0, num_pixels=features.num_pixels, C=10)     # a scikit-learn estimator
    estimator.fit(features.of(model.needs)[train], labels[train])

Settings are the estimator's parameters, by scikit-learn's names (`get_params`); `grid` is a small one to tune on.
Neither paper states the settings of its classical models beyond what `source` says: where it says nothing they are
scikit-learn's or XGBoost's defaults, and a strength of shrinkage or a number of components is our choice.
"""

from collections.abc import Callable
from typing import NamedTuple

from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from hemokit.baselines.estimators import NamedXGB, RbfSVC, ShrunkQDA, shrunk_lda
from hemokit.checks import check_choice, problem


class Model(NamedTuple):
    """One entry of `MODELS`.

    `build(seed)` makes the estimator; `needs` is "coordinates" or "pixels" (see `Features`); `grid` maps parameters to
    the values to try; `source` says who used it, and how (their figures: `evaluation.papers.baseline_text`).
    """

    build: Callable
    needs: str
    grid: dict
    source: str

    def __call__(self, seed=0, num_pixels=None, **settings):
        """A fresh, unfitted estimator.

        Args:
            seed: of what is drawn at random (trees, "stratified").
            num_pixels: what coordinates stand for (`Features.num_pixels`); None where the columns are pixels.
            **settings: parameters of the estimator, as in `grid`.

        Raises:
            HemokitError: a setting that the estimator does not have.
        """
        estimator = self.build(seed)
        known = estimator.get_params()
        for name in settings:
            if name not in known:
                raise problem(f"the setting {name!r} was given", f"one of {', '.join(sorted(known))}", "Correct it.")
        counting = [name for name in known if name.split("__")[-1] == "num_pixels"]
        return estimator.set_params(**{**dict.fromkeys(counting, num_pixels), **settings})


def _logistic(seed):
    return LogisticRegression(solver="lbfgs", max_iter=1000)


def _pca_knn(seed):
    """All components are computed: a random solver would give other neighbors at every call."""
    return Pipeline([("pca", PCA(n_components=50, svd_solver="full")), ("knn", KNeighborsClassifier())])


def _forest(seed):
    return RandomForestClassifier(n_estimators=100, random_state=seed)


def _dummy(strategy):
    return lambda seed: DummyClassifier(strategy=strategy, random_state=seed)


MODELS = {
    "most_frequent": Model(_dummy("most_frequent"), "coordinates", {}, "no model: the most frequent class"),
    "stratified": Model(_dummy("stratified"), "coordinates", {}, "no model: classes at random, as frequent"),
    "logistic": Model(_logistic, "coordinates", {"C": [1e-4, 1e-2, 1.0]}, "northeastern; L2, lbfgs, multinomial"),
    "logistic_ovr": Model(
        lambda seed: OneVsRestClassifier(_logistic(seed)),
        *(
            "coordinates",
            {"estimator__C": [1e-4, 1e-2, 1.0]},
            "math7243; six binary models combined, how is not said; here one for each class",
        ),
    ),
    "lda": Model(
        lambda seed: shrunk_lda(),
        *("coordinates", {"covariance_estimator__shrinkage": [0.1, 0.5, 0.9]}),
        "northeastern; shrinkage is our choice",
    ),
    "qda": Model(
        lambda seed: ShrunkQDA(),
        *("coordinates", {"shrinkage": [0.1, 0.5, 0.9]}),
        "math7243, one window at a time, two classes; shrinkage is our choice",
    ),
    "knn": Model(lambda seed: KNeighborsClassifier(), "coordinates", {"n_neighbors": [1, 5, 15]}, "northeastern"),
    "pca_knn": Model(
        _pca_knn,
        *("coordinates", {"pca__n_components": [20, 50], "knn__n_neighbors": [5, 15]}),
        "math7243; 50 components are our choice",
    ),
    "svm_rbf": Model(lambda seed: RbfSVC(), "coordinates", {"C": [1.0, 10.0, 100.0]}, "northeastern, math7243"),
    "tree": Model(
        lambda seed: DecisionTreeClassifier(random_state=seed),
        *("pixels", {"max_depth": [4, 8, None], "min_samples_leaf": [1, 10]}, "math7243, subdural window"),
    ),
    "random_forest": Model(
        _forest, "pixels", {"max_depth": [8, None], "min_samples_leaf": [1, 5]}, "northeastern, math7243"
    ),
    "xgboost": Model(
        lambda seed: NamedXGB(random_state=seed),
        *("pixels", {"max_depth": [3, 6], "learning_rate": [0.1, 0.3]}, "northeastern"),
    ),
}


def model_named(name):
    """The `Model` of a name; HemokitError for a name that is not in `MODELS`."""
    return MODELS[check_choice(name, MODELS, "model_name")]
