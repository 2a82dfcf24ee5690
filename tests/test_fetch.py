"""Fetching: terms first, resumed downloads, checked files; all against a server on this machine."""

import base64
import hashlib
import io
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kagglehub
import pytest
import requests
from kagglehub.exceptions import UnauthenticatedError

from hemokit import fetch
from hemokit.__main__ import main
from hemokit.checks import HemokitError
from hemokit.checksums import parse_checksums, read_checksums
from hemokit.manifests import manifest_names, read_manifest

CONTENT = {"ct_scans/049.nii": bytes(range(256)) * 700, "hemorrhage_diagnosis_raw_ct.csv": b"a,b\n1,2\n"}


class Handler(BaseHTTPRequestHandler):
    """A PhysioNet folder: Range requests, and a password where the server has one."""

    def do_GET(self):
        name = self.path.removeprefix("/files/x/1/")
        wanted = "Basic " + base64.b64encode(b"ada:secret").decode()
        if self.server.locked and self.headers["Authorization"] != wanted:
            return self.answer(401, b"")
        self.server.asked.append((name, self.headers["Range"]))
        content = self.server.files[name]
        if self.headers["Range"] is None or not self.server.ranges:
            return self.answer(200, content)
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        return self.answer(206, content[start:]) if start < len(content) else self.answer(416, b"")

    def answer(self, code, content):
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The folder of CONTENT on this machine; `asked` holds the requests it has had."""
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    for name in ("PHYSIONET_USERNAME", "PHYSIONET_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        sums = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in CONTENT.items())
        running.files = {**CONTENT, "SHA256SUMS.txt": sums.encode()}
        running.asked, running.locked, running.ranges = [], False, True
        running.address = f"http://127.0.0.1:{running.server_port}/files/x/1/"
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def load(address, out):
    """Fetch with a session that is closed afterwards."""
    with requests.Session() as session:
        return fetch.fetch_physionet(address, out, session=session)


def test_every_file_arrives_whole(server, tmp_path):
    """Each has its name and its bytes, no part is left, and the list of checksums stands beside them."""
    out = load(server.address, tmp_path / "out")
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert read_checksums(out / "SHA256SUMS.txt").keys() == CONTENT.keys()
    assert {name: files[name] for name in files if name != "SHA256SUMS.txt"} == CONTENT


def test_an_interrupted_file_goes_on_where_it_stopped(server, tmp_path):
    """Only the missing bytes are asked for; a file that is whole is not asked for again."""
    out = tmp_path / "out"
    (out / "ct_scans").mkdir(parents=True)
    (out / "ct_scans" / "049.nii.part").write_bytes(CONTENT["ct_scans/049.nii"][:1000])
    (out / "hemorrhage_diagnosis_raw_ct.csv").write_bytes(CONTENT["hemorrhage_diagnosis_raw_ct.csv"])
    load(server.address, out)
    assert server.asked == [("SHA256SUMS.txt", None), ("ct_scans/049.nii", "bytes=1000-")]
    assert (out / "ct_scans" / "049.nii").read_bytes() == CONTENT["ct_scans/049.nii"]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    """What comes then replaces the part instead of following it."""
    server.ranges = False
    part = tmp_path / "ct_scans" / "049.nii.part"
    part.parent.mkdir()
    part.write_bytes(b"old")
    load(server.address, tmp_path)
    assert (tmp_path / "ct_scans" / "049.nii").read_bytes() == CONTENT["ct_scans/049.nii"]


def test_a_complete_part_only_gets_its_name(server, tmp_path):
    """The server answers 416, which is no error here."""
    part = tmp_path / "ct_scans" / "049.nii.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT["ct_scans/049.nii"])
    load(server.address, tmp_path)
    assert (tmp_path / "ct_scans" / "049.nii").exists() and not part.exists()


def test_a_damaged_file_is_refused_and_not_kept(server, tmp_path):
    """Neither the file nor its part stays, so that the next run starts clean."""
    server.files["ct_scans/049.nii"] = b"\1" + CONTENT["ct_scans/049.nii"][1:]
    with pytest.raises(HemokitError, match="049.nii arrived damaged, but expected SHA-256"):
        load(server.address, tmp_path)
    assert not list((tmp_path / "ct_scans").iterdir())


def test_a_locked_data_set_says_what_to_do(server, tmp_path):
    """The address, the agreement, the account and the wget command."""
    server.locked = True
    with pytest.raises(HemokitError, match=r"HTTP 401.*/content/x/1/.*PHYSIONET_USERNAME.*wget -r -N -c -np"):
        load(server.address, tmp_path)


def test_an_account_from_the_environment_opens_it(server, tmp_path, monkeypatch):
    """PHYSIONET_USERNAME and PHYSIONET_PASSWORD are used."""
    server.locked = True
    monkeypatch.setenv("PHYSIONET_USERNAME", "ada")
    monkeypatch.setenv("PHYSIONET_PASSWORD", "secret")
    assert len(list(load(server.address, tmp_path / "out").rglob("*.*"))) == 3


def test_no_connection_is_one_sentence(tmp_path):
    """Nothing listens on port 9: the host, the reason, and that the command may be run again."""
    sentence = r"^no connection to 127.0.0.1 \(it refuses connections\), but expected the network. Connect, then run"
    with pytest.raises(HemokitError, match=sentence):
        load("http://127.0.0.1:9/files/x/1/", tmp_path)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.ConnectionError("(host='a.org', port=443): NameResolutionError(x"), "a.org .the name was not found."),
        (
            requests.ConnectTimeout("HTTPSConnectionPool(host='a.org', port=443): timed out"),
            "a.org .no answer in time.",
        ),
        (requests.exceptions.ProxyError("Cannot connect"), "no connection to it .the proxy does not answer."),
        (requests.exceptions.SSLError("host='a.org'"), "a.org .its certificate is not accepted."),
        (requests.ConnectionError("Connection aborted."), "loading it broke off .Connection aborted."),
    ],
)
def test_the_reason_of_no_connection_is_told_in_words(error, sentence):
    """Whatever the library says at length; a connection that was lost on the way is told apart."""
    assert re.search(sentence, str(fetch._broken_off("it", error)))


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "C:\\x", "a\\..\\b", ""])
def test_a_listing_cannot_write_elsewhere(path):
    """A path that leads out of the folder is refused."""
    with pytest.raises(HemokitError, match="address, row 1: the (line|path)"):
        parse_checksums(f"{'0' * 64} {path}\n", "address")


def test_a_listing_is_read_in_either_form():
    """sha256sum writes two blanks, or a blank and a star; PhysioNet one blank."""
    text = f"{'A' * 64}  a/b.nii\n{'0' * 64} *c d.csv\n{'1' * 64} e.txt\n"
    assert parse_checksums(text, "") == {"a/b.nii": "a" * 64, "c d.csv": "0" * 64, "e.txt": "1" * 64}


@pytest.mark.parametrize("text, sentence", [("", "there is no checksum"), (f"{'z' * 64}  a\n", "row 1: the line is")])
def test_a_listing_must_list(text, sentence):
    """An empty listing is no success, and letters that are no hex digits are no checksum."""
    with pytest.raises(HemokitError, match=sentence):
        parse_checksums(text, "address")


def fake_kaggle(monkeypatch, error=None):
    """kagglehub without a network: it writes one file into its cache, or raises."""

    def download(handle):
        if error is not None:
            raise error
        folder = Path(os.environ["KAGGLEHUB_CACHE"]) / handle / "versions" / "1"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(handle)
        return str(folder)

    monkeypatch.setattr(kagglehub, "dataset_download", download)
    monkeypatch.setattr(kagglehub, "competition_download", download)


@pytest.mark.parametrize("name", ["ct_ich_jpg", "rsna"])
def test_kaggle_data_end_in_the_folder_asked_for(name, tmp_path, monkeypatch):
    """Data sets and competitions alike; the cache beside it is gone."""
    fake_kaggle(monkeypatch)
    manifest = read_manifest(name)
    out = fetch.fetch(manifest, tmp_path / "out")
    assert (out / "a.csv").read_text() == (manifest.kaggle or manifest.kaggle_competition)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_data_that_a_service_has_at_hand_stay_there(tmp_path, monkeypatch):
    """Kaggle and Colab mount the data: nothing is moved."""
    monkeypatch.setattr(kagglehub, "dataset_download", lambda handle: str(tmp_path / "mounted"))
    assert fetch.fetch(read_manifest("ct_ich_jpg"), tmp_path / "out") == tmp_path / "mounted"


def test_kaggle_without_an_account_says_what_to_do(tmp_path, monkeypatch):
    """The page of the rules and the two variables."""
    fake_kaggle(monkeypatch, UnauthenticatedError())
    with pytest.raises(HemokitError, match=r"kaggle.com/c/rsna-.*/rules and set KAGGLE_USERNAME"):
        fetch.fetch(read_manifest("rsna"), tmp_path / "out")


def test_kaggle_without_a_network_may_be_run_again(tmp_path, monkeypatch):
    """kagglehub keeps its part in the cache beside the folder."""
    fake_kaggle(monkeypatch, requests.ConnectionError("no route"))
    with pytest.raises(HemokitError, match=r"broke off \(no route\)"):
        fetch.fetch(read_manifest("ct_ich_jpg"), tmp_path / "out")


def test_a_folder_in_use_is_left_alone(tmp_path):
    """Nothing of a user's is overwritten."""
    (tmp_path / "mine").write_text("x")
    with pytest.raises(HemokitError, match="holds something already"):
        fetch.fetch(read_manifest("ct_ich_jpg"), tmp_path)


