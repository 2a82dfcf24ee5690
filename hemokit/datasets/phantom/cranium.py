"""The skull and what lies outside it: cavity, vault with diploe, skull base, scalp, swelling and fractures."""

import numpy as np

from hemokit.datasets.phantom.canvas import Canvas, ball, cover, noise_at, paint_ball, smooth_noise

AIR, FAT, SKIN, MUSCLE, WATER = -1000.0, -95.0, 15.0, 56.0, 6.0  # Hounsfield units
VAULT = (66.0, 83.0, 78.0)  # half axes of an adult's cranial cavity, mm
ANTERIOR_FLOOR = -13.0  # height of the orbital roofs


def shaped(canvas, head):
    """The canvas in coordinates in which this head is a standard one: taper, flattening and skew undone."""
    y = canvas.y + np.float32(head.skew) * canvas.x
    x = canvas.x * (1 - np.float32(head.taper / VAULT[1]) * canvas.y)
    return canvas._replace(x=x, y=y)


def cavity_distance(canvas, head, relief=None):
    """Signed distance to the inner table of the skull: vault, the three fossae of its base, foramen magnum.

    Args:
        canvas: in `shaped` coordinates.
        relief: from `relief_noise`: the irregularities of the bone; None leaves them out.

    Returns:
        (cavity, hull), float32, the canvas's shape: negative inside the cranial cavity and the vertebral
        canal; the hull is the cavity without the ridges that stand into it.
    """
    x, y, z = canvas.x, canvas.y, canvas.z
    distance = _vault_distance(canvas, head.boxy)
    if relief is not None:
        distance += np.float32(0.75) * relief[..., 3]
    zmax, zmin = float(z.max()), float(z.min())
    # The frontal crest and the internal occipital protuberance.
    crest = np.exp(x * x * np.float32(-1 / 14)) * np.clip(np.abs(y) * np.float32(0.1) - 5.5, 0, 1.5)
    crest *= np.float32(2.2 * np.clip(1.6 - abs(zmin + zmax) / 60, 0, 1))
    if zmin > 0:
        return distance + crest, distance
    if relief is not None:
        # No bone of the base is smooth: bend the coordinates by a few millimeters.
        bend = smooth_noise(canvas, head.noise, 24.0)
        x, y, z = (field + np.float32(1.7) * bend[..., i] for i, field in enumerate((x, y, z)))
    away = np.abs(x)
    np.maximum(distance, 0.7 * (_floor(away, y) - z), out=distance)
    ridges = np.minimum(_petrous_distance(away, y, z), _sphenoid_distance(away, y, z))
    np.maximum(ridges, -46 - z, out=ridges)
    if zmin < -30:
        canal = np.hypot(x * np.float32(0.9), y - 21 - 0.06 * (z + 50)) - float(
            np.interp(zmax, [-75, -48], [10.0, 15.0])
        )
        np.minimum(distance, np.maximum(canal, z + 40), out=distance)
    return np.maximum(distance + crest, -ridges), distance


def _floor(away, y):
    """Height of the skull's base: orbital roofs, then down to the middle and the posterior fossa."""
    back = y - np.float32(0.018) * (away - 38) ** 2
    front = ANTERIOR_FLOOR - np.clip((back + 44) * 1.7, 0, 25) - np.clip((y - 2) * 2, 0, 60) + 0.05 * away
    rear = np.maximum(y, 2)
    behind = np.float32(-54) + np.float32(0.008 / 15) * np.minimum(rear, 15) * (away * away + (rear - 38) ** 2)
    return np.maximum(front, behind)


def _vault_distance(canvas, boxy):
    """An ellipsoid with fuller sides, as heads seen from above have: k^2 = X^2 + Y^2 + Z^2 - boxy X^2 Y^2."""
    u, v, w = (field * np.float32(1 / s) for field, s in zip(canvas[:3], VAULT, strict=True))
    u *= u
    v *= v
    w *= w
    k2 = u + v + w
    slope = u * np.float32(VAULT[0] ** -2) + v * np.float32(VAULT[1] ** -2) + w * np.float32(VAULT[2] ** -2)
    u *= v
    k2 -= u * np.float32(boxy)
    np.maximum(k2, np.float32(1e-4), out=k2)
    return (k2 - np.sqrt(k2)) / np.sqrt(slope + np.float32(1e-9))


