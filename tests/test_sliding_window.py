"""A model of patches on whole slices and scans: stitched, judged like any other, and in bounded memory."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.patch_batches import PatchBatches
from hemokit.scan_batches import ScanBatches
from hemokit.training import SlidingWindow, fit, load, predict, predict_sliding_window

SIZES = {"target": "mask", "image_size": 24, "cache": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Nine slices of two phantom patients in Hounsfield units, some with hemorrhage."""
    root = tmp_path_factory.mktemp("windows") / "phantom"
    slices = open_dataset(write_phantom(root, layout="ct_ich_nifti", num_patients=2, image_size=64, seed=1))
    return slices[slices["slice_index"].between(12, 20)].reset_index(drop=True)


def identity(*shape):
    """A model whose probability is the patch itself."""
    return keras.Sequential([keras.Input((*shape, 1)), keras.layers.Activation("linear")])


def blur(*shape):
    """A model of one convolution, which knows the rim of its patch."""
    keras.utils.set_random_seed(0)
    kind = keras.layers.Conv2D if len(shape) == 2 else keras.layers.Conv3D
    return keras.Sequential([keras.Input((*shape, 1)), kind(1, 3, padding="same", activation="sigmoid")])


@pytest.mark.parametrize("patch", [(8, 8), (4, 8, 8), (11, 8, 32)])
def test_identity(patch):
    """What the model leaves as it is comes back as it was, also where the scan is smaller than the patch."""
    volume = np.random.default_rng(0).random((9, 20, 17, 1), np.float32)
    found = predict_sliding_window(identity(*patch), volume, patch=patch, batch_size=5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, volume, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8)])
