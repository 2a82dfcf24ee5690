"""The exercises of lesson 00."""

import tempfile
from pathlib import Path

import pandas as pd

from hemokit.check import Exercise, differs

_TABLE = pd.DataFrame(
    {
        "patient_id": ["049", "049", "049", "050", "050", "051", "052"],
        "any": [0, 1, 1, 0, 0, 1, 0],
    }
)
_CSV = "patient_id,age_years\n049,31\n050,0.5\n130,72\n"


def positive_patients(table):
    per_patient = table.groupby("patient_id")["any"].max()
    return int(per_patient.sum())


def read_ages(path):
    return pd.read_csv(path, dtype={"patient_id": str})


def broken_read_ages(path):
    return pd.read_csv(path)


def _judge_patients(answer):
    none = _TABLE.assign(any=0)
    return differs(answer(_TABLE.copy()), 2, "the count for a table of 4 patients") or differs(
        answer(none), 0, "the count for a table without hemorrhage"
    )


def _judge_ages(answer):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ages.csv"
        path.write_text(_CSV, encoding="utf-8")
        ages = answer(path)
    if not isinstance(ages, pd.DataFrame) or not {"patient_id", "age_years"} <= set(ages.columns):
        return "the function should give back a table with the columns patient_id and age_years"
    ids = ages["patient_id"].tolist()
    if not all(isinstance(name, str) for name in ids):
        return f"the first patient_id is {ids[0]!r}, which is no text as in the slice table"
    return differs(ids, ["049", "050", "130"], "the list of patient ids") or differs(
        ages["age_years"].tolist(), [31, 0.5, 72], "the list of ages"
    )


q00_1 = Exercise(
    "q00_1",
    judge=lambda answer, table: differs(answer, table["any"].mean(), "the share", tolerance=5e-4),
    reference=lambda table: table["any"].mean(),
    clue="The column `any` is 0 or 1. What is the mean of a column of zeros and ones?",
    code='share = table["any"].mean()',
)

q00_2 = Exercise(
    "q00_2",
    judge=_judge_patients,
    reference=lambda: positive_patients,
    clue='A patient is positive when at least one slice is: table.groupby("patient_id") and the largest `any` of each.',
    code=positive_patients,
)

q00_3 = Exercise(
    "q00_3",
    judge=_judge_ages,
    reference=lambda: read_ages,
    clue="pandas guesses that 049 is a number. `dtype` tells it what a column is.",
    code=read_ages,
    stub=broken_read_ages,
)
