"""The predictions frame against the maps themselves, and its two files."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.labels import LABELS
from hemokit.metrics import confusion_counts
from hemokit.predictions import (
    COLUMNS,
    NUM_BINS,
    build_predictions,
    counts_at,
    pixel_histogram,
    read_predictions,
    stack_histograms,
    write_predictions,
)


def rows(number=3, **columns):
    """Rows of a slice table."""
    names = [f"P1_{place:03d}" for place in range(number)]
    table = pd.DataFrame({"dataset": "ct_ich_jpg", "patient_id": "049", "scan_id": "049", "slice_id": names})
    table["slice_index"] = range(number)
    for label in LABELS:
        table[label] = 0
    return table.assign(**columns)


def maps(number=3, seed=0):
    """Probabilities (slices, 8, 9) float32 with edge values among them, and masks."""
    rng = np.random.default_rng(seed)
    probability = rng.random((number, 8, 9), np.float32)
    edges = rng.integers(0, 1001, (number, 4, 9)) / 1000
    probability[:, :4] = edges.astype(np.float32)
    return probability, rng.random((number, 8, 9)) < 0.2


@pytest.fixture(name="frame")
def make_frame():
    """Three slices with masks, split and spacing."""
    probability, masks = maps()
    table = rows(split=["train", "test", "test"], slice_spacing_mm=[5.0, 5.0, np.nan])
    return build_predictions(table, probability, masks, pixel_area_mm2=0.25)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 99), st.sampled_from([np.float16, np.float32, np.float64]))
def test_counts_are_those_of_the_maps(number, seed, dtype):
    """At any multiple of 1/1000, the counts are those of `probability >= threshold` compared in float64."""
    probability, masks = maps(seed=seed)
    probability = probability.astype(dtype)
    if dtype == np.float64:
        probability[:, 0, :4] = number / 1000, np.nextafter(number / 1000, 0), 0, 1
    counts = counts_at(build_predictions(rows(), probability, masks), number / 1000)
    expected = confusion_counts(masks, probability >= np.float64(number / 1000), per_slice=True)
    for one, other in zip(counts, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_edge(dtype):
    """The numbers around every edge fall on the right side of it."""
    near = (np.arange(1001) / 1000).astype(dtype)
    values = np.concatenate([near, np.nextafter(near, dtype(0)), np.nextafter(near, dtype(1))])
    background, hemorrhage = pixel_histogram(values)
    assert hemorrhage is None
    for number in range(1001):
        assert background[number:].sum() == (values >= np.float64(number / 1000)).sum()


def test_histograms():
    """Bins of a few values by hand; the last bin is probability 1."""
    background, hemorrhage = pixel_histogram(np.array([0, 0.25, 0.9999, 1, 1]), [0, 1, 0, 0, 1])
    assert background.dtype == hemorrhage.dtype == np.int32 and background.shape == (NUM_BINS,)
    assert np.flatnonzero(background).tolist() == [0, 999, 1000]
    assert np.flatnonzero(hemorrhage).tolist() == [250, 1000]
    assert pixel_histogram(np.zeros((0, 8)))[0].sum() == 0


def test_frame(frame):
    """Columns, types and slice scores."""
    probability, _ = maps()
    assert tuple(frame.columns) == COLUMNS
    assert frame["split"].tolist() == ["train", "test", "test"] and frame["patient_id"].dtype == object
    assert frame["num_pixels"].tolist() == [72] * 3 and frame["pixel_area_mm2"].tolist() == [0.25] * 3
    np.testing.assert_array_equal(frame["mean_probability"], probability.mean((1, 2), dtype=float))
    np.testing.assert_array_equal(frame["max_probability"], probability.max((1, 2)))
    np.testing.assert_array_equal(frame["top_probability"], frame["max_probability"])
    background, hemorrhage = stack_histograms(frame)
    assert ((background + hemorrhage).sum(axis=1) == 72).all()


def test_top_probability():
    """The mean of the highest 1 % of the pixels."""
    probability = np.linspace(0, 1, 400).reshape(1, 20, 20, 1)
    frame = build_predictions(rows(1), probability)
    assert frame["top_probability"][0] == pytest.approx(probability.ravel()[-4:].mean())
    assert frame["hemorrhage"][0] is None and frame["background"][0].sum() == 400
    assert frame["split"][0] is None and np.isnan(frame["slice_spacing_mm"][0])


def test_counts_travel_with_their_rows(frame):
    """A filter, an order and a join take the counts along."""
    turned = pd.concat([frame[1:], frame[:1]], ignore_index=True)
    np.testing.assert_array_equal(counts_at(turned, 0.3).tp, np.roll(counts_at(frame, 0.3).tp, -1))


@pytest.mark.parametrize("masked", [True, False])
def test_files_give_the_same_frame(tmp_path, masked):
    """Write and read: equal frames with equal types, with missing ids and places, and a label's probability."""
    probability, masks = maps()
    table = rows(slice_index=pd.array([4, None, 2], "Int64"), scan_id=None, patient_id=["049", None, "NA"])
    frame = build_predictions(table, probability.astype(np.float64), masks if masked else None)
    frame["probability_any"] = [0.1, np.nan, 1 / 3]
    frame = frame[[*[name for name in frame.columns if name not in ("background", "hemorrhage")], *COLUMNS[-2:]]]
    write_predictions(frame, tmp_path / "run")
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "run"), frame)
    lines = (tmp_path / "run" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",notice") and all(line.endswith(', not a medical device"') for line in lines[1:])


