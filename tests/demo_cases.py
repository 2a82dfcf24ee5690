"""What the tests of the demo share: a model that is a formula, and its server in a thread or in a process of its own.

Run as a script it serves until it is killed, and prints its port: `python demo_cases.py SECONDS_PER_SLICE`.
"""

import contextlib
import http.client
import json
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from hemokit.demo.models import Model
from hemokit.demo.server import build_server
from hemokit.windows import BRAIN_WIDE

SIZE = 32


def brightness(images):
    """A model that takes bright pixels for blood: no two pictures have the same map."""
    return (images.mean(axis=-1, keepdims=True) ** 2).astype(np.float32)


def formula(**changes):
    """The `Model` of `brightness`."""
    plain = Model(
        brightness, Path("formula.tflite"), "Formula", ("Trained on: nothing.",), SIZE, (BRAIN_WIDE,),
        "level 40, width 120 HU", 0.5, ("hemorrhage",), True, "0" * 64,
    )  # fmt: skip
    return plain._replace(**changes)


# Names that would do harm where a page, a header, a path or a shell takes them for its own.
HOSTILE = [
    *("<script>alert(1)</script>.png", "<img src=x onerror=alert(1)>.png", '"><svg onload=alert(1)>.png'),
    "'-alert(1)-'.png",
    *("javascript:alert(1).png", "{{7*7}}.png", "{% raw %}.png", "${7*7}.png", "%s%n%x.png", "a\r\nX-Bad: 1.png"),
    *("../../etc/passwd.png", "..\\..\\windows.png", "/etc/passwd.png", "C:\\a.png", "a\0b.png", "\u202egnp.exe.png"),
    *("nul.png", "con.png", ".png", "-.png", "--help.png", "a;ls.png", "$(id).png", "`id`.png", "a|b.png", "a&b=c.png"),
    *("</title><script>.png", "<!--.png", "]]>.png", "<?php.png", "<a href=//x>.png", "<style>*{display:none}.png"),
    *("é\u0301.png", "日本.png", "\U0001f600.png", " .png", "\t.png"),
    *("a" * 300 + ".png", "%00.png", "%2e%2e%2f.png", "%3Cscript%3E.png", "a?b#c.png", "a\u2028b.png", "\ufeff.png"),
    *("' OR 1=1 --.png", '";drop table.png', "<iframe srcdoc=x>.png", "<math><mi//xlink:href>.png", "a b.png"),
    *("<base href=//x>.png", "<meta http-equiv=refresh>.png", "onerror=alert(1).png"),
]  # fmt: skip


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict
    body: bytes

    @property
    def told(self):
        """The JSON of the answer."""
        return json.loads(self.body)


@contextlib.contextmanager
def serving(model):
    """The port of a server of a model, in a thread of this process."""
    server = build_server(model, port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.effective_port
    finally:
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join(5)


def send(port, path, data=b"", name="a.png", **headers):
    """POST bytes with a file's name and return the `Reply`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, data, {"X-File-Name": quote(name), **headers})
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def get(port, path, **headers):
    """GET a path and return the `Reply`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def unpacked(body):
    """(facts, pictures uint8, maps uint16 or None) of an answer of /api/slices."""
    raw = zlib.decompress(body, 31)
    length = int.from_bytes(raw[:4], "little")
    told, rest = json.loads(raw[4 : 4 + length]), raw[4 + length :]
    shape = told["slices"], told["height"], told["width"]
    pixels = int(np.prod(shape))
    pictures = np.frombuffer(rest, np.uint8, pixels).reshape(shape)
    maps = np.frombuffer(rest, "<u2", pixels, pixels).reshape(shape) if told["maps"] else None
    return told, pictures, maps


def png_of(pixels):
    """The bytes of a PNG."""
    import cv2

    return cv2.imencode(".png", pixels)[1].tobytes()


def noise(seed, size=24):
    """The bytes of a PNG like no other."""
    return png_of(np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8))


def _slowly(seconds):
    def model(images):
        time.sleep(seconds * len(images))
        return brightness(images)

    return model


if __name__ == "__main__":
    running = build_server(formula(probabilities=_slowly(float(sys.argv[1]))), port=0)
    print(running.effective_port, flush=True)
    running.run()
