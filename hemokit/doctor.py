"""Is this machine ready for the course? One finding per line: ok, or the exact command that repairs it."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from hemokit.checks import HemokitError, counted
from hemokit.processes import cores

NEEDED = {"": "hemokit needs", "lessons": "the lessons need"}  # extras without which the course does not run
WANTED = {
    "tensorflow": "lessons 06 to 11 and 13",
    "baselines": "lessons 04 and 05",
    "dicom": "compressed DICOM, hemokit data prepare and lesson 10",
    "deploy": "hemokit export, demo and predict, and lesson 13",
    "seg": "masks as DICOM SEG",
    "dask": "tuning on several machines",
    "data": "hemokit data fetch",
}
BACKENDS = ("tensorflow", "jax", "torch")
MEMORY_GB, DISK_GB = 2, 2  # what the profile quick takes, with room to spare
PYTHON = shlex.quote(sys.executable or "python")
PIP = f"{PYTHON} -m pip install"


class Finding(NamedTuple):
    """What was looked at, what was found, and the command that repairs it (empty: nothing to repair)."""

    name: str
    found: str
    fix: str = ""


def check_all(roots=()):
    """Look at everything, cheapest first.

    Args:
        roots: folders of data sets to look at, as given by the user.

    Yields:
        Finding.
    """
    for look in (*CHECKS, lambda: check_data(roots)):
        try:
            found = look()
            yield from [found] if isinstance(found, Finding) else found
        except ImportError as error:
            yield Finding("packages", f"incomplete ({error})", "repair the packages above, then run the doctor again")


def check_python(version=None):
    """The version of Python against the range in which hemokit is tested."""
    version, allowed = version or platform.python_version(), _metadata()["requires-python"]
    if SpecifierSet(allowed).contains(version, prereleases=True):
        return Finding("Python", f"{version} at {sys.executable}")
    return Finding("Python", f"{version}, not {allowed}", "install Python 3.12 from https://www.python.org/downloads/")


def check_packages():
    """Each package that hemokit names: its version against the range. Optional ones may be missing."""
    for extra in (*NEEDED, *WANTED):
        for text in _metadata()["requirements"].get(extra, []):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                yield _check_package(requirement, extra)


def _check_package(requirement, extra):
    bare = f"{requirement.name}{requirement.specifier}"
    fix = f'{PIP} "{bare}"'
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        if extra in NEEDED:
            return Finding(requirement.name, f"not installed; {NEEDED[extra]} it", fix)
        return Finding(requirement.name, f"not installed; optional, for {WANTED[extra]}: {fix}")
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(requirement.name, version)
    return Finding(requirement.name, f"{version}, not {requirement.specifier}", fix)


def check_opencv():
    """OpenCV's four packages write into one folder: two of them break each other."""
    names = {canonicalize_name(found.metadata["Name"] or "") for found in importlib.metadata.distributions()}
    others = sorted(name for name in names if name.startswith("opencv-") and name != "opencv-python-headless")
    if not others:
        return Finding("OpenCV", "one variant, the headless one")
    remove = f"{PYTHON} -m pip uninstall -y {' '.join(others)}"
    return Finding(
        "OpenCV",
        f"{', '.join(others)} beside opencv-python-headless",
        f"{remove} && {PIP} --force-reinstall --no-deps opencv-python-headless",
    )


def check_memory(available=None, total=None):
    """Memory that is free now, in bytes unless given."""
    memory = psutil.virtual_memory()
    available, total = available or memory.available, total or memory.total
    found = f"{available / 2**30:.1f} of {total / 2**30:.1f} GB free"
    return Finding(
        "memory", found, "" if available >= MEMORY_GB * 2**30 else f"close programs until {MEMORY_GB} GB are free"
    )


