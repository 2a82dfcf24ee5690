"""Training on a backbone that knows something already: frozen first, then unfrozen at a lower rate.

While the new layers are random, their gradients would only spoil what the backbone knows; so it is frozen until they
have learned. Where it is frozen, its features of a slice never change, and need not be computed in each epoch.
"""

from pathlib import Path

import keras
import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.models.backbones import encoder_of
from hemokit.training.checkpoints import load
from hemokit.training.fitting import fit

PHASES = ("frozen", "unfrozen")


def freeze(model):
    """Keep the backbone of a model as it is: none of its weights is trained. Returns the model."""
    encoder_of(model).trainable = False
    return model


def unfreeze(model, *, batch_norm=False):
    """Let the backbone of a model learn. Returns the model.

    Args:
        model: built by `models.transfer`.
        batch_norm: False keeps batch normalization as it is, with the statistics of what the backbone was trained on
            (https://keras.io/guides/transfer_learning: their update by small batches destroys what it has learned).
            True trains it too, which a backbone of random weights needs: its statistics are none yet.
    """
    encoder = encoder_of(model)
    encoder.trainable = True
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = batch_norm
    return model


def fit_in_two_phases(
    build, train, validation, *, run_dir, epochs, learning_rates=(1e-3, 1e-5), batch_norm=False, **options
):
    """Train with the backbone frozen, then go on from the best epoch with all of it at a lower rate.

    Args:
        build: function without arguments that builds the model.
        train, validation: as `fit`.
        run_dir: gets a run in the folder frozen and one in unfrozen; `load(run_dir / "unfrozen")` gives the model.
        epochs: (frozen, unfrozen), each at least 1.
        learning_rates: of the two phases.
        batch_norm: as `unfreeze`.
        **options: of `fit`, for both phases.

    Returns:
        DataFrame as `fit`, of both phases, with the column phase in front.

    Raises:
        HemokitError: as `fit`; a model without a backbone.
    """
    run_dir, histories = Path(run_dir), []
    for phase, count, rate in zip(PHASES, epochs, learning_rates, strict=True):

        def begin(phase=phase):
            if phase == "frozen":
                return freeze(build())
            return unfreeze(load(run_dir / "frozen"), batch_norm=batch_norm)

        history = fit(begin, train, validation, run_dir=run_dir / phase, epochs=count, learning_rate=rate, **options)
        histories.append(history.assign(phase=phase))
    joined = pd.concat(histories, ignore_index=True)
    return joined[["phase", *histories[0].columns.drop("phase")]]


def cached_features(model, batches, *, epochs=1):
    """Compute what the frozen part of a classifier gives for each slice, once.

    Args:
        model: a classifier with head="pool".
        batches: `SliceBatches` with a target that is no mask. With training=True each epoch has its own augmentation.
        epochs: how many to compute, from the first: (epochs * slices) rows.

    Returns:
        (features, targets): float32 (rows, features), what the layer `pool` gives, and the targets.

    Raises:
        HemokitError: a model without the layer `pool`, batches without targets.
    """
    network = keras.Model(model.inputs, _pool(model).output)
    parts = []
    for epoch in range(epochs):
        for index in range(len(batches)):
            images, targets = _pair(batches.batch(index, epoch))
            parts.append((np.asarray(network.predict_on_batch(images), np.float32), targets))
    features, targets = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(targets)


def head_of(model):
    """The part of a classifier after the layer `pool`, with the same weights: training it trains the classifier."""
    return keras.Model(_pool(model).output, model.outputs[0], name=f"{model.name}_head")


def _pool(model):
    names = [layer.name for layer in model.layers]
    if "pool" not in names:
        remedy = "Features of a decoder are as large as the images: train it on the images."
        raise problem(f"the model {model.name!r} has no layer 'pool'", 'one of head="pool"', remedy)
    return model.get_layer("pool")


def _pair(batch):
    if not isinstance(batch, tuple):
        raise problem("batches without targets", "images and targets", "Make them with target='any' or another.")
    return batch
