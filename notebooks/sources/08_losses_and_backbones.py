# %% [markdown]
# # 08 Losses, two branches, and a frozen encoder
#
# > **Goal**: know what each of four losses asks of a network, see what goes wrong with each, and compare three
# > networks of two papers on the same patients.
# >
# > **You need**: lesson 07. Sections 3 and 4 of lesson 06 (frozen, unfrozen, random weights) help.
# >
# > **Time**: 40 minutes to read, 2 to 3 minutes to run; one more where the phantom must be made first. Profile
# > `paper` takes a day on a GPU.
# >
# > **Data**: the phantom (synthetic patients); or a real data set with masks, such as CT-ICH.
# >
# > **Hardware**: two CPU cores and 4 GB of memory. No internet.
#
# A loss is the only thing that a network is ever told. It does what you asked, which need not be what you meant.

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
# As in every lesson: `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` has the papers' own
# settings, and five folds for the losses.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow tells about the processor
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hemokit import check, losses, plots, splits
from hemokit.equalize import equalize, stretch
from hemokit.pipelines import slice_pipeline
from hemokit.runs import classifiers, mask_lessons, recipes
from hemokit.runs.data import with_split
from hemokit.thresholds import choose_threshold
from hemokit.training import load

# %% [markdown]
# Everything that may be changed stands in one place. **twobranch** (CT-ICH) trained a U-Net with a rate of 0.00001 and
# its own two-branch network with 0.001, on equalized slices of 160 pixels. **math7243** (RSNA) trained a U-Net on a
# frozen ResNet50 with the Dice loss for 20 epochs, at 512 pixels and in three windows. Where a paper is silent (batch,
# patience, which slices), the choice is ours.

# %%
BASE = dict(
    network="unet", image_size=64, windows=["brain_wide"], prepare="equalize_and_stretch",
    filters=(8, 16, 32), batch_norm=True, loss="binary_crossentropy", learning_rate=6e-3,
    schedule="cosine", batch_size=8, epochs=2, train_on="balanced", images_an_epoch=800,
    augmentation="NONE",
)  # fmt: skip
TWOBRANCH = BASE | dict(
    image_size=160, filters=(16, 32, 64, 128), batch_norm=False, learning_rate=1e-5,
    schedule="constant", patience=10, batch_size=16, epochs=100, images_an_epoch=None,
    augmentation="TWOBRANCH",
)  # fmt: skip
FROZEN = dict(
    network="transfer_unet:ResNet50", frozen=True, weights=None, prepare=None, loss="dice_loss",
    train_on="positive",
)  # fmt: skip
quick = PROFILE == "quick"
LOSSES = {"BCE": "binary_crossentropy", "Dice": "dice_loss"}
LOSSES |= {"Jaccard": "jaccard_distance", "Dice + BCE": "dice_bce"}
UNET = BASE if quick else TWOBRANCH | {"learning_rate": 1e-3, "epochs": 30}
FOLDS = None if quick else range(5)  # None is one split
PHANTOM = {"num_patients": 100 if quick else 82, "image_size": 128 if quick else 512}
RUNS = Path("runs")

# %% [markdown]
# ## 1 Look
# The same patients as in lessons 06 and 07. All networks of this lesson are trained, and judged, on one split of them
# (`paper`: on five folds), by patient.

# %%
most = 100 if quick else None
data = recipes.choose_data(DATA, phantom=PHANTOM, most_patients=most, seed=SEED)
source = data.source
table = with_split(data.table, fractions=(0.6, 0.2, 0.2), seed=SEED)
patients = table.groupby("split", sort=False)["patient_id"].nunique()
print(f"{source}: {len(table)} slices; patients: {patients.to_dict()}")

# %% [markdown]
# Then one number that decides much of what follows. **Predict**: what part of a slice with hemorrhage is hemorrhage?

