"""The doctor: each line is ok, or names the command that repairs it."""

import sys

import pytest

from hemokit import doctor
from hemokit.__main__ import main


def test_python_is_judged_by_the_range():
    """This Python is in it; an older and a newer one are not."""
    assert not doctor.check_python().fix
    assert doctor.check_python("3.13.9").fix == "" and "python.org" in doctor.check_python("3.10.1").fix
    assert doctor.check_python("3.14.0").found == "3.14.0, not >=3.11,<3.14"


def test_packages_are_judged_by_their_ranges(monkeypatch):
    """In range, out of range, missing and needed, missing and optional, not meant for this machine."""
    requirements = {
        "": ["numpy>=2", "pandas>=99"],
        "lessons": ["no-such-package>=1"],
        "data": ["no-such-extra", "neither; sys_platform == 'plan9'"],
    }
    monkeypatch.setattr(doctor, "_metadata", lambda: {"requires-python": ">=3", "requirements": requirements})
    numpy, pandas, needed, optional = doctor.check_packages()
    assert numpy.fix == "" and numpy.found[0].isdigit()
    assert "not >=99" in pandas.found and pandas.fix == f'{doctor.PIP} "pandas>=99"'
    assert needed.found == "not installed; the lessons need it" and needed.fix == f'{doctor.PIP} "no-such-package>=1"'
    assert optional.fix == "" and f"optional, for hemokit data fetch: {doctor.PIP}" in optional.found


def test_no_extra_is_forgotten():
    """What a user may want is looked at; the others are for few machines, or for developers."""
    extras = {extra for extra in doctor._metadata()["requirements"] if extra}
    assert extras - {"gpu", "coreml", "dev", "test"} == {*filter(None, doctor.NEEDED), *doctor.WANTED}


def test_requirements_are_read_without_a_checkout(monkeypatch, tmp_path):
    """An installed package knows its requirements from its metadata: the same as in pyproject.toml."""
    here = doctor._metadata()["requirements"]
    lines = [text for extra in here.values() for text in extra]
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "hemokit" / "doctor.py"))

    class Installed(dict):
        """Metadata as importlib.metadata gives them."""

        def get_all(self, _):
            return [
                text if not extra else f"{text}{' and' if ';' in text else ';'} extra == '{extra}'"
                for extra, texts in here.items()
                for text in texts
            ]

    monkeypatch.setattr(doctor.importlib.metadata, "metadata", lambda _: Installed({"Requires-Python": ">=3.11"}))
    found = doctor._metadata()["requirements"]
    assert found[""] == here[""] and len(lines) == sum(map(len, found.values()))
    for extra in (*filter(None, doctor.NEEDED), *doctor.WANTED):
        assert len(found[extra]) == len(here[extra])


def test_two_variants_of_opencv_are_found(monkeypatch):
    """They overwrite each other's files; the repair removes one and lays the other down again."""

    class Distribution:
        def __init__(self, name):
            self.metadata = {"Name": name}

    both = [Distribution("opencv_python"), Distribution("opencv-python-headless"), Distribution(None)]
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda: both)
    fix = doctor.check_opencv().fix
    assert "uninstall -y opencv-python &&" in fix and "--force-reinstall --no-deps opencv-python-headless" in fix


