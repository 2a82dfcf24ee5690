"""The command line: `hemokit doctor | phantom | data | run`.

Only names and texts stand here; each command imports what it needs when it runs, so that --help is quick.
Exit codes: 0 done; 1 done, and something is wrong (a finding, a failed lesson); 2 bad input; 130 Ctrl-C.
"""

import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

try:
    import typer

    from hemokit import __version__
    from hemokit.checks import HemokitError, problem
except KeyboardInterrupt:  # before main can hear it
    print("hemokit: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

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
    stop = _Stop()
    try:
        code = app(arguments, prog_name="hemokit", standalone_mode=False)
        sys.stdout.flush()
    except HemokitError as error:
        return stop.refuse() if stop.asked else _refuse(str(error))  # a reader may have stumbled over Ctrl-C
    except typer.TyperException as error:
        return _refuse(_sentence(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return stop.refuse()
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: nobody is left to tell, and Python must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return stop.refuse() if stop.asked else _refuse(_system_error(error))
    except _Interrupted as error:
        return stop.refuse(f"; {error}")
    except Exception:
        if not stop.asked:
            raise
        return stop.refuse()  # a library stumbled over Ctrl-C
    return stop.refuse() if code == 130 else code or 0  # 130 is what typer makes of Ctrl-C


class _Interrupted(Exception):
    """Ctrl-C, with what the command has to say to it; typer swallows the text of a KeyboardInterrupt."""


class _Stop:
    """Ctrl-C: a KeyboardInterrupt as always, and a mark that it was asked for, whatever a library makes of it."""

    def __init__(self):
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._hear)

    def _hear(self, *_):
        self.asked = True
        raise KeyboardInterrupt

    def refuse(self, said=""):
        """Say that the command was interrupted."""
        if self.asked:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is near: no second one in the midst of it
        return _refuse(f"interrupted{said}", 130)


def _system_error(error):
    """What the system says (no permission, a file where a folder should be, a full disk), as one sentence."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}, but expected a path that can be used. Check it, or choose another."


def _sentence(error):
    """What typer says of a wrong call; of a wrong command also which ones there are."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    if said.startswith("No such command") and context is not None:
        return f"{said} The commands are: {', '.join(context.command.list_commands(context))}."
    return said


def _refuse(sentence, code=2):
    print(f"hemokit: {sentence}", file=sys.stderr)
    return code


def _whole_number(low, high):
    """A parser of whole numbers from low to high, which says what came."""

    def parse(text):
        if not re.fullmatch(r"-?[0-9]{1,18}", str(text)) or not low <= int(text) <= high:
            raise typer.BadParameter(f"{text!r} came, but expected a whole number from {low} to {high}.")
        return int(text)

    return parse


def _path(text):
    """A parser of paths: an empty one, as an unset variable of the shell leaves it, is not the current folder."""
    if not str(text).strip():
        raise typer.BadParameter(f"{str(text)!r} came, but expected a path. The current folder is '.'")
    return Path(text)


SEED = {"parser": _whole_number(0, 2**32 - 1), "metavar": "N"}
FOLDER = {"parser": _path, "metavar": "FOLDER"}
FILE = {"parser": _path, "metavar": "FILE"}


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


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(**FOLDER, help="Folder to make; it must not exist yet, or be empty.")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="ct_ich_jpg, ct_ich_nifti, rsna or windowed_jpg.")
    ] = "ct_ich_jpg",
    patients: Annotated[
        int, typer.Option(parser=_whole_number(1, 900), metavar="N", help="How many patients, 1 to 900.")
    ] = 24,
    size: Annotated[
        int,
        typer.Option(parser=_whole_number(64, 1024), metavar="N", help="Height and width in pixels, 64 to 1024."),
    ] = 256,
    seed: Annotated[int, typer.Option(**SEED, help="Other seeds give other heads.")] = 0,
):
    """Write synthetic head CTs in a real data set's layout."""
    from hemokit.datasets.phantom import write_phantom

    write_phantom(out, layout=layout, num_patients=patients, image_size=size, seed=seed, progress=sys.stderr.isatty())
    print(f"Wrote {patients} synthetic patients ({layout}, {size}x{size}, seed {seed}) to {out}")


@data.command("list")
def list_data():
    """List the data sets that hemokit knows: license, size, and where they come from."""
    from hemokit.fetch import origin
    from hemokit.manifests import counts_in_words, manifest_names, read_manifest

    for name in manifest_names():
        manifest = read_manifest(name)
        print(f"{name}: {manifest.title}, version {manifest.version}")
        print(f"    {counts_in_words(manifest)}\n    license: {manifest.license}\n    from: {origin(manifest)}\n")


@data.command("check")
def check_data(
    root: Annotated[Path, typer.Argument(**FOLDER, help="Folder of the data set.")],
    checksums: Annotated[Path | None, typer.Option(**FILE, help="File of checksums to compare with.")] = None,
    write_checksums: Annotated[
        Path | None, typer.Option(**FILE, help="Write the folder's checksums to this new file.")
    ] = None,
):
    """Compare a folder with what is known of its data set: layout, counts, images, checksums.

    Each image file must be whole from header to end; damage in its pixels shows only by a checksum.
    Exit code 1 if something is wrong.
    """
    from hemokit import integrity

    if write_checksums is not None:
        sums = integrity.write_checksums(root, write_checksums)
        print(f"Wrote {len(sums)} checksums to {write_checksums}")
    findings = integrity.check_root(root, checksums=checksums)
    for finding in findings:
        print(finding)
    print(integrity.verdict(findings))
    return int(any(finding.ok is False for finding in findings))


@data.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name from `hemokit data list`.")],
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder to make.")],
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
        raise _Interrupted(sentence) from None


if __name__ == "__main__":
    sys.exit(main())
