"""Every format against Keras: the same probabilities to a stated tolerance, on noise and on real slices."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
for library in ("onnx", "onnxruntime", "ai_edge_litert", "tf2onnx"):
    pytest.importorskip(library, reason="the extra deploy is not installed")

from hemokit.checks import HemokitError  # noqa: E402
from hemokit.export import compare_exported, export_model, load_exported  # noqa: E402

pytestmark = pytest.mark.slow
# float32 sums in another order; float16 keeps 11 bits of each weight; int8 keeps 8 bits of weights and activations.
# Of the worst pixel: where logits are large, at an edge, that is far more than the mask loses.
TOLERANCE = {"float32": 1e-5, "float16": 0.05, "int8": 0.5}
FORMS = (("keras", "float32"), ("onnx", "float32"), ("litert", "float32"), ("litert", "float16"), ("litert", "int8"))
SUFFIX = {"keras": ".keras", "onnx": ".onnx", "litert": ".tflite"}


@pytest.fixture(scope="module")
def batch():
    """Eight images of smooth blobs, two channels, and where they are bright."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).random((8, 32, 32, 2), np.float32)
    smooth = gaussian_filter(noise, (0, 3, 3, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return smooth.astype(np.float32), smooth[..., 0] > 0.6


def learned(images, masks, steps):
    """A tiny U-Net after steps on one batch; Dice of what it learned is checked where it is used."""
    import keras

    from hemokit.losses import pooled_dice_bce
    from hemokit.models.unet import unet

    keras.utils.set_random_seed(0)
    made = unet(images.shape[1:], filters=(8, 16))
    made.compile(optimizer=keras.optimizers.Adam(0.005), loss=pooled_dice_bce)
    for _ in range(steps):
        made.train_on_batch(images, masks.astype(np.float32))
    return made


@pytest.fixture(scope="module")
def model(batch):
    """A tiny U-Net, trained for a moment so that its probabilities are not all alike."""
    return learned(batch[0], batch[1][..., None], 150)


@pytest.fixture(scope="module")
def exported(model, batch, tmp_path_factory):
    """All five forms of it: dict (format, precision) -> path."""
    folder = tmp_path_factory.mktemp("forms")
    return {
        (format, precision): export_model(
            model, folder / f"{precision}{SUFFIX[format]}", format=format, precision=precision,
            calibration=batch[0] if precision == "int8" else None, card={"threshold": 0.5},
        )
        for format, precision in FORMS
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_round_trip(form, exported, model, batch):
    """A loaded file gives what Keras gives, to its tolerance, and loses at most 0.005 of Dice (int8: 0.02)."""
    row = compare_exported(model, load_exported(exported[form], num_threads=1), *batch).iloc[0]
    assert row["dice_keras"] > 0.8, "the model has learned nothing: this would compare noise"
    assert row["max_difference"] <= TOLERANCE[form[1]]
    assert abs(row["dice_lost"]) <= (0.02 if form[1] == "int8" else 0.005)


def test_sizes(exported):
    """Half precision is smaller than float32, int8 smaller still; no file holds the optimizer."""
    size = {form: path.stat().st_size for form, path in exported.items()}
    assert size["litert", "int8"] < size["litert", "float16"] < size["litert", "float32"]


def test_conversion_is_silent(model, tmp_path, capfd):
    """Converters say nothing on either channel."""
    export_model(model, tmp_path / "m.onnx", format="onnx")
    assert capfd.readouterr() == ("", "")


def test_lambda_is_refused_where_it_is_loaded(tmp_path):
    """A real model with a Lambda layer, saved by Keras itself and carded by export, is not loaded again."""
    import keras

    image = keras.Input((8, 8, 1))
    made = keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image))
    path = export_model(made, tmp_path / "m.keras", format="keras")
    with pytest.raises(HemokitError, match="the model holds a layer of the class Lambda"):
        load_exported(path)


def test_real_slices(ct_ich_root, tmp_path):
    """On 24 real slices of CT-ICH every format gives Keras' probabilities to its tolerance, with real calibration."""
    from hemokit.apply.squares import to_square
    from hemokit.datasets import open_dataset, read_image

    table = open_dataset(ct_ich_root)
    known = table[table["any"] == 1]
    rows = known.iloc[:: max(1, len(known) // 24)].head(24)
    images = np.stack([to_square(read_image(row), 64) for _, row in rows.iterrows()]).clip(0, 1)
    masks = (images > 0.55) & (images < 0.9)  # not all copies of the folder have masks: bright, and no bone
    made = learned(images, masks, 150)
    for format, precision in FORMS[1:]:
        path = export_model(
            made, tmp_path / f"{precision}{SUFFIX[format]}", format=format, precision=precision,
            calibration=images if precision == "int8" else None, card={"threshold": 0.5},
        )  # fmt: skip
        row = compare_exported(made, load_exported(path), images, masks[..., 0]).iloc[0]
        assert row["dice_keras"] > 0.5, "the model has learned nothing: this would compare noise"
        assert row["max_difference"] <= 2 * TOLERANCE[precision], (format, precision)
        assert abs(row["dice_lost"]) <= (0.03 if precision == "int8" else 0.005), (format, precision)


def test_coreml(model, tmp_path):
    """A package folder with its card, whose hash changes with any of its files; it is written, not run."""
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    from hemokit.export.coreml import export_coreml, folder_sha256

    path = export_coreml(model, tmp_path / "m.mlpackage", card={"threshold": 0.5})
    before = folder_sha256(path)
    (path / "Manifest.json").write_text("{}")
    assert folder_sha256(path) != before and (tmp_path / "m.mlpackage.json").is_file()
    with pytest.raises(HemokitError, match="is there already"):
        export_coreml(model, path)


@pytest.mark.parametrize("kind", ["random layers", "dict output", "statistics"])
def test_kinds_of_networks_convert(kind, tmp_path):
    """LiteRT holds networks with random layers, with an output in a dict, and with statistics that are no weights."""
    import keras
    from keras import layers

    image = keras.Input((8, 8, 1))
    between = {
        "random layers": layers.Dropout(0.5)(layers.RandomFlip()(image)),
        "dict output": image,
        "statistics": layers.Normalization(mean=0.4, variance=0.1)(layers.BatchNormalization()(image)),
    }[kind]
    output = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(between)
    network = keras.Model(image, {"mask": output} if kind == "dict output" else output)
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    path = export_model(network, tmp_path / "one.tflite", format="litert", card={"threshold": 0.5})
    expected = keras.tree.flatten(network(images, training=False))[0]
    np.testing.assert_allclose(load_exported(path).probabilities(images), expected, atol=1e-5)


def test_as_many_interpreters_as_callers_at_once(tmp_path, monkeypatch):
    """Threads that come one after another share one interpreter; the page has 36 of them."""
    import keras
    from ai_edge_litert import interpreter

    image = keras.Input((8, 8, 1))
    network = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(image))
    path = export_model(network, tmp_path / "one.tflite", format="litert", card={"threshold": 0.5})
    usual, made = interpreter.Interpreter, []
    monkeypatch.setattr(interpreter, "Interpreter", lambda **how: made.append(1) or usual(**how))
    exported, images = load_exported(path), np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    expected = exported.probabilities(images)
    for _ in range(5):
        with ThreadPoolExecutor(1) as pool:
            assert (pool.submit(exported.probabilities, images).result() == expected).all()
    assert len(made) == 1


def test_litert_on_another_backend(tmp_path):
    """A network that JAX computes is written too, if TensorFlow is there to convert it."""
    pytest.importorskip("jax", reason="JAX is not installed")
    code = f"""
import keras, numpy as np
from hemokit.export import export_model, load_exported
from hemokit.models.unet import unet
model, images = unet((8, 8, 1), filters=(2, 3)), np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
path = export_model(model, {str(tmp_path / "one.tflite")!r}, format="litert", card={{"threshold": 0.5}})
np.testing.assert_allclose(load_exported(path).probabilities(images), model(images), atol=1e-5)
print(keras.backend.backend())
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("jax\n")
