"""Patches of a table: 49 a slice, all with hemorrhage kept, the others drawn by the seed, in 2-D and in 3-D."""

import pickle

import numpy as np
import pytest

from hemokit.augment import NONE, STANDARD
from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.patch_batches import KINDS, PatchBatches, Sampling
from hemokit.patches import cut_patches, patch_positions
from hemokit.scan_batches import ScanBatches, rows_of_scans
from hemokit.splits import balance
from hemokit.windows import Window

FLAT = {"patch": (16, 16), "stride": (8, 8), "image_size": 64, "batch_size": 20}
DEEP = {"patch": (4, 16, 12), "stride": (3, 16, 12), "image_size": 40, "batch_size": 7}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Two phantom patients in Hounsfield units, one row a slice."""
    root = tmp_path_factory.mktemp("patches") / "phantom"
    return open_dataset(write_phantom(root, layout="ct_ich_nifti", num_patients=2, image_size=64, seed=1))


@pytest.fixture(scope="module")
def train(slices):
    """Eleven training rows of one scan, some with hemorrhage and some without."""
    first = slices[slices["patient_id"] == slices[slices["any"] == 1]["patient_id"].iloc[0]]
    middle = int(np.flatnonzero(first["any"])[0])
    rows = first.iloc[max(0, middle - 5) :].head(11).assign(split="train")
    assert 0 < rows["any"].sum() < len(rows) == 11
    return rows


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One cache folder for all tests here."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def everything(batches, epoch=0):
    """All images and masks of an epoch."""
    parts = zip(*(batches.batch(index, epoch) for index in range(len(batches))), strict=True)
    return [np.concatenate(one) for one in parts]


def whole(table, size, **options):
    """All slices and masks of a table."""
    return SliceBatches(table, target="mask", image_size=size, batch_size=len(table), **options)[0]


def test_49_crops_of_a_slice(slices):
    """The crops of the paper: 49 of 128x128 at stride 64 for each slice of 512x512."""
    batches = PatchBatches(
        slices.head(2), patch=(128, 128), stride=(64, 64), image_size=512, batch_size=49, cache=False
    )
    assert len(batches) == 2 and batches[0][0].shape == batches[1][1].shape == (49, 128, 128, 1)


def test_patches_are_cut_from_the_slices(train):
    """Without training every patch of the grid comes once, slice by slice, row by row, with both windows."""
    batches = PatchBatches(train, **FLAT, windows=("brain", Window(80, 200)))
    positions = patch_positions((64, 64), (16, 16), (8, 8))
    pairs = zip(*whole(train, 64, windows=("brain", Window(80, 200))), strict=True)
    cuts = [[cut_patches(one, positions, (16, 16)) for one in pair] for pair in pairs]
    images, masks = everything(batches)
    assert images.shape == (11 * 49, 16, 16, 2) and masks.shape == (11 * 49, 16, 16, 1)
    assert (images == np.concatenate([one for one, _ in cuts])).all()
    assert (masks == np.concatenate([one for _, one in cuts])).all() and masks.any()
    alone = PatchBatches(train, **{**FLAT, "target": None})
    assert (alone[0] == images[:20, ..., :1]).all() and alone.image_shape == (16, 16, 1)


def test_prepared_before_it_is_cut(train):
    """Equalization sees the whole slice: its patches are cut from what it gives, and the fingerprint tells."""
    batches = PatchBatches(train, **FLAT, prepare="equalize_and_stretch")
    images = whole(train, 64, prepare="equalize_and_stretch")[0]
    positions = patch_positions((64, 64), (16, 16), (8, 8))
    assert (everything(batches)[0] == np.concatenate([cut_patches(one, positions, (16, 16)) for one in images])).all()
    assert batches.fingerprint != PatchBatches(train, **FLAT).fingerprint
    assert (everything(batches)[0] != everything(PatchBatches(train, **FLAT))[0]).any()


def test_whole_scans_are_prepared_too(slices):
    """A scan's slices go through the same preparation as those of `SliceBatches`."""
    how = {"image_size": 40, "prepare": "equalize_and_stretch"}
    images = np.concatenate([batch[0] for batch in ScanBatches(slices, target="mask", **how)])
    assert (images == whole(slices, 40, prepare="equalize_and_stretch")[0]).all()


