"""A model on files that are in no data set: a picture, a NIfTI volume, a DICOM series, a folder of them.

Reading order: squares (to the model's size and back), inputs (files as scans), windowing (what the model is shown, and
its maps), figures (areas, volumes), seg and outputs (masks in the file's own geometry), files (`predict_files`, which
does it all).
"""

from hemokit.apply.files import predict_files

__all__ = ["predict_files"]
