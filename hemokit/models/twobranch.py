"""The two-branch network of the twobranch paper: one image seen by two encoders at once.

Layer names, which will not change (branch b = 1, 2; level k = 1 ... d, d = len(filters)): `image`;
`branch<b>_level<k>_conv1, _norm1, _relu1`, `branch<b>_level<k>_pool`; `join`; `decoder<k>_up, _norm, _relu` for
k = d ... 1 (norms with batch_norm=True alone); `logits`, and `probability`, float32 under every precision policy.
"""

import keras

from hemokit.models.blocks import MOMENTUM, block, check_outputs, enlarge, layer, levels_of, mask_of
from hemokit.models.shapes import check_counts


def two_branch(
    input_shape, *, num_outputs=1, filters=(32, 64, 128), kernels=(3, 5), batch_norm=False, halve_slices=None
):
    """Build the two-branch network: an image in, one probability per pixel and output of the same size out.

    The paper says: two branches of convolution and pooling on the same input, concatenated, then transposed
    convolutions up to a sigmoid mask. It leaves open how deep and wide they are, in what the branches differ, and how
    the way up is made. Ours: three levels, each one convolution, ReLU and max-pooling by 2; the branches differ in
    the width of their convolutions (3 and 5 pixels: two equal ones would be one with twice the channels); no skips, so
    that the mask is as coarse as 1/8 of the image lets it be; transposed convolutions 2 wide, each with a ReLU.
    Parameters: 521,985 with (160, 160, 1), the paper's size.

    Args:
        input_shape: (height, width, channels) for images, (slices, height, width, channels) for volumes, values in
            [0, 1], sizes that are multiples of 2 ** len(filters). A size may be None, then any multiple may come.
        num_outputs: sigmoid channels (not exclusive).
        filters: channels of each level of a branch from the full resolution down, at least two.
        kernels: widths of the convolutions of the two branches.
        batch_norm: True normalizes after each convolution, before its ReLU.
        halve_slices: of volumes, as `unet.unet`; how many of the poolings, the deepest, halve the slices too.

    Returns:
        keras.Model "two_branch", float32 (batch, *sizes, num_outputs) in [0, 1].

    Raises:
        HemokitError: another rank, sizes that do not halve evenly, counts that are no positive whole numbers, another
            number of kernels than two.
    """
    check_outputs(num_outputs)
    kernels = check_counts("kernels", kernels, "One for each branch, as in (3, 5).", exactly=2)
    options = {"builder": "two_branch", "has_bottleneck": False}
    input_shape, filters, pools = levels_of(input_shape, filters, halve_slices, **options)
    image = keras.Input(input_shape, name="image")
    branches = [
        _branch(image, filters, pools, width, f"branch{number}", batch_norm)
        for number, width in enumerate(kernels, start=1)
    ]
    x = keras.layers.Concatenate(name="join")(branches)
    for level in range(len(filters), 0, -1):
        x = enlarge(x, filters[level - 1], pools[level - 1], f"decoder{level}_up")
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"decoder{level}_norm")(x)
        x = keras.layers.ReLU(name=f"decoder{level}_relu")(x)
    return keras.Model(image, mask_of(x, num_outputs), name="two_branch")


def _branch(x, filters, pools, width, name, batch_norm):
    """One convolution, ReLU and pooling for each level."""
    for level, (channels, pool) in enumerate(zip(filters, pools, strict=True), start=1):
        x = block(x, channels, f"{name}_level{level}", batch_norm, width=width, steps=(1,))
        x = layer("MaxPooling", x)(pool, name=f"{name}_level{level}_pool")(x)
    return x