def test_volumes_are_neighboring_slices(slices):
    """A patch of three sizes takes its slices from one scan, in order, whatever the order of the table."""
    shuffled = slices.sample(frac=1, random_state=0)
    images, masks = everything(PatchBatches(shuffled, **DEEP))
    expected = []
    for _, scan in shuffled.groupby("scan_id", sort=False):
        volumes = whole(scan.sort_values("slice_index"), 40)
        positions = patch_positions(volumes[0].shape[:3], DEEP["patch"], DEEP["stride"])
        expected.append([cut_patches(one, positions, DEEP["patch"]) for one in volumes])
    assert images.shape[1:] == (4, 16, 12, 1)
    assert (images == np.concatenate([one for one, _ in expected])).all()
    assert (masks == np.concatenate([one for _, one in expected])).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_scans_are_padded(train, count):
    """A scan of fewer slices than the patch has empty ones below and above, the odd one above."""
    batches = PatchBatches(train.head(count), **{**DEEP, "batch_size": 100})
    below = (4 - count) // 2
    rows = [-1] * below + list(range(count)) + [-1] * (4 - count - below)
    assert (batches.rows_of(0) == rows).all() and len(batches) == 1
    images = batches[0][0]
    assert not images[:, :below].any() and not images[:, below + count :].any() and images[:, below].any()


def test_patch_larger_than_the_image(train):
    """An image smaller than the patch stands in its middle, on 0."""
    images, masks = PatchBatches(train, patch=(20, 16), stride=(4, 16), image_size=16, batch_size=11)[0]
    assert images.shape == (11, 20, 16, 1)
    assert (images[:, 2:18] == whole(train, 16)[0]).all() and not images[:, [0, 1, 18, 19]].any()


def test_sampling_keeps_positives(train):
    """All patches with hemorrhage in each epoch, and as many others of each kind as asked for, drawn anew."""
    batches = PatchBatches(train, **FLAT, training=True, sampling=Sampling(0.5, 0.25), augmentation=NONE, seed=3)
    images, masks = everything(PatchBatches(train, **FLAT))
    blood, light = (one.reshape(len(one), -1).any(axis=1) for one in (masks, images))
    sick = np.repeat(blood.reshape(11, 49).any(axis=1), 49)
    kinds = np.select([blood, ~light, sick], KINDS[:1] + KINDS[3:] + KINDS[1:2], KINDS[2])
    found = [int((kinds == kind).sum()) for kind in KINDS]
    used = [found[0], min(found[1], round(found[0] / 2)), min(found[2], round(found[0] / 4)), 0]
    assert batches.counts.to_dict("list") == {"kind": list(KINDS), "found": found, "used": used} and min(found) > 0
    drawn = []
    for epoch in (0, 1):
        numbers = np.concatenate([batches.patches_of(index, epoch) for index in range(len(batches))])
        assert len(set(numbers)) == len(numbers) == sum(used)
        assert [int((kinds[numbers] == kind).sum()) for kind in KINDS] == used
        assert (everything(batches, epoch)[0] == images[numbers]).all()
        drawn.append(set(numbers))
    again = PatchBatches(train, **FLAT, training=True, sampling=Sampling(0.5, 0.25), augmentation=NONE, seed=3)
    assert (again.patches_of(0, 1) == batches.patches_of(0, 1)).all()
    assert drawn[0] != drawn[1] and drawn[0] & drawn[1] >= set(np.flatnonzero(blood))


