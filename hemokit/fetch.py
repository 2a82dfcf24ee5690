"""Fetching a data set: its terms first, then a download that may be interrupted and taken up again.

Kaggle's data sets come through `kagglehub`, which resumes and checks what it loads; PhysioNet's come file
by file over HTTPS, each checked against the SHA-256 that PhysioNet publishes.
"""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from hemokit.checks import problem
from hemokit.checksums import SUMS, parse_checksums
from hemokit.files import sha256, write_whole

PHYSIONET = "https://physionet.org"
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 20
_REASONS = {  # what the libraries say of a connection that did not come about -> what it means
    "nameresolution": "the name was not found",
    "name or service not known": "the name was not found",
    "getaddrinfo": "the name was not found",
    "refused": "it refuses connections",
    "unreachable": "the network is unreachable",
    "timed out": "no answer in time",
    "newconnectionerror": "it cannot be reached",
}


def terms(manifest):
    """What to read before fetching: title, license, terms of use, how to cite, and where it comes from."""
    return "\n".join(
        [
            f"{manifest.title}, version {manifest.version}",
            f"License:  {manifest.license}",
            f"Terms:    {manifest.terms}",
            f"Cite:     {manifest.citation}",
            f"From:     {origin(manifest)}",
        ]
    )


def origin(manifest):
    """Where a data set is fetched from, in words; says so where there is no such place."""
    if manifest.kaggle:
        return f"Kaggle data set {manifest.kaggle}"
    if manifest.kaggle_competition:
        return f"Kaggle competition {manifest.kaggle_competition}"
    return manifest.source or "no public address"


def fetch(manifest, out):
    """Download a data set; call it again after an interruption and it goes on where it stopped.

    Args:
        manifest: a `hemokit.manifests.Manifest`, whose terms the user has accepted.
        out: the folder to make. For PhysioNet it may hold a part of the data set already.

    Returns:
        Path of the folder with the data: `out`, or on a service that has the data at hand, that folder.

    Raises:
        HemokitError: no public address, `out` holds something, no credentials, no rights, no network,
            or a file that differs from its published checksum.
    """
    out = Path(out)
    if manifest.kaggle:
        return _fetch_kaggle("dataset_download", manifest.kaggle, out)
    if manifest.kaggle_competition:
        return _fetch_kaggle("competition_download", manifest.kaggle_competition, out)
    if manifest.source.startswith(f"{PHYSIONET}/content/"):
        return fetch_physionet(manifest.source.replace("/content/", "/files/", 1), out)
    raise problem(
        f"{manifest.name} has no public address",
        "a data set at Kaggle or PhysioNet",
        "Ask whoever keeps it for a copy.",
    )


def _fetch_kaggle(function, handle, out):
    """Have kagglehub load into a cache beside `out`, which survives an interruption; then rename."""
    kagglehub, requests = _import("kagglehub"), _import("requests")
    from kagglehub import exceptions

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise problem(f"{out} holds something already", "a new folder", "Choose another --out, or remove it.")
    cache = out.parent / f".{out.name}.download"
    before = os.environ.get("KAGGLEHUB_CACHE")
    os.environ["KAGGLEHUB_CACHE"] = str(cache.absolute())
    refused = (exceptions.UnauthenticatedError, exceptions.CredentialError, exceptions.KaggleApiHTTPError)
    try:
        found = Path(getattr(kagglehub, function)(handle))
    except refused as error:
        raise problem(
            f"Kaggle refused {handle} ({_first_line(error)})",
            "an account that has accepted its rules",
            f"Accept them at https://www.kaggle.com/{_kaggle_page(function, handle)} and set KAGGLE_USERNAME and "
            "KAGGLE_KEY (kaggle.com, Settings, API).",
        ) from error
    except (requests.RequestException, exceptions.DataCorruptionError, exceptions.NotFoundError) as error:
        raise _broken_off(handle, error) from error
    finally:
        os.environ.pop("KAGGLEHUB_CACHE") if before is None else os.environ.update(KAGGLEHUB_CACHE=before)
    if cache.absolute() not in found.absolute().parents:
        return found  # on Kaggle and Colab the data are mounted, not loaded
    if out.exists():
        out.rmdir()
    found.rename(out)
    shutil.rmtree(cache)
    return out


