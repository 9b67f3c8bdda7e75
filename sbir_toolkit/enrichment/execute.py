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

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.isolation import DATA_ERRORS, SuspectError, Work, count_deaths, isolate, marked
from sbir_toolkit.enrichment.journal import Commit, Journal
from sbir_toolkit.enrichment.persistence import persist
from sbir_toolkit.enrichment.plan import KEY, KEYED, Chunk, ChunkTask, company_keys
from sbir_toolkit.enrichment.schedulers import GO_ON, Pool, open_pool
from sbir_toolkit.errors import StageError, explain
from sbir_toolkit.matching import RecipientIndex, open_index
from sbir_toolkit.matching.match import KEPT, match_and_keep
from sbir_toolkit.memory import release
from sbir_toolkit.meter import emit
from sbir_toolkit.params import Compute, Limits, Matching
from sbir_toolkit.storage import atomic_path, digest_file, write_parquet
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
    known = _carry_over(journal, companies, [chunk.key for chunk in chunks], missing) if missing else None
    tasks = [
        ChunkTask(str(companies), str(index), str(journal.part(chunk.key)), chunk, matching, known, number)
        for number, chunk in enumerate(missing)
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
    keys = company_keys(companies)
    known = _known_of(task)
    new = companies.filter(pc.invert(pc.is_in(keys, known[KEY])))
    found = [known.select([*COMPANY_MATCHES.names, KEPT])]
    if new.num_rows:
        found.append(match_and_keep(new.to_pandas(), _opened_index(task.index), task.matching))
    whole = pa.concat_tables(found)
    places = pc.index_in(companies["company_id"], whole["company_id"].combine_chunks())
    part = Path(task.part)
    write_parquet(part, whole.take(places).append_column(KEY, keys))
    return Commit(
        key=task.chunk.key,
        rows=companies.num_rows,
        reused=companies.num_rows - new.num_rows,
        digest=digest_file(part),
        elapsed_s=time.perf_counter() - clock,
        cpu_s=time.thread_time() - cpu,
        worker=f"{os.uname().nodename}:{os.getpid()}:{threading.get_ident()}",
    )


def _carry_over(journal: Journal, companies: Path, keys: list[str], missing: list[Chunk]) -> str | None:
    """Collect what chunks of other files found out: a refreshed file has mostly the same companies.

    Each old part is read once. What is known of one missing chunk's companies makes one row group, in the
    order of the chunks, so that a worker reads what is its own and nothing else.
    """
    commits = journal.beside(keys)
    if not commits:
        return None
    own = company_keys(pq.read_table(companies, columns=list(KEYED)))
    wanted = pa.concat_arrays([piece for chunk in missing for piece in _cut(own, chunk).chunks])
    parts = []
    for commit in commits:
        table = pq.read_table(journal.part(commit.key))
        is_rejected = pc.is_in(table["company_id"], pa.array(commit.rejected, pa.string()))
        parts.append(table.filter(pc.and_(pc.is_in(table[KEY], wanted), pc.invert(is_rejected))))
    known = pa.concat_tables(parts).combine_chunks()
    if not known.num_rows:
        return None
    path = journal.folder / "known.parquet"
    known_keys = known[KEY].combine_chunks()
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, known.schema, compression="lz4") as file:
        for chunk in missing:
            places = pc.index_in(_cut(own, chunk), known_keys).drop_null()
            file.write_table(known.take(places), row_group_size=chunk.rows)
    return str(path)


def _cut(keys: pa.ChunkedArray, chunk: Chunk) -> pa.ChunkedArray:
    return keys.slice(chunk.start, chunk.rows)


def _known_of(task: ChunkTask) -> pa.Table:
    if task.known is None:
        columns = pa.field(KEPT, pa.binary()), pa.field(KEY, pa.string())
        return pa.schema([*COMPANY_MATCHES.arrow_schema, *columns]).empty_table()
    with pq.ParquetFile(task.known) as file:
        return file.read_row_group(task.known_group)


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