def test_kinds_of_volumes(train):
    """A volume is positive with hemorrhage in any slice, a hard negative with hemorrhage elsewhere in one of them."""
    batches = PatchBatches(train, **DEEP, training=True, sampling=Sampling(1e5, 1e5))
    images, masks = everything(PatchBatches(train, **DEEP))
    rows = np.concatenate([PatchBatches(train, **DEEP).rows_of(index) for index in range(-(-len(images) // 7))])
    blood, light = (one.reshape(len(one), -1).any(axis=1) for one in (masks, images))
    sick = np.array([any(train["any"].iloc[one[one >= 0]]) for one in rows])
    expected = [blood.sum(), (sick & light & ~blood).sum(), (~sick & light).sum(), (~light & ~blood).sum()]
    counts = batches.counts
    assert counts["found"].tolist() == expected and counts["used"].tolist() == [*expected[:3], 0]
    assert sum(len(batches[index][0]) for index in range(len(batches))) == sum(expected[:3])


def test_augmentation_with_surroundings(train):
    """What is changed depends on the epoch and the patch; a turn brings in image, and slices change alike."""
    options = {**FLAT, "training": True, "seed": 2}
    batches, other = PatchBatches(train, **options), PatchBatches(train[::-1], **options, augmentation=STANDARD)
    one, two = everything(batches, 0), everything(batches, 1)
    assert not (one[0] == two[0]).all() and set(np.unique(one[1])) <= {0.0, 1.0}
    still = PatchBatches(train, **FLAT)
    number = 24  # in the middle of the first slice
    places = [
        int(np.flatnonzero(_order(batches, 0) == number)[0]),
        int(np.flatnonzero(_order(other, 0) == 490 + number)[0]),
    ]
    assert (one[0][places[0]] == everything(other, 0)[0][places[1]]).all()  # whatever the order of the table
    plain = everything(still)[0][number]
    assert (one[0][places[0]] > 0).mean() > 0.9 * (plain > 0).mean()


def test_volumes_change_alike(train, monkeypatch):
    """Each slice of a volume moves in the same way: equal slices stay equal."""
    batches = PatchBatches(train, **DEEP, training=True, augmentation=STANDARD)
    image, mask = batches._stored(int(np.flatnonzero(train["any"])[0]))
    monkeypatch.setattr(batches, "_stored", lambda row: (image, mask))
    images, masks = everything(batches)
    assert (images == images[:, :1]).all() and (masks == masks[:, :1]).all() and masks.any()


def _order(batches, epoch):
    return np.concatenate([batches.patches_of(index, epoch) for index in range(len(batches))])


def test_same_in_other_processes(train):
    """A pickle gives the same batches; with and without the cache they are equal."""
    options = {**DEEP, "training": True, "sampling": Sampling()}
    batches, read = (PatchBatches(train, **options, cache=cache) for cache in (True, False))
    sent = pickle.loads(pickle.dumps(batches))
    for one, two, three in zip(batches[1], sent[1], read[1], strict=True):
        assert (one == two).all() and (one == three).all()
    assert batches.fingerprint == sent.fingerprint == read.fingerprint


def test_fingerprint_knows_all(train):
    """Whatever patches depend on changes the fingerprint."""
    options = {**FLAT, "training": True, "sampling": Sampling()}
    changes = [
        {}, {"patch": (16, 8)}, {"stride": (8, 4)}, {"stride": (4, 4)}, {"sampling": None}, {"seed": 1},
        {"sampling": Sampling(0.5)}, {"augmentation": NONE}, {"patch": (1, 16, 16), "stride": (1, 8, 8)},
    ]  # fmt: skip
    found = {PatchBatches(train, **{**options, **one}).fingerprint for one in changes}
    assert len(found | {PatchBatches(train, **options).fingerprint}) == len(changes)


def test_fingerprint_knows_the_neighbors(train):
    """The same slices as one scan or as two make other volumes."""
    scan = train[train["scan_id"] == train["scan_id"].iloc[0]]
    first = np.where(scan["slice_index"] < scan["slice_index"].median(), "a", "b")
    cuts = [scan, scan.assign(scan_id=first)]
    assert len({PatchBatches(cut, **DEEP).fingerprint for cut in cuts}) == 2


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"patch": 16}, "patch is 16"),
        ({"patch": (16,)}, r"patch is \(16,\), but expected \(height, width\) or"),
        ({"stride": (17, 8)}, "the stride is 17 and the patch 16"),
        ({"target": "any"}, "target is 'any'"),
        ({"sampling": (1, 1)}, r"sampling is \(1, 1\)"),
        ({"sampling": Sampling(-1)}, "hard_negatives is -1"),
        ({"sampling": Sampling(), "training": False}, "sampling was given without training"),
        ({"sampling": Sampling(), "target": None}, "sampling without a target"),
        ({"class_weights": "balanced"}, "class_weights beside the target 'mask'"),
        ({"windows": ("brian",)}, "brian"),
    ],
)
def test_wrong_settings(train, changes, message):
    """Each wrong argument is named."""
    with pytest.raises(HemokitError, match=message):
        PatchBatches(train, **{**FLAT, "training": True, **changes})


