"""Writes a whole phantom to disk in the folders of one of the four real data sets, or finds it in the cache.

What a layout loses between `make_phantom` and the slice table that is read back from its folder:

- all: `intracranial` and `tilt_degrees`; the subtype of each mask (one mask a slice).
- ct_ich_jpg: Hounsfield units (two windowed 8-bit JPEGs a slice remain), the spacing, months of age. The mask is
  a JPEG too, but no pixel of 24 patients changed sides at the threshold of 127. The second patient lacks the last
  bone image.
- ct_ich_nifti: months of age.
- rsna: masks, age, sex, fractures. The lowest slice of the first patient is damaged (ID_6431af929.dcm). Every third
  patient is stored with the 12-bit quirk, which cannot hold values under -1000.
- windowed_jpg: as ct_ich_jpg, with four windows; patients (join them from the layout "rsna" of the same seed).
  The masks are polygons along the edges of pixels, so nothing is lost at 9 digits; but 3 of 32 positive slices are
  unusable (no regions, or their labeling is not finished), two slices are in flagged.txt, the damaged slice
  has no renders, and in twelve patients three slices lack one window and two are of another size.
"""

import contextlib
import hashlib
import operator
import os
import signal
import threading
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import cv2

from hemokit.checks import HemokitError, check_choice, problem
from hemokit.datasets.phantom import ct_ich_folders, rsna_folder, windowed_jpg_folder
from hemokit.datasets.phantom.roster import patient_ids
from hemokit.files import write_whole_folder
from hemokit.processes import cores
from hemokit.progress import progress_bar


class Layout(NamedTuple):
    """`write_patient(folder, patient_id, image_size=, seed=)` gives what `finish(folder, patients, seed)` lists."""

    write_patient: object
    finish: object


LAYOUTS = {
    "ct_ich_jpg": Layout(ct_ich_folders.write_jpg_patient, ct_ich_folders.finish_jpg),
    "ct_ich_nifti": Layout(ct_ich_folders.write_nifti_patient, ct_ich_folders.finish_nifti),
    "rsna": Layout(rsna_folder.write_rsna_patient, rsna_folder.finish_rsna),
    "windowed_jpg": Layout(windowed_jpg_folder.write_windowed_jpg_patient, windowed_jpg_folder.finish_windowed_jpg),
}
IMAGE_SIZES = (64, 1024)
PROCESSES_FROM = 12  # patients; for fewer, starting processes takes longer than it saves


def write_phantom(root, *, layout, num_patients=24, image_size=256, seed=0, progress=False, num_workers=None):
    """Write phantom patients in the folders of one of the real data sets.

    Patients, scans and ids depend on `seed` alone, so the four layouts show the same patients; the files are the
    same bytes on every run with the same versions of the libraries. Of 25 patients 11 have hemorrhage, in a fixed
    mix of types.

    Args:
        root: the folder to make. It must not exist, or be empty.
        layout: "ct_ich_jpg", "ct_ich_nifti", "rsna" or "windowed_jpg".
        num_patients: how many patients, from 1 to 900.
        image_size: height and width of the slices in pixels, from 64 to 1024.
        seed: whole number from 0; other seeds give other heads.
        progress: show a progress bar.
        num_workers: how many processes work on patients; None takes one a CPU core, or one for few patients. The
            result is the same.

    Returns:
        Path of the folder.

    Raises:
        HemokitError: a wrong argument; a folder with something in it, or that cannot be written.
    """
    check_choice(layout, LAYOUTS, "layout")
    num_patients = _check_whole(num_patients, "num_patients", 1, 900)
    image_size = _check_whole(image_size, "image_size", *IMAGE_SIZES)
    seed = _check_whole(seed, "seed", 0, 2**32 - 1)
    if num_workers is None:
        num_workers = cores() if num_patients >= PROCESSES_FROM else 1
    num_workers = _check_whole(num_workers, "num_workers", 1, 1000)
    root = Path(root).expanduser()
    try:
        _check_free(root)
        with write_whole_folder(root) as folder:
            work = partial(LAYOUTS[layout].write_patient, folder, image_size=image_size, seed=seed)
            patients = _in_parallel(work, patient_ids(num_patients), num_workers, progress)
            LAYOUTS[layout].finish(folder, patients, seed)
    except OSError as error:
        raise problem(
            f"the phantom cannot be written ({error.strerror or error})",
            "a folder that can be written, with enough space",
            "Choose another folder.",
            file=root,
        ) from error
    return root


