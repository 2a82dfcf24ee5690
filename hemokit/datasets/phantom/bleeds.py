"""The five subtypes of hemorrhage: where anatomy puts them, how they look, and which voxels they take."""

from typing import NamedTuple

import numpy as np

from hemokit.datasets.phantom.canvas import cover, noise_at
from hemokit.datasets.phantom.cranium import surface_point, sutures

PERIHEMATOMAL_HU = 21.0  # edema around a hematoma


class Trauma(NamedTuple):
    """A blow to the head, in standard head mm: where it hit, the swelling and the crack it left."""

    point: np.ndarray  # (3,) on the inner table
    normal: np.ndarray  # (3,) outward
    swelling_mm: float
    swelling_reach: float
    swelling_hu: float
    fracture_mm: float  # half width of the crack, 0 = none
    fracture_reach: float
    fracture_normal: np.ndarray


class Bleed(NamedTuple):
    """One hematoma in standard head mm."""

    subtype: str
    hu: float
    point: np.ndarray  # (3,) its middle; for epidural and subdural on the inner table
    normal: np.ndarray  # (3,) outward direction there
    reach: float  # it lies within this distance of `point`
    thick: float  # depth of a lens or crescent, half width of a filled sulcus, mm
    semi: tuple  # half axes of an intraparenchymal hematoma
    rim: float  # width of its edema
    mottled: float  # how patchy its density is, HU
    offset: np.ndarray  # (3,) into the noise, so that no two bleeds share an outline
    kind: str = ""


def draw_trauma(rng, head, *, fracture):
    """Draw where a blow hit: mostly the sides and the back."""
    azimuth = rng.choice([0, np.pi]) + rng.normal(0, 0.75)
    point, normal = surface_point(head, azimuth, rng.uniform(-0.12, 0.85))
    tangent = np.cross(normal, rng.normal(size=3))
    return Trauma(
        point=point,
        normal=normal,
        swelling_mm=rng.uniform(1.5, 9) if rng.random() < 0.75 else 0.0,
        swelling_reach=rng.uniform(18, 36),
        swelling_hu=rng.uniform(10, 50),
        fracture_mm=rng.uniform(0.5, 1.3) if fracture else 0.0,
        fracture_reach=rng.uniform(15, 45),
        fracture_normal=tangent / np.linalg.norm(tangent),
    )


def draw_bleeds(rng, head, subtypes, trauma):
    """Draw the hematomas of a patient who has these subtypes (several may belong to one subtype)."""
    makers = {
        "epidural": _draw_epidural,
        "intraparenchymal": _draw_intraparenchymal,
        "intraventricular": _draw_intraventricular,
        "subarachnoid": _draw_subarachnoid,
        "subdural": _draw_subdural,
    }
    return [bleed for subtype in subtypes for bleed in makers[subtype](rng, head, trauma)]


def _density(rng, acute, spread, subacute=0.05):
    """Clotted blood is 50-80 HU; a subacute or anemic bleed comes close to gray matter (Parizel et al. 2001).

    How often that is so follows who is scanned, as in CT-ICH: patients on the day of a trauma. Of their bleeds the
    subdural ones are most often older than that day, and the epidural ones, which are arterial, hardly ever.
    """
    return rng.normal(46, 2.0) if rng.random() < subacute else rng.normal(acute, spread)


def _bleed(
    rng, subtype, point, *, hu, reach, normal=(0, 0, 1), thick=0.0, semi=(1, 1, 1), rim=0.0, mottled=1.5, kind=""
):
    return Bleed(
        subtype, float(hu), np.asarray(point, float), np.asarray(normal, float), float(reach), float(thick),
        tuple(semi), float(rim), float(mottled), rng.uniform(0, 500, 3), kind,
    )  # fmt: skip


def _draw_epidural(rng, head, trauma):
    radius = np.clip(rng.lognormal(np.log(31), 0.35), 12, 52)
    thick = np.clip(radius * rng.uniform(0.2, 0.7), 3.5, 28)
    swirl = rng.uniform(4, 9) if rng.random() < 0.3 else rng.uniform(0.5, 3)
    yield _bleed(
        rng, "epidural", trauma.point, normal=trauma.normal, hu=_density(rng, 58, 6, 0.02), reach=radius,
        thick=thick, mottled=swirl,
    )  # fmt: skip


