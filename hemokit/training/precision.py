"""Which numbers a network computes in: bfloat16 where the processor is fast with it, float32 elsewhere.

Mixed precision keeps the weights, the last layer and the loss in float32; what lies between is computed in bfloat16.
The policies of the layers are changed in place for the training alone (Keras looks them up whenever it traces the
model), so the model keeps its weights and is saved as a float32 one, which runs anywhere.
"""

import contextlib
import shutil
import subprocess
from pathlib import Path

import keras

from hemokit.checks import check_choice

FLOAT32, MIXED = "float32", "mixed_bfloat16"
FAST_FLAGS = {"avx512_bf16", "amx_bf16"}  # AVX-512-BF16 trained the default U-Net about twice as fast as float32


def choose_precision(precision="auto"):
    """Resolve "auto" to "mixed_bfloat16" or "float32"; the other two names are returned as they are.

    "auto" is mixed_bfloat16 on an NVIDIA GPU of compute capability 8 or more, and on a CPU with AVX-512-BF16 or
    AMX-BF16 when TensorFlow or PyTorch computes (JAX has no bfloat16 kernels for the CPU); else float32.
    """
    check_choice(precision, ("auto", FLOAT32, MIXED), "precision")
    if precision != "auto":
        return precision
    if any(name in device() for name in ("gpu", "cuda")):
        return MIXED if _gpu_capability() >= 8 else FLOAT32
    return MIXED if keras.backend.backend() != "jax" and FAST_FLAGS & _cpu_flags() else FLOAT32


def device():
    """Where Keras computes, as the backend names it, in lower case: "cuda:0", ".../device:gpu:0", "cpu", ..."""
    return str(keras.ops.zeros(1).device).lower()


@contextlib.contextmanager
def computing_in(model, precision):
    """Let a model compute in "float32" or "mixed_bfloat16" inside the block; its policies come back after it."""
    layers = list(model._flatten_layers())  # also those inside nested models and wrappers
    before = [layer.dtype_policy for layer in layers]
    kept = _float32_layers(model)
    try:
        for layer in layers:
            layer.dtype_policy = keras.DTypePolicy(FLOAT32 if layer in kept else precision)
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def _float32_layers(model):
    """The layers from each output back to the last one with weights: they end in a probability, which needs float32."""
    if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
        return model.layers[-1:]
    kept, todo = [], list(model.outputs)
    while todo:
        layer = todo.pop()._keras_history.operation
        if layer in kept:
            continue
        kept.append(layer)
        if isinstance(layer, keras.layers.Layer) and not layer.weights:
            todo += keras.tree.flatten(layer.input)
    return kept


def _cpu_flags():
    """The features that Linux lists for the processor; an empty set on other systems."""
    path = Path("/proc/cpuinfo")
    return set(path.read_text(errors="replace").split()) if path.exists() else set()


def _gpu_capability():
    """The lowest compute capability of the NVIDIA GPUs, 0 where it cannot be asked for."""
    if not shutil.which("nvidia-smi"):
        return 0.0
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    values = [line.strip() for line in told.stdout.splitlines() if line.strip().replace(".", "").isdigit()]
    return min(map(float, values), default=0.0)
