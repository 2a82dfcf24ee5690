"""Runs without a model: channels, splits with their account, judging from files, reports."""

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from evaluation_frames import masked_frame, random_masked

from hemokit.checks import HemokitError
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import write_phantom
from hemokit.evaluation import segmentation_report, slice_report
from hemokit.predictions import write_predictions
from hemokit.runs.channels import Channel, channels_of, windows_for
from hemokit.runs.data import has_truth, keep_masked, open_data, split_lines, with_split
from hemokit.runs.figures import alt_text, draw_picture, pictures
from hemokit.runs.judging import judge, masked_rows, read_parts, whole_scans
from hemokit.runs.judging_facts import (
    NAME,
    Facts,
    choose_on_validation,
    read_facts,
    write_facts,
    write_judged,
)
from hemokit.runs.panels import choose_slices
from hemokit.runs.reports import facts_lines, headline, report_text, write_report
from hemokit.tables import account
from hemokit.windows import BRAIN, BRAIN_WIDE, Window


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A small phantom in the CT-ICH JPG layout."""
    return write_phantom(tmp_path_factory.mktemp("runs") / "p", layout="ct_ich_jpg", num_patients=6, image_size=64)


def predictions_of(*, seed=0, split="test", prefix="", num_patients=8):
    """Noisy predictions of rectangles, eight patients with nine slices each."""
    maps, masks, patients = random_masked(seed, num_patients)
    return masked_frame(maps, masks, [f"{prefix}{one}" for one in patients], split=split, dataset="ct_ich_jpg")


@pytest.fixture
def run(tmp_path):
    """Predictions of validation and test rows on disk, as training leaves them."""
    frames = [predictions_of(seed=1, split="validation", prefix="v"), predictions_of(seed=2, prefix="t")]
    write_predictions(pd.concat(frames, ignore_index=True), tmp_path / "run")
    return tmp_path / "run"


def test_channels_of_a_layout():
    """Names of windows and LEVEL:WIDTH where there are Hounsfield units; renders, or what they were saved through."""
    assert channels_of("rsna") == [("brain", "rsna", 40, 80)]
    assert channels_of("ct_ich_nifti", ["40:120", "0:7"]) == [
        ("brain_wide", "ct_ich_nifti", *BRAIN_WIDE),
        ("window", "ct_ich_nifti", 0, 7),
    ]
    assert channels_of("ct_ich_jpg") == [("brain", "ct_ich_jpg", 40, 120)]
    assert channels_of("ct_ich_jpg", ["brain_wide"]) == channels_of("ct_ich_jpg", ["brain"])
    assert channels_of("windowed_jpg", ["max_contrast_window"])[0].level is None


def test_windows_for_another_layout():
    """The same windows in Hounsfield units, or the render that was saved through just this one."""
    jpg = channels_of("ct_ich_jpg", ["brain", "bone"])
    assert windows_for(jpg, "rsna") == (BRAIN_WIDE, Window(700, 3200))
    assert windows_for(jpg, "ct_ich_jpg") == ("brain", "bone")
    assert windows_for(channels_of("rsna"), "windowed_jpg") == ("brain_window",)
    assert windows_for([Channel("brain", "rsna", *BRAIN)], "ct_ich_nifti") == (BRAIN,)


def test_windows_that_cannot_be_shown():
    """A JPG shows only the window that it was saved through; one that is not known stays in its layout."""
    with pytest.raises(HemokitError, match=r"brain \(level 40 HU, width 80 HU\).*brain \(level 40 HU, width 120 HU\)"):
        windows_for(channels_of("rsna"), "ct_ich_jpg")
    with pytest.raises(HemokitError, match="a window that is not known.*the folder is rsna"):
        windows_for(channels_of("windowed_jpg", ["max_contrast_window"]), "rsna")
    with pytest.raises(HemokitError, match="the window is 'brian', but expected one of brain, subdural"):
        channels_of("rsna", ["brian"])
    with pytest.raises(HemokitError, match="cannot be windowed again"):
        channels_of("ct_ich_jpg", ["subdural"])


def test_open_data_tells_phantom_from_real(phantom):
    """In words, with the layout and the patients."""
    data = open_data(phantom)
    assert data.is_phantom and data.described == "a synthetic phantom (ct_ich_jpg, 6 patients)"
    assert data.layout == "ct_ich_jpg" and len(data.table) == len(open_dataset(phantom))


def test_keep_masked_accounts_for_every_row(phantom):
    """Slices with hemorrhage whose mask is missing are dropped, with their reason; none with a mask is refused."""
    table = open_dataset(phantom)
    lost = table.index[table["any"] == 1][:2]
    table.loc[lost, "mask_path"] = None
    kept = keep_masked(table)
    assert has_truth(kept).all() and len(kept) == len(table) - 2
    told = account(kept)
    assert told.rows_in == told.rows_used + 2 and "2 dropped (hemorrhage without a mask)" in str(told)
    with pytest.raises(HemokitError, match="none of the .* slices with hemorrhage has a mask"):
        keep_masked(table.assign(mask_path=None))


def test_folds_test_every_patient_once(phantom):
    """Fold by fold: no patient on two sides, each in the test part once."""
    table = open_dataset(phantom)
    tested = []
    for fold in range(3):
        rows = with_split(table, fold=fold, num_folds=3, seed=1)
        assert len(rows[["patient_id", "split"]].drop_duplicates()) == table["patient_id"].nunique()
        assert sorted(rows["split"].unique()) == ["test", "train", "validation"]
        tested += list(rows["patient_id"][rows["split"] == "test"].unique())
    assert sorted(tested) == sorted(table["patient_id"].unique())
    assert sum("patients" in line for line in split_lines(rows)) == 3


def test_with_split_refuses(phantom):
    """A fold that is none; too few of them."""
    table = open_dataset(phantom)
    with pytest.raises(HemokitError, match="fold is 5, but expected 0 to 4"):
        with_split(table, fold=5)
    with pytest.raises(HemokitError, match="num_folds is 2"):
        with_split(table, fold=0, num_folds=2)


def test_thresholds_come_from_validation_rows(run):
    """The pixel threshold of the validation rows; test rows alone choose none."""
    (part,) = read_parts(run)
    assert part.facts.chosen_on == "72 validation slices of 8 patients (highest F1)"
    table = part.search.table
    assert part.facts.threshold == table["threshold"][table["f1"].to_numpy() == table["f1"].max()].max()
    with pytest.raises(HemokitError, match="0 validation rows"):
        choose_on_validation(part.predictions[part.predictions["split"] == "test"], Facts())


def test_facts_on_disk(tmp_path):
    """What was written is read again; nothing there is None; another file is refused."""
    assert read_facts(tmp_path) is None
    facts = Facts(0.4, 0.5, "validation", "a phantom", "a phantom", 3)
    write_facts(facts, tmp_path)
    assert read_facts(tmp_path) == facts and "not a medical device" in (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(HemokitError, match="a file that cannot be read"):
        read_facts(tmp_path)
    write_facts(facts._replace(threshold=2), tmp_path)
    with pytest.raises(HemokitError, match="threshold is 2"):
        read_facts(tmp_path)


def test_judgement_equals_the_reports(run):
    """Tables are those of evaluation, on the test rows, at the validation threshold."""
    parts = read_parts(run)
    judgement = judge(parts, num_resamples=100)
    test = parts[0].predictions[parts[0].predictions["split"] == "test"]
    facts = parts[0].facts
    assert judgement.data == "ct_ich_jpg" and judgement.split == "test"
    masks = segmentation_report(test, threshold=facts.threshold, num_resamples=100)
    pd.testing.assert_frame_equal(judgement.tables["segmentation"], masks)
    slices = slice_report(test, threshold=facts.slice_threshold, num_resamples=100)
    pd.testing.assert_frame_equal(judgement.tables["slices"], slices)
    assert set(judgement.tables) == {"slices", "scans", "segmentation", "calibration", "volumes"}
    assert (judgement.judged["split"] == "test").all() and not judgement.notes


def test_folds_are_judged_together(tmp_path):
    """Each fold's rows are called by its own threshold; counts are those of the folds, summed."""
    for fold in range(2):
        frames = predictions_of(seed=fold, split="validation", prefix="v"), predictions_of(seed=fold, prefix=f"f{fold}")
        write_predictions(pd.concat(frames, ignore_index=True), tmp_path / f"fold_{fold}")
        write_facts(Facts(0.3 + 0.2 * fold, 0.5), tmp_path / f"fold_{fold}")
    parts = read_parts(tmp_path)
    parts = [part._replace(facts=read_facts(part.folder)) for part in parts]
    judgement = judge(parts, num_resamples=100)
    tp = fp = positive = 0
    for part in parts:
        rows = part.predictions[part.predictions["split"] == "test"]
        first = round(part.facts.threshold * 1000)
        tp += sum(one[first:].sum() for one in rows["hemorrhage"])
        fp += sum(one[first:].sum() for one in rows["background"])
        positive += sum(one.sum() for one in rows["hemorrhage"])
    found = judgement.tables["segmentation"].set_index("metric").loc["dice"]
    assert found["estimate"] == pytest.approx(2 * tp / (tp + fp + positive)) and found["patients"] == 16
    assert "Each fold's own threshold" in judgement.notes[0]
    assert judgement.notes[1].startswith("AUROC, AUPRC and calibration take the scores of all folds together")


