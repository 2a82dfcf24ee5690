"""The brain and the spaces around it: cortex, sulci, ventricles, cisterns, membranes, calcifications."""

from typing import NamedTuple

import numpy as np

from hemokit.datasets.phantom.canvas import ball, cover, paint_ball, paint_rod, rod, smooth_noise

CSF = 7.0  # Hounsfield units of cerebrospinal fluid
FAR = np.float32(99.0)
RIBBON_MM = 4.4  # thickness of the cortex as 5 mm slices show it
GYRUS_MM = 24.0  # from one sulcus crest to the next but one

# The lateral ventricle of one side as rods: start, end (x, y, z in mm), radii there.
LATERAL = (
    ((11, -31, 6), (4.5, -11, 9), (2.0, 2.2)),
    ((13, -30, 14), (5.5, -10, 16), (2.4, 3.0)),
    ((5.5, -10, 16), (9, 4, 22), (3.2, 4.0)),
    ((9, 4, 22), (17, 24, 19), (4.0, 4.4)),
    ((17, 24, 19), (24, 34, 8), (4.4, 5.0)),
    ((24, 34, 8), (22, 60, 5), (4.6, 1.2)),
    ((25, 32, 6), (31, 14, -11), (3.2, 1.5)),
    ((31, 14, -11), (27, -8, -19), (1.4, 1.0)),
)


class Spaces(NamedTuple):
    """Signed distances (mm, negative inside) to the fluid spaces of a cut, and what bleeds need besides."""

    cavity: np.ndarray  # inner table of the skull
    sulci: np.ndarray  # sulci and Sylvian fissure
    cisterns: np.ndarray
    ventricles: np.ndarray
    midline: np.ndarray  # x against the falx, mm
    tentorium: np.ndarray  # height above it, mm
    texture: np.ndarray  # (rows, columns, 4) noise
    hull: np.ndarray = None  # inner table without the ridges of the base


def shifted(canvas, masses):
    """The canvas in the coordinates that its tissue had before masses pushed it aside.

    Args:
        masses: sequence of (point, push, reach): tissue at `point` has moved by the vector `push` (mm),
            tissue `reach` mm away by 1/e of it.
    """
    if not masses:
        return canvas
    fields = [field.copy() for field in canvas[:3]]
    for point, push, reach in masses:
        r2 = sum((f - np.float32(c)) ** 2 for f, c in zip(canvas[:3], point, strict=True))
        fall = np.exp(r2 * np.float32(-1 / reach**2))
        for field, step in zip(fields, push, strict=True):
            field -= fall * np.float32(step)
    slack = max(float(np.linalg.norm(push)) for _, push, _ in masses)
    return canvas._replace(x=fields[0], y=fields[1], z=fields[2], slack=slack)


def cortex_noise(canvas, head):
    """Noise whose waves run along the skull's surface, so that sulci (its zero level) point inward."""
    return smooth_noise(canvas, head.noise, GYRUS_MM, stretch=_inward)


def _inward(x, y, z):
    return np.power((x * x + y * y + (z + 8) ** 2 + 60) * np.float32(1 / 62**2), np.float32(-0.36))


def draw_brain(canvas, head, cavity, hull, masses=()):
    """Draw all that lies within the inner table; returns the `Spaces` that bleeds are drawn into.

    Args:
        canvas: in `shaped` coordinates.
        head: the patient's `Head`.
        cavity, hull: signed distances to the inner table, see `cranium.cavity_distance`.
        masses: see `shifted`.
    """
    canvas.paint(CSF, cavity)
    inner = shifted(canvas, masses)
    texture = cortex_noise(inner, head)
    inner = _bent(inner, texture)
    midline = inner.x - 0.4 * texture[..., 1]
    tentorium = inner.z - (np.float32(3.0) - 0.36 * np.abs(inner.x) - 0.18 * (inner.y - 20))
    spaces = _find_spaces(inner, head, cavity, midline, tentorium, texture)._replace(hull=hull)
    tissue = _tissue(inner, head, spaces)
    canvas.paint(tissue, _parenchyma(inner, head, cavity, texture))
    for space in (spaces.sulci, spaces.cisterns, spaces.ventricles):
        canvas.paint(CSF, np.maximum(space, cavity + 0.3))
    draw_membranes(inner, head, spaces)
    draw_calcifications(inner, head)
    return spaces


def _bent(canvas, texture):
    """The canvas with coordinates bent by a millimeter or two: no two ventricles are alike."""
    fields = [field + np.float32(1.3) * texture[..., i] for i, field in enumerate(canvas[:3], start=1)]
    return canvas._replace(x=fields[0], y=fields[1], z=fields[2], slack=canvas.slack + 4)


