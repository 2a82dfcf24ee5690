"""The best of all thresholds, exactly, without sorting all pixels.

Numbers in [0, 1] are ordered like their bits, so the leading bits of a float are a histogram bin, for free. One pass
counts the pixels of each bin; that gives the score at the lower edge of every bin, and a bound that no threshold
inside a bin can exceed. Only bins whose bound reaches the best score so far are looked into: their pixels are
gathered and sorted, or, where they are too many, cut into smaller bins. Memory does not grow with the pixels.

An objective (`Pooled`, `Areas`) sums columns over the pixels at or above a threshold; the first two columns are
always the true positive and the predicted pixels. A score follows from the columns.
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_binary
from hemokit.predictions import check_probabilities

CHUNK = 2**17  # pixels at a time: their bins stay in the processor's cache
GATHER = 2**18  # pixels that are sorted at most
RANGES = 2**12  # ranges that are cut into smaller bins at most, in one pass
_CELLS = 2**16
_BITS = {2: (np.uint16, 0), 4: (np.uint32, 14), 8: (np.uint64, 46)}  # item size: as bits, bits below a first bin


class Cells(NamedTuple):
    """Bins of bits: all of [0, 1] (prefixes None), or some ranges of it cut into cells, and the gaps between them.

    prefixes: sorted int64 array of ranges, each a number's bits >> width; shift: bits below a cell.
    """

    prefixes: np.ndarray
    width: int
    shift: int

    def place(self, bits):
        """The number of the cell of each pixel, rising with its value: int64 array."""
        fine = (bits >> bits.dtype.type(self.shift)).astype(np.int64)
        if self.prefixes is None:
            return fine
        parts = 1 << (self.width - self.shift)
        prefix = fine >> (self.width - self.shift)
        place = np.searchsorted(self.prefixes, prefix)
        inside = self.prefixes[np.minimum(place, len(self.prefixes) - 1)] == prefix
        return place * (parts + 1) + inside * (1 + (fine & (parts - 1)))

    def lowest(self, one):
        """Bits >> shift of each cell, -1 for gaps; `one` is the bits of 1."""
        if self.prefixes is None:
            return np.arange((one >> self.shift) + 1)
        parts = 1 << (self.width - self.shift)
        inside = self.prefixes[:, None] * parts + np.arange(parts)
        gaps = np.full((len(inside), 1), -1)
        return np.append(np.hstack([gaps, inside]), -1)


class Part(NamedTuple):
    """Bins that may hold the best threshold: their bits >> shift, the columns above them, pixels and bounds."""

    prefixes: np.ndarray
    shift: int
    above: np.ndarray  # (columns, bins)
    count: np.ndarray
    bound: np.ndarray

    def take(self, which):
        """Some of the bins."""
        return Part(self.prefixes[which], self.shift, self.above[:, which], self.count[which], self.bound[which])


def search(objective):
    """Find the threshold with the highest score.

    Returns:
        (score, threshold, columns, edges, sums): the threshold is a value that occurs, of equal ones the highest,
        and columns are the sums there; edges are the lower edges of the first bins and sums the columns there,
        (columns, bins). The score is -inf where none is defined.
    """
    kind, shift = _BITS[objective.probability.dtype.itemsize]
    one = int(np.ones(1, objective.probability.dtype).view(kind)[0])
    cells = Cells(None, None, shift)
    sums, slack = objective.sweep(cells, len(cells.lowest(one)))
    best, part = _narrow(objective, cells.lowest(one), shift, sums, slack, (-np.inf, -1, ()))
    edges, pending = _values(cells.lowest(one) << shift, objective), [part]
    while pending:
        part = pending.pop()
        part = part.take(_promising(part.prefixes, shift=part.shift, bound=part.bound, best=best))
        if part.count.sum() <= GATHER:
            best = max(best, _sorted_best(objective, part)) if len(part.count) else best
        elif len(part.count) > RANGES:
            order = np.argsort(part.bound, kind="stable")
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            pending += [part.take(np.sort(half)) for half in halves]  # the higher bounds are looked at first
        else:
            cells = _cut(part)
            lowest = cells.lowest(one)
            best, part = _narrow(objective, lowest, cells.shift, *objective.sweep(cells, len(lowest)), best)
            pending.append(part)
    return best[0], float(_values(np.array([best[1]]), objective)[0]), best[2], edges, sums


def as_bits(values):
    """The bits of floats in [0, 1] as unsigned integers; HemokitError for other values (their bits are larger)."""
    kind, _ = _BITS[values.dtype.itemsize]
    bits = values.view(kind)
    if bits.size and bits.max() > np.ones(1, values.dtype).view(kind)[0]:
        bits = (check_probabilities(values) + values.dtype.type(0)).view(kind)  # only -0 passes: now it is 0
    return bits


def _values(bits, objective):
    """Floats of these bits, as float64."""
    dtype = objective.probability.dtype
    return bits.astype(_BITS[dtype.itemsize][0]).view(dtype).astype(np.float64)


def _cut(part):
    """The bins of a part cut into cells."""
    fewer = min(part.shift, max(1, (_CELLS // len(part.count)).bit_length() - 1))
    return Cells(part.prefixes, part.shift, part.shift - fewer)


def _promising(prefixes, *, shift, bound, best):
    """Whether a bin may hold a better threshold, or an equal one that is not below the best."""
    score, bits = best[:2]
    return (bound > score) | ((bound == score) & ((prefixes + 1) << shift > bits))


def _narrow(objective, lowest, shift, sums, slack, best):
    """Update the best (score, bits, columns) by the cells' lower edges; keep the cells that may hold a better."""
    above = np.append(sums[:, 1:], np.zeros((len(sums), 1), np.int64), axis=1)
    count = sums[1] - above[1]
    there = np.flatnonzero((count > 0) & (lowest >= 0))
    sums, above, count, lowest = sums[:, there], above[:, there], count[there], lowest[there]
    score = objective.score(sums)
    if len(score):
        highest = len(score) - 1 - score[::-1].argmax()
        best = max(best, (float(score[highest]), int(lowest[highest]) << shift, tuple(sums[:, highest].tolist())))
    bound = objective.bound(sums, above, None if slack is None else slack[:, there])
    keep = _promising(lowest, shift=shift, bound=bound, best=best) & (shift > 0)  # shift 0: each cell is one value
    return best, Part(lowest, shift, above, count, bound).take(keep)


