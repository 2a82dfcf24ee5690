"""Alternative texts of figures: what a screen reader says where a lesson shows a picture."""

import copy
import html


def with_alt_text(notebook):
    """Give every figure of an executed notebook its alternative text, for the HTML page.

    nbconvert leaves `alt` out of the pictures it writes, so a PNG output becomes an <img> of its own.

    Args:
        notebook: an executed notebook (nbformat); a figure cell has metadata "alt".

    Returns:
        a copy in which the PNG outputs of those cells are HTML outputs with the text. Other outputs
        and cells without "alt" stay as they are.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        alt = cell.metadata.get("alt")
        for output in cell.get("outputs", []) if alt else []:
            png = output.get("data", {}).pop("image/png", None)
            if png:
                source = "".join(png).replace("\n", "")
                output["data"] = {"text/html": f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{source}">'}
    return notebook