def test_missing_folds_are_told(tmp_path):
    """Which folds of a run are not there is said above the tables; one fold for itself lacks none."""
    record = {"settings": {"settings": {"split": {"fold": 0, "num_folds": 4}}}}
    for fold in (0, 2):
        frames = predictions_of(seed=fold, split="validation", prefix="v"), predictions_of(seed=fold, prefix=f"f{fold}")
        write_predictions(pd.concat(frames, ignore_index=True), tmp_path / f"fold_{fold}")
        (tmp_path / f"fold_{fold}" / "run.json").write_text(json.dumps(record))
    (tmp_path / "fold_3").mkdir()
    said = "Missing of 4 folds: 2 (fold_1, fold_3). Their patients are not in here."
    judgement = judge(read_parts(tmp_path), num_resamples=100)
    assert said in facts_lines(judgement) and said in report_text(judgement)
    assert not read_parts(tmp_path / "fold_0")[0].missing
    for fold in (0, 2):
        (tmp_path / f"fold_{fold}" / "run.json").unlink()
    assert read_parts(tmp_path)[0].missing == ("fold_3",)


def test_folds_beside_a_single_run_are_refused(tmp_path):
    """Neither is judged in the other's name."""
    for folder in (tmp_path, tmp_path / "fold_0"):
        write_predictions(predictions_of(), folder)
    with pytest.raises(HemokitError, match="there are predictions and folds, but expected one of them"):
        read_parts(tmp_path, threshold=0.5)


