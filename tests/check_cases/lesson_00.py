"""Plausible wrong answers to the exercises of lesson 00."""

import pandas as pd

from check_cases import Case

TABLE = pd.DataFrame({"patient_id": ["001", "001", "002"], "any": [1, 0, 0]})

CASES = {
    "q00_1": Case(given=(TABLE,), wrong=(1, 0.5, 33.3)),
    "q00_2": Case(
        wrong=(
            lambda table: int(table["any"].sum()),  # slices, not patients
            lambda table: table["patient_id"].nunique(),  # all patients
            lambda table: table.groupby("patient_id")["any"].max(),  # never summed
            lambda table: 11,  # counted by hand in the lesson's table
        )
    ),
    "q00_3": Case(
        wrong=(
            lambda path: pd.read_csv(path).astype({"patient_id": str}),  # too late: the zero is gone
            lambda path: pd.read_csv(path, dtype=str),  # the ages become text
        )
    ),
}
