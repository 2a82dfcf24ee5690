"""Patches of the slices of a table as batches for Keras, in 2-D and in 3-D, on whatever backend.

    train = PatchBatches(
        table[table["split"] == "train"], patch=(128, 128), stride=(64, 64), image_size=512, batch_size=16,
        training=True, sampling=Sampling(hard_negatives=1.0, negatives=0.5),
    )
    images, masks = train[0]  # (16, 128, 128, 1) both
    train.counts  # how many patches there are of each kind, and how many of them an epoch has

A patch of three sizes, (slices, height, width), takes neighboring slices of one scan. Patches lie on the grid of
`patches.patch_positions`: a 512x512 slice has 49 of 128x128 at stride 64, and a scan that has fewer slices than the
patch gets empty ones (0) below and above.
"""

import hashlib
import operator
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from hemokit import augment, patches, scan_batches
from hemokit.batches import SliceBatches
from hemokit.checks import check_choice, problem
from hemokit.patches import cut_patch, patch_positions, window_of
from hemokit.scan_batches import rows_of_scans
from hemokit.slice_cache import LEVELS

KINDS = ("positive", "hard_negative", "negative", "empty")
# Around a patch that is changed, so much of it again is cut on each side: a turn then brings in image and not black.
MARGIN = 1 / 4


class Sampling(NamedTuple):
    """How many patches without hemorrhage an epoch of training has for each patch with it; all with it are kept.

    Where there are fewer, all of them are taken. Patches of 0 alone (air, or outside of the head) are never drawn.
    """

    hard_negatives: float = 1.0  # hemorrhage is elsewhere in the same slice, or in one of the patch's slices
    negatives: float = 1.0  # no hemorrhage in any of the patch's slices


