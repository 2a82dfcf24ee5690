# %% [markdown]
# # 13 Deploy
#
# > **Goal**: bring a segmentation network out of the notebook: exported, small, fast, checked against what was trained,
# > and behind a web page that gives each user their own answer and keeps nothing.
# >
# > **You need**: lesson 07 (a U-Net and its threshold) and lesson 12 (intervals by patient).
# >
# > **Time**: 40 minutes to read, 1 to 2 minutes to run; one more where the phantom must be made first. Profile `paper`
# > takes the run of lesson 07, which takes hours.
# >
# > **Data**: the phantom (synthetic patients); or a real data set with masks. Real slices without masks are compared
# > too.
# >
# > **Hardware**: two CPU cores and 3 GB of memory. No internet.
#
# A network in a notebook helps nobody. In a file, it runs on a phone; behind a page, it runs for everybody at once.
# Each step on that way can change what it says, without any error.

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
# As in every lesson: `DATA = None` is the phantom, a folder is your own data. `PROFILE = "paper"` deploys renyard's
# network as lesson 07 trains it.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow tells about the processor
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

from hemokit import check, plots, splits
from hemokit.apply import predict_files
from hemokit.checks import HemokitError
from hemokit.datasets import read_image, read_mask
from hemokit.demo.uploads import read_upload
from hemokit.export import compare_exported, export_model, load_exported, read_card
from hemokit.models.unet import unet
from hemokit.runs import channels, deploy_lessons, recipes
from hemokit.thresholds import choose_threshold
from hemokit.training import load

# %% [markdown]
# What is set here may be changed. In `quick` a small network of **one** window is trained for this lesson alone: it
# shall also be shown a PNG, and a picture has only the window that it was saved through. In `paper` it is renyard's,
# and where lesson 07 has trained it, its run is found.

# %%
QUICK = dict(
    image_size=64, windows=["brain_wide"], filters=(8, 16, 32, 64), batch_norm=True,
    loss="pooled_dice_bce", learning_rate=4e-3, schedule="cosine", batch_size=8, epochs=2,
    train_on="positive", images_an_epoch=700, augmentation="NONE",
)  # fmt: skip
RENYARD = dict(
    image_size=256, windows=["brain_wide"], filters=(16, 32, 64, 128, 256), batch_norm=False,
    loss="binary_crossentropy", learning_rate=1e-3, schedule="constant", batch_size=16,
    epochs=144, train_on="balanced", images_an_epoch=5000, augmentation="RENYARD",
)  # fmt: skip
quick = PROFILE == "quick"
name, recipe = ("13_unet", QUICK) if quick else ("07_renyard", RENYARD)
PHANTOM = {"num_patients": 100 if quick else 82, "image_size": 128 if quick else 512}
MOST = 100 if quick else None  # patients
HERE = Path("runs/13_deploy")  # what is made here
RUNS = HERE if quick else Path("runs")

# %% [markdown]
# ## 1 What is to be deployed
# Patients first, as always: some to train, some to choose the threshold, some for the test.

# %%
data = recipes.choose_data(DATA, phantom=PHANTOM, most_patients=MOST, seed=SEED)
table, source = data.table, data.source
patients = table["patient_id"].nunique()
held_out = (max(0.1, 3 / patients), 0.2) if quick else (4 / patients, 4 / patients)
table = splits.split_by_patient(table, fractions=(1 - sum(held_out), *held_out), seed=SEED)
counted = table.groupby("split")["any"].agg(slices="size", positive="sum")
counted["patients"] = table.groupby("split")["patient_id"].nunique()
counted.assign(data=source, seed=SEED)

# %% [markdown]
# Then a run: found where it is, trained where it is not. It need not be good to be deployed, and in `quick` it is not:
# here we ask what a network **loses** on its way.

