"""The order of imports, held once: a module imports only what stands above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hemokit"

# Reading order. A package (formats, datasets, check, course) is one entry: its own modules may import each other.
ORDER = (
    *("checks", "files", "labels", "windows", "progress"),  # ground
    "formats",
    *("tables", "polygons", "polygon_labels", "masks", "metrics", "manifests", "leaks", "splits"),  # floor 1
    "datasets",
    "plots",  # judging
    *("checksums", "integrity", "fetch", "check", "course", "doctor", "__main__"),  # doors
)
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "torch", "jax"}


def modules():
    """Every module of the package as (entry in ORDER, path)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def imported(path):
    """The dotted names that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def above(entry, path):
    """The imports of a file that do not stand above it in ORDER, or are not in it at all."""
    allowed = {*ORDER[: ORDER.index(entry)], entry, "__version__"}
    own = [name.split(".")[1] for name in imported(path) if name.startswith("hemokit.")]
    return [name for name in own if name not in allowed]


@pytest.mark.parametrize("entry, path", list(modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_imports_only_from_above(entry, path):
    """A module is in the list, and imports only what stands above it."""
    assert entry in ORDER, f"{path} is not in the reading order: add it to ORDER"
    assert above(entry, path) == []


def test_rule_would_notice(tmp_path):
    """An import from below is found, at the top of a file and inside a function."""
    path = tmp_path / "metrics.py"
    path.write_text("import numpy\nfrom hemokit.checks import problem\ndef f():\n    from hemokit import plots\n")
    assert above("metrics", path) == ["plots"]


@pytest.mark.parametrize("entry, path", list(modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_no_deep_learning_framework(entry, path):
    """Nothing in this package imports TensorFlow, Keras, PyTorch or JAX."""
    assert not {name.split(".")[0] for name in imported(path)} & FRAMEWORKS


def test_package_imports_nothing():
    """`import hemokit` alone loads none of its modules."""
    assert list(imported(PACKAGE / "__init__.py")) == []


@pytest.mark.slow
def test_import_time():
    """Reading, splitting and plotting are imported in a fresh process in less than two seconds of work.

    The best of three counts: a busy machine slows the others down.
    """
    code = "import time, hemokit.datasets, hemokit.splits, hemokit.plots; print(time.process_time())"
    command = [sys.executable, "-c", code]
    for _ in range(3):
        run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
        if float(run.stdout) < 2.0:
            return
    pytest.fail(f"the imports took {float(run.stdout):.1f} s")
