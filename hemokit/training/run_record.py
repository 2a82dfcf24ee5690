"""What a run was made with: run.json for people, and the comparison that guards a resumed run."""

import contextlib
import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import keras

from hemokit import __version__
from hemokit.checks import problem
from hemokit.files import write_whole
from hemokit.predictions import NOTICE
from hemokit.processes import cores
from hemokit.training.checkpoints import RECORD
from hemokit.training.precision import device


@contextlib.contextmanager
def recorded(run_dir, made_with, *, epochs, resumed):
    """Write run.json, whole, when the block begins and once more when it ends well; run_dir None writes nothing."""
    record = build_record(made_with, epochs=epochs, before=read_record(run_dir) if run_dir and resumed else {})
    for finished in (False, True):
        if finished:
            yield
        if run_dir is not None:
            with write_whole(Path(run_dir) / RECORD) as stream:
                json.dump(record | {"finished": timestamp() if finished else None}, stream, indent=2)
                stream.write("\n")


def build_record(made_with, *, epochs, before=None):
    """The content of run.json at the start of a run, or at its resumption (`before`: what it held).

    Returns:
        dict: notice, data, settings, epochs, sessions: a list of when each began, with its versions, commit, machine.
    """
    session = {"started": timestamp(), "versions": versions(), "commit": commit(), "machine": machine()}
    sessions = [*(before or {}).get("sessions", []), session]
    return {"notice": NOTICE, **made_with, "epochs": epochs, "sessions": sessions}


def read_record(run_dir):
    """The content of run.json, or an empty dict where it is missing or damaged: no run depends on it."""
    try:
        return json.loads((Path(run_dir) / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def check_same_run(before, now, *, run_dir):
    """Raise HemokitError naming each setting that differs, with both values.

    Args:
        before, now: dicts of JSON values (dicts inside are compared key by key).
        run_dir: for the sentence.
    """
    old, new = _flat(before), _flat(json.loads(json.dumps(now)))
    differ = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if differ:
        told = "; ".join(f"{key} is {_short(new.get(key))} and was {_short(old.get(key))}" for key in differ[:4])
        more = f" (and {len(differ) - 4} more)" if len(differ) > 4 else ""
        remedy = "Go on with what the run was made with, choose another folder, or delete this one to start anew."
        raise problem(told + more, f"what the run in {run_dir} was made with", remedy)


def describe_model(model):
    """The architecture in JSON values that do not depend on how many layers the process made before.

    Returns:
        dict: name, layers, parameters, digest (12 hex digits over the configuration, without names).
    """
    layers = list(model._flatten_layers())
    names = {layer.name: f"layer {place}" for place, layer in enumerate(layers)}
    for node in (node for layer in layers for node in getattr(layer, "operations", ())):
        names.setdefault(node.name, f"layer {len(names)}")  # keras.ops in a model have numbers of the process, too
    try:
        told = _renamed(model.get_config(), names)
    except NotImplementedError:  # a model class of the user's own
        told = [[list(one.shape), str(one.dtype)] for one in model.weights]
    digest = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:12]
    return {"layers": len(layers), "parameters": model.count_params(), "digest": digest}


def versions():
    """Versions of Python, hemokit and what it computes with."""
    backend = keras.backend.backend()
    found = {name: _version(name) for name in ("keras", "numpy", "pandas", backend)}
    return {"hemokit": __version__, "python": platform.python_version(), "backend": backend, **found}


def commit():
    """The git commit of the checkout that hemokit runs from ("... with changes" if it was edited), or None."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    revision = _git(root, "rev-parse", "HEAD")
    return f"{revision} with changes" if revision and _git(root, "status", "--porcelain", "-uno") else revision


def machine():
    """What the run computes on: system, processor, cores, accelerators."""
    return {
        "system": platform.platform(terse=True),
        "processor": platform.machine(),
        "cores": cores(),
        "device": device(),
    }


def timestamp():
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name):
    for one in (name, f"{name}-cpu"):
        try:
            return metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
    return None


def _git(root, *words):
    try:
        told = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def _flat(value, prefix=""):
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix} {key}".strip())
    return flat


def _short(value):
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 80 else f"{text[:77]}..."


def _renamed(value, names):
    """JSON values with the names of layers replaced by their places, and other names left out."""
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items() if key != "name"}
    if isinstance(value, list | tuple):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value
