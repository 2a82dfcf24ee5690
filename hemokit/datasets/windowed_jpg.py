"""RSNA slices rendered through four windows as JPGs, with polygon labels: renders/<class>/<window>/ID_xxxxxxxxx.jpg.

The JPGs are colored by matplotlib's `bone` map. Its inverse is taken by the brightness that JPEG keeps
best (luma): within 0.1 gray levels of the nearest color on average, and as exact as a gray JPEG would be
(largest error 4 of 255 for a smooth picture at quality 75).

There are no patient ids in this data set: join them with `patients`, or no split by patient is possible.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from hemokit.checks import HemokitError, check_choice, check_columns, problem
from hemokit.datasets.paths import path_of
from hemokit.datasets.renders import read_renders
from hemokit.formats.bounded import library_errors
from hemokit.formats.csv_files import flag_column, integer_column, read_csv
from hemokit.formats.image_files import read_image_file, read_image_size
from hemokit.labels import ANY, LABELS, SUBTYPES, seven_way
from hemokit.manifests import find_root, read_manifest
from hemokit.polygon_labels import read_polygon_labels
from hemokit.polygons import polygons_to_mask
from hemokit.progress import progress_bar
from hemokit.tables import Drop, account, build_table

NAME = "windowed_jpg"
WINDOWS = ("brain_window", "subdural_window", "max_contrast_window", "brain_bone_window")
RENDERS = {window: f"{window}_path" for window in WINDOWS}
DEFAULT_WINDOWS = ("brain_window",)
CLASSES = (*SUBTYPES, "multi", "normal")
_NO_PATIENTS = (
    "patient_id, scan_id and slice_index are missing: a split by patient needs patients= (from the DICOM headers)",
)
_LUMA = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601, as in JPEG
_MAX_COLOR_DISTANCE = 8  # mean over the pixels; JPEG noise gives 1 to 3, a gray picture about 20


def find(root):
    """The folder with renders and the label folder, in `root` or up to two folders below; else None."""
    return find_root(root, read_manifest(NAME).layout)


def read_table(root, *, patients=None, keep_odd_sizes=False, required=DEFAULT_WINDOWS, progress=None):
    """Read the slice table: all slices of hemorrhage-labels.csv that have renders.

    Args:
        root: what `find` gives.
        patients: what joins slices to patients: an RSNA slice table, or a CSV file with the columns
            slice_id (or Image) and patient_id, and if known scan_id and slice_index. Slices that it lacks
            are left out. None: patient_id, scan_id and slice_index are missing in every row.
        keep_odd_sizes: keep the slices that are not of the most frequent size (no file is opened then).
        required: windows that a slice must be rendered in; the others may be missing.
        progress: True or False; None shows a bar for many files.

    Returns:
        the slice table with polygons_xy (list of arrays (n, 2) in 0..1, None where not labeled), and the
        path of each render, such as brain_window_path, missing where there is none.

    Raises:
        HemokitError: as the readers of the CSV files; a slice under two class folders; two label folders;
            patients that contradict each other (see `tables.check_slice_table`).
    """
    for window in required:
        check_choice(window, WINDOWS, "required")
    folder = _label_folder(root)
    labels = _read_labels(folder / "hemorrhage-labels.csv")
    renders, notes = _list_renders(root / "renders")
    known = renders.index[renders.index.isin(labels.index)]
    rows = labels.loc[known].join(renders.loc[known])
    drops = [
        Drop("listed in hemorrhage-labels.csv, but there is no render", tuple(labels.index[~labels.index.isin(known)])),
        Drop("a render that hemorrhage-labels.csv does not list", tuple(renders.index[~renders.index.isin(known)])),
    ]
    rows_in = sum(len(drop.ids) for drop in drops) + len(rows)
    flagged = rows.index.isin(_read_flagged(folder / "flagged.txt"))
    rows, drops = _leave_out(rows, drops, "named in flagged.txt", flagged)
    for window in required:
        rows, drops = _leave_out(rows, drops, f"no {window} render", rows[RENDERS[window]].isna())
    rows = rows.assign(dataset=NAME, slice_id=rows.index, mask_path=None, image_path=rows[RENDERS["brain_window"]])
    rows, drops = _join_patients(rows, drops, patients)
    if not keep_odd_sizes:
        rows, drops, refused = _leave_out_odd(rows, drops, progress)
        notes += refused
    rows, more = _join_polygons(rows, folder)
    notes += _NO_PATIENTS if patients is None else ()
    notes += (*_class_notes(rows), *more)
    return build_table(rows.drop(columns="class_folder"), rows_in=rows_in, drops=drops, notes=notes)


def _label_folder(root):
    folders = sorted(path.parent for path in root.glob("*/hemorrhage-labels.csv"))
    if len(folders) > 1:
        came = f"{' and '.join(repr(folder.name) for folder in folders)} hold labels"
        raise problem(came, "one folder with hemorrhage-labels.csv", "Move the others out of it.", file=root)
    return folders[0]


def _leave_out(rows, drops, reason, wrong):
    wrong = np.asarray(wrong, bool)
    return rows[~wrong], [*drops, Drop(reason, tuple(rows.index[wrong]))]


def _read_labels(path):
    """hemorrhage-labels.csv as a frame of int8 flags indexed by slice_id."""
    table = read_csv(path, columns=["Image", *LABELS], unique="Image")
    ids = table["Image"].str.removesuffix(".jpg").to_numpy(object)
    labels = pd.DataFrame({label: flag_column(table, label) for label in LABELS}, index=ids)
    wrong = np.flatnonzero(labels[ANY] != labels[list(SUBTYPES)].max(axis=1))
    if len(wrong):
        came = f"{ids[wrong[0]]} has any = {labels[ANY].iloc[wrong[0]]} against its subtypes"
        row = int(table.index[wrong[0]])
        raise problem(came, "any = 1 exactly where a subtype is 1", "Correct it.", file=path, row=row)
    return labels


def _read_flagged(path):
    """The slice ids in flagged.txt, one a line with or without .jpg; none without the file."""
    with library_errors(path, "reading the names"):
        lines = path.read_text(encoding="utf-8-sig").split() if path.is_file() else []
    return {line.removesuffix(".jpg") for line in lines}


def _list_renders(folder):
    """Paths of all renders: DataFrame indexed by slice_id (class_folder, one column a window), and notes."""
    found, other, strange = {}, 0, _strange(folder, CLASSES)
    for name in CLASSES:
        strange += _strange(folder / name, (*RENDERS, name)) + _strange(folder / name / name, RENDERS)
        for place in (folder / name, folder / name / name):  # some copies double the class folder
            for window, column in RENDERS.items():
                for path in sorted((place / window).glob("*")) if (place / window).is_dir() else ():
                    if path.suffix != ".jpg" or not path.name.startswith("ID_"):
                        other += not path.name.startswith(".")
                        continue
                    entry = found.setdefault(path.stem, {"class_folder": name})
                    if entry["class_folder"] != name:
                        came = f"{path.stem} stands in {entry['class_folder']} and {name}"
                        raise problem(came, "a slice in one class folder", "Remove one of them.", file=folder)
                    if column in entry:
                        came = f"{path.stem} stands in {entry[column]} and in {path.parent}"
                        raise problem(came, "a render once", "Remove one of them.", file=folder)
                    entry[column] = str(path)
    columns = ["class_folder", *RENDERS.values()]
    renders = pd.DataFrame(list(found.values()), index=list(found), columns=columns, dtype=object)
    notes = [f"{other} files in renders are no renders and were not used"] * bool(other)
    if strange:
        named = ", ".join(one.relative_to(folder).as_posix() for one in strange)
        notes.append(f"folders in renders that are of no class or no window and were not used: {named}")
    return renders, tuple(notes)


def _strange(folder, names):
    """The folders in a folder that have none of the names; hidden ones do not count."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [one for one in inside if one.is_dir() and one.name not in names and not one.name.startswith(".")]


