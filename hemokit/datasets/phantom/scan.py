"""A whole patient: draw who it is, what bleeds, how it is scanned; then slice by slice."""

import hashlib
from typing import NamedTuple

import cv2
import numpy as np

from hemokit.checks import problem
from hemokit.datasets.phantom import beam, belongings, brain, cranium, face, scanner
from hemokit.datasets.phantom.bleeds import draw_bleeds, draw_trauma, masses_of, paint_bleeds
from hemokit.datasets.phantom.canvas import bounds
from hemokit.datasets.phantom.head import draw_head
from hemokit.labels import SUBTYPES

POSITIVE_PATIENTS = 36 / 82  # of CT-ICH
HURT_NORMALS = 0.3  # share of patients without a bleed who have a swollen scalp
CRACKED_POSITIVE, CRACKED_NORMAL = 0.6, 0.1  # share of hurt patients with a fracture
EXTRAS = 2**32  # tells the random numbers of what is no anatomy from those of slices

# How many of CT-ICH's 36 positive patients have which subtypes (from its two CSV files).
MIX = {
    ("epidural",): 14,
    ("intraparenchymal",): 5,
    ("epidural", "intraparenchymal"): 5,
    ("subdural",): 3,
    ("intraparenchymal", "subarachnoid"): 2,
    ("intraparenchymal", "intraventricular", "subarachnoid"): 2,
    ("epidural", "subdural"): 1,
    ("intraparenchymal", "intraventricular"): 1,
    ("intraventricular",): 1,
    ("subarachnoid",): 1,
    ("epidural", "subarachnoid"): 1,
}


class Phantom(NamedTuple):
    """One phantom patient; axis 0 of every array is the slice, 0 at the neck."""

    hounsfield: np.ndarray  # int16 (slices, height, width)
    masks: dict  # subtype -> bool (slices, height, width), for all five subtypes
    spacing_mm: tuple  # (slice, row, column)
    age_years: float
    sex: str  # "Male" or "Female"
    fracture: np.ndarray  # bool (slices,)
    intracranial: np.ndarray  # bool (slices, height, width): within the inner table of the skull
    tilt_degrees: tuple  # (yaw, pitch, roll) of the head in the scanner


def make_phantom(patient_id, *, seed, image_size=512, num_slices=None, subtypes=None, age_years=None):
    """Make a synthetic head CT of one patient, from the base of the skull to the vertex.

    Args:
        patient_id: str or int; another patient for every id.
        seed: int; the same id, seed, options and versions of the libraries give bit-identical arrays.
        image_size: pixels along an edge of the square slices, at least 64. Anterior is up, and the
            patient's right is on the left of the image.
        num_slices: number of slices, at least 1; None draws as many as 5 mm slices need (19 to 40).
        subtypes: names out of `SUBTYPES` that this patient has (() = none); None draws them so that a
            population resembles CT-ICH.
        age_years: 0 to 100; None draws it.

    Returns:
        `Phantom`: hounsfield, masks (a voxel belongs to at most one subtype; it counts where the bleed takes
        more than half of it), spacing_mm, age_years, sex, fracture, intracranial, tilt_degrees. Asking for
        a subtype with very few slices can leave it between them, so that its mask is empty.

    Raises:
        HemokitError: a seed or size that is no whole number, a size below 64, an unknown subtype.
    """
    subtypes = _check(patient_id, seed, image_size, num_slices, subtypes, age_years)
    patient = draw_patient(patient_id, seed, num_slices=num_slices, subtypes=subtypes, age_years=age_years)
    slices = [make_slice(patient, index, image_size) for index in range(patient.num_slices)]
    return _gather(patient, slices, image_size)


def make_scan(patient_id, *, seed, **options):
    """Make a synthetic head CT and its masks only; arguments and errors as in `make_phantom`.

    Returns:
        (hounsfield, masks): int16 array (slices, height, width); dict subtype -> bool array of that shape, for
        all five subtypes.
    """
    phantom = make_phantom(patient_id, seed=seed, **options)
    return phantom.hounsfield, phantom.masks


class Patient(NamedTuple):
    """Everything that was drawn about a patient."""

    head: object
    pose: scanner.Pose
    trauma: object
    bleeds: list
    masses: list
    num_slices: int
    streak_gain: float
    belongings: belongings.Belongings
    entropy: int  # where the noise of the slices comes from


