"""Tests of the backbones as encoders, and of the classifiers and U-Nets on them."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from hemokit.checks import HemokitError
from hemokit.losses import dice_loss
from hemokit.models import backbones
from hemokit.models.backbones import STRIDE, backbone_encoder, encoder_of, field_of, load_encoder_weights
from hemokit.models.transfer import BACKBONES, plain_cnn, transfer_classifier, transfer_unet, unet_classifier
from hemokit.models.unet import unet
from hemokit.training.finetuning import freeze, unfreeze
from hemokit.training.run_record import describe_model

SMALL, LARGE = "VGG16", ("Xception", "InceptionResNetV2")  # the quickest to build; those with layers of other kinds
# Weights without the top, as keras.io/api/applications and the files' own summaries give them.
PARAMETERS = {
    "VGG16": 14_714_688,
    "ResNet50": 23_587_712,
    "Xception": 20_861_480,
    "DenseNet121": 7_037_504,
    "DenseNet169": 12_642_880,
    "InceptionResNetV2": 54_336_736,
}
SKIPS = {  # as math7243 prints them
    "ResNet50": "conv1_relu conv2_block3_out conv3_block4_out conv4_block6_out conv5_block3_out",
    "Xception": "block2_sepconv2_bn block3_sepconv2_bn block4_sepconv2_bn block13_sepconv2_bn block14_sepconv2_bn",
}
images = np.random.default_rng(0).random((2, 40, 33, 1), np.float32)


@pytest.fixture(scope="module")
def encoder():
    return backbone_encoder(SMALL, (40, 33, 1))


def filled(size):
    return -(-size // STRIDE) * STRIDE


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("VGG16", "Xception") else pytest.mark.promises) for name in BACKBONES],
)
def test_levels_of_an_odd_size(name):
    """At an odd size, level k is 1 / 2**k of the filled size; there are as many weights as published."""
    built = backbone_encoder(name, (257, 72, 3))
    expected = [(filled(257) >> level, filled(72) >> level) for level in range(1, 6)]
    assert [tuple(output.shape[1:3]) for output in built.outputs] == expected
    assert built.count_params() == PARAMETERS[name]
    assert built.output_names == ["p1", "p2", "p3", "p4", "p5"]


@pytest.mark.promises
@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("size", [224, 256, 257, 512])
def test_levels_of_every_backbone(name, size):
    """Each backbone gives its five levels at the sizes that papers use, and at an odd one."""
    built = backbone_encoder(name, (size, size, 3))
    assert [output.shape[1] for output in built.outputs] == [filled(size) >> level for level in range(1, 6)]


@pytest.mark.parametrize("name", SKIPS)
def test_levels_are_those_of_the_paper(name):
    """The levels are the layers that math7243 names."""
    assert " ".join(BACKBONES[name].levels) == SKIPS[name]


@pytest.mark.promises
@pytest.mark.parametrize("name", BACKBONES)
def test_levels_lie_over_the_image(name):
    """The pixels that move a cell of a level lie around its place, to half a cell and a pixel, at an odd size too."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    size = 150
    built = backbone_encoder(name, (size, size, 1))
    image = tf.constant(np.random.default_rng(1).random((1, size, size, 1), np.float32))
    for level in (1, 2, 3):
        cell = size // 2 // 2**level
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(tf.abs(built(image, training=False)[level - 1][0, cell, cell]))
        weight = np.abs(tape.gradient(value, image).numpy()[0, ..., 0])
        rows = weight.sum(axis=1)
        center = (rows * np.arange(size)).sum() / rows.sum()
        assert abs(center - (2**level * (cell + 0.5) - 0.5)) <= 2**level / 2 + 1


@pytest.mark.parametrize("name", BACKBONES)
def test_scaling_is_that_of_the_weights(name):
    """Images in [0, 1] are scaled as keras.applications scales 8-bit ones for the same weights."""
    others = {"DenseNet121": "densenet", "DenseNet169": "densenet", "InceptionResNetV2": "inception_resnet_v2"}
    image = keras.Input((32, 32, 3))
    scaled = keras.Model(image, backbones._scaled(image, BACKBONES[name].scaling))
    given = np.random.default_rng(2).random((1, 32, 32, 3), np.float32)
    expected = getattr(keras.applications, others.get(name, name.lower())).preprocess_input(given * 255)
    np.testing.assert_allclose(scaled.predict(given, verbose=0), expected, atol=2e-4)


