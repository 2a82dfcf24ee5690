"""The bytes of a file, bounded: what every format reader starts with."""

import contextlib
import io
import os
import stat
import threading
import warnings
from typing import NamedTuple

from hemokit.checks import HemokitError, problem

_warnings_lock = threading.Lock()


class InMemory(NamedTuple):
    """A file that lies on no disk: `name` (for its ending, and to be named in errors) and `data`, its bytes.

    `image_files`, `read_dicom` and `read_nifti` take it instead of a path. It is no path: a name that came from
    somebody else can never be opened by mistake.
    """

    name: str
    data: bytes

    def __str__(self):
        return self.name


def name_of(path):
    """The name of a file, as text, for its ending."""
    return path.name if isinstance(path, InMemory) else os.fspath(path)


def open_file(path):
    """Open a file for reading bytes, wherever it lies."""
    return io.BytesIO(path.data) if isinstance(path, InMemory) else open(path, "rb")


def file_size(path, *, max_bytes):
    """Size in bytes of a regular, non-empty file of at most `max_bytes`; else HemokitError."""
    if isinstance(path, InMemory):
        return _checked_size(len(path.data), path, max_bytes)
    try:
        info = os.stat(path)
    except FileNotFoundError as error:
        raise problem(
            "there is no such file", "a file to read", "Check the path; was the download complete?", file=path
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise problem(
            f"the path cannot be looked up ({error})", "the path of a file", "Correct the path.", file=path
        ) from error
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
        raise problem(f"this is {kind}", "a file to read", "Give the path of one file.", file=path)
    return _checked_size(info.st_size, path, max_bytes)


def _checked_size(size, path, max_bytes):
    if size == 0:
        raise problem("the file is empty (0 bytes)", "a file with content", "Download or copy it again.", file=path)
    if size > max_bytes:
        raise problem(
            f"the file has {size:,} bytes",
            f"at most {max_bytes:,} bytes",
            "Is this the right file? If so, raise max_bytes.",
            file=path,
        )
    return size


def read_bytes(path, *, max_bytes):
    """All bytes of a file, as `file_size` allows it."""
    size = file_size(path, max_bytes=max_bytes)
    with library_errors(path, "reading the file"), open_file(path) as stream:
        data = stream.read(size + 1)
    if len(data) != size:
        raise problem(
            f"{len(data):,} bytes were read",
            f"the {size:,} bytes of the file",
            "Is it being written? Retry.",
            file=path,
        )
    return data


@contextlib.contextmanager
def library_errors(path, doing):
    """Turn any exception of a library inside the block into one HemokitError that names the file.

    Decoders raise dozens of types on damaged input (struct.error, IndexError, AttributeError, ...), so
    this catches them all; a HemokitError passes as it is.
    """
    try:
        yield
    except HemokitError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or "no reason given"
        raise problem(
            f"{doing} failed ({type(error).__name__}: {reason})",
            "an intact file",
            "The file is damaged or not of this kind: download or export it again.",
            file=path,
        ) from error


@contextlib.contextmanager
def caught_warnings(package):
    """Collect the warnings that `package` gives inside the block as a list of sentences.

    Python's warning filters are one per process: a lock keeps our own threads apart, and warnings of
    other packages that happen to fall into the block are given again after it.
    """
    sentences = []
    with _warnings_lock:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield sentences
        for warning in caught:
            own = os.path.dirname(warning.filename) == os.path.dirname(__file__)  # told of the line that called
            if own or f"{os.sep}{package}{os.sep}" in warning.filename:
                sentences.append(" ".join(str(warning.message).split()))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