def draw_patient(patient_id, seed, *, num_slices=None, subtypes=None, age_years=None):
    """Draw a patient without making any slice; arguments as in `make_phantom`, already checked."""
    entropy = _entropy(patient_id, seed)
    rng = np.random.default_rng(entropy)
    head = draw_head(rng, age_years)
    drawn = _draw_subtypes(rng)
    subtypes = drawn if subtypes is None else subtypes
    pose, num_slices = scanner.draw_pose(rng, head, num_slices)
    hurt, cracked = rng.random(2)
    trauma = None
    if subtypes or hurt < HURT_NORMALS:
        trauma = draw_trauma(rng, head, fracture=cracked < (CRACKED_POSITIVE if subtypes else CRACKED_NORMAL))
    bleeds = draw_bleeds(rng, head, subtypes, trauma)
    extras = np.random.default_rng((entropy, EXTRAS))
    streak_gain, things = beam.draw_streaks(extras), belongings.draw_belongings(extras, head, pose)
    return Patient(head, pose, trauma, bleeds, masses_of(bleeds), num_slices, streak_gain, things, entropy)


def make_slice(patient, index, image_size):
    """Make one slice: the mean of a few thin cuts, sharpened or shrunk to the image, with artifacts and noise.

    Returns:
        (hounsfield int16, dict subtype -> bool, intracranial bool, fracture bool)
    """
    size = min(scanner.GRID, image_size)
    present = sorted({bleed.subtype for bleed in patient.bleeds})
    hu = np.zeros((size, size), np.float32)
    shares = np.zeros((len(present) + 1, size, size), np.float32)
    cracked = False
    for height in scanner.cut_heights(patient.pose, index):
        canvas, covers, inside, crack = draw_cut(patient, height, size, present)
        hu += canvas
        for share, covered in zip(shares, [*covers.values(), inside], strict=True):
            share += covered
        cracked |= crack
    rng = np.random.default_rng((patient.entropy, index))
    hu /= scanner.NUM_CUTS
    shares /= scanner.NUM_CUTS
    belongings.add_hands(hu, patient.belongings, patient.pose, index)
    vertex = scanner.vertex_share(patient.pose, patient.head, index)
    beam.add_beam_hardening(hu, patient.streak_gain, patient.pose.field_mm / size, vertex)
    np.minimum(hu, scanner.HIGHEST, out=hu)  # metal is far above
    hu, shares = _resized(hu, image_size), [_resized(share, image_size) for share in shares]
    scanner.add_head_rest(hu, patient.pose, index)
    scanner.add_noise(hu, patient.pose, rng)
    masks, taken = {}, np.zeros(hu.shape, bool)
    for subtype, share in zip(present, shares, strict=False):
        masks[subtype] = (share > 0.5) & ~taken
        taken |= masks[subtype]
    return np.clip(np.rint(hu), -1024, scanner.HIGHEST).astype(np.int16), masks, shares[-1] > 0.5, cracked


def draw_cut(patient, height_mm, size, present):
    """Draw one infinitely thin cut without noise.

    Returns:
        (hu, covers dict subtype -> share of a pixel, share inside the skull, whether a fracture shows)
    """
    head, trauma = patient.head, patient.trauma
    whole = scanner.make_canvas(patient.pose, head, size, height_mm)
    covers = {subtype: np.zeros((size, size), np.float32) for subtype in present}
    inside = np.zeros((size, size), np.float32)
    canvas = cranium.shaped(whole, head)
    canvas = canvas.window(*_head_bounds(canvas, patient))
    if not canvas.x.size:
        return whole.hu, covers, inside, False
    relief = cranium.relief_noise(canvas, head)
    cavity, hull = cranium.cavity_distance(canvas, head, relief)
    bone, scalp, swollen = cranium.thickness(canvas, head, relief, trauma)
    outer = hull - bone
    lower = face.bent(canvas.stretched((head.face,) * 3, face.ORIGIN), head)
    with_face = float(lower.z.min()) < face.FACE_TOP
    if with_face:
        outline = face.face_outline(lower, canvas, head)
        face.draw_flesh(lower, head, outline)
        # The base of the skull ends within the neck.
        np.maximum(outer, np.minimum(outline + 5, -36 - canvas.z), out=outer)
        face.draw_ears(lower, head)
    skin = cranium.draw_scalp(canvas, outer, scalp)
    cranium.draw_temporal_muscle(canvas, skin)
    cranium.draw_swelling(canvas, head, outer, skin, swollen, trauma)
    if with_face:
        face.draw_face_bones(lower, head)
        belongings.draw_metal(lower, patient.belongings)
        face.draw_spine(canvas, head)
    cranium.draw_bone(canvas, head, cavity, outer)
    cranium.draw_mastoid(canvas, head)
    if with_face:
        face.draw_sinuses(lower, head)
        face.draw_orbits(lower, head)
        face.draw_frontal_sinus(canvas, head, cavity, outer)
    crack = cranium.draw_fracture(canvas, head, cavity, outer, trauma)
    place = bounds(cavity < 1)
    part = canvas.window(*place)
    if part.x.size:
        spaces = brain.draw_brain(part, head, cavity[place], hull[place], patient.masses)
        brain_place = whole.place_of(part)
        paint_bleeds(part, head, spaces, patient.bleeds, {name: cover[brain_place] for name, cover in covers.items()})
        inside[brain_place] = cavity[place] < 0
    return whole.hu, covers, inside, crack


