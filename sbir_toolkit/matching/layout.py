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
from sbir_toolkit.matching.abbreviations import bag_hashes, plain_hashes
from sbir_toolkit.matching.index import (
    INDEX_VERSION,
    RecipientIndex,
    duns_numbers,
    open_index,
    place_key,
    typo_keys,
    word_bits,
)
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import read_places
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Hasher,
    Hashes,
    Ints,
    cut_runs,
    hash_strings,
    lay_out,
    powers,
)
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import sync_folder, write_json

_BLOCK = 32_768
_MIN_TYPO_LENGTH = 5
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
        with phase("index_names", rows=parts.rows):
            names = _lay_out_names(parts, temporary)
        with phase("index_words", rows=names):
            _lay_out_words(temporary, names, params.max_word_postings)
        with phase("index_keys", rows=parts.rows):
            _lay_out_keys(parts, temporary)
        write_json(
            temporary / "index.json",
            {
                "version": INDEX_VERSION,
                "rows": parts.rows,
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
    together = {
        name: np.concatenate([block[name] for block in blocks])
        for name in blocks[0]
        if name not in ("core", "owner")
    }
    firsts = np.cumsum([0, *(len(block["uei"]) for block in blocks)])
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
    read = read_names(names)
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
    order = np.argsort(parts.entry_joined, kind="stable")
    joined = parts.entry_joined[order]
    is_new = np.concatenate([[True], joined[1:] != joined[:-1]])[: len(joined)]
    first = np.flatnonzero(is_new)
    core = parts.core.take(pa.array(order[first])).combine_chunks()
    np.save(folder / "name_joined.npy", joined[first])
    name = np.cumsum(is_new) - 1
    # A recipient that bears a name twice, such as legally and as an alternate one, is listed once: legally.
    rows, forms, aliases = parts.entry_row[order], parts.entry_form[order], parts.entry_alias[order]
    nth = np.lexsort((aliases, rows, name)) if _has_repeats(name, rows) else np.arange(len(rows))
    name, rows, forms, aliases = name[nth], rows[nth], forms[nth], aliases[nth]
    is_first = np.concatenate([[True], (name[1:] != name[:-1]) | (rows[1:] != rows[:-1])])[: len(name)]
    name = name[is_first]
    np.save(folder / "name_entries.npy", np.searchsorted(name, np.arange(len(first) + 1)).astype(np.uint32))
    np.save(folder / "entry_name.npy", name.astype(np.uint32))
    rows = rows[is_first].astype(np.uint32)
    np.save(folder / "entry_row.npy", rows)
    by_row = np.argsort(rows, kind="stable")
    np.save(folder / "row_entry.npy", by_row.astype(np.uint32))
    np.save(
        folder / "row_start.npy", np.searchsorted(rows[by_row], np.arange(parts.rows + 1)).astype(np.uint32)
    )
    np.save(folder / "entry_form.npy", forms[is_first])
    np.save(folder / "entry_alias.npy", aliases[is_first])
    _write_table(folder / "names.arrow", pa.table({"core": core}))
    return len(first)


def _has_repeats(name: Ints, rows: Ints) -> bool:
    keys = np.sort((name.astype(np.uint64) << np.uint64(32)) | rows.astype(np.uint64))
    return bool((keys[1:] == keys[:-1]).any())


def _lay_out_words(folder: Path, names: int, cap: int) -> None:
    """List the names of each word and of each pair of neighbours, and each word under its mistyped forms."""
    core = (
        pa.ipc.open_file(pa.memory_map(str(folder / "names.arrow")))
        .read_all()
        .column("core")
        .combine_chunks()
    )
    data, offsets = lay_out(core)
    start, end, hashes, owner = _words_of(data, offsets)
    order = np.argsort(hashes, kind="stable")
    in_order = hashes[order]
    is_new = np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(in_order)]
    first = np.flatnonzero(is_new)
    code = np.empty(len(hashes), np.uint32)
    code[order] = np.cumsum(is_new) - 1
    bounds = np.append(first, len(hashes))
    counts = np.diff(bounds)
    sample = order[first]
    np.save(folder / "word_hash.npy", in_order[first])
    np.save(folder / "word_count.npy", counts.astype(np.uint32))
    np.save(folder / "name_words.npy", np.searchsorted(owner, np.arange(names + 1)).astype(np.uint32))
    np.save(folder / "word_of_name.npy", code)
    _write_table(folder / "words.arrow", pa.table({"word": cut_runs(data, start[sample], end[sample])}))
    plain = plain_hashes(in_order[first], end[sample] - start[sample], data[end[sample] - 1])
    np.save(folder / "word_plain.npy", plain)
    bags = bag_hashes(plain[code], np.searchsorted(owner, np.arange(names + 1)))
    by_bag = np.argsort(bags, kind="stable")
    np.save(folder / "bag_key.npy", bags[by_bag])
    np.save(folder / "bag_name.npy", by_bag.astype(np.uint32))
    bits = word_bits(counts, names)
    weight = np.bincount(owner, bits[code], minlength=names)
    np.save(folder / "name_bits.npy", weight.astype(np.float32))
    _write_postings(folder, "word", owner[order], counts, cap)
    _lay_out_pairs(folder, hashes, end - start, owner, cap)
    _lay_out_typos(folder, data, start[sample], end[sample])


def _words_of(data: Bytes, offsets: Ints) -> tuple[Ints, Ints, Hashes, Ints]:
    """Find the words of core names laid end to end; hash them block by block, so that the sums stay small."""
    is_edge = data == 32
    is_start = ~is_edge
    is_start[1:] &= is_edge[:-1]
    is_start[offsets[:-1]] = True
    start = np.flatnonzero(is_start)
    end = np.append(start[1:], len(data))
    owner = np.searchsorted(offsets, start, side="right") - 1
    end = np.minimum(end - 1, offsets[owner + 1]) if len(end) else end
    is_last = np.append(owner[1:] != owner[:-1], True)[: len(owner)]
    end = np.where(is_last, offsets[owner + 1], end)
    hashes = np.empty(len(start), np.uint64)
    for low in range(0, len(start), 4 * _BLOCK):
        part = slice(low, low + 4 * _BLOCK)
        base = start[part][0]
        hashes[part] = Hasher(data[base : end[part][-1]]).run(start[part] - base, end[part] - base)
    return start, end, hashes, owner.astype(np.uint32)


def _write_postings(folder: Path, kind: str, owner: npt.NDArray[Any], counts: Ints, cap: int) -> None:
    is_kept = counts <= cap
    np.save(folder / f"{kind}_postings.npy", owner[np.repeat(is_kept, counts)])
    np.save(
        folder / f"{kind}_start.npy",
        np.concatenate([[0], np.cumsum(np.where(is_kept, counts, 0))]).astype(np.uint32),
    )


def _lay_out_pairs(folder: Path, hashes: Hashes, lengths: Ints, owner: npt.NDArray[Any], cap: int) -> None:
    """Key two neighbours as one word: for NANO TECH beside NANOTECH, and for common words only."""
    left = np.flatnonzero(owner[1:] == owner[:-1]) if len(owner) else np.zeros(0, np.int64)
    joined = hashes[left] + hashes[left + 1] * powers(int(lengths.max(initial=0)) + 1)[lengths[left]]
    order = np.argsort(joined, kind="stable")
    in_order = joined[order]
    is_new = np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(in_order)]
    first = np.flatnonzero(is_new)
    np.save(folder / "pair_hash.npy", in_order[first])
    _write_postings(folder, "pair", owner[left][order], np.diff(np.append(first, len(joined))), cap)


