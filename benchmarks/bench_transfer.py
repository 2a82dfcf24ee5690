"""Frozen backbones: features computed once against an epoch that computes them anew; and what a slice costs to predict.

The job is ten epochs of a head on a frozen Xception, 400 phantom slices of 96x96. The rival is Keras' own `fit` on the
same batches, run for three epochs and scaled to ten; its first epoch, which compiles, is left out. Ours is what
`fit_head` does, with all that it writes. Both compute in float32. Processor time stands beside the clock, as other
work on the machine disturbs it less.

The floor is the floating-point work of one forward pass at the speed of a matrix product, timed just before. It is no
bound to the last percent: 3-wide convolutions can be computed with fewer multiplications than are counted.
"""

import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench_train_step import gemm_child
from timing import answer, in_child, report

from hemokit.processes import cores

SIZE, SLICES, BATCH, EPOCHS = 96, 400, 16, 10
PREDICT_SIZE, PREDICT_BATCH, REPEATS = 256, 8, 3
BACKBONES = ("VGG16", "ResNet50", "Xception", "DenseNet121", "DenseNet169", "InceptionResNetV2")


def clocks(function, *args):
    """Seconds by the clock and of the processor that a call takes, and its result."""
    wall, work = time.perf_counter(), time.process_time()
    result = function(*args)
    return (time.perf_counter() - wall, time.process_time() - work), result


def gflop(model):
    """Floating-point work of one forward pass for one image, in GFLOP: convolutions and dense layers."""
    import keras

    work = 0
    for layer in model._flatten_layers():
        kernels = [getattr(layer, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
        weights = sum(math.prod(kernel.shape) for kernel in kernels if kernel is not None)
        if weights:
            work += 2 * weights * (1 if isinstance(layer, keras.layers.Dense) else math.prod(layer.output.shape[1:3]))
    return work / 1e9


def slices(folder):
    """Batches of phantom slices for training, without augmentation, in a cache of their own."""
    from hemokit.augment import NONE
    from hemokit.batches import SliceBatches
    from hemokit.datasets import open_dataset
    from hemokit.datasets.phantom import write_phantom

    os.environ["HEMOKIT_CACHE"] = str(Path(folder) / "cache")
    root = write_phantom(Path(folder) / "phantom", layout="ct_ich_jpg", num_patients=16, image_size=128, seed=0)
    table = open_dataset(root).head(SLICES).assign(split="train")
    return SliceBatches(
        table, target="class", image_size=SIZE, batch_size=BATCH, training=True, augmentation=NONE, progress=False
    )


def training_child():
    """Epochs of both ways on the same network: [wall, work] of each, and the work of one forward pass."""
    import keras

    from hemokit.models.transfer import transfer_classifier
    from hemokit.pipelines import pipeline_of
    from hemokit.training import cached_features, fit, freeze, head_of

    with tempfile.TemporaryDirectory() as folder:
        batches = slices(folder)
        keras.utils.set_random_seed(0)
        model = freeze(transfer_classifier("Xception", (SIZE, SIZE, 1), num_classes=7))
        model.compile("adam", "sparse_categorical_crossentropy")
        data = pipeline_of(batches)
        rival = [clocks(lambda: model.fit(data, shuffle=False, verbose=0))[0] for _ in range(4)][1:]
        once, features = clocks(lambda: cached_features(model, batches, precision="float32", progress=False))
        options = {"loss": "sparse_categorical_crossentropy", "monitor": "loss", "precision": "float32"}

        def train(name, epochs):
            return fit(head_of(model), features, None, run_dir=Path(folder) / name, epochs=epochs, **options)

        head, _ = clocks(train, "ten", EPOCHS)
        further, _ = clocks(train, "ten", 2 * EPOCHS)  # ten more, which the start of a run is no part of
    rows = len(batches.table)
    return {"rival": rival, "once": once, "head": head, "further": further, "gflop": gflop(model), "rows": rows}


def predicting_child(backbone):
    """Seconds of one batch: [wall, work] of each repeat, after one that compiles."""
    import numpy as np

    from hemokit.models.transfer import transfer_classifier

    model = transfer_classifier(backbone, (PREDICT_SIZE, PREDICT_SIZE, 1), num_classes=7)
    images = np.random.default_rng(0).random((PREDICT_BATCH, PREDICT_SIZE, PREDICT_SIZE, 1), np.float32)
    times = [clocks(model.predict_on_batch, images)[0] for _ in range(REPEATS + 1)][1:]
    return {"times": times, "gflop": gflop(model), "weights": model.count_params()}


def middle(times):
    """Medians of the wall and of the processor seconds."""
    return [statistics.median(column) for column in zip(*times, strict=True)]


def report_training(found, peak):
    """The table of ten epochs."""
    epoch, own = middle(found["rival"]), [seconds / EPOCHS for seconds in found["further"]]
    whole = [EPOCHS * seconds for seconds in epoch]
    ours = [one + two for one, two in zip(found["once"], found["head"], strict=True)]
    floor = found["gflop"] * found["rows"] / peak * cores()  # processor seconds of one pass
    rows = [
        {"way": "recompute: one epoch", "seconds": epoch[0], "processor seconds": epoch[1], "times faster": "-"},
        _row("cached: one epoch", own, epoch),
        {"way": "recompute: ten epochs (scaled)", "seconds": whole[0], "processor seconds": whole[1],
         "times faster": "-"},
        _row("cached: features once and ten epochs", ours, whole),
        {"way": "floor: one forward pass", "seconds": floor / cores(), "processor seconds": floor, "times faster": "-"},
    ]  # fmt: skip
    note = (
        f"goal 5 times; times faster by the clock / by processor time; {found['gflop']:.2f} GFLOP a slice forward, a "
        f"2048 x 2048 product runs at {peak:.0f} GFLOP/s (processor time)"
    )
    title = f"Head of a frozen Xception, {found['rows']} slices of {SIZE}x{SIZE}, batch {BATCH}, {cores()} cores"
    report(title, rows, note)


def _row(way, ours, theirs):
    ratio = " / ".join(f"{two / one:.1f}" for one, two in zip(ours, theirs, strict=True))
    return {"way": way, "seconds": ours[0], "processor seconds": ours[1], "times faster": ratio}


def report_predicting(found, peak):
    """The table of inference."""
    rows = []
    for backbone, one in found.items():
        wall, work = (1000 * seconds / PREDICT_BATCH for seconds in middle(one["times"]))
        floor = 1000 * one["gflop"] / peak * cores()
        rows.append(
            {"backbone": backbone, "weights": f"{one['weights']:,}", "GFLOP a slice": one["gflop"], "ms a slice": wall,
             "processor ms a slice": work, "floor, processor ms": floor, "of the floor": floor / work}
        )  # fmt: skip
    note = f"batches of {PREDICT_BATCH}, float32; floor: the work at {peak:.0f} GFLOP/s of a matrix product"
    report(f"Inference of transfer classifiers, {PREDICT_SIZE}x{PREDICT_SIZE}, {cores()} cores", rows, note)


def main():
    """Both tables."""
    peak = gemm_child()["float32"][1]
    report_training(in_child(__file__, "train", threads=cores()), peak)
    report_predicting({name: in_child(__file__, "predict", name, threads=cores()) for name in BACKBONES}, peak)


if __name__ == "__main__":
    children = {"train": training_child, "predict": predicting_child}
    if len(sys.argv) > 1:
        answer(**children[sys.argv[1]](*sys.argv[2:]))
    else:
        main()
