"""A judgement as files: report.md, its tables as CSV, figures as PNG; the folder is whole or not there."""

import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from hemokit import evaluation
from hemokit.checks import counted, problem
from hemokit.files import write_whole_folder
from hemokit.predictions import NOTICE
from hemokit.runs.figures import alt_text, draw_picture, pictures
from hemokit.runs.judging_facts import TITLE, is_report

HEADLINES = (("slices", "auroc"), ("slices", "sensitivity"), ("slices", "specificity"), ("scans", "auroc"))
HEADLINES += (("segmentation", "dice"), ("segmentation", "iou"), ("segmentation", "area_correlation"))
_SHARED = ("data", "split", "seed", "confidence", "undefined")  # columns that the line above a table tells


def facts_lines(judgement):
    """What stands above the tables: data, n, split, seed, thresholds."""
    frame, facts = judgement.judged, [part.facts for part in judgement.parts]
    known = frame["patient_id"].dropna().nunique()
    splits = "no split" if judgement.split == "none" else f"the split {judgement.split}"
    lines = [f"{NOTICE[0].upper()}{NOTICE[1:]}.", ""]
    lines += [f"Trained on: {text}" for text in sorted({one.trained_on for one in facts if one.trained_on})]
    judged = sorted({one.judged_on for one in facts if one.judged_on}) or [f"data of the layout {judgement.data}"]
    counts = f"{counted(len(frame), 'slice')} of {counted(known, 'patient')}"
    lines.append(f"Judged on: {'; '.join(judged)}: {counts}, {splits}")
    if judgement.parts[0].missing:
        missing, count = judgement.parts[0].missing, judgement.parts[0].num_folds
        names = ", ".join(missing)
        lines.append(f"Missing of {count} folds: {len(missing)} ({names}). Their patients are not in here.")
    for part in judgement.parts:
        name = f" ({part.folder.name})" if len(judgement.parts) > 1 else ""
        slices = "none" if part.facts.slice_threshold is None else f"{part.facts.slice_threshold:.3g}"
        came = part.facts.chosen_on or "another run"
        lines.append(f"Thresholds{name}: pixels {part.facts.threshold:.3g}, slices {slices}; chosen on {came}")
    first = next(iter(judgement.tables.values()))
    seeds = ", ".join(str(one.seed) for one in facts if one.seed is not None)
    lines.append(f"Seed of training: {seeds or 'not known'}; seed of the intervals (95 %): {first['seed'].iloc[0]}")
    return lines


def headline(judgement):
    """The few figures to look at first: DataFrame of, metric, value with interval, n."""
    rows = []
    for name, metric in HEADLINES:
        table = judgement.tables.get(name)
        found = table[table["metric"] == metric] if table is not None else ()
        for row in found.itertuples() if len(found) else ():
            interval = evaluation.show_interval(row.estimate, row.low, row.high)
            rows.append({"of": name, "metric": metric, "value": interval, "n": f"{row.n} {row.unit}"})
    return pd.DataFrame(rows, columns=["of", "metric", "value", "n"])


def table_text(name, table):
    """One table as text, without the columns that are the same in all; its notes stand below it, each once."""
    if name == "calibration":
        return table[table["n"] > 0].drop(columns=[*_SHARED[:3]]).round(3).to_string(index=False)
    shown = evaluation.show_report(table)
    notes = {}
    for row in table[["metric", "note"]].itertuples():
        for sentence in filter(None, row.note.split("; ")):
            notes.setdefault(sentence, []).append(row.metric)
    lines = [f"{'all' if len(metrics) == len(table) else ', '.join(metrics)}: {one}" for one, metrics in notes.items()]
    shown = shown.drop(columns=[column for column in (*_SHARED, "note") if column in shown])
    return "\n".join([shown.to_string(index=False), *lines])


def report_text(judgement):
    """report.md without its figures: what is printed."""
    return _page(judgement, {})


def origin_line(table):
    """What stands above a table: its data, n, split and seed."""
    first = table.iloc[0]
    counts = sorted(set(table["n"])) if "metric" in table.columns else [table["n"].sum()]  # bins hold parts of all
    n = " or ".join(f"{one}" for one in counts)
    patients = f" of {counted(first['patients'], 'patient')}" if first["patients"] else ", patients not known"
    return f"Data: {first['data']}; n: {n} {first['unit']}{patients}; split: {first['split']}; seed: {first['seed']}."


def _page(judgement, drawn):
    """report.md with figures: `drawn` is a dict name -> `figures.Picture`."""
    parts = [TITLE, "  \n".join(facts_lines(judgement))]
    for name, table in judgement.tables.items():
        parts += [f"## {name}", origin_line(table), f"```text\n{table_text(name, table)}\n```"]
        parts += _links(judgement, drawn, name)
    if "threshold" in drawn:
        parts += ["## thresholds", *_links(judgement, drawn, "thresholds")]
    if judgement.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in judgement.notes))
    return "\n\n".join(parts) + "\n"


def _links(judgement, drawn, table):
    """The figures that belong to a table, as Markdown."""
    chosen = {name: picture for name, picture in drawn.items() if picture.table == table}
    return [f"![{alt_text(picture, judgement)}]({name}.png)" for name, picture in chosen.items()]


def write_report(judgement, out):
    """Write the folder `out`: report.md, <table>.csv, figures. A report that is there already is replaced as a whole.

    Raises:
        HemokitError: `out` is something else than a report.
    """
    out = Path(out)
    if out.exists() and not is_report(out):
        raise problem(f"{out} is there and is no report", "a new folder", "Choose another --out.")
    if not out.exists():
        with write_whole_folder(out) as folder:
            _fill(judgement, folder)
        return out
    trash = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
    try:
        with write_whole_folder(trash / "new") as folder:
            _fill(judgement, folder)
        os.rename(out, trash / "old")
        try:
            os.rename(trash / "new", out)
        except BaseException:
            os.rename(trash / "old", out)
            raise
    finally:
        shutil.rmtree(trash, ignore_errors=True)
    return out


def _fill(judgement, folder):
    drawn = pictures(judgement)
    (folder / "report.md").write_text(_page(judgement, drawn), encoding="utf-8")
    for name, table in judgement.tables.items():
        table.assign(notice=NOTICE).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    for name, picture in drawn.items():
        draw_picture(picture, judgement).savefig(folder / f"{name}.png", dpi=120)
