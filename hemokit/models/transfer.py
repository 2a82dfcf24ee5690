"""U-Nets and classifiers on published backbones, classifiers on a trained U-Net, and a plain network.

Layer names, which will not change: `image`; the backbone, a model named like its key, or "unet"; `pool`, what goes into
the head; `decoder<k>_up`, `_join`, `_conv`, `_norm`, `_relu`, `_dropout` for k = 4 ... 1 and `vector`, `dense1`,
`dense2` (of `head="decoder"`); the same for k = 4 ... 0 and `cropped` of `transfer_unet` (no `decoder0_join`);
`features`, `from_features`, `from_pixels` (of `unet_classifier`, which has no `pool`:
the pixels go past its features); `logits`, and `probability`, float32 under every precision policy.
"""

from numbers import Real

import keras

from hemokit.checks import check_choice, problem
from hemokit.models.backbones import BACKBONES as BACKBONES  # their table, for those who look for it here
from hemokit.models.backbones import backbone_encoder
from hemokit.models.blocks import MOMENTUM, check_outputs, crop_to, mask_of
from hemokit.models.shapes import are_counts, check_counts, check_image_shape

HEADS = ("pool", "decoder")
DECODER_FILTERS = (256, 128, 64, 32)  # of strides 16, 8, 4 and 2; the paper does not print its own
PIXEL_WEIGHT = 0.3  # of a pixel's logit in that of a slice: logits of single pixels are large
DROPOUT = 0.2  # of each decoder block; the paper names it without a number


def transfer_classifier(
    backbone, input_shape, *, num_classes, weights=None, head="pool", multi_label=False, filters=DECODER_FILTERS
):
    """Build a classifier of slices on a published backbone.

    head="pool" is northeastern's: the mean of each feature over the image, and one dense layer. head="decoder" is
    math7243's: a U-shaped decoder over the five levels up to stride 2 (transposed convolution, join with the skip,
    3-wide convolution, batch normalization, ReLU, dropout), its mean over the image, then Dense 256 with dropout 0.4
    and Dense 128 with dropout 0.3. The paper does not say how the map becomes a vector; flattened at 256x256 that
    layer alone would have 134 million weights.

    Args:
        backbone: a key of `backbones.BACKBONES`.
        input_shape: (height, width, channels), images in [0, 1]; 1 channel (a window) or 3 (a composite), at least
            32 pixels a side, any size (see `backbones`).
        num_classes: outputs: 7, 6 or 2 exclusive classes, or the six labels with multi_label.
        weights: None (random), "imagenet" or a file, of the backbone alone (see `backbones.backbone_encoder`).
        head: "pool" or "decoder".
        multi_label: True gives a sigmoid for each output (any + five subtypes), False a softmax over all.
        filters: of the decoder's four blocks from stride 16 to stride 2.

    Returns:
        keras.Model "<backbone>_classifier", float32 (batch, num_classes) in [0, 1].

    Raises:
        HemokitError: as `backbone_encoder`; fewer than 2 classes (1 with multi_label), another head, another
            number of filters than four.
    """
    check_choice(head, HEADS, "head")
    _check_classes(num_classes, multi_label)
    encoder = backbone_encoder(backbone, input_shape, weights=weights)
    image = keras.Input(input_shape, name="image")
    levels = encoder(image)
    if head == "pool":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(levels[-1])
    else:
        x = decoder(levels, filters, dropout=DROPOUT)
        x = keras.layers.GlobalAveragePooling2D(name="vector")(x)
        for number, units, rate in ((1, 256, 0.4), (2, 128, 0.3)):
            x = keras.layers.Dense(units, activation="relu", name=f"dense{number}")(x)
            x = keras.layers.Dropout(rate, name=f"dense{number}_dropout")(x)
    return keras.Model(image, class_probabilities(x, num_classes, multi_label), name=f"{backbone}_classifier")


