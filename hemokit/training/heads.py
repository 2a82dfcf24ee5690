"""One dense layer on features that were computed once: seconds, where the network in front of it would take minutes."""

import keras

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
        optimizer: a Keras optimizer that was not used before, instead of Adam.
        batch_size: rows a step.
        patience: stop after so many epochs without a lower validation loss; None never stops.
        seed: whole number from 0, of the first weights and of the order.

    Returns:
        function: features (rows, features) -> probabilities float32 (rows, num_classes).

    Raises:
        HemokitError: arrays of different lengths, or of none.
    """
    batches = ArrayBatches(train, batch_size=batch_size, seed=seed, training=True)
    begin = keras.initializers.GlorotUniform(seed=seed)
    layers = keras.Input(train[0].shape[1:]), keras.layers.Dense(num_classes, "softmax", kernel_initializer=begin)
    head = keras.Sequential(layers)
    head.compile(keras.optimizers.Adam(learning_rate) if optimizer is None else optimizer, LOSS)
    ordered = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(batches, "epoch", epoch))
    best = keras.callbacks.EarlyStopping(patience=patience or epochs, restore_best_weights=True)
    how = {"epochs": epochs, "verbose": 0, "shuffle": False, "callbacks": [ordered, best]}
    head.fit(batches, validation_data=validation, **how)
    return lambda features: keras.ops.convert_to_numpy(head(features))  # called as it is: nothing to compile
