"""Whole files or none."""

import hashlib
import os
import threading

import pytest

from hemokit.checks import HemokitError
from hemokit.files import sha256, whole_file, write_whole, write_whole_folder


def test_write_whole_makes_the_file_and_its_folders(tmp_path):
    """The content arrives byte for byte, newlines and UTF-8 included, and nothing else is left behind."""
    path = tmp_path / "a" / "b.csv"
    with write_whole(path) as stream:
        stream.write("größer\r\n1\n")
        assert not path.exists()
    assert path.read_bytes() == "größer\r\n1\n".encode()
    assert os.listdir(path.parent) == ["b.csv"]


def test_write_whole_bytes(tmp_path):
    """Mode "wb" writes bytes; other modes are refused."""
    with write_whole(tmp_path / "x", "wb") as stream:
        stream.write(b"\0\r\n")
    assert (tmp_path / "x").read_bytes() == b"\0\r\n"
    with pytest.raises(HemokitError, match="mode is 'a'"), write_whole(tmp_path / "x", "a"):
        pass


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_write_whole_keeps_the_old_file_when_interrupted(tmp_path, error):
    """When the block fails, the old content stays and the temporary file is gone."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), write_whole(path) as stream:
        stream.write("half")
        stream.flush()
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.txt"]


def test_whole_file_for_libraries_that_open_it(tmp_path):
    """What is written under the given name, with the ending asked for, has its own name at the end, or is gone."""
    path = tmp_path / "a" / "x.zip"
    with whole_file(path, ending=".zip") as temporary:
        assert temporary.suffix == ".zip" and temporary.parent == path.parent and not path.exists()
        temporary.write_bytes(b"new")
    with pytest.raises(RuntimeError), whole_file(path, ending=".zip") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"new" and os.listdir(path.parent) == ["x.zip"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are a POSIX matter")
def test_write_whole_gives_usual_permissions(tmp_path):
    """The file has the permissions that `open` would have given it, not those of a private temporary file."""
    with write_whole(tmp_path / "ours") as stream:
        stream.write("x")
    (tmp_path / "theirs").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_write_whole_from_many_threads(tmp_path):
    """Twenty writers at once: one of their contents stands there whole, and the permissions stay usual."""
    path = tmp_path / "x"

    def write(number):
        with write_whole(path) as stream:
            stream.write(str(number) * 50_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = path.read_text()
    assert text == text[:2] * 50_000 and os.listdir(tmp_path) == ["x"]


def test_write_whole_folder(tmp_path):
    """The folder appears at the end of the block, with all that was put in it."""
    path = tmp_path / "a" / "set"
    with write_whole_folder(path) as folder:
        (folder / "x").write_text("1")
        assert not path.exists()
    assert (path / "x").read_text() == "1" and os.listdir(path.parent) == ["set"]


def test_write_whole_folder_overwrites_nothing(tmp_path):
    """An existing folder is an error, and stays as it is."""
    (tmp_path / "set").mkdir()
    with pytest.raises(FileExistsError, match="set"), write_whole_folder(tmp_path / "set"):
        pass


def test_write_whole_folder_interrupted(tmp_path):
    """When the block fails, nothing is left."""
    with pytest.raises(RuntimeError), write_whole_folder(tmp_path / "set") as folder:
        (folder / "x").write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_write_whole_folder_beaten_by_another(tmp_path):
    """Whoever finishes first wins; the other raises and leaves nothing."""
    path = tmp_path / "set"
    with pytest.raises(OSError), write_whole_folder(path) as folder:
        (folder / "x").write_text("second")
        path.mkdir()
        (path / "x").write_text("first")
    assert (path / "x").read_text() == "first" and os.listdir(tmp_path) == ["set"]


def test_sha256(tmp_path):
    """The digest is that of the bytes, also for an empty file."""
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    (tmp_path / "y").write_bytes(b"")
    assert sha256(tmp_path / "y") == hashlib.sha256().hexdigest()
