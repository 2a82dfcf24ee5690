"""The promises of the demo's page, W4 and W5: nothing is left of a file, and the page runs its own scripts alone."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from demo_cases import HOSTILE, formula, get, noise, send, serving, unpacked
from malformed import dicom, dicom_bytes

from hemokit.demo import server
from hemokit.demo.app import CSP

SECRETS = ("Roe", "Richard", "ID_0a1b2c3d", "19700101")


@pytest.fixture(scope="module")
def port():
    with serving(formula()) as number:
        yield number


# ---- W4: no upload on the disk, no name of a patient in logs or answers


class Opened:
    """Whatever this process opens for writing while it is on; Python's audit hooks cannot be taken off again."""

    def __init__(self):
        self.on, self.found = False, []
        sys.addaudithook(self.look)

    def look(self, event, arguments):
        if self.on and event == "open" and isinstance(arguments[2], int):
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            self.found += [arguments[0]] if writes else []
        elif self.on and event.startswith(("tempfile.", "os.mkdir", "shutil.")):
            self.found.append((event, arguments))


OPENED = Opened()


def named_file(number):
    """A DICOM file with a name in it; every third one is large, so that servers would spool it."""
    size = 1100 if number % 3 == 0 else 14
    stored = np.random.default_rng(number).integers(0, 2500, (size, size)).astype(np.int16)
    named = {"PatientName": "Roe^Richard", "PatientID": "ID_0a1b2c3d", "PatientBirthDate": "19700101"}
    return dicom_bytes(dicom(np.random.default_rng(0), stored=stored, **named))


def check_nothing_left(port, uploads, caplog, capfd):
    caplog.set_level(0)
    files = [named_file(number) for number in range(uploads)]
    said = []
    for path in ("/api/slices", "/api/result?threshold=500"):  # lazy imports write their bytecode
        send(port, path, files[0], "Roe_Richard.dcm")
    OPENED.on = True
    try:
        for number, data in enumerate(files):
            path = "/api/result?threshold=500" if number % 10 == 1 else "/api/slices"
            reply = send(port, path, data, "Roe_Richard_19700101.dcm")
            assert reply.status == 200
            told = str(unpacked(reply.body)[0]) if path == "/api/slices" else ""
            said.append(f"{reply.headers} {told}")
        said.append(str(send(port, "/api/slices", files[0][:300], "b.dcm").body))
    finally:
        OPENED.on = False
    said += [caplog.text, *capfd.readouterr()]
    print(f"{uploads} uploads, {len(OPENED.found)} files written")
    assert OPENED.found == []
    assert not [secret for secret in SECRETS if any(secret in one for one in said)]


def test_no_upload_is_written_and_no_name_is_told(port, caplog, capfd):
    """12 uploads, large and small: not one file is opened for writing, no name stands anywhere (promise W4)."""
    check_nothing_left(port, 12, caplog, capfd)


@pytest.mark.promises
def test_a_hundred_uploads_leave_nothing(port, caplog, capfd):
    """The same with 100 (promise W4 at full size)."""
    check_nothing_left(port, 100, caplog, capfd)


def test_the_watch_would_notice(tmp_path):
    """A file that is written, and a temporary one, are seen."""
    OPENED.on, OPENED.found = True, []
    try:
        (tmp_path / "a").write_text("x")
    finally:
        OPENED.on = False
    assert len(OPENED.found) == 1
    OPENED.found = []


# ---- W5: a page that runs nothing but its own scripts


def test_hostile_names_do_nothing(port):
    """50 of them: the answer is a picture's or one sentence, as JSON that no browser takes for a page (promise W5)."""
    assert len(set(HOSTILE)) >= 50
    for name in HOSTILE:
        good, bad = send(port, "/api/slices", noise(0), name), send(port, "/api/slices", b"no picture", name)
        assert good.status in (200, 422) and bad.status == 422, name
        assert bad.headers["Content-Type"] == "application/json" and "X-Bad" not in bad.headers
        assert bad.headers["X-Content-Type-Options"] == "nosniff" and bad.told["error"]


PATHS = ("/", "/page/main.js", "/page/style.css", "/api/model", "/api/examples/none.png", "/nothing", "/model.onnx")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_its_rules_and_the_notice(port, path):
    """The content policy allows no inline script, no other host and no frame; types are not guessed (promise W5)."""
    headers = get(port, path).headers
    assert headers["Content-Security-Policy"] == CSP and "unsafe-inline" not in CSP and "http" not in CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Notice"] == "education only, not a medical device"


def test_the_page_holds_no_script_of_its_own_and_no_other_address():
    """No inline script or style, no event attribute, nothing from another host; the notice stands on it."""
    folder = Path(server.__file__).parent / "page"
    page = (folder / "index.html").read_text()
    assert page.count("<script") == 1 and 'src="/page/main.js"' in page
    assert "style=" not in page and " on" + "click" not in page and "Education only, not a medical device." in page
    for path in folder.iterdir():
        assert "//" not in path.read_text().replace("// ", "").replace("</", ""), path
        assert "innerHTML" not in path.read_text(), path


def test_other_hosts_and_origins_are_refused(port):
    """A site that lets its name point here, or that posts from elsewhere, gets nothing."""
    assert get(port, "/", Host="evil.example").status == 421
    assert send(port, "/api/slices", noise(0), Origin="http://evil.example").status == 403
    assert send(port, "/api/slices", noise(0), Origin=f"http://127.0.0.1:{port}").status == 200
