"""Principal components of slice features, fitted on training patients alone.

A component that has seen the test scans knows in which directions they differ: a leak that no score shows.
"""

from typing import NamedTuple

import numpy as np

from hemokit.checks import check_columns, check_whole, problem
from hemokit.files import write_whole
from hemokit.leaks import check_no_leakage

NUM_COMPONENTS = 120  # of 2,048, as fahim
ROWS_AT_ONCE = 2**16
MOST_SLICES = 100_000  # the directions of 120 components are settled long before


class Reduction(NamedTuple):
    """`mean` (features,), `components` (components, features), one `scale`, and the `explained` share of variance."""

    mean: np.ndarray
    components: np.ndarray
    scale: float
    explained: float

    def apply(self, features):
        """Reduce features.

        Args:
            features: float array (slices, features).

        Returns:
            float32 (slices, components), with a deviation of about 1 in the first; none for no slices.

        Raises:
            HemokitError: another number of features.
        """
        if np.ndim(features) != 2 or np.shape(features)[1] != len(self.mean):
            came = f"features of the shape {np.shape(features)}"
            raise problem(came, f"(slices, {len(self.mean)})", "Take them from the model that this was fitted on.")
        reduced = np.empty((len(features), len(self.components)), np.float32)
        for first in range(0, len(reduced), ROWS_AT_ONCE):  # features may lie on the disk, and be larger than memory
            rows = np.asarray(features[first : first + ROWS_AT_ONCE], np.float32)
            reduced[first : first + len(rows)] = (rows - self.mean) @ self.components.T / np.float32(self.scale)
        return reduced


def fit_reduction(features, table, *, num_components=NUM_COMPONENTS, most=MOST_SLICES, seed=0):
    """Fit principal components on the training rows of a table.

    Args:
        features: float array (rows, features), in the order of the table.
        table: with the column split and patients on one side each; its rows of the split "train" count.
        num_components: how many.
        most: slices to fit on, drawn at random where there are more.
        seed: of that draw.

    Returns:
        `Reduction`.

    Raises:
        HemokitError: no column split; a patient in two splits; features of another length; fewer training slices or
            features than components; values that are not finite; features that are all the same.
    """
    num_components, most = check_whole(num_components, "num_components", 1), check_whole(most, "most", 2)
    if "split" not in table.columns:
        came = "a table without the column 'split'"
        remedy = "Split it first (splits.split_by_patient): what is fitted must not see the test patients."
        raise problem(came, "training patients to fit on", remedy)
    check_columns(table, ["patient_id", "slice_id"])
    check_no_leakage(table)
    if np.ndim(features) != 2 or len(features) != len(table):
        came = f"features of the shape {np.shape(features)}"
        raise problem(came, f"({len(table)}, features), one row a slice", "Take them in the order of the table.")
    rows = np.flatnonzero(table["split"] == "train")
    least = max(num_components, 2)
    if len(rows) < least or features.shape[1] < num_components:
        came = f"{len(rows)} training slices with {features.shape[1]} features"
        raise problem(came, f"{least} of each or more", "Take fewer components, or more training patients.")
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return _fitted(np.asarray(features[rows], np.float64), num_components)


def write_reduction(reduction, path):
    """Write a `Reduction` as arrays (.npz), whole or not at all."""
    with write_whole(path, "wb") as stream:
        np.savez(stream, **reduction._asdict())


def read_reduction(path):
    """Read what `write_reduction` wrote; no code of a file is run.

    Raises:
        HemokitError: a file that is missing, damaged or of something else.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            mean, components = stored["mean"], stored["components"]
            return Reduction(mean, components, float(stored["scale"]), float(stored["explained"]))
    except Exception as error:  # zip, npy and keys fail in many ways
        came = f"it cannot be read ({type(error).__name__}: {error})"
        raise problem(came, "the file of a reduction", "Fit it again.", file=path) from error


def _fitted(values, num_components):
    from sklearn.decomposition import PCA

    if not np.isfinite(values).all():
        raise problem("features that are not finite", "finite numbers", "Look at the model that gave them.")
    if not np.ptp(values, axis=0).any():
        raise problem("features that are the same in every training slice", "features that differ", "Train the model.")
    pca = PCA(num_components, svd_solver="covariance_eigh").fit(values)
    scale = float(np.sqrt(pca.explained_variance_[0]))
    explained = float(pca.explained_variance_ratio_.sum())
    return Reduction(pca.mean_.astype(np.float32), pca.components_.astype(np.float32), scale, explained)
