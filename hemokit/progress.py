"""One progress bar for all long work: on a terminal, to stderr, and only where there is much to do."""

from tqdm import tqdm

SHOW_FROM = 1000


def progress_bar(items, *, total, description, unit="file", progress=None):
    """Wrap an iterable in a progress bar.

    Args:
        items: any iterable.
        total: how many there are.
        description, unit: words for the bar.
        progress: True or False; None shows it on a terminal from `SHOW_FROM` items on.

    Returns:
        an iterable of the same items.
    """
    hide = not progress if progress is not None else (None if total >= SHOW_FROM else True)  # None: only on a terminal
    return tqdm(items, total=total, desc=description, unit=unit, disable=hide)
