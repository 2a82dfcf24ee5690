"""The profile `paper` of the lessons on classifiers has the papers' settings, as far as these print them."""

import ast
from pathlib import Path

import pytest

from hemokit.labels import CLASSES, LABELS
from hemokit.windows import NAMED

SOURCES = Path(__file__).parent.parent / "notebooks" / "sources"


def settings_of(slug, **names):
    """What the lesson's cell of settings leaves behind in the profile `paper`, run alone."""
    cells = (SOURCES / f"{slug}.py").read_text(encoding="utf-8").split("# %%")
    (cell,) = (one for one in cells if 'quick = PROFILE == "quick"' in one)
    names |= {"PROFILE": "paper", "Path": Path}
    exec(compile(ast.parse(cell), slug, "exec"), names)
    return names


@pytest.fixture(scope="module")
def classifiers():
    return settings_of("06_transfer_classifiers", CLASSES=CLASSES)


def test_math7243(classifiers):
    """Brain, bone and subdural at 256 pixels, 20 frozen and 5 unfrozen epochs of Adam at 0.001, 70/20/10 percent."""
    recipe = classifiers["TWO_PHASES"]
    assert (recipe["head"], recipe["image_size"], recipe["windows"]) == ("decoder", 256, ["brain", "bone", "subdural"])
    assert (recipe["epochs"], recipe["learning_rates"], recipe["schedule"]) == ((20, 5), (0.001, 0.001), "constant")
    assert recipe["classes"] == CLASSES and recipe["cached_epochs"] is None and recipe["imbalance"] is None
    assert (classifiers["FRACTIONS"], classifiers["MOST_EACH"]) == ((0.7, 0.2, 0.1), 2000)
    assert classifiers["UNFROZEN"] == ("ResNet50", "Xception")


def test_northeastern(classifiers):
    """A frozen backbone at 256 pixels, the mean of its features and one dense layer, at 0.01."""
    recipe = classifiers["FROZEN"]
    assert (recipe["head"], recipe["image_size"], recipe["epochs"][1]) == ("pool", 256, 0)
    assert recipe["learning_rates"][0] == 0.01 and set(classifiers["NETWORKS"]) >= {"VGG16", "Xception"}


def test_fahim():
    """Windows 40/80, 80/200 and 40/380 at 256 pixels, any and five subtypes, 3 epochs, the paper's augmentation."""
    recipe = settings_of("11_where_the_model_looks", LABELS=LABELS)["recipe"]
    assert [tuple(NAMED[name]) for name in recipe["windows"]] == [(40, 80), (80, 200), (40, 380)]
    assert (recipe["image_size"], recipe["target"], recipe["epochs"]) == (256, "subtypes", (0, 3))
    assert recipe["augmentation"] == "FAHIM"
