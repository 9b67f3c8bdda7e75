"""The recipients, block by block, read into plain arrays.

However they come, from a Parquet file or in pieces, they are cut into blocks of one size. Two blocks are read
at once and the results come in their order, so what is made of them depends on nothing but the recipients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching.index import duns_numbers
from sbir_toolkit.matching.names import Names, read_names
from sbir_toolkit.matching.places import Places, read_places
from sbir_toolkit.matching.texts import Flags, Hashes, Ints, hash_strings

BLOCK = 32_768
SHOWN = ["recipient_id", "recipient_name", "uei", "duns", "city", "state", "zip5"]
COLUMNS = [
    "recipient_id",
    "recipient_name",
    "uei",
    "duns",
    "parent_uei",
    "address1",
    "city",
    "state",
    "zip5",
    "alternate_names",
]


@dataclass(frozen=True)
class Block:
    """A block of recipients.

    Parameters
    ----------
    shown : pyarrow.RecordBatch
        The columns that people want to see.
    places : Places
    uei, parent : uint64 arrays
        Hashes of the recipients' own and their parents' identifiers.
    duns : uint32 array
    names : Names
        The names they bear.
    row : int64 array
        Which recipient of the block bears each name.
    is_alias : bool array
        Whether it's an alternate name.
    """

    shown: pa.RecordBatch
    places: Places
    uei: Hashes
    parent: Hashes
    duns: npt.NDArray[np.uint32]
    names: Names
    row: Ints
    is_alias: Flags

    def __len__(self) -> int:
        return len(self.uei)


def read_blocks(recipients: Path | Iterable[pa.Table], threads: ThreadPoolExecutor) -> Iterator[Block]:
    """Read recipients into blocks.

    Parameters
    ----------
    recipients : pathlib.Path or iterable of pyarrow.Table
        A Parquet file that holds the contract `recipients`, or its rows in pieces of any size.
    threads : concurrent.futures.ThreadPoolExecutor
        What works on them.

    Yields
    ------
    Block
        Of `BLOCK` recipients, the last one of fewer; a single empty one where there are none.

    Raises
    ------
    InputError
        When the file can't be read or lacks a column.
    """
    tables = _read_file(recipients) if isinstance(recipients, Path) else recipients
    yield from _ahead(threads, _read_block, _cut_blocks(tables))


def _read_file(recipients: Path) -> Iterator[pa.Table]:
    try:
        file = pq.ParquetFile(recipients)
    except (OSError, pa.ArrowInvalid) as wrong:
        raise InputError(explain("the recipients can't be read", where=recipients, got=wrong)) from wrong
    with file:
        missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise InputError(
                explain(
                    "the recipients lack columns",
                    where=recipients,
                    expected=", ".join(COLUMNS),
                    got=f"no {', '.join(missing)}",
                    todo="read them with the stage that loads recipients",
                )
            )
        # The blocks are worked on in threads already; threads within each would only cost more.
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=COLUMNS, use_threads=False)


def _cut_blocks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut rows into blocks of one size, however they come; the last one is smaller, or the only one empty."""
    waiting = pa.schema([(name, pa.string()) for name in COLUMNS]).empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table.select(COLUMNS).cast(waiting.schema)])
        while waiting.num_rows > BLOCK:
            yield waiting.slice(0, BLOCK)
            waiting = waiting.slice(BLOCK)
    yield waiting


def _ahead(threads: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Work on two items ahead of the one asked for, and give the results in the items' order."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(threads.submit(work, item))
        if len(waiting) > 2:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _read_block(table: pa.Table) -> Block:
    column = {name: table.column(name).combine_chunks() for name in COLUMNS}
    names, owner, is_alternate = _all_names(column["recipient_name"], column["alternate_names"])
    read = read_names(names)
    return Block(
        shown=pa.RecordBatch.from_arrays([column[name] for name in SHOWN], names=SHOWN),
        places=read_places(column["address1"], column["city"], column["state"], column["zip5"]),
        uei=hash_strings(column["uei"]),
        parent=hash_strings(column["parent_uei"]),
        duns=duns_numbers(column["duns"]),
        names=read,
        row=owner[read.owner],
        is_alias=read.is_alias | is_alternate[read.owner],
    )


def _all_names(name: pa.Array, alternates: pa.Array) -> tuple[pa.Array, Ints, Flags]:
    name = name.fill_null("")
    filled = np.flatnonzero(pc.fill_null(pc.not_equal(alternates, ""), False).to_numpy(zero_copy_only=False))
    row = np.arange(len(name))
    if len(filled) == 0:
        return name, row, np.zeros(len(name), bool)
    lists = pc.split_pattern(alternates.take(pa.array(filled)), "|")
    more = lists.flatten()
    owner = filled[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)]
    return (
        pa.concat_arrays([name, more]),
        np.concatenate([row, owner]),
        np.arange(len(row) + len(owner)) >= len(row),
    )
