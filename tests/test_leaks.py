"""Leaks between splits: found when forced, no alarm without."""

import cv2
import numpy as np
import pandas as pd
import pytest

from hemokit import leaks as leaks_module
from hemokit.checks import HemokitError
from hemokit.leaks import check_no_leakage, find_leaks, pixel_hash, thumbnail

SIZE = 64


def head(rng, index):
    """A drawn slice of one patient: skull of its own form, folds of its own, slowly changing with the index."""
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    width, height, tilt = rng.uniform(0.5, 0.8), rng.uniform(0.6, 0.9), rng.uniform(-0.2, 0.2)
    folds = cv2.resize(rng.random((9, 9)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    scale = 1 - 0.02 * index
    distance = np.hypot((columns - tilt * rows) / width, rows / height) / scale
    image = np.where(distance < 0.9, 0.3 + 0.4 * folds, 0.0) + np.where(abs(distance - 0.95) < 0.05, 1.0, 0.0)
    return np.clip(image, 0, 1).astype(np.float32)


def make_split(seed, patients=9, slices=4):
    """A clean split table and its pictures; each patient's last two slices are blank."""
    rows, images = [], []
    for patient in range(patients):
        for index in range(slices):
            ids = {"patient_id": f"p{patient}", "scan_id": f"s{patient}", "slice_id": f"p{patient}_{index}"}
            rows.append({**ids, "split": ("train", "train", "test", "validation")[patient % 4]})
            blank = np.full((SIZE, SIZE), 0.0, np.float32)
            images.append(blank if index >= slices - 2 else head(np.random.default_rng((seed, patient)), index))
    return pd.DataFrame(rows), images


DISGUISES = {
    "the same": lambda image, rng: image.copy(),
    "as 8-bit JPEG": lambda image, rng: cv2.imdecode(cv2.imencode(".jpg", (image * 255).astype(np.uint8))[1], 0) / 255,
    "half size": lambda image, rng: cv2.resize(image, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA),
    "darker": lambda image, rng: image * 0.8,
    "noisy": lambda image, rng: np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1),
}


@pytest.mark.slow
def test_a_hundred_forced_leaks_are_found():
    """Promise L2: 100 of 100: a patient, a slice, equal pixels or a disguised copy in two splits."""
    forms = ["patient", "slice", *DISGUISES]
    for seed in range(100):
        table, images = make_split(seed)
        rng = np.random.default_rng(seed)
        form = forms[seed % len(forms)]
        if form == "patient":
            table.loc[1, "split"] = "test"
            expected = "patient"
        elif form == "slice":
            table.loc[8, "slice_id"] = table.loc[0, "slice_id"]
            expected = "slice"
        else:
            images[8] = DISGUISES[form](images[0], rng)
            expected = "picture" if form == "the same" else "near-duplicate"
        leaks = find_leaks(table, images=images)
        assert expected in set(leaks["kind"]), form
        with pytest.raises(HemokitError, match=f"{expected} in two splits.*Split by patient"):
            check_no_leakage(table, images=images)


@pytest.mark.slow
def test_no_false_alarm_in_a_hundred_clean_splits():
    """Promise L2: neighbors within a patient, blank slices of different patients, other heads: no alarm."""
    for seed in range(100):
        table, images = make_split(seed + 1000)
        assert check_no_leakage(table, images=images) is table


def test_neighbors_and_copies_in_one_split_are_fine():
    """Slices that are alike, or repeated by balancing, may stand in one split."""
    table, images = make_split(0)
    table, images = pd.concat([table, table.iloc[:2]], ignore_index=True), [*images, *images[:2]]
    assert len(find_leaks(table, images=images)) == 0


def test_slice_in_two_splits_is_told_once():
    """A slice id in two splits is one leak, not another one by its pixels."""
    table, images = make_split(6)
    table.loc[8, "slice_id"], images[8] = table.loc[0, "slice_id"], images[0]
    assert find_leaks(table, images=images)["kind"].tolist() == ["slice"]


def test_report_names_examples():
    """The error counts each kind and gives an example; the whole list hangs on it."""
    table, images = make_split(1)
    table.loc[[1, 5], "split"] = "test"
    with pytest.raises(
        HemokitError, match=r"2 x patient in two splits \(such as 'p0' in test, train\); 2 x scan"
    ) as told:
        check_no_leakage(table)
    assert told.value.leaks["what"].tolist() == ["'p0'", "'p1'", "'s0'", "'s1'"]


def test_images_from_a_function():
    """A function gets each row; colors and a channel axis are allowed; integers are too."""
    table, images = make_split(2)
    images[8] = images[0]
    by_id = dict(zip(table["slice_id"], images, strict=True))
    for form in (lambda image: image, lambda image: image[..., None], lambda image: np.dstack([image] * 3)):
        leaks = find_leaks(table, images=lambda row, form=form: form(by_id[row["slice_id"]]))
        assert leaks[["kind", "what"]].to_numpy().tolist() == [["picture", "'p0_0' and 'p2_0'"]]


def test_folds():
    """The column may be another one, with numbers in it."""
    table, _ = make_split(3)
    table["fold"] = table["patient_id"].str[1:].astype(int)
    check_no_leakage(table, split="fold")
    table.loc[0, "fold"] = 7
    assert find_leaks(table, split="fold")["splits"].tolist() == ["0, 7", "0, 7"]


@pytest.mark.parametrize("column", ["patient_id", "slice_id", "split"])
def test_unknown_ids(column):
    """Without patients, slices or splits nothing can be said, so nothing is passed as clean."""
    table, _ = make_split(4)
    table.loc[3, column] = None
    with pytest.raises(HemokitError, match=f"have no {column}"):
        check_no_leakage(table)


def test_wrong_images():
    """As many images as rows, each a slice."""
    table, images = make_split(5)
    with pytest.raises(HemokitError, match="35 images for 36 rows"):
        find_leaks(table, images=images[1:])
    with pytest.raises(HemokitError, match="a picture has shape"):
        find_leaks(table, images=[np.zeros(7)] * len(table))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pictures_with_nan(value):
    """A picture that cannot be compared is named, not passed over."""
    table, images = make_split(5)
    images[4] = np.where(images[4] > 0.9, value, images[4])
    with pytest.raises(HemokitError, match="the picture of slice 'p1_0' holds NaN"):
        find_leaks(table, images=images)


def test_small_content_is_compared_by_its_pixels():
    """A spot on black is no thumbnail, but equal pixels are equal; one color everywhere shows nothing."""
    table, images = make_split(5)
    spot = np.zeros((SIZE, SIZE, 3), np.uint8) + np.array([0, 3, 7], np.uint8)
    images[2] = images[6] = images[11] = spot  # the first two in "train"
    images[3] = images[15] = spot.copy()
    assert len(find_leaks(table, images=images)) == 0
    for number in (2, 6, 11):
        images[number] = spot.copy()
        images[number][5, 7] = 200
    leaks = find_leaks(table, images=images)
    assert leaks.to_numpy().tolist() == [["picture", "'p0_2' and 'p2_3'", "test, train"]]


def test_blocks_hide_nothing(monkeypatch):
    """Blocks of three thumbnails find the same pairs as one block."""
    table, images = make_split(7)
    images[8], images[33] = images[0] * 0.8, images[13] * 0.9
    whole, blocks = find_leaks(table, images=images), leaks_module._blocks
    monkeypatch.setattr(leaks_module, "_blocks", lambda numbers: blocks(numbers, 3))
    parts = find_leaks(table, images=images)
    assert len(whole) >= 2 and set(map(tuple, parts.to_numpy())) == set(map(tuple, whole.to_numpy()))


def test_ids_are_strings():
    """Promise L1: 1 and "1" would be two patients."""
    for column in ("patient_id", "scan_id", "slice_id"):
        table, _ = make_split(4)
        table[column] = table[column].astype(object)
        table.loc[3, column] = 1
        with pytest.raises(HemokitError, match=f"1 of 36 values of {column} are no strings .such as 1"):
            find_leaks(table)


def test_pixel_hash():
    """Equal pixels of equal shape and type, whatever the order in memory."""
    image = np.arange(56, dtype=np.uint8).reshape(7, 8)
    assert pixel_hash(image) == pixel_hash(np.asfortranarray(image))
    others = image.reshape(8, 7), image.astype(np.int16), image + 1
    assert pixel_hash(image) not in {pixel_hash(other) for other in others}


def test_thumbnail_of_nothing():
    """One value everywhere, or nearly so, shows nothing; brightness and contrast do not matter."""
    image = np.zeros((64, 64))
    assert thumbnail(image) is None and thumbnail(image + 7) is None
    image[:4, :4] = 1
    assert thumbnail(image) is None
    image[:30, :30] = 1
    np.testing.assert_allclose(thumbnail(image), thumbnail(5 - 3 * (1 - image)), atol=1e-6)
    assert thumbnail(image) @ thumbnail(image) == pytest.approx(1, abs=1e-5)