def test_data_without_an_address_cannot_be_fetched(tmp_path):
    """The windowed JPGs have no public home."""
    with pytest.raises(HemokitError, match="windowed_jpg has no public address"):
        fetch.fetch(read_manifest("windowed_jpg"), tmp_path / "out")


@pytest.mark.parametrize("name", manifest_names())
def test_terms_show_what_matters(name):
    """License, terms, citation and origin of every data set."""
    text, manifest = fetch.terms(read_manifest(name)), read_manifest(name)
    assert manifest.license in text and manifest.terms in text and manifest.citation in text and "From:" in text


def test_nothing_is_fetched_unless_the_terms_are_accepted(tmp_path, monkeypatch, capsys):
    """In a script --accept is needed; the terms are shown before anything else."""
    fake_kaggle(monkeypatch)
    out = str(tmp_path / "out")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["data", "fetch", "ct_ich_jpg", "--out", out]) == 2
    said = capsys.readouterr()
    assert "License:  CC BY 4.0" in said.out and "add --accept" in said.err and not (tmp_path / "out").exists()
    assert main(["data", "fetch", "ct_ich_jpg", "--out", out, "--accept"]) == 0
    assert f"hemokit data check {out}" in capsys.readouterr().out


def test_an_unknown_data_set_is_refused_with_the_list(capsys):
    """Exit code 2 and the names there are."""
    assert main(["data", "fetch", "mnist", "--out", "x", "--accept"]) == 2
    assert "name is 'mnist', but expected one of 'ct_ich_jpg'" in capsys.readouterr().err
