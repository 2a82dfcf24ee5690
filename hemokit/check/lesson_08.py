"""The exercises of lesson 08."""

import numpy as np
import pandas as pd

from hemokit import splits
from hemokit.check import Exercise, differs


def to_jaccard(dice_loss):
    return 2 * dice_loss / (1 + dice_loss)


def rows_to_train(table, seed):
    table = splits.split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)
    train = splits.balance(table[table["split"] == "train"], seed=seed)
    return pd.concat([train, table[table["split"] != "train"].assign(copy=0)])


def broken_rows_to_train(table, seed):
    rows = splits.balance(table.assign(split="train"), seed=seed).drop(columns="split")
    part = np.random.default_rng(seed).random(len(rows))
    names = np.select([part < 0.6, part < 0.8], ["train", "validation"], "test")
    return rows.assign(split=names)


def _judge_jaccard(answer):
    for given in (np.linspace(0, 1, 9), np.float64(0.25), np.array([[1.0, 0.5], [0.0, 0.8]])):
        found = differs(answer(given.copy()), to_jaccard(given), f"the distance for Dice losses of shape {given.shape}")
        if found:
            return found
    return None


def _small_table():
    """Ten patients of eight slices, six of them with some hemorrhage."""
    rows = [
        (f"{patient}", f"{patient}_{k}", int(patient < 6 and k % 4 == 0)) for patient in range(10) for k in range(8)
    ]
    return pd.DataFrame(rows, columns=["patient_id", "slice_id", "any"])


def _judge_rows(answer):
    table = _small_table()
    for seed in (0, 3):
        found = _wrong_rows(answer(table.copy(), seed), table)
        if found:
            return found
    return None


def _wrong_rows(given, table):
    """None, or what is wrong with rows to train on, to choose and to test on."""
    if not isinstance(given, pd.DataFrame) or not {"slice_id", "patient_id", "split", "any"} <= set(given.columns):
        return "the function should give back rows with the columns of the table and the column split"
    if set(given["slice_id"]) != set(table["slice_id"]) or set(given["split"]) != set(splits.SPLITS):
        return "every slice should be in one of the three splits, and none of these may be empty"
    if _on_several_sides(given, "slice_id"):
        return "some slice stands on two sides of the split"
    if _on_several_sides(given, "patient_id"):
        return "no slice is on two sides now, but some patient is"
    others, train = given[given["split"] != "train"], given[given["split"] == "train"]
    if others["slice_id"].duplicated().any():
        return "some slice is counted more than once outside of the training rows"
    return differs(train["any"].mean(), 0.5, "the part of training rows with hemorrhage", tolerance=0.02)


def _on_several_sides(rows, column):
    """Whether a slice or a patient stands in more than one split."""
    return bool(rows[[column, "split"]].drop_duplicates()[column].duplicated().any())


q08_1 = Exercise(
    "q08_1",
    judge=_judge_jaccard,
    reference=lambda: to_jaccard,
    clue="With d = 1 - D and j = 1 - J: IoU and Dice of the same counts are J = D / (2 - D). Put 1 - d for D.",
    code=to_jaccard,
)

q08_2 = Exercise(
    "q08_2",
    judge=lambda answer: differs(
        answer, (0.8, 4 / 4096 / (4 / 4096 + 0.01)), "the pair (textbook, ours)", tolerance=6e-4
    ),
    reference=lambda: (1 - 1 / (4 + 1), (4 / 64**2) / (4 / 64**2 + 0.01)),
    clue="On an empty slice sum(t p) and sum(t) are 0, and sum(p) is 4. m is the mean over all 64 x 64 pixels.",
    code="textbook, ours = 1 - 1 / (4 + 1), (4 / 64**2) / (4 / 64**2 + 0.01)",
)

q08_3 = Exercise(
    "q08_3",
    judge=_judge_rows,
    reference=lambda: rows_to_train,
    clue="What must come first? splits.split_by_patient, and then splits.balance, of the training rows alone.",
    code=rows_to_train,
    stub=broken_rows_to_train,
)
