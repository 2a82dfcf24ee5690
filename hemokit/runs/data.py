"""From a folder (or the phantom) to a slice table that is split by patient, with every row accounted for."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import counted, problem
from hemokit.datasets import find_dataset, open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.labels import ANY
from hemokit.manifests import is_phantom
from hemokit.splits import SPLITS, check_fractions, folds_by_patient, split_by_patient
from hemokit.tables import Account, Drop, account

PHANTOM_SEED = 0  # the same heads whatever the seed of the training, so that runs with other seeds can be compared


class Data(NamedTuple):
    """A slice table, its layout, and in words what the data are ("a synthetic phantom (ct_ich_jpg, 40 patients)").

    `drawn` is the number of patients of the built-in phantom, None for a folder. `name` is short, for tables:
    "phantom (synthetic), ct_ich_jpg".
    """

    table: pd.DataFrame
    layout: str
    is_phantom: bool
    described: str
    drawn: int | None = None

    @property
    def name(self):
        return f"{'phantom (synthetic)' if self.is_phantom else 'real data'}, {self.layout}"


def open_data(root=None, *, patients=40, progress=None):
    """Read the slice table of a folder; without one, of a phantom that is written once and kept.

    Args:
        root: folder of a data set, or None.
        patients: of the phantom.
        progress: show bars.
    """
    drawn = patients if root is None else None
    if root is None:
        root = phantom_root("ct_ich_jpg", num_patients=patients, seed=PHANTOM_SEED, progress=bool(progress))
    layout, inside = find_dataset(root)
    table = open_dataset(inside, layout)
    if not len(table):
        raise problem(f"no slice can be used ({account(table)})", "at least one", "See what was left out, and why.")
    synthetic = is_phantom(inside)
    known = table["patient_id"].dropna().nunique()
    count = counted(known, "patient") if known else f"{counted(len(table), 'slice')} of unknown patients"
    described = f"{'a synthetic phantom' if synthetic else 'real data'} ({layout}, {count})"
    return Data(table, layout, synthetic, described, drawn)


def has_truth(table):
    """Whether the true mask of each row is known: bool array. A slice without hemorrhage has an empty one."""
    drawn = table["mask_path"].notna().to_numpy() | (table[ANY] == 0).to_numpy()
    if "polygons_xy" in table.columns:
        drawn |= np.array([isinstance(one, list | tuple | np.ndarray) for one in table["polygons_xy"]], bool)
    return drawn


def keep_masked(table):
    """Leave out the slices with hemorrhage whose mask is not there, and enter them into the account.

    Raises:
        HemokitError: no slice with hemorrhage has a mask.
    """
    known = has_truth(table)
    kept, before = table[known].reset_index(drop=True), account(table)
    if not kept[ANY].any():
        came = f"none of the {int(table[ANY].sum())} slices with hemorrhage has a mask"
        remedy = "Train on the phantom (leave out --data), and use hemokit predict on this folder."
        raise problem(came, "masks to learn from", remedy)
    lost = Drop("hemorrhage without a mask", tuple(table["slice_id"][~known]))
    drops = (*before.drops, lost) if lost.ids else before.drops
    kept.attrs["account"] = Account(before.rows_in, len(kept), drops, before.unit, before.notes)
    return kept


def with_split(table, *, fractions=(0.7, 0.15, 0.15), fold=None, num_folds=5, seed=0):
    """Give every patient to train, validation or test.

    Args:
        table: a slice table.
        fractions: of the patients, for (train, validation, test); if fold is None.
        fold: this one of `num_folds` is the test part, the next one validation, the others train.
        num_folds: 3 or more.
        seed: of the shuffle. All folds of one seed together have each patient in the test part once.

    Returns:
        a copy of the table with the column split.

    Raises:
        HemokitError: as `split_by_patient` and `folds_by_patient`; a fold that is none.
    """
    check_split(fractions=fractions, fold=fold, num_folds=num_folds)
    if fold is None:
        return split_by_patient(table, fractions=fractions, seed=seed)
    folds = folds_by_patient(table, num_folds=num_folds, seed=seed)
    place = (folds["fold"] - fold) % num_folds
    names = np.array(["test", "validation", *["train"] * (num_folds - 2)], object)
    split = folds.drop(columns="fold").assign(split=names[place])
    split.attrs = dict(table.attrs)
    return split


def check_split(*, fractions=(0.7, 0.15, 0.15), fold=None, num_folds=5):
    """Raise HemokitError for fractions that are none, or a fold that is none, of `with_split`."""
    if fold is None:
        check_fractions(fractions)
        return
    if num_folds < 3:
        raise problem(f"num_folds is {num_folds}", "3 or more", "One is for testing, one for validation.")
    if not 0 <= fold < num_folds:
        raise problem(f"fold is {fold}", f"0 to {num_folds - 1}", "Folds are counted from 0.")


def split_lines(table):
    """A line a split: how many patients, slices, and slices with hemorrhage."""
    lines = []
    for name in SPLITS:
        rows = table[table["split"] == name]
        patients, slices = counted(rows["patient_id"].nunique(), "patient"), counted(len(rows), "slice")
        lines.append(f"  {name:<10} {patients:>13}, {slices:>13}, {int(rows[ANY].sum()):>5} with hemorrhage")
    return lines
