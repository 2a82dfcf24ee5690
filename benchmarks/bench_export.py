"""One slice of 256 x 256, and a scan of 30 from file to masks: `model.predict` beside every exported form.

The model is the U-Net of the CT-ICH paper (1,962,337 parameters) with batch normalization, without which it does not
learn in a minute; exported, it is part of the convolutions. It learns for a moment on crops of the phantom, so
that its masks are masks and Dice means something. All forms run in one process, one after another, on the same slices;
HEMOKIT_BENCH_REPEATS says how often (15).
"""

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import nibabel as nib  # noqa: E402
import numpy as np  # noqa: E402
from timing import report  # noqa: E402

from hemokit.apply import predict_files  # noqa: E402
from hemokit.datasets.phantom import make_scan  # noqa: E402
from hemokit.export import compare_exported, export_model, load_exported  # noqa: E402
from hemokit.metrics import confusion_counts, dice  # noqa: E402
from hemokit.models.unet import unet  # noqa: E402
from hemokit.windows import stack_windows  # noqa: E402

SIZE, SLICES, CROP, STEPS = 256, 30, 64, 300
LEARNED = 0.3  # Dice of Keras, from which what a format loses means something
REPEATS = int(os.environ.get("HEMOKIT_BENCH_REPEATS", "15"))
FORMS = (("onnx", "float32"), ("litert", "float32"), ("litert", "float16"), ("litert", "int8"))
SUFFIX = {"onnx": ".onnx", "litert": ".tflite"}
WINDOW = {"name": "brain", "dataset": "phantom", "level": 40.0, "width": 80.0}


def slices_of(patient):
    """(images, masks, hounsfield) of one phantom patient."""
    hounsfield, masks = make_scan(patient, seed=0, image_size=SIZE, num_slices=SLICES, subtypes=("intraparenchymal",))
    return stack_windows(hounsfield, ["brain"]), np.any(list(masks.values()), axis=0), hounsfield


def trained():
    """(the paper's U-Net, after it learned on crops: its weights fit any size; images to calibrate int8 with)."""
    keras.utils.set_random_seed(0)
    small = unet((CROP, CROP, 1), batch_norm=True)
    small.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    images, masks = (np.concatenate(one) for one in list(zip(*map(slices_of, ("001", "002")), strict=True))[:2])
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        pairs = [crop(images, masks, rng, bleeding) for bleeding in (True, False) * 4]
        small.train_on_batch(*(np.stack(one) for one in zip(*pairs, strict=True)))
    model = unet((SIZE, SIZE, 1), batch_norm=True)
    model.set_weights(small.get_weights())
    return model, images[np.argsort(-masks.sum((1, 2)))[:24]]


def crop(images, masks, rng, bleeding):
    """(image, mask) of one crop: around a pixel of a bleed, or anywhere."""
    places = np.argwhere(masks) if bleeding else None
    number, row, column = rng.choice(places) if bleeding else rng.integers(0, masks.shape)
    row, column = (int(np.clip(one - CROP // 2, 0, SIZE - CROP)) for one in (row, column))
    place = number, slice(row, row + CROP), slice(column, column + CROP)
    return images[place], masks[place][..., None].astype(np.float32)


def milliseconds(function, images, repeats=REPEATS):
    """Median time of one slice at a time, after three that warm up."""
    times = []
    for number in range(repeats + 3):
        image = images[number % len(images)][None]
        start = time.perf_counter()
        function(image)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[3:]))


def main():
    """Time and score every form; then a NIfTI scan of 30 slices from file to masks."""
    model, calibration = trained()
    images, masks, hounsfield = slices_of("003")
    expected = np.concatenate([model.predict_on_batch(one[None]) for one in images])
    score = float(dice(confusion_counts(masks, expected[..., 0] >= 0.5)))
    if score < LEARNED:
        raise SystemExit(f"The network has a Dice of {score:.2f} only: it has not learned, and no format can lose it.")
    rows = [{"form": "model.predict", "ms a slice": milliseconds(lambda one: model.predict(one, verbose=0), images)}]
    rows.append(
        {"form": "compiled call (predict_on_batch)", "ms a slice": milliseconds(model.predict_on_batch, images)}
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kept = [export(model, calibration, folder, *form) for form in FORMS]
        for one in kept:
            found = compare_exported(expected, one, images, masks).iloc[0]
            rows.append({
                "form": f"{one.card.format} {one.card.precision}",
                "ms a slice": milliseconds(one.probabilities, images), "MiB": one.card.size_bytes / 2**20,
                "Dice": found["dice"], "Dice lost": found["dice_lost"], "max difference": found["max_difference"],
            })  # fmt: skip
        scan = folder / "scan.nii.gz"
        nib.save(nib.Nifti1Image(hounsfield.transpose(2, 1, 0)[:, ::-1].astype(np.int16), np.diag([-1, 1, 5, 1])), scan)
        for row, one in zip(rows[2:], kept, strict=True):
            start = time.perf_counter()
            predict_files(one, scan, folder / row["form"].replace(" ", "_"))
            row["s a scan, file to masks"] = time.perf_counter() - start
    names = list(rows[2])
    slowest = rows[0]["ms a slice"]
    shown = [
        {**{name: row.get(name, "-") for name in names}, "times faster": slowest / row["ms a slice"]} for row in rows
    ]
    note = f"U-Net of {model.count_params():,} parameters, {SIZE} x {SIZE}, slices one at a time; a scan has {SLICES}."
    report("Exported models", shown, note)


def export(model, calibration, folder, format, precision):
    """One form of the model, loaded."""
    card = {"threshold": 0.5, "channels": (WINDOW,)}
    path = folder / f"{precision}{SUFFIX[format]}"
    images = calibration if precision == "int8" else None
    return load_exported(export_model(model, path, format=format, precision=precision, card=card, calibration=images))


if __name__ == "__main__":
    main()
