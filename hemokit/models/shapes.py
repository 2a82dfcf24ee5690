"""What every builder asks of the shape of its input, and of the numbers that it is given."""

import numbers

from hemokit.checks import problem


def are_counts(values):
    """Whether all values are positive ints."""
    return all(isinstance(value, numbers.Integral) and not isinstance(value, bool) and value > 0 for value in values)


def check_image_shape(input_shape, *, channels=None, least=1):
    """Return the shape of one image as a tuple.

    Args:
        input_shape: (height, width, channels), all known.
        channels: the numbers of channels that the network takes, or None for any.
        least: the smallest height and width.

    Raises:
        HemokitError: another rank, sizes that are unknown or too small, another number of channels.
    """
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list) else ()
    if len(shape) != 3 or not are_counts(shape):
        remedy = "Give the shape of one image without the batch, as in (256, 256, 3)."
        raise problem(f"input_shape is {input_shape!r}", "(height, width, channels), whole numbers", remedy)
    if min(shape[:2]) < least:
        came = f"the image has {shape[0]}x{shape[1]} pixels"
        raise problem(came, f"{least} or more a side", "Enlarge it: this network halves it again and again.")
    if channels is not None and shape[2] not in channels:
        remedy = "Choose windows so that it fits, as windows=('brain', 'subdural', 'bone')."
        raise problem(f"the image has {shape[2]} channels", " or ".join(map(str, channels)), remedy)
    return shape


def check_counts(name, values, remedy, *, exactly=None):
    """Return positive whole numbers as a tuple; HemokitError for anything else, none, or not `exactly` so many."""
    given = values if isinstance(values, tuple | list) else None
    if not given or not are_counts(given) or exactly not in (None, len(given)):
        raise problem(f"{name} is {values!r}", f"{exactly or '1 or more'} positive whole numbers", remedy)
    return tuple(given)
