# %% [markdown]
# # 09 Crops, UNet++ and 3-D
#
# > **Goal**: train on crops and put their predictions back together; know what UNet++ adds to a U-Net; find out why a
# > network learns to paint only black; and give a network its neighboring slices.
# >
# > **You need**: lesson 07. Lesson 08 helps with the losses.
# >
# > **Time**: 40 minutes to read, 1 to 2 minutes to run; one more where the phantom must be made first. Profile `paper`
# > trains nine networks (eight on JPGs) for 100 epochs each: days, on a GPU too (an estimate).
# >
# > **Data**: the phantom (synthetic patients); or a data set with masks, such as CT-ICH.
# >
# > **Hardware**: two CPU cores and 4 GB of memory. No internet.
#
# **fahim** cut CT-ICH into crops and trained UNet++ with five backbones (its tables are in section 5). Two things did
# not work: three windows as three channels "predicted only black", and a 3-D network did not fit the GPU. This lesson
# looks into both.

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
# `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` trains fahim's networks with the
# settings of the report.

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

from hemokit import check, plots, splits
from hemokit.models.unet import unet, unet_plus_plus
from hemokit.patches import cut_patches, patch_positions, patch_weights, stitch
from hemokit.pipelines import slice_pipeline
from hemokit.predictions import counts_at
from hemokit.runs import classifiers, mask_lessons, patch_recipes, recipes
from hemokit.thresholds import choose_threshold
from hemokit.training import load

# %% [markdown]
# The settings. `FAHIM` is the report's second approach: 128 x 128 crops, three windows. Its first one repeats one
# window three times. Learning rate, batch size and augmentation are not in the report: those here are ours. `QUICK`
# is a tiny UNet++ on crops of half a small slice, with the **three windows** of the second approach.

# %%
WINDOWS = ["brain_wide", "subdural", "soft_tissue"]  # 40/120, 80/200 and 40/380 HU
FAHIM = dict(
    image_size=512, windows=WINDOWS, patch=(128, 128), stride=(64, 64),
    filters=(16, 32, 64, 128, 256), batch_norm=True, learning_rate=1e-3, schedule="constant",
    batch_size=16, epochs=100, augmentation="NONE", validate_on="all", predict_stride=(64, 64),
    network="unet_plus_plus:DenseNet169", loss="jaccard_distance",
)  # fmt: skip
QUICK = FAHIM | dict(
    image_size=64, patch=(32, 32), stride=(16, 16), hard_negatives=0.5, negatives=0.5,
    filters=(8, 16, 32), learning_rate=4e-3, schedule="cosine", epochs=2, augmentation="STANDARD",
    validate_on="positive", predict_stride=(16, 16), network="unet_plus_plus",
)  # fmt: skip
VOLUME = dict(
    loss="binary_crossentropy", network="unet_plus_plus", batch_size=4, skips="add",
    halve_slices=1,
)  # fmt: skip
VOLUMES = dict(
    patch=(8, 32, 32), stride=(8, 16, 16), filters=(6, 12, 24), predict_stride=(6, 16, 16),
    epochs=1,
)  # fmt: skip
PATCHES = dict(patch=(16, 128, 128), stride=(8, 64, 64), predict_stride=(8, 64, 64))
quick = PROFILE == "quick"
PHANTOM = {"num_patients": 100 if quick else 82, "image_size": 128 if quick else 512}
RUNS = Path("runs")  # lesson 12 reads it

# %% [markdown]
# Each row of fahim's tables is a recipe: a backbone, its weights, a loss. In `quick` there is no backbone: a network
# of 20 million weights learns nothing in ten seconds. What is compared there is the loss.

# %%
TABLE_2 = {  # backbone, weights, loss: Jaccard and Dice as reported, both "Avg."
    ("ResNet50", "imagenet", "binary_crossentropy"): (0.312, 0.403),
    ("ResNet50", None, "binary_crossentropy"): (0.299, 0.383),
    ("VGG16", None, "binary_crossentropy"): (0.284, 0.369),
    ("DenseNet121", "imagenet", "binary_crossentropy"): (0.321, 0.415),
    ("DenseNet169", "imagenet", "binary_crossentropy"): (0.323, 0.413),
    ("InceptionResNetV2", "imagenet", "binary_crossentropy"): (0.203, 0.279),
    ("DenseNet169", "imagenet", "jaccard_distance"): (0.338, 0.433),
}
RECIPES = {}
if quick:
    RECIPES["UNet++, BCE"] = QUICK | {"loss": "binary_crossentropy"}
    RECIPES["UNet++, Jaccard"] = QUICK
