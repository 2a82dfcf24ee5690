"""Fahim's detection system: ResNeXt-101 over slices, and a bidirectional LSTM over the slices of a scan.

Layer names, which will not change: of `resnext` `image`, `stem_conv`, `stem_norm`, `stem_relu`, `stem_pool`;
`stage<i>_block<j>` with `_conv1` (1-wide), `_conv2` (3-wide, in groups), `_conv3` (1-wide), `_norm1..3`, `_relu1..2`,
`_project`, `_project_norm`, `_add` and `_relu`; `pool`, `logits`, `probability`. Of `scan_lstm` `slices`, `lstm`,
`lstm_dropout`, `from_lstm`, `from_slices`, `logits` and `probability`.
"""

from numbers import Real

import keras
from keras import ops

from hemokit.checks import problem
from hemokit.labels import LABELS
from hemokit.models.blocks import INITIALIZER, MOMENTUM
from hemokit.models.shapes import are_counts, check_counts, check_image_shape
from hemokit.models.transfer import class_probabilities

# Means and deviations of the windows brain, subdural and soft tissue, as fahim gives them.
MEANS, DEVIATIONS = (0.1738, 0.1433, 0.1970), (0.3161, 0.2850, 0.3111)
NUM_LABELS = len(LABELS)
NUM_FEATURES = 120  # principal components of a slice's 2,048 features
_LEAST = 1e-4  # a slice model is never surer than this: a logit stays within 9.2


def resnext101(input_shape, *, num_classes=NUM_LABELS, multi_label=True):
    """Build ResNeXt-101 32x8d: 2,048 features a slice in the layer `pool`, and by default six sigmoids.

    33 blocks of three convolutions, the middle one in 32 groups that are 8 channels wide in the first stage. Padding is
    as in torchvision, whose weights would fit. With 1,000 classes it has 88,791,336 trainable parameters, torchvision's
    figure; with six labels 86,754,630.

    Args:
        input_shape: (height, width, channels), images in [0, 1], at least 32 pixels a side; fahim's 256x256x3 with the
            windows brain, subdural and soft tissue. Three channels are normalized by their means and deviations.
        num_classes: outputs.
        multi_label: True gives a sigmoid for each, False a softmax over all.

    Returns:
        keras.Model "resnext101", float32 (batch, num_classes) in [0, 1].

    Raises:
        HemokitError: another rank, sizes too small, no whole numbers.

    Source:
        Xie et al. 2017, Aggregated Residual Transformations for Deep Neural Networks.
    """
    return resnext(
        input_shape, blocks=(3, 4, 23, 3), filters=(256, 512, 1024, 2048), groups=32, group_width=8,
        num_classes=num_classes, multi_label=multi_label, name="resnext101",
    )  # fmt: skip


def resnext_small(input_shape, *, num_classes=NUM_LABELS, multi_label=True):
    """Build the sibling of `resnext101` for quick runs: one block a stage, 4 groups, 256 features, 162,990
    trainable parameters. (TensorFlow trains groups one after another on a CPU: 8 of them took twice as long.)

    Arguments and errors are those of `resnext101`.
    """
    return resnext(
        input_shape, blocks=(1, 1, 1, 1), filters=(32, 64, 128, 256), groups=4, group_width=4,
        num_classes=num_classes, multi_label=multi_label, name="resnext_small",
    )  # fmt: skip


