# %% [markdown]
# # 01 Hounsfield units and windows
#
# > **Goal**: read the number in a CT pixel, choose what to show of it, and know what a saved picture has lost for
# > good.
# >
# > **You need**: lesson 00.
# >
# > **Time**: 20 minutes to read, 20 seconds to run (10 once the phantom is there).
# >
# > **Data**: the phantom in Hounsfield units (NIfTI form), or your own CT-ICH or RSNA folder. A folder of JPGs
# > joins in the last part; the rest then uses the phantom.
# >
# > **Hardware**: any laptop. No GPU, no network.

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

from hemokit import check
from hemokit.datasets import (
    HOUNSFIELD,
    find_dataset,
    open_dataset,
    read_hounsfield,
    read_image,
    read_mask,
)
from hemokit.datasets.phantom import phantom_root
from hemokit.manifests import is_phantom
from hemokit.plots import montage, show_slice
from hemokit.windows import BRAIN, NAMED, apply_window, stack_windows

# %% [markdown]
# A scanner does not take a picture. It measures, for every small box of the head, how strongly that box stops X-rays.
# A picture is made afterward, and making it throws most of the measurement away. This lesson is about that step.

# %%
phantom = phantom_root("ct_ich_nifti", num_patients=12, seed=SEED, progress=True)
layout, folder = find_dataset(DATA or phantom)
table = hu_table = open_dataset(folder)
if layout not in HOUNSFIELD:
    print("This folder holds JPGs, without Hounsfield units: all parts but one use the phantom.")
    hu_table = open_dataset(phantom)
source = "phantom" if hu_table is not table or is_phantom(folder) else "real scans"
num_scans = hu_table["scan_id"].nunique()
print(f"Hounsfield units: {source}, {len(hu_table)} slices of {num_scans} scans")

# %% [markdown]
# ## One number a pixel
# The number is given in **Hounsfield units** (HU). With `mu` for how strongly a material stops X-rays:
#
# ```
# HU = 1000 * (mu - mu_water) / mu_water
# ```
#
# So water is 0, and air, which stops next to nothing, is -1000. The scale is the same on every scanner in the
# world. No photograph has anything like it.
#
# | material | HU, about |
# |---|---|
# | air | -1000 |
# | fat | -100 to -50 |
# | water, cerebrospinal fluid | 0 to 15 |
# | white matter | 20 to 30 |
# | gray matter | 35 to 45 |
# | **fresh clotted blood** | **50 to 80** |
# | calcification | 100 and more |
# | skull | 300 to 2000 |
# | metal | 3000 and more |

# %% [markdown]
# Blood and brain are 20 HU apart, on a scale that runs over 4000. Let us read a slice through the middle of a head
# with a hemorrhage.

