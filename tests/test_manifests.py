"""The manifests, finding a data set's root, lists of checksums, and the check of a whole folder."""

import re
import shutil

import dataset_trees as trees
import numpy as np
import pytest

from hemokit import integrity
from hemokit.checks import HemokitError
from hemokit.checksums import compare_checksums, read_checksums, write_checksums
from hemokit.datasets import READERS
from hemokit.files import sha256
from hemokit.manifests import FOLDER, find_root, is_phantom, known_bad, manifest_names, read_manifest

MANIFEST = """
name = "x"
title = "t"
version = "1"
license = "l"
terms = "t"
citation = "c"
layout = ["a", "b"]
[counts]
patients = 3
[[known_bad]]
id = "1"
for = "segmentation"
reason = "r"
"""

# -- manifests --


def test_one_manifest_for_each_reader():
    """Each layout has its manifest, under its own name, and each list of checksums that one names is there."""
    assert manifest_names() == sorted(READERS)
    for name in READERS:
        manifest = read_manifest(name)
        assert manifest.name == name and manifest.layout and manifest.license and manifest.citation
        assert not manifest.checksums or (FOLDER / manifest.checksums).is_file()


def test_known_bad_by_purpose():
    """The chronic patient is bad for segmentation alone; the damaged file is bad for all."""
    assert known_bad("ct_ich_jpg") == {} and "chronic" in known_bad("ct_ich_jpg", "segmentation")["070"]
    assert list(known_bad("rsna")) == list(known_bad("rsna", "classification")) == ["ID_6431af929"]
    with pytest.raises(HemokitError, match="purpose is 'fun', but expected one of 'all'"):
        known_bad("rsna", "fun")


def test_manifest_is_read(tmp_path):
    """A good manifest becomes tuples and dicts; what is not in it is empty."""
    path = tmp_path / "x.toml"
    path.write_text(MANIFEST)
    manifest = read_manifest(path)
    assert manifest.layout == ("a", "b") and manifest.counts == {"patients": 3}
    assert manifest.known_bad == (("1", "segmentation", "r"),) and manifest.source == "" and manifest.files == ()


@pytest.mark.parametrize(
    "old, new, match",
    [
        ('title = "t"', 'titel = "t"', "the key 'titel' is unknown"),
        ('title = "t"', "title = 3", "column 'title': title is int, but expected str"),
        ('title = "t"', "", "the key 'title' is missing"),
        ('["a", "b"]', '"a"', "layout is str, but expected list"),
        ('["a", "b"]', "[1]", "layout holds 1, but expected str"),
        ("[counts]", "[slice_offsets]\n051 = 0.5\n[counts]", "slice_offsets holds 0.5, but expected int"),
        ("patients = 3", "patients = true", "counts holds True, but expected int"),
        ("[[known_bad]]", "[known_bad]", "known_bad is dict, but expected list"),
        ('reason = "r"', "", "expected exactly id, for and reason"),
        ('reason = "r"', "reason = 1", "known_bad holds 1, but expected str"),
        ('"segmentation"', '"fun"', "known_bad '1': for is 'fun'"),
        ('title = "t"', "title = ", "no manifest can be read .Invalid value"),
    ],
)
def test_wrong_manifest(old, new, match, tmp_path):
    """Unknown keys, missing keys and values of the wrong kind are named with the file."""
    path = tmp_path / "wrong.toml"
    path.write_text(MANIFEST.replace(old, new))
    with pytest.raises(HemokitError, match=match) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_no_manifest(tmp_path):
    """An unknown name lists the names that there are; a path must exist."""
    with pytest.raises(HemokitError, match="name is 'nothing', but expected one of 'ct_ich_jpg'"):
        read_manifest("nothing")
    with pytest.raises(HemokitError, match="no manifest can be read"):
        read_manifest(tmp_path / "no.toml")


