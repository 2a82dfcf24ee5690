"""Recipes of the segmentation lessons: which data, which rows an epoch, which folder."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.runs import lesson_data, recipes
from hemokit.splits import split_by_patient

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder

RECIPE = {"train_on": "balanced", "images_an_epoch": None, "filters": (4, 8), "windows": ["brain_wide"]}
PHANTOM = {"num_patients": 2, "image_size": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A phantom of twelve patients with masks."""
    return write_phantom(tmp_path_factory.mktemp("recipes") / "p", layout="ct_ich_jpg", num_patients=12, image_size=64)


@pytest.fixture(scope="module")
def train(folder):
    """Its training rows."""
    table = split_by_patient(open_dataset(folder), fractions=(0.6, 0.2, 0.2))
    return table[table["split"] == "train"]


def test_epoch_is_balanced_and_numbers_its_repeats(train):
    """Half of the rows are positive, and no slice has the same number twice."""
    drawn = recipes.draw_epoch(train, RECIPE)
    assert drawn["any"].mean() == pytest.approx(0.5, abs=0.02)
    assert set(drawn["slice_id"]) == set(train["slice_id"])
    assert not drawn.duplicated(["slice_id", "copy"]).any()


@pytest.mark.parametrize("train_on", ["all", "positive", "balanced"])
def test_epoch_has_the_number_of_images_asked_for(train, train_on):
    """More images than rows are drawn with repeats, and positive means positive."""
    drawn = recipes.draw_epoch(train, RECIPE | {"train_on": train_on, "images_an_epoch": 500})
    assert len(drawn) == 500 and not drawn.duplicated(["slice_id", "copy"]).any()
    assert train_on != "positive" or drawn["any"].all()


def test_epoch_refuses_other_names_and_empty_choices(train):
    """A misspelled train_on, and positives where there are none."""
    with pytest.raises(HemokitError, match="train_on"):
        recipes.draw_epoch(train, RECIPE | {"train_on": "balance"})
    with pytest.raises(HemokitError, match="no training row is positive"):
        recipes.draw_epoch(train[train["any"] == 0], RECIPE | {"train_on": "positive"})


def test_folder_depends_on_settings_data_and_seed():
    """The same run has the same folder; anything else has another."""
    one, two = (SimpleNamespace(batches=SimpleNamespace(fingerprint=name)) for name in ("aa", "bb"))
    first = recipes.run_folder("runs", "07_unet", RECIPE, one, two)
    assert first == recipes.run_folder("runs", "07_unet", dict(reversed(RECIPE.items())), one, two)
    others = [
        recipes.run_folder("runs", "07_unet", RECIPE | {"filters": (8, 16)}, one, two),
        recipes.run_folder("runs", "07_unet", RECIPE, two, one),
        recipes.run_folder("runs", "07_unet", RECIPE, one, two, seed=1),
    ]
    assert len({first, *others}) == 4 and first.parent.name == "runs"


def test_folder_depends_on_what_is_in_the_weights(tmp_path):
    """The same file of weights elsewhere is the same run; another one in its place is another; none is refused."""
    data = [SimpleNamespace(batches=SimpleNamespace(fingerprint="aa"))] * 2
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for path, content in zip(paths, (b"1", b"1", b"2"), strict=True):
        path.write_bytes(content)
    found = [recipes.run_folder("runs", "08", RECIPE | {"weights": path}, *data) for path in paths]
    assert found[0] == found[1] != found[2]
    with pytest.raises(HemokitError, match="gone.h5: no such file"):
        recipes.run_folder("runs", "08", RECIPE | {"weights": str(tmp_path / "gone.h5")}, *data)


