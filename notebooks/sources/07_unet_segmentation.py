# %% [markdown]
# # 07 Segmentation with a U-Net
#
# > **Goal**: train the U-Net of two papers on slices and masks, choose a threshold, and score it so that the score
# > can be believed.
# >
# > **You need**: lessons 00 to 03, and section 5 of lesson 05 (a test that chose is no test). What a convolution is
# > helps.
# >
# > **Time**: 45 minutes to read, 1 to 2 minutes to run; one more where the phantom must be made first. Profile
# > `paper` takes hours on a GPU.
# >
# > **Data**: the phantom (synthetic patients); or a real data set with masks, such as CT-ICH. Real slices without
# > masks are looked at in the end.
# >
# > **Hardware**: two CPU cores and 3 GB of memory. No internet.
#
# A black picture is the best segmentation of most slices. This lesson is about a network that does better, and about
# scores that do not notice.

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
# As in every lesson: `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` trains both papers'
# networks with their own settings.

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

from hemokit import augment, check, evaluation, losses, plots, splits
from hemokit.augment import augment_pair
from hemokit.metrics import Counts, dice, iou, pixel_accuracy, sum_counts
from hemokit.models.unet import unet
from hemokit.pipelines import slice_pipeline
from hemokit.predictions import counts_at
from hemokit.runs import recipes
from hemokit.thresholds import choose_threshold, search_threshold
from hemokit.training import fit, load, predict

# %% [markdown]
# Everything that may be changed stands in one place. `quick` is northeastern's architecture on small images, for two
# cores; three windows as channels make up for some of the size. The two of `paper` are what the papers say: **renyard**
# (CT-ICH, balanced by repeating positive slices, strong augmentation) and **northeastern** (slices with hemorrhage
# only, batch normalization, no augmentation).

# %%
QUICK = dict(
    image_size=64, windows=["brain_wide", "brain", "subdural"], filters=(8, 16, 32, 64, 128),
    batch_norm=True, loss="pooled_dice_bce", learning_rate=4e-3, schedule="cosine", batch_size=8,
    epochs=6, train_on="balanced", images_an_epoch=1600, augmentation="STANDARD",
)  # fmt: skip
RENYARD = dict(
    image_size=256, windows=["brain_wide"], filters=(16, 32, 64, 128, 256), batch_norm=False,
    loss="binary_crossentropy", learning_rate=1e-3, schedule="constant", batch_size=16,
    epochs=144, train_on="balanced", images_an_epoch=5000, augmentation="RENYARD",
)  # fmt: skip
NORTHEASTERN = dict(
    image_size=512, windows=["brain_wide"] * 3, filters=(8, 16, 32, 64, 128), batch_norm=True,
    loss="binary_crossentropy", learning_rate=1e-4, schedule="constant", batch_size=6,
    epochs=50, train_on="positive", images_an_epoch=768, augmentation="NONE",
)  # fmt: skip
quick = PROFILE == "quick"
RECIPES = {"unet": QUICK} if quick else {"renyard": RENYARD, "northeastern": NORTHEASTERN}
PHANTOM = {"num_patients": 100 if quick else 82, "image_size": 128 if quick else 512}
MOST = 100 if quick else None  # patients
HELD_OUT = 0.2 if quick else 4  # for validation, and as many for the test: a part, or patients
RUNS = Path("runs")  # lesson 12 reads it

# %% [markdown]
# ## 1 Look before you train
# Training needs a mask for every slice with hemorrhage, and the names of the patients. A folder that lacks one of
# them is not trained on: the phantom stands in, and the folder waits for section 7.

# %%
data = recipes.choose_data(DATA, phantom=PHANTOM, most_patients=MOST, seed=SEED)
table, source = data.table, data.source
print(f"{source}: {len(table)} slices of {table['patient_id'].nunique()} patients")
if quick and data.only_renders:
    print("JPGs were windowed when they were made: the brain window alone.")
    RECIPES["unet"] = QUICK | {"windows": ["brain_wide"]}

# %% [markdown]
# Then the split, by patient (lesson 03), before anything is multiplied. northeastern's split was by slice; here both
# papers' networks get the same patients.