# %% tags=["slow"]
run_dir, predictions = recipes.train_recipe(
    table, name, recipe, runs=RUNS, source=source, seed=SEED
)
model = load(run_dir)
threshold = choose_threshold(predictions.query("split == 'validation'")).threshold
print(f"{model.count_params():,} weights, threshold {threshold:.3f} from validation patients")

# %% [markdown]
# (`val_dice` in the log is a soft one, of probabilities without a threshold: do not compare it with those below.)
#
# The slices to compare on are those of the test patients, as the network sees them. Training slices will be needed,
# too: a hundred, for a purpose that section 4 explains.

# %%
rows = {part: table[table["split"] == part].reset_index(drop=True) for part in splits.SPLITS}
how = {"windows": recipes.recipe_windows(recipe, table), "image_size": recipe["image_size"]}
some = rows["train"].sample(frac=1, random_state=SEED)[:100]
training, _ = deploy_lessons.slices_of(some, **how)
images, truth = deploy_lessons.slices_of(rows["test"], **how)
n = f"{len(images)} slices of {rows['test']['patient_id'].nunique()} patients"

# %% [markdown]
# ## 2 Export
# A **.keras** file holds layers by name and their weights, and needs Keras. **ONNX** and **LiteRT** (formerly
# TensorFlow Lite, `.tflite`) hold the arithmetic alone, and run in a small runtime: on a server, a phone, in a browser.
# renyard's went to an iPhone as Core ML, which is the same idea (`hemokit.export.coreml` writes it, on a Mac).
#
# LiteRT has three precisions. A weight has 32 bits; **float16** stores each in 16; **int8** stores a whole number from
# -128 to 127, and computes with those as well.
#
# **Exercise 1.** renyard's network has 1,962,337 weights. How many megabytes (millions of bytes) do they take in
# float32, in float16 and in int8?

# %% tags=["task"]
megabytes = ..., ..., ...

megabytes = check.q13_1(megabytes)
print("float32 {:.2f} MB, float16 {:.2f} MB, int8 {:.2f} MB".format(*megabytes))

# %% tags=["hint"]
check.q13_1.hint()

# %% tags=["solution"]
megabytes = tuple(1_962_337 * size / 1e6 for size in (4, 2, 1))

megabytes = check.q13_1(megabytes)
print("float32 {:.2f} MB, float16 {:.2f} MB, int8 {:.2f} MB".format(*megabytes))

# %% [markdown]
# Now export. Beside each file goes a **card** with what a file alone does not know: through which windows it must see,
# from which probability on a pixel counts, who chose that, and on what it was trained.

# %%
forms = deploy_lessons.forms_here()
if len(forms) < 5:
    print("ONNX or LiteRT is missing (the extra hemokit[deploy] has both): the rest goes on.")
files = {form: HERE / deploy_lessons.file_of(form, kind) for form, kind in forms.items()}

# %% tags=["slow"]
seen = channels.channels_of(table["dataset"].iloc[0], recipe["windows"])
card = {"name": f"the U-Net of lesson 13 ({name})", "trained_on": source, "data": source}
card["channels"] = tuple(one._asdict() for one in seen)
card |= {"threshold": threshold, "chosen_on": "validation patients (highest F1)"}
exported = {}
for form, kind in forms.items():
    kind = kind | {"calibration": training if kind.get("precision") == "int8" else None}
    exported[form] = load_exported(export_model(model, files[form], card=card, **kind))

# %% [markdown]
# ### Is it still the same network?
# Never trust a converter: it rewrites every layer, merges some, and has bugs like all programs. Run the same slices
# through Keras and through each file, and compare the probabilities pixel by pixel.
#
# **Predict**: which of them differs from Keras by more than 0.001 somewhere?

# %%
networks = list(exported.values())
bled = np.argsort(-truth.sum(axis=(1, 2)))[:64]  # the test slices with the largest bleeds
compared = compare_exported(model, networks, images[bled], truth[bled], threshold).round(5)
shown = compared[["size_bytes", "max_difference", "ms_per_slice", "slices", "threshold"]]
shown.set_axis(list(exported)).assign(data=source, split="test, largest bleeds", seed=SEED)

