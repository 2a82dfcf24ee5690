"""UNet++: its sizes against counts written out, its nodes against NumPy, several masks, backbones, and refusals."""

import keras
import numpy as np
import pytest

from hemokit import losses
from hemokit.checks import HemokitError
from hemokit.models.backbones import BACKBONES, encoder_of
from hemokit.models.unet import one_mask, unet, unet_plus_plus
from hemokit.training import fit, load
from hemokit.training.finetuning import freeze, unfreeze

SMALL = {"filters": (2, 3, 4)}
# Channels into and out of the transposed convolution, then into the block, of every node beside the encoder's.
NODES = {
    "concatenate": (
        *((32, 16, 32), (64, 32, 64), (128, 64, 128), (256, 128, 256)),  # column 1, from stride 1 down
        *((32, 16, 48), (64, 32, 96), (128, 64, 192)),
        *((32, 16, 64), (64, 32, 128)),
        *((32, 16, 80),),
    ),
    "add": (
        *((32, 16, 16), (64, 32, 32), (128, 64, 64), (256, 128, 128)),
        *((32, 16, 16), (64, 32, 32), (128, 64, 64)),
        *((32, 16, 16), (64, 32, 32)),
        *((32, 16, 16),),
    ),
}
# Features of p1 ... p5, and weights without the top: of the published networks.
BACKBONE_FEATURES = {
    "VGG16": (14_714_688, 128, 256, 512, 512, 512),
    "ResNet50": (23_587_712, 64, 256, 512, 1024, 2048),
    "Xception": (20_861_480, 128, 256, 728, 1024, 2048),
    "DenseNet121": (7_037_504, 64, 256, 512, 1024, 1024),
    "DenseNet169": (12_642_880, 64, 256, 512, 1280, 1664),
    "InceptionResNetV2": (54_336_736, 64, 192, 320, 1088, 1536),
}
DOCUMENTED = {
    "VGG16": 21_228_993,
    "ResNet50": 33_042_945,
    "Xception": 30_943_401,
    "DenseNet121": 15_444_161,
    "DenseNet169": 22_425_793,
    "InceptionResNetV2": 62_837_601,
}
quick_backbones = [
    pytest.param(name, marks=() if name == "VGG16" else pytest.mark.promises) for name in BACKBONES
]  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    """Every weight is repeatable."""
    keras.utils.set_random_seed(0)


def maps(model, x):
    """What a model gives, without the compiling of `predict`: an array, or a list of them."""
    found = model(x, training=False)
    return [np.asarray(one) for one in found] if isinstance(found, list) else np.asarray(found)


def block_count(channels, filters, width):
    """Weights of two convolutions with biases."""
    return channels * filters * width + filters + filters * filters * width + filters


def written_out(channels, skips, rank):
    """Weights of the default UNet++, node by node."""
    encoder = zip((channels, 16, 32, 64, 128), (16, 32, 64, 128, 256), strict=True)
    total = sum(block_count(*pair, 3**rank) for pair in encoder)
    for below, filters, joined in NODES[skips]:
        total += below * filters * 2**rank + filters + block_count(joined, filters, 3**rank)
    return total + 16 + 1


@pytest.mark.parametrize(
    "shape, skips, documented",
    [
        ((256, 256, 1), "concatenate", 2_261_601),
        ((256, 256, 1), "add", 1_925_217),
        ((16, 64, 64, 1), "concatenate", 6_550_913),
        ((16, 64, 64, 1), "add", 5_541_761),
        ((32, 48, 3), "concatenate", 2_261_601 + 2 * 16 * 9),
    ],
)
def test_sizes(shape, skips, documented):
    """As many parameters as the docstring says, which are those of its nodes written out."""
    expected = written_out(shape[-1], skips, len(shape) - 1)
    assert unet_plus_plus(shape, skips=skips).count_params() == expected == documented


def test_size_of_the_paper():
    """With the paper's filters, the 9.04 million parameters of its table; several masks are three more layers."""
    paper = {"filters": (32, 64, 128, 256, 512)}
    assert unet_plus_plus((64, 64, 1), **paper).count_params() == 9_041_601
    assert unet_plus_plus((64, 64, 1), **paper, deep_supervision=True).count_params() == 9_041_601 + 3 * 33


