"""What the lesson on whole scans shares: its data, folds of slice models and sequence models, and what they gain.

Each patient is predicted once, by models that saw no slice of them; so all patients count in an interval. A recipe is
one of `sequence_recipes`.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import HOUNSFIELD, find_dataset, open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.datasets.rsna import listed_files
from hemokit.evaluation import auroc_gain, bootstrap_interval, challenge_score, show_interval, slice_report
from hemokit.evaluation.slices import scan_report
from hemokit.formats.dicom_files import read_dicom_header
from hemokit.labels import ANY, LABELS
from hemokit.manifests import is_phantom
from hemokit.prepare.plan import describe, inventory_of
from hemokit.prepare.running import SLICES_A_SHARD
from hemokit.runs.recipes import recipe_windows

MIN_PATIENTS = 5  # with hemorrhage: below, a fold may have none
WEIGHTS = np.array([2 if label == ANY else 1 for label in LABELS])
SCORES = tuple(f"probability_{label}" for label in LABELS)


class ScanData(NamedTuple):
    """`dicom`, a folder of DICOM files to prepare, and its source in words; and `table`, slices in another form to
    learn from instead, with theirs, or None."""

    dicom: Path
    dicom_source: str
    table: pd.DataFrame | None = None
    source: str = ""


def choose_scans(root, *, phantom, most_patients=None, seed=0):
    """Look what a lesson's DATA holds: DICOM files, other slices with named patients, or nothing to learn from.

    Args:
        root: a folder, or None for the phantom.
        phantom: dict, num_patients and image_size of the phantom, which stands in where there are no DICOM files.
        most_patients: of a table; take the first so many. None takes all.
        seed: of the phantom.

    Returns:
        `ScanData`.

    Raises:
        HemokitError: no such folder, or one that cannot be read.
    """
    table, source = None, ""
    if root is not None:
        layout, folder = find_dataset(root)
        source = _source(folder)
        if layout == "rsna":
            return ScanData(folder, source)
        table = _to_learn_from(open_dataset(folder, layout), source, most_patients)
    folder = phantom_root("rsna", seed=seed, **phantom)
    if table is not None:
        print(f"{source}, but no DICOM files: what is done with these is done on the phantom.")
        return ScanData(folder, _source(folder), table, source)
    return ScanData(folder, _source(folder))


def read_some_headers(dicom, *, most):
    """The headers of the first files by name: DataFrame file, patient, series, and z in mm as text, as DICOM has it.

    Files that are damaged are left out here; the preparation counts them.

    Args:
        dicom: a folder in the layout of RSNA 2019.
        most: files.
    """
    rows = []
    for name, path in list(listed_files(Path(dicom)).items())[:most]:
        try:
            facts = read_dicom_header(path)
        except HemokitError:
            continue
        rows.append((name, facts.patient_id, facts.series_uid, f"{facts.position_mm[2]:.3f}"))
    return pd.DataFrame(rows, columns=["file", "patient", "series", "z"])


def store_folder(runs, dicom):
    """Where the store of a folder of DICOM files stands among the runs: other files, or code, get another folder."""
    dicom = Path(dicom).resolve()
    told = [str(dicom), describe(dicom, inventory_of(dicom), slices_a_shard=SLICES_A_SHARD)]
    return Path(runs, f"10_store_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]}")


def megabytes(folder):
    """The size of all files of a folder, in MB of 1,000,000 bytes."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def shown_through(recipe, table):
    """The recipe itself for Hounsfield slices; for JPGs, which cannot be windowed again, with their brain window."""
    if set(table["dataset"]) <= set(HOUNSFIELD):
        return recipe
    print("JPGs cannot be windowed again: one channel, the window brain_wide (40/120 HU).")
    return {**recipe, "windows": ("brain_wide",)}


def shuffled_places(table, *, seed=0):
    """Places of the slices in their scans, drawn: int array (rows,). Each scan keeps its own set of places."""
    rng = np.random.default_rng(seed)
    drawn = table.groupby("scan_id", sort=False)["slice_index"].transform(lambda own: rng.permutation(own.to_numpy()))
    return drawn.to_numpy(int)


def smooth(frame):
    """The same frame with each probability the mean of a slice's own and those of its neighbors in the scan."""
    ordered = frame.sort_values(["patient_id", "scan_id", "slice_index"], ignore_index=True)
    means = ordered.groupby("scan_id")[list(SCORES)].rolling(3, center=True, min_periods=1).mean()
    return ordered.assign(**means.droplevel(0).sort_index())


def place_alone(frame, table):
    """Who never looks: the frequency of each label among the training slices that lie as high up in their scans.

    Args:
        frame: predictions of all slices of `table`.
        table: with the column fold.

    Returns:
        the frame with these frequencies as probabilities, in ten steps from neck to vertex; a step
        without training slices lies between its neighbors.
    """
    scans = table.groupby("scan_id")["slice_index"]
    height = (table["slice_index"] - scans.transform("min")) / scans.transform("size")
    known = table[["slice_id", "fold", *LABELS]].assign(step=(10 * height).clip(0, 9).astype(int))
    parts = []
    for fold, own in known.groupby("fold"):
        rates = known[known["fold"] != fold].groupby("step")[list(LABELS)].mean()
        rates = rates.reindex(range(10)).interpolate(limit_direction="both")
        parts.append(rates.loc[own["step"]].set_axis(SCORES, axis=1).set_index(own["slice_id"]))
    said = pd.concat(parts).loc[frame["slice_id"]]
    return frame.assign(**{name: said[name].to_numpy() for name in SCORES})


