"""A worker of a distributed run, as a script: python training_worker.py RUN_DIR [KIND], with the variable TF_CONFIG."""

import json
import sys

import tensorflow as tf

# Made before anything else is computed, as TensorFlow demands.
strategy = tf.distribute.MultiWorkerMirroredStrategy()

from training_cases import fit_sequence, fit_simple  # noqa: E402

train = fit_sequence if sys.argv[2:] == ["sequence"] else fit_simple
history = train(sys.argv[1], strategy=strategy, precision="float32")
print(json.dumps(history[["loss", "val_loss"]].to_numpy().ravel().tolist()))
