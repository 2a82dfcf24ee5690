"""The slice cache: what is found is what was made from just these files, by just this code (promises T1 and T4)."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from hemokit import slice_cache
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_image, read_mask
from hemokit.datasets.phantom import write_phantom
from hemokit.slice_cache import LEVELS, cached_slices, content_key, open_slices, prepare_slice, unique_slices
from hemokit.windows import Window


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Three phantom folders, of which tests make copies before they change anything."""
    root = tmp_path_factory.mktemp("phantoms")
    layouts = ("ct_ich_jpg", "ct_ich_nifti", "windowed_jpg")
    return {name: write_phantom(root / name, layout=name, num_patients=1, image_size=64, seed=1) for name in layouts}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "slices"


def table_of(roots, layout):
    """The slices of a phantom that have what a mask needs."""
    table = open_dataset(roots[layout])
    drawn = table["mask_path"].notna()
    if "polygons_xy" in table:
        drawn |= table["polygons_xy"].notna()
    table = table[drawn | (table["any"] == 0)].sort_values("any", ascending=False, kind="stable")
    return table.head(12).reset_index(drop=True)


def gray(height, width, tmp_path, value=200):
    """One row of a table whose image is one gray JPG of this size, white above the mask's middle row."""
    image, mask = np.full((height, width), value, np.uint8), np.zeros((height, width), np.uint8)
    mask[: height // 2] = 255
    paths = [str(tmp_path / name) for name in ("1.png", "1_HGE_Seg.png")]
    for path, array in zip(paths, (image, mask), strict=True):
        cv2.imwrite(path, array)
    return {
        "dataset": "ct_ich_jpg", "slice_id": "001_001", "slice_index": 0, "any": 1,
        "image_path": paths[0], "mask_path": paths[1], "bone_path": None,
    }  # fmt: skip


@pytest.mark.parametrize("layout", ["ct_ich_jpg", "ct_ich_nifti", "windowed_jpg"])
def test_what_is_kept(roots, cache, layout):
    """Images and masks are those of the readers, sorted by slice_id, to half a step of rounding."""
    table = table_of(roots, layout).iloc[::-1]
    images, masks, shapes = open_slices(cached_slices(table, image_size=64, masks=True))
    for place, (_, row) in enumerate(unique_slices(table).iterrows()):
        assert np.abs(images[place] / LEVELS - read_image(row)).max() <= 0.5 / LEVELS + 1e-7
        assert (masks[place] == read_mask(row)).all() and tuple(shapes[place]) == (64, 64)
    assert images.shape == (len(table), 64, 64, 1) and images.dtype == np.uint16 and not images.flags.writeable


def test_second_time_reads_nothing(roots, cache, monkeypatch):
    """What is kept is found again, in any order of the rows, and with copies."""
    table = table_of(roots, "ct_ich_jpg")
    folder = cached_slices(table, image_size=32)
    monkeypatch.setattr(slice_cache, "read_image", None)
    assert cached_slices(table.sample(frac=1, random_state=0), image_size=32) == folder
    assert cached_slices(table.loc[[0, 0, *range(len(table))]], image_size=32) == folder
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("height, width", [(7, 9), (9, 8), (8, 8), (7, 16)])
def test_square_by_padding(tmp_path, height, width):
    """A slice that is not square is padded on both sides with 0, and nothing is distorted."""
    side = max(height, width)
    image, mask, shape = prepare_slice(gray(height, width, tmp_path), image_size=side, masks=True)
    top, left = (side - height) // 2, (side - width) // 2
    expected = np.zeros((side, side), np.uint16)
    expected[top : top + height, left : left + width] = round(200 / 255 * LEVELS)
    assert (image[..., 0] == expected).all() and shape == (height, width)
    assert mask.sum() == (height // 2) * width and mask[top : top + height // 2, left : left + width].all()


def test_shrinking_averages_areas(tmp_path):
    """Half the size is the mean of 2 x 2 pixels; a pixel of the mask needs half of them."""
    row = gray(8, 8, tmp_path)
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    cv2.imwrite(row["image_path"], board)
    mask = np.zeros((8, 8), np.uint8)
    mask[0, :3] = 255  # two of four, then one of four
    cv2.imwrite(row["mask_path"], mask)
    image, small, _ = prepare_slice(row, image_size=4, masks=True)
    assert np.allclose(image / LEVELS, 0.5, atol=1e-4)
    assert np.argwhere(small).tolist() == [[0, 0]]


def test_enlarging_stays_in_range(tmp_path):
    """A larger size interpolates: no value leaves the range, the mask stays the upper half."""
    image, mask, _ = prepare_slice(gray(8, 8, tmp_path, value=255), image_size=16, masks=True)
    assert (image == LEVELS).all() and mask[:8].all() and not mask[8:].any()


def flip_bit(path):
    """Change one bit of a file, and keep its size and its dates."""
    times = os.stat(path)
    with open(path, "r+b") as stream:
        stream.seek(times.st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(times.st_size // 2)
        stream.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_fifteen_changes_fifteen_rebuilds(roots, monkeypatch, tmp_path):
    """T4: each of 16 changes gives another key, so none finds what was made before it."""
    for name in roots:
        shutil.copytree(roots[name], tmp_path / name)
    here = {name: tmp_path / name for name in roots}
    nifti, jpg, drawn = (table_of(here, name) for name in ("ct_ich_nifti", "ct_ich_jpg", "windowed_jpg"))
    usual = {"image_size": 32, "windows": (Window(40, 80), "bone"), "masks": True}
    keys = [content_key(nifti, **usual)]
    for change in (
        {"windows": (Window(41, 80), "bone")},  # 1 level
        {"windows": (Window(40, 81), "bone")},  # 2 width
        {"windows": ("bone", Window(40, 80))},  # 3 order
        {"windows": (Window(40, 80),)},  # 4 number of windows
        {"image_size": 33},  # 5 size
        {"masks": False},  # 6 what is kept
    ):
        keys.append(content_key(nifti, **{**usual, **change}))
    keys.append(content_key(nifti.iloc[1:], **usual))  # 7 a slice less
    keys.append(content_key(nifti.assign(slice_index=nifti["slice_index"] + 1), **usual))  # 8 another slice of the file
    keys.append(content_key(nifti.assign(slice_id=nifti["slice_id"] + "x"), **usual))  # 9 other ids
    usual = {"image_size": 32, "masks": True}
    keys += [content_key(jpg, **usual), content_key(drawn, **usual)]  # 10, 11 other layouts
    flip_bit(jpg["image_path"].iloc[5])  # 12 a pixel, with the same size and date
    keys.append(content_key(jpg, **usual))
    flip_bit(jpg["mask_path"].dropna().iloc[0])  # 13 a pixel of a mask
    keys.append(content_key(jpg, **usual))
    polygons = drawn["polygons_xy"].copy()
    first = polygons.dropna().index[0]
    polygons[first] = [polygon + 1e-9 for polygon in polygons[first]]  # 14 a corner of a polygon
    keys.append(content_key(drawn.assign(polygons_xy=polygons), **usual))
    (tmp_path / "reader.py").write_text("changed = True")
    with monkeypatch.context() as patch:  # 15 the code of a reader
        patch.setattr(slice_cache, "_HERE", tmp_path)
        patch.setattr(slice_cache, "SOURCES", ("reader.py",))
        slice_cache.code_version.cache_clear()
        keys.append(content_key(jpg, **usual))
        patch.setattr(slice_cache, "version", lambda library: "0")  # 16 a library
        slice_cache.code_version.cache_clear()
        keys.append(content_key(jpg, **usual))
    slice_cache.code_version.cache_clear()
    assert len(set(keys)) == len(keys) == 17


def test_sources_are_there():
    """Every pattern of the code version names files: a module that was renamed would be missed."""
    for pattern in slice_cache.SOURCES:
        assert list(slice_cache._HERE.glob(pattern)), pattern


def test_names_and_dates_do_not_matter(roots, tmp_path):
    """The same bytes under other paths and dates are the same content."""
    shutil.copytree(roots["ct_ich_jpg"], tmp_path / "copy")
    keys = [content_key(open_dataset(root), image_size=32) for root in (roots["ct_ich_jpg"], tmp_path / "copy")]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "{}", '{"sha256": {}}', "[]", "{"])
def test_damage_is_found_and_repaired(roots, cache, damage):
    """A changed, cut or missing file of the cache is seen, told, and made again."""
    table = table_of(roots, "ct_ich_jpg")
    folder = cached_slices(table, image_size=32, masks=True)
    before = open_slices(folder).images.tobytes()
    if damage == "bit":
        flip_bit(folder / "images.npy")
    elif damage == "cut":
        os.truncate(folder / "masks.npy", 500)
    elif damage == "gone":
        (folder / "shapes.npy").unlink()
    else:
        (folder / "facts.json").write_text(damage)
    with pytest.warns(UserWarning, match="was damaged: it is made again"):
        again = cached_slices(table, image_size=32, masks=True)
    assert open_slices(again).images.tobytes() == before and slice_cache.is_whole(again)
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_damage_that_cannot_be_removed_is_told(roots, cache, monkeypatch):
    """A damaged cache is never used, also where another program holds its files."""
    table = table_of(roots, "ct_ich_jpg")
    flip_bit(cached_slices(table, image_size=32) / "images.npy")
    monkeypatch.setattr("hemokit.slice_cache._remove", lambda folder: None)
    with pytest.warns(UserWarning, match="was damaged"), pytest.raises(HemokitError, match="cannot be removed"):
        cached_slices(table, image_size=32)


def test_leftovers_are_swept(roots, cache):
    """What a killed process left of any cache is deleted after a day, and not before: it may still be at work."""
    table = table_of(roots, "ct_ich_jpg")
    name = content_key(table, image_size=32)[:32]
    for age, left in ((2, "old"), (0, "new")):
        for folder in (f".{name}.{left}.part", f".{name}.{left}.damaged", f".another.{left}.damaged"):
            (cache / folder / "slices").mkdir(parents=True)
            os.utime(cache / folder, (time.time() - age * 24 * 3600,) * 2)
    cached_slices(table, image_size=32)
    left = {path.name for path in cache.iterdir()}
    assert left == {f".{name}.new.part", f".{name}.new.damaged", ".another.new.damaged", name}


def test_two_at_once(roots, cache):
    """Several who ask for the same slices at once all get them whole."""
    table, found = table_of(roots, "ct_ich_jpg"), []
    threads = [threading.Thread(target=lambda: found.append(cached_slices(table, image_size=32))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 4 and slice_cache.is_whole(found[0])
    assert len(list(cache.iterdir())) == 1


def test_missing_file_is_named(roots, cache):
    """A path of the table that is not there any more is told with its name."""
    table = table_of(roots, "ct_ich_jpg")
    table.loc[0, "image_path"] = "/nowhere/1.jpg"
    with pytest.raises(HemokitError, match=r"nowhere.*cannot be read"):
        cached_slices(table, image_size=32)


def test_failure_leaves_nothing(roots, cache):
    """A slice with hemorrhage but no mask stops the making, and nothing stays behind."""
    table = table_of(roots, "ct_ich_jpg")
    table.loc[table["any"] == 1, "mask_path"] = None
    with pytest.raises(HemokitError, match="has hemorrhage and no mask"):
        cached_slices(table, image_size=32, masks=True)
    assert list(cache.iterdir()) == []


def test_unwritable_cache(roots, tmp_path, monkeypatch):
    """A cache that cannot be written is one sentence with the way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(HemokitError, match="cache=False"):
        cached_slices(table_of(roots, "ct_ich_jpg"), image_size=32)


def test_rendered_pictures_cannot_be_windowed(roots, cache):
    """A window that a JPG does not have is refused here too."""
    with pytest.raises(HemokitError, match="windows is"):
        cached_slices(table_of(roots, "ct_ich_jpg"), image_size=32, windows=("subdural",))


WRITER = """
import sys
from hemokit.datasets import open_dataset
from hemokit.slice_cache import cached_slices
table = open_dataset(sys.argv[1])
print("go", flush=True)
for size in range(16, 1000):
    cached_slices(table, image_size=size)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.promises)])
def test_killed_while_writing(roots, cache, kills):
    """T1: kill -9 at any moment leaves whole caches or none under their names."""
    torn = seen = 0
    environment = {**os.environ, "PYTHONPATH": str(slice_cache._HERE.parent)}
    for number in range(kills):
        command = [sys.executable, "-c", WRITER, str(roots["ct_ich_jpg"])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        process.stdout.readline()
        # The first is killed beside a cache that is there.
        while number == 0 and process.poll() is None and not any(cache.glob("[!.]*")):
            time.sleep(0.01)
        time.sleep(0.02 + 0.3 * (number * 0.618 % 1))
        process.kill()
        process.wait()
        process.stdout.close()
        for folder in cache.iterdir() if cache.is_dir() else ():
            if not folder.name.startswith("."):
                seen += 1
                torn += not slice_cache.is_whole(folder)
            shutil.rmtree(folder)
    assert torn == 0 and seen


def test_facts_tell_the_checksums(roots, cache):
    """The checksums stand beside the arrays, so that others can check them."""
    folder = cached_slices(table_of(roots, "ct_ich_jpg"), image_size=32)
    facts = json.loads((folder / "facts.json").read_text())
    assert set(facts["sha256"]) == {"images.npy", "shapes.npy"} and facts["num_slices"] == 12
