"""Tests of hemokit.formats.nifti_files. Damage of all kinds stands in test_malformed_files.py."""

import gzip
import itertools
import os
import threading

import nibabel as nib
import numpy as np
import pytest
from malformed import AFFINE, CONFLICT, nifti, sheared, turned, volume, write

from hemokit.checks import HemokitError
from hemokit.formats import nifti_files
from hemokit.formats.nifti_files import check_same_grid, read_nifti, read_nifti_header, read_nifti_volume

RNG = np.random.default_rng(0)
DATA = volume(RNG)  # (7, 8, 9)

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("LR", "PA", "IS")) for letters in itertools.product(*order)
]


def saved(path, array, affine=AFFINE, form="sform"):
    """Write with nibabel, the one form alone."""
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=int(form == "sform"))
    image.set_qform(affine, code=int(form == "qform"))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_ct_ich_files_show_the_jpg_view(tmp_path, name, form):
    """A file with the axes of CT-ICH (to Left, Anterior, Superior) gives np.rot90 of each slice."""
    path = saved(tmp_path / name, DATA, form=form)
    array, spacing_mm = read_nifti_volume(path)
    assert array.dtype == np.float32
    assert array.shape == (9, 8, 7)
    for k in range(9):
        np.testing.assert_array_equal(array[k], np.rot90(DATA[:, :, k]))
    np.testing.assert_allclose(spacing_mm, (5, 0.45, 0.45), rtol=1e-6)
    raw = read_nifti(path)
    assert raw.orientation == "LAS" and raw.data.dtype == np.int16
    np.testing.assert_array_equal(raw.data, DATA)
    np.testing.assert_allclose(raw.affine, AFFINE, rtol=1e-6)


@pytest.mark.parametrize("kind", ["hounsfield", "mask"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_left_stays_left_in_every_orientation(tmp_path, orientation, kind):
    """However a file's axes run (48 ways, images and masks), the view is the same (promise I7: 96 of 96)."""
    data = np.where(DATA > 500, 255, 0).astype(np.uint8) if kind == "mask" else DATA
    change = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("LAS"), nib.orientations.axcodes2ornt(orientation)
    )
    image = nib.Nifti1Image(data, AFFINE).as_reoriented(change)
    assert "".join(nib.aff2axcodes(image.affine)) == orientation
    path = saved(tmp_path / "scan.nii", np.asarray(image.dataobj), image.affine)
    array, spacing_mm = read_nifti_volume(path, kind=kind)
    expected = np.stack([np.rot90(data[:, :, k]) for k in range(9)])
    np.testing.assert_array_equal(array, expected > 127 if kind == "mask" else expected)
    np.testing.assert_allclose(spacing_mm, (5, 0.45, 0.45), rtol=1e-5)
    header = read_nifti_header(path)
    assert (header.orientation, header.volume_shape) == (orientation, (9, 8, 7))
    np.testing.assert_allclose(header.volume_spacing_mm, spacing_mm)


def test_the_patients_left_is_on_the_right_of_the_view(tmp_path):
    """A voxel far to the patient's left, front and top lies in the last column, first row and last slice."""
    for orientation in ORIENTATIONS[::5]:
        change = nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
        )
        data = np.full((7, 8, 9), -1000, np.int16)
        image = nib.Nifti1Image(data, np.diag([1, 1, 2, 1.0])).as_reoriented(change)
        data = np.asarray(image.dataobj).copy()
        world = (-0.0, 7.0, 16.0)  # x to the Right: 0 is the leftmost of 0..6
        index = np.linalg.solve(image.affine, (*world, 1))[:3].round().astype(int)
        data[tuple(index)] = 1
        array, _ = read_nifti_volume(saved(tmp_path / f"{orientation}.nii", data, image.affine))
        assert np.argwhere(array == 1).tolist() == [[8, 0, 6]]


def test_a_small_rotation_is_allowed_and_a_large_one_is_not(tmp_path):
    """Axes 20 degrees off keep their order; 35 degrees off are refused with the angle."""
    path = write(tmp_path, "nii", nifti(DATA, turned(20)))
    np.testing.assert_array_equal(read_nifti_volume(path).array[3], np.rot90(DATA[:, :, 3]))
    with pytest.raises(HemokitError, match="an axis is 35.0 degrees off"):
        read_nifti(write(tmp_path, "nii", nifti(DATA, turned(35))))


