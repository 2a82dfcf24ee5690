"""Whole slices in few coordinates, exactly.

A slice of 512x512 pixels is a point in 262,144 dimensions, but n slices and the origin lie in a subspace of at most n
dimensions: 1,835 of 1,835 slices. In axes that span it every slice has at most n coordinates, or n + 1 here, where the
image of ones gets an axis of its own; all inner products, distances, means and covariances are what they were: the
slices are rotated, not reduced. A model that depends on pixels only through
inner products (L2 logistic regression, LDA, QDA, kNN, PCA, SVM with an RBF kernel) gives the same answers on
coordinates, of 27 MB instead of 1.9 GB; benchmarks/bench_baselines.py measures what that saves.

The axes come from the n x n matrix of inner products, which is summed over blocks of columns; the matrix of float
pixels is never held. For 8-bit pixels its sums are exact: minus 128 they are whole numbers from -128 to 127, a product
of 1,024 columns stays at 2**24 or below, up to which float32 holds every whole number, and float64 adds the blocks.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from hemokit.checks import problem

BLOCK = 1024  # columns; 1024 * 128**2 == 2**24
_SHIFT = 128
_WHITE = 255  # the 8-bit value that is 1


class ExactRotation(TransformerMixin, BaseEstimator):
    """Rotate rows of pixels into the subspace that the fitted rows span, as a scikit-learn transformer.

    Pixels are uint8 (n, p), which count as value / 255, or floats (n, p), which count as they are. The first
    coordinate is along the image of ones: the sum of a row's pixels is its first coordinate times sqrt(p), so that
    `X.var()` of any rows, on which RBF SVMs depend, can still be told. The last is the length of what lies outside
    the subspace, 0 for fitted rows; with it distances and inner products between a new row and a fitted one are
    exact too (between two new rows they are not).

    All rows of an experiment, of training and test alike, may be rotated at once. That leaks nothing: a rotation
    changes no distance, no mean is subtracted and no direction is weighed, so that a model cannot see from
    coordinates more than from pixels. (PCA, which chooses directions, is another matter: it belongs inside the folds.)

    Args:
        block: columns at a time; at most 1,024 for uint8, so that the sums are exact.

    Attributes:
        num_pixels_: p, of which variances and shrinkage are parts.
        ones_: float64 (r,): the image of ones in coordinates; coordinates @ ones_ are the sums of rows.
        coordinates_: float64 (n, r) of the fitted rows, r <= n + 1, without the last one.

    Memory beside the pixels: about four n x n float64 matrices and a block. Meant for fewer rows than pixels.
    """

    def __init__(self, *, block=BLOCK):
        self.block = block

    def fit(self, X, y=None):
        """Find the axes; `X` is kept (not copied) for the inner products of new rows.

        Raises:
            HemokitError: no rows or columns, another type, NaN or infinity, a block that is too large.
        """
        self.X_ = _checked(X, self.block)
        self.n_features_in_ = self.num_pixels_ = self.X_.shape[1]
        gram, sums = inner_products(self.X_, self.X_, block=self.block)
        self.means_ = sums / np.sqrt(self.num_pixels_)  # the coordinate along the image of ones
        scale = max(gram.diagonal().max(), 1e-300)
        gram -= np.outer(self.means_, self.means_)
        values, vectors = np.linalg.eigh(gram)
        self.tolerance_ = len(gram) * np.finfo(float).eps * max(values[-1], scale)
        kept = np.flatnonzero(values > self.tolerance_)[::-1]  # what is below is rounding
        lengths = np.sqrt(values[kept])
        self.coordinates_ = np.column_stack([self.means_, vectors[:, kept] * lengths])
        self.axes_ = vectors[:, kept] / lengths  # inner products with the fitted rows -> coordinates
        self.ones_ = np.sqrt(self.num_pixels_) * np.eye(1, self.coordinates_.shape[1])[0]
        return self

    def fit_transform(self, X, y=None):
        """Coordinates of the fitted rows: float64 (n, r + 1), the last one 0."""
        coordinates = self.fit(X).coordinates_
        return np.column_stack([coordinates, np.zeros(len(coordinates))])

    def transform(self, X):
        """Coordinates of any rows: float64 (rows, r + 1); the last is what lies outside the fitted subspace.

        Raises:
            HemokitError: not the fitted type or number of columns, NaN or infinity.
        """
        check_is_fitted(self)
        X = _checked(X, self.block)
        if X.dtype != self.X_.dtype or X.shape[1] != self.num_pixels_:
            came = f"rows of {X.shape[1]} {X.dtype} pixels"
            expected = f"{self.num_pixels_} {self.X_.dtype} pixels, as were fitted"
            raise problem(came, expected, "Read these slices as the fitted ones, in one size and one type.")
        products, sums = inner_products(X, self.X_, block=self.block)
        means = sums / np.sqrt(self.num_pixels_)
        inside = (products - np.outer(means, self.means_)) @ self.axes_
        outside = squared_lengths(X) - means**2 - np.square(inside).sum(axis=1)
        return np.column_stack([means, inside, np.sqrt(np.where(outside > self.tolerance_, outside, 0))])


def inner_products(first, second, *, block=BLOCK):
    """Inner products of the rows of two pixel matrices, block by block.

    Args:
        first: uint8 or float array (n, p); memory-mapped arrays will do. 8-bit values count as value / 255.
        second: array (m, p) of the same type; the same object as `first` takes half the time.
        block: columns at a time.

    Returns:
        (products float64 (n, m), sums float64 (n,) of the rows of `first`). For uint8 the sums are exact before
        the one division.
    """
    products, sums = np.zeros((len(first), len(second))), np.zeros(len(first))
    others = 0
    for start in range(0, first.shape[1], block):
        left = _part(first, start, block)
        right = left if second is first else _part(second, start, block)
        products += left @ right.T  # of one array with itself, BLAS computes one half alone
        sums += left.sum(axis=1, dtype=np.float64)
        others = others + right.sum(axis=1, dtype=np.float64)
    if first.dtype != np.uint8:
        return products, sums
    products += _SHIFT * (sums[:, None] + others) + _SHIFT**2 * first.shape[1]
    return products / _WHITE**2, (sums + _SHIFT * first.shape[1]) / _WHITE


def squared_lengths(rows):
    """Sum of the squared pixels of each row: float64 (n,), one row at a time."""
    white = _WHITE if rows.dtype == np.uint8 else 1
    return np.array([np.square(row, dtype=np.float64).sum() for row in rows]).reshape(-1) / white**2


def _part(rows, start, block):
    """A block of columns: float32 whole numbers from -128 to 127 of uint8, else float64."""
    part = rows[:, start : start + block]
    return part.astype(np.float32) - _SHIFT if rows.dtype == np.uint8 else np.asarray(part, np.float64)


def _checked(X, block):
    """`X` as a (memory-mapped) array of pixels, or HemokitError."""
    X = np.asarray(X)
    if X.ndim != 2:
        raise problem(f"X has shape {X.shape}", "(rows, pixels)", "Flatten the slices first.")
    if 0 in X.shape:
        expected, remedy = "at least one slice, of at least one pixel", "Look at what chose the slices before."
        raise problem(f"X has {X.shape[0]} rows of {X.shape[1]} pixels", expected, remedy)
    if X.dtype != np.uint8 and X.dtype.kind != "f":
        raise problem(f"X holds {X.dtype} values", "uint8 from 0 to 255, or floats", "Convert it to one of these.")
    if not isinstance(block, int | np.integer) or block < 1 or (X.dtype == np.uint8 and block > BLOCK):
        raise problem(f"block is {block!r}", f"a whole number from 1 to {BLOCK}", "Leave it out: larger is not exact.")
    if X.dtype.kind == "f":
        for place, row in enumerate(X):
            if not np.isfinite(row).all():
                came = f"row {place} of X holds NaN or infinity"
                raise problem(came, "a number in every pixel", "Find the slice, and what made it so.")
    return X
