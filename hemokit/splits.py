"""Splits by patient: nothing of a patient is ever on two sides.

The order is: split, then balance (training rows only), then train. `check_no_leakage` looks for what a split by
patient cannot see: the same image under two patients' names. It stands in `leaks`, and is public here as well.
"""

import csv
from numbers import Integral

import numpy as np
import pandas as pd

from hemokit.checks import check_binary, check_columns, problem
from hemokit.files import write_whole
from hemokit.formats.csv_files import read_csv
from hemokit.labels import ANY, seven_way
from hemokit.leaks import check_no_leakage, check_patients, find_leaks
from hemokit.tables import Account, account

__all__ = [
    "SPLITS",
    "balance",
    "check_no_leakage",
    "find_leaks",
    "folds_by_patient",
    "read_folds",
    "split_by_patient",
    "write_folds",
]

SPLITS = ("train", "validation", "test")


def split_by_patient(table, *, fractions=(0.7, 0.15, 0.15), seed=0):
    """Give every patient to one of train, validation and test.

    Patients with and without hemorrhage are shared out separately, so that both kinds are in each part in about
    the same proportion. The outcome depends on the set of patients and the seed, not on the order of the rows.

    Args:
        table: a slice table (columns patient_id and any).
        fractions: of the patients, for (train, validation, test); or a dict with some of these names. They
            sum to 1, and each part gets at least one patient.
        seed: of the shuffle, a whole number from 0.

    Returns:
        a copy of the table with the column `split`.

    Raises:
        HemokitError: patient ids that are missing or no strings; fewer patients than parts; fractions that do not
            sum to 1; no seed; a table that was balanced before.
    """
    fractions = check_fractions(fractions)
    parts = _deal(_patients(table), list(fractions.values()), seed)
    names = np.array(list(fractions), dtype=object)
    return _with_column(table, "split", table["patient_id"].map({key: names[part] for key, part in parts.items()}))


def folds_by_patient(table, *, num_folds=5, seed=0):
    """Give every patient to one of the folds 0 .. num_folds - 1, for cross-validation.

    For fold k, test on the rows with fold == k and train on the others. As in `split_by_patient`, patients with
    hemorrhage are shared out evenly and the order of the rows does not matter.

    Returns:
        a copy of the table with the int column `fold`.

    Raises:
        HemokitError: patient ids that are missing or no strings; fewer patients than folds; fewer than 2 folds;
            no seed; a balanced table.
    """
    if not isinstance(num_folds, Integral) or num_folds < 2:
        raise problem(f"num_folds is {num_folds!r}", "a whole number of 2 or more", "Five folds are usual.")
    folds = _deal(_patients(table), [1 / num_folds] * num_folds, seed)
    return _with_column(table, "fold", table["patient_id"].map(folds).astype(int))


def write_folds(table, path):
    """Write the folds of a table as CSV (patient_id, fold), whole or not at all, so that others can use the same."""
    check_columns(table, ["patient_id", "fold"])
    check_no_leakage(table, split="fold")
    rows = table[["patient_id", "fold"]].drop_duplicates().sort_values("patient_id")
    with write_whole(path) as stream:
        csv.writer(stream, lineterminator="\n").writerows([("patient_id", "fold"), *rows.itertuples(index=False)])


def read_folds(table, path):
    """Return a copy of the table with the column `fold` from a file of `write_folds`.

    Raises:
        HemokitError: the file's patients are not exactly the table's; a fold that is no whole number.
    """
    patients = set(_patients(table).index)
    rows = read_csv(path, columns=["patient_id", "fold"], unique="patient_id")
    wrong = rows[~rows["fold"].str.fullmatch("[0-9]{1,4}")]
    if len(wrong):
        raise problem(
            f"fold is {wrong['fold'].iloc[0]!r}", "a whole number from 0", "Correct it.",
            file=path, row=wrong.index[0], column="fold",
        )  # fmt: skip
    unknown, without = sorted(set(rows["patient_id"]) - patients), sorted(patients - set(rows["patient_id"]))
    if unknown or without:
        raise problem(
            f"{len(unknown)} of its patients are not in the table {unknown[:3]} "
            f"and {len(without)} patients of the table are not in it {without[:3]}",
            "the same patients in both",
            "These folds are for another version of the data: make new ones with folds_by_patient.",
            file=path,
        )
    folds = dict(zip(rows["patient_id"], rows["fold"].astype(int), strict=True))
    return _with_column(table, "fold", table["patient_id"].map(folds).astype(int))


