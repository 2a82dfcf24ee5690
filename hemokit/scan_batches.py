"""Whole scans of a slice table, for networks that look at neighboring slices: one scan a batch, in order.

scans = ScanBatches(table, target="mask", image_size=512)
predict(SlidingWindow(model, patch=(16, 128, 128)), scans, table)
"""

import operator

import numpy as np
import pandas as pd

from hemokit.batches import SliceBatches
from hemokit.checks import check_columns, problem

SCAN = ["dataset", "scan_id"]  # the same name in two data sets is two scans


def rows_of_scans(table):
    """The numbers of the rows of each scan, from the neck upward; scans in the order of the table.

    Args:
        table: a slice table, rows in any order.

    Returns:
        list of int arrays; an empty one for no rows. A scan of one slice is an array of one number.

    Raises:
        HemokitError: a slice without scan_id or slice_index, a place twice in a scan, or one that is missing between
            two others: its neighbors would be taken for neighbors of each other.
    """
    check_columns(table, [*SCAN, "slice_index"])
    for column in (*SCAN, "slice_index"):
        if table[column].isna().any():
            came = f"{int(table[column].isna().sum())} of {len(table)} slices have no {column}"
            raise problem(came, "the place of every slice in its scan", "Use patches of one slice.", column=column)
    numbered = pd.DataFrame({"row": np.arange(len(table)), "place": table["slice_index"].to_numpy(int)})
    keys = [table[column].to_numpy(object) for column in SCAN]
    scans = []
    for (_, name), scan in numbered.groupby(keys, sort=False):
        scan = scan.sort_values("place", kind="stable")
        steps = np.diff(scan["place"])
        if (steps != 1).any():
            first = int(np.argmax(steps != 1))
            place = int(scan["place"].iloc[first])
            what = "two slices at" if steps[first] == 0 else "no slice behind"
            came = f"scan {name!r} has {what} place {place}, and others after it"
            raise problem(came, "each place once, without gaps", "Take whole scans.", column="slice_index")
        scans.append(scan["row"].to_numpy())
    return scans


class ScanBatches(SliceBatches):
    """Batches of one whole scan each: images (slices, size, size, channels), as `SliceBatches` without training.

    Args:
        table: a slice table whose scans stand one after another, each from the neck upward, as `open_dataset` has them.
        target, image_size, windows, prepare, cache, progress: as `SliceBatches`.

    Attributes:
        whole_scans: True, which tells `training.predict` that what looks at neighbors may look here.

    Raises:
        HemokitError: as `SliceBatches` and `rows_of_scans`; a scan whose slices stand in another order.
    """

    whole_scans = True

    def __init__(self, table, *, target, image_size, windows=None, prepare=None, cache=True, progress=None):
        super().__init__(
            table,
            target=target,
            image_size=image_size,
            batch_size=1,
            windows=windows,
            prepare=prepare,
            cache=cache,
            progress=progress,
        )
        self._scans = rows_of_scans(self.table)
        if not np.array_equal(np.concatenate(self._scans), np.arange(len(self.table))):
            remedy = "Sort it by scan_id and slice_index."
            raise problem("a table whose scans are not in order", "scan after scan, from the neck upward", remedy)

    def __len__(self):
        return len(self._scans)

    def rows_of(self, index, epoch=0):
        """The numbers of the rows of one scan: int array (slices,)."""
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"scan {index} of {len(self)}")
        return self._scans[index]
