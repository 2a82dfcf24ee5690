"""The runner: which lessons, with which parameters, and what comes of one that fails."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hemokit.__main__ import main
from hemokit.checks import HemokitError
from hemokit.course import lessons, pages, phantoms
from hemokit.course import terminal as course
from hemokit.datasets.phantom import write_phantom

pytestmark = pytest.mark.slow  # as one: each test here waits for a run or a folder

PARAMETERS = new_code_cell('DATA = None\nPROFILE = "quick"\nSEED = 0', id="p", metadata={"tags": ["parameters"]})
FIGURE = new_code_cell("import matplotlib.pyplot as plt\nplt.plot([7, 8]);", id="f", metadata={"alt": "A rising line."})


def write_lesson(folder, slug, *sources):
    """A lesson with a title, the parameters and these code cells."""
    cells = [new_markdown_cell(f"# {slug[:2]} Title & more\n\nHalf: $\\frac{{1}}{{2}}$", id="t"), PARAMETERS]
    cells += [
        source if not isinstance(source, str) else new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)
    ]
    nbformat.write(new_notebook(cells=cells), folder / f"{slug}.ipynb")


@pytest.fixture
def folder(tmp_path):
    """Three lessons: one that fails between two that run through."""
    path = tmp_path / "with a space"
    path.mkdir()
    write_lesson(
        path,
        "00_first",
        "import sys, hemokit\nprint(sys.executable, PROFILE, SEED)",
        "from pathlib import Path\nprint(Path.home() / 'x')",
    )
    write_lesson(path, "01_fails", "1 / 0", "print('not reached')")
    write_lesson(path, "12_last", FIGURE)
    (path / "notes.ipynb").write_text("not a lesson")
    return path


def test_lessons_are_found_in_order_with_their_titles(folder):
    """Numbers come from the file names, titles from the first headings; other notebooks are left alone."""
    found = lessons.find_lessons(folder)
    assert [lesson.number for lesson in found] == ["00", "01", "12"]
    assert found[1].slug == "01_fails" and found[1].title == "01 Title & more"


def test_the_course_has_a_folder():
    """Without a folder the notebooks of the checkout are meant."""
    assert lessons.lessons_folder() == Path(__file__).parent.parent / "notebooks"


def test_a_folder_without_lessons_is_refused(tmp_path):
    """The sentence names the folder and how lessons are called."""
    with pytest.raises(HemokitError, match=r"holds no lessons, but expected notebooks named like 01_"):
        lessons.find_lessons(tmp_path)


def test_numbers_choose_lessons_in_the_order_of_the_course(folder):
    """1 is 01, the order given does not matter, and no number means all."""
    found = lessons.find_lessons(folder)
    assert [lesson.number for lesson in lessons.choose_lessons(found, ["12", "1"])] == ["01", "12"]
    assert lessons.choose_lessons(found, []) == found


def test_an_unknown_number_is_refused_with_the_list(folder):
    """The sentence lists what there is."""
    with pytest.raises(HemokitError, match="there is no lesson '7', but expected one of 00, 01, 12"):
        lessons.choose_lessons(lessons.find_lessons(folder), ["7"])


def test_parameters_follow_the_tagged_cell():
    """As papermill does it: a cell of assignments after the cell tagged "parameters"."""
    notebook = lessons.with_parameters(new_notebook(cells=[PARAMETERS, FIGURE]), {"DATA": "a'b", "SEED": 7})
    assert notebook.cells[1].source == '# set by hemokit run\nDATA = "a\'b"\nSEED = 7'
    assert notebook.cells[1].metadata.tags == ["injected-parameters"]
    assert len(notebook.cells) == 3


def test_a_notebook_without_parameters_is_refused():
    """Otherwise profile and data would be ignored in silence."""
    with pytest.raises(HemokitError, match="no cell tagged 'parameters'"):
        lessons.with_parameters(new_notebook(cells=[FIGURE]), {"SEED": 7})


def test_a_failing_lesson_is_reported_and_the_others_go_on(folder, tmp_path, monkeypatch, capsys):
    """Exit code 1, the cell and the error named; pages and notebooks of all three; nothing loaded from elsewhere."""
    monkeypatch.setattr(course, "draw_phantoms", lambda numbers, **how: print("draws for", *numbers, how))
    out = tmp_path / "out"
    assert main(["run", "--notebooks", str(folder), "--out", str(out), "--seed", "8"]) == 1
    said = capsys.readouterr().out
    drawn, _, said = said.partition("\n")
    assert drawn == "draws for 00 01 12 {'profile': 'quick', 'seed': 8}"
    assert re.search(r"^\[1/3\] 00_first  begins\n\[1/3\] 00_first  ok +\d+ s\n\[2/3\] 01_fails  begins\n", said)
    assert re.search(r"\n\[2/3\] 01_fails  FAILED  \d+ s\n", said)
    assert "cell 4 raised ZeroDivisionError: division by zero" in said  # title, parameters, injected, this one
    assert "2 of 3 lessons ran through" in said and f"{out / 'index.html'}\n" in said
    first, failed, last = ((out / f"{name}.html").read_text() for name in ("00_first", "01_fails", "12_last"))
    assert failed.count("<strong>This lesson failed:</strong> cell 4 raised ZeroDivisionError: division by zero.") == 2
    assert 'id="failed"' in failed and "ZeroDivisionError</span>" in failed and "not reached" not in failed
    assert "The cells below it (1) were not run" in failed and "This lesson failed" not in first + last
    assert pages.hide_home(sys.executable) + " quick 8" in first
    assert str(Path.home() / "x") not in first and "~/x" in first
    assert 'alt="A rising line."' in last and last.count("<img") == 1
    index = (out / "index.html").read_text()
    assert 'href="01_fails.html">Title &amp; more</a>' in index and "failed: cell 4" in index
    assert "profile quick, data: the synthetic phantom, seed 8." in index.lower()
    for page in (first, last, index):
        assert not re.findall(r"""(?:src|href)=["'](?!data:|#|[\w.]+["'])""", page) and "@import" not in page
        assert "not a medical device" in page
    assert "<mfrac>" in first and "$" not in first.split("<main>")[1]
    assert nbformat.read(out / "12_last.ipynb", as_version=4).cells[-1].outputs


def test_a_kernel_that_dies_is_named(tmp_path):
    """The most common reason is memory, and the sentence says so."""
    write_lesson(tmp_path, "03_dies", "x = 1", "import os\nos._exit(1)")
    outcome, _ = lessons.run_lesson(lessons.find_lessons(tmp_path)[0], tmp_path, {"SEED": 7})
    assert outcome.failure == "the kernel died in cell 5; most often memory ran out"


def test_a_silent_cell_is_stopped_and_a_long_one_is_not(tmp_path):
    """Not the time of a cell is limited but its silence; the sentence says what a training needs to go on."""
    talks = "import time\nfor n in range(60):\n    time.sleep(0.2)\n    print(n)"
    write_lesson(tmp_path, "03_hangs", talks, "fit = dict\nfit(run_dir='x')\ntime.sleep(60)")
    outcome, notebook = lessons.run_lesson(lessons.find_lessons(tmp_path)[0], tmp_path, {"SEED": 7}, silence=8)
    assert outcome.failure == f"cell 5 showed nothing new for 8 s and was stopped{lessons.GOES_ON}"
    assert notebook.cells[3].outputs[0].text.endswith("59\n") and outcome.seconds < 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("moment", ["in a cell", "when the kernel starts", "soon after", "while hemokit starts"])
def test_ctrl_c_ends_the_run_and_its_kernel_in_one_sentence(tmp_path, moment):
    """Exit code 130, no traceback, no kernel left behind, no half-written page, at whatever moment it comes."""
    write_lesson(tmp_path, "03_long", f"open({str(tmp_path / 'begun')!r}, 'w')\nimport time\ntime.sleep(60)")
    code = (
        "import sys; from hemokit import __main__; from hemokit.course import terminal as course\n"
        f"open({str(tmp_path / 'started')!r}, 'w')\n"
        "course.draw_phantoms = lambda *_, **__: None; sys.exit(__main__.main())"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, "run", "--notebooks", str(tmp_path), "--out", str(out)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **streams, text=True, env=here, start_new_session=True) as process:
        itself = psutil.Process(process.pid)
        come = {"in a cell": (tmp_path / "begun").exists, "while hemokit starts": (tmp_path / "started").exists}
        until = time.monotonic() + 120  # a busy machine
        while not come.get(moment, itself.children)() and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep({"soon after": 0.3, "while hemokit starts": 0.2}.get(moment, 0))
        kernels = itself.children()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and errors.startswith("hemokit: interrupted") and errors.count("\n") == 1
    assert not psutil.wait_procs(kernels, timeout=10)[1] and not list(out.glob("*"))
    if moment == "in a cell":
        assert kernels and f"the pages of finished lessons are in {out}; run the same command again" in errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--profile", "fast"], "profile is 'fast', but expected one of 'quick', 'paper'"),
        (["--seed", "-1"], "Invalid value for '--seed': '-1' came, but expected a whole number from 0"),
        (["77"], "there is no lesson '77', but expected one of 00, 01, 12"),
        (["--data", "/nowhere"], "/nowhere: there is no such folder"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(folder, tmp_path, capsys, arguments, sentence):
    """Exit code 2 and one sentence; the output folder is not made."""
    out = tmp_path / "out"
    assert main(["run", *arguments, "--notebooks", str(folder), "--out", str(out)]) == 2
    assert f"hemokit: {sentence}" in capsys.readouterr().err and not out.exists()


LOADERS = {
    "ct_ich_jpg": r"phantom_root\(",
    "ct_ich_nifti": r"choose_(?:data|slices|tables)\(DATA",
    "rsna": r"choose_scans\(DATA",
}


@pytest.mark.parametrize("number", phantoms.IN_QUICK)
def test_shared_phantoms_are_those_of_the_lessons(number):
    """The layout, the size and the seed that a lesson asks for are what `hemokit run` draws before it."""
    (path,) = (Path(__file__).parent.parent / "notebooks" / "sources").glob(f"{number}_*.py")
    text, drawn = path.read_text(encoding="utf-8"), dict(phantoms.IN_QUICK[number])
    assert re.search(LOADERS[drawn.pop("layout")] + r"[^)]*(?:seed=SEED|\*\*how)", text)
    named = re.search(r"^PHANTOM = (.*)$", text, re.MULTILINE)
    assert drawn == (eval(named[1], {"quick": True}) if named else {"num_patients": 24, "image_size": 256})


def test_shared_phantoms_are_drawn_once(tmp_path, monkeypatch, capsys):
    """Of the lessons chosen, each phantom once, none that the cache has already, and each with a line."""
    monkeypatch.setenv("HEMOKIT_CACHE", str(tmp_path))
    small = {"layout": "ct_ich_nifti", "num_patients": 1, "image_size": 64}
    others = {"10": {**small, "layout": "rsna"}, "11": {**small, "num_patients": 2}}
    monkeypatch.setattr(phantoms, "IN_QUICK", {"07": small, "09": small, **others})
    phantoms.draw_phantoms(["01", "07", "09", "11"], seed=3)
    said = capsys.readouterr().out
    assert said.startswith("Drawing 1 synthetic patients (ct_ich_nifti; they are kept) ...\nThey are ready after ")
    assert said.count("\n") == 4
    there = sorted(path.name.rpartition("-")[0] for path in tmp_path.glob("phantom/*"))
    assert there == ["ct_ich_nifti-1x64-seed3", "ct_ich_nifti-2x64-seed3"]
    phantoms.draw_phantoms(["01", "07", "09", "11"], seed=3)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--profile", "paper"], {"profile": "paper", "seed": 0}), (["--data", "DATA"], None)],
    ids=["profile paper", "a folder"],
)
def test_phantoms_are_drawn_for_the_phantom_alone(folder, tmp_path, monkeypatch, arguments, told):
    """They are told the profile, and with a folder of data none is drawn."""
    root = write_phantom(tmp_path / "data", layout="ct_ich_jpg", num_patients=1, image_size=64)
    drawn = []
    monkeypatch.setattr(course, "draw_phantoms", lambda numbers, **how: drawn.append(how))
    monkeypatch.setattr(course, "run_lessons", lambda *_, **__: [])
    named = [str(root) if one == "DATA" else one for one in arguments]
    assert main(["run", *named, "--notebooks", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert drawn == ([told] if told else [])


def test_seconds_in_words():
    """Below a minute in seconds, above in minutes and seconds."""
    assert [pages.duration(seconds) for seconds in (0.4, 38, 59.7, 125)] == ["0 s", "38 s", "1 min 00 s", "2 min 05 s"]


def test_home_is_hidden_but_not_its_neighbors(monkeypatch):
    """A user name need not travel with a page; a folder whose name only begins alike stays."""
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert pages.hide_home("/home/ada/x '/home/ada' /home/adam/x") == "~/x '~' /home/adam/x"
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert pages.hide_home("/home/ada/x") == "/home/ada/x"


def test_startup_lines_of_tensorflow_stay_out_of_pages():
    """Two lines of its logging are left out, a warning of somebody else's stays, and the notebook is not changed."""
    chatter = (
        "WARNING: All log messages before absl::InitializeLog() is called ...\nI0000 00:00:17.6  5396 port.cc:153] x\n"
    )
    outputs = [nbformat.v4.new_output("stream", name="stderr", text=chatter + more) for more in ("", "look here\n")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    shown = pages.without_chatter(notebook)
    assert [output["text"] for output in shown.cells[0].outputs] == ["look here\n"]
    assert len(notebook.cells[0].outputs) == 2
