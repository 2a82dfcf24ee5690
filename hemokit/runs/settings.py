"""What a run of `hemokit train` is made with, and which values are refused before any data are read."""

from typing import NamedTuple

from hemokit import augment, losses
from hemokit.checks import check_choice, problem
from hemokit.training.precision import choose_precision
from hemokit.training.recipe import check_whole

AUGMENTATIONS = {
    "standard": augment.STANDARD,
    "renyard": augment.RENYARD,
    "twobranch": augment.TWOBRANCH,
    "fahim": augment.FAHIM,
    "none": augment.NONE,
}
LOSSES = {
    "pooled_dice_bce": losses.pooled_dice_bce,
    "dice_bce": losses.dice_bce,
    "bce": losses.binary_crossentropy,
    "dice": losses.dice_loss,
    "jaccard": losses.jaccard_distance,
}


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


def check_recipe(recipe):
    """Raise HemokitError for a name that is none, a number that cannot be one, or a size that the network cannot halve.

    Windows depend on the data: `channels.channels_of` looks at them.
    """
    check_choice(recipe.augmentation, AUGMENTATIONS, "augmentation")
    check_choice(recipe.loss, LOSSES, "loss")
    check_choice(recipe.schedule, ("constant", "cosine"), "schedule")
    choose_precision(recipe.precision)
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
