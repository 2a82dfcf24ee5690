"""Patches of images and volumes: where they lie on a grid, how they are cut, and how they become a whole again.

    positions = patch_positions((512, 512), (128, 128), (64, 64))  # 49 starts, row by row
    patches = cut_patches(image, positions, (128, 128))  # (49, 128, 128, ...)
    image = stitch(patches, positions, (512, 512))  # the weighted mean wherever patches overlap

An axis is covered to its last pixel: where stride and size do not fit, the last patch is shifted back to the edge. An
axis shorter than the patch gets one patch that begins before the image: half of what is missing is added before it and
half behind (the odd one behind), and what lies outside of an image is 0. So a scan of fewer slices than the patch has
gets empty slices below and above. All is in pixels and slices; nothing is resampled, whatever the spacing.

NumPy alone: the function that predicts a batch of patches may come from any framework.
"""

import itertools
import math
from functools import reduce

import numpy as np

from hemokit.checks import check_choice, check_whole, problem

WEIGHTS = ("gaussian", "triangular", "uniform")
SIGMA = 1 / 8  # of the Gaussian, in parts of the patch (Isensee et al. 2021, nnU-Net, doi:10.1038/s41592-020-01008-z)
LEAST = 1e-3  # no pixel weighs less, so that corners which one patch alone covers are divided by no zero


def patch_positions(shape, patch, stride):
    """The starts of the patches that cover an image of any number of axes.

    Args:
        shape: sizes of the image, (height, width) or (slices, height, width), each at least 1.
        patch: sizes of a patch, one an axis.
        stride: steps from one patch to the next, one an axis, from 1 to the size of the patch.

    Returns:
        int array (patches, axes), in the order of rows (the last axis runs fastest). A start is negative where the
        image is shorter than the patch.

    Raises:
        HemokitError: sizes that are no positive whole numbers, of another number of axes, a stride that leaves gaps.
    """
    shape = _sizes(shape, "shape")
    patch, stride = _sizes(patch, "patch", len(shape)), _sizes(stride, "stride", len(shape))
    for step, size in zip(stride, patch, strict=True):
        if step > size:
            came = f"the stride is {step} and the patch {size}"
            raise problem(came, "a stride of at most the patch", "A larger one leaves pixels that no patch covers.")
    starts = [_starts(*one) for one in zip(shape, patch, stride, strict=True)]
    return np.array(list(itertools.product(*starts)), int)


def patch_weights(patch, kind="gaussian"):
    """How much each pixel of a patch weighs where patches overlap.

    The middle of a patch is predicted with more context than its rim, so it counts more.

    Args:
        patch: sizes of a patch.
        kind: "gaussian": of a standard deviation of an eighth of the patch, at least 0.001; "triangular": falling in
            straight lines from the middle to what would be 0 half a pixel outside; "uniform": 1.

    Returns:
        float32 array of the patch's sizes, all above 0.
    """
    check_choice(kind, WEIGHTS, "weights")
    axes = [_axis_weights(size, kind) for size in _sizes(patch, "patch")]
    return np.maximum(reduce(np.multiply.outer, axes), LEAST).astype(np.float32)


def cut_patch(array, start, patch):
    """One patch of an image: (*patch, ...) of its type; what lies outside of the image is 0.

    Args:
        array: (*sizes, ...), of any type, with at least as many axes as the patch; a file mapped into memory will do.
        start: of each axis, also negative, or so large that the patch ends behind the image.
        patch: sizes.
    """
    inside, within = _overlap(start, patch, array.shape)
    cut = np.zeros((*patch, *array.shape[len(patch) :]), array.dtype)
    cut[within] = array[inside]
    return cut


def cut_patches(array, positions, patch):
    """The patches of an image at `positions`: (patches, *patch, ...); an empty array for no positions."""
    patch = _sizes(patch, "patch")
    cuts = [cut_patch(array, start, patch) for start in positions]
    return np.stack(cuts) if cuts else np.zeros((0, *patch, *array.shape[len(patch) :]), array.dtype)


