"""From batches of text to a table and its rejects, with every record accounted for.

Reading, normalising and writing go on batch by batch, so memory doesn't grow with the file. Each has a thread
of its own and is at most one batch ahead of the next, so two cores are kept busy and the order stays the
file's. What is written depends on the records alone: the row groups of the Parquet files have a fixed size,
whatever the batches were.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.meter import phase
from sbir_toolkit.sources.batches import Batch, Fault
from sbir_toolkit.sources.formats import Format
from sbir_toolkit.sources.inputs import read_input
from sbir_toolkit.sources.values import clean_text
from sbir_toolkit.storage import ParquetWriter, parquet_writer
from sbir_toolkit.tables import Table

_EXAMPLE_CHARACTERS = 120
COMBINED = "the same as another one in these files"

Check = tuple[str, pa.Array, str]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Loaded:
    """What became of the records of one file.

    Parameters
    ----------
    sources
        The files read.
    table
        The table its records went to.
    records_read
        Records in the file; always `rows`, all `rejected` and all `merged` together.
    rows
        Records in the table.
    rejected
        Records in the table of rejects, counted by reason.
    repaired
        Values and records that were mended or made null because they couldn't be read, counted by kind.
    assumptions
        What was taken for granted about the file, in sentences.
    paths
        The file of each table, by the table's name; empty when nothing was written.
    merged
        Records that went into another record's row, counted by kind.
    """

    sources: tuple[Path, ...]
    table: str
    records_read: int
    rows: int
    rejected: dict[str, int]
    repaired: dict[str, int]
    assumptions: list[str]
    paths: dict[str, Path] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)

    @property
    def own_records(self) -> int:
        """Records that stand for themselves: always `rows` and all `rejected` together."""
        return self.records_read - sum(self.merged.values())

    def outcomes(self) -> pd.DataFrame:
        """Say what became of the records, kind by kind, with an example where one is kept.

        Returns
        -------
        pandas.DataFrame
            `outcome` (kept, merged, rejected, repaired), `kind`, `count`, `example`: of rejects the first
            one, with its file and line. Records that were repaired are among those kept.
        """
        examples = self._examples()
        rows = [
            ("kept", "", self.rows, ""),
            *(("merged", kind, count, "") for kind, count in self.merged.items()),
            *(("rejected", kind, count, examples.get(kind, "")) for kind, count in self.rejected.items()),
            *(("repaired", kind, count, "") for kind, count in self.repaired.items()),
        ]
        return pd.DataFrame(rows, columns=["outcome", "kind", "count", "example"])

    def _examples(self) -> dict[str, str]:
        path = self.paths.get(f"{self.table.removesuffix('s')}_rejects")
        if path is None or not self.rejected:
            return {}
        stored = pq.read_table(path, columns=["reason", "source_file", "source_line", "value", "raw"])
        rejects = stored.to_pandas().drop_duplicates("reason")
        return {
            bad.reason: f"{bad.source_file}, line {bad.source_line}: {bad.raw[:_EXAMPLE_CHARACTERS]}"
            for bad in rejects.itertuples()
        }

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(
            [f"{self._names} -> {self.table}", *(f"  {n:<{width}}  {v}" for n, v in self._lines())]
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in self._lines()
        )
        title = html.escape(f"{self._names} → {self.table}")
        return f"<table><caption>{title}</caption><tbody>{rows}</tbody></table>"

    @property
    def _names(self) -> str:
        return ", ".join(path.name for path in self.sources)

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("records read", f"{self.records_read:,}"),
            ("rows kept", f"{self.rows:,}"),
            *((f"merged: {kind}", f"{count:,}") for kind, count in self.merged.items()),
            *((f"rejected: {reason}", f"{count:,}") for reason, count in self.rejected.items()),
            *((f"repaired: {kind}", f"{count:,}") for kind, count in self.repaired.items()),
            *(("assumed", sentence) for sentence in self.assumptions),
        ]


@dataclass(frozen=True)
class Normalised:
    """One batch's rows in the table's columns, the records that couldn't be used, and what was repaired."""

    table: pa.Table
    faults: list[Fault]
    repaired: Counter[str]
    file: str = ""
    merged: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Kind:
    """A kind of input file: how it looks, where it goes, and how a batch is normalised.

    `start` gives a fresh normaliser for a file; one that counts repeats remembers what it saw. The values of
    the columns in `repeating` come again and again, so they are stored as numbers into a list of them; those
    in `random` don't get smaller by compression. `group_rows` are written, and held in memory, at once. Where
    several files are put together, `start_several` gives the normaliser and `combine` makes one row of those
    that are the same.
    """

    form: Format
    table: Table
    rejects: Table
    start: Callable[[], Callable[[Batch], Normalised]]
    repeating: list[str]
    random: list[str]
    group_rows: int
    start_several: Callable[[], Callable[[Batch], Normalised]] | None = None
    combine: Callable[[Iterator[pa.Table]], Iterator[pa.Table]] | None = None


