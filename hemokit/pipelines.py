"""Batches of slices, patches and scans as a tf.data.Dataset: several are made at once, while the model trains.

train = slice_pipeline(table, target="mask", image_size=128, batch_size=16, training=True)
train = patch_pipeline(table, patch=(128, 128), stride=(64, 64), image_size=512, batch_size=16, training=True)
train = scan_pipeline(table, vectors=vectors, batch_size=16, training=True)
model.fit(train, epochs=10)  # each epoch has its own order and augmentation
"""

import numpy as np
import tensorflow as tf

from hemokit.batches import SliceBatches
from hemokit.checks import problem
from hemokit.labels import CLASSES
from hemokit.patch_batches import PatchBatches
from hemokit.processes import cores
from hemokit.scan_batches import ScanBatches
from hemokit.sequence_batches import SequenceBatches

MADE_AT_ONCE, WAITING = 8, 4  # batches: at most so many are made at once, and so many more wait, while the model trains


def slice_pipeline(
    table, *, target, image_size, batch_size, windows=None, prepare=None, training=False, seed=0, augmentation=None,
    classes=CLASSES, class_weights=None, cache=True, progress=None,
):  # fmt: skip
    """Batches of slices from a table.

    The batches equal those of `SliceBatches`, in order, however many are made at once. Each iteration over the dataset
    is an epoch: it takes the number `dataset.batches.epoch` and leaves the next one there. Setting that number before
    an iteration goes to any epoch.

    Args:
        table, target, image_size, batch_size, windows, prepare, training, seed, augmentation, classes, class_weights,
            cache, progress: as `SliceBatches`.

    Returns:
        tf.data.Dataset of what `SliceBatches` gives: (images, targets), with class_weights (images, targets, weights),
        or images; its length is known. Its attribute `batches` is the `SliceBatches`; a dataset made from this one
        (`.take`, `.map`) does not carry it.

    Raises:
        HemokitError: as `SliceBatches`.
    """
    batches = SliceBatches(
        table, target=target, image_size=image_size, batch_size=batch_size, windows=windows, prepare=prepare,
        training=training, seed=seed, augmentation=augmentation, classes=classes, class_weights=class_weights,
        cache=cache, progress=progress,
    )  # fmt: skip
    dataset = pipeline_of(batches)
    dataset.batches = batches
    return dataset


def patch_pipeline(
    table, *, patch=(128, 128), stride=None, image_size=512, batch_size, target="mask", windows=None, prepare=None,
    training=False, sampling=None, augmentation=None, seed=0, cache=True, progress=None,
):  # fmt: skip
    """Batches of patches from a table, in 2-D or, with a patch of three sizes, in 3-D.

    The defaults are the crops of the CT-ICH segmentation paper with UNet++: 128x128 at stride 64, which are 49 a slice
    of 512x512. The batches equal those of `PatchBatches`; for epochs see `slice_pipeline`.

    Args:
        table, patch, stride, image_size, batch_size, target, windows, prepare, training, sampling, augmentation, seed,
            cache, progress: as `PatchBatches`.

    Returns:
        tf.data.Dataset of (images, masks), or of images without a target; its length is known. Its attribute `batches`
        is the `PatchBatches`, whose `counts` tell how many patches there are of each kind.

    Raises:
        HemokitError: as `PatchBatches`.
    """
    batches = PatchBatches(
        table, patch=patch, stride=stride, image_size=image_size, batch_size=batch_size, target=target,
        windows=windows, prepare=prepare, training=training, sampling=sampling, augmentation=augmentation, seed=seed,
        cache=cache, progress=progress,
    )  # fmt: skip
    dataset = pipeline_of(batches)
    dataset.batches = batches
    return dataset


def scan_pipeline(
    table, *, target="subtypes", vectors=None, batch_size=None, image_size=None, windows=None, prepare=None,
    training=False, seed=0, cache=True, progress=None,
):  # fmt: skip
    """Batches of whole scans from a table, each scan from the neck upward.

    With `vectors`, what a slice model gave, for a sequence model: `batch_size` scans of any length in one batch, padded
    and weighted as `SequenceBatches` tells. Without, images for a network that looks at neighboring slices: one scan a
    batch, (slices, size, size, channels), as `ScanBatches`. For epochs see `slice_pipeline`.

    Args:
        table: a slice table; for images its scans stand one after another, as `open_dataset` has them.
        target: "subtypes" or None; of images also "mask" and "any".
        vectors: `SliceVectors`, or None for images.
        batch_size, training, seed: as `SequenceBatches`; of vectors alone.
        image_size, windows, prepare, cache, progress: as `ScanBatches`; of images alone.

    Returns:
        tf.data.Dataset of (slices, labels, weights), or (images, targets), or the first alone without a target; its
        length is known. Its attribute `batches` is the `SequenceBatches` or `ScanBatches`.

    Raises:
        HemokitError: as these; options of images beside vectors, or the other way round.
    """
    images = {"image_size": image_size, "windows": windows, "prepare": prepare}
    if vectors is not None:
        if any(one is not None for one in images.values()):
            remedy = "Leave image_size, windows and prepare out: the vectors were made with theirs."
            raise problem("options of images beside vectors", "vectors or images", remedy)
        batch_size = 16 if batch_size is None else batch_size
        batches = SequenceBatches(
            table, vectors, batch_size=batch_size, target=target, training=training, seed=seed
        )  # fmt: skip
    else:
        if training or batch_size not in (None, 1):
            remedy = "Give vectors, or train on patches of several slices by patch_pipeline."
            raise problem("training or a batch_size for images of whole scans", "one scan a batch", remedy)
        batches = ScanBatches(table, target=target, **images, cache=cache, progress=progress)
    dataset = pipeline_of(batches)
    dataset.batches = batches
    return dataset


def pipeline_of(batches):
    """A tf.data.Dataset over batches of slices, patches or scans, which may also have been made by hand."""
    example = _as_tuple(batches.batch(0, batches.epoch))
    types = [array.dtype for array in example]
    shapes = getattr(batches, "shapes", None) or [(None, *array.shape[1:]) for array in example]

    def load(index, epoch):
        arrays = tf.numpy_function(lambda i, e: _as_tuple(batches.batch(i, int(e))), [index, epoch], types)
        for tensor, shape in zip(arrays, shapes, strict=True):
            tensor.set_shape(shape)
        return tuple(arrays) if batches.target is not None else arrays[0]

    def indices(epoch):
        return tf.data.Dataset.range(len(batches)).map(lambda index: (index, epoch))

    # The epoch travels with each index, so that what is prefetched is right however late it is used.
    start = tf.data.Dataset.range(1).map(lambda _: tf.numpy_function(lambda: _next_epoch(batches), [], tf.int64))
    dataset = start.flat_map(indices).map(load, num_parallel_calls=min(cores(), MADE_AT_ONCE), deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return dataset.prefetch(WAITING).with_options(_untuned())


def _untuned():
    """No autotuning: the end of an iteration may wait for its thread, up to five seconds (seen with TF 2.21)."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _next_epoch(batches):
    """The number of the epoch that begins; the next one is left in its place."""
    epoch = batches.epoch
    batches.epoch = epoch + 1
    return np.int64(epoch)


def _as_tuple(batch):
    return batch if isinstance(batch, tuple) else (batch,)
