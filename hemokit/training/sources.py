"""What `fit` learns from: slice batches, pipelines, arrays or any other data source of Keras, seen in one way."""

import hashlib
from typing import NamedTuple

import keras
import numpy as np

from hemokit.checks import problem
from hemokit.losses import dice_bce, dice_loss, jaccard_distance, pooled_dice_bce
from hemokit.windows import NAMED

LOSSES_OF_PIXELS = (dice_bce, dice_loss, jaccard_distance, pooled_dice_bce)
SAME = ("target", "names", "windows", "prepare", "image_size")  # of training and validation alike


class Source(NamedTuple):
    """`data` goes to Keras; `batches` has the `epoch` to set (or is None); `facts` tell what the data is."""

    data: object
    batches: object
    table: object
    facts: dict


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays; in training, in an order drawn from (seed, epoch) alone, so that a resumed run sees it too.

    Args:
        arrays: (x, y) or (x, y, sample_weight), arrays of one length (samples, ...).
        batch_size: samples a batch; the last may be smaller.
        seed: whole number from 0.
        training: shuffle.
    """

    def __init__(self, arrays, *, batch_size, seed=0, training=False):
        super().__init__()
        self.arrays = tuple(np.asarray(array) for array in arrays)
        self.batch_size, self.seed, self.training = batch_size, seed, training
        self.epoch = 0
        lengths = [array.shape[0] if array.ndim else 0 for array in self.arrays]
        if len(lengths) not in (2, 3) or len(set(lengths)) > 1 or not lengths[0]:
            came = f"arrays of the lengths {', '.join(map(str, lengths))}"
            raise problem(came, "(x, y) of one length, at least 1", "Give one target for each sample.")

    def __len__(self):
        return -(-len(self.arrays[0]) // self.batch_size)

    def __getitem__(self, index):
        order = np.arange(len(self.arrays[0]))
        if self.training:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        rows = order[index * self.batch_size :][: self.batch_size]
        return tuple(array[rows] for array in self.arrays)

    @property
    def fingerprint(self):
        """Hex digits over shapes, types and values, batch size and order."""
        digest = hashlib.sha256(repr((self.batch_size, self.training and self.seed)).encode())
        for array in self.arrays:
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def as_source(given, *, batch_size=16, seed=0, training=False):
    """See any data source as a `Source`; None stays None.

    Args:
        given: `SliceBatches`, `PatchBatches`, a dataset of `pipelines` (attribute `batches`), a tuple of arrays, or any
            Keras data source that ends (keras.utils.PyDataset, tf.data.Dataset, torch DataLoader).
        batch_size, seed, training: for arrays alone; the others know their own.
    """
    if given is None:
        return None
    if isinstance(given, tuple | list):
        given = ArrayBatches(given, batch_size=batch_size, seed=seed, training=training)
    if isinstance(given, np.ndarray):
        raise problem("an array without targets", "(x, y)", "Put images and targets in a tuple.")
    batches = getattr(given, "batches", given)
    table = getattr(batches, "table", None)
    has_epoch = hasattr(batches, "epoch")
    return Source(_data_for_keras(given), batches if has_epoch else None, table, _facts(batches, table))


def check_sources(train, validation, *, monitor="loss"):
    """Raise HemokitError where validation would not tell the truth: test rows in use, or patients on both sides.

    Or where there is none, and `monitor` is of it; or where its batches are of another kind than those of training.
    """
    if validation is None and monitor.startswith("val_"):
        remedy = "Give validation data, or monitor='loss'."
        raise problem(f"monitor is {monitor!r}, and there are no validation data", "one of the training", remedy)
    _check_split(train, "train")
    _check_split(validation, "validation")
    _check_same_kind(train.batches, validation and validation.batches)
    if train.table is None or validation is None or validation.table is None:
        return
    for column, what in (("patient_id", "patient"), ("slice_id", "slice")):
        both = set(train.table[column].dropna()) & set(validation.table[column].dropna())
        if both:
            raise problem(
                f"{what} {min(both)!r} is in the training and in the validation data ({len(both)} such in all)",
                f"each {what} on one side",
                "Split by splits.split_by_patient.",
                column=column,
            )


def check_model(model, batches, loss):
    """Raise HemokitError unless a model takes the images of slice batches and has an output for each of their labels.

    Keras would say so in many lines, or, of classes that a model has no output for, not at all; nor does a loss of
    pixels complain of labels. Of arrays the classes alone are looked at: Keras takes images without an axis of
    channels, too.
    """
    if hasattr(batches, "image_shape"):
        check_images_fit(model, batches.image_shape)
    names = getattr(batches, "names", None)
    if names and any(loss is one for one in LOSSES_OF_PIXELS):
        remedy = "Pass loss='sparse_categorical_crossentropy' for classes, 'binary_crossentropy' for other labels."
        raise problem(f"the loss {loss.__name__}, which is one of pixels, for labels", "a loss of labels", remedy)
    outputs = getattr(model, "outputs", None)  # a model class of the user's own has none
    if names and outputs and (len(outputs) != 1 or tuple(outputs[0].shape[1:]) != (len(names),)):
        came = f"the model {model.name!r} gives {' and '.join(str(tuple(one.shape)) for one in outputs)}"
        remedy = "Build it with as many outputs, or make the batches with other classes or another target."
        raise problem(came, f"(batch, {len(names)}), one for each of {', '.join(names)}", remedy)
    if isinstance(batches, ArrayBatches) and loss == "sparse_categorical_crossentropy" and outputs:
        number, classes = outputs[0].shape[-1], batches.arrays[1]
        wrong = classes[(classes < 0) | (classes >= number)]
        if len(wrong):
            came = f"the class {wrong[0]} among the targets ({len(wrong)} such in all)"
            expected = f"whole numbers from 0 to {number - 1}, as {model.name!r} has {number} outputs"
            raise problem(came, expected, "Number the classes from 0, or build the model with more of them.")


def check_images_fit(model, shape):
    """Raise HemokitError unless a model takes images of a shape (height, width, channels), as far as it tells."""
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1:
        return
    wanted = tuple(inputs[0].shape[1:])
    if len(shape) != len(wanted) or any(size not in (None, own) for size, own in zip(wanted, shape, strict=True)):
        told = " x ".join("any" if size is None else str(size) for size in wanted)
        remedy = "Make the batches with the image_size and the windows that the model was built for."
        raise problem(f"images of {' x '.join(map(str, shape))}", f"{told}, which {model.name!r} takes", remedy)


def _check_same_kind(train, validation):
    """A loss of validation says something of training only where both learn the same thing from the same images."""
    for name in SAME:
        if not (hasattr(train, name) and hasattr(validation, name)):
            continue  # arrays and sources of Keras do not tell
        one, other = [_windows(of.windows) if name == "windows" else getattr(of, name) for of in (train, validation)]
        if one != other:
            remedy = "Make both with the same target, classes, windows, prepare and image_size."
            raise problem(f"{name} of the validation data is {other!r}", f"{one!r}, as of the training data", remedy)


def _windows(windows):
    """Names of windows, as far as they have one: the layouts spell the same window in different ways."""
    names = {window: name for name, window in NAMED.items()}
    given = ("brain",) if windows is None else windows
    return tuple(one.removesuffix("_window") if isinstance(one, str) else names.get(tuple(one), one) for one in given)


def _check_split(source, name):
    """Rows that carry the name of another split are refused; unsplit rows say nothing."""
    if source is None or source.table is None or "split" not in source.table.columns:
        return
    wrong = source.table["split"].dropna()
    wrong = wrong[wrong != name]
    if len(wrong):
        raise problem(
            f"{len(wrong)} of {len(source.table)} rows given as {name} data are of the split {wrong.iloc[0]!r}",
            f"rows of the split {name!r} alone",
            f"Pass table[table['split'] == {name!r}]; test rows are for the last look, after training.",
            column="split",
        )


def _data_for_keras(given):
    """With TensorFlow, slice batches become a pipeline, which makes several of them while the model trains."""
    if keras.backend.backend() != "tensorflow" or not hasattr(given, "rows_of"):
        return given
    from hemokit.pipelines import pipeline_of  # needs TensorFlow

    return pipeline_of(given)


def _facts(batches, table):
    fingerprint = getattr(batches, "fingerprint", None)  # of a tf.data.Dataset a method, which knows no data
    facts = {
        "kind": type(batches).__name__,
        "fingerprint": fingerprint if isinstance(fingerprint, str) else None,
        "batches": _length(batches),
        "batch_size": getattr(batches, "batch_size", None),
    }
    if table is None:
        return facts
    splits = table["split"].value_counts(dropna=False).to_dict() if "split" in table.columns else {}
    return facts | {
        "datasets": sorted(table["dataset"].unique()),
        "slices": len(table),
        "hemorrhagic_slices": int(table["any"].sum()),
        "patients": int(table["patient_id"].nunique()),
        "splits": {str(name): int(count) for name, count in splits.items()},
    }


def _length(data):
    try:
        return len(data)
    except TypeError:  # a data source that does not know it
        return None
