# %% [markdown]
# # 03 Splits and leakage
#
# > **Goal**: split a data set so that its test score means something, and see how far the score lies when you do not.
# >
# > **You need**: lessons 00 to 02, and a first acquaintance with scikit-learn.
# >
# > **Time**: 30 minutes to read, 15 to 25 seconds to run; half a minute more where the phantom must be made first.
# >
# > **Data**: the phantom (24 synthetic patients); or a real data set that names its patients, such as CT-ICH.
# >
# > **Hardware**: any laptop. No GPU, no network.
#
# In this lesson a model scores more than 90 % on a question that has no answer. Every line of its code is correct,
# and published work has taken the same step.

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
import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import rotate
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hemokit import check, splits
from hemokit.checks import HemokitError
from hemokit.datasets import find_dataset, open_dataset, read_image
from hemokit.datasets.phantom import phantom_root
from hemokit.labels import ANY, SHORT, SUBTYPES
from hemokit.manifests import is_phantom
from hemokit.plots import montage

# %% [markdown]
# ## 1 Look before you split
# One row of the table is one slice. Let us look at six rows that follow each other.

# %%
_, folder = find_dataset(DATA or phantom_root(seed=SEED))
table = open_dataset(folder)
if table["patient_id"].isna().any() or table["patient_id"].nunique() < 8:
    print("This folder names no patients, or fewer than 8: no honest split is possible with it.")
    print("The phantom stands in.")
    folder = phantom_root(seed=SEED)
    table = open_dataset(folder)
source = "phantom (synthetic)" if is_phantom(folder) else "real scans"
patients = table["patient_id"].unique()
if PROFILE == "quick" and len(patients) > 100:
    print(f"Profile quick: the first 100 of {len(patients)} patients.")
    patients = patients[:100]
table = table[table["patient_id"].isin(patients)].reset_index(drop=True)
print(f"{source}: {len(table)} slices of {len(patients)} patients")

# %%
# alt: Six neighboring head CT slices of one patient in the brain window. Each looks almost like the one before it: the
# alt: same outline of the skull, the same tilt of the head, the same ventricles.
some = table.iloc[14:20]
images = [read_image(row)[..., 0] for _, row in some.iterrows()]  # brain window
axes = montage(images, titles=[f"slice {name}" for name in some["slice_id"]])
axes[0].figure.suptitle(f"Neighbors, brain window, {source}")
plt.show()

# %% [markdown]
# Cover one of them with your hand: from its two neighbors you could nearly draw it. **Six rows of the table, but
# hardly more than one observation.** So how many observations are there?

# %%
per_patient = table.groupby("patient_id")["any"].agg(["size", "sum"]).sort_values(["sum", "size"])
normal, positive = per_patient["size"] - per_patient["sum"], per_patient["sum"]
num_positive = (positive > 0).sum()
print(f"{len(table)} slices, {table['any'].sum()} positive ({table['any'].mean():.0%})")
print(f"{len(patients)} patients, {num_positive} positive ({num_positive / len(patients):.0%})")

# %%
# alt: One stacked bar for each patient: normal slices below, slices with hemorrhage on top. More than half of the
# alt: patients have no hemorrhage; in the others it fills a part of the scan.
places = range(len(normal))
fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
ax.bar(places, normal, color="C0", label="normal slices")
ax.bar(places, positive, bottom=normal, color="C1", hatch="//", label="slices with hemorrhage")
ax.set(xlabel="patients, fewest positive slices first", ylabel="slices (number)")
ax.set_title(f"One bar a patient, {source}")
fig.legend(loc="outside upper right", ncols=2)
plt.show()

# %% [markdown]
# Many slices, few patients. Which of the two numbers is the size of this data set? An experiment will tell.
#
# ## 2 A question without an answer
# Throw a coin **for each patient** and write the result on all slices of that patient: 1 for heads, 0 for tails. No
# picture shows how a coin fell. An honest test can find nothing but chance.

# %%
rng = np.random.default_rng(SEED)
coins = pd.Series(rng.integers(0, 2, len(patients)), index=patients)
y = table["patient_id"].map(coins).to_numpy()  # one label a slice
print(f"{coins.sum()} heads, {(coins == 0).sum()} tails; {y.mean():.0%} of the slices are heads")

