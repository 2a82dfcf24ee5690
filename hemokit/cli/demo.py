"""`hemokit demo`: the web page."""

import contextlib
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import problem
from hemokit.cli.frameworks import keras_at_hand
from hemokit.cli.models import NOTICE
from hemokit.cli.options import FILE, whole_number


def demo(
    model: Annotated[
        Path | None,
        typer.Argument(**{**FILE, "metavar": "MODEL"}, help="An .onnx or .tflite file, or what hemokit train wrote."),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="127.0.0.1 is this machine alone.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(parser=whole_number(0, 65535), metavar="N", help="0 takes any that is free.")
    ] = 8000,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    install_browser_runtime: Annotated[
        bool,
        typer.Option(help="Fetch onnxruntime-web once by npm, so that the model can run in the browser; then end."),
    ] = False,
    runtime_file: Annotated[
        Path | None, typer.Option(**FILE, help="The same from onnxruntime-web's .tgz, downloaded by hand.")
    ] = None,
):
    """Show a model on a web page: give it a slice, see the mask, move the threshold.

    Without MODEL a small one that learned on the synthetic phantom alone. Reads JPG, PNG, NIfTI, DICOM and zipped
    DICOM series. No file that is sent is written to disk, kept or logged. Ctrl-C ends it.
    For education only, not a medical device.
    """
    if install_browser_runtime or runtime_file is not None:
        from hemokit.demo import runtime

        print(f"The browser's runtime is in {runtime.install(runtime_file)}")
        return
    try:
        from hemokit.demo import open_model, runtime
        from hemokit.demo.examples import draw_all
        from hemokit.demo.server import build_server
    except ModuleNotFoundError as error:
        remedy = "Install them: pip install 'hemokit[deploy]'."
        raise problem(f"{error.name} is not installed", "the packages of the web page", remedy) from None
    if runtime.is_installed():
        runtime.check_installed()
    if model is not None and model.is_dir():
        if not (model / "run.json").is_file():  # said before Keras comes, which takes long
            raise problem("there is no run.json in it", "what hemokit train wrote", "Check the path.", file=model)
        print("A run's folder: it is exported once, for ONNX Runtime; Keras stays for Grad-CAM.", flush=True)
    with keras_at_hand() if model is not None and model.is_dir() else contextlib.nullcontext():
        opened = open_model(model)
    server = _listening(build_server, opened, host, port)
    shown = "localhost" if host == "127.0.0.1" else host
    address = f"http://{shown}:{server.effective_port}/"
    print(f"Model: {opened.title}", *opened.about, sep="\n  ")
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("Warning: whoever reaches this machine reaches the page; files travel to it unencrypted.")
    print(f"The page: {address}  (Ctrl-C ends it) {NOTICE}", flush=True)
    draw_all()
    if browser:
        threading.Timer(0.5, webbrowser.open, (address,)).start()
    server.run()
    print("The page is closed.")


def _listening(build_server, opened, host, port):
    try:
        return build_server(opened, host=host, port=port)
    except (OSError, OverflowError) as error:
        came = f"cannot listen on {host}, port {port} ({getattr(error, 'strerror', None) or error})"
        raise problem(came, "an address of this machine and a free port", "Try --port 0, which takes any.") from None
