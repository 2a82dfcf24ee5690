"""The U-Net of the two segmentation papers, in 2-D and 3-D from one builder.

Layer names, which will not change (level 1 is the full resolution, `d` levels are `len(filters) - 1`):

    image                                     the input
    encoder<k>_conv1, _relu1, _conv2, _relu2  the block of level k = 1 ... d; `encoder<k>_relu2` is its skip
    encoder<k>_norm1, _norm2                  before each ReLU, with batch_norm=True alone
    encoder<k>_pool                           to the next level
    bottleneck_conv1 ... bottleneck_relu2     the lowest block
    decoder<k>_up, _join                      up to level k = d ... 1, joined as (up, skip)
    decoder<k>_conv1 ... decoder<k>_relu2     the block of level k
    logits                                    the last convolution, float32: one channel per output
    probability                               its sigmoid, float32 under every precision policy
"""

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


def unet(input_shape, *, num_outputs=1, filters=(16, 32, 64, 128, 256), batch_norm=False):
    """Build a U-Net: an image in, one probability per pixel and output of the same size out.

    Each block is twice a 3-wide convolution ("same") and ReLU; max-pooling by 2 leads down, nearest upsampling by 2
    and the join with the skip lead up, a 1-wide convolution and a sigmoid end it. The defaults with (256, 256, 1) are
    the 1,962,337 parameters of the CT-ICH paper; (512, 512, 3), filters=(8, 16, 32, 64, 128) and batch_norm=True are
    the 494,081 weights (492,609 trainable) of the polygon one.

    The last bias starts where every pixel gets the probability `PRIOR`, not one half (Lin et al. 2017, Focal Loss for
    Dense Object Detection): blood is rare, and unlearning the half takes the first hundreds of steps otherwise.

    Args:
        input_shape: (height, width, channels) for images, (slices, height, width, channels) for volumes. A size may
            be None, then any multiple of 2 ** (len(filters) - 1) may come; channels may not. Values are in [0, 1]:
            there is no other scaling for a user to know.
        num_outputs: sigmoid channels (not exclusive: a pixel may belong to several).
        filters: channels of each level from the full resolution down, the bottleneck's last; at least two.
        batch_norm: True normalizes after each 3-wide convolution, before its ReLU.

    Returns:
        keras.Model "unet", float32 (batch, *sizes, num_outputs) in [0, 1]. Weights are drawn from Keras' global
        seed: `keras.utils.set_random_seed` before it makes them repeatable.

    Raises:
        HemokitError: another rank, sizes that do not halve evenly down to the bottleneck, counts that are no
            positive whole numbers.

    Source:
        Ronneberger, Fischer, Brox 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation.
    """
    input_shape, filters = _check(input_shape, filters, num_outputs)
    pools = pool_sizes(len(input_shape) - 1, len(filters) - 1)
    _check_sizes(input_shape, pools)
    image = x = keras.Input(input_shape, name="image")
    skips = []
    for level, pool in enumerate(pools, start=1):
        x = _block(x, filters[level - 1], f"encoder{level}", batch_norm)
        skips.append(x)
        x = _layer("MaxPooling", x)(pool, name=f"encoder{level}_pool")(x)
    x = _block(x, filters[-1], "bottleneck", batch_norm)
    for level, pool in reversed(list(enumerate(pools, start=1))):
        x = _layer("UpSampling", x)(pool, name=f"decoder{level}_up")(x)
        x = keras.layers.Concatenate(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = _block(x, filters[level - 1], f"decoder{level}", batch_norm)
    bias = keras.initializers.Constant(math.log(PRIOR / (1 - PRIOR)))
    x = _layer("Conv", x)(num_outputs, 1, bias_initializer=bias, dtype="float32", name="logits")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", dtype="float32", name="probability")(x), name="unet")


def pool_sizes(rank, depth):
    """How much each level shrinks each axis on the way down: `depth` tuples of `rank` factors, 2 everywhere."""
    return [(2,) * rank] * depth


def _layer(kind, x):
    """The Keras layer class of this kind for the rank of `x`: Conv2D for images, Conv3D for volumes."""
    return getattr(keras.layers, f"{kind}{len(x.shape) - 2}D")


def _block(x, filters, name, batch_norm):
    """Twice convolution, normalization (if asked for), ReLU."""
    for step in (1, 2):
        x = _layer("Conv", x)(filters, 3, padding="same", kernel_initializer=INITIALIZER, name=f"{name}_conv{step}")(x)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm{step}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{step}")(x)
    return x


def _check(input_shape, filters, num_outputs):
    """The shape and the filters as tuples, after a look at every number in them."""
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(shape) - 1 not in (2, 3):
        raise problem(
            f"input_shape is {input_shape!r}",
            "(height, width, channels) or (slices, height, width, channels)",
            "Give the shape of one image without the batch, as in unet((256, 256, 1)).",
        )
    if not are_counts([size for size in shape[:-1] if size is not None] + [shape[-1]]):
        raise problem(
            f"input_shape is {input_shape!r}", "positive whole numbers", "Only a size may be None, never the channels."
        )
    if not isinstance(filters, (tuple, list)) or len(filters) < 2 or not are_counts(filters):
        raise problem(
            f"filters is {filters!r}", "two or more positive whole numbers", "One per level, as in (16, 32, 64)."
        )
    if not are_counts([num_outputs]):
        raise problem(f"num_outputs is {num_outputs!r}", "a positive whole number", "Use 1 for a single mask.")
    return shape, tuple(filters)


def _check_sizes(shape, pools):
    """Refuse a fixed size that does not halve evenly at every level."""
    for axis, (name, size) in enumerate(zip(AXES[len(shape)], shape[:-1], strict=True)):
        step = math.prod(pool[axis] for pool in pools)
        if size is not None and size % step:
            below = size // step * step
            sizes = f"{below} or {below + step}" if below else f"{step}"
            raise problem(f"the {name} is {size}", f"a multiple of {step}", f"Resize or pad it to {sizes}.")
