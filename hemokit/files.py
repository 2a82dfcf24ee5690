"""Whole files or none: atomic writing, and checksums.

A reader never sees a half-written file: the content goes to a temporary file beside the target,
is flushed to disk (fsync), and then takes the target's name in one step (`os.replace`).
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from hemokit.checks import check_choice

_UMASK = os.umask(0)  # it can only be read by setting it: once, here, because that is not safe among threads
os.umask(_UMASK)


@contextlib.contextmanager
def write_whole(path, mode="w", **open_options):
    """Open a file for writing that appears under `path` only when the block ends well.

    Args:
        path: the file to make or to replace; its folder is made if missing.
        mode: "w" (text, UTF-8, newlines as given) or "wb".
        **open_options: passed to `open`.

    Yields:
        the open temporary file. On any exception it is deleted and `path` stays as it was.
    """
    if check_choice(mode, ("w", "wb"), "mode") == "w":
        open_options = {"encoding": "utf-8", "newline": "", **open_options}
    with whole_file(path) as temporary, open(temporary, mode, **open_options) as stream:
        yield stream


@contextlib.contextmanager
def whole_file(path, *, ending=""):
    """`write_whole` for libraries that open a file themselves: yields the path of the temporary file, which is empty.

    Args:
        path: the file to make or to replace; its folder is made if missing.
        ending: of the temporary file's name, as ".keras", for libraries that look at it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".part{ending}")
    os.close(handle)
    try:
        yield Path(name)
        _sync_file(name)
        os.chmod(name, 0o666 & ~_UMASK)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def write_whole_folder(path):
    """Yield an empty temporary folder that becomes `path` only when the block ends well.

    An existing folder at `path` is an error (FileExistsError): nothing of a user's is overwritten.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                _sync_file(file)
        os.chmod(folder, 0o777 & ~_UMASK)
        os.rename(folder, path)  # fails, and so keeps the other, if somebody else finished first
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def sha256(path):
    """The SHA-256 of a file's bytes as 64 hex digits; the file is read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_file(path):
    """Bring a file's bytes to the disk, so that a power cut after the rename cannot leave it empty."""
    with open(path, "r+b") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder):
    """Make a rename durable; only POSIX systems can open a folder."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
