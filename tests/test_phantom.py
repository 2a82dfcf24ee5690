"""Tests of the phantom: reproducible, anatomical, as mixed as CT-ICH, and too hard for a threshold."""

from functools import cache

import cv2
import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.datasets.phantom import Phantom, make_phantom, make_scan
from hemokit.datasets.phantom.beam import GRID, streaks
from hemokit.datasets.phantom.cranium import shaped, sutures
from hemokit.datasets.phantom.scan import draw_patient, make_slice
from hemokit.datasets.phantom.scanner import make_canvas
from hemokit.labels import SUBTYPES

SIZE = 96


@pytest.fixture(scope="module")
def population():
    """Six default patients, small."""
    return [make_phantom(f"{number}", seed=3, image_size=64) for number in range(6)]


@cache
def adult(*subtypes):
    """A head of 40 years with these bleeds; without any it is the same head."""
    return make_phantom("twin", seed=1, image_size=SIZE, num_slices=20, age_years=40, subtypes=subtypes)


def depth_mm(scan, index):
    """Distance of every pixel of a slice to the nearest one outside the skull's inner table."""
    return cv2.distanceTransform(scan.intracranial[index].astype(np.uint8), cv2.DIST_L2, 5) * scan.spacing_mm[1]


def test_scan_is_bit_identical_for_its_seed():
    """The same id and seed give the same bits; the id as a number is the same patient."""
    first, second = (make_phantom(name, seed=7, image_size=64, num_slices=3) for name in ("12", 12))
    assert (first.hounsfield == second.hounsfield).all()
    assert all((first.masks[subtype] == second.masks[subtype]).all() for subtype in SUBTYPES)


@pytest.mark.parametrize(("patient_id", "seed"), [("13", 7), ("12", 8)])
def test_other_patients_and_seeds_differ(patient_id, seed):
    """Another id or seed gives another head."""
    first = make_phantom("12", seed=7, image_size=64, num_slices=3)
    assert (
        first.hounsfield != make_phantom(patient_id, seed=seed, image_size=64, num_slices=3).hounsfield
    ).mean() > 0.5


def test_shapes_and_types():
    """All arrays of a scan have one shape, and every subtype has a mask."""
    scan = make_phantom("a", seed=0, image_size=72, num_slices=7, subtypes=())
    assert isinstance(scan, Phantom) and scan[0] is scan.hounsfield and scan[1] is scan.masks
    assert scan.hounsfield.shape == scan.intracranial.shape == (7, 72, 72)
    assert scan.hounsfield.dtype == np.int16 and scan.fracture.shape == (7,)
    assert tuple(scan.masks) == SUBTYPES
    assert all(mask.dtype == bool and mask.shape == (7, 72, 72) for mask in scan.masks.values())


def test_odd_and_large_sizes_are_drawn():
    """A size above the grid of structures, and an odd one, are filled to the edge."""
    for size in (301, 65):
        scan = make_phantom("a", seed=0, image_size=size, num_slices=2)
        assert scan.hounsfield.shape == (2, size, size)
        assert scan.spacing_mm[1] * size == pytest.approx(
            make_phantom("a", seed=0, image_size=64, num_slices=2).spacing_mm[1] * 64
        )


def test_noise_and_structures_differ_between_slices_but_not_heads():
    """Neighboring slices show the same head: their brains overlap, their noise does not."""
    scan = make_phantom("a", seed=0, image_size=SIZE, num_slices=30, subtypes=())
    middle = len(scan.hounsfield) // 2
    first, second = scan.intracranial[middle], scan.intracranial[middle + 1]
    assert (first & second).sum() > 0.85 * (first | second).sum()
    assert (
        np.abs(np.corrcoef(scan.hounsfield[middle][first & second], scan.hounsfield[middle + 1][first & second])[0, 1])
        < 0.95
    )