def _class_notes(rows):
    """Say where the class folder and the labels disagree; the labels count."""
    wrong = rows.index[rows["class_folder"].to_numpy(object) != seven_way(rows)]
    if not len(wrong):
        return ()
    return (
        f"slices in a class folder that their labels contradict (the labels count): {len(wrong)}, such as {wrong[0]}",
    )


def _leave_out_odd(rows, drops, progress):
    """Leave out the slices whose first render has no readable header or not the most frequent size; and say why."""
    columns = rows[list(RENDERS.values())].itertuples(index=False)
    paths = [next(path for path in row if isinstance(path, str)) for row in columns]
    bar = progress_bar(paths, total=len(paths), description="reading sizes", progress=progress)
    errors, sizes = [], []
    for path in bar:
        try:
            sizes.append(read_image_size(path))
        except HemokitError as error:
            sizes.append(None)
            errors.append(str(error))
    sizes = pd.Series(sizes, index=rows.index, dtype=object)
    rows, drops = _leave_out(rows, drops, "the render is refused (see the notes for why)", sizes.isna())
    sizes = sizes[sizes.notna()]
    if len(sizes):
        usual = sizes.value_counts().index[0]
        odd = [size != usual for size in sizes]
        rows, drops = _leave_out(rows, drops, f"not {usual[1]} x {usual[0]} pixels", odd)
    return rows, drops, (f"refused renders: {len(errors)}, the first: {errors[0]}",) if errors else ()


