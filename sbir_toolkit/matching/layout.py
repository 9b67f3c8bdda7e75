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
from collections.abc import Callable, Iterator
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
from sbir_toolkit.matching.index import (
    INDEX_VERSION,
    RecipientIndex,
    duns_numbers,
    open_index,
    place_key,
)
from sbir_toolkit.matching.names import read_core_names
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Hashes,
    Ints,
    hash_strings,
)
from sbir_toolkit.matching.vocabulary import group_keys, lay_out_words, write_table
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import sync_folder, write_json

_BLOCK = 32_768
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


def build_index(recipients: Path, folder: Path, params: Matching) -> RecipientIndex:
    """Lay out a table of recipients for matching.

    Parameters
    ----------
    recipients : pathlib.Path
        A Parquet file that holds the contract `recipients`.
    folder : pathlib.Path
        Where the index shall be; replaced when it exists.
    params : Matching
        Words in more names than `max_word_postings` are counted but don't list their names.

    Returns
    -------
    RecipientIndex
        Opened. The same recipients give the same bytes.

    Raises
    ------
    InputError
        When the file can't be read or lacks a column.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with phase("index_read") as span:
            parts = _read_recipients(recipients, temporary)
            span.rows = parts.rows
        with ThreadPoolExecutor(max_workers=1) as beside:
            keys = beside.submit(_lay_out_keys, parts, temporary)
            with phase("index_names", rows=parts.rows):
                names = _lay_out_names(parts, temporary)
            rows = parts.rows
            keys.result()
            del parts, keys
            pa.default_memory_pool().release_unused()
            with phase("index_words", rows=names):
                lay_out_words(temporary, names, params.max_word_postings)
        write_json(
            temporary / "index.json",
            {
                "version": INDEX_VERSION,
                "rows": rows,
                "names": names,
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
    """What the blocks of recipients were read into."""

    rows: int
    entry_row: Ints
    entry_form: Bytes
    entry_alias: Flags
    entry_joined: Hashes
    core: pa.ChunkedArray
    uei: Hashes
    duns: npt.NDArray[np.uint32]
    place_zip5: npt.NDArray[np.uint32]
    place_number: npt.NDArray[np.uint32]


def _read_recipients(recipients: Path, folder: Path) -> _Parts:
    blocks = []
    schema = pa.schema([(name, pa.string()) for name in _SHOWN])
    with (
        pa.OSFile(str(folder / "recipients.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, schema) as shown,
        ThreadPoolExecutor(max_workers=2) as threads,
    ):
        for block in _ahead(threads, _read_block, _batches(recipients)):
            shown.write_batch(block.pop("shown"))
            blocks.append(block)
    if not blocks:
        blocks = [
            _read_block(pa.RecordBatch.from_pylist([], pa.schema([(name, pa.string()) for name in _COLUMNS])))
        ]
        blocks[0].pop("shown")
    firsts = np.cumsum([0, *(len(block["uei"]) for block in blocks)])
    together = {
        name: np.concatenate([block.pop(name) for block in blocks])
        for name in list(blocks[0])
        if name not in ("core", "owner")
    }
    for part in ("zip5", "number", "street", "city", "state"):
        np.save(folder / f"place_{part}.npy", together[f"place_{part}"])
    for part in ("uei", "duns", "parent"):
        np.save(folder / f"row_{part}.npy", together[part])
    return _Parts(
        rows=int(firsts[-1]),
        entry_row=np.concatenate(
            [block["owner"] + first for block, first in zip(blocks, firsts, strict=False)]
        ),
        entry_form=together["form"],
        entry_alias=together["is_alias"],
        entry_joined=together["joined"],
        core=pa.chunked_array([block["core"] for block in blocks]),
        uei=together["uei"],
        duns=together["duns"],
        place_zip5=together["place_zip5"],
        place_number=together["place_number"],
    )


def _batches(recipients: Path) -> Iterator[pa.RecordBatch]:
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
        yield from file.iter_batches(batch_size=_BLOCK, columns=_COLUMNS)


def _ahead(threads: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Work on a few items ahead of the one asked for, and give the results in the items' order."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(threads.submit(work, item))
        if len(waiting) > 4:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _read_block(batch: pa.RecordBatch) -> dict[str, Any]:
    column = {name: batch.column(name).cast(pa.string()) for name in _COLUMNS}
    names, owner, is_alternate = _all_names(column["recipient_name"], column["alternate_names"])
    read = read_core_names(names)
    places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
    return {
        "shown": pa.RecordBatch.from_arrays([column[name] for name in _SHOWN], names=_SHOWN),
        "owner": owner[read.owner],
        "form": read.form,
        "is_alias": read.is_alias | is_alternate[read.owner],
        "joined": read.joined,
        "core": read.core,
        "uei": hash_strings(column["uei"]),
        "parent": hash_strings(column["parent_uei"]),
        "duns": duns_numbers(column["duns"]),
        "place_zip5": places.zip5,
        "place_number": places.number,
        "place_street": places.street,
        "place_city": places.city,
        "place_state": places.state,
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


def _lay_out_names(parts: _Parts, folder: Path) -> int:
    """Keep each distinct core name once, in the order of its hash, with the recipients that bear it."""
    order, first, code = group_keys(parts.entry_joined)
    sample = order[first]
    write_table(
        folder / "names.arrow", pa.table({"core": parts.core.take(pa.array(sample)).combine_chunks()})
    )
    np.save(folder / "name_joined.npy", parts.entry_joined[sample])
    # A recipient that bears a name twice, such as legally and as an alternate one, is listed once: legally.
    both = (code.astype(np.uint64) << np.uint64(32)) | parts.entry_row.astype(np.uint64)
    in_order = np.sort(both)
    if (in_order[1:] == in_order[:-1]).any():
        order = np.lexsort((parts.entry_alias, both))
        is_first = np.ones(len(order), bool)
        is_first[1:] = both[order][1:] != both[order][:-1]
        order = order[is_first]
    name, row = code[order], parts.entry_row[order].astype(np.uint32)
    np.save(folder / "entry_name.npy", name)
    np.save(folder / "entry_row.npy", row)
    np.save(folder / "entry_form.npy", parts.entry_form[order])
    np.save(folder / "entry_alias.npy", parts.entry_alias[order])
    np.save(folder / "name_entries.npy", _starts(name, len(first)))
    by_row = (row.astype(np.uint64) << np.uint64(32)) | np.arange(len(row), dtype=np.uint64)
    by_row.sort()
    np.save(folder / "row_entry.npy", (by_row & np.uint64(0xFFFFFFFF)).astype(np.uint32))
    np.save(folder / "row_start.npy", _starts(row, parts.rows))
    return len(first)


def _starts(codes: npt.NDArray[Any], count: int) -> npt.NDArray[np.uint32]:
    """Say where each code's items start when they are in order of their codes."""
    return np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=count))]).astype(np.uint32)


def _lay_out_keys(parts: _Parts, folder: Path) -> None:
    for kind, keys in (
        ("uei", parts.uei),
        ("duns", parts.duns),
        ("place", place_key(parts.place_zip5, parts.place_number)),
    ):
        known = np.flatnonzero(keys != 0)
        order = known[group_keys(keys[known])[0]]
        np.save(folder / f"{kind}_key.npy", keys[order])
        np.save(folder / f"{kind}_rows.npy", order.astype(np.uint32))