def test_tissues_have_their_hounsfield_units():
    """Air, brain, fluid and bone lie where textbooks put them."""
    scan = make_phantom("a", seed=0, image_size=256, num_slices=9, subtypes=(), age_years=60)
    middle = 5
    slice_, inside = scan.hounsfield[middle], depth_mm(scan, middle) > 6
    assert np.median(slice_[:20, :20]) == pytest.approx(-1000, abs=30)
    assert 26 < np.median(slice_[inside]) < 41
    assert 2 < slice_[inside].astype(float).std() < 16
    assert 700 < np.percentile(slice_, 99) < 2000
    assert np.percentile(slice_[inside], 0.5) < 22


def test_anterior_is_up_and_the_neck_comes_first():
    """The globes and the nose are in the upper half; the last slice holds the vertex."""
    scan = make_phantom("b", seed=0, image_size=SIZE, subtypes=())
    inside = scan.intracranial.sum(axis=(1, 2))
    assert inside[-1] < 0.6 * inside.max() and inside[0] < 0.3 * inside.max()
    rows = np.arange(SIZE)[:, None]
    flesh = np.abs(scan.hounsfield[1] - 50) < 60
    # The vertebral canal lies behind the middle of face and neck.
    assert (rows * scan.intracranial[1]).sum() / scan.intracranial[1].sum() > (rows * flesh).sum() / flesh.sum()


def test_children_have_thin_skulls():
    """Less bone around a baby's brain than around a man's."""
    bone = {}
    for age in (0.5, 40):
        scan = make_phantom("c", seed=0, image_size=128, num_slices=9, subtypes=(), age_years=age)
        bone[age] = (scan.hounsfield[6] > 300).sum() / scan.intracranial[6].sum()
    assert bone[0.5] < 0.6 * bone[40]


def test_forced_subtypes_are_there_and_no_others():
    """Asked for two subtypes, a scan has these two; asked for none, it has none."""
    scan = make_phantom("d", seed=2, image_size=SIZE, subtypes=("subdural", "intraparenchymal"), num_slices=16)
    assert {subtype for subtype in SUBTYPES if scan.masks[subtype].any()} == {"subdural", "intraparenchymal"}
    assert not any(mask.any() for mask in adult().masks.values())


def test_masks_are_disjoint():
    """With all five subtypes at once no voxel belongs to two."""
    scan = adult(*SUBTYPES)
    assert np.sum([scan.masks[subtype] for subtype in SUBTYPES], axis=0).max() == 1
    assert all((mask & ~scan.intracranial).sum() <= 0.05 * mask.sum() for mask in scan.masks.values())


@pytest.mark.parametrize("subtype", ["epidural", "subdural"])
def test_extra_axial_bleeds_lie_against_the_skull(subtype):
    """An epidural bleed, or a subdural one of the convexity, touches the inner table in nearly every slice."""
    names = (f"{number}" for number in range(20))
    kinds = ["", "convexity"]
    name = next(
        n for n in names if [b.kind for b in draw_patient(n, 0, subtypes=(subtype,)).bleeds] in ([k] for k in kinds)
    )
    scan = make_phantom(name, seed=0, image_size=SIZE, subtypes=(subtype,))
    slices = np.flatnonzero(scan.masks[subtype].any(axis=(1, 2)))
    touching = [depth_mm(scan, index)[scan.masks[subtype][index]].min() <= 4.5 for index in slices]
    assert len(slices) >= 3 and np.mean(touching) > 0.85


def beyond_sutures(patient_id, subtype):
    """How much of a patient's bleed lies across the coronal or lambdoid suture from most of it, 0 to 0.5."""
    patient = draw_patient(patient_id, 0, subtypes=(subtype,))
    scan = make_phantom(patient_id, seed=0, image_size=SIZE, subtypes=(subtype,))
    sides = []
    for index in np.flatnonzero(scan.masks[subtype].any(axis=(1, 2))):
        height = patient.pose.lowest_mm + index * patient.pose.spacing_mm
        canvas = shaped(make_canvas(patient.pose, patient.head, SIZE, height), patient.head)
        sides.append(np.array(sutures(*canvas[:3]))[:, scan.masks[subtype][index]] > 0)
    share = np.concatenate(sides, axis=1).mean(axis=1)
    return np.minimum(share, 1 - share).max()


