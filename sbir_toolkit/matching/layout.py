"""Laying out the recipients for matching.

The recipients are read once, in blocks; what stays of them is plain arrays (see `index`). Three kinds of
key lead in: identifiers, names, places. Every distinct core name (legal or alternate) is kept once, and
listed with the recipients that bear it; the words of the names, and their pairs of neighbouring words, list
the names they are in. A word's frequency among the names says how much it tells: that is learned from the
recipients alone. Each longer word is also listed under every form it takes when one letter is left out,
which is how a mistyped word is found.

The folder is built under a temporary name and renamed when it is whole, so a half-built one is never opened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching.contracts import lay_out_contracts
from sbir_toolkit.matching.index import (
    INDEX_VERSION,
    RecipientIndex,
    duns_numbers,
    open_index,
    place_key,
)
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.ordering import Positions, find_groups, find_starts, sort_keys
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.matching.texts import Bytes, Flags, Hashes, Ints, expand, hash_strings
from sbir_toolkit.matching.vocabulary import (
    Counts,
    NameWords,
    lay_out_pairs,
    lay_out_words,
    write_table,
)
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import sync_folder, write_json

_BLOCK = 32_768
_ROW_BITS = 28
_COLUMNS = [
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
_SHOWN = ["recipient_id", "recipient_name", "uei", "duns", "city", "state", "zip5"]


def build_index(
    recipients: Path | Iterable[pa.Table], folder: Path, params: Matching, contracts: Path | None = None
) -> RecipientIndex:
    """Lay out a table of recipients for matching.

    Parameters
    ----------
    recipients : pathlib.Path or iterable of pyarrow.Table
        A Parquet file that holds the contract `recipients`, or its rows in pieces of any size.
    folder : pathlib.Path
        Where the index shall be; replaced when it exists.
    params : Matching
        Words in more names than `max_word_postings` are counted but don't list their names.
    contracts : pathlib.Path, optional
        Parquet of the contract `recipient_contracts`; read after the recipients.

    Returns
    -------
    RecipientIndex
        Opened. The same recipients give the same bytes.

    Raises
    ------
    InputError
        When the file can't be read or lacks a column.
    """
    tables = _read_file(recipients) if isinstance(recipients, Path) else recipients
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with ThreadPoolExecutor(max_workers=2) as threads:
            with phase("index_read") as span:
                parts = _read_recipients(tables, temporary, threads)
                rows = span.rows = parts.rows
            # Arrow keeps what the blocks used, a quarter of all, until it is told that they are done.
            pa.default_memory_pool().release_unused()
            with phase("index_names", rows=rows):
                words = _lay_out_names(parts, temporary)
            keys = parts.keys
            del parts
            pa.default_memory_pool().release_unused()
            with phase("index_words", rows=len(words)):
                beside = [
                    threads.submit(lay_out_pairs, temporary, words, params.max_word_postings),
                    threads.submit(_lay_out_keys, keys, temporary),
                ]
                lay_out_words(temporary, words, params.max_word_postings)
                for one in beside:
                    one.result()
            with phase("index_contracts"):
                lay_out_contracts(contracts, temporary)
        write_json(
            temporary / "index.json",
            {
                "version": INDEX_VERSION,
                "rows": rows,
                "names": len(words),
                "max_word_postings": params.max_word_postings,
            },
        )
        sync_folder(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_index(folder)


@dataclass
class _Parts:
    """What the blocks were read into: by recipient, by bearing of a name, by word of a name borne."""

    rows: int
    core: pa.Array
    row: Counts
    form: Bytes
    is_alias: Flags
    joined: Hashes
    words: Counts
    word_hash: Hashes
    word_length: Counts
    keys: dict[str, npt.NDArray[Any]]


def _read_recipients(tables: Iterable[pa.Table], folder: Path, threads: ThreadPoolExecutor) -> _Parts:
    blocks = []
    schema = pa.schema([(name, pa.string()) for name in _SHOWN])
    with pa.OSFile(str(folder / "recipients.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as shown:
        for block in _ahead(threads, _read_block, _cut_blocks(tables)):
            shown.write_batch(block.pop("shown"))
            blocks.append(block)
    firsts = np.cumsum([0, *(len(block["uei"]) for block in blocks)], dtype=np.uint32)
    for block, first in zip(blocks, firsts, strict=False):
        block["row"] += first
    core = pa.concat_arrays([block.pop("core") for block in blocks])
    together = {name: np.concatenate([block.pop(name) for block in blocks]) for name in list(blocks[0])}
    for name in ("zip5", "number", "street", "city", "state"):
        np.save(folder / f"place_{name}.npy", together[name])
    for name in ("uei", "duns", "parent"):
        np.save(folder / f"row_{name}.npy", together[name])
    place = place_key(together["zip5"], together["number"])
    keys = {"uei": together["uei"], "duns": together["duns"], "place": place}
    kept = {field.name: together[field.name] for field in fields(_Parts) if field.name in together}
    return _Parts(rows=int(firsts[-1]), core=core, keys=keys, **kept)


def _read_file(recipients: Path) -> Iterator[pa.Table]:
    try:
        file = pq.ParquetFile(recipients)
    except (OSError, pa.ArrowInvalid) as wrong:
        raise InputError(explain("the recipients can't be read", where=recipients, got=wrong)) from wrong
    with file:
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise InputError(
                explain(
                    "the recipients lack columns",
                    where=recipients,
                    expected=", ".join(_COLUMNS),
                    got=f"no {', '.join(missing)}",
                    todo="read them with the stage that loads recipients",
                )
            )
        # The blocks are worked on in threads already; threads within each would only cost more.
        for batch in file.iter_batches(batch_size=_BLOCK, columns=_COLUMNS, use_threads=False):
            yield pa.Table.from_batches([batch])


def _cut_blocks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut rows into blocks of one size, however they come; the last one is smaller, or the only one empty."""
    waiting = pa.schema([(name, pa.string()) for name in _COLUMNS]).empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table.select(_COLUMNS).cast(waiting.schema)])
        while waiting.num_rows > _BLOCK:
            yield waiting.slice(0, _BLOCK)
            waiting = waiting.slice(_BLOCK)
    yield waiting


