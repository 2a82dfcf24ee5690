"""Executing a notebook so that Ctrl-C ends it at any moment, and its kernel with it.

nbclient answers Ctrl-C by ending the kernel, and calls what follows a crash: of the kernel, of a task, of its
own clean-up, whichever comes first. So it works in a thread of its own, where no signal arrives; the main
thread waits, and Ctrl-C is there what it is everywhere in Python, a KeyboardInterrupt.
"""

import asyncio
import contextlib
import math
import os
import signal
import threading
import time

import psutil

WAIT = 10  # seconds for a kernel to end that was killed


def execute(client, *, silence=None, **options):
    """Execute the notebook of an nbclient client.

    Args:
        client: an `nbclient.NotebookClient`.
        silence: seconds for which the kernel may say nothing (no output, no cell that begins or ends); None for any
            time. How long a cell works is not limited: on a busy machine a training takes long, and tells of it.
        **options: of its `async_execute`.

    Raises:
        KeyboardInterrupt: Ctrl-C; the kernel has ended by then.
        SilentKernel: it said nothing for longer than `silence`, and was ended.
        whatever nbclient raises for a cell that fails or a kernel that dies.
    """
    before = set(psutil.Process().children(recursive=True))
    work = _Work(client, options)
    try:
        work.start()
        while work.is_alive():
            work.join(0.2)  # with a limit: without one, Windows does not let Ctrl-C through
            if silence is not None and work.is_alive() and time.monotonic() - work.heard > silence:
                raise SilentKernel
    except (KeyboardInterrupt, SilentKernel):
        with _deaf():
            _stop(work, before)
        raise
    if work.error is not None:
        raise work.error


class SilentKernel(Exception):
    """The kernel said nothing for longer than it may."""


class _Work(threading.Thread):
    """The thread that runs the client; `error` is what it raised, `heard` when the kernel last said something."""

    def __init__(self, client, options):
        super().__init__(daemon=True)
        self.client, self.options, self.error = client, options, None
        self.cancel = lambda: None
        self.heard = math.inf  # that a kernel starts at all is watched by nbclient
        self.process = client.process_message
        client.process_message = self._hear  # it is given whatever the kernel says

    def _hear(self, *message):
        self.heard = time.monotonic()
        return self.process(*message)

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
