"""What is in the scanner besides the head, in some patients: fillings of teeth, earrings, hands that hold the head."""

from typing import NamedTuple

import numpy as np

from hemokit.datasets.phantom.canvas import paint_ball

METAL = 6000.0  # Hounsfield units before the scanner's limit
FINGER_MM, FINGER_BONE_MM, MARROW_MM = 7.5, 4.6, 2.6  # radii
FINGER_STEP_MM = 16.0


class Finger(NamedTuple):
    """A finger, about upright, in scanner mm: right and down from the image's middle, up from the head's origin."""

    foot: np.ndarray  # (2,) where it crosses height 0
    lean: np.ndarray  # (2,) mm it moves for each mm upward
    heights: tuple  # (lowest, highest)


class Belongings(NamedTuple):
    """What a patient brings along; most bring nothing."""

    metal: list  # of (point in mm of the face, radius)
    fingers: list  # of Finger


def draw_belongings(rng, head, pose):
    """Draw fillings for adults, earrings for women, and hands beside the head for a few."""
    metal = []
    if head.age_years > 12 and rng.random() < 0.2:
        for x in rng.uniform(8, 24, rng.integers(1, 5)) * rng.choice([-1, 1]):
            metal.append(((x, -88 + x * x / 26, rng.uniform(-86, -78)), rng.uniform(1.5, 3)))
    if head.sex == "Female" and rng.random() < 0.12:
        metal += [((side * 80.0, 8.0, -50.0), 1.6) for side in (-1, 1)]
    fingers = []
    if rng.random() < 0.06:
        sides = (-1, 1) if rng.random() < 0.6 else (rng.choice([-1, 1]),)
        for side in sides:
            fingers += _draw_hand(rng, side, pose)
    return Belongings(metal, fingers)


def _draw_hand(rng, side, pose):
    """Four fingers in a row on an arc around the head."""
    radius = 0.43 * pose.field_mm
    first, bottom = rng.uniform(-0.7, 0.0), rng.uniform(10, 50)
    for number in range(4):
        angle = first + number * FINGER_STEP_MM / radius + rng.normal(0, 0.02)
        foot = np.array([side * np.cos(angle), np.sin(angle)]) * radius * rng.normal(1, 0.02) + pose.center_mm
        heights = (bottom + rng.normal(0, 3), bottom + rng.uniform(45, 70))
        yield Finger(foot, rng.normal(0, 0.03, 2), heights)


def draw_metal(canvas, belongings):
    """Draw fillings and earrings into one cut, in coordinates of the face."""
    for point, radius in belongings.metal:
        paint_ball(canvas, METAL, point, (radius, radius, radius))


def add_hands(hu, belongings, pose, index):
    """Draw the fingers into one slice: small rings of bone in soft tissue, where the head leaves air."""
    height = pose.lowest_mm + index * pose.spacing_mm
    pixel = pose.field_mm / hu.shape[0]
    middle = (np.arange(hu.shape[0], dtype=np.float32) + 0.5 - hu.shape[0] / 2) * np.float32(pixel)
    for finger in belongings.fingers:
        low, high = finger.heights
        if not low <= height <= high:
            continue
        x, y = finger.foot + finger.lean * height
        away = np.hypot(middle[None, :] - np.float32(x), middle[:, None] - np.float32(y))
        drawn = np.full(hu.shape, -1000, np.float32)
        for radius, value in ((FINGER_MM, 40), (FINGER_BONE_MM, 900), (MARROW_MM, 10)):
            cover = np.clip((radius - away) / np.float32(pixel) + 0.5, 0, 1)
            drawn += cover * (value - drawn)
        np.maximum(hu, drawn, out=hu)
