"""The names of the labels, and how slice labels become scan labels."""

import numpy as np

from hemokit.checks import check_binary, check_columns, problem

SUBTYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
ANY = "any"
LABELS = (ANY, *SUBTYPES)

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
    names[flags.sum(axis=1) == 0] = "normal"
    names[flags.sum(axis=1) > 1] = "multi"
    return names
