"""A worker of a distributed run, as a script: python training_worker.py RUN_DIR, with the variable TF_CONFIG."""

import json
import sys

import tensorflow as tf

# Made before anything else is computed, as TensorFlow demands.
strategy = tf.distribute.MultiWorkerMirroredStrategy()

from training_cases import fit_simple  # noqa: E402

history = fit_simple(sys.argv[1], strategy=strategy, precision="float32")
print(json.dumps(history[["loss", "val_loss"]].to_numpy().ravel().tolist()))