def _petrous_distance(away, y, z):
    """The petrous pyramids: ridges from beside the clivus outward and backward, wider below."""
    ridge = (y - 0.48 * (away - 12) - 3) * np.float32(0.9)
    width = np.clip((-15 - z) * np.float32(0.5), -20, 12)
    return np.maximum(np.abs(ridge, out=ridge) - width, 11 - away)


def _sphenoid_distance(away, y, z):
    """The body of the sphenoid bone with the saddle and the clivus behind it."""
    below = -14 - z
    return np.maximum(np.maximum(away - 13 - 0.3 * below, -below), y + 7 - 0.45 * below)


def surface_point(head, azimuth, elevation):
    """The point of the inner table in a direction from the middle of the cavity, and the outward normal there.

    Args:
        azimuth: radians in the axial plane, 0 to the right of the image, pi/2 to the back.
        elevation: radians above the axial plane.

    Returns:
        (point, normal), two float64 arrays (3,) in head mm.
    """
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    radius = np.linspace(30, 110, 161)
    distance = _at_points(head, direction * radius[:, None])
    point = direction * radius[max(int(np.argmax(distance > 0)), 1)]
    steps = point + np.vstack([np.eye(3), -np.eye(3)])
    d = _at_points(head, steps)
    normal = d[:3] - d[3:]
    return point, normal / np.linalg.norm(normal)


def _at_points(head, points):
    fields = [column.astype(np.float32)[:, None] for column in points.T]
    canvas = Canvas(*fields, fields[0].copy(), np.eye(3, 4), 1.0, 1.0)
    return cavity_distance(shaped(canvas, head), head)[1][:, 0].astype(np.float64)


def sutures(x, y, z):
    """Signed distances in mm to the coronal and the lambdoid suture, carried on through the head.

    The coronal suture runs from the bregma (y -20, z 78) to the pterions (y -36, z -5); the lambdoid one from the
    lambda (x 0, z 38, at the back) to the asterions (x 58, z -22).

    Args:
        x, y, z: numbers or arrays of one shape, in `shaped` coordinates.

    Returns:
        (coronal, lambdoid): above 0 behind the coronal and above the lambdoid suture, on the parietal bones.
    """
    coronal = (y + 35 - 0.19 * z) * np.float32(0.98)
    lambdoid = (z - 38 + 1.03 * np.abs(x)) * np.float32(0.7)
    return coronal, np.maximum(lambdoid, 30 - y)


def relief_noise(canvas, head):
    """Noise behind the bumps of the skull and of the scalp, (rows, columns, 4)."""
    return smooth_noise(canvas, head.noise, 48.0)


def thickness(canvas, head, relief, trauma):
    """Thickness in mm of skull and scalp over the whole cut, and how swollen the scalp is (0..1)."""
    along = canvas.y * np.float32(1 / 85)
    # The forehead and the occiput are thicker than the temples.
    bone = np.float32(head.vault_mm) * (0.84 + 0.3 * along * along + np.float32(0.08) * relief[..., 1])
    if head.air > 0.75 and float(canvas.z.min()) < 20:
        # The brows bulge over the frontal sinuses.
        brow = (canvas.x * np.float32(1 / 26)) ** 2 + ((canvas.z + 3) * np.float32(1 / 14)) ** 2
        bone += np.float32(5.5 * head.air) * np.exp(-brow) * (canvas.y < -30)
    scalp = np.float32(head.scalp_mm) * (1 + np.float32(0.13) * relief[..., 2])
    swollen = None
    if trauma is not None and trauma.swelling_mm > 0:
        offsets = (f - np.float32(c) for f, c in zip(canvas[:3], trauma.point, strict=True))
        swollen = np.exp(sum(o * o for o in offsets) * np.float32(-1 / trauma.swelling_reach**2))
        scalp += np.float32(trauma.swelling_mm) * swollen
    return np.maximum(bone, np.float32(1.2)), scalp, swollen


