"""The part of reading that is the same every time, kept on disk: window, square, resize, mask.

    folder = cached_slices(table, image_size=128, windows=("brain",), masks=True)
    images, masks, shapes = open_slices(folder)

The folder's name is a hash of everything that its content depends on: the bytes of every file involved (their names,
sizes and dates are not trusted; of a prepared store, the checksums that it keeps), the polygons, the parameters, the
code of the modules that read, and the versions of the libraries that decode. So what was made from other data or by
other code is never found. What is random (augmentation) is never kept.
"""

import hashlib
import json
import shutil
import tempfile
import time
import warnings
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from hemokit.checks import check_choice, problem
from hemokit.datasets import READERS, read_image, read_mask
from hemokit.datasets.phantom.writers import cache_folder
from hemokit.files import sha256, write_whole_folder
from hemokit.labels import ANY
from hemokit.progress import progress_bar
from hemokit.windows import Window

LEVELS = 65535  # images are kept as whole numbers from 0 to this: at most 0.0000077 off
_HERE = Path(__file__).parent
# Whatever decides how a file becomes an image or a mask; a change in any of them makes every cache anew.
SOURCES = ("windows.py", "polygons.py", "labels.py", "slice_cache.py", "formats/*.py", "datasets/*.py")
LIBRARIES = ("numpy", "pillow", "nibabel", "pydicom", "matplotlib", "numcodecs")
_ARRAYS = ("images.npy", "masks.npy", "shapes.npy")
_FACTS = "facts.json"


class Slices(NamedTuple):
    """Prepared slices, in the order of `unique_slices`.

    `images` uint16 (n, size, size, channels), `masks` bool (n, size, size) or None, `shapes` int32 (n, 2): height and
    width on disk.
    """

    images: np.ndarray
    masks: np.ndarray | None
    shapes: np.ndarray


def unique_slices(table):
    """The distinct slices of a table, sorted by slice_id: what is kept once, whatever the order or the copies."""
    return table.drop_duplicates("slice_id").sort_values("slice_id", kind="stable", ignore_index=True)


def cached_slices(table, *, image_size, windows=None, masks=False, progress=None):
    """The folder with the prepared slices of a table; it is made when it is not there yet.

    The folder is in $HEMOKIT_CACHE, or the user's cache folder; what is in it can be deleted at any time. Two programs
    may ask for the same one at once: each gets it whole. A damaged one is found by its checksums, told by a warning,
    and made again.

    Args:
        table: a slice table; rows of one slice_id (copies) count once.
        image_size: height and width of the result in pixels.
        windows: as `datasets.read_image`.
        masks: keep masks too.
        progress: True or False; None shows a bar for much work.

    Returns:
        Path of the folder, for `open_slices`.

    Raises:
        HemokitError: as `datasets.read_image` and `datasets.read_mask`; a cache that cannot be written.
    """
    rows = unique_slices(table)
    key = content_key(rows, image_size=image_size, windows=windows, masks=masks)
    folder = cache_folder() / "slices" / key[:32]
    if folder.is_dir() and not is_whole(folder):
        warnings.warn(f"{folder} was damaged: it is made again", stacklevel=2)
        _remove(folder)
        if folder.is_dir() and not is_whole(folder):  # else somebody made it again
            remedy = "Close what uses it, then delete it, or pass cache=False."
            raise problem("a damaged cache that cannot be removed", "a folder that can", remedy, file=folder)
    if not folder.is_dir():
        _write(folder, rows, image_size=image_size, windows=windows, masks=masks, progress=progress)
    return folder


def content_key(table, *, image_size, windows=None, masks=False):
    """64 hex digits that change with whatever the prepared slices of a table depend on; files are read, stores not."""
    digests, rows = {}, []
    for row in unique_slices(table).to_dict("records"):
        paths = files_of(row, windows=windows, masks=masks)
        recorded = getattr(READERS[row["dataset"]], "recorded_digest", None)
        if recorded is not None:  # of a store, whose every slice is compared with its checksum when it is read
            rows.append([row["dataset"], row["slice_id"], int(row["slice_index"]), int(row[ANY]), recorded(row), None])
            continue
        digests |= {path: _digest_of(path) for path in paths if path not in digests}
        place = None if pd.isna(row["slice_index"]) else int(row["slice_index"])
        drawn = _polygons(row) if masks else None
        rows.append([row["dataset"], row["slice_id"], place, int(row[ANY]), [digests[path] for path in paths], drawn])
    told = [code_version(), int(image_size), _plain(windows), bool(masks), rows]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def files_of(row, *, windows=None, masks=False):
    """The paths of the files that a slice is read from: its renders, or its Hounsfield units; then its mask."""
    reader = READERS[check_choice(row["dataset"], READERS, "dataset")]
    renders = getattr(reader, "RENDERS", None)
    columns = ["image_path"]
    if renders is not None:
        windows = reader.DEFAULT_WINDOWS if windows is None else windows_as_tuple(windows)
        columns = [renders[check_choice(window, renders, "windows")] for window in windows]
    columns += ["mask_path"] if masks else []
    return [row[column] for column in columns if isinstance(row[column], str)]


def windows_as_tuple(windows):
    """None, or a tuple of names and `Window`s, also of a single one."""
    return windows if windows is None else (windows,) if isinstance(windows, str | Window) else tuple(windows)


