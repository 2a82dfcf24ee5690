"""Batches: the same slices whoever asks, in whatever order, with however many workers (promises T7, L3 and Q3)."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hemokit.augment import NONE, RENYARD, STANDARD, Augmentation
from hemokit.batches import SliceBatches
from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset, read_image, read_mask
from hemokit.datasets.phantom import write_phantom
from hemokit.equalize import equalize_and_stretch
from hemokit.labels import CLASSES, LABELS, TWO_CLASSES, seven_way
from hemokit.slice_cache import LEVELS
from hemokit.splits import balance
from hemokit.windows import Window

MASK = {"target": "mask", "image_size": 32, "batch_size": 5}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Two phantom patients in Hounsfield units, one row a slice."""
    root = tmp_path_factory.mktemp("batches") / "phantom"
    return open_dataset(write_phantom(root, layout="ct_ich_nifti", num_patients=2, image_size=64, seed=1))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One cache folder for all tests here."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def train(slices):
    """All rows as training rows."""
    return slices.assign(split="train")


def everything(batches, epoch=0):
    """All images and masks of an epoch."""
    images, masks = zip(*(batches.batch(index, epoch) for index in range(len(batches))), strict=True)
    return np.concatenate(images), np.concatenate(masks)


def test_batches_are_the_slices(slices):
    """Without training: every slice once, in the order of the table, as the readers give it."""
    batches = SliceBatches(slices, target="mask", image_size=64, batch_size=7)
    images, masks = everything(batches)
    assert len(batches) == -(-len(slices) // 7) and len(images) == len(slices)
    assert images.dtype == masks.dtype == np.float32 and images.shape[1:] == masks.shape[1:] == (64, 64, 1)
    for image, mask, (_, row) in zip(images, masks, slices.iterrows(), strict=True):
        assert np.abs(image - read_image(row)).max() < 1 / LEVELS and (mask[..., 0] == read_mask(row)).all()


@pytest.mark.parametrize("target", ["any", "subtypes", "class", None])
def test_targets(slices, target):
    """Labels as the columns of the table, "class" as numbers into CLASSES, None as images alone."""
    batches = SliceBatches(slices, target=target, image_size=32, batch_size=9)
    batch = batches[0]
    if target is None:
        assert batch.shape == (9, 32, 32, 1)
        return
    images, labels = batch
    assert images.shape == (9, 32, 32, 1)
    expected = {"any": slices[["any"]].to_numpy()[:9], "subtypes": slices[list(LABELS)].to_numpy()[:9]}
    if target == "class":
        assert [CLASSES[number] for number in labels] == list(seven_way(slices)[:9]) and labels.dtype == np.int32
    else:
        assert (labels == expected[target]).all() and labels.dtype == np.float32


@pytest.mark.parametrize("classes", [CLASSES[:-1], ("subdural", "normal"), TWO_CLASSES])
def test_classes(slices, classes):
    """Numbers into the classes asked for, when all rows are of them; else one sentence counts the others."""
    names = np.where(slices["any"] == 1, "hemorrhage", "normal") if classes == TWO_CLASSES else seven_way(slices)
    chosen = np.isin(names, classes)
    options = {"target": "class", "image_size": 8, "batch_size": 200, "classes": classes}
    batches = SliceBatches(slices[chosen], **options)
    assert [classes[number] for number in batches[0][1]] == names[chosen].tolist() and batches.names == classes
    if not chosen.all():
        with pytest.raises(HemokitError, match=rf"{(~chosen).sum()} of {len(slices)} slices are of other classes \("):
            SliceBatches(slices, **options)


@pytest.mark.parametrize("target", ["class", "any"])
def test_class_weights(train, target):
    """The third array of a batch: the weights of its rows, as scikit-learn's, with the mean 1 over the table."""
    from sklearn.utils.class_weight import compute_sample_weight

    options = {"target": target, "image_size": 8, "batch_size": 9, "training": True}
    batches = SliceBatches(train, **options, class_weights="balanced")
    expected = compute_sample_weight("balanced", seven_way(train) if target == "class" else train["any"])
    found = np.empty(len(train), np.float32)
    for index in range(len(batches)):
        images, labels, found[batches.rows_of(index)] = batches[index]
        assert images.shape[0] == labels.shape[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.mean() == pytest.approx(1)
    costs = {name: 1 for name in CLASSES} if target == "class" else {"normal": 1, "hemorrhage": 3}
    given = SliceBatches(train, **options, class_weights=costs)
    fingerprints = [SliceBatches(train, **options).fingerprint, batches.fingerprint, given.fingerprint]
    assert len(set(fingerprints)) == 3
    if target == "any":
        ratio = given[0][2] / given[0][2].min()
        assert (ratio == pytest.approx(1 + 2 * given[0][1][:, 0])) and {1.0, 3.0} >= set(np.round(ratio, 5))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"class_weights": "auto"}, "class_weights is 'auto'"),
        ({"class_weights": {"normal": 1}}, "class_weights lacks '.*', but expected a weight for each of normal, epi"),
        ({"class_weights": {"bleed": 1}}, "class_weights names 'bleed'"),
        ({"class_weights": dict.fromkeys(CLASSES, 0)}, "the weight of 'normal' is 0"),
        ({"class_weights": "balanced", "training": False}, "class_weights were given without training"),
        ({"class_weights": "balanced", "target": "subtypes"}, "class_weights beside the target 'subtypes'"),
        ({"class_weights": "balanced", "target": "mask"}, "class_weights beside the target 'mask'"),
        ({"classes": CLASSES[:-1], "target": "any"}, "classes beside the target 'any'"),
        ({"classes": ("normal",)}, "classes is .*two or more of normal, epidural"),
        ({"classes": ("normal", "bleed")}, "classes is .*or \\('normal', 'hemorrhage'\\)"),
        ({"classes": "normal"}, "classes is 'normal'"),
    ],
)
def test_wrong_classes(train, changes, message):
    """Classes and weights that are none are named."""
    options = {"target": "class", "image_size": 8, "batch_size": 9, "training": True}
    with pytest.raises(HemokitError, match=message):
        SliceBatches(train, **{**options, **changes})


