# %% [markdown]
# # 11 Where the model looks
#
# > **Goal**: ask a network which part of a slice spoke for its answer, by Grad-CAM; check whether the map deserves
# > belief; and see it point at what the usual test score hides: a network that cheats.
# >
# > **You need**: lessons 00 to 04, 06 and 07. What a gradient is helps.
# >
# > **Time**: 40 minutes to read, 1 to 2 minutes to run; one more where the phantom must be made first. Profile `paper`
# > takes hours on a GPU.
# >
# > **Data**: the phantom (synthetic patients); or a real data set that names its patients, such as CT-ICH. Labels are
# > enough: where there are no masks, what needs them is done on the phantom, and says so.
# >
# > **Hardware**: two CPU cores and 3 GB of memory. No internet.
#
# A classifier says "subdural, 0.93". Where? fahim drew heat maps for each subtype with **Grad-CAM** (gradient-weighted
# class activation mapping; Selvaraju et al., 2017). They are pretty, and persuasive. This lesson builds one, and then
# tries to break it.

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
# As in every lesson: `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` has fahim's settings.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import os
from itertools import product

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow tells about the processor
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hemokit import check, evaluation, plots, splits
from hemokit.gradcam import gradcam, spatial_layers
from hemokit.labels import LABELS, SUBTYPES
from hemokit.models.transfer import plain_cnn
from hemokit.runs import classifiers, looking, recipes
from hemokit.training import fit, load, predict_labels

# %% [markdown]
# Everything that may be changed stands in one place. `paper` is **fahim**: three windows as color channels (40/80,
# 80/200 and 40/380 HU, so Hounsfield units are needed), 256 x 256, six outputs (any hemorrhage, and five subtypes),
# each with a probability of its own, and 3 epochs. Its ResNeXt-101 is not among Keras' own networks and comes in lesson
# 10; ResNet50 stands in. The paper names its augmentation without amounts; these, the learning rate and the batches are
# ours. (fahim also subtracts a mean from each channel and divides by a deviation; our networks scale inside.)
#
# `quick` is small, and begins with a U-Net (lesson 07) that has learned to draw masks on the same training patients, or
# on the phantom's where yours have no masks. A label's answer is the sum of two things, each with weights of its own
# for that label: how bright the brightest 1 % of the U-Net's picture of blood is, and the features at its
# **bottleneck**, where the picture is smallest. Behind the bottleneck the U-Net's **decoder** makes the picture large
# again.

# %%
START = dict(
    image_size=64, windows=["brain_wide"], filters=(8, 16, 32, 64), batch_norm=True,
    loss="pooled_dice_bce", learning_rate=4e-3, schedule="cosine", batch_size=16, epochs=3,
    train_on="balanced", images_an_epoch=1200, augmentation="STANDARD",
)  # fmt: skip
QUICK = dict(
    model="unet", head="pool", weights=None, image_size=64, windows=["brain_wide"],
    target="subtypes", classes=None, imbalance=None, epochs=(3, 0), learning_rates=(5e-3, 0),
    flip=False, batch_size=16, augmentation="STANDARD", patience=None,
)  # fmt: skip
FAHIM = QUICK | dict(
    model="ResNet50", image_size=256, windows=["brain", "subdural", "soft_tissue"],
    epochs=(0, 3), learning_rates=(0, 1e-4), augmentation="FAHIM",
)  # fmt: skip
quick = PROFILE == "quick"
recipe = QUICK if quick else FAHIM
SIZE = recipe["image_size"]
PHANTOM = {"num_patients": 100 if quick else 82, "image_size": 128 if quick else 512}
TOLERANCE = round(15 / 500 * SIZE)  # pixels: the pointing game's 15, on images of some 500
LAYERS = ["encoder1_relu2", "encoder3_relu2", "bottleneck_relu2", "decoder2_relu2"]
RESNET = ["conv1_relu", "conv2_block3_out", "conv4_block6_out", "conv5_block3_out"]
LAYERS = LAYERS if quick else RESNET  # the last one is the one to begin with

