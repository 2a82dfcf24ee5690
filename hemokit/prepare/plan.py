"""What a preparation is of, written down before it begins: what is resumed must be the same."""

import contextlib
import hashlib
import json
import os
import shutil
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hemokit.checks import counted, problem
from hemokit.checksums import SUMS
from hemokit.datasets import hemokit_store, rsna
from hemokit.datasets.hemokit_store import FORMAT, SHARDS, STORE, WORK
from hemokit.files import sha256, write_whole
from hemokit.formats.slice_frames import SETTINGS

PLAN, INVENTORY, LOCK = "plan.json", "files.csv", "lock"
LIBRARIES = ("numcodecs", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm", "pillow")
_PACKAGE = Path(__file__).parents[1]
SOURCES = ("formats/dicom_*.py", "formats/slice_frames.py", "datasets/rsna*.py", "prepare/*.py")


def inventory_of(root):
    """Every DICOM file of an RSNA folder: dict name -> (bytes, time of its last change in microseconds), sorted."""
    found = {}
    with os.scandir(root / rsna.IMAGES) as entries:
        for entry in entries:
            if entry.name.endswith(".dcm"):
                told = entry.stat()
                found[entry.name] = told.st_size, told.st_mtime_ns // 1000
    return dict(sorted(found.items()))


def describe(root, inventory, *, slices_a_shard):
    """What the bytes of a store depend on: a dict that JSON can hold."""
    sizes = "\n".join(f"{name} {size}" for name, (size, _) in inventory.items())
    return {
        "format": FORMAT,
        "slices_a_shard": slices_a_shard,
        "codec": SETTINGS,
        "versions": _versions(),
        "code": _code(),
        "labels": sha256(root / rsna.CSV),
        "files": len(inventory),
        "names_and_sizes": hashlib.sha256(sizes.encode()).hexdigest(),
    }


def begin(out, plan, inventory):
    """Make the folder of a new preparation, or make sure that the one in it is the same.

    Args:
        out: folder of the store.
        plan: dict of `describe`.
        inventory: dict of `inventory_of`.

    Returns:
        True where the store is finished already; else False.

    Raises:
        HemokitError: another folder's content; another plan, or files that have changed since, named.
    """
    if (out / SUMS).is_file() and (out / STORE).is_file():
        _check_same(hemokit_store.read_facts(out)["plan"], plan, out)
        _check_older(out, inventory)
        return True
    if (out / WORK / PLAN).is_file():
        check_files(out / WORK / INVENTORY, inventory)
        _check_same(json.loads((out / WORK / PLAN).read_text(encoding="utf-8")), plan, out)
        return False
    others = [one.name for one in out.iterdir() if one.name not in (WORK, SHARDS)] if out.is_dir() else []
    if others:
        remedy = "Nothing is overwritten: choose another folder."
        raise problem(f"there is {others[0]!r} in it", "a new or empty folder, or a begun store", remedy, file=out)
    (out / SHARDS).mkdir(parents=True, exist_ok=True)
    with write_whole(out / WORK / INVENTORY) as stream:
        stream.writelines(f"{name},{size},{changed}\n" for name, (size, changed) in inventory.items())
    with write_whole(out / WORK / PLAN) as stream:  # last: with it, all is there
        json.dump(plan, stream)
    return False


@contextlib.contextmanager
def alone(out):
    """Keep a second preparation of the same folder away while the block runs; a kill lets it in."""
    (out / WORK).mkdir(parents=True, exist_ok=True)
    with open(out / WORK / LOCK, "w", encoding="utf-8") as stream:
        try:
            _lock(stream)
        except OSError:
            remedy = "Wait until it has finished, or choose another folder."
            raise problem("it is being prepared by another process", "one at a time", remedy, file=out) from None
        yield


def sweep(out):
    """Delete the half-written files that killed processes left."""
    for folder in (out, out / SHARDS, out / WORK, out / WORK / SHARDS):
        for left in folder.glob(".*.part"):
            left.unlink(missing_ok=True)


def remove_work(out):
    """Delete what only a preparation needs."""
    shutil.rmtree(out / WORK, ignore_errors=True)


def _lock(stream):
    if os.name == "posix":
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)


def _check_same(before, now, out):
    """Raise where a plan differs in something that the bytes of the store depend on, and say in what."""
    words = {"labels": f"the content of {rsna.CSV}", "names_and_sizes": "the names or sizes of the DICOM files"}
    different = [words.get(name, name) for name in now if before.get(name) != now[name]]
    if different:
        remedy = "Prepare into another folder, or delete this one."
        told = f"this store was begun with other input or settings ({', '.join(different)})"
        raise problem(told, "the same as then", remedy, file=out)


def check_files(path, inventory):
    """Raise where a file was added, removed or changed since the preparation began."""
    with open(path, encoding="utf-8") as stream:
        before = {name: (int(size), int(changed)) for name, size, changed in (line.rsplit(",", 2) for line in stream)}
    different = sorted(name for name in before | inventory if before.get(name) != inventory.get(name))
    if different:
        came = f"{counted(len(different), 'file')} changed since this store was begun, such as {different[0]}"
        remedy = "Delete the folder of the store and begin again, or restore the files."
        raise problem(came, "the files as they were", remedy, file=path.parents[1])


def _check_older(out, inventory):
    """Raise where a file was changed after the store was finished."""
    finished = (out / SUMS).stat().st_mtime_ns // 1000
    newer = [name for name, (_, changed) in inventory.items() if changed > finished]
    if newer:
        came = f"{counted(len(newer), 'file')} changed since this store was finished, such as {newer[0]}"
        raise problem(came, "the files as they were", "Prepare into another folder.", file=out)


@lru_cache(maxsize=1)
def _code():
    """A checksum of the modules that decide what is written."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in _PACKAGE.glob(pattern)):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _versions():
    found = {}
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):  # decoders of kinds that may not be there
            found[library] = version(library)
    return found