def test_gray_is_repeated(encoder):
    """A gray image gives what the same image as a composite of three equal windows gives."""
    color = backbone_encoder(SMALL, (40, 33, 3))
    color.set_weights(encoder.get_weights())
    pairs = zip(encoder.predict(images, verbose=0), color.predict(images.repeat(3, -1), verbose=0), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_filling_is_black(encoder):
    """What fills up an odd size is black: the same as an image that was black there itself."""
    larger = backbone_encoder(SMALL, (64, 64, 1))
    larger.set_weights(encoder.get_weights())
    black = np.pad(images, ((0, 0), (0, 24), (0, 31), (0, 0)))
    pairs = zip(encoder.predict(images, verbose=0), larger.predict(black, verbose=0), strict=True)
    assert all(np.allclose(*pair, atol=1e-5) for pair in pairs)


def test_field_of_a_layer():
    """Layers of an encoder lie over the filled image, and what is left of its margin; others over the image."""
    for name, cells, field in (
        *(("VGG16", 64, (0, 64)), ("VGG16", 2, (0, 64)), ("ResNet50", 34, (-2, 68))),  # the last one is padded
        *(("Xception", 69, (-2, 69)), ("Xception", 32, (0, 64)), ("Xception", 2, (0, 64))),
        *(("InceptionResNetV2", 107, (-21, 107)), ("InceptionResNetV2", 51, (-38 * 21 / 43, 102))),
        *(("InceptionResNetV2", 11, (-24 * 21 / 43, 88)), ("InceptionResNetV2", 2, (0, 64))),
        ("unet", 16, (0, 33)),
    ):
        assert field_of(keras.Model(name=name), "any", cells, 33) == field, (name, cells)


@pytest.mark.parametrize("name", ["InceptionResNetV2", "VGG16"])
def test_field_of_a_level(name):
    """Level k has the stride 2**k, on the smallest image too, where the margin is wider than the image."""
    for size, filled in ((32, 32), (33, 64)):
        for number in range(1, 6):
            cells = filled // 2**number
            assert field_of(keras.Model(name=name), f"p{number}", cells, size) == (0, filled)


def test_field_of_a_layer_behind_an_encoder():
    """A decoder lies over the filled image as the levels do; what has a cell for each pixel, over the image."""
    image = keras.Input((33, 32, 1))
    model = keras.Model(image, keras.Model(image, image + 1, name="VGG16")(image))
    for cells, size, field in ((32, 33, 64), (4, 33, 64), (33, 33, 33), (16, 32, 32), (32, 32, 32)):
        assert field_of(model, "decoder1_relu", cells, size) == (0, field), (cells, size)


def test_weights_from_a_file(encoder, tmp_path):
    """The weights of an encoder, and those of a whole model of another head, start another encoder."""
    model = transfer_classifier(SMALL, (32, 32, 3), num_classes=6, multi_label=True)
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    encoder.save(tmp_path / "encoder.keras")
    model.save(tmp_path / "best.keras")
    files = {"encoder.weights.h5": encoder, "encoder.keras": encoder, "best.keras": encoder_of(model)}
    for path, weights in files.items():
        started = transfer_classifier(SMALL, (32, 32, 1), num_classes=2, weights=tmp_path / path)
        pairs = zip(encoder_of(started).get_weights(), weights.get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)


def test_weights_of_keras_applications(tmp_path, monkeypatch):
    """weights="imagenet" takes the file that Keras downloads, in its older format; so does the path of that file."""
    network = keras.applications.VGG16(include_top=False, weights=None)
    path, asked = str(tmp_path / "vgg16_notop.h5"), []
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)

    def download(name, url, **options):
        asked.append(url)
        return path

    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", download)
    for weights in ("imagenet", path):
        started = backbone_encoder(SMALL, (40, 33, 1), weights=weights)
        assert all(np.array_equal(*pair) for pair in zip(started.get_weights(), network.get_weights(), strict=True))
    assert len(asked) == 1 and "vgg16" in asked[0] and "notop" in asked[0]


def test_no_download(monkeypatch):
    """Where ImageNet's weights cannot be downloaded, one sentence tells the way out."""

    def download(*args, **kwargs):
        raise OSError("no way there")

    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", download)
    with pytest.raises(HemokitError, match=r"VGG16 cannot be downloaded \(no way there\).*weights=PATH.*None"):
        transfer_classifier(SMALL, (40, 33, 1), num_classes=2, weights="imagenet")