# %% [markdown]
# ## 1 A network to be asked
# `table` is what the network learns from. `masked` has masks, for the pointing game: the same table where there are
# any.

# %%
most = 100 if quick else None
data = looking.choose_tables(DATA, phantom=PHANTOM, most_patients=most, seed=SEED)
table, source, masked, mask_source = data
counted = table.groupby("split")[list(LABELS)].sum().astype(int).T[list(splits.SPLITS)]
for part in ("train", "test"):
    own = table[table["split"] == part]
    of_each = [own.loc[own[name] == 1, "patient_id"].nunique() for name in LABELS]
    counted[f"{part} patients"] = of_each
counted.loc["all slices"] = [
    *table["split"].value_counts().reindex(splits.SPLITS),
    *table.groupby("split")["patient_id"].nunique()[["train", "test"]],
]
counted.assign(data=source, seed=SEED)

# %% [markdown]
# Look at the patients behind the rare subtypes. What a network says of a subtype that it has learned from five patients
# is hearsay, and its map is a map of hearsay. And where one test patient has it, no score can tell whether it is true.

# %% tags=["slow"]
runs, how = Path("runs"), {"runs": Path("runs"), "seed": SEED}
if quick:
    start, _ = recipes.train_recipe(masked, "11_start", START, source=mask_source, **how)
else:
    start = classifiers.imagenet_or_random("ResNet50", (SIZE, SIZE, 3))
recipe["weights"] = start
run_dir, frame = classifiers.train_classifier(table, "11_subtypes", recipe, source=source, **how)
model = load(run_dir)

# %% [markdown]
# A map explains an answer. So first: are the answers any good? AUROC is the part of all pairs (a slice with the label,
# one without) that is ranked right: 0.5 is guessing.
#
# **Predict**: which subtype is the hardest?

# %%
rows_of = table.set_index("slice_id", drop=False)
report = looking.label_report(frame[frame["split"] == "test"], LABELS, seed=SEED)
report = report.assign(data=source)
columns = ["label", "estimate", "positives", "n", "patients", "data", "split", "seed"]
shown = evaluation.show_report(report)[columns].set_index("label")
shown.rename(columns={"estimate": "AUROC"})

# %% [markdown]
# Brackets hold 95 % intervals by patient; "no interval" is a label of so few patients that more than a tenth of the
# resamples drew none of them (lesson 04). On the phantom the lowest figure is that of subdural blood, and it has no
# interval: one test patient does not make a subtype hard. Keep this table beside every map below. A map of a network
# near 0.5 shows, in fine detail, where a guess came from.
#
# ## 2 A map by hand
# Grad-CAM asks one layer. Its features are small pictures, one for each thing that the layer has learned to see. The
# gradient of the label's logit says how much a bit more of each, at each place, would add to the answer. (The logit is
# the label's number before the sigmoid function 1 / (1 + exp(-logit)) makes a probability of it.) The mean of a
# picture's gradient over all places is its weight.
#
# The first slice to explain is the one with hemorrhage of which the network is surest, among patients that it did not
# learn from. `looking.see` gives slices as the network sees them, with masks where there are any.

# %%
held = frame.sort_values("probability_any", ascending=False)  # validation and test
surest = rows_of.loc[held.loc[held["any"] == 1, "slice_id"].iloc[:1]]
images, outlines = looking.see(surest, recipe, has_masks=data.has_masks)
print(f"slice {surest.index[0]}, split {surest['split'].iloc[0]}: {images.shape}")

# %% [markdown]
# A layer, an image, six gradients. (Any framework gives them: TensorFlow's GradientTape, JAX's grad. The layer lies
# inside of another model, so `looking` fetches them; `hemokit/gradcam/gradients.py` is short.)

