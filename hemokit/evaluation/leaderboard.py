"""All runs in one table, each with its data, n, split and seed, and the paper's figure beside it."""

from os import PathLike
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.evaluation.papers import paper_rows
from hemokit.evaluation.reports import check_judged
from hemokit.evaluation.segmentation import segmentation_report
from hemokit.evaluation.slices import slice_report
from hemokit.labels import ANY
from hemokit.predictions import read_predictions

COLUMNS = (
    *("model", "data", "n", "patients", "split", "test_set", "run_seed", "parameters", "threshold"),
    *("dice", "dice_low", "dice_high", "auroc", "auroc_low", "auroc_high"),
    *("paper_dice", "paper_auroc", "paper", "seed", "note"),
)


class Entry(NamedTuple):
    """One line of the leaderboard.

    `predictions` is a frame, or the folder in which `write_predictions` put one; `threshold` is of pixels, None for
    a model without masks; `run_seed` and `parameters` (how many weights) are of the training; `system` names whose
    figures stand beside ("renyard", ...); `score` is the column that gives a slice its score.
    """

    name: str
    predictions: object
    threshold: float | None = None
    run_seed: int | None = None
    parameters: int | None = None
    system: str | None = None
    score: str = "top_probability"


def leaderboard(entries, **resampling):
    """Compare runs: pooled Dice of pixels and AUROC of slices, with intervals by patient.

    Args:
        entries: list of `Entry`, or of tuples in its order: (name, predictions, threshold).
        **resampling: unit, num_resamples, confidence, seed as in `bootstrap_interval`.

    Returns:
        DataFrame with `COLUMNS`, the highest Dice first within a test set (then the highest AUROC). `test_set` is a
        letter: rows with another letter were measured on other slices, and are not comparable. Figures that a run
        has not, or that are undefined, are NaN. paper_dice and paper_auroc are text, of the system's own data.
        No entries give an empty frame. `show_report` makes it readable.

    Raises:
        HemokitError: as `slice_report` and `segmentation_report`, with the entry's name; a name that stands twice.
    """
    entries = [entry if isinstance(entry, Entry) else Entry(*entry) for entry in entries]
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise problem(f"{twice!r} stands {names.count(twice)} times", "a name for each run", "Rename one.")
    letters, rows = {}, []
    for entry in entries:
        frame = entry.predictions
        frame = read_predictions(frame) if isinstance(frame, str | PathLike) else frame
        row = _row(entry, frame, resampling)  # which looks at the frame first
        key = (frame["dataset"].iloc[0], frozenset(frame["slice_id"]))
        rows.append({**row, "test_set": letters.setdefault(key, _letter(len(letters)))})
    board = pd.DataFrame(rows, columns=list(COLUMNS))
    board = board.astype({"run_seed": "Int64", "parameters": "Int64"})
    return board.sort_values(["test_set", "dice", "auroc"], ascending=[True, False, False], ignore_index=True)


def _row(entry, frame, resampling):
    try:
        slices = slice_report(check_judged(frame), score=entry.score, **resampling).set_index("metric").loc["auroc"]
        masks = None
        if entry.threshold is not None:
            masks = segmentation_report(frame, threshold=entry.threshold, **resampling).set_index("metric").loc["dice"]
    except ValueError as error:
        raise type(error)(f"run {entry.name!r}: {error}") from None
    row = {"model": entry.name, "run_seed": entry.run_seed, "parameters": entry.parameters}
    row |= {name: slices[name] for name in ("data", "n", "patients", "split", "seed")}
    notes = [f"{one.name}: {one['note']}" for one in (masks, slices) if one is not None and one["note"]]
    row["note"] = "; ".join(notes)
    row |= {"threshold": np.nan if entry.threshold is None else entry.threshold, **_limits("auroc", slices)}
    row |= _limits("dice", masks)
    return {**row, **_published(entry.system)}


def _limits(name, found):
    values = (np.nan,) * 3 if found is None else (found["estimate"], found["low"], found["high"])
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _published(system):
    """The paper's own figures as text, and whose they are."""
    if system is None:
        return {"paper_dice": "", "paper_auroc": "", "paper": ""}
    rows = paper_rows(system)
    dice = rows[(rows["metric"] == "dice") & (rows["task"] == "segmentation")]
    auroc = rows[rows["metric"].isin(["auroc", f"auroc_{ANY}"]) & (rows["task"] != "scan")]
    told = {
        name: " or ".join(f"{value:.3g}" for value in one["value"]) for name, one in (("dice", dice), ("auroc", auroc))
    }
    return {"paper_dice": told["dice"], "paper_auroc": told["auroc"], "paper": f"{system}: {rows['data'].iloc[0]}"}


def _letter(number):
    """A, B, ..., Z, then A1 and so on."""
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")
