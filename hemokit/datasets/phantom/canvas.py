"""One thin cut through the head: where its pixels lie, and how shapes are drawn on it.

Shapes are signed distances in millimeters of a standard adult head (negative inside), so that edges are
soft by a known width and a structure is the same in every slice that it crosses. Axes of the head: x to
the right of the image, y to the back, z up; the origin lies in the third ventricle.
"""

from typing import NamedTuple

import cv2
import numpy as np

NOISE_SIZE = 32  # voxels along an axis of the noise block, which repeats itself


class Canvas(NamedTuple):
    """A cut (or a rectangle of one): head coordinates of its pixels and the image drawn so far.

    Fields:
        x, y, z: float32 (rows, columns), head coordinates in mm.
        hu: float32 (rows, columns), Hounsfield units; drawing changes it in place.
        to_pixel: (3, 4) matrix from (x, y, z, 1) to (column, row, mm above the cut).
        pixel_mm: size of a pixel in head mm.
        edge: width over which an edge fades, in head mm.
        slack: how far the coordinates may be shifted against `to_pixel` (mass effect), in mm.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    hu: np.ndarray
    to_pixel: np.ndarray
    pixel_mm: float
    edge: float
    slack: float = 0.0

    def near(self, center, reach):
        """The rectangle of this canvas within `reach` mm of `center` (views, not copies), or None out of sight."""
        column, row, above = self.to_pixel @ (*center, 1.0)
        margin = reach + self.edge + self.slack
        if abs(above) >= margin:
            return None
        span = np.sqrt(margin * margin - above * above) / self.pixel_mm + 1
        top, left = max(int(row - span), 0), max(int(column - span), 0)
        bottom, right = int(row + span) + 2, int(column + span) + 2
        if bottom <= top or right <= left or top >= self.x.shape[0] or left >= self.x.shape[1]:
            return None
        return self.window(slice(top, bottom), slice(left, right))

    def window(self, rows, columns):
        """The rectangle of this canvas that two slices select (views, not copies)."""
        to_pixel = self.to_pixel.copy()
        to_pixel[:2, 3] -= (columns.start, rows.start)
        return Canvas(*(field[rows, columns] for field in self[:4]), to_pixel, *self[5:])

    def place_of(self, part):
        """Where the rectangle `part` of this canvas lies: (rows, columns), an index for arrays of its shape."""
        left, top = np.rint(self.to_pixel[:2, 3] - part.to_pixel[:2, 3]).astype(int)
        rows, columns = part.x.shape
        return slice(top, top + rows), slice(left, left + columns)

    def stretched(self, factors, about):
        """The same canvas in coordinates divided by `factors` about the point `about` (a child's small face)."""
        coordinates = [
            (v - np.float32(a)) / np.float32(f) + np.float32(a)
            for v, f, a in zip(self[:3], factors, about, strict=True)
        ]
        back = np.diag([*factors, 1.0])
        back[:3, 3] = np.subtract(about, np.multiply(factors, about))
        return self._replace(
            x=coordinates[0], y=coordinates[1], z=coordinates[2],
            to_pixel=self.to_pixel @ back, pixel_mm=self.pixel_mm / min(factors),
        )  # fmt: skip

    def paint(self, hu, distance, edge=None):
        """Draw a shape: `hu` (a number or an array) where `distance` < 0, fading over the edge."""
        alpha = cover(distance, self.edge if edge is None else edge)
        self.hu[...] += alpha * (hu - self.hu)


def bounds(inside):
    """The smallest rectangle that holds all True pixels: (rows, columns) as slices; empty slices without any."""
    spans = []
    for axis in (1, 0):
        hits = np.flatnonzero(inside.any(axis=axis))
        spans.append(slice(int(hits[0]), int(hits[-1]) + 1) if len(hits) else slice(0, 0))
    return tuple(spans)


def cover(distance, edge):
    """How much of each pixel a shape covers, 0..1, from its signed distance in mm: a ramp `edge` mm wide."""
    alpha = np.multiply(distance, np.float32(-1 / edge))
    alpha += np.float32(0.5)
    return np.clip(alpha, 0, 1, out=alpha)


def ellipsoid(canvas, center, semi):
    """Signed distance to an ellipsoid with half axes `semi`, exact to first order near its surface."""
    u, v, w = (
        (field - np.float32(c)) * np.float32(1 / s) for field, c, s in zip(canvas[:3], center, semi, strict=True)
    )
    k2 = u * u
    slope = k2 * np.float32(1 / semi[0] ** 2)
    v *= v
    k2 += v
    slope += v * np.float32(1 / semi[1] ** 2)
    w *= w
    k2 += w
    slope += w * np.float32(1 / semi[2] ** 2)
    k2 += np.float32(1e-6)
    slope += np.float32(1e-9)
    # f = k - 1 has gradient |p / semi^2| / k, so the distance is about k (k - 1) / |p / semi^2|.
    return (k2 - np.sqrt(k2)) / np.sqrt(slope)


def sphere(canvas, center, radius):
    """Signed distance to a sphere."""
    dx, dy, dz = (field - np.float32(c) for field, c in zip(canvas[:3], center, strict=True))
    dx *= dx
    dx += dy * dy
    dx += dz * dz
    return np.sqrt(dx) - np.float32(radius)


def capsule(canvas, start, end, radii):
    """Signed distance to a rod from `start` to `end` whose radius runs from radii[0] to radii[1]."""
    axis = np.subtract(end, start)
    ax, ay, az = (axis / (axis @ axis)).astype(np.float32)
    dx, dy, dz = (field - np.float32(c) for field, c in zip(canvas[:3], start, strict=True))
    along = dx * ax
    along += dy * ay
    along += dz * az
    np.clip(along, 0, 1, out=along)
    dx -= along * np.float32(axis[0])
    dy -= along * np.float32(axis[1])
    dz -= along * np.float32(axis[2])
    dx *= dx
    dx += dy * dy
    dx += dz * dz
    np.sqrt(dx, out=dx)
    along *= np.float32(radii[0] - radii[1])
    along -= np.float32(radii[0])
    dx += along
    return dx


def rod(canvas, start, end, radii):
    """The rectangle around a capsule and the signed distance in it, or None where it is out of sight."""
    center = np.add(start, end) / 2
    part = canvas.near(center, np.linalg.norm(np.subtract(end, start)) / 2 + max(radii))
    return None if part is None else (part, capsule(part, start, end, radii))


def ball(canvas, center, semi):
    """The rectangle around an ellipsoid and the signed distance in it, or None where it is out of sight."""
    part = canvas.near(center, max(semi))
    return None if part is None else (part, ellipsoid(part, center, semi))


def paint_rod(canvas, hu, start, end, radii):
    """Draw a capsule of density `hu`."""
    if (seen := rod(canvas, start, end, radii)) is not None:
        seen[0].paint(hu, seen[1])


def paint_ball(canvas, hu, center, semi):
    """Draw an ellipsoid of density `hu`."""
    if (seen := ball(canvas, center, semi)) is not None:
        seen[0].paint(hu, seen[1])


def make_noise(rng):
    """A block of smooth random values that repeats itself: four fields, mean 0 and standard deviation 1.

    Band-passed white noise, so that its zero level winds like the cortex.

    Returns:
        float32 (NOISE_SIZE * (NOISE_SIZE + 1), NOISE_SIZE + 1, 4): the slices of the block on top of one
        another, each with its first row and column repeated at the end, as `noise_at` wants them.
    """
    n = NOISE_SIZE
    white = rng.standard_normal((n, n, n, 4), dtype=np.float32)
    f = np.fft.fftfreq(n).astype(np.float32)
    f2 = f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[None, None, : n // 2 + 1] ** 2
    band = np.exp(-(((np.sqrt(f2) - NOISE_FREQUENCY) / (0.45 * NOISE_FREQUENCY)) ** 2))
    smooth = np.fft.irfftn(np.fft.rfftn(white, axes=(0, 1, 2)) * band[..., None], s=(n, n, n), axes=(0, 1, 2))
    smooth = (smooth / smooth.std(axis=(0, 1, 2))).astype(np.float32)
    smooth = np.pad(smooth, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="wrap")
    return np.ascontiguousarray(smooth.reshape(n * (n + 1), n + 1, 4))


NOISE_FREQUENCY = 0.14  # waves per voxel of the noise block


def noise_at(block, x, y, z, wavelength_mm):
    """Look the noise up at points in space.

    Args:
        block: from `make_noise`.
        x, y, z: float32 (rows, columns), coordinates in mm.
        wavelength_mm: typical distance from one crest to the next.

    Returns:
        float32 (rows, columns, 4), linear between the voxels.
    """
    n = NOISE_SIZE
    scale = np.float32(1 / (NOISE_FREQUENCY * wavelength_mm))
    columns, rows, slices = (_wrapped(field * scale) for field in (x, y, z))
    below = np.floor(slices)
    weight = (slices - below)[..., None]
    rows_below = rows + below * np.float32(n + 1)
    above = np.where(below >= n - 1, np.float32(0), below + 1)
    rows_above = rows + above * np.float32(n + 1)
    low = cv2.remap(block, columns, rows_below, cv2.INTER_LINEAR)
    high = cv2.remap(block, columns, rows_above, cv2.INTER_LINEAR)
    high -= low
    high *= weight
    high += low
    return high


def smooth_noise(canvas, block, wavelength_mm, stretch=None):
    """`noise_at` for the pixels of a canvas, looked up on every second or fourth of them where waves are long.

    Args:
        stretch: function of (x, y, z) that gives a factor on the coordinates, or None.
    """
    step = 4 if wavelength_mm > 6 * 4 * canvas.pixel_mm else 2
    fields = [np.ascontiguousarray(field[::step, ::step]) for field in canvas[:3]]
    if stretch is not None:
        factor = stretch(*fields)
        fields = [field * factor for field in fields]
    field = noise_at(block, *fields, wavelength_mm)
    rows, columns = canvas.x.shape
    matrix = np.float32([[step, 0, 0], [0, step, 0]])
    return cv2.warpAffine(field, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _wrapped(v):
    v -= np.floor(v * np.float32(1 / NOISE_SIZE)) * np.float32(NOISE_SIZE)
    # Rounding can give exactly the size itself, which is the repeated row: still inside the block.
    return np.clip(v, 0, np.float32(NOISE_SIZE - 1e-3), out=v)