def transfer_unet(
    backbone, input_shape, *, weights=None, num_outputs=1, filters=(*DECODER_FILTERS, 16), dropout=DROPOUT
):
    """Build a U-Net on a published backbone: an image in, a mask of the image's own size out.

    math7243's: the decoder of `transfer_classifier(head="decoder")` up to stride 2, one more block from there to the
    full resolution (it has no features to join), a 1-wide convolution and a sigmoid. Its paper trains it on ResNet50
    at 512x512 with the Dice loss, frozen for 20 epochs: `training.freeze`, or `training.fit_in_two_phases`.
    Parameters, with 1 channel or 3: VGG16 18,155,009, ResNet50 29,762,113, Xception 27,303,145, DenseNet121
    12,163,329, DenseNet169 19,013,889, InceptionResNetV2 59,876,257.

    Args:
        backbone: a key of `backbones.BACKBONES`.
        input_shape: (height, width, channels), images in [0, 1]; 1 channel (a window) or 3 (a composite), at least
            32 pixels a side, any size: the mask is cropped to it.
        weights: None (random), "imagenet" or a file, of the backbone alone (see `backbones.backbone_encoder`).
        num_outputs: sigmoid channels (not exclusive).
        filters: of the decoder's five blocks from stride 16 to the full resolution.
        dropout: of each block, in [0, 1); the paper names it without a number.

    Returns:
        keras.Model "<backbone>_unet", float32 (batch, height, width, num_outputs) in [0, 1].

    Raises:
        HemokitError: as `backbone_encoder`; another number of filters than five, wrong numbers.
    """
    check_outputs(num_outputs)
    _check_dropout(dropout)
    filters = check_counts("filters", filters, "One for each of strides 16, 8, 4, 2 and 1.", exactly=5)
    encoder = backbone_encoder(backbone, input_shape, weights=weights)
    image = keras.Input(input_shape, name="image")
    x = decoder(encoder(image), filters[:4], dropout=dropout)
    x = _decoder_block(x, None, filters[4], "decoder0", dropout)
    return keras.Model(image, mask_of(crop_to(x, input_shape), num_outputs), name=f"{backbone}_unet")


def unet_classifier(segmenter, *, num_classes, multi_label=False, dropout=0.3):
    """Build a classifier of slices on a U-Net that segments already, as one trained on the phantom does.

    It begins where the segmenter is: the logit of every class but "normal" is the mean of the highest 1 % of the
    pixels' logits times `PIXEL_WEIGHT`, plus a dense layer of zeros on the bottleneck's features (their means and
    maxima over the image), which learns what the pixels do not tell. So a few real slices with labels and without
    masks teach it what is different about them.

    Args:
        segmenter: keras.Model of `unet.unet` in 2-D with one output and known sizes, or one that was loaded from a run;
            its layers are shared.
        num_classes, multi_label: as `transfer_classifier`; of exclusive classes the first is "normal".
        dropout: of the features, in [0, 1).

    Returns:
        keras.Model "unet_classifier", float32 (batch, num_classes) in [0, 1]; the segmenter's part is the layer "unet".

    Raises:
        HemokitError: a model that is no such U-Net, wrong numbers of classes, another dropout.
    """
    _check_classes(num_classes, multi_label)
    _check_dropout(dropout)
    _check_segmenter(segmenter)
    inner = [segmenter.get_layer(name).output for name in ("bottleneck_relu2", "logits")]
    encoder = keras.Model(segmenter.inputs[0], inner, name="unet")
    image = keras.Input(segmenter.inputs[0].shape[1:], name="image")
    features, pixels = encoder(image)
    means = keras.layers.GlobalAveragePooling2D(name="means")(features)
    maxima = keras.layers.GlobalMaxPooling2D(name="maxima")(features)
    x = keras.layers.Dropout(dropout, name="dropout")(keras.layers.Concatenate(name="features")([means, maxima]))
    x = keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype="float32", name="from_features")(x)
    says_normal = 0 if multi_label else 1  # of exclusive classes, the first: blood speaks for all others
    weight = keras.initializers.Constant([0.0] * says_normal + [PIXEL_WEIGHT] * (num_classes - says_normal))
    top = keras.layers.Dense(num_classes, kernel_initializer=weight, dtype="float32", name="from_pixels")(_top(pixels))
    logits = keras.layers.Add(dtype="float32", name="logits")([x, top])
    return keras.Model(image, _probability(logits, multi_label), name="unet_classifier")


