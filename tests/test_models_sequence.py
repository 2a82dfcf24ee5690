"""ResNeXt and the sequence model: sizes, names, and scans of any length in one batch."""

import keras
import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.losses import weighted_log_loss
from hemokit.models.sequence import DEVIATIONS, MEANS, resnext, resnext101, resnext_small, scan_lstm


def trainable(model):
    """The number of parameters that are trained."""
    return sum(int(np.prod(one.shape)) for one in model.trainable_variables)


def torchvision_count(blocks, filters, groups, width, classes, channels):
    """The parameters of torchvision's ResNet class, counted from its layers by hand, two a normalization."""
    count, inputs = 64 * channels * 49 + 2 * 64, 64
    for stage, (number, outputs) in enumerate(zip(blocks, filters, strict=True)):
        middle = groups * width * 2**stage
        for block in range(number):
            count += inputs * middle + 2 * middle
            count += groups * (middle // groups) ** 2 * 9 + 2 * middle
            count += middle * outputs + 2 * outputs
            count += 0 if block else inputs * outputs + 2 * outputs
            inputs = outputs
    return count + inputs * classes + classes


@pytest.mark.slow
def test_resnext101_is_the_published_network():
    """With 1,000 classes it has the 88,791,336 parameters of torchvision's resnext101_32x8d; with six labels fewer."""
    size = {"blocks": (3, 4, 23, 3), "filters": (256, 512, 1024, 2048), "groups": 32, "width": 8, "channels": 3}
    assert torchvision_count(**size, classes=1000) == 88_791_336
    assert trainable(resnext101((64, 64, 3), num_classes=1000, multi_label=False)) == 88_791_336
    model = resnext101((256, 256, 3))
    assert trainable(model) == torchvision_count(**size, classes=6) == 86_754_630
    assert model.get_layer("pool").output.shape == (None, 2048) and model.output.shape == (None, 6)
    assert model.get_layer("stage4_block3_relu").output.shape == (None, 8, 8, 2048)  # stride 32


@pytest.mark.slow
def test_medicai_agrees():
    """An independent implementation has as many parameters."""
    medicai = pytest.importorskip("medicai.models", reason="medicai is not installed (pip install medicai)")
    other = medicai.ResNeXt101(input_shape=(64, 64, 3), num_classes=1000)
    assert trainable(other) == trainable(resnext101((64, 64, 3), num_classes=1000, multi_label=False))


def test_small_sibling():
    """The same layers in small: names, outputs, any image of 32 pixels or more, one channel or several."""
    model = resnext_small((41, 39, 1))
    assert trainable(model) == 162_990 - 2 * 8 * 49 and model.get_layer("pool").output.shape == (None, 256)
    assert {"stem_conv", "stage1_block1_conv2", "stage4_block1_project", "logits"} <= {one.name for one in model.layers}
    assert model.get_layer("stage2_block1_conv2").groups == 4
    found = model.predict(np.zeros((2, 41, 39, 1)), verbose=0)
    assert found.shape == (2, 6) and ((found > 0) & (found < 1)).all()


def test_three_windows_are_normalized():
    """Images of the published means become 0 before the first convolution; other numbers of channels stay."""
    model = resnext_small((32, 32, 3))
    inside = keras.Model(model.input, model.get_layer("normalized").output)
    images = np.broadcast_to(np.add(MEANS, DEVIATIONS), (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(inside.predict(images, verbose=0), 1, rtol=1e-5)
    assert "normalized" not in [one.name for one in resnext_small((32, 32, 1)).layers]


@pytest.mark.parametrize("wrong, match", [
    ({"blocks": (1, 1)}, "filters is .*, but expected 2 positive"),
    ({"groups": 0}, "groups and group_width is"),
    ({"num_classes": 0}, "num_classes is 0"),
    ({"num_classes": 1, "multi_label": False}, "num_classes is 1, but expected a whole number from 2"),
    ({"input_shape": (31, 32, 1)}, "the image has 31x32 pixels"),
])  # fmt: skip
def test_wrong_networks(wrong, match):
    """Numbers that make no network are refused."""
    good = {"input_shape": (32, 32, 1), "blocks": (1,) * 4, "filters": (8,) * 4, "groups": 2, "group_width": 2}
    with pytest.raises(HemokitError, match=match):
        resnext(**{**good, "num_classes": 6, **wrong})


def scans(lengths, width, rng, padded=None):
    """A batch of scans of these lengths: 1, probabilities, features; 0 behind the end."""
    batch = np.zeros((len(lengths), padded or max(lengths), 7 + width), np.float32)
    for number, length in enumerate(lengths):
        batch[number, :length, 1:7] = rng.uniform(0.01, 0.99, (length, 6))
        batch[number, :length, 7:] = rng.normal(size=(length, width))
        batch[number, :length, 0] = 1
    return batch


def trained(model, rng):
    """The model with random weights everywhere, also where training begins at 0."""
    model.set_weights([rng.normal(0, 0.3, one.shape) for one in model.get_weights()])
    return model


def test_begins_as_the_slice_model():
    """Before training it says what the slice model said; the count of parameters is as documented."""
    model, batch = scan_lstm(9, units=4), scans([7, 5], 9, np.random.default_rng(0))
    assert scan_lstm().count_params() == 775_210
    np.testing.assert_allclose(model.predict(batch, verbose=0)[0], batch[0, :, 1:7], atol=1e-6)


def test_padding_changes_nothing():
    """A scan alone, in a batch with longer ones, and with more places behind it, gives the same probabilities."""
    rng = np.random.default_rng(0)
    model, batch = trained(scan_lstm(9, units=4), rng), scans([7, 3, 1], 9, rng)
    together = model.predict(batch, verbose=0)
    longer = model.predict(np.pad(batch, ((0, 0), (0, 9), (0, 0))), verbose=0)
    for number, length in enumerate((7, 3, 1)):
        alone = model.predict(batch[number : number + 1, :length], verbose=0)[0]
        np.testing.assert_allclose(together[number, :length], alone, atol=1e-6)
        np.testing.assert_allclose(longer[number, :length], alone, atol=1e-6)


def test_both_neighbors_count():
    """What a slice is called depends on slices before and behind it, and on their order."""
    rng = np.random.default_rng(0)
    model, batch = trained(scan_lstm(9, units=4), rng), scans([7], 9, rng)
    usual = model.predict(batch, verbose=0)[0]
    for changed in (0, 6):
        other = batch.copy()
        other[0, changed, 7:] += 1
        assert np.abs(model.predict(other, verbose=0)[0, 3] - usual[3]).max() > 1e-5
    assert np.abs(model.predict(batch[:, ::-1], verbose=0)[0, ::-1] - usual).max() > 1e-3


def test_loss_is_over_slices_alone():
    """With the weights that batches have, Keras' loss is the mean over real slices: no mask counts a second time."""
    rng = np.random.default_rng(0)
    model, batch = trained(scan_lstm(9, units=4), rng), scans([7, 2], 9, rng)
    truth = (rng.random((2, 7, 6)) < 0.3).astype(np.float32)
    there = batch[..., 0]
    model.compile(loss=weighted_log_loss)
    found = model.evaluate(batch, truth, sample_weight=there * there.size / there.sum(), verbose=0)
    each = keras.ops.convert_to_numpy(weighted_log_loss(truth, model.predict(batch, verbose=0)))
    assert found == pytest.approx(each[there > 0].mean(), rel=1e-5)


def test_saved_and_loaded(tmp_path):
    """The model comes back from a file without any code in it."""
    rng = np.random.default_rng(0)
    model, batch = trained(scan_lstm(9, units=4), rng), scans([7], 9, rng)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(batch, verbose=0), model.predict(batch, verbose=0))


@pytest.mark.parametrize("wrong, match", [({"units": 0}, "num_features, units"), ({"dropout": 1}, "dropout is 1")])
def test_wrong_sequence_models(wrong, match):
    """Numbers that make no model are refused."""
    with pytest.raises(HemokitError, match=match):
        scan_lstm(9, **wrong)