def test_wrong_tables(train):
    """Copies, other splits, no hemorrhage to count by, and scans with gaps for volumes."""
    with pytest.raises(HemokitError, match="a table with copies of slices"):
        PatchBatches(balance(train.drop(train.index[train["any"] == 1][1:])), **FLAT, training=True)
    with pytest.raises(HemokitError, match="training rows only"):
        PatchBatches(train.assign(split="test"), **FLAT, training=True)
    with pytest.raises(HemokitError, match="no patch has hemorrhage, but expected at least one"):
        PatchBatches(train[train["any"] == 0], **FLAT, training=True, sampling=Sampling())
    with pytest.raises(HemokitError, match="has no slice behind place"):
        PatchBatches(train.drop(train.index[4]), **DEEP)
    PatchBatches(train.drop(train.index[4]), **FLAT)


def test_batch_beyond_the_end(train):
    """There is no batch after the last one; negative numbers count from the end."""
    batches = PatchBatches(train, **FLAT)
    with pytest.raises(IndexError):
        batches[len(batches)]
    assert (batches[-1][0] == batches[len(batches) - 1][0]).all()


def test_scans_are_batches(slices):
    """One scan a batch, in the order of the table; without training."""
    batches = ScanBatches(slices, target="mask", image_size=16)
    assert (
        len(batches) == 2 and [len(batches[index][0]) for index in (0, 1)] == slices.groupby("scan_id").size().tolist()
    )
    assert (np.concatenate([batches[0][0], batches[1][0]]) == whole(slices, 16)[0]).all()
    assert batches.whole_scans and not hasattr(SliceBatches, "whole_scans")
    with pytest.raises(IndexError):
        batches[2]
    with pytest.raises(HemokitError, match="a table whose scans are not in order"):
        ScanBatches(slices[::-1], target="mask", image_size=16)


def test_scans_by_hand(slices):
    """Rows by place in the scan; places twice, missing or unknown are refused."""
    rows = slices.iloc[[3, 1, 2, -1]]
    assert [one.tolist() for one in rows_of_scans(rows)] == [[1, 2, 0], [3]] and rows_of_scans(rows.head(0)) == []
    with pytest.raises(HemokitError, match="has two slices at place"):
        rows_of_scans(slices.iloc[[0, 1, 1]])
    with pytest.raises(HemokitError, match="has no slice behind place 0"):  # a gap, and only then a place twice
        rows_of_scans(slices.iloc[[0, 2, 2]])
    with pytest.raises(HemokitError, match="1 of 4 slices have no scan_id"):
        rows_of_scans(rows.assign(scan_id=["a", None, "a", "b"]))
