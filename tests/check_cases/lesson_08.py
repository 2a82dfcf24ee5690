"""Plausible wrong answers to the exercises of lesson 08."""

import numpy as np
import pandas as pd

from check_cases import Case
from hemokit import splits


def split_by_slice(table, seed):
    part = np.random.default_rng(seed).random(len(table))
    table = table.assign(split=np.select([part < 0.6, part < 0.8], ["train", "validation"], "test"))
    train = splits.balance(table[table["split"] == "train"], seed=seed)
    return pd.concat([train, table[table["split"] != "train"].assign(copy=0)])


def not_balanced(table, seed):
    return splits.split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)


def every_part_balanced(table, seed):
    table = splits.split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)
    parts = [splits.balance(rows.assign(split="train"), seed=seed) for _, rows in table.groupby("split")]
    return pd.concat(
        [part.assign(split=name) for part, name in zip(parts, ("test", "train", "validation"), strict=True)]
    )


def training_rows_alone(table, seed):
    table = splits.split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)
    return splits.balance(table[table["split"] == "train"], seed=seed)


CASES = {
    "q08_1": Case(
        wrong=(
            lambda dice_loss: dice_loss / (2 - dice_loss),
            lambda dice_loss: dice_loss,
            lambda dice_loss: 1 - dice_loss / (2 - dice_loss),
        )
    ),
    "q08_2": Case(wrong=((0.2, 0.089), (0.8, 4 / (4 + 0.01)), (1.0, 0.0))),
    "q08_3": Case(wrong=(split_by_slice, not_balanced, every_part_balanced, training_rows_alone)),
}