# %% [markdown]
# The model sees each slice as 32 x 32 gray values. Most hemorrhages shrink to a few pixels; the shape of the head
# stays. And it is the simplest model there is: look up the most similar training slice, and repeat its label. (The
# scaler gives each pixel the same say. It learns from the training slices only.)

# %%
images = (read_image(row)[..., 0] for _, row in table.iterrows())  # one by one, to save memory
small = np.stack([cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA) for image in images])
X = small.reshape(len(small), -1)  # (slices, 1024)

# %%
nearest_neighbor = make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=1))


def score(train, test, metric=accuracy_score, model=nearest_neighbor):
    """Fit on train = (X, y), judge on test = (X, y)."""
    return metric(test[1], model.fit(*train).predict(test[0]))


# %% [markdown]
# Now split as many tutorials do: draw 20 % of the rows for the test. No slice is in both parts.
#
# **Predict**: the labels are coins. Will the test show about 50 %, 60 %, 75 %, or more than 90 %? Write your number
# down.

# %%
by_slice = rng.random(len(table)) < 0.2  # True: test
found = score((X[~by_slice], y[~by_slice]), (X[by_slice], y[by_slice]))
print(f"coins, split by slice: accuracy {found:.1%}", end=" ")
print(f"(n = {by_slice.sum()} slices, seed {SEED}, {source})")

# %% [markdown]
# ## 3 How can that be?
# The model predicts coins. That would be a miracle; so it must be answering another question. A nearest neighbor can
# be asked for its reasons. Above, four test slices. Below each, the training slice whose label it was given.

# %%
scaler, neighbors = nearest_neighbor.fit(X[~by_slice], y[~by_slice])
test = np.flatnonzero(by_slice)  # rows of the table
found = neighbors.kneighbors(scaler.transform(X[test]), return_distance=False)[:, 0]
nearest = np.flatnonzero(~by_slice)[found]  # for each test slice, its nearest training slice

# %%
# alt: Four test slices in the upper row, and below each the training slice most like it. Most pairs are of one patient,
# alt: a slice or two apart, and much alike.
pick = np.linspace(0, len(test) - 1, 6).astype(int)[1:5]
shown = [*test[pick], *nearest[pick]]
parts = ["test slice"] * 4 + ["train slice"] * 4
titles = [f"{part} {table['slice_id'][row]}" for part, row in zip(parts, shown, strict=True)]
axes = montage([read_image(table.iloc[row])[..., 0] for row in shown], titles=titles, columns=4)
axes[0].figure.suptitle(f"Tests and their nearest training slices, brain window, {source}")
plt.show()

# %% [markdown]
# Read the ids: mostly the same patient, a slice or two away. For how many of the test slices is that so?

# %%
patient, index = table["patient_id"].to_numpy(), table["slice_index"].to_numpy(int)
same = patient[test] == patient[nearest]
apart = np.median(np.abs(index[test] - index[nearest])[same])
print(f"{same.mean():.1%} of {len(test)} neighbors are of the same patient", end=", ")
print(f"{apart:.0f} slice away (median)")

# %% [markdown]
# There is the explanation. The model knows nothing about coins: it **recognizes people**, and the training part holds
# a label for each of them. This is a **leak**: what the test should ask for has reached the training data by another
# way. No slice was in both parts and no line was wrong.
#
# ## 4 The repair: split patients
# `split_by_patient` deals whole patients out. Those with and without hemorrhage are dealt separately, so that each
# part gets its share of both.

# %%
parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=SEED)
by_patient = (parts["split"] == "test").to_numpy()
num_test = parts.loc[by_patient, "patient_id"].nunique()
found = score((X[~by_patient], y[~by_patient]), (X[by_patient], y[by_patient]))
print(f"coins, split by patient: accuracy {found:.1%}", end=" ")
print(f"(n = {by_patient.sum()} slices of {num_test} patients, seed {SEED}, {source})")

# %% [markdown]
# The miracle is over. But do not read much into this one number, wherever it lies: a handful of test patients means a
# handful of coins. So do both splits 50 times, with new coins each time.

