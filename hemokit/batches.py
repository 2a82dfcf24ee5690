"""A slice table as batches for Keras, on whatever backend: images with masks, labels or nothing.

    train = SliceBatches(table[table["split"] == "train"], target="mask", image_size=128, batch_size=16, training=True)
    images, masks = train[0]

What batch number i of an epoch holds depends on the table, the settings, the seed and the epoch alone: not on the
number of workers, nor on which batches were asked for before.
"""

import hashlib
import json
import operator
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from hemokit import augment, equalize, slice_cache
from hemokit.checks import check_choice, check_columns, problem
from hemokit.datasets import READERS, read_image
from hemokit.labels import ANY, CLASSES
from hemokit.leaks import check_no_leakage
from hemokit.slice_cache import LEVELS, cached_slices, content_key, open_slices, prepare_slice, unique_slices
from hemokit.tables import COLUMNS, check_slice_table
from hemokit.targets import labels_of, names_of, weights_of

IMAGE_SIZES = (4, 4096)


class SliceBatches(keras.utils.PyDataset):
    """Batches of prepared slices.

    `batches[i]` is (images, targets), or images alone without a target: images float32 (batch, size, size, channels)
    in [0, 1]; targets float32 for "mask" (batch, size, size, 1), "any" (batch, 1) and "subtypes" (batch, 6), in the
    order of `labels.LABELS`, or int32 for "class" (batch,), numbers into `classes`. With `class_weights` it is
    (images, targets, weights): float32 (batch,), mean 1 over the table. The last batch may be smaller.

    Each epoch of training has its own order and its own augmentation. The number of the epoch goes up by itself at
    `on_epoch_end`, which Keras calls; setting `epoch` goes to any other. Keras' own `fit` must be told
    `shuffle=False`, or it takes the batches in an order of its own that no seed of ours decides; and its first call
    may use up one epoch to build the model.

    Args:
        table: a slice table; for training also one of `splits.balance`, whose copies are augmented differently.
        target: "mask", "any", "subtypes", "class", or None for images alone.
        image_size: height and width in pixels, from 4 to 4096 (see `slice_cache.prepare_slice`).
        batch_size: slices a batch.
        windows: as `datasets.read_image`; None is the brain window.
        prepare: None, or a key of `equalize.PREPARATIONS`: what each image goes through before it is augmented.
        training: shuffle and augment.
        augmentation: an `augment.Augmentation`; None is `augment.STANDARD` for training, and nothing else.
        classes: for the target "class", see `labels.class_names`; a slice of another class is refused.
        class_weights: for training with the target "class" or "any": None, "balanced" or a dict name -> weight, see
            `targets.weights_of`. The weights go into the loss of training; validation stays as it is.
        seed: whole number from 0, of order and augmentation.
        cache: keep the prepared slices on disk (see `slice_cache`); False reads the files in each epoch.
        progress: True or False; None shows a bar where much must be read.
        **options: workers, use_multiprocessing and max_queue_size of `keras.utils.PyDataset`.

    Attributes:
        names: what the outputs of a model for this target mean, a tuple; None for masks and without a target.
        table: the rows, in the order in which they are without shuffling.
        epoch: whole number from 0.
        fingerprint: 64 hex digits over the content of all files, the labels, the settings, the seed and the code.
        source_shapes: int array (rows, 2), height and width on disk.

    Raises:
        HemokitError: no rows; no slice table; an unknown target or prepare; slices outside of the classes;
            class_weights without training, or as `targets.weights_of`; a mask target with hemorrhage without a mask;
            windows that the data cannot be shown through; a size, a batch or a seed that is none; training with rows
            of another split than train (they would be learned from), or copies made before a split; a patient in two
            splits.
    """

    def __init__(
        self, table, *, target, image_size, batch_size, windows=None, prepare=None, training=False, augmentation=None,
        classes=CLASSES, class_weights=None, seed=0, cache=True, progress=None, **options,
    ):  # fmt: skip
        super().__init__(**options)
        self.names = names_of(target, classes)
        self.image_size = _whole(image_size, "image_size", *IMAGE_SIZES)
        self.batch_size = _whole(batch_size, "batch_size", 1, 2**20)
        self.seed, self.training, self.target = _whole(seed, "seed", 0, 2**63), bool(training), target
        self.augmentation = _augmentation_of(augmentation, training)
        self.prepare = None if prepare is None else check_choice(prepare, equalize.PREPARATIONS, "prepare")
        check_table(table, target, training)
        self.table = table.reset_index(drop=True)
        self.num_channels = _check_windows(table, windows)
        self.windows = slice_cache.windows_as_tuple(windows)
        self._settings = {"image_size": self.image_size, "windows": self.windows, "masks": target == "mask"}
        self._labels = labels_of(self.table, target, classes)
        self._weights = weights_of(self.table, target, _weights_for(class_weights, training), classes)
        slices = unique_slices(self.table)
        self._place = pd.Index(slices["slice_id"]).get_indexer(self.table["slice_id"])
        self._ids = self.table["slice_id"].to_numpy(object)
        self._copies = self.table["copy"].to_numpy(int) if "copy" in self.table.columns else np.zeros(len(table), int)
        self._folder = cached_slices(self.table, progress=progress, **self._settings) if cache else None
        self._opened = None
        self._content = self._folder.name if cache else content_key(self.table, **self._settings)[:32]
        self.epoch = 0

    def __len__(self):
        return -(-len(self.table) // self.batch_size)

    @property
    def image_shape(self):
        """The shape of one image in a batch: (height, width, channels)."""
        return self.image_size, self.image_size, self.num_channels

    def __getitem__(self, index):
        return self.batch(index, self.epoch)

    @property
    def epoch(self):
        """The number of the epoch that `batches[i]` is of."""
        return self._epoch

    @epoch.setter
    def epoch(self, value):
        self._epoch = _whole(value, "epoch", 0, 2**31)

    def on_epoch_end(self):
        """Go to the next epoch; Keras calls it."""
        self.epoch += 1

    def rows_of(self, index, epoch=0):
        """The numbers of the rows of `table` in one batch: int array (batch,)."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index % len(self) * self.batch_size
        return _order(len(self.table), self.seed, epoch, self.training)[first : first + self.batch_size]

    def batch(self, index, epoch):
        """One batch of any epoch, whatever `epoch` is set to: see the class."""
        rows = self.rows_of(index, epoch)
        shape = (len(rows), self.image_size, self.image_size)
        images = np.empty((*shape, self.num_channels), np.float32)
        masks = np.empty((*shape, 1), np.float32) if self.target == "mask" else None
        for place, row in enumerate(rows):
            images[place], mask = self._pair(row, epoch)
            if masks is not None:
                masks[place, ..., 0] = mask
        if self.target is None:
            return images
        targets = self._labels[rows] if masks is None else masks
        return (images, targets) if self._weights is None else (images, targets, self._weights[rows])

    def _pair(self, row, epoch):
        """The image and the mask of one row, as they are in one epoch."""
        image, mask = self._prepared(row)
        if self.augmentation == augment.NONE:
            return image, mask
        key = (self.seed, epoch, self._ids[row], self._copies[row])
        return augment.augment_pair(image, mask, self.augmentation, key=key)

    def _prepared(self, row):
        """The image in [0, 1] and the mask of one row, before any augmentation."""
        image, mask = self._stored(row)
        image = image / np.float32(LEVELS)  # division, so that 1 is exactly 1
        return image if self.prepare is None else equalize.PREPARATIONS[self.prepare](image), mask

    def _stored(self, row):
        if self._folder is None:
            return prepare_slice(self.table.iloc[row], **self._settings)[:2]
        slices = self._slices()
        place = self._place[row]
        return slices.images[place], None if slices.masks is None else slices.masks[place]

    def _slices(self):
        if self._opened is None:
            self._opened = open_slices(self._folder)
        return self._opened

    def __getstate__(self):
        """What goes to another process: all but the arrays, which it opens from the disk itself."""
        return {**self.__dict__, "_opened": None}

    @property
    def source_shapes(self):
        """Height and width of each row on disk: int array (rows, 2)."""
        if self._folder is not None:
            return np.array(self._slices().shapes)[self._place]
        records = self.table.to_dict("records")
        return np.array([READERS[row["dataset"]].image_shape(row) for row in records], np.int32)

    @property
    def fingerprint(self):
        """64 hex digits that change with whatever the batches depend on."""
        told = {
            "content": self._content, "ids": self._ids.tolist(), "copies": self._copies.tolist(), "code": _code(),
            "labels": None if self._labels is None else self._labels.tolist(), "target": self.target,
            "names": self.names, "weights": None if self._weights is None else self._weights.tolist(),
            "batch_size": self.batch_size, "training": self.training, "augmentation": self.augmentation,
            "seed": self.seed, "prepare": self.prepare,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(told, default=float).encode()).hexdigest()


@lru_cache(maxsize=8)
def _order(num_rows, seed, epoch, training):
    order = np.random.default_rng([seed, epoch]).permutation(num_rows) if training else np.arange(num_rows)
    order.setflags(write=False)
    return order


@lru_cache(maxsize=1)
def _code():
    """A checksum of the code that batches depend on, beside that of `slice_cache.code_version`."""
    paths = (augment.__file__, equalize.__file__, __file__)
    return hashlib.sha256(b"\0".join(Path(path).read_bytes() for path in paths)).hexdigest()


def _augmentation_of(augmentation, training):
    if augmentation is None:
        return augment.STANDARD if training else augment.NONE
    augment.check_augmentation(augmentation)
    if not training and augmentation != augment.NONE:
        remedy = "Leave augmentation out, or pass training=True."
        raise problem("augmentation was given without training", "whole slices for validation and test", remedy)
    return augmentation


def _weights_for(class_weights, training):
    if class_weights is not None and not training:
        remedy = "Leave class_weights out, or pass training=True."
        raise problem("class_weights were given without training", "each slice to count the same", remedy)
    return class_weights


def check_table(table, target, training):
    """Raise HemokitError unless a table may be made into batches: see `SliceBatches`."""
    if not isinstance(table, pd.DataFrame):
        raise problem(f"the table is a {type(table).__name__}", "a slice table", "Make it by open_dataset.")
    check_columns(table, COLUMNS)
    if not len(table):
        raise problem("the table has no rows", "at least one slice", "Look at what was selected of it.")
    _check_unique(table, training)
    check_slice_table(table[table["copy"] == 0] if "copy" in table.columns else table)
    _check_splits(table, training)
    if target == "mask":
        _check_masks(table)


def _check_unique(table, training):
    copied = "copy" in table.columns
    twice = table[table.duplicated(["slice_id", "copy"] if copied else ["slice_id"])]
    if len(twice):
        came = f"slice {twice['slice_id'].iloc[0]!r} stands in the table twice"
        raise problem(came, "each slice once", "Use splits.balance to repeat slices: it numbers the copies.")
    if copied and table["copy"].any() and not training:
        came = f"{int((table['copy'] > 0).sum())} rows are copies"
        raise problem(came, "each slice once, where nothing is trained", "Use the table as it was before balance.")
    if copied and "split" not in table.columns:
        remedy = "Split first, then balance: copies made before a split end up on both sides."
        raise problem("the table was balanced but not split", "the column 'split'", remedy)


def _check_splits(table, training):
    if "split" not in table.columns:
        return
    other = table["split"][table["split"] != "train"]
    if training and len(other):
        came = f"training=True, and {len(other)} of {len(table)} rows are of the split {other.iloc[0]!r}"
        raise problem(came, "training rows only", "Pass table[table['split'] == 'train'].")
    if len(table["split"].unique()) > 1:
        check_no_leakage(table)


def _check_masks(table):
    drawn = table["mask_path"].notna()
    if "polygons_xy" in table.columns:
        drawn |= [isinstance(polygons, list | tuple | np.ndarray) for polygons in table["polygons_xy"]]
    bare = table[(table[ANY] == 1) & ~drawn]
    if len(bare):
        came = f"{len(bare)} of {len(table)} slices have hemorrhage and no mask (such as {bare['slice_id'].iloc[0]!r})"
        remedy = "Leave these rows out (and count them), or choose the target 'any'; account(table).notes says why."
        raise problem(came, "a mask for every slice with hemorrhage", remedy)


def _check_windows(table, windows):
    """The number of channels, seen from the first slice of each data set; HemokitError if it cannot be shown so."""
    first = table.drop_duplicates("dataset")
    channels = {read_image(row, windows=windows).shape[-1] for _, row in first.iterrows()}
    if len(channels) > 1:
        raise problem(f"the images have {sorted(channels)} channels", "one number", "Name the same windows for all.")
    return channels.pop()


def _whole(value, name, low, high):
    """`value` as an int; HemokitError unless it is a whole number from low to high."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or not low <= number <= high:
        raise problem(f"{name} is {value!r}", f"a whole number from {low} to {high}", f"Choose another {name}.")
    return number
