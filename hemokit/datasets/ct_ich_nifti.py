"""CT-ICH as NIfTI volumes in Hounsfield units: ct_scans/049.nii and masks/049.nii.

SliceNumber of the CSV counts along the file's third axis from 1; slice_index counts from the neck
upward, which is the same wherever the header says that this axis runs upward. A volume may have more
slices than the CSV has rows: those slices have no label and are left out, and counted.
"""

import re

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.datasets.ct_ich import (
    bad_patient_notes,
    join_demographics,
    mask_notes,
    patient_name,
    read_diagnosis,
    slice_name,
)
from hemokit.formats.nifti_files import check_same_grid, read_nifti_header, read_nifti_volume
from hemokit.manifests import find_root, read_manifest
from hemokit.tables import Drop, build_table

NAME = "ct_ich_nifti"
SPACING = ("slice_spacing_mm", "row_spacing_mm", "column_spacing_mm")
_FACTS = ("image_path", "mask_path", "num_slices", "upward", *SPACING)
_VOLUME = re.compile(r"(\d+)\.nii(\.gz)?", re.ASCII)


def find(root):
    """The folder with ct_scans and hemorrhage_diagnosis_raw_ct.csv, in `root` or up to two folders below; else None."""
    return find_root(root, read_manifest(NAME).layout)


def read_table(root):
    """Read the slice table; of the volumes only the headers are read.

    Args:
        root: what `find` gives.

    Returns:
        the slice table, with fracture, age_years, sex and the spacings in mm besides the usual columns.

    Raises:
        HemokitError: as `ct_ich.read_diagnosis` and `ct_ich.read_demographics`; a header that cannot be
            trusted; a mask that does not lie on the grid of its scan.
    """
    diagnosis = read_diagnosis(root / "hemorrhage_diagnosis_raw_ct.csv")
    scans, masks = _list_volumes(root / "ct_scans"), _list_volumes(root / "masks")
    facts = _read_headers(scans, masks)
    rows = diagnosis.rows.assign(dataset=NAME).join(facts, on="patient_id")
    absent, beyond = rows["image_path"].isna(), rows["slice_number"] > rows["num_slices"]
    listed = set(diagnosis.rows.index).union(*(drop.ids for drop in diagnosis.drops))
    every = (slice_name(patient, k + 1) for patient, n in facts["num_slices"].items() for k in range(n))
    unlabeled = tuple(name for name in every if name not in listed)
    drops = (
        *diagnosis.drops,
        Drop("listed in hemorrhage_diagnosis_raw_ct.csv, but the patient has no volume", tuple(rows.index[absent])),
        Drop("listed with a SliceNumber beyond the end of the volume", tuple(rows.index[beyond])),
        Drop("a slice of a volume that hemorrhage_diagnosis_raw_ct.csv does not list", unlabeled),
    )
    rows = rows[~absent & ~beyond]
    downward = rows["num_slices"] - rows["slice_number"]  # SliceNumber then counts from the top of the head
    rows = rows.assign(slice_index=rows["slice_index"].where(rows["upward"].astype(bool), downward).astype(int))
    rows = rows.drop(columns=["slice_number", "num_slices", "upward"])
    rows, notes = join_demographics(rows, root / "Patient_demographics.csv")
    orphans = sorted(set(masks) - set(scans))
    if orphans:
        notes += (f"{len(orphans)} masks have no scan ({', '.join(orphans[:3])})",)
    notes += (*mask_notes(rows), *bad_patient_notes(rows, NAME, root))
    return build_table(rows, rows_in=diagnosis.rows_in + len(unlabeled), drops=drops, notes=notes)


def _list_volumes(folder):
    """dict patient_id -> path of the volume; none where there is no such folder."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _VOLUME.fullmatch(path.name)
        if not match:
            continue
        name = patient_name(int(match[1]))
        if name in found:
            came = f"patient {name} has {found[name].name} and {path.name}"
            raise problem(came, "one volume a patient", "Remove one of them.", file=folder)
        found[name] = path
    return found


def _read_headers(scans, masks):
    """One row a patient: paths, number of slices, spacing, and whether the third axis runs upward."""
    rows = {}
    for patient, path in scans.items():
        header = read_nifti_header(path)
        mask = masks.get(patient)
        if mask is not None:
            check_same_grid(path, mask)
        third = header.orientation[2]
        if third not in "SI":
            came = f"the axes run towards {header.orientation}"
            raise problem(came, "the third axis from slice to slice, as SliceNumber counts", "Reorient it.", file=path)
        facts = (str(path), str(mask) if mask else None, header.shape[2], third == "S", *header.volume_spacing_mm)
        rows[patient] = facts
    frame = pd.DataFrame(list(rows.values()), index=list(rows), columns=list(_FACTS))
    return frame.astype({"image_path": object, "mask_path": object})


def read_hounsfield(row):
    """Read the slice in Hounsfield units: float32 (height, width)."""
    return np.array(_slice_of(row, row["image_path"], "hounsfield"))


def read_mask(row):
    """Read the slice of the mask: bool (height, width). The stored values are only about 0 and 255."""
    return np.array(_slice_of(row, row["mask_path"], "mask"))


def _slice_of(row, path, kind):
    volume = read_nifti_volume(path, kind=kind).array
    index = int(row["slice_index"])
    if not 0 <= index < len(volume):
        came = f"slice_index is {index}"
        raise problem(came, f"0 to {len(volume) - 1}", "Open the data set again: the file has changed.", file=path)
    return volume[index]


def image_shape(row):
    """(height, width) of the slice."""
    return read_nifti_header(row["image_path"]).volume_shape[1:]
