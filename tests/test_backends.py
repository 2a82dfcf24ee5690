"""The same code on other Keras backends, in processes of their own, where TensorFlow cannot be imported at all."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hemokit.datasets.phantom import write_phantom

# Of hemokit.models.backbones, which would import Keras here.
BACKBONES = ("VGG16", "ResNet50", "Xception", "DenseNet121", "DenseNet169", "InceptionResNetV2")

ROOT = Path(__file__).parent.parent

# Stands before everything: TensorFlow is not found, as where it is not installed.
BLOCK = """
import sys

class WithoutTensorFlow:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        hidden = name.split(".")[0] in ("tensorflow", "tensorboard")
        return None if hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

assert not any(name.startswith("tensorflow") for name in sys.modules)
sys.meta_path[:] = [WithoutTensorFlow(finder) for finder in sys.meta_path]
"""

BLOCKED = """
try:
    import tensorflow
except ModuleNotFoundError as error:
    print(error.name)
"""

# One training step of every builder; and what a loss says must not depend on the backend: truth 1 1 0 0 and an empty
# one against an empty and a full prediction.
STEP = """
import keras
import numpy as np
from hemokit import losses
from hemokit.models.transfer import transfer_unet
from hemokit.models.twobranch import two_branch
from hemokit.models.unet import one_mask, unet, unet_plus_plus

