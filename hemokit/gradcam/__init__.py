"""Grad-CAM: where in the image the evidence of a model for one label lies, on any Keras backend.

A map of one layer's features, coarse and blurred. It says nothing about whether the label is right; lesson 11 shows
when it misleads, and `evaluation.pointing_game` judges it against masks.
"""

from hemokit.gradcam.heat import gradcam, gradcam_batch, spatial_layers

__all__ = ["gradcam", "gradcam_batch", "spatial_layers"]