def test_find_root(tmp_path):
    """The folder itself, or one up to two folders below; hidden, deeper and crowded ones are not searched."""
    good = tmp_path / "one" / "two"
    (good / "a").mkdir(parents=True)
    (good / "b").write_text("")
    assert find_root(good, ["a", "b"]) == find_root(tmp_path, ["a", "b"]) == good
    assert find_root(good, ["a", "c"]) is None and find_root(tmp_path.parent, ["a", "b"]) is None
    (tmp_path / "one").rename(tmp_path / ".one")
    assert find_root(tmp_path, ["a", "b"]) is None
    (tmp_path / ".one").rename(tmp_path / "one")
    for number in range(500):
        (tmp_path / "one" / f"{number}.jpg").touch()
    assert find_root(tmp_path, ["a", "b"]) is None


def test_is_phantom(tmp_path):
    """A phantom says so at the start of its README.txt."""
    assert not is_phantom(tmp_path)
    (tmp_path / "README.txt").write_text("By the authors")
    assert not is_phantom(tmp_path)
    (tmp_path / "README.txt").write_text("PHANTOM: synthetic")
    assert is_phantom(tmp_path)


# -- checksums --


@pytest.fixture
def tree(tmp_path):
    """The small CT-ICH tree (JPG form)."""
    return trees.ct_ich_jpg(tmp_path / "tree")


def test_checksums_there_and_back(tree, tmp_path):
    """Every visible file is listed; nothing has changed; the list reads as it was written."""
    (tree / ".hidden").write_text("x")
    path = tmp_path / "sums.txt"
    sums = write_checksums(tree, path, comment="one\ntwo")
    assert read_checksums(path) == sums and path.read_text().startswith("# one\n# two\n")
    assert sums["Patients_CT/049/brain/1.jpg"] == sha256(tree / "Patients_CT/049/brain/1.jpg")
    assert len(sums) == len([file for file in tree.rglob("*") if file.is_file()]) - 1
    assert compare_checksums(tree, sums) == (tuple(sums), (), (), ())
    with pytest.raises(HemokitError, match="the file exists already"):
        write_checksums(tree, path)


def test_missing_and_unlisted(tree, tmp_path):
    """A file that is gone and a file that is new are told apart from changed ones."""
    sums = write_checksums(tree, tmp_path / "sums.txt")
    (tree / "patient_demographics.csv").rename(tree / "new.csv")
    compared = compare_checksums(tree, sums)
    assert compared.missing == ("patient_demographics.csv",) and compared.unlisted == ("new.csv",)
    assert compared.changed == ()


@pytest.mark.parametrize(
    "line, match",
    [
        ("abc  file.txt", "row 2: the line is 'abc  file.txt', but expected 64 hex"),
        ("0" * 64 + "  ../file.txt", "the path is '../file.txt', but expected each path once, inside"),
        ("0" * 64 + "  /file.txt", "the path is '/file.txt'"),
        ("0" * 64 + "  a.txt", "the path is 'a.txt', but expected each path once"),
    ],
)
def test_wrong_list(line, match, tmp_path):
    """Another form, a path that leads out of the folder, and a path twice are refused with the row."""
    path = tmp_path / "SHA256SUMS.txt"
    path.write_text(f"{'0' * 64} *a.txt\n{line}\n")
    with pytest.raises(HemokitError, match=match):
        read_checksums(path)


