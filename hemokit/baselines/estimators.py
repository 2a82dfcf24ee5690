"""What scikit-learn lacks so that a fit on coordinates gives the answers of a fit on pixels.

Three formulas count pixels: the shrinkage of LDA and QDA divides a trace by their number, and the RBF kernel of
`gamma="scale"` their variance. On coordinates each must be told how many pixels these stand for: `num_pixels`. None
means that the columns are the pixels.
"""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import LabelEncoder
from sklearn.svm import SVC

from hemokit.checks import problem


class ShrunkCovariance(BaseEstimator):
    """Covariance with a part of it spread evenly over all pixels: (1 - shrinkage) * S + shrinkage * trace(S) / p * I.

    scikit-learn's formula with p = `num_pixels` instead of the number of columns.
    """

    def __init__(self, *, shrinkage=0.1, num_pixels=None):
        self.shrinkage = shrinkage
        self.num_pixels = num_pixels

    def fit(self, X, y=None):
        """Estimate `covariance_` (r, r) of rows (n, r)."""
        centered = X - X.mean(axis=0)
        covariance = centered.T @ centered / len(X)
        spread = self.shrinkage * np.trace(covariance) / (self.num_pixels or X.shape[1])
        self.covariance_ = (1 - self.shrinkage) * covariance + spread * np.eye(X.shape[1])
        return self


def shrunk_lda(shrinkage=0.1):
    """LDA with fixed shrinkage; its solver "svd" is not offered: it divides by the deviation of every single pixel."""
    return LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=ShrunkCovariance(shrinkage=shrinkage))


