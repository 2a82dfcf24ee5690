"""The exercises of lesson 10."""

import numpy as np
import pandas as pd

from hemokit.check import Exercise, differs


def places(headers):
    z = headers["z"].astype(float)
    return z.groupby(headers["series"]).rank().to_numpy(int) - 1


def broken_places(headers):
    ordered = headers.sort_values(["patient", "z"])
    return ordered.groupby("patient").cumcount().to_numpy()


def _log_loss(truth, said):
    losses = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))
    return np.average(losses, axis=1, weights=[2, 1, 1, 1, 1, 1]).mean()


def _smooth(values, scans):
    return pd.Series(values).groupby(np.asarray(scans)).transform(_mean_of_three).to_numpy()


def _mean_of_three(own):
    return own.rolling(3, center=True, min_periods=1).mean()


def _headers(seed, *, scans_a_patient):
    """The headers of three patients in the order of file names that say nothing; z is text, as DICOM has it."""
    rng, rows = np.random.default_rng(seed), []
    for patient in "ABC":
        for number in range(scans_a_patient):
            first, step = rng.uniform(-90, -20), rng.uniform(2.4, 5.1)
            own = {"patient": patient, "series": f"{patient}{number}"}
            rows += [own | {"z": f"{first + step * place:.3f}"} for place in range(rng.integers(27, 34))]
    rows = pd.DataFrame(rows).sample(frac=1, random_state=seed, ignore_index=True)
    rows.insert(0, "file", [f"ID_{number:04d}" for number in range(len(rows))])
    return rows


def _judge_places(answer):
    for seed, scans in ((0, 1), (1, 2)):
        headers = _headers(seed, scans_a_patient=scans)
        what = "the array of places" if scans == 1 else "where patients have two scans, the array of places"
        found = differs(answer(headers.copy()), places(headers), what)
        if found:
            return found
    return None


q10_1 = Exercise(
    "q10_1",
    judge=_judge_places,
    reference=lambda: places,
    clue='Is "-10.0" before "-9.0"? Whose neighbors are the slices of a follow-up? And in which order do the places '
    "come back, that of `headers`? The rank of a number in its group, rows where they were: groupby(...).rank().",
    code=places,
    stub=broken_places,
)

q10_2 = Exercise(
    "q10_2",
    judge=lambda answer, *given: differs(answer, _log_loss(*given), "the loss", tolerance=1e-4),
    reference=lambda truth, said: _log_loss(truth, said),
    clue="A loss for each slice and label first: -ln(p) where the label is there, -ln(1 - p) where it is not. "
    "np.average takes weights.",
    code="""losses = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))  # (slices, 6)
loss = np.average(losses, axis=1, weights=[2, 1, 1, 1, 1, 1]).mean()""",
)

q10_3 = Exercise(
    "q10_3",
    judge=lambda answer, *given: differs(answer, _smooth(*given), "the array of means"),
    reference=lambda values, scans: _smooth(values, scans),
    clue="rolling(3, center=True, min_periods=1).mean() is the mean of up to three. It must not run from the top of "
    "one head into the neck of the next: do it by group.",
    code="""by_scan = pd.Series(values).groupby(scans)
three = {"window": 3, "center": True, "min_periods": 1}
smoothed = by_scan.transform(lambda own: own.rolling(**three).mean()).to_numpy()""",
)
