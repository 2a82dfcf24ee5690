"""What the benchmarks share: a clock, a child process with its peak memory, and the table."""

import json
import os
import platform
import resource
import subprocess
import sys
import time

from hemokit.processes import cores


def seconds(function, *args, repeats=3):
    """Return (median seconds, result) of `repeats` calls; the result is that of the last call."""
    times, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function(*args)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2], result


def in_child(script, *args, time_box=None, threads=1):
    """Run a benchmark's own function in a fresh process and return its JSON answer with `peak_mb` added.

    With a `time_box`, in seconds of a core, the answer is None if the process needs more, or does not get its memory.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    how = {"env": environment, "stdout": subprocess.PIPE, "text": True, "check": True}
    if time_box is not None:
        how["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(time_box), int(time_box)))
    try:
        done = subprocess.run([sys.executable, script, *args], **how)
    except subprocess.CalledProcessError:
        if time_box is None:
            raise
        return None
    return json.loads(done.stdout.splitlines()[-1])


def answer(**figures):
    """Print the child's figures as JSON, with the peak memory of the process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = 1024**2 if sys.platform == "darwin" else 1024
    print(json.dumps({**figures, "peak_mb": peak / scale}))


def report(title, rows, note):
    """Print one benchmark as a Markdown table; `rows` are dicts with the same keys."""
    print(f"\n## {title}\n")
    keys = list(rows[0])
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for row in rows:
        cells = [f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()]
        print("| " + " | ".join(cells) + " |")
    print(f"\n{note} ({platform.machine()}, {cores()} cores, Python {platform.python_version()})", flush=True)
