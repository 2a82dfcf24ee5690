"""Classical models on whole slices: rotated once and fitted on coordinates, against scikit-learn on flattened pixels.

1,835 phantom slices of 512x512 in the brain window, labeled with their subtype; five folds by patient, and the grid of
`MODELS` for each of the seven models that depend on inner products alone. hemokit does all of it. Of scikit-learn one
fit and prediction of each model is measured, with the middle of the grid on the first fold, and multiplied by the
number of fits. What does not fit into the time box is measured on every 16th pixel and multiplied by 16: its cost
grows with the number of pixels. LDA and QDA with shrinkage need a matrix of pixels x pixels there (512 GiB); they are
compared on few pixels. Models without seconds of scikit-learn are left out of the ratio on both sides. Each on one
core, and seconds are those that it worked: what else the machine does counts for neither.

`python bench_baselines.py 1835 512 900` are the defaults: slices, their size, the time box of one fit in seconds.
They take an hour or so; `python bench_baselines.py 200 64 60` takes a minute.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from timing import answer, in_child, report, seconds

NAMES = ("logistic", "logistic_ovr", "lda", "qda", "knn", "pca_knn", "svm_rbf")
SQUARE = ("lda", "qda")  # their plain fit holds pixels x pixels
MOST_SQUARE = 1024
BLEEDS = ((), ("epidural",), ("intraparenchymal",), ("subarachnoid",), ("subdural",), ("epidural", "subdural"))


def make_slices(folder, num_slices, image_size):
    """Phantom slices of as many patients as it takes: pixels.npy, and slices.csv with label, patient and fold."""
    from hemokit.baselines.pixels import to_bytes
    from hemokit.datasets.phantom import make_phantom
    from hemokit.labels import SUBTYPES, seven_way
    from hemokit.splits import folds_by_patient
    from hemokit.windows import BRAIN, apply_window

    pixels, rows = np.empty((num_slices, image_size**2), np.uint8), []
    while len(rows) < num_slices:
        number = rows[-1]["number"] + 1 if rows else 0
        phantom = make_phantom(
            f"{number:03d}", seed=number, image_size=image_size, subtypes=BLEEDS[number % len(BLEEDS)]
        )
        for place, one in enumerate(phantom.hounsfield[: num_slices - len(rows)]):
            pixels[len(rows)] = to_bytes(apply_window(one, BRAIN)).ravel()
            flags = {name: int(phantom.masks[name][place].any()) for name in SUBTYPES}
            rows.append({"number": number, "patient_id": f"{number:03d}", "any": int(any(flags.values())), **flags})
    table = pd.DataFrame(rows)
    table = folds_by_patient(table.assign(label=seven_way(table)))
    np.save(folder / "pixels.npy", pixels)
    table[["label", "patient_id", "fold"]].to_csv(folder / "slices.csv", index=False)


def read_slices(folder, step):
    """Every step-th pixel of all slices (uint8, in memory), labels, folds."""
    table = pd.read_csv(Path(folder) / "slices.csv", dtype={"patient_id": str})
    pixels = np.load(Path(folder) / "pixels.npy", mmap_mode="r" if step > 1 else None)
    return pixels[:, ::step], table["label"].to_numpy(str), table["fold"].to_numpy()


def settings_of(name):
    """All settings of a model's grid, as dicts; the middle one is in the middle."""
    from sklearn.model_selection import ParameterGrid

    from hemokit.baselines.models import MODELS

    return list(ParameterGrid(MODELS[name].grid))


def middle(settings):
    """The one that is compared."""
    return settings[len(settings) // 2]


def ours(folder, step, names):
    """hemokit: rotate once, then every setting on every fold; with a step, the compared fit of each name alone."""
    from hemokit.baselines.features import Features
    from hemokit.baselines.rotation import ExactRotation
    from hemokit.baselines.running import fit_predict

    pixels, labels, folds = read_slices(folder, step)
    start = time.process_time()
    rotation = ExactRotation().fit(pixels)
    features = Features(rotation.coordinates_, rotation.num_pixels_, np.zeros((len(pixels), 0), np.float32))
    found = {"rotation": time.process_time() - start}
    for name in names:
        start, compared = time.process_time(), middle(settings_of(name))
        for settings in [compared] if step > 1 else settings_of(name):
            for fold in [0] if step > 1 else np.unique(folds):
                fitted = fit_predict(name, features, labels, folds != fold, folds == fold, **settings)
                if settings == compared and fold == 0:
                    np.save(Path(folder) / f"{name}_{step}.npy", fitted.prediction)
        found[name] = time.process_time() - start
    answer(**found)


def plain_model(name, settings):
    """What a user of scikit-learn writes."""
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.svm import SVC

    model = {
        "logistic": lambda: LogisticRegression(max_iter=1000),
        "logistic_ovr": lambda: OneVsRestClassifier(LogisticRegression(max_iter=1000)),
        "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr"),
        "qda": lambda: QuadraticDiscriminantAnalysis(solver="eigen"),
        "knn": KNeighborsClassifier,
        "pca_knn": lambda: Pipeline([("pca", PCA(random_state=0)), ("knn", KNeighborsClassifier())]),
        "svm_rbf": SVC,
    }[name]()
    known = model.get_params()
    return model.set_params(**{key if key in known else key.split("__")[-1]: one for key, one in settings.items()})


