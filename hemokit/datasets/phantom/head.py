"""Whose head it is: age, size, shape, and what grows and shrinks with age."""

from typing import NamedTuple

import numpy as np

from hemokit.datasets.phantom.canvas import make_noise

# Size of the cranial cavity against an adult's, and thickness of the vault in mm, by age in years
# (the first after the growth of head circumference, Nellhaus 1968; the second roughly, as CT shows it).
SIZE_BY_AGE = ([0, 0.5, 1, 2, 5, 10, 16, 90], [0.70, 0.85, 0.89, 0.93, 0.96, 0.98, 1.0, 1.0])
VAULT_BY_AGE = ([0, 1, 3, 8, 16, 30, 90], [1.4, 2.3, 3.2, 4.4, 5.5, 5.9, 6.4])
FACE_BY_AGE = ([0, 1, 5, 10, 16, 90], [0.66, 0.72, 0.82, 0.9, 1.0, 1.0])


class Head(NamedTuple):
    """Everything random about one head without its bleeds; lengths in mm of a standard adult head."""

    age_years: float
    sex: str  # "Male" or "Female"
    scale: np.ndarray  # (3,) size against the standard head along x, y, z
    taper: float  # how much narrower the forehead is than the back
    skew: float  # flattening of one side of the back
    boxy: float
    vault_mm: float
    scalp_mm: float
    bone_hu: float
    face: float  # size of the face against the cranium
    air: float  # 0..1, how far the sinuses and mastoids have filled with air
    gap_mm: float  # cerebrospinal fluid between skull and brain
    sulcus_mm: float  # half width of a sulcus
    ventricle: float  # width of the ventricles, 1 = young adult
    asymmetry: float
    gray_hu: float
    white_hu: float
    plexus_hu: np.ndarray  # (2,) calcified choroid plexus, right and left of the image; 0 = none
    pineal_hu: float
    falx_hu: float
    vein_hu: float
    noise: np.ndarray  # from make_noise


def draw_head(rng, age_years=None):
    """Draw a patient; ages and sexes as in CT-ICH (27.8 +- 19.5 years, 46 of 82 male)."""
    age = float(_draw_age(rng)) if age_years is None else float(age_years)
    sex = "Male" if rng.random() < 46 / 82 else "Female"
    old = np.clip((age - 35) / 40, 0, 1.2)
    adult = np.clip(age / 14, 0, 1)
    size = np.interp(age, *SIZE_BY_AGE) * (1.0 if sex == "Male" else 0.965) * rng.normal(1, 0.025)
    calibration = rng.normal(-0.3, 1.2)  # scanners differ by a few HU
    calcified = np.clip((age - 12) / 40, 0, 0.85)
    return Head(
        age_years=round(age, 2),
        sex=sex,
        scale=size * rng.normal([1, 1, 1], [0.04, 0.035, 0.03]).astype(np.float64),
        taper=rng.uniform(0.06, 0.2),
        skew=rng.normal(0, 0.035),
        boxy=rng.uniform(0.0, 0.3),
        vault_mm=np.interp(age, *VAULT_BY_AGE) * rng.lognormal(0, 0.15),
        scalp_mm=(2.3 + 1.9 * adult) * rng.lognormal(0, 0.3),
        bone_hu=(680 + 560 * adult) * rng.normal(1, 0.08),
        face=np.interp(age, *FACE_BY_AGE) * rng.normal(1, 0.03),
        air=float(np.clip(np.interp(age, [0, 2, 8, 16], [0.0, 0.35, 0.75, 1]) + rng.normal(0, 0.1), 0, 1)),
        gap_mm=(0.35 + 1.9 * old) * rng.lognormal(0, 0.35),
        sulcus_mm=(0.06 + 0.17 * adult + 0.75 * old) * rng.lognormal(0, 0.3),
        ventricle=(0.78 + 0.5 * old + 0.08 * adult) * rng.lognormal(0, 0.25),
        asymmetry=rng.normal(0, 0.12),
        gray_hu=rng.normal(38.8, 0.8) + calibration,
        white_hu=rng.normal(28.0, 0.8) + calibration - 2.0 * (age < 1),
        plexus_hu=np.where(rng.random(2) < calcified, rng.uniform(70, 420, 2), 0.0),
        pineal_hu=rng.uniform(60, 260) if rng.random() < calcified else 0.0,
        falx_hu=rng.uniform(150, 500) if rng.random() < 0.12 * (age > 30) else 0.0,
        vein_hu=rng.normal(55, 4) + 4 * (age < 1),
        noise=make_noise(rng),
    )  # fmt: skip


def _draw_age(rng):
    if rng.random() < 0.3:
        return rng.uniform(0.01, 12)
    return np.clip(rng.normal(36, 16), 10, 88)
