"""Preparation: a store equals the DICOM files it was made of, whatever killed it; what changed is refused."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from hemokit.checks import HemokitError
from hemokit.checksums import read_checksums
from hemokit.cli.main import main
from hemokit.datasets import open_dataset, read_hounsfield, rsna
from hemokit.datasets.phantom import write_phantom
from hemokit.integrity import check_root
from hemokit.manifests import is_phantom
from hemokit.prepare import prepare_store
from hemokit.prepare import running as prepare_running
from hemokit.prepare.plan import alone
from hemokit.prepare.shards import divide
from hemokit.tables import account

pytest.importorskip("numcodecs")
PLACE = ("dataset", "image_path")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The phantom of four patients as RSNA."""
    return write_phantom(tmp_path_factory.mktemp("rsna") / "root", layout="rsna", num_patients=4, image_size=64, seed=3)


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    """The store of it, in shards of few slices."""
    out = tmp_path_factory.mktemp("store") / "store"
    prepare_store(folder, out, workers=1, slices_a_shard=20)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the phantom to spoil."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def contents(out):
    """Every file of a folder, hidden ones too: dict name -> bytes."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def same(one, other):
    """Equal columns, or both missing."""
    return bool(((one == other) | (one.isna() & other.isna())).all())


def test_store_is_the_dicom_files(folder, store):
    """The same table as that of the DICOM files, the same account, and the same pixels bit by bit."""
    table, wanted = open_dataset(store), open_dataset(folder, check_pixels=True)
    assert set(table["dataset"]) == {"hemokit_store"} and is_phantom(store)
    assert all(same(table[name], wanted[name]) for name in wanted.columns if name not in PLACE)
    assert account(table).drops == account(wanted).drops and account(table).notes == account(wanted).notes
    for (_, row), (_, of_dicom) in zip(table.iterrows(), wanted.iterrows(), strict=True):
        np.testing.assert_array_equal(read_hounsfield(row), read_hounsfield(of_dicom), strict=True)


def test_order_in_the_shards(store):
    """A patient is in one shard; in it scans follow each other, and slices from the neck upward."""
    table = open_dataset(store)
    assert table.groupby("patient_id")["shard"].nunique().max() == 1 < len(set(table["shard"]))
    for _, shard in table.groupby("shard"):
        assert shard["offset"].is_monotonic_increasing
        assert (shard["offset"] + shard["length"]).tolist()[:-1] == shard["offset"].tolist()[1:]


def test_division_keeps_patients_whole():
    """Patients fill a shard up to its size; one who has more gets a shard alone."""
    counts = {"a": 7, "b": 2, "c": 9, "d": 1, "e": 1}
    rows = [(patient, f"{patient}{k}", "x") for patient, count in counts.items() for k in range(count)]
    table = pd.DataFrame(rows, columns=["patient_id", "slice_id", "image_path"])
    jobs = divide(table, slices_a_shard=8, out="out")
    assert ["".join(sorted({name[0] for name, _ in job.slices})) for job in jobs] == ["a", "b", "c", "de"]
    assert [job.number for job in jobs] == [0, 1, 2, 3] and sum(len(job.slices) for job in jobs) == len(table)


@pytest.mark.slow
def test_processes_change_nothing(folder, store, tmp_path):
    """Two processes write the same bytes as one."""
    prepare_store(folder, tmp_path / "two", workers=2, slices_a_shard=20)
    assert contents(tmp_path / "two") == contents(store)


@pytest.mark.slow
def test_dask_changes_nothing(folder, store, tmp_path):
    """The workers of a Dask cluster write the same bytes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        prepare_store(folder, tmp_path / "dask", dask=cluster.scheduler_address, slices_a_shard=20)
    assert contents(tmp_path / "dask") == contents(store)


