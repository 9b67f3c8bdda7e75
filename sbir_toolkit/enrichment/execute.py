"""Executing the chunks: each one by itself, committed once.

Workers get a path to the index and a range of rows, never data: they open the memory-mapped index, match
their companies, and write their part whole. The process that started them is the only writer of the journal,
and appends a chunk's line when its part is there. So a killed worker costs the chunk it was at, a killed
parent costs the chunks under way, and nothing else. A chunk whose worker was lost is tried again; one that is
suspect of having killed it twice, or that raises an error its data can cause, is isolated.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.isolation import DATA_ERRORS, SuspectError, Work, count_deaths, isolate, marked
from sbir_toolkit.enrichment.journal import Commit, Journal
from sbir_toolkit.enrichment.parts import KEY, Piece, company_keys
from sbir_toolkit.enrichment.persistence import persist
from sbir_toolkit.enrichment.plan import ChunkPlan, ChunkTask
from sbir_toolkit.enrichment.schedulers import GO_ON, Pool, open_pool
from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.matching import RecipientIndex, open_index
from sbir_toolkit.matching.match import match_and_keep
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.memory import release
from sbir_toolkit.meter import emit
from sbir_toolkit.params import Compute, Limits, Matching
from sbir_toolkit.storage import digest_file, write_parquet

_NEW = "new_companies.parquet"


def execute_chunks(
    plan: ChunkPlan,
    companies: Path,
    index: Path,
    journal: Journal,
    *,
    compute: Compute,
    limits: Limits,
    matching: Matching,
) -> list[Piece]:
    """Match every chunk of a plan, and commit each as it ends.

    Parameters
    ----------
    plan
        What is known already, and the chunks of what isn't.
    companies, index
        The companies' file and the recipient index's folder; every worker must see them under these paths.
    journal
        Where the chunks are committed.
    compute
        Scheduler and number of workers.
    limits
        Memory that the workers may use.
    matching
        The parameters of the matching.

    Returns
    -------
    list of Piece
        What was known and what was found: together all companies, each once.

    Raises
    ------
    StageError
        When there is no fit cluster, its workers die before they begin, or so many companies can't be matched
        that it can't be their fault.
    """
    journal.drop_strays()
    emit(
        "chunks",
        total=len(plan.known) + len(plan.chunks),
        committed=len(plan.known),
        rows=plan.companies,
        committed_rows=plan.companies_known,
    )
    if not plan.chunks:
        return plan.known
    if plan.companies_known:
        companies = _set_apart(companies, plan.new, journal.folder / _NEW)
    tasks = [
        ChunkTask(str(companies), str(index), str(journal.part(chunk.key)), chunk, matching)
        for chunk in plan.chunks
    ]
    committed: dict[str, Commit] = {}

    def commit(done: Commit) -> None:
        done = replace(done, plan=plan.digest)
        journal.commit(done)
        committed[done.key] = done
        emit(
            "chunk",
            chunk=done.key,
            rows=done.rows,
            elapsed_s=done.elapsed_s,
            cpu_s=done.cpu_s,
            worker=done.worker,
            rejected=len(done.rejected),
        )

    release()  # what was freed while files were read and indexed
    with open_pool(compute, limits, [companies, index], journal.folder) as pool:
        _run(pool, tasks, commit)
    (journal.folder / _NEW).unlink(missing_ok=True)
    journal.drop_strays()  # what workers left that were lost while they wrote
    found = [
        Piece(
            journal.part(chunk.key),
            committed[chunk.key].digest,
            np.arange(chunk.rows),
            plan.new[chunk.start : chunk.stop],
            committed[chunk.key].rejected,
        )
        for chunk in plan.chunks
    ]
    return [*plan.known, *found]


def match_chunk(task: ChunkTask) -> Commit:
    """Match one chunk's companies and write its part; runs in a worker."""
    clock, cpu = time.perf_counter(), time.thread_time()
    with pq.ParquetFile(task.companies) as file:
        companies = _read_rows(file, task.chunk.start, task.chunk.stop)
    found = match_and_keep(companies.to_pandas(), _opened_index(task.index), task.matching)
    part = Path(task.part)
    write_parquet(part, found.append_column(KEY, company_keys(companies)))
    return Commit(
        key=task.chunk.key,
        rows=companies.num_rows,
        digest=digest_file(part),
        elapsed_s=time.perf_counter() - clock,
        cpu_s=time.thread_time() - cpu,
        worker=f"{os.uname().nodename}:{os.getpid()}:{threading.get_ident()}",
    )


def _set_apart(companies: Path, new: Ints, out: Path) -> Path:
    """Write the new companies into a file of their own, for workers to read."""
    table = pq.read_table(companies)
    write_parquet(out, table.take(pa.array(new)))
    return out


@functools.lru_cache(maxsize=2)
def _opened_index(folder: str) -> RecipientIndex:
    return open_index(Path(folder))


def _read_rows(file: pq.ParquetFile, start: int, stop: int) -> pa.Table:
    # Only the row groups that overlap the range are read.
    groups: list[int] = []
    first = row = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < stop and row + rows > start:
            first = row if not groups else first
            groups.append(group)
        row += rows
    return file.read_row_groups(groups).slice(start - first, stop - start)


def _run(pool: Pool, tasks: list[ChunkTask], commit: Callable[[Commit], None]) -> None:
    suspects: list[ChunkTask] = []
    pending = {task.chunk.key: task for task in tasks}
    while pending:
        deaths = sum(map(count_deaths, pending.values()))
        lost: dict[str, ChunkTask] = {}
        for ended in pool.run(functools.partial(_attempt, match_chunk), pending):
            task = pending[ended.key]
            if ended.result is not None:
                commit(ended.result)
            elif ended.is_worker_lost:
                lost[ended.key] = task
            elif isinstance(ended.error, (SuspectError, *DATA_ERRORS)):
                suspects.append(task)
            elif ended.error is not None:
                raise ended.error
        if lost and sum(map(count_deaths, lost.values())) == deaths:
            raise StageError(
                explain(
                    "the workers die before they have begun anything",
                    got="; ".join(sorted(lost)),
                    todo=f"look into the log for what they said, then {GO_ON}",
                )
            )
        pending = lost
    for task in sorted(suspects, key=lambda one: one.chunk.start):
        emit("isolating", chunk=task.chunk.key, rows=task.chunk.rows)
        commit(isolate(task, match_chunk))


def _attempt(work: Work, task: ChunkTask) -> Commit:
    with marked(task):
        return persist(work, task)
