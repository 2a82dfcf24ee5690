"""The exercises of lesson 07."""

import numpy as np
import pandas as pd

from hemokit.check import Exercise, differs
from hemokit.labels import SUBTYPES
from hemokit.metrics import dice, sum_counts
from hemokit.predictions import build_predictions, counts_at
from hemokit.thresholds import choose_threshold

_SCORES = np.array([np.nan, 0.25, np.nan, 0.75, 0.5, np.nan, 0.0])


def mean_dice(scores, empty):
    return np.nanmean(scores) if empty is None else np.nan_to_num(scores, nan=empty).mean()


def judge(predictions):
    validation = predictions[predictions["split"] == "validation"]
    test = predictions[predictions["split"] == "test"]
    threshold = choose_threshold(validation).threshold
    return threshold, dice(sum_counts(counts_at(test, threshold)))


def broken_judge(predictions):
    test = predictions[predictions["split"] == "test"]
    scores = [dice(sum_counts(counts_at(test, k / 100))) for k in range(1, 100)]
    best = int(np.nanargmax(scores))
    return (best + 1) / 100, scores[best]


def _judge_mean(answer):
    for scores in (_SCORES, _SCORES[1:2], _SCORES[[0, 3, 0]]):
        for empty in (1, 0, None, 0.5):
            what = f"the mean of {len(scores)} slices, {np.isnan(scores).sum()} of them NaN, for empty={empty},"
            found = differs(answer(scores.copy(), empty), mean_dice(scores, empty), what)
            if found:
                return found
    return None


def _small_predictions(best_validation, best_test):
    """Six slices a split; from `best_...` up, a pixel is more often hemorrhage than not."""
    frames = [_slices(name, best) for name, best in (("validation", best_validation), ("test", best_test))]
    return pd.concat(frames, ignore_index=True)


def _slices(split, best):
    """Five slices with hemorrhage of different sizes, one without."""
    levels = np.arange(0.025, 1, 0.05).astype(np.float32)  # 20 probabilities a slice
    maps = np.tile(levels, (6, 1)).reshape(6, 4, 5)
    masks = maps >= best
    masks[:2, 0, 0] = masks[0].any()  # a few that lie below: no threshold is perfect
    masks[5] = False
    names = [f"{split[0]}{number}" for number in range(6)]
    rows = pd.DataFrame({"dataset": "drawn", "patient_id": names, "scan_id": names, "slice_id": names})
    rows = rows.assign(slice_index=0, split=split, any=masks.any(axis=(1, 2)).astype(int))
    rows = rows.assign(**dict.fromkeys(SUBTYPES, 0))
    return build_predictions(rows, maps, masks)


def _judge_judge(answer):
    for best in ((0.3, 0.7), (0.6, 0.2)):
        frame = _small_predictions(*best)
        found = _judged_badly(answer(frame.copy()), frame)
        if found:
            return found
    return None


def _judged_badly(given, frame):
    """None, or what is wrong with a pair (threshold, test Dice)."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        return "the function should give back the pair (threshold, Dice)"
    threshold, score = (float(value) for value in given)
    validation, test = (frame[frame["split"] == name] for name in ("validation", "test"))
    reached = dice(sum_counts(counts_at(validation, threshold)))
    if not reached >= choose_threshold(validation).score - 1e-6:
        return "the threshold is not the one with the highest Dice of the validation rows"
    return differs(score, dice(sum_counts(counts_at(test, threshold))), "the Dice of the test rows at that threshold")


q07_1 = Exercise(
    "q07_1",
    judge=lambda answer: differs(answer, (295168, 1024), "the pair (convolution, normalization)"),
    reference=lambda: (295168, 1024),
    clue="A 3 x 3 convolution has 3 * 3 weights for each pair of a channel that comes in and one that goes out.",
    code="convolution, normalization = 3 * 3 * 128 * 256 + 256, 4 * 256",
)

q07_2 = Exercise(
    "q07_2",
    judge=_judge_mean,
    reference=lambda: mean_dice,
    clue="np.nanmean leaves NaN out; np.nan_to_num(scores, nan=...) puts a number in its place.",
    code=mean_dice,
)

q07_3 = Exercise(
    "q07_3",
    judge=_judge_judge,
    reference=lambda: judge,
    clue="Which rows may the threshold see? choose_threshold takes them. Then score the test rows once.",
    code=judge,
    stub=broken_judge,
)
