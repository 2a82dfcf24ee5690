"""RSNA 2019 as DICOM files: stage_2_train/ID_xxxxxxxxx.dcm and stage_2_train.csv.

Slices of a scan share their SeriesInstanceUID; a patient (PatientID) can have several scans, so split
by patient. The order within a scan comes from ImagePositionPatient, never from the file names.
"""

import os

import numpy as np

from hemokit.checks import problem
from hemokit.datasets.rsna_headers import read_headers
from hemokit.datasets.rsna_labels import ID_LENGTH, read_rsna_labels
from hemokit.formats.dicom_files import read_dicom, read_dicom_header
from hemokit.formats.dicom_stack import GAP_TOLERANCE_MM
from hemokit.manifests import find_root, known_bad, read_manifest
from hemokit.tables import Drop, build_table

NAME = "rsna"
CSV, IMAGES = "stage_2_train.csv", "stage_2_train"


def find(root):
    """The folder with stage_2_train and its CSV, in `root` or up to two folders below; else None."""
    return find_root(root, read_manifest(NAME).layout)


def read_table(root, *, headers=None, check_pixels=False, workers=1, progress=None):
    """Read the slice table: the labels of all images, and the headers of the files that are there.

    Args:
        root: what `find` gives.
        headers: path of a CSV file that keeps the headers (for the whole set, reading them takes minutes).
        check_pixels: read every file whole, to leave out damaged and constant ones now and not later.
        workers, progress: as in `rsna_headers.read_headers`.

    Returns:
        the slice table, with the spacings in mm besides the usual columns. slice_spacing_mm is the median
        distance along the body between neighbors of the scan (NaN for a scan of one slice). slice_index
        counts all readable slices of the scan, so that one left out leaves a gap.

    Raises:
        HemokitError: as `rsna_labels.read_rsna_labels`; one scan under two patients.
    """
    labels, twice = read_rsna_labels(root / CSV)
    files, other = _list_files(root / IMAGES)
    bad = {name: reason for name, reason in known_bad(NAME).items() if name in labels.index or name in files}
    facts = read_headers(
        {name: path for name, path in files.items() if name in labels.index and name not in bad},
        keep=headers, check_pixels=check_pixels, workers=workers, progress=progress,
    )  # fmt: skip
    readable = facts[facts["error"] == ""]
    usable = readable[readable["constant"] == 0]
    drops = _drops(dict.fromkeys(labels.index), twice, files, bad, facts)
    rows = labels.loc[usable.index].join(_in_scans(readable[["patient_id", "scan_id", "position_mm"]]))
    paths = [files[name] for name in rows.index]
    rows = rows.assign(dataset=NAME, mask_path=None, slice_id=rows.index, image_path=paths)
    rows[["row_spacing_mm", "column_spacing_mm"]] = usable[["row_spacing_mm", "column_spacing_mm"]].astype(float)
    notes = _notes(rows, facts, other, check_pixels)
    rows_in = len(labels) + len(twice) + sum(name not in labels.index for name in files)
    return build_table(
        rows.drop(columns=["position_mm", "same_place", "uneven_mm"]), rows_in=rows_in, drops=drops, notes=notes
    )


def listed_files(root):
    """The DICOM files that `read_table` reads, those that the CSV lists: dict slice_id -> path, sorted."""
    labels, bad = read_rsna_labels(root / CSV)[0].index, known_bad(NAME)
    return {name: path for name, path in _list_files(root / IMAGES)[0].items() if name in labels and name not in bad}


def _list_files(folder):
    """dict slice_id -> path of all DICOM files, sorted; and the number of other files."""
    found, other = {}, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".dcm") and len(entry.name) == ID_LENGTH + 4:
                found[entry.name[:-4]] = entry.path
            else:
                other += not entry.name.startswith(".")
    return dict(sorted(found.items())), other


def _drops(listed, twice, files, bad, facts):
    """All rows that are not used, by reason; `listed` is a dict of the ids in the CSV, for its order and its speed."""
    wrong = facts.index[facts["error"] != ""]
    return (
        Drop(f"{CSV} lists the image twice with the same labels: the second listing", twice),
        *(Drop(reason, (name,)) for name, reason in bad.items() if name in listed),
        Drop("listed, but there is no DICOM file", tuple(n for n in listed if n not in files and n not in bad)),
        Drop(f"a DICOM file that {CSV} does not list", tuple(name for name in files if name not in listed)),
        Drop("the DICOM file is refused (see the notes for why)", tuple(wrong)),
        Drop("constant image: every pixel has the same value", tuple(facts.index[facts["constant"] == 1])),
    )


def _in_scans(places):
    """Add slice_index (from the neck upward), slice_spacing_mm, and whether another slice has the same place."""
    rows = places.rename_axis("slice_id").sort_values(["scan_id", "position_mm", "slice_id"], kind="stable")
    scans = rows.groupby("scan_id", sort=False)
    mixed = scans["patient_id"].nunique()
    if (mixed > 1).any():
        came = f"scan {mixed.index[mixed > 1][0]} stands under {mixed.max()} patients"
        raise problem(came, "one patient a scan", "Check the PatientID of these files.")
    gaps = scans["position_mm"].diff()
    rows["slice_index"] = scans.cumcount()
    rows["slice_spacing_mm"] = gaps.groupby(rows["scan_id"], sort=False).transform("median").astype(float)
    rows["same_place"] = gaps == 0
    of_scan = gaps.groupby(rows["scan_id"], sort=False)
    rows["uneven_mm"] = of_scan.transform("max") - of_scan.transform("min")
    return rows.rename_axis(None)


def _notes(rows, facts, other, check_pixels):
    notes = ["masks: none in this data set, so nothing that needs a segmentation mask can run on it"]
    if not check_pixels:
        notes.append("pixels: not looked at, so damaged or constant images may be here (check_pixels=True finds them)")
    errors = facts["error"][facts["error"] != ""]
    if len(errors):
        notes.append(f"refused files: {len(errors)}, the first: {errors.iloc[0]}")
    if facts["repaired"].sum():
        notes.append(f"{int(facts['repaired'].sum())} slices have the 12-bit quirk and are repaired when they are read")
    if rows["same_place"].any():
        scans = rows["scan_id"][rows["same_place"]].nunique()
        notes.append(f"{scans} scans have slices at the same position: their order there is by slice_id")
    uneven = rows[rows["uneven_mm"] > GAP_TOLERANCE_MM]
    if len(uneven):
        worst = uneven.loc[uneven["uneven_mm"].idxmax()]
        notes.append(
            f"{uneven['scan_id'].nunique()} scans have uneven gaps between slices (in {worst['scan_id']} they differ "
            f"by {worst['uneven_mm']:.2f} mm): their slice_spacing_mm is the median, so volumes of them are estimates"
        )
    if other:
        notes.append(f"{other} entries of {IMAGES} are no DICOM files of the data set and were not used")
    return tuple(notes)


def read_hounsfield(row):
    """Read the slice in Hounsfield units: float32 (height, width)."""
    return np.asarray(read_dicom(row["image_path"]).hounsfield, np.float32)


def read_mask(row):
    """RSNA has no masks: always an error."""
    came = f"slice {row['slice_id']} has mask_path {row['mask_path']!r}"
    raise problem(came, "none, because RSNA has no masks", "Make the table by open_dataset.")


def image_shape(row):
    """(height, width) of the slice, from its header."""
    return read_dicom_header(row["image_path"]).shape
