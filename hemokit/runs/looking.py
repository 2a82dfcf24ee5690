"""What the lesson on heat maps shares: slices as a network sees them, their maps, a pointing game with intervals.

A recipe is one of `classifiers`.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hemokit.batches import SliceBatches
from hemokit.checks import problem
from hemokit.evaluation import pointing_hit, slice_report
from hemokit.evaluation.reports import build_report, check_judged
from hemokit.gradcam import gradcam_batch, gradients
from hemokit.gradcam.layers import place_named, places_of
from hemokit.labels import ANY
from hemokit.runs.lesson_data import MIN_PATIENTS, choose_data
from hemokit.runs.recipes import recipe_windows
from hemokit.splits import split_by_patient

FRACTIONS = (0.6, 0.15, 0.25)  # of the patients, for training, validation and test
MAPS_AT_ONCE = 16  # images whose features are held in memory together


class Looked(NamedTuple):
    """What is learned from, and what has masks; both split by patient.

    Attributes:
        table, source: to learn from, and its origin in words.
        masked, mask_source: slices with masks; the same where the table has them, else of a phantom.
    """

    table: pd.DataFrame
    source: str
    masked: pd.DataFrame
    mask_source: str

    @property
    def has_masks(self):
        """Whether the slices that are learned from have masks."""
        return self.table is self.masked


def choose_tables(root, *, phantom, most_patients=None, seed=0):
    """The tables of a lesson's DATA, as `lesson_data.choose_data`; a folder of labels alone is learned from, too.

    Args:
        root, phantom, most_patients, seed: as `choose_data`.

    Returns:
        `Looked`.
    """
    data = choose_data(root, phantom=phantom, most_patients=most_patients, seed=seed)
    masked, bare = split_by_patient(data.table, fractions=FRACTIONS, seed=seed), data.unmasked
    if bare is None or bare[bare[ANY] == 1]["patient_id"].nunique() < MIN_PATIENTS:
        return Looked(masked, data.source, masked, data.source)
    print(f"But masks are needed for the pointing game alone: all else is done on {data.unmasked_source}.")
    return Looked(split_by_patient(bare, fractions=FRACTIONS, seed=seed), data.unmasked_source, masked, data.source)


def visible_lesions(masked, recipe, *, most, seed=0):
    """Validation and test slices with a lesion that can be seen at a recipe's image size.

    Args:
        masked: a split table with masks.
        recipe: as `see`.
        most: slices of each split at most, drawn.
        seed: of what is drawn.

    Returns:
        (rows, images, masks), as `see`; one line says how many were left out.
    """
    rows = masked[(masked["split"] != "train") & (masked[ANY] == 1)].sample(frac=1, random_state=seed)
    rows = rows.groupby("split").head(most).reset_index(drop=True)
    images, masks = see(rows, recipe, has_masks=True)
    seen = masks.any(axis=(1, 2))
    print(f"{seen.sum()} slices; left out, as no pixel of the lesion is left at this size: {(~seen).sum()}")
    return rows[seen].reset_index(drop=True), images[seen], masks[seen]


def bleeding_part(rows, *, most=12):
    """The slices around the bleeding ones of the scan that has the most of them: rows of one scan, in order."""
    scans = rows["scan_id"].astype(object).where(rows["scan_id"].notna(), rows["patient_id"])
    scan = rows[scans == scans[rows[ANY] == 1].value_counts().index[0]].sort_values("slice_index")
    middle = int(np.median(np.flatnonzero(scan[ANY] == 1)))
    return scan.iloc[max(0, middle - most // 2) : middle + most // 2].reset_index(drop=True)


def shuffle_weights(model, *, seed=0):
    """Shuffle the numbers within each array of a model's weights, in place; returns the model."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.permuted(one.ravel()).reshape(one.shape) for one in model.get_weights()])
    return model


def edge_maps(images):
    """How steep the first channel is, divided by its maximum: maps (images, height, width) that need no network."""
    from scipy import ndimage

    edges = np.stack([ndimage.gaussian_gradient_magnitude(one[..., 0], 1) for one in images])
    return edges / np.maximum(edges.max(axis=(1, 2), keepdims=True), 1e-6)


def head_maps(images):
    """Two maps of each image: 1 in the middle of the head and 0 elsewhere, and 1 anywhere in the head."""
    from scipy import ndimage

    heads = images[..., 0] > 0.05
    middles = np.zeros(heads.shape)
    for middle, head in zip(middles, heads, strict=True):
        middle[tuple(np.round(ndimage.center_of_mass(head)).astype(int))] = 1
    return middles, heads.astype(float)


def normal_slice(rows, recipe, *, most=40, seed=0):
    """A slice without hemorrhage through much brain, to plant something in: the image of (size, size, channels).

    Of `most` slices that are drawn it is the one with the most pixels as bright as brain (0.35 to 0.75).
    """
    normals = rows[rows[ANY] == 0]
    images, _ = see(normals.sample(min(most, len(normals)), random_state=seed), recipe, has_masks=False)
    brain = (images[..., 0] > 0.35) & (images[..., 0] < 0.75)
    return images[brain.sum(axis=(1, 2)).argmax()]


