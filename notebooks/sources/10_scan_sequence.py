# %% [markdown]
# # 10 Whole scans
#
# > **Goal**: go from a folder of DICOM files to a model of whole scans, as fahim did for Table I; find out what the
# > neighbors of a slice add, with an interval by patient; and ask what a wrong order of slices costs.
# >
# > **You need**: lessons 00, 01, 03 and 06. It helps to know what a recurrent network is.
# >
# > **Time**: 40 minutes to read, 1 to 2 minutes to run; one more where the phantom must be made first. Profile `paper`
# > takes days on a CPU, hours on a GPU.
# >
# > **Data**: the phantom, written as the files of RSNA 2019; or a folder laid out so, or a store made of one; or any
# > data set that names its patients, such as CT-ICH, whose slices are then learned from.
# >
# > **Hardware**: two CPU cores and 3 GB of memory. No internet.
#
# A radiologist scrolls. One bright spot on one slice may be noise; blood is usually there on the next one, too.
# **fahim** built that in: a network looks at slices, and a second one reads, for each slice, what the first saw on
# all slices of the scan.

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
# `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` has fahim's settings.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow tells about the processor
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from hemokit import check, evaluation, plots, splits, tables
from hemokit.datasets import read_hounsfield
from hemokit.labels import ANY, LABELS
from hemokit.prepare import prepare_store
from hemokit.reduction import fit_reduction
from hemokit.runs import scan_lessons, sequence_recipes
from hemokit.sequence_batches import SequenceBatches

logging.getLogger("tensorflow").setLevel("ERROR")  # or it tells of scans of another length

# %% [markdown]
# Settings in one place. `paper` is fahim's: ResNeXt-101 on 256 x 256, three windows (40/80, 80/200 and 40/380 HU), 3
# epochs; 120 principal components; a bidirectional LSTM, 5 epochs. Ours, and not the paper's: random weights (its
# ResNeXt came from ImageNet), 2 x 256 units of the LSTM ("256 sized vectors" may be both directions together),
# learning rates, batches and the five folds. `quick` is ResNeXt's small sibling on 32 x 32, and a small LSTM.

# %%
QUICK = sequence_recipes.QUICK | dict(
    image_size=32, batch_size=32, epochs=(8, 8), learning_rates=(3e-3, 4e-3),
    components=16, units=16, scans=4,
)  # fmt: skip
quick = PROFILE == "quick"
recipe = QUICK if quick else sequence_recipes.PAPER
NUM_FOLDS = 2 if quick else 5
PHANTOM = {"num_patients": 60, "image_size": 64 if quick else 256}
RUNS = Path("runs")

# %% [markdown]
# ## 1 A heap of files
# RSNA 2019 is 752,803 files in one folder (874,035 with its test set; fahim writes 870,301, but the paper's three parts
# add up to 874,035), and a CSV of labels. No folders of patients,
# no order. What a file is, its header tells. Here are the first files by name, of our own such folder.

# %%
most = 100 if quick else None
data = scan_lessons.choose_scans(DATA, phantom=PHANTOM, most_patients=most, seed=SEED)
headers = scan_lessons.read_some_headers(data.dicom, most=600)
print(f"{len(headers)} files of {headers['series'].nunique()} scans, {data.dicom_source}")
headers.head(6)

# %% [markdown]
# `z` is the last number of ImagePositionPatient: how far up the slice lies, in mm. In the file it is text, as here.
# `series` names the scan, and a patient may have several. File names are hashes.
#
# Order matters from here on: a model of neighbors must be told who is next to whom.
#
# **Exercise 1, a broken pipeline.** A colleague's `places` gives each file its place among the files of its scan that
# were read, from 0 at the neck. It runs, and gives whole numbers. **Three** things are wrong.


# %% tags=["task", "broken"]
def places(headers):
    ordered = headers.sort_values(["patient", "z"])
    return ordered.groupby("patient").cumcount().to_numpy()


as_it_was = places(headers)
places = check.q10_1(places)
same = np.mean(as_it_was == places(headers))
print(f"{same:.0%} of {len(headers)} places were right ({data.dicom_source})")

