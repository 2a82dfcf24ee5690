"""The promises about damaged files: refused with one HemokitError that names the file, quickly, in little memory.

Figures: every class of damage in `malformed.MALFORMED`; the long runs carry the mark `promises`.
"""

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from malformed import GOOD, MALFORMED, READ, write

from hemokit.checks import HemokitError

FILES = 2  # per class of damage; the marked run takes 20


def peak_mb():
    """Peak resident memory since the last reset, in MB; the peak starts anew at every call (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) / 1024


def refusal(read, path, **options):
    """(message, seconds, MB more at the peak) of a read that must fail with HemokitError and nothing else."""
    peak_mb()
    before, start = peak_mb(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(HemokitError, match="expected") as caught:
            read(path, **options)
    return str(caught.value), time.perf_counter() - start, peak_mb() - before


def check_class(name, folder, files):
    kind, make, options = MALFORMED[name]
    for seed in range(files):
        path = write(folder, kind, make(np.random.default_rng(seed)), f"file{seed}")
        message, seconds, megabytes = refusal(READ[kind], path, **options)
        assert str(path) in message, f"{name}: the file is not named in {message!r}"
        assert seconds <= 2 and megabytes <= 512, f"{name}: {seconds:.1f} s, {megabytes:.0f} MB"


def test_the_good_files_are_read(tmp_path):
    """The files that the damage starts from are read without an error."""
    for kind, make in GOOD.items():
        for seed in range(4):
            READ[kind](write(tmp_path, kind, make(np.random.default_rng(seed))))


def test_there_are_at_least_60_classes():
    """The promise I1 counts at least 60 classes of damage."""
    assert len(MALFORMED) >= 60


@pytest.mark.parametrize("name", MALFORMED)
def test_damage_is_refused(name, tmp_path):
    """Each class of damage gives a HemokitError with the file's name, within 2 s and 512 MB (promise I1)."""
    check_class(name, tmp_path, FILES)


@pytest.mark.promises
@pytest.mark.parametrize("name", MALFORMED)
def test_damage_is_refused_in_20_files(name, tmp_path):
    """The same with 20 files a class (promise I1 at full size)."""
    check_class(name, tmp_path, 20)
