"""Tests of what the lesson on heat maps shares."""

import keras
import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.evaluation import pointing_game
from hemokit.gradcam import gradcam
from hemokit.labels import LABELS
from hemokit.models.transfer import plain_cnn, unet_classifier
from hemokit.predictions import build_label_predictions
from hemokit.runs import looking
from hemokit.runs.lesson_data import LessonData
from hemokit.runs.looking import (
    bleeding_part,
    choose_tables,
    edge_maps,
    equal_parts,
    gradients_of_labels,
    head_maps,
    label_report,
    maps_of,
    normal_slice,
    plant,
    pointing_report,
    see,
    shuffle_weights,
    visible_lesions,
)
from hemokit.runs.pretraining import SEGMENTATION
from hemokit.runs.recipes import train_recipe
from hemokit.splits import split_by_patient
from hemokit.training import load

RECIPE = {"image_size": 16, "windows": ["brain_wide", "subdural"]}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(folder, layout="ct_ich_nifti", num_patients=6, image_size=64, seed=0)
    return open_dataset(folder).assign(split="test")


@pytest.mark.slow
def test_a_network_trained_on_the_phantom_points_at_its_lesions(tmp_path):
    """The map's maximum lies on the lesion far more often than chance and than with shuffled weights."""
    root = write_phantom(tmp_path / "phantom", layout="ct_ich_nifti", num_patients=24, image_size=64, seed=3)
    slices = split_by_patient(open_dataset(root), fractions=(0.6, 0.2, 0.2))
    recipe = SEGMENTATION | {"image_size": 64, "filters": (8, 16, 32), "epochs": 3, "images_an_epoch": 600}
    run, _ = train_recipe(slices, "start", recipe, runs=tmp_path / "runs", source="phantom (synthetic)")
    _, images, masks = visible_lesions(slices, recipe, most=60)
    models = [unet_classifier(load(run), num_classes=6, multi_label=True) for _ in range(2)]
    games = [
        pointing_game(maps_of(model, images, "any", "decoder1_relu2"), masks, tolerance=2)
        for model in (models[0], shuffle_weights(models[1]))
    ]
    assert games[0].score > 5 * games[0].chance and games[1].score < games[0].score / 3, games


def test_the_part_of_one_scan(table):
    """Of a patient with two scans, the one with more bleeding slices alone, in order, around these."""
    rows = pd.DataFrame({"patient_id": "a", "scan_id": list("xy") * 9, "slice_index": np.repeat(range(9), 2)})
    rows["any"] = ((rows["scan_id"] == "y") & (rows["slice_index"] > 5)).astype(int)
    rows.loc[0, "any"] = 1
    part = bleeding_part(rows.sample(frac=1, random_state=0), most=4)
    assert set(part["scan_id"]) == {"y"} and part["slice_index"].tolist() == [5, 6, 7, 8]
    one = rows[rows["scan_id"] == "y"].assign(scan_id=np.nan)  # a table that does not tell
    assert bleeding_part(one, most=4)["slice_index"].tolist() == [5, 6, 7, 8]


def test_slices_with_and_without_masks(table):
    """The same images either way; masks where they are asked for."""
    rows = table[table["any"] == 1].head(3).reset_index(drop=True)
    images, masks = see(rows, RECIPE, has_masks=True)
    bare, none = see(rows, RECIPE, has_masks=False)
    assert images.shape == (3, 16, 16, 2) and masks.shape == (3, 16, 16) and masks.dtype == bool
    assert (images == bare).all() and none == [None] * 3


def test_maps_of_several_images(monkeypatch):
    """One map an image, however many at once."""
    monkeypatch.setattr("hemokit.runs.looking.MAPS_AT_ONCE", 2)
    keras.utils.set_random_seed(0)
    model = plain_cnn((16, 16, 1), num_classes=6, multi_label=True, filters=(4,))
    images = np.random.default_rng(0).random((5, 16, 16, 1))
    maps = maps_of(model, images, "any", "block1_conv2")
    assert maps.dtype == np.float32
    alone = [gradcam(model, image, label="any", layer="block1_conv2") for image in images]
    np.testing.assert_allclose(maps, alone, atol=1e-5)


def test_gradients_of_labels_make_the_map():
    """Weighted by the mean gradient, cut at zero, enlarged: the map of gradcam."""
    keras.utils.set_random_seed(0)
    model = plain_cnn((16, 16, 1), num_classes=6, multi_label=True, filters=(4,))
    image = np.random.default_rng(0).random((16, 16, 1)).astype(np.float32)
    features, gradients = gradients_of_labels(model, image, "block1_conv2")
    assert features.shape == (16, 16, 4) and gradients.shape == (6, 16, 16, 4)
    for number, gradient in enumerate(gradients):
        heat = np.maximum(features @ gradient.mean(axis=(0, 1)), 0)
        expected = maps_of(model, [image], number, "block1_conv2")[0]
        np.testing.assert_allclose(heat / max(heat.max(), 1e-9), expected, atol=1e-5)


