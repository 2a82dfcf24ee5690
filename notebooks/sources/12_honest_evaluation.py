# %% [markdown]
# # 12 Honest evaluation
#
# > **Goal**: turn the predictions of a model into a report that a skeptical reader can believe: intervals by patient,
# > calibration, milliliters, what a negative test means, and a model card.
# >
# > **You need**: lesson 03 (why patients), and what a probability is. Lesson 07 makes the runs that are judged here.
# >
# > **Time**: 40 minutes to read, 10 to 20 seconds to run; half a minute more where runs must be made first.
# >
# > **Data**: the predictions of your runs so far; or of a small detector on the phantom, made here.
# >
# > **Hardware**: any laptop. No GPU, no network.
#
# No model is needed for this: a run leaves its predictions behind, a table of slices with counts of their pixels, and
# nearly all that can honestly be said about it is in them.

# %%
# Only where hemokit is missing (Colab, Kaggle): install it from the folder of the course.
from importlib.util import find_spec
from pathlib import Path

if find_spec("hemokit") is None:
    places = [Path(".."), Path("/content/hemokit"), *Path("/kaggle/input").glob("*hemokit*")]
    found = [place for place in places if (place / "pyproject.toml").is_file()]
    if not found:
        raise FileNotFoundError("Put hemokit at /content/hemokit, or add it to Kaggle's input.")
    get_ipython().run_line_magic("pip", f"install --quiet {found[0]}")

# %% [markdown]
# As in every lesson: `DATA = None` is the phantom, a folder is your own data.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from hemokit import check, evaluation, plots
from hemokit.metrics import dice
from hemokit.predictions import counts_at
from hemokit.runs import so_far
from hemokit.thresholds import search_threshold

RUNS = Path("runs")  # lesson 07 writes here

# %% [markdown]
# ## 1 The runs so far
# A run is a folder: how it was made (`run.json`, `judging.json`), a row a slice (`predictions.csv`), and for each slice
# how many pixels have which probability, inside and outside the true mask (`histograms.npz`).
#
# Where there is no run, the lesson makes two: boosted trees that look at each pixel and its surroundings, once on
# coarse and once on fine images. They take seconds, where a network takes minutes. Judging cannot tell the difference.
# Where there is that of lesson 07 alone, one of trees is made beside it, for the same patients: a yardstick.
# (If `DATA` names a folder that cannot be trained on, the trees learn from the phantom and predict that folder.)

# %% tags=["slow"]
outside = so_far.make_runs(RUNS, DATA, seed=SEED)
runs = so_far.load_runs(RUNS)
runs.table.assign(split="test", seed=SEED).round(3)

# %% [markdown]
# Which one shall be judged? The one with the best Dice on its **validation** patients; section 8 shows why nobody
# should choose by the test. Its pixel threshold, too, comes from validation rows.

# %%
name = so_far.runs_to_choose_from(runs.table, DATA)["validation_dice"].idxmax()
source, threshold = runs.table.loc[name, ["data", "threshold"]]
frame = runs.frames[name]
validation, test = (
    frame[frame["split"] == part].reset_index(drop=True) for part in ("validation", "test")
)
n = f"{len(test)} slices of {test['patient_id'].nunique()} patients"
print(f"judged: {name}, {n}, {source}, threshold {threshold:.3f}")

# %% [markdown]
# ## 2 What one number hides
# Here is the number that would stand in the abstract: the Dice of all test pixels together.
#
# **Predict**: of the patients with hemorrhage, how many lie within 0.1 of it?

# %%
counts = counts_at(test, threshold)  # tp, fp, fn, tn: arrays, one value a slice
fields = pd.DataFrame(counts._asdict())
pooled, by_patient = dice(fields.sum()), fields.groupby(test["patient_id"]).sum()
bleeding = by_patient[by_patient["tp"] + by_patient["fn"] > 0]
each = pd.Series(dice(bleeding), bleeding.index).sort_values()
near = (abs(each - pooled) < 0.1).sum()
print(f"pooled Dice {pooled:.2f} ({n}, test, {source}); near it: {near} of {len(each)} patients")

