"""`load_exported`: an exported model, checked before anything opens it, as a function of images."""

import hashlib
from pathlib import Path

import numpy as np

from hemokit.checks import problem
from hemokit.export.cards import SUFFIXES, Card, read_card
from hemokit.export.runtimes import RUNTIMES
from hemokit.formats.bounded import read_bytes
from hemokit.processes import cores

MAX_BYTES = 2**31
BATCH = 16  # images that are run at once, so that memory does not grow with their number
_CODE = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy", ".npz", ".h5", ".hdf5", ".dill")


class Exported:
    """A model that was exported: `card` says what it is, `probabilities` runs it; any thread may call it."""

    def __init__(self, card, run):
        self.card: Card = card
        self._run = run

    def probabilities(self, images):
        """Run the model.

        Args:
            images: float32 array (n, height, width, channels) in [0, 1], of the sizes in `card.input_shape`; n may
                be 0.

        Returns:
            float32 array (n, *card.output_shape): probabilities of each pixel, or of each label.

        Raises:
            HemokitError: another type, shape, or values that are not in [0, 1].
        """
        images = self._checked(images)
        parts = [self._run(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        shape = (len(images), *self.card.output_shape)
        return np.concatenate(parts).astype(np.float32, copy=False) if parts else np.zeros(shape, np.float32)

    def _checked(self, images):
        images = np.asarray(images)
        shape = self.card.input_shape
        told = f"float32 images of the shape (n, {', '.join(map(str, shape))}) in [0, 1]"
        if images.dtype != np.float32 or images.ndim != 4 or images.shape[1:3] != shape[:2]:
            came = f"{images.dtype} values of the shape {images.shape}"
            raise problem(came, told, "Resize the images, and scale them to [0, 1].")
        if images.shape[3] != shape[2]:
            came = f"images of {images.shape[3]} channel(s) for a model that sees {shape[2]}"
            raise problem(came, told, "Show the windows that stand in the model's card, in their order.")
        if images.size and not (images.min() >= 0 and images.max() <= 1):
            came = f"values from {images.min():g} to {images.max():g}"
            raise problem(came, told, "Hounsfield units need a window (windows.stack_windows); 0..255 a division.")
        return np.ascontiguousarray(images)


def load_exported(path, *, num_threads=None):
    """Load an exported model, if it is the file that its card was written for.

    Args:
        path: a .keras, .tflite or .onnx file with its card (`<file>.json`) beside it.
        num_threads: of LiteRT and ONNX Runtime for one call; None takes the cores of this process. A server that
            answers several users at once takes 1.

    Returns:
        Exported.

    Raises:
        HemokitError: another kind of file (pickles and HDF5 are named), no card, a changed file, Lambda layers and
            whatever else in a .keras could run code or read files, a model that does not fit its card, a runtime that
            is not installed.
    """
    path = Path(path)
    format = _format_of(path)
    card = read_card(path)
    if card.format != format:
        came = f"the card says {card.format}"
        raise problem(came, f"{format}, as the name says", "Do not rename exported files.", file=path)
    data = read_bytes(path, max_bytes=MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != card.sha256:
        came = "the file is not the one that its card was written for (its SHA-256 differs)"
        raise problem(came, "an unchanged file", "Get both files again from their source, or export again.", file=path)
    run, (input_shape, output_shape) = RUNTIMES[format](data, path, num_threads or cores())
    if not _agree(input_shape, card.input_shape) or not _agree(output_shape, card.output_shape):
        came = f"the model takes {tuple(input_shape)} and gives {tuple(output_shape)}"
        expected = f"{card.input_shape} and {card.output_shape}, as the card says"
        raise problem(came, expected, "Export the model again.", file=path)
    return Exported(card, run)


def _format_of(path):
    suffix = path.suffix.lower()
    found = next((name for name, one in SUFFIXES.items() if one == suffix), None)
    if found is None:
        kind = "a kind of file that can carry code" if suffix in _CODE else "no exported model"
        expected = f"a file ending in {', '.join(SUFFIXES.values())}"
        raise problem(f"{suffix or 'no ending'}: {kind}", expected, "Make one by hemokit export.", file=path)
    return found


def _agree(shape, card_shape):
    """Whether a model's own shape, None where it is free, is that of the card."""
    return len(shape) == len(card_shape) and all(
        own is None or own == said for own, said in zip(shape, card_shape, strict=True)
    )