def _parenchyma(canvas, head, cavity, texture):
    """Signed distance to the brain's surface: a gap below the skull, a cord in the canal."""
    surface = cavity + np.float32(head.gap_mm) * (1 + np.float32(0.35) * texture[..., 2])
    if float(canvas.z.min()) < -42:
        cord = np.hypot(canvas.x * np.float32(0.9), canvas.y - 18) - float(
            np.interp(float(canvas.z.max()), [-70, -46], [5.5, 8.5])
        )
        np.maximum(surface, np.minimum(cord, (-53 - canvas.z) * 2), out=surface)
    return surface


def _find_spaces(canvas, head, cavity, midline, tentorium, texture):
    """Where the fluid is."""
    away = np.abs(midline)
    medial = _beyond_callosum(canvas)
    depth = np.minimum(-cavity, np.maximum(away - 0.3, medial * -40))
    sheet = np.abs(texture[..., 0]) * np.float32(GYRUS_MM / 6.3)
    reach = 12 + 5 * texture[..., 1]
    width = np.float32(head.sulcus_mm) * (1 + 0.3 * texture[..., 2])
    cerebrum = np.where((tentorium > 0) | (canvas.y < 6), np.float32(0), FAR)
    sulci = np.maximum(np.maximum(sheet - width, depth - reach), cerebrum)
    fissure = np.maximum(away - np.float32(0.35 + 1.2 * head.sulcus_mm), np.maximum(-medial * 40, cerebrum))
    np.minimum(sulci, fissure, out=sulci)
    np.minimum(sulci, _sylvian(canvas, head, texture), out=sulci)
    cisterns = _cisterns(canvas, head)
    ventricles = _ventricles(canvas, head)
    return Spaces(cavity, sulci, cisterns, ventricles, midline, tentorium, texture)


def _beyond_callosum(canvas):
    """Above 0 where the two hemispheres are apart: outside the callosum and the deep nuclei."""
    v, w = (canvas.y - 2) * np.float32(1 / 47), (canvas.z - 4) * np.float32(1 / 27)
    return np.maximum(np.sqrt(v * v + w * w) - 1, (-16 - canvas.z) * np.float32(0.02))


def _sylvian(canvas, head, texture):
    """The Sylvian fissures: in along the temporal lobe's upper side, then along the insula."""
    if float(canvas.z.max()) < -16 or float(canvas.z.min()) > 24:
        return FAR
    x = np.abs(canvas.x) + 3 * texture[..., 3]
    y, z = canvas.y + 3 * texture[..., 1], canvas.z
    insula = np.abs(x - (39 + 0.16 * (y + 4))) + np.maximum(np.abs(y + 3) - 14, 0)
    opening = np.abs(y + 13 - 0.55 * (x - 40) - 0.6 * (z - 2)) * 0.85 + np.maximum(40 - x, 0)
    width = np.float32(1.9 * head.sulcus_mm - 0.2) + 0.6 * texture[..., 2]
    return np.maximum(np.minimum(insula, opening) - width, np.abs(z - 3) - 16)


def _ventricles(canvas, head):
    distance = np.full(canvas.x.shape, FAR)
    for side in (-1, 1):
        wide = head.ventricle * (1 + side * head.asymmetry)
        for start, end, radii in LATERAL:
            flip = np.array([side, 1, 1])
            seen = rod(canvas, start * flip, end * flip, np.multiply(radii, wide))
            _join(distance, canvas, seen)
    wide = head.ventricle
    _join(distance, canvas, ball(canvas, (0, -1, -1), (1.9 * wide, 13, 10)))
    _join(distance, canvas, rod(canvas, (0, 14, -2), (0, 27, -24), (0.7, 0.9)))
    _join(distance, canvas, ball(canvas, (0, 31, -31), (6.0 * wide**0.5, 4.2 * wide**0.5, 9)))
    return distance


def _cisterns(canvas, head):
    distance = np.full(canvas.x.shape, FAR)
    if float(canvas.z.min()) > 8:
        return distance
    wide = 0.95 + 0.4 * head.sulcus_mm
    for end in ((15, -19, -12), (-15, -19, -12), (12, 1, -12), (-12, 1, -12), (0, -24, -12)):
        _join(distance, canvas, rod(canvas, (0, -9, -13), end, (4.2 * wide, 1.6 * wide)))
    for side in (-1, 1):
        _join(distance, canvas, rod(canvas, (side * 12, 1, -12), (side * 17.5, 12, -9), (1.2 * wide, 1.3 * wide)))
        _join(distance, canvas, rod(canvas, (side * 17.5, 12, -9), (side * 10, 25, -5), (1.3 * wide, 1.8 * wide)))
        _join(distance, canvas, rod(canvas, (side * 10, 25, -5), (0, 27, -3), (1.8 * wide, 2.6 * wide)))
        _join(distance, canvas, ball(canvas, (side * 21, 5, -33), (6 * wide, 4 * wide, 5 * wide)))
    _join(distance, canvas, ball(canvas, (0, -6, -28), (11, 4.2 * wide, 14)))
    _join(distance, canvas, ball(canvas, (0, 66, -44), (10 * wide, 7 * wide, 7 * wide)))
    return distance


