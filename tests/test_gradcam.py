"""Grad-CAM: maps that are known exactly, a second implementation, the sanity checks, other backends."""

import warnings

import cv2
import keras
import numpy as np
import pytest
from gradcam_cases import known
from keras import layers
from test_backends import backend, run  # noqa: F401  (a fixture)

from hemokit.checks import HemokitError
from hemokit.evaluation import pointing_game
from hemokit.gradcam import gradcam, gradcam_batch, gradients, spatial_layers
from hemokit.gradcam import layers as layers_of
from hemokit.labels import SUBTYPES
from hemokit.models.transfer import plain_cnn, transfer_classifier
from hemokit.models.unet import unet

BACKEND = """
sys.path.insert(0, "tests")
import keras
import numpy as np
from gradcam_cases import known
from hemokit.gradcam import gradcam
from hemokit.models.unet import unet

for shape, nested in (((8, 9, 1), True), ((2, 8, 9, 1), False)):
    image, model = np.random.default_rng(0).random(shape, np.float32), known(shape, nested=nested)
    heats = [gradcam(model, image, label=label) for label in range(3)]
    bright, dark = image[..., 0], 1 - image[..., 0]
    np.testing.assert_allclose(heats, [bright / bright.max(), 0 * bright, dark / dark.max()], rtol=1e-5)
assert gradcam(unet((8, 8, 1), filters=(2, 3)), np.ones((8, 8)), label=0).shape == (8, 8)
print(keras.backend.backend())
"""


def random_image(*shape, seed=0):
    """An image of any shape, in [0, 1]."""
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("last", ["sigmoid", "softmax", None])
@pytest.mark.parametrize("shape", [(7, 9, 1), (3, 7, 8, 1)])
def test_known_maps(shape, last, nested):
    """In 2-D and 3-D, nested or not: what is bright, nothing where only evidence against it is, and what is dark."""
    model, image = known(shape, last=last, nested=nested), random_image(*shape)
    heats = [gradcam(model, image, label=label) for label in range(3)]
    bright, dark = image[..., 0], 1 - image[..., 0]
    np.testing.assert_allclose(heats, [bright / bright.max(), 0 * bright, dark / dark.max()], rtol=1e-5)
    assert heats[0].dtype == np.float32 and heats[0].max() == 1
    np.testing.assert_array_equal(gradcam(model, image[..., 0], label=np.int64(2)), heats[2])


@pytest.mark.parametrize("layer", ["encoder1_relu2", "bottleneck_relu2"])
def test_maps_of_a_batch(layer):
    """Each image of a batch has the map that it has alone, an empty image too; no images have none."""
    keras.utils.set_random_seed(2)
    model = unet((8, 12, 1), filters=(3, 4), batch_norm=True)
    images = np.stack([random_image(8, 12, 1), np.zeros((8, 12, 1)), random_image(8, 12, 1, seed=1)])
    alone = [gradcam(model, image, label=0, layer=layer) for image in images]
    together = gradcam_batch(model, images, label=0, layer=layer)
    assert np.max(together) == 1 and together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-5)
    for wrong, came in ((images[:0], r"no image of the shape \(8, 12, 1\)"), (None, r"no image of the shape \(\)"),
                        ([images[0], images[1][:4]], "images that make no array")):  # fmt: skip
        with pytest.raises(HemokitError, match=came):
            gradcam_batch(model, wrong, label=0)
    any_size = unet((None, None, 1), filters=(3, 4))
    with pytest.raises(HemokitError, match=r"an image of the shape \(12, 1\)"):  # one image is no batch of columns
        gradcam_batch(any_size, images[0], label=0)


@pytest.mark.parametrize("end", [layers.Softmax(), layers.Activation("softmax"), keras.ops.softmax, keras.ops.sigmoid])
def test_every_kind_of_end_is_left_out(end):
    """However a model makes probabilities, the map is of the logit; the model stays as it was."""
    image = keras.Input((4, 5, 1))
    logits = layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1, name="one")(image)))
    model = keras.Model(image, end(logits))
    model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1), np.float32([[1000, 1]]), np.zeros(2)])
    x = random_image(4, 5, 1)
    before = keras.ops.convert_to_numpy(model(x[None]))
    np.testing.assert_allclose(gradcam(model, x, label=0), x[..., 0] / x.max(), rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x[None])), before)


