"""stage_2_train.csv of RSNA 2019: six rows an image (4.5 million rows), read as bytes in blocks.

The rows are never Python objects: each becomes a number for its image, its label and its value, so that
the whole file takes seconds and little memory. Every row must be `ID_xxxxxxxxx_<label>,<0 or 1>`.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.formats.bounded import file_size
from hemokit.formats.csv_files import MAX_BYTES
from hemokit.labels import ANY, LABELS, SUBTYPES

HEADER = b"ID,Label"
ID_LENGTH = 12  # ID_ and nine letters or digits
BLOCK = 2**23  # bytes read at a time: small, so that the arrays of a block stay in the processor's cache
_ALPHABET = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"
_SIX_BITS = np.full(256, -1, np.int64)
_SIX_BITS[np.frombuffer(_ALPHABET, np.uint8)] = np.arange(64)


class RowsOfLabels(NamedTuple):
    """All rows of the file as arrays (rows,): the image's id as a number, the label's index, and 0 or 1."""

    image: np.ndarray
    label: np.ndarray
    value: np.ndarray


def read_rsna_labels(path):
    """Read the labels of all images.

    Args:
        path: stage_2_train.csv; LF or CRLF, with or without byte order mark.

    Returns:
        (labels, twice): DataFrame indexed by slice_id with the six labels as uint8, in the order of the
        file; and a tuple of the ids that are listed twice with the same values (they are in `labels` once).

    Raises:
        HemokitError: a row of another form, an image listed twice with different values, an image with
            fewer than six rows, an `any` that contradicts the subtypes; each with the line.
    """
    rows = _read_rows(path)
    codes, images = pd.factorize(rows.image)
    cells = codes * len(LABELS) + rows.label
    first = np.full(len(images) * len(LABELS), -1, np.int64)
    first[cells[::-1]] = np.arange(len(cells) - 1, -1, -1)  # the row in which each cell stands first
    _check_complete(path, first, codes, images)
    different = np.flatnonzero(rows.value != rows.value[first[cells]])
    if len(different):
        at = int(different[0])
        name, label = _names(rows.image[at : at + 1])[0], LABELS[rows.label[at]]
        came = f"{name} {label} is {rows.value[at]}, but not in row {first[cells[at]] + 2}"
        expected = "equal labels where an image is listed twice"
        raise problem(came, expected, "Find out which is right.", file=path, row=at + 2)
    names = _names(images)
    labels = pd.DataFrame(rows.value[first].reshape(-1, len(LABELS)), columns=list(LABELS), index=names)
    _check_any(path, labels, first.reshape(-1, len(LABELS)))
    repeated = np.unique(codes[first[cells] != np.arange(len(cells))])
    return labels, tuple(names[repeated])


def _read_rows(path):
    """Read the file block by block, cut at line ends; `RowsOfLabels`. Blank lines are fine at its end alone."""
    file_size(path, max_bytes=MAX_BYTES)
    parts, line, rest = [], 2, b""
    with open(path, "rb") as stream:
        header = stream.readline().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
        if header != HEADER:
            came = f"the header is {header[:40].decode('utf-8', 'replace')!r}"
            raise problem(came, HEADER.decode(), "Is this the label file?", file=path, row=1)
        while block := stream.read(BLOCK):
            block = rest + block
            last = block.rfind(b"\n", 0, len(block.rstrip(b"\r\n"))) + 1  # where the last line that is not blank starts
            rest = block[last:]
            if last:
                parts.append(_parse_block(block[:last], path, line))
                line += len(parts[-1].image)
    rest = rest.rstrip(b"\r\n")
    if rest:
        parts.append(_parse_block(rest + b"\n", path, line))
    if not parts:
        return RowsOfLabels(np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.uint8))
    return RowsOfLabels(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _parse_block(block, path, line):
    """Read whole lines; `line` is the number of the first one in the file."""
    codes = np.frombuffer(block.replace(b"\r\n", b"\n"), np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    value, label = np.full(len(ends), 255, np.uint8), np.full(len(ends), -1, np.int8)
    long_enough = lengths >= ID_LENGTH + 1 + len("any,0")
    value[long_enough] = codes[ends[long_enough] - 1] - np.uint8(ord("0"))
    for index, name in enumerate(LABELS):
        suffix = np.frombuffer(f"_{name},".encode(), np.uint8)
        some = np.flatnonzero(long_enough & (lengths == ID_LENGTH + len(suffix) + 1))
        for offset, letter in enumerate(suffix):  # narrowing down: labels of one length differ early
            some = some[codes[starts[some] + ID_LENGTH + offset] == letter]
        label[some] = index
    image = _pack(codes, np.where(label >= 0, starts, 0)) if (label >= 0).any() else np.full(len(ends), -1)
    wrong = np.flatnonzero((label < 0) | (value > 1) | (image < 0))
    if len(wrong):
        at = int(wrong[0])
        came = f"the row is {codes[starts[at] : ends[at]].tobytes()[:60].decode('utf-8', 'replace')!r}"
        raise problem(came, "ID_xxxxxxxxx_<label>,<0 or 1>", "Fetch the file again.", file=path, row=line + at)
    return RowsOfLabels(image, label, value)


def _pack(codes, starts):
    """Ids as numbers: nine letters of six bits each; -1 for what is no id."""
    image = np.zeros(len(starts), np.int64)
    valid = np.ones(len(starts), bool)
    for offset, letter in enumerate(b"ID_"):
        valid &= codes[starts + offset] == letter
    for offset in range(3, ID_LENGTH):
        bits = _SIX_BITS[codes[starts + offset]]
        valid &= bits >= 0
        image = image * 64 + bits
    return np.where(valid, image, -1)


def _names(images):
    """The ids of `_pack` as an object array of strings again."""
    letters = np.empty((len(images), ID_LENGTH), np.uint8)
    letters[:, :3] = np.frombuffer(b"ID_", np.uint8)
    alphabet = np.frombuffer(_ALPHABET, np.uint8)
    for place in range(ID_LENGTH - 3):
        letters[:, ID_LENGTH - 1 - place] = alphabet[(images >> (6 * place)) & 63]
    return letters.view(f"S{ID_LENGTH}").ravel().astype(str).astype(object)


def _check_complete(path, first, codes, images):
    """Raise unless every image has all six rows."""
    missing = np.flatnonzero(first < 0)
    if len(missing):
        image, label = divmod(int(missing[0]), len(LABELS))
        line = int(np.argmax(codes == image)) + 2
        came = f"{_names(images[image : image + 1])[0]}, listed first here, has no row for {LABELS[label]}"
        raise problem(came, "six rows an image", "Fetch the file again: it may be cut.", file=path, row=line)


def _check_any(path, labels, lines):
    """Raise unless any = 1 exactly where a subtype is 1; `lines` are the rows (images, labels) counted from 0."""
    wrong = np.flatnonzero(labels[ANY].to_numpy() != labels[list(SUBTYPES)].to_numpy().max(axis=1))
    if len(wrong):
        at = int(wrong[0])
        came = f"{labels.index[at]} has any = {labels[ANY].iloc[at]} against its subtypes"
        row = int(lines[at, LABELS.index(ANY)]) + 2
        raise problem(came, "any = 1 exactly where a subtype is 1", "Fetch the file again.", file=path, row=row)