@pytest.mark.parametrize(
    "error, told",
    [
        (
            Exception("URL fetch failure on https://x: 404 -- Not Found"),
            "VGG16 cannot be downloaded .URL fetch failure",
        ),
        (
            ValueError("Incomplete or corrupted file detected. The sha256 file hash"),
            "downloaded .Incomplete or corrupt",
        ),
        (RuntimeError("out of memory"), "^out of memory"),
    ],
)
def test_what_is_no_download(monkeypatch, error, told):
    """Keras' own words for a failed download are told as one; every other error stays what it is."""

    def download(*args, **kwargs):
        raise error

    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", download)
    with pytest.raises(RuntimeError if isinstance(error, RuntimeError) else HemokitError, match=told):
        backbone_encoder(SMALL, (40, 33, 1), weights="imagenet")


@pytest.mark.promises
def test_weights_that_do_not_fit(encoder, tmp_path):
    """A missing file, a damaged one and the weights of another network are refused, with their name."""
    (tmp_path / "torn.weights.h5").write_bytes(b"no weights")
    keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None).save_weights(
        tmp_path / "other.weights.h5"
    )
    transfer_classifier("DenseNet121", (32, 32, 1), num_classes=2).save(tmp_path / "other.keras")
    transfer_classifier(SMALL, (32, 32, 1), num_classes=2).save_weights(tmp_path / "whole.weights.h5")
    plain_cnn((32, 32, 1), num_classes=2).save(tmp_path / "plain.keras")
    before = encoder.get_weights()
    with pytest.raises(HemokitError, match=r"gone\.h5.*no such file"):
        load_encoder_weights(encoder, tmp_path / "gone.h5")
    for name, told in (
        ("torn.weights.h5", ""),
        ("other.weights.h5", ""),
        ("other.keras", "is of DenseNet121"),
        ("whole.weights.h5", r"\(A total of \d+ objects could not be loaded\)"),
        ("plain.keras", "is of 'plain_cnn', which has no backbone"),
    ):
        with pytest.raises(HemokitError, match=rf"{name}.*do not fit.*{told}.*those of VGG16.*the encoder VGG16 alone"):
            load_encoder_weights(encoder, tmp_path / name)
        assert all(np.array_equal(*pair) for pair in zip(encoder.get_weights(), before, strict=True))


def test_pool_classifier():
    """northeastern's head is one dense layer on the mean features; a softmax sums to 1, sigmoids need not."""
    model = transfer_classifier(SMALL, (32, 32, 3), num_classes=7)
    assert model.count_params() == PARAMETERS[SMALL] + 512 * 7 + 7
    given = images[:, :32, :32].repeat(3, -1)
    np.testing.assert_allclose(model.predict(given, verbose=0).sum(axis=-1), 1, atol=1e-6)
    labels = transfer_classifier(SMALL, (32, 32, 3), num_classes=6, multi_label=True)
    answered = labels.predict(given, verbose=0)
    assert ((answered > 0) & (answered < 1)).all()
    assert (answered.sum(axis=-1) > 1.5).all()  # random weights: about one half each, six times


def test_decoder_classifier():
    """math7243's head joins four skips, and ends in Dense 256, 128 and the classes."""
    model = transfer_classifier(SMALL, (40, 33, 1), num_classes=7, head="decoder", filters=(8, 8, 4, 4))
    joined = [model.get_layer(f"decoder{number}_join").output.shape[1:3] for number in (4, 3, 2, 1)]
    assert joined == [(4, 4), (8, 8), (16, 16), (32, 32)]
    units = [model.get_layer(name).units for name in ("dense1", "dense2", "logits")]
    assert units == [256, 128, 7]
    assert [model.get_layer(f"dense{number}_dropout").rate for number in (1, 2)] == [0.4, 0.3]
    assert model.predict(images, verbose=0).shape == (2, 7)


def test_plain_cnn_has_ten_layers():
    """The plain network has ten layers with weights, and learns to tell black from white."""
    keras.utils.set_random_seed(0)
    model = plain_cnn((17, 16, 2), num_classes=2, filters=(4, 4, 4, 4))
    assert sum(bool(layer.weights) for layer in model.layers) == 10
    given = np.zeros((8, 17, 16, 2), np.float32)
    given[::2] = 1
    truth = np.tile([1, 0], 4)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    steps = [float(model.train_on_batch(given, truth)) for _ in range(30)]
    assert steps[-1] < 0.1


@pytest.mark.parametrize("name", [SMALL, *(pytest.param(one, marks=pytest.mark.slow) for one in LARGE)])
def test_saved_and_loaded(tmp_path, name):
    """A saved classifier gives the same probabilities again, whatever layers Keras has in its backbone."""
    model = transfer_classifier(name, (40, 33, 1), num_classes=2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(images), again(images))  # called as they are: nothing to compile


