"""What the frozen part of a classifier gives for each slice, computed once instead of in each epoch.

Where a backbone is frozen, its features of a slice never change. Without augmentation one pass over the slices is
enough for any number of epochs of the head; with it, some epochs are computed and gone through again and again.
"""

import hashlib
from pathlib import Path

import keras
import numpy as np

from hemokit.checks import check_whole, problem
from hemokit.losses import dice_bce
from hemokit.progress import progress_bar
from hemokit.training.checkpoints import LAST, load, read_state
from hemokit.training.fitting import fit, precision_of
from hemokit.training.precision import choose_precision, computing_in
from hemokit.training.prediction import predict_filled
from hemokit.training.sources import check_images_fit, check_model

POOL = "pool"  # the layer between backbone and head, see models.transfer


class FeatureBatches(keras.utils.PyDataset):
    """Batches of features in the order of the `SliceBatches` that they were computed from, epoch by epoch.

    `batches[i]` is (features, targets) or (features, targets, weights): features float32 (batch, features), the others
    as in `SliceBatches`. `fit` takes them as it takes those: with their table, and the epoch that it sets.

    Args:
        slices: the `SliceBatches`.
        features: float32 (epochs, rows, features), in the order of the table; epoch e has features[e % epochs].
        others: targets, and weights if there are any, each with one entry a row.
        fingerprint: hex digits over all that the features depend on.
    """

    def __init__(self, slices, features, others, *, fingerprint):
        super().__init__()
        self._slices, self.features, self._others = slices, features, others
        self.table, self.batch_size, self.training = slices.table, slices.batch_size, slices.training
        self.names, self.fingerprint, self.epoch = slices.names, fingerprint, 0

    def __len__(self):
        return len(self._slices)

    def __getitem__(self, index):
        rows = self._slices.rows_of(index, self.epoch)
        return self.features[self.epoch % len(self.features)][rows], *(one[rows] for one in self._others)


def cached_features(model, batches, *, epochs=1, precision="auto", progress=None):
    """Compute what the frozen part of a classifier gives for each slice, once.

    Args:
        model: a classifier with the layer `pool` (head="pool" of `models.transfer`, or the plain network).
            What a `unet_classifier` makes of the pixels goes past its features: it has no such layer.
        batches: `SliceBatches`, or a dataset of `slice_pipeline`, with a target that is no mask.
        epochs: how many, from 1, each with its own augmentation; 1 is all that there is without augmentation.
        precision: as `fit`; the features are float32 in any case.
        progress: True or False; None shows a bar on a terminal where there is much to do.

    Returns:
        `FeatureBatches`.

    Raises:
        HemokitError: a model without the layer `pool`, or of other images than those of the batches; batches of masks
            or without targets; no whole number of epochs.
    """
    epochs, batches, network = check_whole(epochs, "epochs", 1), _with_labels(batches), _up_to_pool(model)
    check_images_fit(network, batches.image_shape)
    return _computed(network, batches, epochs, choose_precision(precision), progress)


def _computed(network, batches, epochs, precision, progress=None):
    """`cached_features` by a network that ends with the layer `pool`; called again, it need not be compiled again."""
    features = np.empty((epochs, len(batches.table), network.output.shape[-1]), np.float32)
    others = None
    size = min(batches.batch_size, len(batches.table))
    bar = progress_bar(None, total=epochs * len(batches), description="features", unit="batch", progress=progress)
    with bar, computing_in(network, precision):
        for epoch in range(epochs):
            for index in range(len(batches)):
                images, *own = batches.batch(index, epoch)
                rows = batches.rows_of(index, epoch)
                features[epoch, rows] = predict_filled(network, images, size)
                if others is None:
                    others = [np.empty((len(batches.table), *one.shape[1:]), one.dtype) for one in own]
                for array, values in zip(others, own, strict=True):
                    array[rows] = values
                bar.update(1)
    told = f"{batches.fingerprint} {weights_digest(network)} {precision} {epochs}"
    fingerprint = hashlib.sha256(told.encode()).hexdigest()
    return FeatureBatches(batches, features, others, fingerprint=fingerprint)


def head_of(model):
    """The part of a classifier after the layer `pool`, with the same weights: training it trains the classifier."""
    return keras.Model(_pool(model).output, model.outputs[0], name=f"{model.name}_head")


def fit_head(model, train, validation, *, run_dir, epochs, cached_epochs=1, **options):
    """Train the layers after `pool` alone, on features that are computed once.

    Args:
        model: as `cached_features`; it ends with the weights of the best epoch.
        train, validation: `SliceBatches`, or datasets of `slice_pipeline`; validation may be None as in `fit`.
        run_dir: folder of the run; `load(run_dir)` gives the head alone.
        epochs, **options: as `fit`.
        cached_epochs: epochs of augmented training slices to compute; the run goes through them again and again.

    Returns:
        DataFrame as `fit`. A resumed run computes the features once more.

    Raises:
        HemokitError: as `fit` and `cached_features`.
    """
    cached_epochs = check_whole(cached_epochs, "cached_epochs", 1)
    head, network = head_of(model), _up_to_pool(model)
    sources = [one if one is None else _with_labels(one) for one in (train, validation)]
    for one in sources:
        check_model(model, one, options.get("loss", dice_bce))  # before all features are computed
    saved = read_state(Path(run_dir) / LAST) if options.get("resume", True) else None
    precision = precision_of(options.get("precision", "auto"), saved)
    train, validation = (
        one and _computed(network, one, number, precision)
        for one, number in zip(sources, (cached_epochs, 1), strict=True)
    )
    history = fit(head, train, validation, run_dir=run_dir, epochs=epochs, **options)
    head.set_weights(load(run_dir).get_weights())
    return history


def weights_digest(model):
    """12 hex digits over the values of all weights of a model."""
    digest = hashlib.sha256()
    for values in model.get_weights():
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:12]


def _with_labels(batches):
    batches = getattr(batches, "batches", batches)
    if getattr(batches, "names", None) is None:
        raise problem("batches without labels", "images and labels", "Make them with target='class', 'any' or another.")
    return batches


def _up_to_pool(model):
    return keras.Model(model.inputs[0], _pool(model).output)


def _pool(model):
    if POOL not in [layer.name for layer in model.layers]:
        remedy = "Train it on the images, by fit_in_two_phases: what goes into its head is not small, or not all."
        raise problem(f"the model {model.name!r} has no layer {POOL!r}", 'one of head="pool"', remedy)
    return model.get_layer(POOL)