# %% [markdown]
# Differences below 0.0001 come from adding up in another order: only a pixel on the very threshold can change sides.
# float16 rounds each weight to three digits, int8 to two: there probabilities move, and pixels near the threshold fall
# over. Sizes are those of the weights, plus the description of the layers, which weighs more in a small network.
#
# The phantom is easy to agree on. Where `DATA` is a folder that the network never saw, its slices are compared, too.

# %%
if data.unmasked is None:
    print("DATA is no folder of named patients without masks: nothing to compare here.")
else:
    other = data.unmasked.sample(min(64, len(data.unmasked)), random_state=SEED)
    theirs = how | {"windows": recipes.recipe_windows(recipe, other)}
    outside, _ = deploy_lessons.slices_of(other, masked=False, **theirs)
    shown = compare_exported(model, networks, outside, None).set_axis(list(exported))
    display(shown[["slices", "max_difference"]].assign(data=data.unmasked_source, seed=SEED))

# %% [markdown]
# Look at masks, not only at numbers: the test slice on which Keras finds the most pixels, by every file. In all such
# figures here the truth is outlined in orange, and what a network says in blue, dashed.

# %%
# alt: The same slice once for each format, with the true outline in orange and the outline that this format finds in
# alt: blue, dashed. The blue outlines can hardly be told apart; that of int8 may differ in a few pixels.
maps = {form: one.probabilities(images)[..., 0] for form, one in exported.items()}
hits = (maps["Keras"] >= threshold) & truth
largest = int(hits.sum(axis=(1, 2)).argmax())
masks = [one[largest] >= threshold for one in maps.values()]
count = len(masks)
axes = plots.montage(
    [images[largest]] * count, masks=[truth[largest]] * count, predictions=masks,
    titles=list(maps), columns=count,
)  # fmt: skip
axes[0].figure.suptitle(f"One test slice, window 40/120 HU, threshold {threshold:.3f}, {source}")
plt.show()

# %% [markdown]
# ## 3 How fast?
# renyard's network took **0.218 s** for a slice on a phone of 2015 (an iPhone 6S, Core ML). A fair comparison needs
# renyard's network at renyard's size: 256 x 256 pixels, 1,962,337 weights. Speed does not depend on what the weights
# are, so they may be random. Each time is the median of slices one after another, as they come from users.
#
# The row Keras calls the compiled network directly (`predict_on_batch`). But the line in most tutorials, and in most
# web apps, is `model.predict(image)`. **Predict**: the same network, the same weights, one slice: what does
# `model.predict` add?

# %% tags=["slow"]
timed = {
    form: kind for form, kind in forms.items() if form != "LiteRT float16"
}  # next to float32
speed = deploy_lessons.time_forms(unet((256, 256, 1)), timed, HERE, seed=SEED)
where = deploy_lessons.machine()
speed.round(2).assign(data="random pixels", split="none", on=where, seed=SEED)

# %%
# alt: Two bar charts, one bar for each way of running renyard's network. Left, milliseconds a slice, with a dashed line
# alt: at 218, which is the phone: model.predict is the slowest, LiteRT int8 among the fastest. Right, megabytes: about
# alt: 8 for all in float32, a quarter of it for int8.
bars = speed.iloc[::-1]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
axes[0].barh(bars.index, bars["ms"], color="C0")
axes[0].axvline(218, color="C1", linestyle="--", label="renyard's phone: 218 ms")
axes[0].set(xlabel="time (ms a slice)", ylabel="how it is run", title="Time")
axes[0].legend()
axes[1].barh(bars.index, bars["MB"], color="C2")
axes[1].set(xlabel="size of the file (MB)", ylabel="", title="Size")
fig.suptitle(f"renyard's network, one slice of 256 x 256, on {where}")
plt.show()