@pytest.mark.parametrize(
    "options, told",
    [
        ({"backbone": "ResNet18"}, "backbone is 'ResNet18', but expected one of 'VGG16', 'ResNet50'"),
        ({"input_shape": (64, 64)}, r"input_shape is \(64, 64\), but expected \(height, width, channels\)"),
        ({"input_shape": (None, 64, 3)}, r"input_shape is \(None, 64, 3\)"),
        ({"input_shape": (64, 64, 2)}, "the image has 2 channels, but expected 1 or 3"),
        ({"input_shape": (31, 64, 3)}, "the image has 31x64 pixels, but expected 32 or more"),
        ({"num_classes": 1}, "num_classes is 1, but expected a whole number from 2"),
        ({"num_classes": 2.0}, "num_classes is 2.0"),
        ({"head": "dense"}, "head is 'dense', but expected one of"),
        ({"head": "decoder", "filters": (8, 8)}, r"filters is \(8, 8\), but expected 4 positive whole numbers"),
        ({"head": "decoder", "filters": (8,) * 5}, r"filters is \(8, 8, 8, 8, 8\), but expected 4 positive"),
    ],
)
def test_wrong_arguments(options, told):
    """Every wrong argument gets one clear sentence."""
    given = {"backbone": "VGG16", "input_shape": (64, 64, 3), "num_classes": 2, **options}
    with pytest.raises(HemokitError, match=told):
        transfer_classifier(given.pop("backbone"), given.pop("input_shape"), **given)


def test_plain_cnn_is_not_deeper_than_its_images():
    """Each pair of convolutions halves the image, so that it must have 2**pairs pixels a side; no pair is refused."""
    with pytest.raises(HemokitError, match="the image has 16x16 pixels, but expected 64 or more a side"):
        plain_cnn((16, 16, 1), num_classes=2, filters=(2,) * 6)
    assert plain_cnn((4, 5, 1), num_classes=2, filters=(2, 2)).output_shape == (None, 2)
    with pytest.raises(HemokitError, match=r"filters is \(\), but expected 1 or more positive whole numbers"):
        plain_cnn((16, 16, 1), num_classes=2, filters=())


@pytest.mark.parametrize(
    "shape, outputs, options, told",
    [
        ((8, 8, 1), 2, {}, "the segmenter has 2 outputs for each pixel, but expected one"),
        ((None, None, 1), 1, {}, r"images of \(None, None, 1\), but expected sizes that are known"),
        ((8, 8, 8, 1), 1, {}, "the segmenter is 'unet', but expected a U-Net of models.unet.unet in 2-D"),
        ((8, 8, 1), 1, {"dropout": 3}, "dropout is 3, but expected a number from 0 to below 1"),
        ((8, 8, 1), 1, {"num_classes": 0}, "num_classes is 0"),
    ],
)
def test_wrong_segmenters(shape, outputs, options, told):
    """A U-Net that cannot become a classifier, and wrong numbers, get one sentence each."""
    with pytest.raises(HemokitError, match=told):
        unet_classifier(unet(shape, num_outputs=outputs, filters=(2, 2)), **{"num_classes": 2, **options})


def test_model_without_a_backbone():
    """encoder_of names what it looked for."""
    with pytest.raises(HemokitError, match="the model 'plain_cnn' has no backbone, but expected one of VGG16"):
        encoder_of(plain_cnn((16, 16, 1), num_classes=2))


def test_two_builds_are_one_architecture():
    """The numbers that Keras gives its operations in a process do not make another run of the same model."""
    first, second = (describe_model(transfer_classifier("VGG16", (32, 32, 1), num_classes=2)) for _ in range(2))
    assert first == second


def decoder_count(features, filters=(256, 128, 64, 32, 16)):
    """Weights of transfer_unet beside its backbone, block by block: transposed, 3-wide without bias, normalization."""
    total, below = 0, features[-1]
    for own, skip in zip(filters, (*features[-2::-1], 0), strict=True):
        total += below * own * 4 + own + (own + skip) * own * 9 + 4 * own
        below = own
    return total + below + 1