def _lay_out_typos(folder: Path, data: Bytes, start: Ints, end: Ints) -> None:
    """List each longer word under its own hash and under that of each form with one letter left out."""
    is_long = (end - start >= _MIN_TYPO_LENGTH) & (end - start <= 32)
    hashes, words = [], []
    wanted = np.flatnonzero(is_long)
    for low in range(0, len(wanted), _BLOCK):
        part = wanted[low : low + _BLOCK]
        text = cut_runs(data, start[part], end[part])
        flat, bounds = lay_out(text)
        found, owner = typo_keys(flat, bounds)
        hashes.append(found)
        words.append(part[owner].astype(np.uint32))
    hashes_all = np.concatenate([np.zeros(0, np.uint64), *hashes])
    words_all = np.concatenate([np.zeros(0, np.uint32), *words])
    order = np.argsort(hashes_all, kind="stable")
    np.save(folder / "typo_hash.npy", hashes_all[order])
    np.save(folder / "typo_word.npy", words_all[order])


def _lay_out_keys(parts: _Parts, folder: Path) -> None:
    for kind, keys in (
        ("uei", parts.uei),
        ("duns", parts.duns),
        ("place", place_key(parts.place_zip5, parts.place_number)),
    ):
        known = np.flatnonzero(keys != 0)
        order = known[np.argsort(keys[known], kind="stable")]
        np.save(folder / f"{kind}_key.npy", keys[order])
        np.save(folder / f"{kind}_rows.npy", order.astype(np.uint32))


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