def check_disk(free=None):
    """Room, and the right to write, where hemokit writes: the working folder and its cache."""
    from hemokit.datasets.phantom.writers import cache_folder

    for name, folder in (("disk, this folder", Path.cwd()), ("disk, cache", cache_folder())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        room = shutil.disk_usage(there).free if free is None else free
        found = f"{room / 2**30:.1f} GB free at {folder}"
        repair = "cd to another folder" if name != "disk, cache" else "export HEMOKIT_CACHE=/a/folder/with/room"
        if not os.access(there, os.W_OK):
            yield Finding(name, f"{folder} cannot be written", repair)
        else:
            yield Finding(name, found, "" if room >= DISK_GB * 2**30 else f"free {DISK_GB} GB, or {repair}")


def check_processor():
    """How many cores there are."""
    return Finding("processor", f"{cores()} cores, {platform.machine()}")


def check_gpu():
    """An NVIDIA card, by its own tool; and whether TensorFlow, where installed, can use it."""
    card = _ask(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if not card:
        return Finding("GPU", "none found; the profile quick needs none")
    if _installed("tensorflow-cpu"):
        return Finding("GPU", f"{card}, but TensorFlow is the CPU build", _gpu_fix())
    if not _installed("tensorflow"):
        return Finding("GPU", f"{card}; TensorFlow is not installed")
    # In a process of its own: TensorFlow takes seconds to start and keeps the card's memory.
    code = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    seen = _ask([sys.executable, "-c", code], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    return (
        Finding("GPU", card)
        if seen not in ("", "0")
        else Finding("GPU", f"{card}, but TensorFlow does not see it", _gpu_fix())
    )


def _gpu_fix():
    return "make an environment of its own for the card, not this one: pip install '.[gpu,lessons]' in hemokit's folder"


def check_backend():
    """The backend that Keras would use: KERAS_BACKEND, else ~/.keras/keras.json, else TensorFlow."""
    settings = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    try:
        stored = json.loads(settings.read_text()).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        stored = "tensorflow"
    backend = os.environ.get("KERAS_BACKEND") or stored
    if backend not in BACKENDS:
        return Finding(
            "Keras backend", f"{backend!r}, not one of {', '.join(BACKENDS)}", "export KERAS_BACKEND=tensorflow"
        )
    if importlib.util.find_spec("keras") and not importlib.util.find_spec(backend):
        other = next((name for name in BACKENDS if importlib.util.find_spec(name)), None)
        fix = f"export KERAS_BACKEND={other}" if other else f'{PIP} "hemokit[tensorflow]"'
        return Finding("Keras backend", f"{backend}, which is not installed", fix)
    return Finding("Keras backend", backend)


def check_kernel():
    """Start a Jupyter kernel on this Python, as `hemokit run` does, and have it add two numbers."""
    try:
        from hemokit.course.lessons import kernel_adds

        if kernel_adds():
            return Finding("Jupyter kernel", "starts on this Python")
        found = "starts, but cannot add"
    except Exception as error:  # whatever keeps it from starting is the finding
        found = f"does not start ({type(error).__name__}: {str(error)[:80]})"
    return Finding("Jupyter kernel", found, f"{PIP} --force-reinstall ipykernel nbclient pyzmq")


def check_data(roots):
    """Each folder of real data that was named: what it is, and how many slices it holds."""
    named = [*map(str, roots), *filter(None, [os.environ.get("HEMOKIT_CT_ICH")])]
    if not named:
        yield Finding("data", "no folder given; the lessons run on the phantom (to look at one: --data FOLDER)")
    from hemokit.datasets import find_dataset, open_dataset

    for root in dict.fromkeys(named):
        fix = "name the folder of a data set" if Path(root).exists() else "check the spelling of the folder's name"
        try:
            find_dataset(root)
            fix = f"hemokit data check {shlex.quote(root)}"  # what is wrong inside, the check tells file by file
            table = open_dataset(root)
        except HemokitError as error:
            yield Finding(f"data {root}", str(error), fix)
        else:
            found = f"{counted(len(table), 'slice')}, {counted(table['patient_id'].nunique(), 'patient')}"
            yield Finding(f"data {root}", f"{table['dataset'].iloc[0]}: {found}" if len(table) else "no slices")


CHECKS = (
    check_python,
    check_packages,
    check_opencv,
    check_memory,
    check_disk,
    check_processor,
    check_gpu,
    check_backend,
    check_kernel,
)


def _metadata():
    """requires-python and the requirements of each extra ("" is the core), installed or in a checkout."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.is_file():
        content = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        extras = {"": content["dependencies"], **content["optional-dependencies"]}
        return {"requires-python": content["requires-python"], "requirements": extras}
    found, extras = importlib.metadata.metadata("hemokit"), {}
    for text in found.get_all("Requires-Dist") or []:
        named = [name for name in (*NEEDED, *WANTED) if name and f"extra == '{name}'" in text.replace('"', "'")]
        extras.setdefault(named[0] if named else "" if "extra ==" not in text else "other", []).append(text)
    return {"requires-python": found["Requires-Python"], "requirements": extras}


def _installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _ask(command, *, env=None, timeout=60):
    """What a command prints, in one line; "" where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""