def test_an_error_on_the_way(folder, store, tmp_path, monkeypatch):
    """What was done before a failure is not done again, and the store is the same."""
    write, done = prepare_running.work_off, []

    def fail(jobs, **options):
        for count in write(jobs, **options):
            done.append(len(jobs))
            yield count
            if len(done) == 2:
                raise OSError("the power went")

    monkeypatch.setattr(prepare_running, "work_off", fail)
    with pytest.raises(OSError, match="the power went"):
        prepare_store(folder, tmp_path / "out", workers=1, slices_a_shard=20)
    with pytest.raises(HemokitError, match="a preparation that was not finished.*goes on where it was"):
        open_dataset(tmp_path / "out")
    prepare_store(folder, tmp_path / "out", workers=1, slices_a_shard=20)
    assert done[2] == done[0] - 2 and contents(tmp_path / "out") == contents(store)


def killed(folder, out, shards, pause, *, workers):
    """Prepare in a process of its own and kill it some seconds after so many shards; whether it had finished before."""
    script = (
        "import sys\nfrom hemokit.prepare import prepare_store\nif __name__ == '__main__':\n"
        "    print('begun', flush=True)\n"
        "    prepare_store(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), slices_a_shard=20)\n"
    )
    path = out.parent / "prepare_it.py"
    path.write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(path), str(folder), str(out), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        process.stdout.readline()
        while process.poll() is None and len(list(out.glob(".work/shards/*.json"))) < shards:
            time.sleep(0.001)
        time.sleep(pause)
        finished = process.poll() is not None
        process.send_signal(signal.SIGKILL)
    return finished


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("kills", [
    pytest.param(2, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.promises)
])  # fmt: skip
def test_kill_and_resume(folder, store, tmp_path, kills):
    """Killed anywhere, with one process or two, and resumed: the store is the same, with nothing beside it.

    First of all while no shard is done, then after any number of them, and up to a fifth of a second later.
    """
    shards, rng, early = len(list(store.glob("shards/*"))), random.Random(0), 0
    for number in range(kills):
        out, after = tmp_path / f"out{number}", rng.randint(0, shards) if number else 0
        early += not killed(folder, out, after, rng.uniform(0, 0.2) if number else 0, workers=1 + number % 2)
        prepare_store(folder, out, workers=1, slices_a_shard=20)
        assert contents(out) == contents(store)
    assert early > 0


def test_finished_stays(folder, store):
    """A second run of a finished preparation changes nothing, and clears away what a late kill left."""
    before = contents(store)
    (store / ".work").mkdir()
    (store / ".work" / "left").write_text("x")
    prepare_store(folder, store, workers=1, slices_a_shard=20)
    assert contents(store) == before


def begin(copy, out, monkeypatch):
    """A preparation that stops before its first shard."""

    def stop(jobs, **options):
        raise OSError("stop")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(prepare_running, "work_off", stop)
        with pytest.raises(OSError, match="stop"):
            prepare_store(copy, out, workers=1)


def add_line(path):
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize("change, match", [
    (lambda root: sorted(root.glob("stage_2_train/*.dcm"))[3].unlink(), "1 file changed since this store was begun"),
    (lambda root: os.utime(sorted(root.glob("stage_2_train/*.dcm"))[3], (1, 1)), "1 file changed since"),
    (lambda root: (root / "stage_2_train/ID_new.dcm").write_text("x"), "1 file changed .* such as ID_new.dcm"),
    (lambda root: add_line(root / "stage_2_train.csv"), "other input or settings .the content of stage"),
])  # fmt: skip
def test_changed_input_is_refused(copy, tmp_path, monkeypatch, change, match):
    """A file more, less or changed, or other labels: a begun store is not gone on with."""
    begin(copy, tmp_path / "out", monkeypatch)
    change(copy)
    with pytest.raises(HemokitError, match=match):
        prepare_store(copy, tmp_path / "out", workers=1)


def test_a_change_while_preparing_is_found(copy, tmp_path, monkeypatch):
    """A file that is replaced after its slice was packed: the store is not finished with two states of it."""
    work_off = prepare_running.work_off

    def then_change(jobs, **options):
        yield from work_off(jobs, **options)
        path = sorted(copy.glob("stage_2_train/*.dcm"))[3]
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))

    monkeypatch.setattr(prepare_running, "work_off", then_change)
    with pytest.raises(HemokitError, match="1 file changed since this store was begun"):
        prepare_store(copy, tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "SHA256SUMS.txt").exists()