class PatchBatches(SliceBatches):
    """Batches of patches of prepared slices.

    `batches[i]` is (images, masks), or images alone without a target: float32 (batch, height, width, channels) and
    (batch, height, width, 1), or with a patch of three sizes (batch, slices, height, width, ...). The last batch may
    be smaller. Without training all patches of the grid come, slice by slice (scan by scan), row by row.

    In training each epoch has its own order, its own augmentation and its own draw of patches without hemorrhage; all
    three depend on the table, the settings, the seed and the number of the epoch alone. A patch is changed together
    with its surroundings, so that little black comes in; all slices of a patch are changed alike, and a patch is drawn
    by what it holds before the change.

    Args:
        table: a slice table; for training of the split train, and not balanced (`sampling` does it).
        patch: (height, width), or (slices, height, width) for a 3-D network, in pixels and slices.
        stride: one step an axis; None is half of the patch.
        image_size: height and width of the slices that patches are cut from.
        batch_size: patches a batch.
        target: "mask", or None for images alone.
        sampling: for training, a `Sampling`; None takes every patch in each epoch.
        **options: windows, prepare (of the whole slice, before it is cut), training, augmentation, seed, cache,
            progress and those of Keras, as `SliceBatches`.

    Attributes:
        patch, stride: as tuples of two or three numbers.
        counts: DataFrame (kind, found, used): patches on the grid and in an epoch, by `KINDS`.
        table, epoch, fingerprint, image_shape and others: as `SliceBatches`.

    Raises:
        HemokitError: as `SliceBatches` and `patch_positions`; for patches of several slices as `rows_of_scans`;
            sampling without training or without masks; no patch with hemorrhage to count by; a balanced table.
    """

    def __init__(self, table, *, patch, stride=None, image_size, batch_size, target="mask", sampling=None, **options):
        self._window, self._steps, self._flat = window_of(patch, stride)
        self.patch, self.stride = self._window[self._flat :], self._steps[self._flat :]
        self.sampling = _sampling_of(sampling, target, options.get("training"))
        _check_use(table, target)
        super().__init__(table, target=target, image_size=image_size, batch_size=batch_size, **options)
        self._corners = patch_positions((self.image_size,) * 2, self._window[1:], self._steps[1:])
        self._members = _members(self.table, self._window[0], self._steps[0], self._flat)
        self._found = self._drawn = None
        self._length = len(self._numbers(0))

    def __len__(self):
        return -(-self._length // self.batch_size)

    @property
    def image_shape(self):
        """The shape of one patch in a batch, with its channels."""
        return (*self.patch, self.num_channels)

    @property
    def counts(self):
        """Patches of each kind on the grid and in an epoch: DataFrame (kind, found, used)."""
        if self.target is None:
            raise problem("patches without a target", "the target 'mask'", "Kinds are told by masks.")
        found, used = (np.bincount(self._kinds()[numbers], minlength=4) for numbers in (..., self._numbers(0)))
        return pd.DataFrame({"kind": KINDS, "found": found, "used": used})

    def patches_of(self, index, epoch=0):
        """The numbers of the patches of one batch on the grid, from 0: int array (batch,)."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index % len(self) * self.batch_size
        return self._numbers(epoch)[first : first + self.batch_size]

    def rows_of(self, index, epoch=0):
        """The rows of `table` in each patch of one batch: int array (batch, slices), -1 for an empty slice."""
        return self._members[self.patches_of(index, epoch) // len(self._corners)]

    def batch(self, index, epoch):
        """One batch of any epoch, whatever `epoch` is set to: see the class."""
        numbers = self.patches_of(index, epoch)
        images = np.zeros((len(numbers), *self._window, self.num_channels), np.float32)
        masks = np.zeros((len(numbers), *self._window, 1), np.float32)
        for place, number in enumerate(numbers):
            self._fill(images[place], masks[place, ..., 0], number, epoch)
        if self._flat:
            images, masks = images[:, 0], masks[:, 0]
        return images if self.target is None else (images, masks)

    def _fill(self, images, masks, number, epoch):
        """Put the slices of one patch into arrays of 0."""
        rows, corner = self._members[number // len(self._corners)], self._corners[number % len(self._corners)]
        place = f"{self._ids[rows[rows >= 0][0]]} {corner[0]} {corner[1]}"
        for level in np.flatnonzero(rows >= 0):
            image, mask = self._changed(rows[level], corner, (self.seed, epoch, place))
            images[level] = image
            masks[level] = 0 if mask is None else mask

    def _changed(self, row, corner, key):
        """The patch of one slice, changed with its surroundings where there is an augmentation."""
        whole = self.prepare is not None  # it looks at the whole slice; otherwise the patch alone is scaled
        image, mask = self._prepared(row) if whole else self._stored(row)
        size, still = self._window[1:], self.augmentation == augment.NONE
        around = (0, 0) if still else tuple(int(MARGIN * side) for side in size)
        start, wide = np.subtract(corner, around), tuple(np.add(size, np.multiply(2, around)))
        image = cut_patch(image, start, wide) / np.float32(1 if whole else LEVELS)
        mask = None if mask is None else cut_patch(mask, start, wide)
        if not still:
            image, mask = augment.augment_pair(image, mask, self.augmentation, key=key)
        middle = tuple(slice(more, more + side) for more, side in zip(around, size, strict=True))
        return image[middle], None if mask is None else mask[middle]

    def _numbers(self, epoch):
        """The patches of an epoch, in its order. The last epoch asked for is kept; threads may ask for others."""
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            numbers = np.arange(len(self._members) * len(self._corners))
            rng = np.random.default_rng([self.seed, epoch])
            if self.sampling is not None:
                numbers = _draw(self._kinds(), self.sampling, rng)
            drawn = self._drawn = epoch, rng.permutation(numbers) if self.training else numbers
        return drawn[1]

    def _kinds(self):
        """The kind of every patch on the grid, places in `KINDS`: int8 (patches,). All slices are read, once."""
        if self._found is None:
            told = [self._told(row) for row in range(len(self.table))]
            blank = np.zeros((1, len(self._corners)), bool)  # row -1: an empty slice
            blood, light = (np.concatenate([[one[place] for one in told], blank]) for place in (0, 1))
            positive, light = blood[self._members].any(axis=1), light[self._members].any(axis=1)
            hard = np.broadcast_to(blood[self._members].any(axis=(1, 2))[:, None], positive.shape)
            kinds = np.select([positive, ~light, hard], [0, 3, 1], 2)
            self._found = kinds.astype(np.int8).ravel()
        return self._found

    def _told(self, row):
        """Of each patch of one slice: whether there is hemorrhage in it, and whether there is anything at all."""
        image, mask = self._stored(row)
        return [_any_in(one, self._corners, self._window[1:]) for one in (mask, np.asarray(image).any(axis=-1))]

    @property
    def fingerprint(self):
        """64 hex digits that change with whatever the batches depend on."""
        told = repr((super().fingerprint, self._window, self._steps, self._flat, self.sampling, _code()))
        digest = hashlib.sha256(told.encode())
        digest.update(np.ascontiguousarray(self._members).data)  # which slices are neighbors
        return digest.hexdigest()


def _members(table, depth, step, flat):
    """The rows of the slices of each patch at one corner, -1 where a scan has none: int (patches, depth)."""
    if flat:
        return np.arange(len(table))[:, None]
    members = []
    for scan in rows_of_scans(table):
        places = patch_positions((len(scan),), (depth,), (step,)) + np.arange(depth)
        inside = (places >= 0) & (places < len(scan))
        members.append(np.where(inside, scan[np.clip(places, 0, len(scan) - 1)], -1))
    return np.concatenate(members)


def _any_in(flags, corners, size):
    """Whether a bool image is True anywhere in each patch: bool (patches,), from sums over rectangles."""
    sums = cv2.integral(np.ascontiguousarray(flags).view(np.uint8))
    (top, left), (bottom, right) = np.maximum(corners, 0).T, np.minimum(corners + size, flags.shape).T
    return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0


def _draw(kinds, sampling, rng):
    """The numbers of the patches of one epoch, sorted: all positive ones, and as many others as are asked for."""
    positive = np.flatnonzero(kinds == 0)
    parts = [positive]
    for kind, share in enumerate(sampling, start=1):
        there = np.flatnonzero(kinds == kind)
        parts.append(rng.choice(there, int(min(len(there), round(share * len(positive)))), replace=False))
    if not len(positive):
        remedy = "Take slices with hemorrhage as well, or leave sampling out."
        raise problem("no patch has hemorrhage", "at least one, by which the others are counted", remedy)
    return np.sort(np.concatenate(parts))


def _sampling_of(sampling, target, training):
    if sampling is None:
        return None
    if not isinstance(sampling, Sampling):
        raise problem(f"sampling is {sampling!r}", "a Sampling or None", "Write Sampling(hard_negatives=1.0).")
    for name, share in sampling._asdict().items():
        if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share < 1e6:
            raise problem(f"{name} is {share!r}", "a number from 0", "1.0 is as many as patches with hemorrhage.")
    if target is None:
        raise problem("sampling without a target", "the target 'mask'", "Masks tell which patches are positive.")
    if not training:
        remedy = "Leave sampling out, or pass training=True."
        raise problem("sampling was given without training", "all patches for validation and test", remedy)
    return sampling


def _check_use(table, target):
    if target is not None:
        check_choice(target, ("mask",), "target")
    if isinstance(table, pd.DataFrame) and "copy" in table.columns and table["copy"].any():
        remedy = "Pass the table as it was before balance, and sampling."
        raise problem("a table with copies of slices", "each slice once", remedy, column="copy")


@lru_cache(maxsize=1)
def _code():
    """A checksum of the code that patches depend on, beside that of `batches`."""
    paths = (Path(patches.__file__), Path(scan_batches.__file__), Path(__file__))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()
