"""How the scanner sees the head: cuts in space, partial volume, noise, the head rest."""

from typing import NamedTuple

import cv2
import numpy as np

from hemokit.datasets.phantom.canvas import Canvas

GRID = 256  # largest grid on which structures are drawn: 0.9 mm, about the sharpness of a brain kernel
HIGHEST = 3071  # Hounsfield units that 12 bits can store
NUM_CUTS = 3  # thin cuts that make up one thick slice
KERNEL_MM = 0.41  # measured on real slices: noise correlates 0.82 at 0.36 mm and 0.45 at 0.72 mm


class Pose(NamedTuple):
    """How the head lies in the scanner, and the scanner's settings."""

    rotation: np.ndarray  # (3, 3) scanner mm -> head mm
    center_mm: np.ndarray  # (2,) where the head's origin lies against the image's middle, mm (right, down)
    field_mm: float  # edge of the square image
    spacing_mm: float  # between slices
    thickness_mm: float
    lowest_mm: float  # height of slice 0 above the head's origin
    noise_hu: float
    rest_radius_mm: float
    rest_bottom_mm: float  # of the head rest below the image's middle
    rest_step_mm: float  # it moves by this much from slice to slice where the gantry is tilted


def draw_pose(rng, head, num_slices):
    """Draw how this patient was scanned; returns (Pose, number of slices)."""
    turned = rng.normal(0, 18) if rng.random() < 0.2 else rng.normal(0, 4)
    yaw, pitch, roll = np.deg2rad([turned, rng.normal(0, 9), rng.normal(0, 3.5)])
    rotation = _rotation(yaw, pitch, roll)
    tall = float(head.scale[2])
    top = 79.0 * tall * rng.uniform(0.8, 1.0)
    covered = top + rng.uniform(70, 100) * tall * (0.8 + 0.2 * head.face)
    spacing = 5.0 if head.age_years > 1.5 else 4.0
    if num_slices is None:
        num_slices = int(np.clip(round(covered / spacing), 19, 40))
    spacing = covered / num_slices if abs(covered / num_slices - spacing) > 1 else spacing
    length = 2 * (83 + head.vault_mm + head.scalp_mm) * float(head.scale[1])
    field = float(np.clip(length * rng.normal(1.235, 0.06), length * 1.06, 255))
    step = rng.normal(0, 0.9) if rng.random() < 0.5 else 0.0
    return Pose(
        rotation=rotation,
        center_mm=np.array([rng.normal(0, 4), rng.normal(-1, 5)]),
        field_mm=field,
        spacing_mm=round(spacing, 2),
        thickness_mm=min(5.0, spacing),
        lowest_mm=top - (num_slices - 1) * round(spacing, 2),
        noise_hu=float(np.clip(rng.lognormal(np.log(3.6), 0.2), 2.0, 5.5)),
        rest_radius_mm=rng.uniform(0.44, 0.56) * field,
        rest_bottom_mm=rng.uniform(0.57, 0.75) * field,
        rest_step_mm=step,
    ), num_slices  # fmt: skip


def _rotation(yaw, pitch, roll):
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_z = np.array([[cy, sy, 0], [-sy, cy, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_y = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    return about_y @ about_x @ about_z


def make_canvas(pose, head, size, height_mm):
    """An empty cut (air) at `height_mm`, `size` x `size` pixels."""
    pixel = pose.field_mm / size
    to_head = pose.rotation / head.scale[:, None]  # scanner mm -> standard head mm
    corner = np.array(
        [(0.5 - size / 2) * pixel - pose.center_mm[0], (0.5 - size / 2) * pixel - pose.center_mm[1], height_mm]
    )
    columns = np.arange(size)[None, :] * pixel
    rows = np.arange(size)[:, None] * pixel
    fields = [
        (t[0] * (columns + corner[0]) + t[1] * (rows + corner[1]) + t[2] * height_mm).astype(np.float32)
        for t in to_head
    ]
    back = np.linalg.inv(to_head)
    to_pixel = np.zeros((3, 4))
    to_pixel[:, :3] = back / np.array([pixel, pixel, 1.0])[:, None]
    to_pixel[:, 3] = [-corner[0] / pixel, -corner[1] / pixel, -height_mm]
    hu = np.full((size, size), -1000.0, np.float32)
    scale = float(head.scale.mean())
    steep = np.clip((to_head[2, 2] * height_mm) / 78, 0, 1) ** 2
    edge = pixel / scale + steep * pose.thickness_mm / NUM_CUTS
    return Canvas(*fields, hu, to_pixel, pixel / float(head.scale.min()), float(edge))


def cut_heights(pose, index):
    """Heights of the thin cuts that are averaged into slice `index`."""
    middle = pose.lowest_mm + index * pose.spacing_mm
    return middle + (np.arange(NUM_CUTS) - (NUM_CUTS - 1) / 2) * (pose.thickness_mm / NUM_CUTS)


def vertex_share(pose, head, index):
    """How near slice `index` is to the vertex: 0 up to 48 mm above the head's origin, 1 from 75 mm."""
    height = (pose.lowest_mm + index * pose.spacing_mm) * pose.rotation[2, 2] / head.scale[2]
    return float(np.clip((height - 48) / 27, 0, 1))


def add_head_rest(hu, pose, index):
    """Draw the head rest into one slice: a bright U around the head, cut off by the image's edge."""
    size = hu.shape[0]
    pixel = pose.field_mm / size
    v = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) * np.float32(pixel)
    radius = np.float32(pose.rest_radius_mm)
    middle = np.float32(pose.rest_bottom_mm + index * pose.rest_step_mm - radius)
    below = np.maximum(v[:, None] - middle, 0)
    start = max(int((middle - 25) / pixel + size / 2), 0)
    if start >= size:
        return
    ring = np.sqrt(v[None, :] ** 2 + below[start:] ** 2) - radius
    shell = np.clip(0.5 + (1.1 - np.abs(ring)) / pixel, 0, 1)
    np.maximum(hu[start:], shell * 1350 - 1000, out=hu[start:])


def add_noise(hu, pose, rng):
    """Add noise as a smooth brain kernel leaves it: correlated over about a millimeter, stronger behind bone."""
    size = hu.shape[0]
    pixel = pose.field_mm / size
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    sigma = KERNEL_MM / pixel
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma)) + 1, sigma, cv2.CV_32F)
    noise = cv2.sepFilter2D(noise, -1, kernel, kernel)
    # The blur left this much of the standard deviation; a coarser pixel averages the same noise.
    left = float((kernel**2).sum())
    fine = min(1.0, 1.5 * KERNEL_MM / pixel)
    noise *= np.float32(pose.noise_hu / left * fine)
    hu += noise
