"""Probabilities as whole thousandths: what the page gets, and what its threshold counts in."""

import numpy as np

STEPS = 1000


def in_steps(probability):
    """A map in [0, 1] as uint16 thousandths, rounded down: step >= k where, and only where, probability >= k/1000."""
    edges = np.arange(1, STEPS + 1, dtype=np.float32) / np.float32(STEPS)
    steps = np.minimum(np.floor(probability * np.float32(STEPS)), STEPS - 1).astype(np.int32)
    steps += probability >= edges[steps]  # a product that was rounded down, though the step is reached
    below = np.where(steps > 0, edges[np.maximum(steps, 1) - 1], np.float32(0))
    return (steps - (probability < below)).astype(np.uint16)
