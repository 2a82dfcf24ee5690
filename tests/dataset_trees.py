"""Small hand-made data sets in the four layouts: a few slices of a few pixels, with the quirks of the real files.

Every builder makes a good tree below `root` and returns `root`; a test then spoils what it is about.
"""

import csv

import cv2
import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

JPG_HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)
# patient, slice, the five flags, no hemorrhage, fracture: two patients of three and two slices
JPG_ROWS = (
    "49,1,0,0,0,0,0,1,0",
    "49,2,0,0,0,1,0,0,1",
    "49,3,0,1,0,0,1,0,0",
    "84,1,0,0,0,0,0,1,0",
    "84,2,0,0,0,0,0,1,0",
)
DEMOGRAPHICS = (
    '"Patient Number","Age\n(years)","Gender","Intraventricular","Intraparenchymal","Subarachnoid","Epidural",'
    '"Subdural","Fracture (Yes/No)","Condition on file","Note"\n'
    '49,0.583333333,"Female",,1,,1,1,1,"Normal CT",\n'
    '84,18,"Male",,,,,,,"Intracranial HGE ",\n'
    '130,24,"Female",,,,,,,"Normal CT",\n'
)
NIFTI_DEMOGRAPHICS = (
    'Patient Number,"Age\n(years)",Gender,Hemorrhage type,,,,,Fracture,Note\n'
    ",,,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,,\n"
    "49,0.5,Female,,1,,1,1,1,\n84,18,Male,,,,,,,\n,,,0,1,0,1,1,1,\nMean,9.25,,,,,,,,\n"
)
LABEL_ORDER = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")
RSNA_LABELS = {  # in the order of LABEL_ORDER
    "ID_00000000a": "000000", "ID_00000000b": "100001", "ID_00000000c": "000011", "ID_00000000d": "000000",
}  # fmt: skip


