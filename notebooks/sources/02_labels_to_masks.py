# %% [markdown]
# # 02 Labels to masks
#
# > **Goal**: turn label files, as an annotation tool exports them, into masks to train on, and account for every row.
# >
# > **You need**: lessons 00 and 01, and a little pandas.
# >
# > **Time**: 30 minutes to read, 10 seconds to run; a minute more where the phantoms must be made first.
# >
# > **Data**: the phantom as window-rendered JPGs with polygon labels; or your own folder of that layout. For any
# > other folder, sections 1 to 5 use the phantom and section 6 shows yours.
# >
# > **Hardware**: any laptop. No GPU, no network.
#
# The northeastern project began with 5,488 label rows and trained its segmentation network on 854 slices. What
# happened to the rest? We walk the same way and count each step.

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
import ast
import json
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hemokit import check, masks
from hemokit.datasets import find_dataset, open_dataset, read_image, read_mask
from hemokit.datasets.phantom import make_phantom, phantom_root
from hemokit.labels import LABELS
from hemokit.manifests import is_phantom
from hemokit.plots import show_slice
from hemokit.tables import account

pd.options.display.max_colwidth = 100

# %% [markdown]
# ## 1 What a label looks like
# Readers outlined hemorrhages in slices of the RSNA 2019 data with a web tool, which exported one CSV a project. The
# phantom writes files of the same form, oddities included.

# %%
layout, folder = find_dataset(DATA) if DATA else (None, None)
own = open_dataset(folder) if DATA else None
root = folder
if layout != "windowed_jpg":  # no polygon labels there
    root = phantom_root("windowed_jpg", num_patients=14, seed=SEED)
source = "phantom (synthetic)" if is_phantom(root) else "real labels"
print(f"Sections 1 to 5 use: {source}.")

# %%
paths = sorted(Path(root).rglob("Results_*.csv"))
text = {"dtype": str, "keep_default_na": False}
files = {path.name: pd.read_csv(path, **text) for path in paths}
sizes = [(name, *frame.shape) for name, frame in files.items()]
pd.DataFrame(sizes, columns=["file", "rows", "columns"])

# %% [markdown]
# Three traps, before we have looked into a single file:
#
# - the subtype stands **only in the file's name**;
# - there are **two** subdural files: a script that opens one file a subtype loses the other;
# - the tracing file, with other columns, is the one for slices with intraventricular blood alone (in a very small
#   phantom it may have no rows). The northeastern report says that these labels "were not supplied", and goes on
#   without the subtype.
#
# We read everything as text. Lesson 00 showed what becomes of guessed types.

# %%
detection = [frame for name, frame in files.items() if "Detection" in name]
raw = pd.concat(detection, ignore_index=True)
settled = raw[raw["Labeling State"] == "Labeled"]
lengths = settled[["Majority Label", "Correct Label"]].map(len)
row = raw.loc[lengths.min(axis=1).idxmax()]  # both columns are filled
row.drop(["URL", "All Labels"]).str.slice(0, 75).to_frame("one row (cut at 75 characters)")

# %% [markdown]
# Most columns are about the readers: how many looked, how far they agreed. Two hold the outline. `Majority Label` is
# what most readers drew **for the region of this row**. `Correct Label` is what was settled in the end **for the
# whole case**. Remember the difference; it will cost us in section 4.

# %%
points = json.loads(row["Majority Label"])
polygon = np.array([(point["x"], point["y"]) for point in points])  # (corners, 2)
print(f"first corner: {points[0]}")
print(f"{len(polygon)} corners; x from {polygon[:, 0].min():.3f} to {polygon[:, 0].max():.3f}")

# %% [markdown]
# All values lie between 0 and 1: parts of the picture's width and height, counted from the **top left corner**. The
# same label fits a render of any size.
#
# **Exercise 1.** Draw this polygon on a picture of 300 rows and 400 columns: give its corners in pixels, an array
# (corners, 2) of x and y. Which of the two lengths belongs to x?

# %% tags=["task"]
height, width = 300, 400
corners = ...

corners = check.q02_1(corners, polygon, height, width)

# %% tags=["hint"]
check.q02_1.hint()

# %% tags=["solution"]
height, width = 300, 400
corners = polygon * (width, height)

corners = check.q02_1(corners, polygon, height, width)

# %% [markdown]
# A point is (x, y); an array is (row, column). On a square picture nothing fails when you mix them up: the mask just
# lies elsewhere. So draw the outlines over their slice once, always.

