"""Tests of the model card."""

import re

import numpy as np
import pandas as pd
import pytest
from evaluation_frames import frame_of, masked_frame, random_masked

from hemokit import evaluation
from hemokit.checks import HemokitError

TOLD = {
    "trained_on": "phantom (synthetic)",
    "judged_on": "phantom (synthetic)",
    "threshold": 0.371,
    "threshold_from": "highest F1 on 21 validation slices",
    "limits": ["Never saw a child."],
}


@pytest.fixture(scope="module")
def reports():
    maps, masks, patients = random_masked()
    frame = masked_frame(maps, masks, patients)
    return {"pixels": evaluation.segmentation_report(frame, threshold=0.5), "slices": evaluation.slice_report(frame)}


def test_card_says_what_a_reader_needs(reports):
    """Data, n, patients, split, seed, intervals, the threshold and its origin, limits, and the notice twice."""
    card = evaluation.model_card("small U-Net", reports, settings={"seed": 7}, **TOLD)
    assert card.startswith("# Model card: small U-Net\n\n**Education only, not a medical device.**")
    assert card.rstrip().endswith("**Education only, not a medical device.**")
    dice = reports["pixels"].iloc[0]
    shown = evaluation.show_interval(dice["estimate"], dice["low"], dice["high"])
    assert f"| dice | {shown} | 72 | 8 | phantom | test | 0 |" in card
    assert "from 0.371 on. How it was chosen: highest F1 on 21 validation slices." in card
    assert "- Never saw a child.\n- Judged on 8 patients: below 20" in card
    assert "- seed: 7" in card and "with intervals (95 %)" in card


def test_undefined_scores_say_why():
    """A score that does not exist stands there as undefined, with its note."""
    report = evaluation.slice_report(frame_of([0] * 7, [0.1] * 7, range(7)))
    card = evaluation.model_card("m", {"slices": report}, **TOLD | {"threshold": None})
    assert "| auroc | undefined | 7 | 7 |" in card
    assert re.search(r"auroc: undefined: all 7 slices are negative", card)
    assert "None (no masks)" in card


def test_a_report_without_positives():
    """Where a report counts no hemorrhage, as that of six classes does, the card claims none."""
    report = evaluation.slice_report(frame_of([0, 1] * 6, np.linspace(0, 1, 12), np.repeat(range(6), 2)))
    card = evaluation.model_card("m", {"classes": report.assign(positives=pd.NA)}, **TOLD)
    assert "- classes: 12 slices of 6 patients" in card


def test_many_patients_are_not_called_few():
    """From 20 patients on the sentence about too narrow intervals is not there."""
    report = evaluation.slice_report(frame_of([0, 1] * 10, [0.1, 0.9] * 10, range(20)))
    assert "too narrow" not in evaluation.model_card("m", {"slices": report}, **TOLD)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"limits": []}, "limits is"),
        ({"limits": "none"}, "limits is"),
        ({"threshold_from": " "}, "threshold_from is"),
        ({"trained_on": None}, "trained_on is None"),
    ],
)
def test_cards_with_gaps_are_refused(reports, change, told):
    """A card without limits, or without saying where something comes from, is none."""
    with pytest.raises(HemokitError, match=told):
        evaluation.model_card("m", reports, **TOLD | change)


def test_card_needs_scores(reports):
    """No report, an empty one, or a frame that is no report."""
    for empty in ({}, {"pixels": reports["pixels"].head(0)}):
        with pytest.raises(HemokitError, match="there is no report"):
            evaluation.model_card("m", empty, **TOLD)
    with pytest.raises(HemokitError, match="confidence"):
        evaluation.model_card("m", {"pixels": reports["pixels"].drop(columns="confidence")}, **TOLD)


def test_card_is_written_whole(reports, tmp_path):
    """The file holds the card; where the card is refused, what was there stays."""
    path = evaluation.write_model_card(tmp_path / "card.md", "m", reports, **TOLD)
    assert path.read_text(encoding="utf-8") == evaluation.model_card("m", reports, **TOLD)
    with pytest.raises(HemokitError, match="name is ''"):
        evaluation.write_model_card(path, "", reports, **TOLD)
    assert path.read_text(encoding="utf-8").startswith("# Model card: m\n")
    assert [one.name for one in tmp_path.iterdir()] == ["card.md"]
