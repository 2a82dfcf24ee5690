"""What both JPG layouts share: several renders of one slice as the channels of one image."""

import numpy as np
import pandas as pd

from hemokit.checks import check_choice, problem


def read_renders(row, windows, columns, read):
    """Read renders of one slice, each as a channel.

    Args:
        row: a row of a slice table.
        windows: names of renders, one a channel; at least one.
        columns: dict name of a render -> column of the row that holds its path.
        read: a function that takes a path and gives a float32 array (height, width) in [0, 1].

    Returns:
        float32 array (height, width, len(windows)) in [0, 1].

    Raises:
        HemokitError: a render that the slice does not have; renders of several sizes; a damaged file.
    """
    images = []
    for window in windows:
        path = row[columns[check_choice(window, columns, "window")]]
        if pd.isna(path):
            came = f"slice {row['slice_id']} has no {window} image"
            raise problem(came, "a JPG for it", "Leave the slice out, or read it without this window.")
        images.append(read(path))
        if images[-1].shape != images[0].shape:
            height, width = images[-1].shape
            expected = "{1} x {0}, as the {2} image of the slice".format(*images[0].shape, windows[0])
            remedy = "Is this file of this slice? Fetch it again, or read it without this window."
            raise problem(f"the {window} image is {width} x {height} pixels", expected, remedy, file=path)
    return np.stack(images, axis=-1)
