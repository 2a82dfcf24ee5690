"""A model of patches on whole slices and scans: its overlapping predictions become one map.

    volume = predict_sliding_window(model, images, patch=(128, 128))  # (slices, 512, 512, 1)
    frame = predict(SlidingWindow(model, patch=(128, 128)), SliceBatches(rows, target="mask", ...), rows)

`patches.stitched_planes` does the work; this gives it Keras' compiled function.
"""

from hemokit.patches import check_volume, sliding_window, window_of
from hemokit.training.sources import check_images_fit


def predict_sliding_window(model, volume, *, patch, stride=None, batch_size=8, weights="gaussian"):
    """Predict a volume with a model of patches.

    Beside the volume and what the model itself needs, at most `patches.memory_bound` bytes are in memory: for a scan
    of 40 slices of 512x512, patches of (16, 128, 128) and batches of 4 these are 193 MB, the result included.

    Args:
        model: keras.Model that takes (batch, *patch, channels) and gives (batch, *patch, outputs).
        volume: (slices, height, width, channels) in [0, 1], at least one slice; a file mapped into memory will do.
        patch: (height, width), by which each slice is predicted by itself, or (slices, height, width).
        stride: one step an axis; None is half of the patch.
        batch_size: patches that are predicted at once.
        weights: of a patch where several overlap, see `patches.patch_weights`.

    Returns:
        float32 (slices, height, width, outputs).

    Raises:
        HemokitError: as `patches.stitched_planes`; patches that the model does not take.
    """
    check_volume(volume)
    window_of(patch, stride)  # wrong sizes are told as such
    check_images_fit(model, (*patch, volume.shape[3]))
    how = {"patch": patch, "stride": stride, "batch_size": batch_size, "weights": weights}
    return sliding_window(model.predict_on_batch, volume, **how)


class SlidingWindow:
    """A model of patches that predicts whole slices, for `predict` in the place of a model.

    Args:
        model, patch, stride, batch_size, weights: as `predict_sliding_window`. With a patch of several slices `predict`
            needs `scan_batches.ScanBatches`: a batch is taken for a scan.

    Attributes:
        needs_scans: whether a batch must be one scan.

    Raises:
        HemokitError: a patch or a stride that is none.
    """

    def __init__(self, model, *, patch, stride=None, batch_size=8, weights="gaussian"):
        self.model, self.needs_scans = model, not window_of(patch, stride)[2]
        self.how = {"patch": patch, "stride": stride, "batch_size": batch_size, "weights": weights}

    def predict_on_batch(self, images):
        """The maps of a batch: (slices, height, width, channels) to float32 (slices, height, width, outputs)."""
        return predict_sliding_window(self.model, images, **self.how)