# %%
features, gradients = looking.gradients_of_labels(model, images[0], LAYERS[-1])
gradient = gradients[LABELS.index("any")]
print(f"{LAYERS[-1]}: features {features.shape}, gradients {gradients.shape}")

# %% [markdown]
# **Exercise 1.** From `features` and `gradient`, both (rows, columns, number of features), compute the map `heat`
# (rows, columns): each feature's weight is the mean of its gradient over all places; the map is the weighted sum of the
# features, and what is below zero becomes zero. (Zero: what speaks against a label is not where the label is.)

# %% tags=["task"]
heat = ...

heat = check.q11_1(heat, features, gradient)
print(f"{heat.shape[0]} x {heat.shape[1]} cells, {np.mean(heat > 0):.0%} of them with evidence")

# %% tags=["hint"]
check.q11_1.hint()

# %% tags=["solution"]
weights = gradient.mean(axis=(0, 1))  # one a feature
heat = np.maximum(features @ weights, 0)

heat = check.q11_1(heat, features, gradient)
print(f"{heat.shape[0]} x {heat.shape[1]} cells, {np.mean(heat > 0):.0%} of them with evidence")

# %% [markdown]
# Nearly every cell may have *some*: look at how much, not whether.
#
# `hemokit.gradcam` does the same for any layer, however deep inside of a model, and enlarges the map to the image.
# Compare: its map, averaged over the pixels of each cell.

# %%
ready = gradcam(model, images[0], label="any", layer=LAYERS[-1])
cell = SIZE // heat.shape[0]
coarse = ready.reshape(heat.shape[0], cell, heat.shape[1], cell).mean(axis=(1, 3))
alike = np.corrcoef(heat.ravel(), coarse.ravel())[0, 1] if heat.any() else 1.0
print(f"correlation of the two maps: {alike:.3f} (linear enlargement smooths a little)")
print(f"layers that can be asked: {len(spatial_layers(model))}")

# %% [markdown]
# ## 3 Which layer?
# That is a choice, and it changes the picture. **Predict**: what will the first layers show, what the deepest?

# %%
# alt: Four heat maps of one slice, alone and over it, of layers from early to late. The first is a thin line on the
# alt: skull, the next are soft patches, which may lie in the air; the last, of the decoder, lies on the hemorrhage.
# alt: Orange is the true outline where it is known.
window = " + ".join(map(plots.window_title, recipe["windows"]))
fig, axes = plt.subplots(2, len(LAYERS), figsize=(11, 6.2), layout="constrained")
for (alone, over), name in zip(axes.T, LAYERS, strict=True):
    its_map = gradcam(model, images[0], label="any", layer=name)
    alone.imshow(its_map, cmap="viridis", vmin=0, vmax=1)
    alone.set(title=name, xticks=[], yticks=[])
    shown = {"mask": outlines[0], "colorbar": name == LAYERS[-1], "ax": over}
    plots.show_heatmap(images[0], its_map, **shown)
fig.suptitle(f"Grad-CAM of 'any' in four layers, {source},\n{window}, true outline orange")
plt.show()

# %% [markdown]
# Early layers see edges: a sharp map, and one that says little about blood. Deep layers know most about the slice and
# least about places: each of their cells has seen a large part of the head. A map may also be **empty**: then more of
# whatever the layer sees would only lower the logit. (A U-Net comes up again after its bottleneck: its decoder is late
# **and** fine.) Which layer is best is no matter of taste: it can be measured.
#
# ### The pointing game
# Take the maximum of a map. Does it lie on the lesion? This needs masks, so it is played on `masked`, by patients that
# the network did not learn from: at most 30 slices with hemorrhage of each split, without those whose lesion is lost at
# this size.
#
# **Exercise 2.** `heats` and `truth` are arrays (slices, height, width), `truth` of True and False. Give back `hits`,
# an array of True and False: does the maximum of each map lie on its mask? A map of zeros points nowhere, and never
# hits.