# %%
table = open_dataset(root)
labeled = table[table["polygons_xy"].notna()].reset_index(drop=True)
filled = settled.loc[settled["Correct Label"].str.len() > 20, "Origin"].str.removesuffix(".jpg")
few = labeled["slice_id"].isin(filled) & (labeled["polygons_xy"].map(len) <= 4)
some = [(masks.lesions(read_mask(row)), row) for _, row in labeled[few].head(300).iterrows()]
size_of_third = [lesions[2].num_pixels if len(lesions) > 2 else 0 for lesions, _ in some]
example = some[np.argmax(size_of_third)][1]  # three pieces, none of them tiny
image, mask = read_image(example)[..., 0], read_mask(example)  # (height, width)

# %%
# alt: Left: a head CT slice in the brain window with outlines around the blood. Right: the mask of the slice, white
# alt: inside the outlines and black elsewhere. The white areas lie where the outlines are.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
show_slice(image, ax=axes[0], title=f"{example['slice_id']}, brain window, {source}")
for points in example["polygons_xy"]:
    closed = np.vstack([points, points[:1]]) * image.shape[::-1]  # x, y in pixels
    axes[0].plot(*(closed - 0.5).T, color="C1")
show_slice(mask.astype(float), ax=axes[1], title=f"its mask: {mask.sum()} of {mask.size} pixels")
plt.show()

# %% [markdown]
# Outline, blood and mask agree: axes and origin are right. (Why the 0.5? A picture puts the *center* of its first
# pixel at 0, the labels put its *edge* there.)
#
# Half a pixel sounds like nothing. Is it?
#
# ## 2 From a line to pixels
# Ask a case whose answer you know.
#
# **Predict**: a square has its corners at 5 and 15, so it is 10 wide and 10 high. How many pixels does OpenCV's
# `fillPoly`, the usual tool, fill?

# %%
square = np.array([(5, 5), (15, 5), (15, 15), (5, 15)])
filled = cv2.fillPoly(np.zeros((20, 20), np.uint8), [square], 1)
centers = masks.polygons_to_mask([square / 20], (20, 20))
print(f"cv2.fillPoly: {filled.sum()} pixels; by pixel centers: {centers.sum()} pixels")

# %%
# alt: Two grids of 20 by 20 pixels with the same square outline from 5 to 15. Left, fillPoly: the filled pixels stick
# alt: out over the outline to the right and below, 11 by 11. Right, pixel centers: they end at the outline, 10 by 10.
fig, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
drawings = {"cv2.fillPoly": filled, "pixel centers": centers}
for ax, (name, drawn) in zip(axes, drawings.items(), strict=True):
    ax.pcolormesh(drawn, cmap="cividis", edgecolors="gray", linewidth=0.3)
    ax.plot(*np.vstack([square, square[:1]]).T, color="C1", linewidth=3)
    ax.set(title=f"{name}: {drawn.sum()} pixels", aspect="equal", ylim=(20, 0))
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)")
plt.show()

# %% [markdown]
# `fillPoly` takes corners for pixel *numbers* and fills every pixel the line touches; 5 to 15 are eleven numbers.
# That is right for drawing on a screen and wrong for measuring. `polygons_to_mask` asks whether the **center** of a
# pixel is inside: 100 pixels, and two regions with a common border share none.
#
# A square of 10 pixels becomes 21 % too large. What about lesions of other sizes? Take discs.

# %%
angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
circle = np.column_stack([np.cos(angle), np.sin(angle)]) / 2  # diameter 1
diameters, excess = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96], []
for diameter in diameters:
    disc, area = 128.3 + diameter * circle, np.pi * diameter**2 / 4
    by_line = cv2.fillPoly(np.zeros((256, 256)), [disc.astype(np.int32)], 1).sum()
    by_center = masks.polygons_to_mask([disc / 256], (256, 256)).sum()
    excess.append((100 * (by_line / area - 1), 100 * (by_center / area - 1)))

# %%
# alt: Excess area over the diameter of a disc. fillPoly: 75 percent at 4 pixels, 15 percent at 16, 2 percent at 96.
# alt: Pixel centers: near 0 everywhere.
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.semilogx(diameters, excess, base=2, label=["cv2.fillPoly", "pixel centers"])
ax.lines[0].set(marker="o", linestyle="--")
ax.lines[1].set(marker="s")
ax.set_title("A disc as a mask, against its true area")
ax.set(xlabel="diameter (pixels)", ylabel="excess (%)")
ax.legend()
plt.show()