# %%
# alt: One bar for each test patient with hemorrhage, the Dice of that patient, sorted. Some are near zero and some far
# alt: above the dashed line of the pooled Dice.
fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
ax.bar(each.index, each, color="C0")
ax.axhline(pooled, color="C1", linestyle="--", label=f"all pixels together: {pooled:.2f}")
ax.set(xlabel="patient with hemorrhage", ylabel="Dice of the patient", ylim=(0, 1))
ax.set_title(f"One number, and the patients behind it: {name}, {source}")
ax.legend()
plt.show()

# %% [markdown]
# The pooled Dice is nobody's Dice (and the patients without a bar are in it too, by their false alarms). Large bleeds
# have most of the pixels and decide it; small ones, which a reader could miss too, hardly count. So look by size:

# %%
true_area = counts.tp + counts.fn
size = pd.qcut(true_area[true_area > 0], 3, labels=["smallest third", "middle", "largest third"])
by_size = pd.Series(dice(counts)[true_area > 0]).groupby(size, observed=True)
by_size = by_size.agg(slices="size", median_dice="median", missed=lambda one: (one == 0).sum())
by_size.assign(data=source, split="test", seed=SEED).round(2)

# %% [markdown]
# ## 3 The rule for empty masks
# Most slices have no hemorrhage, and on many of them nothing is found either. Their Dice is 0 / 0. What to write there?
# Many programs add a small number above and below the line, so that nothing can go wrong. Then the mean goes wrong.
#
# **Exercise 1.** Repair `mean_dice`: a slice that is empty in truth and in prediction has no Dice. Leave it out, and
# say how many slices the mean is of. If none is left, the mean is NaN.


# %% tags=["task", "broken"]
def mean_dice(tp, fp, fn):
    each = (2 * tp + 1e-6) / (2 * tp + fp + fn + 1e-6)
    return each.mean(), len(each)


blind = mean_dice(0 * true_area, 0 * true_area, true_area)  # a model that never finds anything
print(f"a blind model: {blind[0]:.2f}, mean of {blind[1]} slices")
mean_dice = check.q12_1(mean_dice)

# %% tags=["hint"]
check.q12_1.hint()


# %% tags=["solution"]
def mean_dice(tp, fp, fn):
    pixels = 2 * tp + fp + fn
    left = pixels > 0
    each = 2 * tp[left] / pixels[left]
    return (each.mean() if left.any() else np.nan), int(left.sum())


blind = mean_dice(0 * true_area, 0 * true_area, true_area)  # a model that never finds anything
print(f"a blind model: {blind[0]:.2f}, mean of {blind[1]} slices")
mean_dice = check.q12_1(mean_dice)

# %%
blind, ours = mean_dice(0 * true_area, 0 * true_area, true_area), mean_dice(*counts[:3])
print(f"blind: {blind[0]:.2f} of {blind[1]} slices; {name}: {ours[0]:.2f} of {ours[1]} slices")

# %% [markdown]
# With the small number a blind model scores as high as slices are normal. Whoever reports a mean Dice must say what
# became of the empty slices. hemokit leaves them out and counts them; the pooled Dice does not have the question.
#
# ## 4 How sure are we?
# Other test patients would have given another number. How far off? The **bootstrap** plays it through: draw as many as
# there are from your own test data, with replacement, score again, a thousand times. The middle 95 % are the interval.
#
# But draw what? Slices, or patients? **Predict**: how much wider is the interval if patients are drawn?

# %%
lines = []
for unit, text in {"slice_id": "slices", "patient_id": "patients"}.items():
    how = {"unit": unit, "seed": SEED}
    lines.append(evaluation.segmentation_report(test, threshold=threshold, **how).iloc[:1])
    lines[-1] = pd.concat([lines[-1], evaluation.slice_report(test, **how).iloc[:1]])
    lines[-1]["name"] = lines[-1]["metric"] + ", drawing " + text
intervals = pd.concat(lines).sort_values("metric", kind="stable")

# %%
# alt: Four intervals. For the Dice, the interval from drawing patients is about twice as wide as the one from drawing
# alt: slices; for the AUROC of slices a little wider. The estimates are the same.
ax = plots.interval_plot(intervals, x_label="score (0 to 1)")
ax.set(xlabel="score (0 to 1)", ylabel="score, and what is drawn")
ax.set_title(f"The same scores, drawn in two ways: {n}, {source}")
plt.show()