def draw_scalp(canvas, outer, scalp):
    """Scalp: skin over fat; returns the signed distance to the skin."""
    skin = outer - scalp
    canvas.paint(FAT, skin)
    canvas.paint(SKIN, np.abs(skin + np.float32(0.7)) - np.float32(0.6))
    return skin


def draw_bone(canvas, head, cavity, outer):
    """The skull itself, between inner and outer surface; spongy between its tables where it is thick."""
    canvas.paint(np.float32(head.bone_hu), outer)
    thick = cavity - outer
    table = np.minimum(cavity, -outer)  # depth below the nearer surface
    spongy = cover(1.9 - table, 1.2) * cover(4.2 - thick, 1.0)
    canvas.hu[...] -= spongy * np.float32(0.48 * head.bone_hu)
    if float(canvas.z.min()) < -20:
        # Joints, canals and vessels leave holes in the bone of the base.
        holes = smooth_noise(canvas, head.noise, 15.0)[..., 3]
        canvas.paint(45.0, np.maximum(np.maximum((0.75 - holes) * 3, 3.2 - cavity), np.maximum(outer, canvas.z + 24)))


def draw_temporal_muscle(canvas, skin):
    """The fan of muscle on each temple, between bone and skin."""
    for side in (-1, 1):
        seen = ball(canvas, (side * 66, -22, -12), (10, 36, 44))
        if seen is not None:
            part, distance = seen
            part.paint(MUSCLE, np.maximum(distance, skin[canvas.place_of(part)] + 2.2))


def draw_mastoid(canvas, head):
    """Air cells behind the ears and the ear canals, as far as this head has them."""
    if head.air < 0.1 or float(canvas.z.min()) > 10:
        return
    for side in (-1, 1):
        seen = ball(canvas, (side * 51, 20, -36), (11, 14 * head.air + 2, 20 * head.air + 2))
        if seen is not None:
            part, distance = seen
            part.paint(np.float32(0.9 * head.bone_hu), distance - 2)
            cells = noise_at(head.noise, part.x, part.y, part.z, 7.0)[..., 0]
            part.paint(-750.0, np.maximum(distance + 1.5, (0.25 - cells) * np.float32(2.2)))
        canal = canvas.near((side * 60, 6, -33), 14)
        if canal is not None:
            canal.paint(-900.0, np.hypot(canal.y - 6, canal.z + 33) - 3)
        paint_ball(canvas, 1700.0, (side * 32, 9, -29), (9, 5, 5))  # the dense bone around the inner ear


def draw_swelling(canvas, head, outer, skin, swollen, trauma):
    """Blood and edema in the scalp over the place that was hit."""
    if swollen is None or float(swollen.max()) < 0.2:
        return
    texture = smooth_noise(canvas, head.noise, 16.0)
    inside = np.maximum(np.maximum(skin + 1.5, -outer), (0.3 - swollen) * 12 + 1.2 * texture[..., 1])
    canvas.paint(np.float32(trauma.swelling_hu) + 9 * texture[..., 3], inside, edge=1.5)


def draw_fracture(canvas, head, cavity, outer, trauma):
    """A crack through the vault near the place that was hit; returns whether this cut shows it."""
    if trauma is None or trauma.fracture_mm <= 0:
        return False
    part = canvas.near(trauma.point, trauma.fracture_reach)
    if part is None:
        return False
    window = canvas.place_of(part)
    offset = [f - np.float32(c) for f, c in zip(part[:3], trauma.point, strict=True)]
    wobble = noise_at(head.noise, part.x, part.y, part.z, 25.0)[..., 2]
    across = np.abs(sum(o * np.float32(n) for o, n in zip(offset, trauma.fracture_normal, strict=True)) + wobble * 1.5)
    away = np.sqrt(sum(o * o for o in offset)) - trauma.fracture_reach
    crack = np.maximum(np.maximum(across - trauma.fracture_mm, away), np.maximum(outer[window], -cavity[window]))
    part.paint(30.0, crack)
    return bool((crack < 0).any())
