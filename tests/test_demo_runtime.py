"""Tests of hemokit.demo.runtime, and of `hemokit demo` up to where it serves."""

import hashlib
import io
import socket
import tarfile

import pytest
from demo_cases import formula

from hemokit.checks import HemokitError
from hemokit.cli.main import main
from hemokit.demo import runtime


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with three small files, which are the ones that are expected."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path / "cache"))
    contents = {name: name.encode() for name in runtime.FILES}
    expected = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(runtime, "FILES", expected)
    return packed(tmp_path / "package.tgz", contents)


def packed(path, contents):
    with tarfile.open(path, "w:gz") as stream:
        for name, data in contents.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            stream.addfile(entry, io.BytesIO(data))
    return path


def test_the_runtime_is_installed_once(package):
    """From a package that was downloaded by hand: all files or none, and found again."""
    assert not runtime.is_installed()
    folder = runtime.install(package)
    assert runtime.is_installed() and runtime.install("nothing is read any more") == folder
    assert {path.name for path in folder.iterdir()} == set(runtime.FILES)
    runtime.check_installed()
    (folder / "ort.wasm.min.mjs").write_text("changed")
    with pytest.raises(HemokitError, match="the file has changed"):
        runtime.check_installed()


def test_another_package_is_refused(package, tmp_path):
    """Changed files, missing ones and what is no package: nothing is installed."""
    with pytest.raises(HemokitError, match="has the SHA-256"):
        runtime.install(packed(tmp_path / "other.tgz", {name: b"changed" for name in runtime.FILES}))
    with pytest.raises(HemokitError, match="reading the package onnxruntime-web-.*tgz failed"):
        runtime.install(packed(tmp_path / "less.tgz", {}))
    (tmp_path / "text.tgz").write_text("text")
    with pytest.raises(HemokitError, match="reading the package onnxruntime-web-.*tgz failed"):
        runtime.install(tmp_path / "text.tgz")
    data = bytearray(package.read_bytes())
    data[20:40] = bytes(20)  # within the compressed part
    (tmp_path / "damaged.tgz").write_bytes(data)
    folder = tarfile.TarInfo(f"package/dist/{next(iter(runtime.FILES))}")
    folder.type = tarfile.DIRTYPE
    with tarfile.open(tmp_path / "folder.tgz", "w:gz") as stream:
        stream.addfile(folder)
    for name in ("damaged.tgz", "folder.tgz"):
        with pytest.raises(HemokitError, match="reading the package onnxruntime-web-.*tgz failed"):
            runtime.install(tmp_path / name)
    assert not runtime.is_installed()


def test_without_npm_the_sentence_says_what_to_do(package, monkeypatch):
    """npm is what fetches it."""
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    with pytest.raises(HemokitError, match="npm is not installed"):
        runtime.install()


def test_which_models_run_in_the_browser(package, tmp_path):
    """ONNX files of one window, once the runtime is there; each other case has its sentence."""
    model = formula(path=tmp_path / "a.onnx")
    assert "--install-browser-runtime" in runtime.why_not(model)
    runtime.install(package)
    assert runtime.why_not(model) == ""
    assert "no ONNX file" in runtime.why_not(formula())
    assert "draws no mask" in runtime.why_not(model._replace(makes_masks=False))


def test_the_command_installs_the_runtime(package, capsys):
    """And ends, with the folder."""
    assert main(["demo", "--runtime-file", str(package)]) == 0
    assert "browser_runtime" in capsys.readouterr().out


def test_the_command_does_not_serve_a_runtime_that_has_changed(package, capsys):
    """It is checked before anything is served: one sentence and the code 2."""
    (runtime.install(package) / "ort.wasm.min.mjs").write_text("changed")
    assert main(["demo", "--no-browser", "--port", "0"]) == 2
    assert "the file has changed" in capsys.readouterr().err


def test_the_command_refuses_what_is_no_model(tmp_path, capsys):
    """A path without a file, a pickle: one sentence and the code 2."""
    (tmp_path / "a.pkl").write_bytes(b"x")
    for path in (tmp_path / "none.onnx", tmp_path / "a.pkl", tmp_path):
        assert main(["demo", str(path), "--no-browser", "--port", "0"]) == 2
        assert "expected" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys):
    """With what helps."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--no-browser", "--port", str(port)]) == 2
    assert "--port 0" in capsys.readouterr().err