def test_label_column_missing(slices):
    """A table without a label column is refused by its name."""
    with pytest.raises(HemokitError, match="lacks the column.s. 'subdural'"):
        SliceBatches(slices.drop(columns="subdural"), **{**MASK, "target": "class"})


def test_windows_are_channels(slices):
    """Each window is a channel; a single one may stand alone."""
    several = SliceBatches(slices, **{**MASK, "target": None}, windows=("brain", Window(80, 200), "bone"))
    assert several[0].shape == (5, 32, 32, 3)
    alone = SliceBatches(slices, **{**MASK, "target": None}, windows=Window(80, 200))
    assert (alone[0][..., 0] == several[0][..., 1]).all()


def test_prepared_before_augmentation(train):
    """Each image goes through the named function, its mask does not; augmentation comes after it."""
    plain = everything(SliceBatches(train, **MASK))
    equalized = everything(SliceBatches(train, prepare="equalize_and_stretch", **MASK))
    assert all((one == equalize_and_stretch(image)).all() for one, image in zip(equalized[0], plain[0], strict=True))
    assert (equalized[1] == plain[1]).all() and (equalized[0] != plain[0]).any()
    options = {"prepare": "equalize_and_stretch", "training": True, "augmentation": Augmentation(brightness=(0.5, 0.5))}
    batches = SliceBatches(train, **options, **MASK)
    rows = np.concatenate([batches.rows_of(index) for index in range(len(batches))])
    np.testing.assert_allclose(everything(batches)[0], equalized[0][rows] / 2, atol=1e-6)


def test_epoch_shuffles_and_augments(train):
    """Each epoch holds every row once, in its own order; the same epoch is the same again."""
    batches = SliceBatches(train, **MASK, training=True, seed=3)
    orders = [np.concatenate([batches.rows_of(index, epoch) for index in range(len(batches))]) for epoch in range(3)]
    assert all(sorted(order) == list(range(len(train))) for order in orders)
    assert not (orders[0] == orders[1]).all() and not (orders[1] == orders[2]).all()
    again = SliceBatches(train, **MASK, training=True, seed=3)
    for epoch in (1, 0):
        for one, two in zip(everything(batches, epoch), everything(again, epoch), strict=True):
            assert (one == two).all()
    other = everything(SliceBatches(train, **MASK, training=True, seed=4))
    assert not (everything(batches)[0] == other[0]).all()


def test_epoch_advances_by_itself(train):
    """on_epoch_end goes to the next epoch; `epoch` can be set; a wrong one is refused."""
    batches = SliceBatches(train, **MASK, training=True)
    first = batches[0][0]
    batches.on_epoch_end()
    assert batches.epoch == 1 and not (batches[0][0] == first).all()
    batches.epoch = 0
    assert (batches[0][0] == first).all()
    with pytest.raises(HemokitError, match="epoch is -1"):
        batches.epoch = -1


