"""The page and `hemokit predict` on the same file: the same mask, scores and volume."""

import io
import zipfile

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from export_cases import BRAIN, write_onnx
from PIL import Image

pytest.importorskip("onnx", reason="the extra deploy is not installed")
pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")

from hemokit.apply import predict_files  # noqa: E402
from hemokit.demo.answers import answer  # noqa: E402
from hemokit.demo.models import SHIPPED, open_model  # noqa: E402
from hemokit.demo.results import write_result  # noqa: E402
from hemokit.demo.uploads import read_upload  # noqa: E402
from hemokit.export import load_exported  # noqa: E402

SHAPE = (57, 71)  # height and width, of no multiple of any size that a model sees


def head():
    """Hounsfield units (3, height, width): a skull, brain with a little noise, and a bleed on the slice in between."""
    down, right = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    far = np.hypot(down, right)
    values = np.where(far < 0.9, 900.0, -1000.0)
    values[far < 0.82] = 33 + np.random.default_rng(0).normal(0, 3, SHAPE)[far < 0.82]
    slices = np.stack([values] * 3)
    slices[1][np.hypot(down + 0.1, right - 0.3) < 0.25] = 72
    return slices.round().astype(np.int16)


def write_file(folder, kind):
    """A file of that head: a NIfTI volume, or its middle slice as a JPG or PNG through the window of 40, 120."""
    path = folder / f"head{kind}"
    if kind.startswith(".nii"):
        nib.save(nib.Nifti1Image(head().transpose(2, 1, 0)[:, ::-1], np.diag([-0.5, 0.5, 5, 1])), path)
    else:
        Image.fromarray(np.rint(np.clip((head()[1] + 20) / 120, 0, 1) * 255).astype(np.uint8)).save(path, quality=95)
    return path


def of_page(model, path):
    """(masks, table, README) of the page's download, at the threshold that the page starts with."""
    upload = read_upload(path.name, path.read_bytes())
    data = write_result(answer(model, upload), upload, model, threshold=round(1000 * model.threshold))
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    masks = files.get("mask.nii.gz") or files["mask.png"]
    return masks, pd.read_csv(io.BytesIO(files["slices.csv"])), files["README.txt"].decode()


@pytest.mark.parametrize("kind", [".nii.gz", ".jpg", ".png"])
@pytest.mark.parametrize("size", [16, 96, "shipped"])
def test_page_and_predict_agree(tmp_path, size, kind):
    """A model that shrinks, one that enlarges, and the one of the package: bytes, figures and volume are the same."""
    wide = {**BRAIN, "name": "brain_wide", "width": 120.0}
    told = {"channels": (wide,), "threshold": 0.64}  # of 57 HU: between brain and bleed, and below bone
    model = SHIPPED if size == "shipped" else write_onnx(tmp_path / "m.onnx", (size, size, 1), **told)
    path = write_file(tmp_path, kind)
    result = predict_files(load_exported(model), path, tmp_path / "out")
    masks, table, readme = of_page(open_model(model), path)
    assert masks == next((tmp_path / "out" / "masks").iterdir()).read_bytes()
    assert result.slices["mask_pixels"].max() > 50, "the mask is empty: this would compare nothing"
    columns = ["slice_index", "max_probability", "mask_pixels", "mask_area_mm2"]
    pd.testing.assert_frame_equal(table[columns], result.slices[columns], rtol=0, atol=1e-6)
    volume = result.scans.iloc[0]["volume_ml"]
    said = "unknown (no spacing)" if volume == "unknown" else f"{volume:.2f} mL"
    assert f"Volume of the mask: {said}" in readme and (volume == "unknown") == (kind[1] != "n")