def test_coarse_maps_are_enlarged_about_the_middle_of_their_cells():
    """A layer of a quarter of the size: linear between the middles of its cells, even beyond the outermost ones."""
    model, image = known((8, 12, 1), pool=4), random_image(8, 12, 1)
    cells = image[..., 0].reshape(2, 4, 3, 4).mean(axis=(1, 3))
    expected = cv2.resize(cells, (12, 8), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(gradcam(model, image, label=0), expected / expected.max(), rtol=1e-5)


def reference_of(model):
    """Grad-CAM by tf-keras-vis, before it is enlarged: a function (image, label, layer)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports SciPy by an old name
        gradcams = pytest.importorskip("tf_keras_vis.gradcam", exc_type=ImportError)
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import CategoricalScore
    other = gradcams.Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    raw = {"expand_cam": False, "normalize_cam": False}
    return lambda image, label, layer: np.asarray(other(CategoricalScore(label), image[None], layer, **raw))[0]


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis is for TensorFlow")
def test_against_tf_keras_vis():
    """On a flat model of an odd size the map is that of another implementation, enlarged by OpenCV."""
    keras.utils.set_random_seed(1)
    model, image = plain_cnn((23, 34, 1), num_classes=3, filters=(3, 4, 5)), random_image(23, 34, 1)
    reference, lit = reference_of(model), 0
    cases = [("block1_conv2", 0), ("block1_conv2", 1), ("block2_conv1", 2), ("block3_conv2", 0), ("block3_conv2", 2)]
    for layer, label in cases:
        expected = cv2.resize(reference(image, label, layer), (34, 23), interpolation=cv2.INTER_LINEAR)
        lit += expected.max() > 0
        expected = expected / (expected.max() or 1)
        np.testing.assert_allclose(gradcam(model, image, label=label, layer=layer), expected, atol=1e-4)
    assert lit > 1


@pytest.mark.parametrize(
    "count, multi_label, given, name, number",
    [
        (6, True, None, "subdural", 5),
        (7, False, None, "multi", 6),
        (2, False, ("epidural", "subdural"), "subdural", 1),
        (6, False, ["normal", *SUBTYPES], "epidural", 1),
        (1, True, ("any",), "any", 0),
    ],
)
def test_names_of_labels(count, multi_label, given, name, number):
    """Names stand for numbers: those that are given, and else those of six sigmoids or of seven classes."""
    keras.utils.set_random_seed(3)
    model = plain_cnn((16, 16, 1), num_classes=count, multi_label=multi_label, filters=(8,))
    model.set_weights([np.abs(one) for one in model.get_weights()])  # no feature is dead
    model.get_layer("dense1").set_weights([np.eye(8, 128), np.zeros(128)])
    model.get_layer("logits").set_weights([np.eye(128, count), np.zeros(count)])  # feature k speaks for label k
    image = random_image(16, 16)
    heats = [gradcam(model, image, label=one, names=given) for one in range(count)]
    assert all(heat.any() for heat in heats)
    same = [np.array_equal(gradcam(model, image, label=name, names=given), heat) for heat in heats]
    assert same == [one == number for one in range(count)]


def test_random_weights_change_the_map():
    """The map is of the model, not of the edges in the image (Adebayo et al. 2018, Sanity Checks for Saliency Maps)."""
    image, heats = random_image(32, 32), []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = plain_cnn((32, 32, 1), num_classes=2, filters=(4, 8))
        heats += [gradcam(model, image, label=label) for label in (0, 1)]
    lit = [heat for heat in heats if heat.any()]
    assert len(lit) >= 3
    distances = [np.abs(one - two).mean() for number, one in enumerate(lit) for two in lit[:number]]
    assert min(distances) > 0.01


def test_dead_features_give_zeros():
    """Where ReLU lets nothing through, the map is zeros, not a division by zero."""
    model = known((7, 8, 1))
    model.get_layer("features").set_weights([np.zeros((1, 1, 1, 2)), np.float32([-1, -1])])
    heat = gradcam(model, random_image(7, 8), label=0)
    assert heat.shape == (7, 8) and not heat.any()


@pytest.mark.promises
def test_planted_patch_on_a_backbone(backbone="Xception"):
    """On a nested backbone and an image of odd sizes the map of a patch lies over the patch, wherever it is.

    The head of random features is set so that it tells the patch from no patch: the change that the patch in the
    middle brings to the features under it, less what they have in common with those of an image without it.
    """
    keras.utils.set_random_seed(0)
    size = (161, 131)
    model = transfer_classifier(backbone, (*size, 1), num_classes=1, multi_label=True)
    features = model.get_layer(backbone)

    blank = np.full((*size, 1), 0.3, np.float32)

    def patch_at(row, column):
        image = blank.copy()
        image[row - 16 : row + 16, column - 16 : column + 16] = np.random.default_rng(0).random((32, 32, 1))
        return image

    empty, full = (keras.ops.convert_to_numpy(features(one[None])[-1])[0] for one in (blank, patch_at(80, 80)))
    change = (full - empty)[2, 2]
    base = empty.reshape(-1, empty.shape[-1])
    basis = np.linalg.svd(base, full_matrices=False)[2][: len(base) - 1]
    change = change - basis.T @ (basis @ change)
    model.get_layer("logits").set_weights([change[:, None], np.zeros(1)])
    for row, column in ((80, 80), (48, 80), (112, 48)):
        heat = gradcam(model, patch_at(row, column), label=0)
        assert heat.shape == size
        found = np.array(np.unravel_index(heat.argmax(), size))
        assert np.abs(found - (row, column)).max() <= 16, (row, column, found)


def test_planted_patch_behind_a_filled_image():
    """On an image of no multiple of 32, the map of a decoder behind a backbone lies on the patch, to the pixel.

    The first layers and the last block are set to hand on where the image is bright.
    """
    model = transfer_classifier(
        "VGG16", (100, 70, 1), num_classes=1, multi_label=True, head="decoder", filters=(1,) * 4
    )
    encoder = model.get_layer("VGG16")
    names = ("block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2")
    for layer in (*(encoder.get_layer(name) for name in names), model.get_layer("decoder1_conv")):
        weights = [np.zeros_like(one) for one in layer.get_weights()]
        weights[0][1, 1, int(layer.name == "decoder1_conv"), 0] = 1  # behind the one feature from below: p1's first
        layer.set_weights(weights)
    for name in ("dense1", "dense2", "logits"):
        layer = model.get_layer(name)
        layer.set_weights([np.ones_like(layer.kernel), np.zeros_like(layer.bias)])
    patch = np.zeros((100, 70), bool)
    patch[72:84, 46:60] = True
    for name in (None, "decoder1_conv", "p1"):
        np.testing.assert_array_equal(gradcam(model, patch, label=0, layer=name) > 0.5, patch, err_msg=str(name))


@pytest.mark.promises
def test_a_trained_model_points_at_what_it_was_trained_on():
    """Trained on noise with and without a bright square, the map's maximum lies on the square far above chance."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images, masks = rng.normal(0.4, 0.1, (256, 32, 32, 1)).clip(0, 1), np.zeros((256, 32, 32), bool)
    for mask, row, column in zip(masks[::2], *rng.integers(2, 26, (2, 128)), strict=True):
        mask[row : row + 4, column : column + 4] = True
    images[masks] += 0.4
    model = plain_cnn((32, 32, 1), num_classes=1, multi_label=True, filters=(8, 16))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(images, masks.any(axis=(1, 2))[:, None], batch_size=16, epochs=6, verbose=0)
    heats = [gradcam(model, image, label=0) for image in images[:40:2]]
    game = pointing_game(heats, masks[:40:2], tolerance=2)
    assert game.chance < 0.1 and game.score > 0.7, game


def test_segmentation_models():
    """A U-Net in 2-D and 3-D: by default the end of the bottleneck; a decoder layer too; sizes that are not known."""
    keras.utils.set_random_seed(0)
    for shape, image in (((8, 12, 1), (8, 12)), ((4, 8, 6, 1), (4, 8, 6)), ((None, None, 1), (10, 6))):
        model = unet(shape, filters=(2, 3))
        image = random_image(*image)
        heat = gradcam(model, image, label=0)
        assert heat.shape == image.shape and heat.dtype == np.float32 and heat.max() <= 1
        np.testing.assert_array_equal(heat, gradcam(model, image, label=0, layer="bottleneck_relu2"))
        assert gradcam(model, image, label=0, layer="decoder1_relu1").shape == image.shape


class Pooled(keras.Model):
    """A model whose layers cannot be seen from outside."""

    def __init__(self):
        super().__init__(name="pooled")
        self.pool = layers.AveragePooling2D(1)

    def call(self, images):
        return self.pool(images)


def test_models_written_in_other_ways():
    """One output in a dict, a sigmoid of keras.ops as the activation, and a subclass of keras.Model as a layer."""
    plain, image = known((7, 8, 1)), random_image(7, 8)
    expected = gradcam(plain, image, label=0, layer="features")
    inner = Pooled()(plain.get_layer("features").output)
    answer = layers.Dense(3, activation=keras.ops.sigmoid)
    model = keras.Model(plain.input, {"answer": answer(layers.GlobalAveragePooling2D()(inner))})
    answer.set_weights(plain.get_layer("answer").get_weights())
    assert spatial_layers(model) == ["features", "pooled"]
    for layer in ("features", "pooled"):
        np.testing.assert_allclose(gradcam(model, image, label=0, layer=layer), expected, atol=1e-6)
    sigmoid = gradients.features_and_gradients(model, image[None, ..., None], layers_of.places_of(model)[0], 0)[1]
    np.testing.assert_allclose(sigmoid[..., 0], 1 / 56, rtol=1e-5)  # of the logit: the weight over 7 x 8 places


def test_a_layer_used_by_another_model_too():
    """A model that shares its layers with others (a head of its own, say) is mapped by its own graph."""
    model, image = known((7, 8, 1)), random_image(7, 8)
    expected = gradcam(model, image, label=0)
    again = keras.Input((7, 8, 1))
    model.get_layer("coarse")(model.get_layer("features")(again))
    np.testing.assert_array_equal(gradcam(model, image, label=0), expected)
    assert spatial_layers(model) == ["features", "coarse"]


def test_layers_off_the_way():
    """Only layers that the output depends on are listed, those inside of other models too."""
    model = known((7, 8, 1), pool=1, nested=True)
    assert spatial_layers(model) == ["features", "coarse"]
    head_of_p5 = transfer_classifier("VGG16", (32, 32, 1), num_classes=2)
    names = spatial_layers(head_of_p5)
    assert names[-1] == "p5" and "block4_conv3" in names and "p3" not in names


def flat():
    """A model without positions."""
    image = keras.Input((7, 8, 1))
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(image)))


