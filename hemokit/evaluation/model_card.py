"""The model card: one page that says on what a model was made and judged, how well it did, and what it is not for.

After Mitchell et al. 2019, Model Cards for Model Reporting. What a reader needs in order to doubt a score stands beside
it: data, split, n, patients, interval, and how the threshold came about.
"""

from pathlib import Path

import pandas as pd

from hemokit.checks import check_columns, problem
from hemokit.evaluation.bootstrap import show_interval
from hemokit.evaluation.reports import COLUMNS
from hemokit.files import write_whole
from hemokit.predictions import NOTICE

FEW_PATIENTS = 20
_TABLE = ("metric", "score", "n", "patients", "data", "split", "seed")


def model_card(name, reports, *, trained_on, judged_on, threshold, threshold_from, limits, settings=None):
    """The text of a model card, in Markdown.

    Args:
        name: of the model.
        reports: dict title -> report (as of `segmentation_report`, `slice_report`, ...; of one split each); at least
            one row in all.
        trained_on, judged_on: the data in words ("phantom (synthetic)").
        threshold: of the pixels, or None for a model without masks.
        threshold_from: how it was chosen, in words.
        limits: list of sentences, at least one: every model has some. Few patients are added by itself.
        settings: dict name -> value of the training (seed, size, ...), or None.

    Returns:
        str. The first and the last line say that it is for education and no medical device. A figure without
        interval says so; an undefined one is called that, with its note.

    Raises:
        HemokitError: no report, no limits, an empty name or text; a frame that is no report.
    """
    texts = {"name": name, "trained_on": trained_on, "judged_on": judged_on, "threshold_from": threshold_from}
    for what, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise problem(f"{what} is {text!r}", "text", "Say it in a few words.")
    if not reports or not any(len(report) for report in reports.values()):
        raise problem("there is no report", "at least one with scores", "Judge the model first.")
    if isinstance(limits, str) or not list(limits):
        raise problem(f"limits is {limits!r}", "a list of sentences, at least one", "Say what was not looked at.")
    for report in reports.values():
        check_columns(report, COLUMNS)
    notice = f"**{NOTICE[0].upper()}{NOTICE[1:]}.**"
    cut = "none (no masks)" if threshold is None else f"a pixel is called hemorrhage from {threshold:.3g} on"
    parts = [f"# Model card: {name}", notice]
    parts.append(f"## Data\n\n- Trained on: {trained_on}\n- Judged on: {judged_on}\n{_counted(reports)}")
    if settings:
        parts.append("## Settings\n\n" + "\n".join(f"- {key}: {value}" for key, value in settings.items()))
    parts.append(f"## Threshold\n\n{cut[0].upper()}{cut[1:]}. How it was chosen: {threshold_from}.")
    parts.append(f"## Scores, with intervals ({_confidence(reports)})")
    parts += [f"### {title}\n\n{_table(report)}" for title, report in reports.items() if len(report)]
    parts.append("## Limits\n\n" + "\n".join(f"- {one}" for one in [*limits, *_few(reports)]))
    parts.append(f"## Use\n\nFor learning how such a model is made and judged. {notice}")
    return "\n\n".join(parts) + "\n"


def write_model_card(path, name, reports, **told):
    """Write the card, whole or not at all; arguments as `model_card`. Returns the Path."""
    text = model_card(name, reports, **told)
    with write_whole(Path(path)) as stream:
        stream.write(text)
    return Path(path)


def _counted(reports):
    """What each report counts: a line each."""
    lines = []
    for title, report in reports.items():
        for row in report.head(1).itertuples():
            bled = "" if pd.isna(row.positives) else f" ({row.positives} with hemorrhage)"
            what = f"{row.n} {row.unit}{bled} of {row.patients} patients"
            lines.append(f"- {title}: {what}, split {row.split}")
    return "\n".join(lines)


def _confidence(reports):
    """The confidence of the intervals, as text."""
    values = sorted({float(value) for report in reports.values() for value in report["confidence"]})
    return " and ".join(f"{100 * value:g} %" for value in values)


def _table(report):
    """Scores as a Markdown table; the notes below, each once."""
    lines = [" | ".join(_TABLE), " | ".join("---" for _ in _TABLE)]
    for row in report.itertuples():
        cells = (row.metric, show_interval(row.estimate, row.low, row.high), row.n, row.patients, row.data)
        lines.append(" | ".join(str(cell).replace("|", "\\|") for cell in (*cells, row.split, row.seed)))
    table = "\n".join(f"| {line} |" for line in lines)
    notes = dict.fromkeys(f"{row.metric}: {row.note}" for row in report.itertuples() if row.note)
    return "\n\n".join([table, *(["  \n".join(notes)] if notes else [])])


def _few(reports):
    """A sentence where there are few patients."""
    fewest = min(int(report["patients"].min()) for report in reports.values() if len(report))
    if fewest >= FEW_PATIENTS:
        return []
    return [f"Judged on {fewest} patients: below {FEW_PATIENTS}, intervals tend to be too narrow."]
