"""The runtime for models in the browser, onnxruntime-web: fetched once by npm, checked, kept in the cache folder.

It is no part of the package because it is larger than all of it. The page then works without any network.
"""

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hemokit.apply.windowing import shows_pictures
from hemokit.checks import problem
from hemokit.files import sha256, write_whole_folder
from hemokit.formats.bounded import library_errors

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
FILES = {  # name in the package's folder dist -> SHA-256
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
COMMAND = "hemokit demo --install-browser-runtime"


def folder():
    """Where the runtime is kept, whether it is there or not."""
    from hemokit.datasets.phantom.writers import cache_folder

    return cache_folder() / "browser_runtime" / VERSION


def is_installed():
    """Whether all files are there; `install` checked what is in them."""
    return all((folder() / name).is_file() for name in FILES)


def why_not(model):
    """Why a model cannot run in the browser, in one sentence; "" where it can."""
    if model.path.suffix != ".onnx":
        return "This model is no ONNX file: the browser runs ONNX models alone."
    if not model.makes_masks or not shows_pictures(model.windows):
        return "This model needs Hounsfield units or draws no mask: the browser runs models of one window and a mask."
    return "" if is_installed() else f"Needs a runtime that is installed once: {COMMAND}"


def install(package=None):
    """Install the runtime.

    Args:
        package: the package's file (.tgz), where it was downloaded by hand; None fetches it by npm.

    Returns:
        the folder.

    Raises:
        HemokitError: no npm, a download that fails, files that are not the ones that this version was tested with.
    """
    if is_installed():
        return folder()
    with tempfile.TemporaryDirectory() as place:
        package = Path(package) if package else _fetched(Path(place))
        files = {name: _checked(name, data) for name, data in _unpacked(package)}
    missing = [name for name in FILES if name not in files]
    if missing:
        raise problem(f"{missing[0]} is missing", f"{PACKAGE} {VERSION}", "Download it again.", file=package)
    shutil.rmtree(folder(), ignore_errors=True)  # one that was cut off
    with write_whole_folder(folder()) as part:
        for name, data in files.items():
            (part / name).write_bytes(data)
    return folder()


def check_installed():
    """Raise HemokitError where a file in the cache is no longer what was installed."""
    for name, digest in FILES.items():
        if sha256(folder() / name) != digest:
            remedy = f"Delete {folder()} and install it again: {COMMAND}"
            raise problem("the file has changed", "what was installed", remedy, file=folder() / name)


def _fetched(place):
    npm = shutil.which("npm")
    if npm is None:
        remedy = f"Install Node.js, or download {PACKAGE}-{VERSION}.tgz elsewhere and give it with --runtime-file."
        raise problem("npm is not installed", "npm, which fetches the runtime", remedy)
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(place), "--silent"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    found = list(place.glob("*.tgz"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise problem(f"npm failed: {reason}", f"{PACKAGE} {VERSION}", "Is there a network? Try again.")
    return found[0]


def _unpacked(package):
    """(name, bytes) of the files that are needed; all else in the package stays where it is."""
    with (
        library_errors(package, f"reading the package {PACKAGE}-{VERSION}.tgz"),
        tarfile.open(fileobj=io.BytesIO(package.read_bytes()), mode="r:gz") as packed,
    ):
        for name in FILES:
            yield name, packed.extractfile(f"package/dist/{name}").read()


def _checked(name, data):
    digest = hashlib.sha256(data).hexdigest()
    if digest != FILES[name]:
        remedy = f"Take version {VERSION} of {PACKAGE} from its own source."
        raise problem(f"{name} has the SHA-256 {digest[:16]}...", f"{FILES[name][:16]}...", remedy)
    return data