def test_changed_settings_are_refused(copy, folder, store, tmp_path, monkeypatch):
    """Other shards, or another version of a library: not the same store; begun or finished."""
    begin(copy, tmp_path / "out", monkeypatch)
    with pytest.raises(HemokitError, match=r"begun with other input or settings \(slices_a_shard\)"):
        prepare_store(copy, tmp_path / "out", workers=1, slices_a_shard=7)
    with pytest.raises(HemokitError, match=r"begun with other input or settings \(slices_a_shard\)"):
        prepare_store(folder, store, workers=1, slices_a_shard=7)
    monkeypatch.setattr("hemokit.prepare.plan._versions", lambda: {"numcodecs": "0"})
    with pytest.raises(HemokitError, match=r"other input or settings \(versions\)"):
        prepare_store(copy, tmp_path / "out", workers=1)


def test_folders_that_will_not_do(folder, store, tmp_path, ct_ich_jpg_tree):
    """Nothing is overwritten, nothing is written among the DICOM files, and only DICOM files are prepared."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(HemokitError, match="there is 'notes.txt' in it"):
        prepare_store(folder, tmp_path / "mine")
    with pytest.raises(HemokitError, match="there is a file, but expected a folder"):
        prepare_store(folder, tmp_path / "mine" / "notes.txt")
    with pytest.raises(HemokitError, match="a store among the DICOM files"):
        prepare_store(folder, folder / "stage_2_train" / "store")
    with pytest.raises(HemokitError, match="this is hemokit_store, but expected DICOM files"):
        prepare_store(store, tmp_path / "again")
    with pytest.raises(HemokitError, match="this is ct_ich_jpg, but expected DICOM files"):
        prepare_store(ct_ich_jpg_tree, tmp_path / "again")
    with pytest.raises(HemokitError, match="workers is 0"):
        prepare_store(folder, tmp_path / "again", workers=0)


@pytest.fixture
def ct_ich_jpg_tree(tmp_path):
    """A small folder of another layout."""
    import dataset_trees

    return dataset_trees.ct_ich_jpg(tmp_path / "jpg")


@pytest.mark.skipif(os.name != "posix", reason="another lock on Windows")
def test_one_at_a_time(copy, tmp_path, monkeypatch):
    """Two preparations of one folder would only be in each other's way."""
    begin(copy, tmp_path / "out", monkeypatch)
    with alone(tmp_path / "out"), pytest.raises(HemokitError, match="it is being prepared by another process"):
        prepare_store(copy, tmp_path / "out", workers=1)


def test_a_comma_in_a_name(copy, tmp_path, monkeypatch):
    """A file that no label names may be called anything: what was begun goes on."""
    (copy / "stage_2_train" / "a,b.dcm").write_bytes(b"")
    begin(copy, tmp_path / "out", monkeypatch)
    assert len(prepare_store(copy, tmp_path / "out", workers=1)) > 0


def test_finished_while_it_waited(folder, store, tmp_path, monkeypatch):
    """A store that another process finishes just before this one is let in is taken as it is."""

    @contextlib.contextmanager
    def late(out):
        shutil.copytree(store, out, dirs_exist_ok=True)
        with alone(out):
            yield

    monkeypatch.setattr(prepare_running, "alone", late)
    monkeypatch.setattr(prepare_running, "work_off", lambda jobs, **options: pytest.fail("it was prepared again"))
    prepare_store(folder, tmp_path / "out", workers=1, slices_a_shard=20)
    assert contents(tmp_path / "out") == contents(store)


