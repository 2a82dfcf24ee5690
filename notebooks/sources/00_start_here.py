# %% [markdown]
# # 00 Start here
#
# > **Goal**: know the question this course answers, its data, and how its exercises work.
# >
# > **You need**: a little Python (a loop, a function, a pandas table). No medicine, no deep learning.
# >
# > **Time**: 15 minutes to read, 30 seconds to run (10 once the phantom is there).
# >
# > **Data**: a synthetic phantom, made on your machine; or real CT, if you have a folder of it.
# >
# > **Hardware**: any laptop. No GPU, no network, no account.

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
# The next cell is the only one you change to use other data. `DATA = None` means the phantom; a folder, such as
# `DATA = "/home/me/ct_ich"`, means the scans in it. `PROFILE` will matter in the lessons that train models: `"quick"`
# for a minute, `"paper"` as long as the paper did.

# %% tags=["parameters"]
DATA = None
PROFILE = "quick"
SEED = 0

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hemokit import check
from hemokit.datasets import find_dataset, open_dataset, read_image, read_mask
from hemokit.datasets.phantom import phantom_root
from hemokit.doctor import check_all
from hemokit.labels import SHORT, SUBTYPES, scan_labels
from hemokit.manifests import is_phantom
from hemokit.plots import montage, show_slice
from hemokit.tables import account

# %% [markdown]
# ## The question
# A patient arrives after a fall, or with the worst headache of a lifetime. Minutes later there is a CT scan: some
# thirty pictures, each a slice through the head. Four questions follow.
#
# 1. **Is there blood** outside the vessels?
# 2. **Where** is it?
# 3. **What kind** of hemorrhage is it?
# 4. **How much** is it, in milliliters?
#
# Five earlier projects put such questions to a computer. The course is built around them, and calls each by a
# short name:
#
# - **northeastern**: Tzchori, Ravenelle, Pereira, Acevedo (Northeastern University): *Brain Hemorrhage Image
#   Segmentation and Classification*, 2023
# - **renyard**: Renyard (University of Bristol): *Using machine learning for rapid intracranial haemorrhage
#   segmentation on axial computed tomography slices*, no year stated
# - **math7243**: Kelly, Whelan, Mohebbifar: *MATH7243 Final Project - Brain Hemmorhage Image
#   Classification/Segmentation* (spelled so), 2025
# - **twobranch**: *Intracranial Hemorrhage Detection*, no author and no year stated
# - **fahim**: Al Fahim K (Indian Institute of Technology, Tirupati): *Detection, Classification, and Segmentation of
#   Intracranial Haemorrhages*, 2021
#
# It matters: renyard cites a one-year mortality of 51 to 65 %, with half of the deaths in the first two days. fahim
# cites 37 to 38 % within 30 days of a hemorrhagic stroke.

# %% [markdown]
# ## The data
# One function opens a folder of any of the four kinds this course reads, and sees which kind it is. Without a folder,
# the phantom is drawn first: half a minute once, then it is kept.

# %%
root = DATA or phantom_root(seed=SEED, progress=True)
layout, folder = find_dataset(root)
if layout == "windowed_jpg":
    print("These files name no patients, whom this lesson counts: the phantom stands in.")
    layout, folder = find_dataset(phantom_root(seed=SEED))
source = "phantom" if is_phantom(folder) else "real scans"
jpg_window = "brain window of the JPGs (level 40, width 120)"
window = jpg_window if layout == "ct_ich_jpg" else "brain window (level 40, width 80)"
table = open_dataset(folder)
num_patients = table["patient_id"].nunique()
print(f"{source}, layout {layout}: {len(table)} slices of {num_patients} patients")

# %% [markdown]
# **The phantom** is a computer drawing of a head CT: skull, brain, ventricles, noise, and blood where anatomy puts
# it. It costs nothing, breaks no privacy, and its masks are exact, because we put the blood there ourselves.
#
# **The real data** are CT-ICH (82 patients) and RSNA 2019 (more than 20,000 scans), which you can get under their own
# terms; `hemokit data list` names them.
#
# **Be honest about the difference.** A model that scores 0.9 on the phantom has shown that its code works. It has
# shown nothing about patients. Every table of results in this course says on which of the two it was made.

# %% [markdown]
# ## The slice table
# One row is one slice. Every reader gives this same table, so that all later lessons work on all data.

# %%
columns = ["patient_id", "slice_id", "slice_index", "any", *SUBTYPES]
some = table.groupby("any").sample(3, random_state=SEED).sort_index()
some[columns].rename(columns=SHORT)

