"""hemokit train, predict and evaluate: a tiny run from data to report, and bad input in one sentence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from export_cases import keras_archive, layer

from hemokit.__main__ import main
from hemokit.datasets.phantom import write_phantom
from hemokit.export import read_card
from hemokit.predictions import read_predictions

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TINY_NET = ["--image-size", "16", "--filters", "2,4", "--batch-size", "64"]
TINY = [*TINY_NET, "--epochs", "1"]
needs_tensorflow = pytest.mark.skipif(
    not any((Path(folder) / "tensorflow").is_dir() for folder in sys.path), reason="TensorFlow is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One cache folder for all tests here."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A phantom of six patients in the CT-ICH JPG layout."""
    return write_phantom(tmp_path_factory.mktemp("models") / "p", layout="ct_ich_jpg", num_patients=6, image_size=64)


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    """A run of one epoch on it, and what was printed."""
    folder = tmp_path_factory.mktemp("models") / "run"
    command = [sys.executable, "-m", "hemokit", "train", "--data", str(root), "--out", str(folder), *TINY]
    environment = {**ENVIRONMENT, "HEMOKIT_CACHE": str(tmp_path_factory.getbasetemp() / "cache")}
    split = ["--fractions", "0.34,0.33,0.33", "--balance"]
    done = subprocess.run([*command, *split], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@needs_tensorflow
def test_train_tells_what_it_does(run):
    """Data, counts, windows, split, a line an epoch, and the figures with their origin."""
    folder, said = run
    for part in (
        "Data: a synthetic phantom (ct_ich_jpg, 6 patients). For education only, not a medical device.",
        "Windows: brain (level 40 HU, width 120 HU)",
        "  train         2 patients",
        "epoch 1/1",
        "Thresholds: pixels 0.",
        "Seed of training: 0",
        "segmentation             dice",
        "slices of 2 patients, the split test",
    ):
        assert part in said
    used = [line for line in said.splitlines() if line.startswith("Counts: ")]
    slices = len(read_predictions(folder))
    assert len(used) == 1 and " slices in; " in used[0] and slices > 40
    assert {"run.json", "history.csv", "best.keras", "last.keras", "panels.png", "report"} <= {
        path.name for path in folder.iterdir()
    }


@needs_tensorflow
def test_run_on_disk(run):
    """Predictions of validation and test rows; the record says on what it was made."""
    folder, _ = run
    assert set(read_predictions(folder)["split"]) == {"validation", "test"}
    settings = json.loads((folder / "run.json").read_text())["settings"]["settings"]
    assert settings["phantom"] and settings["channels"] == [["brain", "ct_ich_jpg", 40.0, 120.0]]
    assert settings["balance"] and settings["split"] == {"fractions": [0.34, 0.33, 0.33]}


@needs_tensorflow
def test_predict_and_evaluate_another_folder(run, tmp_path, capsys):
    """Hounsfield units are seen through the window of the training; the threshold travels along."""
    nifti = write_phantom(tmp_path / "nifti", layout="ct_ich_nifti", num_patients=5, image_size=64, seed=1)
    out = tmp_path / "out"
    assert main(["predict", str(run[0]), "--data", str(nifti), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "trained on a synthetic phantom (ct_ich_jpg, 6 patients)" in said and "Slice AUROC 0." in said
    assert "flatters" not in said
    assert "interval by patient, 5 patients" in said and "not a medical device" in said
    predictions = read_predictions(out)
    assert predictions["split"].isna().all() and (predictions["pixel_area_mm2"] > 0).all()
    assert main(["evaluate", str(out)]) == 0
    said = capsys.readouterr().out
    assert "## volumes" in said and "no split" in said and "(highest F1)" in said
    assert (out / "report" / "volumes.png").is_file()
    own = (out / "report" / "segmentation.csv").read_bytes()
    assert main(["evaluate", str(out), "--threshold", "0.9"]) == 0
    assert (out / "report_at_0.9" / "report.md").is_file() and (out / "report" / "segmentation.csv").read_bytes() == own
    capsys.readouterr()
    assert main(["predict", str(run[0]), "--data", str(nifti), "--out", str(out)]) == 0
    assert "the report of earlier predictions is removed" in capsys.readouterr().out
    assert not (out / "report").exists() and not (out / "report_at_0.9").exists()


@needs_tensorflow
def test_predict_files_by_a_run_and_folders_by_an_export(run, tmp_path, capsys):
    """A run takes one NIfTI file; an exported file a whole data set, with the predictions of the run, and JPGs."""
    nifti = write_phantom(tmp_path / "nifti", layout="ct_ich_nifti", num_patients=2, image_size=64, seed=1)
    exported, scan = tmp_path / "m.keras", next(nifti.rglob("ct_scans/*.nii*"))
    assert main(["export", str(run[0]), "--format", "keras", "--out", str(exported)]) == 0
    tables = []
    for model, name in ((run[0], "run"), (exported, "export")):
        assert main(["predict", str(model), "--data", str(nifti), "--out", str(tmp_path / name)]) == 0
        tables.append(read_predictions(tmp_path / name)["mean_probability"])
    pd.testing.assert_series_equal(*tables, rtol=1e-4)
    assert main(["evaluate", str(tmp_path / "export")]) == 0
    capsys.readouterr()
    assert main(["predict", str(run[0]), "--data", str(scan), "--out", str(tmp_path / "files")]) == 0
    assert f"{scan.name}: " in capsys.readouterr().out and len(list((tmp_path / "files" / "masks").iterdir())) == 1


@needs_tensorflow
def test_a_card_tells_the_last_report(run, tmp_path):
    """A run that was judged again has the new scores on the card of a file that is used again."""
    copy = shutil.copytree(run[0], tmp_path / "run")
    export = ["export", str(copy), "--format", "keras"]
    assert main(export) == 0
    path = next((copy / "exported").glob("*.keras"))
    before, written = read_card(path), path.stat().st_mtime_ns
    assert main(["evaluate", str(copy), "--seed", "5"]) == 0 and main(export) == 0
    after = read_card(path)
    assert path.stat().st_mtime_ns == written and before.scores != after.scores
    assert {row["seed"] for row in after.scores} == {5} and after._replace(scores=()) == before._replace(scores=())


@needs_tensorflow
def test_predict_without_masks(run, root, tmp_path, capsys):
    """Every slice is predicted; with hemorrhage but no mask its pixels are not judged."""
    import shutil

    bare = shutil.copytree(root, tmp_path / "bare")
    for mask in bare.rglob("*_HGE_Seg.jpg"):
        mask.unlink()
    out = tmp_path / "out"
    assert main(["predict", str(run[0]), "--data", str(bare), "--out", str(out)]) == 0
    assert all(one is None for one in read_predictions(out)["hemorrhage"])
    assert "the folder of the training" in capsys.readouterr().out
    assert main(["evaluate", str(out), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "segmentation: not judged, because 0 of" in said and "every score flatters it" in said
    assert main(["train", "--data", str(bare), "--out", str(tmp_path / "run"), *TINY]) == 2
    assert "none of the" in capsys.readouterr().err


@needs_tensorflow
def test_predict_refuses(run, root, tmp_path, capsys):
    """A window that the folder does not show, a folder that is no run, the run's own folder."""
    jpg = write_phantom(tmp_path / "jpg", layout="windowed_jpg", num_patients=2, image_size=64)
    assert main(["predict", str(run[0]), "--data", str(jpg), "--out", str(tmp_path / "out")]) == 2
    assert "cannot be windowed again" in capsys.readouterr().err
    assert main(["predict", str(root), "--data", str(root), "--out", str(tmp_path / "out")]) == 2
    assert "no finished run of hemokit train" in capsys.readouterr().err
    assert main(["predict", str(run[0]), "--data", str(root), "--out", str(run[0])]) == 2
    assert "is the folder of a run" in capsys.readouterr().err
    going_on = shutil.copytree(run[0], tmp_path / "going_on")
    record = json.loads((going_on / "run.json").read_text())
    (going_on / "run.json").write_text(json.dumps(record | {"finished": None}))
    assert main(["predict", str(going_on), "--data", str(root), "--out", str(tmp_path / "out")]) == 2
    assert "no finished run of hemokit train" in capsys.readouterr().err
    passed_on = shutil.copytree(run[0], tmp_path / "passed_on")
    (passed_on / "best.keras").write_bytes(keras_archive([layer("TFSMLayer", filepath="/etc")]))
    assert main(["predict", str(passed_on), "--data", str(root), "--out", str(tmp_path / "out")]) == 2
    assert "the model holds a layer of the class TFSMLayer" in capsys.readouterr().err
    assert main(["train", "--data", str(root), "--out", str(run[0]), "--folds", "3", *TINY]) == 2
    assert "is the folder of one run, but expected a folder for folds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@needs_tensorflow
@pytest.mark.promises
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_and_again_gives_the_same_predictions(root, tmp_path):
    """Ctrl-C in a training is one line and exit code 130; the same command again ends at the very same bytes."""
    train = [sys.executable, "-m", "hemokit", "train", "--data", str(root), *TINY_NET, "--fractions", "0.34,0.33,0.33"]
    for name in ("whole", "cut"):
        command = [*train, "--epochs", "12", "--out", str(tmp_path / name)]  # so many that the signal comes in time
        if name == "cut":
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            with subprocess.Popen(command, **streams, text=True, env=ENVIRONMENT) as process:
                said = next(line for line in process.stdout if line.startswith("epoch  1/12"))
                process.send_signal(signal.SIGINT)
                errors = process.communicate(timeout=300)[1]
            errors = re.sub(r"(?m)^[IWE]\d{4} .*\n", "", errors)  # TensorFlow's own, on some processors
            assert said and process.returncode == 130 and errors.count("\n") == 1
            assert errors.startswith("hemokit: interrupted; finished epochs are kept in")
            assert len(pd.read_csv(tmp_path / name / "history.csv")) < 12
            assert not (tmp_path / name / "predictions.csv").exists()
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=600)
        assert done.returncode == 0, done.stderr
    for file in ("predictions.csv", "judging.json", "report/segmentation.csv"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@needs_tensorflow
def test_a_test_part_without_hemorrhage_is_warned_of(root, tmp_path, monkeypatch, capsys):
    """Before the first epoch, not after the last one."""
    from hemokit.runs import training
    from hemokit.runs.data import open_data
    from hemokit.runs.settings import Recipe

    data = open_data(root)
    table = data.table.assign(split="train")
    normal = table.groupby("patient_id")["any"].transform("max") == 0
    table.loc[normal, "split"] = "test"
    table.loc[table["patient_id"] == table.loc[~normal, "patient_id"].iloc[0], "split"] = "validation"
    monkeypatch.setattr(training, "with_split", lambda *_, **__: table)
    monkeypatch.setattr(training, "_fit", lambda *_: sys.exit("the first epoch"))
    with pytest.raises(SystemExit, match="the first epoch"):
        training.train_split(data, tmp_path / "run", Recipe())
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("Warning: No test patient has hemorrhage") and " 1 patient, " in said


@needs_tensorflow
@pytest.mark.promises
def test_all_folds(root, tmp_path, capsys):
    """Each patient is tested once, by a model that never saw it; one report holds them all."""
    out = tmp_path / "folds"
    assert main(["train", "--data", str(root), "--out", str(out), "--folds", "3", *TINY]) == 0
    said = capsys.readouterr().out
    frames = [read_predictions(out / f"fold_{fold}") for fold in range(3)]
    tested = pd.concat([frame[frame["split"] == "test"] for frame in frames])
    assert tested["slice_id"].is_unique and tested["patient_id"].nunique() == 6
    report = pd.read_csv(out / "report" / "segmentation.csv")
    assert report["n"].eq(len(tested)).all() and report["patients"].eq(6).all()
    assert main(["train", "--data", str(root), "--out", str(out), *TINY]) == 2
    assert "holds folds, but expected a folder of one run" in capsys.readouterr().err
    assert "Fold 2 of 3" in said and "All 3 folds together" in said and "Each fold's own threshold" in said


def test_wrong_arguments_bring_no_keras(tmp_path):
    """What is wrong is said at once: Keras and TensorFlow, which take seconds, are not imported for it."""
    code = "import sys; from hemokit.__main__ import main; main(sys.argv[1:]); print('MODULES', *sys.modules)"
    for arguments in (["train", "--loss", "focal"], ["predict", str(tmp_path), "--data", "x", "--out", "y"]):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=200)
        assert done.stderr.startswith("hemokit: ") and done.stderr.count("\n") == 1
        assert not {"keras", "tensorflow", "torch", "jax"} & set(done.stdout.split("MODULES")[1].split())


@needs_tensorflow
def test_another_number_of_epochs(run, root, capsys):
    """The cosine ends with the last epoch: what was asked for and what was made, and what can be done about it."""
    again = [*TINY_NET, "--epochs", "2", "--fractions", "0.34,0.33,0.33"]
    assert main(["train", "--data", str(root), "--out", str(run[0]), *again]) == 2
    said = capsys.readouterr().err
    assert "epochs is 2 and was 1" in said and "choose another folder, or delete this one to start anew" in said


@needs_tensorflow
def test_evaluate_brings_no_keras(run):
    """Judging reads predictions.csv; neither Keras nor TensorFlow is imported for it."""
    code = "import sys; from hemokit.__main__ import main; code = main(sys.argv[1:]); print('MODULES', *sys.modules)"
    command = [sys.executable, "-c", code, "evaluate", str(run[0])]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=100)
    assert "Wrote the report" in done.stdout, done.stderr
    assert not {"keras", "tensorflow", "torch", "jax"} & set(done.stdout.split("MODULES")[1].split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--epochs", "0"], "Invalid value for '--epochs': '0' came"),
        (["train", "--learning-rate", "fast"], "Invalid value for '--learning-rate': 'fast' came, but expected a num"),
        (["train", "--filters", "4,x"], "Invalid value for '--filters': '4,x' came, but expected numbers"),
        (["train", "--fold", "1", "--folds", "5"], "--fold and --folds, but expected one of them"),
        (["train", "--fold", "1", "--fractions", "0.6,0.2,0.2"], "--fractions and folds, but expected one of them"),
        (["train", "--num-folds", "4"], "--num-folds without --fold, but expected both"),
        (["train", "--data", "x", "--patients", "9"], "--data and --patients, but expected one of them"),
        (["train", "--patients", "4", "--folds", "5"], "4 patients for 5 folds, but expected at least one patient a"),
        (["predict", "x"], "Missing option '--data'."),
        (["evaluate"], "Missing argument 'DIR'."),
        (["evaluate", "/nowhere"], "/nowhere: there is no such folder, but expected the folder that hemokit train or"),
        (["predict", "/nowhere", "--data", "x", "--out", "y"], "/nowhere: there is no such file or folder, but expec"),
        (["predict", ".", "--data", "/nowhere", "--out", "y"], "/nowhere: there is no such file or folder, but exp"),
        (["train", "--data", "/nowhere"], "/nowhere: there is no such folder, but expected the folder of a data set"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys):
    """Exit code 2, one line on standard error, nothing on standard output."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"hemokit: {sentence}") and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--loss", "mse"], "loss is 'mse', but expected one of 'pooled_dice_bce'"),
        (["--schedule", "steps"], "schedule is 'steps'"),
        (["--augmentation", "mixup"], "augmentation is 'mixup'"),
        (["--learning-rate", "-1"], "the learning rate is -1"),
        (["--windows", "subdural"], "the window is subdural"),
        (["--fold", "7"], "fold is 7, but expected 0 to 4"),
        (["--fractions", "0.5,0.5"], "fractions"),
        (["--filters", "4"], "filters"),
        (["--precision", "float8"], "precision is 'float8'"),
        (["--image-size", "50"], "the image size is 50, but expected a multiple of 16, which 5 levels"),
        (["--image-size", "16", "--filters", "1,1,1,1,1,1"], "the image size is 16, but expected a multiple of 32"),
        (["--filters", "4,0"], "filters is (4, 0), but expected two or more positive whole numbers"),
        (["--filters", "4,8.5"], "filters is (4, 8.5)"),
    ],
)
def test_train_refuses(arguments, sentence, root, tmp_path, capsys, monkeypatch):
    """Names that are none, windows that the JPGs do not show, sizes that do not halve: before data, before Keras."""
    monkeypatch.setattr("hemokit.runs.data.open_data", None)
    monkeypatch.setattr("hemokit.cli.models.keras_at_hand", None)
    assert main(["train", "--data", str(root), "--out", str(tmp_path / "run"), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"hemokit: {sentence}") and said.count("\n") == 1 and not (tmp_path / "run").exists()


def test_without_keras(tmp_path):
    """Where it is not installed, one sentence says how to get it."""
    code = (
        "import sys; sys.modules['keras'] = None; sys.modules['tensorflow'] = None\n"
        "from hemokit.__main__ import main; sys.exit(main(['train']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 2 and "hemokit[tensorflow]" in done.stderr and done.stderr.count("\n") == 1
