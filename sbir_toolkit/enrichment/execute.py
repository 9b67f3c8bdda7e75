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
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.isolation import DATA_ERRORS, SuspectError, Work, count_deaths, isolate, marked
from sbir_toolkit.enrichment.journal import Commit, Journal
from sbir_toolkit.enrichment.persistence import persist
from sbir_toolkit.enrichment.plan import KEY, Chunk, ChunkTask, company_keys
from sbir_toolkit.enrichment.schedulers import Pool, open_pool
from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.matching import RecipientIndex, match_companies, open_index
from sbir_toolkit.memory import release
from sbir_toolkit.meter import emit
from sbir_toolkit.params import Compute, Limits, Matching
from sbir_toolkit.storage import digest_file, write_parquet
from sbir_toolkit.tables import COMPANY_MATCHES


def execute_chunks(
    chunks: tuple[Chunk, ...],
    companies: Path,
    index: Path,
    journal: Journal,
    *,
    compute: Compute,
    limits: Limits,
    matching: Matching,
) -> dict[str, Commit]:
    """Match every chunk that isn't committed yet, and commit each as it ends.

    Parameters
    ----------
    chunks
        The plan's chunks.
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
    dict
        Key to commit, for all chunks.

    Raises
    ------
    StageError
        When there is no fit cluster, its workers die before they begin, or so many companies can't be matched
        that it can't be their fault.
    """
    journal.drop_strays()
    committed = journal.committed([chunk.key for chunk in chunks])
    emit(
        "chunks",
        total=len(chunks),
        committed=len(committed),
        rows=sum(chunk.rows for chunk in chunks),
        committed_rows=sum(commit.rows for commit in committed.values()),
    )
    missing = [chunk for chunk in chunks if chunk.key not in committed]
    known = _carry_over(journal, [chunk.key for chunk in chunks]) if missing else None
    tasks = [
        ChunkTask(str(companies), str(index), str(journal.part(chunk.key)), chunk, matching, known)
        for chunk in missing
    ]

    def commit(done: Commit) -> None:
        journal.commit(done)
        committed[done.key] = done
        emit(
            "chunk",
            chunk=done.key,
            rows=done.rows,
            reused=done.reused,
            elapsed_s=done.elapsed_s,
            cpu_s=done.cpu_s,
            worker=done.worker,
            rejected=len(done.rejected),
        )

    if tasks:
        release()  # what was freed while files were read and indexed
        with open_pool(compute, limits, [companies, index], journal.folder) as pool:
            _run(pool, tasks, commit)
    return committed


def match_chunk(task: ChunkTask) -> Commit:
    """Match one chunk's companies and write its part; runs in a worker."""
    clock, cpu = time.perf_counter(), time.thread_time()
    with pq.ParquetFile(task.companies) as file:
        companies = _read_rows(file, task.chunk.start, task.chunk.stop)
    frame, keys = companies.to_pandas(), company_keys(companies)
    known = _known_of(task.known, keys)
    new = frame[~frame["company_id"].isin(known["company_id"])]
    matches = pd.concat([known, match_companies(new, _opened_index(task.index), task.matching)])
    matches = matches.set_index("company_id").loc[frame["company_id"]].reset_index()
    part = Path(task.part)
    write_parquet(part, COMPANY_MATCHES.arrow(matches).append_column(KEY, keys))
    return Commit(
        key=task.chunk.key,
        rows=len(matches),
        reused=len(known),
        digest=digest_file(part),
        elapsed_s=time.perf_counter() - clock,
        cpu_s=time.thread_time() - cpu,
        worker=f"{os.uname().nodename}:{os.getpid()}:{threading.get_ident()}",
    )


def _carry_over(journal: Journal, keys: list[str]) -> str | None:
    """Collect what chunks of other files found out: a refreshed file has mostly the same companies."""
    parts = [
        table.filter(pc.invert(pc.is_in(table["company_id"], pa.array(commit.rejected, pa.string()))))
        for commit in journal.beside(keys)
        for table in [pq.read_table(journal.part(commit.key))]
    ]
    if not parts:
        return None
    known = pa.concat_tables(parts).to_pandas().drop_duplicates(KEY)
    path = journal.folder / "known.parquet"
    keys = pa.array(known[KEY], pa.string())
    write_parquet(path, COMPANY_MATCHES.arrow(known[COMPANY_MATCHES.names]).append_column(KEY, keys))
    return str(path)


def _known_of(path: str | None, keys: pa.ChunkedArray) -> pd.DataFrame:
    if path is None:
        nothing: pd.DataFrame = COMPANY_MATCHES.arrow_schema.empty_table().to_pandas()
        return nothing
    wanted = pc.is_in(pc.field(KEY), keys.combine_chunks())
    known: pd.DataFrame = pq.read_table(path, columns=COMPANY_MATCHES.names, filters=wanted).to_pandas()
    return known


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
                    todo="look into the log for what they said, then 'sbir-toolkit resume'",
                )
            )
        pending = lost
    for task in sorted(suspects, key=lambda one: one.chunk.start):
        emit("isolating", chunk=task.chunk.key, rows=task.chunk.rows)
        commit(isolate(task, match_chunk))


def _attempt(work: Work, task: ChunkTask) -> Commit:
    with marked(task):
        return persist(work, task)
