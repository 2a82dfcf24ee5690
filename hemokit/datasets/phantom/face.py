"""The face and the neck: orbits, sinuses, jaws and teeth, ears, vertebra, muscles."""

import numpy as np

from hemokit.datasets.phantom.canvas import ball, capsule, noise_at, paint_ball, paint_rod, rod, smooth_noise
from hemokit.datasets.phantom.cranium import AIR, FAT, MUSCLE, SKIN, WATER

FACE_TOP = 8.0  # no part of the face lies above this height, mm
ORIGIN = (0.0, -62.0, -14.0)  # a child's face shrinks towards this point
BONE = 850.0


def bent(canvas, head):
    """The canvas with its coordinates bent by a few millimeters: no face is made of straight lines."""
    if float(canvas.z.min()) > FACE_TOP:
        return canvas
    bend = smooth_noise(canvas, head.noise, 34.0)
    fields = [field + np.float32(2.0) * bend[..., i] for i, field in enumerate(canvas[:3])]
    return canvas._replace(x=fields[0], y=fields[1], z=fields[2], slack=6.0)


def face_outline(canvas, whole, head):
    """Signed distance to the skin of face and neck.

    Args:
        canvas: in coordinates of the face, `whole` in those of the head: a child's neck is not its face.
    """
    mirrored = canvas._replace(x=np.abs(canvas.x))
    x, y, z = mirrored.x, canvas.y, canvas.z
    # In each cut an oval: cheeks 64 mm wide, narrower and further back towards the chin.
    low = np.clip((-z - 30) * np.float32(1 / 90), 0, 1)
    cheeks = np.hypot(x * (1 / (66 - 12 * low)), (y + 30) * np.float32(1 / 62))
    face = np.maximum((cheeks - 1) * 62, z - 2)
    neck = np.maximum(
        np.hypot(whole.x, (whole.y - 22) * np.float32(1.08)) - np.float32(30 + 32 * head.face), whole.z + 24
    )
    np.minimum(face, neck, out=face)
    np.minimum(face, capsule(mirrored, (0, -82, -20), (0, -101, -49), (4.5, 10.5)), out=face)
    return face


def draw_flesh(canvas, head, outline):
    """Skin, fat and muscles below the skull."""
    canvas.paint(FAT, outline)
    texture = smooth_noise(canvas, head.noise, 24.0)
    # Bellies of muscle with sheets of fat between them: where the noise winds around zero there is fat.
    sheets = 0.7 + 0.5 * texture[..., 1] - np.abs(texture[..., 3]) * 5
    back = np.maximum(outline + 7 + 2 * texture[..., 1], np.maximum(canvas.z + 30, 8 - canvas.y + 4 * texture[..., 0]))
    middle = (np.hypot(canvas.x * np.float32(1 / 54), (canvas.y + 10) * np.float32(1 / 36)) - 1) * 36
    flesh = np.minimum(back, np.maximum(middle + 3 * texture[..., 2], canvas.z + 38))
    canvas.paint(MUSCLE + 4 * texture[..., 0], np.maximum(np.maximum(flesh, sheets), outline + 4))
    mimic = np.maximum(np.maximum(outline + 4, (0.5 - texture[..., 2]) * 6), np.maximum(canvas.z + 24, canvas.y + 30))
    canvas.paint(38.0, mimic)
    canvas.paint(SKIN + 20, np.maximum(np.abs(outline + 0.8) - 0.7, canvas.z + 12))
    paint_rod(canvas, 25.0, (0, -84, -24), (0, -100, -49), (4, 9))  # cartilage of the nose
    for side in (-1, 1):
        paint_rod(canvas, MUSCLE + 4, (side * 55, -32, -46), (side * 55, -36, -95), (8, 10))  # masseter
        paint_ball(canvas, MUSCLE + 2, (side * 34, -26, -58), (8, 13, 18))  # pterygoids
    paint_ball(canvas, MUSCLE, (0, -52, -98), (24, 30, 22))  # tongue


