"""Cleaning masks, lesions, volumes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hemokit import masks as public
from hemokit.checks import HemokitError
from hemokit.masks import Lesion, abc2_ml, clean_masks, label_lesions, lesions, volume_ml
from hemokit.tables import Account, Drop

SQUARE = np.array([[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]])


def blot(pixels, shape=(8, 9)):
    """A mask with that many pixels, row by row from the top."""
    return (np.arange(shape[0] * shape[1]) < pixels).reshape(shape)


def table(labels, **columns):
    """A table of slices s0, s1, ... with these labels `any`."""
    ids = [f"s{number}" for number in range(len(labels))]
    return pd.DataFrame({"slice_id": ids, "any": labels, **columns})


def told(cleaned):
    """Reason -> slice ids."""
    return {drop.reason: list(drop.ids) for drop in cleaned.attrs["account"].drops}


def test_public_names():
    """The fixed names are all here, also those that live in other modules."""
    names = ["polygons_to_mask", "mask_to_polygons", "read_polygon_labels", "clean_masks", "lesions", "volume_ml"]
    assert set(names) <= set(public.__all__) and all(callable(getattr(public, name)) for name in names)


def test_clean_masks_says_why():
    """Every rule once, and the rows that stay in their order."""
    rows = table([1, 1, 1, 0, 0, 1, 0])
    given_masks = [blot(5), None, blot(0), blot(3), blot(0), blot(5, (7, 9)), None]
    cleaned = clean_masks(rows, given_masks, shape=(8, 9))
    assert cleaned["slice_id"].tolist() == ["s0", "s4", "s6"] and cleaned.index.tolist() == [0, 1, 2]
    assert told(cleaned) == {
        "no mask although labeled hemorrhage": ["s1"],
        "an empty mask although labeled hemorrhage": ["s2"],
        "a mask although labeled normal": ["s3"],
        "the mask is not 8x9": ["s5"],
    }
    assert cleaned.attrs["account"][:2] == (7, 3)


def test_clean_masks_by_size():
    """The limits themselves are kept; normal slices are not measured."""
    rows = table([1, 1, 1, 1, 0])
    cleaned = clean_masks(rows, [blot(8), blot(9), blot(36), blot(37), blot(0)], min_fraction=0.125, max_fraction=0.5)
    assert cleaned["slice_id"].tolist() == ["s1", "s2", "s4"]
    assert list(told(cleaned)) == [
        "the mask covers less than 0.125 of the image",
        "the mask covers more than 0.5 of the image",
    ]


def test_clean_masks_reads_row_by_row():
    """A function gets each row, except those that say hemorrhage and name no mask: these are dropped unread."""
    rows = table([1, 1, 0], mask_path=["a.png", None, None])
    cleaned = clean_masks(rows, lambda row: blot(4 if row["mask_path"] == "a.png" else 0))
    assert cleaned["slice_id"].tolist() == ["s0", "s2"]
    assert told(cleaned) == {"no mask although labeled hemorrhage": ["s1"]}


def test_clean_masks_overlapping_regions():
    """Two polygons that share a pixel; neighbors that only touch do not."""
    apart, over = SQUARE + (0.5, 0), SQUARE + (0.25, 0)
    rows = table([1, 1], polygons_xy=[[SQUARE, apart], [SQUARE, over]])

    def read_mask(row):
        return public.polygons_to_mask(row["polygons_xy"], (8, 8))

    assert len(clean_masks(rows, read_mask)) == 2
    assert told(clean_masks(rows, read_mask, overlapping="drop")) == {"regions overlap": ["s1"]}
    with pytest.raises(HemokitError, match="slice 's0' has no polygons_xy"):
        clean_masks(table([1]), [blot(3)], overlapping="drop")


def test_clean_masks_of_no_rows():
    """An empty table keeps its columns."""
    cleaned = clean_masks(table([]), [])
    assert list(cleaned) == ["slice_id", "any"] and len(cleaned) == 0 and cleaned.attrs["account"][:2] == (0, 0)


def test_clean_masks_continues_the_account():
    """Rows that a reader dropped before stay in the account."""
    rows = table([1, 1])
    rows.attrs["account"] = Account(5, 2, (Drop("blank", ("a", "b", "c")),), "slices", ("A note.",))
    account = clean_masks(rows, [blot(1), blot(0)]).attrs["account"]
    assert account.rows_in == 5 and account.rows_used == 1 and account.notes == ("A note.",)
    assert [len(drop.ids) for drop in account.drops] == [3, 1]


@pytest.mark.parametrize(
    "masks, options, sentence",
    [
        ([blot(1)] * 2, {}, "2 masks for 1 rows"),
        ([blot(1) * 255], {}, "the mask of slice 's0' holds the value 255"),
        ([blot(1)], {"min_fraction": 0.5, "max_fraction": 0.1}, "min_fraction is 0.5"),
        ([blot(1)], {"max_fraction": 50}, "max_fraction 50"),
        ([blot(1)], {"overlapping": "merge"}, "overlapping is 'merge'"),
    ],
)
def test_clean_masks_refuses(masks, options, sentence):
    """Masks that are none, and settings that make no sense."""
    with pytest.raises(HemokitError, match=sentence):
        clean_masks(table([1]), masks, **options)


def test_lesions_by_hand():
    """Largest first; corners connect; the box and the centroid in pixels."""
    mask = np.array(
        [
            [1, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 1, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, 0],
            [0, 1, 1, 0, 0, 0, 0],
        ]
    )
    first, second, third = lesions(mask)
    assert first == Lesion(1, 3, ((1, 3), (3, 6)), (5 / 3, 4.0))
    assert second == Lesion(2, 2, ((3, 4), (1, 3)), (3.0, 1.5))
    assert third == Lesion(3, 1, ((0, 1), (0, 1)), (0.0, 0.0))
    assert label_lesions(mask)[3].tolist() == [0, 2, 2, 0, 0, 0, 0] and label_lesions(mask).dtype == np.int32


def test_lesions_in_a_volume():
    """Voxels of neighboring slices that meet in a corner are one lesion; equal sizes keep the order of voxels."""
    volume = np.zeros((7, 8, 9), bool)
    volume[0, 0, 0] = volume[1, 1, 1] = True
    volume[5, 5, 5:7] = True
    one, other = lesions(volume)
    assert one.box == ((0, 2), (0, 2), (0, 2)) and one.num_pixels == other.num_pixels == 2


@settings(max_examples=100, deadline=None)
@given(arrays(bool, (4, 7), elements=st.booleans()))
def test_lesions_share_out_the_mask(mask):
    """Sizes fall and sum to the mask; labels count each lesion; no two lesions are neighbors."""
    found, labels = lesions(mask), label_lesions(mask)
    sizes = [lesion.num_pixels for lesion in found]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == mask.sum()
    assert [int((labels == lesion.label).sum()) for lesion in found] == sizes
    for shifted, here in (
        (labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]),
        (labels[1:, 1:], labels[:-1, :-1]), (labels[1:, :-1], labels[:-1, 1:]),
    ):  # fmt: skip
        both = (shifted > 0) & (here > 0)
        assert (shifted[both] == here[both]).all()


def test_lesions_of_nothing():
    """An empty mask has no lesion."""
    assert lesions(np.zeros((7, 8))) == [] and lesions(np.zeros((7, 8, 9), bool)) == []
    assert lesions(np.zeros((0, 8))) == [] and label_lesions(np.zeros((7, 0, 9))).shape == (7, 0, 9)


def test_volume():
    """100 pixels of 5 x 0.5 x 0.4 mm are 0.1 ml; an empty mask is 0."""
    volume = np.zeros((7, 8, 9), bool)
    volume[:2, :5, :] = True
    volume[2, :1, :] = volume[2, 1, 0] = True
    assert volume.sum() == 100
    assert volume_ml(volume, (5, 0.5, 0.4)) == pytest.approx(0.1, rel=1e-12)
    assert volume_ml(np.zeros((7, 8)), (5, 0.5, 0.5)) == 0.0


@pytest.mark.parametrize(
    "spacing", [None, (5, 0.5), (5, 0.5, float("nan")), (5, 0, 0.5), (5, -1, 0.5), 5, "abc", (5, None, 1)]
)
def test_volume_needs_a_known_spacing(spacing):
    """No spacing, no volume."""
    with pytest.raises(HemokitError, match="spacing_mm is .*Without known spacing there is no volume"):
        volume_ml(np.zeros((7, 8, 9)), spacing)


def test_abc2_of_boxes():
    """A box of 3 x 4 mm on three slices: A is the diagonal 5, B the longest chord across it 3.75, C 3 x 2 mm."""
    volume = np.zeros((7, 8, 9), bool)
    volume[1:4, 2:5, 3:7] = True
    assert abc2_ml(volume, (2, 1, 1)) == pytest.approx(5 * 3.75 * 6 / 2000)
    assert abc2_ml(volume[1], (2, 1, 1)) == pytest.approx(5 * 3.75 * 2 / 2000)
    assert abc2_ml(volume.swapaxes(1, 2), (2, 1, 1)) == pytest.approx(5 * 3.75 * 6 / 2000)
    assert abc2_ml(volume, (2, 4 / 3, 1)) == pytest.approx(32**0.5 * 32**0.5 * 6 / 2000)  # 4 x 4 mm
    assert abc2_ml(np.ones((1, 1)), (1, 1, 1)) == pytest.approx(2**0.5 * 2**0.5 / 2000)
    assert abc2_ml(np.zeros((7, 8, 9)), (1, 1, 1)) == 0.0


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_abc2_of_ellipsoids(degrees):
    """Turned in any direction, an ellipsoid gets 6/pi/2 = 0.955 of its volume, to the size of the pixels."""
    z, y, x = np.mgrid[-16:17, -45:46, -45:46]
    turn = np.deg2rad(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    ellipsoid = (z / 15) ** 2 + (across / 20) ** 2 + (along / 40) ** 2 <= 1
    ratio = abc2_ml(ellipsoid, (1, 0.5, 0.5)) / volume_ml(ellipsoid, (1, 0.5, 0.5))
    assert ratio == pytest.approx(3 / np.pi * 31 / 30, rel=0.05)
    stretched = abc2_ml(ellipsoid, (3, 0.5, 0.5)) / volume_ml(ellipsoid, (3, 0.5, 0.5))
    assert stretched == pytest.approx(ratio)


def test_abc2_weighted_slices():
    """Kothari's rule: 8 of 8 pixels count one, 6 (75 %) and 2 (25 %) a half, 1 nothing."""
    volume = np.zeros((4, 2, 4), bool)
    for plane, number in zip(volume, (8, 6, 2, 1), strict=True):
        plane.reshape(-1)[:number] = True
    one = abc2_ml(volume[0], (1, 1, 1))
    assert abc2_ml(volume, (1, 1, 1), weighted=True) == pytest.approx(2 * one)
    assert abc2_ml(volume, (1, 1, 1)) == pytest.approx(4 * one)