# %% [markdown]
# `slice_index` counts from 0 upward from the neck. `any` is 1 when there is blood of any kind; the next five columns
# name the kind (their full names come below). Two can be 1 at once: bleeds do not come one at a time.
#
# Did the reader leave anything out? Real folders hold damaged files, duplicates and labels without pictures. The
# table carries its account with it: **rows in = rows used + rows dropped**, each with a reason.

# %%
print(account(table))
account(table).as_frame()

# %% [markdown]
# Most folders are less tidy. Here is a phantom of two patients in the form of the RSNA data, with a damaged file in
# it as in the real set:

# %%
rsna = open_dataset(phantom_root("rsna", num_patients=2, seed=SEED))
for drop in account(rsna).drops:
    print(f"{len(drop.ids)} dropped: {drop.reason}")
print(f"{account(rsna).rows_in} in, {account(rsna).rows_used} used")

# %% [markdown]
# Make a habit of reading this first. A reader that skips bad files in silence gives you a score on other data than
# you think.

# %% [markdown]
# ## Look before you count
# We take the scan with the most positive slices, and go through it from the neck up.

# %%
per_scan = table.groupby("scan_id")["any"].sum()
scan = table[table["scan_id"] == per_scan.idxmax()].reset_index(drop=True)
steps = np.linspace(0, len(scan) - 1, 12).astype(int)
print(f"scan {per_scan.idxmax()}: {len(scan)} slices, {scan['any'].sum()} with hemorrhage")

# %%
# alt: Twelve slices of one head from the neck to the top, in the brain window. First face bones and the base of the
# alt: skull, then brain inside a white ring of bone, which gets smaller toward the top.
images = [read_image(row) for _, row in scan.iloc[steps].iterrows()]
titles = [f"slice {step}" for step in steps]
axes = montage(images, titles=titles)
axes[0].figure.suptitle(f"One scan in the {window}, {source}")
plt.show()

# %% [markdown]
# Bone is white, air is black, the brain is gray. You look at the head from below, as if from the foot of the bed:
# **the patient's left is on your right.** Fresh blood is a little brighter than brain. How easy is it to see?
# (The *window* in the title says which part of the scanner's scale became shades of gray: that is lesson 01.)

# %% [markdown]
# ## Is there blood, and where?
# We take a bleed of middling size from the upper half of a head. **Predict**: in the left picture below, where is the
# blood? Point at it, then look at the right one.

# %%
has_masks = table.loc[table["any"] == 1, "mask_path"].notna().any()
outlined, kind, its_window = table, source, window
if not has_masks:
    print("This folder has no masks, so the next picture shows a slice of the phantom.")
    outlined = open_dataset(phantom_root(seed=SEED))
    kind, its_window = "phantom", jpg_window
upper = outlined["slice_index"] > outlined.groupby("scan_id")["slice_index"].transform("max") / 2
masked = outlined[upper & (outlined["any"] == 1) & outlined["mask_path"].notna()]

