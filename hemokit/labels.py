"""The names of the labels, and how slice labels become scan labels."""

import numpy as np

from hemokit.checks import check_binary, check_columns, problem

SUBTYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
ANY = "any"
LABELS = (ANY, *SUBTYPES)

# Exclusive classes, one a slice: seven, or a choice of these (as six without "multi", CLASSES[:-1]), or two.
NORMAL = "normal"
CLASSES = (NORMAL, *SUBTYPES, "multi")
TWO_CLASSES = (NORMAL, "hemorrhage")

# What a teaching text or a figure calls them.
SHORT = {
    "epidural": "EDH",
    "intraparenchymal": "IPH",
    "intraventricular": "IVH",
    "subarachnoid": "SAH",
    "subdural": "SDH",
}


def scan_labels(table):
    """Labels of whole scans: a scan has a label when at least one of its slices has it.

    Args:
        table: a slice table (columns patient_id, scan_id and the six labels).

    Returns:
        DataFrame, one row a scan in order of first appearance: patient_id, scan_id, num_slices and
        the six labels as 0/1. An empty table gives an empty frame.

    Raises:
        HemokitError: a scan without an id, or one scan under two patients.
    """
    check_columns(table, ["patient_id", "scan_id", *LABELS])
    if table["scan_id"].isna().any():
        raise problem(
            f"{int(table['scan_id'].isna().sum())} slices have no scan_id",
            "every slice to belong to a scan",
            "Join the scans first (windowed JPGs need the DICOM headers).",
        )
    groups = table.groupby("scan_id", sort=False)
    mixed = groups["patient_id"].nunique(dropna=False)
    if (mixed > 1).any():
        raise problem(
            f"scan {mixed.index[mixed > 1][0]!r} stands under {mixed.max()} patients",
            "one patient a scan",
            "Correct patient_id in the table.",
        )
    scans = groups[list(LABELS)].max()
    scans.insert(0, "num_slices", groups.size())
    scans.insert(0, "patient_id", groups["patient_id"].first())
    return scans.reset_index()[["patient_id", "scan_id", "num_slices", *LABELS]]


def seven_way(table):
    """One name per slice for single-label models: "normal", a subtype, or "multi" (several).

    Args:
        table: a frame with the five subtype columns as 0/1.

    Returns:
        object array (rows,) of strings, as in the papers' seven-class task.
    """
    check_columns(table, SUBTYPES)
    flags = check_binary(table[list(SUBTYPES)].to_numpy(), "the subtype columns")  # (rows, 5)
    names = np.array(SUBTYPES, dtype=object)[flags.argmax(axis=1)]
    names[flags.sum(axis=1) == 0] = NORMAL
    names[flags.sum(axis=1) > 1] = "multi"
    return names


def class_names(table, classes=CLASSES):
    """One of `classes` for each slice; a slice of another class is refused, so that none is left out in silence.

    Args:
        table: a frame with the five subtype columns as 0/1; for `TWO_CLASSES` with the column any.
        classes: two or more names among `CLASSES`, or `TWO_CLASSES`.

    Returns:
        object array (rows,) of strings; an empty one for no rows.

    Raises:
        HemokitError: classes that are none, a column that is missing, slices outside of the classes.
    """
    classes = check_classes(classes)
    if classes == TWO_CLASSES:
        check_columns(table, [ANY])
        return np.array(TWO_CLASSES, dtype=object)[check_binary(table[ANY].to_numpy(), "the column any").astype(int)]
    names = seven_way(table)
    outside = names[~np.isin(names, classes)]
    if len(outside):
        counts = ", ".join(f"{(outside == name).sum()} {name}" for name in CLASSES if name in outside)
        remedy = "Select rows by table[np.isin(labels.seven_way(table), classes)], and say how many are left out."
        came = f"{len(outside)} of {len(names)} slices are of other classes ({counts})"
        raise problem(came, f"slices of {', '.join(classes)}", remedy)
    return names


def check_classes(classes):
    """Return exclusive classes as a tuple; HemokitError unless they are two or more of `CLASSES`, or `TWO_CLASSES`."""
    given = tuple(classes) if isinstance(classes, tuple | list) else ()
    known = len(given) > 1 and all(name in CLASSES for name in given) and len(set(given)) == len(given)
    if given != TWO_CLASSES and not known:
        expected = f"two or more of {', '.join(CLASSES)}, each once, or {TWO_CLASSES}"
        raise problem(f"classes is {classes!r}", expected, "Take labels.CLASSES, or leave names out of it.")
    return given
