"""Published image classifiers of `keras.applications` as encoders: features at strides 2, 4, 8, 16 and 32.

`BACKBONES` is the one place that knows their layers. What differs between them ends here:

- Scaling. An encoder takes images in [0, 1] as all models here do, and brings them to what its weights were trained on.
- Channels. A gray image is repeated for red, green and blue; a composite of three windows goes in as it is.
- Sizes. Image sizes that are no multiple of 32 are filled with black below and at the right, so that level k is exactly
  1 / 2**k of the filled size. Where convolutions are not padded (Xception's first two, most of InceptionResNetV2's),
  the image gets a black margin as wide as what they lose, and each level is cropped to what lies over the image: cell i
  of level k looks at the pixels around 2**k * (i + 1/2), to half a cell.

An encoder is a model of its own inside of the others, named like its key. Its outputs are the layers p1 ... p5; within
it the layers have the names that keras.applications gives them, which papers name for skips and Grad-CAM.
"""

import math
import warnings
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import keras

from hemokit.checks import check_choice, problem
from hemokit.models.shapes import check_image_shape

FAILED_DOWNLOAD = ("URL fetch failure", "Incomplete or corrupted file")  # in the words of keras.utils.get_file
STRIDE = 32  # of the deepest level
LEVELS = ("p1", "p2", "p3", "p4", "p5")  # the outputs of an encoder


class Backbone(NamedTuple):
    """One row of the table.

    Attributes:
        levels: the layers of strides 2, 4, 8, 16 and 32, by name; a number is the place among the activations, of
            layers that Keras numbers anew in each process.
        scaling: what its ImageNet weights expect: "caffe", "tf" or "torch", see `_scaled`.
        margin: black rows and columns (before, after) that its unpadded convolutions need.
        crop: cells (before, after) to drop at each level because of them.
    """

    levels: tuple
    scaling: str
    margin: tuple = (0, 0)
    crop: tuple = ((0, 0),) * 5


_RESNET50 = ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")  # math7243's
_XCEPTION = tuple(f"block{number}_sepconv2_bn" for number in (2, 3, 4, 13, 14))  # math7243's too
_DENSENET = ("conv1_relu", "pool2_relu", "pool3_relu", "pool4_relu", "relu")

BACKBONES = {
    "VGG16": Backbone(("block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"), "caffe"),
    "ResNet50": Backbone(_RESNET50, "caffe"),
    "Xception": Backbone(_XCEPTION, "tf", margin=(2, 3)),
    "DenseNet121": Backbone(_DENSENET, "torch"),
    "DenseNet169": Backbone(_DENSENET, "torch"),
    "InceptionResNetV2": Backbone(
        (2, 4, "block35_10_ac", "block17_20_ac", "conv_7b_ac"),
        "tf",
        margin=(21, 22),
        crop=((9, 10), (3, 4), (1, 2), (0, 1), (0, 0)),
    ),
}


def backbone_encoder(backbone, input_shape, *, weights=None):
    """Build an encoder: an image in, its features at five strides out.

    Args:
        backbone: a key of `BACKBONES`, the name of the network in keras.applications.
        input_shape: (height, width, channels) with 1 or 3 channels, at least 32 pixels a side.
        weights: None (random), "imagenet" (downloaded once by Keras), or the path of a file, see
            `load_encoder_weights`: of an encoder, of keras.applications, or of a run of ours on the same backbone.

    Returns:
        keras.Model, named like the backbone, with the outputs p1 ... p5: float (batch, rows, columns, features), where
        rows = ceil(height / 32) * 32 / 2**k at level k, and columns likewise.

    Raises:
        HemokitError: an unknown backbone, a shape that it cannot take, weights that cannot be had or do not fit.

    Source:
        The networks: https://keras.io/api/applications, where the papers of each are.
    """
    one = BACKBONES[check_choice(backbone, BACKBONES, "backbone")]
    height, width, _ = check_image_shape(input_shape, channels=(1, 3), least=STRIDE)
    image = keras.Input(input_shape, name="image")
    x = _filled(image, height, width, one.margin)
    if x.shape[-1] == 1:
        x = keras.layers.Concatenate(name="gray_to_rgb")([x, x, x])
    x = _scaled(x, one.scaling)
    network = _application(backbone, x, weights)
    outputs = [_level(network, number, one) for number in range(1, 6)]
    encoder = keras.Model(image, outputs, name=backbone)
    if weights not in (None, "imagenet"):
        load_encoder_weights(encoder, weights)
    return encoder


def encoder_of(model):
    """The encoder inside of a model that was built on a backbone.

    Raises:
        HemokitError: a model without one.
    """
    for layer in model.layers:
        if layer.name in (*BACKBONES, "unet"):
            return layer
    remedy = "Build the model by models.transfer."
    raise problem(f"the model {model.name!r} has no backbone", f"one of {', '.join(BACKBONES)} or a unet in it", remedy)