# %%
masked = masked.assign(area=[read_mask(row).sum() for _, row in masked.iterrows()])
masked = masked.sort_values("area")
row = masked.iloc[len(masked) // 2]
image, mask = read_image(row), read_mask(row)  # 0 is black and 1 white; True where there is blood
print(f"slice {row['slice_id']}: {row['area']} of {mask.size} pixels are blood ({kind})")

# %%
# alt: The same slice twice in the brain window; on the right with the outline of the hemorrhage.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.7), layout="constrained")
show_slice(image, ax=axes[0], title=f"Slice {row['slice_id']}")
show_slice(image, ax=axes[1], mask=mask, title="The same, blood outlined")
fig.suptitle(f"One slice, {its_window}, {kind}")
plt.show()

# %% [markdown]
# Such an outline is kept as a **mask**: an image of the same size that is true where there is blood. Drawing one
# takes an expert minutes a slice. That is why most data sets have labels for every slice, and masks for a few.

# %% [markdown]
# ## What kind?
# Five subtypes, named after where the blood lies. The place decides what a surgeon does.
#
# | short | subtype | where | how it looks |
# |---|---|---|---|
# | EDH | epidural | between skull and dura | a lens |
# | SDH | subdural | between dura and brain | a crescent along the skull |
# | SAH | subarachnoid | in the grooves around the brain | bright lines and pools |
# | IPH | intraparenchymal | inside the brain | a round spot, often with a dark rim |
# | IVH | intraventricular | in the fluid chambers | a bright layer in the ventricles |
#
# Now a slice of each that shows one subtype alone; where the data have masks, the one with the largest area of blood in
# the upper half of the head.

# %%
candidates = masked if has_masks else table
alone = candidates[candidates[list(SUBTYPES)].sum(axis=1) == 1]
examples = {}
for subtype in SUBTYPES:
    rows = alone[alone[subtype] == 1]
    if len(rows):
        examples[subtype] = rows.iloc[-1 if has_masks else len(rows) // 2]
missing = [subtype for subtype in SUBTYPES if subtype not in examples]
print("shown:", ", ".join(examples))
print("missing, never alone on such a slice:", ", ".join(missing) or "none")

# %%
# alt: One slice for each subtype of hemorrhage in the brain window: epidural, intraparenchymal, intraventricular,
# alt: subarachnoid, subdural, as far as the data have a slice with that subtype alone. Where there are masks, the same
# alt: slice stands below each once more, with the blood outlined.
each, lines = (2 if has_masks else 1), -(-len(examples) // 3)  # rows of a slice; lines of three
size = 10.5, 3.6 * each * lines
fig, axes = plt.subplots(each * lines, 3, figsize=size, squeeze=False, layout="constrained")
for place, (subtype, row) in enumerate(examples.items()):
    column = axes[place // 3 * each :, place % 3]
    show_slice(read_image(row), ax=column[0], title=f"{SHORT[subtype]} {subtype}")
    if has_masks:
        show_slice(read_image(row), mask=read_mask(row), ax=column[1], title="blood outlined")
for ax in axes.flat:
    ax.set_axis_off()
fig.suptitle(f"One slice a subtype, {window}, {source}")
plt.show()

# %% [markdown]
# If you saw little before you had outlines or names, that is normal: reading such slices takes a radiologist years to
# learn. Where there are outlines, these are the largest bleeds of their kind, and so the easier ones. A thin
# subarachnoid bleed, or a little blood in a ventricle, is much easier to miss.

# %% [markdown]
# ## Now count
# **Predict**: out of 100 slices, how many show blood?
#
# **Exercise 1.** Compute the share of positive slices, a number between 0 and 1.

# %% tags=["task"]
share = ...

share = check.q00_1(share, table)
print(f"{share:.1%} of {len(table)} slices are positive ({source})")

# %% tags=["hint"]
check.q00_1.hint()

# %% tags=["solution"]
share = table["any"].mean()

share = check.q00_1(share, table)
print(f"{share:.1%} of {len(table)} slices are positive ({source})")

# %% [markdown]
# Now the surprise. Somebody sells you a program and shows you its accuracy. This is all of the program:

# %%
always_normal = np.zeros(len(table), dtype=int)
accuracy = (always_normal == table["any"]).mean()
found = (always_normal[table["any"] == 1] == 1).sum()
print(f"accuracy {accuracy:.1%}; hemorrhages found: {found} of {table['any'].sum()}")

# %% [markdown]
# It says "normal" to everyone. Its accuracy is high because most slices *are* normal, and it misses every patient who
# needs help. Accuracy is the wrong number for a rare finding. A better one stands beside it: the share of the
# hemorrhages that were found, called *sensitivity*. Here it is 0.

# %% [markdown]
# A slice is not what we treat, though. **Exercise 2.** How many *patients* have at least one positive slice? Write
# it as a function of the table, so that it works on any table.


# %% tags=["task"]
def positive_patients(table):
    return ...


positive_patients = check.q00_2(positive_patients)
print(positive_patients(table), "of", table["patient_id"].nunique(), "patients are positive")

# %% tags=["hint"]
check.q00_2.hint()


# %% tags=["solution"]
def positive_patients(table):
    per_patient = table.groupby("patient_id")["any"].max()
    return int(per_patient.sum())


positive_patients = check.q00_2(positive_patients)
print(positive_patients(table), "of", table["patient_id"].nunique(), "patients are positive")

# %% [markdown]
# A large part of the patients, and a small part of the slices: in a positive scan about a third of the slices show
# blood, and most of these are neighbors. This picture shows it, one row a patient.

# %%
# alt: A grid, one row a patient and one column a slice from the neck up. Positive slices come in runs, most of them
# alt: unbroken; about half of the rows have none.
scans = table.pivot(index="scan_id", columns="slice_index", values="any")
fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.imshow(scans, cmap="viridis", aspect="auto", interpolation="nearest")
ax.set(xlabel="slice_index (0 is the lowest slice)", ylabel="scan, in order of the table")
ax.set_title(f"Yellow: slices with hemorrhage ({source})")
plt.show()

# %% [markdown]
# Neighbors look alike and share their label. Keep this picture in mind: in lesson 03 it will break a test set.

# %% [markdown]
# ## How exercises work
# You have done two. Every exercise ends in `check.q00_2(your_answer)`, which prints one of three things:
#
# - **Correct.**
# - **Not yet:** what differs, without telling the answer.
# - **Not attempted:** the reference stands in, so that *Run All* goes on.
#
# Stuck? Remove the `#` in the hint cell, or run `check.q00_2.solution()`. Nobody keeps score.
#
# ## Repair a broken pipeline
# One exercise in each lesson hands you code that runs without an error and is wrong. Here, a colleague sends a file
# with the age of each patient:

# %%
colleagues_file = "patient_id,age_years\n049,31\n050,0.5\n130,72\n"
ages_file = Path(tempfile.mkdtemp()) / "ages.csv"
ages_file.write_text(colleagues_file, encoding="utf-8")
print(colleagues_file)

# %% [markdown]
# **Exercise 3.** With the function below, joining the ages to the slice table loses every patient whose id begins
# with 0. Run it, look at the ids, and repair the function.


# %% tags=["task", "broken"]
def read_ages(path):
    return pd.read_csv(path)


print(read_ages(ages_file))
read_ages = check.q00_3(read_ages)

# %% tags=["hint"]
check.q00_3.hint()


# %% tags=["solution"]
def read_ages(path):
    return pd.read_csv(path, dtype={"patient_id": str})


print(read_ages(ages_file))
read_ages = check.q00_3(read_ages)

# %% [markdown]
# An id is a name, not a number. In this course ids are always text, and a reader that meets anything else stops
# with one clear sentence. It never guesses.

# %% [markdown]
# ## Is this machine ready?
# `hemokit doctor`, on the command line, looks at Python, packages, memory, disk and data. Each of its lines is ok,
# or says what to do. From Python it is a table:

# %%
findings = pd.DataFrame(check_all([DATA] if DATA else []))
to_repair = findings[findings["fix"] != ""]
print(f"{len(findings)} things looked at, {len(to_repair)} to repair", *to_repair["name"])
findings.loc[findings["name"].isin(["memory", "processor", "GPU"]), ["name", "found"]]

# %% [markdown]
# ## The map of the course
# Lessons 00 to 03 are about data, 04 to 06 about naming a slice, 07 to 09 about drawing the mask, and 10 to 13 about
# whole scans, honest numbers and use. They rebuild the five systems, with the papers' numbers beside ours.
#
# | system | what it did | lessons |
# |---|---|---|
# | northeastern | polygons to masks, classical models, Xception, U-Net | 02 to 07 |
# | renyard | U-Net on CT-ICH, tuned augmentation, on a phone in 0.218 s | 03, 07, 13 |
# | math7243 | seven classes, from logistic regression to Xception | 01, 04, 06, 08 |
# | twobranch | equalized pictures, a network with two branches | 03, 08, 13 |
# | fahim | slices in sequence, Grad-CAM, UNet++ on patches | 01, 09 to 11 |

# %% [markdown]
# ## Papers and here
# What the papers had to learn from, and what this notebook has just opened:

# %%
here = (f"{layout}, {source}", len(scan_labels(table)), len(table), table["any"].sum(), SEED)
papers = pd.DataFrame(
    [("CT-ICH JPG, real", 82, 2_500, 318, "-"), ("CT-ICH JPG, real", 82, 2_501, 318, "-"), here],
    index=["renyard", "twobranch", "here"],
    columns=["data", "scans", "n slices", "positive", "seed"],
)
share = papers["positive"] / papers["n slices"]
papers.assign(share=share.map("{:.1%}".format), split="none, all slices")

# %% [markdown]
# > **Take away**: one row is one slice, one reader for all folders, and an account of every dropped row. Accuracy
# > flatters a model that does nothing. Ids are text. A phantom's score is not a patient's.
# >
# > **What can go wrong in the clinic**: a folder is read in silence without its damaged files, and the hospital's
# > hardest scans are just these. Or the left side is taken for the right.
# >
# > **Next**: lesson 01 looks inside a pixel: Hounsfield units, and what a window hides.
# >
# > *For education only. Not a medical device.*
