"""Dask clusters: one of this machine, or one that somebody else runs.

Workers get paths, never data, and write their own parts, so a worker is fit for a run only when it computes
the same (same Python, same libraries, same code of this toolkit) and sees the same (the run's store under the
same path, to read and to write). Both are asked of every worker before the first chunk, and once more by each
worker at its first chunk, for one may join later. A worker that isn't fit is named with what is wrong with
it; nothing is computed on it.
"""

from __future__ import annotations

import functools
import platform
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.params import Compute, Limits
from sbir_toolkit.versions import DECIDING_LIBRARIES, LAYERS, code_digest, library_versions

_CONNECT_S = 30.0
# What a worker holds before it has done anything, and the least that a chunk needs beside it.
_WORKER_BYTES = 400_000_000
# A Dask worker takes no more work when it holds so much of its limit.
_PAUSE_SHARE = 0.8
_CLUSTER_LIBRARIES = ("dask", "distributed", "cloudpickle")


@dataclass(frozen=True)
class Shared:
    """What workers must have in common with this process.

    Parameters
    ----------
    reads
        The files that workers read, with their sizes in bytes.
    writes
        The folder that they write into.
    mark
        A file in that folder, to know it by.
    made_by
        Python, libraries and code that the results depend on.
    """

    reads: tuple[tuple[str, int], ...]
    writes: str
    mark: str
    made_by: tuple[tuple[str, str], ...]

    @property
    def mapped_bytes(self) -> int:
        """How much a worker may hold of the files that it reads."""
        return sum(size for _, size in self.reads)


def share(reads: list[Path], writes: Path) -> Shared:
    """Say what workers must see, and leave a mark by which they know the folder they write into.

    Parameters
    ----------
    reads
        Files, or folders with files in them.
    writes
        The folder that they write into.
    """
    files = [file for path in reads for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    mark = writes / ".shared"
    mark.write_text(f"{uuid.uuid4()}\n")
    return Shared(
        tuple((str(file), file.stat().st_size) for file in files), str(writes), mark.read_text(), made_by()
    )


def made_by() -> tuple[tuple[str, str], ...]:
    """Say which Python, libraries and code compute here."""
    libraries = library_versions((*DECIDING_LIBRARIES, *_CLUSTER_LIBRARIES))
    code = code_digest(*(name for layer in LAYERS for name in layer))
    return (("Python", platform.python_version()), *libraries.items(), ("sbir_toolkit's code", code[7:19]))


@functools.lru_cache(maxsize=4)
def find_faults(shared: Shared) -> tuple[str, ...]:
    """Say what makes this process unfit to compute for the one that shares; runs in a worker.

    Returns
    -------
    tuple of str
        One block of text for each fault; empty when it is fit.
    """
    here = socket.gethostname()
    return (*_other_versions(shared, here), *_unseen(shared, here))


def _other_versions(shared: Shared, here: str) -> Iterator[str]:
    own = dict(made_by())
    for name, wanted in shared.made_by:
        if own.get(name) != wanted:
            yield explain(
                f"a worker has another version of {name}: its results would differ",
                where=here,
                expected=wanted,
                got=own.get(name),
                todo="start the workers in the environment that the run is started in, or in an equal one "
                "(requirements.lock), and restart them after a change of the code",
            )


def _unseen(shared: Shared, here: str) -> Iterator[str]:
    mark = Path(shared.writes) / ".shared"
    try:
        got = mark.read_text()
        probe = mark.with_name(f".shared-{uuid.uuid4()}")
        probe.touch()
        probe.unlink()
    except OSError as wrong:
        yield _share_this(f"a worker can't write where results go: {wrong.strerror}", here, shared.writes)
        return
    if got != shared.mark:
        yield _share_this("a worker sees another folder under the same path", here, shared.writes)
    for path, size in shared.reads:
        found = Path(path).stat().st_size if Path(path).exists() else None
        if found != size:
            what = "a worker can't see a file" if found is None else "a worker sees another file"
            yield _share_this(what, here, path)


def _share_this(what: str, here: str, path: str) -> str:
    return explain(
        what,
        where=f"{path} on {here}",
        expected="the run's own outputs/store, on a file system that all workers mount under the same path "
        "(the index is mapped into memory and parts are renamed into place, so a URL won't do)",
        todo="put the outputs there (--outputs, SBIR_OUTPUTS) and start the workers where it is mounted",
    )


@contextmanager
def connect(compute: Compute) -> Iterator[Any]:
    """Connect to a cluster that somebody else runs.

    Yields
    ------
    distributed.Client

    Raises
    ------
    StageError
        When no scheduler answers, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(compute.scheduler, timeout=_CONNECT_S)
    except OSError as wrong:
        raise StageError(
            explain(
                "no Dask scheduler answers",
                where=f"compute.scheduler={compute.scheduler}",
                got=wrong,
                todo="start one ('dask scheduler') or correct the address; "
                "compute.scheduler=threads needs none",
            )
        ) from wrong
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as wrong:
            raise StageError(
                explain(
                    "the Dask cluster has no workers",
                    where=compute.scheduler,
                    expected=f"at least one within {_CONNECT_S:.0f} s",
                    todo=f"start some: dask worker {compute.scheduler}",
                )
            ) from wrong
        yield client


@contextmanager
def start_cluster(workers: int, limits: Limits, shared: Shared) -> Iterator[Any]:
    """Start a Dask cluster of this machine for the time of the block.

    Each worker may hold its share of `limits.memory_mb`, and the index besides: its pages are mapped, count
    as the worker's in Dask's eyes, and are one copy for all.

    Yields
    ------
    distributed.Client
    """
    from distributed import Client, LocalCluster

    limit = max(limits.memory_mb * 1_000_000 // workers, _WORKER_BYTES) + shared.mapped_bytes
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=limit,
            dashboard_address="127.0.0.1:0",  # a port that is free: another run may have the usual one
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def count_threads(compute: Compute) -> int:
    """Count how many chunks a cluster works on at once."""
    with connect(compute) as client:
        return sum(client.nthreads().values())


def check_workers(client: Any, shared: Shared) -> None:
    """Ask every worker of a cluster whether it is fit for this run.

    Raises
    ------
    StageError
        Names each that isn't, and what is wrong with it.
    """
    told: dict[str, Any] = client.run(find_faults, shared, on_error="return")
    limits = {
        worker: facts["memory_limit"]
        for worker, facts in client.scheduler_info(n_workers=-1)["workers"].items()
    }
    needed = int((shared.mapped_bytes + _WORKER_BYTES) / _PAUSE_SHARE)
    faults = []
    for worker, answer in sorted(told.items()):
        found = [_no_answer(answer)] if isinstance(answer, BaseException) else list(answer)
        if 0 < limits.get(worker, 0) < needed:
            found.append(_too_small(limits[worker], needed))
        faults += [f"worker {worker}: {fault}" for fault in found]
    if faults:
        raise StageError("\n".join(faults))


def _no_answer(wrong: BaseException) -> str:
    return explain(
        "a worker can't run the toolkit",
        got=f"{type(wrong).__name__}: {wrong}",
        todo="install sbir_toolkit, the same version, where the workers are started",
    )


def _too_small(limit: int, needed: int) -> str:
    return explain(
        "a worker may hold too little memory, and would wait for ever",
        expected=f"{needed / 1e6:,.0f} MB: the mapped index counts towards its limit",
        got=f"{limit / 1e6:,.0f} MB",
        todo=f"start it with --memory-limit {needed / 1e9:.1f}GB or more, or with 0 for none",
    )
