"""Isolation: a chunk that kills its worker is halved until the rows that do it are alone.

A worker leaves a mark before it begins a chunk and takes it away when it is through, well or not. A mark that
is still there when the work begins again tells of a worker, or of the whole process, that died with the
chunk. Once may be bad luck; a chunk that was begun twice and never ended is suspect, and is done in a process
of its own, where it can kill nobody else. What fails there is halved, and halved again; a single company that
fails twice in a row is rejected with the reason, and all the others are matched. So it is with an error that
the data of a row can cause: it is the same each time, so nothing is tried twice before it is halved.

When more than a few companies would be rejected the fault isn't theirs, and the work ends with an error.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from signal import Signals

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.journal import Commit
from sbir_toolkit.enrichment.parts import KEY, KEYED, company_keys
from sbir_toolkit.enrichment.plan import ChunkTask
from sbir_toolkit.errors import StageError, ToolkitError, explain
from sbir_toolkit.matching.match import KEPT
from sbir_toolkit.storage import digest_file, write_parquet
from sbir_toolkit.tables import COMPANY_MATCHES

DATA_ERRORS = (
    ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MemoryError, RecursionError,
)  # fmt: skip
"""What the content of a row can make Python raise; anything else is a fault of the program or the machine."""
_SUSPECT_DEATHS = 2
_MOST_REJECTED = 50

Work = Callable[[ChunkTask], Commit]


class SuspectError(RuntimeError):
    """A chunk was begun twice and never ended: whoever had it died."""


def count_deaths(task: ChunkTask) -> int:
    """Count how often a chunk was begun without an end."""
    mark = _mark(task)
    return mark.stat().st_size if mark.exists() else 0


@contextmanager
def marked(task: ChunkTask) -> Iterator[None]:
    """Leave a mark while the block works on a chunk; only who dies leaves it behind.

    Raises
    ------
    SuspectError
        Before anything is done, when that has happened twice.
    """
    if count_deaths(task) >= _SUSPECT_DEATHS:
        raise SuspectError(f"chunk {task.chunk.key} was begun twice and never ended")
    mark = _mark(task)
    with mark.open("ab") as file:
        file.write(b".")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def _mark(task: ChunkTask) -> Path:
    return Path(task.part).with_suffix(".begun")


@dataclass
class _Search:
    """What is known of a suspect chunk: the parts that went well, and who can't be matched."""

    task: ChunkTask
    apart: Apart
    parts: dict[int, Commit]
    rejected: dict[int, str]

    def look(self, start: int, stop: int) -> None:
        """Match the companies from `start` to `stop`, by halves where that fails."""
        if self._try(start, stop) is None:
            return
        if stop - start > 1:
            middle = (start + stop) // 2
            self.look(start, middle)
            self.look(middle, stop)
            return
        failure = self._try(start, stop)
        if failure is not None:
            self.rejected[start] = failure
            self._check_few()

    def part(self, start: int, stop: int) -> Path:
        """Where the companies from `start` to `stop` go; named so that it is swept up if this is killed."""
        whole = Path(self.task.part)
        return whole.with_name(f".{whole.stem}.{start}-{stop}.tmp")

    def _try(self, start: int, stop: int) -> str | None:
        chunk = replace(self.task.chunk, start=start, stop=stop)
        told = self.apart.run(replace(self.task, chunk=chunk, part=str(self.part(start, stop))))
        if isinstance(told, str):
            return told
        self.parts[start] = told
        return None

    def _check_few(self) -> None:
        if len(self.rejected) > _MOST_REJECTED:
            reasons = ", ".join(sorted(set(self.rejected.values())))
            raise StageError(
                explain(
                    "so many companies can't be matched that it can't be their fault",
                    where=f"chunk {self.task.chunk.key}",
                    expected=f"at most {_MOST_REJECTED} that kill their worker or raise an error",
                    got=reasons,
                    todo="give the workers more memory (limits.memory_mb), or look for what they share",
                )
            )


def isolate(task: ChunkTask, work: Work) -> Commit:
    """Match a suspect chunk in processes of its own; what can't be matched is rejected with the reason.

    Parameters
    ----------
    task
        The chunk.
    work
        Matches a chunk and writes its part; it is run in other processes, so it must be importable.

    Returns
    -------
    Commit
        Of the whole chunk, its part written; `rejected` has the companies that can't be matched.

    Raises
    ------
    StageError
        When there are too many of those.
    """
    started = time.perf_counter()
    with Apart(work) as apart:
        search = _Search(task, apart, {}, {})
        search.look(task.chunk.start, task.chunk.stop)
    tables = {
        start: pq.read_table(search.part(start, start + commit.rows))
        for start, commit in search.parts.items()
    }
    rejected = {}
    companies = pq.read_table(task.companies, columns=list(KEYED))
    for row, reason in search.rejected.items():
        company = companies.slice(row, 1)
        company_id = company["company_id"][0].as_py()
        rejected[company_id] = reason
        tables[row] = _unmatched(company_id, reason).append_column(KEY, company_keys(company))
    part = Path(task.part)
    write_parquet(part, pa.concat_tables(tables[start] for start in sorted(tables)))
    for start, commit in search.parts.items():
        search.part(start, start + commit.rows).unlink(missing_ok=True)
    _mark(task).unlink(missing_ok=True)
    return Commit(
        key=task.chunk.key,
        rows=task.chunk.rows,
        digest=digest_file(part),
        elapsed_s=time.perf_counter() - started,
        cpu_s=sum(commit.cpu_s for commit in search.parts.values()),
        worker="isolated",
        rejected=rejected,
    )


class Apart:
    """A process of its own that does one task after the other, and another one when it has died."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *wrong: object) -> None:
        self._end()

    def run(self, task: ChunkTask) -> Commit | str:
        """Do one task; gives what came of it, or why nothing did."""
        if self._process is None or self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_answer, args=(self._work, theirs), daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._pipe.send(task)
            told: Commit | str | BaseException = self._pipe.recv()
        except (EOFError, ConnectionError):
            return _describe_death(self._end())
        if isinstance(told, BaseException):
            raise told
        return told

    def _end(self) -> int:
        code = 0
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join()
            code = self._process.exitcode or 0
        self._process = self._pipe = None
        return code


def _answer(work: Work, pipe: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(_outcome(work, pipe.recv()))


def _outcome(work: Work, task: ChunkTask) -> Commit | str | BaseException:
    try:
        return work(task)
    except DATA_ERRORS as wrong:
        return f"{type(wrong).__name__}: {wrong}"
    except (OSError, RuntimeError, ToolkitError) as wrong:
        return wrong


def _describe_death(exit_code: int) -> str:
    if exit_code < 0:
        return f"matching it killed the process: {Signals(-exit_code).name}"
    return f"matching it ended the process with exit code {exit_code}"


def _unmatched(company_id: str, reason: str) -> pa.Table:
    row = dict.fromkeys(COMPANY_MATCHES.names)
    row |= {"company_id": company_id, "decision": "reject", "evidence": json.dumps({"unmatched": reason})}
    kept = pa.nulls(1, pa.binary())
    return COMPANY_MATCHES.arrow(pd.DataFrame([row], dtype=object)).append_column(KEPT, kept)
