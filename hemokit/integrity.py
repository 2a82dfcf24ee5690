"""Does a folder hold the data set that it should? Layout, files, counts and checksums against the manifest."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hemokit.checks import HemokitError
from hemokit.checksums import SUMS, compare_checksums, read_checksums, write_checksums
from hemokit.datasets import find_dataset, open_dataset
from hemokit.formats.whole_files import check_whole
from hemokit.labels import ANY, SUBTYPES
from hemokit.manifests import FOLDER, is_phantom, read_manifest
from hemokit.progress import progress_bar
from hemokit.tables import account

__all__ = ["Finding", "check_root", "verdict", "write_checksums"]
_WORDS = {True: "ok", False: "WRONG", None: "note"}
_REFUSED = "file is refused"  # the reader of RSNA goes on without a file that is not whole; for a check it is a fault
_UNLISTED = "are not in the list"
_FETCH = "Fetch the data set again, or only these files."


class Finding(NamedTuple):
    """One result: what was checked, what was expected and found, and what to do.

    `ok` is True, False, or None for what is no fault but should be known (a part of the data set).
    """

    check: str
    expected: str
    found: str
    ok: bool | None
    remedy: str = ""

    def __str__(self):
        expected = f" (expected {self.expected})" if self.ok is False and self.expected else ""
        return f"{_WORDS[self.ok]:5}  {self.check}: {self.found}{expected}{'. ' + self.remedy if self.remedy else ''}"


def check_root(root, name=None, *, checksums=None, progress=None, **options):
    """Check a folder against the manifest of its data set.

    Args:
        root: the folder, as for `open_dataset`.
        name: a key of `READERS`; None looks at the folder.
        checksums: a list of checksums to compare with. None takes SHA256SUMS.txt in the folder if there is
            one, and the list beside the manifest if there is one.
        progress: True or False; None shows bars for long work.
        **options: of the reader, as for `open_dataset`.

    Returns:
        list of `Finding`; the folder is good when none has `ok` False. Fewer patients or files than the
        complete data set has are a note (a part), more are a fault.

    Raises:
        HemokitError: no data set in the folder, or a list of checksums that cannot be read. What is wrong
            inside the data set is a finding.
    """
    name, inside = find_dataset(root, name)
    manifest = read_manifest(name)
    findings = [Finding("layout", "", f"{name} in {inside}", True)]
    phantom = is_phantom(inside)
    if phantom:
        findings.append(Finding("phantom", "", "synthetic: the counts of the real data set do not apply", None))
    findings += [_check_pattern(inside, pattern) for pattern in manifest.files]
    try:
        table = open_dataset(inside, name, **options)
    except HemokitError as error:
        findings.append(Finding("slice table", "a data set that can be read", str(error), False))
    else:
        findings += _check_table(table)
        findings.append(_check_images(table, inside, progress))
        if not phantom:
            findings += _check_counts(_table_counts(table, name), manifest.counts)
    if not phantom:
        findings += _check_counts({p: _count(inside, p) for p in manifest.file_counts}, manifest.file_counts)
    return [*findings, *_check_lists(Path(root), inside, checksums, "" if phantom else manifest.checksums, progress)]


def _check_pattern(root, pattern):
    found = _count(root, pattern)
    if found:
        return Finding(pattern, "", f"{found} there", True)
    return Finding(pattern, "at least one", "not there", False, _FETCH)


def _count(root, pattern):
    return sum(1 for path in root.glob(pattern) if not path.name.startswith("."))


def _check_table(table):
    """How many slices, and as notes all that was left out and said."""
    story = account(table)
    yield Finding("slice table", "", f"{story.rows_in} {story.unit} in, {story.rows_used} used", bool(story.rows_used))
    for drop in story.drops:
        damaged = _REFUSED in drop.reason
        found = f"{len(drop.ids)}: {drop.reason} ({', '.join(drop.ids[:3])})"
        yield Finding("left out", "", found, False if damaged else None, _FETCH if damaged else "")
    for note in story.notes:
        yield Finding("to know", "", note, None)


def _check_images(table, root, progress):
    """Every image file that the table names: is it whole, as far as its structure shows?"""
    columns = [column for column in table.columns if column.endswith("_path")]
    paths = sorted({path for column in columns for path in table[column].dropna()})
    looked_at = "headers and ends"
    if (table["dataset"] == "rsna").all():
        looked_at, faults = "headers and sizes, by the reader", []  # it leaves out, and tells, what is not whole
    elif (table["dataset"] == "hemokit_store").all():
        looked_at = "shards, which are there; their bytes are compared with their checksums"
        faults = ["" if Path(path).is_file() else f"{path} is not there" for path in paths]
    else:
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(_fault, paths)
            faults = list(progress_bar(found, total=len(paths), description="image files", progress=progress))
    broken = [(path, fault) for path, fault in zip(paths, faults, strict=False) if fault]
    if not broken:
        return Finding("image files", "", f"{len(paths):,} are whole ({looked_at})", True if paths else None)
    listed = ", ".join(str(Path(path).relative_to(root)) for path, _ in broken[:5]) + " ..." * (len(broken) > 5)
    found = f"{len(broken):,} of {len(paths):,} are damaged: {listed}. The first: {broken[0][1].rstrip('.')}"
    return Finding("image files", "", found, False, _FETCH)


def _fault(path):
    """What is wrong with an image file, in a sentence; "" for nothing."""
    try:
        check_whole(path)
    except HemokitError as error:
        return str(error)
    return ""


def verdict(findings):
    """The last line on what `check_root` found: how much is wrong, and what was not looked at."""
    wrong = sum(finding.ok is False for finding in findings)
    compared = [finding for finding in findings if finding.check.startswith("checksums in ")]
    unlisted = any(_UNLISTED in finding.found for finding in compared)
    if compared and not unlisted:
        rest = "Every file was compared with its checksum."
    else:
        which = (
            "images that no list of checksums names" if compared else "image files, as there is no list of checksums"
        )
        rest = f"Not looked at: the pixels inside {which}."
    return f"{f'{wrong} wrong.' if wrong else 'Nothing wrong was found.'} {rest}"


def _table_counts(table, name):
    positive = table[table[ANY] == 1]
    counts = {
        "patients": table["patient_id"].nunique(),
        "positive_patients": positive["patient_id"].nunique(),
        "slices": len(table),
        "positive_slices": len(positive),
        "masks": int(table["mask_path"].notna().sum()),
    }
    return counts | {label: int(table[label].sum()) for label in SUBTYPES}


def _check_counts(found, expected):
    """Compare counts with those of the complete data set; the first one tells whether this is a part of it."""
    first = next(iter(expected), None)
    part = first is not None and found[first] < expected[first]
    for what, number in expected.items():
        text = f"{found[what]:,} of {number:,}"
        if found[what] == number:
            yield Finding(what, f"{number:,}", text, True)
        elif found[what] > number:
            yield Finding(what, f"{number:,}", text, False, "Another version, or files of something else?")
        elif part:
            yield Finding(what, f"{number:,}", f"{text}: a part of the data set", None)
        else:
            yield Finding(what, f"{number:,}", text, False, _FETCH)


def _check_lists(root, inside, given, beside, progress):
    """Compare with the list that was given, or else with those that are there."""
    if given is not None:
        lists = [Path(given)]
    else:
        lists = [inside / SUMS] * (inside / SUMS).is_file() + [FOLDER / beside] * bool(beside)
    if not lists:
        found = "no list of checksums, so changed files cannot be found"
        yield Finding("checksums", "", found, None, "Write one while the files are known to be good.")
    for path in lists:
        sums = read_checksums(path)
        base = inside if any((inside / name).exists() for name in sums) else root
        yield from _check_list(path, base, compare_checksums(base, sums, progress=progress, kept_in=path))


def _check_list(path, base, compared):
    check = f"checksums in {path.name}"
    # The list beside the manifest is of the complete data set: a folder that is not there at all is a part that was
    # not fetched. A list that was made of this folder, or given for it, must be there whole.
    parts = path.parent == FOLDER
    lost = [name for name in compared.missing if not parts or (base / name).parent.is_dir()]
    yield Finding(check, "", f"{len(compared.equal)} files are as listed", True if compared.equal else None)
    for faults, words in ((compared.changed, "differ from the list"), (lost, "are missing")):
        if faults:
            examples = ", ".join(faults[:5]) + (" ..." if len(faults) > 5 else "")
            yield Finding(check, "none", f"{len(faults)} files {words}: {examples}", False, _FETCH)
    elsewhere = len(compared.missing) - len(lost)
    if elsewhere:
        yield Finding(check, "", f"{elsewhere} listed files are of folders that are not here", None)
    if compared.unlisted:
        yield Finding(check, "", f"{len(compared.unlisted)} files {_UNLISTED}, so they are not verified", None)
