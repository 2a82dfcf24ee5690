"""The exercises of lesson 04."""

import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hemokit.check import Exercise, differs


def _squared(gram):
    lengths = gram.diagonal()
    return lengths[:, None] + lengths[None, :] - 2 * gram


def _break_even(sensitivity, specificity):
    return (1 - specificity) / (1 - specificity + sensitivity)


def _judge_break_even(answer, sensitivity, specificity):
    """The printed figures have two digits: an answer from these, and one of two digits itself, is right too."""
    exact = _break_even(sensitivity, specificity)
    rounded = _break_even(round(float(sensitivity), 2), round(float(specificity), 2))
    return differs(answer, exact, "the prevalence", tolerance=abs(rounded - exact) + 0.0051)


def evaluate(X, y, patients):
    model = make_pipeline(SelectKBest(k=50), StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_val_predict(model, X, y, groups=patients, cv=GroupKFold(5))


def broken_evaluate(X, y, patients):
    X = SelectKBest(k=50).fit_transform(X, y)
    X = StandardScaler().fit_transform(X)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(LogisticRegression(max_iter=1000), X, y, cv=folds)


def _slices(rng, num_patients, num_each, num_pixels):
    """Slices that show their patient and nothing else, coins for each patient, and the patients."""
    patients = np.repeat([f"{50 + number:03d}" for number in range(num_patients)], num_each)
    faces = np.repeat(rng.normal(size=(num_patients, num_pixels)), num_each, axis=0)
    coins = np.repeat(rng.permutation(np.arange(num_patients) % 2), num_each)
    return faces + 0.1 * rng.normal(size=faces.shape), coins, patients


def _accuracy_of_coins(answer, times, *sizes):
    """The mean accuracy on labels that cannot be predicted."""
    right = []
    for seed in range(times):
        X, y, patients = _slices(np.random.default_rng(seed), *sizes)
        right.append(np.mean(answer(X, y, patients) == y))
    return np.mean(right)


def _judge_evaluate(answer):
    with threadpool_limits(1):  # fits as small as these take many times as long where threads wait for each other
        return _evaluated_badly(answer)


def _evaluated_badly(answer):
    """None, or what is wrong; on few slices, so that one fold for each patient is no trouble either."""
    rng = np.random.default_rng(0)
    X, y, patients = _slices(rng, 12, 4, 60)
    X[:, :10] += 3 * y[:, None]  # these pixels tell
    found = np.asarray(answer(X.copy(), y.copy(), patients.copy()))
    if found.shape != y.shape:
        return f"for {len(y)} slices it gives an array of shape {found.shape}; one prediction a slice is wanted"
    if np.mean(found == y) < 0.8:
        return f"slices whose label is plain to see are predicted with an accuracy of {np.mean(found == y):.2f}"
    score = _accuracy_of_coins(answer, 3, 12, 4, 60)
    if score > 0.8:
        return f"coins thrown for each of 12 patients of 4 slices are predicted with an accuracy of {score:.2f}"
    score = _accuracy_of_coins(answer, 2, 24, 1, 1000)
    if score > 0.75:
        return f"coins of 24 patients of one slice of 1,000 pixels are predicted with an accuracy of {score:.2f}"
    return None if _slice_by_slice(answer) else "what a test slice is called changes with another test slice"


def _slice_by_slice(answer):
    """Whether a test slice is called the same when another slice of its patient (so of its fold) is changed."""
    for seed in range(2):
        X, y, patients = _slices(np.random.default_rng(seed), 8, 6, 60)
        X[:, :10] += 3 * y[:, None]
        changed = X.copy()
        changed[5] += 1e6  # the last slice of the first patient
        before, after = (np.asarray(answer(one, y, patients))[:5] for one in (X, changed))
        if (before != after).any():
            return False
    return True


q04_1 = Exercise(
    "q04_1",
    judge=lambda answer, gram: differs(answer, _squared(gram), "the matrix of squared distances"),
    reference=_squared,
    clue="|a - b|^2 = |a|^2 + |b|^2 - 2 a.b, and the squared lengths |a|^2 stand on the diagonal of `gram`.",
    code="""lengths = gram.diagonal()  # squared lengths of the rows
squared = lengths[:, None] + lengths[None, :] - 2 * gram""",
)

q04_2 = Exercise(
    "q04_2",
    judge=_judge_break_even,
    reference=_break_even,
    clue="Of all slices, prevalence * sensitivity + (1 - prevalence) * specificity are right; the dummy has "
    "1 - prevalence. Set them equal.",
    code="prevalence = (1 - specificity) / (1 - specificity + sensitivity)",
)

q04_3 = Exercise(
    "q04_3",
    judge=_judge_evaluate,
    reference=lambda: evaluate,
    clue="Put the three steps into one make_pipeline, hand the unchanged X to cross_val_predict, and let GroupKFold "
    "keep the slices of a patient together (groups=patients).",
    code=evaluate,
    stub=broken_evaluate,
)