# %%
part = HELD_OUT if HELD_OUT < 1 else HELD_OUT / table["patient_id"].nunique()
table = splits.split_by_patient(table, fractions=(1 - 2 * part, part, part), seed=SEED)
counted = table.groupby("split")["any"].agg(slices="size", positive="sum")
counted["patients"] = table.groupby("split")["patient_id"].nunique()
counted.assign(data=source, seed=SEED)

# %% [markdown]
# Which slices are hard to see? Six with hemorrhage, of six training patients, at the size that the network will see;
# of its channels the first one.

# %%
name, recipe = next(iter(RECIPES.items()))  # the lesson looks at the first one
rows = {part: table[table["split"] == part].reset_index(drop=True) for part in splits.SPLITS}
windows, window = recipes.recipe_windows(recipe, table), "window 40/120 HU"
how = {"target": "mask", "windows": windows, "image_size": recipe["image_size"]}
positive = rows["train"][rows["train"]["any"] == 1]
some = positive.groupby("patient_id").sample(1, random_state=SEED)[:6].reset_index(drop=True)
images, masks = slice_pipeline(some, batch_size=6, **how).batches[0]  # (6, size, size, channels)

# %%
# alt: Six head CT slices of six patients, each with hemorrhage. The true outline is orange. The areas
# alt: differ: some fill a part of the brain, some are a few pixels, and some have vanished.
axes = plots.montage(images[..., :1], masks=masks[..., 0] > 0, titles=some["slice_id"].tolist())
axes[0].figure.suptitle(f"Slices with hemorrhage and their masks, {window}, {source}")
share = masks.mean(axis=(1, 2, 3))
print("part of the slice that is hemorrhage:", ", ".join(f"{one:.2%}" for one in share))
print(f"slices with hemorrhage: {table['any'].mean():.0%} of {len(table)} ({source})")
plt.show()

# %% [markdown]
# Where no outline shows, the bleed is smaller than a pixel at this size.
#
# Two kinds of rarity: few slices have a hemorrhage, and in those it rarely fills more than a few percent. Whoever
# paints all slices black is right in nearly every pixel. Keep that in mind.
#
# ## 2 From files to batches
# renyard repeated positive slices until there were about as many as normal ones (318 became 2,024, beside 2,182).
# `balance` does that to training rows, and refuses others. An epoch of renyard has 5,000 images, drawn from these.

# %%
balanced = splits.balance(rows["train"], seed=SEED)
epoch = recipes.draw_epoch(rows["train"], recipe, seed=SEED)
for what, one in {
    "training rows": rows["train"],
    "balanced": balanced,
    "an epoch": epoch,
}.items():
    print(f"{what}: {len(one)}, {one['any'].mean():.0%} positive")

# %% [markdown]
# Reading, windowing and resizing are the same in every epoch: that part is kept on disk. Order and augmentation are
# new in every epoch. `slice_pipeline` makes a `tf.data.Dataset` of it, which prepares the next batches while the
# network works on this one.

# %%
how["batch_size"] = recipe["batch_size"]
change = getattr(augment, recipe["augmentation"])
train = slice_pipeline(epoch, training=True, augmentation=change, seed=SEED, **how)
validation, test = (slice_pipeline(rows[part], **how) for part in ("validation", "test"))
print({"train": len(train), "validation": len(validation), "test": len(test)}, "batches")
train.element_spec

# %% [markdown]
# ### Image and mask go together
# A flip, a turn or a zoom must move the mask as it moves the image. `augment_pair` composes all geometry into **one
# warp** and applies it to both: the image is interpolated, the mask takes the nearest pixel, so that it stays 0 or 1.
# What is drawn depends on the key (seed, epoch, slice) alone.

# %%
largest = int(share.argmax())
image, mask, key = images[largest], masks[largest, ..., 0].astype(bool), some["slice_id"][largest]
pairs = [augment_pair(image, mask, change, key=(SEED, number, key)) for number in range(5)]

