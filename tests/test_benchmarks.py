"""The benchmarks are no part of the package and run for minutes; this only keeps them from falling behind it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("bench_*.py"))


@pytest.mark.slow
def test_each_can_be_imported():
    """A name that moved in the package, or in another benchmark, is missed here and not on the day of a measurement."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FOLDER), str(FOLDER.parent)))}
    command = [sys.executable, "-W", "ignore", "-c", f"import {', '.join(NAMES)}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_each_is_told_of():
    """The table of the README has a row for each file."""
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert NAMES and [name for name in NAMES if f"`{name}.py`" not in told] == []