# %% [markdown]
# The line adds half a pixel all around. A large hematoma hardly notices: 2 % at 96 pixels. A small round spot, 6
# pixels wide, becomes almost half as large again; a long strip of that width, such as blood in a groove of the brain,
# a sixth (7 pixels instead of 6). The northeastern masks were drawn with OpenCV (section 4.1 of their report), so
# their network learned small lesions that are too large, and was scored against them.
#
# ## 3 Nothing, in many spellings
# Not every row has an outline. How do the files say "nothing here"?

# %%
cell = raw["Correct Label"].replace("", "(blank)")
cell = cell.where(cell.str.len() < 10, "longer text")
pd.crosstab(raw["Labeling State"], cell)

# %% [markdown]
# Several spellings of nothing: blank, `[]`, `[[]]`, `[[], []]`. And one more hides in the longer texts: `[[],
# [{...}]]`, an empty region **before** a real one. A test such as `cell == "[]"` misses most of them, and `cell[0]`
# finds an empty list where a region is.
#
# **Exercise 2.** Write `regions_of(cell)`: a cell of `Correct Label`, as text, becomes a list of arrays (corners, 2),
# one for each region that has points. `ast.literal_eval` reads the text, unless it is blank.


# %% tags=["task"]
def regions_of(cell):
    return ...


regions_of = check.q02_2(regions_of)
regions = raw["Correct Label"].map(regions_of)
print("regions, rows:", regions.map(len).value_counts().sort_index().to_dict())

# %% tags=["hint"]
check.q02_2.hint()


# %% tags=["solution"]
def regions_of(cell):
    found = ast.literal_eval(cell) if cell else []
    return [np.array([(p["x"], p["y"]) for p in region]) for region in found if region]


regions_of = check.q02_2(regions_of)
regions = raw["Correct Label"].map(regions_of)
print("regions, rows:", regions.map(len).value_counts().sort_index().to_dict())

# %% [markdown]
# Rows without a region are not lost yet. The rule that the labels ask for: **`Correct Label`, else `Majority Label`,
# else the row is unusable.**
#
# ## 4 One slice, several rows
# Blood often lies in several places. Here is the slice of section 1 again, as it stands in its file.

# %%
num_regions = regions.map(len)
case = raw.loc[raw["Origin"] == example["slice_id"] + ".jpg", "Case ID"].iloc[0]
rows = raw[raw["Case ID"] == case]
rows[["Case ID", "Origin"]].assign(regions_in_Correct_Label=num_regions)

# %% [markdown]
# One image and one case, a row for each region (in the phantom, pieces that touch at a corner only are two). And each
# of these rows repeats **all** regions in `Correct Label`.
#
# **Predict**: a colleague concatenates the files and draws the `Correct Label` of each row. How many regions are
# drawn for this case? And is the mask wrong?

# %%
drawn, there = num_regions[rows.index].sum(), num_regions[rows.index[0]]
print(f"this case: {drawn} regions drawn, {there} there")
once = num_regions[raw.drop_duplicates("Case ID").index].sum()
print(f"all detection files: {num_regions.sum()} regions drawn, {once} there")

# %%
# alt: Two pictures of the same case, cut out around its regions. Left, every row added up: the regions have the value
# alt: of the number of rows. Right, each region once: the same shapes with the value 1.
stack = np.stack([masks.polygons_to_mask(regions[row], mask.shape) for row in rows.index])
y, x = np.nonzero(stack[0])
around = {"xlim": (x.min() - 9, x.max() + 10), "ylim": (y.max() + 10, y.min() - 9)}
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
drawings = {"every row": stack.sum(axis=0), "each region once": stack[0].astype(int)}
for ax, (name, drawn) in zip(axes, drawings.items(), strict=True):
    shown = ax.pcolormesh(drawn, cmap="cividis", vmin=0, vmax=len(rows))
    ax.set(title=f"case {case}: {name}", aspect="equal", **around)
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)")
fig.colorbar(shown, ax=axes, label="times drawn")
plt.show()