def test_tilt_is_refused_with_its_angle_unless_allowed(tmp_path):
    """A sheared grid is an error with the number; `max_shear_degrees` lets it pass knowingly."""
    affine = AFFINE.copy()
    affine[1:3, 2] = 5 * np.sin(np.radians(12)), 5 * np.cos(np.radians(12))
    path = write(tmp_path, "nii", nifti(DATA, affine))
    with pytest.raises(HemokitError, match="12.0 degrees off right angles"):
        read_nifti_volume(path)
    assert read_nifti_volume(path, max_shear_degrees=15).array.shape == (9, 8, 7)
    assert sheared(RNG)[1, 2] > 0


def test_sform_and_qform_must_agree(tmp_path):
    """A conflict is told in mm; agreement to half a voxel is enough."""
    with pytest.raises(HemokitError, match=r"sform and qform put the same voxel up to \d+\.\d\d mm apart"):
        read_nifti(write(tmp_path, "nii", nifti(DATA, **CONFLICT)))
    image = nib.Nifti1Image(DATA, AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] += 0.2
    image.set_sform(AFFINE, code=1)
    image.set_qform(moved, code=1)
    np.testing.assert_array_equal(read_nifti(write(tmp_path, "nii", image.to_bytes())).data, DATA)


def test_no_affine_needs_a_word(tmp_path):
    """A header that knows no left and right is refused; `assume` names the axes, and wrong names are refused."""
    path = write(tmp_path, "nii", nifti(DATA, affine=None))
    with pytest.raises(HemokitError, match='left and right are unknown.*assume="LAS"'):
        read_nifti_volume(path)
    np.testing.assert_array_equal(read_nifti_volume(path, assume="LAS").array[0], np.rot90(DATA[:, :, 0]))
    np.testing.assert_array_equal(read_nifti_volume(path, assume="RAS").array[0], np.rot90(DATA[:, :, 0])[:, ::-1])
    for wrong in ("LAX", "LRS", "LA", "las"):
        with pytest.raises(HemokitError, match="the orientation is"):
            read_nifti_volume(path, assume=wrong)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_number_types_and_byte_orders(tmp_path, dtype, order):
    """Every number type in both byte orders gives the same values, in the machine's order."""
    data = RNG.integers(0, 100, (7, 8, 9)).astype(dtype)
    image = nib.Nifti1Image(data, AFFINE, header=nib.Nifti1Header(endianness=order))
    image.set_data_dtype(data.dtype)
    read = read_nifti(write(tmp_path, "nii", image.to_bytes())).data
    assert read.dtype == (np.float32 if dtype[0] == "f" else np.dtype(dtype))
    np.testing.assert_array_equal(read, data)


def test_slope_and_intercept(tmp_path):
    """Values are slope x stored + intercept; a slope of 0, and NaN for both, mean "as stored"."""
    stored = RNG.integers(0, 4096, (7, 8, 9)).astype(np.uint16)
    read = read_nifti(write(tmp_path, "nii", nifti(stored, scl_slope=1, scl_inter=-1024))).data
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, stored.astype(int) - 1024)
    read = read_nifti(write(tmp_path, "nii", nifti(stored, scl_slope=0.5, scl_inter=1))).data
    np.testing.assert_array_equal(read, stored * 0.5 + 1)
    for slope, intercept in ((0, 7), (np.nan, np.nan)):
        read = read_nifti(write(tmp_path, "nii", nifti(stored, scl_slope=slope, scl_inter=intercept))).data
        np.testing.assert_array_equal(read, stored)
    for slope, intercept in ((np.nan, 5), (1, np.nan), (np.inf, 0)):
        with pytest.raises(HemokitError, match="slope is .* and intercept .*, but expected finite numbers"):
            read_nifti(write(tmp_path, "nii", nifti(stored, scl_slope=slope, scl_inter=intercept)))


