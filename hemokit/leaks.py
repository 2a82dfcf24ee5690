"""Leaks: the same patient, scan, slice or picture in two splits.

Pictures are compared by their pixels, and by thumbnails of 32x32 pixels, each brought to mean 0 and length 1: their
product is the correlation. On 1,225 brain-window slices of 40 patients the most similar two slices of different
patients reach 0.961, while the same slice saved again as JPEG, at half size, dimmed, brightened, with noise or
moved by three pixels stays above 0.985.
"""

import hashlib
from itertools import product

import numpy as np
import pandas as pd

from hemokit.checks import check_columns, problem

SIMILARITY = 0.98
THUMBNAIL = 32
_BLANK = 0.05  # a slice in which less than this part of the thumbnail differs from the rest shows nothing


def check_no_leakage(table, *, split="split", images=None, similarity=SIMILARITY):
    """Return the table, or raise HemokitError with all kinds of leaks in one sentence; see `find_leaks`."""
    leaks = find_leaks(table, split=split, images=images, similarity=similarity)
    if len(leaks):
        counts = leaks["kind"].value_counts(sort=False)
        examples = leaks.drop_duplicates("kind")
        told = [
            f"{counts[kind]} x {kind} in two splits (such as {what} in {splits})"
            for kind, what, splits in examples.itertuples(index=False)
        ]
        error = problem(
            "; ".join(told),
            "each patient, slice and picture in one split only",
            "Split by patient before anything else; find_leaks(table) lists all.",
        )
        error.leaks = leaks
        raise error
    return table


def find_leaks(table, *, split="split", images=None, similarity=SIMILARITY):
    """List what stands in two splits.

    Slices that are alike within one split, such as neighbors or the copies of `balance`, are no leak. All empty
    slices look alike: pictures of one value are not compared, and pictures of one value nearly everywhere only for
    equal pixels.

    Args:
        table: a slice table with the column `split`, or "fold" if `split` says so.
        images: a function that takes a row and returns its picture, such as `datasets.read_image`, or one picture
            a row: arrays (height, width) or (height, width, channels). None compares no pictures.
        similarity: pictures of two splits with a higher correlation of their thumbnails count as one.

    Returns:
        DataFrame(kind, what, splits); kind is "patient", "scan", "slice", "picture" (equal pixels) or
        "near-duplicate". Of several equal pictures, each is told with the first one in another split. No leak gives
        an empty frame.

    Raises:
        HemokitError: a missing patient id, slice id or split, ids that are no strings, a picture with NaN: then
            nothing can be said.
    """
    check_columns(table, ["patient_id", "slice_id", split])
    check_patients(table)
    for column in ("slice_id", split):
        if table[column].isna().any():
            raise problem(f"{int(table[column].isna().sum())} rows have no {column}", "one for every row", "Fill it.")
    leaks = []
    for kind in ("patient", "scan", "slice"):
        if f"{kind}_id" in table.columns:
            _check_texts(table[f"{kind}_id"])
            leaks += _in_two_splits(kind, table[f"{kind}_id"], table[split])
    if images is not None:
        leaks += _alike(table, split, images, similarity)
    return pd.DataFrame(leaks, columns=["kind", "what", "splits"])


def check_patients(table):
    """Raise HemokitError unless every row has a patient_id, and all are strings (1 and "1" would be two patients)."""
    missing = table["patient_id"].isna() | (table["patient_id"] == "")
    if missing.any():
        raise problem(
            f"{int(missing.sum())} of {len(table)} rows have no patient_id",
            "a patient for every slice",
            "Without patients no split is safe. Windowed JPGs carry none: join them from the DICOM headers "
            "(open_dataset(root, patients=...)).",
        )
    _check_texts(table["patient_id"])


def _check_texts(ids):
    wrong = [one for one in ids.dropna() if not isinstance(one, str)]
    if wrong:
        raise problem(
            f"{len(wrong)} of {len(ids)} values of {ids.name} are no strings (such as {wrong[0]!r})",
            "ids to be strings",
            "Read ids as text: as numbers, '049' becomes 49.",
        )


