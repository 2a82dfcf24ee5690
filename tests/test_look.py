"""The look through a scan: the slider moved from Python, and the montage where nobody could move it."""

import io
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")  # before pyplot: no window on any machine
import matplotlib.pyplot as plt  # noqa: E402
from PIL import Image  # noqa: E402

from hemokit.checks import HemokitError  # noqa: E402
from hemokit.plots import look, look_at_scan  # noqa: E402

SCAN = np.linspace(0, 1, 3 * 7 * 8).reshape(3, 7, 8)
MASKS = [None, np.eye(7, 8, dtype=bool), np.zeros((7, 8), bool)]
HEATS = [SCAN[2] / SCAN[2].max(), None, np.zeros((7, 8))]


@pytest.fixture(autouse=True)
def close_figures():
    """Close all figures after each test."""
    yield
    plt.close("all")


@pytest.fixture
def parts():
    """The slider of a scan with masks and maps: a function (**changes) -> (slider, mask box, heat box, picture)."""
    pytest.importorskip("ipywidgets")

    def build(**changes):
        with_all = {"masks": MASKS, "heats": HEATS, "interactive": True}
        controls, picture = look_at_scan(SCAN, **{**with_all, **changes}).children
        return *controls.children, picture

    return build


def colors(picture):
    """The number of pixels of a PNG that are not gray."""
    image = np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB")).astype(int)
    return int((np.ptp(image, axis=-1) > 30).sum())


def test_slider_and_boxes(parts):
    """It begins at the largest mask; each move draws another picture; unticked boxes take mask and map away."""
    slider, mask, heat, picture = parts()
    assert (slider.value, slider.min, slider.max) == (1, 0, 2) and mask.value and heat.value
    assert colors(picture) > 100
    mask.value = False
    assert colors(picture) == 0
    slider.value = 0
    with_heat = picture.value
    assert colors(picture) > 100
    heat.value = False
    assert colors(picture) == 0 and picture.value != with_heat
    assert plt.get_fignums() == []  # pyplot, which would show them once more, knows of no figure


def test_slider_without_masks_and_maps(parts):
    """What there is not cannot be ticked; it begins in the middle, whatever the number of slices."""
    slider, mask, heat, picture = parts(masks=None, heats=None)
    assert slider.value == 1 and mask.disabled and heat.disabled and not mask.value and not heat.value
    assert colors(picture) == 0
    alone = look_at_scan(SCAN[:1], interactive=True, window=None).children[0].children[0]
    assert (alone.value, alone.max) == (0, 0)


def test_slider_of_hounsfield_units(parts):
    """Hounsfield units come through their window."""
    pictures = [look_at_scan(100 * SCAN, window=name, interactive=True).children[1].value for name in ("brain", "bone")]
    assert pictures[0] != pictures[1]


def test_still():
    """Without a front end all slices stand side by side, with their masks and maps."""
    axes = look_at_scan(SCAN, masks=MASKS, heats=HEATS, columns=2, spacing_mm=(5, 1, 2))
    assert [ax.get_title() for ax in axes] == ["slice 0", "slice 1", "slice 2"]
    assert [len(ax.images) for ax in axes] == [2, 1, 2] and [len(ax.collections) for ax in axes] == [0, 1, 0]
    assert {ax.get_aspect() for ax in axes} == {0.5}
    assert [ax.get_title() for ax in look_at_scan(SCAN[..., None], titles="abc")] == ["a", "b", "c"]
    turned = pd.Series(list("abc"), index=[2, 1, 0])
    slider = look_at_scan(SCAN, titles=turned, interactive=True)
    assert slider.children[1].value == look_at_scan(SCAN, titles="abc", interactive=True).children[1].value
    axes = look_at_scan(100 * SCAN, window="brain", interactive=False)
    assert "brain window" in axes[0].figure.get_suptitle()


@pytest.mark.parametrize("allowed, is_there", [(True, True), (False, True), (True, False)])
def test_live(monkeypatch, allowed, is_there):
    """Live is a kernel whose front end takes input, with ipywidgets; a program that executes a notebook takes none."""
    pytest.importorskip("IPython")
    kernel = SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": allowed}})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.setattr(look, "find_spec", lambda name: is_there or name != "ipywidgets")
    assert look.is_live() == (allowed and is_there)


def test_not_live_outside_of_a_kernel(monkeypatch):
    """In plain Python, in the IPython terminal and without IPython the montage is shown."""
    assert not look.is_live()
    if "IPython" in sys.modules:
        monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace())
        assert not look.is_live()


@pytest.mark.slow
def test_not_live_where_a_program_executes_a_notebook():
    """nbclient, by which `hemokit run`, nbconvert and papermill execute, is no live front end."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    code = "from hemokit.plots import look\nprint(look.is_live(), get_ipython().kernel.get_parent()['msg_type'])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    assert notebook.cells[0].outputs[0].text == "False execute_request\n"


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize(
    "changed, told",
    [
        ({"images": SCAN[:0]}, "there is no image"),
        ({"masks": MASKS[:2]}, "3 images and 2 masks"),
        ({"heats": HEATS[:2]}, "3 images and 2 heats"),
        ({"titles": ["one"]}, "3 images and 1 titles"),
        ({"images": 100 * SCAN}, "values from .* pass window='brain'"),
        ({"masks": [None, None, np.ones((8, 7))]}, r"the mask has shape \(8, 7\)"),
        ({"masks": [None, None, np.full((7, 8), 0.5)]}, "mask holds the value 0.5"),
        ({"heats": [None, None, np.full((7, 8), 2)]}, "the heat map has values from 2 to 2"),
    ],
)
def test_errors(interactive, changed, told):
    """What is wrong with any slice is told at once, with a slider too."""
    if interactive:
        pytest.importorskip("ipywidgets")
    with pytest.raises(HemokitError, match=told):
        look_at_scan(**{"images": SCAN, "interactive": interactive, **changed})


def test_slider_needs_widgets(monkeypatch):
    """Where ipywidgets is missing, asking for the slider says what to install."""
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    with pytest.raises(HemokitError, match="ipywidgets is not installed"):
        look_at_scan(SCAN, interactive=True)
    assert len(look_at_scan(SCAN)) == 3
