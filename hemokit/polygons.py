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
            that touches or crosses itself; None or anything else that is no list.
    """
    height, width = _check_shape(shape)
    check_choice(self_crossing, ("error", "fill"), "self_crossing")
    if not np.iterable(polygons_xy) or isinstance(polygons_xy, str | dict):
        raise problem(
            f"polygons_xy is {polygons_xy!r}", "a list of polygons", "Pass [] for a slice that is known to have none."
        )
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
    if not points.size:
        return "fewer than 3 points", "has 0 points"
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        return "shape", f"is an array of shape {points.shape} and type {points.dtype}, not (n, 2) numbers"
    low, high = points.min(), points.max()
    if not (low >= 0 and high <= 1):  # also where they are NaN
        return _range_fault(points, low, high)
    x, y = points.T.astype(float)
    moved = (x != _next(x)) | (y != _next(y))
    x, y = x[moved], y[moved]  # a point said twice is one corner
    if len(x) < 3:
        return "fewer than 3 points", f"has {len(x)} different points in a row"
    if abs(x @ _next(y) - y @ _next(x)) / 2 < _NO_AREA and _is_straight(x, y):
        return "no area", "has no area"
    if _touches_itself(x, y):
        return "self-crossing", "touches or crosses itself"
    return None


def mask_to_polygons(mask):
    """Outline a mask along the edges of its pixels, so that `polygons_to_mask` gives the same mask back.

    Args:
        mask: bool or 0/1 array (height, width).

    Returns:
        list of float arrays (n, 2) with x, y in 0..1, clockwise on the screen. Pixels that meet only at a
        corner are separate polygons. A region with a hole is cut in two or more polygons along the row where
        the hole begins, because a polygon has no holes. An empty mask, also one without pixels, gives an empty
        list.
    """
    from scipy import ndimage

    mask = _check_mask(mask)
    if not mask.size:
        return []
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
    except (TypeError, ValueError, OverflowError):
        height = width = 0
    if min(height, width) < 1 or (height, width) != tuple(shape):
        raise problem(f"shape is {shape!r}", "(height, width) in whole pixels", "Pass image.shape[:2].")
    return height, width


def _check_mask(mask):
    mask = check_binary(mask, "mask")
    if mask.ndim != 2:
        raise problem(f"the mask has shape {mask.shape}", "(height, width)", "Outline a volume slice by slice.")
    return mask


def _next(values):
    """The values that follow in the closed outline (np.roll does the same, ten times slower)."""
    return np.concatenate((values[1:], values[:1]))


def _range_fault(points, low, high):
    if not np.isfinite(points).all():
        return "not finite", f"has {int((~np.isfinite(points)).sum())} values that are NaN or infinite"
    if low >= 0 and high > 2:
        return "pixel coordinates", f"reaches from {low:g} to {high:g}, which looks like pixel coordinates"
    return "outside the image", f"reaches from {low:g} to {high:g}"


def _is_straight(x, y):
    """True where all corners lie on one line: the two halves of an 8 have no area in sum, but are not straight."""
    return np.abs(_cross(x - x[0], y - y[0], _next(x) - x[0], _next(y) - y[0])).max() < 2 * _NO_AREA


def _fill(mask, points):
    """Add one polygon to the mask: find where its edges cross the rows of pixel centers, count from the left."""
    height, width = mask.shape
    x, y = points[:, 0] * width, points[:, 1] * height
    next_x, next_y = _next(x), _next(y)
    # An edge crosses the rows whose center lies in [its upper end, its lower end).
    first = np.ceil(np.minimum(y, next_y) - 0.5).astype(int)
    count = np.ceil(np.maximum(y, next_y) - 0.5).astype(int) - first
    if not count.any():
        return
    edge = np.repeat(np.arange(len(x)), count)
    row = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
    slope = (row + 0.5 - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    column = np.ceil(x[edge] + slope - 0.5).astype(int)  # the first center at or right of the crossing
    top, left = row.min(), column.min()
    rows, columns = row.max() - top + 1, column.max() - left + 1
    turn = np.where(next_y > y, 1, -1)[edge]  # downward edges open a region, upward ones close it, or reversed
    turns = np.bincount((row - top) * columns + column - left, weights=turn, minlength=rows * columns)
    inside = turns.reshape(rows, columns).cumsum(axis=1) != 0
    mask[top : top + rows, left : left + columns] |= inside[:, : width - left]


def _touches_itself(x, y):
    """True where two edges meet anywhere but in the corner that follows one upon the other.

    Edges are sorted by their left end, so that only those that overlap in x are compared.
    """
    n, next_x, next_y = len(x), _next(x), _next(y)
    step_x, step_y = next_x - x, next_y - y
    after_x, after_y = _next(step_x), _next(step_y)
    folded = (_cross(step_x, step_y, after_x, after_y) == 0) & (step_x * after_x + step_y * after_y < 0)
    if folded.any():
        return True
    left = np.minimum(x, next_x)
    order = np.argsort(left, kind="stable")
    reach = np.searchsorted(left[order], np.maximum(x, next_x)[order], side="right")
    count = reach - np.arange(n) - 1  # of edges that begin after this one, but before it ends
    step = max(1, 2_000_000 // n)  # at most two million pairs at a time
    for begin in range(0, n, step):
        some = count[begin : begin + step]
        position = np.repeat(np.arange(begin, begin + len(some)), some)
        partner = np.arange(len(position)) + np.repeat(begin + 1 + np.arange(len(some)) - np.cumsum(some) + some, some)
        if _any_meet((x, y, next_x, next_y), order[position], order[partner]):
            return True
    return False


def _any_meet(edges, one, other):
    """True where one of the pairs of edges (by index) has a point in common; edges in sequence do not count."""
    x, y, next_x, next_y = edges
    n, gap = len(x), np.abs(one - other)
    low, high = np.minimum(y, next_y), np.maximum(y, next_y)
    keep = (low[one] <= high[other]) & (low[other] <= high[one]) & (gap != 1) & (gap != n - 1)
    one, other = one[keep], other[keep]
    return bool((_both_sides(edges, one, other) & _both_sides(edges, other, one)).any())


def _both_sides(edges, one, other):
    """Whether the ends of the edge `other` lie on different sides of the line through `one`, or on it."""
    x, y, next_x, next_y = edges
    from_x, from_y, step_x, step_y = x[one], y[one], (next_x - x)[one], (next_y - y)[one]
    start = _cross(step_x, step_y, x[other] - from_x, y[other] - from_y)
    end = _cross(step_x, step_y, next_x[other] - from_x, next_y[other] - from_y)
    return np.sign(start) * np.sign(end) <= 0


def _cross(first_x, first_y, second_x, second_y):
    return first_x * second_y - first_y * second_x


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
    x, y = (_next(points) - points).T
    turns = _cross(x, y, _next(x), _next(y)) != 0  # at the corner that follows
    return _next(points)[turns]
