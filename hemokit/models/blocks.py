"""What the segmentation networks here are made of, for images and volumes alike: the rank comes from the tensor."""

import math

import keras

from hemokit.checks import problem
from hemokit.models.shapes import are_counts

PRIOR = 0.02  # what an untrained model gives every pixel: about the share of blood in a slice that has some
# The papers do not say how weights start. With Keras' own way (Glorot's) the signal halves at each ReLU; without
# normalization little of it is left after 18 convolutions, and the first epochs go by before anything is learned.
INITIALIZER = "he_normal"  # He et al. 2015, Delving Deep into Rectifiers
MOMENTUM = 0.9  # of the running statistics of batch_norm: Keras' 0.99 lags behind in runs of a few hundred steps

AXES = {3: ("height", "width"), 4: ("slice count", "height", "width")}


def layer(kind, x):
    """The Keras layer class of this kind for the rank of `x`: Conv2D for images, Conv3D for volumes."""
    return getattr(keras.layers, f"{kind}{len(x.shape) - 2}D")


def block(x, filters, name, batch_norm, *, width=3, steps=(1, 2)):
    """Convolution, normalization (if asked for) and ReLU, once for each step: twice unless told otherwise."""
    for step in steps:
        convolution = layer("Conv", x)(
            filters, width, padding="same", kernel_initializer=INITIALIZER, name=f"{name}_conv{step}"
        )
        x = convolution(x)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm{step}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{step}")(x)
    return x


def enlarge(x, filters, pool, name):
    """A transposed convolution that undoes a pooling: each cell becomes the cells that it was pooled from.

    Its weights start so that the signal keeps its size: each new cell is a sum over the channels of one old cell.
    """
    start = keras.initializers.VarianceScaling(math.prod(pool), "fan_out")  # its fan_out is channels * cells
    transposed = getattr(keras.layers, f"Conv{len(pool)}DTranspose")
    return transposed(filters, pool, strides=pool, kernel_initializer=start, name=name)(x)


def crop_to(x, input_shape, number=""):
    """The map of a filled image, (batch, rows, columns, channels), without what was filled below and at the right."""
    extra = [
        have - want for have, want in zip(x.shape[1:-1], input_shape[:-1], strict=True) if None not in (have, want)
    ]
    if not any(extra):
        return x
    return keras.layers.Cropping2D(tuple((0, size) for size in extra), name=f"cropped{number}")(x)


def mask_of(x, num_outputs, number=""):
    """The two last layers: `logits`, a 1-wide convolution in float32 that starts at `PRIOR`, and their sigmoid."""
    bias = keras.initializers.Constant(math.log(PRIOR / (1 - PRIOR)))
    x = layer("Conv", x)(num_outputs, 1, bias_initializer=bias, dtype="float32", name=f"logits{number}")(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name=f"probability{number}")(x)


def pool_sizes(rank, depth, halve_slices=None):
    """How much each level shrinks each axis on the way down: `depth` tuples of `rank` factors, 2 or 1.

    Args:
        rank: 2 for images, 3 for volumes (slices, height, width).
        depth: how many times the network pools.
        halve_slices: of volumes, how many of the poolings halve the slices too: the last ones, where a pixel has grown
            toward the distance of two slices. None is all.

    Raises:
        HemokitError: halve_slices for images, or not a whole number from 0 to depth.
    """
    if halve_slices is None:
        return [(2,) * rank] * depth
    is_whole = halve_slices == 0 or are_counts([halve_slices])
    if rank == 2 or isinstance(halve_slices, bool) or not is_whole or halve_slices > depth:
        expected = "None, for images" if rank == 2 else f"a whole number from 0 to {depth}, or None for {depth}"
        remedy = "It says how many of the poolings of a volume halve its slices too."
        raise problem(f"halve_slices is {halve_slices!r}", expected, remedy)
    return [(1, 2, 2)] * (depth - halve_slices) + [(2, 2, 2)] * halve_slices


def levels_of(input_shape, filters, halve_slices, *, builder, has_bottleneck=True):
    """What a network over an image or a volume is built from, checked: (input_shape, filters, pools).

    Args:
        input_shape, filters, halve_slices: as given to the builder.
        builder: its name, for an example.
        has_bottleneck: whether the last of the filters is that of a level from which nothing is pooled.

    Returns:
        the shape and the filters as tuples, and the pools as `pool_sizes`.

    Raises:
        HemokitError: another rank, sizes that do not halve evenly, anything that is no positive whole number.
    """
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(shape) - 1 not in (2, 3):
        raise problem(
            f"input_shape is {input_shape!r}",
            "(height, width, channels) or (slices, height, width, channels)",
            f"Give the shape of one image without the batch, as in {builder}((256, 256, 1)).",
        )
    if not are_counts([size for size in shape[:-1] if size is not None] + [shape[-1]]):
        raise problem(
            f"input_shape is {input_shape!r}", "positive whole numbers", "Only a size may be None, never the channels."
        )
    if not isinstance(filters, (tuple, list)) or len(filters) < 2 or not are_counts(filters):
        raise problem(
            f"filters is {filters!r}", "two or more positive whole numbers", "One per level, as in (16, 32, 64)."
        )
    pools = pool_sizes(len(shape) - 1, len(filters) - has_bottleneck, halve_slices)
    _check_sizes(shape, pools)
    return shape, tuple(filters), pools


def check_outputs(num_outputs):
    """HemokitError unless the number of masks is a positive whole number."""
    if not are_counts([num_outputs]):
        raise problem(f"num_outputs is {num_outputs!r}", "a positive whole number", "Use 1 for a single mask.")


def _check_sizes(shape, pools):
    """Refuse a fixed size that does not halve evenly at every level."""
    for axis, (name, size) in enumerate(zip(AXES[len(shape)], shape[:-1], strict=True)):
        step = math.prod(pool[axis] for pool in pools)
        if size is not None and size % step:
            below = size // step * step
            sizes = f"{below} or {below + step}" if below else f"{step}"
            remedy = f"Resize or pad it to {sizes}."
            if name == "slice count":
                remedy += " Or halve the slices less often: halve_slices=0 takes any number, a single one too."
            raise problem(f"the {name} is {size}", f"a multiple of {step}", remedy)
