"""The exercises of lesson 02."""

import ast

import numpy as np

from hemokit.check import Exercise, differs


def regions_of(cell):
    found = ast.literal_eval(cell) if cell else []
    return [np.array([(p["x"], p["y"]) for p in region]) for region in found if region]


def hemorrhage_ml(pictures, spacing_mm):
    mask = pictures > 127
    return mask.sum() * np.prod(spacing_mm) / 1000


def broken_hemorrhage_ml(pictures, spacing_mm):
    mask = pictures > 0
    return mask.sum() * spacing_mm[1] * spacing_mm[2] / 1000


_TRIANGLE = [{"x": 0.1, "y": 0.2}, {"x": 0.4, "y": 0.25}, {"x": 0.3, "y": 0.5}]
_SQUARE = [{"x": 0.5, "y": 0.5}, {"x": 0.7, "y": 0.5}, {"x": 0.7, "y": 0.9}, {"x": 0.5, "y": 0.9}]
_CELLS = {  # what a cell is called -> its text and the number of corners of each region
    "a blank cell": ("", ()),
    "the cell []": ("[]", ()),
    "the cell [[]]": ("[[]]", ()),
    "the cell [[], []]": ("[[], []]", ()),
    "a cell with one region": (repr([_SQUARE]), (4,)),
    "a cell with two regions": (repr([_TRIANGLE, _SQUARE]), (3, 4)),
    "a cell with an empty region before a real one": (repr([[], _TRIANGLE]), (3,)),
}


def _judge_regions(answer):
    for name, (text, corners) in _CELLS.items():
        found = answer(text)
        if not isinstance(found, list | tuple):
            return f"{name} gives a {type(found).__name__}, where a list of arrays is wanted"
        if len(found) != len(corners):
            return f"{name} gives {len(found)} regions"
        for number, (got, expected) in enumerate(zip(found, regions_of(text), strict=True), start=1):
            difference = differs(got, expected, f"in {name}, region {number}")
            if difference:
                return difference
    return None


def _stack():
    """Two mask pictures of 7 x 8 pixels: 5 white ones, one at 128; ripples of 1 to 127 around them."""
    pictures = np.zeros((2, 7, 8), np.uint8)
    pictures[0, 2:4, 3:5] = 255
    pictures[1, 2, 3], pictures[1, 2, 4] = 250, 128
    pictures[0, 1, 3:5], pictures[0, 4, 3:5], pictures[1, 3, 3] = 3, 12, 127
    return pictures


def _judge_ml(answer):
    white = np.full((2, 7, 8), 255, np.uint8)
    black = np.zeros_like(white)
    return (
        differs(answer(black, (5, 0.5, 0.5)), 0, "the volume of a black stack")
        or differs(answer(white, (5, 0.5, 0.25)), 0.07, "the volume of a white stack at 5 x 0.5 x 0.25 mm")
        or differs(answer(white, (2.5, 0.5, 0.25)), 0.035, "the volume of a white stack at 2.5 x 0.5 x 0.25 mm")
        or differs(answer(_stack(), (5, 1, 1)), 0.03, "the volume of a stack with JPG ripples")
    )


q02_1 = Exercise(
    "q02_1",
    judge=lambda answer, polygon, height, width: differs(answer, polygon * (width, height), "the array of corners"),
    reference=lambda polygon, height, width: polygon * (width, height),
    clue="x runs along a row, over the columns. NumPy multiplies each row of the array by a pair of numbers.",
    code="corners = polygon * (width, height)",
)

q02_2 = Exercise(
    "q02_2",
    judge=_judge_regions,
    reference=lambda: regions_of,
    clue="ast.literal_eval makes a list of regions from the text; a blank text is none. Leave out empty regions.",
    code=regions_of,
)

q02_3 = Exercise(
    "q02_3",
    judge=_judge_ml,
    reference=lambda: hemorrhage_ml,
    clue="Which pixels of a JPG are hemorrhage? And how many lengths make a volume?",
    code=hemorrhage_ml,
    stub=broken_hemorrhage_ml,
)
