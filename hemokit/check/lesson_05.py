"""The exercises of lesson 05."""

import numpy as np

from hemokit.check import Exercise, differs


def _both_f1(confusion):
    right, true, called = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    micro_f1 = 2 * right.sum() / (true.sum() + called.sum())
    return micro_f1, np.mean(2 * right / (true + called))


def tuned_score(score, patients, settings, seed):
    ids = np.random.default_rng(seed).permutation(np.unique(patients))
    test, validation, train = (np.isin(patients, part) for part in np.array_split(ids, 3))
    best = max(settings, key=lambda setting: score(train, validation, setting))
    return score(train | validation, test, best)


def broken_tuned_score(score, patients, settings, seed):
    test = np.random.default_rng(seed).random(len(patients)) < 0.25  # True: test
    return max(score(~test, test, setting) for setting in settings)


class _Recorder:
    """A `score` that notes who was asked for what; every answer is another one, drawn by what was asked."""

    def __init__(self, patients):
        self.patients, self.calls = patients, []

    def __call__(self, train, test, setting):
        train, test = (frozenset(self.patients[rows].tolist()) for rows in (train, test))
        if not train or not test:
            raise ValueError("score was given no rows to train on, or none to test on")
        value = np.random.default_rng([setting, *sorted(map(int, test)), 7, len(train)]).random()
        self.calls.append((train, test, setting, value))
        return value


def _judge_tuned_score(answer):
    patients = np.repeat([f"{number:03d}" for number in range(12)], 4)
    for seed in (0, 1, 2):
        record = _Recorder(patients)
        found = _tuned_badly(answer(record, patients.copy(), [1, 5, 15], seed), record.calls)
        if found:
            return found
    return None


def _tuned_badly(got, calls):
    """None, or what is wrong with a search that asked for `calls` and gave back `got`."""
    if not np.isscalar(got) or isinstance(got, str):
        return "the function should give back one score"
    for train, test, *_ in calls:
        if train & test:
            return f"{len(train & test)} of 12 patients have rows both in training and in what is judged"
    given = [call for call in calls if np.isclose(call[3], got)]
    if not given:
        return "what comes back is no score of one setting on one part"
    _, test, setting, _ = given[-1]
    asked = {call[2] for call in calls if call[1] & test}
    if len(asked) > 1:
        return f"the patients whose score comes back were asked about {len(asked)} settings: they helped to choose"
    others = {call[2]: call[3] for call in calls if not call[1] & test}
    if set(others) != {1, 5, 15}:
        return f"{len(others)} of 3 settings were tried on patients other than those of the test"
    if any(call[0] & test for call in calls):
        return "patients of the test were in training while the setting was chosen"
    return None if others[setting] == max(others.values()) else "another setting was better on the second part"


q05_1 = Exercise(
    "q05_1",
    judge=lambda answer, confusion: differs(
        answer, _both_f1(np.asarray(confusion)), "the pair (micro_f1, macro_f1)", tolerance=0.00051
    ),
    reference=lambda confusion: _both_f1(np.asarray(confusion)),
    clue="The diagonal holds the TP of each label; a row sums to TP + FN, a column to TP + FP.",
    code="""right, true, called = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
micro_f1 = 2 * right.sum() / (true.sum() + called.sum())
macro_f1 = np.mean(2 * right / (true + called))""",
)

q05_2 = Exercise(
    "q05_2",
    judge=_judge_tuned_score,
    reference=lambda: tuned_score,
    clue="np.array_split cuts shuffled patient ids into three parts; np.isin(patients, part) finds their rows.",
    code=tuned_score,
    stub=broken_tuned_score,
)

q05_3 = Exercise(
    "q05_3",
    judge=lambda answer, *given: differs(answer, _num_fits(*given), "the number of fits"),
    reference=lambda num_folds, inner_folds, num_settings: _num_fits(num_folds, inner_folds, num_settings),
    clue="Count the fits of one outer fold first: the search, and the last fit after it.",
    code="num_fits = num_folds * (num_settings * inner_folds + 1)",
)


def _num_fits(num_folds, inner_folds, num_settings):
    return num_folds * (num_settings * inner_folds + 1)
