"""Masks back in the geometry of the file that they belong to: PNG of the same size, NIfTI with the same affine.

Into PNG and NIfTI only the geometry of the input's header travels; no text, which may name a patient. A DICOM SEG
belongs to the patient of its series and names them: the notes of the scan say so.
"""

import gzip
import io
from pathlib import Path

import numpy as np

from hemokit.apply import seg
from hemokit.checks import HemokitError
from hemokit.formats.nifti_files import read_nifti_fields
from hemokit.formats.nifti_geometry import to_view
from hemokit.predictions import NOTICE

TOLD = f"hemokit mask of hemorrhage: {NOTICE}"
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
NAMED = "The DICOM SEG names the patient, as its series does."
_GEOMETRY = (  # the fields of a NIfTI-1 header that say where voxels lie
    *("dim", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def write_masks(masks, scan, name, folder):
    """Write the masks of one scan.

    Args:
        masks: bool (slices, height, width) as `scan.values`.
        scan: `inputs.Scan`.
        name: of the source, with folders; endings are changed, `_mask` is added.
        folder: to write into; what is there under the same name is not replaced, another name is taken.

    Returns:
        (list of the paths written, relative to `folder`; notes).
    """
    return {"picture": _write_png, "nifti": _write_nifti, "dicom": _write_dicom}[scan.kind](masks, scan, name, folder)


def free_path(folder, stem, ending):
    """A path in `folder` that is not there yet, also where capitals do not count; its own folder is made."""
    path, number = Path(folder) / f"{stem}{ending}", 2
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = {one.name.lower() for one in path.parent.iterdir()}
    while path.name.lower() in taken:
        path, number = Path(folder) / f"{stem}_{number}{ending}", number + 1
    return path


def _write_png(masks, scan, name, folder):
    path = free_path(folder, f"{name.rsplit('.', 1)[0]}_mask", ".png")
    path.write_bytes(png_bytes(masks[0]))
    return [path.relative_to(folder).as_posix()], ()


def png_bytes(mask):
    """The bytes of a PNG of a mask (bool (height, width)): 0 and 255, and what it may not be used for."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told, stream = PngInfo(), io.BytesIO()
    told.add_text("Description", TOLD)
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG", pnginfo=told)
    return stream.getvalue()


def _write_nifti(masks, scan, name, folder):
    ending = ".nii.gz" if name.lower().endswith(".gz") else ".nii"
    path = free_path(folder, f"{name[: -len(ending)]}_mask", ending)
    data = nifti_bytes(masks, scan)
    path.write_bytes(gzip.compress(data, mtime=0) if ending == ".nii.gz" else data)
    return [path.relative_to(folder).as_posix()], ()


def nifti_bytes(masks, scan):
    """The bytes of a NIfTI-1 file of masks (bool, as `scan.values`) on the very grid of the scan's own file."""
    import nibabel as nib

    axes, flips = to_view(scan.orientation)
    own = read_nifti_fields(scan.files[0])
    header = nib.Nifti1Header()
    for field in _GEOMETRY:
        header[field] = own[field]
    header.set_data_dtype(np.uint8)
    header["cal_max"], header["descrip"] = 1, TOLD.encode()[:79]
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1, 0
    header["magic"] = b"n+1"
    along = masks[flips].transpose(np.argsort(axes))  # flips undo themselves
    return header.binaryblock + bytes(4) + along.astype(np.uint8).tobytes(order="F")


def _write_dicom(masks, scan, name, folder):
    """A PNG for each slice, named as its file, and a DICOM SEG of the series where highdicom is installed."""
    base = name if len(scan.files) > 1 else dicom_stem(name)
    written = []
    for mask, file in zip(masks, scan.files, strict=True):
        stem = f"{base}/{dicom_stem(file.name)}" if len(scan.files) > 1 else base
        path = free_path(folder, f"{stem}_mask", ".png")
        path.write_bytes(png_bytes(mask))
        written.append(path.relative_to(folder).as_posix())
    if not seg.is_installed():
        return written, ("No DICOM SEG: pip install 'hemokit[seg]' adds it.",)
    try:
        data, notes = seg.segmentation(masks, scan.files, scan.spacing_mm[0])
    except HemokitError as error:  # the masks are there all the same, as PNG
        return written, (f"No DICOM SEG: {error}",)
    if data is None:
        return written, notes
    path = free_path(folder, f"{base}_seg", ".dcm")
    path.write_bytes(data)
    return [*written, path.relative_to(folder).as_posix()], (*notes, NAMED)


def dicom_stem(name):
    """The name of a DICOM file without its ending; names are often bare UIDs, whose last number is none."""
    ending = name[name.rfind(".") :] if "." in name else ""
    return name[: -len(ending)] if ending.lower() in DICOM_ENDINGS else name