def plant(image):
    """Plant a bright patch, as fresh blood is, at four places in turn.

    Args:
        image: (size, size, channels).

    Returns:
        (images, patches): float32 (4, size, size, channels), and bool (4, size, size).
    """
    size = len(image)
    places = np.arange(size)
    spans = [(places >= first) & (places < first + max(3, size // 10)) for first in (size * 3 // 8, size * 9 // 16)]
    patches = np.stack([np.outer(rows, columns) for rows in spans for columns in spans])
    return np.where(patches[..., None], np.float32(0.8), image), patches


def see(rows, recipe, *, has_masks):
    """Slices as a network of a recipe sees them.

    Args:
        rows: of a slice table, at least one.
        recipe: windows and image_size are used.
        has_masks: whether every slice with hemorrhage has one.

    Returns:
        (images, masks): float32 (slices, size, size, channels), and bool (slices, size, size), or [None, ...].
    """
    how = {"image_size": recipe["image_size"], "batch_size": len(rows), "windows": recipe_windows(recipe, rows)}
    slices = SliceBatches(rows, target="mask" if has_masks else None, **how)[0]
    return (slices[0], slices[1][..., 0] > 0) if has_masks else (slices, [None] * len(rows))


def maps_of(model, images, label, layer=None):
    """The maps of several images by `gradcam_batch`, a few at a time: float32 (images, height, width)."""
    parts = [images[at : at + MAPS_AT_ONCE] for at in range(0, len(images), MAPS_AT_ONCE)]
    return np.concatenate([gradcam_batch(model, part, label=label, layer=layer) for part in parts])


def gradients_of_labels(model, image, layer):
    """The features of a layer for one image, and the gradient of every label's logit with respect to them.

    Args:
        model, image, layer: as `gradcam`; the model is a classifier of images of a fixed size.

    Returns:
        float32 (rows, columns, features) and (labels, rows, columns, features).
    """
    place = place_named(places_of(model), layer, is_classifier=True)
    numbers = range(model.outputs[0].shape[-1])
    pairs = [gradients.features_and_gradients(model, image[None], place, number) for number in numbers]
    return pairs[0][0][0], np.concatenate([gradient for _, gradient in pairs])


def label_report(predictions, labels, *, metric="auroc", seed=0):
    """One row of `slice_report` for each label of a classifier with a sigmoid for each, with the column label."""
    reports = [slice_report(predictions, score=f"probability_{one}", label=one, seed=seed) for one in labels]
    chosen = [report[report["metric"] == metric] for report in reports]
    return pd.concat(chosen, ignore_index=True).assign(label=list(labels))


def pointing_report(rows, players, masks, *, tolerance, seed=0):
    """The pointing game of several players on the same slices, with intervals by patient.

    Args:
        rows: of a slice table and one split, one for each mask.
        players: dict name -> maps (slices, height, width).
        masks: bool (slices, height, width), none of them empty.
        tolerance: pixels, see `pointing_hit`.
        seed: of the intervals.

    Returns:
        DataFrame as all reports; `metric` is the name of the player, `estimate` the part of slices that it hits.

    Raises:
        HemokitError: another number of maps or masks than rows, no rows, and as `pointing_hit`.
    """
    for name, maps in {"masks": masks, **players}.items():
        if len(maps) != len(rows):
            raise problem(f"{len(rows)} slices and {len(maps)} of {name!r}", "one for each slice", "Pair them first.")
    hits = {
        name: [pointing_hit(*pair, tolerance=tolerance) for pair in zip(maps, masks, strict=True)]
        for name, maps in players.items()
    }
    frame = check_judged(rows.assign(**hits))

    def statistics(weights):
        return {name: weights @ frame[name].to_numpy(float) / weights.sum(axis=-1) for name in players}

    return build_report(frame, statistics, unit_name="slices", positives=len(frame), seed=seed)


def equal_parts(rows, recipe, *, most, seed=0):
    """As many slices with hemorrhage as without, seen through the first window of a recipe, for a small network.

    Args:
        rows: of one split, with both kinds.
        recipe: windows and image_size are used.
        most: slices of each kind at most.
        seed: of what is drawn.

    Returns:
        (rows, images, labels): images float32 (slices, size, size, 1), labels float32 (slices, 1) of any hemorrhage.
    """
    counts = rows[ANY].value_counts()
    count = min(most, *(int(counts.get(value, 0)) for value in (0, 1)))
    if not count:
        raise problem(f"the slices are all {'normal' if counts.get(0) else 'positive'}", "both kinds", "Split again.")
    chosen = rows.groupby(ANY).sample(count, random_state=seed).reset_index(drop=True)
    windows = recipe_windows({"windows": recipe["windows"][:1]}, chosen)
    how = {"image_size": recipe["image_size"], "batch_size": len(chosen), "windows": windows}
    return chosen, *SliceBatches(chosen, target=ANY, **how)[0]
