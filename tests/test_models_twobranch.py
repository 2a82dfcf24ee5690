"""The two-branch network: its size written out, its names, its arithmetic, and what it refuses."""

import keras
import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.models.twobranch import two_branch

SMALL = {"filters": (2, 3)}


@pytest.fixture(autouse=True)
def seeded():
    """Every weight is repeatable."""
    keras.utils.set_random_seed(0)


def test_size():
    """The number of parameters at the paper's 160x160, layer by layer."""
    expected = 0
    for width in (3, 5):
        for channels, filters in ((1, 32), (32, 64), (64, 128)):
            expected += channels * filters * width**2 + filters
    for channels, filters in ((256, 128), (128, 64), (64, 32)):
        expected += channels * filters * 4 + filters
    expected += 32 + 1
    assert two_branch((160, 160, 1)).count_params() == expected == 521_985


def test_layer_names():
    """The names are those of the module's docstring; files of weights and heat maps hang on them."""
    names = {layer.name for layer in two_branch((8, 12, 1), **SMALL, batch_norm=True).layers}
    parts = ("conv1", "norm1", "relu1", "pool")
    expected = {f"branch{one}_level{level}_{part}" for one in (1, 2) for level in (1, 2) for part in parts}
    expected |= {f"decoder{level}_{part}" for level in (1, 2) for part in ("up", "norm", "relu")}
    assert names == expected | {"image", "join", "logits", "probability"}
    without = {layer.name for layer in two_branch((8, 12, 1), **SMALL).layers}
    assert without == {name for name in names if "norm" not in name}


def test_arithmetic():
    """Both branches see the image and are joined; each cell goes back to the pixels that it was pooled from."""
    model = two_branch((4, 4, 1), filters=(2, 2), kernels=(1, 3))
    x = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)

    def convolved(x, name):
        kernel, bias = model.get_layer(name).get_weights()
        reach, size = kernel.shape[0] // 2, x.shape[1]
        padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        taps = np.ndindex(kernel.shape[:2])
        return sum(padded[:, i : i + size, j : j + size] @ kernel[i, j] for i, j in taps) + bias

    def branch(x, name):
        for level in (1, 2):
            x = np.maximum(convolved(x, f"{name}_level{level}_conv1"), 0)
            half = x.shape[1] // 2
            x = x.reshape(2, half, 2, half, 2, 2).max((2, 4))
        return x

    up = np.concatenate([branch(x, "branch1"), branch(x, "branch2")], -1)
    for level in (2, 1):
        kernel, bias = model.get_layer(f"decoder{level}_up").get_weights()  # (2, 2, out, in)
        size = up.shape[1]
        cells = np.einsum("nijc,abdc->niajbd", up, kernel).reshape(2, 2 * size, 2 * size, 2)
        up = np.maximum(cells + bias, 0)
    expected = 1 / (1 + np.exp(-convolved(up, "logits")))
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("shape, options", [((8, 12, 1), {}), ((4, 8, 12, 2), {}), ((1, 8, 4, 1), {"halve_slices": 0})])
def test_images_and_volumes(shape, options):
    """A probability for each pixel and output, for images, volumes and a single slice; black is no trouble."""
    model = two_branch(shape, **SMALL, num_outputs=2, **options)
    result = np.asarray(model(np.zeros((2, *shape), np.float32)))
    assert result.shape == (2, *shape[:-1], 2) and result.dtype == np.float32
    np.testing.assert_allclose(result, 0.02, atol=1e-6)


@pytest.mark.slow
def test_learns_and_is_saved(tmp_path):
    """It learns where the bright square is; its file needs nothing of this package."""
    x = np.zeros((8, 16, 16, 1), np.float32)
    for number in range(8):
        x[number, 4 * (number % 4) :][:4, 4 * (number // 4) :][:, :4] = 1
    model = two_branch((16, 16, 1), filters=(4, 8), batch_norm=True)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    steps = [float(model.train_on_batch(x, x)) for _ in range(40)]
    assert steps[-1] < steps[0] / 2
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_shape": (100, 96, 1)}, r"the height is 100, but expected a multiple of 8\. .* 96 or 104\."),
        ({"input_shape": (4, 96, 96, 1)}, r"the slice count is 4, .*: halve_slices=0 takes any number"),
        ({"input_shape": (96, 96)}, r"input_shape is \(96, 96\), .* two_branch\(\(256, 256, 1\)\)"),
        ({"kernels": (3,)}, r"kernels is \(3,\), but expected 2 positive whole numbers"),
        ({"kernels": (3, 0)}, r"kernels is \(3, 0\)"),
        ({"filters": ()}, r"filters is \(\), but expected two or more"),
        ({"num_outputs": 0}, "num_outputs is 0"),
        ({"halve_slices": 1}, "halve_slices is 1, but expected None, for images"),
    ],
)
def test_bad_arguments(arguments, message):
    """What cannot be built is refused in one sentence."""
    with pytest.raises(HemokitError, match=message):
        two_branch(**{"input_shape": (96, 96, 1), **arguments})
