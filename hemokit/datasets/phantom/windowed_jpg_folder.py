"""Writes phantom patients as window-rendered JPGs with the label files of an annotation service."""

import csv
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.datasets.phantom.roster import DAMAGED, NOTICE, any_mask, patient_index, patient_studies, slice_labels
from hemokit.files import write_whole
from hemokit.labels import ANY, LABELS, SUBTYPES, seven_way
from hemokit.polygons import mask_to_polygons
from hemokit.windows import BONE, BRAIN, SUBDURAL, apply_window

LABEL_FOLDER = "HemorrhageLabels"
JPEG_QUALITY = 75  # not known of the real files
AIR = -200  # Hounsfield units; below is air (and a little fat)
RENDERS = {"brain_bone_window": BONE, "brain_window": BRAIN, "max_contrast_window": None, "subdural_window": SUBDURAL}
RESULTS = {
    "epidural": ("Epidural Hemorrhage Detection_2020-11-16_21.31.26.148",),
    "intraparenchymal": ("Intraparenchymal Hemorrhage Detection_2020-11-16_21.39.31.268",),
    "multi": ("Multiple Hemorrhage Detection_2020-11-16_21.36.24.018",),
    "subarachnoid": ("Subarachnoid Hemorrhage Detection_2020-11-16_21.36.18.668",),
    "subdural": (
        "Subdural Hemorrhage Detection_2020-11-16_21.35.48.040",
        "Subdural Hemorrhage Detection_2020-11-16_21.37.19.745",
    ),
    "intraventricular": ("Brain Hemorrhage Tracing_2020-09-28_15.21.52.597",),
}
DETECTION_COLUMNS = (
    "Case ID", "Origin", "URL", "Labeling State", "All Labels", "Total Reads", "Total Qualified Reads",
    "Majority Label", "Number of ROIs", "Correct Label", "Difficulty", "Agreement", "Comments", "Internal Notes",
)  # fmt: skip
TRACING_COLUMNS = (
    "Case ID", "Origin", "Labeling State", "ROI", "All Annotations", "Number of Annotations", "Number of ROIs",
    "Difficulty",
)  # fmt: skip


class Way(NamedTuple):
    """One way in which a case is filled in: its state, and whether each label column holds the regions.

    `correct` and `majority` are True, or the text that stands for "nothing here"; `correct` may also be "mixed":
    an empty list before the regions.
    """

    state: str
    correct: object
    majority: object


PLAIN = Way("Labeled", True, True)
# Positive slices take these ways in turn, in the order of their ids. Three of 32 are unusable (of the real ids,
# 48 of 2,984), so that a small phantom has every case.
WAYS = (
    PLAIN,
    Way("Gold Standard", True, ""),
    Way("Labeled", "", True),
    Way("Labeled", "mixed", True),
    Way("Labeled", "[]", True),
    Way("In Progress", "", ""),
    Way("Labeled", "[[]]", True),
    Way("Gold Standard", True, "[]"),
    Way("Ready", "[[], []]", ""),
    Way("Labeled", "[[], []]", "[]"),
    *[PLAIN] * 22,
)
FLAGGED = Way("Flagged", True, True)  # a positive slice named in flagged.txt
FIRST_CASE = 1196514


class Slice(NamedTuple):
    """What the label files need to know of one slice; `regions` are polygons (n, 2) normalized to 0..1."""

    labels: dict
    regions: list
    rendered: bool


def write_windowed_jpg_patient(folder, patient_id, *, image_size, seed):
    """Write the renders of one patient under `folder`/renders and return dict slice id -> `Slice`."""
    slices = {}
    for study in patient_studies(patient_id, image_size=image_size, seed=seed):
        labels = slice_labels(study.scan.masks)
        classes = seven_way(pd.DataFrame(labels))
        masks = any_mask(study.scan.masks)
        for k, slice_id in enumerate(study.slice_ids):
            names = _render_names(study, k)
            for name in names:
                image = _odd_size(_render(study.scan.hounsfield[k], name), study, k)
                _write_colored(Path(folder, "renders", classes[k], name, f"{slice_id}.jpg"), image)
            of_slice = {label: int(labels[label][k]) for label in LABELS}
            slices[slice_id] = Slice(of_slice, mask_to_polygons(masks[k]), bool(names))
    return slices


def finish_windowed_jpg(folder, patients, seed):
    """Write the label files and the README; `patients` is what `write_windowed_jpg_patient` returned."""
    folder = Path(folder)
    slices = dict(sorted(item for patient in patients for item in patient.items()))
    for name in ("normal", "multi", *SUBTYPES):
        for window in RENDERS:
            (folder / "renders" / name / window).mkdir(parents=True, exist_ok=True)
    with write_whole(folder / LABEL_FOLDER / "hemorrhage-labels.csv") as stream:
        stream.write(",".join(["Image", *LABELS]) + "\n")
        for slice_id, each in slices.items():
            stream.write(",".join([slice_id, *(str(each.labels[label]) for label in LABELS)]) + "\n")
    flagged = _flagged(slices)
    with write_whole(folder / LABEL_FOLDER / "flagged.txt") as stream:
        stream.write("".join(f"{slice_id}.jpg\n" for slice_id in flagged))
    for name, rows in _result_rows(slices, flagged).items():
        _write_results(folder / LABEL_FOLDER / f"Results_{name}.csv", rows)
    with write_whole(folder / "README.txt") as stream:
        stream.write(f"{NOTICE}\n\nThe folders are laid out as the window-rendered JPGs with polygon labels.\n")


