"""The course as web pages: one page a lesson and an index, readable without the Internet.

nbconvert's full templates load scripts from elsewhere; its `basic` one gives the bare cells, and the frame
around them, a few lines of style, stands in pages.css beside this module.
"""

import copy
import html
import importlib.metadata
import platform
import re
from pathlib import Path

from hemokit import __version__
from hemokit.course.alt_text import with_alt_text
from hemokit.files import write_whole

NOT_A_DEVICE = "For education only; not a medical device, not for diagnosis."
CHATTER = re.compile(r"^(WARNING: All log messages before absl|I\d{4} [\d:. ]*(\d+ )?port\.cc).*\n?", re.MULTILINE)


def write_lesson_page(path, notebook, outcome, summary):
    """Write one executed lesson as a page of its own; that of a failed one says so, and ends at the cell that failed.

    Args:
        path: the .html file to write.
        notebook: the executed notebook; figure cells may have metadata "alt".
        outcome: the Outcome: the lesson for the title, and whether it failed.
        summary: one line on how it was run, set under the title.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    exporter.register_filter("markdown2html", _prose)
    lesson, notebook = outcome.lesson, with_alt_text(notebook)
    if outcome.failure:
        summary += " This run failed."
        notebook = until_failure(notebook, outcome)
    body, _ = exporter.from_notebook_node(notebook)
    links = f'<a href="index.html">all lessons</a> · <a href="{lesson.slug}.ipynb">this notebook</a>'
    _write_page(path, lesson.title, f"<p class=run>{links}<br>{html.escape(summary)}</p>\n<main>{body}</main>")


def write_index(path, outcomes, summary):
    """Write the list of lessons: title, time taken, what came of it, and the versions in use.

    Args:
        path: the .html file to write.
        outcomes: list of Outcome, in order.
        summary: one line on how they were run.
    """
    rows = "\n".join(
        f'<tr><td>{outcome.lesson.number}</td><td><a href="{outcome.lesson.slug}.html">'
        f"{html.escape(outcome.lesson.title.removeprefix(outcome.lesson.number).strip())}</a></td><td>{duration(outcome.seconds)}</td>"
        f"<td>{html.escape('failed: ' + outcome.failure) if outcome.failure else 'ok'}</td></tr>"
        for outcome in outcomes
    )
    table = f"<table><tr><th>No</th><th>Lesson</th><th>Took</th><th>Outcome</th></tr>\n{rows}\n</table>"
    _write_page(
        path,
        "hemokit: deep learning on head CT",
        f"<h1>hemokit: deep learning on head CT</h1>\n<p class=run>{html.escape(summary)}</p>\n<main>{table}\n"
        f"<p>{html.escape(versions())}</p></main>",
    )


def duration(seconds):
    """Seconds in words: "38 s", "2 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def versions():
    """One line: Python, hemokit and the libraries that numbers depend on, where installed."""
    found = [f"Python {platform.python_version()}", f"hemokit {__version__}"]
    for name in ("numpy", "pandas", "opencv-python-headless", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def hide_home(text):
    """Write the reader's home folder as "~": a page may be passed on, a user name need not be."""
    home = str(Path.home())
    if len(Path(home).parts) < 2:  # the root folder as a home would match everything
        return text
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", text)


def until_failure(notebook, outcome):
    """A copy of a failed lesson for its page: a box that says so, the cells that were begun, and the box again.

    Args:
        notebook: the executed notebook.
        outcome: the Outcome with `failure` and the number of the `cell`.
    """
    import nbformat

    left_out = len(notebook.cells) - outcome.cell
    said = f"<strong>This lesson failed:</strong> {html.escape(outcome.failure)}."
    above = f'{said} <a href="#failed">The cell that failed</a> is the last one on this page.'
    below = f"{said} The cells below it ({left_out}) were not run, and are left out."
    copied = copy.deepcopy(notebook)
    boxes = [f"<div class=failed>{above}</div>", f'<div class=failed id="failed">{below}</div>']
    first, last = (nbformat.v4.new_markdown_cell(box, id=f"failed-{n}") for n, box in enumerate(boxes))
    copied.cells = [first, *copied.cells[: outcome.cell], last]
    return copied


def without_chatter(notebook):
    """A copy without the lines that TensorFlow's own logging writes when it is imported; no variable turns them off."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                output["text"] = CHATTER.sub("", output["text"])
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if output.get("text", True)]
    return notebook


def _prose(source):
    """Markdown to HTML with formulas as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body):
            return convert(body, display="block")

        def inline_math(self, body):
            return convert(body)

    return MarkdownWithMath(renderer=Renderer(escape=False, anchor_link_text="")).render(source)


def _write_page(path, title, content):
    style = Path(__file__).with_name("pages.css").read_text(encoding="utf-8")
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}\n{_code_style()}\n</style>\n</head>\n<body>\n{content}\n"
        f"<footer>{NOT_A_DEVICE}</footer>\n</body>\n</html>\n"
    )
    with write_whole(path) as stream:
        stream.write(hide_home(page))


def _code_style():
    """The colors of code, for nbconvert's class names."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="default").get_style_defs(".highlight")