@pytest.mark.parametrize("name", quick_backbones)
def test_sizes_on_backbones(name):
    """As documented, which is the backbone and each node beside it written out; the mask has the image's odd size."""
    weights, *features = BACKBONE_FEATURES[name]
    filters, expected = (16, 32, 64, 128, 256), weights
    for column in range(1, 5):
        for level in range(1, 6 - column):
            below = features[level] if column == 1 else filters[level + 1]
            own = filters[level]
            expected += below * own * 4 + own + block_count(features[level - 1] + column * own, own, 9) + 8 * own
    expected += 32 * 16 * 4 + 16 + block_count(16, 16, 9) + 8 * 16 + 16 + 1
    model = unet_plus_plus((40, 33, 1), backbone=name)
    assert model.count_params() == expected == DOCUMENTED[name]
    assert model.output.shape == (None, 40, 33, 1) and model.name == f"{name}_unet_plus_plus"


@pytest.mark.slow
def test_what_addition_saves():
    """The outputs of all layers for one image take as many MiB as the docstring says."""

    def mebibytes(model):
        return sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers) * 4 / 2**20

    for shape, options in (((256, 256, 1), {}), ((16, 64, 64, 1), {"halve_slices": 1})):
        models = unet_plus_plus(shape, **options), unet_plus_plus(shape, skips="add", **options), unet(shape, **options)
        assert [mebibytes(model) for model in models] == pytest.approx([236, 181, 101], abs=1)


def test_layer_names():
    """The names are those of the module's docstring: files of weights and heat maps hang on them."""
    block = ("conv1", "norm1", "relu1", "conv2", "norm2", "relu2")
    expected = {f"node{level}_0_{part}" for level in range(3) for part in block} | {"node0_0_pool", "node1_0_pool"}
    expected |= {f"node{node}_{part}" for node in ("0_1", "1_1", "0_2") for part in ("up", "join", *block)}
    names = {layer.name for layer in unet_plus_plus((8, 12, 1), **SMALL, batch_norm=True).layers}
    assert names == expected | {"image", "logits", "probability"}
    without = {layer.name for layer in unet_plus_plus((8, 12, 1), **SMALL).layers}
    assert without == {name for name in names if "norm" not in name}
    several = unet_plus_plus((8, 12, 1), **SMALL, deep_supervision=True)
    assert several.output_names == ["probability1", "probability2"]


@pytest.mark.parametrize("skips", ["concatenate", "add"])
def test_nodes_are_made_of_those_left_and_below(skips):
    """Node (0, 2), written out from the nodes that the model gives: (0, 0), (0, 1), and (1, 1) enlarged."""
    model = unet_plus_plus((8, 12, 1), **SMALL, skips=skips)
    x = np.random.default_rng(0).random((2, 8, 12, 1), np.float32)

    def outputs(*names):
        layers = [model.get_layer(name).output for name in names]
        return [np.asarray(one) for one in keras.Model(model.input, layers)(x)]

    first, second, below, joined = outputs("node0_0_relu2", "node0_1_relu2", "node1_1_relu2", "node0_2_join")
    kernel, bias = model.get_layer("node0_2_up").get_weights()  # (2, 2, out, in)
    up = np.einsum("nijc,abdc->niajbd", below, kernel).reshape(2, 8, 12, 2) + bias
    parts = [up, first, second]
    expected = np.concatenate(parts, -1) if skips == "concatenate" else np.mean(parts, axis=0)
    np.testing.assert_allclose(joined, expected, atol=1e-5)


@pytest.mark.parametrize(
    "shape, options",
    [
        ((8, 12, 1), {}),
        ((None, None, 3), {"skips": "add"}),
        ((4, 8, 12, 1), {"skips": "add"}),
        ((7, 8, 4, 1), {"halve_slices": 0}),
        ((6, 8, 4, 2), {"halve_slices": 1}),
        ((1, 8, 8, 1), {"halve_slices": 0}),
        ((None, 8, 8, 1), {"batch_norm": True}),
    ],
)
def test_images_and_volumes(shape, options):
    """A probability for each pixel and output of images, volumes, few slices and one; about the prior at the start."""
    model = unet_plus_plus(shape, **SMALL, num_outputs=2, **options)
    sizes = [size or 12 for size in shape[:-1]]
    for value in (0, 1):
        result = maps(model, np.full((2, *sizes, shape[-1]), value, np.float32))
        assert result.shape == (2, *sizes, 2) and result.dtype == np.float32
        assert 0.0001 < result.min() <= result.max() < 0.5