def draw_face_bones(canvas, head):
    """Cheek bones, jaws with teeth, and the walls of the nose."""
    for side in (-1, 1):
        paint_rod(canvas, BONE, (side * 61, -42, -40), (side * 38, -74, -42), (4.5, 6))
        paint_rod(canvas, BONE, (side * 65, -8, -38), (side * 61, -42, -40), (2.2, 3))
        paint_rod(canvas, BONE, (side * 48, -14, -40), (side * 48, -26, -78), (4, 3.5))
        paint_rod(canvas, BONE, (side * 48, -26, -78), (side * 14, -84, -102), (4, 5))
        paint_rod(canvas, BONE, (side * 15, -34, -40), (side * 19, -30, -66), (2, 1.5))  # pterygoid plates
        paint_rod(canvas, BONE, (side * 5, -84, -20), (side * 11, -86, -48), (3, 2.5))
    jaw = canvas.near((0, -62, -74), 48)
    if jaw is not None:
        arch = jaw.y + 88 - jaw.x * jaw.x * np.float32(1 / 26)
        band = np.abs(arch) * np.float32(0.75) - 5
        palate = np.maximum(np.abs(jaw.z + 62) - 2.2, arch * -0.7)
        bone = np.maximum(np.minimum(np.maximum(band, np.abs(jaw.z + 68) - 8), palate), np.abs(jaw.x) - 29)
        jaw.paint(BONE, np.maximum(bone, jaw.y + 42))
        gaps = 2.2 * np.cos((jaw.x + np.sign(jaw.x) * (jaw.y + 88) * 0.6) * np.float32(0.85)) - 0.9
        teeth = np.maximum(np.maximum(band + 0.6, np.abs(jaw.z + 82) - 8), -gaps)
        jaw.paint(2100.0, np.maximum(np.maximum(teeth, np.abs(jaw.x) - 26), jaw.y + 48))


def draw_sinuses(canvas, head):
    """Air in nose, throat, maxillary, ethmoid, sphenoid and frontal sinuses, with thin bony walls."""
    air = head.air
    for side in (-1, 1):
        lumen = (side * 27, -58, -52)
        size = (5 + 8 * air, 6 + 10 * air, 5 + 11 * air)
        seen = ball(canvas, lumen, np.add(size, 4))
        if seen is not None:
            part, distance = seen
            part.paint(BONE * 0.8, np.abs(distance + 2.5) - 1.4)
            part.paint(AIR, distance + 4)
    nose = canvas.near((0, -66, -44), 42)
    if nose is not None:
        _draw_nose(nose, head)
    throat = rod(canvas, (0, -24, -48), (0, -18, -130), (9, 9))
    if throat is not None:
        part, distance = throat
        part.paint(AIR, distance + 2)
    if air > 0.3:
        for side, width in ((-1, 1.0), (1, 0.85 + 0.4 * head.asymmetry)):
            paint_ball(canvas, AIR, (side * 7, -25, -27), (6.5 * air * width, 10 * air, 8 * air))  # sphenoid


def _draw_nose(nose, head):
    """Nasal cavity and ethmoid cells: air with a septum and thin winding walls."""
    x = np.abs(nose.x)
    ethmoid = np.maximum(x - 13, np.maximum(np.abs(nose.y + 58) - 21, np.abs(nose.z + 27) - 11))
    cavity = np.maximum(x - 12 - 0.1 * (nose.z + 50), np.maximum(np.abs(nose.y + 64) - 30, np.abs(nose.z + 48) - 13))
    inside = np.minimum(ethmoid, cavity)
    nose.paint(BONE * 0.7, np.abs(ethmoid) - 1.0)
    nose.paint(AIR, inside)
    cells = noise_at(head.noise, nose.x, nose.y, nose.z, 11.0)
    walls = np.maximum(np.abs(cells[..., 0]) * 2.0 - 0.42, ethmoid)
    nose.paint(330.0, walls)
    turbinates = np.maximum(
        np.abs(x - 6.5 - 1.2 * cells[..., 1]) - 2.2, np.maximum(cavity + 3, np.abs(nose.z + 50) - 9)
    )
    nose.paint(40.0, turbinates)
    nose.paint(380.0, np.maximum(np.abs(nose.x + cells[..., 2]) - 0.9, inside))