def test_memory_and_disk_are_judged_by_what_is_free(monkeypatch, tmp_path):
    """2 GB of each; the cache may be moved."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "not" / "yet"))
    assert doctor.check_memory(available=3 * 2**30).fix == ""
    assert "until 2 GB are free" in doctor.check_memory(available=2**30, total=4 * 2**30).fix
    assert [bool(finding.fix) for finding in doctor.check_disk(free=3 * 2**30)] == [False, False]
    here, cache = doctor.check_disk(free=2**30)
    assert "free 2 GB" in here.fix and "HEMOKIT_CACHE" in cache.fix


def test_a_folder_that_cannot_be_written_is_found(monkeypatch):
    """Room alone is not enough."""
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert all("cannot be written" in finding.found for finding in doctor.check_disk())


def test_the_gpu_and_its_tensorflow(monkeypatch):
    """No card is fine; a card that TensorFlow does not see is not."""
    monkeypatch.setattr(doctor, "_ask", lambda command, **_: "")
    assert "none found" in doctor.check_gpu().found
    answers = {"nvidia-smi": "H200, 143771 MiB", sys.executable: "0"}
    monkeypatch.setattr(doctor, "_ask", lambda command, **_: answers[command[0]])
    monkeypatch.setattr(doctor, "_installed", lambda name: name == "tensorflow-cpu")
    assert "the CPU build" in doctor.check_gpu().found and "an environment of its own" in doctor.check_gpu().fix
    monkeypatch.setattr(doctor, "_installed", lambda name: name == "tensorflow")
    assert "does not see it" in doctor.check_gpu().found
    answers[sys.executable] = "1"
    assert doctor.check_gpu() == ("GPU", "H200, 143771 MiB", "")


def test_the_backend_of_keras(monkeypatch, tmp_path):
    """The variable first, then Keras's file; a backend that is not installed is found."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    assert doctor.check_backend().fix == "export KERAS_BACKEND=tensorflow"
    monkeypatch.delenv("KERAS_BACKEND")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    there = {"keras", "torch"}
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: name in there or None)
    assert doctor.check_backend() == ("Keras backend", "jax, which is not installed", "export KERAS_BACKEND=torch")
    (tmp_path / "keras.json").write_text("broken")
    there.add("tensorflow")
    assert doctor.check_backend() == ("Keras backend", "tensorflow", "")


def test_a_kernel_that_does_not_start_is_found(monkeypatch):
    """The reason is told, and what to install again."""
    monkeypatch.setattr("hemokit.course.lessons.kernel_adds", lambda: 1 / 0)
    finding = doctor.check_kernel()
    assert "does not start (ZeroDivisionError" in finding.found and "ipykernel" in finding.fix


def test_data_folders_are_opened(ct_ich_root):
    """The real folder: layout, slices, patients."""
    assert "ct_ich_jpg: 1,225 slices, 40 patients" in [finding.found for finding in doctor.check_data([ct_ich_root])]


def test_a_folder_without_data_is_found(monkeypatch, tmp_path):
    """The sentence of the reader, and where to look closer; without any folder nothing is wrong."""
    monkeypatch.delenv("HEMOKIT_CT_ICH", raising=False)
    (finding,) = doctor.check_data([tmp_path])
    assert "the folder is empty" in finding.found and finding.fix == "name the folder of a data set"
    (finding,) = doctor.check_data([tmp_path / "nowhere"])
    assert "no such folder" in finding.found and finding.fix.startswith("check the spelling")
    (tmp_path / "stage_2_train").mkdir()
    (tmp_path / "stage_2_train.csv").write_text("")
    (finding,) = doctor.check_data([tmp_path])
    assert finding.fix == f"hemokit data check {tmp_path}"
    assert [finding.fix for finding in doctor.check_data([])] == [""]


def test_what_cannot_be_looked_at_does_not_stop_the_doctor(monkeypatch):
    """A package that is missing is a finding, and the other findings follow."""

    def broken():
        raise ImportError("No module named 'cv2'")

    monkeypatch.setattr(doctor, "CHECKS", (broken, doctor.check_processor))
    first, second, *_ = doctor.check_all()
    assert "No module named 'cv2'" in first.found and first.fix and second.name == "processor"


@pytest.mark.slow
def test_the_command_prints_one_line_each(monkeypatch, capsys):
    """Exit code 0 when all is well, 1 when something needs repair, which is then named."""
    well, ill = doctor.Finding("a", "b"), doctor.Finding("c", "d", "e --f")
    monkeypatch.setattr(doctor, "check_all", lambda roots: [well])
    assert main(["doctor"]) == 0
    monkeypatch.setattr(doctor, "check_all", lambda roots: [well, ill])
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("ok   a: b\nfix  c: d\n       to do: e --f\n1 to repair.\n")
    monkeypatch.undo()
    assert doctor.check_kernel().found == "starts on this Python"