# %%
windows, window = recipes.recipe_windows(UNET, table), plots.window_title(UNET["windows"][0])
bled = table[(table["split"] == "train") & (table["any"] == 1)]
some = bled.iloc[:: max(1, len(bled) // 48)].head(48).reset_index(drop=True)
how = {"target": "mask", "image_size": UNET["image_size"], "windows": windows}
images, masks = slice_pipeline(some, batch_size=48, **how).batches[0]
share = masks.mean(axis=(1, 2, 3))

# %%
print(f"slices with hemorrhage: {table['any'].mean():.0%} of all; their pixels: ", end="")
print(f"{np.median(share):.2%} in the middle one of {len(some)} from the training rows")

# %% [markdown]
# So a picture is nearly all background, and most pictures are all background. Keep "about one pixel in a hundred" in
# mind.
#
# ### twobranch's preprocessing
# The paper shows its networks no brain window as it is. First **equalization**: a gray value becomes the part of the
# slice's pixels that are not brighter, with the darkest ones (the air) left out of the count. Then a **stretch**:
# percentiles 2 and 98 become 0 and 1.

# %%
places = np.argsort(share)[[len(share) // 2, -len(share) // 4, -1]]
steps = [images[places, ..., 0]]
steps.append(np.stack([equalize(one) for one in steps[0]]))
steps.append(np.stack([stretch(one) for one in steps[1]]))
outlines = list(masks[places, ..., 0] > 0)

# %%
# alt: Three slices in three rows: as read, equalized, and then stretched. Equalized, the few gray values of the brain
# alt: fill most of the range: hemorrhage stands out, and so does the noise. The stretch changes little.
names = ("as read", "equalized", "and stretched")
titles = [f"{name}, slice {number}" for name in names for number in range(1, len(places) + 1)]
shown = list(np.concatenate(steps))
axes = plots.montage(shown, masks=outlines * 3, titles=titles, columns=len(places))
axes[0].figure.suptitle(f"Slices with hemorrhage, {window}, {source}")
plt.show()

# %% [markdown]
# More contrast inside the brain: that is what the paper wanted. What was paid for it? Take the same gray in different
# slices, which in a fixed window is the same density in Hounsfield units.
#
# **Predict**: is it the same gray after equalization, too?

# %%
# alt: One rising line a slice: the gray value before equalization against the one after. The lines do not coincide:
# alt: one gray value before is spread over a range of values after.
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
after = []
for image in images[:24, ..., 0]:
    order = np.argsort(image, axis=None)
    before, made = image.ravel()[order], stretch(equalize(image)).ravel()[order]
    ax.plot(before, made, color="C0", alpha=0.5, linewidth=1)
    after.append(np.interp(0.6, before, made))
ax.set(
    xlabel="gray as read (0 is -20 HU, 1 is 100 HU)",
    ylabel="gray after equalization and stretch (0 to 1)",
)
ax.set_title(f"24 slices at most, {UNET['image_size']} px, {source}")
low, middle, high = np.quantile(after, (0, 0.5, 1))
print(f"gray 0.6 becomes {low:.2f} to {high:.2f}, {middle:.2f} in the middle slice")
plt.show()

# %% [markdown]
# After equalization a gray value is a **rank** in its slice, no density: good contrast for an eye, an absolute scale
# lost. The lines part because slices differ in how much bone they have, and how much blood: the larger the
# bleed, the more pixels share the upper ranks. All networks of this lesson but one are given such slices, as in the
# paper, so that they can be compared.
#
# ## 2 What a loss asks for
# Before any training: suppose a network **cannot tell blood from brain yet**, and gives every pixel the same
# probability p. On a slice with 42 pixels of hemorrhage out of 64 x 64, which p costs least?
#
# **Predict** it for cross-entropy, and for the Dice loss.

# %%
levels = np.geomspace(0.0005, 1, 300)
gray = levels[:, None, None, None] * np.ones((1, 64, 64, 1))
empty, bleed = np.zeros_like(gray), np.zeros_like(gray)
bleed[:, 28:34, 28:35] = 1

# %% [markdown]
# The losses are hemokit's own, and take batches: each of the 300 "slices" here is one p.

# %%
functions = {name: getattr(losses, loss) for name, loss in LOSSES.items()}
cost = {name: [np.asarray(f(t, gray)) for t in (bleed, empty)] for name, f in functions.items()}

# %%
# alt: Two charts of the loss against one probability for all pixels, on a logarithmic axis. Left, a slice with 1 % of
# alt: hemorrhage: cross-entropy is lowest at 0.01, Dice and Jaccard fall slowly up to 1, Dice + BCE lies above 1.
# alt: Right, an empty slice: Dice and Jaccard rise steeply from 0.001 on and are one half at 0.01; cross-entropy stays
# alt: near 0 up to 0.1.
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", sharey=True)
for ax, place, title in zip(axes, (0, 1), ("42 of 4096 pixels are blood", "empty slice")):
    for number, (name, both) in enumerate(cost.items()):
        style = ("-", "--", ":", "-.")[number]
        ax.plot(levels, both[place], style, color=f"C{number}", label=name)
    ax.set(xscale="log", ylim=(0, 1.2), xlabel="probability of every pixel", title=title)
axes[0].set_ylabel("loss of the slice (BCE in nats)")
axes[0].legend()
plt.show()

# %% [markdown]
# **Cross-entropy** asks each pixel for its probability. Where nothing is known, the honest answer is the part of
# pixels that bleed: 0.01. So a network that is trained with it begins with "one in a hundred" everywhere, which at a
# threshold of 0.5 is **black**. That is no bug. It is calibrated ignorance, under imbalance.
#
# **Dice** and **Jaccard** ask for overlap, and do not care for the background at all: on a slice with blood, they
# would rather have everything called blood than nothing. But look how little they care, 0.98 (Jaccard 0.99) instead
# of 1; and then look at the empty slice, where every false pixel counts.
#
# ### Jaccard is Dice in other words
# **Exercise 1.** Write `to_jaccard`: from the Dice loss of a slice with hemorrhage (1 - Dice) to its Jaccard distance
# (1 - IoU).


# %% tags=["task"]
def to_jaccard(dice_loss):
    return ...


to_jaccard = check.q08_1(to_jaccard)
gap = to_jaccard(cost["Dice"][0]) - cost["Jaccard"][0]
print(f"largest difference from hemokit's own Jaccard distance: {np.abs(gap).max():.7f}")

# %% tags=["hint"]
check.q08_1.hint()


# %% tags=["solution"]
def to_jaccard(dice_loss):
    return 2 * dice_loss / (1 + dice_loss)


to_jaccard = check.q08_1(to_jaccard)
gap = to_jaccard(cost["Dice"][0]) - cost["Jaccard"][0]
print(f"largest difference from hemokit's own Jaccard distance: {np.abs(gap).max():.7f}")

# %% [markdown]
# One rises whenever the other does: on a single slice they have the same best answer, and cannot disagree about which
# of two masks is better. They differ in the **slope** alone: the Jaccard distance is twice as steep near a perfect
# mask, and half as steep near a hopeless one. As a mean over slices that is another weighting: Jaccard looks more at
# those that are nearly right. (So it is no law of nature that fahim's best row has the Jaccard distance.)
#
# ### The empty slice
# Textbooks write 1 - (2 sum(t p) + s) / (sum(t) + sum(p) + s), and add s = 1 to numerator and denominator so that an
# empty slice is no 0/0. Ours counts m / (m + 0.01) on an empty slice, with m the **mean** probability.
#
# **Exercise 2.** On an empty slice of 64 x 64 pixels a network is sure of 4 pixels that are none (p = 1), and gives 0
# to all others. What does each of the two cost?

# %% tags=["task"]
textbook, ours = ..., ...

textbook, ours = check.q08_2((textbook, ours))
print(f"textbook {textbook:.3f}, ours {ours:.3f}, and a slice that is missed altogether 1")

# %% tags=["hint"]
check.q08_2.hint()

# %% tags=["solution"]
textbook, ours = 1 - 1 / (4 + 1), (4 / 64**2) / (4 / 64**2 + 0.01)

textbook, ours = check.q08_2((textbook, ours))
print(f"textbook {textbook:.3f}, ours {ours:.3f}, and a slice that is missed altogether 1")

# %% [markdown]
# With the textbook's s, four stray pixels cost nearly as much as a missed bleed, on an image of any size; and a
# thousand cost hardly more than forty, so there is little reason to take some of them back. A rule for 0/0 is a
# clinical decision in disguise.
#
# ## 3 Four losses, the same patients
# The same U-Net, the same rows in the same order, the same start; the loss alone differs. Half of the training rows
# have hemorrhage (positive slices are repeated). `quick` has one split, `paper` five folds.
#
# **Predict**: which of the four will paint the test slices black at a threshold of 0.5?

# %% tags=["slow"]
how = {"name": "08", "folds": FOLDS, "runs": RUNS, "source": source, "seed": SEED}
systems = {name: UNET | {"loss": loss} for name, loss in LOSSES.items()}
frames, folders = mask_lessons.train_networks(data.table, systems, **how)

# %%
board = mask_lessons.judge_masks(frames, source=source, seed=SEED)
board

# %% [markdown]
# Read `dice_at_half` and `black_at_half` first: a threshold that nobody chose. Then `threshold` and `dice`: what is
# left when validation rows choose it. Whoever reports a network at 0.5 alone may report its threshold rather than its
# sight.

# %%
# alt: Dice of the validation pixels against the threshold on a logarithmic axis, one line for each loss. Curves peak at
# alt: very different thresholds and heights; some stay near zero everywhere.
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for number, (name, several) in enumerate(frames.items()):
    seen = several[0][several[0]["split"] == "validation"]
    curve, style = choose_threshold(seen).table, ("-", "--", ":", "-.")[number]
    ax.plot(curve["threshold"], curve["f1"], style, color=f"C{number}", label=name)
ax.set(xscale="log", xlim=(0.001, 1), xlabel="threshold (probability)", ylabel="Dice")
ax.set_title(f"{seen['patient_id'].nunique()} validation patients, first split, {source}")
ax.legend()
plt.show()

# %% [markdown]
# ### The surprise
# Everybody warns that cross-entropy paints black under imbalance, and recommends Dice. On the phantom, in `quick`, it
# is the other way round: with cross-entropy the network finds some hemorrhage, while with Dice and with Jaccard it
# gives up (`black_at_half` is 1, and the best of all thresholds does not help). Dice + BCE is black at 0.5, too, and
# keeps a trace at a low threshold. What says your table?
#
# To see why, go back to the network that cannot tell yet, and show it not one slice but a **mix** of slices with blood
# and empty ones. Which p costs least?

# %%
mixes = {"slices with blood alone": (1, 0), "half and half": (0.5, 0.5), "1 in 6": (1 / 6, 5 / 6)}
best = {}
for name, (with_blood, without) in cost.items():
    sums = {mix: a * with_blood + b * without for mix, (a, b) in mixes.items()}
    best[name] = {mix: levels[one.argmin()] for mix, one in sums.items()}
pd.DataFrame(best).T.round(4)

# %% [markdown]
# Cross-entropy wants the part of pixels that bleed in the mix. Dice and Jaccard **flip**: with blood in every slice,
# call everything blood (p = 1); as soon as one slice in fifty is empty (Jaccard: one in a hundred), nothing (0.0005
# is the lowest that was tried). And black is a trap: against p, an empty slice pushes down with a slope of 100 there,
# and a slice with blood pulls up with one of 2 (Jaccard: 1). Only a network that tells blood from brain gets out, and
# at the start none does.
#
# So it is not the rare pixels that Dice fails on, it is the empty **slices**. Ways out, all in use, none of them
# sure: more steps; cross-entropy beside it, which pulls at each pixel by itself (on the phantom in `quick`, 200 steps
# were not enough for it); the Dice of a whole batch as one picture, where no slice is empty for itself
# (`pooled_dice_bce`, lesson 07); or training on slices with hemorrhage alone, as northeastern did. That one is paid
# for elsewhere: such a network has never seen a normal slice. Remember it in section 5.
#
# ## 4 Repair a broken pipeline
# twobranch made copies of hemorrhagic slices (turned by up to 5 degrees, flipped, zoomed) until there were as many as
# normal ones. **Then** it split, 80/20, by slice.
#
# **Exercise 3.** That is `rows_to_train` below, with each copy as a row of its own. Repair it: 60 % of the patients
# train, 20 % validate, 20 % test; training rows alone are balanced.
#
# **Predict**: of the test slices with hemorrhage, how many have a copy among the training rows?


# %% tags=["task", "broken"]
def rows_to_train(table, seed):
    rows = splits.balance(table.assign(split="train"), seed=seed).drop(columns="split")
    part = np.random.default_rng(seed).random(len(rows))
    names = np.select([part < 0.6, part < 0.8], ["train", "validation"], "test")
    return rows.assign(split=names)


print("as it was:", mask_lessons.both_sides(rows_to_train(data.table, SEED)))
rows_to_train = check.q08_3(rows_to_train)
print("repaired: ", mask_lessons.both_sides(rows_to_train(data.table, SEED)))

# %% tags=["hint"]
check.q08_3.hint()


# %% tags=["solution"]
def rows_to_train(table, seed):
    table = splits.split_by_patient(table, fractions=(0.6, 0.2, 0.2), seed=seed)
    train = splits.balance(table[table["split"] == "train"], seed=seed)
    return pd.concat([train, table[table["split"] != "train"].assign(copy=0)])


rows_to_train = check.q08_3(rows_to_train)
print("repaired: ", mask_lessons.both_sides(rows_to_train(data.table, SEED)))

# %% [markdown]
# With about six copies of a slice it is luck to have all of them on one side. Turned by a few degrees, it is still
# the same slice, and the patient is on both sides even without a copy. The network is tested on what it was taught.
# hemokit refuses that order (`splits.balance` wants a split table). **Online** augmentation makes new versions of
# training rows alone, in each epoch, and needs no copies on disk.
#
# ## 5 Two branches, and a frozen encoder
# twobranch's network looks at a slice through two branches of convolution and pooling, joins them at the bottom and
# goes up by transposed convolutions. No skips: what is lost in pooling is lost. The paper leaves open in what the
# branches differ; ours have convolutions 3 and 5 wide. math7243's has a ResNet50, frozen, on its way down.

# %%
size = UNET["image_size"]
MORE = {"two branches": BASE | {"network": "two_branch", "filters": (16, 32, 64)}}
SMALL = {"filters": (64, 32, 16, 16, 8), "epochs": 1, "images_an_epoch": 480, "batch_size": 16}
MORE["ResNet50 U-Net, frozen, random weights"] = BASE | FROZEN | SMALL
if not quick:
    weights = classifiers.imagenet_or_random("ResNet50", (512, 512, 3))
    jpg = table["dataset"].iloc[0] == "ct_ich_jpg"  # no soft tissue window there
    three = ["brain_wide"] * 3 if jpg else ["brain", "bone", "subdural"]
    two = {"network": "two_branch", "filters": (32, 64, 128), "learning_rate": 1e-3}
    math7243 = {"image_size": 512, "windows": three, "filters": (256, 128, 64, 32, 16)}
    math7243 |= {"weights": weights, "learning_rate": 1e-3, "epochs": 20, "patience": None}
    MORE = {"U-Net, twobranch": TWOBRANCH, "two branches": TWOBRANCH | two}
    MORE[f"ResNet50 U-Net, frozen, {weights or 'random'} weights"] = TWOBRANCH | FROZEN | math7243

# %%
lines = {}
for name, recipe in {"U-Net": UNET, **MORE}.items():
    network = recipes.build_network(recipe, (size, size, len(recipe["windows"])))
    learned = sum(int(np.prod(one.shape)) for one in network.trainable_weights)
    lines[name] = {"weights": network.count_params(), "trained": learned, "loss": recipe["loss"]}
    lines[name] |= {"slices": recipe["train_on"], "prepare": recipe["prepare"]}
pd.DataFrame(lines).T

# %% [markdown]
# The two-branch network has the loss, the slices and the preprocessing of the U-Net with BCE above: only the network
# differs. The third differs in more than that: Dice loss and no equalization, as in its paper; slices with hemorrhage
# alone (our choice); and in `quick` 30 steps instead of 200. Its name says what its encoder knew: with random weights,
# nothing was transferred.
#
# **Predict**: which has the highest Dice? And which raises the most false alarms?

# %% tags=["slow"]
of_more, folders_of_more = mask_lessons.train_networks(data.table, MORE, **how)
frames, folders = frames | of_more, folders | folders_of_more

# %%
board = mask_lessons.judge_masks(frames, source=source, seed=SEED)
board[["threshold", "dice", "iou", "false_alarms", "n", "patients", "data", "split", "seed"]]

# %% [markdown]
# Compare "two branches" with "BCE": both are of the same patients, so what counts is the difference on each resample of
# them (lesson 10 does that). Without it name no winner, whatever the paper says of its own.
#
# `false_alarms` is the part of slices without blood in which something is called blood. The ResNet was never shown
# such a slice: on the phantom its threshold goes up to 0.999, and still most of them raise an alarm. Dice and Jaccard
# do so for another reason: at a threshold near 0 nearly every pixel is called, hence Dice's sensitivity of 1. Then
# look at the masks.

# %%
first = frames["BCE"][0].query("split == 'test'")  # of the first split
area = pd.Series([one.sum() for one in first["hemorrhage"]], index=first["slice_id"])
middle = area[area > 0].sort_values().index[[-1, -int((area > 0).sum() // 3) - 1]]
two_slices = data.table.set_index("slice_id", drop=False).loc[middle]

# %% [markdown]
# One of these two is the largest bleed of the test slices, the other is larger than two thirds of them. Each network
# gets them as it was trained to.

# %%
maps = {}
for name, recipe in {**systems, **MORE}.items():
    seen = {key: recipe[key] for key in ("image_size", "prepare")} | {"batch_size": 2}
    seen |= {"windows": recipes.recipe_windows(recipe, two_slices), "target": "mask"}
    pictures, truth = slice_pipeline(two_slices, **seen).batches[0]
    maps[name] = (
        pictures[..., 0],
        truth[..., 0] > 0,
        np.asarray(load(folders[name][0])(pictures, training=False)),
    )

# %%
# alt: Two test slices in two rows, with the true outline in orange; beside them what each network sees in them, from
# alt: black (0) to white, on a scale of its own. Some are black or gray all over; some glow at the
# alt: bleed, and several along the skull.
fig, axes = plt.subplots(2, len(maps) + 1, figsize=(13, 4.2), layout="constrained")
for row in range(2):
    pictures, truth, _ = maps["BCE"]
    plots.show_slice(pictures[row], mask=truth[row], title="as prepared", ax=axes[row, 0])
    for ax, (name, (_, _, drawn)) in zip(axes[row, 1:], maps.items()):
        highest = max(float(drawn[row].max()), 1e-6)
        ax.imshow(drawn[row, ..., 0] / highest, cmap="gray", vmin=0, vmax=1)
        ax.set_axis_off()
        ax.set_title(f"{name.split(',')[0]}\nup to {highest:.2g}", fontsize=8)
fig.suptitle(f"Probabilities, {window}, two test slices, {source}")
plt.show()

# %% [markdown]
# Each picture has a scale of its own, so that faint knowledge shows: look at the number above it. A network that is
# "black" at 0.5 may glow in the right place, and as brightly along the skull, where nothing bleeds; one that has
# given up is flat, or glows everywhere. The two-branch network is coarse, as its mask comes from 1/8 of the
# resolution, without skips.
#
# ## 6 Papers and here
# Both papers' figures beside the same scores here, and beside those of a picture **without a single pixel**. "Macro
# F1" is the mean of the F1 of hemorrhage and that of background. AUROC is of pixels here; what the paper's is of, it
# does not say.

# %%
two_branch = ("twobranch", "two-branch network")
models = {
    "BCE" if quick else "U-Net, twobranch": ("twobranch", "U-Net"),
    "two branches": two_branch,
}
models[list(MORE)[-1]] = ("math7243", "ResNet50 U-Net")
mask_lessons.masks_beside_papers(frames, models, source=source, seed=SEED).set_index("network")

# %% [markdown]
# Read `always_black` first: where most slices are empty, a pixel accuracy of 0.99 and more is earned by no pixel at
# all; neither paper says what a black picture gets on its slices. A macro F1 has half a point for the background
# before it begins: 0.92 would be an F1 of about 0.84 of the hemorrhage, and thus an IoU of 0.72, not 0.56. So the two
# are not counted over the same pixels in the same way. And twobranch's test slices had copies in training (section 4).
#
# And a pixel AUROC near 1 beside an IoU near 0 says that nearly all pixels are easy background. (AUROC and macro F1
# have no interval here.)
#
# A score on the phantom is a score on the phantom. What can be taken along from it is the order of the mistakes.
#
# > **Take away**: know what your loss says of an empty slice. A network that knows nothing yet is calibrated by
# > cross-entropy to its training rows, and so black at 0.5; choose the threshold of any loss. Dice and Jaccard have the
# > same best mask on a single slice. Split, then copy. Name a backbone together with its weights.
# >
# > **What can go wrong in the clinic**: equalization makes gray a rank, so that the same blood has another gray in
# > the next slice. A network that was trained on bleeding slices alone calls blood in most normal ones, at night, when
# > nobody has time for false alarms.
# >
# > **Next**: lesson 09 cuts slices into patches, and goes to UNet++ and to 3-D.
# >
# > *For education only. Not a medical device.*