def draw_frontal_sinus(canvas, head, cavity, outer):
    """Air between the tables of the frontal bone, in adults; the bone bulges there (`cranium.thickness`)."""
    if head.air < 0.75 or float(canvas.z.min()) > 16:
        return
    cells = smooth_noise(canvas, head.noise, 26.0)[..., 0]
    oval = (np.hypot(canvas.x * np.float32(1 / 24), (canvas.z + 3) * np.float32(1 / 13)) - 1 - 0.35 * cells) * 13
    lumen = np.maximum(outer + 2.2, 1.8 - cavity)
    sinus = np.maximum(np.maximum(oval, lumen), canvas.y + 55)
    septum = 0.7 - np.abs(canvas.x + 2 * cells)
    canvas.paint(AIR, np.maximum(sinus, septum))


def draw_orbits(canvas, head):
    """Orbits: bony cone, fat, globe with lens, optic nerve and straight muscles."""
    for side in (-1, 1):
        cone = rod(canvas, (side * 32, -70, -29), (side * 13, -36, -26), (19, 4))
        if cone is not None:
            part, distance = cone
            part.paint(BONE, np.maximum(np.abs(distance - 1) - 1.6, -78 - part.y))
            part.paint(FAT, np.maximum(distance, -96 - part.y))
    for side in (-1, 1):
        eye = (side * 32.5, -78.0, -29.0)
        apex = (side * 14, -40, -27)
        paint_rod(canvas, 38.0, (side * 32, -66, -29), apex, (2.2, 2))
        paint_rod(canvas, 45.0, (side * 44, -68, -29), apex, (2.0, 2))
        paint_rod(canvas, 45.0, (side * 21, -66, -29), apex, (2.0, 2))
        paint_rod(canvas, 45.0, (side * 32, -66, -18), apex, (2.0, 2))
        paint_rod(canvas, 45.0, (side * 32, -66, -40), apex, (2.0, 2))
        paint_ball(canvas, 42.0, eye, (12.2, 12.2, 12.2))
        paint_ball(canvas, WATER + 6, eye, (11.0, 11.0, 11.0))
        paint_ball(canvas, 75.0, (eye[0], eye[1] - 8, eye[2]), (4.5, 2.2, 4.5))
        lid = canvas.near(eye, 14)
        if lid is not None:
            shell = np.sqrt((lid.x - eye[0]) ** 2 + (lid.y - eye[1]) ** 2 + (lid.z - eye[2]) ** 2)
            lid.paint(40.0, np.maximum(np.abs(shell - 13.2) - 1.2, lid.y + 82))


def draw_ears(canvas, head):
    """The outer ears: thin folds beside the head."""
    for side in (-1, 1):
        part = canvas.near((side * 80, 14, -22), 34)
        if part is None:
            continue
        fold = noise_at(head.noise, part.x, part.y, part.z, 30.0)[..., 1]
        sheet = np.abs((part.x * side - 79) - 0.45 * (part.y - 12) - 3 * fold) - 1.5
        oval = np.hypot((part.y - 16) * np.float32(1 / 15), (part.z + 22) * np.float32(1 / 28)) * 20 - 20
        part.paint(30.0, np.maximum(sheet, oval))


def draw_spine(canvas, head):
    """First vertebrae around the canal: dens, lateral masses and arch."""
    if float(canvas.z.min()) > -48:
        return
    ring = np.hypot(canvas.x * np.float32(0.9), canvas.y - 18)
    wobble = noise_at(head.noise, canvas.x, canvas.y, canvas.z, 30.0)[..., 0]
    arch = np.maximum(np.abs(ring - 16.5 - wobble) - 2.6, canvas.z + 56)
    canvas.paint(BONE, np.maximum(arch, np.abs(canvas.z + 70) - 12 + wobble * 5))
    for side in (-1, 1):
        paint_ball(canvas, BONE, (side * 22, 8, -66), (10, 11, 12))
        paint_ball(canvas, 30.0, (side * 30, 6, -72), (3, 3, 8))
    paint_rod(canvas, BONE, (0, -1, -60), (0, 2, -130), (5, 9))
    paint_rod(canvas, BONE, (0, 36, -84), (0, 58, -92), (3, 3))
