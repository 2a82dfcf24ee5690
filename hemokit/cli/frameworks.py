"""Keras and its backend, brought when a command needs them: without their chatter, and one sentence where they miss."""

import contextlib
import importlib
import os
from importlib.util import find_spec

from hemokit.checks import problem


@contextlib.contextmanager
def keras_at_hand():
    """Around the imports that bring Keras: without TensorFlow's chatter, and one sentence where it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and find_spec("tensorflow"):
            from hemokit.export.runtimes import quiet  # here, because it brings pandas

            with quiet():
                importlib.import_module("tensorflow")
        yield
    except ModuleNotFoundError as error:
        remedy = "Install it: pip install 'hemokit[tensorflow]'; or set KERAS_BACKEND to one that is there."
        raise problem(f"{error.name} is not installed", "Keras and its backend", remedy) from None
