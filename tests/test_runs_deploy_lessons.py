"""Tests of what lesson 13 measures: the Dice that a format costs, queues, and the answers of the page."""

import json
import zlib

import numpy as np
import pandas as pd
import pytest

from hemokit.checks import HemokitError
from hemokit.runs import deploy_lessons


def drawn(num_patients=6):
    """Probabilities and true masks of two slices a patient, and their rows."""
    rng = np.random.default_rng(0)
    truth = rng.random((2 * num_patients, 7, 8)) > 0.7
    rows = pd.DataFrame({"patient_id": np.repeat([f"{number:03d}" for number in range(num_patients)], 2)})
    return np.where(truth, 0.9, 0.1) * rng.random(truth.shape), truth, rows


def test_no_dice_is_lost_by_the_same_maps():
    """A form that says what Keras says loses nothing, in any draw."""
    maps, truth, rows = drawn()
    found = deploy_lessons.dice_lost({"Keras": maps, "ONNX": maps.copy()}, truth, rows, 0.5)
    assert found.loc["ONNX", "lost"] == "0.0000 [0.0000, 0.0000]"


def test_a_black_form_loses_the_whole_dice():
    """What is lost is the Dice of Keras, by hand."""
    maps, truth, rows = drawn()
    found = deploy_lessons.dice_lost({"Keras": maps, "black": 0 * maps}, truth, rows, 0.5)
    called = maps >= 0.5
    expected = 2 * (called & truth).sum() / (called.sum() + truth.sum())
    assert found.loc["Keras", "dice"] == pytest.approx(expected, abs=6e-4) and found.loc["black", "dice"] == 0
    assert float(found.loc["black", "lost"].split()[0]) == pytest.approx(expected, abs=6e-5)


def test_few_patients_have_no_interval():
    """Four patients are too few to be drawn from."""
    maps, truth, rows = drawn(4)
    found = deploy_lessons.dice_lost({"Keras": maps}, truth, rows, 0.5)
    assert found.loc["Keras", "lost"] == "0.0000 [no interval]"


def test_something_must_be_compared_with_keras():
    """Without a map of Keras nothing is lost or won."""
    maps, truth, rows = drawn()
    with pytest.raises(HemokitError, match="no map of Keras"):
        deploy_lessons.dice_lost({"ONNX": maps}, truth, rows, 0.5)


def test_queues():
    """The wait rises with the load; a queue with an end refuses instead, and keeps the wait below it."""
    loads = (0.2, 0.6, 0.9, 1.2)
    free, ended = (deploy_lessons.queue_waits(loads, most=most, num_requests=3000) for most in (np.inf, 8))
    assert free["p99"].is_monotonic_increasing and (free["refused"] == 0).all()
    assert (ended["p99"] <= 8).all() and 0.1 < ended["refused"].iloc[-1] < 0.3
    pd.testing.assert_frame_equal(free, deploy_lessons.queue_waits(loads, num_requests=3000))


def test_half_load_waits_as_theory_says():
    """Mean wait of M/D/1 at a load of one half is one half of an answer; the 99th percentile lies well above."""
    found = deploy_lessons.queue_waits([0.5], num_requests=20000)["p99"].iloc[0]
    assert 2 < found < 5


def test_reply_of_the_page():
    """Facts, a picture that is skipped, and thousandths."""
    head = json.dumps({"slices": 1, "height": 7, "width": 8}).encode()
    steps = np.arange(56, dtype="<u2").reshape(1, 7, 8)
    raw = len(head).to_bytes(4, "little") + head + bytes(56) + steps.tobytes()
    packer = zlib.compressobj(wbits=31)
    facts, heights = deploy_lessons.unpack_reply(packer.compress(raw) + packer.flush())
    assert facts["width"] == 8
    np.testing.assert_allclose(heights, steps / 1000)


def test_speed_table_names_the_phone():
    """renyard's figure stands first, ours below, in seconds."""
    speed = pd.DataFrame({"ms": [12.3], "MB": [7.9], "n": [20]}, index=["ONNX"])
    table = deploy_lessons.speed_beside_paper(speed, "a machine", seed=3)
    assert table["s a slice"].tolist() == ["0.218", "0.012"] and table["on"].tolist() == ["iPhone 6S", "a machine"]
    assert table["seed"].tolist() == ["not stated", 3]
    assert table["n"].tolist() == ["not stated", "median of 20, one at a time"]


def test_forms_have_files_of_their_own():
    """Keras is always among them; no two forms share a file."""
    forms = deploy_lessons.forms_here()
    names = [deploy_lessons.file_of(form, kind) for form, kind in forms.items()]
    assert names[0] == "keras.keras" and len(set(names)) == len(names)