# %% tags=["hint"]
check.q10_1.hint()


# %% tags=["solution"]
def places(headers):
    z = headers["z"].astype(float)
    return z.groupby(headers["series"]).rank().to_numpy(int) - 1


as_it_was = headers.groupby("series").cumcount().to_numpy()
places = check.q10_1(places)
same = np.mean(as_it_was == places(headers))
print(f"{same:.0%} of the places are those of the file names ({data.dicom_source})")

# %% [markdown]
# No error told you, and none would have: an LSTM takes slices in any order. InstanceNumber, where there is one, is no
# remedy: it may count from the top, or per acquisition, or start again.
#
# ### Decode once
# Decoding DICOM takes far longer than reading pixels, and training reads each slice many times. So it is done once:
# `hemokit data prepare ROOT --out DIR`, or here in Python. The store keeps the Hounsfield values bit by bit, scan by
# scan from the neck upward. It can be killed and goes on. (`docs/scale.md` has the arithmetic for all 870,301 slices.
# Of a large set make the store first, by that command, and name it in `DATA`: this section is of the phantom then.)
#
# **Predict**: which part of the size is left?

# %%
place = scan_lessons.store_folder(RUNS, data.dicom)
store = prepare_store(data.dicom, place, workers=1)
print(tables.account(store))
sizes = {"DICOM files": data.dicom / "stage_2_train", "store": place}
megabytes = {name: scan_lessons.megabytes(one) for name, one in sizes.items()}
pd.DataFrame({"MB": megabytes}).round(1).assign(slices=len(store), data=data.dicom_source)

# %% [markdown]
# About half is left on the phantom. The account adds up: rows in = used + dropped, each with its reason, file by file
# in `left_out.csv`. (There are more rows than files: the table of labels lists some slices twice, as the challenge's
# does.) A damaged file must be counted, not crash the night's work, and not vanish either.
#
# Look at a scan before any model does: once in the order of file names, once as the store has it.

# %%
bled = store[store[ANY] == 1]["scan_id"].value_counts().index[0]
scan = store[store["scan_id"] == bled]
part = slice(len(scan) // 3, len(scan) // 3 + 6)
chosen = pd.concat([scan.sort_values("slice_id").iloc[part], scan.iloc[part]])
pictures = [read_hounsfield(row) for row in chosen.itertuples()]
titles = [f"place {place}" for place in chosen["slice_index"]]

# %% [markdown]
# Each row has six slices, from a third of the way on in its own order.

# %%
# alt: Two rows of six slices of one scan. Above, in the order of file names, low and high slices alternate at random;
# alt: below, in the order of the positions, each slice resembles its neighbors.
axes = plots.montage(pictures, titles=titles, columns=6, window="brain")
told = "By file name (above), by position (below), brain window (40/80 HU)"
axes[0].figure.suptitle(f"{told}, {data.dicom_source}")
plt.show()

# %% [markdown]
# ## 2 What one slice says
# Now the slices to learn from: those of the store, or your own where they are no DICOM files. Each patient goes into
# one of the folds; each fold is predicted by models that saw none of its patients. So **every** patient is tested
# once, and all of them count in the intervals. There is no validation: the numbers of epochs were chosen beforehand.

# %%
table, source = (store, data.dicom_source) if data.table is None else (data.table, data.source)
recipe = scan_lessons.shown_through(recipe, table)
table = splits.folds_by_patient(table, num_folds=NUM_FOLDS, seed=SEED)
counts = table.groupby("fold")[list(LABELS)].sum().astype(int)
counts.insert(0, "slices", table.groupby("fold").size())
counts.insert(0, "scans", table.groupby("fold")["scan_id"].nunique())
counts.insert(0, "patients", table.groupby("fold")["patient_id"].nunique())
counts.assign(data=source, seed=SEED)

# %% [markdown]
# Six sigmoids: any hemorrhage, and five subtypes. The challenge scored them by one number, the weighted log loss, in
# which `any` counts twice. It is also what both networks are trained by.
#
# **Exercise 2.** `truth` and `said` are arrays (slices, 6), `any` in the first column. Compute the challenge's `loss`:
# for each slice and label -ln of the probability that was given to what is true; the weighted mean over the labels
# (2, 1, 1, 1, 1, 1); the mean over the slices.

# %%
truth = table[list(LABELS)].to_numpy(float)
rate = truth.mean(axis=0).clip(1e-4, 1)
said = np.tile(rate, (len(truth), 1))  # somebody who always says how frequent a label is

# %% tags=["task"]
loss = ...

loss = check.q10_2(loss, truth, said)
print(f"always saying the frequencies costs {loss:.4f} ({source})")

# %% tags=["hint"]
check.q10_2.hint()

# %% tags=["solution"]
losses = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))  # (slices, 6)
loss = np.average(losses, axis=1, weights=[2, 1, 1, 1, 1, 1]).mean()

