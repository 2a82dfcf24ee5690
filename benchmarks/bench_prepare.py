"""Preparing DICOM files: slices a second, one process and two, against a plain pydicom loop; then reading both.

How much two processes do beyond one is counted after the first shards (a set of hundreds of thousands of slices takes
hours, and starting them a second). What is compared is measured in each round, and a ratio is of one round, because
the speed of a machine that is shared changes by a third within a minute. So there are many rounds; of their ratios the
median and the quartiles are shown.
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

ROUNDS = 15
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
    """Items a second of the clock; what comes out is dropped at once, as a loader does."""
    start = time.perf_counter()
    for item in items:
        function(item)
    return len(items) / (time.perf_counter() - start)


def compare(rates, base):
    """The rest of a table's row for each column of rates: its median, and its ratios to those of `base`."""
    rows = {}
    for name, own in rates.items():
        low, middle, high = (own / rates[base]).quantile([0.25, 0.5, 0.75])
        rows[name] = {"slices/s": own.median(), f"times {base}": middle, "quartiles": f"{low:.2f} to {high:.2f}"}
    return rows


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


def reading():
    """In a process of its own: slices a second of each way to read, round by round."""
    from hemokit.prepare import prepare_store

    root = phantom()
    with tempfile.TemporaryDirectory() as folder:
        store = prepare_store(root, Path(folder, "store"), workers=1)
        of_dicom = open_dataset(root)
        rows = [table.to_dict("records") for table in (of_dicom, store)]
        start = time.perf_counter()
        open_dataset(Path(folder, "store"))
        opened = time.perf_counter() - start
        paths = of_dicom["image_path"].tolist()
        ways = {"plain pydicom loop": (plain, paths), "read_hounsfield, DICOM": (read_hounsfield, rows[0]),
                "read_hounsfield, store": (read_hounsfield, rows[1])}  # fmt: skip
        for way in ways.values():
            rate(*way)  # files come into memory
        rates = [{name: rate(*way) for name, way in ways.items()} for _ in range(ROUNDS)]
        answer(rates=rates, opened=opened, slices=len(store))


def main():
    """Print the tables."""
    table = rsna.read_table(phantom())
    paths = table["image_path"].tolist()
    table = pd.concat([table.assign(patient_id=table["patient_id"] + f"-{n}") for n in range(REPEATS)])
    dicom_bytes = REPEATS * sum(os.path.getsize(path) for path in paths)
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        _, size = prepare(table, folder, 1)  # and files come into memory
        for _ in range(ROUNDS):
            own = {f"prepare, {n} process(es)": prepare(table, folder, n)[0] for n in (1, 2)}
            rates.append({"plain pydicom loop, nothing written": rate(plain, paths), **own})
    found = compare(pd.DataFrame(rates), "prepare, 1 process(es)")
    ratio = f"the store has 1/{dicom_bytes / size:.2f} of the bytes of the DICOM files"
    note = f"{len(paths):,} slices of 512x512, {REPEATS} times; checked, packed and synced to disk; {ratio}"
    rows = [{"what": name, **row} for name, row in found.items()]
    report("Preparing DICOM files", rows, f"{note}; medians of {ROUNDS} rounds, after the first two shards a process")
    told = in_child(__file__, "reading")
    found = compare(pd.DataFrame(told["rates"]), "read_hounsfield, DICOM")
    opened = 1e6 * told["opened"] / told["slices"]
    note = f"one core, files in memory; opening the store took {opened:.0f} us a slice; medians of {ROUNDS} rounds"
    report("Reading prepared slices", [{"what": name, **row} for name, row in found.items()], note)


if __name__ == "__main__":
    reading() if "reading" in sys.argv else main()
