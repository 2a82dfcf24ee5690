"""The result to keep: a zip with the mask in the input's own geometry, a table and what it may not be used for."""

import gzip
import io
import zipfile

import pandas as pd

from hemokit.apply.figures import UNKNOWN, csv_text, slice_figures, volume_of
from hemokit.apply.outputs import nifti_bytes, png_bytes
from hemokit.checks import problem
from hemokit.predictions import NOTICE

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
        slices.csv, one row a slice with the figures of `hemokit predict`; README.txt. Each of them says what it is not
        for, and none names a patient.

    Raises:
        HemokitError: a threshold out of its range.
    """
    if not 1 <= threshold <= 1000:
        raise problem(f"the threshold is {threshold}", "thousandths from 1 to 1000", "Move the slider.")
    masks = None if found.maps is None else found.maps >= threshold
    files = {"README.txt": _about(found, masks, model, threshold).encode()}
    files["slices.csv"] = csv_text(_table(found, masks, model, threshold)).encode()
    if masks is not None and upload.orientation is not None:
        files["mask.nii.gz"] = gzip.compress(nifti_bytes(masks, upload), mtime=0)
    elif masks is not None:
        names = ["mask.png"] if len(masks) == 1 else [f"masks/mask_{number:03d}.png" for number in range(len(masks))]
        files |= {name: png_bytes(mask) for name, mask in zip(names, masks, strict=True)}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, data in files.items():
            stream.writestr(zipfile.ZipInfo(name, STAMP), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _about(found, masks, model, threshold):
    said = [f"{NOTICE[0].upper()}{NOTICE[1:]}. Not for diagnosis.", "", f"Model: {model.title}"]
    said += [f"SHA-256 of the model: {model.sha256}", *model.about, ""]
    if masks is not None:
        volume = volume_of(masks, found.spacing_mm)
        said.append(f"Threshold of the probability: {threshold / 1000:.3f}")
        said.append(f"Volume of the mask: {f'{UNKNOWN} (no spacing)' if volume == UNKNOWN else f'{volume:.2f} mL'}")
    said += ["Slices are counted from 0, the neck first.", *found.notes]
    return "\n".join(said) + "\n"


def _table(found, masks, model, threshold):
    rows = []
    for number, outputs in enumerate(found.outputs):
        row = {"slice_index": number}
        if masks is None:
            row |= {
                f"probability_{name}": round(float(one), 6) for name, one in zip(model.labels, outputs, strict=True)
            }
        else:
            row |= {"threshold": threshold / 1000, **slice_figures(outputs[0], masks[number], found.spacing_mm)}
        rows.append({**row, "notice": NOTICE})
    return pd.DataFrame(rows)