loss = check.q10_2(loss, truth, said)
print(f"always saying the frequencies costs {loss:.4f} ({source})")

# %% [markdown]
# Remember that number: a model that costs more would better have said the frequencies, however well it ranks. (The
# challenge's winners reached 0.0438 on RSNA; fahim's validation loss is 0.0647. Rare labels make losses small, so
# compare on one data set only.)
#
# ResNeXt is a ResNet whose middle convolutions work in groups, side by side. Ours has one block a stage instead of 3,
# 4, 23 and 3.

# %% tags=["slow"]
how = {"runs": RUNS, "source": source, "seed": SEED}
folds = sequence_recipes.train_slices(table, "10_scan", recipe, **how)
alone = sequence_recipes.put_together(folds)

# %% [markdown]
# Beside it somebody who **never looks**: who knows nothing of a slice but how high up in the scan it lies, and says
# how often the training slices bled that lie as high. **Predict** the AUROC of both, for slices and for scans.

# %%
frames = {"place alone": scan_lessons.place_alone(alone, table), "slice model": alone}
scan_lessons.judge_models(frames, source=source, seed=SEED)

# %% [markdown]
# The first surprise. Bleeding slices are seldom the lowest or the highest, so the place alone ranks **slices** well
# above 0.5. Of two **scans** it knows nothing: each has a middle. (The AUROC of scans is that of their highest slice.
# Here all scans of a fold get the same one, those of the other fold another: that alone moves the row off 0.5.)
#
# Read the slice model against that row, and not against 0.5. On the phantom in `quick`, with 30 patients to learn
# from and half a minute of training, it does not reach it: an AUROC of 0.7 for slices, and of scans it knows no more
# than a coin. It may have learned anatomy alone; its log loss is hardly below the one that you just computed. ("Best
# so far" in the log is of the training loss; the last epoch counts.) Lesson 06 has the remedies: more patients, more
# training, a start that knows the task. The table of each slice model, fahim's too, should have the row "place
# alone". (In Table I every label is harder by scan than by slice, epidural most of all: perhaps because height helps
# nobody there, and one false alarm is enough.)
#
# ## 3 Features, once
# The slice network is done. What it saw of each slice, the output of its last pooling, is computed **once** and kept
# on disk; all that follows learns from that table of numbers, in seconds.
#
# fahim reduced 2,048 features to 120 by PCA. PCA uses no labels, and is still a model: fitted on all patients, it has
# seen the test patients. So it is fitted on the training rows alone.

# %%
features, split = folds[0].vectors.features, folds[0].table
reduction = fit_reduction(features, split, num_components=recipe["components"], seed=SEED)
reduced = reduction.apply(features)
print(
    f"{features.shape} features -> {reduced.shape}; explained: {reduction.explained:.1%}, fold 0"
)

# %%
# alt: A line that rises over the first few components and then bends. A second line, of the test patients on the same
# alt: components, stays close to it.
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for part, style in (("train", "-"), ("test", "--")):
    rows = (split["split"] == part).to_numpy()
    whole = np.var(features[rows], axis=0).sum() / reduction.scale**2
    share = np.cumsum(np.var(reduced[rows], axis=0)) / whole
    ax.plot(np.arange(1, len(share) + 1), share, style, label=f"{part}, {rows.sum()} slices")
