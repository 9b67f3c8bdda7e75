"""Schedulers: where chunks are computed, and how each one's end comes back.

`threads` and `processes` are pools of this process; `distributed` is a Dask cluster of this machine, started
for the time of the work; an address (`tcp://...`) is a Dask cluster that somebody else runs, and is never
stopped from here. Whichever it is, `open_pool` gives something that runs a function on some tasks and yields
how each ended, in the order of their ends. What an end means, and whether a task is tried again, is decided
where the tasks are made.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sbir_toolkit.meter import usable_cores
from sbir_toolkit.params import Compute

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """How one task ended: with a result, or with an error.

    Parameters
    ----------
    key
        The task's.
    result
        What the function returned; None when it raised or its worker was lost.
    error
        What it raised.
    is_worker_lost
        The worker died while it had this task; that needn't be the task's fault, and with `processes` the
        tasks that waited beside it end in the same way.
    """

    key: str
    result: Result | None = None
    error: BaseException | None = None
    is_worker_lost: bool = False


class Pool(Protocol):
    """Where tasks are run."""

    def run(self, function: Callable[[Task], Result], tasks: Mapping[str, Task]) -> Iterator[Ended[Result]]:
        """Run a function on each task and yield how each ended; may be asked again when it is through."""


def worker_count(compute: Compute) -> int:
    """How many chunks are worked on at once: as the parameters say, or one for each usable core."""
    return compute.workers or usable_cores()


@contextmanager
def open_pool(compute: Compute) -> Iterator[Pool]:
    """Open the pool that the parameters name, and close it when the block ends.

    Parameters
    ----------
    compute
        Scheduler and number of workers.

    Yields
    ------
    Pool
    """
    if compute.scheduler in ("threads", "processes"):
        yield _LocalPool(compute)
        return
    with _client(compute) as client:
        yield _DaskPool(client)


class _LocalPool:
    """Threads or processes of this one; started anew for each run, so that a broken pool isn't met again."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def run(self, function: Callable[[Task], Result], tasks: Mapping[str, Task]) -> Iterator[Ended[Result]]:
        pool = self._start(min(worker_count(self._compute), len(tasks)))
        try:
            keys = {pool.submit(function, task): key for key, task in tasks.items()}
            for future in as_completed(keys):
                error = future.exception()
                yield Ended(
                    keys[future],
                    None if error else future.result(),
                    error,
                    isinstance(error, BrokenProcessPool),
                )
        finally:
            pool.shutdown(cancel_futures=True)

    def _start(self, workers: int) -> Executor:
        if self._compute.scheduler == "threads":
            return ThreadPoolExecutor(workers, thread_name_prefix="chunk")
        # A fork would copy this process's threads' locks, but not the threads.
        return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


class _DaskPool:
    """A Dask cluster's client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, function: Callable[[Task], Result], tasks: Mapping[str, Task]) -> Iterator[Ended[Result]]:
        from distributed import KilledWorker
        from distributed import as_completed as dask_as_completed

        keys = {
            self._client.submit(function, task, key=f"match-{key}", pure=False): key
            for key, task in tasks.items()
        }
        for future in dask_as_completed(list(keys)):
            error = future.exception()
            yield Ended(
                keys[future], None if error else future.result(), error, isinstance(error, KilledWorker)
            )
            future.release()


@contextmanager
def _client(compute: Compute) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if compute.scheduler != "distributed":
        with Client(compute.scheduler, timeout="30s") as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=worker_count(compute), threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
