"""Opening a CT-ICH folder: the slice table, against reading every image to learn its size."""

import os

import cv2
from timing import report, seconds

from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import phantom_root


def read_all(table):
    """What a notebook does first: read every image into memory."""
    return [cv2.imread(path, cv2.IMREAD_GRAYSCALE).shape for path in table["image_path"]]


def main():
    """Print the table."""
    real = os.environ.get("HEMOKIT_CT_ICH")
    root = real or phantom_root(num_patients=24, image_size=256, seed=0)
    time_open, table = seconds(open_dataset, root, repeats=5)
    time_read, _ = seconds(read_all, table, repeats=3)
    time_stat, _ = seconds(lambda: [os.stat(path) for path in table["image_path"]], repeats=5)
    rows = [
        {"what": "open_dataset", "seconds": time_open, "times faster": time_read / time_open},
        {"what": "reading every brain image", "seconds": time_read, "times faster": 1.0},
        {"what": "floor: one stat a file", "seconds": time_stat, "times faster": time_read / time_stat},
    ]
    report(
        f"Opening {'the real CT-ICH folder' if real else 'the phantom'}: {len(table):,} slices",
        rows,
        "median of 5 runs",
    )


if __name__ == "__main__":
    main()
