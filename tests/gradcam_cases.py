"""A network whose Grad-CAM is known exactly."""

import keras
import numpy as np
from keras import layers


def known(shape, *, pool=1, last="sigmoid", nested=False):
    """A network with a bright (x) and a dark (1 - x) feature and three labels: bright, not bright, dark.

    Its layers "features" and "coarse" (pooled) stand in a model of their own with nested=True.
    """
    rank = len(shape) - 1
    conv = getattr(layers, f"Conv{rank}D")(2, 1, activation="relu", name="features")
    image = x = keras.Input(shape)
    x = getattr(layers, f"AveragePooling{rank}D")(pool, name="coarse")(conv(x))
    if nested:
        image = keras.Input(shape)
        x = keras.Model(conv.input, [x, conv.output], name="inside")(image)[0]
    x = getattr(layers, f"GlobalAveragePooling{rank}D")(name="mean")(x)
    model = keras.Model(image, layers.Dense(3, activation=last, name="answer")(x), name="known")
    conv.set_weights([np.reshape([1.0, -1.0], (1,) * (rank + 1) + (2,)), np.float32([0, 1])])
    model.get_layer("answer").set_weights([np.float32([[1, -1, 0], [0, 0, 1]]), np.float32([0, 5, 0])])
    return model