def stitch(patches, positions, shape, *, weights="gaussian"):
    """Put patches back together: at each pixel the weighted mean of the patches that cover it.

    Args:
        patches: numbers, (patches, *patch, ...); what comes behind the axes of the patch is stitched alike.
        positions: int (patches, axes), as of `patch_positions`.
        shape: sizes of the image; what patches hold outside of it is left out.
        weights: as `patch_weights`, or an array of the patch's sizes, all above 0.

    Returns:
        float32 (*shape, ...).

    Raises:
        HemokitError: patches and positions that do not fit, weights that are not above 0, a pixel without a patch.
    """
    shape, patches, positions = _sizes(shape, "shape"), np.asarray(patches), np.asarray(positions)
    if positions.shape != (*patches.shape[:1], len(shape)) or patches.ndim <= len(shape):
        came = f"patches of shape {patches.shape} at positions of shape {positions.shape}"
        raise problem(came, f"one start of {len(shape)} numbers for each patch", "Cut and stitch at the same ones.")
    weights = _weights(weights, patches.shape[1 : 1 + len(shape)])
    total, weight = _empty_sums(shape, patches.shape[1 + len(shape) :])
    for values, start in zip(patches, positions, strict=True):
        _add(total, weight, values, start, weights)
    if not weight.all():
        came = f"{int((weight == 0).sum())} of {weight.size} pixels lie in no patch"
        raise problem(came, "patches that cover the image", "Take the positions of patch_positions.")
    return _mean(total, weight)


def sliding_window(function, volume, **options):
    """Predict a volume patch by patch, in batches, and stitch what comes: see `stitched_planes`.

    Returns:
        float32 (slices, height, width, outputs).
    """
    result = None
    for first, planes in stitched_planes(function, volume, **options):
        if result is None:
            result = np.empty((*volume.shape[:3], planes.shape[-1]), np.float32)
        result[first : first + len(planes)] = planes
    return result


def stitched_planes(function, volume, *, patch, stride=None, batch_size=8, weights="gaussian"):
    """Predict a volume patch by patch and give its slices as soon as no later patch touches them.

    So there is never more in memory than the sums of as many slices as a patch has, and one batch: at most
    `memory_bound` bytes, however many slices there are. With a patch of two sizes each slice is predicted by itself,
    and a batch goes on from one slice to the next.

    Args:
        function: batch float32 (patches, *patch, channels) -> array (patches, *patch, outputs).
        volume: (slices, height, width, channels), at least one slice; a file mapped into memory will do.
        patch: (height, width), or (slices, height, width), in pixels.
        stride: one step an axis of the patch; None is half of the patch.
        batch_size: patches a call of the function; the last batch may be smaller.
        weights: as `stitch`.

    Yields:
        (number of the first slice, float32 (slices, height, width, outputs)), from the first slice to the last.

    Raises:
        HemokitError: another shape of the volume; as `patch_positions`; outputs of another shape.
    """
    check_volume(volume)
    patch, stride, flat = window_of(patch, stride)
    batch_size = check_whole(batch_size, "batch_size", 1)
    weights = _weights(np.asarray(weights)[np.newaxis] if flat and not isinstance(weights, str) else weights, patch)
    positions = patch_positions(volume.shape[:3], patch, stride)
    depth, base, total = min(patch[0], len(volume)), 0, None
    for start, values in _predicted(function, volume, positions, patch, batch_size, flat):
        if total is None:
            total, weight = _empty_sums((depth, *volume.shape[1:3]), values.shape[3:])
        if start[0] > base:
            yield base, _mean(total[: start[0] - base], weight[: start[0] - base])
            _move_up(total, start[0] - base)
            _move_up(weight, start[0] - base)
            base = start[0]
        _add(total, weight, values, start - (base, 0, 0), weights)
    yield base, _mean(total[: len(volume) - base], weight[: len(volume) - base])


