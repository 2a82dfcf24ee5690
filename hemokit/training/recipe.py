"""The recipe of a run as JSON values: what it is recorded by, and what a resumed run is compared with."""

import json
from typing import NamedTuple

import keras

from hemokit.checks import check_choice, check_whole, problem
from hemokit.training.epochs import SCHEDULES
from hemokit.training.run_record import describe_model

LEARNING_RATE = 1e-3


class Recipe(NamedTuple):
    """`loss` and `metrics` as Keras takes them, a fresh `optimizer`, and the `settings` they are recorded by."""

    loss: object
    optimizer: object
    metrics: list
    settings: dict


def build_recipe(model, *, loss, optimizer, learning_rate, metrics, **others):
    """Check the arguments of `fit` and describe them.

    Args:
        model: the model, in its own precision.
        loss, optimizer, learning_rate, metrics: as `fit`.
        **others: schedule, seed, precision, patience, monitor, epochs and the user's settings.
    """
    epochs, schedule = others.pop("epochs"), check_choice(others["schedule"], SCHEDULES, "schedule")
    epochs = check_whole(epochs, "epochs", 1)
    if others["patience"] is not None:
        others["patience"] = check_whole(others["patience"], "patience", 1)
    optimizer, rate = _fresh_optimizer(optimizer, learning_rate)
    if schedule == "cosine":
        if isinstance(rate, dict):
            remedy = "Give the optimizer one number, or leave schedule at 'constant'."
            raise problem("schedule='cosine' and an optimizer with its own schedule", "one schedule", remedy)
        others["epochs"] = epochs  # the cosine ends at the last epoch, so another number is another run
    config = {key: value for key, value in optimizer.get_config().items() if key not in ("name", "learning_rate")}
    settings = {
        "model": describe_model(model),
        "loss": _named(keras.losses.serialize(loss) if not isinstance(loss, str) else loss),
        "optimizer": {"name": type(optimizer).__name__, **config},
        "learning_rate": rate,
        "metrics": [_named(one if isinstance(one, str) else keras.metrics.serialize(one)) for one in metrics],
        **others,
    }
    return Recipe(loss, optimizer, list(metrics), _as_json(settings))


def _fresh_optimizer(optimizer, learning_rate):
    """A new optimizer with nothing in its memory, and its learning rate (a dict for a schedule of its own)."""
    if optimizer is None or isinstance(optimizer, str):
        made = keras.optimizers.get(optimizer or "adam")
        made.learning_rate = LEARNING_RATE if learning_rate is None else learning_rate
    elif learning_rate is not None:
        remedy = "Give it to the optimizer, or name the optimizer by a string."
        raise problem("a learning_rate beside an optimizer object", "one learning rate", remedy)
    else:
        made = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    rate = made.get_config()["learning_rate"]
    # A float32 variable holds it: 0.001 comes back as 0.0010000000474974513.
    return made, rate if isinstance(rate, dict) else float(f"{rate:.7g}")


def _named(serialized):
    """A function by its name; a loss or metric with settings of its own as it is."""
    plain = isinstance(serialized, dict) and serialized.get("class_name") == "function"
    return serialized["config"] if plain else serialized


def _as_json(settings):
    try:
        return json.loads(json.dumps(settings))
    except TypeError as error:
        remedy = "Give settings, losses and metrics of plain values, or register them with Keras."
        raise problem(
            f"settings that JSON cannot hold ({error})", "strings, numbers, lists and dicts", remedy
        ) from None
