"""The segmentation family on one phantom: parameters, memory, seconds a step and Dice of each network, beside medicai.

Every network learns from the same patients with the same loss and the same number of slices, in float32 by Keras' own
`fit`, from random weights; its last weights are judged. The threshold comes from validation patients, scores from test
patients. A 3-D network sees eight neighboring slices where the others see eight of any scans. Where HEMOKIT_CT_ICH
names the folder of the real CT-ICH, each network is applied to it without having seen a patient.

The rivals are medicai's U-Net and UNet++ on its own DenseNet121 (`pip install medicai`); without it their rows are left
out. Names on the command line choose networks.
"""

import importlib.util
import os
import resource
import sys
import time

from timing import answer, in_child, report

from hemokit.processes import cores

PATIENTS, SIZE, BATCH, STEPS_AN_EPOCH, EPOCHS, SLICES = 200, 64, 8, 125, 8, 8
FRACTIONS, SEED, LABEL = (0.5, 0.15, 0.35), 0, "subarachnoid"
EMPTY = 0.5  # 3-D: patches without blood for each with it
OWN, ON_BACKBONE = 4e-3, 1e-3  # learning rates at the start of a cosine
SMALL, LARGE = (8, 16, 32, 64, 128), (256, 128, 64, 32, 16)

# name -> (what builds it, its learning rate, what a paper says of its like on its own data)
BN = {"filters": SMALL, "batch_norm": True}
NETWORKS = {
    "U-Net": ({"network": "unet", **BN}, OWN, "Dice 0.577 (northeastern); IoU 0.32 (twobranch)"),
    "two branches": ({"network": "two_branch", "filters": SMALL[1:4]}, OWN, "IoU 0.56 (twobranch)"),
    "UNet++": ({"network": "unet_plus_plus", **BN}, OWN, "-"),
    "UNet++, skips added": ({"network": "unet_plus_plus", "skips": "add", **BN}, OWN, "-"),
    "VGG16 U-Net": ({"network": "transfer_unet:VGG16", "filters": LARGE}, ON_BACKBONE, "-"),
    "ResNet50 U-Net": (
        {"network": "transfer_unet:ResNet50", "filters": LARGE}, ON_BACKBONE,
        "precision 0.77, sensitivity 0.72 (math7243)"),
    "DenseNet121 U-Net": ({"network": "transfer_unet:DenseNet121", "filters": LARGE}, ON_BACKBONE, "-"),
    "medicai U-Net, DenseNet121": ("UNet", ON_BACKBONE, "-"),
    "DenseNet121 UNet++": (
        {"network": "unet_plus_plus:DenseNet121", "filters": LARGE[::-1]}, ON_BACKBONE,
        "mean Dice 0.433 with DenseNet169 (fahim)"),
    "medicai UNet++, DenseNet121": ("UNetPlusPlus", ON_BACKBONE, "-"),
    "3-D U-Net": ({"network": "unet", "halve_slices": 2, **BN}, OWN, "-"),
    "3-D UNet++, skips added": ({"network": "unet_plus_plus", "skips": "add", "halve_slices": 2, **BN}, OWN, "-"),
}  # fmt: skip


def network_of(name):
    """The untrained network of a row."""
    from hemokit.runs.recipes import build_network

    how, depth = NETWORKS[name][0], (SLICES,) if name.startswith("3-D") else ()
    if isinstance(how, dict):
        return build_network(how, (*depth, SIZE, SIZE, 1))
    import medicai.models

    filters = LARGE if how == "UNet" else (*LARGE[3::-1], LARGE[0])  # UNet++ takes them from stride 2 down
    return getattr(medicai.models, how)(
        encoder_name="densenet121", input_shape=(SIZE, SIZE, 1), num_classes=1, decoder_block_type="transpose",
        decoder_filters=filters,
    )  # fmt: skip


def phantom_table():
    """The slices of the phantom, split by patient."""
    from hemokit.runs.data import with_split
    from hemokit.runs.recipes import choose_data

    data = choose_data(None, phantom={"num_patients": PATIENTS, "image_size": 128}, seed=SEED)
    return with_split(data.table, fractions=FRACTIONS, seed=SEED)


