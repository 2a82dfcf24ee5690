"""Networks, one function per architecture: Keras functional models of `keras.layers` and `keras.ops` alone.

Models know shapes, never data sets. Each runs on the TensorFlow, JAX and PyTorch backends (`KERAS_BACKEND`), takes
images in [0, 1] as `read_image` gives them, and has stable layer names, which are a contract: Grad-CAM, skips and
files of weights hang on them.
"""
