"""The U-Net: the papers' sizes, its names, its arithmetic against one written out, and what it refuses."""

import keras
import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.models.unet import unet

SMALL = {"filters": (2, 3, 4)}


@pytest.fixture(autouse=True)
def fresh_names():
    """No layer of one test is counted in the names of another; every weight is repeatable."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


def trainable(model):
    """Number of weights that training changes."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_sizes_of_the_papers():
    """1,962,337 parameters for one channel, 1,962,625 for three; 494,081 with normalization, 492,609 trainable."""
    assert unet((256, 256, 1)).count_params() == 1_962_337
    assert unet((256, 256, 3)).count_params() == 1_962_625
    model = unet((512, 512, 3), filters=(8, 16, 32, 64, 128), batch_norm=True)
    assert (model.count_params(), trainable(model)) == (494_081, 492_609)


def test_layer_names():
    """The names are those of the module's docstring, in this order: files of weights and heat maps hang on them."""
    block = ["conv1", "norm1", "relu1", "conv2", "norm2", "relu2"]
    expected = ["image"]
    for level in (1, 2):
        expected += [f"encoder{level}_{part}" for part in (*block, "pool")]
    expected += [f"bottleneck_{part}" for part in block]
    for level in (2, 1):
        expected += [f"decoder{level}_{part}" for part in ("up", "join", *block)]
    model = unet((8, 12, 1), **SMALL, batch_norm=True)
    assert [layer.name for layer in model.layers] == [*expected, "logits", "probability"]
    names = [layer.name for layer in unet((8, 12, 1), **SMALL).layers]
    assert names == [name for name in [*expected, "logits", "probability"] if "norm" not in name]


def convolve(x, layer):
    """A "same" convolution of (batch, height, width, channels) written out over its 3 x 3 (or 1 x 1) taps."""
    kernel, bias = layer.get_weights()
    reach = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    height, width = x.shape[1:3]
    taps = [(i, j) for i in range(kernel.shape[0]) for j in range(kernel.shape[1])]
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in taps) + bias


def test_arithmetic():
    """One level, written out in NumPy: blocks, pooling, nearest upsampling, the join as (up, skip), the sigmoid."""
    model = unet((8, 6, 2), filters=(3, 5))
    x = np.random.default_rng(0).random((2, 8, 6, 2), np.float32)

    def block(x, name):
        for step in (1, 2):
            x = np.maximum(convolve(x, model.get_layer(f"{name}_conv{step}")), 0)
        return x

    skip = block(x, "encoder1")
    down = block(skip.reshape(2, 4, 2, 3, 2, 3).max((2, 4)), "bottleneck")
    up = down.repeat(2, axis=1).repeat(2, axis=2)
    logits = convolve(block(np.concatenate([up, skip], -1), "decoder1"), model.get_layer("logits"))
    np.testing.assert_allclose(model.predict(x, verbose=0), 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_normalization_stands_before_its_relu():
    """Convolution, normalization, ReLU: in this order twice in every block."""
    layers = unet((8, 8, 1), filters=(2, 3), batch_norm=True).layers
    for first, second, third in zip(layers, layers[1:], layers[2:], strict=False):
        if isinstance(second, keras.layers.BatchNormalization):
            assert isinstance(first, keras.layers.Conv2D) and isinstance(third, keras.layers.ReLU)


@pytest.mark.parametrize("shape", [(8, 12, 1), (None, None, 3), (8, 4, 12, 1), (None, 8, 8, 2)])
def test_images_and_volumes(shape):
    """The rank comes from the shape; sizes may be open; each output is a probability for every pixel."""
    model = unet(shape, **SMALL, num_outputs=6)
    assert model.output.shape == (None, *shape[:-1], 6)
    sizes = [size or 16 for size in shape[:-1]]
    result = model.predict(np.random.default_rng(0).random((2, *sizes, shape[-1]), np.float32), verbose=0)
    assert result.shape == (2, *sizes, 6) and result.dtype == np.float32
    assert (result > 0).all() and (result < 1).all()


def test_a_volume_sees_its_neighbors():
    """A volume sees its neighbors: changing one slice changes the mask of the next."""
    model = unet((8, 8, 8, 1), **SMALL)
    x = np.random.default_rng(0).random((1, 8, 8, 8, 1), np.float32)
    other = x.copy()
    other[:, 3] = 0
    assert not np.allclose(model.predict(x, verbose=0)[:, 4], model.predict(other, verbose=0)[:, 4])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    """Blocks run in half precision, logits and probabilities in float32, close to the float32 model."""
    exact = unet((8, 8, 1), **SMALL)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        model = unet((8, 8, 1), **SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("decoder1_conv2").compute_dtype == policy.removeprefix("mixed_")
    assert {model.get_layer(name).compute_dtype for name in ("logits", "probability")} == {"float32"}
    model.set_weights(exact.get_weights())
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    result = model.predict(x, verbose=0)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, exact.predict(x, verbose=0), atol=0.01)


def test_saved_and_loaded(tmp_path):
    """A file of the model needs nothing of this package, and gives the same probabilities."""
    model = unet((8, 8, 1), **SMALL, batch_norm=True)
    model.save(tmp_path / "unet.keras")
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    loaded = keras.saving.load_model(tmp_path / "unet.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_seed_decides_the_weights():
    """The same seed gives the same network, another seed another one."""
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(unet((8, 8, 1), **SMALL).get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_shape": (100, 96, 1)}, r"the height is 100, but expected a multiple of 16\. .* 96 or 112\."),
        ({"input_shape": (96, 7, 1)}, r"the width is 7, but expected a multiple of 16\. .* to 16\."),
        ({"input_shape": (10, 96, 96, 1)}, r"the slice count is 10, .* to 16\."),
        ({"input_shape": (96, 96)}, r"input_shape is \(96, 96\), .* unet\(\(256, 256, 1\)\)"),
        ({"input_shape": 96}, "input_shape is 96"),
        ({"input_shape": (96, 96, None)}, "never the channels"),
        ({"input_shape": (96, 0, 1)}, "positive whole numbers"),
        ({"input_shape": (96, 96.0, 1)}, "positive whole numbers"),
        ({"filters": (16,)}, "filters is .* two or more"),
        ({"filters": 16}, "filters is 16"),
        ({"filters": (16, -32)}, "filters is .* positive whole numbers"),
        ({"num_outputs": 0}, "num_outputs is 0"),
        ({"num_outputs": True}, "num_outputs is True"),
    ],
)
def test_bad_arguments(arguments, message):
    """What cannot be built is refused in one sentence, with sizes that work."""
    with pytest.raises(HemokitError, match=message):
        unet(**{"input_shape": (96, 96, 1), **arguments})


def test_start_of_the_weights_keeps_the_signal():
    """Without normalization an untrained net's signal is about as large at the bottleneck as in the first block."""
    model = unet((32, 32, 1), filters=(8, 16, 32, 64, 128))
    image = np.random.default_rng(0).random((4, 32, 32, 1), dtype=np.float32)
    names = ("encoder1_relu2", "bottleneck_relu2")
    signals = keras.Model(model.input, [model.get_layer(name).output for name in names])(image)
    first, last = (float(np.std(signal)) for signal in signals)
    assert 1 / 4 < last / first < 4  # Keras' own start: 1/70