def pixel_hash(image):
    """SHA-256 of an image's shape, type and pixels, as 64 hex digits."""
    image = np.ascontiguousarray(image)
    return hashlib.sha256(f"{image.shape} {image.dtype.str} ".encode() + image.tobytes()).hexdigest()


def thumbnail(image):
    """Shrink a picture to float32 (32 * 32,) with mean 0 and length 1, or None where it shows nothing."""
    import cv2

    image = np.asarray(image, np.float32)
    image = image.mean(axis=-1) if image.ndim == 3 else image
    if image.ndim != 2 or not image.size:
        raise problem(
            f"a picture has shape {image.shape}", "(height, width) or (height, width, channels)", "Pass slices."
        )
    small = cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel()
    different = np.abs(small - np.median(small)) > 0.05 * np.ptp(small)
    if not np.ptp(small) or different.mean() < _BLANK:
        return None
    small -= small.mean()
    return small / np.linalg.norm(small)


def _in_two_splits(kind, ids, splits):
    numbers = splits.groupby(ids).nunique()
    leaks = []
    for one in numbers.index[numbers > 1]:
        leaks.append((kind, repr(one), _named(splits[ids == one])))
    return leaks


def _named(splits):
    return ", ".join(sorted({str(split) for split in splits}))


def _alike(table, split, images, similarity):
    """Pictures of two splits that are equal, or nearly so."""
    if not callable(images) and len(images) != len(table):
        raise problem(
            f"{len(images)} images for {len(table)} rows", "one image a row", "Pass them in the table's order."
        )
    hashes, small, shown = [], [], []  # `shown`: the rows whose pictures show enough for a thumbnail
    for number, (_, row) in enumerate(table.iterrows()):
        image = np.asarray(images(row) if callable(images) else images[number])
        _check_picture(image, row["slice_id"])
        tiny = thumbnail(image)
        hashes.append(pixel_hash(image) if (image != image[:1, :1]).any() else None)
        if tiny is not None:
            small.append(tiny)
            shown.append(number)
    ids, splits = table["slice_id"].to_numpy(), table[split].to_numpy()
    shown = np.array(shown, int)
    pairs = [("picture", first, second) for first, second in _equal(hashes, splits)]
    for first, second in _near(np.array(small), splits[shown], similarity):
        if hashes[shown[first]] != hashes[shown[second]]:
            pairs.append(("near-duplicate", shown[first], shown[second]))
    return [
        (kind, f"{ids[first]!r} and {ids[second]!r}", _named([splits[first], splits[second]]))
        for kind, first, second in pairs
        if ids[first] != ids[second]  # the same slice twice was told already
    ]


def _check_picture(image, slice_id):
    if image.dtype.kind not in "biuf" or not np.isfinite(image).all():
        raise problem(
            f"the picture of slice {slice_id!r} holds NaN, infinite values or no numbers",
            "finite pixels",
            "Find out which file they come from: such a picture cannot be compared.",
        )


def _equal(hashes, splits):
    """Pairs of indices of equal pictures: each one with the first that stands in another split."""
    seen = {}  # hash -> split -> index of the first picture
    for number, (one, split) in enumerate(zip(hashes, splits, strict=True)):
        if one is not None:
            firsts = seen.setdefault(one, {})
            other = next((first for name, first in firsts.items() if name != split), None)
            if other is not None:
                yield other, number
            firsts.setdefault(split, number)


def _near(small, splits, similarity):
    """Pairs of indices in different splits with a correlation above `similarity`, in blocks to spare memory."""
    names = sorted(set(splits), key=str)
    for position, name in enumerate(names):
        mine, others = np.flatnonzero(splits == name), np.flatnonzero(np.isin(splits, names[position + 1 :]))
        for some, rest in product(_blocks(mine), _blocks(others)):
            for row, column in zip(*np.nonzero(small[some] @ small[rest].T > similarity), strict=True):
                yield some[row], rest[column]


def _blocks(numbers, size=2000):
    return [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]