def test_damaged_files_are_listed(copy, tmp_path):
    """Cut files, other modalities, constant and unreadable pixels: each stands in left_out.csv with its reason."""
    table = open_dataset(copy)
    paths = [Path(path) for path in table["image_path"]]
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    edited = pydicom.dcmread(paths[2])
    edited.Modality = "MR"
    edited.save_as(paths[2], enforce_file_format=False)
    for path, values in ((paths[3], np.full((64, 64), 1000)), (paths[4], np.full((64, 64), -32000))):
        edited = pydicom.dcmread(path)
        values = values.astype(np.int16)
        values[0, 0] += path == paths[4]
        edited.BitsStored, edited.HighBit = 12, 11
        edited.PixelRepresentation, edited.PixelData, edited.RescaleIntercept = 1, values.tobytes(), "-1024"
        edited.save_as(path, enforce_file_format=False)
    prepared, wanted = prepare_store(copy, tmp_path / "out", workers=1), open_dataset(copy, check_pixels=True)
    left_out = pd.read_csv(tmp_path / "out" / "left_out.csv", keep_default_na=False).set_index("slice_id")
    story = account(prepared)
    assert story.rows_in == len(prepared) + len(left_out) and story.drops == account(wanted).drops
    assert prepared["slice_id"].tolist() == wanted["slice_id"].tolist()
    assert prepared["slice_index"].tolist() == wanted["slice_index"].tolist()
    for place, words in ((1, "the file has"), (2, "Modality is 'MR'"), (4, "the stored values go from -32000")):
        told = left_out.loc[paths[place].stem, "told"]
        assert words in told and told.startswith(f"stage_2_train/{paths[place].name}: ")
    assert left_out.loc[paths[3].stem, "reason"].startswith("constant image")


def test_changed_bytes_are_found(store, tmp_path):
    """A flipped bit in a shard is refused when the slice is read, and found by the check of the folder."""
    shutil.copytree(store, tmp_path / "store")
    assert all(finding.ok is not False for finding in check_root(tmp_path / "store"))
    table = open_dataset(tmp_path / "store")
    path = Path(table["image_path"].iloc[0])
    data = bytearray(path.read_bytes())
    data[100] ^= 4
    path.write_bytes(data)
    with pytest.raises(HemokitError, match=f"{path.name}: a slice whose bytes are not those that were written"):
        read_hounsfield(table.iloc[0])
    assert any(finding.ok is False and path.name in finding.found for finding in check_root(tmp_path / "store"))
    path.write_bytes(data[:50])
    with pytest.raises(HemokitError, match="not those that were written"):
        read_hounsfield(table.iloc[0])
    path.unlink()
    with pytest.raises(HemokitError, match="it cannot be read"):
        read_hounsfield(table.iloc[0])
    slices = tmp_path / "store" / "slices.csv"
    slices.write_text(slices.read_text().replace(",0,0,0,0,0,0,", ",1,1,0,0,0,0,", 1))
    with pytest.raises(HemokitError, match=r"slices.csv: other bytes than were written"):
        open_dataset(tmp_path / "store")


def test_checksums_and_facts(store):
    """SHA256SUMS.txt lists every other file; store.json tells the settings and the libraries."""
    sums = read_checksums(store / "SHA256SUMS.txt")
    assert sorted([*sums, "SHA256SUMS.txt"]) == sorted(contents(store))
    facts = json.loads((store / "store.json").read_text())
    assert facts["plan"]["slices_a_shard"] == 20 and "numcodecs" in facts["plan"]["versions"]
    assert "not a medical device" in (store / "README.txt").read_text().lower()


def test_command_line(folder, tmp_path, capsys):
    """`hemokit data prepare` tells what was made; again, it finds it; bad input is one sentence and exit code 2."""
    out = tmp_path / "out"
    assert main(["data", "prepare", str(folder), "--out", str(out), "--workers", "1"]) == 0
    first = capsys.readouterr().out
    assert "4 patients" in first and "Not a medical device" in first
    assert main(["data", "prepare", str(folder), "--out", str(out), "--workers", "1"]) == 0
    assert capsys.readouterr().out == first
    assert main(["data", "prepare", str(folder), "--out", str(out), "--workers", "0"]) == 2
    assert main(["data", "prepare", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert main(["data", "check", str(out)]) == 0


def test_headers_in_parts(folder, store, tmp_path, monkeypatch):
    """Headers are kept in parts, which a kill leaves: whatever their size, the store is the same."""
    monkeypatch.setattr(prepare_running, "FILES_A_PART", 30)
    prepare_store(folder, tmp_path / "out", workers=1, slices_a_shard=20)
    assert contents(tmp_path / "out") == contents(store)
    assert len(rsna.listed_files(folder)) > 60
