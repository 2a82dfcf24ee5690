"""The U-Net of the two segmentation papers, in 2-D and 3-D from one builder; and beside it UNet++.

`unet_plus_plus` and `one_mask` are written in `models.unet_plus_plus`.

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

import keras

from hemokit.models.blocks import block, check_outputs, layer, levels_of, mask_of
from hemokit.models.unet_plus_plus import one_mask, unet_plus_plus

__all__ = ["one_mask", "unet", "unet_plus_plus"]


def unet(input_shape, *, num_outputs=1, filters=(16, 32, 64, 128, 256), batch_norm=False, halve_slices=None):
    """Build a U-Net: an image in, one probability per pixel and output of the same size out.

    Each block is twice a 3-wide convolution ("same") and ReLU; max-pooling by 2 leads down, nearest upsampling by 2
    and the join with the skip lead up, a 1-wide convolution and a sigmoid end it. The defaults with (256, 256, 1) are
    the 1,962,337 parameters of the CT-ICH paper; (512, 512, 3), filters=(8, 16, 32, 64, 128) and batch_norm=True are
    the 494,081 weights (492,609 trainable) of the polygon one.

    The last bias starts where every pixel gets the probability `blocks.PRIOR`, not one half (Lin et al. 2017, Focal
    Loss for Dense Object Detection): blood is rare, and unlearning the half takes the first hundreds of steps.

    Args:
        input_shape: (height, width, channels) for images, (slices, height, width, channels) for volumes. A size may
            be None, then any multiple of 2 ** (len(filters) - 1) may come; channels may not. Values are in [0, 1]:
            there is no other scaling for a user to know.
        num_outputs: sigmoid channels (not exclusive: a pixel may belong to several).
        filters: channels of each level from the full resolution down, the bottleneck's last; at least two.
        batch_norm: True normalizes after each 3-wide convolution, before its ReLU.
        halve_slices: of volumes, how many of the poolings, the deepest, halve the slices too; None is all. Slices of
            a CT are 5 mm apart and pixels half a millimeter: with 5 levels, 1 takes any even number of slices, and 0
            any number, a single one too. The weights are as many.

    Returns:
        keras.Model "unet", float32 (batch, *sizes, num_outputs) in [0, 1]. Weights are drawn from Keras' global
        seed: `keras.utils.set_random_seed` before it makes them repeatable.

    Raises:
        HemokitError: another rank, sizes that do not halve evenly down to the bottleneck, counts that are no
            positive whole numbers, halve_slices out of its range.

    Source:
        Ronneberger, Fischer, Brox 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation.
    """
    check_outputs(num_outputs)
    input_shape, filters, pools = levels_of(input_shape, filters, halve_slices, builder="unet")
    image = x = keras.Input(input_shape, name="image")
    skips = []
    for level, pool in enumerate(pools, start=1):
        x = block(x, filters[level - 1], f"encoder{level}", batch_norm)
        skips.append(x)
        x = layer("MaxPooling", x)(pool, name=f"encoder{level}_pool")(x)
    x = block(x, filters[-1], "bottleneck", batch_norm)
    for level, pool in reversed(list(enumerate(pools, start=1))):
        x = layer("UpSampling", x)(pool, name=f"decoder{level}_up")(x)
        x = keras.layers.Concatenate(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = block(x, filters[level - 1], f"decoder{level}", batch_norm)
    return keras.Model(image, mask_of(x, num_outputs), name="unet")
