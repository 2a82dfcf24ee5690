"""One worker's job: the slices of some patients into one shard, and a journal of what became of each."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from hemokit.checks import HemokitError, problem
from hemokit.datasets.hemokit_store import SHARDS, WORK, shard_path
from hemokit.files import write_whole
from hemokit.formats.dicom_files import read_stored
from hemokit.formats.slice_frames import pack_slice

KEYS = ("slice_id", "offset", "length", "crc32", "signed", "height", "width", "slope", "intercept", "constant", "error")


class Job(NamedTuple):
    """A shard to write: the folder of the store, its number, and (slice_id, path) of its slices in their order."""

    out: str
    number: int
    slices: tuple


def divide(table, *, slices_a_shard, out):
    """Divide a slice table, whole patients at a time: list of `Job`.

    A shard has at most `slices_a_shard` slices, or one patient who has more.
    """
    sizes = table.groupby("patient_id", sort=False).size()
    jobs, start, count = [], 0, 0
    ids, paths = table["slice_id"].to_numpy(object), table["image_path"].to_numpy(object)

    def close(end):
        pairs = zip(ids[start:end].tolist(), paths[start:end].tolist(), strict=True)
        jobs.append(Job(str(out), len(jobs), tuple(pairs)))

    for size in sizes:
        if count and count + size > slices_a_shard:
            close(start + count)
            start, count = start + count, 0
        count += size
    if count:
        close(start + count)
    return jobs


def journal_path(out, number):
    """Where it stands that a shard is done."""
    return Path(out, WORK, SHARDS, f"{number:05d}.json")


def is_done(job):
    """Whether a shard and its journal are there: both are written whole, the journal after the shard."""
    return journal_path(job.out, job.number).is_file() and shard_path(job.out, job.number).is_file()


def write_shard(job):
    """Read and pack the slices of a job.

    A slice that cannot be read, or that is constant, is left out, and the journal says why. Nothing but the journal
    and the shard is written, each whole or not at all.

    Returns:
        the number of its slices.

    Raises:
        HemokitError: the shard cannot be written, or numcodecs is not installed.
    """
    digest, rows, position = hashlib.sha256(), [], 0
    try:
        with write_whole(shard_path(job.out, job.number), "wb") as stream:
            for slice_id, path in job.slices:
                row, frame = _packed(slice_id, path, position)
                stream.write(frame)
                digest.update(frame)
                position += len(frame)
                rows.append(row)
        with write_whole(journal_path(job.out, job.number)) as stream:
            json.dump({"sha256": digest.hexdigest(), "rows": rows}, stream)
    except OSError as error:
        came = f"it cannot be written ({error.strerror or error})"
        remedy = "Make room, then run the same command again: it goes on where it was."
        raise problem(came, "a folder that can be written, with enough space", remedy, file=job.out) from error
    return len(job.slices)


def _packed(slice_id, path, position):
    """The values of `KEYS` for a slice, and its frame; an empty one where it is left out."""
    try:
        facts, stored = read_stored(path)
    except HemokitError as error:
        return (slice_id, *[None] * (len(KEYS) - 3), 0, str(error)), b""
    if facts.constant:
        return (slice_id, *[None] * (len(KEYS) - 3), 1, ""), b""
    frame, crc32, signed = pack_slice(stored)
    place = position, len(frame), crc32, int(signed)
    return (slice_id, *place, *facts.shape, facts.slope, facts.intercept, 0, ""), frame
