"""From batches of text to a table and its rejects, with every record accounted for.

Reading, normalising and writing go on batch by batch, so memory doesn't grow with the file. Each has a thread
of its own and is at most one batch ahead of the next, so two cores are kept busy and the order stays the
file's. What is written depends on the records alone: the row groups of the Parquet files have a fixed size,
whatever the batches were.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit import params
from sbir_toolkit.meter import phase
from sbir_toolkit.sources.ahead import run_ahead
from sbir_toolkit.sources.batches import Batch, Fault
from sbir_toolkit.sources.formats import Format
from sbir_toolkit.sources.inputs import read_input
from sbir_toolkit.sources.outcomes import Loaded, Normalised, Tally
from sbir_toolkit.sources.values import clean_text
from sbir_toolkit.storage import ParquetWriter, parquet_writer
from sbir_toolkit.tables import Table

Check = tuple[str, pa.Array, str]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of input file: how it looks, where it goes, and how a batch is normalised.

    `start` gives a fresh normaliser for a file; one that counts repeats remembers what it saw. The values of
    the columns in `repeating` come again and again, so they are stored as numbers into a list of them; those
    in `random` don't get smaller by compression. `group_rows` are written, and held in memory, at once. Where
    several files are put together, `start_several` gives the normaliser and `combine` makes one row of those
    that are the same. `contracts` is the table of the contract numbers that come with the records.
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
    contracts: Table | None = None


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
    tally = Tally(files, kind.table.name)
    stored = folder / f"{kind.table.name}.parquet"
    with contextlib.ExitStack() as stack:
        beside = stack.enter_context(_Beside(folder, kind))
        rows = stack.enter_context(parquet_writer(stored, kind.table.arrow_schema, **_encoding(kind)))
        for _ in run_ahead(_write(_stream(files, limits, kind, tally, source), rows, beside)):
            pass
    return tally.loaded({kind.table.name: stored, **beside.paths})


class Reading:
    """Files that are read while it is iterated over; their rows come as tables and are stored nowhere.

    Parameters
    ----------
    paths, limits, kind, source
        As for `load`.
    folder
        Where the rejects and contract numbers go.
    """

    def __init__(
        self, paths: Paths, folder: Path, limits: params.Limits, kind: Kind, source: params.Source
    ) -> None:
        files = _listed(paths)
        self._tally = Tally(files, kind.table.name)
        self._parts = _stream(files, limits, kind, self._tally, source)
        self._is_read = False
        self._beside = _Beside(folder, kind)

    @property
    def contracts(self) -> Path | None:
        """Where the contract numbers are once all is read; None where none come with such records."""
        return self._beside.contracts

    def __iter__(self) -> Iterator[pa.Table]:
        with self._beside as beside:
            for part in self._parts:
                beside.write(part)
                yield part.table
        self._is_read = True

    def finish(self) -> Loaded:
        """Say what became of the records; what nobody has read yet is read first."""
        if not self._is_read:
            for _ in self:
                pass
        return self._tally.loaded(self._beside.paths)


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
    for part in _stream(files, params.Limits(), kind, Tally(files, kind.table.name), source):
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
    examples: dict[str, str],
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
    examples
        To this, for each kind, the first value that couldn't be read, and where it stands.

    Returns
    -------
    dict of pyarrow.Array
        By the columns' names.
    """
    columns = {}
    for column in form.read:
        text, decoded = clean_text(batch.text(column))
        columns[column], counts = read_column(column, text)
        repaired.update(counts)
        repaired["html_entity"] += decoded
        for kind in +counts:
            if kind not in examples:
                examples[kind] = _first_lost(batch, text, columns[column])
    return columns


def _listed(paths: Paths) -> tuple[Path, ...]:
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    return tuple(Path(path) for path in several)


def _stream(
    paths: tuple[Path, ...], limits: params.Limits, kind: Kind, tally: Tally, source: params.Source
) -> Iterator[Normalised]:
    """Read and normalise batch by batch, each in a thread of its own."""
    is_several = len(paths) > 1 and kind.combine is not None
    start = kind.start_several if is_several and kind.start_several else kind.start
    parts = run_ahead(_normalise(run_ahead(_read(paths, limits, kind, source)), start, tally))
    yield from _combine(parts, kind, tally) if is_several else parts


def _combine(parts: Iterator[Normalised], kind: Kind, tally: Tally) -> Iterator[Normalised]:
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
    batches: Iterator[Batch], start: Callable[[], Callable[[Batch], Normalised]], tally: Tally
) -> Iterator[Normalised]:
    normalise = start()
    for batch in batches:
        with phase("normalise", rows=len(batch.rows)):
            part = normalise(batch)
            faults = sorted([*batch.faults, *part.faults], key=lambda fault: fault.row)
            part = Normalised(
                part.table,
                faults,
                batch.repaired + part.repaired,
                batch.file,
                part.merged,
                batch.contracts,
                part.examples,
            )
            tally.add(batch, part)
        yield part
    tally.refuse_nothing()


def _first_lost(batch: Batch, before: pa.Array, after: pa.Array) -> str:
    at = pc.index(pc.and_(pc.is_valid(before), pc.is_null(after)), True).as_py()
    return f"{batch.file}, line {batch.lines[at]}: {before[at].as_py()}"


class _Beside:
    """Writes what comes beside the rows, the rejects and contract numbers; each file whole or not at all."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._kind = kind
        self.paths = {
            table.name: folder / f"{table.name}.parquet" for table in (kind.rejects, kind.contracts) if table
        }
        self.contracts = self.paths[kind.contracts.name] if kind.contracts else None

    def __enter__(self) -> _Beside:
        with contextlib.ExitStack() as stack:
            self._writers = {
                table.name: stack.enter_context(parquet_writer(self.paths[table.name], table.arrow_schema))
                for table in (self._kind.rejects, self._kind.contracts)
                if table
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, part: Normalised) -> None:
        """Write what a batch gave."""
        self._writers[self._kind.rejects.name].write_table(_reject_table(part, self._kind.rejects))
        if self._kind.contracts and part.contracts is not None:
            self._writers[self._kind.contracts.name].write_table(part.contracts)

    def close(self) -> None:
        """Write what is held back."""
        for writer in self._writers.values():
            writer.close()


def _write(parts: Iterator[Normalised], rows: ParquetWriter, beside: _Beside) -> Iterator[None]:
    for part in parts:
        with phase("write", rows=part.table.num_rows):
            rows.write_table(part.table)
            beside.write(part)
        yield
    with phase("write", rows=0):
        rows.close()
        beside.close()


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
