"""judging.json, beside predictions: the thresholds from validation rows, and what a reader must know of the run."""

import json
import os
import shutil
import tempfile
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from hemokit.checks import counted, problem
from hemokit.files import write_whole
from hemokit.predictions import NOTICE, write_predictions
from hemokit.thresholds import choose_threshold, search_threshold

NAME = "judging.json"
SCORE = "top_probability"
TITLE = "# hemokit report"  # how the page of a report begins
REPORT = "report"  # its folder, beside the predictions that it is about


class Facts(NamedTuple):
    """`threshold` of pixels and `slice_threshold` of `SCORE`, both with where they come from; data in words; seed.

    `data` is the short name that stands in tables: "phantom (synthetic), ct_ich_jpg".
    """

    threshold: float | None = None
    slice_threshold: float | None = None
    chosen_on: str = ""
    trained_on: str = ""
    judged_on: str = ""
    seed: int | None = None
    data: str = ""


def check_folder(folder, expected):
    """Raise HemokitError where there is no such folder; `expected` says which one is meant."""
    if not Path(folder).is_dir():
        came = "there is a file" if Path(folder).exists() else "there is no such folder"
        raise problem(came, expected, "Check the path.", file=folder)


def choose_on_validation(predictions, facts):
    """Choose both thresholds (highest F1) on the validation rows of a predictions frame.

    Args:
        predictions: a predictions frame with the column split.
        facts: `Facts` to fill.

    Returns:
        (Facts, the `thresholds.Search` of pixels): the second is for curves.

    Raises:
        HemokitError: no validation rows, or none with hemorrhage: a threshold is never chosen on test rows.
    """
    rows = predictions[predictions["split"] == "validation"]
    positive = rows[rows["any"] == 1]
    if not len(positive):
        came = f"{len(rows)} validation rows, {len(positive)} of them with hemorrhage"
        remedy = "Give --threshold; it is never chosen on the rows that are scored."
        raise problem(came, "validation rows with hemorrhage, to choose the threshold on", remedy)
    pixels = choose_threshold(rows)
    slices = search_threshold(rows["any"].to_numpy(), rows[SCORE].to_numpy(float), split="validation")
    patients = counted(rows["patient_id"].nunique(), "patient")
    where = f"{counted(len(rows), 'validation slice')} of {patients} (highest F1)"
    return facts._replace(threshold=pixels.threshold, slice_threshold=slices.threshold, chosen_on=where), pixels


def write_judged(predictions, facts, folder):
    """Write a predictions frame and its facts; judging.json comes last, so that it is never beside others' predictions.

    Without it, whoever reads a folder whose writer was killed has no threshold, instead of a wrong one. What was made
    of earlier predictions in this folder goes before them.
    """
    remove_judged(folder)
    write_predictions(predictions, folder)
    write_facts(facts, folder)


def remove_judged(folder):
    """Delete what was made of the predictions in a folder: judging.json, and report/ and report_at_.../ if they are
    reports.

    Returns:
        whether a report was there.
    """
    folder = Path(folder)
    (folder / NAME).unlink(missing_ok=True)
    reports = [one for one in (folder / REPORT, *folder.glob(f"{REPORT}_at_*")) if is_report(one)]
    for report in reports:
        away = Path(tempfile.mkdtemp(dir=folder, prefix=f".{REPORT}.", suffix=".part"))
        os.rename(report, away / REPORT)  # gone in one step: half a report would be taken for another's folder
        shutil.rmtree(away)
    return bool(reports)


def write_facts(facts, folder):
    """Write judging.json, whole."""
    with write_whole(Path(folder) / NAME) as stream:
        json.dump({"notice": NOTICE, **facts._asdict()}, stream, indent=2)
        stream.write("\n")


def read_facts(folder):
    """Read judging.json; None if it is not there.

    Raises:
        HemokitError: a file that `write_facts` did not write.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return None
    try:
        content = {"data": "", **json.loads(path.read_text(encoding="utf-8"))}
        facts = Facts(**{name: content[name] for name in Facts._fields})
    except (OSError, ValueError, KeyError, TypeError):
        raise problem("a file that cannot be read", "what hemokit wrote", "Predict again.", file=path) from None
    for name in ("threshold", "slice_threshold"):
        value = getattr(facts, name)
        if value is not None and not (isinstance(value, Real) and 0 <= value <= 1):
            raise problem(f"{name} is {value!r}", "a number from 0 to 1", "Predict again.", file=path)
    return facts


def planned_folds(run_dir):
    """How many folds a run is one of, as its run.json says; 0 where it is none, or says nothing."""
    try:
        record = json.loads((Path(run_dir) / "run.json").read_text(encoding="utf-8"))
        return int(record["settings"]["settings"]["split"]["num_folds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def is_report(folder):
    """Whether a folder is a report of `reports.write_report`."""
    page = Path(folder) / "report.md"
    return page.is_file() and page.read_bytes().startswith(TITLE.encode())
