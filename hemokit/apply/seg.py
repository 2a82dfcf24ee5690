"""Masks as a DICOM Segmentation (PS3.3 A.51), by highdicom: what viewers of hospitals read beside the series.

It belongs to the patient of its series, as DICOM wants it, so it holds the same name, number and dates.
"""

import io
import warnings
from importlib.util import find_spec

import numpy as np

from hemokit import __version__
from hemokit.formats.bounded import library_errors
from hemokit.predictions import NOTICE

# What highdicom copies from the series and a type 2 element may leave empty (PS3.5 7.4.3).
_MAY_BE_EMPTY = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def is_installed():
    """Whether highdicom is there."""
    return find_spec("highdicom") is not None


def segmentation(masks, files, gap_mm=None):
    """Write one segment, "Hemorrhage", over all slices of a series.

    Args:
        masks: bool (slices, height, width).
        files: path of the DICOM file of each slice, in that order.
        gap_mm: distance of slices, None where it is not one number.

    Returns:
        (bytes of a DICOM file, notes): a frame for each slice, also for one without hemorrhage. (None, notes) for a
        series that names no slice thickness and has no gap to stand in for it: a SEG needs it (PS3.3 C.7.6.16.2.1).

    Raises:
        HemokitError: a series that highdicom cannot describe.
    """
    with library_errors(files[0], "writing a DICOM SEG"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that break a rule of the standard; the readers judged those in use
        sources, notes = _sources(files, gap_mm)
        if sources is None:
            return None, notes
        built = _built(np.ascontiguousarray(masks), sources)
        stream = io.BytesIO()
        built.save_as(stream, enforce_file_format=True)
    return stream.getvalue(), notes


def _sources(files, gap_mm):
    """(headers of the series, notes): what it leaves out and a SEG needs is made, and told; None where it cannot be."""
    import highdicom
    from pydicom import dcmread

    sources = [dcmread(file, stop_before_pixels=True) for file in files]
    notes = ()
    if not all("SliceThickness" in one for one in sources):
        if gap_mm is None:
            return None, ("No DICOM SEG: the series names no slice thickness, and the slices have no even distance.",)
        notes = ("The series names no slice thickness: the DICOM SEG has the distance of slices.",)
        for one in sources:
            one.SliceThickness = round(gap_mm, 6)
    made = highdicom.UID() if not all("FrameOfReferenceUID" in one for one in sources) else None
    for one in sources:
        for name in _MAY_BE_EMPTY:
            if name not in one:
                setattr(one, name, None)
        if made is not None:
            one.FrameOfReferenceUID = made
    if made is not None:
        notes += ("The series names no frame of reference: the DICOM SEG has one of its own.",)
    return sources, notes


def _built(masks, sources):
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="hemokit", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Hemorrhage",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Hemorrhage,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=masks,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=9000,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="hemokit",
        manufacturer_model_name="hemokit",
        software_versions=__version__,
        device_serial_number="0",
        series_description=f"hemokit: {NOTICE}",
        content_label="HEMORRHAGE",
        content_description=f"hemokit: {NOTICE}",
        omit_empty_frames=False,
    )