# %% [markdown]
# Surprised? A case of *k* regions has *k* rows with *k* regions each: it is drawn *k* times *k*. What follows depends
# on the next line of code, and that is the danger:
#
# - masks joined by **or**: the picture is right, by luck;
# - masks **added**: values up to *k*, areas and volumes *k* times too large;
# - one training example a row: the slice counts *k* times, and **its copies can fall on both sides of a split**. The
#   northeastern notebook keeps one row a region. What this does to a score is shown in lesson 03.
#
# ## 5 The account
# Now all rules at once. `read_polygon_labels` reads the seven files, gives **one row a slice**, and counts the rest.

# %%
labels = masks.read_polygon_labels(paths)
outcome = account(labels).as_frame()
num_rows = sum(map(len, files.values()))
print(f"{num_rows} rows in the files, {outcome['rows'].sum()} in the account")
outcome[["outcome", "rows"]]

# %% [markdown]
# Read it from the top. A state such as `In Progress` means that nobody has agreed yet; northeastern used `Labeled`
# and `Gold Standard` only, and so do we. "No region" are the spellings of section 3. "Further row" is section 4: not
# lost, its region is in the row that is used. Does it add up?

# %%
# alt: Horizontal bars, one for each outcome of a label row: used, further row of a slice that is used, and each reason
# alt: for which a row was dropped. Together they are all rows.
fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
names = outcome["outcome"].str.split(" (", regex=False).str[0]
bars = ax.barh(names, outcome["rows"], color="C0")
ax.bar_label(bars)
ax.set_title(f"What became of {outcome['rows'].sum()} label rows, {source}")
ax.set(xlabel="rows (number)", ylabel="outcome")
plt.show()

# %% [markdown]
# They add up; `read_polygon_labels` stops with an error if they ever do not. But a label is half of a training
# example. The other half is the picture:

# %%
account(table).as_frame()[["outcome", "rows"]]

# %% [markdown]
# `flagged.txt` names pictures to leave out, and a slice of another size than the rest is left out, as northeastern
# did (the polygons would fit it; `keep_odd_sizes=True` keeps it). One thing no count shows: **these files do not say
# which slices belong to one patient**. Without that there is no honest split; lesson 03 is about it.
#
# Northeastern also dropped masks that cover too little or too much of the picture. `clean_masks` can do it, and
# counts:

# %%
kept = masks.clean_masks(labeled, read_mask, min_fraction=0.001, max_fraction=0.2)
print(f"{len(labeled)} slices with a mask, {len(kept)} kept")

# %% [markdown]
# Think twice. Their limits were "determined by subsequent model performance on hemorrhage areas that were too small":
# what scored badly was taken out, of the test as well. The score rises, and the small bleeds are still in the
# patients.
#
# ## 6 Masks that are pictures
# CT-ICH stores its masks as JPGs, white on black, and a JPG does not keep values exactly. First, what your folder
# has:

# %%
if own is None:
    print("DATA is None: no folder of your own.")
else:
    has_mask = own["polygons_xy" if layout == "windowed_jpg" else "mask_path"].notna()
    print(account(own))
    print("positive slices:", own[list(LABELS)].sum().to_dict())
    print(f"{has_mask.sum()} slices have a mask.", end=" ")
    print("" if has_mask.any() else "What needs masks uses the phantom.")

# %%
use_own = layout == "ct_ich_jpg" and own["mask_path"].notna().any()
jpg_folder = folder if use_own else phantom_root(seed=SEED)
jpg_table = own if use_own else open_dataset(jpg_folder)
mask_paths = jpg_table["mask_path"].dropna()[:40]
pictures = [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in mask_paths]
values = np.concatenate([picture.ravel() for picture in pictures])
jpg_source = "phantom (synthetic)" if is_phantom(jpg_folder) else "real masks"

# %% [markdown]
# **Predict**: a mask is black or white. How many different values are in these files?

# %%
# alt: Histogram with a logarithmic axis. Tall bars at 0 and 255, and beside each a slope of other values; few or none
# alt: in the middle, where a dashed line stands between 127 and 128.
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.hist(values, bins=np.arange(257), log=True, color="C0")
ax.axvline(127.5, color="C1", linestyle="--", label="above 127: hemorrhage")
ax.set_title(f"{len(np.unique(values))} different values in {len(pictures)} masks, {jpg_source}")
ax.set(xlabel="value of the pixel (0 to 255)", ylabel="pixels (log scale)")
ax.legend()
plt.show()