# %%
most = 30 if quick else 400
played, seen, masks = looking.visible_lesions(masked, recipe, most=most, seed=SEED)
choosing = (played["split"] == played["split"].max()).to_numpy()  # validation, if there is any
heats = looking.maps_of(model, seen[choosing], "any", LAYERS[-1])
truth = masks[choosing]

# %% tags=["task"]
hits = ...

hits = check.q11_2(hits, heats, truth)
print(f"{LAYERS[-1]}: {hits.sum()} of {len(hits)} maxima lie on the lesion ({mask_source})")

# %% tags=["hint"]
check.q11_2.hint()

# %% tags=["solution"]
flat = heats.reshape(len(heats), -1)
places = flat.argmax(axis=1)
on_mask = truth.reshape(len(truth), -1)[np.arange(len(flat)), places]
hits = on_mask & (flat.max(axis=1) > 0)

hits = check.q11_2(hits, heats, truth)
print(f"{LAYERS[-1]}: {hits.sum()} of {len(hits)} maxima lie on the lesion ({mask_source})")

# %% [markdown]
# Its authors (Zhang et al., 2018) play it kindly: within 15 pixels of the object is a hit, on photographs of some 500.
# Here that is `TOLERANCE` pixels, from now on. `pointing_game` also says what **chance** gives: a point drawn anywhere
# in the image.
#
# A layer that is chosen by its score is chosen on validation patients, like any other setting.

# %%
maps = {name: looking.maps_of(model, seen[choosing], "any", name) for name in LAYERS}
games = [evaluation.pointing_game(one, truth, tolerance=TOLERANCE) for one in maps.values()]
layer = LAYERS[int(np.argmax([one.score for one in games]))]
print(f"chosen: {layer}")
told = pd.DataFrame(games, index=LAYERS).round(3)
told.assign(split="validation", data=mask_source, seed=SEED)

# %% [markdown]
# Deep is not the same as good, and a map that looks calm and round may lie anywhere. The maps of this network that
# follow are of the chosen layer, where no other is named.
#
# ## 4 One map a subtype
# fahim's figure: the map, the map over the slice, the slice. One slice for each subtype, of patients that the network
# did not learn from; **drawn, not chosen**. (Papers choose. So would you.)

# %%
new = table[table["split"] != "train"]
drawn = {n: new[new[n] == 1].sample(1, random_state=SEED) for n in SUBTYPES if any(new[n] == 1)}
pairs = [looking.see(rows, recipe, has_masks=data.has_masks) for rows in drawn.values()]
pictures, outlines = (np.stack([pair[k][0] for pair in pairs]) for k in (0, 1))
heats = [gradcam(model, one, label=n, layer=layer) for one, n in zip(pictures, drawn)]
outlines = outlines if data.has_masks else None
said = model.predict_on_batch(pictures)  # (slices, labels)

# %%
# alt: One row for each subtype: the heat map alone, laid over the slice, and the slice. The label and the probability
# alt: that the network gives it stand at the left; where there are masks, the true outline is orange.
sure = [one[LABELS.index(n)] for one, n in zip(said, drawn)]
titles = [f"{n}\nprobability {p:.2f}" for n, p in zip(drawn, sure)]
axes = plots.gradcam_panels(pictures, heats, masks=outlines, titles=titles)
axes[0, 0].figure.suptitle(f"Grad-CAM, layer {layer}, {source},\n{window}")
plt.show()

# %% [markdown]
# Each map is divided by its own maximum: a probability of 0.02 gets as bright a spot as one of 0.98. Read the number
# first. Which of the bright spots lie on their outline, and which in the air beside the head? A map is drawn even
# where the network says no.
#
# Are these maps *of the subtype*? Ask the same slices for another one; and ask the deepest layer, whether it has any
# map for them.

