"""What `hemokit export` takes from a run: its scores, and the slices that int8 may learn its ranges from."""

from types import SimpleNamespace

import pandas as pd
import pytest

pytest.importorskip("keras", reason="Keras is not installed")

from hemokit.checks import HemokitError  # noqa: E402
from hemokit.demo.models import _about  # noqa: E402
from hemokit.export import Card  # noqa: E402
from hemokit.runs import exporting  # noqa: E402
from hemokit.runs.prediction import predict_exported  # noqa: E402

CHANNEL = {"name": "brain", "dataset": "ct_ich_nifti", "level": 40.0, "width": 80.0}


def test_scores_with_empty_fields(tmp_path):
    """A report whose interval is not defined has null in the card, and the page shows the score without it."""
    text = "metric,estimate,low,high,n,patients,data,split\ndice,0.5,,,12,3,phantom,test\n"
    (tmp_path / "segmentation.csv").write_text(text)
    row = exporting._scores(tmp_path / "segmentation.csv")[0]
    assert (row["estimate"], row["low"], row["high"], row["n"], row["data"]) == (0.5, None, None, 12, "phantom")
    for low in (None, ""):
        card = Card("m", "onnx", "float32", (8, 8, 1), (8, 8, 1), "", 1, scores=({**row, "low": low},))
        assert "Dice 0.50 on the test split: 3 patients of phantom." in _about(card)


@pytest.fixture
def slices(monkeypatch):
    """Function: ids of a folder -> `Slices` of a run that judged the slices c (validation) and d (test).

    The model says 0.2 of each slice, or what `says` is.
    """
    own = pd.DataFrame({"slice_id": ["c", "d"], "split": ["validation", "test"], "mean_probability": 0.2})
    monkeypatch.setattr(exporting, "read_predictions", lambda folder: own)
    monkeypatch.setattr("hemokit.batches.SliceBatches", lambda rows, **how: rows)
    monkeypatch.setattr(exporting, "has_truth", lambda table: pd.Series(True, table.index))

    def made(ids, says=0.2):
        monkeypatch.setattr(exporting, "predict", lambda model, batches, rows: rows.assign(mean_probability=says))
        table = pd.DataFrame({"slice_id": list(ids), "any": 1})
        data = SimpleNamespace(table=table, layout="ct_ich_nifti", described="a folder")
        settings = {"channels": [tuple(CHANNEL.values())], "image_size": 16}
        return exporting._slices_of("run", settings, data, None)

    return made


def test_training_slices_are_those_of_the_own_folder(slices):
    """Of the run's folder the rest is its training; of another folder, or a part of its own, none is known to be."""
    assert slices("abcd").train["slice_id"].tolist() == ["a", "b"]
    assert slices("abcd").test["slice_id"].tolist() == ["d"]
    for ids in ("xyz", "abd"):
        assert slices(ids).train.empty
        with pytest.raises(HemokitError, match="a folder has no training slices of this run, but expected the folder"):
            exporting._calibration(slices(ids))


def test_slices_are_known_by_content(slices):
    """Another phantom has the same names: where the model says something else of them, they are not the run's."""
    assert slices("abcd", says=0.201).train["slice_id"].tolist() == ["a", "b"]
    assert slices("abcd", says=0.3).train.empty and slices("abcd", says=0.3).test.empty


def test_models_that_are_not_square(tmp_path):
    """A model of 8 x 9 pixels is refused before a slice of the folder is read."""
    card = Card("m", "onnx", "float32", (8, 9, 1), (8, 9, 1), "", 1, threshold=0.5, channels=(CHANNEL,))
    with pytest.raises(HemokitError, match="a model of 8 x 9 pixels, but expected one of square images"):
        predict_exported(SimpleNamespace(card=card), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()
