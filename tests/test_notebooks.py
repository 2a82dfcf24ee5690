"""Tests of the lessons: their form, that the committed notebooks are current, and (`-m lessons`) that they run."""

import ast
import contextlib
import importlib.util
import inspect
import logging
import os
import re
import statistics
import threading
import time
from pathlib import Path

import nbclient
import nbformat
import psutil
import pytest

from hemokit import check
from hemokit.course.lessons import with_parameters
from hemokit.datasets.phantom import write_phantom

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
spec = importlib.util.spec_from_file_location("build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

SOURCES = {source.stem: source for source in build.sources()}
EVERY = pytest.mark.parametrize("slug", SOURCES)
DRAWS = re.compile(
    r"\b(show_slice|montage|confusion_heatmap|curves|imshow|subplots|plt\.\w+)\(|\.(plot|hist|bar|barh|scatter)\("
    r"|\b(prediction_panels|(pr|roc)_curve|\w+_curves|area_scatter|(calibration|interval)_plot|plots\.(?!window_title)\w+)\("
)
SHOWS_CT = re.compile(r"\b(show_slice|montage|prediction_panels|show_heatmap|gradcam_panels|look_at_scan)\(|cmap=.gray")
# On 2 cores. 06, 07, 08 and 11 train, 12 makes runs; 06 was seen at 252 s of processor with other tests beside it.
SECONDS = {"06_transfer_classifiers": 300, "07_unet_segmentation": 250}
SECONDS |= {"08_losses_and_backbones": 300, "11_where_the_model_looks": 300, "12_honest_evaluation": 120}
SECONDS |= {"09_unetpp_patches_and_3d": 250, "10_scan_sequence": 300}
SECONDS |= {"13_deploy": 300}
SECONDS_OF_OTHERS = 75


def cells_of(slug, kind=None, build_one=build.learner):
    return [cell for cell in build_one(SOURCES[slug]).cells if kind in (None, cell.cell_type)]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def code_lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def exercises_of(slug):
    return [name for name in check.exercises() if name.startswith(f"q{slug[:2]}_")]


def test_notebooks_are_current():
    """The committed notebooks are what the sources give."""
    assert build.stale() == [], "run make notebooks"


def test_building_twice_gives_the_same_bytes():
    """Cell ids and metadata do not change from one build to the next."""
    for source in SOURCES.values():
        assert build.notebook_text(build.learner(source)) == build.notebook_text(build.learner(source))


def test_a_changed_cell_changes_its_own_id_alone(tmp_path):
    """Ids come from the content, so that a diff shows what was changed."""
    before, after = tmp_path / "00_a.py", tmp_path / "b" / "00_a.py"
    after.parent.mkdir()
    before.write_text("# %%\nx = 1\n\n# %%\ny = 2\n\n# %%\ny = 2\n")
    after.write_text("# %%\nx = 7\n\n# %%\ny = 2\n\n# %%\ny = 2\n")
    one, two = ([cell["id"] for cell in build.learner(path).cells] for path in (before, after))
    assert len(set(one)) == 3 and one[0] != two[0] and one[1:] == two[1:]


def test_learner_and_solution_notebooks_differ_as_they_should(tmp_path):
    """Learners get stubs and hints switched off; instructors get solutions; alternative texts move to the metadata."""
    source = tmp_path / "00_a.py"
    source.write_text(
        '# %% tags=["task"]\nx = ...\n\n# %% tags=["hint"]\ncheck.q00_1.hint()\n\n'
        '# %% tags=["solution"]\nx = 1\n\n# %%\n# alt: A line\n# alt: that rises.\nplot(x)\n'
    )
    learner, solved = build.learner(source).cells, build.solved(source).cells
    assert [cell.source for cell in learner] == ["x = ...", "# check.q00_1.hint()", "plot(x)"]
    assert [cell.source for cell in solved] == ["x = 1", "plot(x)"]
    assert learner[-1].metadata["alt"] == "A line that rises."


@EVERY
def test_solution_notebook_shows_what_was_broken(slug):
    """The code to be repaired and what it prints, up to its check; then the solution. Other stubs are left out."""
    cells = cells_of(slug, "code", build.solved)
    broken = [place for place, cell in enumerate(cells) if "task" in tags(cell)]
    assert all("broken" in tags(cells[place]) and "solution" in tags(cells[place + 1]) for place in broken)
    tasks = [cell for cell in cells_of(slug, "code") if "broken" in tags(cell)]
    for place, task in zip(broken, tasks, strict=True):
        shown, after = cells[place].source.removeprefix(build.AS_IT_WAS + "\n"), task.source
        assert after.startswith(shown) and shown.startswith("def ") and "check." not in shown
        assert "check.q" in after.removeprefix(shown).lstrip().splitlines()[0]


def test_builder_writes_solutions_and_says_what_is_stale(tmp_path, monkeypatch):
    """--solutions writes every solution notebook; --check names what is out of date and ends with an error."""
    monkeypatch.setattr("sys.argv", ["build.py", "--solutions", str(tmp_path / "solutions")])
    build.main()
    assert sorted(path.stem for path in (tmp_path / "solutions").iterdir()) == list(SOURCES)
    monkeypatch.setattr("sys.argv", ["build.py", "--check"])
    monkeypatch.setattr(build, "stale", lambda: ["07_lesson.ipynb"])
    with pytest.raises(SystemExit, match="out of date: 07_lesson.ipynb. Run: make notebooks"):
        build.main()


@EVERY
def test_size_and_rhythm(slug):
    """35-60 cells, about half prose; the median code cell has 4-6 lines, none over 25; no more than 3 in a row."""
    cells, code = cells_of(slug), cells_of(slug, "code")
    sizes = [len(code_lines(cell)) for cell in code if "hint" not in tags(cell)]
    runs = re.findall("c+", "".join(cell.cell_type[0] for cell in cells))
    assert 35 <= len(cells) <= 60
    assert 0.4 <= 1 - len(code) / len(cells) <= 0.6
    assert 4 <= statistics.median(sizes) <= 6, sorted(sizes)
    assert max(sizes) <= 25
    assert max(map(len, runs)) <= 3


@EVERY
def test_text_fits_its_page(slug):
    """Code is at most 98 wide, as the page is; there is no TeX, which a page without network cannot set."""
    for cell in cells_of(slug):
        if cell.cell_type == "code":
            assert [line for line in cell.source.splitlines() if len(line) > 98] == []
        else:
            assert "$" not in cell.source


@EVERY
def test_at_most_two_functions(slug):
    """What is the lesson stays in the notebook; at most two functions are defined there."""
    trees = [ast.parse(cell.source) for cell in cells_of(slug, "code")]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(functions) <= 2, [function.name for function in functions]


@EVERY
def test_opening_and_closing_box(slug):
    """The first cell is the title and a box with goal, time, data, hardware; the last one a box that looks back."""
    cells = cells_of(slug)
    first, last = cells[0].source, cells[-1].source
    assert first.startswith(f"# {slug[:2]} ")
    for word in ("**Goal**", "**You need**", "**Time**", "**Data**", "**Hardware**"):
        assert word in first and f"> {word}" in first
    assert re.search(r"\d+ minutes? to read", first) and re.search(r"\d+ (seconds|minutes?) to run", first)
    for word in ("**Take away**", "**What can go wrong in the clinic**", "**Next**"):
        assert f"> {word}" in last


@EVERY
def test_setup_and_parameters(slug):
    """The first code cell is the same everywhere and alone installs; one cell holds DATA, PROFILE and SEED."""
    code = cells_of(slug, "code")
    assert code[0].source == cells_of(next(iter(SOURCES)), "code")[0].source
    assert not [cell.source for cell in code[1:] if re.search(r"\bpip\b", cell.source)]
    parameters = [cell for cell in code if "parameters" in tags(cell)]
    assert len(parameters) == 1
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(parameters[0].source).body}
    assert values == {"DATA": None, "PROFILE": "quick", "SEED": 0}


