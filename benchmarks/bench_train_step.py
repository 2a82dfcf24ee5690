"""One training step of the 1,962,337-parameter U-Net at 128x128, batch 16: Keras here against PyTorch channels-last.

PyTorch is no dependency of this project. HEMOKIT_BENCH_TORCH names the Python of an environment that has it; without
one its rows are left out. Every variant runs in processes of its own, in turns, on the same cores. Beside images a
second stands the same per processor time (times the cores), which other work on the machine disturbs less; PyTorch's
threads spin while they wait, so that on a busy machine its processor time says nothing.
"""

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import time

from hemokit.processes import cores

SIZE, BATCH, STEPS, ROUNDS = 128, 16, 6, 2
FILTERS = (16, 32, 64, 128, 256)
KERAS_ROWS = {
    "Keras float32": ("float32", "0"),
    "Keras mixed_bfloat16": ("mixed_bfloat16", "0"),
    "Keras float32, XLA": ("float32", "1"),
    "Keras mixed_bfloat16, XLA": ("mixed_bfloat16", "1"),
}
RIVAL = "PyTorch float32, channels last"
TORCH_ROWS = {RIVAL: "float32", "PyTorch bfloat16 autocast, channels last": "bfloat16"}


def timed(step):
    """Wall and processor seconds of each of `STEPS` calls, after two that warm up."""
    step(), step()
    times = []
    for _ in range(STEPS):
        wall, work = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - wall, time.process_time() - work))
    return times


def blobs(number, size, seed=0):
    """Noise with a bright disk in it, and the disk as mask: float32 (number, size, size, 1) both."""
    import numpy as np

    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:size, :size]
    (y, x), radius = rng.uniform(0.2, 0.8, (2, number, 1, 1)) * size, rng.uniform(0.05, 0.15, (number, 1, 1)) * size
    masks = ((row - y) ** 2 + (column - x) ** 2 < radius**2)[..., None].astype("float32")
    return np.clip(rng.normal(0.4, 0.15, masks.shape) + 0.3 * masks, 0, 1).astype("float32"), masks


def keras_model(precision, xla, size):
    """The compiled U-Net and its trainable floating-point work per image, in GFLOP."""
    import keras

    from hemokit.losses import binary_crossentropy
    from hemokit.models.unet import unet

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    model = unet((size, size, 1), filters=FILTERS)
    model.compile(optimizer=keras.optimizers.Adam(), loss=binary_crossentropy, jit_compile=xla == "1")
    work = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            height, width = layer.output.shape[1:3]
            passes = 2 if not work else 3  # forward, by weights, by input: the image needs no gradient
            work.append(passes * 2 * math.prod(layer.kernel.shape) * height * width)
    return model, sum(work) / 1e9


def keras_child(precision, xla):
    """Steps of Keras with TensorFlow."""
    import tensorflow as tf

    model, gflop = keras_model(precision, xla, SIZE)
    images, masks = (tf.constant(array) for array in blobs(BATCH, SIZE))
    return {
        "times": timed(lambda: model.train_on_batch(images, masks)),
        "gflop": gflop,
        "weights": model.count_params(),
    }


def curve_child(precision):
    """The loss of each step of one epoch: 640 images of 64 x 64 with a disk to find."""
    model, _ = keras_model(precision, "0", 64)
    images, masks = blobs(640, 64)
    parts = range(0, 640, BATCH)
    return {"losses": [float(model.train_on_batch(images[i : i + BATCH], masks[i : i + BATCH])) for i in parts]}


def gemm_child():
    """The peak of a matrix product of 2048 x 2048 in GFLOP/s by the clock and by processor time, for each type."""
    import tensorflow as tf

    peak = {}
    for name in ("float32", "bfloat16"):
        a = tf.cast(tf.random.normal((2048, 2048)), name)
        product = tf.function(lambda a: tf.matmul(a, a))
        best = [min(times) for times in zip(*timed(lambda a=a, f=product: f(a).numpy()), strict=True)]
        peak[name] = [2 * 2048**3 / 1e9 / best[0], 2 * 2048**3 / 1e9 / best[1] * cores()]
    return peak


