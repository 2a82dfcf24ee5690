"""The best F1 threshold of 20 million pixels: hemokit against scikit-learn's precision_recall_curve and argmax.

The memory is the process's peak less what it held before the search: the arrays and the imports. Both run on one
core. `python bench_threshold_search.py 2000000` takes another number of pixels.
"""

import importlib
import sys

import numpy as np
import psutil
from timing import answer, in_child, report, seconds

NUM_PIXELS = 20_000_000
CHUNK = 50_000
MODULES = {"hemokit": "hemokit.thresholds", "scikit-learn": "sklearn.metrics"}


def pixels(count):
    """Truth and probabilities of pixels: 1.5 % positive, mostly near 0 and 1, nearly all values distinct."""
    rng = np.random.default_rng(0)
    y_true, probability = np.empty(count, bool), np.empty(count, np.float32)
    for start in range(0, count, CHUNK):  # small steps, so that making the arrays does not set the peak
        part = slice(start, min(start + CHUNK, count))
        true = rng.random(part.stop - part.start) < 0.015
        y_true[part] = true
        probability[part] = np.where(true, rng.beta(2, 1.2, len(true)), rng.beta(0.15, 6, len(true)))
    return y_true, probability


def ours(y_true, probability):
    """Threshold and F1 by hemokit."""
    from hemokit.thresholds import search_threshold

    return search_threshold(y_true, probability)[:2]


def theirs(y_true, probability):
    """Threshold and F1 by scikit-learn, as in its users' notebooks."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(y_true, probability)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1[:-1].argmax()
    return float(thresholds[best]), float(f1[best])


def floor(y_true, probability):
    """Read each byte once: what no search can undercut."""
    return float(np.count_nonzero(y_true)), float(probability.max())


def child(name, count):
    """One way in a process of its own: median seconds, the result, MB beside the arrays."""
    function = {"hemokit": ours, "scikit-learn": theirs, "floor": floor}[name]
    arrays = pixels(int(count))
    if name in MODULES:
        importlib.import_module(MODULES[name])  # imports are not counted
    before = psutil.Process().memory_info().rss
    time, result = seconds(function, *arrays, repeats=3 if name == "scikit-learn" else 7)
    answer(seconds=time, result=result, before_mb=before / 1024**2)


def main(count=NUM_PIXELS):
    """Print the table; the two must find the same optimum."""
    found = {name: in_child(__file__, name, str(count)) for name in ("hemokit", "scikit-learn", "floor")}
    best, reference = found["hemokit"]["result"], found["scikit-learn"]["result"]
    assert best[0] == reference[0] and abs(best[1] - reference[1]) < 1e-12, (best, reference)
    rows = [
        {
            "way": {"floor": "floor: read the arrays once"}.get(name, name),
            "seconds": one["seconds"],
            "times faster": found["scikit-learn"]["seconds"] / one["seconds"],
            "MB beside the arrays": one["peak_mb"] - one["before_mb"],
        }
        for name, one in found.items()
    ]
    note = f"Best threshold {best[0]:.6f}, F1 {best[1]:.6f}, the same for both. One core each."
    report(f"The best of all thresholds, {int(count):,} pixels", rows, note)


if __name__ == "__main__":
    child(*sys.argv[1:]) if len(sys.argv) == 3 else main(*sys.argv[1:])
