"""One dense layer on features that were computed once: seconds, where the network in front of it would take minutes."""

import keras
import numpy as np

from hemokit.checks import problem
from hemokit.training.sources import ArrayBatches

LOSS = "sparse_categorical_crossentropy"


def fit_dense(
    train, validation, *, num_classes, epochs, learning_rate, optimizer=None, batch_size=32, patience=None, seed=0
):
    """Train a dense layer with a softmax, without a word and without a folder.

    Args:
        train: (features, classes) or (features, classes, weights): float (rows, features), int (rows,), float (rows,).
        validation: (features, classes); the weights of the epoch with the lowest loss on it are taken.
        num_classes: outputs.
        epochs: at most.
        learning_rate: of Adam.
        optimizer: a Keras optimizer, of which a fresh copy is used, or its name, instead of Adam.
        batch_size: rows a step.
        patience: stop after so many epochs without a lower validation loss; None never stops.
        seed: whole number from 0, of the first weights and of the order.

    Returns:
        function: features (rows, features) -> probabilities float32 (rows, num_classes).

    Raises:
        HemokitError: arrays of different lengths, or of none; validation data with weights; a loss that is not finite.
    """
    batches = ArrayBatches(train, batch_size=batch_size, seed=seed, training=True)
    if len(validation) != 2:
        came = f"validation data of {len(validation)} arrays"
        raise problem(came, "(features, classes)", "Leave weights out: validation rows count alike.")
    features, classes = ArrayBatches(validation, batch_size=max(1, len(validation[0])))[0]
    begin = keras.initializers.GlorotUniform(seed=seed)
    layers = keras.Input(train[0].shape[1:]), keras.layers.Dense(num_classes, "softmax", kernel_initializer=begin)
    head = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(learning_rate) if optimizer is None else keras.optimizers.get(optimizer)
    head.compile(type(optimizer).from_config(optimizer.get_config()), LOSS)
    lowest, best, weights = np.inf, 0, head.get_weights()
    for epoch in range(epochs):
        batches.epoch = epoch
        for number in range(len(batches)):  # of a few hundred rows `fit` takes longer to begin and end an epoch
            head.train_on_batch(*batches[number])
        loss = _loss(classes, head(features))
        if not np.isfinite(loss):
            remedy = "Look for such values among the features, or lower the learning rate."
            raise problem(f"the validation loss of epoch {epoch + 1} is {loss}", "a finite number", remedy)
        if loss < lowest:
            lowest, best, weights = loss, epoch, head.get_weights()
        elif patience is not None and epoch - best >= patience:
            break
    head.set_weights(weights)
    return lambda features: keras.ops.convert_to_numpy(head(features))  # called as it is: nothing to compile


def _loss(classes, probabilities):
    """The mean cross-entropy, a float."""
    return float(keras.ops.mean(keras.losses.get(LOSS)(classes, probabilities)))
