"""The demo's page: seconds until it serves, seconds of one slice, requests a second and their tail, on this machine.

The server is a process of its own, as `hemokit demo` starts it, with the model that comes with the package; users are
threads here, each sending one picture of 512x512 after the other. The rival is what a user would write first: Flask's
own server with a Keras model and `model.predict`, asked in the same way (left out where TensorFlow is missing).
"""

import http.client
import importlib.util
import logging
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from hemokit.processes import cores

USERS, REQUESTS, SIZE = (1, 2, 8, 16), 48, 512
HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.path.dirname(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
OURS, RIVAL = "hemokit demo", "Flask and model.predict"


def picture(size=SIZE):
    """A slice of the phantom as PNG."""
    import cv2
    import numpy as np

    from hemokit.datasets.phantom import make_phantom
    from hemokit.windows import BRAIN_WIDE, apply_window

    shown = apply_window(make_phantom("bench", seed=0, image_size=size, num_slices=3).hounsfield[1], BRAIN_WIDE)
    return cv2.imencode(".png", np.rint(shown * 255).astype(np.uint8))[1].tobytes()


def ask(port, path, data):
    """Send one picture; returns the seconds until its whole answer was there."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, data, {"X-File-Name": "slice.png"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {body[:200]}")
    return time.perf_counter() - start


def started(command):
    """(process, port, seconds until it answered) of a server that prints its address."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)
    for line in process.stdout:
        found = re.search(r"http://[\w.]+:(\d+)", line)
        if found:
            break
    else:
        raise RuntimeError(f"{command} did not start")
    port = int(found[1])
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return process, port, time.perf_counter() - start
        except ConnectionRefusedError:
            time.sleep(0.02)
        finally:
            connection.close()


def measured(name, command, path, data):
    """One row a number of users."""
    process, port, start = started(command)
    try:
        first = ask(port, path, data)
        for _ in range(5):
            ask(port, path, data)
        for users in USERS:
            begin = time.perf_counter()
            with ThreadPoolExecutor(users) as pool:
                times = sorted(pool.map(lambda _: ask(port, path, data), range(REQUESTS)))
            seconds = time.perf_counter() - begin
            milliseconds = {"median ms": 1e3 * times[len(times) // 2], "p99 ms": 1e3 * times[int(0.99 * len(times))]}
            row = {"server": name, "users": users, "requests/s": REQUESTS / seconds, **milliseconds}
            yield {**row, "first ms": 1e3 * first, "start s": start}
    finally:
        process.kill()
        process.communicate()


def serve_rival():
    """The page as it is often written: one global Keras model, `predict`, Flask's own server."""
    import cv2
    import numpy as np
    from flask import Flask, request

    from hemokit.models.unet import unet

    app, model = Flask("rival"), unet((128, 128, 1), filters=(8, 16, 32, 64, 128), batch_norm=True)

    @app.get("/")
    def index():
        return "ready"

    @app.post("/predict")
    def predict():
        image = cv2.imdecode(np.frombuffer(request.get_data(), np.uint8), cv2.IMREAD_GRAYSCALE)
        small = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA).astype(np.float32)[None, ..., None] / 255
        found = cv2.resize(model.predict(small, verbose=0)[0], image.shape[::-1])
        return cv2.imencode(".png", (255 * found).astype(np.uint8))[1].tobytes()

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    print(f"http://127.0.0.1:{sys.argv[2]}", flush=True)
    app.run(port=int(sys.argv[2]), threaded=True)


def main():
    """Print the table."""
    from timing import report

    data = picture()
    ours = [sys.executable, "-m", "hemokit", "demo", "--no-browser", "--port", "0"]
    rows = list(measured(OURS, ours, "/api/slices", data))
    if importlib.util.find_spec("tensorflow"):
        rows += measured(RIVAL, [sys.executable, __file__, "rival", "8917"], "/predict", data)
    note = f"{REQUESTS} pictures of {SIZE}x{SIZE} for each number of users; the users run on the same {cores()} cores"
    report("The demo's page", rows, note)


if __name__ == "__main__":
    serve_rival() if sys.argv[1:2] == ["rival"] else main()
