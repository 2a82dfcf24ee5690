"""The synthetic patients that lessons share: `hemokit run` draws them before its first lesson, and they are kept.

A lesson that is opened by itself draws its own. Those whose phantom takes some seconds (01, 04, 05, 12) always do, and
in the profile `paper` all whose phantom is larger there.
"""

import sys
import time

from hemokit.course.pages import duration
from hemokit.datasets.phantom.writers import phantom_folder, phantom_root

RENDERS = {"layout": "ct_ich_jpg", "num_patients": 24, "image_size": 256}
SLICES = {"layout": "ct_ich_nifti", "num_patients": 100, "image_size": 128}
SCANS = {"layout": "rsna", "num_patients": 60, "image_size": 64}

# Number of a lesson -> the settings of its phantom.
IN_PAPER = dict.fromkeys(("00", "02", "03"), RENDERS)
IN_QUICK = {**IN_PAPER, **dict.fromkeys(("06", "07", "08", "09", "11", "13"), SLICES), "10": SCANS}


def draw_phantoms(numbers, *, profile="quick", seed=0):
    """Draw the phantoms that these lessons share, those that the cache does not have, with a line for each.

    Args:
        numbers: of lessons, as text; where there are other notebooks than the course's own, theirs count as well.
        profile: "quick" or "paper".
        seed: of the phantoms, a whole number from 0 to 2**32 - 1.

    Raises:
        HemokitError: another seed, or a phantom cannot be written; see `phantom_root`.
    """
    shared = IN_QUICK if profile == "quick" else IN_PAPER
    for settings in (shared[number] for number in numbers if number in shared):
        if phantom_folder(seed=seed, **settings).is_dir():  # from an earlier lesson of the list, too
            continue
        started = time.monotonic()
        told = f"{settings['num_patients']} synthetic patients ({settings['layout']}; they are kept)"
        print(f"Drawing {told} ...", flush=True)
        phantom_root(seed=seed, progress=sys.stderr.isatty(), **settings)
        print(f"They are ready after {duration(time.monotonic() - started)}.", flush=True)
