"""The tf.data pipeline gives just what SliceBatches gives, epoch after epoch."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from hemokit.batches import SliceBatches  # noqa: E402
from hemokit.datasets import open_dataset  # noqa: E402
from hemokit.datasets.phantom import write_phantom  # noqa: E402
from hemokit.patch_batches import PatchBatches, Sampling  # noqa: E402
from hemokit.pipelines import patch_pipeline, slice_pipeline  # noqa: E402

OPTIONS = {"image_size": 32, "batch_size": 5, "training": True, "seed": 2}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The slices of a phantom patient, as training rows."""
    root = tmp_path_factory.mktemp("pipelines") / "phantom"
    rows = open_dataset(write_phantom(root, layout="ct_ich_jpg", num_patients=1, image_size=64, seed=1))
    return rows.assign(split="train")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One cache folder for all tests here."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_equals_batches(table):
    """Three epochs, each batch in its place; then an epoch that was set."""
    dataset, batches = slice_pipeline(table, target="mask", **OPTIONS), SliceBatches(table, target="mask", **OPTIONS)
    assert dataset.cardinality().numpy() == len(batches) and dataset.batches.fingerprint == batches.fingerprint
    for epoch in (0, 1, 2, 7):
        dataset.batches.epoch = epoch if epoch == 7 else dataset.batches.epoch
        assert dataset.batches.epoch == epoch
        found = list(dataset)
        assert len(found) == len(batches) and dataset.batches.epoch == epoch + 1
        for index, (images, masks) in enumerate(found):
            expected = batches.batch(index, epoch)
            assert (images.numpy() == expected[0]).all() and (masks.numpy() == expected[1]).all()


@pytest.mark.parametrize("patch", [(16, 8), (3, 16, 8)])
def test_patches_equal_batches(table, patch):
    """Two epochs of patches, drawn, changed and in order as PatchBatches has them, and their counts."""
    options = {**OPTIONS, "patch": patch, "sampling": Sampling(0.5, 0.25)}
    dataset, batches = patch_pipeline(table, **options), PatchBatches(table, **options)
    assert dataset.element_spec[0].shape.as_list() == [None, *patch, 1] and dataset.cardinality().numpy() == len(
        batches
    )
    assert dataset.batches.counts.equals(batches.counts)
    for epoch in (0, 1):
        for index, (images, masks) in enumerate(dataset):
            expected = batches.batch(index, epoch)
            assert (images.numpy() == expected[0]).all() and (masks.numpy() == expected[1]).all()
        assert index == len(batches) - 1
    assert patch_pipeline(table, batch_size=49, target=None).element_spec.shape.as_list() == [None, 128, 128, 1]


@pytest.mark.parametrize("target, shape", [("any", (None, 1)), ("subtypes", (None, 6)), ("class", (None,))])
def test_targets_have_their_shapes(table, target, shape):
    """The shapes are known before anything is read, but for the size of the last batch."""
    images, labels = slice_pipeline(table, target=target, **OPTIONS).element_spec
    assert images.shape.as_list() == [None, 32, 32, 1] and labels.shape.as_list() == list(shape)
    assert labels.dtype == (tf.int32 if target == "class" else tf.float32)


def test_weights_travel_along(table):
    """With class weights an element is images, targets and weights, batch by batch those of SliceBatches."""
    dataset = slice_pipeline(table, target="class", class_weights="balanced", **OPTIONS)
    assert dataset.element_spec[2].shape.as_list() == [None] and dataset.element_spec[2].dtype == tf.float32
    for index, found in enumerate(dataset):
        expected = dataset.batches.batch(index, 0)
        assert all((one.numpy() == two).all() for one, two in zip(found, expected, strict=True))


def test_images_alone(table):
    """Without a target an element is the images."""
    dataset = slice_pipeline(table, target=None, image_size=32, batch_size=5, windows=("brain", "bone"))
    assert dataset.element_spec.shape.as_list() == [None, 32, 32, 2]
    assert sum(len(images) for images in dataset) == len(table)


def test_two_iterations_at_once(table):
    """An iteration that was left early does not disturb the next one."""
    dataset = slice_pipeline(table, target="mask", **OPTIONS)
    next(iter(dataset))
    second = [images.numpy() for images, _ in dataset]
    expected = [dataset.batches.batch(index, 1)[0] for index in range(len(dataset))]
    assert all((one == two).all() for one, two in zip(second, expected, strict=True))


def test_keras_trains_on_it(table):
    """Keras' own fit goes through one epoch of ours in each of its own."""
    import keras

    dataset = slice_pipeline(table, target="any", **{**OPTIONS, "image_size": 8})
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss="mean_squared_error")
    model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    assert dataset.batches.epoch == 2


def test_nothing_is_tuned(table):
    """TensorFlow's autotuning is off, whose thread an iteration's end may wait for."""
    pipeline = slice_pipeline(table, target="mask", image_size=16, batch_size=3)
    assert pipeline.options().autotune.enabled is False and pipeline.take(1).options().autotune.enabled is False


def test_errors_come_through(table):
    """A file that vanished after the table was made is told by its name."""
    from hemokit.checks import HemokitError

    gone = table.assign(image_path=table["image_path"].str.replace(".jpg", "_gone.jpg"))
    with pytest.raises(HemokitError, match="_gone.jpg"):
        slice_pipeline(gone, target="any", **OPTIONS)


def test_no_rng_of_numpy_is_touched(table):
    """The global random state stays as it is."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    list(slice_pipeline(table, target="mask", **OPTIONS))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