def test_pointing_report_counts_hits_by_hand(table):
    """Three of four maps hit; the row says on what."""
    rows = table.groupby("patient_id").head(1).head(4).reset_index(drop=True)
    masks, maps = np.zeros((4, 7, 8), bool), np.zeros((4, 7, 8))
    masks[:, 2, 3] = maps[:3, 2, 3] = maps[3, 6, 7] = 1
    report = pointing_report(rows, {"mine": maps, "blank": 0 * maps}, masks, tolerance=1).set_index("metric")
    assert report["estimate"].tolist() == [0.75, 0] and (report["n"] == 4).all() and (report["patients"] == 4).all()
    assert np.isnan(report.loc["mine", "low"])  # fewer than five patients
    with pytest.raises(HemokitError, match="4 slices and 3 of 'mine'"):
        pointing_report(rows, {"mine": maps[:3]}, masks, tolerance=1)


def test_label_report(table):
    """One AUROC a label; a label without slices is undefined."""
    rows = table.assign(epidural=0)
    frame = build_label_predictions(rows, rows[list(LABELS)].to_numpy(float) * 0.5 + 0.25, LABELS)
    report = label_report(frame, ("any", "epidural")).set_index("label")
    assert report.loc["any", "estimate"] == 1 and np.isnan(report.loc["epidural", "estimate"])


def test_equal_parts(table):
    """As many of both kinds, at most so many, one channel; one kind alone is refused."""
    rows, images, labels = equal_parts(table, RECIPE, most=2)
    assert images.shape == (4, 16, 16, 1) and labels[:, 0].tolist() == rows["any"].tolist()
    assert sorted(rows["any"]) == [0, 0, 1, 1]
    with pytest.raises(HemokitError, match="the slices are all normal"):
        equal_parts(table[table["any"] == 0], RECIPE, most=2)


def test_tables_of_a_folder_without_masks(tmp_path, monkeypatch, table):
    """Labels alone are learned from, and a phantom has the masks; a folder of few patients is not learned from."""
    phantom = {"num_patients": 6, "image_size": 64}
    bare = table.assign(patient_id=[f"{number % 9}" for number in range(len(table))], any=1)
    for unmasked, own in ((bare, True), (bare[bare["patient_id"] < "4"], False), (None, False)):
        found = LessonData(table.drop(columns="split"), "phantom (synthetic)", unmasked, "labels")
        monkeypatch.setattr(looking, "choose_data", lambda *_, found=found, **__: found)
        looked = choose_tables(tmp_path, phantom=phantom)
        assert looked.has_masks != own and (looked.source == "labels") == own
        assert set(looked.masked["split"]) == {"train", "validation", "test"}


def test_visible_lesions_say_what_they_leave_out(table, capsys):
    """Every mask has a pixel; the counts add up."""
    rows, images, masks = visible_lesions(table, RECIPE, most=5)
    assert len(rows) == len(images) == len(masks) and masks.any(axis=(1, 2)).all()
    told = [int(word.strip(";:")) for word in capsys.readouterr().out.split() if word.strip(";:").isdigit()]
    assert told[0] == len(rows) and sum(told) == min(5, int(table["any"].sum()))


def test_part_of_a_scan(table):
    """Slices of one scan in order, with bleeding ones among them."""
    part = bleeding_part(table, most=4)
    assert len(set(part["patient_id"])) == 1 and part["any"].any() and len(part) <= 4
    assert (part["slice_index"].diff().dropna() == 1).all()


def test_shuffled_weights_are_the_same_numbers():
    """Each array keeps its numbers, in another order."""
    model = plain_cnn((16, 16, 1), num_classes=6, multi_label=True, filters=(4,))
    before = model.get_weights()
    after = shuffle_weights(model).get_weights()
    assert all(
        (np.sort(one, axis=None) == np.sort(two, axis=None)).all() for one, two in zip(before, after, strict=True)
    )
    assert (before[0] != after[0]).any()


def test_maps_without_a_network():
    """The edge of a bright square; the middle of a head; the head."""
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 2:7, 3:8] = 1
    middle, head = head_maps(image)
    assert middle[0, 4, 5] == 1 == middle.sum() and (head == (image[..., 0] > 0)).all()
    edges = edge_maps(image)[0]
    assert edges.max() == 1 and edges[4, 5] < edges[4, 3]
    assert not edge_maps(0 * image).any()


def test_planted_patches():
    """Four images, each with its patch and nothing else changed."""
    image = np.random.default_rng(0).random((16, 16, 2)).astype(np.float32)
    images, patches = plant(image)
    assert images.shape == (4, 16, 16, 2) and images.dtype == np.float32 and not (patches.sum(axis=0) > 1).any()
    for one, patch in zip(images, patches, strict=True):
        assert (one[patch] == np.float32(0.8)).all() and (one[~patch] == image[~patch]).all()


def test_normal_slice_is_one_through_the_brain(table):
    """Of all normal slices the one with the most brain."""
    image = normal_slice(table, RECIPE, most=10**6)
    images, _ = see(table[table["any"] == 0], RECIPE, has_masks=False)
    brain = ((images[..., 0] > 0.35) & (images[..., 0] < 0.75)).sum(axis=(1, 2))
    assert ((image[..., 0] > 0.35) & (image[..., 0] < 0.75)).sum() == brain.max()
