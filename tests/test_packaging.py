"""Packaging: the lock fits the ranges, and says nothing about where packages come from."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
MACHINES = [("linux", "x86_64", "Linux"), ("linux", "aarch64", "Linux"), ("darwin", "arm64", "Darwin")]
MACHINES += [("darwin", "x86_64", "Darwin"), ("win32", "AMD64", "Windows")]


def locked_on(version, machine):
    """What pip takes from the lock on a machine: dict name -> version."""
    system, processor, name = machine
    there = default_environment() | {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": system,
        "platform_machine": processor,
        "platform_system": name,
        "os_name": "nt" if system == "win32" else "posix",
    }
    requirements = [Requirement(line) for line in LINES]
    taken = [one for one in requirements if one.marker is None or one.marker.evaluate(there)]
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in taken}, there


@pytest.mark.parametrize("machine", MACHINES, ids="-".join)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_lock_has_one_version_in_range_of_everything(version, machine):
    """Every requirement but those of the extras gpu and coreml is locked, in range, on every machine; one OpenCV."""
    locked, there = locked_on(version, machine)
    extras = [texts for extra, texts in PROJECT["optional-dependencies"].items() if extra not in ("gpu", "coreml")]
    for text in sum(extras, PROJECT["dependencies"]):
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate(there):
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
    assert [name for name in locked if name.startswith("opencv")] == ["opencv-python-headless"]


@pytest.mark.parametrize("machine", MACHINES, ids="-".join)
def test_no_libraries_of_a_gpu_come_along(machine):
    """xgboost and TensorFlow would pull in gigabytes for a card that most learners do not have."""
    locked, _ = locked_on("3.12", machine)
    assert not [name for name in locked if name.startswith(("nvidia", "triton", "cuda"))]
    assert ("xgboost" in locked, "xgboost-cpu" in locked) == (machine[0] == "darwin", machine[0] != "darwin")


def test_the_lock_is_exact_and_names_no_address():
    """Each line is name==version, and pip's own index is used."""
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .+)?", line) for line in LINES)
    assert (
        "make lock" in (ROOT / "requirements.txt").read_text() and "://" not in (ROOT / "requirements.txt").read_text()
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_help_lists_every_command():
    """What can be made is described, one line each."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ")] == targets


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_an_environment_of_another_folder_is_made_again(tmp_path):
    """After a move its programs name the old folder: make calls the script, which says so and starts from nothing."""
    (tmp_path / "tools").mkdir()
    environment = tmp_path / ".venv"
    (environment / "bin").mkdir(parents=True)
    for name in ("Makefile", "tools/setup_environment.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (environment / "bin" / "python").write_text("#!/bin/sh\necho a program")
    broken = tmp_path / "broken"  # a Python in range that cannot make environments
    broken.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\nexit 1\n')
    for program in (environment / "bin" / "python", broken):
        program.chmod(0o755)

    def make(folder):
        (environment / "ready").write_text(f"{folder}\n")
        command = ["make", "course", f"PYTHON={broken}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "a program" in make(tmp_path.resolve()).stdout  # up to date: only the command runs
    done = make("/the/old/folder")
    assert ".venv was made in another folder, /the/old/folder" in done.stderr and done.returncode != 0
    assert not environment.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_a_python_out_of_range_is_refused_in_a_sentence(tmp_path):
    """The script that makes .venv says which Python it needs, and makes nothing."""
    script = ROOT / "tools" / "setup_environment.sh"
    done = subprocess.run(
        ["/bin/sh", str(script)], cwd=tmp_path, capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 2 and "no Python 3.11, 3.12 or 3.13 was found; install one" in done.stderr
    done = subprocess.run(
        ["/bin/sh", str(script)], cwd=tmp_path, capture_output=True, text=True, env={"PYTHON": "/nowhere/python"}
    )
    assert done.returncode == 2 and "PYTHON=/nowhere/python is not a Python" in done.stderr
    assert not list(tmp_path.iterdir())