@EVERY
def test_exercises(slug):
    """2-4 exercises, one of them a broken pipeline; each a task, a hint and a solution, in this order."""
    every = cells_of(slug, "code", lambda source: build._notebook(build._cells(source), source))
    names = exercises_of(slug)
    kinds = [(kind, cell) for cell in every for kind in ("task", "hint", "solution") if kind in tags(cell)]
    assert 2 <= len(names) <= 4
    assert [kind for kind, _ in kinds] == ["task", "hint", "solution"] * len(names)
    assert [name for name in names for _ in range(3)] == [
        re.search(r"check\.(q\d\d_\d)", cell.source)[1] for _, cell in kinds
    ]
    assert sum("broken" in tags(cell) for cell in every) >= 1
    for name, (_, cell) in zip(names, kinds[2::3], strict=True):
        assert check.solution_code(check.exercises()[name]) in cell.source, f"{name}: .solution() and the cell differ"


@EVERY
def test_broken_pipelines_are_known_untouched(slug):
    """The broken function that a learner sees is the one that counts as not attempted."""
    for cell in cells_of(slug, "code"):
        if "broken" in tags(cell):
            stub = check.exercises()[re.search(r"check\.(q\d\d_\d)", cell.source)[1]].stub
            shown, known = (ast.parse(text).body[0] for text in (cell.source, inspect.getsource(stub)))
            assert ast.dump(shown.args) == ast.dump(known.args)
            assert list(map(ast.dump, shown.body)) == list(map(ast.dump, known.body))