DEEP = "3-D UNet++, BCE"
RECIPES[DEEP] = QUICK | VOLUME | VOLUMES if quick else FAHIM | VOLUME | PATCHES

# %% [markdown]
# ## 1 Crops
# Data and split first, as in lesson 07: by patient, before anything is cut. Crops of one slice overlap; drawn before
# the split, the same pixels would stand on both sides.

# %%
data = recipes.choose_data(DATA, phantom=PHANTOM, most_patients=100 if quick else None, seed=SEED)
source = data.source
table = splits.split_by_patient(data.table, fractions=(0.6, 0.2, 0.2), seed=SEED)
if data.only_renders:
    print("JPGs were windowed when they were made: the brain window alone.")
    RECIPES = {name: one | {"windows": ["brain_wide"]} for name, one in RECIPES.items()}
counted = table.groupby("split")["any"].agg(slices="size", positive="sum")
counted["patients"] = table.groupby("split")["patient_id"].nunique()
counted.assign(data=source, seed=SEED)

# %% [markdown]
# In `paper` the seven rows of fahim's Table II come in now, with one window three times, and the second approach,
# with three windows. The report does not say which network that one had; we take the best of the first.

# %%
here = {}  # a row of Table II -> its recipe's name
if not quick:
    three = ["brain_wide"] * 3
    for (backbone, weights, loss), _ in TABLE_2.items():
        had = classifiers.imagenet_or_random(backbone, (128, 128, 3)) if weights else None
        one = {
            "network": f"unet_plus_plus:{backbone}",
            "weights": had,
            "loss": loss,
            "windows": three,
        }
        row = ", ".join((backbone, weights or "random", loss))
        here[row] = row + (", but from random weights" if weights and not had else "")
        RECIPES[here[row]] = FAHIM | one
    if not data.only_renders:
        RECIPES["three windows"] = RECIPES[next(reversed(RECIPES))] | {"windows": WINDOWS}
first = next(name for name in RECIPES if "3-D" not in name)  # of whole slices, to look at
recipe = RECIPES[first]
windows, window = recipes.recipe_windows(recipe, table), "window 40/120 HU"
how = {"target": "mask", "windows": windows, "image_size": recipe["image_size"]}

# %% [markdown]
# A crop begins every half crop, along both axes. Here is the test slice with the largest hemorrhage, in crops.

