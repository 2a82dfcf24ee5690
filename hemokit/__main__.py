"""The command line: `hemokit doctor | phantom | data | run`.

Only names and texts stand here; each command imports what it needs when it runs, so that --help is quick.
Exit codes: 0 done; 1 done, and something is wrong (a finding, a failed lesson); 2 bad input; 130 Ctrl-C.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hemokit import __version__
from hemokit.checks import HemokitError, problem

PLAIN = {
    "add_completion": False,
    "invoke_without_command": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}
app = typer.Typer(**PLAIN)
data = typer.Typer(**PLAIN)
app.add_typer(data, name="data")


def main(arguments=None):
    """Run the command line and return its exit code; an error of the user's is one sentence, never a traceback."""
    try:
        code = app(arguments, prog_name="hemokit", standalone_mode=False)
        sys.stdout.flush()
    except HemokitError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: nobody is left to tell, and Python must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code or 0


def _refuse(sentence, code=2):
    print(f"hemokit: {sentence}", file=sys.stderr)
    return code


def _show_version(wanted: bool):
    if wanted:
        print(f"hemokit {__version__}")
        raise typer.Exit


@app.callback()
def hemokit(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
):
    """Deep learning on head CT, hands-on. For education only; not a medical device."""
    _help_without_command(context)


@data.callback()
def data_sets(context: typer.Context):
    """Data sets: list what is known, check a folder, fetch one."""
    _help_without_command(context)


def _help_without_command(context):
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def doctor(
    roots: Annotated[
        list[Path] | None, typer.Option("--data", help="A data folder to look at too; repeatable.")
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
            print(f"       run: {finding.fix}", flush=True)
    print(f"{broken} to repair." if broken else "All well.")
    return int(broken > 0)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make; it must not exist yet, or be empty.")],
    layout: Annotated[str, typer.Option(help="ct_ich_jpg, ct_ich_nifti, rsna or windowed_jpg.")] = "ct_ich_jpg",
    patients: Annotated[int, typer.Option(help="How many patients.")] = 24,
    size: Annotated[int, typer.Option(help="Height and width of a slice in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="Other seeds give other heads.")] = 0,
):
    """Write synthetic head CTs in a real data set's layout."""
    from hemokit.datasets.phantom import write_phantom

    write_phantom(out, layout=layout, num_patients=patients, image_size=size, seed=seed, progress=sys.stderr.isatty())
    print(f"Wrote {patients} synthetic patients ({layout}, {size}x{size}, seed {seed}) to {out}")


@data.command("list")
def list_data():
    """List the data sets that hemokit knows: license, size, and where they come from."""
    from hemokit.fetch import origin
    from hemokit.manifests import manifest_names, read_manifest

    for name in manifest_names():
        manifest = read_manifest(name)
        counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in manifest.counts.items())
        print(f"{name}: {manifest.title}, version {manifest.version}")
        print(f"    {counts}\n    license: {manifest.license}\n    from: {origin(manifest)}\n")


@data.command("check")
def check_data(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    checksums: Annotated[Path | None, typer.Option(help="File of checksums to compare with.")] = None,
    write_checksums: Annotated[Path | None, typer.Option(help="Write the folder's checksums to this new file.")] = None,
):
    """Compare a folder with what is known of its data set: layout, counts, checksums.

    Exit code 1 if something is wrong.
    """
    from hemokit import integrity

    if write_checksums is not None:
        sums = integrity.write_checksums(root, write_checksums)
        print(f"Wrote {len(sums)} checksums to {write_checksums}")
    findings = integrity.check_root(root, checksums=checksums)
    for finding in findings:
        print(finding)
    wrong = sum(finding.ok is False for finding in findings)
    print(f"{wrong} wrong." if wrong else "Nothing wrong was found.")
    return int(wrong > 0)


@data.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="Name from `hemokit data list`.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    accept: Annotated[bool, typer.Option("--accept", help="Accept the license and terms without being asked.")] = False,
):
    """Show a data set's terms, then download it.

    Run it again to go on after an interruption."""
    from hemokit import fetch
    from hemokit.manifests import read_manifest

    manifest = read_manifest(name)
    print(fetch.terms(manifest), flush=True)
    if not accept:
        if not sys.stdin.isatty():
            raise problem(
                "the terms were not accepted", "--accept where nobody can be asked", "Read them; add --accept."
            )
        if not typer.confirm("Do you accept these terms?"):
            print("Nothing was fetched.")
            return 1
    found = fetch.fetch(manifest, out)
    print(f"The data are in {found}. Check them with: hemokit data check {found}")


@app.command()
def run(
    numbers: Annotated[list[str] | None, typer.Argument(metavar="[NN ...]", help="Lessons; all if none.")] = None,
    root: Annotated[Path | None, typer.Option("--data", help="Folder of real data; else the phantom.")] = None,
    profile: Annotated[str, typer.Option(help="quick (about a minute a lesson) or paper.")] = "quick",
    out: Annotated[Path, typer.Option(help="Folder for the pages.")] = Path("hemokit_run"),
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    notebooks: Annotated[Path | None, typer.Option(help="Folder of other notebooks, such as the solutions.")] = None,
):
    """Run lessons in order and write their pages.

    Writes the executed notebooks, a page each and index.html. Exit code 1 if a lesson failed.
    """
    from hemokit.course.terminal import run_course

    return run_course(numbers or [], root=root, profile=profile, out=out, seed=seed, notebooks=notebooks)


if __name__ == "__main__":
    sys.exit(main())