# %% [markdown]
# `model.predict` is made for thousands of images: for one it builds a data pipeline, callbacks and a loop, and takes
# them down again. That is most of its time where the network is small. And float16 is **not faster** than float32 (the
# times in section 2 have both): it is stored in half precision and computed in full, because these processors do not
# compute in half. It saves disk and download. Which runtime is the fastest depends on the network: where it is small,
# as in section 2, the call counts; where it is large, the convolutions do, and the runtimes are alike. int8 is faster
# where the processor has instructions for it, and slower where it has none: measure on the machine that will run it.
#
# ## Papers and here
# What was published about speed, beside this machine. No paper says how many slices were timed, nor how Dice changed by
# the conversion.

# %%
papers = deploy_lessons.speed_beside_paper(speed, where, seed=SEED)
papers.assign(network="renyard, 256 x 256", split="none")

# %% [markdown]
# ## 4 What int8 costs
# Whole numbers from -128 to 127 are 256 levels. For each layer the converter must know which range of values they shall
# cover: from `low` to `high`, in equal steps. What lies between two levels is rounded, **what lies outside is cut
# off**.
#
# **Exercise 2.** Write `quantize`: values to the nearest of 256 levels from `low` to `high`, and back to a number.


# %% tags=["task"]
def quantize(values, low, high):
    return ...


quantize = check.q13_2(quantize)
for high in (1, 4, 100):
    value = quantize(np.array([0.1, 0.5, 0.9, 3.0]), 0, high).round(3)
    print(f"0.1, 0.5, 0.9 and 3.0 on levels from 0 to {high}: {value}")

# %% tags=["hint"]
check.q13_2.hint()


# %% tags=["solution"]
def quantize(values, low, high):
    step = (high - low) / 255
    return low + step * np.clip(np.round((values - low) / step), 0, 255)


quantize = check.q13_2(quantize)
for high in (1, 4, 100):
    value = quantize(np.array([0.1, 0.5, 0.9, 3.0]), 0, high).round(3)
    print(f"0.1, 0.5, 0.9 and 3.0 on levels from 0 to {high}: {value}")

# %% [markdown]
# Too narrow a range cuts, too wide a one has coarse steps. So the converter is shown a hundred images, and keeps the
# lowest and the highest value of each layer: **calibration**.
#
# With which images? The ranges become part of the model, as weights are. Images of the **test** would let the test into
# it, as in lesson 03, however little. Images of **training** patients are there anyway.
#
# And does it matter what is on them? A hundred images of zeros convert just as well, and spare one the data.
#
# **Predict** the Dice of both int8 files, beside Keras.

# %% tags=["slow"]
if "LiteRT int8" in forms:
    path = HERE / "int8_calibrated_on_black.tflite"
    export_model(model, path, card=card, calibration=0 * training, **forms["LiteRT int8"])
    maps["int8, from black"] = load_exported(path).probabilities(images)[..., 0]
    same = path.stat().st_size == files["LiteRT int8"].stat().st_size
    print("the same size" if same else "another size", "and no complaint")

# %% [markdown]
# How sure are we of a loss? The same slices go through both networks, so the **difference** is what we resample, by
# patient, a thousand times: each draw gives a Dice of Keras and one of the file, and their difference.

# %%
lost = deploy_lessons.dice_lost(maps, truth, rows["test"], threshold, seed=SEED)
lost.assign(n=n, threshold=round(threshold, 3), data=source, split="test", seed=SEED)

# %% [markdown]
# **There is the surprise**: a file that loads, with the right size, and it is another network. Where
# all is black, the inner layers have next to no range, so everything that a head excites in them is cut off. No error
# says so, and a test with a black image would pass. Only a comparison on real slices finds it.
#
# (A network that found nothing before, as from a handful of patients, has nothing to lose: then all rows are near 0.)
#
# And the int8 file from training slices may lose little **on average**, or even gain: by luck, as its interval says,
# because pixels fall over the threshold in both directions. So do not stop at the mean. Where do probabilities move?