def _head_bounds(canvas, patient):
    """A rectangle that holds all of the head in this cut, found on every eighth pixel."""
    head, step = patient.head, 8
    coarse = canvas._replace(
        **{name: field[::step, ::step] for name, field in canvas._asdict().items() if name in "xyz"}
    )
    outside = 1.5 * head.vault_mm + 1.6 * head.scalp_mm + (patient.trauma.swelling_mm if patient.trauma else 0) + 3
    near = cranium.cavity_distance(coarse, head)[1] < outside
    if float(coarse.z.min()) < face.FACE_TOP:
        near |= face.face_outline(coarse, coarse, head) < 20
    # One more coarse pixel on each side, for what lies between them.
    return tuple(slice(max(s.start - 1, 0) * step, (s.stop + 1) * step) for s in bounds(near))


def _resized(image, size):
    if image.shape[0] == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)


def _gather(patient, slices, image_size):
    hounsfield, masks, inside, fracture = zip(*slices, strict=True)
    nothing = np.zeros(hounsfield[0].shape, bool)
    pose = patient.pose
    pixel = pose.field_mm / image_size
    rotation = pose.rotation
    tilt = (
        np.arctan2(rotation[0, 1], rotation[0, 0]),
        np.arcsin(-rotation[2, 1]),
        np.arctan2(-rotation[2, 0], rotation[2, 2]),
    )
    return Phantom(
        hounsfield=np.stack(hounsfield),
        masks={subtype: np.stack([found.get(subtype, nothing) for found in masks]) for subtype in SUBTYPES},
        spacing_mm=(float(pose.spacing_mm), pixel, pixel),
        age_years=patient.head.age_years,
        sex=patient.head.sex,
        fracture=np.array(fracture),
        intracranial=np.stack(inside),
        tilt_degrees=tuple(float(np.rad2deg(angle)) for angle in tilt),
    )


def _entropy(patient_id, seed):
    """A seed that is the same on every machine and in every run (unlike Python's own hash)."""
    digest = hashlib.sha256(f"{seed}/{patient_id}".encode()).digest()
    return int.from_bytes(digest[:16], "big")


def _draw_subtypes(rng):
    if rng.random() >= POSITIVE_PATIENTS:
        return ()
    weights = np.array(list(MIX.values()), float)
    return list(MIX)[rng.choice(len(MIX), p=weights / weights.sum())]


def _check(patient_id, seed, image_size, num_slices, subtypes, age_years):
    if not isinstance(patient_id, str | int | np.integer) or isinstance(patient_id, bool):
        raise problem(f"patient_id is {patient_id!r}", "a string or a whole number", "Write the id as a string.")
    _check_whole("seed", seed, None, "Give any whole number; the same one gives the same patient.")
    _check_whole("image_size", image_size, 64, "A real head CT has 512.")
    if num_slices is not None:
        _check_whole("num_slices", num_slices, 1, "Leave it out for a whole head in 5 mm slices.")
    if age_years is not None and not 0 <= age_years <= 100:
        raise problem(f"age_years is {age_years!r}", "a number from 0 to 100", "Leave it out to draw an age.")
    if subtypes is None:
        return None
    if isinstance(subtypes, str):
        raise problem(f"subtypes is the string {subtypes!r}", "a sequence of names", f"Write ({subtypes!r},).")
    for subtype in subtypes:
        if subtype not in SUBTYPES:
            raise problem(f"subtypes holds {subtype!r}", f"names out of {', '.join(SUBTYPES)}", "Correct the name.")
    return tuple(subtype for subtype in SUBTYPES if subtype in tuple(subtypes))


def _check_whole(name, value, least, remedy):
    bound = "" if least is None else f" of at least {least}"
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or (least is not None and value < least):
        raise problem(f"{name} is {value!r}", f"a whole number{bound}", remedy)