def test_killed_writers_leave_no_stale_threshold(tmp_path, monkeypatch):
    """judging.json of the run before goes before its predictions are replaced."""
    write_judged(predictions_of(seed=1), Facts(0.4, 0.5), tmp_path)
    assert read_facts(tmp_path).threshold == 0.4
    monkeypatch.setattr("hemokit.runs.judging_facts.write_predictions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_judged(predictions_of(seed=2), Facts(0.6, 0.5), tmp_path)
    assert read_facts(tmp_path) is None


@pytest.mark.slow
def test_no_report_of_other_predictions_stays(run):
    """New predictions in a folder take the report of the old ones away; a folder that is no report stays."""
    judgement = judge(read_parts(run), num_resamples=100)
    write_report(judgement, run / "report")
    assert write_report(judgement, run / "other").is_dir()
    write_judged(predictions_of(seed=3), Facts(0.4, 0.5), run)
    there = {path.name for path in run.iterdir()}
    assert there == {"other", "predictions.csv", "histograms.npz", "judging.json"}
    (run / "report").mkdir()
    (run / "report" / "mine.txt").write_text("of the user")
    write_judged(predictions_of(seed=3), Facts(0.4, 0.5), run)
    assert (run / "report" / "mine.txt").is_file()


def test_a_given_threshold_stands_in(run):
    """--threshold takes the place of the run's; one between two bins is refused."""
    (part,) = read_parts(run, threshold=0.25)
    assert part.facts.threshold == 0.25 and part.facts.chosen_on.endswith("(that of pixels: given by --threshold)")
    with pytest.raises(HemokitError, match="the threshold is 0.2505"):
        judge(read_parts(run, threshold=0.2505))


def test_without_masks_patients_or_validation_rows(tmp_path):
    """What cannot be judged is left out with a reason; intervals say where they are by slice."""
    frame = predictions_of(split=None)
    both = [outside + inside for outside, inside in zip(frame["background"], frame["hemorrhage"], strict=True)]
    frame["background"], frame["hemorrhage"] = pd.Series(both), pd.Series([None] * len(frame), dtype=object)
    frame["patient_id"] = None
    write_predictions(frame, tmp_path)
    with pytest.raises(HemokitError, match="no threshold, and no validation rows to choose one on"):
        read_parts(tmp_path)
    judgement = judge(read_parts(tmp_path, threshold=0.5), num_resamples=100)
    assert "segmentation" not in judgement.tables and "volumes" not in judgement.tables
    assert any(note.startswith("Patients are not known") for note in judgement.notes)
    assert any(note.startswith("segmentation: not judged, because 0 of") for note in judgement.notes)


def test_validation_rows_alone_are_not_scored(tmp_path):
    """Neither are training rows: the model or the threshold was chosen on them."""
    write_predictions(predictions_of(split="validation"), tmp_path)
    with pytest.raises(HemokitError, match="rows of validation alone, but expected test rows"):
        judge(read_parts(tmp_path))
    with pytest.raises(HemokitError, match="there is no such folder, but expected the folder that hemokit train or"):
        read_parts(tmp_path / "none")


def test_masked_rows_and_whole_scans():
    """A scan counts for volumes only where all of its masks are known."""
    frame = predictions_of()
    frame["hemorrhage"] = pd.Series([None, *frame["hemorrhage"][1:]], dtype=object)
    assert len(masked_rows(frame)) == len(frame) - 1
    assert len(whole_scans(frame)) == len(frame) - 9
    with pytest.raises(HemokitError, match="none of the .* slices has hemorrhage"):
        masked_rows(frame[frame["any"] == 0])


@pytest.mark.slow
def test_report_is_whole_and_replaced_as_a_whole(run, tmp_path):
    """report.md, a CSV a table and figures; another folder is never touched."""
    judgement = judge(read_parts(run), num_resamples=100)
    out = write_report(judgement, tmp_path / "report")
    names = {path.name for path in out.iterdir()}
    assert {"report.md", "slices.csv", "segmentation.csv", "volumes.csv"} <= names
    assert {"slices_pr.png", "slices_roc.png", "calibration.png", "threshold.png", "areas.png", "volumes.png"} <= names
    text = (out / "report.md").read_text(encoding="utf-8")
    assert text.startswith(report_text(judgement)[:400]) and "Education only, not a medical device." in text
    assert "72 slices of 8 patients, the split test" in text and "chosen on 72 validation slices" in text
    assert pd.read_csv(out / "slices.csv")["notice"].eq("education only, not a medical device").all()
    (out / "slices.csv").write_text("torn")
    write_report(judgement, out)
    assert {path.name for path in out.iterdir()} == names and len(pd.read_csv(out / "slices.csv")) > 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "run"]
    with pytest.raises(HemokitError, match="is there and is no report"):
        write_report(judgement, run)