# %%
test = table[table["split"] == "test"].reset_index(drop=True)
bled = test[test["any"] == 1].reset_index(drop=True)
loaded = slice_pipeline(bled, batch_size=16, **how).batches
masks = np.concatenate([loaded[number][1] for number in range(len(loaded))])[..., 0] > 0
place = int(masks.sum(axis=(1, 2)).argmax())
image, mask = loaded[place // 16][0][place % 16], masks[place]
positions = patch_positions(mask.shape, recipe["patch"], recipe["stride"])
crops, truths = (cut_patches(one, positions, recipe["patch"]) for one in (image, mask))
print(f"{len(positions)} crops of {recipe['patch']} from a slice of {mask.shape}")

# %%
# alt: The crops of one slice in rows, as they lie in the head. Neighbors share half of their pixels. The orange
# alt: outline of one hemorrhage shows in several of them, whole in some and cut by the edge in others; the rest hold
# alt: none of it.
side = int(len(positions) ** 0.5)
titles = [f"row {top}, column {left}" for top, left in positions]
axes = plots.montage(crops[..., :1], masks=truths, titles=titles, columns=side)
axes[0].figure.suptitle(f"{bled['slice_id'][place]} in crops, {window}, {source}")
plt.show()

# %% [markdown]
# A slice of 512 x 512 in crops of 128 at stride 64 begins at 0, 64, ..., 384: seven starts along each side, 49 crops.
# That is fahim's number.
#
# **Exercise 1.** How many crops of 64 x 64 has a slice of 128 x 128 at stride 16? And how many of them cover a pixel
# in the middle, at row 63 and column 63?

# %% tags=["task"]
how_many, cover = ..., ...

how_many, cover = check.q09_1((how_many, cover))

# %% tags=["hint"]
check.q09_1.hint()

# %% tags=["solution"]
how_many, cover = ((128 - 64) // 16 + 1) ** 2, (64 // 16) ** 2

how_many, cover = check.q09_1((how_many, cover))

# %% [markdown]
# ### Most crops are empty
# **Predict**: which part of all training crops holds any hemorrhage?

# %%
train, validation = patch_recipes.patch_pipelines(table, recipe, seed=SEED)
counts = train.batches.counts
counts.assign(part=(counts["found"] / counts["found"].sum()).round(3), data=source, seed=SEED)

# %% [markdown]
# The row `positive` has the answer: on the phantom fewer than one crop in ten. `found` is what the grid gives, `used`
# what an epoch takes. A **hard negative** lies beside a hemorrhage, in the same slice: there the network must learn
# where the bleed ends. Every crop with hemorrhage is kept, and for each of them half a hard negative and half another
# one is drawn (`hard_negatives` and `negatives` of the recipe); crops of air alone never are. fahim's report tells of
# no such choice, so `paper` takes all.
#
# ## 2 Why only black?
# fahim's second approach "did not segment any ICH region and predicted only black pixels", which the report puts down
# to the windows. Before we blame the windows: what does a loss say about black?

# %%
share = [train.batches[k][1].mean(axis=(1, 2, 3)) for k in range(len(train))]
share = np.concatenate(share)  # of each crop of an epoch
found = counts.set_index("kind")["found"]
every = share[share > 0].mean() * found["positive"] / found.sum()
print(f"hemorrhage in {every:.2%} of the pixels of all crops, {share.mean():.2%} as drawn")
print(f"crops without any, as drawn: {(share == 0).mean():.0%}")

# %% [markdown]
# A little more than half are empty, as augmentation moves some bleeds out of their crops.
#
# A network that knows nothing yet gives every pixel the same probability p. Binary cross-entropy then costs
# -(q ln p + (1 - q) ln(1 - p)), where q is the part of pixels that is hemorrhage.
#
# **Exercise 2.** Let q be 0.001. Which p costs least, and how much is that?

# %% tags=["task"]
best, cost = ..., ...

best, cost = check.q09_2((best, cost))
print(f"p = {best}: a loss of {cost:.4f}, and at a threshold of 0.5 a black picture")

# %% tags=["hint"]
check.q09_2.hint()

# %% tags=["solution"]
best = 0.001
cost = -(0.001 * np.log(best) + 0.999 * np.log(1 - best))

best, cost = check.q09_2((best, cost))
print(f"p = {best}: a loss of {cost:.4f}, and at a threshold of 0.5 a black picture")

# %% [markdown]
# So a loss near zero may be a black picture, with any windows. But BCE stops at q: from there it can still learn.
# What about the Jaccard distance? For a crop with a part t of hemorrhage it is 1 - t p / (t + p - t p); for an empty
# one hemokit takes p / (p + 0.01) (lesson 08).

# %%
# alt: Three losses against p, the probability that all pixels get, on a logarithmic axis. Binary cross-entropy has
# alt: its lowest point at the part of pixels with hemorrhage. The Jaccard distance over all drawn crops falls towards
# alt: p = 0; over the crops with hemorrhage alone it falls towards larger p.
levels = np.logspace(-5, -0.01, 60)
q, bleeding = share.mean(), share[share > 0]
bce = -(q * np.log(levels) + (1 - q) * np.log(1 - levels))
overlap = [(bleeding * p / (bleeding + p - bleeding * p)).sum() for p in levels]
alone = (len(bleeding) - np.array(overlap)) / len(bleeding)
jaccard = alone * (share > 0).mean() + levels / (levels + 0.01) * (share == 0).mean()
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.plot(levels, bce, "C0-", label="binary cross-entropy")
ax.plot(levels, jaccard, "C1--", label="Jaccard distance")
ax.plot(levels, alone, "C2:", label="the same, crops with hemorrhage")
ax.axvline(q, color="gray", linewidth=1, label=f"q = {q:.3f}")
ax.set(xscale="log", ylim=(0, 1.8), xlabel="p, the probability of every pixel", ylabel="loss")
ax.set_title(f"What a constant costs, drawn crops, {source}")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Left is black. With empty crops among the others, the Jaccard distance of a network that does not know yet goes down
# all the way to black: near p = 0 an empty crop pushes p down with a slope of 100, and a crop with blood pulls it up
# with a slope of 1 (lesson 08). Both are then multiplied by the slope of the sigmoid, which is about p there, so that
# hardly a step is left. BCE has no such trap: before the sigmoid its gradient is p - t at every pixel, and for a
# missed pixel that is about -1, however small p is.
#
# ## 3 UNet++
# The skips of a U-Net hand fine features from the encoder straight to the decoder. UNet++ fills the way with
# **nodes**. Node (i, j) lies on level i; it joins *all* nodes left of it on its level with node (i + 1, j - 1), which
# is enlarged, and is a block of two convolutions:
#
#     full size    (0,0)  (0,1)  (0,2) -> mask
#     half            (1,0)  (1,1)
#     quarter            (2,0)
#
# A U-Net has only the first and the last node of each row. A backbone's features at strides 2 to 32 are the nodes
# (1,0) to (5,0); such a UNet++ has 15 million weights (DenseNet121) to 63 million (InceptionResNetV2).
#
# **Concatenating** makes the join wider with each node. fahim meant to **add** instead, to save memory (ours takes
# the mean, so that no signal grows).
#
# **Predict**: does adding save more of the weights, or more of the memory?

# %%
lines = []
for what, one in {"2-D": recipe, "3-D": RECIPES[DEEP]}.items():
    options = {key: one[key] for key in ("filters", "batch_norm", "halve_slices") if key in one}
    shape = (*one["patch"], 3)
    models = {"U-Net": unet(shape, **options)}
    for skips in ("concatenate", "add"):
        models[f"UNet++, {skips}"] = unet_plus_plus(shape, skips=skips, **options)
    for who, model in models.items():
        values = sum(np.prod(layer.output.shape[1:]) for layer in model.layers)
        lines.append((what, shape, who, model.count_params(), round(values * 4 / 2**20, 2)))
pd.DataFrame(lines, columns=["", "a crop", "network", "weights", "MiB of outputs, one crop"])

# %% [markdown]
# Training keeps the outputs of all layers for the way back (here in float32): that is what fills a GPU. Adding saves
# about a tenth of both. What really makes 3-D fit is the **crop**: a scan of 40 slices of 512 x 512 has 40 times as
# many voxels as a crop of 16 x 128 x 128.
#
# ### Train
# The networks of the table; in `quick` two of one architecture on the same crops, with the **same three windows**.
# Only the loss differs. `train_patches` trains on crops, then predicts whole slices by a sliding window.
#
# **Predict**: which of the two losses will do better?

# %% tags=["slow"]
frames, folders = {}, {}
for name in [one for one in RECIPES if "3-D" not in one]:
    slug = "09_" + "".join(letter if letter.isalnum() else "_" for letter in name.lower())
    folders[name], frames[name] = patch_recipes.train_patches(
        table, slug, RECIPES[name], runs=RUNS, source=source, seed=SEED
    )

# %%
several = {name: [one] for name, one in frames.items()}
board = mask_lessons.judge_masks(several, source=source, seed=SEED)
board

# %% [markdown]
# The log shows the soft Dice of probabilities on crops, without a threshold; the table that of masks of whole test
# slices, at the threshold of the validation slices (`dice`) and at 0.5 (`dice_at_half`). The epoch with the best
# `val_dice` is the one that is kept. `black_at_half` is the part of the slices with hemorrhage in which no pixel
# reaches 0.5: a row with 1.0 there paints **only black**. `false_alarms` is the part of the others in which some pixel
# is called. A black picture looks perfect by that, and by its precision.
#
# Lesson 08 met this with whole slices. New is fahim's suspect: on the course's phantom both networks saw the same
# three windows; the one with BCE finds hemorrhage, and the one with the Jaccard distance is black. Its loss ends near
# the share of crops with blood, each of which costs 1: the flat end of the curve above. That is **one possible cause**
# of fahim's black picture (one seed, two epochs, random weights), not its cause for certain. The report does not say
# which loss its black runs had, nor what an empty crop costs in it; with one window three times, ImageNet weights and
# 100 epochs the Jaccard distance was its best.
#
# Try the two controls that are missing: `"windows": ["brain_wide"]`, and no empty crops, `"hard_negatives": 0.0,
# "negatives": 0.0`. Each is one more line `RECIPES["UNet++, Jaccard, ..."] = QUICK | {...}`.
#
# ### Do the windows matter after all?
# All three are the same Hounsfield units, stretched and cut. Scaled as ImageNet's colors were, a channel is
# multiplied and shifted. Let a straight line guess the brain window from another one in the slice above, where both
# are neither black nor white.

# %%
if data.only_renders:
    print("One window alone: nothing to compare.")
else:
    three = slice_pipeline(bled.iloc[[place]], batch_size=1, **how | {"windows": WINDOWS}).batches
    brain, *others = np.moveaxis(three[0][0][0], -1, 0)
    for name, channel in zip(WINDOWS[1:], others):
        seen = (np.minimum(brain, channel) > 0.01) & (np.maximum(brain, channel) < 0.99)
        explained = np.corrcoef(channel[seen], brain[seen])[0, 1] ** 2
        print(f"explained from {name}: {explained:.3f} of the variance, {seen.sum()} pixels")

# %% [markdown]
# Most of it. In Hounsfield units it would be everything: the windows cut bone and air at different places, and only
# then is the slice shrunk, which mixes neighbors. A first convolution can undo a stretch and a shift, so no window can
# *force* a black picture. Three of them may still be harder for weights that were made for photographs: gray is a
# picture that ImageNet's filters know, a false-color CT is not. That may slow the start; whether it can end in black
# was not tried here.
#
# ## 4 Stitching
# Each pixel lies in several crops, and the crops do not agree: near its edge a crop has seen only half of the
# surroundings. Let us predict the crops of the slice above.

# %%
model = load(folders[first])
maps = model.predict_on_batch(cut_patches(image, positions, recipe["patch"]))[..., 0]
weights = patch_weights(recipe["patch"])  # a Gaussian: the middle counts most
print(f"{len(maps)} maps; weights from {weights.min():.3f} at a corner to {weights.max():.2f}")

# %% [markdown]
# **Exercise 3.** A colleague put the crops together: each is written where it belongs. Repair `put_together`, so that
# it gives the mean of all crops at a pixel, weighted by `weights` (of a crop's shape).


# %% tags=["task", "broken"]
def put_together(patches, positions, shape, weights):
    whole = np.zeros(shape)
    for patch, (top, left) in zip(patches, positions, strict=True):
        whole[top : top + len(patch), left : left + len(patch[0])] = patch
    return whole


last = put_together(maps, positions, mask.shape, weights)
put_together = check.q09_3(put_together)

# %% tags=["hint"]
check.q09_3.hint()


# %% tags=["solution"]
def put_together(patches, positions, shape, weights):
    total, weight = np.zeros(shape), np.zeros(shape)
    for patch, (top, left) in zip(patches, positions, strict=True):
        place = slice(top, top + len(patch)), slice(left, left + len(patch[0]))
        total[place] += weights * patch
        weight[place] += weights
    return total / weight


put_together = check.q09_3(put_together)

# %% [markdown]
# Compare the two, and count the steps at the seams: how much the map jumps from one row to the next where a crop
# begins, and elsewhere.

# %%
whole = put_together(maps, positions, mask.shape, weights)
seams = np.isin(np.arange(1, len(mask)), positions[:, 0])
for name, one in {"the last crop": last, "weighted mean": whole}.items():
    jumps = np.abs(np.diff(one, axis=0)).mean(axis=1)
    print(f"{name}: {jumps[seams].mean():.4f} at seams, {jumps[~seams].mean():.4f} elsewhere")
print("as hemokit's own:", np.allclose(whole, stitch(maps, positions, mask.shape), atol=1e-5))

# %%
# alt: The slice with the true outline, two probability maps of it, and where these differ. The maps look alike; what
# alt: differs is little, and lies in the bleed, at its edge and in specks around it.
apart = np.abs(last - whole)
shown = [image[..., 0], last, whole, apart / max(apart.max(), 1e-6)]
titles = ["scan", "the last crop wins", "weighted mean", f"apart, white is {apart.max():.2f}"]
axes = plots.montage(shown, masks=[mask] * 4, titles=titles, columns=4)
axes[0].figure.suptitle(f"{bled['slice_id'][place]}: {first}, {window}, {source}")
plt.show()

# %% [markdown]
# At the seams the mean jumps less; elsewhere both jump alike, at the edges of the bleed. To the eye it is little, where
# the crops nearly agree as here. Overlap is what costs (49 crops instead of 16 at 512 x 512); once it is paid, the
# mean is free. `SlidingWindow`, which made our predictions, does the same in batches, for whole scans.
#
# Look at whole slices: best, middle and worst of the test, at the threshold from validation.

# %%
frame = frames[first]
threshold = choose_threshold(frame[frame["split"] == "validation"]).threshold
scored = frame[frame["split"] == "test"].reset_index(drop=True)
agreed = counts_at(scored, threshold)
scored["dice"] = 2 * agreed.tp / np.maximum(2 * agreed.tp + agreed.fp + agreed.fn, 1)
scored = scored[agreed.tp + agreed.fn > 0].sort_values("dice", ascending=False)
names = scored["slice_id"].iloc[[0, len(scored) // 2, -1]].drop_duplicates().tolist()
rows = table.set_index("slice_id", drop=False).loc[names]
images, truths = slice_pipeline(rows, batch_size=4, **how).batches[0]

# %%
# alt: Rows of pictures: the test slices with the best, the middle and the worst Dice. Each row has the scan, the true
# alt: mask, the stitched probabilities, and both outlines over the scan. In the worst row nothing true is found.
stitched = [
    stitch(
        model.predict_on_batch(cut_patches(one, positions, recipe["patch"])),
        positions,
        mask.shape,
    )
    for one in images
]
stitched = np.clip(stitched, 0, 1)[..., 0]
axes = plots.prediction_panels(
    images[..., :1], truths[..., 0] > 0, stitched, threshold=threshold, titles=names
)
axes[0, 0].figure.suptitle(f"{first}: stitched test slices, {window}, {source}")
plt.show()

# %% [markdown]
# The worst is a speck of a few pixels, the best is not: size decides a good part of a Dice.
#
# ## 5 Papers and here
# fahim's tables, beside the same metrics here. "Avg." in the report: of what is not said. The data of `quick` are not
# the report's, nor is the network: the columns stand side by side so that nobody compares them by heart.

# %%
keys = ["backbone", "weights", "loss"]
paper = pd.DataFrame(TABLE_2, index=["Jaccard", "Dice"]).T.rename_axis(keys)
paper = paper.reset_index().fillna({"weights": "random"})
rows = [", ".join(row) for row in paper[keys].to_numpy()]
paper["pooled Dice here"] = [board["dice"].get(here.get(row), "not trained") for row in rows]
paper.assign(paper_data="CT-ICH, 82 patients; split not said", data_here=source, seed=SEED)

# %%
chosen = first if quick else next(name for name in frames if "jaccard" in name)
system = {chosen: ("fahim", "UNet++ DenseNet169")}
mine = {chosen: [frames[chosen]]}
mask_lessons.masks_beside_papers(mine, system, source=source, seed=SEED).set_index("network")

# %% [markdown]
# `always_black` is what a black picture gets: the specificity of 1 that it shares with a good network says nothing.
#
# fahim's Table III has a sensitivity of 0.673 with a specificity of 0.727. Counted over the same pixels, 27 % of the
# normal ones called hemorrhage leave a Dice of 0.433 only where 16 % of all pixels bleed, and few heads bleed like
# that; and an IoU of 0.338 would be a Dice of 0.505. The averages are over something else, and the report does not say
# what. A score without "of what" is not a score.
#
# ## 6 In three dimensions
# A bleed often goes on in the next slice; a bright speck often does not. A 3-D network sees both. Crops of a few
# slices make it fit; skips are added. At 512 x 512 a pixel is half a millimeter and slices are 5 mm apart, so only the
# deepest pooling halves the slices (`halve_slices=1`); `quick` keeps that, though its pixels are 4 mm wide.

# %%
volumes = patch_recipes.patch_pipelines(table, RECIPES[DEEP], seed=SEED)[0].batches
batch, truth = volumes[0]
print("one batch:", batch.shape, "masks:", truth.shape)
fullest = int(truth.sum(axis=(1, 2, 3, 4)).argmax())

# %%
# alt: Neighboring slices of one crop, from the neck upward. The orange outline of a hemorrhage is in some of them and
# alt: changes from slice to slice; the others have none.
titles = [f"slice {number}" for number in range(1, batch.shape[1] + 1)]
axes = plots.montage(batch[fullest][..., :1], masks=truth[fullest, ..., 0] > 0, titles=titles)
axes[0].figure.suptitle(f"One training crop, {batch.shape[1]} slices, {window}, {source}")
plt.show()

# %% [markdown]
# The order matters: `ScanBatches` sorts nothing, and refuses rows out of order or a scan with a missing slice, because
# its neighbors would be none. Wrong numbers of slices it cannot see.
#
# **Predict**: will 3-D be ahead on the small bleeds, on the large ones, or on none?

# %% tags=["slow"]
what = {"runs": RUNS, "source": source, "seed": SEED}
_, frames[DEEP] = patch_recipes.train_patches(table, "09_volumes", RECIPES[DEEP], **what)

# %%
both = {"2-D: " + first: frames[first], DEEP: frames[DEEP]}
sizes = patch_recipes.masks_by_size(both, source=source, seed=SEED)
several = {who: [one] for who, one in both.items()}
display(mask_lessons.judge_masks(several, source=source, seed=SEED))
sizes.round(3)

# %%
# alt: Bars of the Dice of two networks, in 2-D and 3-D, for the small, the middle and the large third of the test
# alt: slices with hemorrhage. In the profile quick the 2-D bar is the higher one in each third, and 3-D has none in the
# alt: small one.
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for number, (who, some) in enumerate(sizes.groupby("network", sort=False) if len(sizes) else ()):
    places = np.arange(len(some)) + 0.4 * number
    bars = ax.bar(places, some["dice"], 0.38, label=who, color=f"C{number}")
    ax.bar_label(bars, fmt="%.2f")
    names = [f"{size}, n = {n}" for size, n in zip(some["size"], some["n"], strict=True)]
    ax.set_xticks(np.arange(len(some)) + 0.2, names)
    ax.legend()
ax.set(xlabel="third of the slices with hemorrhage, by true area", ylim=(0, 1))
ax.set_ylabel("Dice of the pixels of a third")
ax.set_title(f"2-D and 3-D by the size of the bleed, test, {source}")
plt.show()

# %% [markdown]
# `pixels` is the largest true area of a third; a bleed that is lost when its slice is shrunk is in none of them. Slices
# without hemorrhage are not counted here, so neither are false alarms on them.
#
# On the phantom, in `quick`, 3-D is ahead on none. That is no verdict on 3-D: the two had the same patients and the
# same loss, but the 3-D network has fewer channels (if more weights), adds its skips, had one epoch where the 2-D one
# had two, and took steps of 4 crops of 8 slices where that took 16 of one slice; both are far from done. So this
# compares two short runs. Look, too, how few slices and patients a third holds.
#
# > **Take away**: split, then cut. Most crops are empty: choose what an epoch sees, and ask what your loss says about
# > black before you blame the data. Crops overlap, and the weighted mean of all smooths the seams. 3-D fits when the
# > *crop* is small; adding skips saves a little more.
# >
# > **What can go wrong in the clinic**: a network that paints black has a specificity of 1 and a pixel accuracy near 1;
# > ask for its sensitivity. One that is stitched carelessly may miss what lies at a seam, at the same places of every
# > picture. One that is fed a scan whose slices are numbered wrongly sees neighbors that are none, and says nothing.
# >
# > **Next**: lesson 10 reads whole scans, from DICOM files on. Lesson 11 asks where a network looks; lesson 12 makes an
# > honest report of the runs in `runs`.
# >
# > *For education only. Not a medical device.*
