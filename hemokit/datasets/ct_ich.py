"""What both forms of CT-ICH share: the diagnosis of each slice and the demographics of each patient.

Source: Hssayeni et al., Data 2020, 5(1):14. The flags of the slices rule; "Condition on file" of the
demographics often says something else and is not read.
"""

import csv
import math
import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import counted, problem
from hemokit.formats.bounded import library_errors
from hemokit.formats.csv_files import flag_column, float_column, integer_column, read_csv
from hemokit.labels import ANY, LABELS, SUBTYPES
from hemokit.manifests import is_phantom, known_bad
from hemokit.tables import Drop

PATIENT, SLICE = "PatientNumber", "SliceNumber"
NO_HEMORRHAGE, FRACTURE = "No_Hemorrhage", "Fracture_Yes_No"
COLUMNS = (PATIENT, SLICE, *[name.capitalize() for name in SUBTYPES], NO_HEMORRHAGE, FRACTURE)


class Diagnosis(NamedTuple):
    """`rows`: one a labeled slice, indexed by slice_id; `rows_in` and `drops` as in `tables.build_table`."""

    rows: pd.DataFrame
    rows_in: int
    drops: tuple


def patient_name(number):
    """The folder's spelling of a patient's number: 49 is "049"."""
    return f"{number:03d}"


def slice_name(patient_id, number):
    """The slice_id, from the patient_id and the SliceNumber of the CSV, which counts from 1."""
    return f"{patient_id}_{number:03d}"


def read_diagnosis(path):
    """Read hemorrhage_diagnosis.csv or hemorrhage_diagnosis_raw_ct.csv.

    Args:
        path: the file; with or without byte order mark.

    Returns:
        `Diagnosis`. Its rows hold patient_id, scan_id, slice_index, slice_number, the six labels and
        fracture. Left out: rows without a patient's number (summaries), and rows where No_Hemorrhage
        contradicts the five flags, because nobody can tell which is right.

    Raises:
        HemokitError: anything but 0/1 in a flag, a slice listed twice, a missing column.
    """
    table = read_csv(path, columns=COLUMNS)
    unnamed = table[PATIENT].str.strip() == ""
    lines = tuple(f"{path.name}, row {line}" for line in table.index[unnamed])
    drops = [Drop(f"no patient number in {path.name}", lines)]
    listed = table[~unnamed]
    listed.attrs["file"] = str(path)
    rows = _labels(listed)
    twice = rows.index.duplicated()
    if twice.any():
        at = int(np.argmax(twice))
        came = f"slice {listed[SLICE].iloc[at]} of patient {listed[PATIENT].iloc[at]} is listed a second time"
        raise problem(came, "each slice once", "Remove one of the rows.", file=path, row=int(listed.index[at]))
    contradicting = rows[ANY] == flag_column(listed, NO_HEMORRHAGE)
    drops.append(Drop("No_Hemorrhage contradicts the flags of the subtypes", tuple(rows.index[contradicting])))
    return Diagnosis(rows[~contradicting], len(table), tuple(drops))


def _labels(listed):
    patients = [patient_name(number) for number in integer_column(listed, PATIENT, low=1)]
    numbers = integer_column(listed, SLICE, low=1)
    ids = [slice_name(*pair) for pair in zip(patients, numbers, strict=True)]
    rows = pd.DataFrame({"patient_id": patients, "scan_id": patients, "slice_id": ids}, index=ids, dtype=object)
    rows["slice_index"], rows["slice_number"] = numbers - 1, numbers
    for label in SUBTYPES:
        rows[label] = flag_column(listed, label.capitalize())
    rows[ANY] = rows[list(SUBTYPES)].max(axis=1)
    rows["fracture"] = flag_column(listed, FRACTURE)
    return rows[["patient_id", "scan_id", "slice_id", "slice_index", "slice_number", *LABELS, "fracture"]]


