"""The headers of many DICOM files: who, which scan, where in it. Read once, kept in a CSV file if wanted."""

import math
import os

import pandas as pd

from hemokit.checks import HemokitError, problem
from hemokit.datasets.paths import path_of
from hemokit.files import write_whole
from hemokit.formats.csv_files import flag_column, float_column, integer_column, read_csv
from hemokit.formats.dicom_files import read_dicom, read_dicom_header
from hemokit.processes import process_pool
from hemokit.progress import progress_bar

# bytes and modified_us tell whether a kept row is still about the file on disk
FACTS = ("patient_id", "scan_id", "position_mm", "row_spacing_mm", "column_spacing_mm", "repaired", "constant", "error")
KEPT = ("slice_id", *FACTS, "bytes", "modified_us", "pixels_checked")
_PROCESSES_FROM = 2000  # below, starting them takes longer than the work


def read_headers(paths, *, keep=None, check_pixels=False, workers=1, progress=None):
    """Read the headers of DICOM files.

    Args:
        paths: dict slice_id -> path of its file.
        keep: path of a CSV file: what stands there about unchanged files is taken from it, but for those that were
            refused, and it is written anew with all that was read. None keeps nothing.
        check_pixels: read the pixels too (slow), to find damaged and constant files.
        workers: number of processes; above 1 a script needs `if __name__ == "__main__":`.
        progress: True or False; None shows a bar for many files.

    Returns:
        DataFrame indexed by slice_id with `FACTS`: position_mm is along the body (upward), lengths are in
        mm; error is the sentence for a file that cannot be used, else "".
    """
    keep = None if keep is None else _file_to_keep(keep)
    known = _read_kept(keep, check_pixels) if keep else pd.DataFrame(columns=list(KEPT[1:]))
    stamps = {name: _stamp(path) for name, path in paths.items()} if keep else {}
    known = known[known["error"] == ""]  # what was refused is read again: a decoder may be there now, or a permission
    stamped = zip(known.index, known["bytes"], known["modified_us"], strict=True)
    fresh = {name for name, size, modified in stamped if stamps.get(name) == (size, modified)}
    todo = {name: path for name, path in paths.items() if name not in fresh}
    read = _read_all(list(todo.values()), check_pixels, workers, progress)
    facts = pd.DataFrame(read, index=list(todo), columns=list(FACTS))
    if fresh:
        kept = known.loc[known.index.isin(fresh), list(FACTS)]
        facts = pd.concat([kept, facts]) if len(facts) else kept
    facts = facts.reindex(list(paths))
    if keep and todo:
        _write_kept(keep, facts, stamps, check_pixels)
    return facts


def _file_to_keep(keep):
    """The path `keep`, refused now if it is a folder, and not after hours of reading."""
    path = path_of(keep, "headers")
    if path.is_dir():
        raise problem("headers is a folder", "the path of a CSV file", "Add the name of a file in it.", file=path)
    return path


def _read_all(paths, check_pixels, workers, progress):
    """A tuple of `FACTS` for each file."""
    jobs = [(path, check_pixels) for path in paths]
    bar = {"total": len(jobs), "description": "reading DICOM headers", "progress": progress}
    if workers == 1 or len(jobs) < _PROCESSES_FROM:
        return list(progress_bar(map(_read_one, jobs), **bar))
    with process_pool(workers) as pool:
        return list(progress_bar(pool.map(_read_one, jobs, chunksize=200), **bar))


def _read_one(job):
    path, check_pixels = job
    try:
        facts = (read_dicom if check_pixels else read_dicom_header)(path)
    except HemokitError as error:
        return (None, None, math.nan, math.nan, math.nan, 0, 0, str(error))
    flags = int(facts.repaired), int(bool(facts.constant))
    return (facts.patient_id, facts.series_uid, facts.position_mm[2], *facts.spacing_mm, *flags, "")


def _stamp(path):
    info = os.stat(path)
    return info.st_size, info.st_mtime_ns // 1000


def _read_kept(path, check_pixels):
    """The kept rows, indexed by slice_id: none without the file; with `check_pixels` those whose pixels were read."""
    if not path.is_file():
        return pd.DataFrame(columns=list(KEPT[1:]))
    text = read_csv(path, columns=KEPT, unique="slice_id")
    rows = pd.DataFrame({"error": text["error"].to_numpy(object)}, index=text["slice_id"].to_numpy(object))
    for column in ("patient_id", "scan_id"):
        rows[column] = [value or None for value in text[column]]
    for column in ("position_mm", "row_spacing_mm", "column_spacing_mm"):
        rows[column] = float_column(text, column, blank=math.nan)
    for column in ("repaired", "constant", "pixels_checked"):
        rows[column] = flag_column(text, column)
    for column in ("bytes", "modified_us"):
        rows[column] = pd.Series(integer_column(text, column).tolist(), index=rows.index, dtype=object)
    return rows[rows["pixels_checked"] == 1] if check_pixels else rows


def _write_kept(path, facts, stamps, check_pixels):
    table = facts.assign(pixels_checked=int(check_pixels))
    table["bytes"] = [stamps[name][0] for name in facts.index]
    table["modified_us"] = [stamps[name][1] for name in facts.index]
    with write_whole(path) as stream:
        table.rename_axis("slice_id").reset_index()[list(KEPT)].to_csv(stream, index=False, lineterminator="\n")