# %%
# alt: The same slice six times: as it is, and as it is seen in five epochs: flipped, turned, shifted, larger, darker or
# alt: brighter. In each the orange outline follows the hemorrhage exactly.
titles = ["as it is", *(f"epoch {number}" for number in range(1, 6))]
shown = [image[..., :1], *(one[..., :1] for one, _ in pairs)]
axes = plots.montage(shown, masks=[mask, *(one for _, one in pairs)], titles=titles)
axes[0].figure.suptitle(f"One slice in five epochs, {recipe['augmentation']}, {window}, {source}")
plt.show()

# %% [markdown]
# ### A mistake that can be seen
# In renyard's public code the mask traveled through the augmentation as one more channel of the picture. Among the
# changes was brightness, by a factor of 0.3 to 1.8.
#
# **Predict**: a mask of 0 and 1 goes in. What comes out in the hemorrhage? In what part of the images is it wrong?

# %%
both = np.dstack([image[..., :1], mask.astype(np.float32)])  # the mask as a channel
keys = [(SEED, number, key) for number in range(200)]
wrong = [augment_pair(both, None, augment.RENYARD, key=one)[0] for one in keys]
height = pd.Series([one[..., 1].max() for one in wrong])  # 1 is right
below, half = (height < 0.999).mean(), (height < 0.5).mean()
print(f"truth below 1 in {below:.0%} of 200 epochs, below 0.5 in {half:.0%}")
print(f"mean truth in the hemorrhage: {height.mean():.2f}")

# %%
# alt: Upper row: five augmented slices. Lower row: their masks as the network was given them, in shades of gray: some
# alt: white as they should be, some a dull gray, with blurred rims.
shown = [*(one[..., 0] for one in wrong[:5]), *(one[..., 1] for one in wrong[:5])]
titles = [f"epoch {number}" for number in range(1, 6)]
titles += [f"truth {one:.2f}" for one in height[:5]]
axes = plots.montage(shown, titles=titles, columns=5)
axes[0].figure.suptitle(f"Brightness on image and mask, {window}, {source}")
plt.show()

# %% [markdown]
# Nothing crashes. But a dark picture is paired with a pale truth, so the network learns that in a dark picture a
# hemorrhage is half a hemorrhage: its probabilities stay low there, and a threshold of 0.5 finds nothing.
#
# ## 3 The network
# A U-Net goes down to few pixels with many channels, where it sees the whole head, and up again; at each level it is
# handed what was seen on the way down. The papers' networks differ in width, and in what follows a convolution:
# renyard takes ReLU at once, northeastern **normalizes, then** takes ReLU.

# %%
papers = {"renyard": unet((256, 256, 1))}
papers["northeastern"] = unet((512, 512, 3), filters=(8, 16, 32, 64, 128), batch_norm=True)
for who, model in papers.items():
    trained = sum(np.prod(one.shape) for one in model.trainable_weights)
    print(f"{who}: {model.count_params():,} weights, {trained:,} of them trained;", end=" ")
    print(" > ".join(layer.name for layer in model.layers[1:5]), "...")

# %% [markdown]
# renyard's paper gives 1,962,337: the same to the last weight. Where do they sit?
#
# **Exercise 1.** The first 3 x 3 convolution at the bottom of renyard's network takes 128 channels and gives 256, each
# with a bias. How many weights has it? And how many would a batch normalization behind it have, the ones that are not
# trained counted in? (It keeps four numbers a channel.)

# %% tags=["task"]
convolution, normalization = ..., ...

convolution, normalization = check.q07_1((convolution, normalization))
part_of_all = convolution / papers["renyard"].count_params()
print(f"{convolution:,} weights in one layer, {part_of_all:.0%} of all; {normalization:,} more")

# %% tags=["hint"]
check.q07_1.hint()

# %% tags=["solution"]
convolution, normalization = 3 * 3 * 128 * 256 + 256, 4 * 256

convolution, normalization = check.q07_1((convolution, normalization))
part_of_all = convolution / papers["renyard"].count_params()
print(f"{convolution:,} weights in one layer, {part_of_all:.0%} of all; {normalization:,} more")

