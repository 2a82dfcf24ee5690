"""Writes phantom patients as the two forms of CT-ICH: JPG renders, and NIfTI volumes."""

from pathlib import Path

import numpy as np

from hemokit.datasets.phantom.roster import NOTICE, any_mask, patient_index, patient_scan, slice_labels
from hemokit.files import write_whole
from hemokit.labels import ANY
from hemokit.windows import BRAIN_WIDE, Window, apply_window

# The real renders were made with these two windows: over 382,005 smoothed brain pixels of 40 real patients, brain
# tissue is 116 of 255 in the brain render and 74 in the bone render, the fluid of the ventricles 56 to 60. At level
# 40 a width of 120 gives 117 for 35 HU and 57 for 7 HU (a width of 80 would give 112 and 22); for bone, level 700
# and width 3200 give 74.5 for 35 HU.
RENDERS = {"brain": BRAIN_WIDE, "bone": Window(700, 3200)}
JPEG_QUALITY = 75  # the quantization tables of the real files are those of quality 75

FLAGS = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural")  # the order of the CSVs
DIAGNOSIS_HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)
CONDITIONS = {
    "intraventricular": "IVH",
    "intraparenchymal": "Intracranial HGE",
    "subarachnoid": "SAH",
    "epidural": "Extradural HGE",
    "subdural": "Subdural HGE",
}
# Header values of the NIfTI masks: scaled by them, 0 and 255 are no whole numbers any more, as in the real files.
MASK_SLOPE, MASK_INTERCEPT = 1.0000153, -0.0019


def write_jpg_patient(folder, patient_id, *, image_size, seed):
    """Write the JPGs of one patient under `folder`/Patients_CT and return the patient's rows of the two CSVs."""
    scan = patient_scan(patient_id, image_size=image_size, seed=seed)
    place = Path(folder, "Patients_CT", patient_id)
    for name, window in RENDERS.items():
        (place / name).mkdir(parents=True)
        for number, image in enumerate(apply_window(scan.hounsfield, window), start=1):
            _write_gray(place / name / f"{number}.jpg", image)
    for number, mask in enumerate(any_mask(scan.masks), start=1):
        if mask.any():
            _write_gray(place / "brain" / f"{number}_HGE_Seg.jpg", mask)
    if patient_index(patient_id) == 1:  # the real set lacks one bone render (patient 84, slice 36)
        (place / "bone" / f"{len(scan.hounsfield)}.jpg").unlink()
    return _csv_rows(patient_id, scan)


def finish_jpg(folder, patients, seed):
    """Write the two CSVs and the README of the JPG form; `patients` is what `write_jpg_patient` returned."""
    folder = Path(folder)
    diagnosis = [DIAGNOSIS_HEADER, *(row for patient in patients for row in patient["slices"])]
    _write_text(folder / "hemorrhage_diagnosis.csv", "\ufeff" + "".join(f"{row}\r\n" for row in diagnosis))
    titles = ["Patient Number", "Age\n(years)", "Gender", *(flag.capitalize() for flag in FLAGS)]
    header = ",".join(f'"{title}"' for title in [*titles, "Fracture (Yes/No)", "Condition on file", "Note"])
    rows = [header, *(patient["demographics"] for patient in patients)]
    _write_text(folder / "patient_demographics.csv", "".join(f"{row}\n" for row in rows))
    _write_text(folder / "README.txt", _readme("Patients_CT/049/brain/14.jpg and bone/14.jpg, 14_HGE_Seg.jpg"))


def write_nifti_patient(folder, patient_id, *, image_size, seed):
    """Write ct_scans/049.nii and masks/049.nii of one patient and return the patient's rows of the two CSVs."""
    import nibabel

    scan = patient_scan(patient_id, image_size=image_size, seed=seed)
    mask = any_mask(scan.masks).astype(np.uint8) * np.uint8(255)
    # A scanner's stored values are not negative: 1024 is added, and the header's intercept takes it away.
    volumes = {
        "ct_scans": (scan.hounsfield + np.int16(1024), 1.0, -1024.0),
        "masks": (mask, MASK_SLOPE, MASK_INTERCEPT),
    }
    for name, (stored, slope, intercept) in volumes.items():
        image = nibabel.Nifti1Image(_as_nifti(stored), _affine(scan.spacing_mm))
        image.set_sform(image.affine, code="scanner")
        image.set_qform(image.affine, code="scanner")
        image.header.set_xyzt_units("mm")
        image.header.set_slope_inter(slope, intercept)
        image.header["descrip"] = NOTICE[:79].encode()
        place = Path(folder, name)
        place.mkdir(exist_ok=True)
        nibabel.save(image, place / f"{patient_id}.nii")
    return _csv_rows(patient_id, scan)


