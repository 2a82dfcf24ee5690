"""Outlines and pixels: a polygon becomes a mask by one exact rule, and a mask becomes polygons.

The rule: a pixel is inside when its center is. A center that lies exactly on an outline is inside on the left
and top sides of a region and outside on the right and bottom ones, so that neighboring regions share no pixel
and leave none out. (`cv2.fillPoly` colors every pixel that the outline touches: a 10x10 square becomes 121.)
"""

import numpy as np

from hemokit.checks import check_binary, check_choice, problem

POLYGON = "an outline of at least 3 points (x, y) in 0..1 that does not touch or cross itself"

# What can be wrong with a polygon, and what to do about it.
REMEDIES = {
    "shape": "Pass a list of polygons, each an array (n, 2) of x, y.",
    "fewer than 3 points": "Leave this region out (and count it), or draw it again.",
    "not finite": "Find out which file the value comes from; nothing is replaced here.",
    "pixel coordinates": "Divide x by the image's width and y by its height.",
    "outside the image": "The origin is the top left corner and 1 the far edge; nothing is clipped here.",
    "no area": "Leave this region out (and count it), or draw it again.",
    "self-crossing": "Draw it again, leave it out (and count it), or choose self_crossing='fill'.",
}
_NO_AREA = 1e-12  # of the image's area; one pixel of a 512x512 image is 4e-6


def polygons_to_mask(polygons_xy, shape, *, self_crossing="error"):
    """Draw the union of polygons as a mask, by pixel centers.

    Args:
        polygons_xy: list of arrays (n, 2) with x, y normalized to 0..1, origin at the top left corner of the
            image. The last point may repeat the first. An empty list gives an empty mask.
        shape: (height, width) of the mask in pixels.
        self_crossing: "error", or "fill": whatever the line goes around is inside (nonzero winding).

    Returns:
        bool array (height, width). A polygon that covers no pixel center adds no pixel.

    Raises:
        HemokitError: fewer than 3 points, NaN, values outside 0..1 (pixel coordinates), no area, an outline
            that touches or crosses itself.
    """
    height, width = _check_shape(shape)
    check_choice(self_crossing, ("error", "fill"), "self_crossing")
    mask = np.zeros((height, width), bool)
    for number, points in enumerate(polygons_xy):
        fault = polygon_fault(points)
        if fault and (fault[0] != "self-crossing" or self_crossing == "error"):
            raise problem(f"polygon {number} (counted from 0) {fault[1]}", POLYGON, REMEDIES[fault[0]])
        _fill(mask, np.asarray(points, float))
    return mask


def polygon_fault(points):
    """Say what is wrong with one polygon: None, or (kind, sentence); the kinds are the keys of `REMEDIES`."""
    try:
        points = np.asarray(points)
    except ValueError:
        return "shape", "has points of different lengths"
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        if points.size:
            return "shape", f"is an array of shape {points.shape} and type {points.dtype}, not (n, 2) numbers"
        return "fewer than 3 points", "has 0 points"
    points = points.astype(float)
    if not np.isfinite(points).all():
        return "not finite", f"has {int((~np.isfinite(points)).sum())} values that are NaN or infinite"
    corners = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]  # repeated points are no corners
    if len(corners) < 3:
        return "fewer than 3 points", f"has {len(corners)} different points in a row"
    low, high = corners.min(), corners.max()
    if low >= 0 and high > 2:
        return "pixel coordinates", f"reaches from {low:g} to {high:g}, which looks like pixel coordinates"
    if low < 0 or high > 1:
        return "outside the image", f"reaches from {low:g} to {high:g}"
    if np.abs(_cross(corners - corners[0], np.roll(corners, 1, axis=0) - corners[0])).max() < 2 * _NO_AREA:
        return "no area", "has no area"
    if _touches_itself(corners):  # this comes second: the two halves of an 8 have no area in sum
        return "self-crossing", "touches or crosses itself"
    return None


def mask_to_polygons(mask):
    """Outline a mask along the edges of its pixels, so that `polygons_to_mask` gives the same mask back.

    Args:
        mask: bool or 0/1 array (height, width).

    Returns:
        list of float arrays (n, 2) with x, y in 0..1, clockwise on the screen. Pixels that meet only at a
        corner are separate polygons. A region with a hole is cut in two or more polygons along the row where
        the hole begins, because a polygon has no holes. An empty mask gives an empty list.
    """
    from scipy import ndimage

    mask = _check_mask(mask)
    height, width = mask.shape
    pieces, _ = ndimage.label(mask)  # neighbors share an edge
    polygons = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[rows, columns] == number
        for part in _without_holes(piece):
            corners = _outline(part) + (columns.start, rows.start)
            polygons.append(corners / (width, height))
    return polygons


def _check_shape(shape):
    try:
        height, width = (int(length) for length in shape)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1 or (height, width) != tuple(shape):
        raise problem(f"shape is {shape!r}", "(height, width) in whole pixels", "Pass image.shape[:2].")
    return height, width