def test_augmentation_is_standard_for_training_alone(train):
    """Training without a setting is STANDARD; NONE shuffles only; validation takes none."""
    usual, named = (SliceBatches(train, **MASK, training=True, augmentation=a) for a in (None, STANDARD))
    assert (usual[0][0] == named[0][0]).all()
    plain = everything(SliceBatches(train, **MASK, training=True, augmentation=NONE))[0]
    still = everything(SliceBatches(train, **MASK))[0]
    assert sorted(map(bytes, plain)) == sorted(map(bytes, still))
    with pytest.raises(HemokitError, match="augmentation was given without training"):
        SliceBatches(train, **MASK, augmentation=RENYARD)
    with pytest.raises(HemokitError, match="NONE, STANDARD"):
        SliceBatches(train, **MASK, training=True, augmentation="renyard")


def test_copies_are_augmented_differently(train):
    """The copies of a balanced table are the same slice, changed in another way."""
    balanced = balance(train, seed=0)
    batches = SliceBatches(balanced, target="mask", image_size=32, batch_size=len(balanced), training=True)
    rows, (images, _) = batches.rows_of(0), batches[0]
    copies = [place for place, row in enumerate(rows) if balanced["slice_id"][row] == balanced["slice_id"].mode()[0]]
    assert len(copies) > 1 and len({images[place].tobytes() for place in copies}) == len(copies)


def test_cache_changes_nothing(train):
    """With and without the cache: equal batches, shapes and fingerprint."""
    kept, read = (SliceBatches(train.head(9), **MASK, training=True, cache=cache) for cache in (True, False))
    for one, two in zip(everything(kept), everything(read), strict=True):
        assert (one == two).all()
    assert kept.fingerprint == read.fingerprint
    assert (kept.source_shapes == read.source_shapes).all() and kept.source_shapes.tolist() == [[64, 64]] * 9


def test_fingerprint_knows_all(train):
    """Whatever the batches depend on changes the fingerprint; making them again does not."""
    options = {**MASK, "training": True}
    labels = train.assign(any=1, subdural=1)
    found = {SliceBatches(train, **options).fingerprint for _ in range(2)}
    assert len(found) == 1
    for table, changes in [
        (train, {"seed": 1}), (train, {"image_size": 33}), (train, {"batch_size": 6}), (train, {"augmentation": NONE}),
        (train, {"augmentation": STANDARD._replace(noise=np.float32(0.5))}),
        (train, {"windows": ("bone",)}), (train, {"training": False}), (train, {"target": None}),
        (train, {"target": "any"}), (labels, {"target": "any"}), (train, {"target": "class"}),
        (train, {"target": "class", "classes": TWO_CLASSES}), (train.iloc[1:], {}), (train.iloc[::-1], {}),
        (balance(train), {}), (train, {"prepare": "equalize_and_stretch"}),
    ]:  # fmt: skip
        found.add(SliceBatches(table, **{**options, **changes}).fingerprint)
    assert len(found) == 17


def test_travels_to_other_processes(train):
    """A pickle holds no arrays, and gives the same batches."""
    batches = SliceBatches(train, **MASK, training=True)
    batches[0]
    sent = pickle.dumps(batches)
    assert len(sent) < 200_000 and (pickle.loads(sent)[1][0] == batches[1][0]).all()