# %% [markdown]
# Half a dozen layers near the bottom hold most of the weights; the upper ones, with few, do most of the computing.
#
# ### Train
# Both papers took binary cross-entropy as the loss. `quick` adds the Dice of all pixels of a batch, made smooth, which
# needs fewer steps (lesson 08 is about losses). Each run has a folder of its own, named by its data and settings: Run
# All a second time finds it there and trains no further, and a run that was cut off goes on. Other settings are another
# folder.
#
# **Predict**: after the last epoch, will the Dice of the validation patients be below or above that of the training?

# %% tags=["slow"]
size = (recipe["image_size"], recipe["image_size"], len(windows))
run_dir = recipes.run_folder(RUNS, f"07_{name}", recipe, train, validation, seed=SEED)
history = fit(
    lambda: unet(size, filters=recipe["filters"], batch_norm=recipe["batch_norm"]),
    train, validation, run_dir=run_dir, epochs=recipe["epochs"], seed=SEED,
    loss=getattr(losses, recipe["loss"]), learning_rate=recipe["learning_rate"],
    schedule=recipe["schedule"], metrics=[losses.SoftDice()], monitor="val_dice",
    settings={"system": name, "data": source, **recipe},
)  # fmt: skip

# %%
# alt: Two rising curves by epoch, the Dice of the training and of the validation slices; the epoch with the highest
# alt: validation Dice is marked.
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
plots.training_curves(history, metric="dice", ax=ax)
ax.set(
    title=f"{name}: Dice by epoch, {source}", xlabel="epoch", ylabel="Dice, without a threshold"
)
plt.show()

# %% [markdown]
# The two curves are of different slices: training is half positive and augmented, validation has the true mix and is
# not. So do not ask which is higher; ask whether the validation curve still rises. The epoch that is marked is the one
# that is kept.
#
# ## 4 From probabilities to a mask
# Predict validation and test, once. What is kept is no picture, but for each slice how many of its pixels have which
# probability, inside and outside the true mask. All that follows is computed from these counts.

# %%
model = load(run_dir)  # the epoch with the highest validation Dice
parts = {"validation": validation, "test": test}
frames = [predict(model, pipeline, rows[part]) for part, pipeline in parts.items()]
predictions = {name: pd.concat(frames, ignore_index=True)}
_ = recipes.keep_predictions(predictions[name], run_dir, source=source, seed=SEED)

# %% [markdown]
# From which probability on is a pixel called hemorrhage? Three ways to choose: the highest F1 (the same as Dice), the
# highest IoU, or renyard's: the highest correlation of predicted with true areas, slice by slice.
#
# **Predict**: which two of the three must agree, whatever the network?

# %%
calm, final = frames  # validation rows to choose on, test rows to score once
aims = ("f1", "iou", "correlation")
found = {aim: choose_threshold(calm, objective=aim) for aim in aims}
threshold = found["f1"].threshold
chosen = pd.DataFrame({aim: one[:2] for aim, one in found.items()}, index=["threshold", "score"])
chosen.T.assign(n=len(calm), split="validation", data=source, seed=SEED).round(3)

# %%
# alt: Four charts of the validation slices. Top left: F1, IoU and the correlation of areas against the threshold; F1
# alt: and IoU peak at the same place. Top right: precision against sensitivity of pixels, with the chosen threshold
# alt: as a point. Bottom left: the same of slices. Bottom right: predicted against true area, one point a slice.
fig, axes = plt.subplots(2, 2, figsize=(10, 8.6), layout="constrained")
plots.threshold_curves(found["f1"].table, threshold, title="Threshold", ax=axes[0, 0])
axes[0, 0].legend(loc="center", bbox_to_anchor=(0.5, 0.25))
points = evaluation.pixel_pr_points(calm)
plots.pr_curve(points, chosen=threshold, title="Pixels", ax=axes[0, 1])
points = evaluation.pr_points(calm["any"], calm["mean_probability"])
plots.pr_curve(points, no_skill=calm["any"].mean(), title="Slices", ax=axes[1, 0])
counts = counts_at(calm, threshold)
plots.area_scatter(counts.tp + counts.fn, counts.tp + counts.fp, unit="pixels", ax=axes[1, 1])
axes[0, 0].set(xlabel="threshold (probability)", ylabel="score")
fig.suptitle(f"{name}: {len(calm)} validation slices, {source}")
plt.show()