def _sorted_best(objective, part):
    """The best (score, bits, columns) among all values in the bins of a part."""
    bits, columns = objective.gather(part)
    order = np.argsort(bits)[::-1]
    bits, columns = bits[order], columns[:, order]
    place = np.searchsorted(part.prefixes, (bits >> bits.dtype.type(part.shift)).astype(np.int64))
    sums = columns.cumsum(axis=1)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    missing = part.above[:, place[first]] - sums[:, first] + columns[:, first]
    sums += np.repeat(missing, np.diff(first, append=len(bits)), axis=1)
    last = np.flatnonzero(np.append(bits[1:] != bits[:-1], True))
    score = objective.score(sums[:, last])
    highest = last[score.argmax()]  # the first of equal scores is that of the highest value
    return float(score.max()), int(bits[highest]), tuple(sums[:, highest].tolist())


def _between(part, bits):
    """Pixels between the lowest and the highest bin of a part: which, their places (odd in a bin), those above."""
    low, high = (bits.dtype.type(end << part.shift) for end in (int(part.prefixes[0]), int(part.prefixes[-1]) + 1))
    near = np.flatnonzero((bits - low) < high - low)  # unsigned: what is below low becomes huge
    return near, Cells(part.prefixes, part.shift, part.shift).place(bits[near]), np.count_nonzero(bits >= high)


def _inside(part, bits):
    """Which pixels lie in the bins of a part."""
    near, place, _ = _between(part, bits)
    return near[place % 2 == 1]


def _ranked(part, bits):
    """Which pixels lie in the bins of a part, falling, and how many of all pixels are up to each: the area there."""
    near, place, above = _between(part, bits)
    gaps = np.bincount(place[place % 2 == 0], minlength=2 * len(part.prefixes) + 1)
    inside = np.flatnonzero(place % 2)
    inside = inside[np.argsort(bits[near[inside]])[::-1]]
    area = above + gaps[::-1].cumsum()[::-1][place[inside]] + np.arange(1, len(inside) + 1)
    return near[inside], area


def _chunks(y_true, probability):
    """(true or not, bits) of a run of pixels after the other."""
    for start in range(0, probability.size, CHUNK):
        chunk = slice(start, start + CHUNK)
        yield check_binary(y_true[chunk], "y_true"), as_bits(probability[chunk])


def _num_true(y_true):
    """How many are true; HemokitError for other values than 0 and 1."""
    chunks = (y_true[start : start + CHUNK] for start in range(0, y_true.size, CHUNK))
    return sum(np.count_nonzero(check_binary(chunk, "y_true")) for chunk in chunks)


def _count(y_true, probability, cells, num_cells):
    """Pixels at or above each cell, (2, cells) int64: the true ones, and all."""
    counts = np.zeros((2, num_cells), np.int64)
    for truth, bits in _chunks(y_true, probability):
        place = cells.place(bits)
        np.add.at(counts[1], place, 1)
        np.add.at(counts[0], place[np.flatnonzero(truth)], 1)
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1]


