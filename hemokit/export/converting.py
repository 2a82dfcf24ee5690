"""`export_model`: a Keras model as a .keras, LiteRT or ONNX file, whole, with its card beside it.

LiteRT files are made for one image at a time: its fastest kernels want a fixed size. float16 stores weights as half
precision and computes in float32; int8 stores and computes whole numbers, whose ranges come from calibration images
(post-training quantization, Jacob et al. 2018); input and output stay float32.
"""

import contextlib
import hashlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np

from hemokit.checks import HemokitError, check_choice, problem
from hemokit.export.cards import SUFFIXES, TOLD, Card, write_card
from hemokit.export.runtimes import quiet
from hemokit.files import write_whole

FORMATS = tuple(SUFFIXES)
PRECISIONS = ("float32", "float16", "int8")


def export_model(model, path, *, format, card=None, calibration=None, precision="float32"):
    """Write a model for running elsewhere, and its card `<file>.json`.

    Args:
        model: keras.Model of one input (height, width, channels) of fixed size, in [0, 1], and one output of
            probabilities: (height, width, outputs), or (outputs,).
        path: file to write, ending in .keras, .tflite or .onnx as the format is.
        format: "keras", "litert" or "onnx".
        card: dict of what else is known: the fields of `cards.Card` named in `cards.TOLD`, such as channels,
            threshold, trained_on, scores; None for nothing.
        calibration: for int8 float32 images (n, height, width, channels) in [0, 1], of training patients, some with
            hemorrhage; a hundred are plenty.
        precision: "float32"; for LiteRT also "float16" or "int8".

    Returns:
        Path of the file. Both files are written whole; killed in between, `load_exported` refuses the new file with
        the old card.

    Raises:
        HemokitError: names that do not fit, an int8 model without calibration images, a model of other shapes, a
            converter that is not installed or cannot convert a layer.
    """
    path = Path(path)
    check_choice(format, FORMATS, "format")
    check_choice(precision, PRECISIONS, "precision")
    _check_names(path, format, precision, card or {})
    input_shape, output_shape = shapes_of(model)
    if precision == "int8":
        calibration = _checked_calibration(calibration, input_shape)
    data = _WRITERS[format](model, precision, calibration)
    told = {"name": path.stem, "outputs": names_of(output_shape[-1]), **(card or {})}
    written = Card(
        format=format, precision=precision, input_shape=input_shape, output_shape=output_shape,
        sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), **told,
    )  # fmt: skip
    with write_whole(path, "wb") as stream:
        stream.write(data)
    write_card(written, path)
    return path


def _keras_bytes(model, precision, calibration):
    import keras

    if model.compiled:  # the file holds no loss, and no optimizer, which is twice as large as the weights
        weights, model = model.get_weights(), keras.models.clone_model(model)
        model.set_weights(weights)
        model.compiled, model.optimizer = False, None
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        return saved.read_bytes()


def _onnx_bytes(model, precision, calibration):
    with tempfile.TemporaryDirectory() as folder, converting("onnx"):
        import keras

        saved = Path(folder) / "model.onnx"
        many = [keras.InputSpec(dtype="float32", shape=(None, *model.input_shape[1:]), name="image")]
        model.export(str(saved), format="onnx", verbose=False, input_signature=many)
        return saved.read_bytes()


def _litert_bytes(model, precision, calibration):
    with tempfile.TemporaryDirectory() as folder, converting("litert"):
        import tensorflow as tf

        _save_for_converter(model, folder, tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image"))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                tf.lite.OpsSet.TFLITE_BUILTINS,  # for what has no int8 kernel
            ]
        return converter.convert()


def _save_for_converter(model, folder, image):
    """Write a SavedModel of one image, on TensorFlow without `model.export`: that traces the model for purposes which a
    converter does not have, and takes twice as long."""
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        return model.export(folder, format="tf_saved_model", verbose=False, input_signature=[image])

    def answer(image):
        return {"output_0": keras.tree.flatten(model(image, training=False))[0]}

    signature = tf.function(answer, input_signature=[image]).get_concrete_function()
    saved = tf.Module()
    saved.weights = list(signature.graph.variables)
    return tf.saved_model.save(saved, folder, signatures=signature)


_WRITERS = {"keras": _keras_bytes, "litert": _litert_bytes, "onnx": _onnx_bytes}


@contextlib.contextmanager
def converting(format, *, extras="tensorflow,deploy"):
    """Around a converter: its chatter goes nowhere, what it lacks (it is in `extras`) or cannot do is one sentence."""
    try:
        with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            level = logging.root.manager.disable
            logging.disable(logging.WARNING)
            try:
                yield
            finally:
                logging.disable(level)
    except HemokitError:
        raise
    except ImportError as error:
        remedy = f"Install it: pip install 'hemokit[{extras}]'."
        raise problem(f"{error.name or error} is not installed", f"what converts to {format}", remedy) from None
    except Exception as error:  # converters raise many kinds for a layer that they do not know
        told = " ".join(str(error).split())[:200] or type(error).__name__
        remedy = "Export to another format, or run Keras on TensorFlow (KERAS_BACKEND=tensorflow)."
        raise problem(f"the converter failed ({told})", f"a model that {format} can hold", remedy) from error


def _check_names(path, format, precision, card):
    if path.suffix.lower() != SUFFIXES[format]:
        came, remedy = f"the name ends in {path.suffix!r}", f"Call it {path.with_suffix(SUFFIXES[format]).name}."
        raise problem(came, f"{SUFFIXES[format]} for {format}", remedy, file=path)
    if precision != "float32" and format != "litert":
        raise problem(f"precision is {precision} for {format}", "float32", "For less take format='litert'.")
    check_card(card)


def check_card(card):
    """Raise HemokitError where a card says what is not for the caller to say."""
    strange = sorted(set(card) - set(TOLD))
    if strange:
        raise problem(f"the card says {strange[0]!r}", f"some of {', '.join(TOLD)}", "Put other facts into about.")


def shapes_of(model):
    """(input shape, output shape) without the batch, where the model is one that can be exported."""
    inputs, outputs = getattr(model, "inputs", None) or (), getattr(model, "outputs", None) or ()
    if len(inputs) != 1 or len(outputs) != 1:
        came = f"a model of {len(inputs)} inputs and {len(outputs)} outputs"
        raise problem(came, "one image in, one array of probabilities out", "Build a model around one of them.")
    shapes = [tuple(one.shape[1:]) for one in (inputs[0], outputs[0])]
    if len(shapes[0]) != 3 or len(shapes[1]) not in (1, 3) or None in (*shapes[0], *shapes[1]):
        came = f"a model that takes {shapes[0]} and gives {shapes[1]}"
        raise problem(came, "(height, width, channels) of fixed sizes", "Build it for one size of image.")
    return shapes


def _checked_calibration(calibration, shape):
    told = f"float32 images (n, {', '.join(map(str, shape))}) in [0, 1]"
    remedy = "Pass calibration=images of training patients: int8 needs to see what ranges the values have."
    if calibration is None:
        raise problem("int8 came without calibration images", told, remedy)
    images = np.asarray(calibration)
    fits = images.dtype == np.float32 and images.ndim == 4 and images.shape[1:] == shape and len(images)
    if not fits or not (images.min() >= 0 and images.max() <= 1):
        raise problem(f"calibration holds {images.dtype} values of the shape {images.shape}", told, remedy)
    return images


def names_of(count):
    """Names of outputs that nobody named: tuple of str."""
    return ("hemorrhage",) if count == 1 else tuple(f"output {number}" for number in range(count))
