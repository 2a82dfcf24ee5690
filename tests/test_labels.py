"""Names of the labels, and labels of whole scans."""

import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.labels import ANY, LABELS, SHORT, SUBTYPES, TWO_CLASSES, class_names, scan_labels, seven_way


def table(*rows):
    """A slice table's id and label columns from (patient, scan, subtypes of the slice)."""
    return pd.DataFrame(
        [
            {
                "patient_id": patient,
                "scan_id": scan,
                ANY: int(bool(own)),
                **{name: int(name in own) for name in SUBTYPES},
            }
            for patient, scan, own in rows
        ],
        columns=["patient_id", "scan_id", *LABELS],
    )


def test_names():
    """Five subtypes and `any`, each subtype with a short name."""
    assert LABELS == ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    assert tuple(SHORT) == SUBTYPES


def test_scan_has_a_label_when_one_slice_has_it():
    """Two scans of one patient; order of first appearance; the labels of their slices together."""
    scans = scan_labels(
        table(("p", "b", []), ("p", "b", ["epidural"]), ("p", "a", []), ("p", "b", ["subdural"]), ("p", "a", []))
    )
    assert scans["scan_id"].tolist() == ["b", "a"]
    assert scans["num_slices"].tolist() == [3, 2]
    assert scans.loc[0, list(LABELS)].tolist() == [1, 1, 0, 0, 0, 1]
    assert scans.loc[1, list(LABELS)].tolist() == [0] * 6


def test_scan_labels_of_nothing():
    """An empty table gives an empty frame with the same columns."""
    assert list(scan_labels(table())) == ["patient_id", "scan_id", "num_slices", *LABELS]
    assert len(scan_labels(table())) == 0


def test_scan_labels_without_patients():
    """A missing patient is no reason to refuse a scan."""
    assert scan_labels(table((None, "a", ["epidural"])))["any"].tolist() == [1]


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([("p", None, [])], "1 slices have no scan_id"),
        ([("p", "a", []), ("q", "a", [])], "scan 'a' stands under 2 patients"),
        ([("p", "a", []), (None, "a", [])], "scan 'a' stands under 2 patients"),
    ],
)
def test_scan_labels_refuses(rows, sentence):
    """A slice without a scan, or a scan of two patients."""
    with pytest.raises(HemokitError, match=sentence):
        scan_labels(table(*rows))


def test_seven_way():
    """Normal, one subtype, several."""
    names = seven_way(table(("p", "a", []), ("p", "a", ["subdural"]), ("p", "a", ["epidural", "subdural"])))
    assert names.tolist() == ["normal", "subdural", "multi"]
    assert seven_way(table()).tolist() == []


def test_seven_way_refuses_other_values():
    """Probabilities are no labels."""
    with pytest.raises(HemokitError, match="the subtype columns holds the value 0.5"):
        seven_way(table(("p", "a", [])).astype({"epidural": float}).assign(epidural=0.5))


def test_class_names():
    """Seven classes, a choice of them, or two by the column any."""
    rows = table(("p", "a", []), ("p", "a", ["subdural"]))
    assert class_names(rows, ("subdural", "normal")).tolist() == ["normal", "subdural"]
    assert class_names(rows, list(TWO_CLASSES)).tolist() == ["normal", "hemorrhage"]
    assert class_names(table()).tolist() == class_names(table(), TWO_CLASSES).tolist() == []


def test_class_names_refuses():
    """Slices outside of the classes are counted by name; what is no class, and a column that is missing."""
    rows = table(("p", "a", []), ("p", "a", ["subdural"]), ("p", "a", ["epidural", "subdural"]))
    with pytest.raises(HemokitError, match=r"2 of 3 slices are of other classes \(1 subdural, 1 multi\)"):
        class_names(rows, ("normal", "epidural"))
    with pytest.raises(HemokitError, match="expected two or more of normal, epidural"):
        class_names(rows, ("normal", "normal"))
    with pytest.raises(HemokitError, match="lacks the column.s. 'any'"):
        class_names(rows.drop(columns="any"), TWO_CLASSES)
    with pytest.raises(HemokitError, match="lacks the column.s. 'subdural'"):
        class_names(rows.drop(columns="subdural"))