@EVERY
def test_figures(slug):
    """4-6 figures; each has an alternative text and a title, CT states its window, charts name both axes."""
    code = cells_of(slug, "code")
    figures = [cell for cell in code if "alt" in cell.metadata]
    assert [cell.source for cell in code if DRAWS.search(cell.source) and cell not in figures] == []
    assert 4 <= len(figures) <= 6
    for cell in figures:
        assert len(cell.metadata["alt"]) >= 40
        assert "title" in cell.source, cell.source
        assert cell.source.endswith("plt.show()")  # so that the cell prints no Axes
        if SHOWS_CT.search(cell.source):
            assert "window" in cell.source or "HU" in cell.source, cell.source
        else:
            assert re.search(r"xlabel", cell.source) and re.search(r"ylabel", cell.source), cell.source
        assert not re.search(r"cmap=.(jet|rainbow|hsv|RdYlGn|gist_\w+|nipy_spectral)\b", cell.source)


# ---- pytest -m lessons ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kernel_environment(tmp_path_factory):
    """Environment variables of a kernel without network, whose cache is a folder of this test run."""
    here, base = Path(__file__).parent, tmp_path_factory.getbasetemp()
    paths = [str(here / "no_network"), str(here.parent), os.environ.get("PYTHONPATH", "")]
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lessons_cache"  # one for all workers
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "HEMOKIT_CACHE": str(cache)}


class Costs:
    """Time and peak memory (MB) of each cell, by looking at the kernel and its children every 50 ms."""

    def __init__(self):
        self.cells, self.process, self.peak, self.processor, self.done = [], None, 0, {}, threading.Event()

    def look(self):
        memory = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                memory += process.memory_info().rss / 1e6
                self.processor[process.pid] = sum(process.cpu_times()[:2])
        self.peak = max(self.peak, memory)

    def watch(self):
        while not self.done.wait(0.05):
            self.look()

    def start(self, **_):
        self.peak, self.began = 0, time.perf_counter()

    def stop(self, cell_index, **_):
        self.look()
        self.cells.append((cell_index, time.perf_counter() - self.began, self.peak))

    def seconds(self):
        """Time taken; on a machine busy with other work, the processor time, where that is less."""
        return min(sum(seconds for _, seconds, _ in self.cells), sum(self.processor.values()))


def execute(notebook, environment, folder):
    """Run a notebook in a kernel of its own; return the costs of its cells."""
    costs = Costs()
    hooks = {"on_cell_execute": costs.start, "on_cell_executed": costs.stop}
    client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}, **hooks)
    watcher = threading.Thread(target=costs.watch, daemon=True)
    with client.setup_kernel(env=environment):
        costs.process = psutil.Process(client.km.provisioner.pid)
        watcher.start()
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        finally:
            costs.done.set()
            watcher.join()
    return costs


