"""`fit`: train a model so that the run can be killed, resumed, repeated and believed.

The folder of a run gets best.keras (the epoch with the best monitored value), last.keras (everything that a resumed run
needs, in one file), history.csv and run.json (data, settings, versions, machine). All are whole at any moment: a run
killed in its tenth epoch goes on after its ninth, and ends with the same weights to the last bit as one that was not
killed (on the same CPU, the same number of cores, and data that depend on the epoch alone: slice batches and arrays do;
other sources do if each epoch brings the same batches).
"""

from pathlib import Path

from hemokit.checks import check_whole, problem
from hemokit.losses import dice_bce
from hemokit.training.checkpoints import BEST, HISTORY, LAST, read_state, remove_leftovers, restore
from hemokit.training.distribution import built_model, is_chief, scope_of, train_distributed
from hemokit.training.epochs import Bookkeeper, has_stopped, history_frame, rate_of, write_history
from hemokit.training.precision import choose_precision, computing_in
from hemokit.training.recipe import build_recipe
from hemokit.training.reporting import cleared, reporter, watchers
from hemokit.training.run_record import check_same_run, recorded
from hemokit.training.sources import as_source, check_model, check_sources


def fit(
    model, train, validation, *, run_dir, epochs, loss=dice_bce, optimizer=None, learning_rate=None,
    schedule="constant", metrics=(), batch_size=16, seed=0, precision="auto", patience=None, monitor="val_loss",
    tensorboard=False, strategy=None, settings=None, resume=True, callbacks=(), live=None,
):  # fmt: skip
    """Train a model, one line an epoch, and leave in `run_dir` what is needed to go on, to repeat and to judge.

    Args:
        model: keras.Model; or a function without arguments that builds one (after `seed` is set, and under the scope
            of `strategy`). A model is trained in place and ends with the weights of the last epoch; `load(run_dir)`
            gives the best.
        train, validation: `batches.SliceBatches`, a dataset of `pipelines.slice_pipeline`, (x, y) arrays, or any data
            source of Keras that ends. validation may be None if `monitor` is not a value of it.
        run_dir: folder of this run, made if missing; the top of this module says what it gets.
        epochs: how many in all, those before a resumption counted in; more than a run began with go on with a constant
            schedule alone, as along a cosine each rate depends on their number.
        loss: function (y_true, y_pred), its Keras name, or a keras.losses.Loss; for labels
            "sparse_categorical_crossentropy" (classes) or "binary_crossentropy". Weights of a batch count in the loss
            of training, not in metrics.
        optimizer: None (Adam), a Keras name, or an optimizer, of which a fresh copy is used.
        learning_rate: None is 0.001, or what the optimizer object brings.
        schedule: "constant", or "cosine": from the full rate in the first epoch along half a cosine towards zero.
        metrics: Keras names, functions or metrics to follow.
        batch_size: of arrays; the other sources know theirs.
        seed: whole number from 0: order of arrays, first weights, and all global random numbers. With TensorFlow,
            custom layers draw from a keras.random.SeedGenerator, or a resumed run draws other numbers.
        precision: "auto", "float32" or "mixed_bfloat16"; see `precision.choose_precision`.
        patience: stop when so many epochs bring no better `monitor`; None never stops.
        monitor: a column of the history; lower is better if "loss" is in its name, else higher.
        tensorboard: write curves to run_dir/tensorboard.
        strategy: a tf.distribute strategy (TensorFlow); `train` then holds global batches.
        settings: dict of JSON values to record beside the run and to compare at its resumption.
        resume: go on with the run in run_dir, if there is one. False deletes that run's files and begins anew.
        callbacks: more Keras callbacks; what they remember is theirs to save.
        live: True draws the losses anew after each epoch, in a notebook.

    Returns:
        DataFrame, one row an epoch: epoch (from 1), seconds, loss, val_loss, metrics, learning_rate. Where the run is
        finished already, nothing is trained and its history is returned.

    Raises:
        HemokitError: data of the wrong split or with patients on both sides; slice batches that the model does not fit;
            a run in run_dir with other data or settings (all but a larger `epochs`; Keras' version may differ, see
            run.json); a loss that is not finite.
    """
    seed, run_dir, chief = check_whole(seed, "seed", 0), Path(run_dir), is_chief(strategy)
    train, validation = _sources(train, validation, batch_size=batch_size, seed=seed, monitor=monitor)
    saved = _saved_run(run_dir, resume, chief)
    model = built_model(model, strategy, seed=seed)
    for source in (train, validation)[: 1 if validation is None else 2]:
        check_model(model, source.batches, loss)
    with scope_of(strategy):  # the variables of an optimizer belong to the strategy it is made under
        recipe = build_recipe(
            model, loss=loss, optimizer=optimizer, learning_rate=learning_rate, metrics=metrics, schedule=schedule,
            seed=seed, precision=precision_of(precision, saved), patience=patience, monitor=monitor, epochs=epochs,
            settings=settings or {},
        )  # fmt: skip
    made_with = _made_with(train, validation, recipe)
    history = _earlier_epochs(saved, made_with, epochs, run_dir, resume=resume, chief=chief)
    keeper = Bookkeeper(
        run_dir=run_dir if chief else None, made_with=made_with, history=history, batches=train.batches, seed=seed,
        monitor=monitor, patience=patience, rate=rate_of(recipe.settings, epochs),
        report=reporter(epochs, history, live=live, quiet=not chief),
    )  # fmt: skip
    shown = watchers(run_dir, tensorboard=tensorboard, quiet=not chief)  # a bar is gone when the keeper prints its line
    _run(model, recipe, (train, validation), [*shown, keeper, *callbacks], epochs, strategy, saved, run_dir / LAST)
    return history_frame(history)