@pytest.mark.promises
def test_sutures_limit_epidural_bleeds_alone():
    """An epidural bleed stays between the sutures (but for partial volume); some subdural ones cross them."""
    names = [f"{number}" for number in range(5)]
    assert max(beyond_sutures(name, "epidural") for name in names) < 0.05
    assert max(beyond_sutures(name, "subdural") for name in names) > 0.1


def test_intraparenchymal_bleeds_keep_off_the_skull():
    """A hematoma in the brain has brain around it."""
    scan = adult("intraparenchymal")
    mask = scan.masks["intraparenchymal"]
    depth = [depth_mm(scan, index)[mask[index]] for index in np.flatnonzero(mask.any(axis=(1, 2)))]
    assert np.concatenate(depth).min() > 1.5


def test_intraventricular_blood_replaces_fluid():
    """Where the twin without a bleed has dark fluid, the bleeding one is bright."""
    scan, twin = adult("intraventricular"), adult()
    mask, brain = scan.masks["intraventricular"], np.median(twin.hounsfield[twin.intracranial])
    assert np.median(twin.hounsfield[mask]) < brain - 5
    assert np.median(scan.hounsfield[mask]) > brain + 8


def test_subarachnoid_blood_fills_sulci_and_cisterns():
    """The twin's voxels there hold fluid: on average darker than brain."""
    scan, twin = adult("subarachnoid"), adult()
    mask = scan.masks["subarachnoid"]
    near = cv2.dilate(mask.astype(np.uint8).transpose(1, 2, 0), np.ones((9, 9))).transpose(2, 0, 1) > 0
    around = near & ~mask & twin.intracranial
    assert mask.any() and twin.hounsfield[mask].mean() < twin.hounsfield[around].mean()


def test_bleeds_are_brighter_than_brain():
    """A bleed is brighter than the same head without it in the same place (the noise is the same)."""
    for subtype in SUBTYPES:
        scan, twin = adult(subtype), adult()
        mask = scan.masks[subtype] & scan.intracranial
        assert np.median(scan.hounsfield[mask] - twin.hounsfield[mask]) >= 2, subtype


def test_streaks_run_between_dense_bones():
    """Between two balls of dense bone it is darker than in front of them and behind; without bone nothing happens."""
    hu = np.full((192, 192), 40, np.float32)
    assert not streaks(hu, 1.2).any()
    for column in (50, 142):
        cv2.circle(hu, (column, 96), 14, 1600.0, -1)
    found = streaks(hu, 1.2)
    row, middle = GRID // 2, GRID // 2
    assert found.shape == (GRID, GRID) and np.isfinite(found).all()
    assert found[row, middle] < 0 and found[row, middle] < found[[row - 8, row + 8], middle].min()


def test_streaks_change_no_mask():
    """A patient with three times the streaks has other Hounsfield units, and the same masks."""
    patient = draw_patient("12", 7, subtypes=("epidural",))
    for index in (2, 14):
        first, second = (make_slice(patient._replace(streak_gain=gain), index, 64) for gain in (60, 180))
        assert (first[0] != second[0]).any() or index == 14  # no streaks far above the base
        assert (first[1]["epidural"] == second[1]["epidural"]).all() and (first[2] == second[2]).all()


def test_hands_lie_beside_the_head():
    """Some patients' fingers are in the air beside the head; without them the same slice has the same masks."""
    patients = (draw_patient(f"{number}", 0) for number in range(200))
    patient = next(patient for patient in patients if patient.belongings.fingers)
    low, high = patient.belongings.fingers[0].heights
    index = round(((low + high) / 2 - patient.pose.lowest_mm) / patient.pose.spacing_mm)
    bare = patient._replace(belongings=patient.belongings._replace(fingers=[]))
    held, alone = make_slice(patient, index, SIZE), make_slice(bare, index, SIZE)
    new = (held[0] > 0) & (alone[0] < -500)
    assert new.sum() > 10 and not (new & held[2]).any()
    assert (held[2] == alone[2]).all() and all((held[1][name] == alone[1][name]).all() for name in held[1])


