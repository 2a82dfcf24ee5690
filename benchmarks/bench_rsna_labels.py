"""4.5 million RSNA label rows to one row a slice: hemokit against a loop over the rows, and a pandas pivot.

Each contender runs in a process of its own, so that its peak memory is its own.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from timing import answer, in_child, report

NUM_IMAGES = 752_803
LABELS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")
PART = 20  # the loop runs on one image in so many, and is scaled up


def write_labels(path, num_images, seed=0):
    """Write stage_2_train.csv with six rows an image; `any` follows from the others."""
    rng = np.random.default_rng(seed)
    flags = (rng.random((num_images, 5)) < 0.04).astype(np.uint8)
    flags = np.column_stack([flags, flags.max(axis=1)])
    with path.open("w", newline="") as stream:
        stream.write("ID,Label\n")
        for number, row in enumerate(flags.tolist()):
            stream.writelines(f"ID_{number:09x}_{name},{flag}\n" for name, flag in zip(LABELS, row, strict=True))


def with_hemokit(path):
    """The reader of the package."""
    from hemokit.datasets.rsna_labels import read_rsna_labels

    return read_rsna_labels(path)[0]


def with_loop(path):
    """What a beginner writes: a dictionary filled row by row from a DataFrame."""
    table = {}
    for _, row in pd.read_csv(path).iterrows():
        image, label = row["ID"][:12], row["ID"][13:]
        table.setdefault(image, {})[label] = row["Label"]
    return pd.DataFrame.from_dict(table, orient="index")


def with_reader(path):
    """A loop without pandas: the csv module and a dictionary."""
    table = {}
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            table.setdefault(row["ID"][:12], {})[row["ID"][13:]] = int(row["Label"])
    return pd.DataFrame.from_dict(table, orient="index")


def with_pivot(path):
    """What an experienced user writes: drop duplicates, split, pivot."""
    frame = pd.read_csv(path).drop_duplicates("ID")
    frame["image"], frame["label"] = frame["ID"].str[:12], frame["ID"].str[13:]
    return frame.pivot(index="image", columns="label", values="Label")  # noqa: PD010  (what users write)


def read_bytes(path):
    """The floor: the file's bytes, in blocks."""
    with open(path, "rb") as stream:
        while stream.read(2**23):
            pass
    return pd.DataFrame(index=range(NUM_IMAGES), columns=list(LABELS), data=0)


def main():
    """Time each contender in a child process and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.csv", Path(folder) / "part.csv"
        write_labels(whole, NUM_IMAGES)
        write_labels(part, NUM_IMAGES // PART)
        runs = [
            ("hemokit", "with_hemokit", whole, 1),
            (f"DataFrame.iterrows (1/{PART}, scaled)", "with_loop", part, PART),
            ("csv.DictReader loop", "with_reader", whole, 1),
            ("pandas drop_duplicates and pivot", "with_pivot", whole, 1),
            ("floor: reading the bytes", "read_bytes", whole, 1),
        ]
        rows = []
        for title, name, path, scale in runs:
            child = in_child(__file__, name, str(path))
            assert child["positive"] > 0 or name == "read_bytes", "every contender must find the hemorrhages"
            rows.append({"what": title, "seconds": child["seconds"] * scale, "peak MB": child["peak_mb"]})
    for row in rows:
        row["times slower than hemokit"] = row["seconds"] / rows[0]["seconds"]
    title = f"{NUM_IMAGES * len(LABELS):,} RSNA label rows to {NUM_IMAGES:,} slices"
    report(title, rows, "peak memory is the whole process's, imports included; goal 50 times against a row loop")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        start = time.perf_counter()
        frame = globals()[sys.argv[1]](sys.argv[2])
        answer(seconds=time.perf_counter() - start, positive=int(frame["any"].sum()))
    else:
        main()
