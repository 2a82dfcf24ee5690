"""Answers that were computed from printed figures of two digits are right, too."""

import pytest

from hemokit import check


@pytest.mark.parametrize("answer", [(1 - 0.86) / (1 - 0.86 + 0.27), 0.3415, 0.34])
def test_break_even_from_printed_figures(answer, capsys):
    """Sensitivity 0.27 and specificity 0.86 were printed; the variables hold more digits."""
    check.q04_2(answer, 0.2741, 0.8552)
    assert capsys.readouterr().out == "q04_2: Correct.\n"
