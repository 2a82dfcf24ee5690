"""All of a preparation, from a folder of DICOM files to a whole store."""

from pathlib import Path

from hemokit.checks import check_whole, problem
from hemokit.datasets import find_dataset, hemokit_store, rsna
from hemokit.datasets.hemokit_store import SHARDS, WORK
from hemokit.datasets.paths import path_of
from hemokit.datasets.rsna_headers import read_headers
from hemokit.files import write_whole
from hemokit.prepare.crew import work_off
from hemokit.prepare.finish import HEADERS, finish
from hemokit.prepare.plan import INVENTORY, alone, begin, check_files, describe, inventory_of, remove_work, sweep
from hemokit.prepare.shards import divide, is_done
from hemokit.processes import cores
from hemokit.progress import progress_bar

SLICES_A_SHARD = 512
FILES_A_PART = 10_000  # headers that are kept together


def prepare_store(root, out, *, workers=None, dask=None, slices_a_shard=SLICES_A_SHARD, progress=None):
    """Make a store of the DICOM files of a folder; or go on with one that was interrupted.

    Args:
        root: a folder in the layout of RSNA 2019.
        out: folder of the store, made if missing. One that is finished stays as it is.
        workers: processes of this machine; None takes one a core. Above 1 a script needs
            `if __name__ == "__main__":`.
        dask: a Dask scheduler for the pixels, see `crew.work_off`.
        slices_a_shard: as many, of whole patients; also what a kill costs at most, for each process.
        progress: True or False; None shows bars on a terminal where there is much to do.

    Returns:
        the slice table of the store; `account` tells what is not in it, as left_out.csv does file by file.

    Raises:
        HemokitError: no such data set; a store that was begun with other files, settings or code; a second preparation
            of the same folder; a disk that is full; and as `datasets.open_dataset`. Damaged files are no error: they
            are listed.
    """
    workers = check_whole(cores() if workers is None else workers, "workers", 1)
    check_whole(slices_a_shard, "slices_a_shard", 1)
    name, root = find_dataset(root)
    if name != rsna.NAME:
        raise problem(f"this is {name}", "DICOM files in the layout of rsna", "It needs no preparation.", file=root)
    out = path_of(out, "out").resolve()
    if out.is_relative_to(root / rsna.IMAGES):
        raise problem("a store among the DICOM files", "a folder of its own", "Choose another folder.", file=out)
    if out.exists() and not out.is_dir():
        raise problem("there is a file", "a folder", "Choose another name.", file=out)
    inventory = inventory_of(root)
    plan = describe(root, inventory, slices_a_shard=slices_a_shard)
    if not begin(out, plan, inventory):
        with alone(out):
            if not begin(out, plan, inventory):  # another process may have finished it before this one was let in
                sweep(out)
                _prepare(root, out, plan, workers=workers, dask=dask, progress=progress)
                sweep(out)  # the workers of one that was killed may have begun a file after the first sweep
    remove_work(out)
    return hemokit_store.read_table(out)


def _prepare(root, out, plan, *, workers, dask, progress):
    """The steps, each of which begins where it was."""
    _read_headers(root, out, workers, progress)
    table = rsna.read_table(root, headers=out / WORK / HEADERS)
    jobs = divide(table, slices_a_shard=plan["slices_a_shard"], out=out)
    (out / WORK / SHARDS).mkdir(exist_ok=True)
    todo = [job for job in jobs if not is_done(job)]
    done = len(table) - sum(len(job.slices) for job in todo)
    with progress_bar(None, total=len(table), description="packing", unit="slice", progress=progress) as bar:
        bar.update(done)
        for count in work_off(todo, workers=workers, dask=dask):
            bar.update(count)
    check_files(out / WORK / INVENTORY, inventory_of(root))  # once more: what is packed must be what was listed
    finish(root, out, jobs, plan)


def _read_headers(root, out, workers, progress):
    """Bring the headers of all listed files into one CSV file, part by part."""
    whole = out / WORK / HEADERS
    if whole.is_file():
        return
    paths = rsna.listed_files(root)
    names, parts = list(paths), []
    with progress_bar(None, total=len(names), description="headers", unit="file", progress=progress) as bar:
        for number, start in enumerate(range(0, len(names), FILES_A_PART)):
            own = {name: paths[name] for name in names[start : start + FILES_A_PART]}
            parts.append(Path(out, WORK, f"headers-{number:05d}.csv"))
            if not parts[-1].is_file():
                read_headers(own, keep=parts[-1], workers=workers, progress=False)
            bar.update(len(own))
    with write_whole(whole) as stream:
        for number, part in enumerate(parts):
            lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
            stream.writelines(lines[number > 0 :])  # one line of names