# %%
scores = []
for repeat in range(50):
    rng = np.random.default_rng([SEED, repeat])
    coins = pd.Series(rng.integers(0, 2, len(patients)), index=patients)
    y = table["patient_id"].map(coins).to_numpy()
    by_slice = rng.random(len(table)) < 0.2
    parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=repeat)
    by_patient = (parts["split"] == "test").to_numpy()
    found = [score((X[~side], y[~side]), (X[side], y[side])) for side in (by_slice, by_patient)]
    scores.append([*found, max(y.mean(), 1 - y.mean())])
scores = pd.DataFrame(scores, columns=["by slice", "by patient", "always say the frequent side"])

# %%
# alt: Two clouds of 50 points. Split by slice: all accuracies lie high and close together. Split by patient: they
# alt: scatter widely around the dashed line at 50 percent.
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for place, (name, marker) in enumerate({"by slice": "o", "by patient": "s"}.items()):
    x = place + np.linspace(-0.3, 0.3, 50)
    ax.scatter(x, 100 * scores[name], marker=marker, color=f"C{place}")
ax.axhline(50, color="gray", linestyle="--")
ax.set(xticks=[0, 1], xticklabels=["by slice", "by patient"], ylim=(0, 102))
ax.set(xlabel="how it was split", ylabel="accuracy (%)")
ax.set_title(f"Guessing coins: 50 experiments, {source}")
plt.show()

# %%
half = 1.96 * scores.std() / np.sqrt(len(scores))
columns = {"mean": scores.mean(), "95 % from": scores.mean() - half, "to": scores.mean() + half}
coin_table = pd.DataFrame({**columns, "lowest": scores.min(), "highest": scores.max()})
coin_table.map("{:.1%}".format)

# %% [markdown]
# Three things to read (the interval is that of the mean over 50 experiments):
#
# - **By slice** the score is high in every single experiment, and false in every one.
# - **By patient** the mean is at chance, where it belongs. Single experiments lie far off it on both sides: so little
#   does a test of a few patients say. Remember it when a paper tests on four.
# - The last row is no leak: if more coins fell on heads, always saying heads does better than 50 %.
#
# The size of this data set is its number of **patients**. Is the false score the fault of our simple model? Ask a
# better one.

# %%
forest = []
for repeat in range(10):
    rng = np.random.default_rng([SEED, repeat])
    coins = pd.Series(rng.integers(0, 2, len(patients)), index=patients)
    y = table["patient_id"].map(coins).to_numpy()
    by_slice = rng.random(len(table)) < 0.2
    trees = ExtraTreesClassifier(n_estimators=30, random_state=repeat)
    train, test = (X[~by_slice], y[~by_slice]), (X[by_slice], y[by_slice])
    forest.append(score(train, test, model=trees))
print(f"coins, split by slice, 30 random trees: accuracy {np.mean(forest):.1%} (mean of 10)")

# %% [markdown]
# The better the model, the better it uses a leak. Yagis et al. (2021) did this with convolutional networks and brain
# MRI: 96 % on random labels by slice, 50 % by subject.
#
# **Exercise 1.** Write the alarm yourself. The table `wrong` is split by slice, but every third patient was put back
# into the training part. List the ids of all patients that are in more than one split, sorted.

# %% tags=["task"]
put_back = table["patient_id"].isin(patients[::3])
wrong = table.assign(split=np.where(by_slice & ~put_back, "test", "train"))
shared = ...

shared = check.q03_1(shared, wrong)
print(f"{len(shared)} of {len(patients)} patients are on both sides")

# %% tags=["hint"]
check.q03_1.hint()

# %% tags=["solution"]
put_back = table["patient_id"].isin(patients[::3])
wrong = table.assign(split=np.where(by_slice & ~put_back, "test", "train"))
num_splits = wrong.groupby("patient_id")["split"].nunique()
shared = sorted(num_splits.index[num_splits > 1])

shared = check.q03_1(shared, wrong)
print(f"{len(shared)} of {len(patients)} patients are on both sides")

# %% [markdown]
# hemokit's alarm stops with one sentence. Put it into every training script, right after the split.

# %%
try:
    splits.check_no_leakage(wrong)
except HemokitError as error:
    print(error)
splits.check_no_leakage(parts)
print("split by patient: no leak found")

