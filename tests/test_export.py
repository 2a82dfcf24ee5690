"""Exported models: what is loaded, what is refused before it is opened, and how it runs."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra deploy is not installed")
pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")

from export_cases import BRAIN, keras_archive, layer, malicious, onnx_bytes, weights, write_carded, write_onnx  # noqa: E402

from hemokit.checks import HemokitError  # noqa: E402
from hemokit.export import Card, card_path, compare_exported, load_exported, read_card, write_card  # noqa: E402
from hemokit.export.archives import check_keras_archive  # noqa: E402
from hemokit.export.converting import converting, export_model  # noqa: E402

ROOT = Path(__file__).parent.parent


def images(count, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).random((count, *shape), np.float32)


@pytest.mark.parametrize("count", [0, 1, 16, 35])
def test_any_number_of_images(tmp_path, count):
    """A batch of any size, also of none, in order and as float32."""
    batch = images(count)
    got = load_exported(write_onnx(tmp_path / "m.onnx")).probabilities(batch)
    assert got.dtype == np.float32 and np.array_equal(got, batch)


def test_threads_get_their_own_answers(tmp_path):
    """Eight threads at once: each gets the answer to what it asked."""
    exported = load_exported(write_onnx(tmp_path / "m.onnx"), num_threads=1)
    batches = [images(3, seed=seed) for seed in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(exported.probabilities, batches))
    assert all(np.array_equal(one, other) for one, other in zip(answers, batches, strict=True))


def test_card_round_trip(tmp_path):
    """What is written is read again; a number that is not finite becomes null."""
    path = write_onnx(tmp_path / "m.onnx", scores=({"metric": "dice", "estimate": np.float64(0.5), "low": np.nan},))
    card = read_card(path)
    assert card.scores == ({"metric": "dice", "estimate": 0.5, "low": None},)
    assert card.channels == (BRAIN,) and card.notice == "education only, not a medical device"
    assert json.loads(card_path(path).read_text())["sha256"] == card.sha256


def test_no_framework_is_imported(tmp_path):
    """Loading and running an ONNX file brings neither TensorFlow nor Keras."""
    code = (
        "import sys, numpy as np; from hemokit.export import load_exported; from hemokit.apply import predict_files\n"
        f"load_exported({str(write_onnx(tmp_path / 'm.onnx'))!r}).probabilities(np.zeros((1, 8, 8, 1), np.float32))\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize(
    "batch, sentence",
    [
        (np.zeros((1, 8, 8, 1)), "float64 values"),
        (np.zeros((1, 9, 8, 1), np.float32), "values of the shape"),
        (np.zeros((8, 8, 1), np.float32), "values of the shape"),
        (np.zeros((1, 8, 8, 3), np.float32), r"images of 3 channel\(s\) for a model that sees 1"),
        (np.full((1, 8, 8, 1), 40, np.float32), "values from 40 to 40.*Hounsfield"),
        (np.full((1, 8, 8, 1), np.nan, np.float32), "values from nan"),
    ],
)
def test_wrong_images(tmp_path, batch, sentence):
    """Another type, size, number of channels, or values that are not in [0, 1]: one sentence."""
    with pytest.raises(HemokitError, match=sentence):
        load_exported(write_onnx(tmp_path / "m.onnx")).probabilities(batch)


def test_changed_file(tmp_path):
    """One flipped bit is found before anything opens the file."""
    path = write_onnx(tmp_path / "m.onnx")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HemokitError, match=r"m\.onnx: the file is not the one that its card was written for"):
        load_exported(path)


def test_missing_and_damaged_cards(tmp_path):
    """No card, no model; nor with a card that is cut off, or says nonsense: the field and what it says are named."""
    path = write_onnx(tmp_path / "m.onnx")
    whole = json.loads(card_path(path).read_text())
    damaged = {
        "": "the file is empty", "[]": "it lacks name, format", "{}": "it lacks name, format", "3": "it is no JSON of",
        json.dumps(whole)[:-9]: "it is no JSON of a card", "[" * 100_000: "it is no JSON of a card",
    }  # fmt: skip
    for field, value in (
        ("threshold", 7), ("name", 1), ("format", "pickle"), ("input_shape", []), ("input_shape", [8.0, 8.0, 1.0]),
        ("output_shape", [8, 8, 0]), ("outputs", []), ("outputs", ["a", "b"]), ("channels", [1]), ("scores", [1]),
        ("compared", [None]), ("about", []),
    ):  # fmt: skip
        damaged[json.dumps({**whole, field: value})] = f"{field} is "
    for text, told in damaged.items():
        card_path(path).write_text(text)
        with pytest.raises(HemokitError, match=rf"m\.onnx\.json: (a card that is damaged: )?{told}"):
            load_exported(path)
    card_path(path).unlink()
    with pytest.raises(HemokitError, match=r"there is no card m\.onnx\.json beside it"):
        load_exported(path)


def test_card_of_another_model(tmp_path):
    """A card whose shapes are not those of the model is refused; so is a renamed file."""
    path = write_carded(tmp_path / "m.onnx", onnx_bytes((8, 8, 1)), format="onnx", shape=(16, 16, 1))
    with pytest.raises(HemokitError, match=r"the model takes \(8, 8, 1\) and gives \(8, 8, 1\), but expected"):
        load_exported(path)
    renamed = write_onnx(tmp_path / "n.onnx").rename(tmp_path / "n.tflite")
    card_path(tmp_path / "n.onnx").rename(card_path(renamed))
    with pytest.raises(HemokitError, match="the card says onnx, but expected litert"):
        load_exported(renamed)


@pytest.mark.parametrize("name", malicious("flag"))
def test_malicious_files(tmp_path, name, capfd):
    """Files that would run code or read others, with the right hash in their card: refused, and nothing has run."""
    flag = tmp_path / "ran"
    file, data, format = malicious(flag)[name]
    path = write_carded(tmp_path / file, data, format=format)
    before = set(sys.modules)
    with pytest.raises(HemokitError, match=r"model\.\w+: .+, but expected .+\."):
        load_exported(path)
    assert not flag.exists() and not (tmp_path.parent / "evil.py").exists()
    assert not {"keras", "tensorflow", "evil"} & (set(sys.modules) - before)
    assert capfd.readouterr().err == ""


def test_zip_bomb(monkeypatch):
    """An archive that unpacks to more than is allowed is refused from its list of members."""
    monkeypatch.setattr("hemokit.export.archives.MAX_UNPACKED", 50)
    with pytest.raises(HemokitError, match=r"m\.keras: the archive unpacks to gigabytes"):
        check_keras_archive(keras_archive(), "m.keras")


def virtual(file):
    """A data set that is put together from another file."""
    h5py = pytest.importorskip("h5py", reason="Keras, which brings it, is not installed")
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (3,))
    file.create_virtual_dataset("layers/conv/vars/0", layout)


def link(file):
    """A link into another file."""
    h5py = pytest.importorskip("h5py", reason="Keras, which brings it, is not installed")
    file["layers"] = h5py.ExternalLink("/etc/other.h5", "/")


@pytest.mark.parametrize(
    "write, sentence",
    [
        (lambda file: file.create_dataset("a/0", (3,), "f4", external=[("/etc/hostname", 0, 12)]), "of 'a/0' lie in"),
        (virtual, "the numbers of 'layers/conv/vars/0' lie in another file"),
        (link, "the weights hold the ExternalLink 'layers'"),
        (lambda file: file.create_dataset("a", (2**30,), "f4", chunks=(1024,)), "the weights unpack to gigabytes"),
    ],
)
def test_weights_of_other_files(write, sentence):
    """Numbers that HDF5 takes from elsewhere, or that fill any memory: refused before Keras reads them."""
    pytest.importorskip("h5py", reason="Keras, which brings it, is not installed")
    with pytest.raises(HemokitError, match=rf"m\.keras: .*{sentence}"):
        check_keras_archive(keras_archive(numbers=weights(write)), "m.keras")
    with pytest.raises(HemokitError, match="reading model.weights.h5 failed"):
        check_keras_archive(keras_archive(), "m.keras")


def test_weights_of_a_model_pass():
    """Groups and numbers, some of them named twice, are what Keras writes."""
    pytest.importorskip("h5py", reason="Keras, which brings it, is not installed")

    def write(file):
        file["layers/conv/vars/0"] = np.zeros((3, 3), np.float32)
        file["again"] = file["layers"]

    check_keras_archive(keras_archive(numbers=weights(write)), "m.keras")


def test_layers_of_keras_pass():
    """Layers of Keras, initializers and hemokit's own registered classes are what a model is made of."""
    pytest.importorskip("h5py", reason="Keras, which brings it, is not installed")
    known = [
        layer("Conv2D", kernel_initializer=layer("GlorotUniform", "keras.initializers")),
        layer("MaskModel", None, "hemokit>MaskModel"),
        layer("DTypePolicy", "keras"),
    ]
    check_keras_archive(keras_archive(known, numbers=weights()), "m.keras")


