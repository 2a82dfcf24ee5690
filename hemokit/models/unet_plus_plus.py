"""UNet++: a U-Net whose skips are filled with nodes of their own, on its own encoder or on a published backbone.

Node (i, j) has stride 2**i; j = 0 is the encoder. Every other one is made from all nodes left of it on its level and
from the one below: block(join(up(i + 1, j - 1), (i, 0), ..., (i, j - 1))).

    stride 1     (0,0)  (0,1)  (0,2)  (0,3)  (0,4) -> mask
    stride 2        (1,0)  (1,1)  (1,2)  (1,3)
    stride 4           (2,0)  (2,1)  (2,2)
    stride 8              (3,0)  (3,1)
    stride 16                (4,0)

A backbone has no features at stride 1. Its levels p1 ... p5 are the nodes (1,0) ... (5,0), and (0,5) is made from (1,4)
alone.

Layer names, which will not change: `image`; the backbone, a model named like its key; `node<i>_<j>_conv1, _norm1,
_relu1, _conv2, _norm2, _relu2` (norms with batch_norm=True alone); `node<i>_0_pool`; `node<i>_<j>_up`, `_join`;
`node<i>_0_fit` (a backbone's features made addable); `cropped`; `logits` and `probability`, float32 under every
precision policy, or with deep_supervision one of each for every column, `logits<j>` and `probability<j>`.
"""

import keras

from hemokit.checks import check_choice, problem
from hemokit.models.backbones import LEVELS, backbone_encoder
from hemokit.models.blocks import block, check_outputs, crop_to, enlarge, layer, levels_of, mask_of, pool_sizes
from hemokit.models.shapes import check_counts

JOINS = {"concatenate": keras.layers.Concatenate, "add": keras.layers.Average}


def unet_plus_plus(
    input_shape, *, num_outputs=1, filters=(16, 32, 64, 128, 256), batch_norm=None, skips="concatenate",
    deep_supervision=False, backbone=None, weights=None, halve_slices=None,
):  # fmt: skip
    """Build a UNet++: an image or a volume in, one probability per pixel and output of the same size out.

    Blocks and start are those of `unet`; the way up is by transposed convolutions, as in the authors' own program.
    Parameters: 2,261,601 with (256, 256, 1) and the defaults, 1,925,217 with skips="add"; with (16, 64, 64, 1)
    6,550,913 and 5,541,761. filters=(32, 64, 128, 256, 512) gives 9,041,601, the paper's 9.04 million. On a
    backbone, with 1 channel or 3: VGG16 21,228,993, ResNet50 33,042,945, Xception 30,943,401, DenseNet121
    15,444,161, DenseNet169 22,425,793, InceptionResNetV2 62,837,601.

    Args:
        input_shape: (height, width, channels) for images, (slices, height, width, channels) for volumes, values in
            [0, 1]. A size may be None, then any multiple of 2 ** (len(filters) - 1) may come. With a backbone, as
            `backbones.backbone_encoder`: images of 1 or 3 channels, of any known size from 32.
        num_outputs: sigmoid channels (not exclusive).
        filters: channels of each level from the full resolution down; with a backbone five, of strides 1 to 16.
        batch_norm: True normalizes after each 3-wide convolution of ours, before its ReLU. None is False, but True on a
            backbone: the features of some are in the hundreds, and masks would start at 0 and 1.
        skips: how a node joins what it is made from. "concatenate" is the paper's. "add" (fahim's idea for volumes)
            takes their sum, divided by their number so that no signal grows: a join has the channels of one. What
            all layers give for one (256, 256, 1), or (16, 64, 64, 1), takes 181 MiB instead of 236; of `unet` 101.
        deep_supervision: True gives a model with a mask from each column (the paper's four), all of which learn the
            same truth, see `SeveralMasks`; `one_mask` makes a model of one mask of it.
        backbone: a key of `backbones.BACKBONES`, to be the encoder of images; None is an encoder as that of `unet`.
        weights: of the backbone: None (random), "imagenet" or a file.
        halve_slices: of volumes, as `unet`; how many of the poolings, the deepest, halve the slices too.

    Returns:
        keras.Model "unet_plus_plus" or "<backbone>_unet_plus_plus", float32 (batch, *sizes, num_outputs) in [0, 1];
        with deep_supervision a `SeveralMasks` of a list of them, the deepest last.

    Raises:
        HemokitError: sizes that do not halve evenly down to the last level, counts that are no positive whole numbers,
            other skips, weights without a backbone, and as `backbone_encoder`.

    Source:
        Zhou, Siddiquee, Tajbakhsh, Liang 2018, UNet++: A Nested U-Net Architecture for Medical Image Segmentation.
    """
    check_choice(skips, JOINS, "skips")
    check_outputs(num_outputs)
    name = "unet_plus_plus"
    batch_norm = backbone is not None if batch_norm is None else batch_norm
    if backbone is None:
        if weights is not None:
            raise problem(f"weights is {weights!r} without a backbone", "None", "Name the backbone that they are of.")
        input_shape, filters, pools = levels_of(input_shape, filters, halve_slices, builder=name)
        image = keras.Input(input_shape, name="image")
        rows = _own_encoder(image, filters, pools, batch_norm)
    else:
        filters = check_counts("filters", filters, "One for each of strides 1, 2, 4, 8 and 16.", exactly=len(LEVELS))
        pools = pool_sizes(2, len(LEVELS), halve_slices)
        encoder = backbone_encoder(backbone, input_shape, weights=weights)
        name = f"{backbone}_{name}"
        image = keras.Input(input_shape, name="image")
        rows = _rows_of(encoder(image), filters, skips)
    tops = _columns(rows, filters, pools, batch_norm, skips)
    if not deep_supervision:
        top = tops[max(tops)]  # a backbone's others lead nowhere, so they are no part of the model
        return keras.Model(image, mask_of(crop_to(top, input_shape), num_outputs), name=name)
    masks = [mask_of(crop_to(top, input_shape, column), num_outputs, column) for column, top in tops.items()]
    return SeveralMasks(image, masks, name=name)