@pytest.mark.parametrize(
    "changes, name",
    [
        ({}, "unet"),
        ({"network": "two_branch"}, "two_branch"),
        ({"network": "unet_plus_plus", "filters": (4, 4, 8)}, "unet_plus_plus"),
        ({"network": "transfer_unet:VGG16", "filters": (4,) * 5, "frozen": True}, "VGG16_unet"),
    ],
)
def test_network_of_a_recipe(changes, name):
    """Without a name it is the U-Net, behind a colon stands a backbone, and a frozen one learns nothing itself."""
    model = recipes.build_network(RECIPE | {"batch_norm": True} | changes, (32, 32, 1))
    assert model.name == name and model.output_shape == (None, 32, 32, 1)
    assert all(encoder.trainable is False for encoder in model.layers if encoder.name == "VGG16")


def test_volume_of_a_recipe():
    """A shape of four numbers gives a 3-D network, and the options of volumes reach its builder."""
    volume = RECIPE | {"network": "unet_plus_plus", "filters": (4, 4, 8), "halve_slices": 0}
    added, joined = (recipes.build_network(volume | {"skips": one}, (4, 16, 16, 3)) for one in ("add", "concatenate"))
    assert added.output_shape == (None, 4, 16, 16, 1) and added.count_params() < joined.count_params()


def test_unknown_networks_are_refused():
    """A misspelled network, and one that takes no backbone."""
    with pytest.raises(HemokitError, match="network is 'unett'"):
        recipes.build_network(RECIPE | {"network": "unett"}, (32, 32, 1))
    with pytest.raises(HemokitError, match="'two_branch' takes no backbone"):
        recipes.build_network(RECIPE | {"network": "two_branch:VGG16"}, (32, 32, 1))
    with pytest.raises(HemokitError, match="'transfer_unet' needs a backbone"):
        recipes.build_network(RECIPE | {"network": "transfer_unet"}, (32, 32, 1))
    with pytest.raises(HemokitError, match="weights 'imagenet' for the network 'unet' without a backbone"):
        recipes.build_network(RECIPE | {"weights": "imagenet"}, (32, 32, 1))


@pytest.mark.parametrize("key, name", [("augmentation", "standard"), ("loss", "bce")])
def test_unknown_names_are_refused(folder, tmp_path, key, name):
    """A loss or an augmentation of another name, such as those of the command line."""
    table = split_by_patient(open_dataset(folder), fractions=(0.6, 0.2, 0.2))
    recipe = RECIPE | {"image_size": 64, "batch_size": 4, "augmentation": "NONE", "loss": "dice_bce", key: name}
    with pytest.raises(HemokitError, match=f"{key} is '{name}', but expected one of"):
        recipes.train_recipe(table, "x", recipe, runs=tmp_path, source="phantom")
    assert not list(tmp_path.iterdir())


def test_folder_with_masks_is_trained_on(folder, capsys):
    """A phantom in DATA is called a phantom, and nothing stands in."""
    data = recipes.choose_data(folder, phantom=PHANTOM, most_patients=11)
    assert data.source == "phantom (synthetic)" and data.unmasked is None
    assert data.table["patient_id"].nunique() == 11 and capsys.readouterr().out == ""


def test_folder_without_masks_waits(folder, monkeypatch, capsys, tmp_path):
    """Labels without masks: the phantom stands in, says so, and the folder can be predicted."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(lesson_data, "has_truth", lambda table: table["any"] == 0)
    data = recipes.choose_data(folder, phantom=PHANTOM)
    assert data.unmasked["patient_id"].nunique() == 12 and data.table["patient_id"].nunique() == 2
    assert "too few masks (0 patients with hemorrhage have them)" in capsys.readouterr().out


def test_choosing_data_brings_no_keras():
    """Lesson 12 opens its folder without it."""
    code = "import sys, hemokit.runs.lesson_data, hemokit.runs.so_far; print('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_renders_are_known(folder):
    """A folder of JPGs, to train on or to predict, has no other windows; the phantom that stands in has all."""
    table = open_dataset(folder)
    nifti = table.assign(dataset="ct_ich_nifti")
    assert lesson_data.LessonData(table, "").only_renders and lesson_data.LessonData(nifti, "", table, "").only_renders
    assert not lesson_data.LessonData(nifti, "").only_renders
