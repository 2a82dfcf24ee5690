"""The result to keep: a zip with the mask in the input's own geometry, a table and what it may not be used for."""

import csv
import io
import zipfile

import numpy as np

from hemokit.checks import problem
from hemokit.formats.nifti_files import read_nifti_header
from hemokit.formats.nifti_geometry import to_view
from hemokit.predictions import NOTICE

COLUMNS = ("slice", "threshold", "highest_probability", "pixels", "area_mm2", "notice")
STAMP = (1980, 1, 1, 0, 0, 0)  # of all entries: the same input gives the same bytes


def write_result(found, upload, model, *, threshold):
    """Write a result.

    Args:
        found: `answers.Answer` of the upload.
        upload: `apply.inputs.Scan`.
        model: `models.Model`.
        threshold: whole number from 1 to 1000: of the probability, in thousandths.

    Returns:
        bytes of a zip: masks as mask.nii.gz on the grid of a NIfTI file, else as one PNG a slice (0 and 255);
        result.csv, one row a slice; README.txt. Each of them says what it is not for, and none names a patient.

    Raises:
        HemokitError: a threshold out of its range.
    """
    if not 1 <= threshold <= 1000:
        raise problem(f"the threshold is {threshold}", "thousandths from 1 to 1000", "Move the slider.")
    masks = None if found.maps is None else found.maps >= threshold
    files = {"README.txt": _about(found, masks, model, threshold).encode()}
    files["result.csv"] = _table(found, masks, model, threshold).encode()
    if masks is not None and upload.orientation is not None:
        files["mask.nii.gz"] = _nifti(masks, upload)
    elif masks is not None:
        names = ["mask.png"] if len(masks) == 1 else [f"masks/mask_{number:03d}.png" for number in range(len(masks))]
        files |= {name: _png(mask) for name, mask in zip(names, masks, strict=True)}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, data in files.items():
            stream.writestr(zipfile.ZipInfo(name, STAMP), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def volume_of(pixels, spacing_mm):
    """Milliliters of a number of pixels; None where a distance is not known."""
    return None if None in spacing_mm else float(pixels * np.prod(spacing_mm) / 1000)


def area_of(pixels, spacing_mm):
    """Square millimeters of a number of pixels of one slice; None where a distance is not known."""
    return None if None in spacing_mm[1:] else float(pixels * spacing_mm[1] * spacing_mm[2])


def _about(found, masks, model, threshold):
    said = [f"{NOTICE[0].upper()}{NOTICE[1:]}. Not for diagnosis.", "", f"Model: {model.title}"]
    said += [f"SHA-256 of the model: {model.sha256}", *model.about, ""]
    if masks is not None:
        volume = volume_of(int(masks.sum()), found.spacing_mm)
        said.append(f"Threshold of the probability: {threshold / 1000:.3f}")
        said.append(f"Volume of the mask: {'unknown (no spacing)' if volume is None else f'{volume:.2f} mL'}")
    said += ["Slices are counted from 0, the neck first.", *found.notes]
    return "\n".join(said) + "\n"


def _table(found, masks, model, threshold):
    columns = COLUMNS if masks is not None else ("slice", *model.labels, "notice")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for number, outputs in enumerate(found.outputs):
        if masks is None:
            writer.writerow([number, *(f"{one:.4f}" for one in outputs), NOTICE])
            continue
        pixels = int(masks[number].sum())
        area = area_of(pixels, found.spacing_mm)
        shown = "unknown" if area is None else f"{area:.2f}"
        writer.writerow([number, f"{threshold / 1000:.3f}", f"{outputs[0]:.4f}", pixels, shown, NOTICE])
    return stream.getvalue()


def _nifti(masks, upload):
    """The masks along the axes of the file that they are of, with its affine."""
    import gzip

    from nibabel import Nifti1Image

    axes, flips = to_view(upload.orientation)
    along = masks[flips].transpose(np.argsort(axes)).astype(np.uint8)
    image = Nifti1Image(along, read_nifti_header(upload.files[0]).affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"hemorrhage mask; {NOTICE}".encode()
    return gzip.compress(image.to_bytes(), mtime=0)


def _png(mask):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info, target = PngInfo(), io.BytesIO()
    info.add_text("Comment", NOTICE)
    Image.fromarray(mask.astype(np.uint8) * 255).save(target, "PNG", pnginfo=info)
    return target.getvalue()
