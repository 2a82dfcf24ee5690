"""Choosing the reader, and what all layouts have in common."""

import dataset_trees as trees
import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets import (
    READERS,
    find_dataset,
    open_dataset,
    read_hounsfield,
    read_image,
    read_mask,
    read_volume,
)
from hemokit.labels import LABELS
from hemokit.tables import COLUMNS, account

BUILDERS = {name: getattr(trees, name) for name in READERS}


@pytest.fixture(params=READERS)
def tree(request, tmp_path):
    """Each layout once: its name and its folder."""
    return request.param, BUILDERS[request.param](tmp_path / "tree")


def test_reader_is_chosen_by_the_folder(tree):
    """Each layout is recognized, and its table has the common columns and adds up."""
    name, root = tree
    table = open_dataset(root)
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS) and set(table["dataset"]) == {name}
    story = account(table)
    assert story.rows_in == story.rows_used + sum(len(drop.ids) for drop in story.drops)


def test_types_of_every_layout(tree):
    """Labels are int8, text is object with None, slice_index counts in int64, or Int64 where it is unknown."""
    name, root = tree
    table = open_dataset(root)
    assert {str(table[label].dtype) for label in LABELS} == {"int8"}
    assert str(table["slice_index"].dtype) == ("Int64" if name == "windowed_jpg" else "int64")
    texts = [column for column in table.columns if column in COLUMNS[:4] or column.endswith("_path")]
    assert {str(table[column].dtype) for column in texts} == {"object"}
    assert {type(value) for column in texts for value in table[column]} <= {str, type(None)}


def test_nested_zip(tree, tmp_path):
    """A zip that nests everything in one folder with a long name, in another folder, gives the same table."""
    name, root = tree
    outer = tmp_path / "outer" / "computed-tomography-images-1.0.0"
    outer.parent.mkdir()
    outer.mkdir()
    root.rename(outer / "data")
    assert find_dataset(outer.parent) == (name, (outer / "data").resolve())


def test_name_and_folder_must_agree(tree):
    """A name is checked against the folder, and against the names there are."""
    name, root = tree
    other = next(each for each in READERS if each != name)
    with pytest.raises(HemokitError, match=f"no data set was found .* expected one of these layouts \\({other}"):
        open_dataset(root, other)
    with pytest.raises(HemokitError, match="name is 'rsna2019', but expected one of 'ct_ich_jpg'"):
        open_dataset(root, "rsna2019")


def test_unknown_option(tree):
    """An option that the reader does not have is refused by name."""
    with pytest.raises(HemokitError, match="the option 'pateints' was given, but expected one of .* Leave it out"):
        open_dataset(tree[1], pateints=3)


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda path: None, "there is no such folder"),
        (lambda path: path.write_text("x"), "there is a file, but expected the folder"),
        (lambda path: path.mkdir(), "the folder is empty"),
        (lambda path: (path / "photos").mkdir(parents=True), "no data set was found .there is photos."),
    ],
)
def test_no_data_set(make, match, tmp_path):
    """No folder, a file, an empty folder and a strange folder each get their own sentence."""
    make(tmp_path / "here")
    with pytest.raises(HemokitError, match=match):
        open_dataset(tmp_path / "here")


def test_several_data_sets(tmp_path):
    """Two layouts side by side need a name; two of one layout need a folder."""
    trees.rsna(tmp_path / "all" / "one")
    trees.ct_ich_nifti(tmp_path / "all" / "two")
    with pytest.raises(HemokitError, match="expected one data set. Give the folder of one"):
        open_dataset(tmp_path / "all")
    assert len(open_dataset(tmp_path / "all", "rsna")) == 4
    trees.rsna(tmp_path / "all" / "three")
    with pytest.raises(HemokitError, match="2 folders in .* hold this data set"):
        open_dataset(tmp_path / "all", "rsna")