def test_an_overflow_after_scaling_is_refused(tmp_path):
    """Stored numbers beyond float32 are not turned into infinity."""
    data = np.full((7, 8, 9), 1e300)
    with pytest.raises(HemokitError, match="504 of 504 voxels are NaN or infinite"):
        read_nifti(write(tmp_path, "nii", nifti(data)))


def test_masks(tmp_path):
    """About 0/255 is cut at 127, 0/1 at one half; an empty mask is all False."""
    truth = RNG.random((7, 8, 9)) > 0.7
    view = np.stack([np.rot90(truth[:, :, k]) for k in range(9)])
    noisy = (255 * truth + RNG.uniform(-0.4, 0.4, truth.shape)).astype(np.float32)
    for data in (noisy, (255 * truth).astype(np.uint8), truth.astype(np.int16), truth.astype(np.float64)):
        read = read_nifti_volume(write(tmp_path, "nii", nifti(data)), kind="mask").array
        assert read.dtype == bool
        np.testing.assert_array_equal(read, view)
    empty = read_nifti_volume(write(tmp_path, "nii", nifti(np.zeros((7, 8, 9), "u1"))), kind="mask").array
    assert not empty.any()
    scaled = nifti(truth.astype(np.uint8), scl_slope=255, scl_inter=0)
    np.testing.assert_array_equal(read_nifti_volume(write(tmp_path, "nii", scaled), kind="mask").array, view)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA, "the mask has values from -"),
        (DATA % np.int16(6), "the mask has values from 0 to 5"),
        (np.abs(DATA), "the mask has values from .* but expected about 0 and 1"),
        (np.linspace(0, 255, 504, dtype="f4").reshape(7, 8, 9), "50 % of the mask's voxels lie between 64 and 191"),
        (np.linspace(0, 1, 504, dtype="f4").reshape(7, 8, 9), "voxels of the mask lie between 0.25 and 0.75"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, data, message):
    """A CT, a map of labels and probabilities are told from masks."""
    with pytest.raises(HemokitError, match=message):
        read_nifti_volume(write(tmp_path, "nii", nifti(data)), kind="mask")


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (0, 255), (-1000, 70000), (-70000, 1000)])
def test_what_is_no_ct_is_refused(tmp_path, low, high):
    """A mask, a windowed image and values out of all range are told from Hounsfield units."""
    data = np.where(DATA > 500, high, low).astype(np.int32)
    with pytest.raises(HemokitError, match=f"the values go from {low} to {high}, but expected Hounsfield units"):
        read_nifti_volume(write(tmp_path, "nii", nifti(data)))
    assert read_nifti(write(tmp_path, "nii", nifti(data))).data.max() == high


def test_kind_is_checked(tmp_path):
    """Only the two kinds exist."""
    with pytest.raises(HemokitError, match="kind is 'label'"):
        read_nifti_volume(write(tmp_path, "nii", nifti(DATA)), kind="label")


def test_image_and_mask_must_share_a_grid(tmp_path):
    """Another shape or place is refused with the numbers; the same grid passes."""
    image = write(tmp_path, "nii", nifti(DATA), "image")
    check_same_grid(image, write(tmp_path, "nii.gz", gzip.compress(nifti(DATA))))
    with pytest.raises(HemokitError, match=r"mask\.nii: the mask has \(7, 8, 5\) voxels, .*\(7, 8, 9\)"):
        check_same_grid(image, write(tmp_path, "nii", nifti(DATA[:, :, :5]), "mask"))
    moved = AFFINE.copy()
    moved[2, 3] += 3
    with pytest.raises(HemokitError, match=r"mask\.nii: the mask lies up to 3\.00 mm away"):
        check_same_grid(image, write(tmp_path, "nii", nifti(DATA, moved), "mask"))
    mirrored = np.diag([-1, 1, 1, 1.0]) @ AFFINE
    with pytest.raises(HemokitError, match="away from"):
        check_same_grid(image, write(tmp_path, "nii", nifti(DATA, mirrored), "mask"))