# %% [markdown]
# Which of them is right? An interval of 95 % promises something that can be tested: of 100 tests, about 95 intervals
# hold the truth. So we play hospital, with our patients as the world, whose Dice we know. 300 times: ten patients come,
# both intervals are computed, and we look whether the truth is inside.

# %%
world = pd.concat([validation, test], ignore_index=True)
pairs = evaluation.dice_pairs(world, threshold)  # Dice of any slices is a sum over a sum
covered = evaluation.coverage(pairs, num_patients=10, num_tests=300, seed=SEED)
for drawn, part in covered.items():
    print(f"drawing {drawn}: {part:.0%} of the intervals hold the truth")

# %% [markdown]
# **There is the surprise**: an interval that says 95 % and is right much less often. The bootstrap did what it was
# told. It was told that slices are independent, but a model that misses a bleed on one slice misses it on the next one
# too. Two hundred slices of ten patients are closer to ten observations than to two hundred.
#
# By patient it is far better, and still less than 95 %: ten patients are too few to know how different patients are.
# Below about 20 the honest interval is too narrow as well, and below 5 hemokit gives none. How much the two differ
# depends on the score: the Dice hangs on a few large bleeds, the AUROC counts every slice alike.
#
# ## 5 More patients, or more slices?
# Annotating costs time. Start with 10 patients and 8 slices each. You may look at eight times as many slices: of the
# same 10 patients, or of new ones? (Patients and slices are drawn from ours, with replacement, so 80 can be had.)

# %%
plans = {"10 patients, more slices": [(10, 8), (10, 16), (10, 32), (10, 64)]}
plans["more patients, 8 slices each"] = [(10, 8), (20, 8), (40, 8), (80, 8)]
total, lines = [80, 160, 320, 640], {}
for text, plan in plans.items():
    tests = [{"num_patients": patients, "num_slices": each} for patients, each in plan]
    lines[text] = total, [evaluation.sampling_spread(pairs, **one, seed=SEED) for one in tests]

# %%
# alt: Spread of the Dice against the number of slices. With ten patients it falls a little and then stays; with more
# alt: patients it goes on falling.
x_label, y_label = "slices that are annotated (number)", "spread of the Dice (SD)"
ax = plots.curves(lines, x_label=x_label, y_label=y_label)
ax.set(xlabel=x_label, ylabel=y_label, ylim=(0, None), xticks=total)
ax.set_title(f"What more work buys, 300 draws each, {source}")
plt.show()

# %% [markdown]
# New slices of old patients soon buy nothing (the wiggles are those of 300 draws). The size of a test is its number of
# **patients**, whatever the abstract says about thousands of slices.
#
# ## 6 Is there blood? Slices, scans, and what a probability means
# A clinic first asks yes or no. The pixels become a score of the slice by their mean probability (renyard), by the mean
# of the highest 1 %, or by the highest one; the highest slice makes the score of the scan. None of this needs true
# masks: where `DATA` has none, it is judged on that folder.

# %%
rows, slice_source = (outside.frame, outside.source) if outside else (frame, source)
slices = {
    part: rows[rows["split"] == part].reset_index(drop=True) for part in ("validation", "test")
}
print(f"slices and scans are judged on: {slice_source}")

# %%
lines, kinds = [], (evaluation.slice_report, evaluation.scan_report)
for score in ("mean_probability", "top_probability", "max_probability"):
    found = pd.concat([report(slices["test"], score=score, seed=SEED)[:1] for report in kinds])
    lines.append(evaluation.show_report(found).assign(score=score, data=slice_source))
pd.concat(lines).set_index("score").drop(columns="note", errors="ignore")

# %% [markdown]
# An interval of [1.00, 1.00] is no certainty: every drawn test holds these same patients again, and what none of them
# shows no draw can show. (No error among n patients still allows a rate of errors up to about 3 / n.)
#
# Compare the rows only as far as their intervals allow. And a scan takes the highest of all its slices: the longer it
# is, the more chances for a false alarm.
#
# An AUROC asks for the order only. But a score that is called a probability promises more: of the slices with 30 %,
# 30 % should bleed. That is **calibration**, and the repair has two numbers (Platt): a slope and an offset, on the
# log-odds. They are fitted on **validation** patients. Fitted on the test, every model would look calibrated.

