"""Splits by patient, folds, balancing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.splits import SPLITS, balance, folds_by_patient, read_folds, split_by_patient, write_folds
from hemokit.tables import COLUMNS, account, build_table, check_slice_table


def make_table(slices, positive=()):
    """A slice table: slices[k] slices of patient k, of which the first is positive where k is in `positive`."""
    rows = []
    for number, count in enumerate(slices):
        for index in range(count):
            label = int(index == 0 and number in positive)
            patient = f"{number:03d}"
            ids = {
                "patient_id": patient,
                "scan_id": patient,
                "slice_id": f"{patient}_{index:03d}",
                "slice_index": index,
            }
            rows.append({"dataset": "x", **ids, "image_path": "", "mask_path": None, "any": label, "epidural": label})
    table = pd.DataFrame(rows, columns=[*COLUMNS]).fillna(dict.fromkeys(COLUMNS[-4:], 0))
    return build_table(table, rows_in=len(table))


tables = st.builds(
    lambda slices, order: make_table(slices, [k for k in range(len(slices)) if order >> k & 1]),
    st.lists(st.integers(1, 5), min_size=5, max_size=30),
    st.integers(0, 2**30),
)


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.promises)])
def test_patients_are_never_shared_out(number):
    """Promise L1: in 1,000 random tables no patient is in two splits or folds, and no row is lost."""
    rng = np.random.default_rng(0)
    for seed in range(number):
        patients = rng.integers(0, 12, rng.integers(30, 60))
        table = pd.DataFrame({"patient_id": patients.astype(str), "any": rng.integers(0, 2, len(patients))})
        if table["patient_id"].nunique() < 5:
            continue
        split, fold = split_by_patient(table, seed=seed), folds_by_patient(table, seed=seed)
        number = table["patient_id"].nunique()
        assert len(set(zip(split["patient_id"], split["split"], strict=True))) == number
        assert len(set(zip(fold["patient_id"], fold["fold"], strict=True))) == number
        assert set(split["split"]) == set(SPLITS) and set(fold["fold"]) == set(range(5))
        assert split["patient_id"].tolist() == patients.astype(str).tolist()


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(0, 99), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(table, seed, random):
    """The same patients and seed give the same split, however the rows are ordered."""
    order = list(range(len(table)))
    random.shuffle(order)
    by_id = split_by_patient(table, seed=seed).set_index("slice_id")["split"]
    shuffled = split_by_patient(table.iloc[order], seed=seed).set_index("slice_id")["split"]
    assert by_id.to_dict() == shuffled.to_dict()


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(2, 5), st.integers(0, 99))
def test_folds_are_even(table, num_folds, seed):
    """Folds differ by one patient at most, and by one positive patient or so."""
    folds = folds_by_patient(table, num_folds=num_folds, seed=seed)
    patients = folds.groupby("patient_id").agg(fold=("fold", "first"), any=("any", "max"))
    sizes = patients.groupby("fold").agg(patients=("any", "size"), positive=("any", "sum"))
    assert np.ptp(sizes["patients"]) <= 1 and np.ptp(sizes["positive"]) <= 2
    assert folds["fold"].dtype.kind == "i"


def test_sizes_and_strata():
    """82 patients, 36 of them positive, as in CT-ICH: 58, 12 and 12 patients with 25, 5 and 5 positive or so."""
    split = split_by_patient(make_table([3] * 82, range(36)), fractions=(0.7, 0.15, 0.15), seed=3)
    patients = split.groupby("patient_id").agg(split=("split", "first"), any=("any", "max")).groupby("split")["any"]
    assert sorted(patients.size()) == [12, 12, 58]
    for name, count in patients.sum().items():
        assert abs(count - 36 * patients.size()[name] / 82) < 1.5


def test_positive_patients_are_shared_out_evenly():
    """10 positive of 30 patients: two in each of five folds, and 6, 2 and 2 in a split, whatever the seed."""
    table = make_table([2] * 30, range(10))
    for seed in range(20):
        folds = folds_by_patient(table, num_folds=5, seed=seed)
        assert folds.groupby("fold")["any"].sum().tolist() == [2] * 5
        split = split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)
        assert split.groupby("split")["any"].sum().to_dict() == {"train": 6, "validation": 2, "test": 2}


def test_seed_and_fractions():
    """Another seed, another split; a dict names the parts; each part gets a patient however small."""
    table = make_table([2] * 20, range(10))
    assert split_by_patient(table, seed=1).equals(split_by_patient(table, seed=1))
    assert not split_by_patient(table, seed=1).equals(split_by_patient(table, seed=2))
    counts = split_by_patient(table, fractions={"test": 0.25, "train": 0.75})["split"].value_counts()
    assert counts.to_dict() == {"train": 30, "test": 10}
    tiny = split_by_patient(make_table([1] * 3), fractions=(0.98, 0.01, 0.01))["split"]
    assert sorted(tiny) == ["test", "train", "validation"]


def test_table_and_account_are_kept():
    """The table that came is not changed; the columns, the order and the account of the result are its."""
    table = make_table([2] * 5)
    split = split_by_patient(table)
    assert "split" not in table and split.drop(columns="split").equals(table) and account(split) == account(table)
    check_slice_table(split)


@pytest.mark.parametrize("split", [split_by_patient, folds_by_patient])
def test_without_patients_there_is_no_split(split):
    """Windowed JPGs carry no patients: one missing id is enough to refuse."""
    table = make_table([2] * 9)
    table.loc[4, "patient_id"] = None
    with pytest.raises(HemokitError, match="1 of 18 rows have no patient_id.*join them from the DICOM headers"):
        split(table)
    with pytest.raises(HemokitError, match="there are 2 patients for"):
        split(make_table([9, 9]))
    with pytest.raises(HemokitError, match="balanced.*Split first"):
        split(make_table([2] * 9).assign(copy=0))


@pytest.mark.parametrize(
    "fractions, sentence",
    [
        ((0.7, 0.2, 0.2), "sum 1.1"),
        ((0.7, 0.3, 0.0), "fractions above 0"),
        ((1.2, -0.1, -0.1), "fractions above 0"),
        ((0.7, 0.3), "fractions has 2 values"),
        ({"train": 0.7, "dev": 0.3}, "fractions names 'dev'"),
        ({}, "sum 0"),
        ((0.7, 0.3, float("nan")), "sum nan"),
        (0.8, "fractions is 0.8"),
        (None, "fractions is None"),
        (("a", "b", "c"), "fractions are .*'a'.*expected numbers"),
        ({"train": 0.7, "test": None}, "expected numbers"),
    ],
)
def test_bad_fractions(fractions, sentence):
    """Fractions are above 0 and sum to 1."""
    with pytest.raises(HemokitError, match=sentence):
        split_by_patient(make_table([2] * 9), fractions=fractions)


@pytest.mark.parametrize("seed", [-1, "x", None, 0.5])
def test_bad_seeds(seed):
    """Without a whole number from 0 nobody could make the same split again."""
    table = make_table([2] * 9, [0])
    for split in (
        split_by_patient,
        folds_by_patient,
        lambda table, seed: balance(table.assign(split="train"), seed=seed),
    ):
        with pytest.raises(HemokitError, match=f"seed is {seed!r}"):
            split(table, seed=seed)


def test_ids_are_strings():
    """1 and "1" are one patient to a reader and two to a computer: refused."""
    table = pd.DataFrame({"patient_id": [1, "1", "2", "3"], "any": [0, 1, 0, 1]})
    with pytest.raises(HemokitError, match="1 of 4 values of patient_id are no strings .such as 1"):
        split_by_patient(table)


@pytest.mark.parametrize("num_folds", [0, 1, 2.5, None, float("nan"), float("inf")])
def test_bad_number_of_folds(num_folds):
    """Folds are counted in whole numbers from 2."""
    with pytest.raises(HemokitError, match=f"num_folds is {num_folds}"):
        folds_by_patient(make_table([2] * 9), num_folds=num_folds)


def test_folds_on_disk(tmp_path):
    """Written folds come back; patient ids keep their zeros."""
    table = make_table([2] * 7, range(3))
    folds = folds_by_patient(table, num_folds=3, seed=4)
    write_folds(folds, tmp_path / "folds" / "x.csv")
    assert (tmp_path / "folds" / "x.csv").read_text().startswith("patient_id,fold\n000,")
    assert read_folds(table, tmp_path / "folds" / "x.csv").equals(folds)


def test_folds_of_other_patients(tmp_path):
    """Folds for more, fewer or other patients are refused, and so are folds that are no numbers."""
    write_folds(folds_by_patient(make_table([2] * 7), num_folds=3), tmp_path / "x.csv")
    for other, sentence in ((6, r"1 of its patients are not in the table \['006'\]"), (8, r"1 patients .*\['007'\]")):
        with pytest.raises(HemokitError, match=sentence):
            read_folds(make_table([2] * other), tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("patient_id,fold\n000,0\n001,first\n")
    with pytest.raises(HemokitError, match=r"x\.csv, row 3, column 'fold': fold is 'first'"):
        read_folds(make_table([1, 1]), tmp_path / "x.csv")
    broken = make_table([2] * 3).assign(fold=[0, 1, 1, 1, 0, 0])
    with pytest.raises(HemokitError, match="1 x patient in two splits"):
        write_folds(broken, tmp_path / "y.csv")
    assert not (tmp_path / "y.csv").exists()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 60), st.integers(0, 99))
def test_balance(positive, normal, seed):
    """As many positives as normals; every original is there; copies are numbered behind their original."""
    table = make_table([1] * (positive + normal), range(positive)).assign(split="train")
    balanced = balance(table, seed=seed)
    counts = balanced["any"].value_counts().to_dict()
    assert counts.get(1) == max(positive, normal) and counts.get(0, 0) == normal
    assert balanced[balanced["copy"] == 0].drop(columns="copy").reset_index(drop=True).equals(table)
    assert not balanced.duplicated(["slice_id", "copy"]).any()
    copies = balanced[balanced["any"] == 1].groupby("slice_id").size()
    assert copies.max() - copies.min() <= 1
    assert balanced.equals(balance(table, seed=seed))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(["normal", "subdural", "epidural", "multi"]), min_size=1, max_size=40), st.integers(0, 9)
)
def test_balance_by_class(names, seed):
    """As many slices of each class as of the most frequent; a column of names gives the same."""
    table = make_table([1] * len(names)).assign(split="train", kind=names)
    for subtype in ("subdural", "epidural"):
        table[subtype] = [int(name in (subtype, "multi")) for name in names]
    balanced = balance(table, by="class", seed=seed)
    most = max(names.count(name) for name in names)
    assert balanced["kind"].value_counts().to_dict() == dict.fromkeys(names, most)
    assert balanced[balanced["copy"] == 0].drop(columns="copy").reset_index(drop=True).equals(table)
    copies = balanced.groupby(["kind", "slice_id"]).size().groupby("kind").agg(["min", "max"])
    assert (copies["max"] - copies["min"] <= 1).all()
    assert balanced.equals(balance(table, by="kind", seed=seed))
    assert "copies of slices of each class added" in account(balanced).notes[-1]
    with pytest.raises(HemokitError, match="column 'kind': 1 of .* rows have no value"):
        balance(table.assign(kind=[None, *names[1:]]), by="kind")


def test_balanced_table_says_so():
    """A note in the account; and it is no slice table any more, since slices repeat."""
    balanced = balance(make_table([3] * 5, [0]).assign(split="train"))
    assert "13 copies of positive slices added" in str(account(balanced)) and account(balanced)[:2] == (28, 28)
    with pytest.raises(HemokitError, match="stands in 14 rows"):
        check_slice_table(balanced)


def test_account_of_balanced_training_rows():
    """Rows in = rows used + dropped = the rows that are here, also where they were taken from a larger table."""
    split = split_by_patient(make_table([3] * 9, range(4)))
    balanced = balance(split[split["split"] == "train"])
    told = account(balanced)
    assert told == balanced.attrs["account"] and told.rows_used == len(balanced)
    assert told.rows_in == told.rows_used + sum(len(drop.ids) for drop in told.drops)
    assert f"{(balanced['copy'] > 0).sum()} copies" in told.notes[-1]


def test_wrong_orders_raise():
    """Promise L3: balancing before splitting, of validation or test rows, of rows in no split, or twice."""
    table = make_table([3] * 9, range(4))
    with pytest.raises(HemokitError, match="no column 'split'.*Split first"):
        balance(table)
    split = split_by_patient(table)
    for rows in (split, split[split["split"] == "validation"], split[split["split"] == "test"]):
        with pytest.raises(HemokitError, match="validation and test keep the true proportions"):
            balance(rows)
    with pytest.raises(HemokitError, match="training rows only"):
        balance(split.assign(split=None))
    train = balance(split[split["split"] == "train"])
    with pytest.raises(HemokitError, match="has a column 'copy'"):
        balance(train)
    with pytest.raises(HemokitError, match="balanced"):
        split_by_patient(train)


def test_balance_needs_positives():
    """Nothing can be repeated where nothing is positive; no rows at all are fine."""
    with pytest.raises(HemokitError, match="no positive slice"):
        balance(make_table([3]).assign(split="train"))
    assert len(balance(make_table([]).assign(split=pd.Series(dtype=str)))) == 0