def plain_cnn(input_shape, *, num_classes, multi_label=False, filters=(16, 32, 64, 128)):
    """Build a plain network of ten layers with weights: eight 3-wide convolutions in pairs, and two dense layers.

    After each pair the image is halved by max-pooling; the mean over the image goes into Dense 128 with ReLU. math7243
    reports a "ten-layer basic CNN" without its layers; this is ours of that depth.

    Args:
        input_shape: (height, width, channels), images in [0, 1], at least 2**len(filters) pixels a side: 16 with four.
        num_classes, multi_label: as `transfer_classifier`.
        filters: of the pairs; four are the network of that name.

    Returns:
        keras.Model "plain_cnn", float32 (batch, num_classes) in [0, 1].

    Raises:
        HemokitError: another rank, sizes too small, fewer than 2 classes (1 with multi_label).
    """
    filters = check_counts("filters", filters, "One for each pair of convolutions, as in (16, 32, 64, 128).")
    check_image_shape(input_shape, least=2 ** len(filters))
    _check_classes(num_classes, multi_label)
    image = x = keras.Input(input_shape, name="image")
    for number, width in enumerate(filters, start=1):
        for step in (1, 2):
            x = keras.layers.Conv2D(
                width, 3, padding="same", activation="relu", kernel_initializer="he_normal",
                name=f"block{number}_conv{step}",
            )(x)  # fmt: skip
        x = keras.layers.MaxPooling2D(name=f"block{number}_pool")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(128, activation="relu", name="dense1")(x)
    return keras.Model(image, class_probabilities(x, num_classes, multi_label), name="plain_cnn")


def decoder(levels, filters, *, dropout=0.0):
    """The U-shaped way up over five levels p1 ... p5: features at stride 2, (batch, rows, columns, filters[-1])."""
    filters = check_counts("filters", filters, "One for each of strides 16, 8, 4 and 2.", exactly=4)
    x = levels[-1]
    for number, width in zip((4, 3, 2, 1), filters, strict=True):
        x = _decoder_block(x, levels[number - 1], width, f"decoder{number}", dropout)
    return x


def _decoder_block(x, skip, width, name, dropout):
    """Twice the size by a transposed convolution, the join with a skip if there is one, and what follows."""
    x = keras.layers.Conv2DTranspose(width, 2, strides=2, name=f"{name}_up")(x)
    if skip is not None:
        x = keras.layers.Concatenate(name=f"{name}_join")([x, skip])
    x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)


def class_probabilities(vector, num_classes, multi_label):
    """The last two layers: `logits`, and `probability` by sigmoid (multi_label) or softmax."""
    return _probability(keras.layers.Dense(num_classes, dtype="float32", name="logits")(vector), multi_label)


def _probability(logits, multi_label):
    kind = "sigmoid" if multi_label else "softmax"
    return keras.layers.Activation(kind, dtype="float32", name="probability")(logits)


def _top(pixels):
    """The mean of the highest 1 % of the logits of a map (batch, rows, columns, 1): (batch, 1)."""
    _, rows, columns, _ = pixels.shape
    flat = keras.layers.Reshape((rows * columns,), dtype="float32", name="pixels")(pixels)
    highest, _ = keras.ops.top_k(flat, max(1, rows * columns // 100))
    return keras.ops.mean(highest, axis=-1, keepdims=True)


def _check_segmenter(segmenter):
    """HemokitError unless a model is a U-Net in 2-D with one output, for images of a known size."""
    layers = {layer.name: layer for layer in getattr(segmenter, "layers", ())}
    if not {"bottleneck_relu2", "logits"} <= set(layers) or len(segmenter.inputs[0].shape) != 4:
        remedy = "Load a run of `hemokit train`, or build one by models.unet."
        came = f"the segmenter is {getattr(segmenter, 'name', segmenter)!r}"
        raise problem(came, "a U-Net of models.unet.unet in 2-D", remedy)
    outputs, shape = layers["logits"].output.shape[-1], tuple(segmenter.inputs[0].shape[1:])
    if outputs != 1:
        remedy = "Build or train it with num_outputs=1: blood or not."
        raise problem(f"the segmenter has {outputs} outputs for each pixel", "one", remedy)
    if None in shape:
        remedy = "Build it with its sizes, as unet((256, 256, 1)), and give it the weights of the other."
        raise problem(f"the segmenter takes images of {shape}", "sizes that are known", remedy)


def _check_dropout(dropout):
    if not isinstance(dropout, Real) or isinstance(dropout, bool) or not 0 <= dropout < 1:
        raise problem(f"dropout is {dropout!r}", "a number from 0 to below 1", "Use 0 for none; 0.3 is usual.")


def _check_classes(num_classes, multi_label):
    least = 1 if multi_label else 2
    if not are_counts([num_classes]) or num_classes < least:
        remedy = "Use 2 for normal and hemorrhage, or 1 with multi_label=True."
        raise problem(f"num_classes is {num_classes!r}", f"a whole number from {least}", remedy)
