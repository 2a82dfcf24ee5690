"""Tests of alternative texts."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from hemokit.course.alt_text import with_alt_text


def figure_cell(**metadata):
    data = {"image/png": "iVBOR\nw0KGgo=\n", "text/plain": "<Figure>"}
    return new_code_cell("show()", metadata=metadata, outputs=[new_output("display_data", data=data)])


def test_figures_get_their_text():
    """A PNG of a cell with "alt" becomes an <img> with that text, escaped; the given notebook stays as it was."""
    notebook = new_notebook(cells=[figure_cell(alt='A "lens" < 80 HU'), figure_cell()])
    told = with_alt_text(notebook)
    expected = '<img alt="A &quot;lens&quot; &lt; 80 HU" src="data:image/png;base64,iVBORw0KGgo=">'
    assert told.cells[0].outputs[0].data == {"text/html": expected}
    assert told.cells[1] == notebook.cells[1]
    assert "image/png" in notebook.cells[0].outputs[0].data
    nbformat.validate(told)


def test_cells_without_pictures_stay():
    """Text outputs and markdown are left alone, and so is an empty notebook."""
    cells = [
        new_code_cell("1", metadata={"alt": "x"}, outputs=[new_output("stream", text="1")]),
        nbformat.v4.new_markdown_cell("hi"),
    ]
    assert with_alt_text(new_notebook(cells=cells)).cells == cells
    assert with_alt_text(new_notebook()).cells == []
