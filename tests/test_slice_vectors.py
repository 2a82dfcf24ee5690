"""Vectors of slices: computed once, found again, never those of another model; and what is made of them."""

import keras
import numpy as np
import pytest
from test_sequence_batches import slice_table, vectors_of

from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.labels import LABELS
from hemokit.sequence_batches import SequenceBatches
from hemokit.training import predict_scans, predict_slices, slice_vectors


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A few slices of a phantom of two patients, as RSNA."""
    root = tmp_path_factory.mktemp("phantom") / "rsna"
    table = open_dataset(write_phantom(root, layout="rsna", num_patients=2, image_size=64, seed=0))
    return table.groupby("scan_id").head(4).reset_index(drop=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small_model(seed=0):
    """A classifier of six labels with 18 features."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(18, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(7, "relu", name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(6, "sigmoid")(x))


def batches_of(table, **options):
    return SliceBatches(table, **{"target": "subtypes", "image_size": 8, "batch_size": 3, "cache": False, **options})


def test_vectors_are_those_of_the_model(table, cache):
    """Features of the named layer and probabilities, in the order of the table; kept in one whole folder."""
    model, batches = small_model(), batches_of(table)
    vectors = slice_vectors(model, batches, precision="float32")
    images = np.concatenate([batches[index][0] for index in range(len(batches))])
    inner = keras.Model(model.input, [model.get_layer("pool").output, model.output])
    features, probabilities = inner.predict(images, verbose=0)
    np.testing.assert_allclose(vectors.features, features, atol=1e-5)
    np.testing.assert_allclose(vectors.probabilities, probabilities, atol=1e-5)
    assert vectors.slice_ids == tuple(table["slice_id"]) and not vectors.features.flags.writeable
    assert len(list((cache / "vectors").iterdir())) == 1


def test_second_time_computes_nothing(table, monkeypatch):
    """The same model and slices: found. Other weights, other slices or another layer: computed."""
    first = slice_vectors(small_model(), batches_of(table), precision="float32")
    computed = []
    usual = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, "predict_on_batch", lambda self, x: computed.append(1) or usual(self, x))
    again = slice_vectors(small_model(), batches_of(table), precision="float32")
    assert not computed and np.array_equal(first.features, again.features) and first.origin == again.origin
    others = [
        slice_vectors(small_model(1), batches_of(table), precision="float32"),
        slice_vectors(small_model(), batches_of(table.iloc[1:]), precision="float32"),
        slice_vectors(small_model(), batches_of(table, windows="bone"), precision="float32"),
    ]
    others.append(slice_vectors(small_model(), batches_of(table), layer="hidden", precision="float32"))
    assert others[-1].features.shape[1] == 7
    assert computed and len({first.origin, *(one.origin for one in others)}) == 5


def test_a_damaged_cache_is_made_again(table, cache):
    """A changed byte, and a folder without its facts, are told by a warning."""
    first = slice_vectors(small_model(), batches_of(table), precision="float32")
    kept, folder = np.array(first.features), next((cache / "vectors").iterdir())
    data = bytearray((folder / "features.npy").read_bytes())
    data[-3] ^= 1
    (folder / "features.npy").write_bytes(data)
    with pytest.warns(UserWarning, match="was damaged: it is made again"):
        again = slice_vectors(small_model(), batches_of(table), precision="float32")
    assert np.array_equal(kept, again.features)
    (folder / "facts.json").unlink()
    with pytest.warns(UserWarning, match="was damaged: it is made again"):
        slice_vectors(small_model(), batches_of(table), precision="float32")


def test_refused(table):
    """Augmented slices have no fixed vectors; a layer that is not there."""
    with pytest.raises(HemokitError, match="batches for training"):
        slice_vectors(small_model(), batches_of(table, training=True))
    with pytest.raises(HemokitError, match="has no layer 'features'"):
        slice_vectors(small_model(), batches_of(table), layer="features")


def test_predict_slices_and_scans():
    """Frames in the order of the table, each with the probabilities of its own slice."""
    table = slice_table()
    vectors = vectors_of(table)
    names = [f"probability_{label}" for label in LABELS]
    own = predict_slices(vectors, table)
    places = [vectors.slice_ids.index(name) for name in table["slice_id"]]
    np.testing.assert_allclose(own[names].to_numpy(), vectors.probabilities[places])
    echo = keras.Input((None, 12))
    batches = SequenceBatches(table, vectors, batch_size=2)
    found = predict_scans(keras.Model(echo, keras.layers.Identity()(echo[:, :, 1:7])), batches)
    assert found["slice_id"].tolist() == table["slice_id"].tolist()
    np.testing.assert_allclose(found[names].to_numpy(), own[names].to_numpy(), atol=1e-6)
    with pytest.raises(HemokitError, match="19 slices have no vectors"):
        predict_slices(vectors, table.assign(slice_id=table["slice_id"] + "x"))
    with pytest.raises(HemokitError, match="vectors of 12 numbers a slice, but expected 13"):
        predict_scans(keras.Model(other := keras.Input((None, 13)), other[:, :, 1:7]), batches)
    train = SequenceBatches(table.assign(split="train"), vectors, training=True)
    with pytest.raises(HemokitError, match="batches for training"):
        predict_scans(keras.Model(echo, keras.layers.Identity()(echo[:, :, 1:7])), train)
