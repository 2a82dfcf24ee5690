"""Several labels side by side, the score of the challenge, and the gain of one model over another."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from hemokit.checks import HemokitError
from hemokit.evaluation import auroc_gain, challenge_score, label_table, show_report
from hemokit.labels import LABELS


def frame(patients=20, slices=8, sharpness=1.0, seed=0):
    """Predictions of two slices in three that bleed subdurally, better with sharpness."""
    rng = np.random.default_rng(seed)
    count = patients * slices
    truth = np.zeros((count, 6), int)
    truth[:, 0] = truth[:, 5] = rng.random(count) < 0.4
    truth[::7, 0] = truth[::7, 1] = 1
    noise = np.random.default_rng(seed + 1).normal(size=(count, 6))
    said = 1 / (1 + np.exp(-(sharpness * (2 * truth - 1) + noise)))
    numbers = np.arange(count) // slices
    ids = {"dataset": "rsna", "patient_id": [f"p{n:02d}" for n in numbers], "scan_id": [f"s{n:02d}" for n in numbers]}
    rows = pd.DataFrame(ids).assign(slice_id=[f"i{n:03d}" for n in range(count)], slice_index=0, split="test")
    rows[list(LABELS)] = truth
    rows[[f"probability_{label}" for label in LABELS]] = said
    return rows


def test_table_against_scikit_learn():
    """AUROC and accuracy of slices, and of scans by their highest slice; the paper's AUC beside them."""
    rows = frame()
    table = label_table(rows, labels=("any", "epidural"), threshold={"any": 0.4, "epidural": 0.5}, num_resamples=100)
    assert table["label"].tolist() == ["any"] * 4 + ["epidural"] * 4
    scans = rows.groupby("scan_id")[["any", "probability_any"]].max()
    wanted = {
        ("scans", "auroc"): np.nan if scans["any"].min() else roc_auc_score(scans["any"], scans["probability_any"]),
        ("scans", "accuracy"): accuracy_score(scans["any"], scans["probability_any"] >= 0.4),
        ("slices", "auroc"): roc_auc_score(rows["any"], rows["probability_any"]),
        ("slices", "accuracy"): accuracy_score(rows["any"], rows["probability_any"] >= 0.4),
    }
    found = table[table["label"] == "any"].set_index(["unit", "metric"])
    for key, value in wanted.items():
        assert found["estimate"][key] == pytest.approx(value, nan_ok=True)
    assert found["paper"]["scans", "auroc"] == 0.9822 and found["paper"]["slices", "auroc"] == 0.9825
    assert np.isnan(found["paper"]["slices", "accuracy"])
    assert len(show_report(table)) == 8


def test_missing_threshold():
    """A dict of thresholds has one for each label."""
    with pytest.raises(HemokitError, match="no threshold for 'epidural'"):
        label_table(frame(), labels=("any", "epidural"), threshold={"any": 0.5})


def test_challenge_score():
    """A loop over slices and labels gives the same; sure and wrong is finite."""
    rows = frame(patients=3, slices=3)
    total = 0.0
    for _, row in rows.iterrows():
        for label in LABELS:
            said = row[f"probability_{label}"] if row[label] else 1 - row[f"probability_{label}"]
            total -= (2 if label == "any" else 1) * np.log(said)
    assert challenge_score(rows) == pytest.approx(total / (7 * len(rows)))
    names = [f"probability_{label}" for label in LABELS]
    rows[names] = 1 - rows[list(LABELS)].to_numpy()
    assert challenge_score(rows) == pytest.approx(-np.log(1e-7), rel=1e-6)
    for wrong, told in ((3.0, r"\[0, 1\]"), (np.nan, "probability_epidural")):  # logits, and what is missing
        with pytest.raises(HemokitError, match=told):
            challenge_score(rows.assign(probability_epidural=wrong))


@pytest.mark.parametrize("by_scan", [False, True])
def test_gain(by_scan):
    """The difference of two AUROCs; 0 against itself; on the same resamples the interval is narrow."""
    worse, better = frame(sharpness=0.3, slices=3), frame(sharpness=1.5, slices=3)
    worse.loc[worse["patient_id"] < "p08", list(LABELS)] = 0
    better[list(LABELS)] = worse[list(LABELS)]
    found = auroc_gain(worse, better.sample(frac=1, random_state=0), by_scan=by_scan, num_resamples=100)
    assert found.low < found.estimate < found.high
    same = auroc_gain(worse, worse, by_scan=by_scan, num_resamples=100)
    assert same.estimate == same.low == same.high == 0
    if not by_scan:
        each = [roc_auc_score(one["any"], one["probability_any"]) for one in (worse, better)]
        assert found.estimate == pytest.approx(each[1] - each[0])


def test_other_slices_cannot_be_compared():
    """Both models must have seen the same slices with the same truth."""
    rows = frame()
    with pytest.raises(HemokitError, match="predictions of other slices"):
        auroc_gain(rows, rows.iloc[1:])
    with pytest.raises(HemokitError, match="predictions of other slices"):
        auroc_gain(rows, rows.assign(any=1))