def read_demographics(path):
    """Read patient_demographics.csv: a header with a newline in it, or of two rows, and summary rows at the end.

    Args:
        path: the file; it may be missing.

    Returns:
        DataFrame indexed by patient_id with age_years (float; fractions for infants; NaN where blank)
        and sex ("male", "female", or missing where blank), and a tuple of notes. Without the file an
        empty frame.

    Raises:
        HemokitError: a patient twice, a patient's number in another form (49.0), an age that is no number
            from 0 to 130, another sex.
    """
    if not path.is_file():
        return _demographics([], [], []), (f"age and sex: none, because {path.name} is not in this folder",)
    table = read_csv(path, header_rows=_header_rows(path))
    number, age, sex = (_column_starting(table, start) for start in ("Patient Number", "Age", "Gender"))
    patients = table[table[number].str.fullmatch(r"\d+")]
    patients.attrs["file"] = str(path)
    others = table[number][~table.index.isin(patients.index)]
    wrong = others[others.str.match(r"\s*[-+]?\d")]
    if len(wrong):
        came, remedy = f"the value is {wrong.iloc[0]!r}", "Correct it; a summary row has words or nothing there."
        row = int(wrong.index[0])
        raise problem(came, "a patient's number in plain digits", remedy, file=path, row=row, column=number)
    summaries = len(others)
    told = f"{counted(summaries, 'row')} of {path.name} without a patient's number (a total or a remark below the list)"
    notes = (f"{told}: not used, and no patient is lost by it",) if summaries else ()
    ids = [patient_name(value) for value in integer_column(patients, number)]
    if len(set(ids)) < len(ids):
        again = next(i for i, name in enumerate(ids) if name in ids[:i])
        came = f"patient {ids[again]} is listed a second time"
        raise problem(came, "each patient once", "Remove one.", file=path, row=int(patients.index[again]))
    sexes = [_sex(text, path, line, sex) for line, text in patients[sex].items()]
    return _demographics(ids, float_column(patients, age, 0, 130, blank=math.nan), sexes), notes


def _demographics(ids, ages, sexes):
    return pd.DataFrame(
        {"age_years": np.asarray(ages, float), "sex": pd.Series(sexes, dtype=object).to_numpy()}, index=list(ids)
    )


def _header_rows(path):
    """2 where the second row starts with an empty cell under "Patient Number", else 1."""
    encoding = {"encoding": "utf-8-sig", "errors": "replace"}  # what is wrong in it is told by read_csv
    with library_errors(path, "reading the header"), open(path, newline="", **encoding) as stream:
        rows = csv.reader(stream)
        next(rows, None)
        second = next(rows, [])
    return 2 if second and not second[0].strip() and any(re.search("[A-Za-z]", cell) for cell in second) else 1


def _column_starting(table, start):
    for column in table.columns:
        if column.strip().startswith(start):
            return column
    raise problem(
        f"the columns are {', '.join(map(repr, table.columns))}",
        f"one that starts with {start!r}",
        "Use the file as it was published.",
        file=table.attrs["file"],
    )


def _sex(text, path, line, column):
    text = text.strip().lower()
    if text not in ("", "male", "female"):
        came = f"the value is {text!r}"
        raise problem(came, "Male, Female or blank", "Correct it.", file=path, row=line, column=column)
    return text or None


def join_demographics(rows, path):
    """Add age_years and sex to the rows (by patient_id); gives the rows and the notes for the account."""
    people, notes = read_demographics(path)
    here = set(rows["patient_id"])
    absent, unknown = sorted(set(people.index) - here), sorted(here - set(people.index))
    if absent:
        notes += (f"{counted(len(absent), 'patient')} of {path.name} without slices here",)
    if unknown and len(people):
        listed = ", ".join(unknown[:3])
        notes += (f"{counted(len(unknown), 'patient')} not in {path.name} ({listed}): no age, no sex",)
    return rows.join(people, on="patient_id"), notes


def bad_patient_notes(rows, name, root):
    """A sentence for each patient in the rows who is known to be bad for segmentation (and stays in the table)."""
    here = set() if is_phantom(root) else set(rows["patient_id"])  # a phantom's patient 070 is another
    return tuple(
        f"patient {patient} is kept here, but leave it out of segmentation: {reason}"
        for patient, reason in known_bad(name, "segmentation").items()
        if patient in here
    )


def mask_notes(rows):
    """Sentences on masks: none at all, missing for positive slices, or there for negative ones."""
    positive, masked = rows[ANY] == 1, rows["mask_path"].notna()
    if not masked.any():
        return ("masks: none in this folder, so nothing that needs a segmentation mask can run on it",)
    notes = ()
    for wrong, sentence in (
        (rows.index[positive & ~masked], "slices with hemorrhage have no mask"),
        (rows.index[~positive & masked & (rows["dataset"] == "ct_ich_jpg")], "slices without hemorrhage have a mask"),
    ):
        if len(wrong):
            notes += (f"masks: {len(wrong)} {sentence} ({', '.join(wrong[:3])})",)
    return notes
