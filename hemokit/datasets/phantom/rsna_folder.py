"""Writes phantom patients as the RSNA 2019 set: one DICOM file a slice, and a CSV of six rows an image."""

from pathlib import Path

import numpy as np

from hemokit.datasets.phantom.roster import DAMAGED, NOTICE, patient_index, patient_studies, slice_labels, stable_id
from hemokit.files import write_whole
from hemokit.labels import ANY, SUBTYPES

LABELS_IN_ORDER = (*SUBTYPES, ANY)  # the CSV has `any` last
LISTED_TWICE = 4  # as many images as in the real CSV

# How a scanner stores: (bits stored, signed, what is added to Hounsfield units before storing, intercept in the
# header, lowest HU). The last one is the quirk: 1000 too little was added, negative values wrapped around at
# 4096, and the header says 0.
FORMS = ((16, 1, 1024, -1024, -1024), (12, 0, 1024, -1024, -1024), (12, 0, 0, 0, -1000))


def write_rsna_patient(folder, patient_id, *, image_size, seed):
    """Write the DICOM files of one patient under `folder`/stage_2_train.

    Returns:
        dict slice id -> its six labels, in the order of `LABELS_IN_ORDER`.
    """
    place = Path(folder, "stage_2_train")
    place.mkdir(exist_ok=True)
    labels = {}
    for study in patient_studies(patient_id, image_size=image_size, seed=seed):
        of_slice = slice_labels(study.scan.masks)
        for k, slice_id in enumerate(study.slice_ids):
            dataset = _dataset(study, k, seed)
            dataset.save_as(place / f"{slice_id}.dcm", enforce_file_format=False)  # True would want dotted ids
            labels[slice_id] = [int(of_slice[label][k]) for label in LABELS_IN_ORDER]
    return labels


def finish_rsna(folder, patients, seed):
    """Write stage_2_train.csv and the README; `patients` is what `write_rsna_patient` returned."""
    labels = {slice_id: values for patient in patients for slice_id, values in patient.items()}
    ids = sorted(labels)  # ids are hashes: their order says nothing about patients
    twice = np.random.default_rng(seed).choice(ids, size=min(LISTED_TWICE, len(ids)), replace=False)
    with write_whole(Path(folder, "stage_2_train.csv")) as stream:
        stream.write("ID,Label\n")
        for slice_id in [*ids, *twice]:
            for label, value in zip(LABELS_IN_ORDER, labels[slice_id], strict=True):
                stream.write(f"{slice_id}_{label},{value}\n")
    with write_whole(Path(folder, "README.txt")) as stream:
        stream.write(
            f"{NOTICE}\n\nThe folder is laid out as RSNA 2019: stage_2_train/ID_xxxxxxxxx.dcm, stage_2_train.csv.\n"
        )


def stored_values(hounsfield, patient_id):
    """One slice as a scanner stores it: (array int16 or uint16, the header's values that go with it)."""
    bits, signed, add, intercept, lowest = FORMS[patient_index(patient_id) % len(FORMS)]
    values = np.maximum(hounsfield, lowest).astype(np.int32) + add
    values = values.astype(np.int16) if signed else (values % 4096).astype(np.uint16)
    header = {
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": signed,
        "RescaleIntercept": f"{intercept}",
    }
    return values, header


def _dataset(study, k, seed):
    """The DICOM dataset of one slice, with the header fields that the real files have."""
    from pydicom.dataset import Dataset

    values, header = stored_values(study.scan.hounsfield[k], study.patient_id)
    slice_mm, row_mm, column_mm = study.scan.spacing_mm
    height, width = values.shape
    several = patient_index(study.patient_id) % 2 == 1  # some real files give the window twice
    dataset = Dataset()
    dataset.preamble = bytes(128)
    dataset.file_meta = _file_meta(study.slice_ids[k])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.Modality = "CT"
    dataset.Manufacturer = "hemokit phantom, nobody scanned"
    dataset.PatientID = stable_id("patient", seed, study.patient_id, digits=8)
    dataset.StudyID = ""
    dataset.ImagePositionPatient = [
        f"{mm:.3f}" for mm in (-column_mm * (width - 1) / 2, -row_mm * (height - 1) / 2, k * slice_mm)
    ]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = height, width
    dataset.PixelSpacing = [f"{row_mm:.6f}", f"{column_mm:.6f}"]
    dataset.BitsAllocated = 16
    dataset.WindowCenter, dataset.WindowWidth = (["40", "40"], ["80", "80"]) if several else ("40", "80")
    dataset.RescaleSlope = "1"
    for name, value in header.items():
        setattr(dataset, name, value)
    _add_ids(dataset, study, k, seed)
    pixels = values.astype(values.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = pixels[: len(pixels) * 2 // 3 // 2 * 2] if study.slice_ids[k] == DAMAGED else pixels
    dataset["PixelData"].VR = "OW"
    return dataset


def _add_ids(dataset, study, k, seed):
    """Add the anonymized ids of the real set: "ID_..." stands where DICOM wants a dotted number (and pydicom warns)."""
    from pydicom.config import IGNORE
    from pydicom.dataelem import DataElement

    ids = {
        "SOPInstanceUID": study.slice_ids[k],
        "StudyInstanceUID": stable_id("study", seed, study.patient_id, study.number, digits=10),
        "SeriesInstanceUID": stable_id("series", seed, study.patient_id, study.number, digits=10),
    }
    for name, value in ids.items():
        dataset.add(DataElement(name, "UI", value, validation_mode=IGNORE))


def _file_meta(slice_id):
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # set when it is written
    meta.FileMetaInformationVersion = bytes([0, 1])
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"2.25.{int(slice_id.removeprefix('ID_'), 16)}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = "2.25.4905"  # fixed: pydicom's own carries its version
    return meta