def resnext(input_shape, *, blocks, filters, groups, group_width, num_classes, multi_label=True, name="resnext"):
    """Build a ResNeXt.

    Args:
        input_shape, num_classes, multi_label: as `resnext101`.
        blocks: of each stage; each stage but the first halves the image.
        filters: features that each stage gives. The stem has a quarter of the first.
        groups: of the 3-wide convolutions.
        group_width: channels of a group in the first stage; twice as many in each that follows.
        name: of the model.

    Returns:
        keras.Model, float32 (batch, num_classes) in [0, 1].

    Raises:
        HemokitError: wrong numbers, stages that differ in number, an image under 32 pixels a side.
    """
    shape = check_image_shape(input_shape, least=32)
    blocks = check_counts("blocks", blocks, "One number for each stage, as in (3, 4, 23, 3).")
    filters = check_counts("filters", filters, "One for each stage.", exactly=len(blocks))
    check_counts("groups and group_width", (groups, group_width), "As in groups=32, group_width=8.")
    if not are_counts([num_classes]) or num_classes < (1 if multi_label else 2):
        came, least = f"num_classes is {num_classes!r}", 1 if multi_label else 2
        raise problem(came, f"a whole number from {least}", "Six labels, or classes that exclude each other.")
    image = x = keras.Input(shape, name="image")
    if shape[2] == len(MEANS):
        variance = [deviation**2 for deviation in DEVIATIONS]
        x = keras.layers.Normalization(mean=MEANS, variance=variance, name="normalized")(x)
    x = _convolution(x, max(1, filters[0] // 4), 7, "stem", strides=2)
    x = keras.layers.ZeroPadding2D(1, name="stem_pad2")(x)  # after a ReLU as good as padding by minus infinity
    x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, (count, features) in enumerate(zip(blocks, filters, strict=True)):
        for number in range(count):
            strides = 2 if stage and not number else 1
            block = f"stage{stage + 1}_block{number + 1}"
            x = _block(x, features, groups, groups * group_width * 2**stage, strides, block)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, class_probabilities(x, num_classes, multi_label), name=name)


def scan_lstm(num_features=NUM_FEATURES, *, units=256, num_labels=NUM_LABELS, dropout=0.0):
    """Build fahim's sequence model: a bidirectional LSTM over the features of a scan's slices.

    Its output, joined with what the slice model said, goes into a linear layer: one weight matrix on both together,
    here written as the sum of two layers. It begins as the slice model itself (the identity on its logits, 0 on the
    LSTM), so that training has to find out what the neighbors add. With the defaults 775,210 parameters; the paper
    does not print its units.

    The input is what `sequence_batches.SequenceBatches` gives: float32 (batch, slices, 1 + num_labels + num_features),
    of each slice first 1, then the probabilities of the slice model, then its features; 0 throughout behind the end of
    a scan that is shorter than others of the batch. Such places change nothing: the LSTM skips them in both
    directions. Any number of slices will do.

    Args:
        num_features: a slice, after PCA.
        units: of the LSTM in each direction.
        num_labels: outputs.
        dropout: of the LSTM's output, in [0, 1).

    Returns:
        keras.Model "scan_lstm", float32 (batch, slices, num_labels) in [0, 1]; what stands behind the end of a scan
        means nothing.

    Raises:
        HemokitError: no positive whole numbers, another dropout.
    """
    numbers = num_features, units, num_labels
    check_counts("num_features, units and num_labels", numbers, "As in 120 features, 256 units and 6 labels.")
    if not isinstance(dropout, Real) or isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise problem(f"dropout is {dropout!r}", "a number from 0 to below 1", "Use 0 for none.")
    slices = keras.Input((None, 1 + num_labels + num_features), name="slices")
    mask = slices[:, :, 0] > 0.5
    said = ops.clip(slices[:, :, 1 : 1 + num_labels], _LEAST, 1 - _LEAST)
    said = ops.log(said) - ops.log(1 - said)
    lstm = keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=True, name="cells"), name="lstm")
    x = lstm(slices[:, :, 1 + num_labels :], mask=mask)
    x = keras.layers.Dropout(dropout, name="lstm_dropout")(x)
    linear = {"dtype": "float32"}
    own = keras.layers.Dense(num_labels, use_bias=False, kernel_initializer="zeros", name="from_lstm", **linear)(x)
    of_slices = keras.layers.Dense(num_labels, kernel_initializer="identity", name="from_slices", **linear)(said)
    logits = keras.layers.Add(name="logits", **linear)([own, of_slices])
    probability = keras.layers.Activation("sigmoid", name="probability", **linear)(logits)
    return keras.Model(slices, probability, name="scan_lstm")


def _block(x, features, groups, width, strides, name):
    """1-wide, 3-wide in groups, 1-wide, and the way past them (projected where its shape changes)."""
    past = x
    if strides > 1 or x.shape[-1] != features:
        past = _convolution(x, features, 1, f"{name}_project", strides=strides, parts=("", "_norm", None))
    x = _convolution(x, width, 1, name, parts=("_conv1", "_norm1", "_relu1"))
    x = _convolution(x, width, 3, name, strides=strides, groups=groups, parts=("_conv2", "_norm2", "_relu2"))
    x = _convolution(x, features, 1, name, parts=("_conv3", "_norm3", None))
    x = keras.layers.Add(name=f"{name}_add")([past, x])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, filters, width, name, *, strides=1, groups=1, parts=("_conv", "_norm", "_relu")):
    """Padding on both sides alike (as PyTorch does it), convolution without bias, normalization, ReLU if named."""
    conv, norm, relu = parts
    if width > 1:
        x = keras.layers.ZeroPadding2D(width // 2, name=f"{name}{conv}_pad")(x)
    x = keras.layers.Conv2D(
        filters, width, strides=strides, groups=groups, use_bias=False, kernel_initializer=INITIALIZER,
        name=f"{name}{conv}",
    )(x)  # fmt: skip
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-5, name=f"{name}{norm}")(x)
    return x if relu is None else keras.layers.ReLU(name=f"{name}{relu}")(x)
