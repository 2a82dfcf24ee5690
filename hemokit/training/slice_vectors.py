"""What a slice model gives for each slice, computed once and kept on disk: what a sequence model learns from.

The name of the folder is a hash of all that the vectors depend on (the slices' content, the weights, the precision, the
code of this module), so that those of another model or of other slices are never found. What is in it can be deleted
at any time.
"""

import hashlib
import json
import warnings
from pathlib import Path

import keras
import numpy as np

from hemokit.checks import problem
from hemokit.datasets.phantom.writers import cache_folder
from hemokit.files import sha256, write_whole_folder
from hemokit.progress import progress_bar
from hemokit.sequence_batches import SliceVectors
from hemokit.training.precision import choose_precision, computing_in

FEATURES, PROBABILITIES, FACTS = "features.npy", "probabilities.npy", "facts.json"


def slice_vectors(model, batches, *, layer="pool", precision="auto", progress=None):
    """Compute features and probabilities of every slice, or find them where they were computed before.

    Args:
        model: a classifier of slices.
        batches: `SliceBatches`, or a dataset of `slice_pipeline`, without training: all rows of one table, of whatever
            splits.
        layer: whose output, (batch, features), are the features.
        precision: as `fit`; what is kept is float32.
        progress: True or False; None shows a bar on a terminal where there is much to do.

    Returns:
        `SliceVectors` in the order of the table; the features are mapped into memory, read-only.

    Raises:
        HemokitError: batches for training (their slices are changed at random), a model without that layer, a cache
            that cannot be written.
    """
    batches, precision = getattr(batches, "batches", batches), choose_precision(precision)
    if batches.training:
        raise problem("batches for training", "slices as they are", "Make them without training=True.")
    if layer not in [one.name for one in model.layers]:
        came = f"the model {model.name!r} has no layer {layer!r}"
        raise problem(came, f"one of {', '.join(one.name for one in model.layers)}", "Name the layer of the features.")
    network = keras.Model(model.inputs[0], [model.get_layer(layer).output, model.outputs[0]])
    key = _key(network, batches, precision)
    folder = cache_folder() / "vectors" / key[:32]
    vectors = _read(folder, key)
    if vectors is None:
        _write(folder, network, batches, precision, progress)
        vectors = _read(folder, key)
    return vectors


def _key(network, batches, precision):
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(f"{batches.fingerprint} {precision} {keras.backend.backend()} {_described(network)}".encode())
    for values in network.get_weights():
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _described(network):
    """What the layers do, what feeds them and which are the outputs, with numbers for names.

    Keras counts the names of unnamed layers up in every process.
    """
    told = json.dumps(network.get_config(), sort_keys=True, default=repr)
    for number, layer in enumerate((network, *network._flatten_layers())):
        told = told.replace(json.dumps(layer.name), f'"#{number}"')
    return told


def _read(folder, key):
    """What is kept in a folder, or None where there is nothing; a damaged one is told by a warning and replaced."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        whole = all(sha256(folder / name) == facts["sha256"][name] for name in (FEATURES, PROBABILITIES))
    except FileNotFoundError:
        if not folder.exists():
            return None
        whole = False
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        import shutil

        warnings.warn(f"{folder} was damaged: it is made again", stacklevel=3)
        shutil.rmtree(folder)
        return None
    features, probabilities = (np.load(folder / name, mmap_mode="r") for name in (FEATURES, PROBABILITIES))
    return SliceVectors(tuple(facts["slice_ids"]), features, probabilities, key)


def _write(folder, network, batches, precision, progress):
    """Compute batch by batch into a folder that appears when it is whole."""
    try:
        with write_whole_folder(folder) as part:
            _fill(part, network, batches, precision, progress)
            told = {name: sha256(part / name) for name in (FEATURES, PROBABILITIES)}
            facts = {"sha256": told, "slice_ids": batches.table["slice_id"].tolist()}
            (part / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    except OSError as error:
        if not folder.is_dir():  # else somebody finished first: theirs are the same
            came = f"the vectors cannot be kept ({error.strerror or error})"
            remedy = "Make room, or set HEMOKIT_CACHE to another folder."
            raise problem(came, "a cache folder that can be written, with enough space", remedy, file=folder) from error


def _fill(part, network, batches, precision, progress):
    shapes = [(len(batches.table), one.shape[-1]) for one in network.outputs]
    arrays = [
        np.lib.format.open_memmap(part / name, mode="w+", dtype=np.float32, shape=shape)
        for name, shape in zip((FEATURES, PROBABILITIES), shapes, strict=True)
    ]
    bar = progress_bar(None, total=len(batches), description="vectors", unit="batch", progress=progress)
    with bar, computing_in(network, precision):
        for index in range(len(batches)):
            batch = batches.batch(index, 0)
            found = network.predict_on_batch(batch[0] if isinstance(batch, tuple) else batch)
            for array, values in zip(arrays, found, strict=True):
                array[batches.rows_of(index)] = values
            bar.update(1)
    for array in arrays:
        array.flush()