def test_halving_the_slices():
    """halve_slices counts from the bottleneck up: the first levels of a volume keep its slices. unet likewise."""
    volume = (4, 32, 32, 1)
    for halvings, slices in ((0, [4, 4, 4, 4]), (1, [4, 4, 4, 2]), (2, [4, 4, 2, 1])):
        model = unet_plus_plus(volume, filters=(2,) * 4, halve_slices=halvings)
        assert [model.get_layer(f"node{level}_0_relu2").output.shape[1] for level in range(4)] == slices
    plain = unet(volume, filters=(2,) * 4, halve_slices=1)
    assert plain.get_layer("bottleneck_relu2").output.shape[1:4] == (2, 4, 4)
    assert plain.count_params() == unet((8, 32, 32, 1), filters=(2,) * 4).count_params()


def test_start_of_the_weights_keeps_the_signal():
    """Untrained, the signal of the last node is about as large as that of the first, whatever joins the skips."""
    image = np.random.default_rng(0).random((4, 32, 32, 1), dtype=np.float32)
    for skips in ("concatenate", "add"):
        model = unet_plus_plus((32, 32, 1), filters=(8, 16, 32, 64), skips=skips)
        names = ("node0_0_relu2", "node0_3_relu2")
        signals = keras.Model(model.input, [model.get_layer(name).output for name in names])(image)
        first, last = (float(np.std(signal)) for signal in signals)
        assert 1 / 5 < last / first < 5


def squares(count=8, size=16):
    """Images with one bright square each, which are their own masks."""
    x = np.zeros((count, size, size, 1), np.float32)
    for number in range(count):
        x[number, 4 * (number % 4) :][:, :6][:4] = 1
    return x


@pytest.mark.slow
def test_several_masks_learn_one_truth():
    """The loss is the mean of those of all masks, every mask learns, and metrics look at the last."""
    x = squares()
    model = unet_plus_plus((16, 16, 1), **SMALL, deep_supervision=True)
    model.compile(keras.optimizers.Adam(0.02), losses.dice_bce, metrics=[losses.SoftDice()])
    loss, dice = model.evaluate(x, x, verbose=0)
    masks = maps(model, x)
    each = [float(np.mean(losses.dice_bce(x, mask))) for mask in masks]
    assert loss == pytest.approx(np.mean(each), rel=1e-4)
    assert dice == pytest.approx(2 * (x * masks[-1]).sum() / (x.sum() + masks[-1].sum()), rel=1e-4)
    for _ in range(60):
        model.train_on_batch(x, x)
    after = [float(np.mean(losses.dice_bce(x, mask))) for mask in maps(model, x)]
    assert len(after) == 2 and all(now < before / 2 for now, before in zip(after, each, strict=True))


def test_one_mask_of_several():
    """The mean of all, or one column without what only deeper ones need."""
    x = squares(2)
    model = unet_plus_plus((16, 16, 1), filters=(2, 3, 4, 5), deep_supervision=True)
    masks = maps(model, x)
    np.testing.assert_allclose(maps(one_mask(model), x), np.mean(masks, axis=0), atol=1e-6)
    for column in (1, 2, 3):
        pruned = one_mask(model, column=column)
        np.testing.assert_allclose(maps(pruned, x), masks[column - 1], atol=1e-6)
    assert not [layer.name for layer in one_mask(model, column=1).layers if layer.name[:5] in ("node2", "node3")]
    for column in (0, 4, True):
        with pytest.raises(HemokitError, match=f"column is {column}, but expected None, or one of 1, 2, 3"):
            one_mask(model, column=column)
    with pytest.raises(HemokitError, match="the model is 'unet', of one mask, but expected one of several"):
        one_mask(unet((8, 8, 1), **SMALL))