# %%
per_scan = hu_table.groupby("scan_id")["any"].sum()
scan = hu_table[hu_table["scan_id"] == per_scan.idxmax()].reset_index(drop=True)
positive = scan[scan["any"] == 1]
row = positive.iloc[len(positive) // 2]
hounsfield = read_hounsfield(row)  # float32 (height, width)
print(f"slice {row['slice_id']}: {hounsfield.shape} pixels")
print(f"from {hounsfield.min():.0f} to {hounsfield.max():.0f} HU")

# %% [markdown]
# **Predict**: we draw the lowest number black, the highest white, all others in between. What will you see of the
# brain?

# %%
# alt: Left, a slice with all Hounsfield units from air to bone as shades of gray: the skull is a white ring and the
# alt: brain one flat gray. Right, the values along its middle row: -1000 in air, above 1000 in the two walls of the
# alt: skull, and an almost flat line near 30 in the brain.
fig, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
shown = axes[0].imshow(hounsfield, cmap="gray")
fig.colorbar(shown, ax=axes[0], label="HU")
axes[0].axhline(len(hounsfield) // 2, color="C1")
axes[0].set(title=f"All HU at once, {source}", xticks=[], yticks=[])
axes[1].plot(hounsfield[len(hounsfield) // 2], color="C1")
axes[1].set(title="Along the orange line", xlabel="column (pixel)", ylabel="HU")
plt.show()

# %% [markdown]
# The whole brain is one flat gray. The line on the right tells why: brain, fluid and blood together fill a narrow
# strip, and skull and air take nearly all the shades. The blood is in the numbers. It is not in this picture.

# %% [markdown]
# ## A window: level and width
# So we show a part of the scale only. A **window** has a *level*, its middle, and a *width*. What is below the
# window is black, what is above it is white, and all shades are spent inside.
#
# **Exercise 1.** The brain window has level 40 and width 80. Which HU are just black, and which just white?

# %% tags=["task"]
low, high = ..., ...

low, high = check.q01_1((low, high))
print(f"black at {low:g} HU, white at {high:g} HU")

# %% tags=["hint"]
check.q01_1.hint()

# %% tags=["solution"]
low, high = 40 - 80 / 2, 40 + 80 / 2

low, high = check.q01_1((low, high))
print(f"black at {low:g} HU, white at {high:g} HU")

# %% [markdown]
# **Exercise 2.** Write it for any window: Hounsfield units in, an image from 0 (black) to 1 (white) out.


# %% tags=["task"]
def window_by_hand(hounsfield, level, width):
    return ...


window_by_hand = check.q01_2(window_by_hand)
print(window_by_hand(np.array([-1000, 0, 20, 40, 80, 2000]), level=40, width=80))

# %% tags=["hint"]
check.q01_2.hint()


# %% tags=["solution"]
def window_by_hand(hounsfield, level, width):
    low = level - width / 2
    return np.clip((hounsfield - low) / width, 0, 1)


window_by_hand = check.q01_2(window_by_hand)
print(window_by_hand(np.array([-1000, 0, 20, 40, 80, 2000]), level=40, width=80))

# %% [markdown]
# From here on we use `hemokit.windows.apply_window`, which does the same and also refuses what cannot be HU. It
# knows the windows of our papers by name:

# %%
named = pd.DataFrame(NAMED.values(), index=NAMED, columns=["level", "width"])
named["black at HU"] = [window.low for window in NAMED.values()]
named["white at HU"] = [window.high for window in NAMED.values()]
difference = np.abs(apply_window(hounsfield, "brain") - window_by_hand(hounsfield, *BRAIN)).max()
print(f"largest difference between yours and apply_window: {difference:.1g}")
named

# %% [markdown]
# **Predict**: in which of the four windows below will the blood be easiest to see? In which will the brain vanish?

# %%
# alt: The same slice in four windows. Brain: blood, gray and white matter differ. Subdural: the same, paler, and
# alt: blood beside bone stays visible. Soft tissue: the brain is an even gray. Bone: the skull shows its layers,
# alt: the brain is dark and empty.
fig, axes = plt.subplots(1, 4, figsize=(14, 4.8), layout="constrained")
for ax, name in zip(axes, ("brain", "subdural", "soft_tissue", "bone")):
    limits = f"{NAMED[name].low:g} to {NAMED[name].high:g} HU"
    show_slice(apply_window(hounsfield, name), ax=ax, title=f"{name} window\n{limits}")
fig.suptitle(f"One slice, four windows, {source}")
plt.show()

# %% [markdown]
# The brain window shows blood best, and paints the skull the same white. A thin subdural bleed along the skull then
# melts into the bone. The subdural window keeps the two apart, and the bone window shows fractures. A radiologist
# switches between them all the time.

# %% [markdown]
# ## Three windows in one image
# A network cannot switch, but its input has three channels: red, green, blue. So put a window in each. fahim (one of
# the five systems of lesson 00, as math7243 is) used brain, subdural and soft tissue:

# %%
fahim = stack_windows(hounsfield, ("brain", "subdural", "soft_tissue"))
print(fahim.shape, fahim.dtype, f"from {fahim.min():.2f} to {fahim.max():.2f}")

# %% [markdown]
# **Exercise 3.** Build math7243's composite of `hounsfield`: brain in red, bone in green, subdural in blue.

# %% tags=["task"]
composite = ...

composite = check.q01_3(composite, hounsfield)
print(composite.shape, composite.dtype)

# %% tags=["hint"]
check.q01_3.hint()

# %% tags=["solution"]
composite = stack_windows(hounsfield, ("brain", "bone", "subdural"))

composite = check.q01_3(composite, hounsfield)
print(composite.shape, composite.dtype)

# %% [markdown]
# Now look at a whole scan this way: six slices from the neck up, fahim's colors above, math7243's below.

# %%
# alt: Six slices from the base of the skull to the top, twice. In fahim's colors the brain is violet, bone white
# alt: and fresh blood pink; in math7243's the brain is brown, bone bright pink, and skin and fat dark green.
rows = scan.iloc[np.linspace(0.1 * len(scan), 0.9 * len(scan), 6).astype(int)]
slices = [read_hounsfield(each) for _, each in rows.iterrows()]
images = [stack_windows(each, ("brain", "subdural", "soft_tissue")) for each in slices]
images += [stack_windows(each, ("brain", "bone", "subdural")) for each in slices]
names = ("fahim", "math7243")
titles = [f"{name}, slice {index}" for name in names for index in rows["slice_index"]]
axes = montage(images, titles=titles, columns=6)
axes[0].figure.suptitle(f"Three windows as red, green and blue, {source}")
plt.show()

# %% [markdown]
# The colors mean nothing to a doctor, and the network does not mind. Where there is a tint, one window saw what
# another did not: fat is black in the brain window, and green below because the bone window still shows it.

# %% [markdown]
# ## Where the tissues lie
# One slice is an example. A histogram over many slices says where each window cuts.

# %%
sample = hu_table.sample(min(60, len(hu_table)), random_state=SEED)
stack = [read_hounsfield(each) for _, each in sample.iterrows()]
values = np.concatenate([each.ravel() for each in stack])
inside = values[values > -500]
air = 1 - len(inside) / len(values)
print(f"{len(stack)} slices, {len(values):,} pixels; {air:.0%} of them are air")

# %%
# alt: Two histograms. Left, all Hounsfield units on a log scale: a tall peak at air, one near 30, and a long low
# alt: tail of bone. Right, the part from -150 to 250 HU with the brain, subdural and soft-tissue windows as bars: a
# alt: peak of fat near -95, a tall peak of brain near 30 in the middle of the brain window, a small one near 60.
fig, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
axes[0].hist(values, bins=np.arange(-1100, 2001, 20), color="0.5", log=True)
axes[0].set(xlabel="HU", ylabel="pixels (log)", title=f"All HU, {len(stack)} slices, {source}")
axes[1].hist(inside, bins=np.arange(-150, 251, 2), color="0.5")
bars = axes[1].get_xaxis_transform()  # x in HU, y in parts of the height
for height, name in zip((0.8, 0.87, 0.94), ("soft_tissue", "subdural", "brain")):
    limits = NAMED[name].low, NAMED[name].high
    axes[1].plot(limits, [height] * 2, lw=5, transform=bars, label=name)
axes[1].legend(title="window", loc="center right")
axes[1].set(xlabel="HU", ylabel="pixels", title="Three windows", xlim=(-150, 250))
plt.show()

# %% [markdown]
# Fat lies left of zero, the brain in the middle of its window. And blood? There is a small hill near 60 HU, in the
# phantom at least, just where fresh blood should be. **Predict**: of all pixels from 50 to 80 HU, what part is
# blood? The masks know.

# %%
with_mask = hu_table[hu_table["mask_path"].notna()].head(40)
if len(with_mask):
    masks = np.stack([read_mask(each) for _, each in with_mask.iterrows()])
    bright = np.stack([read_hounsfield(each) for _, each in with_mask.iterrows()])
    bright = (bright >= 50) & (bright <= 80)
    print(f"{masks[bright].mean():.0%} of the pixels from 50 to 80 HU are blood,")
    print(f"and {bright[masks].mean():.0%} of the blood has 50 to 80 HU ({source}).")
else:
    print("This folder has no masks: nobody can say which of these pixels are blood.")

# %% [markdown]
# And these were only slices *with* hemorrhage. The hill is mostly muscle, and the rest is the edge of the skull,
# where a pixel is part bone and part brain. Blood also spreads out of its range: old blood is darker. This is why
# no threshold on HU solves the problem, and why this course is longer than one lesson.

# %% [markdown]
# ## What a JPG has lost
# Public data often come as JPGs: somebody chose a window and saved 256 shades. **Predict**: we take the bone JPG
# and the brain JPG of our slice, turn their shades back into HU, and show each in both windows. Which of the four
# pictures can you use?

# %%
back = {}
for name in ("brain", "bone"):
    window = NAMED[name]
    saved = np.round(apply_window(hounsfield, window) * 255).astype(np.uint8)  # what a file keeps
    back[name] = window.low + saved / 255 * window.width  # all that can be got back
    values_left = np.unique(back[name][(hounsfield > 0) & (hounsfield < 80)])
    print(f"{name} JPG: {len(values_left)} different values left between 0 and 80 HU")

# %%
# alt: A corner of brain and skull, four times. Brain JPG in the brain window: fine. Brain JPG in the bone window:
# alt: gray, no skull at all. Bone JPG in the brain window: patches of a few shades. Bone JPG in the bone window:
# alt: fine.
height, width = hounsfield.shape
corner = slice(height // 4, height // 2), slice(width // 2, 7 * width // 8)
pairs = [(name, window) for name in ("brain", "bone") for window in ("brain", "bone")]
images = [apply_window(back[name], window)[corner] for name, window in pairs]
titles = [f"{name} JPG\nin {window} window" for name, window in pairs]
axes = montage(images, titles=titles, columns=4)
axes[0].figure.suptitle(f"What 8 bits kept, {source}")
plt.show()

# %% [markdown]
# The second one was to be expected: everything above 80 HU was the same white, so the skull is gone. The surprise
# is the third. The bone JPG (fourth picture) looks perfect, yet it spreads 255 steps over 2800 HU: **one step is 11
# HU**. White and gray matter, about 10 HU apart, fall on the same shade or the next, and thin bleeds fall with
# them.
#
# Nothing brings it back. This is why `read_hounsfield` refuses a JPG instead of guessing.

# %% [markdown]
# ## Repair a broken pipeline
# Scanners store whole numbers, and a header gives the *intercept* to add to them: usually -1024. Some RSNA files
# have 12 bits a pixel and an intercept of 0. Their numbers below zero have **wrapped around**, like a car's
# odometer: -1 is stored as 4095.

# %%
true = np.maximum(hounsfield.round().astype(int), -1000)  # this storage holds nothing below -1000
stored_values = (true % 4096).astype(np.uint16)
where = [true.argmin(), true.argmax(), true.size // 2 + true.shape[1] // 2]
found = {"true HU": true.flat[where], "stored": stored_values.flat[where]}
pd.DataFrame(found, index=["air", "densest bone", "middle of the brain"])

# %% [markdown]
# Air is now denser than the skull. A reader that only adds the intercept runs without an error, and a network
# learns from white air.
#
# **Exercise 4.** Repair the reader. A file is wrapped when its intercept is above -100. Then: add 1000; take 4096
# from whatever reached 4096; the intercept is -1000. For all other files the result stays what it is now: stored
# value plus intercept.


# %% tags=["task", "broken"]
def to_hounsfield(stored_values, intercept):
    values = stored_values.astype(int)
    return values + intercept


print("largest error in HU:", np.abs(to_hounsfield(stored_values, 0) - true).max())
to_hounsfield = check.q01_4(to_hounsfield)

# %% tags=["hint"]
check.q01_4.hint()


# %% tags=["solution"]
def to_hounsfield(stored_values, intercept):
    values = stored_values.astype(int)
    if intercept > -100:  # stored 12-bit values have wrapped
        values = values + 1000
        values[values >= 4096] -= 4096
        intercept = -1000
    return values + intercept


print("largest error in HU:", np.abs(to_hounsfield(stored_values, 0) - true).max())
to_hounsfield = check.q01_4(to_hounsfield)

# %% [markdown]
# `.astype(int)` matters as well: stored values are unsigned 16-bit numbers, and subtracting 1024 from such a 5 gives
# 64517. The reader of this course does all this for RSNA files, and leaves good files alone to the bit.

# %% [markdown]
# ## Which is which?
# How good is our phantom? Here are twelve slices at 128 x 128 pixels. Where `DATA` is a CT-ICH folder of JPGs, half of
# them are real people. Those JPGs were saved through a wide brain window (level 40, width 120, to judge by the gray of
# brain and fluid), so the phantom is shown through the same one.

# %%
real = table if layout == "ct_ich_jpg" and not is_phantom(folder) else None
drawn = open_dataset(phantom)
if real is None:
    print("No CT-ICH JPG folder was given, so all twelve are phantoms.")
kinds = [("phantom", drawn)] * 12 if real is None else [("phantom", drawn), ("real", real)] * 6
order = np.random.default_rng(SEED + 1).permutation(12)

# %%
answers, images = [], []
for place, number in enumerate(order):
    kind, kind_table = kinds[number]
    scans = kind_table["scan_id"].unique()
    rows = kind_table[kind_table["scan_id"] == scans[place % len(scans)]]
    row = rows.iloc[int((0.35 + 0.04 * place) * len(rows))]
    image = read_image(row, windows=("brain_wide",) if kind == "phantom" else ("brain",))
    images.append(cv2.resize(image[..., 0], (128, 128), interpolation=cv2.INTER_AREA))
    answers.append(kind)

# %%
# alt: Twelve slices of heads, lettered A to L, at 128 by 128 pixels in a wide brain window: phantoms, and real
# alt: patients among them where real data were given.
letters = "ABCDEFGHIJKL"
axes = montage(images, titles=list(letters), columns=6)
axes[0].figure.suptitle("Phantom or patient? Wide brain window (level 40 HU, width 120 HU)")
plt.show()

# %% [markdown]
# **Predict**: if there are patients among them, write down your twelve answers before you read on. If all are
# phantoms, which ones could be a person, and what gives the others away?

# %%
for kind in sorted(set(answers)):
    which = [letter for letter, answer in zip(letters, answers) if answer == kind]
    print(f"{kind}: {' '.join(which)}")

# %% [markdown]
# A phantom may fool an eye at this size, and it should: then a model trained on it meets the same kinds of
# difficulty. It still is a drawing. It knows only the bleeds, the noise and the heads that we thought of.

# %% [markdown]
# ## Papers and here
# fahim normalized the three channels by their mean and standard deviation over the RSNA training scans. The same
# numbers from our sample:

# %%
channels = stack_windows(np.stack(stack), ("brain", "subdural", "soft_tissue"))
channels = channels.reshape(-1, 3)  # (pixels, windows)
fahim = ("RSNA, real", "21,000 scans", "train", "-")
here = (source, f"{len(stack)} slices", "none", SEED)
rows = {
    "fahim, mean": (*fahim, 0.1738, 0.1433, 0.1970),
    "here, mean": (*here, *channels.mean(axis=0).round(4)),
    "fahim, std": (*fahim, 0.3161, 0.2850, 0.3111),
    "here, std": (*here, *channels.std(axis=0).round(4)),
}
columns = ["data", "n", "split", "seed", "brain", "subdural", "soft tissue"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# Close numbers would mean only that the heads fill the picture alike and that about as much of it is bone. It is a
# check of the phantom's geometry, and no score.

# %% [markdown]
# > **Take away**: HU are a measurement, a window is a choice. Level is the middle, width the extent. An 8-bit
# > picture holds one window, and the rest is gone. The number in the file becomes HU by the header, and headers
# > lie.
# >
# > **What can go wrong in the clinic**: a thin subdural bleed hides in the white of the skull, since nobody looked
# > in the subdural window. A wrapped file turns air into metal, and the program answers all the same.
# >
# > **Next**: lesson 02 turns experts' labels into masks, and counts what is lost on the way.
# >
# > *For education only. Not a medical device.*
