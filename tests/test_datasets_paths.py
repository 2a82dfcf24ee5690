"""Folders that cannot be read, and what is no path: one clear error each."""

from pathlib import Path

import dataset_trees as trees
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.paths import path_of


@pytest.fixture
def locked(monkeypatch):
    """The names of folders that the system refuses to list, also to an administrator."""
    names = set()
    listed = Path.iterdir

    def iterdir(self):
        if self.name in names:
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    return names


def test_unreadable_subfolder(locked, tmp_path):
    """A subfolder such as lost+found that may not be read is passed over."""
    trees.ct_ich_nifti(tmp_path / "disk" / "data")
    (tmp_path / "disk" / "lost+found").mkdir()
    locked.add("lost+found")
    assert len(open_dataset(tmp_path / "disk")) == 5


def test_unreadable_root(locked, tmp_path):
    """A root, or a folder of the data set itself, that may not be read is named."""
    root = trees.ct_ich_nifti(tmp_path / "data")
    for name in ("data", "ct_scans"):
        locked.add(name)
        with pytest.raises(HemokitError, match=f"{name}: it cannot be opened .Permission denied., but expected files"):
            open_dataset(root)
        locked.clear()


@pytest.mark.parametrize("root", [None, 5, ["data"]])
def test_no_path(root):
    """None, a number and a list are no paths."""
    with pytest.raises(HemokitError, match="root is .*, but expected a path. Give it as text"):
        open_dataset(root)


def test_home_folder():
    """A path may start with ~."""
    assert path_of("~/data", "root") == Path.home() / "data"
