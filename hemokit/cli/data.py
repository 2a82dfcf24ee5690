"""`hemokit data list | check | fetch | prepare`: data sets that are known, a folder, a download, a store."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import counted, problem
from hemokit.cli.options import FILE, FOLDER, PLAIN, help_without_command, whole_number

app = typer.Typer(**PLAIN)


@app.callback()
def data_sets(context: typer.Context):
    """Data sets: list what is known, check a folder, fetch one, prepare DICOM files."""
    help_without_command(context)


@app.command("list")
def list_data():
    """List the data sets that hemokit knows: license, size, and where they come from."""
    from hemokit.fetch import origin
    from hemokit.manifests import counts_in_words, manifest_names, read_manifest

    for name in manifest_names():
        manifest = read_manifest(name)
        print(f"{name}: {manifest.title}, version {manifest.version}")
        print(f"    {counts_in_words(manifest)}\n    license: {manifest.license}\n    from: {origin(manifest)}\n")


@app.command("check")
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
        print(f"Wrote {counted(len(sums), 'checksum')} to {write_checksums}")
    findings = integrity.check_root(root, checksums=checksums)
    for finding in findings:
        print(finding)
    print(integrity.verdict(findings))
    return int(any(finding.ok is False for finding in findings))


@app.command("fetch")
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


@app.command("prepare")
def prepare_data(
    root: Annotated[Path, typer.Argument(**FOLDER, help="Folder of DICOM files, laid out as RSNA 2019.")],
    out: Annotated[Path, typer.Option(**FOLDER, help="Folder of the store to make, or to go on with.")],
    workers: Annotated[
        int | None, typer.Option(parser=whole_number(1, 1024), metavar="N", help="Processes.", show_default="all cores")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on this Dask cluster (tcp://...).", show_default=False)
    ] = None,
):
    """Decode DICOM files once: sorted by patient and scan, without loss, fast to read.

    Run it again to go on after an interruption. What is left out stands in left_out.csv, with the reason."""
    from hemokit.prepare import prepare_store
    from hemokit.tables import account

    table = prepare_store(root, out, workers=workers, dask=dask)
    print(account(table))
    scans, patients = table["scan_id"].nunique(), table["patient_id"].nunique()
    size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    counts = f"{counted(len(table), 'slice')} of {counted(scans, 'scan')} of {counted(patients, 'patient')}"
    print(f"{counts} in {out}, {size / 1e6:,.0f} MB. Not a medical device.")