def test_a_fourth_axis_of_one_and_an_extension_are_fine(tmp_path):
    """A single time point and a header extension change nothing."""
    np.testing.assert_array_equal(read_nifti(write(tmp_path, "nii", nifti(DATA[..., None]))).data, DATA)
    image = nib.Nifti1Image(DATA, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    np.testing.assert_array_equal(read_nifti(write(tmp_path, "nii", image.to_bytes())).data, DATA)


def test_a_packed_file_in_two_members_is_read(tmp_path):
    """gzip allows several members in a row (parallel packers write them)."""
    data = nifti(DATA)
    path = write(tmp_path, "nii.gz", gzip.compress(data[:500]) + gzip.compress(data[500:]))
    np.testing.assert_array_equal(read_nifti(path).data, DATA)


def test_max_bytes_is_the_unpacked_size(tmp_path):
    """The limit is held against what the header announces."""
    path = write(tmp_path, "nii.gz", gzip.compress(nifti(np.zeros((7, 8, 9), np.int16))))
    assert read_nifti(path, max_bytes=1360).data.shape == (7, 8, 9)
    with pytest.raises(HemokitError, match="1,360 bytes, but expected at most 1,359"):
        read_nifti(path, max_bytes=1359)


def test_volumes_are_kept_until_the_file_changes(tmp_path, monkeypatch):
    """The second reading costs nothing, the array cannot be changed, and a new file is read anew."""
    path = write(tmp_path, "nii", nifti(DATA))
    first = read_nifti_volume(path)
    assert read_nifti_volume(str(path)) is first
    with pytest.raises(ValueError, match="read-only"):
        first.array[0] = 0
    write(tmp_path, "nii", nifti(DATA + np.int16(1)))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(read_nifti_volume(path).array, first.array + 1)
    monkeypatch.setattr(nifti_files, "read_nifti", None)  # a reading now would fail
    np.testing.assert_array_equal(read_nifti_volume(path).array, first.array + 1)


def test_an_error_is_not_kept(tmp_path):
    """A file that was refused is read once it is whole."""
    path = write(tmp_path, "nii", nifti(DATA)[:-1])
    with pytest.raises(HemokitError, match="there are 1,359 bytes"):
        read_nifti_volume(path)
    write(tmp_path, "nii", nifti(DATA))
    assert read_nifti_volume(path).array.shape == (9, 8, 7)


def test_threads_may_read_at_once(tmp_path):
    """Eight threads get the same volumes as one."""
    paths = [write(tmp_path, "nii.gz", gzip.compress(nifti(DATA + np.int16(n))), f"scan{n}") for n in range(8)]
    results = {}

    def read(n):
        results[n] = read_nifti_volume(paths[n]).array[0, 0, 0]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: value - results[0] for n, value in results.items()} == {n: n for n in range(8)}


def test_up_to_seven_axes_of_length_one(tmp_path):
    """The standard allows seven axes; eight are damage."""
    dim = [7, 7, 8, 9, 1, 1, 1, 1]
    np.testing.assert_array_equal(read_nifti(write(tmp_path, "nii", nifti(DATA, dim=dim))).data, DATA)
    for axes in (8, 2, 0, -1):
        with pytest.raises(HemokitError, match="the header (announces|starts with)"):
            read_nifti(write(tmp_path, "nii", nifti(DATA, dim=[axes, *dim[1:]])))


def test_axes_that_span_no_space_are_refused(tmp_path):
    """Two equal axes leave the affine without an inverse, though no number in it is odd."""
    affine = AFFINE.copy()
    affine[:3, 1] = affine[:3, 0]
    with pytest.raises(HemokitError, match=r"the affine is \[\[-0.4.*three finite axes in space"):
        read_nifti(write(tmp_path, "nii", nifti(DATA, affine)))


def test_soft_edges_of_a_mask_are_allowed(tmp_path):
    """A few voxels between the two values are cut at 127: 127 is outside, 128 inside."""
    data = np.zeros((7, 8, 9), np.uint8)
    data[:3], data[0, 0, 0], data[0, 0, 1] = 255, 127, 128
    array = read_nifti_volume(write(tmp_path, "nii", nifti(data)), kind="mask").array
    assert array.sum() == 3 * 8 * 9 - 1 and not array[0, 7, 0] and array[1, 7, 0]