def torch_child(precision):
    """The same network, loss and optimizer in PyTorch."""
    import torch
    from torch import nn

    def block(before, after):
        layers = [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            pairs = list(zip(FILTERS, FILTERS[1:], strict=False))
            self.down = nn.ModuleList(block(a, b) for a, b in [(1, FILTERS[0]), *pairs])
            self.up = nn.ModuleList(block(a + b, a) for a, b in reversed(pairs))
            self.pool, self.grow = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
            self.logits = nn.Conv2d(FILTERS[0], 1, 1)

        def forward(self, x):
            skips = []
            for one in self.down[:-1]:
                skips.append(one(x))
                x = self.pool(skips[-1])
            x = self.down[-1](x)
            for one in self.up:
                x = one(torch.cat([self.grow(x), skips.pop()], 1))
            return self.logits(x)

    torch.manual_seed(0)
    torch.set_num_threads(cores())
    model = UNet().to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.BCEWithLogitsLoss()
    images, masks = (torch.from_numpy(array).permute(0, 3, 1, 2) for array in blobs(BATCH, SIZE))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(images)
        loss(logits.float(), masks).backward()
        optimizer.step()

    return {"times": timed(step), "weights": sum(weight.numel() for weight in model.parameters())}


def child(python, *arguments):
    """Run this file as a child with one variant; its answer."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    environment.pop("OMP_NUM_THREADS", None)
    command = [python, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def torch_python():
    """The Python that has PyTorch, or None."""
    return os.environ.get("HEMOKIT_BENCH_TORCH") or (sys.executable if importlib.util.find_spec("torch") else None)


def measure():
    """All variants in turns: {name: {"times": all steps, ...}}."""
    variants = {name: (sys.executable, "keras", *how) for name, how in KERAS_ROWS.items()}
    if torch_python():
        variants.update({name: (torch_python(), "torch", how) for name, how in TORCH_ROWS.items()})
    found = {}
    for _ in range(ROUNDS):
        for name, command in variants.items():
            answer = child(*command)
            found.setdefault(name, {**answer, "times": []})["times"] += answer["times"]
            assert answer["weights"] == 1_962_337, f"{name} is another network"
    return found


def rows_of(found, peak):
    """The table: images a second by the clock and by processor time, against PyTorch, and the part of the floor."""
    rate = {
        name: [BATCH / statistics.median(times) for times in zip(*answer["times"], strict=True)]
        for name, answer in found.items()
    }
    gflop = found["Keras float32"]["gflop"]
    rows = []
    for name, (wall, work) in rate.items():
        limit = peak["bfloat16" if "bfloat16" in name else "float32"][1] / gflop
        rows.append(
            {
                "variant": name,
                "images/s": wall,
                "times PyTorch float32": wall / rate[RIVAL][0] if RIVAL in rate else "-",
                "images/s of processor time": work * cores(),
                "of the matrix-product floor": work * cores() / limit,
            }
        )
    return rows, gflop


def main():
    """Print the table and the two loss curves."""
    from timing import report

    found, peak = measure(), child(sys.executable, "gemm")
    rows, gflop = rows_of(found, peak)
    note = (
        f"goal 1.5 times PyTorch float32; {gflop:.2f} GFLOP an image; a 2048 x 2048 product runs at "
        f"{peak['float32'][1]:.0f} GFLOP/s in float32 and {peak['bfloat16'][1]:.0f} in bfloat16 (processor time)"
    )
    report(f"Training step of the U-Net, {SIZE}x{SIZE}, batch {BATCH}, {cores()} cores", rows, note)
    curves = {name: child(sys.executable, "curve", name)["losses"] for name in ("float32", "mixed_bfloat16")}
    rows = [{"step": n, **{name: losses[n - 1] for name, losses in curves.items()}} for n in (1, 10, 20, 30, 40)]
    report("Loss over one epoch (mean so far), 64x64, 640 images", rows, "the same weights and images at the start")


if __name__ == "__main__":
    children = {"keras": keras_child, "torch": torch_child, "gemm": gemm_child, "curve": curve_child}
    if len(sys.argv) > 1:
        print(json.dumps(children[sys.argv[1]](*sys.argv[2:])))
    else:
        main()
