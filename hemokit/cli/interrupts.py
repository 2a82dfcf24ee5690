"""Ctrl-C at any moment is one sentence and exit code 130."""

import signal
import sys
import threading


class Interrupted(Exception):
    """Ctrl-C, with what the command has to say to it; typer swallows the text of a KeyboardInterrupt."""


class Stop:
    """Ctrl-C: a KeyboardInterrupt as always, and a mark that it was asked for, whatever a library makes of it."""

    def __init__(self):
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._hear)

    def _hear(self, *_):
        self.asked = True
        raise KeyboardInterrupt

    def refuse(self, said=""):
        """Say that the command was interrupted."""
        if self.asked:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is near: no second one in the midst of it
        if sys.stderr.isatty():
            print(end="\r", file=sys.stderr)  # over the ^C that the terminal writes
        return refuse(f"interrupted{said}", 130)


def refuse(sentence, code=2):
    """Say on standard error why there is nothing to show; gives the exit code."""
    print(f"hemokit: {sentence}", file=sys.stderr)
    return code
