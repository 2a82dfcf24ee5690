"""Executing a notebook so that Ctrl-C ends it at any moment, and its kernel with it.

nbclient answers Ctrl-C by ending the kernel, and calls what follows a crash: of the kernel, of a task, of its
own clean-up, whichever comes first. So it works in a thread of its own, where no signal arrives; the main
thread waits, and Ctrl-C is there what it is everywhere in Python, a KeyboardInterrupt.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time

import psutil

WAIT = 10  # seconds for a kernel to end that was killed


def execute(client, **options):
    """Execute the notebook of an nbclient client.

    Args:
        client: an `nbclient.NotebookClient`.
        **options: of its `async_execute`.

    Raises:
        KeyboardInterrupt: Ctrl-C; the kernel has ended by then.
        whatever nbclient raises for a cell that fails or a kernel that dies.
    """
    before = set(psutil.Process().children(recursive=True))
    work = _Work(client, options)
    try:
        work.start()
        while work.is_alive():
            work.join(0.2)  # with a limit: without one, Windows does not let Ctrl-C through
    except KeyboardInterrupt:
        with _deaf():
            _stop(work, before)
        raise
    if work.error is not None:
        raise work.error


class _Work(threading.Thread):
    """The thread that runs the client; `error` is what it raised."""

    def __init__(self, client, options):
        super().__init__(daemon=True)
        self.client, self.options, self.error = client, options, None
        self.cancel = lambda: None

    def run(self):
        try:
            # ZeroMQ needs the selector loop, which is not the usual one on Windows.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._execute())
        except BaseException as error:
            self.error = error

    async def _execute(self):
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        await self.client.async_execute(**self.options)


def _stop(work, before):
    """Kill the kernel, also one that is only now being started, until the thread has ended."""
    with contextlib.suppress(RuntimeError):  # its loop has ended already
        work.cancel()
    until = time.monotonic() + WAIT
    while work.is_alive() and time.monotonic() < until:
        _kill_children(before)
        work.join(0.1)
    _kill_children(before)


def _kill_children(before):
    """End the processes that were started since, and those that these have started."""
    started = [child for child in psutil.Process(os.getpid()).children(recursive=True) if child not in before]
    for child in started:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(started, timeout=1)


@contextlib.contextmanager
def _deaf():
    """Let a second Ctrl-C not disturb the clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
