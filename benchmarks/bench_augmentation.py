"""Image and mask augmented together with renyard's six transforms at 256x256, one thread, against three libraries.

The rivals are no dependencies of hemokit: what is not installed is named and left out. Each is set up as its own
documentation says, with its fastest setting that does the job: MONAI puts elastic and affine into one warp as well;
Keras takes batches of 16. Their elastic transforms differ from renyard's in detail (MONAI deforms by a coarse grid of
control points), so what is compared is the cost of the same kinds of change, not equal pixels.
"""

import os
from importlib.metadata import version

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1", TF_CPP_MIN_LOG_LEVEL="3")

import time

import cv2
import numpy as np
from timing import report

from hemokit import __version__
from hemokit.augment import RENYARD, augment_pair
from hemokit.datasets.phantom import make_scan

SIZE, ROUNDS = 256, 7


def hemokit_pairs(image, mask):
    """One pair a call."""
    state = {"count": 0}

    def run():
        state["count"] += 1
        augment_pair(image, mask, RENYARD, key=(0, 0, str(state["count"])))

    return run, 1


def albumentations_pairs(image, mask):
    """One pair a call: flip, affine, elastic, brightness."""
    import albumentations

    kwargs = {"rotate": (-40, 40), "shear": (-4, 4), "scale": (0.8, 1.5), "p": 1.0}
    compose = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(**kwargs),
            albumentations.ElasticTransform(alpha=10, sigma=3, p=1.0),
            albumentations.RandomBrightnessContrast(brightness_limit=(-0.7, 0.8), contrast_limit=0, p=1.0),
        ]
    )
    labels = mask.astype(np.uint8)
    return lambda: compose(image=image, mask=labels), 1


def monai_pairs(image, mask):
    """One pair a call: flip, elastic and affine in one warp, brightness."""
    import torch
    from monai import transforms

    torch.set_num_threads(1)
    both = ["image", "mask"]
    compose = transforms.Compose(
        [
            transforms.RandFlipd(both, prob=0.5, spatial_axis=1),
            transforms.Rand2DElasticd(
                both, spacing=(16, 16), magnitude_range=(0, 1.1), prob=1.0, rotate_range=np.deg2rad(40),
                shear_range=np.tan(np.deg2rad(4)), scale_range=(-0.2, 0.5), mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            transforms.RandScaleIntensityd(["image"], factors=(-0.7, 0.8), prob=1.0),
        ]
    )  # fmt: skip
    pair = {"image": image.transpose(2, 0, 1), "mask": mask[None].astype(np.uint8)}
    return lambda: compose(pair), 1


def keras_pairs(image, mask):
    """A batch of 16 pairs a call."""
    import keras

    _one_thread(keras.backend.backend())
    layers = keras.layers.Pipeline(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(40 / 360, fill_mode="constant"),
            keras.layers.RandomShear(np.tan(np.deg2rad(4)), 0.0, fill_mode="constant"),
            keras.layers.RandomZoom((-0.33, 0.25), fill_mode="constant"),
            keras.layers.RandomElasticTransform(factor=1.0, scale=1.0, fill_mode="constant"),
            keras.layers.RandomBrightness((-0.7, 0.8), value_range=(0, 1)),
        ]
    )
    images = np.repeat(image[None], 16, axis=0)
    masks = np.repeat(mask[None, ..., None].astype(np.float32), 16, axis=0)
    return lambda: layers({"images": images, "segmentation_masks": masks}, training=True), 16


def _one_thread(backend):
    """JAX cannot be held to one thread from here: set XLA_FLAGS before."""
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif backend == "torch":
        import torch

        torch.set_num_threads(1)


def best_rate(run, pairs, budget=0.4):
    """Pairs a second in the time of about `budget` seconds."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < budget:
        run()
        calls += 1
    return calls * pairs / (time.perf_counter() - start)


def main():
    """Print the table."""
    cv2.setNumThreads(1)
    hounsfield, masks, *_ = make_scan("000", seed=0, image_size=SIZE, num_slices=12, subtypes=("epidural",))
    image = np.clip(hounsfield[6][..., None] / 80, 0, 1).astype(np.float32)
    mask = masks["epidural"][6]
    rivals = {"hemokit": hemokit_pairs, "albumentations": albumentations_pairs}
    rivals |= {"monai": monai_pairs, "keras": keras_pairs}
    ready, missing = {}, []
    for name, prepare in rivals.items():
        try:
            ready[name] = prepare(image, mask)
            ready[name][0]()  # what is made on the first call is not timed
        except ImportError:
            missing.append(name)
    rates = {name: [] for name in ready}
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets all alike
        for name, (run, pairs) in ready.items():
            rates[name].append(best_rate(run, pairs))
    medians = {name: float(np.median(found)) for name, found in rates.items()}
    rows = [
        {
            "library": name,
            "version": __version__ if name == "hemokit" else version(name),
            "pairs/s": rate,
            "hemokit is faster by": medians["hemokit"] / rate,
        }
        for name, rate in medians.items()
    ]
    note = f"median of {ROUNDS} rounds in turn"
    if missing:
        note += f"; not installed, so not measured: {', '.join(missing)}"
    if "keras" in ready:
        import keras

        note += f"; keras on {keras.backend.backend()}"
    report(f"Paired augmentation with six transforms at {SIZE}x{SIZE}, one thread", rows, note)


if __name__ == "__main__":
    main()