# %%
score = "top_probability"
odds = {part: logit(rows[[score]].clip(0.001, 0.999)).to_numpy() for part, rows in slices.items()}
platt = LogisticRegression(C=1e6).fit(odds["validation"], slices["validation"]["any"])
for part, rows in slices.items():
    slices[part] = rows.assign(recalibrated=platt.predict_proba(odds[part])[:, 1])
print(f"log-odds x {platt.coef_[0, 0]:.2f} + {platt.intercept_[0]:.2f}")

# %% [markdown]
# Did it help? The **expected calibration error** is the mean distance between promise and truth over the bins; the
# **Brier score** is the mean squared error of the probabilities.

# %%
reliability, how = {}, {"num_bins": 5, "bins": "equal_count", "seed": SEED}
for column in (score, "recalibrated"):
    reliability[column] = evaluation.slice_calibration(slices["test"], score=column, **how)
    error = evaluation.expected_calibration_error(reliability[column])
    brier = evaluation.brier(slices["test"]["any"], slices["test"][column])
    bins = len(reliability[column])
    print(f"{column}: calibration error {error:.3f} ({bins} bins), Brier score {brier:.3f}")

# %%
# alt: Two reliability diagrams with counts below: the score as it is, and recalibrated. The dotted diagonal is perfect.
# alt: After recalibration the points lie closer to it; the intervals are wide.
fig, axes = plt.subplots(2, 2, figsize=(9, 5.6), layout="constrained", height_ratios=[3, 1])
for place, (column, found) in enumerate(reliability.items()):
    ax = plots.calibration_plot(found, axes=axes[:, place])
    ax.set(title=column, xlabel="mean predicted probability", ylabel="part with hemorrhage")
fig.suptitle(f"Calibration of slices, intervals by patient, {slice_source}")
plt.show()

# %% [markdown]
# Calibration holds for one **prevalence**, the part of slices that bleed. In another hospital fewer do, and the same
# 50 % means less. If bleeds look the same there, only the odds p / (1 - p) shift: they are multiplied by the odds of
# the new prevalence, divided by the odds of the old one.
#
# **Exercise 2.** What do probabilities of 10 %, 50 % and 90 % become, where only `rare` of all slices bleed?

# %% tags=["task"]
p, usual, rare = np.array([0.1, 0.5, 0.9]), slices["validation"]["any"].mean(), 0.02
shifted = ...

shifted = check.q12_2(shifted, p, usual, rare)
print(f"prevalence {usual:.1%}: {p}; prevalence {rare:.1%}: {np.round(shifted, 2)}")

# %% tags=["hint"]
check.q12_2.hint()

# %% tags=["solution"]
p, usual, rare = np.array([0.1, 0.5, 0.9]), slices["validation"]["any"].mean(), 0.02
odds = p / (1 - p) * (rare / (1 - rare)) / (usual / (1 - usual))
shifted = odds / (1 + odds)

shifted = check.q12_2(shifted, p, usual, rare)
print(f"prevalence {usual:.1%}: {p}; prevalence {rare:.1%}: {np.round(shifted, 2)}")

# %% [markdown]
# The same happens to a yes or no. A threshold, chosen on validation slices, has a sensitivity and a specificity:

# %%
seen = slices["validation"]
cut = search_threshold(seen["any"], seen["recalibrated"], split="validation").threshold
called = evaluation.slice_report(slices["test"], score="recalibrated", threshold=cut, seed=SEED)
called = called.set_index("metric").loc[["sensitivity", "specificity"]]
sensitivity, specificity = called["estimate"]
evaluation.show_report(called.assign(data=slice_source))

# %% [markdown]
# These two may travel to another hospital. What a patient wants to know does not: "the test is negative: am I well?"
#
# **Exercise 3.** Of those called positive, which part bleeds (PPV)? Of those called negative, which part does not
# (NPV)? Give the pair, at the prevalence `rare`.

# %% tags=["task"]
ppv, npv = ..., ...