def prepare_slice(row, *, image_size, windows=None, masks=False):
    """Read one slice and bring it to a square of `image_size`.

    A slice that is not square gets rows or columns of 0 on both sides (the odd one at the end), so nothing is
    distorted. Shrinking averages areas, enlarging is bilinear; a pixel of the mask is set where at least half of it
    is covered, which keeps areas and makes hemorrhage of less than half a pixel vanish.

    Returns:
        (image uint16 (image_size, image_size, channels), where `LEVELS` is 1; mask bool (image_size, image_size)
        or None; (height, width) on disk).
    """
    image = read_image(row, windows=windows)
    small = np.stack([_resize(channel, image_size) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    stored = np.rint(np.clip(small, 0, 1) * LEVELS).astype(np.uint16)
    if not masks:
        return stored, None, image.shape[:2]
    mask = read_mask(row)
    if mask.shape != image.shape[:2]:
        came = f"the mask of slice {row['slice_id']} is {mask.shape[1]} x {mask.shape[0]} pixels"
        raise problem(came, f"{image.shape[1]} x {image.shape[0]}, as its image", "Take the right pair of files.")
    return stored, _resize(mask.astype(np.float32), image_size) >= 0.5, image.shape[:2]


def open_slices(folder):
    """The prepared slices of a folder of `cached_slices`, as `Slices` mapped into memory, read-only."""
    folder = Path(folder)
    there = [folder / name if (folder / name).exists() else None for name in _ARRAYS]
    return Slices(*(None if path is None else np.load(path, mmap_mode="r") for path in there))


def is_whole(folder):
    """Whether every file of a cache is there with the bytes that were written: all of them are read."""
    try:
        digests = json.loads((folder / _FACTS).read_text(encoding="utf-8"))["sha256"]
        return "images.npy" in digests and all(sha256(folder / name) == digests[name] for name in digests)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


@lru_cache(maxsize=1)
def code_version():
    """A checksum of the modules and the library versions that decide how a file becomes an image or a mask."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in _HERE.glob(pattern)):
        digest.update(path.relative_to(_HERE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(f"OpenCV {cv2.__version__}\0".encode())  # of whichever of its packages is installed
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):  # a reader that is not there
            digest.update(f"{library} {version(library)}\0".encode())
    return digest.hexdigest()


def _digest_of(path):
    try:
        return sha256(path)
    except OSError as error:
        came = f"it cannot be read ({error.strerror or error})"
        raise problem(came, "the file that the table names", "Open the data set again.", file=path) from error


def _plain(windows):
    """The windows as JSON can hold them: names, and pairs of numbers."""
    windows = windows_as_tuple(windows)
    if windows is None:
        return None
    return [window if isinstance(window, str) else [float(number) for number in window] for window in windows]


def _polygons(row):
    polygons = row.get("polygons_xy")
    if not isinstance(polygons, list | tuple | np.ndarray):
        return None
    return [np.asarray(polygon, float).tolist() for polygon in polygons]


def _resize(channel, size):
    """One float32 (height, width) array, padded to a square with 0 and resized."""
    height, width = channel.shape
    side = max(height, width)
    above, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.float32)
    square[above : above + height, left : left + width] = channel
    if side == size:
        return square
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if size < side else cv2.INTER_LINEAR)


def _write(folder, rows, *, image_size, windows, masks, progress):
    _sweep(folder)
    try:
        with write_whole_folder(folder) as part:
            _fill(part, rows, image_size=image_size, windows=windows, masks=masks, progress=progress)
            digests = {name: sha256(part / name) for name in _ARRAYS if (part / name).exists()}
            (part / _FACTS).write_text(json.dumps({"num_slices": len(rows), "sha256": digests}), encoding="utf-8")
    except OSError as error:
        if not folder.is_dir():  # else somebody finished first: theirs is the same
            came = f"the slices cannot be kept ({error.strerror or error})"
            remedy = "Make room, set HEMOKIT_CACHE to another folder, or pass cache=False."
            raise problem(came, "a cache folder that can be written, with enough space", remedy, file=folder) from error


def _sweep(folder):
    """Delete what killed processes left beside any cache more than a day ago: half-written and damaged folders."""
    for left in [one for pattern in (".*.part", ".*.damaged") for one in folder.parent.glob(pattern)]:
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                shutil.rmtree(left)


def _fill(part, rows, *, image_size, windows, masks, progress):
    """Write the arrays, slice by slice, so that memory does not grow with the table."""
    bar = progress_bar(rows.to_dict("records"), total=len(rows), description="reading", unit="slice", progress=progress)
    shapes = np.zeros((len(rows), 2), np.int32)
    images = outlines = None
    for place, row in enumerate(bar):
        image, mask, shapes[place] = prepare_slice(row, image_size=image_size, windows=windows, masks=masks)
        if images is None:
            images = _new_array(part / "images.npy", np.uint16, (len(rows), *image.shape))
            outlines = _new_array(part / "masks.npy", bool, (len(rows), *image.shape[:2])) if masks else None
        images[place] = image
        if masks:
            outlines[place] = mask
    for array in (images, outlines):
        if array is not None:
            array.flush()
    np.save(part / "shapes.npy", shapes)


def _new_array(path, dtype, shape):
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _remove(folder):
    """Take a damaged cache out of the way in one step, then delete it."""
    with suppress(OSError):
        away = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".damaged"))
        folder.rename(away / "slices")
        shutil.rmtree(away, ignore_errors=True)