def balance(table, *, by=ANY, seed=0):
    """Repeat the slices of a training table that there are fewer of, until there are as many of each kind.

    All slices of a kind are repeated the same number of times; a random part of them once more. The copies keep their
    slice_id and differ in the new column `copy` (0 is the slice itself). So the result is training material and no
    slice table any more: (slice_id, copy) is unique, slice_id is not, and `check_slice_table` refuses it.

    Args:
        table: a table with the column split, in which every row is of the split "train".
        by: "any" repeats positive slices until there are as many as normal ones (normal ones are never repeated);
            "class" those of each of the seven classes (`labels.seven_way`), or any other column those of each of its
            values, until there are as many as of the most frequent. A class without a slice stays without.
        seed: of the choice of slices that are repeated once more.

    Returns:
        the rows in order, each with its copies behind it; attrs["account"] counts the copies among the rows that
        came in, and says in a note how many they are. A table that is balanced already comes back with copy = 0.

    Raises:
        HemokitError: rows without a split or of another one than train; no positive slice; a row without a value in
            the column `by`; already balanced.
    """
    check_columns(table, ["slice_id", *([] if by == "class" else [by])])
    _check_seed(seed)
    _check_balance_allowed(table)
    repeats, rng = np.ones(len(table), int), np.random.default_rng(seed)
    for rows, wanted in _kinds(table, by):
        repeats[rows] = wanted // len(rows)
        repeats[rng.choice(rows, wanted % len(rows), replace=False)] += 1
    balanced = table.iloc[np.repeat(np.arange(len(table)), repeats)].reset_index(drop=True)
    first = np.repeat(np.cumsum(repeats) - repeats, repeats)
    balanced["copy"] = np.arange(len(balanced)) - first
    what = "positive slices" if by == ANY else f"slices of each {by}"
    balanced.attrs = {**table.attrs, "account": _account_with_copies(account(table), len(table), len(balanced), what)}
    return balanced


def _kinds(table, by):
    """The kinds of slices to repeat: pairs (numbers of their rows, how many are wanted)."""
    if by == ANY:
        positive = np.flatnonzero(check_binary(table[ANY].to_numpy(), "the column any"))
        if len(table) and not len(positive):
            raise problem("there is no positive slice", "at least one to repeat", "Look at the split: column any.")
        return [(positive, max(len(table) - len(positive), len(positive)))] if len(positive) else []
    codes, names = pd.factorize(seven_way(table) if by == "class" else table[by], sort=True)
    if (codes < 0).any():
        came = f"{int((codes < 0).sum())} of {len(table)} rows have no value"
        raise problem(came, "one in each row", "Fill it, or leave these rows out.", column=by)
    kinds = [np.flatnonzero(codes == code) for code in range(len(names))]
    return [(rows, max(map(len, kinds))) for rows in kinds]


def _account_with_copies(before, num_slices, num_rows, what):
    """The account of a balanced table: the copies came in and are used, so that it fits the number of its rows."""
    if before.rows_used != num_slices:  # it counted something else than the rows of this table
        before = Account(num_slices, num_slices, notes=before.notes)
    copies = num_rows - num_slices
    note = (
        f"{copies} copies of {what} added to balance the training rows (copy > 0): "
        f"{num_rows} rows of {num_slices} slices"
    )
    return before._replace(rows_in=before.rows_in + copies, rows_used=num_rows, notes=(*before.notes, note))


def _check_balance_allowed(table):
    if "copy" in table.columns:
        raise problem("the table has a column 'copy'", "a table not balanced before", "Balance the split table once.")
    if "split" not in table.columns:
        raise problem(
            "the table has no column 'split'",
            "a table that was split",
            "Split first, then balance the training rows: copies made before a split end up on both sides.",
        )
    other = table["split"][table["split"] != "train"]
    if len(other):
        raise problem(
            f"{len(other)} of {len(table)} rows are of the split {other.iloc[0]!r}",
            "training rows only",
            "Balance table[table['split'] == 'train']; validation and test keep the true proportions.",
        )