@pytest.mark.parametrize(
    "name, features, documented",
    [
        ("VGG16", (128, 256, 512, 512, 512), 18_155_009),
        pytest.param("ResNet50", (64, 256, 512, 1024, 2048), 29_762_113, marks=pytest.mark.promises),
        pytest.param("Xception", (128, 256, 728, 1024, 2048), 27_303_145, marks=pytest.mark.promises),
        pytest.param("DenseNet121", (64, 256, 512, 1024, 1024), 12_163_329, marks=pytest.mark.promises),
        pytest.param("DenseNet169", (64, 256, 512, 1280, 1664), 19_013_889, marks=pytest.mark.promises),
        pytest.param("InceptionResNetV2", (64, 192, 320, 1088, 1536), 59_876_257, marks=pytest.mark.promises),
    ],
)
def test_unet_on_every_backbone(name, features, documented):
    """A U-Net on each backbone has the documented size, and a mask of the image's own, odd size."""
    model = transfer_unet(name, (40, 33, 1))
    assert model.count_params() == PARAMETERS[name] + decoder_count(features) == documented
    assert model.output.shape == (None, 40, 33, 1) and model.name == f"{name}_unet"
    result = np.asarray(model(images))
    assert result.dtype == np.float32 and (result >= 0).all() and (result <= 1).all()


@pytest.mark.promises
def test_unet_at_the_size_of_the_paper():
    """math7243's: 512x512 in and out on ResNet50, joined at 32, 64, 128 and 256 pixels."""
    model = transfer_unet("ResNet50", (512, 512, 3))
    joined = [model.get_layer(f"decoder{number}_join").output.shape[1] for number in (4, 3, 2, 1)]
    assert joined == [32, 64, 128, 256] and model.output.shape == (None, 512, 512, 1)


def test_unet_lies_over_the_image():
    """The mask is cropped below and at the right, where the image was filled; black is told from bright in place."""
    keras.utils.set_random_seed(0)
    model = transfer_unet(SMALL, (33, 40, 1), filters=(2, 2, 2, 2, 4), num_outputs=2)
    assert model.get_layer("cropped").cropping == ((0, 31), (0, 24))
    image = np.zeros((1, 33, 40, 1), np.float32)
    image[:, 4:8, 30:34] = 1
    change = np.abs(np.asarray(model(image) - model(0 * image))).sum((0, 3))
    assert change[3:9, 29:35].mean() > change[27:, :6].mean()


@pytest.mark.slow
def test_unet_learns_while_its_backbone_is_frozen():
    """Frozen, the decoder alone learns; unfrozen, the backbone does. A batch of empty masks is no trouble."""
    keras.utils.set_random_seed(0)
    model = freeze(transfer_unet(SMALL, (32, 32, 1), filters=(4,) * 5))
    model.compile(keras.optimizers.Adam(0.01), dice_loss)
    masks = np.zeros((2, 32, 32, 1), np.float32)
    before = [weight.copy() for weight in encoder_of(model).get_weights()]
    steps = [float(model.train_on_batch(images[:, :32, :32], masks)) for _ in range(3)]
    assert np.isfinite(steps).all() and steps[-1] < steps[0]
    assert all(np.array_equal(*pair) for pair in zip(before, encoder_of(model).get_weights(), strict=True))
    assert len(unfreeze(model).trainable_weights) == len(encoder_of(model).weights) + 5 * 5 + 2


@pytest.mark.slow
def test_unet_is_saved_and_starts_another(tmp_path):
    """A file of a U-Net gives the same masks, and its backbone starts a classifier."""
    model = transfer_unet(SMALL, (40, 33, 1), filters=(2,) * 5)
    model.save(tmp_path / "unet.keras")
    again = keras.saving.load_model(tmp_path / "unet.keras")
    np.testing.assert_array_equal(model(images), again(images))
    other = transfer_classifier(SMALL, (40, 33, 1), num_classes=2, weights=tmp_path / "unet.keras")
    pairs = zip(encoder_of(model).get_weights(), encoder_of(other).get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"backbone": "UNet"}, "backbone is 'UNet', but expected one of 'VGG16', 'ResNet50'"),
        ({"input_shape": (8, 64, 64, 1)}, r"input_shape is \(8, 64, 64, 1\), but expected \(height, width, channels\)"),
        ({"input_shape": (31, 64, 3)}, "the image has 31x64 pixels, but expected 32 or more"),
        ({"filters": (8,) * 4}, r"filters is \(8, 8, 8, 8\), but expected 5 positive whole numbers"),
        ({"num_outputs": 0}, "num_outputs is 0"),
        ({"dropout": 1}, "dropout is 1, but expected a number from 0 to below 1"),
    ],
)
def test_wrong_unets(options, told):
    """Every wrong argument of a U-Net on a backbone gets one clear sentence."""
    given = {"backbone": SMALL, "input_shape": (64, 64, 3), **options}
    with pytest.raises(HemokitError, match=told):
        transfer_unet(given.pop("backbone"), given.pop("input_shape"), **given)
