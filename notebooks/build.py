"""Build the learner's notebooks from notebooks/sources, and the solution notebooks on request.

python notebooks/build.py                    write notebooks/NN_slug.ipynb
python notebooks/build.py --check            say which of them are out of date, and exit with 1
python notebooks/build.py --solutions DIR    write DIR/NN_slug.ipynb with the solutions in
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import jupytext
import nbformat

from hemokit.files import write_whole

HERE = Path(__file__).parent
AS_IT_WAS = "# What learners are given to repair; the next cell is the solution."


def sources():
    """Paths of the sources of all lessons, in order."""
    return sorted((HERE / "sources").glob("[0-9][0-9]_*.py"))


def learner(source):
    """The learner's notebook of one source: stubs in, solutions out, hints switched off."""
    cells = [cell for cell in _cells(source) if "solution" not in _tags(cell)]
    for cell in cells:
        if "hint" in _tags(cell):
            cell.source = "".join(f"# {line}\n" for line in cell.source.splitlines()).rstrip("\n")
    return _notebook(cells, source)


def solved(source):
    """The instructor's notebook of one source: solutions in, hints out, of the stubs only code to be repaired."""
    cells = [cell for cell in _cells(source) if "hint" not in _tags(cell)]
    for cell in cells:
        if "broken" in _tags(cell):
            cell.source = f"{AS_IT_WAS}\n{_until_check(cell.source)}"
    return _notebook([cell for cell in cells if "task" not in _tags(cell) or "broken" in _tags(cell)], source)


def notebook_text(notebook):
    """The notebook as the text of an .ipynb file, the same to the byte at every build."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _tags(cell):
    return set(cell.metadata.get("tags", []))


def _cells(source):
    cells = jupytext.read(source).cells
    for cell in cells:
        _move_alt_text(cell)
    return cells


def _until_check(source):
    """The lines of a task cell before its check: broken code, and what it prints."""
    lines = source.splitlines()
    end = next((n for n, line in enumerate(lines) if "check.q" in line), len(lines))
    return "\n".join(lines[:end]).rstrip()


def _move_alt_text(cell):
    """Take the lines "# alt: ..." from the top of a figure cell into its metadata, where learners do not see them."""
    lines = cell.source.splitlines()
    count = next((n for n, line in enumerate(lines) if not line.startswith("# alt:")), len(lines))
    if cell.cell_type == "code" and count:
        cell.metadata["alt"] = " ".join(line.removeprefix("# alt:").strip() for line in lines[:count])
        cell.source = "\n".join(lines[count:])


def _notebook(cells, source):
    seen = {}
    for cell in cells:
        # An id from the content: other cells keep theirs when one is changed, so that diffs stay small.
        number = seen[cell.source] = seen.get(cell.source, 0) + 1
        cell["id"] = hashlib.sha256(f"{Path(source).stem}\n{number}\n{cell.source}".encode()).hexdigest()[:12]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    nbformat.validate(notebook)
    return notebook


def _write(folder, build):
    for source in sources():
        with write_whole(folder / f"{source.stem}.ipynb") as stream:
            stream.write(notebook_text(build(source)))
        print(f"wrote {folder / source.stem}.ipynb")


def stale():
    """Names of learner's notebooks that differ from what their source gives, or that have no source."""
    wanted = {f"{source.stem}.ipynb": notebook_text(learner(source)) for source in sources()}
    there = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.ipynb")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main():
    """Read the command line; the module's docstring has the three forms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when a notebook is out of date"
    )
    parser.add_argument("--solutions", type=Path, metavar="DIR", help="write the solution notebooks there")
    options = parser.parse_args()
    if options.solutions:
        _write(options.solutions, solved)
    elif not options.check:
        _write(HERE, learner)
    elif stale():
        sys.exit(f"out of date: {', '.join(stale())}. Run: make notebooks")


if __name__ == "__main__":
    main()