@pytest.mark.slow
def test_population_resembles_ct_ich():
    """About 44 % of patients bleed, 13 % of slices, in scans of 19 to 40 slices (drawn, and counted in slices)."""
    drawn = [draw_patient(f"{number}", 0) for number in range(200)]
    assert np.mean([bool(patient.bleeds) for patient in drawn]) == pytest.approx(36 / 82, abs=0.1)
    assert all(19 <= patient.num_slices <= 40 for patient in drawn)
    assert np.mean([patient.num_slices for patient in drawn]) == pytest.approx(30.5, abs=2)
    ages = np.array([patient.head.age_years for patient in drawn])
    assert ages.mean() == pytest.approx(27.8, abs=5) and ages.std() == pytest.approx(19.5, abs=4)
    first = [{bleed.subtype for bleed in patient.bleeds} for patient in drawn if patient.bleeds]
    assert 0.45 < np.mean(["epidural" in subtypes for subtypes in first]) < 0.75


@pytest.mark.slow
def test_share_of_positive_slices(population):
    """A small population lies near CT-ICH's 13 % (6 patients scatter widely)."""
    positive = np.concatenate(
        [np.any([mask.any(axis=(1, 2)) for mask in scan.masks.values()], axis=0) for scan in population]
    )
    assert 0.03 < positive.mean() < 0.35


def test_no_threshold_finds_the_bleeds(population):
    """The best HU threshold reaches a pooled Dice of at most 0.60, also 2 pixels away from the skull (1 HU steps)."""
    truth = np.concatenate([np.any(list(scan.masks.values()), axis=0) for scan in population])
    values = np.concatenate([scan.hounsfield for scan in population])
    inside = np.concatenate([scan.intracranial for scan in population])
    deep = np.stack([cv2.erode(each.astype(np.uint8), np.ones((3, 3)), iterations=2) > 0 for each in inside])
    for region in (inside, deep):
        bleeding, hounsfield = truth[region], values[region]
        assert bleeding.any()
        scores = [
            2 * (bleeding & (hounsfield > cut)).sum() / (bleeding.sum() + (hounsfield > cut).sum())
            for cut in range(20, 120)
        ]
        assert max(scores) <= 0.60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 63}, "image_size is 63, but expected a whole number of at least 64"),
        ({"image_size": 64.0}, "image_size is 64.0"),
        ({"num_slices": 0}, "num_slices is 0, but expected a whole number of at least 1"),
        ({"seed": 1.5}, "seed is 1.5, but expected a whole number"),
        ({"seed": True}, "seed is True"),
        ({"subtypes": ("epidurl",)}, "subtypes holds 'epidurl', but expected names out of epidural"),
        ({"subtypes": "epidural"}, "subtypes is the string 'epidural', but expected a sequence"),
        ({"age_years": -1}, "age_years is -1, but expected a number from 0 to 100"),
    ],
)
def test_bad_input_is_refused(options, message):
    """Each bad argument is named with its value and what was expected."""
    with pytest.raises(HemokitError, match=message):
        make_phantom("a", **{"seed": 0, **options})


def test_a_patient_id_must_name_a_patient():
    """None is no patient."""
    with pytest.raises(HemokitError, match="patient_id is None, but expected a string"):
        make_phantom(None, seed=0)


def test_scan_and_masks_alone():
    """make_scan gives the phantom's Hounsfield units and masks, and nothing else."""
    hounsfield, masks = make_scan("12", seed=7, image_size=64, num_slices=3)
    phantom = make_phantom("12", seed=7, image_size=64, num_slices=3)
    np.testing.assert_array_equal(hounsfield, phantom.hounsfield)
    assert all((masks[subtype] == phantom.masks[subtype]).all() for subtype in SUBTYPES)
