"""The model of the demo: the one that comes with the package, an exported file, or the folder of a run.

It runs on LiteRT or ONNX Runtime. Of a run's folder the Keras model is kept beside it for Grad-CAM alone, and loaded
when somebody asks for the first map.
"""

import threading
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from hemokit.apply.windowing import shown, windows_of
from hemokit.checks import problem
from hemokit.export import load_exported
from hemokit.export.cards import SUFFIXES, caveats
from hemokit.runs.applied import SHIPPED, check_there

GRADCAM = "Grad-CAM: which regions speak for the hemorrhage, by the model's gradients."
OCCLUSION = (
    "Occlusion: where the mask loses most when a patch is blurred. It stands in for Grad-CAM, which needs gradients "
    "that an exported model does not have; start the demo with a run's folder to see Grad-CAM."
)


class Model(NamedTuple):
    """A model and what the page says of it.

    Attributes:
        probabilities: function float32 (n, size, size, channels) -> (n, size, size, 1), or (n, labels).
        path: of the exported file.
        title, about: words; `about` is a tuple of sentences.
        image_size: height and width of its square.
        windows: a `Window` a channel, or None where it is not known.
        window_words: the same in words.
        threshold: of the probability, in [0, 1].
        labels: names of the outputs.
        makes_masks: False for a model that gives one number a label.
        sha256: of the file.
        gradcam: function image -> heat (size, size) in [0, 1], or None.
        caveats: sentences that stand beside every answer.
    """

    probabilities: Callable
    path: Path
    title: str
    about: tuple
    image_size: int
    windows: tuple
    window_words: str
    threshold: float
    labels: tuple
    makes_masks: bool
    sha256: str
    gradcam: Callable | None = None
    caveats: tuple = ()

    @property
    def heat_words(self):
        """What its heat maps are."""
        return OCCLUSION if self.gradcam is None else GRADCAM


def open_model(path=None):
    """Open the model of a demo.

    Args:
        path: an exported .onnx or .tflite file with its card, the folder that `hemokit train` wrote (it is exported
            once, beside its weights), or None for the small one that comes with the package, trained on the phantom.

    Returns:
        `Model`.

    Raises:
        HemokitError: as `load_exported`; a .keras file; a model that is not square, or of several masks.
    """
    path = SHIPPED if path is None else Path(path)
    if path.suffix.lower() == SUFFIXES["keras"]:  # it would be called by many threads, and Keras starts slowly
        remedy = "Export its run: hemokit export RUN --format onnx."
        raise problem("a Keras model", "an .onnx or .tflite file, or the folder of a run", remedy, file=path)
    check_there(path)
    if path.is_dir():
        return of_exported(*_exported_run(path), gradcam=_gradcam_of(path))
    return of_exported(load_exported(path, num_threads=1), path)


def of_exported(exported, path, *, gradcam=None):
    """The `Model` of something that `load_exported` gave."""
    card = exported.card
    height, width, _ = card.input_shape
    makes_masks = len(card.output_shape) == 3
    if height != width:
        raise problem(f"the model sees {width} x {height} pixels", "a square", "Take another model.", file=path)
    if makes_masks and card.output_shape != (height, width, 1):
        came = f"the model gives {card.output_shape} for one slice"
        raise problem(came, f"one mask, {(height, width, 1)}", "Take another model.", file=path)
    return Model(
        exported.probabilities, Path(path), card.name, _about(card), height, windows_of(card), shown(card),
        0.5 if card.threshold is None else card.threshold, tuple(card.outputs), makes_masks, card.sha256, gradcam,
        caveats(card),
    )  # fmt: skip


def _about(card):
    """What is known of a model, as sentences."""
    said = [
        f"Trained on: {card.trained_on or 'unknown'}.",
        f"It sees {' x '.join(map(str, card.input_shape[:2]))} pixels.",
    ]
    if card.threshold is None:
        said.append("Its card names no threshold: 0.5 stands in.")
    else:
        said.append(f"Threshold {card.threshold:.3f}{f', chosen on {card.chosen_on}' if card.chosen_on else ''}.")
    said += [
        _score(row) for row in card.scores if row.get("metric") == "dice" and isinstance(row.get("estimate"), Real)
    ][:1]
    return (*said, *caveats(card))


def _score(row):
    """One row of a report as a sentence, with its interval and its patients where they are known."""
    known = all(isinstance(row.get(name), Real) for name in ("low", "high"))
    interval = f" [{row['low']:.2f}, {row['high']:.2f}]" if known else ""
    patients = f"{row['patients']} patients of " if row.get("patients") else ""
    return f"Dice {row['estimate']:.2f}{interval} on the {row.get('split') or 'test'} split: {patients}{row['data']}."


def _exported_run(folder):
    """(exported model of a run, its path): made once, again when the weights have changed."""
    from hemokit.runs.exporting import export_run  # brings Keras

    path = export_run(folder, format="onnx")
    return load_exported(path, num_threads=1), path


def _gradcam_of(folder):
    """A function that gives Grad-CAM maps by the Keras model of a run; one at a time, for a model is no more."""
    lock, kept = threading.Lock(), []

    def heat(image):
        from hemokit.gradcam import gradcam
        from hemokit.runs.prediction import load_run

        with lock:
            if not kept:
                kept.append(load_run(folder))
            return gradcam(kept[0], image, label=0)

    return heat
