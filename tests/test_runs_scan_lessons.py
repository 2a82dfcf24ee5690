"""What the lesson on whole scans shares: neighbors stay within a scan, places are drawn within it, who never looks."""

import numpy as np
import pandas as pd
import pytest

from hemokit.datasets.phantom import write_phantom
from hemokit.labels import ANY, LABELS
from hemokit.predictions import build_label_predictions
from hemokit.runs import scan_lessons

SCANS = {"a": 7, "b": 8, "c": 9}


@pytest.fixture
def table():
    """Three patients with a scan each; the upper half of each scan bleeds."""
    rows = []
    for name, length in SCANS.items():
        own = {"dataset": "rsna", "patient_id": name, "scan_id": name}
        rows += [own | {"slice_id": f"{name}{k}", "slice_index": k, ANY: int(2 * k >= length)} for k in range(length)]
    table = pd.DataFrame(rows).assign(**dict.fromkeys(LABELS[1:], 0), split="test")
    return table.assign(fold=table["scan_id"].map({"a": 0, "b": 1, "c": 1}))


@pytest.fixture
def frame(table):
    """Predictions of it, drawn."""
    said = np.random.default_rng(0).random((len(table), len(LABELS))).astype(np.float32)
    return build_label_predictions(table, said, LABELS)


def test_smooth_stays_within_the_scan(frame):
    """Each probability becomes the mean of itself and its neighbors; at an end, of the two that there are."""
    found = scan_lessons.smooth(frame.sample(frac=1, random_state=0))
    for name in SCANS:
        own, given = (one[one["scan_id"] == name]["probability_any"].to_numpy(float) for one in (found, frame))
        expected = [given[max(0, k - 1) : k + 2].mean() for k in range(len(given))]
        np.testing.assert_allclose(own, expected, atol=1e-6)
    assert found["slice_id"].tolist() == frame["slice_id"].tolist()


def test_places_are_drawn_within_scans(table):
    """Each scan keeps its set of places, in another order, the same for the same seed."""
    drawn = scan_lessons.shuffled_places(table, seed=3)
    assert (drawn == scan_lessons.shuffled_places(table, seed=3)).all() and (drawn != table["slice_index"]).any()
    for _, own in table.assign(drawn=drawn).groupby("scan_id"):
        assert sorted(own["drawn"]) == sorted(own["slice_index"])


def test_place_alone_knows_the_height_and_no_patient(table, frame):
    """Where bleeding depends on the height alone, it is ranked nearly right, by other patients' slices."""
    found = scan_lessons.place_alone(frame, table)
    high = found["slice_index"] / found["scan_id"].map(SCANS)
    assert (found["probability_any"][high >= 0.7] == 1).all() and (found["probability_any"][high < 0.4] == 0).all()
    assert found["probability_subdural"].eq(0).all() and found["slice_id"].equals(frame["slice_id"])


def test_gains_say_whether_zero_is_excluded(frame):
    """With three patients there is no interval, and it says so; better probabilities gain in both metrics."""
    truth = {f"probability_{label}": frame[label].astype(float).clip(0.1, 0.9) for label in LABELS}
    found = scan_lessons.gains(frame, {"truth": frame.assign(**truth)}, source="drawn").set_index("metric")
    assert (found["estimate"].isna() | (found["estimate"] > 0)).all()
    assert set(found["excludes zero"]) == {"no interval"}
    six = [frame.assign(**{key: frame[key] + str(n) for key in ("patient_id", "scan_id", "slice_id")}) for n in (1, 2)]
    six = pd.concat(six, ignore_index=True)
    truth = {f"probability_{label}": six[label].astype(float).clip(0.1, 0.9) for label in LABELS}
    found = scan_lessons.gains(six, {"truth": six.assign(**truth)}, source="drawn", num_resamples=100)
    assert set(found["excludes zero"]) == {"yes"} and (found["low"] > 0).all()


def test_cuts(table):
    """A row a subset and cut; subsets of one kind, or of none, give no row."""
    scores = {"slice": table[ANY].astype(float), "patient": np.zeros(len(table))}
    subsets = {"all": np.ones(len(table), bool), "none": np.zeros(len(table), bool), "ill": table[ANY] == 1}
    found = scan_lessons.judge_cuts(table, scores, subsets, source="drawn")
    assert found.index.tolist() == [("all", "by slice"), ("all", "by patient")]
    assert found["AUROC"].str.slice(0, 4).tolist() == ["1.00", "0.50"]


@pytest.mark.slow
def test_what_data_holds(tmp_path, monkeypatch, capsys):
    """DICOM files are prepared; slices with patients are learned from beside a phantom; without, the phantom alone."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    how = {"image_size": 64, "seed": 0}
    folders = {
        name: write_phantom(tmp_path / name, layout=name, num_patients=count, **how)
        for name, count in (("rsna", 2), ("ct_ich_jpg", 12), ("windowed_jpg", 2))
    }
    phantom = {"num_patients": 2, "image_size": 64}
    found = scan_lessons.choose_scans(folders["rsna"], phantom=phantom)
    assert found.dicom.samefile(folders["rsna"]) and found.table is None and "phantom" in found.dicom_source
    headers = scan_lessons.read_some_headers(found.dicom, most=9)
    assert len(headers) == 9 and headers["file"].is_monotonic_increasing and isinstance(headers["z"].iloc[0], str)
    assert scan_lessons.store_folder("runs", found.dicom).name.startswith("10_store_")
    assert scan_lessons.megabytes(found.dicom) > 0
    found = scan_lessons.choose_scans(folders["ct_ich_jpg"], phantom=phantom, most_patients=11)
    assert found.table["patient_id"].nunique() == 11 and "no DICOM files" in capsys.readouterr().out
    assert scan_lessons.choose_scans(folders["ct_ich_jpg"], phantom=phantom, most_patients=6).table is None
    assert "3 patients with hemorrhage, so nothing is trained on it" in capsys.readouterr().out
    assert scan_lessons.choose_scans(folders["windowed_jpg"], phantom=phantom).table is None
    assert "no names of patients" in capsys.readouterr().out
