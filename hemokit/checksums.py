"""Lists of SHA-256 checksums: writing one, and finding every file that differs from it.

The form is that of `sha256sum` and of PhysioNet's SHA256SUMS.txt: one line a file, the checksum, one or two
spaces, the path relative to the data set's folder with forward slashes. Lines that start with # say
something about the list. JPEG has no checksum of its own, so damage in a picture shows only here.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hemokit.checks import problem
from hemokit.files import sha256, write_whole
from hemokit.formats.bounded import read_bytes
from hemokit.progress import progress_bar

SUMS = "SHA256SUMS.txt"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")
_MAX_BYTES = 2**28


class Comparison(NamedTuple):
    """Paths by what became of them: equal to the list, changed, missing, and on disk but not in the list."""

    equal: tuple
    changed: tuple
    missing: tuple
    unlisted: tuple


def read_checksums(path):
    """Read a list of checksums from a file; see `parse_checksums`."""
    try:
        text = read_bytes(path, max_bytes=_MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problem(f"the file is no text ({error})", "UTF-8", "Fetch it again.", file=path) from None
    return parse_checksums(text, path)


def parse_checksums(text, path):
    """Read a list of checksums from its text; `path` names it in errors.

    Returns:
        dict relative path -> checksum in lower case.

    Raises:
        HemokitError: a line of another form, a path twice, a path that leads out of the folder; no line at all.
    """
    sums = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise problem(
                f"the line is {line[:80]!r}", "64 hex digits, a space, a path", "Correct it.", file=path, row=number
            )
        name = match[2].removeprefix("./")
        if name in sums or not _stays_inside(name):
            came = f"the path is {name!r}"
            raise problem(came, "each path once, inside the folder", "Correct it.", file=path, row=number)
        sums[name] = match[1].lower()
    if not sums:
        raise problem("there is no checksum", "at least one", "Is this the right file?", file=path)
    return sums


def _stays_inside(name):
    """Whether a listed path lies in the folder on every system: no drive, no backslash, no way up."""
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name)


def write_checksums(root, path, *, comment="", progress=None):
    """Write the checksums of all visible files below `root` to the new file `path`.

    Args:
        root: the folder.
        path: the file to make; it may lie in `root` (it does not list itself).
        comment: text for its start, put behind #.
        progress: True or False; None shows a bar for many files.

    Returns:
        dict relative path -> checksum.

    Raises:
        HemokitError: no such folder, no file in it, or `path` exists already.
    """
    root, path = Path(root), Path(path)
    if path.exists():
        raise problem("the file exists already", "a new file", "Choose another name, or remove it.", file=path)
    names = list_files(root)
    if not names:
        raise problem("there is no file", "a folder with files", "Give the folder of the data set.", file=root)
    sums = dict(zip(names, _sums(root, names, progress), strict=True))
    with write_whole(path) as stream:
        stream.writelines(f"# {line}\n" for line in comment.splitlines())
        stream.writelines(f"{checksum}  {name}\n" for name, checksum in sums.items())
    return sums


def compare_checksums(root, sums, *, progress=None, kept_in=None):
    """Compare the files below `root` with a list.

    Args:
        root: the folder that the list's paths are relative to.
        sums: dict relative path -> checksum, as `read_checksums` gives it.
        progress: as in `write_checksums`.
        kept_in: the file that the list was read from: below root it is no file that the list should name.

    Returns:
        `Comparison`, each part sorted.
    """
    own = None if kept_in is None else Path(kept_in).resolve()
    here = [name for name in list_files(root) if Path(root, name).resolve() != own]
    listed = [name for name in here if name in sums]
    found = dict(zip(listed, _sums(Path(root), listed, progress), strict=True))
    return Comparison(
        equal=tuple(name for name in listed if found[name] == sums[name]),
        changed=tuple(name for name in listed if found[name] != sums[name]),
        missing=tuple(sorted(set(sums) - set(here))),
        unlisted=tuple(name for name in here if name not in sums and name != SUMS),
    )


def list_files(root):
    """Relative paths, with forward slashes and sorted, of all files below `root` that are not hidden."""
    root = Path(root)
    if not root.is_dir():
        raise problem("there is no such folder", "a folder", "Correct the path.", file=root)
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _sums(root, names, progress):
    with ThreadPoolExecutor(4) as pool:  # hashing lets other threads run
        found = pool.map(_sum, (root / name for name in names))
        return list(progress_bar(found, total=len(names), description="checksums", progress=progress))


def _sum(path):
    try:
        return sha256(path)
    except OSError as error:
        raise problem(f"it cannot be read ({error})", "a readable file", "Check the disk.", file=path) from error
