"""One folder on disk -> one slice table; one row of it -> an image, Hounsfield units or a mask.

    table = open_dataset("data/ct_ich")
    print(account(table))
    image = read_image(table.iloc[0])  # float32 (height, width, 1) in [0, 1]

Which reader is right is seen from the folder; the table is the same whatever the layout.
"""

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, check_columns, problem
from hemokit.datasets import ct_ich_jpg, ct_ich_nifti, hemokit_store, rsna, windowed_jpg
from hemokit.datasets.paths import existing_folder, told_if_unreadable
from hemokit.labels import ANY
from hemokit.manifests import read_manifest
from hemokit.windows import Window, stack_windows

READERS = {
    "ct_ich_jpg": ct_ich_jpg, "ct_ich_nifti": ct_ich_nifti, "rsna": rsna, "windowed_jpg": windowed_jpg,
    "hemokit_store": hemokit_store,
}  # fmt: skip
HOUNSFIELD = ("ct_ich_nifti", "rsna", "hemokit_store")  # the layouts that hold Hounsfield units


def open_dataset(root, name=None, **options):
    """Read a folder's slice table.

    Args:
        root: the folder of the data set; a folder around it (as zips make it) will do too.
        name: a key of `READERS`; None chooses by what is in the folder.
        **options: of that reader's `read_table` (for example `patients` of windowed_jpg).

    Returns:
        the slice table (see `hemokit.tables`); `account(table)` says what was left out, and why.

    Raises:
        HemokitError: no such folder, no data set in it, several in it, a folder or file that cannot be
            opened, an option the reader does not have, and whatever is wrong with its files.
    """
    name, inside = find_dataset(root, name)
    known = READERS[name].read_table.__kwdefaults__ or {}
    for option in options:
        if option not in known:
            came = f"the option {option!r} was given"
            raise problem(came, f"one of {', '.join(known) or 'none'} for {name}", "Leave it out, or correct its name.")
    with told_if_unreadable(inside):
        return READERS[name].read_table(inside, **options)


def find_dataset(root, name=None):
    """Look which data set a folder holds, and where it really starts.

    Args:
        root, name: as `open_dataset`.

    Returns:
        (name, Path): the key of `READERS`, and `root` or a folder in it.
    """
    root = existing_folder(root)
    with told_if_unreadable(root):
        if name is None:
            return _recognize(root)
        inside = READERS[check_choice(name, READERS, "name")].find(root)
        if inside is None:
            raise _not_found(root, [name])
    return name, inside


def read_image(row, *, windows=None):
    """Read one slice as an image.

    Args:
        row: a row of a slice table: a Series (`table.iloc[0]`), or what `itertuples` gives.
        windows: what each channel shows. Hounsfield layouts: names of windows or `Window`s, by default
            ("brain",). JPG layouts: names of the renders on disk (`READERS[dataset].RENDERS`), by
            default the one of the brain; anything else would mean to window a picture a second time.

    Returns:
        float32 array (height, width, channels) in [0, 1].

    Raises:
        HemokitError: a render that is not there, a window that a JPG cannot be given, a damaged file.
    """
    row = _as_mapping(row)
    name = _dataset_of(row)
    if isinstance(windows, str | Window):
        windows = (windows,)
    if name in HOUNSFIELD:
        return stack_windows(READERS[name].read_hounsfield(row), ("brain",) if windows is None else windows)
    windows = READERS[name].DEFAULT_WINDOWS if windows is None else windows
    windows = tuple(windows) if isinstance(windows, list | tuple) else (windows,)
    wrong = [window for window in windows if window not in READERS[name].RENDERS]
    if wrong or not windows:
        raise problem(
            f"windows is {wrong[0] if wrong else windows!r}",
            f"names of renders on disk ({', '.join(READERS[name].RENDERS)})",
            "A rendered JPG cannot be windowed again: its Hounsfield units are gone.",
        )
    return READERS[name].read_image(row, windows)


def read_hounsfield(row):
    """Read one slice in Hounsfield units.

    Args:
        row: as `read_image`.

    Returns:
        float32 array (height, width).

    Raises:
        HemokitError: a JPG layout, which has no Hounsfield units; a damaged file.
    """
    row = _as_mapping(row)
    name = _dataset_of(row)
    if name not in HOUNSFIELD:
        raise problem(
            f"slice {row['slice_id']} is of {name}",
            f"a layout that holds Hounsfield units ({', '.join(HOUNSFIELD)})",
            "A JPG holds only what one window showed: read it with read_image.",
        )
    return READERS[name].read_hounsfield(row)


