"""Scans as sequences: every slice once, in its place, and nothing from behind the end of a scan."""

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.labels import LABELS
from hemokit.sequence_batches import SequenceBatches, SliceVectors
from hemokit.tables import COLUMNS


def slice_table(lengths=(7, 3, 9), **columns):
    """A slice table of scans of these lengths, rows in a mixed order; patient and scan share their name."""
    rows = [
        {"dataset": "rsna", "patient_id": f"p{scan}", "scan_id": f"s{scan}", "slice_id": f"{scan}_{place}",
         "slice_index": place, "image_path": "x", "mask_path": None, **dict.fromkeys(LABELS, 0)}
        for scan, length in enumerate(lengths) for place in range(length)
    ]  # fmt: skip
    table = pd.DataFrame(rows)[list(COLUMNS)]
    table.loc[table["slice_index"] == 1, ["any", "subdural"]] = 1
    return table.assign(**columns).sample(frac=1, random_state=0).reset_index(drop=True)


def vectors_of(table, features=5):
    """Vectors that tell the slice: its scan and place stand in the first two features."""
    rng = np.random.default_rng(0)
    table = table.iloc[::-1]
    values = rng.normal(size=(len(table), features)).astype(np.float32)
    values[:, 0] = [int(name[0]) for name in table["slice_id"]]
    values[:, 1] = table["slice_index"]
    return SliceVectors(tuple(table["slice_id"]), values, rng.random((len(table), 6)).astype(np.float32), "origin")


def test_every_slice_in_its_place():
    """Scans in the order of the table, slices from the neck upward; 0 and weight 0 behind the end."""
    table = slice_table()
    batches = SequenceBatches(table, vectors_of(table), batch_size=2)
    assert len(batches) == 2
    seen = []
    for index in range(2):
        slices, labels, weights = batches[index]
        assert slices.dtype == labels.dtype == weights.dtype == np.float32
        assert slices.shape[1] % 8 == 0 and slices.shape[2] == 12 and weights.mean() == pytest.approx(1)
        there = slices[..., 0] > 0
        assert not slices[~there].any() and not labels[~there].any() and not weights[~there].any()
        for scan, own in zip(slices, there, strict=True):
            places = scan[own][:, 8]
            assert places.tolist() == list(range(own.sum())) and len(set(scan[own][:, 7])) == 1
            seen.append((int(scan[0, 7]), own.sum()))
        assert (labels[..., 0][there] == (slices[..., 8][there] == 1)).all()
    assert sorted(seen) == [(0, 7), (1, 3), (2, 9)]


def test_vectors_are_matched_by_id():
    """Each row of a batch holds the vectors of its own slice, though they came in another order, and more of them."""
    table = slice_table()
    vectors, part = vectors_of(table), table[table["patient_id"] != "p1"]
    batches = SequenceBatches(part, vectors, batch_size=9)
    slices, rows = batches[0][0], batches.rows_of(0)
    for row, values in zip(rows[rows >= 0], slices[rows >= 0], strict=True):
        place = vectors.slice_ids.index(batches.table["slice_id"][row])
        np.testing.assert_array_equal(values[1:7], vectors.probabilities[place])
        np.testing.assert_array_equal(values[7:], vectors.features[place])


def test_order_of_training():
    """Epochs differ, seeds differ, and the same epoch comes again; without training the order stays."""
    table = slice_table((3,) * 20, split="train")
    how = {"batch_size": 20, "training": True}
    train = SequenceBatches(table, vectors_of(table), seed=1, **how)
    orders = [train.rows_of(0, epoch).tolist() for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert SequenceBatches(table, vectors_of(table), seed=2, **how).rows_of(0).tolist() != orders[0]
    still = SequenceBatches(table, vectors_of(table), batch_size=20)
    assert still.rows_of(0, 0).tolist() == still.rows_of(0, 1).tolist()
    first = train[0][0]
    train.on_epoch_end()
    assert not np.array_equal(first, train[0][0])


def test_slices_left_out_leave_no_place():
    """A gap in slice_index is no gap in the sequence: the order counts."""
    table = slice_table((7,))
    table = table[table["slice_index"] != 3]
    slices, _, _ = SequenceBatches(table, vectors_of(table), batch_size=1)[0]
    assert slices[0, :6, 8].tolist() == [0, 1, 2, 4, 5, 6]


def test_without_target():
    """Slices alone."""
    table = slice_table()
    assert SequenceBatches(table, vectors_of(table), target=None)[0].shape == (3, 16, 12)


def test_fingerprint():
    """Values, labels, order and batch size change it; the order of the vectors does not."""
    table = slice_table()
    vectors = vectors_of(table)
    one = SequenceBatches(table, vectors).fingerprint
    turned = SliceVectors(*(part[::-1] for part in vectors[:3]), "origin")
    assert SequenceBatches(table, turned).fingerprint == one
    others = [
        SequenceBatches(table, vectors._replace(features=vectors.features + 1)),
        SequenceBatches(table, vectors._replace(origin="x")), SequenceBatches(table, vectors, batch_size=2),
        SequenceBatches(table.assign(any=1, subdural=1), vectors), SequenceBatches(table.iloc[::-1], vectors),
    ]  # fmt: skip
    assert len({one, *(other.fingerprint for other in others)}) == 6


def test_fingerprint_knows_where_a_scan_ends():
    """The same slices in the same order, as scans of two and two or of three and one."""
    table = slice_table((4,)).sort_values("slice_index", ignore_index=True)
    vectors = vectors_of(table)
    cuts = [table.assign(scan_id=list(names)) for names in ("AABB", "AAAB")]
    assert len({SequenceBatches(cut, vectors).fingerprint for cut in cuts}) == 2


@pytest.mark.parametrize("change, match", [
    (lambda table: table.assign(slice_index=1), "has two slices at place 1"),
    (lambda table: table.assign(scan_id=None), "19 of 19 slices have no scan_id"),
    (lambda table: table.assign(slice_id=table["slice_id"] + "x"), "19 slices have no vectors, such as"),
    (lambda table: table[:0], "the table has no rows"),
])  # fmt: skip
def test_tables_that_will_not_do(change, match):
    """Slices without a place or without vectors are refused."""
    table = slice_table()
    with pytest.raises(HemokitError, match=match):
        SequenceBatches(change(table), vectors_of(table))


def test_other_wrong_input():
    """Test rows for training, ids that stand twice, other labels, another target, a batch that is not there."""
    table = slice_table(split="test")
    vectors = vectors_of(table)
    with pytest.raises(HemokitError, match="training=True, and 19 of 19 rows"):
        SequenceBatches(table, vectors, training=True)
    with pytest.raises(HemokitError, match="19 ids, 19 features and 7 probabilities"):
        SequenceBatches(table, vectors._replace(probabilities=vectors.probabilities[:7]))
    with pytest.raises(HemokitError, match="probabilities of 2 labels"):
        SequenceBatches(table, vectors._replace(probabilities=vectors.probabilities[:, :2]))
    with pytest.raises(HemokitError, match="target is 'mask'"):
        SequenceBatches(table, vectors, target="mask")
    with pytest.raises(IndexError, match="batch 1 of 1"):
        SequenceBatches(table, vectors).rows_of(1)