def test_figures_say_what_they_show_and_of_which_data(run):
    """Each title names the figure, its data, n and split."""
    judgement = judge(read_parts(run), num_resamples=100)
    drawn = {}
    for name, picture in pictures(judgement).items():
        titles = [ax.get_title() for ax in draw_picture(picture, judgement).axes if ax.get_title()]
        (drawn[name],) = titles
    test = "ct_ich_jpg, 72 slices, split test"
    assert drawn["slices_pr"] == drawn["slices_roc"] == f"Slices with hemorrhage\n{test}"
    assert drawn["threshold"] == "Pixels of the validation rows\nct_ich_jpg, 72 slices, split validation"
    assert drawn["calibration"] == f"Calibration\n{test}"
    assert drawn["areas"].startswith("Pearson r") and drawn["areas"].endswith(test)
    assert drawn["volumes"].endswith("ct_ich_jpg, 8 scans, split test")


def test_a_figure_counts_what_it_shows(run):
    """Areas are of the slices with a known mask alone, and the others are not counted in their title."""
    (part,) = read_parts(run)
    unknown = part.predictions["slice_id"].isin(part.predictions["slice_id"].iloc[-5:])
    rows = part.predictions.assign(hemorrhage=part.predictions["hemorrhage"].where(~unknown, None))
    judgement = judge([part._replace(predictions=rows)], num_resamples=100)
    texts = {name: alt_text(picture, judgement) for name, picture in pictures(judgement).items()}
    assert "67 slices" in texts["areas"] and "72 slices" in texts["slices_pr"]


