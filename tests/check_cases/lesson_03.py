"""Plausible wrong answers to the exercises of lesson 03."""

import numpy as np
import pandas as pd

from check_cases import Case
from hemokit import splits

WRONG = pd.DataFrame(
    {
        "patient_id": ["049", "049", "050", "050", "051", "052", "052"],
        "split": ["train", "test", "train", "train", "test", "test", "train"],
    }
)
HAS = pd.DataFrame(
    [(1, 1, 0, 0, 0, 1), (1, 1, 1, 0, 0, 0), (0, 0, 0, 0, 0, 0), (1, 1, 0, 0, 1, 1), (1, 0, 0, 0, 0, 1)],
    columns=["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"],
)


def split_after_copies(table, seed):
    """By patient, but balanced before: the test holds copies."""
    positives = table[table["any"] == 1]
    copies = positives.sample(len(table) - 2 * len(positives), replace=True, random_state=seed)
    return splits.split_by_patient(pd.concat([table, copies]), fractions={"train": 0.8, "test": 0.2}, seed=seed)


def never_balanced(table, seed):
    return splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=seed)


def only_train_kept(table, seed):
    parts = never_balanced(table, seed)
    return splits.balance(parts[parts["split"] == "train"], seed=seed)


def slices_split_first(table, seed):
    """Split before the copies are made, but by slice."""
    rng = np.random.default_rng(seed)
    parts = table.assign(split=np.where(rng.random(len(table)) < 0.2, "test", "train"))
    train = splits.balance(parts[parts["split"] == "train"], seed=seed)
    return pd.concat([train, parts[parts["split"] == "test"]])


CASES = {
    "q03_1": Case(given=(WRONG,), wrong=(["049"], ["052", "049"], ["049", "050", "051", "052"], {"049": 2})),
    "q03_2": Case(wrong=(split_after_copies, never_balanced, only_train_kept, slices_split_first)),
    "q03_3": Case(given=(HAS, 3), wrong=(["epidural"], ["any", "epidural", "subdural"], ["SDH", "EDH"])),
}