def training_batches(table, in_3d):
    """The pipeline to learn from: BATCH slices a step in any case."""
    from hemokit.augment import STANDARD
    from hemokit.patch_batches import Sampling
    from hemokit.pipelines import patch_pipeline, slice_pipeline
    from hemokit.runs.recipes import draw_epoch

    train = table[table["split"] == "train"].reset_index(drop=True)
    how = {"windows": ["brain_wide"], "image_size": SIZE, "training": True, "augmentation": STANDARD, "seed": SEED}
    if in_3d:
        patch = {"patch": (SLICES, SIZE, SIZE), "stride": (SLICES // 2, SIZE, SIZE)}
        return patch_pipeline(train, batch_size=BATCH // SLICES, sampling=Sampling(0.0, EMPTY), **patch, **how)
    drawn = draw_epoch(train, {"train_on": "balanced", "images_an_epoch": BATCH * STEPS_AN_EPOCH}, seed=SEED)
    return slice_pipeline(drawn, batch_size=BATCH, target="mask", **how)


def predicted(model, rows, in_3d):
    """The predictions frame of whole slices."""
    from hemokit.batches import SliceBatches
    from hemokit.runs.recipes import recipe_windows
    from hemokit.scan_batches import ScanBatches
    from hemokit.training import predict
    from hemokit.training.sliding_window import SlidingWindow

    how = {"target": "mask" if rows["mask_path"].notna().any() else None, "image_size": SIZE}
    how["windows"] = recipe_windows({"windows": ["brain_wide"]}, rows)
    if not in_3d:
        return predict(model, SliceBatches(rows, batch_size=64, **how), rows)
    window = SlidingWindow(model, patch=(SLICES, SIZE, SIZE), stride=(SLICES // 2, SIZE, SIZE), batch_size=8)
    return predict(window, ScanBatches(rows, **how), rows)


def small_bleeds(test, threshold):
    """(slices, part found, Dice of their pixels) of the smaller half of the test slices with a subarachnoid bleed."""
    import numpy as np

    from hemokit.metrics import Counts, dice, sum_counts
    from hemokit.predictions import counts_at

    rows = test[test[LABEL] == 1].reset_index(drop=True)
    counts = counts_at(rows, threshold)
    small = (counts.tp + counts.fn) <= np.median(counts.tp + counts.fn)
    pooled = sum_counts(Counts(*(one[small] for one in counts)))
    return int(small.sum()), float((counts.tp[small] > 0).mean()), float(dice(pooled))


def child(name):
    """Train, time and judge one network."""
    import keras
    import numpy as np

    from hemokit.datasets import open_dataset
    from hemokit.evaluation import segmentation_report, show_report, slice_report
    from hemokit.losses import pooled_dice_bce
    from hemokit.thresholds import choose_threshold

    in_3d = name.startswith("3-D")
    table, steps = phantom_table(), STEPS_AN_EPOCH * EPOCHS
    pipeline = training_batches(table, in_3d).repeat()
    keras.utils.set_random_seed(SEED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = network_of(name)
    rate = keras.optimizers.schedules.CosineDecay(NETWORKS[name][1], steps)
    model.compile(keras.optimizers.Adam(rate), loss=pooled_dice_bce)
    ends = []  # of the steps; the median of their distances is no matter of compiling, nor of where epochs end
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter()))
    model.fit(pipeline, epochs=EPOCHS, steps_per_epoch=STEPS_AN_EPOCH, callbacks=[clock], shuffle=False, verbose=0)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rows = {part: table[table["split"] == part].reset_index(drop=True) for part in ("validation", "test")}
    frames = {part: predicted(model, some, in_3d) for part, some in rows.items()}
    threshold = choose_threshold(frames["validation"]).threshold
    scores = show_report(segmentation_report(frames["test"], threshold=threshold, seed=SEED)).set_index("metric")
    number, found, small = small_bleeds(frames["test"], threshold)
    real = "-"
    if os.environ.get("HEMOKIT_CT_ICH"):
        seen = predicted(model, open_dataset(os.environ["HEMOKIT_CT_ICH"]), in_3d)
        real = show_report(slice_report(seen, seed=SEED)).set_index("metric")["estimate"]["auroc"]
    return {
        "weights": model.count_params(), "memory": memory, "step": float(np.median(np.diff(ends))),
        "threshold": threshold, "dice": scores["estimate"]["dice"], "n": len(rows["test"]),
        "patients": rows["test"]["patient_id"].nunique(), "small": [number, found, small], "real": real,
    }  # fmt: skip


def main():
    """Train one network after another, and print their table."""
    names = sys.argv[1:] or [name for name in NETWORKS if "medicai" not in name or importlib.util.find_spec("medicai")]
    phantom_table()  # drawn before anything is timed
    rows = []
    for name in names:
        print(name, file=sys.stderr, flush=True)
        one = in_child(__file__, "child", name, threads=cores())
        number, part, small = one["small"]
        rows.append(
            {
                "network": name, "weights": f"{one['weights']:,}", "MB": round(one["memory"]), "s a step": one["step"],
                "threshold": one["threshold"], "pooled Dice": one["dice"],
                f"small {LABEL}: found, Dice": f"{part:.2f}, {small:.2f}",
                "real CT-ICH, slice AUROC": one["real"], "paper, its own data": NETWORKS[name][2],
            }
        )  # fmt: skip
    test = f"{one['n']} slices of {one['patients']} patients, {number} with a small {LABEL} bleed"
    note = (
        f"phantom, {PATIENTS} patients at 128x128, split by patient {FRACTIONS}, seed {SEED}; test {test}; "
        f"{EPOCHS * STEPS_AN_EPOCH} steps of {BATCH} slices, pooled Dice + BCE, random weights; MB: growth of the "
        "process from before the network to the end of training; intervals of 95 % by patient"
    )
    report(f"Segmentation at {SIZE}x{SIZE}, {cores()} cores", rows, note)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        found = child(sys.argv[2])
        print(found, file=sys.stderr, flush=True)  # an hour may pass before the table comes
        answer(**found)
    else:
        main()