def finish_nifti(folder, patients, seed):
    """Write the two CSVs and the README of the NIfTI form; `patients` is what `write_nifti_patient` returned."""
    folder = Path(folder)
    diagnosis = [DIAGNOSIS_HEADER, *(row for patient in patients for row in patient["slices"])]
    _write_text(folder / "hemorrhage_diagnosis_raw_ct.csv", "".join(f"{row}\r\n" for row in diagnosis))
    types = ",".join(flag.capitalize() for flag in FLAGS)
    rows = [
        "Patient Number,Age (years),Gender,Hemorrhage type,,,,,Fracture (Yes/No),Condition on file,Note",
        f",,,{types},,,",
        *(patient["demographics"] for patient in patients),
        *_summary(patients),
    ]
    _write_text(folder / "Patient_demographics.csv", "".join(f"{row}\r\n" for row in rows))
    _write_text(folder / "README.txt", _readme("ct_scans/049.nii and masks/049.nii"))


def _as_nifti(volume):
    """Turn (slices, rows, columns) into (i, j, k) so that `np.rot90(volume[:, :, k])` is the picture again."""
    return np.ascontiguousarray(np.rot90(volume, -1, axes=(1, 2)).transpose(1, 2, 0))


def _affine(spacing_mm):
    """i runs to the patient's left, j to the front, k upward (NIfTI counts right, front and up as positive)."""
    slices, rows, columns = spacing_mm
    return np.diag([-columns, rows, slices, 1.0])


def _write_gray(path, image):
    from PIL import Image

    pixels = np.rint(np.asarray(image, np.float32) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)


def _csv_rows(patient_id, scan):
    """What the CSVs say of one patient: "slices" (lines), "demographics" (a line), and figures for the summary."""
    labels = slice_labels(scan.masks)
    fracture = np.asarray(scan.fracture).astype(int)
    slices = [
        ",".join(
            map(str, [int(patient_id), k + 1, *(labels[flag][k] for flag in FLAGS), 1 - labels[ANY][k], fracture[k]])
        )
        for k in range(len(fracture))
    ]
    flags = {flag: int(labels[flag].any()) for flag in FLAGS}
    marks = ["1" if flag else "" for flag in [*flags.values(), int(fracture.any())]]
    facts = [_age(scan.age_years), f'"{scan.sex}"', *marks, f'"{_condition(patient_id, flags)}"', ""]
    return {
        "slices": slices,
        "demographics": ",".join([str(int(patient_id)), *facts]),
        "age_years": scan.age_years,
        "flags": [*flags.values(), int(fracture.any())],
    }


def _age(years):
    """Whole years, but a fraction for infants, as in the real file (0.583333333 is seven months)."""
    return f"{years:.9f}" if years < 1 else f"{int(years)}"


def _condition(patient_id, flags):
    """The hospital's own words. As in the real set they often disagree with the flags: here for every seventh."""
    found = [CONDITIONS[flag] for flag, on in flags.items() if on]
    if not found or patient_index(patient_id) % 7 == 4:
        return "Normal CT"
    return "+ ".join(found) + " "


def _summary(patients):
    """The lines at the end of the NIfTI form's demographics: they count patients and are no patients."""
    totals = np.sum([patient["flags"] for patient in patients], axis=0)
    ages = np.array([patient["age_years"] for patient in patients])
    return [
        f"Total,,,{','.join(map(str, totals))},,",
        f"Mean age,{ages.mean():.2f},,,,,,,,,",
        f"SD of age,{ages.std():.2f},,,,,,,,,",
    ]


def _readme(files):
    return "\r\n".join([NOTICE, "", f"The folders are laid out as in CT-ICH: {files}.", ""])


def _write_text(path, text):
    with write_whole(path) as stream:
        stream.write(text)