def _ahead(threads: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Work on a few items ahead of the one asked for, and give the results in the items' order."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(threads.submit(work, item))
        if len(waiting) > 4:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _read_block(table: pa.Table) -> dict[str, Any]:
    column = {name: table.column(name).combine_chunks() for name in _COLUMNS}
    names, owner, is_alternate = _all_names(column["recipient_name"], column["alternate_names"])
    read = read_names(names)
    return {
        "shown": pa.RecordBatch.from_arrays([column[name] for name in _SHOWN], names=_SHOWN),
        "core": read.core,
        "row": owner[read.owner].astype(np.uint32),
        "form": read.form,
        "is_alias": read.is_alias | is_alternate[read.owner],
        "joined": read.joined,
        "words": np.diff(read.word_start).astype(np.uint32),
        "word_hash": read.word_hash,
        "word_length": read.word_length.astype(np.uint32),
        "uei": hash_strings(column["uei"]),
        "parent": hash_strings(column["parent_uei"]),
        "duns": duns_numbers(column["duns"]),
        **vars(read_places(column["address1"], column["city"], column["state"], column["zip5"])),
    }


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


def _lay_out_names(parts: _Parts, folder: Path) -> NameWords:
    """Keep each distinct core name once, in the order of its hash, with the recipients that bear it."""
    order, joined = sort_keys(parts.joined)
    first = find_groups(joined)
    sample = order[first]
    np.save(folder / "name_joined.npy", joined[first])
    core = parts.core.take(pa.array(sample))
    write_table(folder / "names.arrow", pa.table({"core": core}))
    _lay_out_entries(parts, order, np.diff(np.append(first, len(order))), folder)
    count = parts.words[sample].astype(np.int64)
    inside = expand((np.cumsum(parts.words, dtype=np.int64) - parts.words)[sample], count)
    return NameWords(
        core=core,
        start=np.append(0, np.cumsum(count)).astype(np.uint32),
        hash=parts.word_hash[inside],
        length=parts.word_length[inside],
    )


def _lay_out_entries(parts: _Parts, order: Positions, count: Ints, folder: Path) -> None:
    # Name, row, whether it's an alternate name and form share one number, so that one plain sort orders them.
    packed = np.repeat(np.arange(len(count), dtype=np.uint64), count)
    for bits, values in ((_ROW_BITS, parts.row), (1, parts.is_alias), (4, parts.form)):
        packed <<= np.uint64(bits)
        packed |= values[order]
    packed.sort()
    # A recipient that bears a name twice, such as legally and as an alternate one, is listed once: legally.
    packed = packed[find_groups(packed >> np.uint64(5))]
    name = (packed >> np.uint64(_ROW_BITS + 5)).astype(np.uint32)
    row = ((packed >> np.uint64(5)) & np.uint64((1 << _ROW_BITS) - 1)).astype(np.uint32)
    rest = packed.astype(np.uint8)
    np.save(folder / "entry_name.npy", name)
    np.save(folder / "entry_row.npy", row)
    np.save(folder / "entry_form.npy", rest & np.uint8(15))
    np.save(folder / "entry_alias.npy", (rest & np.uint8(16)) > 0)
    np.save(folder / "name_entries.npy", find_starts(name, len(count)))
    np.save(folder / "row_entry.npy", sort_keys(row)[0])
    np.save(folder / "row_start.npy", find_starts(row, parts.rows))


def _lay_out_keys(keys: dict[str, npt.NDArray[Any]], folder: Path) -> None:
    for kind, values in keys.items():
        rows, in_order = sort_keys(values)
        known = np.searchsorted(in_order, 0, side="right")
        np.save(folder / f"{kind}_key.npy", in_order[known:])
        np.save(folder / f"{kind}_rows.npy", rows[known:])
