"""CT-ICH as NIfTI volumes in Hounsfield units: ct_scans/049.nii and masks/049.nii.

SliceNumber of the CSV counts along the file's third axis from 1; slice_index counts from the neck
upward, which is the same wherever the header says that this axis runs upward. A volume may have more
slices than the CSV has rows: those slices have no label and are left out, and counted.

The published volumes are described as giving the view of the JPGs by `np.rot90(volume[:, :, k])`: their axes
run to Left, Anterior and Superior ("LAS"). A header that says something else is followed, so that left stays
left, and one that says nothing is taken as LAS; both are noted in the account.

The slice numbers of a few patients are not those of the JPG form (`slice_offsets` in the manifest): the two
forms are matched by patient_id and jpg_slice_number, not by slice_id.
"""

import re

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, problem
from hemokit.datasets.ct_ich import (
    bad_patient_notes,
    join_demographics,
    mask_notes,
    patient_name,
    read_diagnosis,
    slice_name,
)
from hemokit.formats.nifti_files import check_same_grid, read_nifti_header, read_nifti_volume
from hemokit.manifests import find_root, is_phantom, read_manifest
from hemokit.tables import Drop, build_table

NAME = "ct_ich_nifti"
SPACING = ("slice_spacing_mm", "row_spacing_mm", "column_spacing_mm")
_FACTS = ("image_path", "mask_path", "num_slices", "upward", "orientation", *SPACING)
_PUBLISHED = "LAS"  # where the axes of the published volumes run to
_VOLUME = re.compile(r"(\d+)\.nii(\.gz)?", re.ASCII)


def find(root):
    """The folder with ct_scans and hemorrhage_diagnosis_raw_ct.csv, in `root` or up to two folders below; else None."""
    return find_root(root, read_manifest(NAME).layout)


def read_table(root):
    """Read the slice table; of the volumes only the headers are read.

    Args:
        root: what `find` gives.

    Returns:
        the slice table, with fracture, age_years, sex and the spacings in mm besides the usual columns; and
        with jpg_slice_number (nullable Int64): the number of the same slice in the JPG form, whose
        slice_index is this minus 1. It is missing where it would be below 1, and may lie beyond the last JPG,
        because the volumes have more slices.

    Raises:
        HemokitError: as `ct_ich.read_diagnosis` and `ct_ich.read_demographics`; a header that cannot be
            trusted; a mask that does not lie on the grid of its scan.
    """
    diagnosis = read_diagnosis(root / "hemorrhage_diagnosis_raw_ct.csv")
    scans, strangers = _list_volumes(root / "ct_scans")
    masks, more = _list_volumes(root / "masks")
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
    rows, numbers = _with_jpg_numbers(rows[~absent & ~beyond], root)
    downward = rows["num_slices"] - rows["slice_number"]  # SliceNumber then counts from the top of the head
    rows = rows.assign(slice_index=rows["slice_index"].where(rows["upward"].astype(bool), downward).astype(int))
    rows = rows.drop(columns=["slice_number", "num_slices", "upward", "orientation"])
    rows, notes = join_demographics(rows, root / "Patient_demographics.csv")
    orphans = sorted(set(masks) - set(scans))
    if orphans:
        notes += (f"{len(orphans)} masks have no scan ({', '.join(orphans[:3])})",)
    if strangers or more:
        listed = ", ".join([*strangers, *more][:3])
        notes += (f"entries of ct_scans and masks that are no volumes, not used: {len(strangers + more)} ({listed})",)
    notes += (*_orientation_notes(facts["orientation"]), *numbers)
    notes += (*mask_notes(rows), *bad_patient_notes(rows, NAME, root))
    return build_table(rows, rows_in=diagnosis.rows_in + len(unlabeled), drops=drops, notes=notes)


