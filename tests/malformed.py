"""Builders of small good files and of every kind of damage that the format readers must refuse.

`GOOD[kind](path, rng)` writes a whole file; `MALFORMED[name]` is (kind, write, options) where
`write(path, rng)` writes a damaged one and `options` go to the reader. `READ[kind]` is the reader.
"""

import gzip
import io
import struct
import zlib
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info

from hemokit.formats import csv_files, dicom_files, image_files, nifti_files

READ = {
    "csv": csv_files.read_csv,
    "jpg": image_files.read_image_file,
    "png": image_files.read_image_file,
    "nii": nifti_files.read_nifti_volume,
    "nii.gz": nifti_files.read_nifti_volume,
    "dcm": dicom_files.read_dicom,
}

# ---- good files ------------------------------------------------------------------------------------------


def csv_text(rng):
    """A table of ids, polygons (quoted) and flags; with one in four without any quotes."""
    polygon = '"[{""x"": 0.25, ""y"": 0.5}]"'
    rows = [f"ID_{rng.integers(1e9):09d},{polygon},{rng.integers(2)}" for _ in range(int(rng.integers(3, 30)))]
    return "Image,polygon,label\n" + "\n".join(rows) + "\n"


def pixels(rng, channels=None):
    channels = channels or int(rng.choice([1, 3]))
    shape = tuple(rng.integers(24, 60, 2)) + ((3,) if channels == 3 else ())
    return cv2.GaussianBlur(rng.integers(0, 256, shape).astype(np.uint8), (5, 5), 1)


def encoded(extension, image, *options):
    return cv2.imencode(extension, image, options)[1].tobytes()


def png(header, data, chunks=()):
    """A PNG from its IHDR fields (width, height, bits, color type, interlace), pixel rows and other chunks."""
    width, height, bits, color, interlace = header
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace)), *chunks]
    parts += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def jpeg_with(rng, segment, place=2):
    data = encoded(".jpg", pixels(rng, 1))
    return data[:place] + segment + data[place:]


def exif(orientation, order=">"):
    tiff = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def volume(rng):
    return rng.integers(-1000, 2000, (7, 8, 9)).astype(np.int16)


AFFINE = np.array([[-0.45, 0, 0, 50], [0, 0.45, 0, -60], [0, 0, 5, 10], [0, 0, 0, 1.0]])  # "LAS"


def nifti(array, affine=AFFINE, extra=b"", **fields):
    """The bytes of a NIfTI-1 file; `fields` overwrite header fields after everything else."""
    header = nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header["pixdim"][1:4] = 0.45, 0.45, 5
    header["magic"], header["vox_offset"], header["scl_slope"], header["scl_inter"] = b"n+1", 352, 1, 0
    header["xyzt_units"] = 2
    if affine is not None:
        header.set_sform(affine, code=1)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + b"\0\0\0\0" + array.tobytes(order="F") + extra


def dicom(rng, *, syntax="1.2.840.10008.1.2.1", stored=None, **fields):
    """A CT slice as pydicom data set; a field set to None is left out."""
    stored = rng.integers(0, 2500, (14, 15)).astype(np.int16) if stored is None else stored
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.9"
    dataset.PatientID, dataset.PatientName, dataset.Modality = "ID_0a1b2c3d", "Roe^Richard", "CT"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-125, -125, 40], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = [0.5, 0.5], 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    dataset.WindowCenter, dataset.WindowWidth = [40, 600], [80, 2800]
    dataset.PixelData = stored.tobytes()
    with pydicom.config.disable_value_validation():
        for name, value in fields.items():
            if name in dataset:
                delattr(dataset, name)
            if value is not None:
                setattr(dataset, name, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return dataset


def dicom_bytes(dataset):
    """The file's bytes; values that pydicom would rather not write are written all the same."""
    syntax = dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2.1")
    body, start = DicomBytesIO(), DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = syntax != "1.2.840.10008.1.2.2", syntax == "1.2.840.10008.1.2"
    with pydicom.config.disable_value_validation():
        write_dataset(body, dataset)
        write_file_meta_info(start, dataset.file_meta, enforce_standard=False)
    data = body.getvalue()
    if syntax == "1.2.840.10008.1.2.1.99":
        packer = zlib.compressobj(wbits=-15)
        data = packer.compress(data) + packer.flush()
    return b"\0" * 128 + b"DICM" + start.getvalue() + data


GOOD = {
    "csv": lambda rng: csv_text(rng).encode(),
    "jpg": lambda rng: encoded(".jpg", pixels(rng)),
    "png": lambda rng: encoded(".png", pixels(rng)),
    "nii": lambda rng: nifti(volume(rng)),
    "nii.gz": lambda rng: gzip.compress(nifti(volume(rng))),
    "dcm": lambda rng: dicom_bytes(dicom(rng)),
}

# ---- damage ----------------------------------------------------------------------------------------------


def cut(data, rng):
    return data[: int(rng.integers(1, len(data)))]


def flipped(data, rng, low, high):
    """`data` with one bit flipped between the bytes `low` and `high`."""
    changed = bytearray(data)
    changed[int(rng.integers(low, high))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def changed_line(rng, change):
    """A good table with one of its rows changed."""
    lines = csv_text(rng).splitlines()
    place = int(rng.integers(1, len(lines)))
    lines[place] = change(lines[place])
    return ("\n".join(lines) + "\n").encode()


def cmyk(rng):
    stream = io.BytesIO()
    Image.fromarray(np.repeat(pixels(rng, 1)[..., None], 4, axis=2), "CMYK").save(stream, "JPEG")
    return stream.getvalue()


def frame(rng, **changes):
    """A JPEG with bytes of its frame header changed: offset from the marker -> bytes."""
    data = bytearray(encoded(".jpg", pixels(rng, 1)))
    start = data.index(b"\xff\xc0")
    for offset, value in changes.values():
        data[start + offset : start + offset + len(value)] = value
    return bytes(data)


def sheared(rng):
    affine = AFFINE.copy()
    affine[1, 2] = 5 * np.tan(np.radians(rng.uniform(5, 25)))
    return affine


def turned(degrees):
    turn = np.eye(4)
    turn[:2, :2] = [
        [np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))],
        [np.sin(np.radians(degrees)), np.cos(np.radians(degrees))],
    ]
    return turn @ AFFINE