@pytest.mark.slow
def test_several_masks_go_through_a_run(tmp_path):
    """fit trains it, its checkpoint comes back as what it was, and the run's settings name it."""
    x = squares()
    fit(
        lambda: unet_plus_plus((16, 16, 1), **SMALL, deep_supervision=True),
        (x, x), (x, x), run_dir=tmp_path, epochs=1, loss=losses.dice_bce, metrics=[losses.SoftDice()],
        monitor="val_dice",
    )  # fmt: skip
    model = load(tmp_path)
    assert maps(one_mask(model), x).shape == x.shape


@pytest.mark.parametrize("options", [{"skips": "add"}, {"batch_norm": True, "num_outputs": 2}])
def test_saved_and_loaded(tmp_path, options):
    """A file of the model gives the same probabilities."""
    model = unet_plus_plus((8, 8, 1), **SMALL, **options)
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(maps(loaded, x), maps(model, x))


def test_on_a_backbone():
    """Skips by addition bring its features to the channels of the nodes; frozen, its weights are not trained."""
    model = unet_plus_plus((40, 33, 1), backbone="VGG16", skips="add", filters=(2, 3, 4, 5, 6), deep_supervision=True)
    assert [model.get_layer(f"node{level}_0_fit").output.shape[-1] for level in (1, 2, 3, 4)] == [3, 4, 5, 6]
    assert model.get_layer("node1_4_join").output.shape[1:] == (32, 32, 3)
    assert model.output_names == [f"probability{column}" for column in (2, 3, 4, 5)]
    assert {output.shape for output in model.outputs} == {(None, 40, 33, 1)}
    everything, own = len(model.trainable_weights), len(encoder_of(model).weights)
    assert len(freeze(model).trainable_weights) == everything - own
    assert len(unfreeze(model).trainable_weights) == everything
    result = maps(one_mask(model, column=2), np.zeros((1, 40, 33, 1), np.float32))
    assert result.shape == (1, 40, 33, 1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_shape": (100, 96, 1)}, r"the height is 100, but expected a multiple of 16\. .* 96 or 112\."),
        ({"input_shape": (96, 7, 1)}, r"the width is 7, .* to 16\."),
        ({"input_shape": (1, 96, 96, 1)}, r"slice count is 1, but expected a multiple of 16\. .* halve_slices=0 takes"),
        ({"input_shape": (5, 96, 96, 1), "halve_slices": 1}, "the slice count is 5, but expected a multiple of 2"),
        ({"input_shape": (96, 96)}, r"input_shape is \(96, 96\), .* unet_plus_plus\(\(256, 256, 1\)\)"),
        ({"filters": (16,)}, "filters is .* two or more"),
        ({"num_outputs": 0}, "num_outputs is 0"),
        ({"skips": "sum"}, "skips is 'sum', but expected one of"),
        ({"weights": "imagenet"}, "weights is 'imagenet' without a backbone"),
        ({"halve_slices": 1}, "halve_slices is 1, but expected None, for images"),
        ({"input_shape": (16, 96, 96, 1), "halve_slices": 5}, "halve_slices is 5, .* from 0 to 4"),
        ({"input_shape": (16, 96, 96, 1), "halve_slices": True}, "halve_slices is True"),
        ({"input_shape": (16, 96, 96, 1), "halve_slices": -1}, "halve_slices is -1"),
        ({"backbone": "ResNet18"}, "backbone is 'ResNet18', but expected one of"),
        ({"backbone": "VGG16", "filters": (8, 8)}, r"filters is \(8, 8\), but expected 5 positive whole numbers"),
        ({"backbone": "VGG16", "num_outputs": 0}, "num_outputs is 0"),
        ({"backbone": "VGG16", "input_shape": (16, 96, 96, 1)}, r"input_shape is \(16, 96, 96, 1\), .* \(height"),
        ({"backbone": "VGG16", "input_shape": (31, 96, 1)}, "the image has 31x96 pixels, but expected 32"),
        ({"backbone": "VGG16", "halve_slices": 2}, "halve_slices is 2, but expected None, for images"),
    ],
)
def test_bad_arguments(arguments, message):
    """What cannot be built is refused in one sentence, with what works."""
    with pytest.raises(HemokitError, match=message):
        unet_plus_plus(**{"input_shape": (96, 96, 1), **arguments})