@keras.saving.register_keras_serializable(package="hemokit")
class SeveralMasks(keras.Model):
    """A model of several masks that all learn one truth: the loss is the mean of theirs.

    Compile it with a loss for one mask, and train it on one. Metrics look at the last mask, the deepest. It is saved
    and loaded as any other model.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = [keras.Model.compute_loss(self, x, y, mask, sample_weight, training) for mask in y_pred]
        return sum(losses) / len(losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return keras.Model.compute_metrics(self, x, y, y_pred[-1], sample_weight)


def one_mask(model, *, column=None):
    """Make a model of one mask of one with deep supervision, to predict with; the layers are shared.

    Args:
        model: of `unet_plus_plus` with deep_supervision=True, or loaded from a run of such a one.
        column: None is the mean of all masks (the paper's accurate mode); a number is the mask of that column, and
            what only deeper columns need is left out (its fast mode). The first is 1, or 2 on a backbone.

    Returns:
        keras.Model of the same name, float32 (batch, *sizes, num_outputs) in [0, 1].

    Raises:
        HemokitError: another model, a column that it does not have.
    """
    if not isinstance(model, SeveralMasks):
        came = f"the model is {getattr(model, 'name', model)!r}, of one mask"
        raise problem(came, "one of several", "Build it by unet_plus_plus(..., deep_supervision=True).")
    columns = [int(name.removeprefix("probability")) for name in model.output_names]
    masks = dict(zip(columns, model.outputs, strict=True))
    if column is not None and (isinstance(column, bool) or column not in masks):
        expected = f"None, or one of {', '.join(map(str, columns))}"
        raise problem(f"column is {column!r}", expected, "None is the mean of all masks.")
    if column is None:
        mask = keras.layers.Average(dtype="float32", name="probability")(list(masks.values()))
    else:
        mask = masks[column]
    return keras.Model(model.inputs[0], mask, name=model.name)


def _own_encoder(image, filters, pools, batch_norm):
    """The encoder's nodes by level: a list of one each."""
    rows, x = {}, image
    for level, width in enumerate(filters):
        x = block(x, width, f"node{level}_0", batch_norm)
        rows[level] = [x]
        if level < len(pools):
            x = layer("MaxPooling", x)(pools[level], name=f"node{level}_0_pool")(x)
    return rows


def _rows_of(levels, filters, skips):
    """The levels of a backbone as nodes; to be added to others, they are brought to the channels of those."""
    rows = {level: [x] for level, x in enumerate(levels, start=1)}
    if skips == "add":
        for level, width in enumerate(filters[1:], start=1):
            rows[level] = [keras.layers.Conv2D(width, 1, name=f"node{level}_0_fit")(rows[level][0])]
    return rows


def _columns(rows, filters, pools, batch_norm, skips):
    """Fill the rows from left to right; the nodes of stride 1, by column, without the encoder's."""
    tops, depth = {}, len(pools)
    for column in range(1, depth + 1):
        first = 0 if 0 in rows or column > 1 else 1  # a mask from a backbone's first level alone is none
        for level in range(first, depth + 1 - column):
            name, left = f"node{level}_{column}", rows.get(level, [])
            x = enlarge(rows[level + 1][column - 1], filters[level], pools[level], f"{name}_up")
            if left:
                x = JOINS[skips](name=f"{name}_join")([x, *left])
            x = block(x, filters[level], name, batch_norm)
            if left:
                left.append(x)
            if level == 0:
                tops[column] = x
    return tops