# %%
deepest = LAYERS[2] if quick else LAYERS[-1]
blank = [not looking.maps_of(model, pictures, n, deepest).any() for n in SUBTYPES]
print(f"{deepest}: no evidence in any of these slices for {sum(blank)} of {len(blank)} subtypes")
flat = {n: looking.maps_of(model, pictures, n, layer).ravel() for n in SUBTYPES}
print(f"correlation of the maps of two subtypes, same slices, layer {layer}, {source}:")
pd.DataFrame(flat).corr().round(2)

# %% [markdown]
# Where the numbers are near 1, the map answers "where is blood?" and not "why subdural?". That is no fault of the
# formula. Behind the decoder of our `quick` network there is one picture, of blood; what tells the subtypes apart goes
# the other way, from the bottleneck. What is seen there in these slices of the phantom speaks, both ways added up,
# *against* every subtype: no evidence, no map. (NaN: a subtype without any evidence.) **A map shows what passes through
# its layer and speaks for the label**, and nothing else.
#
# ### Repair a broken pipeline
# **Exercise 3.** A colleague's `map_of` takes the features (rows, columns, number of features) and the gradients of all
# six logits, in the order of `LABELS`, and enlarges the map to an image of `shape` (height, width), a whole multiple of
# rows and columns. For a subtype and our square slices nothing crashes, and the maps look like maps. Two things are
# wrong.


# %% tags=["task", "broken"]
def map_of(features, gradients, label, shape):
    weights = gradients[SUBTYPES.index(label)].mean(axis=(0, 1))
    heat = np.maximum(features @ weights, 0)
    height, width = shape[1] // heat.shape[1], shape[0] // heat.shape[0]
    return np.kron(heat, np.ones((height, width)))


as_it_was = map_of(features, gradients, "subdural", (SIZE, SIZE))
map_of = check.q11_3(map_of)
both = as_it_was.ravel(), map_of(features, gradients, "subdural", (SIZE, SIZE)).ravel()
print(f"broken and repaired map of 'subdural' correlate by {np.corrcoef(both)[0, 1]:.2f}")

# %% tags=["hint"]
check.q11_3.hint()


# %% tags=["solution"]
def map_of(features, gradients, label, shape):
    weights = gradients[LABELS.index(label)].mean(axis=(0, 1))
    heat = np.maximum(features @ weights, 0)
    height, width = shape[0] // heat.shape[0], shape[1] // heat.shape[1]
    return np.kron(heat, np.ones((height, width)))


map_of = check.q11_3(map_of)
print("repaired:", map_of(features, gradients, "subdural", (SIZE, SIZE)).shape)

# %% [markdown]
# In this layer a wrong label changes hardly more than the scale (the table above), and on a square slice the swap
# changes nothing: you would not have seen either in a picture. Try other shapes, cells that are not square, and another
# layer.
#
# ## 5 Sanity checks
# Adebayo et al. (2018) asked: does the map change if the **weights are random**? If not, it never showed what the
# network learned. Some popular methods failed: they drew edges, whatever the network. They drew new weights, layer by
# layer; we shuffle the numbers within each array of weights.
#
# **Predict**: which of the three columns below will look most convincing?

# %%
final = ~choosing if (~choosing).any() else choosing
seen, masks, played = seen[final], masks[final], played[final].reset_index(drop=True)
shuffled = looking.shuffle_weights(load(run_dir), seed=SEED)
players = {"trained": looking.maps_of(model, seen, "any", layer)}
players["shuffled weights"] = looking.maps_of(shuffled, seen, "any", layer)
players["edges"] = looking.edge_maps(seen)

# %%
# alt: Three slices in rows. Left the map of the trained network, in the middle that of a network with shuffled weights,
# alt: a few pixels elsewhere or none, right the edges of the slice, along the skull. The true outline is orange.
some = np.linspace(0, len(seen) - 1, 3).astype(int)  # the numbers of three slices
fig, axes = plt.subplots(3, 3, figsize=(8.4, 8), layout="constrained")
for ax, (number, (title, one)) in zip(axes.flat, product(some, players.items()), strict=True):
    shown = {"mask": masks[number], "title": title, "ax": ax}
    shown["colorbar"] = title == "edges" and number == some[1]  # one for all
    plots.show_heatmap(seen[number], one[number], **shown)
