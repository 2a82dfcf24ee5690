"""The command line: help, exit codes, one sentence on bad input, pipes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hemokit
from hemokit.__main__ import main
from hemokit.manifests import manifest_names

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def hemokit_command(*arguments, **options):
    """Run `python -m hemokit` in a process of its own."""
    command = [sys.executable, "-m", "hemokit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, **options)


def test_help_imports_nothing_heavy():
    """--help answers at once because pandas, OpenCV, matplotlib and the like are not imported for it."""
    code = "import sys; from hemokit.__main__ import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    heavy = {"pandas", "cv2", "matplotlib", "sklearn", "nbclient", "tensorflow", "keras", "rich", "requests"}
    assert "Usage: hemokit" in done.stdout and not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    "command",
    [
        *([], ["doctor"], ["phantom"], ["data"], ["data", "list"], ["data", "check"], ["data", "fetch"]),
        *(["run"], ["train"], ["predict"], ["evaluate"], ["demo"]),
    ],
)
def test_every_command_has_help(command, capsys):
    """It says how to call it and what it does, in plain text."""
    assert main([*command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: {' '.join(['hemokit', *command])}") and "\x1b" not in said


@pytest.mark.parametrize("command", [[], ["data"]])
def test_a_name_alone_shows_the_commands(command, capsys):
    """Without a command there is help, and that is no error."""
    assert main(command) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("second", [["--data", "b"], ["--data=b"]])
def test_an_option_twice_is_refused(second, capsys):
    """Nothing is taken in place of what came before it; an option that may come several times may."""
    assert main(["predict", "demo", "--data", "a", "--out", "c", *second]) == 2
    assert capsys.readouterr().err.startswith("hemokit: --data came 2 times, but expected once.")
    assert main(["train", "--balance", "--out", "c", "--no-balance"]) == 2
    assert capsys.readouterr().err.startswith("hemokit: --balance and --no-balance came together, but expected one")
    main(["doctor", "--data", "/nowhere", *second])
    assert "came 2 times" not in capsys.readouterr().err


def test_version(capsys):
    """The version of the package."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hemokit {hemokit.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bogus"], "No such command 'bogus'. The commands are: doctor, phantom, run, train, predict"),
        (["phantom"], "Missing argument 'FOLDER'."),
        (["phantom", "x", "--patients", "many"], "Invalid value for '--patients': 'many' came, but expected a whole"),
        (["phantom", "x", "--size", "5"], "Invalid value for '--size': '5' came, but expected a whole number from 64"),
        (["run", "--data", ""], "Invalid value for '--data': '' came, but expected a path."),
        (["phantom", "x", "--colour"], "No such option: --colour"),
        (["phantom", "x", "--layout", "png"], "layout is 'png', but expected one of 'ct_ich_jpg'"),
        (["phantom", "x", "--patients", "0"], "Invalid value for '--patients': '0' came, but expected a whole number"),
        (["data", "check", "/nowhere"], "/nowhere: there is no such folder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    """One line on standard error, nothing on standard output."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"hemokit: {sentence}") and said.err.count("\n") == 1 and said.out == ""


def test_bad_input_in_a_process_of_its_own():
    """The same by `python -m hemokit`: no traceback, exit code 2."""
    done = hemokit_command("data", "check", "/nowhere")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("hemokit: /nowhere: ") and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_what_the_system_refuses_is_one_sentence(tmp_path, capsys, monkeypatch):
    """A file where a folder should be, and the current folder as a phantom's target."""
    (tmp_path / "file").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tree = tmp_path / "tree"
    assert main(["phantom", str(tree), "--patients", "1", "--size", "64"]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(tree), "--write-checksums", str(tmp_path / "file" / "sums.txt")]) == 2
    assert "but expected a path that can be used" in capsys.readouterr().err
    assert main(["phantom", "."]) == 2
    assert "it is the folder you are in" in capsys.readouterr().err and folder.is_dir()


@pytest.mark.slow
def test_phantom_is_written_and_never_over_something(tmp_path, capsys):
    """An empty folder will do; one with something in it is left as it was."""
    out = tmp_path / "a folder"
    out.mkdir()
    arguments = ["phantom", str(out), "--patients", "1", "--size", "64"]
    assert main(arguments) == 0
    before = sorted(out.rglob("*"))
    assert (out / "Patients_CT").is_dir() and f"to {out}" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "Nothing is overwritten" in capsys.readouterr().err and sorted(out.rglob("*")) == before


def test_data_list_names_license_and_origin(capsys):
    """What a user must know before fetching, for each data set."""
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert "ct_ich_jpg: " in said and "2,501 slices" in said and "vbookshelf/computed-tomography" in said
    assert said.count("license: ") == len(manifest_names()) == 5  # the four of others, and stores made of them


@pytest.mark.slow
def test_data_check_tells_right_from_wrong(tmp_path, capsys):
    """Checksums are written, hold, and betray a changed byte: exit codes 0 and 1."""
    root, sums = tmp_path / "phantom", tmp_path / "sums.txt"
    main(["phantom", str(root), "--patients", "1", "--size", "64"])
    assert main(["data", "check", str(root), "--write-checksums", str(sums)]) == 0
    assert "Nothing wrong was found." in capsys.readouterr().out
    picture = next((root / "Patients_CT").rglob("bone/*.jpg"))
    content = bytearray(picture.read_bytes())
    content[len(content) // 2] ^= 1
    picture.write_bytes(content)
    assert main(["data", "check", str(root), "--checksums", str(sums)]) == 1
    said = capsys.readouterr().out
    assert f"1 files differ from the list: {picture.relative_to(root).as_posix()}" in said and "1 wrong." in said


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise on Windows")
def test_a_closed_pipe_is_no_error():
    """`hemokit data list | head -1` ends without a traceback."""
    command = [sys.executable, "-m", "hemokit", "data", "list"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=60)
    os.close(writing)
    assert done.stderr == "" and done.returncode == 1
