"""Training on several GPUs or machines by a tf.distribute strategy (TensorFlow alone).

    strategy = tf.distribute.MirroredStrategy()  # all GPUs of this machine
    fit(lambda: unet((128, 128, 1)), train, validation, run_dir=..., epochs=20, strategy=strategy)

For several machines, `tf.distribute.MultiWorkerMirroredStrategy()` is made first of all in each process, the
environment variable TF_CONFIG says who takes part, and run_dir lies on a disk that all of them see; the first worker
writes.

The loop is here because Keras' own (3.15.1) does not train with several workers: it reduces batches and scalar losses
in ways that the strategy refuses. Each batch is a global one: every worker makes it and takes its share. The loss is
that of one process up to rounding where the number of replicas divides all batches; a rest at the end of an epoch
weighs the same for each replica, whatever its share, and batch normalization is over the share of a replica.
"""

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
        if not model.built:
            raise problem("a model without weights as yet", "a built one", "Begin it with keras.Input(shape).")
        if strategy is not None and model.distribute_strategy is not strategy:
            remedy = "Pass a function that builds it: lambda: unet((128, 128, 1))."
            raise problem("a model that was built outside the strategy", "one built under strategy.scope()", remedy)
        return model
    if not callable(model):
        raise problem(f"model is {type(model).__name__}", "a keras.Model or a function that builds one", "Build one.")
    keras.utils.set_random_seed(seed)
    with scope_of(strategy):
        return model()


def train_distributed(model, train, validation, *, strategy, epochs, first, callbacks):
    """What `keras.Model.fit` does, for all replicas of a strategy.

    Args:
        model: compiled under the strategy's scope.
        train, validation: data sources that end (validation may be None).
        epochs, first: the epochs to run are first (from 0) to epochs - 1.
        callbacks: Keras callbacks.
    """
    train, validation = _shared(train, strategy), _shared(validation, strategy)
    learn, judge = _on_all(model.train_step, strategy), _on_all(model.test_step, strategy)
    callbacks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=int(train.cardinality))
    model.stop_training, logs = False, {}
    callbacks.on_train_begin()
    for epoch in range(first, epochs):
        callbacks.on_epoch_begin(epoch)
        logs = _pass_over(train, learn, model, callbacks)
        if validation is not None:
            logs |= {f"val_{name}": value for name, value in _pass_over(validation, judge, model).items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callbacks.on_train_end(logs)


def _pass_over(data, step, model, callbacks=None):
    """One step for each batch; the metrics of the whole pass, over all replicas."""
    model.reset_metrics()
    for number, batch in enumerate(data):
        if callbacks:
            callbacks.on_train_batch_begin(number)
        step(batch)
        if callbacks:
            callbacks.on_train_batch_end(number)
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _on_all(step, strategy):
    """A step of the model as one compiled function over all replicas; what it finds goes to the model's metrics."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def on_all(batch):
        strategy.run(step, args=(batch,))

    return on_all


def _shared(source, strategy):
    """A data source as a dataset of which each replica gets its share of every batch; None stays None."""
    import tensorflow as tf

    if source is None:
        return None
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = source if isinstance(source, tf.data.Dataset) else _dataset_of(source)
    return strategy.experimental_distribute_dataset(data.with_options(options))


def _dataset_of(source):
    """A keras.utils.PyDataset as a tf.data.Dataset."""
    import tensorflow as tf

    specs = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in source[0])
    data = tf.data.Dataset.from_generator(lambda: map(source.__getitem__, range(len(source))), output_signature=specs)
    return data.apply(tf.data.experimental.assert_cardinality(len(source))).prefetch(2)
