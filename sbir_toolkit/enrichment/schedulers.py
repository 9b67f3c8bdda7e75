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
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sbir_toolkit.enrichment.cluster import (
    Shared,
    check_workers,
    connect,
    count_threads,
    find_faults,
    share,
    start_cluster,
)
from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.meter import usable_cores
from sbir_toolkit.params import Compute, Limits

_LOCAL = ("threads", "processes", "distributed")
GO_ON = "'sbir-toolkit resume' the run, or repeat the command 'match': committed chunks are kept"
"""What to do about work that ended in the middle, by whichever command it was started."""
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
    """How many chunks are worked on at once: as the parameters say, or one a core, or a cluster's thread.

    Raises
    ------
    StageError
        When a cluster's address is named and no scheduler answers, or it has no workers.
    """
    if compute.workers:
        return compute.workers
    return usable_cores() if compute.scheduler in _LOCAL else count_threads(compute)


def thread_count(compute: Compute) -> int:
    """How many threads work at once in this process itself, whoever computes the chunks."""
    return min(compute.workers or usable_cores(), usable_cores())


@contextmanager
def open_pool(compute: Compute, limits: Limits, reads: list[Path], writes: Path) -> Iterator[Pool]:
    """Open the pool that the parameters name, and close it when the block ends.

    Parameters
    ----------
    compute
        Scheduler and number of workers.
    limits
        How much memory the workers may use together; a cluster that somebody else runs has limits of its own.
    reads
        The files that workers read, or folders with files in them.
    writes
        The folder that they write into.

    Yields
    ------
    Pool

    Raises
    ------
    StageError
        When there is no such cluster, or one of its workers isn't fit: has other versions, or doesn't see
        what it must read and write.
    """
    if compute.scheduler in ("threads", "processes"):
        yield _LocalPool(compute)
        return
    shared = share(reads, writes)
    if compute.scheduler == "distributed":
        with start_cluster(worker_count(compute), limits, shared) as client:
            yield _DaskPool(client, shared)
        return
    with connect(compute) as client:
        check_workers(client, shared)
        yield _DaskPool(client, shared)


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
    """A Dask cluster, through its client."""

    def __init__(self, client: Any, shared: Shared) -> None:
        self._client = client
        self._shared = shared

    def run(self, function: Callable[[Task], Result], tasks: Mapping[str, Task]) -> Iterator[Ended[Result]]:
        from distributed import KilledWorker
        from distributed import as_completed as dask_as_completed
        from distributed.client import FutureCancelledError

        keys = {
            self._client.submit(
                _run_if_fit, function, task, self._shared, key=f"match-{key}", pure=False
            ): key
            for key, task in tasks.items()
        }
        for future in dask_as_completed(list(keys)):
            try:
                error = future.exception()
                result = None if error else future.result()
            except FutureCancelledError as wrong:  # the scheduler went away between the two
                raise _lost(wrong) from wrong
            if isinstance(error, FutureCancelledError):
                raise _lost(error) from error
            yield Ended(keys[future], result, error, isinstance(error, KilledWorker))
            future.release()


def _run_if_fit(function: Callable[[Task], Result], task: Task, shared: Shared) -> Result:
    """Run a task in a worker, unless the worker isn't fit: it may have joined after the others were asked."""
    faults = find_faults(shared)
    if faults:
        raise StageError("\n".join(faults))
    return function(task)


def _lost(wrong: BaseException) -> StageError:
    return StageError(
        explain(
            "the Dask cluster was lost in the middle of the work",
            got=wrong,
            todo=f"start the scheduler and its workers again, then {GO_ON}",
        )
    )