fig.suptitle(f"Does the map need the network? {mask_source},\n{window}, true outline orange")
plt.show()

# %% [markdown]
# With shuffled weights there is another map (look closely: it may be a few pixels at the border), or none. Edges stay
# what they are, and look anatomical, though they know nothing. Look at the trained map, too: where it glows in the air,
# it has passed this check all the same. Sane does not mean right.
#
# The second check **plants** the evidence: a bright patch, as fresh blood is, on a normal slice, at four places in
# turn. The map should go where the patch goes.

# %%
calm = looking.normal_slice(masked[masked["split"] == "test"], recipe, seed=SEED)
planted, patches = looking.plant(calm)
pairs = zip(looking.maps_of(model, planted, "any", layer), patches, strict=True)
told = {"hit": [evaluation.pointing_hit(*pair, tolerance=TOLERANCE) for pair in pairs]}
told |= {"before": model.predict_on_batch(calm[None])[0, 0]}
told = pd.DataFrame(told).assign(after=model.predict_on_batch(planted)[:, 0]).round(2)
told["hit"] = told["hit"].map({1: "yes", 0: "no"})
told.rename_axis("place").assign(layer=layer, slices=1, data=mask_source, split="test", seed=SEED)

# %% [markdown]
# `before` and `after` are the probabilities of any hemorrhage. Only where the patch raised it is there something to
# show.
#
# ## 6 The pointing game, played in full
# Now the score on test patients: all settings, the layer too, were chosen without them. Beside the network play four
# who know nothing of it: shuffled weights; edges; **always the middle of the head**; and a place anywhere in the head,
# drawn by lot.
#
# **Predict**: which of the four is the hardest to beat?

# %%
middle, head = looking.head_maps(seen)
players |= {"middle of the head": middle, "anywhere in the head": head}
game = looking.pointing_report(played, players, masks, tolerance=TOLERANCE, seed=SEED)
game = game.assign(data=mask_source)
columns = ["metric", "estimate", "n", "patients", "data", "split", "seed"]
evaluation.show_report(game)[columns].set_index("metric").rename(columns={"estimate": "hits"})

# %% [markdown]
# Part of all slices that were hit, with intervals by patient. A network plays well if its interval lies above **all**
# rivals: "30 % of the maxima lie on the lesion" means little if a place in the head does as well. On the phantom a
# place anywhere in the head is the hardest to beat; where bleeds are large and deep, it may be the middle. And a hit is
# a kind judge: one pixel within `TOLERANCE` of the lesion is enough, and what else the map lights up counts for
# nothing.
#
# An interval of [0.00, 0.00] is no certainty: where nothing was ever hit, resampling cannot find a hit. With 0 of 10
# patients a true rate of a quarter is still possible.
#
# ## 7 Look through a scan
# In a notebook that you have open, the cell after next is a slider: go through a scan, mask and map on or off.
# Elsewhere it is a still montage. The scan is the one with the most bleeding slices, of patients that the network did
# not learn from; you see the twelve slices around the middle of the bleeding.

# %%
scan = looking.bleeding_part(new)
pictures, outlines = looking.see(scan, recipe, has_masks=data.has_masks)
heats = looking.maps_of(model, pictures, "any", layer)
chances = model.predict_on_batch(pictures)[:, 0]
titles = [f"{n}: {p:.2f}" for n, p in zip(scan["slice_index"], chances, strict=True)]

# %%
# alt: Up to twelve slices of one scan with the heat map over each, its number, and the probability of hemorrhage.
# alt: Slices of a low probability have bright spots, too. Orange is the true outline where it is known.
view = plots.look_at_scan(pictures, masks=outlines, heats=heats, titles=titles)
if isinstance(view, np.ndarray):  # the montage
    view[0].figure.suptitle(f"Slice and probability of 'any', {window}, {source}")