ppv, npv = check.q12_3((ppv, npv), sensitivity, specificity, rare)
print(f"where {rare:.0%} bleed: PPV {ppv:.1%}, NPV {npv:.1%}")

# %% tags=["hint"]
check.q12_3.hint()

# %% tags=["solution"]
ppv = sensitivity * rare / (sensitivity * rare + (1 - specificity) * (1 - rare))
npv = specificity * (1 - rare) / (specificity * (1 - rare) + (1 - sensitivity) * rare)

ppv, npv = check.q12_3((ppv, npv), sensitivity, specificity, rare)
print(f"where {rare:.0%} bleed: PPV {ppv:.1%}, NPV {npv:.1%}")

# %%
some = np.array([0.01, 0.05, 0.15, 0.5])  # prevalence
yes = sensitivity * some + (1 - specificity) * (1 - some)  # part that is called positive
columns = {"PPV": sensitivity * some / yes, "NPV": specificity * (1 - some) / (1 - yes)}
shown = pd.DataFrame(columns | {"NPV of never saying yes": 1 - some}, index=some)
shown = shown.rename_axis("prevalence").map("{:.1%}".format)
shown.assign(n=len(slices["test"]), data=slice_source, split="test", seed=SEED)

# %% [markdown]
# Compare the two columns of NPV. Where 5 % bleed, a machine that never says yes has an NPV of 95 % already.
# Always ask what the NPV would be without the test; and remember that a normal slice is no normal patient.
#
# ## 7 Milliliters
# A surgeon asks for the volume. It needs millimeters: NIfTI and DICOM know them, **for a JPG it is unknown**, and a
# guess would be worse than saying so. **Bland and Altman** draw the difference against the mean. The bias is the mean
# error, and 95 % of the differences lie within the limits of agreement.

# %%
in_ml = evaluation.volume_table(test, threshold=threshold)
known = in_ml.dropna(subset="true_ml")
print(f"volume known for {len(known)} of {len(in_ml)} scans")
if len(known):
    found = evaluation.volume_report(test, threshold=threshold, seed=SEED).iloc[:4]
    display(evaluation.show_report(found.assign(data=source), digits=1).set_index("metric"))

# %% [markdown]
# At the bedside the volume is estimated as A x B x C / 2: the largest diameter, the one across it, and the height. That
# looks at shapes, which pixel counts do not hold; so here are the true masks of a phantom of 12 patients. How far off
# is the rule, with perfect eyes?

# %%
rule = so_far.bedside_volumes(seed=SEED)
times = rule["abc2_ml"] / rule["counted_ml"]
print(
    f"ABC/2 is {times.median():.2f} times the true volume (median of {len(rule)} scans, phantom)"
)
rule.assign(times=times).set_index("patient_id").round(1)

# %%
# alt: Two Bland-Altman charts in milliliters. Left, volumes of the model: differences on both sides of zero that grow
# alt: with the volume. Right, ABC/2 of the true masks: too large in nearly every scan, and many times so in one.
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
pairs = [(known["true_ml"], known["predicted_ml"]), (rule["counted_ml"], rule["abc2_ml"])]
titles = [f"{name}, {source}", "ABC/2 of true masks, phantom (synthetic)"]
for ax, (true, other), title in zip(axes, pairs, titles):
    if len(true) > 1:  # one difference has no spread
        plots.bland_altman(true, other, ax=ax)
    ax.set(xlabel="mean of both volumes (mL)", ylabel="difference from the true volume (mL)")
    ax.set_title(f"{title}: {len(true)} scans")
plt.show()

# %% [markdown]
# Read the limits, not the bias: a bias near zero is no help to a patient who is 30 mL off. And look at the points: a
# limit is a summary too, and one scan can make it. ABC/2 takes a bleed for an ellipsoid. A subdural one is a thin shell
# along the skull, and the box around it holds mostly brain; the rule was never meant for it.
#
# ## 8 The leaderboard, and why its first place lies
# All runs with intervals, beside what was published for the same score. Runs with different letters were judged on
# different slices; and on coarse images a Dice is of coarse pixels. A leaderboard of one run would say nothing.

