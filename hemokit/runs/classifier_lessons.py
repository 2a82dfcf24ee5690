"""What the lesson on classifiers does more than once, or before it begins: its slices, two dummies, its tables."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.datasets import find_dataset, open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.evaluation import model_table, show_report
from hemokit.labels import ANY, seven_way
from hemokit.manifests import is_phantom
from hemokit.splits import SPLITS, split_by_patient

HOME = 0.64  # of the phantom's patients
MIN_PATIENTS = 5  # with hemorrhage: three to train, one to validate, one to test


class Slices(NamedTuple):
    """`table` with the columns label and split, its `source` in words; `elsewhere`: other patients of the phantom."""

    table: pd.DataFrame
    source: str
    elsewhere: pd.DataFrame


def choose_slices(root, *, phantom, most_each, fractions, seed=0):
    """Take slices of each of the seven classes, split by patient: of a folder, or of the phantom.

    Args:
        root: a folder, or None for the phantom, which also stands in, after one line, where patients have no names or
            fewer than 5 of them bleed.
        phantom: dict, num_patients and image_size of the phantom, of which 64 % may be trained on, and the others are
            `elsewhere`.
        most_each: slices of a class, drawn at random.
        fractions, seed: as `splits.split_by_patient`.

    Returns:
        `Slices`.

    Raises:
        HemokitError: no such folder, or one that cannot be read.
    """
    _, drawn = find_dataset(phantom_root("ct_ich_nifti", seed=seed, **phantom))
    every = open_dataset(drawn)
    patients = every["patient_id"].unique()
    home = every["patient_id"].isin(patients[: round(HOME * len(patients))])
    table, folder = every[home], drawn
    if root is not None:
        given = open_dataset(root)
        if given["patient_id"].notna().all() and given[given[ANY] == 1]["patient_id"].nunique() >= MIN_PATIENTS:
            table, folder = given, find_dataset(root)[1]
        else:
            print(f"No names of patients, or fewer than {MIN_PATIENTS} who bleed: the phantom stands in.")
    table = table.assign(label=seven_way(table)).sample(frac=1, random_state=seed)
    table = table.groupby("label").head(most_each).sort_index().reset_index(drop=True)
    source = "phantom (synthetic)" if is_phantom(folder) else "real scans"
    return Slices(split_by_patient(table, fractions=fractions, seed=seed), source, every[~home].reset_index(drop=True))


def count_classes(table, classes):
    """Slices of each class in each split, and patients of each class in training: whole numbers, a row a class."""
    counts = pd.crosstab(table["label"], table["split"]).reindex(index=classes, columns=SPLITS, fill_value=0)
    patients = table[table["split"] == "train"].groupby("label")["patient_id"].nunique()
    return counts.assign(**{"training patients": patients.reindex(classes, fill_value=0)})


def dummies(table, *, seed=0):
    """Two models that never look, by the labels of the training rows: dict name -> frame of the other rows."""
    known, later = table[table["split"] == "train"]["label"], table[table["split"] != "train"].reset_index(drop=True)
    drawn = known.sample(len(later), replace=True, random_state=seed).to_numpy()
    return {"most_frequent": later.assign(prediction=known.mode()[0]), "stratified": later.assign(prediction=drawn)}


def standardize(features, table):
    """Features (rows, features) with mean 0 and deviation 1 over the training rows; constant ones become 0."""
    train = features[(table["split"] == "train").to_numpy()]
    deviation = train.std(axis=0)
    return (features - train.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def few_patients(table, count, *, seed=0):
    """The test rows, and the training rows of `count` patients with hemorrhage and `count` without."""
    train = table[table["split"] == "train"]
    bleeds = train.groupby("patient_id")[ANY].max().sample(frac=1, random_state=seed)
    chosen = [*bleeds.index[bleeds == 1][:count], *bleeds.index[bleeds == 0][:count]]
    return table[(table["split"] == "test") | table["patient_id"].isin(chosen)].reset_index(drop=True)


def judge_tests(frames, classes, *, source, seed=0):
    """The test rows of several models as a table to read, a row a model; of two classes with AUROC and AUPRC."""
    tests = {name: frame[frame["split"] == "test"] for name, frame in frames.items()}
    found = show_report(model_table(tests, labels=list(classes), seed=seed).assign(data=source))
    columns = ["predicted_labels", "accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc"]
    columns += ["n", "patients", "data", "split", "seed"]
    return found.set_index("model")[[name for name in columns if name in found]]
