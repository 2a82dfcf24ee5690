"""Small predictions frames for the tests of evaluation."""

import numpy as np
import pandas as pd

from hemokit.labels import LABELS
from hemokit.predictions import build_predictions


def table_of(labels, patients, *, split="test", dataset="phantom", spacing=5.0):
    """A slice table with one scan a patient; slices are numbered within it."""
    patients = [str(patient) for patient in patients]
    index = [patients[:place].count(patient) for place, patient in enumerate(patients)]
    table = pd.DataFrame({"dataset": dataset, "patient_id": patients, "scan_id": [f"s{one}" for one in patients]})
    table["slice_id"] = [f"{patient}_{place:03}" for patient, place in zip(patients, index, strict=True)]
    table["slice_index"], table["split"], table["slice_spacing_mm"] = index, split, spacing
    for label in LABELS:
        table[label] = np.asarray(labels, int) if label in ("any", "subdural") else 0
    return table


def frame_of(labels, scores, patients, **how):
    """Predictions without masks; every score column holds the given score."""
    maps = np.asarray(scores, np.float64)[:, None, None] * np.ones((7, 8))
    return build_predictions(table_of(labels, patients, **how), maps)


def masked_frame(maps, masks, patients, *, pixel_area_mm2=2.0, **how):
    """Predictions with masks; a slice is positive where its mask is not empty."""
    table = table_of(np.asarray(masks).any(axis=(1, 2)), patients, **how)
    return build_predictions(table, maps, masks, pixel_area_mm2=pixel_area_mm2)


def random_masked(seed=0, num_patients=8, per_patient=9):
    """Noisy predictions of rectangles, about half of the slices empty."""
    rng = np.random.default_rng(seed)
    total = num_patients * per_patient
    masks = np.zeros((total, 8, 9), bool)
    for place in np.flatnonzero(rng.random(total) < 0.5):
        top, left = rng.integers(0, 4, 2)
        masks[place, top : top + 3, left : left + 4] = True
    maps = np.clip(rng.normal(0.25, 0.15, masks.shape) + 0.4 * masks, 0, 1).astype(np.float32)
    maps[::5] = 0.01  # some slices are empty in the prediction
    return maps, masks, np.repeat(np.arange(num_patients), per_patient)
