"""Patches cover an image, and come back as the image that they were cut from."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.patches import (
    WEIGHTS,
    cut_patch,
    cut_patches,
    memory_bound,
    patch_positions,
    patch_weights,
    sliding_window,
    stitch,
    stitched_planes,
    window_of,
)  # fmt: skip


@st.composite
def grids(draw, axes=(1, 2, 3)):
    """Shape, patch and stride of a few axes, patches also larger than the image."""
    count = draw(st.sampled_from(axes))
    shape, patch = (tuple(draw(st.integers(1, 12)) for _ in range(count)) for _ in range(2))
    return shape, patch, tuple(draw(st.integers(1, size)) for size in patch)


def test_crops_of_the_paper():
    """128x128 at stride 64 of 512x512: 49, whose corners are the multiples of 64 up to 384."""
    positions = patch_positions((512, 512), (128, 128), (64, 64))
    assert [tuple(one) for one in positions] == list(itertools.product(range(0, 385, 64), repeat=2))
    assert len(positions) == 49


def test_edges_by_hand():
    """The last patch is shifted to the edge; a short axis gets one patch that begins before it."""
    assert patch_positions((9,), (4,), (3,)).ravel().tolist() == [0, 3, 5]
    assert patch_positions((8,), (4,), (4,)).ravel().tolist() == [0, 4]
    assert patch_positions((7, 1), (8, 4), (4, 2)).tolist() == [[0, -1]]
    row = cut_patch(np.arange(1, 3), (-1,), (5,))
    assert row.tolist() == [0, 1, 2, 0, 0] and row.dtype == np.arange(1).dtype
    assert (cut_patch(np.ones((3, 3)), (5, -9), (2, 2)) == 0).all()


@given(grids())
def test_every_pixel_is_covered(grid):
    """Each pixel lies in a patch, no patch stands twice, and none goes further out than its padding."""
    shape, patch, stride = grid
    positions = patch_positions(shape, patch, stride)
    seen = np.zeros(shape, bool)
    for start in positions:
        inside = tuple(slice(max(at, 0), at + size) for at, size in zip(start, patch, strict=True))
        seen[inside] = True
    assert seen.all() and len({tuple(one) for one in positions}) == len(positions)
    room = np.maximum(np.subtract(patch, shape), 0)
    assert (positions >= -(room // 2)).all() and (positions + patch <= np.add(shape, room - room // 2)).all()


@given(grids(), st.integers(0, 2**32), st.sampled_from([*WEIGHTS, None]), st.sampled_from([(), (2,)]))
def test_stitching_gives_the_array_back(grid, seed, weights, outputs):
    """Cut and stitched with any weights, an array is itself, to 1e-6 of its largest value."""
    shape, patch, stride = grid
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(*shape, *outputs)) * 10 ** rng.uniform(-3, 3)
    weights = rng.uniform(1e-3, 1, patch) if weights is None else weights
    positions = patch_positions(shape, patch, stride)
    again = stitch(cut_patches(array, positions, patch), positions, shape, weights=weights)
    assert again.dtype == np.float32 and again.shape == array.shape
    assert np.abs(again - array).max() <= 1e-6 * np.abs(array).max()


@settings(max_examples=50)
@given(grids((3,)), st.booleans(), st.integers(1, 5), st.sampled_from(WEIGHTS))
def test_sliding_window_is_stitching(grid, flat, batch_size, weights):
    """The streamed prediction is that of all patches at once, slice by slice or in three axes."""
    shape, patch, stride = grid
    volume = np.random.default_rng(0).random((*shape, 2), np.float32)

    def function(batch):  # it says where in the patch a pixel lies, so that the weights tell
        assert len(batch) <= batch_size and batch.dtype == np.float32
        place = np.indices(batch.shape[1:-1]).sum(axis=0)
        return np.stack([batch[..., 0] + place, batch[..., 1] * place, batch.max(axis=-1)], axis=-1)

    how = {"batch_size": batch_size, "weights": weights}
    if flat:
        found = sliding_window(function, volume, patch=patch[1:], stride=stride[1:], **how)
        parts = [(image, patch[1:], stride[1:]) for image in volume]
    else:
        found = sliding_window(function, volume, patch=patch, stride=stride, **how)
        parts = [(volume, patch, stride)]
    expected = []
    for part, size, steps in parts:
        positions = patch_positions(part.shape[:-1], size, steps)
        cuts = cut_patches(part, positions, size)
        values = np.concatenate([function(cuts[one : one + 1]) for one in range(len(cuts))])
        expected.append(stitch(values, positions, part.shape[:-1], weights=weights))
    np.testing.assert_allclose(found, np.stack(expected) if flat else expected[0], rtol=1e-6, atol=1e-6)


def test_slices_come_when_they_are_done():
    """Each slice is given once, in order, as soon as no later patch touches it; the identity is the volume."""
    volume = np.random.default_rng(0).random((9, 7, 8, 1), np.float32)
    asked = []

    def function(batch):
        asked.append(len(batch))
        return batch

    parts = stitched_planes(function, volume, patch=(4, 4, 4), stride=(3, 2, 2), batch_size=9)
    first, planes = next(parts)
    assert first == 0 and len(planes) == 3 and sum(asked) < len(patch_positions((9, 7, 8), (4, 4, 4), (3, 2, 2)))
    rest = list(parts)
    assert [one for one, _ in rest] == [3, 5] and sum(len(one) for _, one in rest) == 6
    np.testing.assert_allclose(np.concatenate([planes, *(one for _, one in rest)]), volume, atol=1e-6)


@pytest.mark.parametrize("patch", [(4, 5), (4, 4, 5)])
def test_volume_on_disk(tmp_path, patch):
    """A file mapped into memory, of another type, is predicted as the same numbers in memory."""
    volume = np.random.default_rng(0).integers(0, 9, (7, 8, 9, 1)).astype(np.uint16)
    np.save(tmp_path / "volume.npy", volume)
    found = sliding_window(lambda batch: batch, np.load(tmp_path / "volume.npy", mmap_mode="r"), patch=patch)
    np.testing.assert_allclose(found, volume, atol=1e-5)


def test_weights_by_hand():
    """Triangles fall to 0 half a pixel outside; a Gaussian has an eighth of the patch, and a floor."""
    assert patch_weights((4,), "triangular").tolist() == pytest.approx([0.4, 0.8, 0.8, 0.4])
    assert (patch_weights((3, 5), "uniform") == 1).all()
    gaussian = patch_weights((16, 16))
    row = np.exp(-((np.arange(16) - 7.5) ** 2) / 8)
    assert gaussian[8] == pytest.approx(np.maximum(row * row[8], 1e-3)) and gaussian[0, 0] == np.float32(1e-3)
    assert patch_weights((1, 16)).shape == (1, 16) and patch_weights((1,)).tolist() == [1]


def test_mean_by_hand():
    """Two patches that overlap in one pixel: its value is the mean by their weights there."""
    positions, weights = patch_positions((3,), (2,), (1,)), np.array([1.0, 3.0])
    assert stitch([[2, 2], [6, 6]], positions, (3,), weights=weights).tolist() == [2, (3 * 2 + 6) / 4, 6]


@pytest.mark.parametrize("patch, outputs", [((4, 5), 1), ((4, 4, 5), 3)])
def test_memory_bound_counts(patch, outputs):
    """The bound is the sum that its docstring tells."""
    depth, area, values = (1, 20, 20) if len(patch) == 2 else (4, 20, 80)
    expected = 4 * 9 * 56 * outputs + depth * 56 * (12 * outputs + 8) + 32 * 6 * values * (2 + outputs)
    assert area == 20 and memory_bound((9, 7, 8, 2), patch, batch_size=6, outputs=outputs) == expected


def test_window():
    """Two sizes are a patch of one slice; without a stride it is half of the patch, at least 1."""
    assert window_of((5, 4)) == ((1, 5, 4), (1, 2, 2), True)
    assert window_of((1, 5, 4), (1, 5, 1)) == ((1, 5, 4), (1, 5, 1), False)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: patch_positions((0, 9), (4, 4), (2, 2)), "shape is 0"),
        (lambda: patch_positions((9, 9), (4,), (2, 2)), r"patch is \(4,\), but expected 2 whole numbers"),
        (lambda: patch_positions((9, 9), (4, 4.0), (2, 2)), "patch is 4.0"),
        (lambda: patch_positions((9, 9), (4, 4), (2, 5)), "the stride is 5 and the patch 4"),
        (lambda: patch_positions((9, 9), (4, 4), 2), "stride is 2"),
        (lambda: patch_weights((4, 4), "hann"), "weights is 'hann'"),
        (lambda: stitch(np.zeros((2, 4)), [[0], [4]], (9,)), "1 of 9 pixels lie in no patch"),
        (lambda: stitch(np.zeros((2, 4)), [[0]], (9,)), r"patches of shape \(2, 4\) at positions of shape \(1, 1\)"),
        (lambda: stitch(np.zeros((1, 4)), [[0, 0]], (4, 4)), "one start of 2 numbers"),
        (lambda: stitch(np.zeros((1, 4)), [[0]], (4,), weights=np.arange(4)), "a weight of 0"),
        (lambda: stitch(np.zeros((1, 4)), [[0]], (4,), weights=np.ones(3)), r"weights of the shape \(3,\)"),
        (lambda: sliding_window(np.copy, np.zeros((7, 8, 9)), patch=(4, 4)), r"a volume of the shape \(7, 8, 9\)"),
        (lambda: sliding_window(np.copy, np.zeros((0, 8, 9, 1)), patch=(4, 4)), "none of them 0"),
        (lambda: sliding_window(np.copy, np.zeros((7, 8, 9, 1)), patch=(4,)), r"patch is \(4,\)"),
        (lambda: sliding_window(np.copy, np.zeros((7, 8, 9, 1)), patch=(4, 4), batch_size=0), "batch_size is 0"),
        (
            lambda: sliding_window(lambda batch: batch[:, ::2], np.zeros((1, 8, 8, 1)), patch=(4, 4)),
            r"the model gives values of the shape \(8, 2, 4, 1\) for 8 patches, but expected \(8, 4, 4, outputs\)",
        ),
    ],
)
def test_refusals(call, message):
    """Wrong sizes, gaps, weights and outputs are named."""
    with pytest.raises(HemokitError, match=message):
        call()


@pytest.mark.parametrize(
    "shape, patch, overlap", [((1, 1, 65, 90), (32, 48), 0.5), ((1, 1, 9, 40, 33), (4, 16, 40), 0.25)]
)
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_agrees_with_monai(shape, patch, overlap, mode):
    """MONAI's sliding window gives the same, to 1e-5: also where the image is shorter than the patch."""
    pytest.importorskip("monai", reason="MONAI is not installed")
    import torch
    from monai.inferers import sliding_window_inference

    volume = np.random.default_rng(0).random(shape, np.float32)
    place = np.indices(patch).sum(axis=0).astype(np.float32)  # what it says depends on the place in the patch
    expected = sliding_window_inference(
        torch.from_numpy(volume), patch, 4, lambda batch: torch.tanh(batch * torch.from_numpy(place)), overlap, mode
    )
    stride = [int(size * (1 - overlap)) for size in patch]
    ours = np.moveaxis(volume, 1, -1) if len(patch) == 2 else np.moveaxis(volume, 1, -1)[0]
    found = sliding_window(
        lambda batch: np.tanh(batch * place[..., None]), ours, patch=patch, stride=stride, batch_size=4,
        weights={"gaussian": "gaussian", "constant": "uniform"}[mode],
    )  # fmt: skip
    expected = np.moveaxis(expected.numpy(), 1, -1)
    np.testing.assert_allclose(found, expected if len(patch) == 2 else expected[0], atol=1e-5)