def load(paths: Paths, folder: Path, limits: params.Limits, kind: Kind, source: params.Source) -> Loaded:
    """Read files into `<table>.parquet` and `<rejects>.parquet`; each appears whole or not at all.

    Parameters
    ----------
    paths
        The file, or several that are read as one.
    folder
        Where the tables go.
    limits
        How much may be in memory at once; the tables don't depend on it.
    kind
        What the file is.
    source
        What is to be known of a file that doesn't say it itself.

    Returns
    -------
    Loaded

    Raises
    ------
    InputError
        When the file can't be read or isn't what it should be.
    """
    files = _listed(paths)
    tally = _Tally(files, kind)
    stored = {table.name: folder / f"{table.name}.parquet" for table in (kind.table, kind.rejects)}
    with contextlib.ExitStack() as stack:
        schema = kind.table.arrow_schema
        rows = stack.enter_context(parquet_writer(stored[kind.table.name], schema, **_encoding(kind)))
        rejects = stack.enter_context(parquet_writer(stored[kind.rejects.name], kind.rejects.arrow_schema))
        for _ in _run_ahead(_write(_stream(files, limits, kind, tally, source), rows, rejects, kind)):
            pass
    return tally.loaded(stored)


class Reading:
    """Files that are read while it is iterated over; their rows come as tables and are stored nowhere.

    Parameters
    ----------
    paths, limits, kind, source
        As for `load`.
    folder
        Where the rejects go.
    """

    def __init__(
        self, paths: Paths, folder: Path, limits: params.Limits, kind: Kind, source: params.Source
    ) -> None:
        files = _listed(paths)
        self._tally = _Tally(files, kind)
        self._parts = _stream(files, limits, kind, self._tally, source)
        self._rejects = kind.rejects
        self._is_read = False
        self._paths = {kind.rejects.name: folder / f"{kind.rejects.name}.parquet"}

    def __iter__(self) -> Iterator[pa.Table]:
        (path,) = self._paths.values()
        with parquet_writer(path, self._rejects.arrow_schema) as rejects:
            for part in self._parts:
                rejects.write_table(_reject_table(part, self._rejects))
                yield part.table
        self._is_read = True

    def finish(self) -> Loaded:
        """Say what became of the records; what nobody has read yet is read first."""
        if not self._is_read:
            for _ in self:
                pass
        return self._tally.loaded(self._paths)


