"""How long a training step of the U-Net waits for its batch: 128x128, batches of 16, augmented, on all cores.

The floor is the same steps on one batch that is there already. The rival is what a short script does: read, augment
and train in turn, without a cache and without anything going on in the background.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools
import time

from timing import report

from hemokit.augment import RENYARD, STANDARD
from hemokit.batches import SliceBatches
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.losses import dice_bce
from hemokit.models.unet import unet
from hemokit.pipelines import slice_pipeline

NUM_STEPS = 30
OPTIONS = {"target": "mask", "image_size": 128, "batch_size": 16, "training": True}


def one_epoch(model, batches):
    """Train on the batches: (seconds waited, seconds in all), without the first step, which fills the pipeline."""
    batches = iter(batches)
    model.train_on_batch(*next(batches))
    waited, start = 0.0, time.perf_counter()
    for _ in range(NUM_STEPS):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        model.train_on_batch(*batch)
    return waited, time.perf_counter() - start


def endless(dataset):
    """Epoch after epoch of a dataset."""
    return itertools.chain.from_iterable(itertools.repeat(dataset))


def main():
    """Print the table."""
    root = phantom_root("ct_ich_jpg", num_patients=16, image_size=256)
    table = open_dataset(root)
    model = unet((128, 128, 1))
    model.compile(optimizer="adam", loss=dice_bce)
    rows = []
    ready = slice_pipeline(table, **OPTIONS)
    batch = next(iter(ready))
    model.train_on_batch(*batch)
    for name, batches in {
        "slice_pipeline, STANDARD": endless(ready),
        "slice_pipeline, RENYARD": endless(slice_pipeline(table, augmentation=RENYARD, **OPTIONS)),
        "in turn, files read each time, STANDARD": SliceBatches(table, cache=False, augmentation=STANDARD, **OPTIONS),
        "floor: one batch that is there": itertools.repeat(batch),
    }.items():
        waited, total = one_epoch(model, batches)
        images = NUM_STEPS * OPTIONS["batch_size"]
        rows.append({"batches": name, "waiting, % of the time": 100 * waited / total, "images/s": images / total})
    note = f"{NUM_STEPS} steps of the U-Net with {model.count_params():,} parameters; goal under 5 %"
    report("How long a training step waits for its batch, 128x128, batches of 16", rows, note)


if __name__ == "__main__":
    main()
