"""Phantom slices a second at 512x512 on one core, with the floor: the noise and one blur a slice."""

import cv2
import numpy as np
from timing import report, seconds

from hemokit.datasets.phantom import make_phantom

SIZE, NUM_PATIENTS = 512, 4


def make_patients():
    """Make a few whole patients; returns how many slices they have together."""
    return sum(
        len(make_phantom(f"{number:03d}", seed=number, image_size=SIZE).hounsfield) for number in range(NUM_PATIENTS)
    )


def noise_only(num_slices):
    """The least that any slice costs: white noise and one Gaussian blur."""
    rng = np.random.default_rng(0)
    for _ in range(num_slices):
        cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE), dtype=np.float32), (0, 0), 0.7)


def main():
    """Print the table."""
    cv2.setNumThreads(1)
    make_phantom("000", seed=0, image_size=64)  # imports and tables are not what is timed
    time_phantom, num_slices = seconds(make_patients, repeats=3)
    time_floor, _ = seconds(noise_only, num_slices, repeats=3)
    rows = [
        {
            "what": "make_phantom, bleeds and masks included",
            "slices/s": num_slices / time_phantom,
            "ratio to goal": num_slices / time_phantom / 15,
        },
        {"what": "goal", "slices/s": 15.0, "ratio to goal": 1.0},
        {
            "what": "floor: noise and one blur",
            "slices/s": num_slices / time_floor,
            "ratio to goal": num_slices / time_floor / 15,
        },
    ]
    report(
        f"Phantom at {SIZE}x{SIZE}, {NUM_PATIENTS} patients, {num_slices} slices, one core", rows, "median of 3 runs"
    )


if __name__ == "__main__":
    main()