def read(paths: Paths, kind: Kind, source: params.Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read files into two frames, the table and its rejects, by the same way as `load`.

    Parameters
    ----------
    paths
        As for `load`.
    kind
        What they are.
    source
        As for `load`.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        In the columns of the two contracts.
    """
    tables, rejects = [kind.table.arrow_schema.empty_table()], [kind.rejects.arrow_schema.empty_table()]
    files = _listed(paths)
    for part in _stream(files, params.Limits(), kind, _Tally(files, kind), source):
        tables.append(part.table)
        rejects.append(_reject_table(part, kind.rejects))
    return _frame(pa.concat_tables(tables), kind.table), _frame(pa.concat_tables(rejects), kind.rejects)


def set_aside(batch: Batch, checks: list[Check]) -> tuple[Batch, list[Fault]]:
    """Take the records out of a batch that fail a check.

    Parameters
    ----------
    batch
        The records.
    checks
        Column, which records fail (pyarrow.BooleanArray), and the reason; the first that fails is given.

    Returns
    -------
    Batch, list of Fault
        The records left, and those taken out.
    """
    is_kept = np.ones(len(batch.rows), dtype=bool)
    faults = []
    for column, fails, reason in checks:
        failing = is_kept & pc.fill_null(fails, False).to_numpy(zero_copy_only=False)
        if failing.any():
            values = batch.text(column)
            at = np.flatnonzero(failing).tolist()
            faults += [batch.fault(index, column, values[index].as_py(), reason) for index in at]
            is_kept &= ~failing
    return (batch.keep(np.flatnonzero(is_kept)) if faults else batch), faults


def read_columns(
    batch: Batch,
    form: Format,
    read_column: Callable[[str, pa.Array], tuple[pa.Array, Counter[str]]],
    repaired: Counter[str],
) -> dict[str, pa.Array]:
    """Clean and read each column of a batch.

    Parameters
    ----------
    batch
        The records.
    form
        What columns there can be.
    read_column
        Turns a column's name and clean text into values, and counts what it couldn't read.
    repaired
        The counts are added to this.

    Returns
    -------
    dict of pyarrow.Array
        By the columns' names.
    """
    columns = {}
    for column in form.aliases:
        text, decoded = clean_text(batch.text(column))
        columns[column], counts = read_column(column, text)
        repaired.update(counts)
        repaired["html_entity"] += decoded
    return columns


class _Tally:
    """Counts what became of a file's records."""

    def __init__(self, paths: tuple[Path, ...], kind: Kind) -> None:
        self._paths = paths
        self._table = kind.table.name
        self._records = 0
        self._rows = 0
        self._rejected: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._merged: Counter[str] = Counter()
        self._assumptions: dict[str, tuple[str, ...]] = {}

    def add(self, batch: Batch, part: Normalised) -> None:
        """Count one batch and what it became."""
        self._records += len(batch.rows) + len(batch.faults) + batch.merged.total()
        self._rows += part.table.num_rows
        self._rejected.update(fault.reason for fault in part.faults)
        self._repaired.update(part.repaired)
        self._merged.update(batch.merged + part.merged)
        self._assumptions[batch.file] = batch.layout.assumptions
        if self._records != self._rows + self._rejected.total() + self._merged.total():
            raise InputError(
                explain(
                    "records were lost while they were read",
                    where=", ".join(map(str, self._paths)),
                    expected=f"{self._records} records",
                    got=f"{self._rows} kept, {self._rejected.total()} rejected, "
                    f"{self._merged.total()} merged",
                    todo="report this; the file is not to blame",
                )
            )

    def combine(self, rows: int) -> None:
        """Count rows that turned out to be the same as others, in the files together."""
        self._rows -= rows
        self._merged.update({COMBINED: rows} if rows else {})

    def refuse_nothing(self) -> None:
        """Refuse a file that turned out to have no record."""
        if not self._records:
            raise InputError(
                explain(
                    "there is not a single record in it",
                    where=", ".join(map(str, self._paths)),
                    expected="at least one record",
                    got="none",
                    todo="check that it is the right file, or fetch it again",
                )
            )

    def _assumed(self) -> list[str]:
        """Give what was assumed, each once, with the file where it isn't so for all."""
        files: dict[str, list[str]] = {}
        for file, sentences in self._assumptions.items():
            for sentence in sentences:
                files.setdefault(sentence, []).append(file)
        return [
            sentence
            if len(told) == sum(map(bool, self._assumptions.values()))
            else f"{_name_some(told)}: {sentence}"
            for sentence, told in files.items()
        ]

    def loaded(self, paths: dict[str, Path]) -> Loaded:
        """Give the counts, in an order that depends on nothing."""
        return Loaded(
            self._paths,
            self._table,
            self._records,
            self._rows,
            dict(sorted(self._rejected.items())),
            dict(sorted(self._repaired.items())),
            self._assumed(),
            paths,
            dict(sorted(self._merged.items())),
        )


def _name_some(files: list[str]) -> str:
    return files[0] + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


def _listed(paths: Paths) -> tuple[Path, ...]:
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    return tuple(Path(path) for path in several)


def _stream(
    paths: tuple[Path, ...], limits: params.Limits, kind: Kind, tally: _Tally, source: params.Source
) -> Iterator[Normalised]:
    """Read and normalise batch by batch, each in a thread of its own."""
    is_several = len(paths) > 1 and kind.combine is not None
    start = kind.start_several if is_several and kind.start_several else kind.start
    parts = _run_ahead(_normalise(_run_ahead(_read(paths, limits, kind, source)), start, tally))
    yield from _combine(parts, kind, tally) if is_several else parts


def _combine(parts: Iterator[Normalised], kind: Kind, tally: _Tally) -> Iterator[Normalised]:
    """Put the rows of several files together; what isn't rows goes on as it comes."""
    assert kind.combine is not None
    taken: list[Normalised] = []

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            taken.append(part)
            yield part.table

    before, after = 0, 0
    for table in kind.combine(tables()):
        after += table.num_rows
        if taken:
            part = taken.pop()
            before += part.table.num_rows
            yield dataclasses.replace(part, table=table)
        else:
            yield Normalised(table, [], Counter())
    tally.combine(before - after)


def _run_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Give what an iterator gives, in its order, while a thread of its own already makes the next one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(list, itertools.islice(items, 1))
        while made := coming.result():
            coming = thread.submit(list, itertools.islice(items, 1))
            yield made.pop()


def _read(
    paths: tuple[Path, ...], limits: params.Limits, kind: Kind, source: params.Source
) -> Iterator[Batch]:
    batches = read_input(paths, kind.form, limits, source)
    while True:
        with phase("read") as span:
            batch = next(batches, None)
            span.rows = len(batch.rows) if batch else 0
        if batch is None:
            return
        yield batch


def _normalise(
    batches: Iterator[Batch], start: Callable[[], Callable[[Batch], Normalised]], tally: _Tally
) -> Iterator[Normalised]:
    normalise = start()
    for batch in batches:
        with phase("normalise", rows=len(batch.rows)):
            part = normalise(batch)
            faults = sorted([*batch.faults, *part.faults], key=lambda fault: fault.row)
            part = Normalised(part.table, faults, batch.repaired + part.repaired, batch.file, part.merged)
            tally.add(batch, part)
        yield part
    tally.refuse_nothing()


def _write(
    parts: Iterator[Normalised], rows: ParquetWriter, rejects: ParquetWriter, kind: Kind
) -> Iterator[None]:
    for part in parts:
        with phase("write", rows=part.table.num_rows):
            rows.write_table(part.table)
            rejects.write_table(_reject_table(part, kind.rejects))
        yield
    with phase("write", rows=0):
        rows.close()
        rejects.close()


def _encoding(kind: Kind) -> dict[str, Any]:
    """Say how the table is stored: quickly, for the next stage reads it once or twice."""
    return {
        "group_rows": kind.group_rows,
        "compression": {
            name: "none" if name in kind.random else "lz4"
            for name in [*kind.table.names, *kind.rejects.names]
        },
        "use_dictionary": kind.repeating,
        "write_statistics": False,
    }


def _reject_table(part: Normalised, table: Table) -> pa.Table:
    faults = part.faults
    return pa.Table.from_pydict(
        {
            "source_file": [part.file] * len(faults),
            "source_row": [fault.row for fault in faults],
            "source_line": [fault.line for fault in faults],
            "column": [fault.column for fault in faults],
            "value": [fault.value for fault in faults],
            "reason": [fault.reason for fault in faults],
            "raw": [fault.raw for fault in faults],
        },
        schema=table.arrow_schema,
    )


def _frame(table: pa.Table, contract: Table) -> pd.DataFrame:
    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.to_pandas(types_mapper=kinds.get, date_as_object=False)
    plain = {
        column.name: column.dtype
        for column in contract.columns
        if column.required and column.dtype in {"int64", "bool"}
    }
    typed: pd.DataFrame = frame.astype(plain)
    return typed
