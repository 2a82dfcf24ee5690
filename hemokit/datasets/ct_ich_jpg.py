"""CT-ICH as JPGs: Patients_CT/049/brain/14.jpg, its mask 14_HGE_Seg.jpg, and bone/14.jpg.

650 x 650 screen captures through a brain and a bone window: there are no Hounsfield units in them.
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
from hemokit.datasets.renders import read_renders
from hemokit.formats.image_files import read_image_file, read_image_size
from hemokit.manifests import find_root, read_manifest
from hemokit.tables import Drop, build_table

NAME = "ct_ich_jpg"
RENDERS = {"brain": "image_path", "bone": "bone_path"}
DEFAULT_WINDOWS = ("brain",)
_IMAGE = re.compile(r"([1-9]\d*)\.jpg", re.ASCII)
_MASK = re.compile(r"([1-9]\d*)_HGE_Seg\.jpg", re.ASCII)


def find(root):
    """The folder with Patients_CT and hemorrhage_diagnosis.csv, in `root` or up to two folders below; else None."""
    return find_root(root, read_manifest(NAME).layout)


def read_table(root):
    """Read the slice table.

    Args:
        root: what `find` gives.

    Returns:
        the slice table, with fracture, age_years, sex and bone_path besides the usual columns.

    Raises:
        HemokitError: as `ct_ich.read_diagnosis` and `ct_ich.read_demographics`; one patient in two folders.
    """
    diagnosis = read_diagnosis(root / "hemorrhage_diagnosis.csv")
    files, notes = _list_files(root / "Patients_CT")
    rows = diagnosis.rows.join(files)
    pictured = rows["image_path"].notna()
    listed = set(diagnosis.rows.index).union(*(drop.ids for drop in diagnosis.drops))
    unlisted = tuple(name for name in files.index[files["image_path"].notna()] if name not in listed)
    drops = (
        *diagnosis.drops,
        Drop("listed in hemorrhage_diagnosis.csv, but there is no brain image", tuple(rows.index[~pictured])),
        Drop("a brain image that hemorrhage_diagnosis.csv does not list", unlisted),
    )
    rows = rows[pictured].assign(dataset=NAME).drop(columns="slice_number")
    rows, more = join_demographics(rows, root / "patient_demographics.csv")
    boneless = list(rows.index[rows["bone_path"].isna()])
    notes += (*more, *mask_notes(rows), *_counted("slices without a bone image", boneless))
    notes += bad_patient_notes(rows, NAME, root)
    return build_table(rows, rows_in=diagnosis.rows_in + len(unlisted), drops=drops, notes=notes)


def _list_files(folder):
    """Paths of all images: DataFrame indexed by slice_id (image_path, mask_path, bone_path), and notes."""
    found, other, spellings = {}, [], {}
    for patient in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        if not (patient.is_dir() and patient.name.isdecimal()):
            other.append(patient)
            continue
        name = patient_name(int(patient.name))
        if name in spellings:
            came = f"patient {name} has two folders, {spellings[name]} and {patient.name}"
            raise problem(came, "one folder a patient", "Remove one of them.", file=folder)
        spellings[name] = patient.name
        other += _list_patient(patient, name, found)
    columns = ["image_path", "mask_path", "bone_path"]
    files = pd.DataFrame(list(found.values()), index=list(found), columns=columns, dtype=object)
    alone = list(files.index[files["image_path"].isna()])
    notes = _counted("masks or bone images without a brain image, not used", alone)
    strangers = [path.relative_to(folder).as_posix() for path in other]
    return files, notes + _counted("entries of Patients_CT that are no images, not used", strangers)


def _list_patient(patient, name, found):
    """Enter the paths of one patient into `found`; give what is no image of the data set."""
    other = []
    for window, column in RENDERS.items():
        folder = patient / window
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            image, mask = _IMAGE.fullmatch(path.name), window == "brain" and _MASK.fullmatch(path.name)
            if image:
                found.setdefault(slice_name(name, int(image[1])), {})[column] = str(path)
            elif mask:
                found.setdefault(slice_name(name, int(mask[1])), {})["mask_path"] = str(path)
            elif not path.name.startswith("."):
                other.append(path)
    return other


def _counted(sentence, names):
    """A note such as "slices without a bone image: 1 (084_036)"; none where there is nothing to say."""
    return (f"{sentence}: {len(names)} ({', '.join(names[:3])})",) if names else ()


def read_image(row, windows):
    """Read the renders named in `windows`: float32 (height, width, len(windows)) in [0, 1]."""
    return read_renders(row, windows, RENDERS, _read_gray)


def _read_gray(path):
    return read_image_file(path, channels=1).astype(np.float32) / np.float32(255)


def read_mask(row):
    """Read the mask: bool (height, width). The JPG is not just 0 and 255: above 127 is hemorrhage.

    A mask of three channels will do where they agree.
    """
    path = row["mask_path"]
    mask = read_image_file(path) > 127
    if mask.ndim == 3:
        if (mask.any(axis=-1) != mask.all(axis=-1)).any():
            raise problem("the mask has colors", "white on black", "Is this a mask?", file=path)
        mask = mask[..., 0]
    if mask.shape != image_shape(row):
        came = f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels"
        expected = "{1} x {0}, as its image".format(*image_shape(row))
        raise problem(came, expected, "Take the right pair.", file=path)
    return mask


def image_shape(row):
    """(height, width) of the slice's image."""
    return read_image_size(row["image_path"])