ax.set(xlabel="principal components", ylabel="share of the variance", ylim=(0, 1.02))
ax.set_title(f"Components fitted on training patients of fold 0, {source}")
ax.legend()
plt.show()

# %% [markdown]
# The first few components hold much, each further one little: the features repeat each other. On patients that they
# were not fitted on, they hold about as much. (Variance is not importance: what tells a rare subtype may lie in a small
# component. But fewer inputs mean fewer weights to learn from few scans.)
#
# ### Scans of different lengths
# A batch is one array, but one scan has more slices than the next (RSNA's 20 to 60). The short ones are filled up with
# zeros, and a **mask** says where: the LSTM skips them in both directions, and the loss gives them the weight 0.

# %%
train = split[split["split"] == "train"].reset_index(drop=True)
vectors = folds[0].vectors._replace(features=reduced)
batches = SequenceBatches(train, vectors, batch_size=recipe["scans"], training=True, seed=SEED)
slices, labels, weights = batches[0]
print(f"slices {slices.shape}, labels {labels.shape}, weights {weights.shape}")
print(f"slices that are there: {(weights > 0).sum(axis=1)}; mean weight {weights.mean():.2f}")

# %% [markdown]
# 40 is the longest scan, rounded up to a multiple of 8; 23 is a 1 for "there is a slice", 6 probabilities and 16
# components. Slices that are there weigh a little more than 1, so that the mean is 1.
#
# Without the weights the model would learn that nothing bleeds behind the end of a scan: true, easy, and a good
# looking loss.
#
# ## 4 What neighbors add
# Before the LSTM something that needs no training: the mean of each slice and its two neighbors.
#
# **Exercise 3.** `values` are the probabilities of `any` of all slices, scan after scan, in order; `scans` names the
# scan of each. Compute `smoothed`: the mean over a slice and its neighbors, **of the same scan**; at the ends of a
# scan, over the two that there are.

# %%
values = alone[f"probability_{ANY}"].to_numpy()
scans = alone["scan_id"].to_numpy()

# %% tags=["task"]
smoothed = ...

smoothed = check.q10_3(smoothed, values, scans)
print(f"changed by {np.abs(smoothed - values).mean():.3f} on average")

# %% tags=["hint"]
check.q10_3.hint()

# %% tags=["solution"]
by_scan = pd.Series(values).groupby(scans)
three = {"window": 3, "center": True, "min_periods": 1}
smoothed = by_scan.transform(lambda own: own.rolling(**three).mean()).to_numpy()

smoothed = check.q10_3(smoothed, values, scans)
print(f"changed by {np.abs(smoothed - values).mean():.3f} on average")

# %% [markdown]
# Then the **bidirectional LSTM**: one runs from the neck up, one from the vertex down, and both together tell each
# slice what lies around it. A linear layer joins that with what the slice model said. It begins as the slice model
# itself, so training has to find out what the neighbors add.
#
# **Predict**: by how much do the mean of three and the LSTM raise the AUROC? And an LSTM that is given each scan in a
# **wrong order**, in training and in testing alike?

# %% tags=["slow"]
_, whole = sequence_recipes.train_scans(folds, recipe)
mixed = scan_lessons.shuffled_places(table, seed=SEED)
_, wrong = sequence_recipes.train_scans(folds, recipe, order=mixed)

# %% [markdown]
# All on the same slices. The first two rows are those of section 2. (Each fold has a model of its own, and a scale of
# its own: 0.3 of one need not mean what 0.3 of the other means. Judged together, as in this lesson, a score holds that,
# too. The LSTM begins as its fold's slice model, so at the start the two share it; the place alone has its own.)

# %%
score = f"probability_{ANY}"
frames |= {"mean of three": scan_lessons.smooth(alone)}
frames |= {"LSTM": whole, "LSTM, wrong order": wrong}
scan_lessons.judge_models(frames, source=source, seed=SEED)