def test_inside_of_patches(shape):
    """Where a patch sees all that a convolution needs, whatever the batches, the whole image gives the same."""
    volume = np.random.default_rng(0).random((7, 8, 8, 1), np.float32)
    model, whole = blur(*shape), blur(*(8, 8) if len(shape) == 2 else (7, 8, 8))
    expected = np.asarray(whole.predict_on_batch(volume if len(shape) == 2 else volume[None])).reshape(volume.shape)
    found = [predict_sliding_window(model, volume, patch=shape, batch_size=size) for size in (1, 3)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    inside = slice(None) if len(shape) == 2 else slice(0, 1)  # the first slice lies in the first patch alone
    np.testing.assert_allclose(found[0][inside], expected[inside], atol=1e-6)


def same(one, two):
    """Two predictions frames are equal, pixel counts included."""
    histograms = ["background", "hemorrhage"]
    pd.testing.assert_frame_equal(one.drop(columns=histograms), two.drop(columns=histograms))
    assert all(np.array_equal(np.stack(one[name]), np.stack(two[name])) for name in histograms)


def test_predict_takes_it(table):
    """Whole slices through `predict`: the frame of the stitched maps, with masks, areas and every slice."""
    maps = predict(identity(24, 24), SliceBatches(table, batch_size=4, **SIZES), table)
    model = SlidingWindow(identity(8, 8), patch=(8, 8), weights="uniform", stride=(8, 8))
    same(predict(model, SliceBatches(table, batch_size=4, **SIZES), table), maps)
    assert maps["pixel_area_mm2"].notna().all() and np.stack(maps["hemorrhage"]).sum() > 0


def test_predict_takes_scans(table):
    """A model of volumes gets one scan at a time; arrays and batches of anything else are refused."""
    scans = ScanBatches(table, **SIZES)
    model = SlidingWindow(identity(4, 8, 8), patch=(4, 8, 8), weights="uniform", stride=(4, 8, 8))
    maps = predict(identity(24, 24), SliceBatches(table, batch_size=4, **SIZES), table)
    found = predict(model, scans, table)
    assert found["slice_id"].tolist() == table["slice_id"].tolist()
    np.testing.assert_allclose(found["mean_probability"], maps["mean_probability"], rtol=1e-6)
    for other in (SliceBatches(table, batch_size=4, **SIZES), np.zeros((18, 24, 24, 1), np.float32)):
        with pytest.raises(HemokitError, match="for a model that looks at several slices, but expected one whole scan"):
            predict(model, other, table)
    pipelines = pytest.importorskip("hemokit.pipelines")
    data = pipelines.pipeline_of(scans)
    data.batches = scans
    same(predict(model, data, table), found)


@pytest.mark.parametrize("patch", [(16, 16), (4, 16, 16)])
def test_trained_and_judged(table, tmp_path, patch):
    """Trained on patches by `fit`, loaded, and predicted on whole slices."""
    parts = dict(list(table.assign(split=np.where(table.index < 9, "train", "validation")).groupby("split")))
    how = {"patch": patch, "image_size": 24, "batch_size": 8, "cache": False}
    train = PatchBatches(parts["train"], **how, training=True)
    fit(blur(*patch), train, PatchBatches(parts["validation"], **how), run_dir=tmp_path / "run", epochs=1)
    rows = parts["validation"]
    made = ScanBatches(rows, **SIZES) if len(patch) == 3 else SliceBatches(rows, batch_size=4, **SIZES)
    found = predict(SlidingWindow(load(tmp_path / "run"), patch=patch), made, rows)
    assert len(found) == 9 and (np.stack(found["background"]) + np.stack(found["hemorrhage"])).sum() == 9 * 24**2
    with pytest.raises(HemokitError, match=r"images of .*16 x 16 x 1, but expected .*8"):
        fit(blur(*patch[:-1], 8), train, None, run_dir=tmp_path / "other", epochs=1, monitor="loss")


def test_refusals():
    """Patches that the model does not take, and what is no volume."""
    volume = np.zeros((9, 20, 17, 1), np.float32)
    with pytest.raises(HemokitError, match="images of 4 x 8 x 1, but expected 8 x 8 x 1"):
        predict_sliding_window(identity(8, 8), volume, patch=(4, 8))
    with pytest.raises(HemokitError, match="patch is 8"):
        SlidingWindow(identity(8, 8), patch=8)
    with pytest.raises(HemokitError, match=r"a volume of the shape \(9, 20, 17\)"):
        predict_sliding_window(identity(8, 8, 8), volume[..., 0], patch=(8, 8))


# A scan of 40 slices of 512x512: how much the peak grows beyond one batch, and what was promised.
SCAN = """
import re
from pathlib import Path
import numpy as np
from hemokit.models.unet import unet
from hemokit.patches import memory_bound
from hemokit.training import predict_sliding_window

def peak():  # KiB; the one of getrusage begins at that of the process by which this one was started
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

patch = (16, 128, 128)
model = unet((*patch, 1), filters=(2, 4))
volume = np.random.default_rng(0).random((40, 512, 512, 1), np.float32)
for _ in range(3):
    predict_sliding_window(model, volume[:16, :128, :256], patch=patch, batch_size=3)
before = peak()
found = predict_sliding_window(model, volume, patch=patch, batch_size=3)
after = peak()
assert found.shape == volume.shape and np.isfinite(found).all()
print(1024 * (after - before), memory_bound(volume.shape, patch, batch_size=3), 1024 * after)
"""


@pytest.mark.promises
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in KiB on Linux")
def test_memory_of_a_scan():
    """40 slices of 512x512 need at most the bound beside model and volume, and the process less than 2 GB in all."""
    pytest.importorskip("tensorflow", reason="the promise is of the TensorFlow backend")
    root = Path(__file__).parent.parent
    told = subprocess.run([sys.executable, "-c", SCAN], cwd=root, capture_output=True, text=True, check=True).stdout
    grown, bound, peak = map(int, told.split()[-3:])
    assert grown <= bound < 200e6 and peak < 2e9, (
        f"{grown / 1e6:.0f} MB, bound {bound / 1e6:.0f}, peak {peak / 1e6:.0f}"
    )
