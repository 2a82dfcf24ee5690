"""CT windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemokit.checks import HemokitError
from hemokit.windows import (
    BONE,
    BRAIN,
    NAMED,
    SUBDURAL,
    Window,
    apply_window,
    stack_windows,
    window_named,
    windows_named,
)


def slow_window(value, level, width):
    """One value by the definition (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT)."""
    if value <= level - width / 2:
        return 0.0
    if value > level + width / 2:
        return 1.0
    return (value - level) / width + 0.5


def test_named_windows():
    """The widths and levels that the papers use."""
    assert NAMED == {
        "brain": (40, 80),
        "subdural": (80, 200),
        "soft_tissue": (40, 380),
        "bone": (600, 2800),
        "brain_wide": (40, 120),
    }
    assert (BRAIN.low, BRAIN.high) == (0, 80)


@given(
    st.lists(st.integers(-1024, 3071), min_size=1, max_size=40),
    st.floats(-500, 1500),
    st.floats(1, 3000),
)
def test_apply_window_equals_the_definition(values, level, width):
    """Every value as by the definition, to float32 accuracy: 1e-3 covers a width of 1 HU at 3,071 HU."""
    if (width, level) in NAMED.values():
        return
    expected = [slow_window(value, level, width) for value in values]
    image = apply_window(np.array(values, np.int16), Window(level, width))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, expected, atol=1e-3)


def test_hounsfield_outside_the_window_does_nothing():
    """Values beyond the ends are black and white, whatever they are."""
    assert apply_window([-1000.0, -1.0, 0.0, 40.0, 80.0, 81.0, 3000.0], "brain").tolist() == [0, 0, 0, 0.5, 1, 1, 1]


def test_apply_window_leaves_its_input_alone():
    """Float32 input is not changed in place, and the shape stays."""
    hounsfield = np.full((7, 8, 9), 40, np.float32)
    assert apply_window(hounsfield, BRAIN).shape == (7, 8, 9)
    assert (hounsfield == 40).all()
    assert apply_window(np.zeros((0, 8)), BRAIN).shape == (0, 8)


@pytest.mark.parametrize("low, high", [(19, 234), (0, 240), (0, 2), (5, 255), (0, 0)])
def test_crops_inside_the_brain(low, high):
    """A crop without air or bone is Hounsfield units, whatever its range."""
    crop = np.linspace(low, high, 64 * 64).round().reshape(64, 64)
    assert apply_window(crop, BRAIN).shape == (64, 64)


def test_windows_named():
    """One window or several, from any iterable."""
    assert windows_named("brain") == windows_named(BRAIN) == (BRAIN,)
    assert windows_named(name for name in ("brain", BONE)) == (BRAIN, BONE) and windows_named([]) == ()


def test_stack_windows():
    """One channel a window, in the order given; one window alone is one channel."""
    hounsfield = np.linspace(-100, 900, 7 * 8).reshape(7, 8)
    stacked = stack_windows(hounsfield, ("brain", SUBDURAL, BONE))
    assert stacked.shape == (7, 8, 3) and stacked.dtype == np.float32
    for channel, window in enumerate((BRAIN, SUBDURAL, BONE)):
        np.testing.assert_array_equal(stacked[..., channel], apply_window(hounsfield, window))
    assert stack_windows(hounsfield, "brain").shape == stack_windows(hounsfield, BRAIN).shape == (7, 8, 1)
    with pytest.raises(HemokitError, match="no window was given"):
        stack_windows(hounsfield, ())
    with pytest.raises(HemokitError, match="windows is None"):
        stack_windows(hounsfield, None)
    assert stack_windows(hounsfield, (name for name in NAMED)).shape == (7, 8, 5)


@pytest.mark.parametrize(
    "window, sentence",
    [
        ("brian", "window is 'brian', but expected one of 'brain'"),
        (Window(40, 0), "level 40 and width 0"),
        (Window(40, -80), "level 40 and width -80"),
        (Window(float("nan"), 80), "level nan"),
        (Window(80, 40), r"swapped: write Window\(40, 80\)"),
        ((2800, 600), r"swapped: write Window\(600, 2800\)"),
        (40, "the window is 40"),
        ((40, 80, 1), "the window is"),
        (("a", "b"), "the window is"),
    ],
)
def test_bad_windows(window, sentence):
    """Unknown names, impossible widths, level and width swapped, no pair of numbers."""
    with pytest.raises(HemokitError, match=sentence):
        window_named(window)


@pytest.mark.parametrize(
    "array, sentence",
    [
        (np.full((32, 32), 128, np.uint8), "8-bit values from 128 to 128.*already windowed JPG"),
        (np.linspace(0, 255, 1024).round().reshape(32, 32), "values from 0 to 255.*already windowed JPG"),
        (np.linspace(0, 255, 56).reshape(7, 8), "values from 0 to 255.*already windowed JPG"),
        (np.linspace(0, 1, 1024).reshape(32, 32), "values from 0 to 1.*already windowed JPG"),
        (np.array([1.0, np.nan, np.inf]), "2 values that are NaN or infinite"),
        (np.array(["a"]), "numbers in Hounsfield units"),
        (np.array([1j]), "complex128 values"),
    ],
)
def test_no_hounsfield_units(array, sentence):
    """Images, NaN and texts are refused by name."""
    with pytest.raises(HemokitError, match=sentence):
        apply_window(array, BRAIN)