def _check_mask(mask):
    mask = check_binary(mask, "mask")
    if mask.ndim != 2:
        raise problem(f"the mask has shape {mask.shape}", "(height, width)", "Outline a volume slice by slice.")
    return mask


def _fill(mask, points):
    """Add one polygon to the mask: find where its edges cross the rows of pixel centers, count from the left."""
    height, width = mask.shape
    x, y = points[:, 0] * width, points[:, 1] * height
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    # An edge crosses the rows whose center lies in [its upper end, its lower end).
    first = np.ceil(np.minimum(y, next_y) - 0.5).astype(int)
    count = np.ceil(np.maximum(y, next_y) - 0.5).astype(int) - first
    if not count.any():
        return
    edge = np.repeat(np.arange(len(x)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    slope = (row + 0.5 - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    column = np.ceil(x[edge] + slope - 0.5).astype(int)  # the first center at or right of the crossing
    top, left = row.min(), column.min()
    rows, columns = row.max() - top + 1, column.max() - left + 1
    turn = np.where(next_y > y, 1, -1)[edge]  # downward edges open a region, upward ones close it, or reversed
    turns = np.bincount((row - top) * columns + column - left, weights=turn, minlength=rows * columns)
    inside = turns.reshape(rows, columns).cumsum(axis=1) != 0
    mask[top : top + rows, left : left + columns] |= inside[:, : width - left]


def _touches_itself(points):
    """True where two edges meet anywhere but in the corner that follows one upon the other.

    Edges are sorted by their left end, so that only those that overlap in x are compared.
    """
    n = len(points)
    start, end = points, np.roll(points, -1, axis=0)
    before = start - np.roll(start, 1, axis=0)
    after = end - start
    folded = (_cross(before, after) == 0) & ((before * after).sum(axis=1) < 0)
    if folded.any():
        return True
    left, right = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    order = np.argsort(left, kind="stable")
    reach = np.searchsorted(left[order], right[order], side="right")  # edges that begin before this one ends
    count = reach - np.arange(n) - 1
    step = max(1, 2_000_000 // n)  # at most two million pairs at a time
    for begin in range(0, n, step):
        some = count[begin : begin + step]
        position = np.repeat(np.arange(begin, begin + len(some)), some)
        offset = np.arange(len(position)) - np.repeat(np.cumsum(some) - some, some)
        if _any_meet(start, end, order[position], order[position + 1 + offset]):
            return True
    return False


def _any_meet(start, end, one, other):
    """True where one of the pairs of edges (by index) has a point in common; edges in sequence do not count."""
    n = len(start)
    low, high = np.minimum(start, end)[:, 1], np.maximum(start, end)[:, 1]
    gap = np.abs(one - other)
    keep = (low[one] <= high[other]) & (low[other] <= high[one]) & (gap != 1) & (gap != n - 1)
    one, other = one[keep], other[keep]
    a, b, c, d = start[one], end[one], start[other], end[other]
    across = np.sign(_cross(b - a, c - a)) * np.sign(_cross(b - a, d - a))
    back = np.sign(_cross(d - c, a - c)) * np.sign(_cross(d - c, b - c))
    return bool(((across <= 0) & (back <= 0)).any())


def _cross(first, second):
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _without_holes(piece):
    """Cut a connected piece above the first row of each of its holes: yields full-size masks without holes.

    A hole that lay inside one strip would begin in it, and there a cut was made: so one pass is enough.
    """
    from scipy import ndimage

    background, _ = ndimage.label(np.pad(~piece, 1, constant_values=True))
    holes = ndimage.find_objects(background)[1:]  # the first one is the outside: it holds the corner
    cuts = sorted({0, len(piece), *(rows.start - 1 for rows, _ in holes)})
    for top, bottom in zip(cuts, cuts[1:], strict=False):
        strip = np.zeros_like(piece)
        strip[top:bottom] = piece[top:bottom]
        if len(cuts) == 2:
            yield strip
            continue
        parts, number = ndimage.label(strip)
        for part in range(1, number + 1):
            yield parts == part


def _outline(part):
    """The corners (n, 2) as x, y of a connected piece without holes, clockwise, in pixels."""
    padded = np.pad(part, 1)
    inner = padded[1:-1, 1:-1]
    follows = {}
    for neighbor, begin, finish in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # nothing above: the top edge, walked to the right
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    ):
        rows, columns = np.nonzero(inner & ~neighbor)
        xy = np.column_stack([columns, rows])
        follows.update(zip(map(tuple, (xy + begin).tolist()), map(tuple, (xy + finish).tolist()), strict=True))
    walk = [next(iter(follows))]
    while (corner := follows[walk[-1]]) != walk[0]:
        walk.append(corner)
    points = np.array(walk, float)
    straight = _cross(points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points) == 0
    return points[~straight]