def test_empty_lists(tmp_path):
    """A list without checksums, no text at all, and a folder without files are refused."""
    path = tmp_path / "SHA256SUMS.txt"
    path.write_text("# nothing\n\n")
    with pytest.raises(HemokitError, match="there is no checksum"):
        read_checksums(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(HemokitError, match="the file is no text"):
        read_checksums(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(HemokitError, match="there is no file"):
        write_checksums(tmp_path / "empty", tmp_path / "new.txt")
    with pytest.raises(HemokitError, match="there is no such folder"):
        write_checksums(tmp_path / "nothing", tmp_path / "new.txt")


def count_found(tree, sums, number):
    """Flip one bit in a file, look, and put it back, `number` times: how many changes were found, alone and exactly."""
    rng = np.random.default_rng(0)
    names, found = sorted(sums), 0
    for _ in range(number):
        name = names[rng.integers(len(names))]
        good = (tree / name).read_bytes()
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        (tree / name).write_bytes(bad)
        found += compare_checksums(tree, sums).changed == (name,)
        (tree / name).write_bytes(good)
    return found


def test_every_flipped_bit_is_found(tree, tmp_path):
    """Of 60 single flipped bits, most of them in JPEGs that still decode, all are found (promise I4, in small)."""
    assert count_found(tree, write_checksums(tree, tmp_path / "sums.txt"), 60) == 60


@pytest.mark.promises
def test_promise_i4_changed_files(tree, tmp_path):
    """Promise I4: a data check finds every changed file by checksum, 1000 of 1000."""
    assert count_found(tree, write_checksums(tree, tmp_path / "sums.txt"), 1000) == 1000


# -- the whole check --


def findings(root, **options):
    """dict check -> findings, and whether one of them is wrong."""
    found = integrity.check_root(root, **options)
    assert all(re.match("(ok   |note |WRONG)  .", str(finding)) for finding in found)
    return {finding.check: finding for finding in found}, [finding for finding in found if finding.ok is False]


def test_part_of_a_data_set_is_a_note(tree):
    """Two of 82 patients: counts are notes, not faults; checksums of other folders are no fault either."""
    shutil.rmtree(tree / "Patients_CT/049/bone")  # its list would not fit these images
    found, wrong = findings(tree, checksums=make_list(tree))
    assert not wrong
    assert str(found["patients"]) == "note   patients: 2 of 82: a part of the data set"
    assert found["layout"].ok and found["slice table"].found == "5 slices in, 5 used"


def make_list(tree, path=None):
    path = path or tree.parent / "sums.txt"
    path.unlink(missing_ok=True)
    write_checksums(tree, path)
    return path


def test_changed_missing_and_new_files(tree):
    """Changed and missing files are faults by name, missing folders too; a new file is a note."""
    path = make_list(tree)
    jpg = tree / "Patients_CT/049/brain/1.jpg"
    jpg.write_bytes(jpg.read_bytes()[:-3] + b"\0\xff\xd9")
    (tree / "Patients_CT/049/bone/1.jpg").unlink()
    shutil.rmtree(tree / "Patients_CT/084")
    (tree / "new.txt").write_text("x")
    texts = [str(finding) for finding in integrity.check_root(tree, checksums=path)]
    start = "checksums in sums.txt: "
    assert f"WRONG  {start}1 files differ from the list: Patients_CT/049/brain/1.jpg (expected none)" in texts[-3]
    assert f"WRONG  {start}4 files are missing: Patients_CT/049/bone/1.jpg, Patients_CT/084" in texts[-2]
    assert f"note   {start}1 files are not in the list" in texts[-1]


def test_a_part_of_the_complete_list(tree, monkeypatch):
    """Of the list beside the manifest, folders that are not here are parts that were not fetched: a note."""
    path = make_list(tree)
    monkeypatch.setattr(integrity, "FOLDER", path.parent)
    shutil.rmtree(tree / "Patients_CT/084")
    texts = [str(finding) for finding in integrity.check_root(tree, checksums=path)]
    assert any(
        "note   checksums in sums.txt: 3 listed files are of folders that are not here" in text for text in texts
    )
    (tree / "Patients_CT/049/bone/1.jpg").unlink()
    texts = [str(finding) for finding in integrity.check_root(tree, checksums=path)]
    assert any("WRONG  checksums in sums.txt: 1 files are missing" in text for text in texts)


def test_list_of_physionet_in_the_folder(tree):
    """SHA256SUMS.txt in the folder is taken by itself, and the list beside the manifest too."""
    (tree / "README.txt").write_text("PHANTOM: synthetic")
    make_list(tree, tree / "SHA256SUMS.txt")
    found, wrong = findings(tree)
    assert not wrong and found["checksums in SHA256SUMS.txt"].found.startswith("14 files are as listed")
    (tree / "README.txt").write_text("real")
    checks = [finding.check for finding in integrity.check_root(tree)]
    assert "checksums in ct_ich_jpg.sha256" in checks


def test_faults_inside(tree):
    """A missing file of the layout and a table that cannot be read are findings; more than all is one as well."""
    (tree / "patient_demographics.csv").unlink()
    (tree / "README.txt").write_text("PHANTOM: synthetic")
    found, wrong = findings(tree)
    assert wrong == [found["patient_demographics.csv"]]
    trees.write_diagnosis(tree / "hemorrhage_diagnosis.csv", ["49,1,9,0,0,0,0,1,0"])
    found, wrong = findings(tree)
    assert "column 'Intraventricular': the value is '9'" in found["slice table"].found
    assert found["checksums"].found.startswith("no list of checksums")


@pytest.mark.parametrize("content", [lambda whole: whole[:400], lambda whole: b"", lambda whole: whole[:-2]])
def test_a_damaged_image_is_found_without_checksums(tree, content):
    """Cut to 400 bytes, empty, or without its end: a fault that names the file; the pixels were not looked at."""
    (tree / "README.txt").write_text("PHANTOM: synthetic")
    found, wrong = findings(tree)
    assert not wrong and re.fullmatch(r"\d+ are whole \(headers and ends\)", found["image files"].found)
    said = "Nothing wrong was found. Not looked at: the pixels inside image files, as there is no list of checksums."
    assert integrity.verdict(found.values()) == said
    jpg = tree / "Patients_CT/049/brain/1.jpg"
    jpg.write_bytes(content(jpg.read_bytes()))
    found, wrong = findings(tree)
    assert wrong == [found["image files"]] and "damaged: Patients_CT/049/brain/1.jpg. The first:" in wrong[0].found
    assert integrity.verdict(found.values()).startswith("1 wrong. Not looked at: the pixels")


def test_verdict_with_checksums(tree):
    """Files that were compared are known to be right; one that is not in the list is not."""
    (tree / "README.txt").write_text("PHANTOM: synthetic")
    path = make_list(tree)
    last = integrity.verdict(integrity.check_root(tree, checksums=path))
    assert last == "Nothing wrong was found. Every file was compared with its checksum."
    inside = path.rename(tree / "sums.txt")  # the list itself is no file that it should name
    assert integrity.verdict(integrity.check_root(tree, checksums=inside)) == last
    path = inside.rename(path)
    (tree / "new.txt").write_text("x")
    last = integrity.verdict(integrity.check_root(tree, checksums=path))
    assert last.endswith("Not looked at: the pixels inside images that no list of checksums names.")


@pytest.mark.parametrize("layout", ["ct_ich_nifti", "rsna"])
def test_a_damaged_volume_or_dicom_is_found(layout, tmp_path):
    """Cut in the middle: one fault more than before."""
    tree = getattr(trees, layout)(tmp_path / "tree")
    (tree / "README.txt").write_text("PHANTOM: synthetic")
    found, wrong = findings(tree)
    assert found["image files"].ok
    before = len(wrong)
    path = min(path for path in tree.rglob("*") if path.suffix in (".nii", ".dcm"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert len(findings(tree)[1]) == before + 1


def test_no_data_set(tmp_path):
    """Without a data set there is nothing to check: an error."""
    (tmp_path / "x").mkdir()
    with pytest.raises(HemokitError, match="no data set was found"):
        integrity.check_root(tmp_path)


@pytest.mark.parametrize("expected, ok", [(3, True), (4, None), (2, False)])
def test_counts(expected, ok):
    """As many is right, fewer is a part, more is wrong; fewer of a complete data set is wrong."""
    first, second = integrity._check_counts({"patients": 3, "slices": 9}, {"patients": expected, "slices": 10})
    assert first.ok is ok and second.ok is (None if expected == 4 else False)
    assert list(integrity._check_counts({}, {})) == []
