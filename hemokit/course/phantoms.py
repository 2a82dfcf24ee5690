"""The synthetic patients that several lessons share. `hemokit run` draws them before its first lesson."""

import sys
import time

from hemokit.course.pages import duration
from hemokit.datasets.phantom.writers import phantom_folder, phantom_root

SLICES = {"layout": "ct_ich_nifti", "num_patients": 100, "image_size": 128}
SCANS = {"layout": "rsna", "num_patients": 60, "image_size": 64}

# Number of a lesson -> the settings of its phantom in the profile quick. Others draw what they need themselves: it is
# small, or it is what the lesson is about.
QUICK = {
    **dict.fromkeys(("00", "02", "03"), {}),
    **dict.fromkeys(("06", "07", "08", "09", "11", "13"), SLICES),
    "10": SCANS,
}


def draw_phantoms(numbers, *, seed=0):
    """Draw the phantoms of `QUICK` that these lessons want and the cache does not have, and say so.

    Args:
        numbers: of lessons, as text.
        seed: of the phantoms, a whole number from 0.

    Raises:
        HemokitError: as `phantom_root`.
    """
    wanted = []
    for settings in (QUICK[number] for number in numbers if number in QUICK):
        if settings not in wanted and not phantom_folder(seed=seed, **settings).is_dir():
            wanted.append(settings)
    if not wanted:
        return
    started = time.monotonic()
    print("Drawing the phantom's patients (once; they are kept) ...", flush=True)
    for settings in wanted:
        phantom_root(seed=seed, progress=sys.stderr.isatty(), **settings)
    print(f"They are ready after {duration(time.monotonic() - started)}.", flush=True)