def plain(folder, step, name):
    """scikit-learn on float32 pixels: one fit and prediction, and on how many slices hemokit predicts the same."""
    pixels, labels, folds = read_slices(folder, step)
    rows = pixels.astype(np.float32)
    rows /= 255
    del pixels
    model, train = plain_model(name, middle(settings_of(name))), folds != 0
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that lbfgs stopped at max_iter is told by the numbers of both
        prediction = model.fit(rows[train], labels[train]).predict(rows[~train])
    same = prediction == np.load(Path(folder) / f"{name}_{step}.npy")
    answer(seconds=time.process_time() - start, same=int(same.sum()), of=len(same), num_pixels=rows.shape[1])


def gram_floor(num_slices, num_pixels):
    """Seconds of the arithmetic of the Gram matrix alone, one half of it, at the rate of a float32 matrix product."""
    square = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    rate = 2 * 2048**3 / seconds(np.matmul, square, square)[0]
    answer(seconds=num_slices * (num_slices + 1) * num_pixels / rate, rate=rate)


def rival(folder, name, num_pixels, time_box):
    """The child's answer of `plain`, at the first step that stays in the time box, and that step."""
    steps = [max(1, num_pixels // MOST_SQUARE)] if name in SQUARE else [1, 16, 256]
    for step in steps:
        if step > 1:
            in_child(__file__, "hemokit", str(folder), str(step), name)
        found = in_child(__file__, "plain", str(folder), str(step), name, time_box=time_box)
        if found is not None:
            return found, step
    return None, steps[-1]


def row_of(name, hemokit_seconds, found, step):
    """One row of the table, and scikit-learn's seconds for all fits (NaN where it cannot run)."""
    fits = 5 * len(settings_of(name))
    runs = found is not None and (name not in SQUARE or step == 1)
    total = found["seconds"] * step * fits if runs else np.nan
    why_not = "over the time box or memory" if found is None else "needs pixels x pixels"
    row = {
        "model": name,
        "fits": fits,
        "hemokit s": hemokit_seconds,
        "scikit-learn s, one fit": why_not if found is None else f"{found['seconds']:.3g}",
        "on pixels": "" if found is None else f"{found['num_pixels']:,}",
        "scikit-learn s, all fits": f"{total:,.0f}" if runs else why_not,
        "times faster": f"{total / hemokit_seconds:,.1f}" if runs else "",
        "scikit-learn MB": "" if found is None else f"{found['peak_mb']:,.0f}",
        "same predictions (fold 0, middle setting)": "" if found is None else f"{found['same']} of {found['of']}",
    }
    return row, total


def main(num_slices=1835, image_size=512, time_box=900):
    """Print the table."""
    num_slices, image_size, time_box = int(num_slices), int(image_size), float(time_box)
    with tempfile.TemporaryDirectory() as folder:
        make_slices(Path(folder), num_slices, image_size)
        found = in_child(__file__, "hemokit", folder, "1", *NAMES)
        rivals = {name: rival(folder, name, image_size**2, time_box) for name in NAMES}
        floor = in_child(__file__, "floor", str(num_slices), str(image_size**2))
    pairs = [row_of(name, found[name], *rivals[name]) for name in NAMES]
    counted = [name for name, (_, total) in zip(NAMES, pairs, strict=True) if not np.isnan(total)]
    left_out = [name for name in NAMES if name not in counted]
    ours_total = found["rotation"] + sum(found[name] for name in counted)
    theirs_total = np.nansum([total for _, total in pairs])
    without = f"Without {', '.join(left_out)} on both sides" if left_out else "All models"
    note = (
        f"Rotation {found['rotation']:.1f} s (floor {floor['seconds']:.1f} s: the arithmetic of half the Gram matrix, "
        f"at {floor['rate'] / 1e9:.0f} GFLOP/s). hemokit takes {found['peak_mb']:,.0f} MB at most, pixels included. "
        f"{without}, hemokit takes {ours_total:.1f} s with the rotation, scikit-learn {theirs_total:,.1f} s: "
        f"{theirs_total / ours_total:.1f} times faster (goal 10). scikit-learn: one fit measured, times the number of "
        "fits; on fewer pixels times what they are fewer. Its PCA is the randomized one, ours computes all components."
    )
    title = f"Models of inner products, {num_slices:,} slices of {image_size}x{image_size}, one core"
    report(title, [row for row, _ in pairs], note)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hemokit", folder, step, *names]:
            ours(folder, int(step), names)
        case ["plain", folder, step, name]:
            plain(folder, int(step), name)
        case ["floor", num_slices, num_pixels]:
            gram_floor(int(num_slices), int(num_pixels))
        case sizes:
            main(*sizes)
