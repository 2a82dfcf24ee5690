"""What bone does to the beam: the bright rim of the brain, and dark and bright streaks between dense bones."""

from functools import cache

import cv2
import numpy as np

GRID = 96  # the streaks are computed on this many pixels along an edge: they are smooth
NUM_VIEWS = 72  # directions of the beam over half a turn
FREE_CM = 1.6  # so much bone of 1300 HU along a ray is corrected without an error
STREAK_LIMIT = 18.0  # Hounsfield units


def draw_streaks(rng):
    """Draw how strong a patient's streaks are, in HU per cm of `streaks`: scanners and skulls differ."""
    return float(np.clip(rng.lognormal(np.log(75), 0.45), 25, 200))


def add_beam_hardening(hu, streak_gain, pixel_mm, vertex=0.0):
    """The brain's bright rim beside bone, a dark band between the petrous ridges, and streaks, in one slice.

    The first two are the look, not the physics, of the artifact: all bone is smeared around and added, as a
    scanner's correction for skulls overshoots; dense bone is smeared sideways and taken off. Real slices near
    the vertex, where most rays graze the vault, are about 10 HU brighter than those through the ventricles.

    Args:
        hu: float32 (rows, columns), square, changed in place.
        streak_gain: from `draw_streaks`.
        pixel_mm: size of a pixel of `hu`.
        vertex: 0 in most slices, up to 1 where the vault closes.
    """
    small = cv2.resize(hu, (128, 128), interpolation=cv2.INTER_AREA)
    bone = np.clip(small - 150, 0, 900)
    dense = np.clip(small - 850, 0, 900)
    shade = cv2.GaussianBlur(bone, (0, 0), sigmaX=6) * np.float32(0.016)
    shade += cv2.GaussianBlur(bone, (0, 0), sigmaX=13) * np.float32(0.028 + 0.07 * vertex)
    np.minimum(shade, 22, out=shade)
    shade += np.minimum(cv2.GaussianBlur(bone, (0, 0), sigmaX=2.5) * np.float32(0.006), 3)
    shade -= np.minimum(cv2.GaussianBlur(dense, (0, 0), sigmaX=20, sigmaY=2.0) * np.float32(0.2), 11)
    found = streaks(hu, pixel_mm) * np.float32(streak_gain / STREAK_LIMIT)
    shade += STREAK_LIMIT * cv2.resize(np.tanh(found), shade.shape, interpolation=cv2.INTER_LINEAR)
    hu += cv2.resize(shade, hu.shape[::-1], interpolation=cv2.INTER_LINEAR)


def streaks(hu, pixel_mm):
    """Streaks along the lines that cross much bone, as a filtered back projection makes them.

    Dense bone hardens the beam, so that rays through much of it are measured too short, by about the square of
    the bone's length (Brooks and Di Chiro 1976); the reconstruction smears that error along each ray. Between
    the petrous ridges this is the Hounsfield bar; from teeth and the occipital protuberance, a fan.

    Args:
        hu: float32 (rows, columns), square.
        pixel_mm: size of its pixels.

    Returns:
        float32 (GRID, GRID): negative where dark; mean about 0 in soft tissue; all 0 without bone.
    """
    small = cv2.resize(hu, (GRID, GRID), interpolation=cv2.INTER_AREA)
    bone = np.clip(small - 300, 0, 4000) * np.float32(0.001)
    columns, rows, across, views = _rays()
    pixel_cm = 0.1 * pixel_mm * hu.shape[0] / GRID
    paths = cv2.remap(bone, columns, rows, cv2.INTER_LINEAR).reshape(NUM_VIEWS, GRID, GRID).sum(axis=2)
    excess = np.maximum(paths * np.float32(pixel_cm) - np.float32(FREE_CM), 0)
    if not excess.any():
        return np.zeros((GRID, GRID), np.float32)
    frequency = np.fft.rfftfreq(2 * GRID)
    ramp = frequency * np.exp(-((frequency / 0.25) ** 2))
    error = np.fft.irfft(np.fft.rfft(-(excess**2), 2 * GRID, axis=1) * ramp, axis=1)[:, :GRID] / pixel_cm
    smeared = cv2.remap(np.ascontiguousarray(error, np.float32), across, views, cv2.INTER_LINEAR)
    smeared = smeared.reshape(NUM_VIEWS, GRID, GRID).sum(axis=0) * np.float32(np.pi / NUM_VIEWS)
    # Slow changes away from bone are what a scanner's correction takes out.
    soft = ((small > -200) & (small < 200)).astype(np.float32)
    slow = cv2.GaussianBlur(smeared * soft, (0, 0), sigmaX=5)
    slow /= cv2.GaussianBlur(soft, (0, 0), sigmaX=5) + np.float32(0.01)
    return smeared - slow


@cache
def _rays():
    """Where rays run: their points (column, row) in the image, and where each pixel lies in the views (ray, view)."""
    angle = ((np.arange(NUM_VIEWS) + 0.5) * np.pi / NUM_VIEWS)[:, None, None]
    middle = (GRID - 1) / 2
    down, right = np.arange(GRID)[:, None] - middle, np.arange(GRID) - middle
    columns = down * np.cos(angle) - right * np.sin(angle) + middle
    rows = down * np.sin(angle) + right * np.cos(angle) + middle
    across = right * np.cos(angle) + down * np.sin(angle) + middle
    views = np.broadcast_to(np.arange(NUM_VIEWS)[:, None, None], across.shape)
    return tuple(field.astype(np.float32).reshape(NUM_VIEWS * GRID, GRID) for field in (columns, rows, across, views))
