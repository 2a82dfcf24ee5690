"""Tests of hemokit.formats.bounded."""

import warnings

import numpy as np
import pytest
from malformed import GOOD, READ, write

from hemokit.checks import HemokitError, problem
from hemokit.formats.bounded import InMemory, caught_warnings, file_size, library_errors, read_bytes
from hemokit.formats.nifti_files import read_nifti


def test_bytes_within_the_limit(tmp_path):
    """The limit is included; one byte more is refused with both numbers."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert file_size(path, max_bytes=5) == 5
    assert read_bytes(path, max_bytes=5) == b"12345"
    with pytest.raises(HemokitError, match="file: the file has 5 bytes, but expected at most 4 bytes"):
        read_bytes(path, max_bytes=4)


@pytest.mark.parametrize("path", [None, float("nan"), "a\0b"])
def test_what_is_no_path_is_refused(path):
    """A missing value of a table, for example, is no path."""
    with pytest.raises(HemokitError, match="the path cannot be looked up"):
        read_bytes(path, max_bytes=5)


def test_empty_files_and_devices_are_refused(tmp_path):
    """Neither has content to read."""
    (tmp_path / "empty").touch()
    with pytest.raises(HemokitError, match="the file is empty"):
        file_size(tmp_path / "empty", max_bytes=5)
    with pytest.raises(HemokitError, match="this is no regular file|no such file"):
        file_size("/dev/null", max_bytes=5)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """The bytes must be as many as the file had."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    monkeypatch.setattr("hemokit.formats.bounded.file_size", lambda path, max_bytes: 6)
    with pytest.raises(HemokitError, match="5 bytes were read, but expected the 6 bytes"):
        read_bytes(path, max_bytes=9)


def test_library_errors_become_one_sentence():
    """Type and reason are kept, on one line, with the file; our own errors pass as they are."""
    message = r"f\.x: reading failed \(KeyError: 'a b'\)"
    with pytest.raises(HemokitError, match=message) as caught, library_errors("f.x", "reading"):
        raise KeyError("a b")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(HemokitError, match="this, but expected that"), library_errors("f.x", "reading"):
        raise problem("this", "that", "Do it.")


def test_warnings_of_one_package_are_caught_and_others_given_again():
    """Only the named package's warnings end up in the list."""
    with pytest.warns(DeprecationWarning, match="someone else's"), caught_warnings("pydicom") as sentences:
        warnings.warn_explicit("its own\nwarning", UserWarning, "/lib/pydicom/misc.py", 1)
        warnings.warn_explicit("someone else's", DeprecationWarning, "/lib/other/misc.py", 1)
    assert sentences == ["its own warning"]


@pytest.mark.parametrize("kind", ["jpg", "png", "nii", "nii.gz", "dcm"])
def test_a_file_in_memory_is_read_as_one_on_disk(kind, tmp_path):
    """Pictures, NIfTI and DICOM come out the same, and damage is told by the file's name."""
    data = GOOD[kind](np.random.default_rng(0))
    read = {"nii": read_nifti, "nii.gz": read_nifti}.get(kind, READ[kind])
    found, wanted = read(InMemory(f"one.{kind}", data)), read(write(tmp_path, kind, data))
    pixels = (lambda one: one) if kind in ("jpg", "png") else lambda one: one[0]  # of the other two the first field
    np.testing.assert_array_equal(pixels(found), pixels(wanted))
    with pytest.raises(HemokitError, match=f"one.{kind}"):
        read(InMemory(f"one.{kind}", data[:-3]))


def test_a_file_in_memory_is_no_path():
    """Its name can never be opened by mistake; its size is judged as that of any file."""
    with pytest.raises(TypeError), open(InMemory("/etc/hostname", b"1")):
        pass
    with pytest.raises(HemokitError, match="the file is empty"):
        file_size(InMemory("a.png", b""), max_bytes=5)
