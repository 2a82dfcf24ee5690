"""The readers on the real CT-ICH (JPG form), of which 40 of 82 patients are at hand; see conftest.py."""

import time

import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_image, read_mask
from hemokit.integrity import check_root
from hemokit.tables import account, check_slice_table


@pytest.fixture(scope="module")
def table(ct_ich_root):
    """The slice table."""
    return open_dataset(ct_ich_root)


def test_counts_of_the_part(table):
    """1,225 slices of 40 patients; 173 slices and 18 patients are positive; nothing is dropped."""
    positive = table[table["any"] == 1]
    assert (len(table), table["patient_id"].nunique()) == (1225, 40)
    assert (len(positive), positive["patient_id"].nunique()) == (173, 18)
    assert account(table).rows_in == 1225 and account(table).drops == ()
    check_slice_table(table)


def test_subtypes(table):
    """Slices by subtype, as counted in the CSV by hand."""
    counts = table[["intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural", "fracture"]].sum()
    assert counts.tolist() == [1, 39, 8, 110, 23, 107]


def test_masks_are_absent_in_one_sentence(table):
    """The folder has no masks: one note says so, and a positive slice has no mask rather than an empty one."""
    assert [note for note in account(table).notes if "mask" in note] == [
        "masks: none in this folder, so nothing that needs a segmentation mask can run on it"
    ]
    with pytest.raises(HemokitError, match="has hemorrhage and no mask"):
        read_mask(table[table["any"] == 1].iloc[0])


def test_demographics(table):
    """Every patient has an age and a sex; ages of infants are fractions."""
    assert table[["age_years", "sex"]].notna().all().all()
    assert table.set_index("patient_id").loc["050", "age_years"].iloc[0] == pytest.approx(0.583333333)


def test_every_image_can_be_read(table):
    """Brain and bone of every 25th slice: 650 x 650 in [0, 1]."""
    for _, row in table.iloc[::25].iterrows():
        image = read_image(row, windows=("brain", "bone"))
        assert image.shape == (650, 650, 2) and image.dtype == np.float32
        assert 0 <= image.min() < 0.1 and 0.9 < image.max() <= 1


def test_opening_is_quick(ct_ich_root):
    """Opening takes less than two seconds, also on a busy machine."""
    start = time.perf_counter()
    open_dataset(ct_ich_root)
    assert time.perf_counter() - start < 2


def test_data_check(ct_ich_root):
    """The data check finds a part of the data set, all of whose images have the right checksum."""
    findings = check_root(ct_ich_root)
    assert not [finding for finding in findings if finding.ok is False]
    assert any("2450 files are as listed" in finding.found for finding in findings)
