"""Scans as sequences of slices for a model like `models.sequence.scan_lstm`: vectors instead of images, padded.

    vectors = slice_vectors(slice_model, batches)          # features and probabilities, once (see hemokit.training)
    reduced = vectors._replace(features=fit_reduction(vectors.features, table).apply(vectors.features))
    train = SequenceBatches(table[table["split"] == "train"], reduced, batch_size=16, training=True)

Scans of any length stand in one batch: the shorter ones are followed by places that are 0 throughout, with weight 0.
"""

import hashlib
import operator
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from hemokit.batches import check_table
from hemokit.checks import check_choice, check_whole, problem
from hemokit.labels import LABELS
from hemokit.scan_batches import SCAN
from hemokit.targets import labels_of

PAD_TO = 8  # lengths are rounded up to a multiple of it: a network is compiled for few of them


class SliceVectors(NamedTuple):
    """What a slice model gives, a row a slice: `slice_ids`, `features` float32 (rows, features), `probabilities`
    float32 (rows, labels), and `origin`, hex digits over all that they depend on."""

    slice_ids: tuple
    features: np.ndarray
    probabilities: np.ndarray
    origin: str = ""


class SequenceBatches(keras.utils.PyDataset):
    """Batches of whole scans.

    `batches[i]` is (slices, labels, weights), or slices alone without a target. slices: float32 (scans, length, 1 +
    labels + features), of each slice 1, its probabilities, its features; length is that of the longest scan, rounded
    up to a multiple of 8. labels: float32 (scans, length, labels). weights: float32 (scans, length), 0 behind the end
    of a scan and equal elsewhere, with mean 1: so Keras' mean over a batch is the mean over its slices.

    In training each epoch has its own order of scans, which depends on seed and epoch alone.

    Args:
        table: a slice table; each scan has all its slices that are to be used. Slices that were left out leave no
            place: the order counts.
        vectors: `SliceVectors` of all slices of the table, or of more, in any order.
        batch_size: scans a batch.
        target: "subtypes" or None.
        training: shuffle.
        seed: whole number from 0.

    Attributes:
        table, epoch, fingerprint: as `batches.SliceBatches`; the table is the one given.
        shapes: of what a batch holds, None where it differs.

    Raises:
        HemokitError: no rows; a slice without scan or place, or two slices in one place; slices without vectors;
            another target; training with rows of another split than train, a patient in two splits.
    """

    def __init__(self, table, vectors, *, batch_size=16, target="subtypes", training=False, seed=0):
        super().__init__()
        self.target = None if target is None else check_choice(target, ("subtypes",), "target")
        self.batch_size, self.seed = check_whole(batch_size, "batch_size", 1), check_whole(seed, "seed", 0)
        check_table(table, target, training)
        self.training, self.table, self.epoch = bool(training), table.reset_index(drop=True), 0
        self._scans = _rows_of_scans(self.table)
        self._slices = _joined(self.table, vectors)
        self._labels = labels_of(self.table, "subtypes")
        self._origin = vectors.origin
        width = self._slices.shape[1]
        self.shapes = [(None, None, width), (None, None, len(LABELS)), (None, None)][: 3 if target else 1]

    def __len__(self):
        return -(-len(self._scans) // self.batch_size)

    def __getitem__(self, index):
        return self.batch(index, self.epoch)

    def on_epoch_end(self):
        """Go to the next epoch; Keras calls it."""
        self.epoch += 1

    def rows_of(self, index, epoch=0):
        """The rows of `table` in one batch: int array (scans, length), -1 behind the end of a scan."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        order = np.arange(len(self._scans))
        if self.training:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        first = index % len(self) * self.batch_size
        scans = [self._scans[number] for number in order[first : first + self.batch_size]]
        length = -(-max(map(len, scans)) // PAD_TO) * PAD_TO
        return np.stack([np.pad(rows, (0, length - len(rows)), constant_values=-1) for rows in scans])

    def batch(self, index, epoch):
        """One batch of any epoch: see the class."""
        rows = self.rows_of(index, epoch)
        there = rows >= 0
        slices = np.where(there[..., None], self._slices[rows], np.float32(0))
        if self.target is None:
            return slices
        weights = (there * (there.size / there.sum())).astype(np.float32)
        return slices, np.where(there[..., None], self._labels[rows], np.float32(0)), weights

    @property
    def fingerprint(self):
        """64 hex digits that change with whatever the batches depend on."""
        lengths = [len(rows) for rows in self._scans]
        told = repr((self._origin, self.batch_size, self.training and self.seed, lengths))
        digest = hashlib.sha256(told.encode())
        for array in (self._slices, self._labels, *self._scans):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _rows_of_scans(table):
    """The numbers of the rows of each scan from the neck upward: list of int arrays."""
    for column in (*SCAN, "slice_index"):
        if table[column].isna().any():
            came = f"{int(table[column].isna().sum())} of {len(table)} slices have no {column}"
            raise problem(came, "the place of every slice in its scan", "Join the DICOM headers first.", column=column)
    twice = table[table.duplicated([*SCAN, "slice_index"])]
    if len(twice):
        came = f"scan {twice['scan_id'].iloc[0]!r} has two slices at place {twice['slice_index'].iloc[0]}"
        raise problem(came, "each place once", "Use the table as the reader made it.", column="slice_index")
    places = table["slice_index"].to_numpy(int)
    groups = pd.Series(np.arange(len(table))).groupby([table[name].to_numpy(object) for name in SCAN], sort=False)
    return [rows.to_numpy()[np.argsort(places[rows.to_numpy()], kind="stable")] for _, rows in groups]


def _joined(table, vectors):
    """1, probabilities and features of each row: float32 (rows, 1 + labels + features)."""
    ids = pd.Index(vectors.slice_ids)
    if ids.has_duplicates or not len(ids) == len(vectors.features) == len(vectors.probabilities):
        came = f"{len(ids)} ids, {len(vectors.features)} features and {len(vectors.probabilities)} probabilities"
        raise problem(came, "one of each a slice, each slice once", "Take what `slice_vectors` gives.")
    if vectors.probabilities.shape[1] != len(LABELS):
        came = f"probabilities of {vectors.probabilities.shape[1]} labels"
        raise problem(came, f"the six: {', '.join(LABELS)}", "Train the slice model with the target 'subtypes'.")
    found = ids.get_indexer(table["slice_id"])
    if (found < 0).any():
        came = f"{int((found < 0).sum())} slices have no vectors, such as {table['slice_id'][found < 0].iloc[0]!r}"
        raise problem(came, "vectors of every slice", "Compute them for this very table.", column="slice_id")
    ones = np.ones((len(table), 1), np.float32)
    return np.concatenate([ones, vectors.probabilities[found], vectors.features[found]], axis=1, dtype=np.float32)