def _render_names(study, k):
    """The windows in which a slice exists: the damaged one in none, one slice in twelve patients lacks one."""
    if study.slice_ids[k] == DAMAGED:
        return []
    lacks = {(0, 0, 2): "max_contrast_window", (1, 0, 2): "subdural_window", (2, 0, 2): "brain_window"}
    missing = lacks.get((patient_index(study.patient_id) % 12, study.number, k))
    return [name for name in RENDERS if name != missing]


def _render(hounsfield, name):
    """One slice as gray values in [0, 1]. The formula behind the real max_contrast_window is not known."""
    if RENDERS[name] is not None:
        return apply_window(hounsfield, RENDERS[name])
    levels = np.quantile(hounsfield[hounsfield >= AIR], np.linspace(0, 1, 101)) if (hounsfield >= AIR).any() else [AIR]
    levels, first = np.unique(levels, return_index=True)  # here: the histogram above air equalized
    return np.interp(hounsfield, levels, first / 100)


def _odd_size(image, study, k):
    """Two slices in twelve patients are of another size than the rest, as about a hundred of the real ones."""
    import cv2

    factor = {(0, 0, 3): 1.25, (1, 0, 3): 0.75}.get((patient_index(study.patient_id) % 12, study.number, k))
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor else image


def _write_colored(path, image):
    """Write gray values in [0, 1] through matplotlib's `bone` map."""
    from matplotlib import colormaps
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    colors = colormaps["bone"](np.arange(256), bytes=True)[:, :3]
    pixels = colors[np.rint(image * 255).astype(np.uint8)]
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)


def _flagged(slices):
    """The slices to leave out: a normal one and a positive one, the first of each by id among the rendered."""
    found = {}
    for slice_id, each in slices.items():
        if each.rendered:
            found.setdefault(each.labels[ANY], slice_id)
    return sorted(found.values())


def _result_rows(slices, flagged):
    """The rows of every label file: dict name of the file -> list of dicts (empty for a file without cases)."""
    files = {name: [] for names in RESULTS.values() for name in names}
    positive = {slice_id: each for slice_id, each in slices.items() if each.regions}
    kinds = seven_way(pd.DataFrame([each.labels for each in positive.values()], columns=LABELS))
    ways = dict(
        zip([slice_id for slice_id in positive if slice_id not in flagged], itertools.cycle(WAYS), strict=False)
    )
    for number, (slice_id, kind) in enumerate(zip(positive, kinds, strict=True)):
        name = RESULTS[kind][number % len(RESULTS[kind])]
        way = ways.get(slice_id, FLAGGED)
        rows = _tracing_rows if kind == "intraventricular" else _detection_rows
        files[name] += rows(FIRST_CASE + number, slice_id, way, slices[slice_id].regions)
    return files


def _detection_rows(case_id, slice_id, way, regions):
    """One row a region; `Correct Label` has all regions and is the same on each row of the case."""
    points = [_points(region) for region in regions]
    correct = repr(([[]] if way.correct == "mixed" else []) + points) if way.correct in (True, "mixed") else way.correct
    rows = []
    for region in points:
        majority = json.dumps(region) if way.majority is True else way.majority
        reading = (way.state, _drawings(region), "19.0", "5.0", majority, f"{len(points)}.0", correct)
        values = (
            case_id,
            f"{slice_id}.jpg",
            f"https://phantom.invalid/{slice_id}.jpg",
            *reading,
            "0.00",
            "0.968851",
            "",
            "",
        )
        rows.append(dict(zip(DETECTION_COLUMNS, values, strict=True)))
    return rows


def _tracing_rows(case_id, slice_id, way, regions):
    """The tracing file knows one label column, `ROI`, with one region a row."""
    filled = way.correct in (True, "mixed") or way.majority is True
    rows = []
    for region in map(_points, regions):
        roi = json.dumps(region) if filled else way.majority
        values = (case_id, f"{slice_id}.jpg", way.state, roi, _drawings(region), "3", str(len(regions)), "0.00")
        rows.append(dict(zip(TRACING_COLUMNS, values, strict=True)))
    return rows


def _points(region):
    return [{"x": round(float(x), 9), "y": round(float(y), 9)} for x, y in region]


def _drawings(region):
    """What three readers drew: the region, and the same a little higher and lower; a list of JSON strings."""
    moved = [[{"x": p["x"], "y": round(min(max(p["y"] + dy, 0), 1), 9)} for p in region] for dy in (0, -0.002, 0.002)]
    return repr([json.dumps(each) for each in moved])


def _write_results(path, rows):
    columns = TRACING_COLUMNS if "Tracing" in path.name else DETECTION_COLUMNS
    with write_whole(path) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