def with_nan(rng):
    data = volume(rng).astype(np.float32)
    data.flat[int(rng.integers(data.size))] = np.nan
    return data


CONFLICT = {"qform_code": 1, "quatern_b": 0, "quatern_c": 0, "quatern_d": 0}  # not mirrored, as AFFINE is


def noise(rng):
    return rng.integers(0, 256, 600).astype(np.uint8).tobytes()


def _csv():
    yield "not UTF-8", lambda rng: csv_text(rng).replace("ID_", "\u00cfD_", 1).encode("latin-1")
    yield "UTF-16", lambda rng: csv_text(rng).encode("utf-16")
    yield "NUL byte", lambda rng: changed_line(rng, lambda line: line.replace("_", "\0"))
    yield "noise", noise
    yield "gzip named .csv", lambda rng: gzip.compress(csv_text(rng).encode())
    yield "short row", lambda rng: changed_line(rng, lambda line: line.rsplit(",", 1)[0])
    yield "long row", lambda rng: changed_line(rng, lambda line: line + ",")
    yield "unquoted polygon", lambda rng: changed_line(rng, lambda line: line.replace('"', ""))
    yield "open quote", lambda rng: changed_line(rng, lambda line: line[::-1].replace('"', "", 1)[::-1])
    yield "text after quote", lambda rng: changed_line(rng, lambda line: line.replace(']"', ']"x'))
    yield "blank line", lambda rng: b"a,b\n1,2\n\n3,4\n"
    yield "old Mac lines", lambda rng: csv_text(rng).replace("\n", "\r").encode()
    yield "column twice", lambda rng: csv_text(rng).replace("polygon", "Image", 1).encode()
    yield "no header", lambda rng: b"\n" + csv_text(rng).encode()
    yield "web page", lambda rng: b"<html>\n<body>Please log in, then retry</body>\n</html>\n"