def _draw_subdural(rng, head, trauma):
    place = rng.random()
    side = np.sign(trauma.point[0]) or 1.0
    if place < 0.75:
        point, normal = surface_point(head, (0 if side > 0 else np.pi) + rng.normal(0, 0.3), rng.uniform(0.1, 0.6))
        thick = np.clip(rng.lognormal(np.log(6.0), 0.45), 2.5, 18)
        reach, kind = rng.uniform(48, 88), "convexity"
        yield _bleed(
            rng, "subdural", point, normal=normal, hu=_density(rng, 56, 6, 0.15), reach=reach, thick=thick,
            mottled=rng.uniform(1, 5), kind=kind,
        )  # fmt: skip
    if place > 0.6:
        yield _bleed(
            rng, "subdural", (0, rng.uniform(-50, 55), rng.uniform(28, 50)), normal=(side, 0, 0), hu=rng.normal(58, 5),
            reach=rng.uniform(26, 45), thick=rng.uniform(2, 4.5), kind="falx",
        )  # fmt: skip
    if place > 0.9:
        yield _bleed(
            rng, "subdural", (side * 32, 45, -12), hu=rng.normal(58, 5), reach=rng.uniform(20, 34),
            thick=rng.uniform(2, 4), kind="tentorium",
        )  # fmt: skip


def _draw_subarachnoid(rng, head, trauma):
    if rng.random() < 0.3:
        point, reach = (rng.normal(0, 12), -6, -12), rng.uniform(8, 15)
    else:
        point, _ = surface_point(head, rng.uniform(-np.pi, np.pi), rng.uniform(0.0, 1.1))
        point, reach = point * 0.88, rng.uniform(7, 14)
    yield _bleed(rng, "subarachnoid", point, hu=rng.normal(55, 5), reach=reach, thick=rng.uniform(1.0, 1.9), mottled=3)


def _draw_intraparenchymal(rng, head, trauma):
    deep = rng.random() < 0.1 + 0.3 * (head.age_years > 50)
    if deep:
        side = rng.choice([-1, 1])
        centers = [np.array([side * rng.uniform(14, 27), rng.uniform(-12, 14), rng.uniform(-2, 16)])]
    else:
        anchor = trauma.point if rng.random() < 0.5 else -trauma.point * (1, 1, -1)
        if rng.random() < 0.35:
            anchor = np.array([rng.choice([-1, 1]) * rng.uniform(15, 52), rng.uniform(-62, -28), rng.uniform(-12, 6)])
        count = 1 + rng.binomial(3, 0.2)
        centers = [anchor * rng.uniform(0.66, 0.84) + rng.normal(0, 7, 3) * (i > 0) for i in range(count)]
    for center in centers:
        size = np.clip(rng.lognormal(np.log(12 if deep else 8.0), 0.42), 3.0, 30)
        semi = size * rng.uniform(0.65, 1.35, 3)
        yield _bleed(
            rng, "intraparenchymal", center, hu=_density(rng, 61, 6), reach=1.25 * semi.max() + 3, semi=semi,
            rim=rng.uniform(0.15, 0.7) * size, mottled=rng.uniform(1, 7),
        )  # fmt: skip


def _draw_intraventricular(rng, head, trauma):
    hu = rng.normal(58, 5)
    kind = "layer" if rng.random() < 0.35 else "cast"
    for side in (-1, 1) if rng.random() < 0.7 else (rng.choice([-1, 1]),):
        if kind == "layer":
            yield _bleed(
                rng, "intraventricular", (side * 23, rng.uniform(40, 52), 5), hu=hu, reach=rng.uniform(16, 26),
                thick=rng.uniform(0.8, 2.2), kind=kind,
            )  # fmt: skip
        else:
            yield _bleed(
                rng, "intraventricular", (side * rng.uniform(8, 22), rng.uniform(-20, 28), rng.uniform(6, 20)), hu=hu,
                reach=rng.uniform(20, 48), thick=rng.uniform(1.2, 4.0), kind=kind,
            )  # fmt: skip


def masses_of(bleeds):
    """How the bleeds push the brain aside, as `brain.shifted` wants it."""
    masses = []
    for bleed in bleeds:
        if bleed.subtype == "epidural" or bleed.kind == "convexity":
            push = 0.75 * bleed.thick
            inner = bleed.point - bleed.normal * bleed.thick
            masses.append((inner, -bleed.normal * push, 0.55 * bleed.reach + 22))
        elif bleed.subtype == "intraparenchymal" and max(bleed.semi) > 14:
            inward = np.array([-np.sign(bleed.point[0]), 0, 0])
            masses.append((bleed.point + inward * 20, inward * 0.18 * max(bleed.semi), 30.0))
    return masses


def paint_bleeds(canvas, head, spaces, bleeds, covers):
    """Draw the bleeds into one cut and note what they cover.

    Args:
        canvas: the cut with the brain in it.
        head: the patient's `Head`.
        spaces: from `draw_brain`.
        bleeds: sequence of `Bleed`.
        covers: dict subtype -> float32 (rows, columns), changed in place: how much of a pixel is that bleed.
    """
    for bleed in bleeds:
        part = canvas.near(bleed.point, bleed.reach + bleed.rim + 6)
        if part is None:
            continue
        window = canvas.place_of(part)
        near = spaces._replace(
            **{name: field[window] for name, field in spaces._asdict().items() if isinstance(field, np.ndarray)}
        )
        rough = noise_at(head.noise, *(f + np.float32(o) for f, o in zip(part[:3], bleed.offset, strict=True)), 17.0)
        distance = np.maximum(DISTANCES[bleed.subtype](bleed, part, near, rough), near.cavity).astype(np.float32)
        if bleed.rim:
            edema = np.maximum(distance - bleed.rim * (1 + 0.35 * rough[..., 1]), near.cavity + 1)
            part.paint(PERIHEMATOMAL_HU, edema, edge=2.5 + 0.3 * bleed.rim)
        part.paint(np.float32(bleed.hu) + np.float32(bleed.mottled) * rough[..., 2], distance)
        alpha = cover(distance, canvas.edge)
        for subtype, covered in covers.items():
            covered[window] *= 1 - alpha
            if subtype == bleed.subtype:
                covered[window] += alpha