def two_outputs():
    """A model of two outputs."""
    image = keras.Input((7, 8, 1))
    return keras.Model(image, [image + 1, image + 2])


def same_name_twice():
    """A model in which two layers have one name."""
    image, inside = keras.Input((7, 8, 1)), keras.Input((7, 8, 1))
    part = keras.Model(inside, layers.Conv2D(1, 1, name="conv")(inside))
    x = layers.Conv2D(1, 1, name="conv")(part(image))
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))


def diverged():
    """A model whose weights are not finite."""
    model = known((7, 8, 1))
    model.get_layer("answer").set_weights([np.full((2, 3), np.nan), np.zeros(3)])
    return model


def classes_of(count):
    """A model of some exclusive classes."""
    image = keras.Input((7, 8, 1))
    return keras.Model(
        image, layers.Dense(count, activation="softmax")(layers.GlobalMaxPooling2D()(layers.ReLU()(image)))
    )


GOOD = {"image": np.zeros((7, 8)), "label": 0}


@pytest.mark.parametrize(
    "build, changed, told",
    [
        (None, {"label": 3}, "label is 3, but expected a number from 0 to 2"),
        (None, {"label": -1}, "label is -1"),
        (None, {"label": True}, "label is True"),
        (None, {"label": 1.0}, "label is 1.0"),
        (None, {"label": "any"}, r"label is 'any', but expected a number from 0 to 2\. Pass a number, or .* names="),
        (lambda: classes_of(2), {"label": "hemorrhage"}, r"label is 'hemorrhage', .* from 0 to 1\. Pass a number"),
        (lambda: classes_of(6), {"label": "epidural"}, r"label is 'epidural', .* from 0 to 5\. Pass a number"),
        (lambda: classes_of(7), {"label": "any"}, "label is 'any', .* from 0 to 6, or one of normal, epidural"),
        (None, {"label": "c", "names": ("d", "e", "f")}, "label is 'c', .* from 0 to 2, or one of d, e, f"),
        (None, {"names": ("d", "e")}, r"names is \('d', 'e'\), but expected 3 different names"),
        (None, {"names": ("d", "e", "e")}, "expected 3 different names"),
        (None, {"names": (1, 2, 3)}, "expected 3 different names"),
        (None, {"names": "def"}, "names is 'def', but expected 3 different names"),
        (None, {"layer": "mean"}, "layer is 'mean', which is none of them, .* such as 'coarse'"),
        (same_name_twice, {"layer": "conv"}, "layer is 'conv', which 2 models have"),
        (None, {"image": np.zeros((8, 7))}, r"an image of the shape \(8, 7, 1\), float64, but .* \(7, 8, 1\)"),
        (None, {"image": np.zeros((2, 7, 8, 1))}, r"an image of the shape \(2, 7, 8, 1\)"),
        (None, {"image": np.zeros((7, 8, 3))}, r"an image of the shape \(7, 8, 3\)"),
        (None, {"image": np.full((7, 8), "x")}, "an image of the shape"),
        (None, {"image": np.full((7, 8), np.nan)}, "values that are not finite"),
        (flat, {}, "no layer of .* has positions"),
        (two_outputs, {}, "has 1 inputs and 2 outputs"),
        (lambda: "model", {}, "'model' has 0 inputs"),
        (diverged, {}, "layer 'coarse' for label 0 are not finite"),
    ],
)
def test_errors(build, changed, told):
    """What is wrong is told in one sentence."""
    model = (build or (lambda: known((7, 8, 1))))()
    with pytest.raises(HemokitError, match=told):
        gradcam(model, **{**GOOD, **changed})


