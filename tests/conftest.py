"""What several tests share."""

import os
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of a module share what they made, so one worker gets them all; lessons take longest, and begin."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
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