def phantom_root(layout="ct_ich_jpg", *, num_patients=24, image_size=256, seed=0, progress=False):
    """The folder of a phantom in the cache; it is written when it is not there yet.

    The cache is $HEMOKIT_CACHE, or the user's cache folder (~/.cache/hemokit on Linux). A phantom's name there
    holds its settings and a checksum of the code that makes it, so that an old one is never taken for a new one.
    Two programs may ask for the same phantom at once: both get it whole.

    Args:
        layout, num_patients, image_size, seed, progress: as `write_phantom`.

    Returns:
        Path of the folder. Do not change what is in it.

    Raises:
        HemokitError: as `write_phantom`.
    """
    root = phantom_folder(layout, num_patients=num_patients, image_size=image_size, seed=seed)
    if root.is_dir():
        return root
    settings = {"num_patients": num_patients, "image_size": image_size, "seed": seed, "progress": progress}
    try:
        return write_phantom(root, layout=layout, **settings)
    except HemokitError:
        if root.is_dir():  # somebody else finished first: theirs is the same
            return root
        raise


def phantom_folder(layout="ct_ich_jpg", *, num_patients=24, image_size=256, seed=0):
    """Where `phantom_root` keeps the phantom of these settings, whether it is there yet or not."""
    check_choice(layout, LAYOUTS, "layout")
    return cache_folder() / "phantom" / f"{layout}-{num_patients}x{image_size}-seed{seed}-{_code_version()}"


def cache_folder():
    """Where hemokit keeps what it can make again: $HEMOKIT_CACHE, or the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("HEMOKIT_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("hemokit", appauthor=False)


def _check_whole(value, name, low, high):
    """Return `value` as an int, or raise HemokitError unless it is a whole number from low to high."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or not low <= whole <= high:
        raise problem(f"{name} is {value!r}", f"a whole number from {low} to {high}", f"Choose another {name}.")
    return whole


def _check_free(root):
    """Raise HemokitError unless nothing is at `root`; an empty folder there is taken away."""
    if root.is_dir() and root.samefile(Path.cwd()):
        raise problem("it is the folder you are in", "a new folder", "Name one: the phantom makes it.", file=root)
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
    if root.exists() or root.is_symlink():
        there = "a folder with something in it" if root.is_dir() else "a file"
        raise problem(
            f"there is {there}", "a new or empty folder", "Nothing is overwritten: choose another one.", file=root
        )


def _in_parallel(work, patients, num_workers, progress):
    """The list of work(patient), in the order of the patients."""
    from joblib import Parallel, delayed

    with _without_ctrl_c():
        done = Parallel(num_workers, return_as="generator")(delayed(work)(patient) for patient in patients)
    return list(progress_bar(done, total=len(patients), description="phantom", unit="patient", progress=progress))


@contextlib.contextmanager
def _without_ctrl_c():
    """Processes started here never hear Ctrl-C: it is for the one that started them, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # unlike a handler, this is handed down
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _code_version():
    """A checksum of what a phantom depends on: this package, the modules and the libraries that it draws with."""
    here = Path(__file__).parent
    ground = here.parents[1]
    files = [*sorted(here.glob("*.py")), *(ground / f"{name}.py" for name in ("labels", "polygons", "windows"))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(f"OpenCV {cv2.__version__}\0".encode())  # of whichever of its packages is installed
    for library in ("numpy", "scipy", "pillow", "nibabel", "pydicom"):
        digest.update(f"{library} {_version(library)}\0".encode())
    return digest.hexdigest()[:12]


def _version(library):
    """The installed version, or "" where the library is not there."""
    with contextlib.suppress(PackageNotFoundError):
        return version(library)
    return ""
