"""What several tests share."""

import os
import random
from pathlib import Path

import pytest

# Tests share the cores. A thread of scikit-learn that spins while it waits for another one keeps that one from its
# core: boosted trees took twice as long. Read when OpenMP is loaded, so it stands here, and child processes have it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items):
    """Lessons take longest, and begin."""
    items.sort(key=lambda item: item.get_closest_marker("lessons") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A test has the same random weights whichever ran before it: Keras seeds its layers from Python's generator."""
    random.seed(0)


@pytest.fixture(scope="session")
def ct_ich_root():
    """The folder of the real CT-ICH (JPG form); tests that need it are skipped without it."""
    folder = os.environ.get("HEMOKIT_CT_ICH")
    if not folder:
        pytest.skip("the environment variable HEMOKIT_CT_ICH does not name the folder of the real CT-ICH")
    if not Path(folder).is_dir():
        pytest.fail(f"HEMOKIT_CT_ICH names {folder}, which is no folder")
    return Path(folder)