def _image():
    gray = bytes(8 * 8)  # seven pixels and a filter byte in each of eight rows
    yield "jpg", "text named .jpg", lambda rng: b"not an image " * int(rng.integers(1, 90))
    yield "jpg", "PNG named .jpg", GOOD["png"]
    yield "png", "JPEG named .png", GOOD["jpg"]
    yield "jpg", "BMP named .jpg", lambda rng: encoded(".bmp", pixels(rng))
    yield "jpg", "JPEG without end marker", lambda rng: GOOD["jpg"](rng)[:-2]
    yield "jpg", "JPEG with a tail", lambda rng: GOOD["jpg"](rng) + noise(rng)
    yield "jpg", "two JPEGs in one", lambda rng: GOOD["jpg"](rng) * 2
    yield "jpg", "CMYK", cmyk
    yield "jpg", "EXIF turned", lambda rng: jpeg_with(rng, exif(int(rng.integers(2, 9)), rng.choice(["<", ">"])))
    yield "jpg", "12-bit frame", lambda rng: frame(rng, bits=(4, b"\x0c"))
    yield "jpg", "lossless frame", lambda rng: frame(rng, kind=(1, b"\xc3"))
    yield "jpg", "no height", lambda rng: frame(rng, height=(5, b"\0\0"))
    yield "jpg", "huge frame", lambda rng: frame(rng, size=(5, b"\xff\xff\xff\xff"))
    yield "jpg", "two frames", lambda rng: jpeg_with(rng, b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0")
    yield "jpg", "no marker where one is due", lambda rng: jpeg_with(rng, b"\0\0")
    yield "jpg", "only SOI and EOI", lambda rng: b"\xff\xd8\xff\xd9"
    yield "png", "PNG with a tail", lambda rng: GOOD["png"](rng) + noise(rng)
    yield "png", "PNG flipped bit", lambda rng: flipped(data := GOOD["png"](rng), rng, 16, len(data) - 12)
    yield "png", "palette", lambda rng: png((7, 8, 8, 3, 0), gray, [(b"PLTE", bytes(6))])
    yield "png", "alpha", lambda rng: encoded(".png", np.dstack([pixels(rng, 1)] * 4))
    yield "png", "tRNS", lambda rng: png((7, 8, 8, 0, 0), gray, [(b"tRNS", b"\0\0")])
    yield "png", "animated", lambda rng: png((7, 8, 8, 0, 0), gray, [(b"acTL", bytes(8))])
    yield "png", "interlaced", lambda rng: png((7, 8, 8, 0, 1), gray)
    yield "png", "one bit", lambda rng: png((7, 8, 1, 0, 0), bytes(16))
    yield "png", "too few pixels", lambda rng: png((7, 9, 8, 0, 0), gray)
    yield "png", "too many pixels", lambda rng: png((7, 7, 8, 0, 0), gray)
    yield "png", "no pixels", lambda rng: png((0, 8, 8, 0, 0), b"")
    yield "png", "huge size", lambda rng: png((2**31 - 1, 2**31 - 1, 8, 0, 0), gray)


def _nifti():
    yield "nii", "nifti with a tail", lambda rng: nifti(volume(rng), extra=b"x" * int(rng.integers(1, 99)))
    yield "nii", "wrong magic", lambda rng: nifti(volume(rng), magic=b"n+7")
    yield "nii", "pair of files", lambda rng: nifti(volume(rng), magic=b"ni1")
    yield "nii", "NIfTI-2", lambda rng: nib.Nifti2Image(volume(rng), AFFINE).to_bytes()
    yield "nii", "noise named .nii", noise
    yield "nii", "gzip named .nii", GOOD["nii.gz"]
    yield "nii.gz", "nii named .nii.gz", GOOD["nii"]
    yield "nii.gz", "gzip with a tail", lambda rng: GOOD["nii.gz"](rng) + b"garbage"
    yield "nii.gz", "gzip flipped bit", lambda rng: flipped(data := GOOD["nii.gz"](rng), rng, 10, len(data))
    yield "nii.gz", "gzip of noise", lambda rng: gzip.compress(noise(rng))
    yield "nii", "RGB voxels", lambda rng: nifti(volume(rng), datatype=128, bitpix=24)
    yield "nii", "complex voxels", lambda rng: nifti(volume(rng).astype(np.complex64))
    yield "nii", "bits against type", lambda rng: nifti(volume(rng), bitpix=32)
    yield "nii", "four axes", lambda rng: nifti(np.stack([volume(rng)] * 2, axis=3))
    yield "nii", "two axes", lambda rng: nifti(volume(rng)[:, :, 0])
    yield "nii", "negative axis", lambda rng: nifti(volume(rng), dim=[3, 7, -8, 9, 1, 1, 1, 1])
    yield "nii", "huge axes", lambda rng: nifti(volume(rng), dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    yield "nii", "voxels in the header", lambda rng: nifti(volume(rng), vox_offset=rng.choice([0, 100, -5, np.nan]))
    yield "nii", "NaN voxel", lambda rng: nifti(with_nan(rng))
    yield "nii", "infinite slope", lambda rng: nifti(volume(rng), scl_slope=1, scl_inter=np.inf)
    yield "nii", "no affine", lambda rng: nifti(volume(rng), affine=None)
    yield "nii", "affine of zeros", lambda rng: nifti(volume(rng), srow_x=0)
    yield "nii", "NaN affine", lambda rng: nifti(volume(rng), srow_y=np.nan)
    yield "nii", "sform against qform", lambda rng: nifti(volume(rng), **CONFLICT)
    yield "nii", "impossible quaternion", lambda rng: nifti(volume(rng), qform_code=1, quatern_b=3)
    yield "nii", "tilt", lambda rng: nifti(volume(rng), affine=sheared(rng), pixdim=[1, 0.45, 0.45, 5, 0, 0, 0, 0])
    yield "nii", "turned", lambda rng: nifti(volume(rng), affine=turned(rng.uniform(35, 55)))
    yield "nii", "pixdim against affine", lambda rng: nifti(volume(rng), pixdim=[1, 0.9, 0.45, 5, 0, 0, 0, 0])
    yield "nii", "no voxel size", lambda rng: nifti(volume(rng), pixdim=[1, 0, 0.45, 5, 0, 0, 0, 0])
    signaling = b"\x01\0\x80\x7f"  # the kind of NaN that makes the processor raise its flag
    yield "nii", "signaling NaN size", lambda rng: (data := nifti(volume(rng)))[:80] + signaling + data[84:]
    yield "nii", "micrometers", lambda rng: nifti(volume(rng), xyzt_units=3)


def _dicom():
    deflated, jpeg = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"
    twelve = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
    yield "no DICM", lambda rng: GOOD["dcm"](rng)[132:]
    yield "noise named .dcm", noise
    yield "JPEG named .dcm", GOOD["jpg"]
    yield "slope text", lambda rng: dicom_bytes(dicom(rng, RescaleSlope="7.25")).replace(b"7.25", b"one ")
    for name in (
        *("RescaleSlope", "RescaleIntercept", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Modality", "PhotometricInterpretation"),
        *("Rows", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "PixelData"),
    ):
        yield f"no {name}", lambda rng, name=name: dicom_bytes(dicom(rng, **{name: None}))
    wrong = {
        "slope 0": {"RescaleSlope": "0"},
        "slope NaN": {"RescaleSlope": "NaN"},
        "slope negative": {"RescaleSlope": "-1"},
        "slope 1000": {"RescaleSlope": "1000"},
        "two slopes": {"RescaleSlope": ["1", "2"]},
        "intercept 3000": {"RescaleIntercept": "33000"},
        "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
        "Modality MR": {"Modality": "MR"},
        "RescaleType US": {"RescaleType": "US"},
        "three samples": {"SamplesPerPixel": 3},
        "multi-frame": {"NumberOfFrames": "2"},
        "8 bits": {"BitsAllocated": 8},
        "HighBit odd": {"HighBit": 11},
        "no rows": {"Rows": 0},
        "huge size": {"Rows": 65535, "Columns": 65535},
        "pixels short": {"PixelData": bytes(2 * 14 * 15 - 2)},
        "pixels long": {"PixelData": bytes(2 * 14 * 15 + 2)},
        "position of two": {"ImagePositionPatient": [1, 2]},
        "spacing 0": {"PixelSpacing": [0, 0.5]},
        "orientation askew": {"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]},
        "blank patient": {"PatientID": ""},
        "beyond BitsStored": {**twelve, "PixelData": np.full((14, 15), 5000, np.uint16).tobytes()},
        "deflated": {"syntax": deflated},
        "JPEG lossless": {"syntax": jpeg},
        "no transfer syntax": {"syntax": None},
        "RLE that is none": {"syntax": "1.2.840.10008.1.2.5"},
    }
    for name, fields in wrong.items():
        yield name, lambda rng, fields=fields: dicom_bytes(dicom(rng, **fields))


def _corpus():
    for name, make in _csv():
        yield f"csv: {name}", "csv", make, {"columns": ["a", "b"]} if name == "web page" else {}
    yield "csv: column missing", "csv", GOOD["csv"], {"columns": ["Image", "nothing"]}
    yield "csv: column too many", "csv", GOOD["csv"], {"columns": ["Image"], "allow_extra": False}
    yield "csv: id twice", "csv", lambda rng: b"id,x\n1,2\n2,2\n1,3\n", {"unique": "id"}
    yield "csv: too large", "csv", GOOD["csv"], {"max_bytes": 9}
    for kind, name, make in _image():
        yield f"image: {name}", kind, make, {}
    yield "image: RGB for gray", "jpg", lambda rng: encoded(".jpg", pixels(rng, 3)), {"channels": 1}
    for kind, name, make in _nifti():
        yield f"nifti: {name}", kind, make, {}
    yield "nifti: CT as mask", "nii", GOOD["nii"], {"kind": "mask"}
    yield "nifti: label map as mask", "nii", lambda rng: nifti(volume(rng) % np.int16(6)), {"kind": "mask"}
    yield "nifti: blurred mask", "nii", lambda rng: nifti(rng.random((7, 8, 9)).astype("f4")), {"kind": "mask"}
    for name, make in _dicom():
        yield f"dicom: {name}", "dcm", make, {}
    for kind in GOOD:
        yield f"{kind}: empty", kind, lambda rng: b"", {}
        if kind != "csv":
            yield f"{kind}: cut off", kind, lambda rng, kind=kind: cut(GOOD[kind](rng), rng), {}


MALFORMED = {name: (kind, make, options) for name, kind, make, options in _corpus()}


def write(folder, kind, data, name="file"):
    """Write `data` as folder/name.kind and return the path."""
    path = Path(folder) / f"{name}.{kind}"
    path.write_bytes(data)
    return path