def test_report_links_its_figures_and_names_its_data(run, tmp_path):
    """Every figure is linked with a text, every table has its data, n, split and seed; a phantom is called one."""
    write_facts(Facts(0.5, 0.5, judged_on="a synthetic phantom", data="phantom (synthetic), ct_ich_jpg"), run)
    judgement = judge(read_parts(run), num_resamples=100, seed=3)
    out = write_report(judgement, tmp_path / "report")
    page = (out / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[(.+)\]\((.+)\)", page)
    assert sorted(name for _, name in links) == sorted(path.name for path in out.glob("*.png")) and len(links) == 6
    data = [re.search(r"phantom \(synthetic\), ct_ich_jpg, (\d+ \w+), split ", text)[1] for text, _ in links]
    assert sorted(data) == ["72 slices"] * 5 + ["8 scans"]
    line = "Data: phantom (synthetic), ct_ich_jpg; n: 72 slices of 8 patients; split: test; seed: 3."
    assert page.count(line) == 3 and page.count("Data: phantom (synthetic), ct_ich_jpg; n: ") == 5
    for name in judgement.tables:
        table = pd.read_csv(out / f"{name}.csv")
        assert (table["data"] == "phantom (synthetic), ct_ich_jpg").all() and {"n", "split", "seed"} <= set(table)


def test_drawing_a_report_leaves_the_backend_alone(run, tmp_path):
    """A notebook's way of showing figures, and its figures, stay as they are."""
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(), plt.get_fignums()
    matplotlib.use("svg")
    try:
        write_report(judge(read_parts(run), num_resamples=100), tmp_path / "report")
        assert (matplotlib.get_backend(), plt.get_fignums()) == ("svg", before[1])
    finally:
        matplotlib.use(before[0])


def test_a_report_that_fails_leaves_the_old_one(run, tmp_path, monkeypatch):
    """Nothing of the new one appears, and no leftovers."""
    judgement = judge(read_parts(run), num_resamples=100)
    out = write_report(judgement, tmp_path / "report")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr("hemokit.runs.reports.draw_picture", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(judgement, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "run"]


def test_a_report_that_cannot_be_put_in_place_leaves_the_old_one(run, tmp_path, monkeypatch):
    """The last step fails: the old report comes back."""
    judgement = judge(read_parts(run), num_resamples=100)
    monkeypatch.setattr("hemokit.runs.reports.pictures", lambda *_: {})
    out = write_report(judgement, tmp_path / "report")
    (out / "mine.txt").write_text("the old one")
    rename = os.rename

    def fails_once(source, target):
        if Path(source).name == "new":
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr("hemokit.runs.reports.os.rename", fails_once)
    with pytest.raises(OSError, match="no"):
        write_report(judgement, out)
    assert (out / "mine.txt").read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "run"]


def test_slices_for_the_panels():
    """The largest, median and smallest hemorrhage; the worst false alarm and a usual normal slice; test rows only."""
    frame = pd.concat([predictions_of(seed=1, split="validation", prefix="v"), predictions_of()], ignore_index=True)
    rows = frame[frame["split"] == "test"].set_index("slice_id")
    chosen = rows.loc[choose_slices(frame)]
    area = rows["hemorrhage"].map(sum)
    assert chosen["hemorrhage"].map(sum).tolist()[:3] == [area.max(), area[area > 0].median(), area[area > 0].min()]
    assert chosen["any"].tolist() == [1, 1, 1, 0, 0]
    assert chosen["top_probability"].iloc[3] == rows["top_probability"][area == 0].max()
    normal = frame[(frame["split"] == "test") & (frame["any"] == 0)]
    assert choose_slices(normal[:1]) == normal["slice_id"].tolist()[:1]


def test_headline(run):
    """The figures to look at first, each with its interval and n."""
    shown = headline(judge(read_parts(run), num_resamples=100))
    assert shown["metric"].tolist()[:2] == ["auroc", "sensitivity"] and "dice" in set(shown["metric"])
    assert (shown["n"][shown["of"] == "slices"] == "72 slices").all()
    assert shown["value"].str.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]|undefined").all()
    assert {"scans", "segmentation"} < set(shown["of"])
