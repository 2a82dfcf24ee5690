"""The order of imports, held once: a module imports only what stands above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hemokit"

# Reading order. A package (formats, datasets, check, course) is one entry: its own modules may import each other.
ORDER = (
    *("checks", "files", "labels", "windows", "equalize", "progress", "processes"),  # ground
    "formats",
    *("tables", "polygons", "polygon_labels", "masks", "patches", "metrics", "manifests", "checksums"),
    *("leaks", "splits"),  # floor 1
    "datasets",
    *("predictions", "exact_search", "thresholds", "evaluation", "plots"),  # judging
    *("augment", "slice_cache", "baselines", "targets", "reduction"),  # learning
    *("batches", "scan_batches", "patch_batches", "sequence_batches", "pipelines"),
    *("losses", "models"),
    *("training", "gradcam", "export", "apply"),  # running
    *("integrity", "fetch", "prepare", "check", "course", "doctor", "runs", "demo", "cli", "__main__"),  # doors
)
# Keras runs on several backends; TensorFlow is one of them, and is needed for its input pipelines and strategies alone.
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "torch", "jax"}
MAY_IMPORT = {
    "keras": {"batches", "sequence_batches", "pipelines", "losses", "models", "training", "gradcam", "export"},
    "tensorflow": {"pipelines", "training", "gradcam", "export"},
    "jax": {"gradcam"},  # a gradient is what keras.ops does not have
    "torch": {"gradcam"},
}
INSIDE_FUNCTIONS = ("training", "gradcam", "export")  # where a framework is imported when it is used


def modules():
    """Every module of the package as (entry in ORDER, path)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def statements(tree, at_import):
    """Every node of a parsed file; with at_import, those alone that run when the file is imported."""
    for node in ast.iter_child_nodes(tree):
        if at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield node
        yield from statements(node, at_import)


def imported(path, *, at_import=False):
    """The dotted names that a file imports anywhere in it, also inside functions (or, with at_import, not there)."""
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), at_import):
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


def frameworks(entry, path):
    """The frameworks that a file imports and may not: TensorFlow is for few, and for some inside functions alone."""
    names = {name.split(".")[0] for name in imported(path)} & FRAMEWORKS
    wrong = {name for name in names if entry not in MAY_IMPORT.get(name, ())}
    if entry in INSIDE_FUNCTIONS:
        wrong |= {name.split(".")[0] for name in imported(path, at_import=True)} & FRAMEWORKS - {"keras"}
    return wrong


@pytest.mark.parametrize("entry, path", list(modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_frameworks(entry, path):
    """Learning imports Keras, pipelines TensorFlow; reading, judging and the doors import no framework."""
    assert frameworks(entry, path) == set()


def test_framework_rule_would_notice(tmp_path):
    """TensorFlow is found in a model, PyTorch anywhere; in training TensorFlow may stand in a function."""
    path = tmp_path / "module.py"
    path.write_text("import keras\ndef f():\n    import tensorflow as tf\n")
    found = {entry: frameworks(entry, path) for entry in ("metrics", "models", "pipelines", "training")}
    assert found == {
        "metrics": {"keras", "tensorflow"},
        "models": {"tensorflow"},
        "pipelines": set(),
        "training": set(),
    }
    path.write_text("try:\n    import tensorflow\nexcept ImportError:\n    import torch\n")
    assert frameworks("training", path) == {"tensorflow", "torch"}


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