# %% [markdown]
# The intervals overlap, and that says little: all rows are of the same patients, and a hard patient is hard for all.
# What counts is the **difference** on each resample of patients.

# %%
after = {name: frame for name, frame in frames.items() if name != "slice model"}
gains = scan_lessons.gains(alone, after, source=source, seed=SEED)
evaluation.show_report(gains, digits=4).set_index(["name", "metric"])

# %%
# alt: Differences to the slice model with intervals, for the place alone, the mean of three, the LSTM, and the LSTM
# alt: with a wrong order; left of the AUROC, right of the log loss. A line marks zero, which is no difference.
shown = gains.assign(**(100 * gains[["estimate", "low", "high"]]))
fig, axes = plt.subplots(1, 2, figsize=(12, 2.8), layout="constrained")
for ax, metric in zip(axes, ("AUROC", "log loss"), strict=True):
    plots.interval_plot(shown[shown["metric"] == metric], x_label="", title=metric, ax=ax)
    ax.axvline(0, color="black", linewidth=1)
    ax.set(xlabel=f"better by, in hundredths of {metric}", ylabel="")
fig.suptitle(f"What neighbors add to the slice model, {len(alone)} slices, {source}")
plt.show()

# %% [markdown]
# First look at "excludes zero" of the LSTM: a "yes" is a difference that these patients show (a gain, if it is
# positive), a "no" means that they are too few to tell, whatever the estimate. On the phantom in `quick`, with seed 0,
# it is a "no" in both rows: the scans of 30 patients taught the LSTM nothing that these patients can show.
#
# The second surprise: the **mean of three**, which cannot learn anything, does gain on slices, by intervals that
# exclude zero. (Of scans it gains nothing: see the table above.) It takes off the sharpest errors, and no more:
# neighbors are no independent witnesses, as bone that was taken for blood is on the next slice, too.
#
# Why did the LSTM not find at least that? A likely reason: it was taught with what the slice model says of slices
# that it had **learned from**. Compare the losses in the log: the LSTM begins as the slice model itself, at a loss of
# 0.16 and 0.18 on training patients; on new ones that model costs 0.22. "Trust the slice model" looked like the best
# rule. What the LSTM learned beyond it, it learned by heart: with the wrong order its training loss fell further
# still. Whoever stacks a model on another should give it predictions of patients that the first one has not seen.
# (fahim does not say that it was done; but 21,000 scans are hard to learn by heart.)
#
# The other two rows are controls. The **place alone**, which has not looked at a single pixel, gains more than all
# others in AUROC, by knowing the height. The **wrong order** has the whole scan, but no neighbors. A gain shows
# something about neighbors only where it leaves **both** behind, as a difference on the same patients, too. Otherwise
# a pipeline that mixes up its slices would pass the test. The mean of three does not leave the place behind. And what
# does the wrong order cost the LSTM?

# %%
cost = scan_lessons.gains(wrong, {"the right order": whole}, source=source, seed=SEED)
evaluation.show_report(cost, digits=4).set_index(["name", "metric"])

# %% [markdown]
# On the phantom in `quick` both intervals hold zero: these patients cannot show a cost, because there was next to no
# gain to lose. So a mixed-up pipeline would have passed here, and nobody would know.
#
# With a slice model that sees blood, and thousands of scans, neighbors may well matter: one of the challenge's teams
# went from a log loss of 0.067 to 0.060-0.065 by an LSTM.
#
# Look at one scan, the one with the most bleeding slices.

# %%
# alt: Probability of any hemorrhage over the slices of one scan from neck to vertex, of the slice model and of the
# alt: LSTM; a gray area marks the slices that truly bleed.
longest = alone[alone[ANY] == 1]["scan_id"].value_counts().index[0]
own = {name: frames[name].query("scan_id == @longest") for name in ("slice model", "LSTM")}
lines = {name: (frame["slice_index"], frame[score]) for name, frame in own.items()}
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
plots.curves(lines, x_label="", y_label="", ax=ax)
first = own["LSTM"]
ax.fill_between(first["slice_index"], 0, first[ANY], step="mid", color="0.85", zorder=0)
ax.set(xlabel="slice from the neck", ylabel="probability of any", ylim=(0, 1))
ax.set_title(f"One scan, true hemorrhage in gray, {source}")
plt.show()

