"""The sentences that errors are made of.

Every error that a user can cause has three clauses: what came, what was expected, what to do.
`problem` builds it, so that the form is the same everywhere.
"""

import numpy as np


class HemokitError(ValueError):
    """Bad input, told in one sentence: what came, what was expected, what to do."""


def problem(came, expected, remedy, *, file=None, row=None, column=None):
    """Build (do not raise) the error for bad input.

    Args:
        came: what was found, with its value, as a clause without a full stop.
        expected: what should have been there, as a clause without a full stop.
        remedy: what the user can do, as a sentence.
        file: path of the file at fault, if any.
        row: line number in that file as an editor counts it (the header is line 1), if any.
        column: name of the column at fault, if any.

    Returns:
        HemokitError: "file, row 3, column 'x': came, but expected this. Remedy."
    """
    place = [str(file)] if file is not None else []
    if row is not None:
        place.append(f"row {row}")
    if column is not None:
        place.append(f"column {column!r}")
    start = ", ".join(place) + ": " if place else ""
    return HemokitError(f"{start}{came}, but expected {expected}. {remedy}")


def counted(number, noun):
    """A count in words: "1 patient", "0 patients", "1,024 slices"; the plural is the noun and an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def check_choice(value, choices, name):
    """Return `value` if it is one of `choices` (any iterable of strings), else raise HemokitError."""
    choices = list(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise problem(f"{name} is {value!r}", f"one of {listed}", f"Choose one of these for {name}.")
    return value


def check_whole(value, name, least):
    """`value` as an int; HemokitError unless it is a whole number of at least `least`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise problem(f"{name} is {value!r}", f"a whole number from {least}", f"Choose another {name}.")
    return int(value)


def check_columns(table, columns, *, file=None):
    """Raise HemokitError unless the DataFrame `table` has every name in `columns`."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise problem(
            f"the table lacks the column(s) {', '.join(map(repr, missing))}",
            f"the columns {', '.join(map(repr, columns))}",
            f"It has {', '.join(map(repr, table.columns))}: rename or add what is missing.",
            file=file,
        )


def check_same_shape(first, second, *, names=("y_true", "y_pred")):
    """Raise HemokitError unless two arrays have equal shapes (nothing is broadcast in silence)."""
    if np.shape(first) != np.shape(second):
        raise problem(
            f"{names[0]} has shape {np.shape(first)} and {names[1]} has shape {np.shape(second)}",
            "two arrays of one shape",
            "Resize or crop one of them first; masks are resized with nearest neighbor.",
        )


def check_binary(values, name):
    """Return `values` as a bool array; raise HemokitError unless every value is 0, 1, False or True."""
    array = np.asarray(values)
    if array.dtype == bool or not array.size:
        return array.astype(bool)
    if array.dtype.kind not in "iuf":
        raise problem(f"{name} holds {array.dtype} values", "only 0 and 1", "Convert it to a bool array first.")
    ok = (array == 0) | (array == 1)
    if not ok.all():
        wrong = array[~ok].flat[0]
        if np.isnan(wrong):
            hint = "Leave out what has no value."
        elif (array > 1).any():
            hint = "This looks like a 0/255 mask image: use mask > 127."
        else:
            hint = "This looks like probabilities: apply a threshold first."
        raise problem(f"{name} holds the value {wrong:g}", "only 0 and 1", hint)
    return array.astype(bool)
