"""Recipes on patches: crops to train on, whole slices and scans as predictions, scores by the size of a bleed."""

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.labels import SUBTYPES
from hemokit.predictions import build_predictions, stack_histograms
from hemokit.runs import patch_recipes
from hemokit.splits import split_by_patient

RECIPE = {
    "image_size": 32, "windows": ["brain_wide"], "patch": (16, 16), "stride": (8, 8), "hard_negatives": 0.5,
    "negatives": 0, "network": "unet_plus_plus", "filters": (2, 4), "loss": "dice_bce", "learning_rate": 1e-3,
    "schedule": "constant", "batch_size": 16, "epochs": 1, "augmentation": "NONE", "validate_on": "positive",
    "predict_stride": (16, 16),
}  # fmt: skip
VOLUMES = RECIPE | {"patch": (4, 16, 16), "stride": (4, 16, 16), "predict_stride": (3, 16, 16)}
VOLUMES |= {"skips": "add", "halve_slices": 0}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A split phantom of twelve patients with masks."""
    folder = write_phantom(tmp_path_factory.mktemp("p") / "p", layout="ct_ich_nifti", num_patients=12, image_size=64)
    return split_by_patient(open_dataset(folder), fractions=(0.6, 0.2, 0.2))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [RECIPE, VOLUMES], ids=["slices", "scans"])
def test_run_predicts_whole_slices_and_is_found_again(table, recipe, tmp_path, capsys):
    """Every validation and test slice is predicted at its full size, in 2-D and 3-D; the same run has one folder."""
    told = {"runs": tmp_path, "source": "phantom (synthetic)"}
    run_dir, predictions = patch_recipes.train_patches(table, "09", recipe, **told)
    expected = table[table["split"] != "train"]
    assert sorted(predictions["slice_id"]) == sorted(expected["slice_id"])
    assert set(sum(stack_histograms(predictions)).sum(axis=1)) == {32 * 32}
    assert {"predictions.csv", "judging.json"} <= {path.name for path in run_dir.iterdir()}
    assert patch_recipes.train_patches(table, "09", recipe, **told)[0] == run_dir
    assert "going on after epoch 1 of 1" in capsys.readouterr().out


@pytest.mark.slow
def test_pipelines_of_a_recipe(table):
    """Without shares of negatives every crop comes; validation has the scans with hemorrhage alone, or all."""
    plain = {key: value for key, value in RECIPE.items() if key not in ("hard_negatives", "negatives")}
    train, watched = patch_recipes.patch_pipelines(table, plain | {"validate_on": "all"})
    assert train.batches.counts["used"].sum() == 9 * (table["split"] == "train").sum()
    validation = table[table["split"] == "validation"]
    assert len(watched.batches.table) == len(validation)
    positive = patch_recipes.patch_pipelines(table, plain)[1].batches.table
    assert set(positive["scan_id"]) == set(validation.loc[validation["any"] == 1, "scan_id"])
    with pytest.raises(HemokitError, match="validate_on"):
        patch_recipes.patch_pipelines(table, plain | {"validate_on": "some"})


def _frame(name, areas, found):
    """Predictions of slices with `areas` true pixels, `found` of them predicted, one patient each."""
    masks = np.arange(64).reshape(1, 8, 8) < np.array(areas).reshape(-1, 1, 1)
    maps = np.where(np.arange(64).reshape(1, 8, 8) < np.array(found).reshape(-1, 1, 1), 0.9, 0.1).astype(np.float32)
    ids = [f"{name}{number}" for number in range(len(areas))]
    rows = {"dataset": "drawn", "patient_id": ids, "scan_id": ids, "slice_id": ids, "slice_index": 0, "split": name}
    rows |= {"any": [int(area > 0) for area in areas]} | dict.fromkeys(SUBTYPES, 0)
    return build_predictions(pd.DataFrame(rows), maps, masks)


def test_scores_by_size():
    """Thirds of the test slices with hemorrhage, from small to large; slices without are left out."""
    test = _frame("test", areas=[1, 2, 8, 10, 20, 40, 0], found=[0, 1, 8, 5, 20, 20, 3])
    frame = pd.concat([_frame("validation", [4, 9], [4, 9]), test], ignore_index=True)
    board = patch_recipes.masks_by_size({"one": frame, "two": frame}, source="drawn")
    assert board["network"].tolist() == ["one"] * 3 + ["two"] * 3
    first = board.iloc[:3]
    assert first["size"].tolist() == ["small", "middle", "large"] and first["pixels"].tolist() == [2, 10, 40]
    assert first["n"].tolist() == [2, 2, 2]
    assert first["found"].tolist() == [0.5, 1, 1]
    assert first["sensitivity"].tolist() == pytest.approx([1 / 3, 13 / 18, 40 / 60])


def test_too_few_slices_have_no_thirds():
    """Two test slices with hemorrhage give no row."""
    frame = pd.concat([_frame("validation", [4], [4]), _frame("test", [4, 9], [4, 9])], ignore_index=True)
    assert len(patch_recipes.masks_by_size({"one": frame}, source="drawn")) == 0