def _from_point(bleed, part):
    return np.sqrt(sum((f - np.float32(c)) ** 2 for f, c in zip(part[:3], bleed.point, strict=True)))


def _epidural_distance(bleed, part, spaces, rough):
    """A lens: the part of the cavity within a large ball that bulges through the inner table.

    The dura is fixed to the skull at the coronal and lambdoid sutures: there the lens ends.
    """
    radius = (bleed.reach**2 + bleed.thick**2) / (2 * bleed.thick)
    center = bleed.point + bleed.normal * (radius - bleed.thick)
    ball = np.sqrt(sum((f - np.float32(c)) ** 2 for f, c in zip(part[:3], center, strict=True))) - radius
    ball += np.float32(0.06 * bleed.thick) * rough[..., 0]
    for here, there in zip(sutures(*part[:3]), sutures(*bleed.point), strict=True):
        room = np.maximum(here * np.float32(np.sign(there) or 1.0), -8) - 1
        ball = np.maximum(ball + np.float32(0.5 * bleed.thick) * np.exp(-room / 4), -room)
    return ball


def _subdural_distance(bleed, part, spaces, rough):
    """A crescent along the inner table, or a sheet along falx or tentorium, on one side."""
    fade = 1 - (_from_point(bleed, part) / np.float32(bleed.reach)) ** 2
    thick = np.float32(bleed.thick) * (fade + 0.14 * rough[..., 0] * np.sqrt(np.maximum(fade, 0)))
    if bleed.kind == "falx":
        return np.abs(spaces.midline * np.float32(bleed.normal[0]) - 0.4 * thick) - 0.6 * thick
    if bleed.kind == "tentorium":
        return np.maximum(
            np.abs(spaces.tentorium - 0.4 * thick) - 0.6 * thick, 2 - spaces.midline * np.sign(bleed.point[0])
        )
    # Above, a crescent ends at the falx; at the base it stays at the side, off the ridges: it does not go round the
    # middle fossa.
    side = np.sign(bleed.point[0])
    inner = 1.5 + 33 * np.clip((6 - part.z) / 12, 0, 1)
    return np.maximum(-spaces.hull - thick, inner - side * spaces.midline)


def _subarachnoid_distance(bleed, part, spaces, rough):
    """Sulci, fissures and cisterns within reach, swollen to a visible width."""
    widened = np.minimum(spaces.sulci, spaces.cisterns) - np.float32(bleed.thick)
    surface = np.maximum(-spaces.cavity - np.float32(bleed.thick + 0.4), 0.6 * np.abs(rough[..., 0]) * 8 - 3)
    region = _from_point(bleed, part) - bleed.reach * (0.8 + 0.2 * rough[..., 3])
    return np.maximum(np.minimum(widened, surface), region)


def _intraparenchymal_distance(bleed, part, spaces, rough):
    """An irregular ellipsoid inside the brain, off the skull."""
    u, v, w = (
        (f - np.float32(c)) * np.float32(1 / s) for f, c, s in zip(part[:3], bleed.point, bleed.semi, strict=True)
    )
    size = np.float32(min(bleed.semi))
    blob = (np.sqrt(u * u + v * v + w * w) - 1 + 0.16 * rough[..., 0] + 0.1 * rough[..., 3]) * size
    return np.maximum(blob, np.maximum(spaces.cavity + 3.0, 1.0 - spaces.midline * np.sign(bleed.point[0] or 1.0)))


def _intraventricular_distance(bleed, part, spaces, rough):
    """Blood within the ventricles: sunk to the back, or a cast that widens them."""
    region = _from_point(bleed, part) - bleed.reach * (0.9 + 0.1 * rough[..., 0])
    filled = spaces.ventricles - np.float32(bleed.thick)
    if bleed.kind == "layer":
        # A patient lies on the back: the level is a plane, higher y is lower down.
        region = np.maximum(region, np.float32(bleed.point[1] - 9) - part.y)
    return np.maximum(filled, region)


DISTANCES = {
    "epidural": _epidural_distance,
    "intraparenchymal": _intraparenchymal_distance,
    "intraventricular": _intraventricular_distance,
    "subarachnoid": _subarachnoid_distance,
    "subdural": _subdural_distance,
}
