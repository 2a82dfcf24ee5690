"""The page and what it asks for, as a Flask application: no state, no cookie, no file written or logged.

A file comes as the body of a request, its name in the header X-File-Name; a form would be spooled to disk.
"""

import logging
import threading
from urllib.parse import unquote

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from hemokit.checks import HemokitError, problem
from hemokit.demo import runtime
from hemokit.demo.answers import answer, check, packed
from hemokit.demo.examples import EXAMPLES, read_example, read_thumbnail
from hemokit.demo.heat import heat_map
from hemokit.demo.results import write_result
from hemokit.demo.uploads import read_upload
from hemokit.predictions import NOTICE
from hemokit.processes import cores

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Notice": NOTICE,
}
WORKERS = max(2, min(8, cores()))  # files that are computed at once: each may hold 300 MB
LOCAL = {"localhost", "127.0.0.1", "[::1]"}
log = logging.getLogger("hemokit.demo")


def build_app(model, *, max_bytes, local=True):
    """Build the application.

    Args:
        model: `models.Model`.
        max_bytes: largest file, which the page says; the server refuses larger ones.
        local: True answers only to requests for this machine's own names, so that no other site can reach it by a
            name that it lets point here (DNS rebinding).

    Returns:
        flask.Flask.
    """
    app = Flask("hemokit.demo", static_folder="page", static_url_path="/page")
    app.json.sort_keys = False

    @app.before_request
    def check_sender():
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if local and host not in LOCAL:
            abort(421)
        origin = request.headers.get("Origin")
        if request.method == "POST" and origin is not None and origin.split("://")[-1] != request.host:
            abort(403)

    @app.after_request
    def add_headers(response):
        response.headers.update(HEADERS)
        return response

    @app.get("/")
    def index():
        return app.send_static_file("index.html")

    @app.get("/favicon.ico")
    def favicon():
        return "", 204

    _add_facts(app, model, max_bytes)
    _add_answers(app, model)
    _add_errors(app)
    return app


def _add_facts(app, model, max_bytes):
    """What the page shows before any file came, and what it needs to run the model itself."""

    @app.get("/api/model")
    def facts():
        return jsonify(
            title=model.title, about=list(model.about), caveats=list(model.caveats), notice=NOTICE,
            threshold=model.threshold, labels=list(model.labels), masks=model.makes_masks, image_size=model.image_size,
            channels=len(model.windows), heat=model.heat_words, max_bytes=max_bytes, sha256=model.sha256,
            browser=runtime.why_not(model), window=model.window_words,
            examples=[{"name": name, "title": one.title} for name, one in EXAMPLES.items()],
        )  # fmt: skip

    @app.get("/api/examples/<name>.png")
    def thumbnail(name):
        import cv2

        return Response(cv2.imencode(".png", read_thumbnail(model, name))[1].tobytes(), mimetype="image/png")

    @app.get("/runtime/<name>")
    def runtime_file(name):
        if name not in runtime.FILES or runtime.why_not(model):
            abort(404)
        kind = "application/wasm" if name.endswith(".wasm") else "text/javascript"
        return Response((runtime.folder() / name).read_bytes(), mimetype=kind)

    @app.get("/model.onnx")
    def model_file():
        if runtime.why_not(model):
            abort(404)
        return Response(model.path.read_bytes(), mimetype="application/octet-stream")


def _add_answers(app, model):
    """What is computed for one file: each request brings its own, and is answered from it alone."""
    working = threading.BoundedSemaphore(WORKERS)  # the others wait here: that costs no more than their bodies

    @app.post("/api/slices")
    def slices():
        with working:
            upload, first = _upload()
            check(model, upload)
            data = b"".join(packed(answer(model, upload), model))  # slow readers then hold this alone
        headers = {"Content-Encoding": "gzip", "X-First-Slice": first}
        return Response(data, mimetype="application/octet-stream", headers=headers)

    @app.post("/api/heat")
    def heat():
        with working:
            upload, _ = _upload()
            data = heat_map(model, upload, _number("slice", 0, len(upload.values) - 1)).astype("<u2").tobytes()
        return Response(data, mimetype="application/octet-stream")

    @app.post("/api/result")
    def result():
        threshold = _number("threshold", 1, 1000)
        with working:
            upload, _ = _upload()
            data = write_result(answer(model, upload), upload, model, threshold=threshold)
        headers = {"Content-Disposition": 'attachment; filename="hemokit_result.zip"'}
        return Response(data, mimetype="application/zip", headers=headers)


def _upload():
    """(`apply.inputs.Scan`, number of the slice to show first) of this request: an example, or the file in its body."""
    name = request.args.get("example")
    if name is not None:
        return read_example(name)
    upload = read_upload(unquote(request.headers.get("X-File-Name", ""))[:255], request.get_data(cache=False))
    return upload, len(upload.values) // 2


def _number(name, low, high):
    text = request.args.get(name, "")
    if not (text.isdecimal() and text.isascii() and len(text) < 9 and low <= int(text) <= high):
        raise problem(f"{name} is {text[:20]!r}", f"a whole number from {low} to {high}", "Reload the page.")
    return int(text)


def _add_errors(app):
    """Every error as one sentence in JSON; what was in the file or in its name is never logged."""

    @app.errorhandler(HemokitError)
    def bad_input(error):
        return jsonify(error=str(error), notice=NOTICE), 422

    @app.errorhandler(HTTPException)
    def no_such_thing(error):
        return jsonify(error=f"{error.name}.", notice=NOTICE), error.code

    @app.errorhandler(Exception)
    def broken(error):
        place = error.__traceback__
        while place.tb_next is not None:
            place = place.tb_next
        log.error("%s in %s, line %d", type(error).__name__, place.tb_frame.f_code.co_filename, place.tb_lineno)
        return jsonify(error="Something broke in the demo, not in your file. Please report it.", notice=NOTICE), 500
