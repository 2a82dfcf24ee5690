"""The progress bar: it passes everything on, and shows itself only where it should."""

import pytest

from hemokit.progress import SHOW_FROM, progress_bar


@pytest.mark.parametrize("progress, total, shown", [(True, 3, True), (False, SHOW_FROM, False), (None, 3, False)])
def test_items_pass_through(progress, total, shown, capsys):
    """The items come in order; the bar goes to stderr when asked for, and not for little work."""
    bar = progress_bar(iter(range(total)), total=total, description="counting", progress=progress)
    assert list(bar) == list(range(total))
    assert ("counting" in capsys.readouterr().err) is shown


def test_no_bar_in_a_log(capsys):
    """Without a terminal much work shows no bar either, unless asked for."""
    assert len(list(progress_bar(range(SHOW_FROM), total=SHOW_FROM, description="counting"))) == SHOW_FROM
    assert capsys.readouterr().err == ""
