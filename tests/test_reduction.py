"""Principal components of training patients alone."""

import numpy as np
import pytest
from test_sequence_batches import slice_table

from hemokit.checks import HemokitError
from hemokit.reduction import fit_reduction, read_reduction, write_reduction

RNG = np.random.default_rng(0)


@pytest.fixture
def table():
    """40 patients of three slices, ten of them to test."""
    table = slice_table((3,) * 40)
    number = table["patient_id"].str[1:].astype(int)
    return table.assign(split=np.where(number < 30, "train", "test"))


@pytest.fixture
def features(table):
    """Features of 9 numbers on 4 directions, and a little noise."""
    return RNG.normal(size=(len(table), 4)) @ RNG.normal(size=(4, 9)) + RNG.normal(0, 0.01, (len(table), 9))


def test_against_the_singular_values(table, features):
    """The components are those of NumPy's decomposition of the centered training rows, up to signs."""
    found, train = fit_reduction(features, table, num_components=4), features[table["split"] == "train"]
    _, values, directions = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    cosines = np.abs(np.sum(found.components * directions[:4], axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    assert found.scale == pytest.approx(values[0] / np.sqrt(len(train) - 1), rel=1e-5)
    assert 0.99 < found.explained <= 1
    reduced = found.apply(features)
    assert reduced.shape == (len(table), 4) and reduced.dtype == np.float32
    assert reduced[table["split"] == "train"][:, 0].std(ddof=1) == pytest.approx(1, rel=1e-3)


def test_in_blocks(table, features, monkeypatch):
    """However many rows are reduced at once, the numbers are the same; none give none."""
    found = fit_reduction(features, table, num_components=4)
    whole = found.apply(features)
    monkeypatch.setattr("hemokit.reduction.ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(found.apply(features), whole, rtol=1e-5, atol=1e-6)
    assert found.apply(features[:0]).shape == (0, 4)


def test_test_patients_change_nothing(table, features):
    """Whatever the features of test patients are, the components stay."""
    one = fit_reduction(features, table, num_components=4)
    features[table["split"] == "test"] = 1e6
    other = fit_reduction(features, table, num_components=4)
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_few_of_many(table, features):
    """Where there are more than `most` slices some are drawn, by the seed."""
    pair = [fit_reduction(features, table, num_components=4, most=30, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(pair[0].components, pair[1].components)
    assert not np.array_equal(pair[0].components, pair[2].components)


def test_written_and_read(table, features, tmp_path):
    """It comes back from its file; a damaged one, and one that would run code, is refused."""
    one = fit_reduction(features, table, num_components=4)
    write_reduction(one, tmp_path / "pca.npz")
    again = read_reduction(tmp_path / "pca.npz")
    assert all(np.array_equal(*pair) for pair in zip(one, again, strict=True))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "pca.npz").read_bytes()[:100])
    objects = {"mean": np.array([print], object)}
    np.savez(tmp_path / "code.npz", **objects)
    for name in ("cut.npz", "code.npz", "none.npz"):
        with pytest.raises(HemokitError, match=f"{name}: it cannot be read"):
            read_reduction(tmp_path / name)


@pytest.mark.parametrize("change, match", [
    (lambda table, features: (features, table.drop(columns="split")), "a table without the column 'split'"),
    (lambda table, features: (features, table.assign(split=["train", "test"] * 60)), "p"),
    (lambda table, features: (features[1:], table), r"features of the shape \(119, 9\)"),
    (lambda table, features: (features[:, :3], table), "90 training slices with 3 features, but expected 4"),
    (lambda table, features: (features * np.nan, table), "features that are not finite"),
    (lambda table, features: (features * 0, table), "the same in every training slice"),
])  # fmt: skip
def test_refused(table, features, change, match):
    """Without a split, with a leak, of other rows, with too few numbers."""
    features, table = change(table, features)
    with pytest.raises(HemokitError, match=match):
        fit_reduction(features, table, num_components=4)


def test_other_features(table, features):
    """Features of another model are refused."""
    found = fit_reduction(features, table, num_components=4)
    with pytest.raises(HemokitError, match=r"features of the shape \(7, 8\)"):
        found.apply(np.zeros((7, 8)))
    assert found.apply(np.zeros((0, 9))).shape == (0, 4)