def write_jpg(path, image, quality=95):
    """A JPEG; gray, or RGB (height, width, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image[..., ::-1] if image.ndim == 3 else image
    path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def ct_ich_jpg(root):
    """Patients 049 (3 slices, two positive) and 084 (2 slices; bone/2.jpg is missing, as in the real set)."""
    for row in JPG_ROWS:
        patient, number, *_ = row.split(",")
        folder = root / "Patients_CT" / f"{int(patient):03d}"
        image = np.full((72, 88), 10 * int(number), np.uint8)
        write_jpg(folder / "brain" / f"{number}.jpg", image)
        if row[:4] != "84,2":
            write_jpg(folder / "bone" / f"{number}.jpg", image + 100)
    for number in (2, 3):
        mask = np.zeros((72, 88), np.uint8)
        mask[16:32, 8:40] = 230
        write_jpg(root / "Patients_CT/049/brain" / f"{number}_HGE_Seg.jpg", mask, quality=50)
    write_diagnosis(root / "hemorrhage_diagnosis.csv", JPG_ROWS)
    (root / "patient_demographics.csv").write_text(DEMOGRAPHICS)
    return root


def write_diagnosis(path, rows):
    """The CSV of the slices as it was published: byte order mark and CRLF."""
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{row}\r\n" for row in (JPG_HEADER, *rows)).encode())


def nifti_volume(slices, patient):
    """Hounsfield units (slices, 8, 9) as seen: each slice has another value, and one bright corner."""
    volume = np.full((slices, 8, 9), -1000, np.int16)
    volume += (100 * np.arange(slices) + patient).astype(np.int16)[:, None, None]
    volume[:, 0, 1] = 1500  # up and nearly left as one looks at it
    return volume


def write_nifti(path, volume, slope=1.0, intercept=0.0, diagonal=(-0.5, 0.5, 5.0)):
    """A volume (slices, height, width) so that np.rot90(file[:, :, k]) is slice k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.stack([np.rot90(each, -1) for each in volume], axis=-1)
    image = nib.Nifti1Image(np.ascontiguousarray(stored), np.diag([*diagonal, 1.0]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, path)


def ct_ich_nifti(root):
    """The same five slices; the volume of 084 has one slice more than the CSV, the masks are about 0 and 255."""
    for patient, slices in ((49, 3), (84, 3)):
        write_nifti(root / "ct_scans" / f"{patient:03d}.nii", nifti_volume(slices, patient))
        mask = np.zeros((slices, 8, 9), np.uint8)
        if patient == 49:
            mask[1:, 2:5, 3:6] = 255
        write_nifti(root / "masks" / f"{patient:03d}.nii", mask, slope=0.9999, intercept=0.004)
    text = "".join(f"{row}\n" for row in (JPG_HEADER, *JPG_ROWS))
    (root / "hemorrhage_diagnosis_raw_ct.csv").write_text(text)
    (root / "Patient_demographics.csv").write_text(NIFTI_DEMOGRAPHICS)
    return root


def write_dicom(path, *, patient, series, z, value=0, **changes):
    """A slice of 8 x 9 pixels: `value` HU with a corner of 1000 HU above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.{abs(hash(path.stem)) % 10**9}"
    data.Modality, data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = "CT", patient, "1.2.3", series
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns, data.PixelSpacing = 8, 9, [0.5, 0.4]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.WindowCenter, data.WindowWidth = [40, 40], [80, 80]
    pixels = np.full((8, 9), value + 1024, np.int16)
    pixels[0, 0] += 1000
    data.PixelData = pixels.tobytes()
    for name, change in changes.items():
        setattr(data, name, change)
    data.save_as(path, enforce_file_format=True)


def rsna(root):
    """Two patients: the slices a, b, c of one scan (their order along the body is c, a, b) and d."""
    places = {"a": ("P1", "1.1", 5.0), "b": ("P1", "1.1", 10.0), "c": ("P1", "1.1", 0.0), "d": ("P2", "1.2", 0.0)}
    for value, (letter, (patient, series, z)) in enumerate(places.items()):
        path = root / "stage_2_train" / f"ID_00000000{letter}.dcm"
        write_dicom(path, patient=patient, series=series, z=z, value=value)
    write_rsna_csv(root / "stage_2_train.csv", RSNA_LABELS)
    return root


def hemokit_store(root):
    """The slices of `rsna`, prepared; made other than constant, because constant ones are left out."""
    from hemokit.prepare import prepare_store

    folder = rsna(root.parent / f".dicom of {root.name}")
    for path in (folder / "stage_2_train").iterdir():
        dataset = pydicom.dcmread(path)
        pixels = np.frombuffer(dataset.PixelData, np.int16).copy()
        pixels[0] += 1
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path, enforce_file_format=False)
    prepare_store(folder, root, workers=1)
    return root


def rsna_lines(labels):
    """The six lines of each image."""
    return [
        f"{name}_{label},{flag}"
        for name, flags in labels.items()
        for label, flag in zip(LABEL_ORDER, flags, strict=True)
    ]


def write_rsna_csv(path, labels, more=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in ("ID,Label", *rsna_lines(labels), *more)))


def bone_colors(gray):
    """Gray values 0..255 through matplotlib's `bone` map."""
    from matplotlib import colormaps

    return colormaps["bone"](np.arange(256), bytes=True)[:, :3][gray]


def windowed_jpg(root, *, labels_folder="HemorrhageLabels", doubled=False):
    """The slices of RSNA_LABELS in two windows each; a normal one is flagged; b has polygons, c has none."""
    for name, flags in RSNA_LABELS.items():
        kind = dict(zip(("000000", "100001", "000011"), ("normal", "epidural", "subdural"), strict=True))[flags]
        for window in ("brain_window", "subdural_window"):
            gray = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
            folder = root / "renders" / kind / (kind if doubled else ".") / window
            write_jpg(folder / f"{name}.jpg", bone_colors(gray))
    folder = root / labels_folder
    folder.mkdir()
    rows = [(name, flags[5], *flags[:5]) for name, flags in RSNA_LABELS.items()]
    header = ("Image", "any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    (folder / "hemorrhage-labels.csv").write_text("".join(",".join(row) + "\n" for row in (header, *rows)))
    (folder / "flagged.txt").write_text("ID_00000000d.jpg\n")
    write_results(folder / "Results_Epidural Hemorrhage Detection_2020-11-16_21.31.26.148.csv", "ID_00000000b")
    return root


def write_results(path, *slice_ids, outline=((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))):
    """A label file with one rectangle for each slice."""
    regions = repr([[{"x": x, "y": y} for x, y in outline]])
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Case ID", "Origin", "Labeling State", "Majority Label", "Correct Label"])
        for number, slice_id in enumerate(slice_ids):
            writer.writerow([1196514 + number, f"{slice_id}.jpg", "Labeled", "", regions])