# %% [markdown]
# F1 and IoU must agree: IoU = F1 / (2 - F1), so both rise together. The correlation has a mind of its own. It asks
# only whether large bleeds get large masks, not whether the masks lie in the right place, and the many slices with
# area 0 on both sides raise it. Bottom left is renyard's classifier: a slice scores the mean of its probabilities.
#
# Now, and only now, the test: the threshold is settled.

# %%
report = evaluation.segmentation_report(final, threshold=threshold, seed=SEED).assign(data=source)
shown = ["dice", "iou", "precision", "sensitivity", "slice_dice", "area_correlation"]
columns = ["metric", "estimate", "n", "positives", "patients", "data", "split", "seed", "note"]
evaluation.show_report(report)[columns].set_index("metric").loc[shown]

# %% [markdown]
# The first row is the headline: all pixels of all slices in one pot. The brackets hold 95 % intervals; whole patients
# are drawn for them, because the slices of one patient are no separate evidence. They are wide. They are honest. And
# all of it is judged at the network's image size, where the smallest bleeds have vanished from the truth, too.
#
# Numbers hide what a picture shows. Look at the best, the middle and the worst slice with hemorrhage, and at the worst
# false alarm.

# %%
counts = counts_at(final, threshold)
judged = final.assign(dice=dice(counts), false_pixels=counts.fp).sort_values(
    "dice", ascending=False
)
bled = judged[judged["any"] == 1].dropna(subset="dice")
alarm = judged[judged["any"] == 0].nlargest(1, "false_pixels")
places = {0: "best", len(bled) // 2: "middle", len(bled) - 1: "worst"} if len(bled) else {}
four = pd.concat([bled.iloc[list(places)], alarm])["slice_id"].tolist()
shown = table.set_index("slice_id", drop=False).loc[four]
images, masks = slice_pipeline(shown, **how | {"batch_size": 4}).batches[0]

# %%
# alt: Four rows of pictures: the slices with the best, the middle and the worst Dice, and the slice with the largest
# alt: false alarm. Each row has the scan, the true mask, the probabilities, and both outlines over the scan.
names = [*places.values(), "alarm"]  # fewer than three bled: fewer names
titles = [f"{what}: {one}" for what, one in zip(names, four)]
maps, masks = model.predict_on_batch(images)[..., 0], masks[..., 0] > 0
axes = plots.prediction_panels(images[..., :1], masks, maps, threshold=threshold, titles=titles)
axes[0, 0].figure.suptitle(f"Test slices, {window}, {source}")
plt.show()

# %% [markdown]
# A worst slice with Dice 0 is usual: a thin bleed that is missed costs the whole slice, and few pixels of the pooled
# score. Which of the two matters is not a question of statistics.
#
# ## 5 What goes wrong
# ### The threshold chosen on the test set
# northeastern chose t = 0.245 on the test set; renyard chose model, threshold and score on the same four patients. Let
# us do the same, on four test patients with hemorrhage, drawn 200 times. `choose_threshold` refuses test rows: we lie.
#
# **Predict**: by how much does the Dice rise, on average?

# %%
rng, gains = np.random.default_rng(SEED), []
bleeding = final.loc[final["any"] == 1, "patient_id"].unique()
for _ in range(200):
    drawn = rng.choice(bleeding, min(4, len(bleeding)), replace=False)
    few = final[final["patient_id"].isin(drawn)]
    lie = choose_threshold(few.assign(split="validation"))  # they are test rows
    gains.append((dice(sum_counts(counts_at(few, threshold))), lie.score, lie.threshold))
gains = pd.DataFrame(gains, columns=["threshold from validation", "from the test", "which is"])
gains["flattery"] = gains["from the test"] - gains["threshold from validation"]
told = gains.describe().loc[["mean", "min", "max"]].round(3)
told.assign(n=f"{min(4, len(bleeding))} test patients", data=source, seed=SEED)

# %% [markdown]
# The flattery is never negative: the best is taken of all thresholds, and the honest one is among them. On average it
# may look small. For some fours it is not, and those are patients who differ from the others: the ones a test is for.
# Exercise 3 repairs it. First another trap.
#
# ### The empty slices
# Most slices have no hemorrhage. If nothing is predicted there either, their Dice is 0 / 0. What should that count in a
# mean over slices: 1 (all is right), 0, or nothing at all?
#
# **Exercise 2.** Write `mean_dice`. `scores` holds a Dice a slice, NaN for 0 / 0; `empty` is what such a slice counts,
# and None leaves it out.


# %% tags=["task"]
def mean_dice(scores, empty):
    return ...


mean_dice = check.q07_2(mean_dice)

# %% tags=["hint"]
check.q07_2.hint()


# %% tags=["solution"]
def mean_dice(scores, empty):
    return np.nanmean(scores) if empty is None else np.nan_to_num(scores, nan=empty).mean()


mean_dice = check.q07_2(mean_dice)

# %% [markdown]
# **Predict**: beside our network stands one that has learned nothing, and paints every slice black. By which of the
# seven scores below will the black one be ahead, or close?

# %%
counts, lines = counts_at(final, threshold), {}
black = Counts(0 * counts.tp, 0 * counts.fp, counts.tp + counts.fn, counts.tn + counts.fp)
for who, one in {"our U-Net": counts, "always black": black}.items():
    pooled, each = sum_counts(one), dice(one)
    rules = {"empty = 1": 1, "empty = 0": 0, "empty left out": None}
    line = {f"slices, {what}": mean_dice(each, empty) for what, empty in rules.items()}
    line |= {"pixel accuracy": pixel_accuracy(pooled), "IoU": iou(pooled), "Dice": dice(pooled)}
    lines[who] = line | {"two-class IoU": evaluation.iou_with_background(pooled)}
pd.DataFrame(lines).round(3).assign(n=len(final), split="test", data=source, seed=SEED)

# %% [markdown]
# There is the surprise. A network that has never found a pixel gets a mean Dice of more than 0.8 if empty slices
# count 1, a pixel accuracy of more than 99 %, and a two-class IoU of one half.
#
# Why? All three pay for what is not there. **Empty = 1** gives a full point for every normal slice, and most are
# normal; one false pixel takes the whole point away again. **Pixel accuracy** counts background, and nearly all is
# background. The **two-class IoU**, which renyard's code computes, is the mean of the background's IoU, always about
# 0.99, and that of the hemorrhage: their 0.716 is an IoU of about 0.44. Pooled IoU and Dice are not fooled.
#
# ### Repair a broken pipeline
# **Exercise 3.** A colleague's `judge` takes a predictions frame with validation and test rows, and gives back the
# threshold and the test's pooled Dice. Repair it.


# %% tags=["task", "broken"]
def judge(predictions):
    test = predictions[predictions["split"] == "test"]
    scores = [dice(sum_counts(counts_at(test, k / 100))) for k in range(1, 100)]
    best = int(np.nanargmax(scores))
    return (best + 1) / 100, scores[best]


print("as it was: threshold {:.3f}, test Dice {:.3f}".format(*judge(predictions[name])))
judge = check.q07_3(judge)
print("repaired:  threshold {:.3f}, test Dice {:.3f}".format(*judge(predictions[name])))

# %% tags=["hint"]
check.q07_3.hint()


# %% tags=["solution"]
def judge(predictions):
    validation = predictions[predictions["split"] == "validation"]
    test = predictions[predictions["split"] == "test"]
    threshold = choose_threshold(validation).threshold
    return threshold, dice(sum_counts(counts_at(test, threshold)))


judge = check.q07_3(judge)
print("repaired:  threshold {:.3f}, test Dice {:.3f}".format(*judge(predictions[name])))

# %% [markdown]
# With twenty test patients the two may hardly differ, as a curve that is flat at its top forgives; with four they did.
# A score is honest by how it was made, not by how it comes out.
#
# ## 6 Papers and here
# What the two papers report, beside the same scores here. renyard's slice score is the mean probability of all pixels
# of a slice; its threshold, too, comes from our validation rows. In profile `paper` the second network is trained
# first: `train_recipe` does all that stands above, in one call.

# %% tags=["slow"]
for who in [who for who in RECIPES if who not in predictions]:
    what = {"runs": RUNS, "source": source, "seed": SEED}
    _, predictions[who] = recipes.train_recipe(table, f"07_{who}", RECIPES[who], **what)

# %%
lines = []
for who, frame in predictions.items():
    seen, final = (frame[frame["split"] == part] for part in ("validation", "test"))
    cut = search_threshold(seen["any"], seen["mean_probability"], split="validation").threshold
    by_slice = {"score": "mean_probability", "threshold": min(cut, 1.0), "seed": SEED}
    slices = evaluation.slice_report(final, **by_slice)
    masks = evaluation.segmentation_report(final, threshold=judge(frame)[0], seed=SEED)
    for paper, task, report in (
        ("renyard", "slice", slices), ("renyard", "segmentation", masks),
        ("northeastern", "segmentation", masks),
    ):  # fmt: skip
        if who in (paper, "unet"):
            beside = evaluation.beside_paper(report, paper, task=task)
            lines.append(beside.assign(network=who, task=task))

# %%
board = pd.concat(lines).query("paper != ''").assign(data=source)
origin = {"renyard": "127 slices, 4 patients, by patient; also chosen on them"}
origin["northeastern"] = "86 slices, by slice; also chosen on them"
board["paper_n"] = board["paper_data"].str.split(":").str[0].map(origin)
board = evaluation.show_report(board).rename(columns={"estimate": "here"})
columns = ["network", "task", "metric", "paper", "paper_data", "paper_n", "here", "n"]
board[[*columns, "patients", "data", "split", "seed"]].set_index("network")

# %% [markdown]
# Read `data` and `n` before the scores. A score on the phantom is a score on the phantom: it says that the code works,
# not how good a network would be on patients. And the papers' thresholds were chosen on the very slices that they were
# scored on. In profile `paper` there is no interval: four test patients are too few for one, and that is what four
# patients say. Ours are of all pixels together; neither paper says whether its IoU and F1 are that, or a mean over
# slices, which is another number. For scale: the authors of CT-ICH report a Dice of 0.31, with five folds by patient.
#
# ## 7 Slices without masks
# A network needs no masks to be used, and labels are enough to ask whether it **ranks** slices: does one with
# hemorrhage get a higher score than one without? Where `DATA` is a folder without masks, the network that has only
# seen the phantom reads it, through the same window.
#
# **Predict** the AUROC: 0.5 is guessing, 1 is perfect.

# %%
if data.unmasked is None:
    print("DATA is no folder of named patients without masks: nothing to read here.")
else:
    seen, how["windows"] = data.unmasked, recipes.recipe_windows(recipe, data.unmasked)
    scored = predict(model, slice_pipeline(seen, **how | {"target": None}), seen)
    report = evaluation.slice_report(scored, seed=SEED).assign(data=data.unmasked_source)
    report["trained on"] = source
    display(evaluation.show_report(report).set_index("metric"))

# %% [markdown]
# An AUROC well above 0.5 on patients of another kind than those it was trained on is worth something. It is no reason
# to trust the masks, nor a promise for the next scanner: that is measured each time.
#
# > **Take away**: image and mask go through one warp; brightness is for the image alone. Split, then balance. The
# > threshold comes from validation. Report the pooled Dice with an interval by patient; say what empty slices count.
# >
# > **What can go wrong in the clinic**: a product is sold with a "Dice of 0.9" that normal slices have earned. The thin
# > subdural bleed that a tired reader misses is the slice that it, too, paints black.
# >
# > **Next**: lesson 08 changes the loss and the backbone. Lesson 12 makes an honest report of the runs in `runs`.
# >
# > *For education only. Not a medical device.*
