"""Where fits run: on one process, on several of this machine, or on the workers of a Dask cluster."""

import contextlib
from numbers import Integral

from hemokit.checks import problem


@contextlib.contextmanager
def workers(num_jobs, dask_client=None, shared=()):
    """Let the fits inside run on `num_jobs` processes, or on the workers of a Dask cluster.

    Args:
        num_jobs: processes of this machine; -1 takes all cores.
        dask_client: a `distributed.Client`, or the address of a scheduler ("tcp://..."); None for no cluster.
        shared: arrays that every worker gets once.

    Raises:
        HemokitError: num_jobs 0, or no whole number; the package distributed is not installed; no scheduler there.
    """
    import joblib

    if not isinstance(num_jobs, Integral) or isinstance(num_jobs, bool) or num_jobs == 0:
        raise problem(f"num_jobs is {num_jobs!r}", "a number of processes", "1 is one, -1 takes all cores.")
    if dask_client is None:
        with joblib.parallel_config(n_jobs=int(num_jobs)):
            yield
        return
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(client_of(dask_client))
        stack.enter_context(joblib.parallel_config("dask", client=client, scatter=list(shared)))
        yield


def client_of(client):
    """A Dask client as a context: that of a scheduler's address is closed at the end, one that was given is not."""
    try:
        from distributed import Client
    except ImportError:
        remedy = "Run: pip install 'hemokit[dask]'."
        raise problem("the package distributed is not installed", "it, for a Dask cluster", remedy) from None
    if isinstance(client, Client):
        return contextlib.nullcontext(client)
    expected = "a distributed.Client, or the address of a scheduler that runs"
    try:
        return Client(str(client))
    except (OSError, ValueError, TypeError) as error:
        came = f"dask_client is {client!r} ({error})"
        raise problem(came, expected, "Start one: from distributed import Client; Client() on this machine.") from None
