"""The data of a lesson: the folder in DATA where it can be trained on, else a phantom. No Keras."""

from typing import NamedTuple

import pandas as pd

from hemokit.datasets import HOUNSFIELD, find_dataset, open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.labels import ANY
from hemokit.manifests import is_phantom
from hemokit.runs.data import has_truth, keep_masked

MIN_PATIENTS = 5  # with hemorrhage and masks: three to train, one to validate, one to test


class LessonData(NamedTuple):
    """`table` to train on, `source` in words; `unmasked` and its source: a folder that can only be predicted, or None.

    source is "phantom (synthetic)" or "real scans".
    """

    table: pd.DataFrame
    source: str
    unmasked: pd.DataFrame | None = None
    unmasked_source: str = ""

    @property
    def only_renders(self):
        """True where slices to train on or to predict are JPGs, which cannot be windowed again."""
        tables = [table for table in (self.table, self.unmasked) if table is not None]
        return not set(pd.concat(tables)["dataset"]) <= set(HOUNSFIELD)


def choose_data(root, *, phantom, most_patients=None, seed=0):
    """Open the folder of a lesson's DATA; where it cannot be trained on, say why, and let a phantom stand in.

    Args:
        root: a folder, or None for the phantom.
        phantom: dict, num_patients and image_size of the phantom.
        most_patients: take the first so many; None takes all.
        seed: of the phantom.

    Returns:
        `LessonData`. Slices with hemorrhage and without a mask are left out of `table`, and counted in its account.

    Raises:
        HemokitError: no such folder, or one that cannot be read.
    """
    unmasked, unmasked_source = None, ""
    if root is not None:
        table, source = _first_patients(open_dataset(root), most_patients), _source(root)
        masked = table[has_truth(table) & (table[ANY] == 1)]["patient_id"].nunique()
        if masked >= MIN_PATIENTS:
            return LessonData(keep_masked(table), source)
        named = bool(table["patient_id"].notna().all())
        lacks = f"too few masks ({masked} patients with hemorrhage have them)" if named else "no names of patients"
        print(f"{source}, {len(table)} slices: {lacks}, so nothing is trained on it. The phantom stands in.")
        unmasked, unmasked_source = (table, source) if named else (None, "")
    folder = phantom_root("ct_ich_nifti", seed=seed, **phantom)
    return LessonData(open_dataset(folder), _source(folder), unmasked, unmasked_source)


def _source(root):
    return "phantom (synthetic)" if is_phantom(find_dataset(root)[1]) else "real scans"


def _first_patients(table, most_patients):
    """The slices of the first patients; all where patients have no names."""
    if most_patients is None or table["patient_id"].isna().any():
        return table
    first = table["patient_id"].unique()[:most_patients]
    return table[table["patient_id"].isin(first)].reset_index(drop=True)
