"""How the bytes of each format are run: functions from a batch of images to a batch of outputs.

Each takes the bytes that were checked, never the path again, and is safe to call from several threads.
"""

import contextlib
import os
import queue
import tempfile
import threading
from pathlib import Path

import numpy as np

from hemokit.checks import problem
from hemokit.export.archives import check_keras_archive
from hemokit.formats.bounded import library_errors

INSTALL = "Install it: pip install 'hemokit[deploy]'."


_stderr_lock = threading.RLock()


@contextlib.contextmanager
def quiet():
    """Keep what libraries in C++ say while they load off the error channel; exceptions pass as they are."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_lock:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def litert(data, path, num_threads):
    """A LiteRT model: as many interpreters as callers came at once, because one serves one caller at a time."""
    if data[4:8] != b"TFL3":
        raise problem("the content is no LiteRT model", "a .tflite file", "Export the model again.", file=path)
    try:
        with quiet():
            from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise problem(f"{error.name} is not installed", "the runtime of .tflite files", INSTALL, file=path) from None
    idle = queue.SimpleQueue()

    def interpreter():
        try:
            return idle.get_nowait()
        except queue.Empty:
            with library_errors(path, "loading the LiteRT model"), quiet():
                one = Interpreter(model_content=data, num_threads=num_threads)
                one.allocate_tensors()
            return one

    def run(images):
        one = interpreter()
        results = []
        for image in images:  # the file is made for one image at a time
            one.set_tensor(place, image[None])
            one.invoke()
            results.append(one.get_tensor(back)[0])
        idle.put(one)
        return np.stack(results)

    first = interpreter()
    details = first.get_input_details()[0], first.get_output_details()[0]
    place, back = (one["index"] for one in details)
    idle.put(first)
    return run, tuple([int(n) for n in one["shape"][1:]] for one in details)


def onnx(data, path, num_threads):
    """An ONNX model; a session of ONNX Runtime may be run from several threads."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise problem(f"{error.name} is not installed", "the runtime of .onnx files", INSTALL, file=path) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = 4
    with library_errors(path, "loading the ONNX model"):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        place, back = session.get_inputs()[0], session.get_outputs()[0]
    shapes = tuple([n if isinstance(n, int) else None for n in one.shape[1:]] for one in (place, back))
    return lambda images: session.run([back.name], {place.name: images})[0], shapes


def keras(data, path, num_threads):
    """A Keras model, loaded in safe mode after `check_keras_archive`; it runs with Keras' own number of threads."""
    check_keras_archive(data, path)
    try:
        with quiet():
            import keras as framework

            import hemokit.models.unet_plus_plus  # noqa: F401  registers the class of models of several masks
    except ModuleNotFoundError as error:
        remedy = "Install it: pip install 'hemokit[tensorflow]'; or export the model to litert or onnx."
        raise problem(f"{error.name} is not installed", "Keras and its backend", remedy, file=path) from None
    with library_errors(path, "loading the Keras model"), tempfile.TemporaryDirectory() as folder:
        checked = Path(folder) / "model.keras"  # Keras takes a path alone: these are the bytes that were checked
        checked.write_bytes(data)
        model = framework.saving.load_model(checked, compile=False, safe_mode=True)
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise problem("a model of several inputs or outputs", "one of each", "Export one of them.", file=path)
        shapes = tuple(list(one.shape[1:]) for one in (model.inputs[0], model.outputs[0]))
    return lambda images: np.asarray(model.predict_on_batch(images)), shapes


RUNTIMES = {"litert": litert, "onnx": onnx, "keras": keras}
