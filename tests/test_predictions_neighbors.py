"""Tests of averaging over neighboring slices."""

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.predictions import average_neighbors


def frame(probabilities, *, scans=None, places=None):
    count = len(probabilities)
    return pd.DataFrame(
        {
            "scan_id": scans or ["a"] * count,
            "slice_index": range(count) if places is None else places,
            "slice_id": [f"s{number}" for number in range(count)],
            "probability_any": probabilities,
        }
    )


def test_mean_of_neighbors():
    """Inside of a scan it is the mean of three; at its ends of two."""
    found = average_neighbors(frame([0.0, 0.3, 0.9, 0.6]), reach=1)["probability_any"]
    np.testing.assert_allclose(found, [0.15, 0.4, 0.6, 0.75])


def test_scans_and_gaps_part():
    """Another scan is no neighbor, nor a slice beyond a gap; the order of the rows does not matter."""
    given = frame([0.2, 0.4, 0.8, 1.0], scans=["a", "b", "a", "b"], places=[5, 6, 7, 7])
    np.testing.assert_allclose(average_neighbors(given, reach=1)["probability_any"], [0.2, 0.7, 0.8, 0.7])
    turned = average_neighbors(given[::-1], reach=2)
    np.testing.assert_allclose(turned["probability_any"], [0.7, 0.5, 0.7, 0.5])
    assert turned["slice_id"].tolist() == ["s3", "s2", "s1", "s0"]


def test_no_reach_changes_nothing():
    """reach=0 gives the same probabilities; an empty frame stays empty."""
    given = frame([0.1, 0.7])
    pd.testing.assert_frame_equal(average_neighbors(given, reach=0), given)
    assert average_neighbors(given[:0]).empty


def test_exclusive_classes():
    """Probabilities of classes keep summing to 1, the prediction follows them, and scores of one slice are gone."""
    given = frame([0.9, 0.4]).rename(columns={"probability_any": "probability_normal"})
    given = given.assign(probability_subdural=[0.1, 0.6], prediction=["normal", "subdural"], score_subdural=[1, 2])
    found = average_neighbors(given, reach=1)
    np.testing.assert_allclose(found[["probability_normal", "probability_subdural"]], [[0.65, 0.35]] * 2)
    assert found["prediction"].tolist() == ["normal", "normal"] and "score_subdural" not in found


def test_whole_numbers_stay_whole_numbers():
    """Labels 0 and 1 are predicted as 0 and 1 again, also where one of them was never predicted."""
    given = frame([0.2, 0.4]).rename(columns={"probability_any": "probability_1"})
    given = given.assign(probability_0=[0.8, 0.6], label=[1, 0], prediction=[0, 0])
    found = average_neighbors(given, reach=np.int64(1))["prediction"]
    assert found.tolist() == [0, 0] and found.dtype == given["prediction"].dtype
    given = given.assign(label=0, probability_1=[0.9, 0.3], probability_0=[0.1, 0.7])
    assert average_neighbors(given, reach=1)["prediction"].tolist() == [1, 1]


def test_scans_of_two_data_sets_part():
    """Two data sets may name a scan alike: its slices are no neighbors, and may have the same place."""
    given = frame([0.2, 0.8, 0.4], places=[1, 1, 2]).assign(dataset=["one", "two", "two"])
    np.testing.assert_allclose(average_neighbors(given)["probability_any"], [0.2, 0.6, 0.6])


@pytest.mark.parametrize(
    "given, options, told",
    [
        (frame([0.1]).drop(columns="probability_any"), {}, "no column probability_<label>"),
        (frame([0.1]).drop(columns="scan_id"), {}, "scan_id"),
        (frame([0.1, 0.2], scans=["a", None]), {}, "1 of 2 slices have no scan_id"),
        (frame([0.1, 0.2], places=[3, 3]), {}, "scan 'a' has two slices at place 3"),
        (frame([0.1, np.nan]), {}, "'probability_any': 1 of 2 slices have none, but expected a finite number"),
        (frame([0.1]).assign(prediction="normal"), {}, "prediction 'normal' has no column 'probability_normal'"),
        (frame([0.1]), {"reach": True}, "reach is True, but expected a whole number from 0"),
        (frame([0.1]), {"reach": -1}, "reach is -1, but expected a whole number from 0"),
    ],
)
def test_wrong_input(given, options, told):
    """Every wrong input gets one sentence."""
    with pytest.raises(HemokitError, match=told):
        average_neighbors(given, **options)