def test_shared_layer_is_no_place():
    """A layer that is used twice has no features of its own."""
    image = keras.Input((7, 8, 1))
    conv = layers.Conv2D(1, 1, name="twice")
    model = keras.Model(image, layers.GlobalAveragePooling2D()(conv(conv(image))))
    with pytest.raises(HemokitError, match="no layer of"):
        spatial_layers(model)


def test_model_called_twice_has_no_places():
    """The inside of a model that is called twice has no features of its own; what lies behind both calls has."""
    image, inside = keras.Input((7, 8, 1)), keras.Input((7, 8, 1))
    shared = keras.Model(inside, layers.Conv2D(1, 1, name="shared")(inside))
    both = layers.Add(name="both")([shared(image), shared(layers.ReLU(name="before")(image))])
    model = keras.Model(image, layers.GlobalAveragePooling2D()(both))
    assert spatial_layers(model) == ["before", "both"]
    x = random_image(7, 8)
    shared.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    np.testing.assert_allclose(gradcam(model, x, label=0), x / x.max(), rtol=1e-6)
    with pytest.raises(HemokitError, match="layer is 'shared', which is none of them"):
        gradcam(model, x, label=0, layer="shared")
    once = keras.Model(image, layers.GlobalAveragePooling2D()(shared(image)))
    assert spatial_layers(once) == ["shared"]  # its other calls are off the way


@pytest.mark.promises
def test_other_backends(backend):  # noqa: F811
    """The known maps come out on JAX, and on PyTorch where it is installed."""
    assert run(BACKEND, backend)[-1] == backend
