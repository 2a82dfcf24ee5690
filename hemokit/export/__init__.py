"""Models that leave Python's training behind: written as Keras, LiteRT or ONNX with a card, and run without Keras.

    path = export_model(model, "unet.tflite", format="litert", card={"threshold": 0.4})
    exported = load_exported(path)
    probabilities = exported.probabilities(images)  # (slices, height, width, channels) in [0, 1]

`load_exported` checks the file against the hash in its card before anything opens it, and refuses what could carry
code. Running a .tflite or an .onnx imports neither TensorFlow nor Keras.

Reading order: cards (what stands beside a file), archives (what may be in a .keras), runtimes (how each format runs),
runtime (load_exported), converting (export_model), coreml (for Apple's machines), comparing (what a format costs).
"""

from hemokit.export.cards import Card, card_path, read_card, write_card
from hemokit.export.comparing import compare_exported
from hemokit.export.converting import FORMATS, PRECISIONS, export_model
from hemokit.export.runtime import Exported, load_exported

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "Card",
    "Exported",
    "card_path",
    "compare_exported",
    "export_model",
    "load_exported",
    "read_card",
    "write_card",
]