def test_no_slices(tmp_path):
    """An empty frame is built, counted, written and read."""
    frame = build_predictions(rows(0), np.zeros((0, 8, 9)), np.zeros((0, 8, 9)))
    assert counts_at(frame, 0.5).tp.shape == (0,)
    write_predictions(frame, tmp_path)
    pd.testing.assert_frame_equal(read_predictions(tmp_path), frame)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"probabilities": np.full((3, 8, 9), np.nan)}, "probability holds the value nan"),
        ({"probabilities": np.full((3, 8, 9), 1.5)}, "the value 1.5, but expected probabilities from 0 to 1"),
        ({"probabilities": np.full((3, 8, 9), "a")}, "float32 probabilities"),
        ({"probabilities": np.zeros((2, 8, 9))}, r"probabilities has shape \(2, 8, 9\), but expected \(3, height"),
        ({"probabilities": np.zeros((3, 0, 9))}, r"probabilities has shape \(3, 0, 9\)"),
        ({"masks": np.zeros((3, 9, 8))}, r"mask has shape \(9, 8\) and probability has shape \(8, 9\)"),
        ({"masks": np.full((3, 8, 9), 255)}, "mask holds the value 255"),
    ],
)
def test_refuses_to_build(change, sentence):
    """Values and shapes that are not those of probability maps."""
    good = {"probabilities": np.zeros((3, 8, 9)), "masks": np.zeros((3, 8, 9))}
    with pytest.raises(HemokitError, match=sentence):
        build_predictions(rows(), **{**good, **change})


@pytest.mark.parametrize("threshold", [0.1234, -0.001, 1.001, np.nan, "0.5", [0.5]])
def test_refuses_thresholds(frame, threshold):
    """Only multiples of 1/1000 have exact counts."""
    with pytest.raises(HemokitError, match="a multiple of 1/1000 from 0 to 1"):
        counts_at(frame, threshold)


def test_refuses_rows_without_truth():
    """No true mask, no counts of agreement."""
    with pytest.raises(HemokitError, match="3 of 3 rows have no pixel counts in 'hemorrhage'"):
        counts_at(build_predictions(rows(), maps()[0]), 0.5)


def test_refuses_to_write(frame, tmp_path):
    """A slice twice, or a column that would be lost."""
    with pytest.raises(HemokitError, match="slice_id 'P1_000' stands twice"):
        write_predictions(pd.concat([frame, frame[:1]]), tmp_path)
    with pytest.raises(HemokitError, match="there is a column 'mine'"):
        write_predictions(frame.assign(mine=1), tmp_path)
    assert not list(tmp_path.iterdir())


def damage_csv(folder, old, new):
    """Change the text of predictions.csv."""
    path = folder / "predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("P1_001", "P1_009", "the counts are of other predictions"),
        ("P1_001", "P1_000", "'?P1_000'? stands already"),
        (",72,", ",73,", "the counts are of other predictions"),
        (",72,", ",many,", "row 2, column 'num_pixels': the value is 'many'"),
        (",0,0,0,", ",0,2,0,", "row 2, column '.*': the value is 2|'2'"),
        ("mean_probability", "mean", "lacks the column"),
        ("notice", "remark", "lacks the column"),
    ],
)
def test_refuses_a_changed_table(frame, tmp_path, old, new, sentence):
    """Each change of predictions.csv is told with its place."""
    write_predictions(frame, tmp_path)
    damage_csv(tmp_path, old, new)
    with pytest.raises(HemokitError, match=sentence):
        read_predictions(tmp_path)


def test_refuses_missing_or_damaged_counts(frame, tmp_path):
    """No histograms.npz, half of it, one of another kind, and one of another run of the same slices."""
    write_predictions(frame, tmp_path)
    path = tmp_path / "histograms.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HemokitError, match="histograms.npz: the file cannot be read"):
        read_predictions(tmp_path)
    other = io.BytesIO()
    zipfile.ZipFile(other, "w").close()
    path.write_bytes(other.getvalue())
    with pytest.raises(HemokitError, match="histograms.npz: the file cannot be read"):
        read_predictions(tmp_path)
    write_predictions(build_predictions(rows(), *maps(seed=1)), tmp_path / "other")
    path.write_bytes((tmp_path / "other" / "histograms.npz").read_bytes())
    with pytest.raises(HemokitError, match="the counts are of other predictions"):
        read_predictions(tmp_path)
    path.unlink()
    with pytest.raises(HemokitError, match="histograms.npz: the file cannot be read .*No such file"):
        read_predictions(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"x" * 50, b"\x80\x04N.", "array"])
def test_garbage_counts_are_one_sentence(frame, tmp_path, content):
    """Whatever stands in histograms.npz, NumPy's advice to allow pickles is not passed on."""
    write_predictions(frame, tmp_path)
    path = tmp_path / "histograms.npz"
    if content == "array":
        with open(path, "wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(HemokitError, match="histograms.npz: the file cannot be read: it is damaged") as caught:
        read_predictions(tmp_path)
    assert "pickle" not in str(caught.value)