def read_mask(row):
    """Read where the hemorrhage is, of whatever subtype.

    Args:
        row: as `read_image`.

    Returns:
        bool array (height, width), True at hemorrhage. All False for a slice without hemorrhage that
        has no mask.

    Raises:
        HemokitError: a slice with hemorrhage but without a mask; a damaged file.
    """
    row = _as_mapping(row)
    reader = READERS[_dataset_of(row)]
    if _has_mask(row):
        return reader.read_mask(row)
    if row[ANY] == 0:
        return np.zeros(reader.image_shape(row), bool)
    raise problem(
        f"slice {row['slice_id']} has hemorrhage and no mask",
        "a mask for every slice with hemorrhage",
        "Use only rows with a mask (see account(table).notes); an empty mask would be a wrong label.",
    )


def read_volume(scan_rows, *, read=read_hounsfield, allow_gaps=False):
    """Read a whole scan, from the neck upward.

    Args:
        scan_rows: the rows of one scan, in any order.
        read: what to read of each slice: `read_hounsfield`, `read_image` or `read_mask`.
        allow_gaps: stack what is there even where slices are missing in between.

    Returns:
        array (slices, ...) of what `read` gives.

    Raises:
        HemokitError: no rows, several scans, an unknown order, a missing slice, slices of several sizes.
    """
    check_columns(scan_rows, ["scan_id", "slice_index"])
    scans = scan_rows["scan_id"].unique()
    if len(scans) != 1 or pd.isna(scans[0]):
        raise problem(f"the rows are of {len(scans)} scan(s): {list(scans[:3])}", "the rows of one scan", "Select one.")
    rows = scan_rows.sort_values("slice_index", kind="stable")
    steps = rows["slice_index"].diff().iloc[1:]
    if rows["slice_index"].isna().any() or (steps == 0).any() or ((steps != 1).any() and not allow_gaps):
        raise problem(
            f"the slice indices of scan {scans[0]} are {rows['slice_index'].tolist()}",
            "each number once, without gaps",
            "Slices that were dropped leave gaps: pass allow_gaps=True if the distances do not matter.",
        )
    slices = [read(row) for _, row in rows.iterrows()]
    shapes = sorted({array.shape for array in slices})
    if len(shapes) > 1:
        raise problem(f"scan {scans[0]} has slices of shapes {shapes}", "one shape", "Resize them, or leave it out.")
    return np.stack(slices)


def _recognize(root):
    """(name, folder) of the one data set in `root`."""
    found = {name: inside for name, reader in READERS.items() if (inside := reader.find(root)) is not None}
    if not found:
        raise _not_found(root, READERS)
    if len(found) > 1:
        listed = ", ".join(f"{name} in {inside}" for name, inside in found.items())
        raise problem(f"{listed} were found", "one data set", "Give the folder of one of them.", file=root)
    return next(iter(found.items()))


def _not_found(root, names):
    wanted = "; ".join(f"{name}: {' and '.join(read_manifest(name).layout)}" for name in names)
    there = sorted(entry.name for entry in root.iterdir())
    listed = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
    above = next((folder for folder in root.parents[:2] if any(_starts_in(folder, name) for name in names)), None)
    return problem(
        f"no data set was found (there is {listed})",
        f"one of these layouts ({wanted})",
        f"Did you mean the folder around it, {above}?" if above else "Give the folder that holds these, unpacked.",
        file=root,
    )


def _starts_in(folder, name):
    """Whether a data set of this layout starts in just this folder."""
    return all(any(folder.glob(pattern)) for pattern in read_manifest(name).layout)


def _as_mapping(row):
    """A row as something with row["column"], whether it came from iloc, iterrows, a dict or itertuples."""
    if isinstance(row, pd.Series | dict):
        return row
    if hasattr(row, "_asdict"):
        return row._asdict()
    raise problem(
        f"the row is a {type(row).__name__}", "one row of a slice table", "Pass table.iloc[0], or a row of itertuples."
    )


def _dataset_of(row):
    try:
        return check_choice(row["dataset"], READERS, "dataset")
    except KeyError:
        raise problem("the row has no dataset", "a row of a slice table", "Make the table by open_dataset.") from None


def _has_mask(row):
    polygons = row.get("polygons_xy")
    return pd.notna(row["mask_path"]) or isinstance(polygons, list | tuple | np.ndarray)
