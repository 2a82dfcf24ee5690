"""Training on a backbone that knows something already: frozen first, then unfrozen at a lower rate.

While the new layers are random, their gradients would only spoil what the backbone knows; so it is frozen until they
have learned.
"""

from pathlib import Path

import keras
import pandas as pd

from hemokit.checks import problem
from hemokit.models.backbones import encoder_of
from hemokit.training.checkpoints import BEST, LAST, load, read_state
from hemokit.training.distribution import built_model
from hemokit.training.epochs import best_row
from hemokit.training.features import fit_head, head_of, weights_digest
from hemokit.training.fitting import fit

PHASES = ("frozen", "unfrozen")


def freeze(model):
    """Keep the backbone of a model as it is: none of its weights is trained, no statistic moves. Returns the model."""
    encoder_of(model).trainable = False
    return model


def unfreeze(model, *, batch_norm=False):
    """Let the backbone of a model learn. Returns the model.

    Args:
        model: built by `models.transfer`.
        batch_norm: False keeps batch normalization as it is, with the statistics of what the backbone was trained on
            (https://keras.io/guides/transfer_learning: their update by small batches destroys what it has learned).
            True trains it too, which a backbone of random weights needs: its statistics are none yet.
    """
    encoder = encoder_of(model)
    encoder.trainable = True  # and all layers in it
    for layer in encoder._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = batch_norm
    return model


def fit_in_two_phases(
    build, train, validation, *, run_dir, epochs, learning_rates=(1e-3, 1e-5), batch_norm=False, cached_epochs=None,
    settings=None, **options,
):  # fmt: skip
    """Train with the backbone frozen, then go on from the best epoch with all of it at a lower rate.

    Where nothing validates (a monitor of training, as "loss"), it goes on from the last epoch: the lowest loss of
    training is no reason to go back.

    Called again after an interruption in either phase, it goes on there and ends with the same weights.

    Args:
        build: function without arguments that builds the model, the same one each time.
        train, validation: as `fit`.
        run_dir: gets a run in the folder frozen and one in unfrozen; `load(run_dir / "unfrozen")` gives the model.
        epochs: (frozen, unfrozen), each at least 1.
        learning_rates: of the two phases. An optimizer object brings all but its rate.
        batch_norm: as `unfreeze`.
        cached_epochs: None trains the first phase on images; a number computes so many epochs of features once (see
            `features.fit_head`; for models with head="pool"), and load(run_dir / "frozen") is the head alone.
        settings, **options: of `fit`, for both phases: patience, schedule and the others.

    Returns:
        DataFrame as `fit`, of both phases, with the column phase in front.

    Raises:
        HemokitError: as `fit`; learning_rate, which would be that of one phase; a model without a backbone; a first
            phase that is not the one from which the second began; with cached_epochs, a function that builds another
            backbone each time.
    """
    run_dir, optimizer, seed = Path(run_dir), options.pop("optimizer", None), options.get("seed", 0)
    if "learning_rate" in options:
        came, remedy = "learning_rate for two phases", "Write learning_rates=(1e-3, 1e-5)."
        raise problem(came, "learning_rates, one for each", remedy)
    (first, second), rates = _two(epochs, "epochs"), _two(learning_rates, "learning_rates")
    which = _goes_on_from(options)
    how = [{**options, **_at_rate(optimizer, rate)} for rate in rates]
    own = {"run_dir": run_dir / PHASES[0], "epochs": first, "settings": settings, **how[0]}
    if cached_epochs is None:
        history = fit(lambda: freeze(build()), train, validation, **own)

        def begin():
            return unfreeze(load(run_dir / PHASES[0], which), batch_norm=batch_norm)
    else:
        model = built_model(lambda: freeze(build()), None, seed=seed)
        history = fit_head(model, train, validation, cached_epochs=cached_epochs, **own)

        def begin():
            return unfreeze(_with_head(build(), model, load(run_dir / PHASES[0], which)), batch_norm=batch_norm)

    own = {"run_dir": run_dir / PHASES[1], "epochs": second, **how[1]}
    own["settings"] = {**(settings or {}), "begins_with": _begins_with(run_dir / PHASES[0], options)}
    histories = [history, fit(begin, train, validation, **own)]
    histories = [one.assign(phase=phase) for one, phase in zip(histories, PHASES, strict=True)]
    joined = pd.concat(histories, ignore_index=True)
    return joined[["phase", *histories[0].columns.drop("phase")]]


def _with_head(model, trained, head):
    """A model that was built anew, with a trained head; it must have the backbone that the head was trained on."""
    if weights_digest(encoder_of(model)) != weights_digest(encoder_of(trained)):
        remedy = "Load its weights from a file, or build it with nothing random of its own."
        raise problem("build gives another backbone each time", "the same one", remedy)
    head_of(model).set_weights(head.get_weights())
    return model


def _begins_with(run_dir, options):
    """The epoch from which the second phase goes on, so that it does not do so from another one unnoticed."""
    if _goes_on_from(options) == "last":
        row = read_state(run_dir / LAST)["history"][-1]
    else:
        row = best_row(read_state(run_dir / BEST)["history"], options.get("monitor", "val_loss"))
    return {name: value for name, value in row.items() if name != "seconds"}


def _goes_on_from(options):
    return "best" if options.get("monitor", "val_loss").startswith("val_") else "last"


def _at_rate(optimizer, rate):
    """The options of `fit` for an optimizer, by name or object, at a learning rate."""
    if optimizer is None or isinstance(optimizer, str):
        return {"optimizer": optimizer, "learning_rate": rate}
    return {"optimizer": type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})}


def _two(values, name):
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise problem(f"{name} is {values!r}", "two numbers, for frozen and unfrozen", "As in epochs=(10, 5).")
    return values