def test_compare_counts_by_hand(tmp_path):
    """Two of three true pixels are found: Dice 4/5; a Keras that found all has 1, so a fifth is lost."""
    exported = load_exported(write_onnx(tmp_path / "m.onnx"))
    batch, truth = np.zeros((1, 8, 8, 1), np.float32), np.zeros((1, 8, 8), bool)
    truth[0, 2, 3:6], batch[0, 2, 3:5] = True, 0.9
    row = compare_exported(truth[..., None].astype(np.float32), exported, batch, truth).iloc[0]
    assert (row["dice_keras"], row["dice"]) == (1.0, 0.8) and row["dice_lost"] == pytest.approx(0.2)
    assert row["max_difference"] == 1.0 and row["ms_per_slice"] > 0 and row["size_bytes"] == exported.card.size_bytes
    with pytest.raises(HemokitError, match="there are no images"):
        compare_exported(truth, exported, batch[:0], None)


class Model:
    """What `export_model` looks at before it converts."""

    def __init__(self, *shapes):
        self.inputs, self.outputs = [np.zeros((1, *shapes[0]))], [np.zeros((1, *one)) for one in shapes[1:]]


@pytest.mark.parametrize(
    "name, options, sentence",
    [
        ("m.tflite", {"format": "onnx"}, r"the name ends in '\.tflite', but expected \.onnx for onnx"),
        ("m.onnx", {"format": "coreml"}, "format is 'coreml'"),
        ("m.onnx", {"format": "onnx", "precision": "int8"}, "precision is int8 for onnx, but expected float32"),
        ("m.tflite", {"format": "litert", "precision": "int8"}, "int8 came without calibration images"),
        ("m.onnx", {"format": "onnx", "card": {"sha256": "x"}}, "the card says 'sha256'"),
        (
            "m.tflite",
            {"format": "litert", "precision": "int8", "calibration": np.zeros((0, 8, 8, 1), np.float32)},
            r"calibration holds float32 values of the shape \(0, 8, 8, 1\)",
        ),
    ],
)
def test_export_refuses(tmp_path, name, options, sentence):
    """Names that do not fit each other, int8 without images: before anything is converted or written."""
    with pytest.raises(HemokitError, match=sentence):
        export_model(Model((8, 8, 1), (8, 8, 1)), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_models(tmp_path):
    """Volumes and models of several outputs are not exported."""
    for model in (Model((8, 8, 8, 1), (8, 8, 8, 1)), Model((8, 8, 1), (8, 8, 1), (3,))):
        with pytest.raises(HemokitError, match="expected (one image in|.height, width, channels. of fixed sizes)"):
            export_model(model, tmp_path / "m.onnx", format="onnx")


@pytest.mark.parametrize("level, width", [(40, None), (None, 80), (40, 0), (40, -80), ("40", 80), (True, 80)])
def test_windows_of_a_card_must_be_windows(tmp_path, level, width):
    """Half a window, one of no width, or of text is none."""
    path = write_onnx(tmp_path / "m.onnx", channels=({**BRAIN, "level": level, "width": width},))
    with pytest.raises(HemokitError, match="a card that is damaged"):
        read_card(path)
    write_onnx(path, channels=({**BRAIN, "level": None, "width": None},))
    assert read_card(path).channels[0]["level"] is None


def test_card_of_core_ml_is_read(tmp_path):
    """The card of a Core ML package is a card, though the package does not run here."""
    path = write_carded(tmp_path / "m.mlpackage", b"x", format="coreml", precision="float16")
    assert read_card(path).format == "coreml"
    with pytest.raises(HemokitError, match=r"\.mlpackage: no exported model"):
        load_exported(path)


def test_missing_converter_names_its_extra():
    """Who lacks coremltools is told the extra that brings it."""
    for extras in ("tensorflow,coreml", "tensorflow,deploy"):
        with (
            pytest.raises(HemokitError, match=rf"pip install 'hemokit\[{extras}\]'"),
            converting("coreml", extras=extras),
        ):
            raise ModuleNotFoundError("No module named 'coremltools'", name="coremltools")


def test_card_must_fit(tmp_path):
    """A card with a name too few for its outputs is not read."""
    path = write_onnx(tmp_path / "m.onnx")
    write_card(Card(**{**read_card(path)._asdict(), "outputs": ("a", "b")}), path)
    with pytest.raises(HemokitError, match="a card that is damaged"):
        read_card(path)