def log_costs(slug, version, notebook, costs):
    log = logging.getLogger("hemokit.course.lessons")
    for index, seconds, peak in costs.cells:
        first_line = next(iter(notebook.cells[index].source.splitlines()), "")
        log.info("%s %s cell %2d: %6.2f s, peak %5.0f MB | %s", slug, version, index, seconds, peak, first_line[:60])
    wall, peak = sum(seconds for _, seconds, _ in costs.cells), max(peak for *_, peak in costs.cells)
    log.info(
        "%s %s: %.1f s, %.1f s of processor, peak %.0f MB", slug, version, wall, sum(costs.processor.values()), peak
    )


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs if output.output_type == "stream")


def shown(notebook):
    """Everything that the cells wrote, tables as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return printed(notebook) + "".join(output.get("data", {}).get("text/plain", "") for output in outputs)


def has_picture(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory):
    """Where one learner works through all lessons: a run that is there is not trained again, and lesson 12 finds it."""
    return tmp_path_factory.mktemp("course")


@pytest.fixture(scope="session", params=["ct_ich_jpg", "windowed_jpg"])
def phantom_folder(request, tmp_path_factory):
    """A small phantom in a folder, as a learner would name it in DATA."""
    folder = tmp_path_factory.mktemp("data") / request.param
    return write_phantom(folder, layout=request.param, num_patients=10, image_size=128, seed=0)


# The strings of a lesson that ran, such as the source in the titles of its figures; not the code that IPython keeps.
STRINGS = "print([value for name, value in list(vars().items()) if name[0] != '_' and isinstance(value, str)])"


def run_lesson(slug, version, environment, folder, data=None):
    """Run the learner's or the solved notebook, on the built-in phantom or a folder: exercises, figures, budget."""
    notebook = getattr(build, version)(SOURCES[slug])
    notebook = with_parameters(notebook, {"DATA": str(data)}) if data else notebook
    notebook.cells.append(nbformat.v4.new_code_cell(STRINGS))
    costs = execute(notebook, environment, folder)
    log_costs(slug, f"{version} on {data.name if data else 'the phantom'}", notebook, costs)
    state = {"learner": check.NOT_ATTEMPTED, "solved": check.CORRECT}[version]
    for name in exercises_of(slug):
        assert f"{name}: {state}\n" in printed(notebook)
    assert [cell.source for cell in notebook.cells if has_picture(cell) != ("alt" in cell.metadata)] == []
    assert costs.seconds() < SECONDS.get(slug, SECONDS_OF_OTHERS)
    return notebook


# Classes, as pytest-xdist gives each to one process: two forms of the lessons run side by side.


@pytest.mark.lessons
class TestLessonOnThePhantom:
    @EVERY
    def test_runs(self, slug, kernel_environment, course_folder):
        """Run All never blocks, stays in budget, needs no network, and draws a figure where it promises one."""
        run_lesson(slug, "learner", kernel_environment, course_folder)


@pytest.mark.lessons
class TestLessonOnPhantomFolder:
    @EVERY
    def test_calls_nothing_real(self, slug, phantom_folder, kernel_environment, course_folder):
        """DATA may name a phantom: nothing shown is of real scans then. Solutions are right there, too."""
        version = "solved" if phantom_folder.name == "ct_ich_jpg" else "learner"
        if version == "solved" and slug in SECONDS and slug[:2] != "12" and os.environ.get("HEMOKIT_CT_ICH"):
            pytest.skip("a lesson that trains is solved on the real folder of this layout, which is there")
        if version == "learner" and slug[:2] in ("06", "07", "08", "09", "10", "11", "13"):
            pytest.skip("as in lesson 12 the phantom stands in where patients have no names, so nothing here is new")
        notebook = run_lesson(slug, version, kernel_environment, course_folder, phantom_folder)
        assert "phantom" in shown(notebook)
        assert re.findall(r"(?i).*\breal (?:scan|slice|label|mask|patient|data|CT\b).*", shown(notebook)) == []


@pytest.mark.lessons
class TestLessonOnRealScans:
    @EVERY
    def test_runs(self, slug, ct_ich_root, kernel_environment, course_folder):
        """It runs on real CT by a change of DATA alone, also where masks and Hounsfield units are missing."""
        version = "solved" if slug in SECONDS else "learner"
        run_lesson(slug, version, kernel_environment, course_folder, ct_ich_root)
