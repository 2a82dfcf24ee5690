"""What several tests share."""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Lessons take longest, and begin."""
    items.sort(key=lambda item: item.get_closest_marker("lessons") is None)


@pytest.fixture(scope="session")
def ct_ich_root():
    """The folder of the real CT-ICH (JPG form); tests that need it are skipped without it."""
    folder = os.environ.get("HEMOKIT_CT_ICH")
    if not folder:
        pytest.skip("the environment variable HEMOKIT_CT_ICH does not name the folder of the real CT-ICH")
    if not Path(folder).is_dir():
        pytest.fail(f"HEMOKIT_CT_ICH names {folder}, which is no folder")
    return Path(folder)