def test_keras_takes_every_batch_once_an_epoch(train):
    """Keras' own fit, with threads: the epoch advances (once more where Keras builds the model first)."""
    import keras

    batches = SliceBatches(train, target="any", image_size=8, batch_size=16, training=True, workers=2)
    layers = [keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(loss="binary_crossentropy")
    history = model.fit(batches, epochs=2, verbose=0, shuffle=False)
    assert len(history.history["loss"]) == 2 and batches.epoch in (2, 3)


def paired(batches, order, workers):
    """T7: how many pairs are off, and a checksum of all: images that are made of their masks, so every pixel tells."""
    with ThreadPoolExecutor(workers) as pool:
        done = dict(zip(order, pool.map(lambda item: batches.batch(*item), order), strict=True))
    off = 0
    for images, masks in done.values():
        off += sum(not ((image > 0.5) == (mask > 0.5)).all() for image, mask in zip(images, masks, strict=True))
        assert set(np.unique(masks)) <= {0.0, 1.0}
    return off, [done[item][0].tobytes() for item in sorted(done)]


@pytest.mark.parametrize("number", [400, pytest.param(10_000, marks=pytest.mark.promises)])
def test_pairs_stay_paired(train, monkeypatch, number):
    """T7: under 1, 2 and 4 workers and in any order no image loses its mask, and all runs are equal."""
    setting = RENYARD._replace(brightness=(0.8, 1.8))
    batches = SliceBatches(train, target="mask", image_size=16, batch_size=8, training=True, augmentation=setting)
    slices = batches._slices()
    made = np.repeat(np.repeat(np.random.default_rng(0).random((len(slices.images), 4, 4)) > 0.5, 4, 1), 4, 2)
    batches._opened = slices._replace(images=(made[..., None] * LEVELS).astype(np.uint16), masks=made)
    # Images are sampled at the nearest pixel here: then a pair that shares its grid is equal at every pixel.
    monkeypatch.setattr("hemokit.augment.cv2.INTER_LINEAR", 0)
    epochs = -(-number // len(train))
    items = [(index, epoch) for epoch in range(epochs) for index in range(len(batches))]
    first = None
    for workers in (1, 2, 4):
        order = [items[place] for place in np.random.default_rng(workers).permutation(len(items))]
        off, found = paired(batches, order, workers)
        assert off == 0
        assert first is None or found == first
        first = found


RELATIONS = 200


@pytest.mark.parametrize("number", [10, pytest.param(RELATIONS, marks=pytest.mark.promises)])
class TestRelations:
    """Q3: what must not matter does not, and what must move together does."""

    def test_order_of_slices(self, slices, number):
        """1. Any order of the rows gives the same image for each slice."""
        usual = dict(zip(slices["slice_id"], everything(SliceBatches(slices, **MASK))[0], strict=True))
        for seed in range(number):
            table = slices.sample(frac=0.5, random_state=seed)
            batches = SliceBatches(table.head(4), target=None, image_size=32, batch_size=4, cache=False)
            assert all((image == usual[name]).all() for image, name in zip(batches[0], table["slice_id"], strict=False))

    def test_batch_size(self, train, number):
        """2. The size of the batches changes no slice, in training neither."""
        whole = SliceBatches(train, **{**MASK, "batch_size": len(train)}, training=True)
        for seed in range(number):
            size, epoch = 1 + seed % 9, seed % 5
            parts = SliceBatches(train, **{**MASK, "batch_size": size}, training=True)
            index = seed % len(parts)
            expected = whole.batch(0, epoch)[0][index * size : index * size + size]
            assert (parts.batch(index, epoch)[0] == expected).all()

    def test_hounsfield_outside_the_window(self, slices, number, monkeypatch):
        """3. Changing Hounsfield units below or above the window, as long as they stay there, changes nothing."""
        from hemokit.datasets import ct_ich_nifti

        read, row = ct_ich_nifti.read_hounsfield, slices.iloc[[len(slices) // 2]]
        expected = SliceBatches(row, **MASK, cache=False)[0][0]
        for seed in range(number):
            rng = np.random.default_rng(seed)

            def changed(row, rng=rng):
                units = read(row)
                moved = units + rng.choice([-1, 1]) * rng.uniform(0, 500, units.shape).astype(np.float32)
                return np.where(units <= 0, np.minimum(moved, 0), np.where(units >= 80, np.maximum(moved, 80), units))

            monkeypatch.setattr(ct_ich_nifti, "read_hounsfield", changed)
            assert (SliceBatches(row, **MASK, cache=False)[0][0] == expected).all()

    def test_flip(self, number):
        """4. Flipping the input flips image and mask of a symmetric change."""
        from hemokit.augment import affine_of, sampling_grid, warp_pair

        for seed in range(number):
            image, mask, rng = _pair(seed)
            zoom = rng.uniform(0.7, 1.4)
            places = sampling_grid(mask.shape, affine_of(mask.shape, zoom=zoom))
            one, two = warp_pair(image, mask, places), warp_pair(image[:, ::-1], mask[:, ::-1], places)
            assert np.allclose(one[0][:, ::-1], two[0], atol=1e-3)
            assert (one[1][:, ::-1] != two[1]).mean() < 0.02  # halves between two pixels

    def test_brightness_and_geometry_commute(self, number):
        """5. Darkening before the geometry is darkening after it."""
        for seed in range(number):
            image, mask, rng = _pair(seed)
            factor, key = np.float32(rng.uniform(0.2, 1)), (0, seed, "a")
            moved = Augmentation(rotation_degrees=30, zoom=(0.8, 1.2), elastic_alpha=(0.0, 10.0))
            one = _augmented(image * factor, mask, moved, key)
            two = _augmented(image, mask, moved, key)
            assert np.allclose(one[0], two[0] * factor, atol=1e-5) and (one[1] == two[1]).all()

    def test_channels(self, number):
        """6. Each channel is changed as if it were alone, and all alike."""
        for seed in range(number):
            image, mask, _ = _pair(seed, channels=3)
            together = _augmented(image, mask, RENYARD, (0, seed, "a"))[0]
            for channel in range(3):
                alone = _augmented(image[..., channel : channel + 1].copy(), mask, RENYARD, (0, seed, "a"))[0]
                assert np.allclose(alone[..., 0], together[..., channel], atol=1e-6)

    def test_mask_does_not_change_the_image(self, number):
        """7. The image is the same whatever its mask, and without one; the mask whatever its image."""
        for seed in range(number):
            image, mask, _ = _pair(seed)
            one = _augmented(image, mask, STANDARD, (0, seed, "a"))
            two = _augmented(image, ~mask, STANDARD, (0, seed, "a"))
            assert (one[0] == two[0]).all() and (one[0] == _augmented(image, None, STANDARD, (0, seed, "a"))[0]).all()
            assert (one[1] == _augmented(1 - image, mask, STANDARD, (0, seed, "a"))[1]).all()


def _pair(seed, channels=1):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(7, 10, 2)
    return rng.random((height, width, channels), np.float32), rng.random((height, width)) > 0.5, rng


def _augmented(image, mask, setting, key):
    from hemokit.augment import augment_pair

    return augment_pair(image, mask, setting, key=key)


@pytest.mark.parametrize("others", ["validation", "test", None])
def test_training_on_other_rows_is_refused(slices, others):
    """L3: training takes rows of the split train alone."""
    split = slices["patient_id"].map(dict(zip(slices["patient_id"].unique(), ["train", others], strict=True)))
    with pytest.raises(HemokitError, match="training=True, and .* training rows only"):
        SliceBatches(slices.assign(split=split), **MASK, training=True)
    SliceBatches(slices.assign(split=split)[split == "train"], **MASK, training=True)


def test_leaks_are_refused(slices):
    """A patient in two splits is refused, also where nothing is trained."""
    split = np.where(np.arange(len(slices)) % 2, "train", "test")
    with pytest.raises(HemokitError, match="patient in two splits"):
        SliceBatches(slices.assign(split=split), **MASK)


def test_copies_are_refused_where_wrong(train):
    """Copies outside training, copies without a split, and rows twice without numbers."""
    with pytest.raises(HemokitError, match="rows are copies"):
        SliceBatches(balance(train), **MASK)
    with pytest.raises(HemokitError, match="balanced but not split"):
        SliceBatches(balance(train).drop(columns="split"), **MASK, training=True)
    with pytest.raises(HemokitError, match="stands in the table twice"):
        SliceBatches(train.loc[[0, 0, 1]], **MASK, training=True)


def test_hemorrhage_without_a_mask_is_refused(slices):
    """A mask target needs a mask wherever there is hemorrhage; other targets do not."""
    bare = slices.assign(mask_path=None)
    with pytest.raises(HemokitError, match="have hemorrhage and no mask"):
        SliceBatches(bare, **MASK)
    assert SliceBatches(bare, **{**MASK, "target": "any"})[0][1].shape == (5, 1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"target": "masks"}, "target is 'masks'"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": (32, 32)}, "image_size is"),
        ({"image_size": 32.0}, "image_size is 32.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": True}, "batch_size is True"),
        ({"seed": None}, "seed is None"),
        ({"windows": ("brian",)}, "brian"),
        ({"windows": ()}, "at least one"),
        ({"windows": 5}, "windows is 5"),
        ({"prepare": "equalise"}, "prepare is 'equalise'"),
    ],
)
def test_wrong_settings(slices, changes, message):
    """Each wrong argument is named."""
    with pytest.raises(HemokitError, match=message):
        SliceBatches(slices, **{**MASK, **changes})


def test_wrong_tables(slices):
    """An empty table, one that lacks columns, and what is no table."""
    with pytest.raises(HemokitError, match="no rows"):
        SliceBatches(slices.head(0), **MASK)
    with pytest.raises(HemokitError, match="lacks the column"):
        SliceBatches(slices.drop(columns="mask_path"), **MASK)
    with pytest.raises(HemokitError, match="ids to be strings"):
        SliceBatches(slices.assign(slice_id=range(len(slices))), **MASK)
    with pytest.raises(HemokitError, match="labels 0 or 1"):
        SliceBatches(slices.assign(any=np.nan), **MASK)
    with pytest.raises(HemokitError, match="the table is a list"):
        SliceBatches([], **MASK)


def test_batch_beyond_the_end(slices):
    """There is no batch after the last one; negative numbers count from the end."""
    batches = SliceBatches(slices, **MASK)
    with pytest.raises(IndexError):
        batches[len(batches)]
    assert (batches[-1][0] == batches[len(batches) - 1][0]).all()
