"""Running the lessons: find the notebooks, execute them in order, write what they show.

A lesson that fails is reported and the others go on. The kernel is the Python that runs hemokit, whatever
kernels are registered on the machine, so a lesson never runs in another environment by accident.
"""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from hemokit.checks import problem
from hemokit.course.kernels import SilentKernel, execute
from hemokit.course.pages import without_chatter, write_index, write_lesson_page
from hemokit.files import write_whole

PROFILES = ("quick", "paper")
QUICK_SILENCE = 600  # seconds; a kernel of the quick profile that says nothing for longer hangs
GOES_ON = "; run the same command again: the training goes on after its last finished epoch"


class Lesson(NamedTuple):
    """One learner notebook: its two-digit number, file name without suffix, title and path."""

    number: str
    slug: str
    title: str
    path: Path


class Outcome(NamedTuple):
    """What came of one lesson: `failure` is empty, or says which cell failed and how; `cell` is its number, from 1."""

    lesson: Lesson
    seconds: float
    failure: str
    cell: int = 0


def lessons_folder():
    """The folder of the learner notebooks: in a checkout notebooks/, in an installed package inside it."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "notebooks"
    return beside if (package.parent / "pyproject.toml").is_file() else package / "notebooks"


def find_lessons(folder=None):
    """List the lessons NN_slug.ipynb of `folder` (default: the course's own), in order of their numbers.

    Returns:
        list of Lesson.

    Raises:
        HemokitError: there is no such folder, or no lesson in it.
    """
    import nbformat

    folder = Path(folder) if folder is not None else lessons_folder()
    paths = sorted(path for path in folder.glob("*.ipynb") if re.match(r"\d\d_", path.name))
    if not paths:
        raise problem(
            f"the folder {str(folder)!r} holds no lessons",
            "notebooks named like 01_hounsfield_and_windows.ipynb",
            "In a clone, build them with: make notebooks.",
        )
    return [Lesson(path.name[:2], path.stem, _title(nbformat.read(path, as_version=4), path), path) for path in paths]


def choose_lessons(lessons, numbers):
    """Return the lessons with these numbers ("1" is "01"), in the course's order; all for no numbers.

    Raises:
        HemokitError: a number that no lesson has.
    """
    known = [lesson.number for lesson in lessons]
    wanted = [number.zfill(2) for number in numbers]
    for number, given in zip(wanted, numbers, strict=True):
        if number not in known:
            raise problem(f"there is no lesson {given!r}", f"one of {', '.join(known)}", "Choose from these.")
    return [lesson for lesson in lessons if not wanted or lesson.number in wanted]


def with_parameters(notebook, parameters):
    """Set parameters in a notebook, as papermill does.

    Args:
        notebook: nbformat notebook with a cell tagged "parameters"; it is changed.
        parameters: dict of name -> value (anything whose repr is Python).

    Returns:
        the notebook, with a cell of assignments, tagged "injected-parameters", after the tagged one.

    Raises:
        HemokitError: no cell has the tag.
    """
    import nbformat

    tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        raise problem(
            "a notebook has no cell tagged 'parameters'", "one such cell", "Tag the cell that sets DATA and PROFILE."
        )
    lines = "\n".join(["# set by hemokit run", *(f"{name} = {value!r}" for name, value in parameters.items())])
    cell = nbformat.v4.new_code_cell(lines, id="injected-parameters", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(tagged[0] + 1, cell)
    return notebook


def run_lessons(lessons, out, parameters, *, summary, silence=None, on_start=None, on_cell=None, on_end=None):
    """Execute lessons in order; write each one's notebook and page, and the index, to `out`.

    Args:
        lessons: list of Lesson.
        out: folder, made if missing; pages of the same names are replaced.
        parameters: dict of what to set in the cells tagged "parameters".
        summary: one line on profile, data and seed for the pages.
        silence: as `run_lesson`.
        on_start, on_end: functions that are given each Lesson before and each Outcome after its run.
        on_cell: as `run_lesson`.

    Returns:
        list of Outcome.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for lesson in lessons:
        if on_start is not None:
            on_start(lesson)
        outcome, notebook = run_lesson(lesson, out, parameters, silence=silence, on_cell=on_cell)
        outcomes.append(outcome)
        write_lesson_page(out / f"{lesson.slug}.html", notebook, outcome, summary)
        write_index(out / "index.html", outcomes, summary)  # each time: a run that is stopped has its pages
        if on_end is not None:
            on_end(outcome)
    return outcomes


def run_lesson(lesson, out, parameters, *, silence=None, on_cell=None):
    """Execute one lesson in a fresh kernel and write the executed notebook to `out`, failed or not.

    Args:
        lesson: a Lesson.
        out: folder that exists; the kernel works in it.
        parameters: dict of what to set in the cell tagged "parameters".
        silence: seconds for which the kernel may say nothing before it is ended; None for any time.
        on_cell: function (number of cells done, number of cells) for a progress bar.

    Returns:
        (Outcome, executed notebook).
    """
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = with_parameters(nbformat.read(lesson.path, as_version=4), parameters)
    begun = [0]  # numbers of the code cells that were begun, from 1 as seen on the page
    client = _client(notebook, out, on_cell, lambda cell_index, **_: begun.append(cell_index + 1))
    started = time.monotonic()
    try:
        # The kernel finds the hemokit that runs it, installed or not. What a cell prints goes to the notebook; what
        # the kernel itself says (a warning at its start, a traceback when Ctrl-C ends it) is for nobody.
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": _python_path()}
        execute(client, silence=silence, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        failure = ""
    except CellExecutionError as error:
        failure = f"cell {begun[-1]} raised {error.ename}: {_last_line(error.evalue)}"
    except SilentKernel:
        failure = f"cell {begun[-1]} showed nothing new for {silence} s and was stopped{_resumption(notebook)}"
    except DeadKernelError:
        failure = f"the kernel died in cell {begun[-1]}; most often memory ran out{_resumption(notebook)}"
    except RuntimeError as error:  # nbclient says no more than this when the kernel never answers
        failure = f"the kernel did not start ({_last_line(error)}); try: hemokit doctor"
    notebook = without_chatter(notebook)
    with write_whole(Path(out) / f"{lesson.slug}.ipynb") as stream:
        nbformat.write(notebook, stream)
    return Outcome(lesson, time.monotonic() - started, failure, begun[-1] if failure else 0), notebook


def kernel_adds():
    """Start a kernel as `run_lesson` does and have it compute 1 + 1: True when it says 2."""
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    execute(_client(notebook, "."), silence=30, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return notebook.cells[0].outputs[0].data["text/plain"] == "2"


def _client(notebook, out, on_cell=None, on_begin=None):
    """The nbclient that runs `notebook` in `out`, with this interpreter as its kernel."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    class ThisPython(AsyncKernelManager):
        def _kernel_spec_manager_default(self):
            return KernelSpecManager(kernel_dirs=[])  # no folders to search: only ipykernel of this interpreter

    def executed(cell_index, **_):
        if on_cell is not None:
            on_cell(cell_index + 1, len(notebook.cells))

    return NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        coalesce_streams=True,  # a progress bar leaves its last line, not every one
        resources={"metadata": {"path": str(out)}},
        on_cell_execute=on_begin,
        on_cell_complete=executed,
    )


def _resumption(notebook):
    """What to say of a lesson that trains: its run is kept, epoch by epoch."""
    return GOES_ON if any("run_dir=" in cell.source for cell in notebook.cells if cell.cell_type == "code") else ""


def _python_path():
    here = str(Path(__file__).resolve().parent.parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))


def _title(notebook, path):
    """The notebook's first heading, else its file name."""
    for cell in notebook.cells:
        found = re.search(r"^#+ +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    return path.stem


def _last_line(text):
    lines = [line for line in str(text).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "(no message)"