# %% [markdown]
# ## 5 And with true labels?
# Coins test the *test*. What does the leak do to the real question, blood or not? Most slices are normal and accuracy
# flatters (lesson 00), so we take **balanced accuracy**: the mean of sensitivity and specificity. Whoever guesses
# gets 50 %.

# %%
truth, scores = table["any"].to_numpy(int), []
for repeat in range(20):
    by_slice = np.random.default_rng([SEED, repeat]).random(len(table)) < 0.2
    parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=repeat)
    sides = by_slice, (parts["split"] == "test").to_numpy()
    both = [((X[~side], truth[~side]), (X[side], truth[side])) for side in sides]
    scores.append([score(train, test, balanced_accuracy_score) for train, test in both])
true_scores = np.mean(scores, axis=0)
print("blood or not, balanced accuracy, mean of 20 splits:", end=" ")
print("by slice {:.1%}, by patient {:.1%}".format(*true_scores))

# %% [markdown]
# By slice the nearest neighbor looks like a good detector. By patient it can hardly do a thing. With coins everybody
# sees that something is wrong; with true labels the same gap looks like success.
#
# **So throw the coins.** Give each patient a random label and run your whole pipeline: it must fall to chance.
#
# ## 6 The leak in three disguises
# A leak can also come from what was done **before** the split. Three of our papers multiplied their positive slices:
#
# - **repeats**: renyard repeated 318 positive slices to 2,024, beside 2,182 normal ones. Four whole patients were
#   held out, so no copy crosses over. Without that it would.
# - **augmentation**: twobranch turned, mirrored and zoomed positives until both kinds were equal, *then* split 80/20.
# - **rows**: northeastern kept one row a region (lesson 02), *then* split.
#
# To see this leak alone we deal the true labels out to **random slices**. Now neighbors, too, know nothing.

# %%
angles = np.linspace(-5, 5, 8)  # degrees
how = {"axes": (1, 2), "reshape": False, "order": 1, "mode": "nearest"}
turned = np.stack([rotate(small, angle, **how) for angle in angles])
turned = np.concatenate([turned, turned[..., ::-1]]).reshape(16, *X.shape)  # 16 versions
versions = {"repeats": X[None], "augmentation": turned}

# %% [markdown]
# **Predict**: copies first, then the split. What balanced accuracy do labels reach that were dealt out at random?

# %%
early = {"repeats": [], "augmentation": []}
for repeat in range(20):
    rng = np.random.default_rng([SEED, repeat])
    dealt = rng.permutation(truth)
    num_copies = max(len(dealt) - 2 * dealt.sum(), 0)  # then as many are positive as normal
    copies = rng.choice(np.flatnonzero(dealt), num_copies)
    for name, bank in versions.items():
        X_all = np.vstack([X, bank[rng.integers(len(bank), size=len(copies)), copies]])
        y_all = np.append(dealt, dealt[copies])
        side = rng.random(len(y_all)) < 0.2
        train, test = (X_all[~side], y_all[~side]), (X_all[side], y_all[side])
        early[name].append(score(train, test, balanced_accuracy_score))

# %% [markdown]
# The right order: split by patient, make copies of the **training** slices only, leave the test as it is.

# %%
late = {"repeats": [], "augmentation": []}
for repeat in range(20):
    rng = np.random.default_rng([SEED, repeat])
    dealt = rng.permutation(truth)
    parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=repeat)
    train, test = (np.flatnonzero(parts["split"] == name) for name in ("train", "test"))
    positives = train[dealt[train] == 1]
    num_copies = max(len(train) - 2 * len(positives), 0)
    copies = rng.choice(positives, num_copies)
    for name, bank in versions.items():
        X_train = np.vstack([X[train], bank[rng.integers(len(bank), size=len(copies)), copies]])
        y_train = np.append(dealt[train], dealt[copies])
        held_out = X[test], dealt[test]
        late[name].append(score((X_train, y_train), held_out, balanced_accuracy_score))