def _list_volumes(folder):
    """dict patient_id -> path of the volume, and names of what is none; both empty where there is no such folder."""
    found, other = {}, []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _VOLUME.fullmatch(path.name)
        if not match:
            other += [] if path.name.startswith(".") else [f"{folder.name}/{path.name}"]
            continue
        name = patient_name(int(match[1]))
        if name in found:
            came = f"patient {name} has {found[name].name} and {path.name}"
            raise problem(came, "one volume a patient", "Remove one of them.", file=folder)
        found[name] = path
    return found, other


def _read_headers(scans, masks):
    """One row a patient: paths, number of slices, spacing, where the axes run to ("" if the header is silent)."""
    rows = {}
    for patient, path in scans.items():
        header, said = _read_header(path)
        mask = masks.get(patient)
        if mask is not None:
            check_same_grid(path, mask, assume=_PUBLISHED)
        third = header.orientation[2]
        if third not in "SI":
            came = f"the axes run towards {header.orientation}"
            raise problem(came, "the third axis from slice to slice, as SliceNumber counts", "Reorient it.", file=path)
        paths = str(path), str(mask) if mask else None
        rows[patient] = (*paths, header.shape[2], third == "S", said, *header.volume_spacing_mm)
    frame = pd.DataFrame(list(rows.values()), index=list(rows), columns=list(_FACTS))
    return frame.astype({"image_path": object, "mask_path": object, "orientation": object})


def _read_header(path):
    """The header, and the orientation that it states: "" where it states none and is taken as LAS."""
    try:
        header = read_nifti_header(path)
    except HemokitError:
        return read_nifti_header(path, assume=_PUBLISHED), ""  # helps against a missing orientation alone
    return header, header.orientation


def _orientation_notes(orientations):
    """Sentences on volumes whose headers do not say LAS."""
    for said in sorted(set(orientations) - {_PUBLISHED}):
        patients = list(orientations.index[orientations == said])
        which = f"{len(patients)} volumes ({', '.join(patients[:3])})"
        if said:
            yield (
                f"{which} run to {said}, not to {_PUBLISHED} as published: the header is followed, so left stays left, "
                "and slices or their order differ from plain np.rot90(volume[:, :, k])"
            )
        else:
            yield f"{which} have headers without orientation: taken as {_PUBLISHED}, as published"


def _with_jpg_numbers(rows, root):
    """Add jpg_slice_number; and a note that names the patients whose numbers differ."""
    offsets = {} if is_phantom(root) else read_manifest(NAME).slice_offsets  # a phantom's patient 051 is another
    pairs = zip(rows["patient_id"], rows["slice_number"], strict=True)
    numbers = pd.Series([number - offsets.get(patient, 0) for patient, number in pairs], rows.index, dtype="Int64")
    rows = rows.assign(jpg_slice_number=numbers.where(numbers >= 1))
    here = [f"{patient} by {offset}" for patient, offset in offsets.items() if patient in set(rows["patient_id"])]
    note = f"slice numbers exceed those of the JPG form ({', '.join(here)}): match the forms by jpg_slice_number"
    return rows, (note,) if here else ()


def read_hounsfield(row):
    """Read the slice in Hounsfield units: float32 (height, width)."""
    return np.array(_slice_of(row, row["image_path"], "hounsfield"))


def read_mask(row):
    """Read the slice of the mask: bool (height, width). The stored values are only about 0 and 255."""
    return np.array(_slice_of(row, row["mask_path"], "mask"))


def _slice_of(row, path, kind):
    volume = read_nifti_volume(path, kind=kind, assume=_PUBLISHED).array
    index = int(row["slice_index"])
    if not 0 <= index < len(volume):
        came = f"slice_index is {index}"
        raise problem(came, f"0 to {len(volume) - 1}", "Open the data set again: the file has changed.", file=path)
    return volume[index]


def image_shape(row):
    """(height, width) of the slice."""
    return read_nifti_header(row["image_path"], assume=_PUBLISHED).volume_shape[1:]
