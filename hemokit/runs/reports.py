"""A judgement as files: report.md, its tables as CSV, figures as PNG; the folder is whole or not there."""

import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from hemokit import evaluation, plots
from hemokit.checks import problem
from hemokit.files import write_whole_folder
from hemokit.predictions import NOTICE, counts_at
from hemokit.runs.judging import masked_rows, whole_scans
from hemokit.runs.judging_facts import SCORE

TITLE = "# hemokit report"
HEADLINES = (("slices", "auroc"), ("slices", "sensitivity"), ("slices", "specificity"), ("scans", "auroc"))
HEADLINES += (("segmentation", "dice"), ("segmentation", "iou"), ("segmentation", "area_correlation"))
_SHARED = ("data", "split", "seed", "confidence", "undefined")  # columns that are told once, above the tables


def facts_lines(judgement):
    """What stands above the tables: data, n, split, seed, thresholds."""
    frame, facts = judgement.judged, [part.facts for part in judgement.parts]
    known = frame["patient_id"].dropna().nunique()
    splits = "the split test" if frame["split"].notna().all() else "no split"
    lines = [f"{NOTICE[0].upper()}{NOTICE[1:]}.", ""]
    lines += [f"Trained on: {text}" for text in sorted({one.trained_on for one in facts if one.trained_on})]
    judged = sorted({one.judged_on for one in facts if one.judged_on}) or [f"data of the layout {frame['dataset'][0]}"]
    lines.append(f"Judged on: {'; '.join(judged)}: {len(frame)} slices of {known} patients, {splits}")
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
    """report.md."""
    parts = [TITLE, "  \n".join(facts_lines(judgement))]
    parts += [f"## {name}\n\n```text\n{table_text(name, table)}\n```" for name, table in judgement.tables.items()]
    if judgement.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in judgement.notes))
    return "\n\n".join(parts) + "\n"


def write_report(judgement, out):
    """Write the folder `out`: report.md, <table>.csv, figures. A report that is there already is replaced as a whole.

    Raises:
        HemokitError: `out` is something else than a report.
    """
    out = Path(out)
    if out.exists() and not _is_report(out):
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


def _is_report(folder):
    page = folder / "report.md"
    return page.is_file() and page.read_bytes().startswith(TITLE.encode())


def _fill(judgement, folder):
    (folder / "report.md").write_text(report_text(judgement), encoding="utf-8")
    for name, table in judgement.tables.items():
        table.assign(notice=NOTICE).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    _draw_all(judgement, folder)


def _draw_all(judgement, folder):
    """Every figure that the tables allow."""
    import matplotlib

    matplotlib.use("Agg")  # no window, on any machine
    import matplotlib.pyplot as plt

    for name, draw in _figures(judgement).items():
        figure = draw().figure
        figure.supxlabel(NOTICE, x=0.99, ha="right", fontsize=6, color="0.4")  # the layout leaves room for it
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)


def _figures(judgement):
    """dict name -> function that draws it."""
    frame, parts, figures = judgement.judged, judgement.parts, {}
    truth, scores = frame["any"].to_numpy(int), frame[SCORE].to_numpy(float)
    chosen = parts[0].facts.slice_threshold if len(parts) == 1 else None
    chosen = chosen if chosen is not None and (scores >= chosen).any() else None
    if 0 < truth.sum() < len(truth):
        points = evaluation.pr_points(truth, scores), evaluation.roc_points(truth, scores)
        how = {"chosen": chosen, "title": f"Slices with hemorrhage ({len(frame)} slices)"}
        figures["slices_pr"] = lambda: plots.pr_curve(points[0], no_skill=truth.mean(), **how)
        figures["slices_roc"] = lambda: plots.roc_curve(points[1], **how)
    if "calibration" in judgement.tables:
        figures["calibration"] = lambda: plots.calibration_plot(judgement.tables["calibration"])
    if len(parts) == 1 and parts[0].search is not None:
        table, threshold = parts[0].search.table, parts[0].facts.threshold
        figures["threshold"] = lambda: plots.threshold_curves(table, threshold, title="Pixels of the validation rows")
    if "segmentation" in judgement.tables:
        figures["areas"] = lambda: plots.area_scatter(*_areas(judgement), unit="pixels of the model")
    if "volumes" in judgement.tables and judgement.tables["volumes"]["n"].iloc[0] > 1:
        figures["volumes"] = lambda: plots.bland_altman(*_volumes(judgement))
    return figures


def _areas(judgement):
    """True and predicted area of each slice in pixels of the model."""
    counts = counts_at(masked_rows(judgement.called), 0.5)
    return counts.tp + counts.fn, counts.tp + counts.fp


def _volumes(judgement):
    """True and predicted volume of each scan in mL, where both are known."""
    table = evaluation.volume_table(whole_scans(judgement.called), threshold=0.5).dropna(subset=["true_ml"])
    return table["true_ml"], table["predicted_ml"]