# %%
# alt: For one test slice: the scan with its true outline, and for each int8 file a map of its probability minus that of
# alt: Keras, from -0.1 to 0.1. The first map is even but for specks along the rims of the bleeds; where calibration was
# alt: on black images, whole bleeds lie at the lower end of the scale or beyond.
shown = {
    form: one[largest] - maps["Keras"][largest] for form, one in maps.items() if "int8" in form
}
fig, axes = plt.subplots(
    1, 1 + len(shown), figsize=(3.4 * (1 + len(shown)), 3.3), layout="constrained"
)
axes = np.atleast_1d(axes)
plots.show_slice(images[largest][..., 0], mask=truth[largest], title="scan and truth", ax=axes[0])
for ax, (form, heat) in zip(axes[1:], shown.items()):
    drawn = ax.imshow(heat, cmap="cividis", vmin=-0.1, vmax=0.1)
    ax.set(title=f"{form} minus Keras", xticks=[], yticks=[])
    fig.colorbar(drawn, ax=ax, label="difference of probability", extend="both")
fig.suptitle(f"What int8 changes on one test slice, window 40/120 HU, {source}")
plt.show()

# %% [markdown]
# Along the rims of the bleeds, where probabilities lie between 0 and 1, and hardly anywhere else: so what int8 costs is
# paid by the pixels that count. And the threshold, too, was chosen for Keras' probabilities. An int8 output knows 256
# of them, in steps of 0.004: a threshold of 0.99 lies two steps below the top. For a format that moves probabilities
# choose it anew, on validation patients, and write it into that file's card.
#
# ## 5 The card, and one byte
# What does a card say?

# %%
served = "ONNX" if "ONNX" in exported else list(exported)[-1]
path, served = files[served], exported[served]
told = read_card(path)._asdict()
parts = ["name", "sha256", "input_shape", "channels", "threshold", "chosen_on", "trained_on"]
for field in [*parts, "notice"]:
    print(f"{field}: {told[field]}")

# %% [markdown]
# A file that lost its card is a riddle: 40/120 HU or 40/80, a threshold of 0.5 or 0.05? And a file can change: a bad
# disk, a half download, somebody who means harm. Turn a single bit in one of its bytes.