# %%
# alt: Balanced accuracy on random labels. Copies made before the split: far above the line at 50 percent, highest for
# alt: repeats. Copies made after a split by patient: around the line.
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
orders = {"copies, then split": early, "split by patient, then copies": late}
for number, (label, results) in enumerate(orders.items()):
    means, spread = (100 * f(list(results.values()), axis=1) for f in (np.mean, np.std))
    places, color = np.arange(2) + 0.4 * number, f"C{1 - number}"
    ax.bar(places, means, 0.36, yerr=2 * spread, capsize=4, color=color, label=label)
ax.axhline(50, color="gray", linestyle="--")
ax.set(xticks=[0.2, 1.2], xticklabels=list(early), ylim=(0, 100))
ax.set(xlabel="how positives were multiplied", ylabel="balanced accuracy (%)")
ax.set_title(f"Labels dealt out at random, 20 experiments each, {source}")
fig.legend(loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
# A copy in the training part gives the answer away, and being turned by five degrees and mirrored hides it badly.
# (Bars: mean of 20, lines: twice the standard deviation.)
#
# And the rows? Northeastern had 5,488 rows on 2,984 slices, and tested on 10 %. We do not know which slices had more
# than one row, so we deal the extra rows out at random. The alarm sees such rows, as long as the copies keep their
# ids:

# %%
rng = np.random.default_rng(SEED)
rows = np.append(np.arange(2984), rng.integers(0, 2984, 5488 - 2984))  # the slice of each row
test = rng.random(len(rows)) < 0.1
leaked = np.isin(rows[test], rows[~test]).mean()
print(f"{leaked:.0%} of test rows show a slice of the training part (simulation, seed {SEED})")

# %%
copies = np.flatnonzero(truth).repeat(5)
rows = table.iloc[np.append(np.arange(len(table)), copies)]
rows = rows.assign(split=np.where(rng.random(len(rows)) < 0.2, "test", "train"))
print("leaks found in our own table:", splits.find_leaks(rows)["kind"].value_counts().to_dict())

# %% [markdown]
# ## 7 Repair a broken pipeline
# `splits.balance` makes copies, and refuses a table that was not split before, or test rows. A colleague does it by
# hand, and nothing stops them.
#
# **Exercise 2.** Repair `prepare`: no patient on both sides, training slices balanced, every test slice once, no
# slice lost. `splits` has what you need.


# %% tags=["task", "broken"]
def prepare(table, seed):
    positives = table[table["any"] == 1]
    copies = positives.sample(len(table) - 2 * len(positives), replace=True, random_state=seed)
    rows = pd.concat([table, copies], ignore_index=True)
    is_test = np.random.default_rng(seed).random(len(rows)) < 0.2
    return rows.assign(split=np.where(is_test, "test", "train"))


prepare = check.q03_2(prepare)
prepared = prepare(table, SEED)
print(prepared.groupby("split")["any"].agg(slices="size", positive="sum"))

# %% tags=["hint"]
check.q03_2.hint()


# %% tags=["solution"]
def prepare(table, seed):
    parts = splits.split_by_patient(table, fractions={"train": 0.8, "test": 0.2}, seed=seed)
    train = splits.balance(parts[parts["split"] == "train"], seed=seed)
    return pd.concat([train, parts[parts["split"] == "test"]], ignore_index=True)


prepare = check.q03_2(prepare)
prepared = prepare(table, SEED)
print(prepared.groupby("split")["any"].agg(slices="size", positive="sum"))

# %% [markdown]
# Training is half and half, the test keeps the true mix. A balanced test would be no leak, for nothing crosses over.
# But it would make hemorrhage more frequent than it is, and precision depends on that: of the alarms that a model
# gives, fewer are right where the finding is rare, as it is in a hospital.
#
# ## 8 Folds, and what is too rare to judge
# One test of a few patients says little, so let every patient be in the test once: **folds**. Left, patients dealt
# out blindly; right, `folds_by_patient`, which deals patients with and without hemorrhage separately.

# %%
num_folds = 4
blind = np.random.default_rng(SEED).permutation(np.arange(len(patients)) % num_folds)
folds = {"dealt blindly": table["patient_id"].map(pd.Series(blind, index=patients))}
dealt = splits.folds_by_patient(table, num_folds=num_folds, seed=SEED)
folds["folds_by_patient"] = dealt["fold"]
has = table.groupby("patient_id")[[ANY, *SUBTYPES]].max()  # one row a patient, 0 or 1

# %%
# alt: Two tables of numbers as colors: positive patients of each subtype in each of four folds. Dealt blindly, the row
# alt: "any" is uneven; folds_by_patient makes it even. In both, rare subtypes are missing from some folds.
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for ax, (name, fold) in zip(axes, folds.items(), strict=True):
    counts = has.groupby(fold.groupby(table["patient_id"]).first()).sum().T
    ax.pcolormesh(counts, cmap="cividis", edgecolors="white", vmin=0, vmax=has["any"].sum() / 2)
    for (row, column), number in np.ndenumerate(counts):
        color = "black" if number > has["any"].sum() / 4 else "white"  # light above half
        ax.text(column + 0.5, row + 0.5, number, ha="center", va="center", color=color)
    ax.set(title=f"{name}: positive patients", xlabel="fold", ylabel="label")
    ax.set_xticks(np.arange(num_folds) + 0.5, range(num_folds))
    ax.set_yticks(np.arange(6) + 0.5, ["any", *map(SHORT.get, SUBTYPES)])
axes[0].invert_yaxis()
fig.suptitle(source)
plt.show()

# %% [markdown]
# The row "any" is now even. The subtypes are not, and often cannot be: a zero means that in this fold nobody can say
# how well the subtype is found.
#
# **Exercise 3.** For which subtypes could *every* fold hold a positive patient, if one dealt cleverly? Give a list of
# their names. `has` is above.

# %% tags=["task"]
possible = ...

possible = check.q03_3(possible, has, num_folds)
print("can be judged in every fold:", ", ".join(possible) or "none")

# %% tags=["hint"]
check.q03_3.hint()

# %% tags=["solution"]
possible = [subtype for subtype in SUBTYPES if has[subtype].sum() >= num_folds]

possible = check.q03_3(possible, has, num_folds)
print("can be judged in every fold:", ", ".join(possible) or "none")

# %% [markdown]
# For the others no split into four folds helps, only fewer folds or more patients. Say so in the report, instead of
# giving a number.
#
# ## Papers and here
# How the scores came about. The lines of this notebook are means over 50 and 20 experiments.

# %%
n = f"{len(table)} slices, {len(patients)} patients"
both = "by slice / by patient"
coin_text = "accuracy {:.1%} / {:.1%}".format(*coin_table["mean"][:2])
true_text = "balanced accuracy {:.1%} / {:.1%}".format(*true_scores)
order_scores = np.mean(early["repeats"]), np.mean(late["repeats"])
order_text = "balanced accuracy {:.1%} / {:.1%}".format(*order_scores)
lines = [
    ("Yagis 2021", "random", "brain MRI, real", "see paper", both, "accuracy 96 % / 50 %", "-"),
    ("renyard", "true", "CT-ICH, real", "127 slices, 4 pat.", "by patient", "AUPRC 0.93", "-"),
    ("twobranch", "true", "CT-ICH, real", "2,501 slices", "copies first", "AUC 0.98", "-"),
    ("northeastern", "true", "RSNA JPG, real", "1,835 slices", "by row", "accuracy 61.83 %", "-"),
    ("here", "coins", source, n, both, coin_text, SEED),
    ("here", "true", source, n, both, true_text, SEED),
    ("here", "dealt at random", source, n, "repeats first / split first", order_text, SEED),
]
columns = ["who", "labels", "data", "n", "split", "score", "seed"]
pd.DataFrame(lines, columns=columns).set_index("who")

# %% [markdown]
# The scores of the papers cannot be compared with each other: other tasks, other data, and above all other splits.
# Which of them would hold for the next patient? Only for renyard's does the split allow the question, and then on
# four patients.
#
# > **Take away**: the patient is the unit. Split by patient, then balance, then augment, the training part only.
# > Random labels must score at chance. Sound the alarm with `check_no_leakage` in every script.
# >
# > **What can go wrong in the clinic**: a detector is bought for its 98 %, which came from knowing the test patients.
# > The next patient is one it has never met.
# >
# > **Next**: lesson 04 gives whole slices to ten classical models, with an honest split, and two that never look.
# >
# > *For education only. Not a medical device.*
