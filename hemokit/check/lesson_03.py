"""The exercises of lesson 03."""

import numpy as np
import pandas as pd

from hemokit import splits
from hemokit.check import Exercise, differs
from hemokit.labels import SUBTYPES


def _small_table():
    """Ten patients of five slices; every second patient has two positive ones."""
    patients = [f"{50 + number:03d}" for number in range(10)]
    rows = [(patient, k, int(patient[-1] in "13579" and k > 2)) for patient in patients for k in range(5)]
    table = pd.DataFrame(rows, columns=["patient_id", "slice_index", "any"])
    return table.assign(scan_id=table["patient_id"], slice_id=[f"{patient}_{k:03d}" for patient, k, _ in rows])


def prepare(table, seed):
    parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=seed)
    train = splits.balance(parts[parts["split"] == "train"], seed=seed)
    return pd.concat([train, parts[parts["split"] == "test"]], ignore_index=True)


def broken_prepare(table, seed):
    positives = table[table["any"] == 1]
    copies = positives.sample(len(table) - 2 * len(positives), replace=True, random_state=seed)
    rows = pd.concat([table, copies], ignore_index=True)
    is_test = np.random.default_rng(seed).random(len(rows)) < 0.2
    return rows.assign(split=np.where(is_test, "test", "train"))


def _shared(table):
    num_splits = table.groupby("patient_id")["split"].nunique()
    return sorted(num_splits.index[num_splits > 1])


def _judge_prepare(answer):
    table = _small_table()
    for seed in (0, 1, 2):
        found = _prepared_badly(answer(table.copy(), seed), table)
        if found:
            return found
    return None


def _prepared_badly(rows, table):
    """None, or what is wrong with a prepared table."""
    if not isinstance(rows, pd.DataFrame) or not {"patient_id", "slice_id", "any", "split"} <= set(rows.columns):
        return "the function should give back the table with the column split"
    names = sorted(rows["split"].astype(str).unique())
    if names != ["test", "train"]:
        return f"the splits of a table of 10 patients are called {', '.join(names)}, but train and test are wanted"
    if _shared(rows):
        return f"of 10 patients {len(_shared(rows))} are on both sides"
    lost = set(table["slice_id"]) - set(rows["slice_id"])
    if lost:
        return f"{len(lost)} of {len(table)} slices are lost"
    train, test = (rows[rows["split"] == name] for name in ("train", "test"))
    if test["slice_id"].duplicated().any():
        return "a test slice stands there more than once"
    if not 0.1 <= test["patient_id"].nunique() / 10 <= 0.4:
        return f"the test has {test['patient_id'].nunique()} of 10 patients; about a fifth is wanted"
    if abs(train["any"].mean() - 0.5) > 0.05:
        return f"{train['any'].mean():.0%} of the training rows are positive, which is not balanced"
    if not set(train.loc[train["slice_id"].duplicated(), "any"]) <= {1}:
        return "normal slices were repeated, where only positive ones should be"
    return None


def _possible(has, num_folds):
    return [subtype for subtype in SUBTYPES if has[subtype].sum() >= num_folds]


def _judge_possible(answer, has, num_folds):
    if not isinstance(answer, list | tuple | set):
        return "a list of names of subtypes is wanted"
    unknown = [name for name in answer if name not in SUBTYPES]
    if unknown:
        return f"{unknown[0]!r} is no subtype here: write the full name, such as 'epidural'"
    wanted = set(_possible(has, num_folds))
    extra, missing = len(set(answer) - wanted), len(wanted - set(answer))
    if extra or missing:
        return f"{extra} of these subtypes cannot be in every fold, and {missing} that can are not listed"
    return None


q03_1 = Exercise(
    "q03_1",
    judge=lambda answer, table: differs(answer, _shared(table), "the list of patients"),
    reference=_shared,
    clue='In how many splits is a patient? table.groupby("patient_id")["split"] can count the different ones.',
    code="""num_splits = wrong.groupby("patient_id")["split"].nunique()
shared = sorted(num_splits.index[num_splits > 1])""",
)

q03_2 = Exercise(
    "q03_2",
    judge=_judge_prepare,
    reference=lambda: prepare,
    clue="splits.split_by_patient comes first. Then balance the training rows only, and put both parts together again.",
    code=prepare,
    stub=broken_prepare,
)

q03_3 = Exercise(
    "q03_3",
    judge=_judge_possible,
    reference=_possible,
    clue="A patient is in one fold only. How many patients do four folds need at the least? Sum a column of `has`.",
    code="possible = [subtype for subtype in SUBTYPES if has[subtype].sum() >= num_folds]",
)
