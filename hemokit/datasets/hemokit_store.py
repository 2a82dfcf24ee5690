"""What `hemokit data prepare` makes of DICOM files: Hounsfield slices packed patient by patient, fast to read.

slices.csv          a row a slice in the order of the slice table: ids, labels, facts, and where its pixels are
left_out.csv        every image that is not here, with the reason: rows in = rows here + rows there
shards/00000.blosc  the slices of whole patients, scan by scan, from the neck upward, one frame after another
                    (see `formats.slice_frames`)
store.json          what it was made of and how
SHA256SUMS.txt      of all other files; written last, so where it is, the store is whole
"""

import json
import os
import threading
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.checksums import SUMS, read_checksums
from hemokit.files import sha256
from hemokit.formats.slice_frames import unpack_slice
from hemokit.labels import LABELS
from hemokit.manifests import find_root, read_manifest
from hemokit.tables import Drop, build_table

NAME = "hemokit_store"
STORE, SLICES, LEFT_OUT, SHARDS, WORK = "store.json", "slices.csv", "left_out.csv", "shards", ".work"
FORMAT = 1
LARGEST_FRAME = 2**24
_MEMORY = threading.local()
# The columns of slices.csv, in their order.
COLUMNS = {
    **dict.fromkeys(("patient_id", "scan_id", "slice_id"), str),
    **{"slice_index": np.int64}, **dict.fromkeys(LABELS, np.int8),
    **dict.fromkeys(("slice_spacing_mm", "row_spacing_mm", "column_spacing_mm"), float),
    **{"height": np.int32, "width": np.int32, "slope": float, "intercept": float, "signed": np.int8},
    **{"shard": np.int32, "offset": np.int64, "length": np.int32, "crc32": np.int64},
}  # fmt: skip


def find(root):
    """The folder of a store, or of a preparation that was not finished, in `root` or below it; else None."""
    return find_root(root, read_manifest(NAME).layout) or find_root(root, (WORK, SHARDS))


def read_table(root):
    """Read the slice table of a store.

    Args:
        root: what `find` gives.

    Returns:
        the slice table. image_path is the shard; `offset`, `length`, `crc32` and others tell where in it a slice is,
        and the spacings are in mm. The account is that of the preparation. The tables are compared with their
        checksums here, each slice with its own when it is read, and all files by `hemokit data check`.

    Raises:
        HemokitError: a preparation that was not finished; tables that are not those that were written.
    """
    root = Path(root)
    if not (root / SUMS).is_file():
        remedy = "Run the same `hemokit data prepare` again: it goes on where it was."
        raise problem("a preparation that was not finished", "a whole store", remedy, file=root)
    sums = read_checksums(root / SUMS)
    for name in (STORE, SLICES, LEFT_OUT):
        if not (root / name).is_file() or sha256(root / name) != sums.get(name):
            raise problem("other bytes than were written", "an intact store", "Prepare it again.", file=root / name)
    facts = read_facts(root)
    as_text = {name: str if kind is float else kind for name, kind in COLUMNS.items()}
    rows = pd.read_csv(root / SLICES, dtype=as_text, keep_default_na=False)
    for name in (name for name, kind in COLUMNS.items() if kind is float):
        rows[name] = rows[name].replace("", "nan").to_numpy(object).astype(float)  # rounded as Python does it
    shards = np.array([str(shard_path(root, number)) for number in range(facts["shards"])], object)
    rows = rows.assign(dataset=NAME, mask_path=None, image_path=shards[rows["shard"]])
    left_out = pd.read_csv(root / LEFT_OUT, dtype=str, keep_default_na=False)
    drops = [Drop(reason, tuple(own)) for reason, own in left_out.groupby("reason", sort=False)["slice_id"]]
    return build_table(rows, rows_in=len(rows) + len(left_out), drops=drops, notes=facts["notes"])


def read_facts(root):
    """What store.json tells, as a dict."""
    path = Path(root, STORE)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        written = facts["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise problem(f"it cannot be read ({error})", "the facts of a store", "Prepare it again.", file=path) from None
    if written != FORMAT:
        remedy = "Prepare it again, or use the hemokit that made it."
        raise problem(f"a store of the format {written!r}", f"format {FORMAT}", remedy, file=path)
    return facts


def shard_path(root, number):
    """The path of a shard by its number."""
    return Path(root, SHARDS, f"{number:05d}.blosc")


def read_hounsfield(row):
    """Read the slice in Hounsfield units: float32 (height, width), bit by bit as the DICOM file gives it."""
    path, length = row["image_path"], int(row["length"])
    if not 0 < length <= LARGEST_FRAME:
        raise problem(f"a frame of {length} bytes", f"1 to {LARGEST_FRAME:,}", "Open the store again.", file=path)
    shape = int(row["height"]), int(row["width"])
    frame, buffer = _memory("frame", length), _memory("pixels", 2 * shape[0] * shape[1])
    try:
        with open(path, "rb", buffering=0) as stream:
            stream.seek(int(row["offset"]))
            frame = frame[: stream.readinto(frame)]
    except (OSError, ValueError) as error:
        raise problem(f"it cannot be read ({error})", "a shard of the store", "Open it again.", file=path) from error
    stored = unpack_slice(frame, int(row["crc32"]), shape, row["signed"], out=buffer, file=path)
    hounsfield = stored.astype(np.float32)
    if row["slope"] != 1:
        hounsfield *= np.float32(row["slope"])
    hounsfield += np.float32(row["intercept"])
    return hounsfield


def _memory(name, size):
    """Bytes of this thread to read or unpack into: asking the system for them each time takes as long as unpacking."""
    kept = getattr(_MEMORY, name, None)
    if kept is None or len(kept) < size:
        kept = np.empty(min(size, LARGEST_FRAME), np.uint8)
        setattr(_MEMORY, name, kept)
    return kept[:size]


def read_mask(row):
    """A store has no masks: always an error."""
    came = f"slice {row['slice_id']} has mask_path {row['mask_path']!r}"
    raise problem(came, "none, because DICOM files came without masks", "Make the table by open_dataset.")


def image_shape(row):
    """(height, width) of the slice."""
    return int(row["height"]), int(row["width"])


def recorded_digest(row):
    """What stands for the content of a row in a cache's key, without reading its pixels.

    The recorded SHA-256 of its shard, its place in it, and the CRC-32 that every read compares its bytes with.
    """
    shard = Path(row["image_path"])
    path = shard.parents[1] / SUMS
    try:
        stamp = os.stat(path)
    except OSError as error:
        raise problem(f"it cannot be read ({error.strerror})", "a store", "Open it again.", file=path) from error
    sums = _sums(str(path), stamp.st_mtime_ns, stamp.st_size)
    place = [row[name] for name in ("offset", "crc32", "signed", "slope", "intercept", "height", "width")]
    return f"{sums.get(f'{SHARDS}/{shard.name}')} {' '.join(map(str, place))}"


@lru_cache(maxsize=16)
def _sums(path, *stamp):
    return read_checksums(path)