def fetch_physionet(address, out, *, session=None):
    """Download every file of a PhysioNet folder, each whole and checked.

    Args:
        address: "https://physionet.org/files/<project>/<version>/".
        out: folder; what is there and matches its checksum is not loaded again.
        session: a `requests.Session`, for tests.

    Returns:
        Path of `out`.

    Raises:
        HemokitError: no rights, no network, a file that differs from its checksum.
    """
    from tqdm import tqdm

    requests, out = _import("requests"), Path(out)
    session = session or requests.Session()
    name, password = os.environ.get("PHYSIONET_USERNAME"), os.environ.get("PHYSIONET_PASSWORD")
    if name and password:
        session.auth = (name, password)  # else requests looks into ~/.netrc
    try:
        listing = session.get(address + SUMS, timeout=TIMEOUT)
        _check_rights(listing, address)
        wanted = parse_checksums(listing.text, address + SUMS)
        for path, digest in tqdm(wanted.items(), desc="files", unit="file", disable=None):
            _load_file(session, address + path, out / path, digest)
        with write_whole(out / SUMS) as stream:  # `hemokit data check` compares with it
            stream.write(listing.text)
    except requests.RequestException as error:
        raise _broken_off(address, error) from error
    return out


def _load_file(session, address, path, digest):
    """Load one file to path.part, going on where an earlier run stopped; it gets its name when it is right."""
    if path.is_file() and sha256(path) == digest:
        return
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        # 416: nothing is left to load. 200 instead of 206: the server sends all of it again.
        if response.status_code != 416:
            _check_rights(response, address)
            with open(part, "ab" if response.status_code == 206 else "wb") as stream:
                for block in response.iter_content(BLOCK):
                    stream.write(block)
    if sha256(part) != digest:
        part.unlink()
        raise problem(f"{address} arrived damaged", f"SHA-256 {digest}", "Run the same command again to load it anew.")
    os.replace(part, path)


def _check_rights(response, address):
    """Explain a refusal; other HTTP errors are raised as such."""
    if response.status_code in (401, 403):
        page = address.replace("/files/", "/content/", 1)
        raise problem(
            f"PhysioNet refused {address} (HTTP {response.status_code})",
            "an account with access to this data set",
            f"Sign the data use agreement at {page}, then put the account into ~/.netrc or into PHYSIONET_USERNAME and "
            f"PHYSIONET_PASSWORD; or load it with: wget -r -N -c -np --user NAME --ask-password {address}",
        )
    response.raise_for_status()


def _import(name):
    """Import an optional package, or say how to install it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise problem(
            f"the package {name!r} is not installed", "it, to fetch data", 'Run: python -m pip install "hemokit[data]".'
        ) from None


def _broken_off(what, error):
    """The error for a connection that was never there, or that was lost."""
    reason = _no_connection(error)
    if reason:
        host = _host(error) or what
        return problem(
            f"no connection to {host} ({reason})", "the network", "Connect, then run the same command again."
        )
    came = f"loading {what} broke off ({_first_line(error)})"
    return problem(came, "a connection that holds", "Run the same command again: it goes on where it stopped.")


def _no_connection(error):
    """Why no connection came about, in words; "" where one was lost on the way.

    requests wraps an error of urllib3 that wraps one of the system, and only their texts are the same everywhere.
    """
    import requests

    if not isinstance(error, requests.ConnectionError | requests.Timeout):
        return ""
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    said = str(error).lower()
    return next((words for key, words in _REASONS.items() if key in said), "")


def _host(error):
    """The host that a request was for, as far as the error tells."""
    request = getattr(error, "request", None)
    found = re.search(r"host='([^']+)'", str(error))
    return urlsplit(request.url).hostname if getattr(request, "url", None) else found[1] if found else ""


def _kaggle_page(function, handle):
    return f"datasets/{handle}" if function == "dataset_download" else f"c/{handle}/rules"


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