def test_rows_of_all_kinds(tree):
    """A Series, a namedtuple of itertuples and a dict give the same image; something else is refused."""
    table = open_dataset(tree[1])
    image = read_image(table.iloc[0])
    assert image.dtype == np.float32 and image.ndim == 3 and 0 <= image.min() <= image.max() <= 1
    for row in (next(table.itertuples()), next(table.itertuples(index=False)), table.iloc[0].to_dict()):
        np.testing.assert_array_equal(read_image(row), image)
    with pytest.raises(HemokitError, match="the row is a DataFrame, but expected one row"):
        read_image(table)
    with pytest.raises(HemokitError, match="the row has no dataset"):
        read_image(pd.Series({"slice_id": "a"}))


def test_jpg_is_not_windowed_again(tree):
    """JPG layouts take names of renders only, and have no Hounsfield units; the others take windows."""
    name, root = tree
    row = open_dataset(root).iloc[0]
    if name.endswith("jpg"):
        with pytest.raises(HemokitError, match="windows is .*cannot be windowed again"):
            read_image(row, windows=((40, 80),))
        with pytest.raises(HemokitError, match=f"is of {name}, but expected a layout that holds Hounsfield units"):
            read_hounsfield(row)
    else:
        assert read_image(row, windows=("brain", (80, 200), "bone")).shape == (8, 9, 3)
        assert read_hounsfield(row).dtype == np.float32


def test_mask_of_negative_and_unmasked_slices(tree):
    """Without hemorrhage and mask: nothing anywhere. With hemorrhage and without mask: an error, never zeros."""
    table = open_dataset(tree[1])
    row = table[table["any"] == 0].iloc[0]
    assert read_mask(row).dtype == bool and not read_mask(row).any()
    assert read_mask(row).shape == read_image(row).shape[:2]
    row = table[table["any"] == 1].iloc[0].copy()
    row["mask_path"], row["polygons_xy"] = None, None
    with pytest.raises(HemokitError, match="has hemorrhage and no mask"):
        read_mask(row)


def test_volume(tmp_path):
    """A scan is stacked from the neck upward, in whatever order its rows come; gaps and mixtures are refused."""
    table = open_dataset(trees.ct_ich_nifti(tmp_path / "tree"))
    scan = table[table["scan_id"] == "049"]
    volume = read_volume(scan.iloc[[2, 0, 1]])
    np.testing.assert_array_equal(volume, trees.nifti_volume(3, 49))
    assert read_volume(scan, read=read_mask).sum() == 18 and read_volume(scan, read=read_image).shape == (3, 8, 9, 1)
    with pytest.raises(HemokitError, match="the rows are of 2 scan"):
        read_volume(table)
    with pytest.raises(HemokitError, match=r"slice indices of scan 049 are \[0, 2\]"):
        read_volume(scan.iloc[[0, 2]])
    assert len(read_volume(scan.iloc[[0, 2]], allow_gaps=True)) == 2
    with pytest.raises(HemokitError, match="0 scan"):
        read_volume(scan.iloc[:0])


def spoil(data, rng):
    """One random damage to the bytes of a file: a cut, a changed byte, a lost byte, a repeated line, an odd cell."""
    lines = data.split(b"\n")
    place, line = int(rng.integers(len(data))), int(rng.integers(len(lines)))
    cells = lines[line].split(b",")
    cells[int(rng.integers(len(cells)))] = [b"", b"NA", b"1e5", b'"', b"-1", b"\xff", b"99999999999999999999"][
        rng.integers(7)
    ]
    return [
        data[:place],
        data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :],
        data[:place] + data[place + 1 :],
        b"\n".join([*lines[:line], lines[line], *lines[line:]]),
        b"\n".join([*lines[:line], b",".join(cells), *lines[line + 1 :]]),
    ][rng.integers(5)]


def test_damaged_text_files(tree):
    """Any damage to a CSV gives a table that adds up or one HemokitError, never another exception."""
    name, root = tree
    rng = np.random.default_rng(0)
    texts = sorted(path for path in root.rglob("*") if path.suffix in (".csv", ".txt"))
    refused = 0
    for path in texts * 12:
        good = path.read_bytes()
        path.write_bytes(spoil(good, rng))
        try:
            table = open_dataset(root)
            story = account(table)
            assert story.rows_in == len(table) + sum(len(drop.ids) for drop in story.drops)
        except HemokitError:
            refused += 1
        path.write_bytes(good)
    assert refused > 0