def check_fractions(fractions):
    """Return fractions as a dict of split names, in the order of SPLITS."""
    if not np.iterable(fractions) or isinstance(fractions, str):
        raise problem(f"fractions is {fractions!r}", "three numbers, or a dict", "Pass (0.8, 0.1, 0.1).")
    if not isinstance(fractions, dict):
        fractions = list(fractions)
        if len(fractions) != len(SPLITS):
            raise problem(
                f"fractions has {len(fractions)} values", "three, for train, validation and test",
                "For fewer parts pass a dict such as {'train': 0.8, 'test': 0.2}.",
            )  # fmt: skip
        fractions = dict(zip(SPLITS, fractions, strict=True))
    unknown = [name for name in fractions if name not in SPLITS]
    if unknown:
        raise problem(f"fractions names {unknown[0]!r}", f"names among {', '.join(SPLITS)}", "Rename this part.")
    try:
        values = np.array([float(value) for value in fractions.values()])
    except (TypeError, ValueError):
        raise problem(f"fractions are {fractions}", "numbers", "Write 0.8 for 80 %.") from None
    if not (values > 0).all() or not np.isclose(values.sum(), 1):
        raise problem(
            f"fractions are {fractions} with the sum {values.sum():g}",
            "fractions above 0 that sum to 1",
            "Leave a part out by leaving its name out of the dict.",
        )
    return {name: float(fractions[name]) for name in SPLITS if name in fractions}


def _check_seed(seed):
    """Raise without a seed that gives the same outcome each time (None would give another one)."""
    if not isinstance(seed, Integral) or seed < 0:
        raise problem(f"seed is {seed!r}", "a whole number from 0", "Write down the seed: others can split alike.")


def _patients(table):
    """Whether each patient has hemorrhage: bool Series by patient_id, sorted, after all checks."""
    check_columns(table, ["patient_id", ANY])
    check_patients(table)
    if "copy" in table.columns:
        raise problem(
            "the table was balanced: it has a column 'copy'",
            "one row per slice",
            "Split first, then balance the training rows.",
        )
    positive = pd.Series(check_binary(table[ANY].to_numpy(), "the column any"), index=table["patient_id"].to_numpy())
    return positive.groupby(level=0).any()  # sorted by patient_id


def _deal(patients, fractions, seed):
    """Deal patients to parts like cards: dict patient -> number of its part.

    The sizes of the parts are fixed first (largest remainder, at least 1 each). Then the positive patients, and
    after them the others, go one by one to the part that lags most behind its share.
    """
    _check_seed(seed)
    if len(patients) < len(fractions):
        raise problem(
            f"there are {len(patients)} patients for {len(fractions)} parts",
            "at least one patient a part",
            "Use more patients or fewer parts; slices of one patient are never shared out.",
        )
    quota = _sizes(len(patients), np.array(fractions))
    rng = np.random.default_rng(seed)
    order = [*rng.permutation(patients.index[patients]), *rng.permutation(patients.index[~patients])]
    dealt, parts = np.zeros(len(quota), int), {}
    for number, patient in enumerate(order, start=1):
        lag = np.where(dealt < quota, quota * number / len(patients) - dealt, -np.inf)
        parts[patient] = int(lag.argmax())
        dealt[parts[patient]] += 1
    return parts


def _sizes(total, fractions):
    """Whole numbers of at least 1 that sum to `total` and are nearest to fractions * total."""
    sizes = np.maximum(np.floor(fractions * total + 1e-9).astype(int), 1)
    while sizes.sum() != total:
        lag = fractions * total - sizes
        if sizes.sum() < total:
            sizes[lag.argmax()] += 1
        else:
            sizes[np.where(sizes > 1, lag, np.inf).argmin()] -= 1
    return sizes


def _with_column(table, name, values):
    table = table.copy()
    table[name] = values.to_numpy()
    return table