def _join(distance, whole, seen):
    """Take the smaller of two distances, the second known in a rectangle only."""
    if seen is None:
        return
    part, other = seen
    window = distance[whole.place_of(part)]
    np.minimum(window, other, out=window)


def _tissue(canvas, head, spaces):
    """Density of the tissue itself: gray ribbon and nuclei on white matter; cerebellum and brain stem."""
    texture = spaces.texture
    away = np.maximum(np.abs(spaces.midline), _beyond_callosum(canvas) * -40)
    depth = np.minimum(-spaces.cavity, away)
    sheet = np.maximum(np.abs(texture[..., 0]) * np.float32(GYRUS_MM / 6.3), depth - (11 + 5 * texture[..., 1]))
    ribbon = np.minimum(np.minimum(sheet, depth), np.maximum(spaces.sulci, 0))
    gray = cover(ribbon - RIBBON_MM, 3.2)
    _deep_nuclei(canvas, gray)
    hind = cover(spaces.tentorium, 2.0) * cover(4 - canvas.y, 4.0)
    np.maximum(gray, 0.72 * hind * (1 + 0.12 * texture[..., 3]), out=gray)
    for start, end, radii in (((0, 12, -6), (0, 14, -34), (14, 14)), ((0, 14, -34), (0, 19, -60), (12, 8))):
        seen = rod(canvas, start, end, radii)
        if seen is not None:
            _blend(gray, canvas, seen, 0.42)
    gray *= np.float32(head.gray_hu - head.white_hu)
    gray += np.float32(head.white_hu)
    gray += np.float32(1.0) * texture[..., 3]
    # Blood in the vessels of the surface: dots of a few HU above the cortex.
    vessels = np.maximum(texture[..., 2] - np.float32(0.9), 0) * cover(ribbon - 2.5, 2.5)
    gray += np.float32(2.0) * np.minimum(vessels, 1)
    return gray


def _deep_nuclei(canvas, gray):
    for side in (-1, 1):
        for center, semi, amount in (
            ((12, -23, 9), (5, 8, 10), 0.95),
            ((24, -7, 2), (7, 17, 10), 0.9),
            ((11, 9, 3), (9, 14, 10), 0.8),
        ):
            seen = ball(canvas, np.multiply(center, (side, 1, 1)), semi)
            if seen is not None:
                _blend(gray, canvas, seen, amount)


def _blend(amount, whole, seen, value):
    part, distance = seen
    window = amount[whole.place_of(part)]
    window += cover(distance, 2.5) * (np.float32(value) - window)


def draw_membranes(canvas, head, spaces):
    """Falx, tentorium and the venous sinuses along them: brighter than brain without any bleed."""
    depth = -spaces.cavity
    inside = spaces.cavity + 0.5
    y, z = canvas.y, canvas.z
    away = np.abs(spaces.midline)
    above = -spaces.tentorium
    v, w = (y + 2) * np.float32(1 / 50), (z - 2) * np.float32(1 / 33)
    beyond = (1 - np.sqrt(v * v + w * w)) * 40
    falx = np.maximum(np.maximum(away - 0.55, beyond), np.maximum(inside, np.minimum(above, -y)))
    canvas.paint(46.0, falx)
    if head.falx_hu:
        canvas.paint(np.float32(head.falx_hu), np.maximum(falx, 1.0 - spaces.texture[..., 2]))
    if float(z.min()) < 12:
        incisura = 1 - np.hypot(canvas.x * np.float32(1 / 20), (y - 10) * np.float32(1 / 24))
        tent = np.maximum(np.abs(spaces.tentorium) * 0.9 - 0.6, np.maximum(incisura * 20, inside))
        canvas.paint(46.0, np.maximum(tent, 3 - y))
        lateral = np.maximum(np.abs(spaces.tentorium + 1) + 0.9 * depth - 5.5, 14 - y)
        canvas.paint(np.float32(head.vein_hu), np.maximum(lateral, inside))
        paint_rod(canvas, np.float32(head.vein_hu), (0, 34, 5), (0, 76, -9), (1.6, 2.2))
        paint_ball(canvas, 44.0, (0, -2, -16), (1.7, 1.7, 10))  # basilar artery
    sagittal = np.maximum(away + 0.75 * depth - 5.0, np.minimum(8 - z, 30 - y))
    canvas.paint(np.float32(head.vein_hu), np.maximum(sagittal, inside))


def draw_calcifications(canvas, head):
    """Pineal gland and choroid plexus, calcified in many adults."""
    if head.pineal_hu:
        paint_ball(canvas, np.float32(head.pineal_hu), (0.4, 26, 1), (2.2, 2.6, 2.4))
    for side, hu in zip((-1, 1), head.plexus_hu, strict=True):
        paint_ball(canvas, 44.0, (side * 23.5, 31, 9), (2.2, 4.5, 5))
        if hu:
            paint_ball(canvas, np.float32(hu), (side * 23.5, 31.5, 8), (2.2, 3.2, 3.4))