# %% [markdown]
# On the phantom in `quick` the LSTM hardly leaves the slice model, and both are low on most slices that bleed.
#
# ## 5 Two ways to cheat
# fahim had 21,000 scans to train on, 744 to validate, 3,528 to test. **Scans**. In the challenge's set a patient may
# have several, and the report does not say that they stayed on one side.
#
# Cut the same slices in three ways: by slice, by scan, by patient; and let the simplest model of all, the five most
# similar pictures, say whether there is blood. **Predict** the AUROC of the three.

# %%
pictures = scan_lessons.thumbnails(table, recipe)  # (slices, pixels)
groups = {name: pd.factorize(table[f"{name}_id"])[0] for name in ("slice", "scan", "patient")}
cuts = GroupKFold(5, shuffle=True, random_state=SEED)
likes = {}
for name, own in groups.items():
    fitted = {"groups": own, "cv": cuts, "method": "predict_proba"}
    likes[name] = cross_val_predict(KNeighborsClassifier(5), pictures, table[ANY], **fitted)[:, 1]
several = table.groupby("patient_id")["scan_id"].transform("nunique") > 1

# %% [markdown]
# A patient with two scans is where a cut by scan goes wrong, so those are judged on their own, too.

# %%
judged = {"all slices": np.ones(len(table), bool), "of patients with two scans": several}
scan_lessons.judge_cuts(table, likes, judged, source=source, seed=SEED)

# %% [markdown]
# By slice, a picture's neighbors in the scan are among those to compare with: the model knows the patient, not the
# blood. By scan it is better hidden. Whoever has one scan is cut honestly, whoever has two is recognized in the other
# one. That makes a better score, and one that is worth nothing for a new patient. Only the cut by patient
# says what will happen on the next one. (Where your data have one scan a patient, the last two rows of each block
# agree up to the draw, or are left out.)
#
# ## 6 Table I
# fahim's AUC of slices and scans beside ours. One threshold is not needed for it; accuracy is in `label_table`, too,
# and for rare labels it says next to nothing.

# %%
full = evaluation.label_table(whole, num_resamples=500, seed=SEED)
full = evaluation.show_report(full[full["metric"] == "auroc"].assign(data=source))
columns = ["estimate", "n", "positives", "patients", "paper", "data", "split", "seed"]
full.set_index(["label", "unit"])[columns].rename(columns={"estimate": "here", "paper": "fahim"})

# %% [markdown]
# And the paper's row for row, with what is known of it:

# %%
paper = evaluation.paper_rows("fahim").query("model == 'ResNeXt-101 + LSTM'")
paper["n"] = paper["task"].map({"slice": "121,232 slices", "scan": "3,528 scans"})
paper = paper.assign(interval="none published", data="RSNA 2019 DICOM")
paper[["task", "metric", "value", "n", "interval", "data", "split"]].set_index(["task", "metric"])

# %% [markdown]
# The columns are **not** the same experiment: another network, other slices, 21,000 scans against a few dozen. Ours has
# intervals, and they are wide; a label with few positive patients may have none. A row of the phantom says that the
# code works, and nothing about patients.
#
# > **Take away**: order comes from the position, as a number, within a scan. Decode once; count what was left out.
# > Whatever is fitted, PCA too, is fitted on training patients. Mask what is not there. Test a gain as a difference, by
# > patient, and against a control that takes away what you believe caused it.
# >
# > **What can go wrong in the clinic**: another scanner sends its slices from the top, or a second series in between,
# > and a model of neighbors goes on giving probabilities, a little worse, on every scan, and says nothing.
# >
# > **Next**: lesson 11 asks where a network looks.
# >
# > *For education only. Not a medical device.*
