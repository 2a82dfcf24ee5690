"""Whole slices of 512x512 by a U-Net of 128x128 patches, 49 a slice: ours against a loop, medicai and MONAI.

The loop is what a user writes first: `model.predict` for each patch and the mean where they overlap. medicai takes the
same Keras model in this process (`pip install medicai`). MONAI takes it in a process on the PyTorch backend, where ours
runs a second time: HEMOKIT_BENCH_TORCH names the Python of an environment with keras, torch and monai; what is missing
is left out. The floor is the model on the same patches, cut and batched beforehand, and nothing done with what comes.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

from hemokit.processes import cores

SLICES, SIZE, PATCH, STRIDE, BATCH, ROUNDS = 4, 512, 128, 64, 16, 3
OURS, FLOOR = "predict_sliding_window", "floor: the model on patches that are there"
LOOP, MEDICAI, MONAI = "loop of model.predict, one patch each", "medicai, Gaussian weights", "MONAI, Gaussian weights"


def slices_and_model(count, size):
    """Noise as slices, and the U-Net of 1,962,337 parameters."""
    import keras
    import numpy as np

    from hemokit.models.unet import unet

    keras.utils.set_random_seed(0)
    return np.random.default_rng(0).random((count, size, size, 1), np.float32), unet((PATCH, PATCH, 1))


def ours(model, volume):
    """Our prediction of all slices."""
    from hemokit.training import predict_sliding_window

    return predict_sliding_window(model, volume, patch=(PATCH, PATCH), stride=(STRIDE, STRIDE), batch_size=BATCH)


def floor_of(model, volume):
    """A function that runs the model on the patches of all slices, in batches that are there already."""
    import numpy as np

    from hemokit.patches import cut_patches, patch_positions

    positions = patch_positions(volume.shape[1:3], (PATCH, PATCH), (STRIDE, STRIDE))
    cuts = np.concatenate([cut_patches(image, positions, (PATCH, PATCH)) for image in volume])
    batches = [cuts[first : first + BATCH] for first in range(0, len(cuts), BATCH)]
    return lambda: [model.predict_on_batch(batch) for batch in batches]


def loop(model, image):
    """One slice in a plain way: a prediction for each patch, and the mean of all."""
    import numpy as np

    total, count = np.zeros(image.shape), np.zeros(image.shape)
    for top in range(0, image.shape[0] - PATCH + 1, STRIDE):
        for left in range(0, image.shape[1] - PATCH + 1, STRIDE):
            where = slice(top, top + PATCH), slice(left, left + PATCH)
            total[where] += model.predict(image[where][np.newaxis], verbose=0)[0]
            count[where] += 1
    return total / count


def by_medicai(model, volume):
    """The same by medicai, which takes a window of all slices at once."""
    from medicai.utils.inference import sliding_window_inference

    how = {"roi_size": (PATCH, PATCH), "sw_batch_size": BATCH // len(volume), "overlap": 1 - STRIDE / PATCH}
    return sliding_window_inference(volume, model, 1, mode="gaussian", **how)


def by_monai(model, volume):
    """The same by MONAI, on PyTorch tensors without a copy."""
    import torch
    from monai.inferers import sliding_window_inference

    images = torch.from_numpy(volume).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = sliding_window_inference(
            images, (PATCH, PATCH), BATCH, lambda batch: model(batch.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
            1 - STRIDE / PATCH, "gaussian",
        )  # fmt: skip
    return found.permute(0, 2, 3, 1).numpy()


def child(backend, count=SLICES, size=SIZE, rounds=ROUNDS):
    """Seconds a slice of each way on one backend, in turns, after one of each that warms up; and how far they differ.

    The loop runs on one slice.
    """
    volume, model = slices_and_model(count, size)
    ways = {OURS: lambda: ours(model, volume), FLOOR: floor_of(model, volume)}
    if backend == "torch":
        ways[MONAI] = lambda: by_monai(model, volume)
    else:
        ways[LOOP] = lambda: loop(model, volume[0])
        if importlib.util.find_spec("medicai"):
            ways[MEDICAI] = lambda: by_medicai(model, volume)
    results = {name: way() for name, way in ways.items()}
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - start) / (1 if name == LOOP else count))
    rivals = [name for name in (MEDICAI, MONAI) if name in results]
    return {"times": times, "differ": {name: float(abs(results[name] - results[OURS]).max()) for name in rivals}}


def measured(python, backend):
    """A child of this file with one backend; None where its environment lacks something."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join(one for one in (here, os.environ.get("PYTHONPATH")) if one)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend, "PYTHONPATH": path}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run([python, __file__, backend], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(found, backend, loop_seconds):
    """The rows of the table for one backend."""
    seconds = {name: statistics.median(times) for name, times in found["times"].items()}
    return [
        {
            "backend": backend,
            "how": name,
            "slices/s": 1 / one,
            "times the loop": loop_seconds / one,
            "of the floor": seconds[FLOOR] / one,
            "differs from ours by": found["differ"].get(name, "-"),
        }
        for name, one in seconds.items()
    ]


def main():
    """Print the table."""
    from timing import report

    found = measured(sys.executable, "tensorflow")
    if found is None:
        sys.exit("the benchmark failed on TensorFlow")
    loop_seconds = statistics.median(found["times"][LOOP])
    rows = rows_of(found, "TensorFlow", loop_seconds)
    python = os.environ.get("HEMOKIT_BENCH_TORCH")
    other = measured(python, "torch") if python else None
    rows += rows_of(other, "PyTorch", loop_seconds) if other else []
    note = f"{SLICES} slices (the loop: 1), batches of {BATCH}, {ROUNDS} rounds in turns, median"
    report(f"Sliding window, {SIZE}x{SIZE} by {PATCH}x{PATCH} at stride {STRIDE}, U-Net, {cores()} cores", rows, note)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(child(sys.argv[1])))
    else:
        main()
