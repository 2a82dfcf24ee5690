"""Run every benchmark, one after another, and keep what they print in build/benchmarks.md."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main():
    """Run the benchmarks named on the command line (or all); print and write their tables."""
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("bench_*.py"))
    target = HERE.parent / "build" / "benchmarks.md"
    target.parent.mkdir(exist_ok=True)
    parts = ["# Benchmarks\n"]
    for name in names:
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True, check=True, env=environment
        )
        print(done.stdout, flush=True)
        parts.append(done.stdout)
    target.write_text("".join(parts), encoding="utf-8")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