else:
    display(view)
plt.show()

# %% [markdown]
# Every slice gets its brightest spot, whatever its probability: the maximum is 1 by construction, unless nothing at all
# speaks for the label. (It may be a pixel, and lie under an outline: take the masks off.) A heat map is no detector.
# And where a slice has two bleeds, look whether both light up: a hit on one says nothing of the other.
#
# ## 8 When not to trust it
# ### A convincing map where nothing bleeds
# The two normal slices, of two patients, that the network is surest bleed:

# %%
# alt: Two slices without hemorrhage, in rows: heat map, overlay, slice. The maps are as compact and as bright as those
# alt: of slices that bleed.
false = held[held["any"] == 0].drop_duplicates("patient_id").head(2)
pictures = looking.see(rows_of.loc[false["slice_id"]], recipe, has_masks=False)[0]
titles = [f"no hemorrhage\nprobability {p:.2f}" for p in false["probability_any"]]
plots.gradcam_panels(pictures, looking.maps_of(model, pictures, "any", layer), titles=titles)
plt.suptitle(f"The surest of the normal slices, layer {layer}, {source},\n{window}")
plt.show()

# %% [markdown]
# Nothing in the map says that there is no blood. It shows where the evidence lay, be it blood, bone or a calcified falx
# (the fold between the halves of the brain), and a reader who sees a glowing spot tends to find something there. The
# map explains the network, not the patient.
#
# ### The splendid network
# A second network, small and made in a moment, from as many slices with hemorrhage as without. But suppose that whoever
# read these scans marked each slice that bleeds: an "L" is burned into its upper left corner, and nobody took it out.
#
# **Predict** its AUROC on test patients whose slices are marked like that; without marks; and with the mark on the
# normal slices instead.

# %%
stamp = np.zeros((64, 64, 1), bool)
stamp[3:11, 3:5] = stamp[9:11, 3:9] = True
small, arrays = recipe | {"image_size": 64}, {}
for part, own in table.groupby("split"):
    rows, x, y = looking.equal_parts(own, small, most=250, seed=SEED)
    on = stamp & (y > 0)[..., None, None]  # (slices, 64, 64, 1)
    arrays[part] = {"rows": rows, "x": x, "y": y, "marked": np.where(on, np.float32(1), x)}
print({part: len(one["y"]) for part, one in arrays.items()}, "slices, half positive,", source)

# %% tags=["slow"]
pairs = [(arrays[part]["marked"], arrays[part]["y"]) for part in ("train", "validation")]
cheat_dir = runs / "11_cheat"
fit(
    lambda: plain_cnn((64, 64, 1), num_classes=1, multi_label=True, filters=(8, 16, 32)),
    *pairs, run_dir=cheat_dir, epochs=6, loss="binary_crossentropy", learning_rate=5e-3,
    schedule="cosine", seed=SEED, resume=False,
)  # fmt: skip
cheat = load(cheat_dir)

# %%
judged = arrays["test"]
moved = stamp & (judged["y"] < 1)[..., None, None]
moved = np.where(moved, np.float32(1), judged["x"])  # the mark on the normal slices instead
worlds = {
    "marked as in training": judged["marked"],
    "no marks": judged["x"],
    "marks moved": moved,
}
reports = {}
for name, x in worlds.items():
    said = predict_labels(cheat, x, judged["rows"], labels=("any",))
    reports[name] = evaluation.slice_report(said, score="probability_any", seed=SEED).iloc[[0]]
fooled = pd.concat(reports, names=["test slices"]).droplevel(1).assign(data=source)
evaluation.show_report(fooled)[["metric", "estimate", "n", "patients", "data", "split", "seed"]]

