"""panels.png of a run: test slices with their truth, prediction and outcome, chosen by a rule and not by eye."""

import io
from pathlib import Path

import numpy as np

from hemokit.batches import SliceBatches
from hemokit.files import write_whole
from hemokit.plots import prediction_panels
from hemokit.predictions import NOTICE
from hemokit.runs.judging_facts import SCORE

NAME = "panels.png"


def choose_slices(predictions):
    """Choose test slices to look at: with hemorrhage of the largest, median and smallest area, and two normal ones.

    The normal ones are the worst false alarm (the highest score) and one of median score.

    Args:
        predictions: a predictions frame with true masks.

    Returns:
        list of slice ids, each once; fewer where there are not so many.
    """
    rows = predictions[predictions["split"] == "test"]
    area = np.array([int(counts.sum()) for counts in rows["hemorrhage"]])
    positive = rows[area > 0].assign(area=area[area > 0]).sort_values(["area", "slice_id"], ascending=False)
    normal = rows[area == 0].sort_values([SCORE, "slice_id"], ascending=False)
    chosen = [positive.iloc[place] for place in (0, len(positive) // 2, -1) if len(positive)]
    chosen += [normal.iloc[place] for place in (0, len(normal) // 2) if len(normal)]
    return list(dict.fromkeys(row["slice_id"] for row in chosen))


def write_panels(model, table, predictions, facts, folder, *, channels, **shape):
    """Draw the slices of `choose_slices` as the model sees them, and write folder/panels.png, whole.

    Args:
        model: keras.Model.
        table: slice table that holds them.
        predictions, facts: of the run.
        channels: list of `channels.Channel`; the first one is shown, and named.
        **shape: image_size, batch_size and windows, as `SliceBatches`.
    """
    from matplotlib.figure import Figure  # an object of its own: no window, and no other figures are touched

    ids = choose_slices(predictions)
    rows = table.set_index("slice_id", drop=False).loc[ids].reset_index(drop=True)
    batches = SliceBatches(rows, target="mask", cache=False, **shape)
    images, masks = (
        np.concatenate(arrays) for arrays in zip(*map(batches.__getitem__, range(len(batches))), strict=True)
    )
    maps = np.concatenate([np.asarray(model.predict_on_batch(one[None]), np.float32) for one in images])
    figure = Figure()
    shown = {"threshold": facts.threshold, "titles": ids, "figure": figure}
    prediction_panels(images[..., :1], masks[..., 0], maps, **shown)
    figure.suptitle(f"{channels[0]}; {facts.judged_on}\n{NOTICE}", fontsize="medium")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    with write_whole(Path(folder) / NAME, "wb") as stream:
        stream.write(picture.getvalue())
