"""Is an image file whole, as far as its structure shows? Cheap: nothing is decoded.

- JPEG: header, and the end-of-image marker at the end of the file. PNG: every chunk with its checksum.
- DICOM: header, and a file long enough for the pixels it announces (RLE: the header alone).
- NIfTI: header, and a size that is the announced one; of a .nii.gz the size that stands at its end.

A flipped bit within the pixels of a JPEG, a DICOM or a NIfTI file is not seen here: only a checksum shows it.
"""

import os

from hemokit.checks import problem
from hemokit.formats.dicom_files import read_dicom_header
from hemokit.formats.image_files import check_image_file
from hemokit.formats.nifti_files import check_nifti_size

_CHECKS = {
    (".jpg", ".jpeg", ".png"): check_image_file,
    (".dcm",): read_dicom_header,
    (".nii", ".nii.gz"): check_nifti_size,
}


def check_whole(path):
    """Raise HemokitError unless the image file is whole by the rules of this module; its name tells its kind.

    Args:
        path: a file named .jpg, .jpeg, .png, .dcm, .nii or .nii.gz.
    """
    name = os.fspath(path).lower()
    for endings, check in _CHECKS.items():
        if name.endswith(endings):
            check(path)
            return
    raise problem("the name does not say which kind of image", "one of .jpg, .png, .dcm, .nii", "Rename it.", file=path)