# %% [markdown]
# There is the surprise: a score that every paper would print, from a network that has learned nothing about blood. On
# slices without marks it is no better than guessing, and where the mark stands on the normal ones it ranks nearly every
# pair wrong. The validation loss above could not tell: those slices were marked by the same hand. **A split by patient
# does not help against a shortcut that all patients share.**
#
# One look can tell. Three slices: a bleeding one with its mark, the same one without, and a normal one with a mark.

# %%
# alt: Three rows of heat map, overlay and slice. On both slices with the white L in the upper left corner the heat lies
# alt: at the corner. Without the L it is elsewhere, or nowhere.
bled, normal = (np.flatnonzero(judged["y"][:, 0] == value)[0] for value in (1, 0))
three = np.stack([judged["marked"][bled], judged["x"][bled], moved[normal]])
chances = cheat.predict_on_batch(three)[:, 0]
kinds = ["hemorrhage, mark", "the same, no mark", "normal, mark"]
titles = [f"{kind}\nprobability {p:.2f}" for kind, p in zip(kinds, chances, strict=True)]
axes = plots.gradcam_panels(three, looking.maps_of(cheat, three, 0), titles=titles)
window = plots.window_title(recipe["windows"][0])
axes[0, 0].figure.suptitle(f"A network that cheats, its last layer, {source},\n{window}")
plt.show()

# %%
marks = judged["marked"][judged["y"][:, 0] == 1][:40]
corners = np.repeat(stamp[None, ..., 0], len(marks), axis=0)
caught = looking.maps_of(cheat, marks, 0)
caught = evaluation.pointing_game(caught, corners, tolerance=4)  # half a cell
print(f"{caught.hits:g} of {caught.total} maxima lie at the mark; chance {caught.chance:.2f}")

# %% [markdown]
# The heat lies at the corner, to half a cell of the layer (a cell has 8 pixels): no reader would call that a brain.
# This is what Grad-CAM is best for: not to show that a network is right, but to raise the suspicion, now and then, that
# it is right **for the wrong reason**. The scores without the mark prove it.
#
# Do not rely on it, though. This mark was alone in a black corner. A shortcut that lies **on** the head (a drain, the
# sharpness of a scanner's pictures, the tube of a patient who is already known to be ill) makes a map that looks fine.
#
# ## 9 Papers and here
# fahim gives AUCs of its slices (RSNA 2019, 3,528 test scans; lesson 10), and for its maps **no number**: how often
# they hit is not said, nor how the slices were chosen that it shows.

# %%
theirs = evaluation.paper_rows("fahim", task="slice").set_index("metric")["value"]
auroc = report.assign(what="AUROC, " + report["label"], data=source)
auroc["paper"] = [f"{theirs[f'auroc_{name}']:.4f}" for name in report["label"]]
points = game[game["metric"].isin(["trained", "anywhere in the head", "middle of the head"])]
points = points.assign(what="maxima on the lesion: " + points["metric"], paper="none given")
cheats = fooled.iloc[:2].assign(what="AUROC, the cheat: " + fooled.index[:2], paper="-")
board = evaluation.show_report(pd.concat([auroc, points, cheats]))
board[["what", "paper", *columns[1:]]].rename(columns={"estimate": "here"}).set_index("what")

# %% [markdown]
# Read `data` before the figures: a score on the phantom says that the method works, not how it would do on patients.
# The pointing game always has masks, and so may stand on other data than the AUROC.
#
# > **Take away**: look at the score before the map. A map is of one layer, one label, and relative to its own maximum.
# > Shuffle the weights, plant evidence, play the pointing game against places in the head. Then look for what should
# > not glow.
# >
# > **What can go wrong in the clinic**: a heat map is shown beside an answer, and the answer is believed because of it.
# > Or a network that has learned its readers' marks is bought for its AUROC, and fails where nobody has read yet.
# >
# > **Next**: lesson 12 puts intervals and calibration around all scores; lesson 13 takes a network out of the notebook.
# >
# > *For education only. Not a medical device.*