class Pooled:
    """F1 over all pixels. Columns: true positives, predicted."""

    def __init__(self, y_true, probability):
        self.y_true, self.probability = y_true.ravel(), probability.ravel()
        self.positive = _num_true(self.y_true)

    def sweep(self, cells, num_cells):
        """The columns at or above each cell."""
        return _count(self.y_true, self.probability, cells, num_cells), None

    def score(self, sums):
        """F1 = 2 tp / (positive + predicted)."""
        return 2 * sums[0] / (self.positive + sums[1])

    def bound(self, sums, above, slack):
        """F1 if only the true pixels of the bin were added; without any, at least one false pixel is added."""
        return 2 * sums[0] / (self.positive + above[1] + np.maximum(sums[0] - above[0], 1))

    def gather(self, part):
        """Bits and columns of the pixels in the bins of a part."""
        found = [(bits[which], truth[which]) for truth, bits, which in self._each(part)]
        bits, truth = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return bits, np.array([truth, np.ones(len(truth))], np.int64)

    def _each(self, part):
        for truth, bits in _chunks(self.y_true, self.probability):
            yield truth, bits, _inside(part, bits)


class Areas:
    """Pearson correlation of the areas per slice. Columns: tp, sum of areas, sum of area * true area, of area ** 2.

    All columns are whole numbers, so that equal areas give equal scores; these are rounded to 12 digits.
    """

    def __init__(self, y_true, probability):
        self.y_true, self.probability = (one.reshape(len(one), -1) for one in (y_true, probability))
        self.true = np.array([_num_true(truth) for truth in self.y_true], np.int64)
        self.positive = self.true.sum(keepdims=True)
        squares = (self.true**2).sum(keepdims=True)
        self.spread = np.sqrt(_difference(len(self.true), squares, self.positive, self.positive)[0])

    def sweep(self, cells, num_cells):
        """The columns at or above each cell; and what the numerator and the spread can gain within it."""
        sums, slack = np.zeros((4, num_cells), np.int64), np.zeros((2, num_cells))
        for truth, probability, true in zip(self.y_true, self.probability, self.true, strict=True):
            tp, area = _count(truth, probability, cells, num_cells)
            sums += [tp, area, area * true, area**2]
            inside = area - np.append(area[1:], 0)
            slack += [inside * max(float(len(self.true) * true - self.positive[0]), 0.0), inside**2]
        return sums, slack

    def score(self, sums):
        """Pearson r; -inf where the predicted areas are all equal."""
        top, spread = self._terms(sums)
        whole = spread * self.spread
        return np.round(np.divide(top, whole, out=np.full(top.shape, -np.inf), where=whole > 0), 12)

    def bound(self, sums, above, slack):
        """The largest numerator over the smallest spread: spread is a norm, so a bin changes it by its own at most."""
        top, spread = self._terms(above)
        top, gain = top + slack[0], np.sqrt(len(self.true) * slack[1])
        spreads = np.array([spread, self._terms(sums)[1]])
        spread = np.where(top > 0, spreads.max(axis=0) - gain, spreads.min(axis=0) + gain) * self.spread
        bound = np.divide(top, spread, out=np.ones(len(top)), where=spread > 0)
        return np.minimum(bound + 1e-9, 1)

    def gather(self, part):
        """Bits and columns of the pixels in the bins of a part: what each adds, in falling order within its slice."""
        found, columns = [], []
        for truth, probability, true in zip(self.y_true, self.probability, self.true, strict=True):
            bits, truth = as_bits(probability), check_binary(truth, "y_true")
            which, area = _ranked(part, bits)
            one = np.ones(len(which), np.int64)
            found.append(bits[which])
            columns.append(np.stack([truth[which], one, one * true, 2 * area - 1]))
        return np.concatenate(found), np.concatenate(columns, axis=1)

    def _terms(self, sums):
        """Numerator and spread of the predicted areas, both times the number of slices."""
        top = _difference(len(self.true), sums[2], sums[1], self.positive)
        return top, np.sqrt(_difference(len(self.true), sums[3], sums[1], sums[1]))


def _difference(a, b, c, d):
    """a * b - c * d of int64: exact where it is small, although the products may not fit into 64 bits."""
    a, b, c, d = np.broadcast_arrays(a, b, c, d)
    rough = a.astype(float) * b - c.astype(float) * d
    exact = a * b - c * d  # wraps around; the difference is right if it fits
    return np.where(np.abs(rough) < 2**62, exact, rough)
