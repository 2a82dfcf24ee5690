"""Who is in a written phantom: its patients, their types of hemorrhage, their scans, and the names of things.

Names come from a hash of what they stand for, never from a clock or a counter, so that the same seed gives the
same names everywhere: the slices of the layouts "rsna" and "windowed_jpg" can be joined.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from hemokit.datasets.phantom.scan import make_phantom
from hemokit.labels import ANY, SUBTYPES

# Numbers as in CT-ICH, from 49. Those that mean something there are left out: 59 to 65 are not in its NIfTI form,
# and 70 is the patient whom its authors leave out of segmentation.
NUMBERS = tuple(number for number in range(49, 1000) if number not in (*range(59, 66), 70))
DAMAGED = "ID_6431af929"  # the one file of the real RSNA set whose pixel data are cut short
NOTICE = "PHANTOM: synthetic images made by hemokit. Nobody was scanned. Not a medical device."

# The types of hemorrhage of 25 patients in a row, then again from the start. They are not drawn (see `scan.MIX`),
# so that a small phantom has both kinds of patients and all types: 11 of 25 (44 %) are positive as in CT-ICH (36 of
# 82), epidural and intraparenchymal lead as there, and every type has at least two patients.
TYPES_IN_TURN = (
    ("epidural",),
    (),
    ("intraparenchymal", "intraventricular", "subarachnoid"),
    (),
    ("subdural",),
    (),
    (),
    ("epidural", "intraparenchymal"),
    (),
    ("epidural",),
    (),
    ("intraparenchymal", "subarachnoid"),
    (),
    ("intraventricular",),
    (),
    (),
    ("epidural",),
    (),
    ("intraparenchymal", "subdural"),
    (),
    ("epidural", "subarachnoid"),
    (),
    ("intraparenchymal",),
    (),
    (),
)


class Study(NamedTuple):
    """One scan of one patient: the `Phantom`, its number (0, then 1 for a follow-up) and the ids of its slices."""

    patient_id: str
    number: int
    scan: object
    slice_ids: tuple


def patient_ids(num_patients):
    """The ids of the patients in order: "049", "050", ... as the folders of CT-ICH are called."""
    return [f"{number:03d}" for number in NUMBERS[:num_patients]]


def patient_scan(patient_id, *, image_size, seed):
    """The `Phantom` of one patient."""
    subtypes = TYPES_IN_TURN[patient_index(patient_id) % len(TYPES_IN_TURN)]
    return make_phantom(patient_id, seed=seed, image_size=image_size, subtypes=subtypes)


def patient_studies(patient_id, *, image_size, seed):
    """The studies of one RSNA patient: one, and for every fourth patient a follow-up of the same head.

    The follow-up lies a few pixels elsewhere and has other noise. A split by study instead of by patient
    therefore leaks, as in the real data.
    """
    scan = patient_scan(patient_id, image_size=image_size, seed=seed)
    scans = [scan, _follow_up(patient_id, scan, seed)] if patient_index(patient_id) % 4 == 1 else [scan]
    return [
        Study(patient_id, number, each, _slice_ids(patient_id, number, each, seed)) for number, each in enumerate(scans)
    ]


def patient_index(patient_id):
    """The place of a patient in the phantom, from 0."""
    return NUMBERS.index(int(patient_id))


def stable_id(*parts, digits):
    """ "ID_" and hexadecimal digits that depend on `parts` alone, as everything in the RSNA set is called."""
    text = "/".join(map(str, parts))
    return "ID_" + hashlib.sha256(text.encode()).hexdigest()[:digits]


def slice_labels(masks):
    """The labels of each slice: dict label -> int array (slices,), from masks (slices, height, width)."""
    labels = {subtype: masks[subtype].any(axis=(1, 2)).astype(int) for subtype in SUBTYPES}
    return {ANY: np.max(list(labels.values()), axis=0), **labels}


def any_mask(masks):
    """All types of hemorrhage in one bool mask (slices, height, width)."""
    return np.logical_or.reduce([masks[subtype] for subtype in SUBTYPES])


def _follow_up(patient_id, scan, seed):
    """The same head, moved by a few pixels (air comes in at the edges), with 3 HU of new noise."""
    rng = np.random.default_rng([seed, int(patient_id)])
    height = scan.hounsfield.shape[1]
    shift = rng.integers(-height // 40, height // 40 + 1, size=2)
    hounsfield = _shifted(scan.hounsfield, shift, -1000) + rng.normal(0, 3, scan.hounsfield.shape)
    return scan._replace(
        hounsfield=np.clip(np.rint(hounsfield), -1024, 3071).astype(np.int16),
        masks={subtype: _shifted(mask, shift, False) for subtype, mask in scan.masks.items()},
        intracranial=_shifted(scan.intracranial, shift, False),
    )


def _shifted(volume, shift, fill):
    """Move every slice by `shift` (rows, columns) without wrapping around."""
    _, height, width = volume.shape
    down, right = map(int, shift)
    moved = np.full_like(volume, fill)
    target = (slice(None), slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    source = (slice(None), slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0)))
    moved[target] = volume[source]
    return moved


def _slice_ids(patient_id, number, scan, seed):
    """One id a slice. The lowest slice of the first patient is the damaged file."""
    ids = [stable_id("slice", seed, patient_id, number, k, digits=9) for k in range(len(scan.hounsfield))]
    if patient_index(patient_id) == 0:
        ids[0] = DAMAGED
    return tuple(ids)
