"""`hemokit doctor | phantom | run`: the machine, synthetic data, the lessons."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import counted
from hemokit.cli.interrupts import Interrupted
from hemokit.cli.options import FOLDER, SEED, whole_number


def doctor(
    roots: Annotated[
        list[Path] | None, typer.Option("--data", **FOLDER, help="A data folder to look at too; repeatable.")
    ] = None,
):
    """Is this machine ready? Each line is ok, or says what repairs it.

    Looks at Python, packages, memory, disk, GPU, Keras backend, Jupyter kernel and data folders.
    Exit code 1 if something needs repair.
    """
    from hemokit.doctor import check_all

    broken = 0
    for finding in check_all(roots or []):
        print(f"{'fix' if finding.fix else 'ok ':<4} {finding.name}: {finding.found}", flush=True)
        if finding.fix:
            broken += 1
            print(f"       to do: {finding.fix}", flush=True)
    print(f"{broken} to repair." if broken else "All well.")
    return int(broken > 0)


def phantom(
    out: Annotated[Path, typer.Argument(**FOLDER, help="Folder to make; it must not exist yet, or be empty.")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="ct_ich_jpg, ct_ich_nifti, rsna or windowed_jpg.")
    ] = "ct_ich_jpg",
    patients: Annotated[
        int, typer.Option(parser=whole_number(1, 900), metavar="N", help="How many patients, 1 to 900.")
    ] = 24,
    size: Annotated[
        int,
        typer.Option(parser=whole_number(64, 1024), metavar="N", help="Height and width in pixels, 64 to 1024."),
    ] = 256,
    seed: Annotated[int, typer.Option(**SEED, help="Other seeds give other heads.")] = 0,
):
    """Write synthetic head CTs in a real data set's layout."""
    from hemokit.datasets.phantom import write_phantom

    write_phantom(out, layout=layout, num_patients=patients, image_size=size, seed=seed, progress=sys.stderr.isatty())
    print(f"Wrote {counted(patients, 'synthetic patient')} ({layout}, {size}x{size}, seed {seed}) to {out}")


def run(
    numbers: Annotated[list[str] | None, typer.Argument(metavar="NN", help="Numbers of lessons; all if none.")] = None,
    root: Annotated[Path | None, typer.Option("--data", **FOLDER, help="Real data; else the phantom.")] = None,
    profile: Annotated[str, typer.Option(metavar="NAME", help="quick (about a minute a lesson) or paper.")] = "quick",
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder for the pages.")] = Path("hemokit_run"),
    seed: Annotated[int, typer.Option(**SEED, help="Seed of all that is random.")] = 0,
    notebooks: Annotated[
        Path | None, typer.Option(**FOLDER, help="Folder of other notebooks, such as the solutions.")
    ] = None,
):
    """Run lessons in order and write their pages.

    Writes the executed notebooks, a page each and index.html. Exit code 1 if a lesson failed.
    """
    try:
        from hemokit.course.terminal import run_course

        return run_course(numbers or [], root=root, profile=profile, out=out, seed=seed, notebooks=notebooks)
    except KeyboardInterrupt:
        sentence = f"the pages of finished lessons are in {out}; run the same command again"
        raise Interrupted(sentence) from None
