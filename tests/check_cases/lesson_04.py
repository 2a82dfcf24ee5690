"""Plausible wrong answers to the exercises of lesson 04."""

import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from check_cases import Case

ROWS = np.array([[0.0, 3, 0], [4, 0, 0], [0, 0, 1], [1, 1, 1]])
GRAM = ROWS @ ROWS.T
DISTANCES = np.linalg.norm(ROWS[:, None] - ROWS[None, :], axis=2)
PARTS = SelectKBest(k=50), StandardScaler(), LogisticRegression(max_iter=1000)


def pipeline_by_slice(X, y, patients):
    """Everything inside the fold, but the folds are by slice."""
    return cross_val_predict(make_pipeline(*PARTS), X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))


def chosen_before(X, y, patients):
    """By patient, but the pixels are chosen with all labels."""
    X = SelectKBest(k=50).fit_transform(X, y)
    return cross_val_predict(make_pipeline(*PARTS[1:]), X, y, groups=patients, cv=GroupKFold(5))


def scaled_before(X, y, patients):
    """By patient, but scaled with test slices."""
    X = StandardScaler().fit_transform(X)
    return cross_val_predict(make_pipeline(PARTS[0], PARTS[2]), X, y, groups=patients, cv=GroupKFold(5))


def always_normal(X, y, patients):
    return np.zeros_like(y)


def one_score(X, y, patients):
    return 0.5


CASES = {
    "q04_1": Case(given=(GRAM,), wrong=(DISTANCES, GRAM, np.diag(GRAM)[:, None] - 2 * GRAM, DISTANCES.tolist()[:2])),
    "q04_2": Case(given=(0.4, 0.9), wrong=(0.5, 0.1, 0.1 / 0.4, 0.4 / (0.4 + 0.1), 0.21)),
    "q04_3": Case(wrong=(pipeline_by_slice, chosen_before, scaled_before, always_normal, one_score)),
}