# %%
place = Path(tempfile.mkdtemp())
shutil.copy(f"{path}.json", place)
changed = bytearray(path.read_bytes())
changed[len(changed) // 2] ^= 1
(place / path.name).write_bytes(changed)
try:
    load_exported(place / path.name)
except HemokitError as error:
    print(str(error).replace(str(place), "..."))

# %% [markdown]
# Most changed bits lie in weights: the file would have loaded, and said something slightly else, for years. `pickle`
# and its kin are refused altogether, because such a file is a program that runs when it is opened.
#
# ## 6 Files in, masks out
# `hemokit predict MODEL --data FILE_OR_FOLDER --out FOLDER` runs any of these files, ONNX and LiteRT without
# TensorFlow. `predict_files` is the function behind it. We give it a folder with two files: a test slice as a PNG, and,
# where the data are NIfTI, the scan that it comes from.

# %%
row = rows["test"].iloc[largest]
sent, scan = place / "sent", Path(row["image_path"])
sent.mkdir()
picture = np.rint(255 * read_image(row, windows=how["windows"])[..., 0]).astype(np.uint8)
cv2.imwrite(str(sent / "slice.png"), picture)
if scan.name.endswith((".nii", ".nii.gz")):
    shutil.copy(scan, sent)
else:
    print("These data are pictures: there is no NIfTI scan to send, and no volume to expect.")
result = predict_files(served, sent, place / "out")
mask = cv2.imread(str(place / "out" / "masks" / "slice_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
print(f"picture {picture.shape}, its mask {mask.shape}")
for one in (place / "out" / "masks").glob("*.nii*"):
    same = np.array_equal(nib.load(scan).affine, nib.load(one).affine)
    print(f"scan {nib.load(scan).shape}, its mask {nib.load(one).shape}, same affine: {same}")
columns = ["scan", "slices", "slices_with_hemorrhage", "volume_ml", "masks"]
result.scans[columns].assign(data=source, split="test", seed=SEED).set_index("scan")

# %% [markdown]
# The volume of the picture is **unknown**: it has no millimeters, and a guess would be a number that somebody uses. The
# mask must lie where the scan lies, or a viewer shows it on the wrong side of the head: the same grid, the same affine.

# %%
# alt: The test slice at its own size with the true outline in orange and the written mask in blue, dashed; the blue
# alt: outline is smoother and coarser, because the network saw fewer pixels.
ax = plots.show_slice(picture / 255, mask=read_mask(row), prediction=mask)
ax.set_title(f"slice.png and the mask that came back\nwindow 40/120 HU, {source}")
plt.show()

# %% [markdown]
# ## 7 A page for everybody
# `hemokit demo` opens a page on this machine: drop a slice, see its mask, move the threshold. Without a model of your
# own it takes one that was trained on a phantom of 200 patients and comes with the package. Behind it is a small web
# application. Here is what northeastern's did at its heart.
#
# **Exercise 3.** `answer` gets what a user sent, a function that reads it (`ValueError` for what is no slice), and the
# model. It gives back an HTTP status and a mask: (200, mask), or (422, None) where there is nothing to show. Two things
# are wrong with it. Repair both. (Below, brightness stands in for the network.)


# %% tags=["task", "broken"]
def answer(upload, read, model):
    try:
        LAST["image"] = read(upload)
        LAST["mask"] = model(LAST["image"]) >= 0.5
    except ValueError as error:
        print("not read:", error)
    return 200, LAST["mask"]


LAST, png = {}, (sent / "slice.png").read_bytes()
for user, upload in {"A": ("slice.png", png), "B": ("letter.png", b"Dear doctor")}.items():
    status, got = answer(upload, lambda sent: read_upload(*sent), lambda scan: scan.values)
    print(f"user {user} sent {upload[0]} and got {status}, a mask of {got.sum()} pixels")
answer = check.q13_3(answer)

# %% tags=["hint"]
check.q13_3.hint()


# %% tags=["solution"]
def answer(upload, read, model):
    try:
        image = read(upload)
    except ValueError:
        return 422, None
    return 200, model(image) >= 0.5


LAST, png = {}, (sent / "slice.png").read_bytes()
answer = check.q13_3(answer)

# %% [markdown]
# User B got the mask of the patient of user A, with a 200, "all is well", out of a **global** variable. The second
# fault shows under load alone: two requests at once, each in its own thread, both write `LAST["image"]`, and one user
# gets the answer to the other's slice. No test that sends one file after another finds that.
#
# Now the real page, asked as a browser would ask it. Flask's test client needs no open port.

# %%
here = find_spec("flask") and find_spec("waitress")
if not here:
    print("Flask or waitress is missing (hemokit[deploy]): the page is not asked.")
else:
    from hemokit.demo import app, models, runtime, server

    page = models.of_exported(served, path)
    site = app.build_app(page, max_bytes=2**26)
    users = [site.test_client() for _ in range(2)]
    post = {"path": "/api/slices", "headers": {"X-File-Name": "slice.png"}}
    reply = users[0].post(data=png, **post)
    facts, heights = deploy_lessons.unpack_reply(reply.data)
    print(reply.status, {key: facts[key] for key in ("slices", "height", "width", "notice")})
    kept = ("Set-Cookie", "Cache-Control", "Content-Security-Policy")
    print({name: reply.headers.get(name, "none").split(";")[0] for name in kept})

# %% [markdown]
# The answer holds the picture and the probability of each pixel in thousandths; the threshold is applied in the
# browser, so its slider needs no server. Is it the same mask as before? And do two users at once each get their own,
# and does one who sends a letter get a sentence, and no mask?

# %%
if here:
    differ = ((heights[0] >= np.ceil(1000 * threshold) / 1000) != mask).sum()
    print(f"page and predict: {differ} of {mask.size} pixels differ")
    uploads = [png, cv2.imencode(".png", picture[::-1])[1].tobytes()]
    alone = [users[0].post(data=one, **post).data for one in uploads]
    with ThreadPoolExecutor(2) as pool:
        send = pool.map(
            lambda who, one: who.post(data=one, **post).data, users * 20, uploads * 20
        )
        right = [one == alone[number % 2] for number, one in enumerate(send)]
    print(f"two users at once: {sum(right)} of {len(right)} answers are their own")
    named = {"X-File-Name": "letter.png"}
    letter = users[0].post(data=b"Dear doctor", **post | {"headers": named})
    print(letter.status_code, letter.json["error"])
    print("in the browser:", runtime.why_not(page) or "yes")

# %% [markdown]
# ### Privacy
# What is not kept cannot leak. The page writes no file, logs no name, sets no cookie, and forbids the browser to keep
# the answer (`no-store`) or to ask any other site (`default-src 'none'`).
#
# Safer still is not to send the slice. An ONNX model of one window can run **in the browser** itself: `hemokit demo
# --install-browser-runtime` (once) fetches what that needs, and from then on a JPG or PNG never leaves the machine. The
# price: everybody who opens the page gets the model.
#
# ## 8 When everybody comes at once
# A slice takes some milliseconds. How many users a second can a server bear? Play it through: requests come at random
# times, and each waits for those before it. **Predict**: at 90 % load, how long does the slowest in a hundred wait,
# counted in slices?

# %%
loads = np.arange(0.1, 1.25, 0.1)  # requests in the time of one slice
many = {"num_requests": 50_000, "seed": SEED}
waits = {"queue without end": deploy_lessons.queue_waits(loads, **many)}
waits["queue of eight"] = deploy_lessons.queue_waits(loads, most=8, **many)
print(f"refused at a load of {loads[-1]:.1f}: {waits['queue of eight']['refused'].iloc[-1]:.0%}")

# %%
# alt: The wait of the slowest in a hundred against the load. Without an end of the queue it stays low up to about 70 %,
# alt: rises steeply before 100 %, and leaves the chart beyond; with a queue of eight it stays below nine.
lines = {queue: (loads, some["p99"]) for queue, some in waits.items()}
ax = plots.curves(lines, x_label="", y_label="")
ax.set(xlabel="load (requests in the time of one slice)", ylim=(0, 40))
ax.set(ylabel="99th percentile of the wait (slices)")
ax.set_title("A server and its queue, simulated: 50,000 requests for each load")
plt.show()

# %% [markdown]
# At 70 % the slowest in a hundred waits for some six slices, at 90 % for about twenty. A queue without end fails
# everybody: beyond 100 % each one waits longer than the one before, until all give up. A queue with an end refuses what
# it cannot bear, at once and in words ("503, try again in 1 s"), and whoever is served waits for eight at most. The
# demo's server takes 32 requests with a file, and says no to a file that is too large **before** it has received it.
# Let us announce one of 10 GB, and send none of it.

# %%
if here:
    print(*deploy_lessons.announce(server.build_server(page, port=0), 10**10))

# %% [markdown]
# > **Take away**: compare every exported file with what was trained, on real slices, by patient. Calibrate on training
# > slices. `model.predict` is no way to serve one slice. The card and its hash go with the file. A request lives in
# > local variables; what cannot be read is refused; what is too much is refused early; nothing is kept.
# >
# > **What can go wrong in the clinic**: an app shows the previous patient's mask on a failed upload, and a normal head
# > goes to surgery, or a bleeding one home. A new phone converts the network anew, and nobody compares.
# >
# > **Next**: this was the last lesson. Take your own data, train, judge, export, and write down what you could not
# > check.
# >
# > *For education only. Not a medical device.*
