"""What a user gives as a path, and what the system says when it cannot be read: one clear error for each."""

import contextlib
import os
from pathlib import Path

from hemokit.checks import problem


def path_of(value, name):
    """`value` as a Path with ~ expanded; HemokitError, which calls it `name`, where it is no path."""
    if not isinstance(value, str | os.PathLike):
        came = f"{name} is {value!r} ({type(value).__name__})"
        raise problem(came, "a path", "Give it as text or as a pathlib.Path.")
    return Path(value).expanduser()


def existing_folder(root):
    """The folder `root`, resolved; HemokitError unless it is one, can be read, and holds something."""
    root = path_of(root, "root")
    with told_if_unreadable(root):
        if root.is_dir() and any(root.iterdir()):
            return root.resolve()
        came = (
            "there is a file"
            if root.is_file()
            else "the folder is empty"
            if root.is_dir()
            else "there is no such folder"
        )
    remedy = "Give the folder of the data set; unpack it first if it is an archive."
    raise problem(came, "the folder of a data set", remedy, file=root)


@contextlib.contextmanager
def told_if_unreadable(folder):
    """Turn what the system refuses inside the block (permissions, a disk that is gone) into one HemokitError."""
    try:
        yield
    except OSError as error:
        place = error.filename if error.filename is not None else folder
        came = f"it cannot be opened ({error.strerror or error})"
        remedy = "Look at the permissions, and whether the disk is there."
        raise problem(came, "files and folders that can be opened", remedy, file=place) from error
