"""The cores of this machine, and processes on them that end when the one that started them does, whatever ends it."""

import contextlib
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def cores():
    """How many processor cores this process may use, at least 1: fewer than there are where it was told so, as by the
    quota of a container."""
    from joblib import cpu_count  # only here: it takes a tenth of a second

    return cpu_count()


@contextlib.contextmanager
def process_pool(workers):
    """A pool of fresh processes; a script that uses it needs `if __name__ == "__main__":`.

    Ctrl-C is for the process that started them: it takes back what has not begun, and waits for what has. After a
    kill -9 of that process the others end at once, also in the midst of a file: whoever writes one must use
    `files.write_whole`.

    Args:
        workers: how many, from 1.

    Yields:
        concurrent.futures.ProcessPoolExecutor.
    """
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _end_with_parent():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end():
    """Pools leave their processes waiting for ever when the first one is killed: nobody closes the queue."""
    parent_process().join()
    os._exit(1)