truth = np.float32([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
predicted = np.float32([[0.8, 0.4, 0.2, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
full = 1 / 1.01
for loss, expected in (
    (losses.dice_loss, [1 - 2.4 / 3.4, 0, full]),
    (losses.jaccard_distance, [1 / 2.2, 0, full]),
    (losses.binary_crossentropy, [-np.log(0.8 * 0.4 * 0.8) / 4, 0, -np.log(1e-7)]),
):
    found = keras.ops.convert_to_numpy(loss(truth, predicted))
    np.testing.assert_allclose(found, expected, rtol=0.02 if expected[2] > 1 else 1e-6, atol=1e-6)

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
builders = [
    (lambda: unet((8, 12, 1), filters=(4, 6), batch_norm=True), losses.dice_bce),
    (lambda: unet((4, 8, 6, 1), filters=(4, 6)), losses.jaccard_distance),
    (lambda: unet((1, 8, 6, 1), filters=(4, 6), halve_slices=0), losses.dice_bce),
    (lambda: unet_plus_plus((8, 12, 1), filters=(4, 6, 8), deep_supervision=True), losses.dice_bce),
    (lambda: unet_plus_plus((3, 8, 4, 1), filters=(4, 6, 8), skips="add", halve_slices=0), losses.dice_bce),
    (lambda: unet_plus_plus((32, 33, 1), backbone="VGG16", filters=(4,) * 5), losses.binary_crossentropy),
    (lambda: transfer_unet("VGG16", (33, 32, 1), filters=(4,) * 5, dropout=0.0), losses.binary_crossentropy),
    (lambda: two_branch((8, 12, 1), filters=(4, 6)), losses.dice_bce),
]
for build, loss in builders:
    model = build()
    images = rng.random((4, *model.input.shape[1:]), np.float32)
    masks = (images > 0.8).astype("float32")
    masks[0] = 0
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss)
    steps = [float(model.train_on_batch(images, masks)) for _ in range(4)]
    assert np.isfinite(steps).all() and steps[-1] < steps[0], steps
    model = one_mask(model) if len(model.outputs) > 1 else model
    probability = model.predict(images, verbose=0)
    assert probability.shape == masks.shape and probability.dtype == np.float32
print(keras.backend.backend())
"""

# One training step of a classifier on a backbone, unfrozen: the backbone's first weights move.
BACKBONE_STEP = """
import keras
import numpy as np
from hemokit.models.backbones import encoder_of
from hemokit.models.transfer import transfer_classifier

keras.utils.set_random_seed(0)
model = transfer_classifier("BACKBONE", (32, 32, 1), num_classes=2)
model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
kernel = encoder_of(model).trainable_variables[0]
before = keras.ops.convert_to_numpy(kernel).copy()
images = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
assert np.isfinite(model.train_on_batch(images, np.array([0, 1])))
assert not np.array_equal(before, keras.ops.convert_to_numpy(kernel))
print(keras.backend.backend())
"""

# The whole way: a folder, its table, batches, training, prediction, a threshold, a report and a plot.
COURSE = """
import matplotlib
matplotlib.use("agg")
import keras
from hemokit import evaluation, plots, predictions, thresholds, training
from hemokit.batches import SliceBatches
from hemokit.datasets import open_dataset
from hemokit.losses import SoftDice, pooled_dice_bce
from hemokit.models.unet import unet
from hemokit.splits import split_by_patient

folder, run_dir = FOLDERS
table = split_by_patient(open_dataset(folder))
table = table.sort_values("any", ascending=False, kind="stable").groupby("patient_id").head(6)
parts = dict(list(table.groupby("split")))
how = {"target": "mask", "image_size": 16, "batch_size": 4, "cache": False}
train = SliceBatches(parts["train"], **how, training=True)
data = {name: SliceBatches(parts[name], **how) for name in ("validation", "test")}
model = unet((16, 16, 1), filters=(4, 6))
follow = {"loss": pooled_dice_bce, "metrics": [SoftDice()], "monitor": "val_dice"}
history = training.fit(model, train, data["validation"], run_dir=run_dir, epochs=1, **follow)
assert len(history) == 1 and history["val_loss"].notna().all() and 0 < history["val_dice"][0] < 1
model = training.load(run_dir)
found = {name: training.predict(model, data[name], parts[name]) for name in data}
predictions.write_predictions(found["test"], run_dir)
threshold = thresholds.choose_threshold(found["validation"]).threshold
report = evaluation.segmentation_report(predictions.read_predictions(run_dir), threshold=threshold, num_resamples=100)
plots.pr_curve(evaluation.pixel_pr_points(found["validation"]))
assert "dice" in set(report["metric"])
assert not any(name.startswith("tensorflow") for name in sys.modules)
print(keras.backend.backend())
"""

# Patches in 3-D: batches, training, whole scans by stitching.
PATCHES = """
import keras
from hemokit import training
from hemokit.datasets import open_dataset
from hemokit.models.unet import unet
from hemokit.patch_batches import PatchBatches, Sampling
from hemokit.scan_batches import ScanBatches

folder, run_dir = FOLDERS
table = open_dataset(folder)
how = {"patch": (4, 8, 8), "image_size": 16, "batch_size": 4, "cache": False}
sampling = Sampling(0.5, 0.5)
train = PatchBatches(table.assign(split="train"), **how, training=True, sampling=sampling)
history = training.fit(unet((4, 8, 8, 1), filters=(4, 6)), train, None, run_dir=run_dir, epochs=1, monitor="loss")
window = training.SlidingWindow(training.load(run_dir), patch=(4, 8, 8))
found = training.predict(window, ScanBatches(table, target="mask", image_size=16, cache=False), table)
assert len(history) == 1 and found["mean_probability"].between(0, 1).all()
assert not any(name.startswith("tensorflow") for name in sys.modules)
print(keras.backend.backend())
"""


# The sequence model: slices, vectors, PCA, scans of any length.
SEQUENCE = """
import keras
import numpy as np
from hemokit.datasets import open_dataset
from hemokit.runs.sequence_recipes import QUICK, sequence_slices, train_sequence
from hemokit.splits import split_by_patient

folder, runs = FOLDERS
table = split_by_patient(open_dataset(folder), fractions=(0.5, 0.2, 0.3))
small = {"image_size": 32, "epochs": (1, 2), "components": 5, "units": 4}
slices = sequence_slices(table, "quick", {**QUICK, **small}, runs=runs, source="phantom")
run = train_sequence(slices, {**QUICK, **small})
assert len(run.predictions) == len(slices.predictions) == (table["split"] != "train").sum()
assert not np.allclose(run.predictions["probability_any"], slices.predictions["probability_any"])
assert not any(name.startswith("tensorflow") for name in sys.modules)
print(keras.backend.backend())
"""


def run(code, backend):
    """Standard output of a new Python with this backend and without TensorFlow; its error if it fails."""
    environment = {
        **os.environ,
        **{"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"},
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling takes longer than the few steps, and so does each op alone
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }
    command = [sys.executable, "-W", "ignore", "-c", BLOCK + code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(params=["jax", "torch"])
def backend(request):
    """The backends beside TensorFlow; JAX comes with the test extra, PyTorch is tested where it is installed."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed here")
    return request.param


def test_the_blocker_blocks():
    """With it, TensorFlow is not there."""
    assert run(BLOCKED, "jax") == ["tensorflow"]


@pytest.mark.promises
def test_models_and_losses_train(backend):
    """Every model trains on a second backend without TensorFlow, and the losses have the same values there."""
    assert run(STEP, backend)[-1] == backend


@pytest.mark.promises
@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_train(backend, name):
    """Every backbone takes a training step on a second backend without TensorFlow."""
    assert run(BACKBONE_STEP.replace("BACKBONE", name), backend)[-1] == backend


@pytest.mark.promises
def test_whole_course_without_tensorflow(backend, tmp_path):
    """Batches, training, prediction, thresholds, scores and plots work where TensorFlow is not installed."""
    folder = write_phantom(tmp_path / "phantom", layout="ct_ich_jpg", num_patients=6, image_size=64, seed=0)
    code = COURSE.replace("FOLDERS", repr((str(folder), str(tmp_path / "run"))))
    assert run(code, backend)[-1] == backend


@pytest.mark.promises
def test_patches_without_tensorflow(backend, tmp_path):
    """Batches of patches train a 3-D network, and its windows give whole scans, where TensorFlow is not installed."""
    folder = write_phantom(tmp_path / "phantom", layout="ct_ich_jpg", num_patients=1, image_size=64, seed=0)
    code = PATCHES.replace("FOLDERS", repr((str(folder), str(tmp_path / "run"))))
    assert run(code, backend)[-1] == backend


@pytest.mark.promises
def test_sequence_model_without_tensorflow(backend, tmp_path):
    """The slice model and the sequence model train and predict where TensorFlow is not installed."""
    folder = write_phantom(tmp_path / "phantom", layout="rsna", num_patients=6, image_size=64, seed=0)
    code = SEQUENCE.replace("FOLDERS", repr((str(folder), str(tmp_path / "runs"))))
    assert run(code, backend)[-1] == backend