def _sources(train, validation, *, batch_size, seed, monitor):
    """Both data sources, checked alone and together."""
    batch_size = check_whole(batch_size, "batch_size", 1)
    train = as_source(train, batch_size=batch_size, seed=seed, training=True)
    validation = as_source(validation, batch_size=batch_size)
    check_sources(train, validation, monitor=monitor)
    return train, validation


def precision_of(precision, saved):
    """The precision to compute in: for "auto" that of the run that goes on, whatever this machine is fast with."""
    return saved["made_with"]["settings"]["precision"] if precision == "auto" and saved else choose_precision(precision)


def _made_with(train, validation, recipe):
    """What a resumed run is compared with."""
    data = {"train": train.facts, "validation": validation and validation.facts}
    return {"data": data, "settings": recipe.settings}


def _run(model, recipe, sources, callbacks, epochs, strategy, saved, last):
    """Compile, restore what is `saved` (in the file `last`) if anything is, and train the epochs that are left."""
    train, validation = sources
    keeper = next(one for one in callbacks if isinstance(one, Bookkeeper))
    with computing_in(model, recipe.settings["precision"]):
        with scope_of(strategy):
            # "auto" is XLA on a GPU and none on a CPU, where XLA trained the default U-Net at a quarter of the speed.
            model.compile(recipe.optimizer, recipe.loss, metrics=recipe.metrics, jit_compile="auto")
            model.optimizer.build(model.trainable_variables)  # its memory belongs into the first checkpoint too
            if saved:
                restore(model, last, saved)
        done = len(keeper.history)
        if done < epochs and not has_stopped(keeper.history, keeper.monitor, keeper.patience):
            with recorded(keeper.run_dir, keeper.made_with, epochs=epochs, resumed=bool(saved)):
                span = {"epochs": epochs, "first": done, "strategy": strategy}
                with cleared(callbacks):
                    _train(model, train.data, validation and validation.data, callbacks, **span)


def _saved_run(run_dir, resume, chief):
    """The state of the run in run_dir, or None where a new one begins."""
    saved = read_state(run_dir / LAST) if resume else None
    others = [name for name in (BEST, HISTORY) if (run_dir / name).exists()]  # never there before last.keras
    if chief and resume and saved is None and others:
        remedy = "Choose another run_dir (or resume=False, which deletes them)."
        raise problem(f"{run_dir} holds {' and '.join(others)}", f"{LAST} beside it, or an empty folder", remedy)
    return saved


def _earlier_epochs(saved, made_with, epochs, run_dir, *, resume, chief):
    """The rows of the history so far, after a look at whether this is the same run; then its leftovers are removed."""
    history = [] if saved is None else list(saved["history"])
    if saved is not None:
        check_same_run(saved["made_with"], made_with, run_dir=run_dir)
    done = len(history)
    if epochs < done:
        remedy = "Ask for as many or more, or choose another run_dir."
        raise problem(f"epochs is {epochs}, and the run in {run_dir} has {done}", f"{done} or more", remedy)
    if chief and done:
        print(f"{run_dir}: going on after epoch {done} of {epochs}", flush=True)
        write_history(run_dir, history)
    if chief:
        remove_leftovers(run_dir, everything=not resume)  # only now: a wrong argument deletes nothing
    return history


def _train(model, train, validation, callbacks, *, epochs, first, strategy):
    """Keras' own loop, or that of a strategy.

    Keras must not shuffle: it would draw the order from global numbers that no checkpoint holds.
    """
    if strategy is not None:
        span = {"strategy": strategy, "epochs": epochs, "first": first}
        return train_distributed(model, train, validation, callbacks=callbacks, **span)
    span = {"epochs": epochs, "initial_epoch": first, "verbose": 0}
    return model.fit(train, validation_data=validation, callbacks=callbacks, shuffle=False, **span)
