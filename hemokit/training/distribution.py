"""Training on several GPUs or machines: what `fit` asks of a tf.distribute strategy."""

import contextlib

import keras

from hemokit.checks import problem


def scope_of(strategy):
    """The block under which the variables of a model are made; an empty one without a strategy."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def is_chief(strategy):
    """Does this process write the files? The first worker does, and whoever is alone."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    chiefs = resolver.cluster_spec().as_dict().get("chief")
    return resolver.task_type == "chief" or (not chiefs and resolver.task_type == "worker" and resolver.task_id == 0)


def built_model(model, strategy, *, seed):
    """`model` itself, or what the function `model` builds under the strategy's scope after the seed is set."""
    if isinstance(model, keras.Model):
        if strategy is not None and getattr(model, "_distribute_strategy", None) is not strategy:
            remedy = "Pass a function that builds it: lambda: unet((128, 128, 1))."
            raise problem("a model that was built outside the strategy", "one built under strategy.scope()", remedy)
        return model
    if not callable(model):
        raise problem(f"model is {type(model).__name__}", "a keras.Model or a function that builds one", "Build one.")
    keras.utils.set_random_seed(seed)
    with scope_of(strategy):
        return model()
