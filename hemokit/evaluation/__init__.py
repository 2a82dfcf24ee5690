"""Judging predictions honestly: scores with intervals by patient, of slices, scans, masks, volumes and probabilities.

Everything takes a predictions frame (see `predictions`) of one data set and one split, and no model. Reports are
DataFrames that say in every row on what they were measured; `show_report` makes them readable. For education; not a
medical device.
"""

from hemokit.evaluation.bootstrap import Interval, bootstrap_interval, bootstrap_values, show_interval
from hemokit.evaluation.calibration import (
    calibration_table,
    expected_calibration_error,
    pixel_brier,
    pixel_calibration,
    slice_calibration,
    wilson_interval,
)
from hemokit.evaluation.classes import class_report, label_order, model_table
from hemokit.evaluation.curves import pixel_pr_points, pixel_roc_points, pr_points, roc_points
from hemokit.evaluation.label_table import auroc_gain, challenge_score, label_table
from hemokit.evaluation.leaderboard import Entry, leaderboard
from hemokit.evaluation.model_card import model_card, write_model_card
from hemokit.evaluation.papers import baseline_figure, baseline_text, beside_paper, paper_rows
from hemokit.evaluation.pointing import Pointing, pointing_game, pointing_hit
from hemokit.evaluation.reports import check_judged, show_report
from hemokit.evaluation.scores import auroc, average_precision, brier, pearson
from hemokit.evaluation.segmentation import iou_with_background, segmentation_report
from hemokit.evaluation.simulations import coverage, dice_pairs, sampling_spread, winners_curse
from hemokit.evaluation.slices import scan_report, scan_scores, slice_report
from hemokit.evaluation.volumes import bland_altman, volume_report, volume_table

__all__ = [
    "Entry",
    "Interval",
    "Pointing",
    "auroc",
    "auroc_gain",
    "average_precision",
    "baseline_figure",
    "baseline_text",
    "beside_paper",
    "bland_altman",
    "bootstrap_interval",
    "bootstrap_values",
    "brier",
    "calibration_table",
    "challenge_score",
    "check_judged",
    "class_report",
    "coverage",
    "dice_pairs",
    "expected_calibration_error",
    "iou_with_background",
    "label_order",
    "label_table",
    "leaderboard",
    "model_card",
    "model_table",
    "paper_rows",
    "pearson",
    "pixel_brier",
    "pixel_calibration",
    "pixel_pr_points",
    "pixel_roc_points",
    "pointing_game",
    "pointing_hit",
    "pr_points",
    "roc_points",
    "sampling_spread",
    "scan_report",
    "scan_scores",
    "segmentation_report",
    "show_interval",
    "show_report",
    "slice_calibration",
    "slice_report",
    "volume_report",
    "volume_table",
    "wilson_interval",
    "winners_curse",
    "write_model_card",
]