def test_abc2_of_several_lesions():
    """Lesions are measured one by one, not from one to the other."""
    volume = np.zeros((7, 8, 9), bool)
    volume[1, 1:3, 1:3] = volume[5, 5:8, 6:8] = True
    single = [abc2_ml(np.where(np.arange(7)[:, None, None] == place, volume, 0), (1, 1, 1)) for place in (1, 5)]
    assert abc2_ml(volume, (1, 1, 1)) == pytest.approx(sum(single))
    with pytest.raises(HemokitError, match="spacing_mm is None"):
        abc2_ml(volume, None)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (7, 8), elements=st.booleans()))
def test_abc2_diameters_equal_brute_force(mask):
    """A is the largest distance of two corners, and B at most A and at least the breadth of a pixel."""
    if not mask.any():
        return
    corners = np.array([[r + i, c + j] for r, c in np.argwhere(mask) for i in (0, 1) for j in (0, 1)], float)
    longest = max(np.linalg.norm(corners - one, axis=1).max() for one in corners)
    a, b = public._diameters(mask, np.ones(2))
    assert a == pytest.approx(longest) and 1 - 1e-9 <= b <= a + 1e-9


@pytest.mark.parametrize("shape", [(7,), (1, 7, 8, 9)])
def test_masks_have_two_or_three_axes(shape):
    """A channel axis or a batch is refused."""
    with pytest.raises(HemokitError, match="the mask has shape"):
        lesions(np.zeros(shape))
    with pytest.raises(HemokitError, match="the mask has shape"):
        volume_ml(np.zeros(shape), (1, 1, 1))
