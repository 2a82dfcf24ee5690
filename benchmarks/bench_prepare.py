"""Preparing DICOM files: slices a second, one process and two, against a plain pydicom loop; then reading both.

How much two processes do beyond one is counted after the first shards (a set of hundreds of thousands of slices takes
hours, and starting them a second). Beside it stand two preparations that know nothing of each other (they are no
ceiling: they were slower than two processes that share one store). All three are measured in each round, and the ratios
are of one round, because a machine's speed changes within minutes.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pydicom
from timing import answer, in_child, report

from hemokit.datasets import open_dataset, read_hounsfield, rsna
from hemokit.datasets.phantom import phantom_root
from hemokit.prepare.crew import work_off
from hemokit.prepare.shards import divide
from hemokit.processes import process_pool

ROUNDS = 5
REPEATS = 12  # of each file
SLICES_A_SHARD = 64


def phantom():
    """The DICOM files: 512x512, uncompressed, as RSNA's."""
    return phantom_root("rsna", num_patients=12, image_size=512, seed=0)


def plain(path):
    """What a notebook writes: Hounsfield units, unchecked, the 12-bit quirk unrepaired."""
    dataset = pydicom.dcmread(path)
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def rate(function, items):
    """The best of some rounds, in items a second of the clock; what comes out is dropped at once, as a loader does."""
    best = 0.0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for item in items:
            function(item)
        best = max(best, len(items) / (time.perf_counter() - start))
    return best


def prepare(table, folder, workers):
    """Pack all slices, once: (slices a second after the first shards, bytes of the store)."""
    out = Path(folder, f"store{workers}")
    (out / "shards").mkdir(parents=True)
    (out / ".work" / "shards").mkdir(parents=True)
    start, counts, times = time.perf_counter(), [], []
    for count in work_off(divide(table, slices_a_shard=SLICES_A_SHARD, out=out), workers=workers):
        counts.append(count)
        times.append(time.perf_counter() - start)
    assert sum(counts) == len(table)
    size = sum(path.stat().st_size for path in out.glob("shards/*"))
    shutil.rmtree(out)
    begun = 2 * workers  # shards that are done before the clock starts
    return sum(counts[begun:]) / (times[-1] - times[begun - 1]), size


def side_by_side(table, folder):
    """Slices a second of two preparations that know nothing of each other, both together."""
    with process_pool(2) as pool:
        folders = [Path(folder, str(number)) for number in range(2)]
        list(pool.map(prepare, [table[:500]] * 2, folders, [1] * 2))  # both processes are there
        return sum(own for own, _ in pool.map(prepare, [table] * 2, folders, [1] * 2))


def one_round(table, folder):
    """Slices a second of one process, two, and two that know nothing of each other."""
    return {
        "prepare, 1 process": prepare(table, folder, 1)[0],
        "prepare, 2 processes": prepare(table, folder, 2)[0],
        "two preparations side by side": side_by_side(table, folder),
    }


def reading():
    """In a process of its own: slices a second of each way to read."""
    from hemokit.prepare import prepare_store

    root = phantom()
    with tempfile.TemporaryDirectory() as folder:
        store = prepare_store(root, Path(folder, "store"), workers=1)
        of_dicom = open_dataset(root)
        rows = [table.to_dict("records") for table in (of_dicom, store)]
        start = time.perf_counter()
        open_dataset(Path(folder, "store"))
        opened = time.perf_counter() - start
        answer(
            plain=rate(plain, of_dicom["image_path"].tolist()), dicom=rate(read_hounsfield, rows[0]),
            store=rate(read_hounsfield, rows[1]), opened=opened, slices=len(store),
        )  # fmt: skip


def main():
    """Print the tables."""
    table = rsna.read_table(phantom())
    paths = table["image_path"].tolist()
    table = pd.concat([table.assign(patient_id=table["patient_id"] + f"-{n}") for n in range(REPEATS)])
    loop = rate(plain, paths)
    dicom_bytes = REPEATS * sum(os.path.getsize(path) for path in paths)
    with tempfile.TemporaryDirectory() as folder:
        _, size = prepare(table, folder, 1)  # and files come into memory
        rates = pd.DataFrame([one_round(table, folder) for _ in range(ROUNDS)])
    nothing = {"times one process": None, "least to most": None}
    rows = [{"what": "plain pydicom loop, nothing written", "slices/s": loop, **nothing}]
    for what, own in rates.items():
        times = own / rates["prepare, 1 process"]
        found = {"times one process": times.median(), "least to most": f"{times.min():.2f} to {times.max():.2f}"}
        rows.append({"what": what, "slices/s": own.median(), **found})
    ratio = f"the store has 1/{dicom_bytes / size:.2f} of the bytes of the DICOM files"
    note = f"{len(paths):,} slices of 512x512, {REPEATS} times; checked, packed and synced to disk; {ratio}"
    report("Preparing DICOM files", rows, f"{note}; medians of {ROUNDS} rounds, after the first two shards a process")
    found = in_child(__file__, "reading")
    names = {"plain": "plain pydicom loop", "dicom": "read_hounsfield, DICOM", "store": "read_hounsfield, store"}
    rows = [
        {"what": words, "slices/s": found[name], "times DICOM": found[name] / found["dicom"],
         "times the plain loop": found[name] / found["plain"]} for name, words in names.items()
    ]  # fmt: skip
    opened = 1e6 * found["opened"] / found["slices"]
    report(
        "Reading prepared slices", rows, f"one core, files in memory; opening the store took {opened:.0f} us a slice"
    )


if __name__ == "__main__":
    reading() if "reading" in sys.argv else main()
