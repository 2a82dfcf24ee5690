"""Plausible wrong answers to the exercises of lesson 02."""

import ast
import json

import numpy as np

from check_cases import Case

POLYGON = np.array([[0.1, 0.2], [0.5, 0.2], [0.5, 0.75]])


def empty_regions_kept(cell):
    return [np.array([(p["x"], p["y"]) for p in region]) for region in ast.literal_eval(cell or "[]")]


def only_the_first_region(cell):
    found = ast.literal_eval(cell or "[]")
    return [np.array([(p["x"], p["y"]) for p in found[0]])] if found and found[0] else []


def read_as_json(cell):
    return [np.array([(p["x"], p["y"]) for p in region]) for region in json.loads(cell or "[]") if region]


def y_before_x(cell):
    return [np.array([(p["y"], p["x"]) for p in region]) for region in ast.literal_eval(cell or "[]") if region]


CASES = {
    "q02_1": Case(
        given=(POLYGON, 7, 9),
        wrong=(POLYGON * (7, 9), POLYGON[:, ::-1] * (7, 9), POLYGON, (POLYGON * (9, 7)).astype(int)),
    ),
    "q02_2": Case(wrong=(empty_regions_kept, only_the_first_region, read_as_json, y_before_x)),
    "q02_3": Case(
        wrong=(
            lambda pictures, spacing_mm: (pictures > 127).sum() * spacing_mm[1] * spacing_mm[2] / 1000,
            lambda pictures, spacing_mm: (pictures > 0).sum() * np.prod(spacing_mm) / 1000,
            lambda pictures, spacing_mm: (pictures == 255).sum() * np.prod(spacing_mm) / 1000,
            lambda pictures, spacing_mm: (pictures > 127).sum() * np.prod(spacing_mm),  # cubic millimeters
        )
    ),
}
