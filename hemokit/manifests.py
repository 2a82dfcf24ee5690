"""What each data set should hold: identity, license, files, counts, and what is known to be bad.

The facts stand in `data_manifests/<name>.toml`; this module reads them and finds a data set in a folder.
`hemokit.integrity` compares a folder with them.
"""

import os
import tomllib
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hemokit.checks import HemokitError, check_choice, problem

_NUMBERS = ("counts", "file_counts", "slice_offsets")  # tables of whole numbers
PURPOSES = ("all", "classification", "segmentation")
_INSIDE = Path(__file__).parent / "data_manifests"  # in an installed package
FOLDER = _INSIDE if _INSIDE.is_dir() else Path(__file__).parent.parent / "data_manifests"  # in a clone


class KnownBad(NamedTuple):
    """A slice or patient that is known to be bad: its `id`, for which `purpose` ("all", ...), and why."""

    id: str
    purpose: str
    reason: str


class Manifest(NamedTuple):
    """The facts about one data set; see data_manifests/*.toml.

    `layout` are the patterns that make a folder this data set, `files` others that belong to it,
    `counts` numbers of the complete slice table, `file_counts` numbers of files per pattern,
    `slice_offsets` says per patient by how much its slice numbers exceed those of the data set's JPG form,
    `checksums` the file of checksums beside the manifest. Empty strings mean "not known" or "none".
    """

    name: str
    title: str
    version: str
    license: str
    terms: str
    citation: str
    layout: tuple
    source: str = ""
    kaggle: str = ""
    kaggle_competition: str = ""
    checksums: str = ""
    files: tuple = ()
    counts: dict = {}  # noqa: RUF012 - never changed
    file_counts: dict = {}  # noqa: RUF012
    slice_offsets: dict = {}  # noqa: RUF012
    known_bad: tuple = ()


def manifest_names():
    """Names of all manifests, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@lru_cache(maxsize=16)
def read_manifest(name):
    """Read `data_manifests/<name>.toml`.

    Args:
        name: a data set's name ("ct_ich_jpg", ...), or the path of a TOML file.

    Returns:
        a `Manifest`.

    Raises:
        HemokitError: no such manifest, no TOML, an unknown or missing key, a value of the wrong type.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = FOLDER / f"{check_choice(str(name), manifest_names(), 'name')}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise problem(f"no manifest can be read ({error})", "a TOML file", "Restore the file.", file=path) from error
    _check_keys(content, Manifest, path)
    content["known_bad"] = tuple(_known_bad(entry, path) for entry in content.get("known_bad", []))
    return Manifest(**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})


def counts_in_words(manifest):
    """What the complete data set holds, in one line; of its files where no slices were counted."""
    bad = sum(bad.purpose == "all" for bad in manifest.known_bad)
    left_out = f" ({bad} known damaged file left out)" if bad == 1 else f" ({bad} known damaged files left out)"
    counts = [f"{count:,} {what.replace('_', ' ')}" for what, count in manifest.counts.items()]
    files = [f"{count:,} files {pattern}" for pattern, count in manifest.file_counts.items()]
    return (", ".join(counts or files) or "not counted") + left_out * (bad > 0)


def known_bad(name, purpose="all"):
    """What to leave out of data set `name` for a purpose.

    Args:
        name: as `read_manifest`.
        purpose: "all" for what nothing can use; "segmentation" or "classification" adds what that cannot use.

    Returns:
        dict id -> reason; the id is a slice_id or a patient_id.
    """
    check_choice(purpose, PURPOSES, "purpose")
    return {bad.id: bad.reason for bad in read_manifest(name).known_bad if bad.purpose in ("all", purpose)}


def find_root(root, layout):
    """The folder in which a data set really starts: zips often nest everything in one or two more folders.

    Args:
        root: an existing folder.
        layout: patterns, relative to the folder wanted, that must each match something there.

    Returns:
        Path: `root` itself, or the one folder below it (at most two deep) that fits; None if none fits.

    Raises:
        HemokitError: several folders at one depth fit.
    """
    level = [Path(root)]
    for _ in range(3):
        fitting = [folder for folder in level if all(any(folder.glob(pattern)) for pattern in layout)]
        if len(fitting) > 1:
            raise problem(
                f"{len(fitting)} folders in {root} hold this data set: {', '.join(map(str, fitting[:3]))}",
                "one",
                "Give the folder of one of them.",
            )
        if fitting:
            return fitting[0]
        level = [below for folder in level for below in _folders(folder)]
    return None


def is_phantom(root):
    """Whether a folder says in its README.txt that it is a phantom: then no fact about real patients applies."""
    readme = Path(root, "README.txt")
    return readme.is_file() and readme.read_bytes()[:200].decode("utf-8", "replace").startswith("PHANTOM")


def _folders(folder):
    """Visible subfolders; none of a folder that may not be read, or of one of hundreds of patients or images."""
    try:
        entries = list(islice(folder.iterdir(), 500))
    except PermissionError:  # such as lost+found
        return []
    if len(entries) == 500:
        return []
    return sorted(entry for entry in entries if not entry.name.startswith(".") and os.path.isdir(entry))


def _check_keys(content, kind, path):
    """Every key known, every value of the kind that its default has (str where there is none)."""
    types = {"layout": list, "files": list, **dict.fromkeys(_NUMBERS, dict), "known_bad": list}
    for key in content:
        if key not in kind._fields:
            known = ", ".join(kind._fields)
            raise problem(f"the key {key!r} is unknown", f"one of {known}", "Correct the key.", file=path)
        wanted = types.get(key, str)
        if not isinstance(content[key], wanted):
            came = f"{key} is {type(content[key]).__name__}"
            raise problem(came, wanted.__name__, "Correct the value.", file=path, column=key)
    missing = [key for key in kind._fields if key not in kind._field_defaults and key not in content]
    if missing:
        raise problem(f"the key {missing[0]!r} is missing", "all of " + ", ".join(missing), "Add it.", file=path)
    for key in ("layout", "files"):
        _check_each(content.get(key, []), str, key, path)
    for key in _NUMBERS:
        _check_each(content.get(key, {}).values(), int, key, path)


def _check_each(values, wanted, key, path):
    for value in values:
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise problem(f"{key} holds {value!r}", wanted.__name__, "Correct the value.", file=path, column=key)


def _known_bad(entry, path):
    """One [[known_bad]] entry: exactly id, for and reason, all text."""
    if not isinstance(entry, dict) or set(entry) != {"id", "for", "reason"}:
        raise problem(f"known_bad holds {entry!r}", "exactly id, for and reason", "Correct the entry.", file=path)
    _check_each(entry.values(), str, "known_bad", path)
    try:
        return KnownBad(entry["id"], check_choice(entry["for"], PURPOSES, "for"), entry["reason"])
    except HemokitError as error:
        raise HemokitError(f"{path}, known_bad {entry['id']!r}: {error}") from None