def window_of(patch, stride=None):
    """The sizes of a patch and its stride as three numbers each, and whether it was one of a single slice.

    Args:
        patch: (height, width), or (slices, height, width).
        stride: one step an axis; None is half of the patch.

    Returns:
        ((slices, height, width), the stride alike, bool): a patch of two sizes is one of one slice.
    """
    patch = _sizes(patch, "patch")
    if len(patch) not in (2, 3):
        raise problem(f"patch is {patch}", "(height, width) or (slices, height, width)", "Give two or three sizes.")
    stride = tuple(max(1, size // 2) for size in patch) if stride is None else _sizes(stride, "stride", len(patch))
    flat = len(patch) == 2
    return ((1, *patch), (1, *stride), True) if flat else (patch, stride, False)


def memory_bound(shape, patch, *, batch_size=8, outputs=1):
    """The bytes that `sliding_window` needs at most beside the volume and the model, its result included.

    Args:
        shape: (slices, height, width, channels) of the volume; patch: as `stitched_planes`.
        batch_size, outputs: patches a batch, channels of the prediction.

    Returns:
        int: 4 for each value of the result, then 12 for each value and 8 for each pixel of as many slices as a patch
        has (sums, weights, their quotient), then 32 for each value of a batch in and out.
    """
    patch = (1,) * (3 - len(patch)) + tuple(patch)
    plane, batch = shape[1] * shape[2], batch_size * math.prod(patch)
    sums = min(patch[0], shape[0]) * plane * (12 * outputs + 8)
    return 4 * shape[0] * plane * outputs + sums + 32 * batch * (shape[3] + outputs)


def _predicted(function, volume, positions, patch, batch_size, flat):
    """Each start with its predicted patch (*patch, outputs), computed batch by batch."""
    for first in range(0, len(positions), batch_size):
        starts = positions[first : first + batch_size]
        batch = np.stack([cut_patch(volume, start, patch) for start in starts]).astype(np.float32, copy=False)
        values = np.asarray(function(batch[:, 0] if flat else batch))
        expected = (len(starts), *patch[flat:])
        if values.shape[:-1] != expected:
            came = f"the model gives values of the shape {values.shape} for {len(starts)} patches"
            remedy = "Predict with a model whose output has the size of its input."
            raise problem(came, f"({', '.join(map(str, expected))}, outputs)", remedy)
        yield from zip(starts, values[:, None] if flat else values, strict=True)


def check_volume(volume):
    """HemokitError unless an array is (slices, height, width, channels) and not empty."""
    shape = getattr(volume, "shape", ())
    if len(shape) != 4 or not all(shape):
        came = f"a volume of the shape {tuple(shape)}"
        remedy = "One image is image[np.newaxis]; one channel is volume[..., np.newaxis]."
        raise problem(came, "(slices, height, width, channels), none of them 0", remedy)


def _starts(size, patch, stride):
    """The starts along one axis."""
    if size < patch:
        return [-((patch - size) // 2)]
    return [*range(0, size - patch, stride), size - patch]


def _axis_weights(size, kind):
    place = np.arange(size) - (size - 1) / 2
    if kind == "gaussian":
        return np.exp(-(place**2) / (2 * (SIGMA * size) ** 2))
    return np.ones(size) if kind == "uniform" else 1 - np.abs(place) / ((size + 1) / 2)


def _weights(weights, patch):
    """Weights of a kind or of the user's own as an array, checked."""
    if isinstance(weights, str):
        return patch_weights(patch, weights)
    weights = np.asarray(weights)
    if weights.shape != tuple(patch) or weights.dtype.kind not in "iuf" or not np.isfinite(weights).all():
        came = f"weights of the shape {weights.shape} and the type {weights.dtype}"
        raise problem(came, f"finite numbers of the shape {tuple(patch)}", "Or name one of gaussian, triangular.")
    if not (weights > 0).all():
        remedy = "A pixel that one patch alone covers would be divided by zero: use a small number."
        raise problem(f"a weight of {weights.min():g}", "weights above 0", remedy)
    return weights


def _overlap(start, patch, shape):
    """Which part of an image a patch covers, and which part of the patch that is: two tuples of slices."""
    pairs = [(max(0, at), min(at + size, end)) for at, size, end in zip(start, patch, shape, strict=False)]
    inside = tuple(slice(first, max(first, last)) for first, last in pairs)
    return inside, tuple(slice(one.start - at, one.stop - at) for one, at in zip(inside, start, strict=True))


def _empty_sums(shape, outputs):
    """Sums of weighted values and of weights. In float64, so that hundreds of patches add up without a trace."""
    return np.zeros((*shape, *outputs)), np.zeros(shape)


def _add(total, weight, values, start, weights):
    inside, within = _overlap(start, weights.shape, weight.shape)
    part = weights[within]
    total[inside] += values[within] * part.reshape(*part.shape, *(1,) * (total.ndim - weight.ndim))
    weight[inside] += part


def _mean(total, weight):
    mean = np.empty(total.shape, np.float32)
    np.divide(total, weight.reshape(*weight.shape, *(1,) * (total.ndim - weight.ndim)), out=mean, casting="same_kind")
    return mean


def _move_up(sums, count):
    """Forget the first `count` planes; new ones of 0 come behind the others."""
    for place in range(len(sums)):  # plane by plane: no second copy of all
        sums[place] = sums[place + count] if place + count < len(sums) else 0


def _sizes(values, name, axes=None):
    """Positive whole numbers as a tuple, as many as there are axes."""
    given = tuple(values) if isinstance(values, tuple | list) else ()
    if not given or len(given) != (axes or len(given)):
        raise problem(f"{name} is {values!r}", f"{axes or 'one or more'} whole numbers", "Give one for each axis.")
    return tuple(check_whole(value, name, 1) for value in given)