def thumbnails(table, recipe, *, size=16):
    """Pictures of all slices, small enough to be compared with each other: float32 (slices, size * size * channels)."""
    how = {"target": None, "image_size": size, "windows": recipe_windows(recipe, table), "batch_size": 256}
    batches = SliceBatches(table, **how)
    return np.concatenate([batches[number] for number in range(len(batches))]).reshape(len(table), -1)


def judge_cuts(table, scores, subsets, *, source, seed=0):
    """AUROC of any hemorrhage where the same slices were cut into folds by slice, by scan and by patient.

    Args:
        table: the slices.
        scores: dict name of the cut -> float array (rows,).
        subsets: dict name -> bool array (rows,), slices to judge; one of none, or of one kind, gives no row.
        source, seed: as `judge_models`.

    Returns:
        DataFrame, a row a subset and cut.
    """
    rows = []
    for name, chosen in subsets.items():
        for cut, score in scores.items():
            some = table[np.asarray(chosen)].assign(score=np.asarray(score)[np.asarray(chosen)], split=f"by {cut}")
            if some[ANY].nunique() < 2:
                continue
            found = slice_report(some, score="score", label=ANY, seed=seed).set_index("metric").loc["auroc"]
            told = {"judged": name, "cut": f"by {cut}", "n": len(some), "patients": some["patient_id"].nunique()}
            rows.append(told | {"AUROC": show_interval(found["estimate"], found["low"], found["high"])})
    return pd.DataFrame(rows).assign(data=source, seed=seed).set_index(["judged", "cut"])


def judge_models(frames, *, source, seed=0):
    """A row a model: the challenge's log loss, and AUROC of any hemorrhage by slice and by scan.

    Args:
        frames: dict name -> predictions frame of the same slices.
        source: of the data, in words.
        seed: of the resamples.
    """
    rows, score = {}, f"probability_{ANY}"
    for name, frame in frames.items():
        shown = {"log loss": round(challenge_score(frame), 4)}
        for unit, report in (("slices", slice_report), ("scans", scan_report)):
            found = report(frame, score=score, label=ANY, threshold=0.5, seed=seed).set_index("metric").loc["auroc"]
            shown[f"AUROC, {unit}"] = show_interval(found["estimate"], found["low"], found["high"])
            shown[f"n {unit}"] = found["n"]
        rows[name] = shown | {"patients": frame["patient_id"].nunique(), "data": source}
    return pd.DataFrame(rows).T.assign(split="folds by patient", seed=seed)


def gains(before, after, *, source, num_resamples=300, seed=0):
    """By how much models are better than `before` on the same slices, with intervals by patient.

    Args:
        before: predictions frame.
        after: dict name -> predictions frame of the same slices.
        source, seed: as `judge_models`.
        num_resamples: of the patients.

    Returns:
        DataFrame with name, metric ("AUROC" or "log loss", in which less is better and a gain counts as positive),
        estimate, low, high (NaN without an interval), `excludes zero`: "yes", "no" or "no interval"; n, patients, data,
        split, seed.
    """
    rows, how = [], {"num_resamples": num_resamples, "seed": seed}
    for name, frame in after.items():
        found = {"AUROC": _or_alone(lambda frame=frame: auroc_gain(before, frame, **how))}
        less = before[["slice_id", "patient_id"]].assign(loss=_losses(before) - _losses(_like(frame, before)))
        found["log loss"] = _or_alone(lambda less=less: bootstrap_interval(lambda f: f["loss"].mean(), less, **how))
        for metric, one in found.items():
            said = "no interval" if np.isnan(one[1]) else "yes" if one[1] > 0 or one[2] < 0 else "no"
            rows.append((name, metric, *one, said))
    columns = ["name", "metric", "estimate", "low", "high", "excludes zero"]
    told = pd.DataFrame(rows, columns=columns).assign(n=len(before), patients=before["patient_id"].nunique())
    return told.assign(data=source, split=", ".join(sorted(before["split"].unique())), seed=seed)


def _or_alone(compute):
    """(estimate, low, high) of an interval; NaN where there is none."""
    try:
        return tuple(compute())
    except HemokitError as error:
        print(f"no interval: {error}")
        return (np.nan,) * 3


def _losses(frame):
    """The weighted log loss of each slice, in nats."""
    truth, said = frame[list(LABELS)].to_numpy(float), frame[list(SCORES)].to_numpy(float).clip(1e-7, 1 - 1e-7)
    losses = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))
    return losses @ WEIGHTS / WEIGHTS.sum()


def _like(frame, other):
    """The rows in the order of another frame of the same slices."""
    return frame.set_index("slice_id", drop=False).loc[other["slice_id"]].reset_index(drop=True)


def _to_learn_from(table, source, most_patients):
    """The slices of the first patients, or None where they cannot be learned from."""
    unnamed = bool(table["patient_id"].isna().any())
    first = table["patient_id"].unique()[:most_patients]
    table = table if unnamed else table[table["patient_id"].isin(first)].reset_index(drop=True)
    bled = table[table[ANY] == 1]["patient_id"].nunique()
    if unnamed or bled < MIN_PATIENTS:
        lacks = "no names of patients" if unnamed else f"{bled} patients with hemorrhage"
        print(f"{source}, {len(table)} slices: {lacks}, so nothing is trained on it. The phantom stands in.")
        return None
    return table


def _source(root):
    return "phantom (synthetic)" if is_phantom(find_dataset(root)[1]) else "real scans"