class ShrunkQDA(ClassifierMixin, BaseEstimator):
    """QDA with fixed shrinkage, as scikit-learn's `solver="eigen"` defines it, without any pixels x pixels matrix.

    Each class has the covariance (1 - shrinkage) * S + shrinkage * trace(S) / p * I, in all p directions: in those
    that its rows do not span it is the second term alone, and they count in distance and determinant. A class needs
    two different training rows: without them it has no width, and is left out (`left_out_`): it is never predicted
    and has probability 0.

    Args:
        shrinkage: above 0, to 1.
        num_pixels: p.
    """

    def __init__(self, *, shrinkage=0.1, num_pixels=None):
        self.shrinkage = shrinkage
        self.num_pixels = num_pixels

    def fit(self, X, y):
        """Fit a mean, directions and variances to each class of rows (n, r)."""
        if not 0 < self.shrinkage <= 1:
            remedy = "Without it the covariance of fewer rows than pixels has no inverse."
            raise problem(f"shrinkage is {self.shrinkage!r}", "a number above 0, to 1", remedy)
        X, y = np.asarray(X, float), np.asarray(y)
        self.n_features_in_ = X.shape[1]
        self.classes_, counts = np.unique(y, return_counts=True)
        self.log_priors_ = np.log(counts / len(y))
        self.parts_ = [self._fit_class(X[y == label]) for label in self.classes_]
        self.left_out_ = [label for label, part in zip(self.classes_, self.parts_, strict=True) if part is None]
        if len(self.left_out_) == len(self.classes_):
            came = "QDA found no label with two different training rows"
            raise problem(came, "slices that differ", "Look at the slices: are all of one color, or copies of one?")
        return self

    def decision_function(self, X):
        """Log posterior of each class up to a constant: (n, classes), or their difference (n,) for two classes."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X):
        """Posterior probabilities (n, classes); with many pixels nearly always 0 or 1."""
        return softmax(self._scores(X), axis=1)

    def predict(self, X):
        """The class with the highest posterior."""
        return self.classes_[self._scores(X).argmax(axis=1)]

    def _fit_class(self, rows):
        """(mean, directions, their variances, variance elsewhere, log determinant) or None without any width."""
        mean = rows.mean(axis=0)
        centered = rows - mean
        total = np.square(centered).sum() / len(rows)
        if total <= 1e-20 * max(np.square(mean).sum(), 1e-20):
            return None
        num_pixels = self.num_pixels or rows.shape[1]
        _, lengths, directions = np.linalg.svd(centered, full_matrices=False)
        lengths, directions = lengths[:num_pixels], directions[:num_pixels]
        elsewhere = self.shrinkage * total / num_pixels
        variances = (1 - self.shrinkage) * lengths**2 / len(rows) + elsewhere
        log_determinant = np.log(variances).sum() + (num_pixels - len(variances)) * np.log(elsewhere)
        return mean, directions, variances, elsewhere, log_determinant

    def _scores(self, X):
        scores = np.full((len(X), len(self.classes_)), -np.inf)
        for place, part in enumerate(self.parts_):
            if part is None:
                continue
            mean, directions, variances, elsewhere, log_determinant = part
            away = np.asarray(X, float) - mean
            along = away @ directions.T
            rest = np.maximum(np.square(away).sum(axis=1) - np.square(along).sum(axis=1), 0)
            distance = (np.square(along) / variances).sum(axis=1) + rest / elsewhere
            scores[:, place] = self.log_priors_[place] - 0.5 * (distance + log_determinant)
        return scores


class RbfSVC(ClassifierMixin, BaseEstimator):
    """SVM with an RBF kernel, whose `gamma="scale"` is 1 / (p * variance of the training pixels).

    The variance is that of all training pixels together. On coordinates of `ExactRotation` it is known from the
    lengths of the rows and from their first coordinate. Rows without any variance get gamma 1, as in scikit-learn.
    The probabilities are no calibrated ones: they are the logistic function, or with several classes the softmax, of
    the decision function. They rank slices as it does.

    Args:
        C, gamma, class_weight: as `sklearn.svm.SVC`.
        num_pixels: p; None takes the columns as pixels.
        cache_size: of the kernel, in MB.
    """

    def __init__(self, *, C=1.0, gamma="scale", class_weight=None, num_pixels=None, cache_size=200):
        self.C = C
        self.gamma = gamma
        self.class_weight = class_weight
        self.num_pixels = num_pixels
        self.cache_size = cache_size

    def fit(self, X, y):
        """Fit on rows (n, r) and at least two classes."""
        self.gamma_ = self._scaled_gamma(X) if self.gamma == "scale" else self.gamma
        how = {"C": self.C, "class_weight": self.class_weight, "cache_size": self.cache_size}
        self.svc_ = SVC(kernel="rbf", gamma=self.gamma_, **how).fit(X, y)
        self.classes_, self.n_features_in_ = self.svc_.classes_, self.svc_.n_features_in_
        return self

    def decision_function(self, X):
        """As `SVC`: (n,) for two classes, else (n, classes), one against the rest."""
        return self.svc_.decision_function(X)

    def predict(self, X):
        """As `SVC`."""
        return self.svc_.predict(X)

    def predict_proba(self, X):
        """The decision function between 0 and 1: (n, classes), rows of sum 1."""
        scores = self.decision_function(X)
        scores = np.column_stack([np.zeros_like(scores), scores]) if scores.ndim == 1 else scores
        return softmax(scores, axis=1)

    def _scaled_gamma(self, X):
        X = np.asarray(X, float)
        if self.num_pixels is None:
            total = X.shape[1] * X.var()
            return 1 / total if total else 1.0  # scikit-learn's rule
        lengths, mean_sum = np.square(X).sum() / len(X), X[:, 0].mean()  # of the rows' sums, over sqrt(p)
        total = lengths - mean_sum**2
        return 1 / total if total > 1e-12 * max(lengths, 1e-300) else 1.0  # what is below is rounding


class NamedXGB(ClassifierMixin, BaseEstimator):
    """XGBoost's classifier for labels of any kind: it takes 0 .. k - 1 alone, with each of them in training.

    Args:
        n_estimators, max_depth, learning_rate, subsample: as `xgboost.XGBClassifier`, with its defaults.
        n_jobs: threads.
        random_state: whole number from 0.
    """

    def __init__(
        self, *, n_estimators=100, max_depth=6, learning_rate=0.3, subsample=1.0, n_jobs=1, random_state=0
    ):  # fmt: skip
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.subsample = subsample
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y):
        """Fit on rows (n, q) and at least two classes."""
        self.encoder_ = LabelEncoder().fit(y)
        self.classes_, self.n_features_in_ = self.encoder_.classes_, X.shape[1]
        XGBClassifier = self.check_installed()
        self.xgb_ = XGBClassifier(tree_method="hist", **self.get_params()).fit(X, self.encoder_.transform(y))
        return self

    @staticmethod
    def check_installed():
        """XGBoost's own class; HemokitError where the package is missing (a search asks before its first fit)."""
        try:
            from xgboost import XGBClassifier
        except ImportError as error:
            raise problem("xgboost is not installed", "it", "Run: pip install 'hemokit[baselines]'.") from error
        return XGBClassifier

    def predict(self, X):
        """The most probable class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        """Probabilities (n, classes)."""
        return self.xgb_.predict_proba(X)
