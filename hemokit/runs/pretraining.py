"""A start that costs no download: a U-Net that learned to segment on the phantom, for real data that are few.

ImageNet's photographs teach edges and fur; the phantom teaches what this task is about, blood in a head CT, with masks
that nobody had to draw. What it cannot teach is how real scans differ, and for that a few real slices with labels are
enough: see `models.transfer.unet_classifier`.

    start = phantom_segmenter("ct_ich_jpg", runs="runs")
    recipe = {**FINE_TUNING, "weights": start}
    frame = cross_validate(folds_by_patient(open_dataset(root)), "real", recipe, runs="runs", source="real scans")
    class_report(average_neighbors(frame), labels=TWO_CLASSES)

What to compare it with, a network that begins with nothing:

    plain = {**FINE_TUNING, "model": "plain_cnn", "epochs": (0, 10), "learning_rates": (0, 1e-3), "imbalance": "repeat"}
"""

from hemokit.checks import check_choice
from hemokit.datasets import open_dataset
from hemokit.datasets.phantom import phantom_root
from hemokit.labels import TWO_CLASSES
from hemokit.runs.recipes import train_recipe
from hemokit.splits import split_by_patient

LAYOUTS = ("ct_ich_jpg", "ct_ich_nifti")  # of those with masks
# What `hemokit train` does by default, on one window that all of them can show.
SEGMENTATION = {
    "image_size": 128, "windows": ("brain_wide",), "filters": (8, 16, 32, 64, 128), "batch_norm": True,
    "loss": "pooled_dice_bce", "learning_rate": 4e-3, "schedule": "cosine", "batch_size": 8, "epochs": 6,
    "train_on": "balanced", "images_an_epoch": None, "augmentation": "STANDARD",
}  # fmt: skip
# A low rate and few epochs: the segmenter is right about most slices already.
FINE_TUNING = {
    "model": "unet", "head": "pool", "weights": None, "image_size": 128, "windows": ("brain_wide",),
    "target": "class", "classes": TWO_CLASSES, "imbalance": None, "epochs": (0, 5), "learning_rates": (0, 3e-4),
    "flip": True, "batch_size": 16, "augmentation": "STANDARD", "patience": None,
}  # fmt: skip


def phantom_segmenter(layout, *, runs, num_patients=100, recipe=SEGMENTATION, seed=0):
    """Train a U-Net on the phantom in the layout of the data that it is a start for; or find it again.

    Args:
        layout: "ct_ich_jpg" or "ct_ich_nifti", the layouts with masks: the phantom has the same windows then, and is
            saved as coarsely. For Hounsfield units without masks, as those of "rsna", take "ct_ich_nifti".
        runs: folder of the runs.
        num_patients: of the phantom, split by patient: 70 % to learn from, 15 % to choose the epoch, 15 % to test.
        recipe: see `recipes`.
        seed: of phantom, split and training.

    Returns:
        the folder of the run, for `weights` of a recipe of `classifiers`.

    Raises:
        HemokitError: another layout, and as `recipes.train_recipe`.
    """
    check_choice(layout, LAYOUTS, "layout")
    table = split_by_patient(open_dataset(phantom_root(layout, num_patients=num_patients, seed=seed)), seed=seed)
    return train_recipe(table, "phantom", recipe, runs=runs, source="phantom (synthetic)", seed=seed)[0]