# %%
lines = []
for run, one in runs.table.iterrows():
    rows = runs.frames[run]
    lines.append(
        evaluation.Entry(run, rows[rows["split"] == "test"], one["threshold"], one["seed"])
    )
board = evaluation.leaderboard(lines, seed=SEED)
board["data"] = board["model"].map(runs.table["data"])
columns = ["model", "data", "dice", "auroc", "n", "patients", "split", "test_set", "seed"]
evaluation.show_report(board)[columns]

# %% [markdown]
# The AUROC of the papers is not in the picture: each was measured on slices with another mix. The Dice has its own
# trouble, but look at the intervals first.

# %%
# alt: A forest plot: the Dice of each run here with its interval, below it the published figures as open diamonds,
# alt: which have no interval. Below each name stands what the Dice is over.
ours = board.rename(columns={"dice": "estimate", "dice_low": "low", "dice_high": "high"})
ours = ours.assign(name=ours["model"] + ", " + ours["data"] + "\n(all pixels)", source="here")
papers = evaluation.paper_rows(task="segmentation").query("metric == 'dice'")
names = papers["system"] + ": " + papers["model"] + "\n(" + papers["over"] + ")"
papers = papers.assign(estimate=papers["value"], name=names, source="paper")
ax = plots.interval_plot(pd.concat([ours, papers]), x_label="Dice (0 to 1)")
ax.set(xlabel="Dice (0 to 1)", ylabel="run or paper", xlim=(0, 1))
ax.set_title("Dice: other data, other splits, other n")
plt.show()

# %% [markdown]
# Suppose many runs compete, and **all are equally good**: each finds 80 % of the bleeding patients, and the test has 20
# of those. The best on the test is printed. **Predict** what it reaches among 50 runs.

# %%
curse = evaluation.winners_curse((1, 5, 20, 50), truth=0.8, num_patients=20, seed=SEED)
shown = curse.set_index("runs").map("{:.1%}".format)
shown.assign(n="20 patients", data="simulation", split="validation / test", seed=SEED)

# %% [markdown]
# The winner won by luck, and will lose it at the next test: the **winner's curse**. Choosing on validation patients
# costs nothing, and the test stays honest. A paper that tried 50 settings and prints the best one has done the first.
#
# ## Papers and here
# What was published, on how many, and whether the test was one.

# %%
in_masks = evaluation.segmentation_report(test, threshold=threshold, seed=SEED)
in_slices = evaluation.slice_report(slices["test"], score=score, seed=SEED)
in_masks["data"], in_slices["data"] = source, slice_source
so_far.papers_and_here([in_masks, in_slices])

# %% [markdown]
# None of the papers gives an interval by patient. With four test patients there is none to give. And a Dice over all
# pixels is another number than a mean over slices: where it is not said which, the figures cannot be compared.
#
# ## 9 The model card
# What a user must know, on one page beside the model: data, split, seed, n, the scores of its masks with intervals, the
# threshold and where it came from, limits, and what it is not for.

# %%
limits = [
    f"Trained and judged on {source} alone; other scanners and hospitals were not looked at.",
    "Rare subtypes and small bleeds are too few here to be judged.",
    "Its probabilities do not hold at another prevalence.",
]
record = json.loads((RUNS / name / "run.json").read_text())

# %%
card = evaluation.write_model_card(
    RUNS / name / "model_card.md", name, {"masks": in_masks}, limits=limits,
    trained_on=runs.facts[name].trained_on, judged_on=source, threshold=threshold,
    threshold_from=runs.facts[name].chosen_on, settings=record["settings"]["settings"],
)  # fmt: skip
print(card.read_text())

# %% [markdown]
# > **Take away**: resample patients, never slices. Say the rule for empty masks. Choose models, thresholds and
# > calibration on validation patients. An AUROC says nothing about probabilities; NPV and PPV belong to a prevalence.
# > No millimeters, no milliliters. Write the card.
# >
# > **What can go wrong in the clinic**: a narrow interval from thousands of slices of ten patients sells a model. At
# > the next hospital bleeds are rarer: most alarms are false, and a negative says little that was not known before.
# >
# > **Next**: lesson 13 brings a model out of the notebook: export, speed, a web page, privacy.
# >
# > *For education only. Not a medical device.*
