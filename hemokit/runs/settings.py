"""What a run of `hemokit train` is made with, and what is refused before any data are read. No Keras: it takes long."""

from typing import NamedTuple

from hemokit import augment
from hemokit.checks import check_choice, check_whole, problem
from hemokit.datasets import find_dataset
from hemokit.runs.channels import channels_of
from hemokit.runs.data import check_split

AUGMENTATIONS = {
    "standard": augment.STANDARD,
    "renyard": augment.RENYARD,
    "twobranch": augment.TWOBRANCH,
    "fahim": augment.FAHIM,
    "none": augment.NONE,
}
LOSSES = {  # names in `hemokit.losses`
    "pooled_dice_bce": "pooled_dice_bce",
    "dice_bce": "dice_bce",
    "bce": "binary_crossentropy",
    "dice": "dice_loss",
    "jaccard": "jaccard_distance",
}
PRECISIONS = ("auto", "float32", "mixed_bfloat16")


class Recipe(NamedTuple):
    """What a run is made with, beside its data and its split; the names are those of the command's options."""

    image_size: int = 128
    batch_size: int = 8
    epochs: int = 30
    windows: tuple = ()
    augmentation: str = "standard"
    loss: str = "pooled_dice_bce"
    learning_rate: float = 4e-3
    schedule: str = "cosine"
    balance: bool = True
    precision: str = "auto"
    seed: int = 0
    filters: tuple = (8, 16, 32, 64, 128)
    batch_norm: bool = True
    tensorboard: bool = False


def check_plan(recipe, root=None, *, fractions=(0.7, 0.15, 0.15), fold=None, num_folds=5):
    """Raise HemokitError for whatever can be known to be wrong before any image is read, and before Keras is there.

    Args:
        recipe: `Recipe`.
        root: the folder of the data, of which only the layout is looked at; None is the phantom.
        fractions, fold, num_folds: as `data.with_split`.
    """
    check_recipe(recipe)
    check_split(fractions=fractions, fold=fold, num_folds=num_folds)
    channels_of("ct_ich_jpg" if root is None else find_dataset(root)[0], recipe.windows)


def check_recipe(recipe):
    """Raise HemokitError for a name that is none, a number that cannot be one, or a size that the network cannot halve.

    Windows depend on the data: `channels.channels_of` looks at them.
    """
    check_choice(recipe.augmentation, AUGMENTATIONS, "augmentation")
    check_choice(recipe.loss, LOSSES, "loss")
    check_choice(recipe.schedule, ("constant", "cosine"), "schedule")
    check_choice(recipe.precision, PRECISIONS, "precision")
    for name in ("epochs", "batch_size", "image_size"):
        check_whole(getattr(recipe, name), name, 1)
    check_whole(recipe.seed, "seed", 0)
    if not 0 < recipe.learning_rate < 10:
        raise problem(f"the learning rate is {recipe.learning_rate:g}", "a number above 0", "0.001 is usual.")
    if len(recipe.filters) < 2 or not all(isinstance(one, int) and one > 0 for one in recipe.filters):
        remedy = "One per level of the network, as in 8,16,32."
        raise problem(f"filters is {recipe.filters!r}", "two or more positive whole numbers", remedy)
    _check_size(recipe.image_size, depth=len(recipe.filters) - 1)


def _check_size(size, *, depth):
    """The network halves an image `depth` times, and must get back to the same size."""
    step = 2**depth
    if size % step:
        below = size // step * step
        sizes = f"{below} or {below + step}" if below else f"{step}"
        came, expected = (
            f"the image size is {size}",
            f"a multiple of {step}, which {depth + 1} levels can halve {depth} times",
        )
        raise problem(came, expected, f"Take {sizes}, or fewer filters.")