def field_of(model, layer, cells, size):
    """Which pixels of an image's axis the cells of a layer lie over: (first, number); first may be negative.

    Layers of an encoder look at the filled image; those that have more cells than that, at what is left of its margin
    too, before and behind it in the proportion of the margin; p1 ... p5, which are cropped, at the filled image alone.
    So do the layers beside an encoder, as those of a decoder behind it, unless they have a cell for each pixel. All
    other layers look at the image.

    Args:
        model: the model that holds the layer: an encoder, one with an encoder in it, or any other.
        layer: name of the layer.
        cells: how many the layer has along the axis.
        size: of the image along the axis.
    """
    filled = size + -size % STRIDE
    if model.name not in BACKBONES:
        is_beside = any(one.name in BACKBONES for one in model.layers)
        return 0, filled if is_beside and cells != size else size
    if layer in LEVELS:
        return 0, filled
    margin = BACKBONES[model.name].margin
    halvings = math.log2((sum(margin) + filled) / cells)
    stride = 2 ** min(max(math.floor(halvings + 0.2), 0), len(LEVELS))  # 0.2: a layer may be padded, too
    left = stride * cells - filled  # of the margin, or what the layer pads at both sides
    return -left * margin[0] / sum(margin) if sum(margin) else -left / 2, stride * cells


def load_encoder_weights(encoder, path):
    """Read the weights of an encoder from a file.

    Args:
        encoder: as `backbone_encoder` gives it.
        path: `.weights.h5` of `encoder.save_weights`, "..._notop.h5" of keras.applications, or a `.keras` file of an
            encoder or of a model of `models.transfer` on the same backbone, of which the encoder alone is taken,
            whatever its head.

    Raises:
        HemokitError: no such file, a damaged one, or one of another network; the encoder is then as it was.
    """
    if not Path(path).is_file():
        remedy = "Check the path, or use weights=None."
        raise problem("no such file", 'weights in a file, "imagenet" or None', remedy, file=path)
    before = encoder.get_weights()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of each layer that does not fit, and then raises
            if Path(path).suffix == ".keras":
                encoder.set_weights(_encoder_in(path, encoder.name).get_weights())
            else:
                encoder.load_weights(path)
    except Exception as error:  # Keras raises several kinds, some with the whole list of layers
        encoder.set_weights(before)  # Keras may have read a part
        told = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0][:200]
        remedy = (
            f"Use weights of the encoder {encoder.name} alone, or the .keras file of a whole model on it, whatever its "
            "head; or weights=None for a random start."
        )
        raise problem(f"weights that do not fit ({told})", f"those of {encoder.name}", remedy, file=path) from None


def _encoder_in(path, name):
    """The encoder of a name in a .keras file; ValueError for a model on another backbone, or on none."""
    import hemokit.models.unet_plus_plus  # noqa: F401  registers the class of models of several masks

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    found = [one for one in (model, *model.layers) if one.name in (*BACKBONES, "unet")]
    if not found or found[0].name != name:
        raise ValueError(f"the file is of {found[0].name if found else f'{model.name!r}, which has no backbone'}")
    return found[0]


def _filled(image, height, width, margin):
    """The image with black below and at the right up to a multiple of 32, and the margin all around."""
    before, after = margin
    pads = tuple((before, after + -size % STRIDE) for size in (height, width))
    return keras.layers.ZeroPadding2D(pads, name="filled")(image)


def _scaled(x, scaling):
    """Images (batch, rows, columns, 3) in [0, 1] as the weights expect them."""
    if scaling == "tf":  # from -1 to 1
        return keras.layers.Rescaling(2.0, -1.0, dtype="float32", name="scaled")(x)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue
    if scaling == "torch":
        offset = [-one / by for one, by in zip(mean, deviation, strict=True)]
        return keras.layers.Rescaling([1 / by for by in deviation], offset, dtype="float32", name="scaled")(x)
    x = keras.ops.flip(x, axis=-1)  # caffe: blue, green and red, from 0 to 255, less their means
    return keras.layers.Rescaling(255.0, [-103.939, -116.779, -123.68], dtype="float32", name="scaled")(x)


def _application(backbone, x, weights):
    build = getattr(keras.applications, backbone)
    if weights != "imagenet":
        return build(include_top=False, weights=None, input_tensor=x)
    try:
        return build(include_top=False, weights="imagenet", input_tensor=x)
    except Exception as error:  # Keras tells some failed downloads by a bare Exception or ValueError
        if not isinstance(error, OSError | HTTPException) and not any(words in str(error) for words in FAILED_DOWNLOAD):
            raise
        told = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        remedy = "Connect, or load a file by weights=PATH, or start at random by weights=None."
        came = f"the ImageNet weights of {backbone} cannot be downloaded ({told})"
        raise problem(came, "a way to Keras' storage, or its cache filled earlier", remedy) from error


def _level(network, number, one):
    """The features of one level, cropped to what lies over the image, as the layer p<number>."""
    name = one.levels[number - 1]
    if isinstance(name, int):
        activations = [layer for layer in network.layers if isinstance(layer, keras.layers.Activation)]
        layer = activations[name]
    else:
        layer = network.get_layer(name)
    return keras.layers.Cropping2D((one.crop[number - 1],) * 2, name=f"p{number}")(layer.output)
