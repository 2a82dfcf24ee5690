"""Who does the jobs: this process, several of this machine, or the workers of a Dask cluster."""

from concurrent.futures import as_completed

from hemokit.prepare.shards import write_shard
from hemokit.processes import process_pool


def work_off(jobs, *, workers, dask=None):
    """Do jobs in any order, and yield the number of slices of each when it is done.

    Args:
        jobs: list of `Job`.
        workers: processes of this machine; 1 works in this one.
        dask: address of a Dask scheduler ("tcp://..."), or a `distributed.Client`, instead. Its workers must see the
            folders of the DICOM files and of the store under the same paths, and have hemokit installed.

    Raises:
        HemokitError: what a job raised; no scheduler there, or distributed is not installed.
    """
    if dask is not None:
        yield from _on_cluster(jobs, dask)
    elif workers == 1 or len(jobs) < 2:
        yield from map(write_shard, jobs)
    else:
        with process_pool(min(workers, len(jobs))) as pool:
            for future in as_completed([pool.submit(write_shard, job) for job in jobs]):
                yield future.result()


def _on_cluster(jobs, dask):
    from hemokit.baselines.workers import client_of

    with client_of(dask) as client:
        from distributed import as_completed as as_they_come

        futures = client.map(write_shard, jobs, pure=False)
        try:
            for future in as_they_come(futures):
                yield future.result()
        finally:
            client.cancel(futures)