# %%
above = (values > 127).sum()
print(f"values == 255: {(values == 255).sum() / above:.0%} of the pixels that are > 127")
print(f"values > 0: {(values > 0).sum() / above:.0%} of the pixels that are > 127")

# %% [markdown]
# `== 255` loses a part of every lesion, `> 0` adds the ripples that JPG leaves around it. Half way, `> 127`, is the
# rule. Who asks `mask == 1` finds ripples only, and no hemorrhage.
#
# ## 7 How many milliliters?
# A clinician asks for a volume. The guideline of the Brain Trauma Foundation (2006) advises surgery for an epidural
# hematoma of more than 30 mL, however awake the patient is. So a volume decides, and its unit is not pixels.

# %%
scan = make_phantom("053", seed=SEED, image_size=256, subtypes=("epidural", "subarachnoid"))
volume = scan.masks["epidural"] | scan.masks["subarachnoid"]  # bool (slices, height, width)
print(f"spacing (slice, row, column): {np.round(scan.spacing_mm, 2)} mm, phantom (synthetic)")
print(f"{volume.sum()} pixels are {masks.volume_ml(volume, scan.spacing_mm):.1f} mL")

# %% [markdown]
# `lesions` finds the connected pieces of a mask, the largest first. Sixty milliliters in one place and sixty small
# spots are different patients.

# %%
voxel_ml = masks.volume_ml(np.ones((1, 1), bool), scan.spacing_mm)
found = masks.lesions(volume)
rows = [(each.label, each.num_pixels, each.num_pixels * voxel_ml, *each.box[0]) for each in found]
pd.DataFrame(rows, columns=["lesion", "pixels", "mL", "from slice", "to before"]).round(2).head()

# %% [markdown]
# **Exercise 3.** A colleague's function reads a stack of mask JPGs (slices, height, width; 0 to 255) and the spacing
# in mm, and reports milliliters. It runs without an error, and would send patients to the wrong ward. Repair it:
# there are two mistakes.


# %% tags=["task", "broken"]
def hemorrhage_ml(pictures, spacing_mm):
    mask = pictures > 0
    return mask.sum() * spacing_mm[1] * spacing_mm[2] / 1000


hemorrhage_ml = check.q02_3(hemorrhage_ml)
print(f"{hemorrhage_ml(volume * np.uint8(255), scan.spacing_mm):.1f} mL")

# %% tags=["hint"]
check.q02_3.hint()


# %% tags=["solution"]
def hemorrhage_ml(pictures, spacing_mm):
    mask = pictures > 127
    return mask.sum() * np.prod(spacing_mm) / 1000


hemorrhage_ml = check.q02_3(hemorrhage_ml)
print(f"{hemorrhage_ml(volume * np.uint8(255), scan.spacing_mm):.1f} mL")

# %% [markdown]
# The JPGs of CT-ICH carry no spacing, so they have no milliliters: `volume_ml` refuses to guess. NIfTI and DICOM
# carry it.
#
# ## Papers and here
# The way from rows to masks. The phantom's counts are made by its recipe; they show that the account works, nothing
# else.

# %%
named = set().union(*(frame["Origin"] for frame in files.values()))
steps = {
    "label rows": (5488, num_rows),
    "slices named in them": (2984, len(named)),
    "slices with usable polygons": (2936, len(labels)),
    "slices with a mask, for segmentation": (854, len(labeled)),
}
papers = pd.DataFrame.from_dict(steps, orient="index", columns=["northeastern: n", "here: n"])
papers.assign(data=f"real / {source}", split="before any split", seed=f"- / {SEED}")

# %% [markdown]
# Northeastern's way from 2,936 to 854 has reasons but no numbers: "poor or overlapping masks", "a minimum or maximum
# percentage". Nobody can repeat it. (Its classifiers saw 1,835 slices, with 500 sampled normal ones.) That is the use
# of an account: not tidiness, but that somebody else gets the same data.

# %% [markdown]
# > **Take away**: look at the raw row, draw the outline over the slice, and make the counts add up. A pixel is inside
# > when its center is. Each region counts once, each slice has one row. A mask JPG is `> 127`. A volume needs a
# > spacing.
# >
# > **What can go wrong in the clinic**: regions counted once for each row turn 20 mL into 60, and small bleeds that
# > were cleaned away for the score are never found.
# >
# > **Next**: lesson 03 splits these slices, and shows how a score of 90 % can mean nothing.
# >
# > *For education only. Not a medical device.*