def _join_patients(rows, drops, patients):
    """Add patient_id, scan_id and slice_index, or missing values without `patients`."""
    if patients is None:
        empty = pd.array([pd.NA] * len(rows), dtype="Int64")
        return rows.assign(patient_id=None, scan_id=None, slice_index=empty), drops
    table = patients if isinstance(patients, pd.DataFrame) else _read_patients(patients)
    check_columns(table, ["slice_id", "patient_id"])
    twice = table["slice_id"][table["slice_id"].duplicated()]
    if len(twice):
        raise problem(f"{twice.iloc[0]} stands twice in patients", "each slice once", "Remove one of the rows.")
    table = table.set_index("slice_id").reindex(columns=["patient_id", "scan_id", "slice_index"])
    unknown = ~rows.index.isin(table.index[table["patient_id"].notna()])
    rows, drops = _leave_out(rows, drops, "no patient in the table given as patients", unknown)
    return rows.join(table), drops


def _read_patients(path):
    """A CSV file that says which patient a slice is of."""
    path = path_of(path, "patients")
    table = read_csv(path).rename(columns={"Image": "slice_id"})
    table.attrs["file"] = str(path)
    check_columns(table, ["slice_id", "patient_id"], file=path)
    table["slice_id"] = table["slice_id"].str.removesuffix(".jpg")
    if "slice_index" in table:
        table["slice_index"] = integer_column(table, "slice_index", low=0)
    for column in {"patient_id", "scan_id"} & set(table.columns):
        table[column] = table[column].astype(object).where(table[column] != "", None)
    return table


def _join_polygons(rows, folder):
    """Add polygons_xy, and say what the label files hold."""
    paths = sorted(folder.glob("Results_*.csv"))
    if not paths:
        note = "masks: no label files (Results_*.csv), so no slice with hemorrhage has a mask"
        return rows.assign(polygons_xy=None), (note,)
    labels = read_polygon_labels(paths)
    polygons = pd.Series(labels["polygons_xy"].to_numpy(), index=labels["slice_id"].to_numpy(object), dtype=object)
    column = pd.Series([polygons.get(name) for name in rows.index], index=rows.index, dtype=object)
    rows = rows.assign(polygons_xy=column)
    positive, labeled = rows[ANY] == 1, column.notna()
    notes = (
        f"label files: {account(labels)._replace(notes=())}",
        "no license was found for the polygon labels: do not pass them on",
        f"masks: {int(labeled.sum())} slices have polygons; "
        f"{int((positive & ~labeled).sum())} slices with hemorrhage have none",
    )
    counts = {
        "slices with polygons are not in this table": len(polygons) - int(labeled.sum()),
        "slices without hemorrhage by hemorrhage-labels.csv have polygons": int((~positive & labeled).sum()),
    }
    return rows, notes + tuple(f"masks: {count} {sentence}" for sentence, count in counts.items() if count)


def read_image(row, windows):
    """Read the renders named in `windows` as gray: float32 (height, width, len(windows)) in [0, 1]."""
    return read_renders(row, windows, RENDERS, _read_gray)


def _read_gray(path):
    return bone_to_gray(read_image_file(path, channels=3), file=path)


def bone_to_gray(rgb, *, file=None):
    """Undo matplotlib's `bone` color map.

    Args:
        rgb: uint8 array (height, width, 3).
        file: its path, for the error.

    Returns:
        float32 array (height, width) in [0, 1].

    Raises:
        HemokitError: colors that are not of this map (gray pictures, another map).
    """
    colors, luma = _bone_map()
    levels = np.interp(rgb.astype(np.float32) @ _LUMA, luma, np.arange(256))  # (height, width) in 0..255
    nearest = colors[np.rint(levels).astype(np.uint8)]
    distance = np.sqrt(((rgb.astype(np.float32) - nearest) ** 2).sum(axis=-1)).mean()
    if distance > _MAX_COLOR_DISTANCE:
        came = f"its colors are on average {distance:.0f} of 255 away from the map `bone`"
        raise problem(came, "a render through matplotlib's `bone`", "Is this file of this data set?", file=file)
    return (levels / 255).astype(np.float32)


@lru_cache(maxsize=1)
def _bone_map():
    """The 256 colors of the map as float32 (256, 3), and their luma (256,), which rises all the way."""
    from matplotlib import colormaps

    colors = colormaps["bone"](np.arange(256), bytes=True)[:, :3].astype(np.float32)
    return colors, colors @ _LUMA


def read_mask(row):
    """Draw the slice's polygons: bool (height, width) of its image."""
    return polygons_to_mask(row["polygons_xy"], image_shape(row))


def image_shape(row):
    """(height, width) of the slice's image."""
    path = next((row[column] for column in RENDERS.values() if pd.notna(row[column])), None)
    if path is None:
        raise problem(f"slice {row['slice_id']} has no render", "at least one", "Leave the slice out.")
    return read_image_size(path)
