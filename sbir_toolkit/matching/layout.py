"""Laying out the recipients for matching.

The recipients are read once, in blocks; what stays of them is plain arrays (see `index`). Three kinds of
key lead in: identifiers, names, places. Every distinct core name (legal or alternate) is kept once, and
listed with the recipients that bear it; the words of the names, and their pairs of neighbouring words, list
the names they are in. A word's frequency among the names says how much it tells: that is learned from the
recipients alone. Each longer word is also listed under every form it takes when one letter is left out,
which is how a mistyped word is found.

Nothing is held whole: what the blocks give goes to scratch columns on disk in the order it comes in, and
everything that has to be in another order is sorted in parts (`ordering.sort_in_parts`) that fit into the
memory allowed. How many parts there are doesn't show in the result.

The folder is built under a temporary name and renamed when all of it is on the disk, so a half-built one is
never opened, whatever happens. What one step has written is flushed while the next one computes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.blocks import SHOWN, read_blocks
from sbir_toolkit.matching.columns import Columns, column_reader, read_column
from sbir_toolkit.matching.contracts import lay_out_contracts
from sbir_toolkit.matching.index import INDEX_VERSION, RecipientIndex, open_index, place_key
from sbir_toolkit.matching.namesakes import count_bearers
from sbir_toolkit.matching.ordering import Part, find_groups, sort_in_parts
from sbir_toolkit.matching.places import Places
from sbir_toolkit.matching.texts import Bytes, Ints, expand, lay_out, view_strings
from sbir_toolkit.matching.vocabulary import lay_out_pairs, lay_out_words
from sbir_toolkit.memory import release
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Limits, Matching
from sbir_toolkit.storage import make_folder, sync_file, sync_folder, write_json

MEMORY_SHARE = 0.2
"""Of the memory allowed, what may be sorted at once; reading files and the program take the rest."""

_ROW_BITS, _KIND_BITS = 28, 5
# What one item takes while its part is sorted and written, measured and rounded up.
_BYTES_PER_BEARING, _BYTES_PER_KEY = 260, 60


def build_index(
    recipients: Path | Iterable[pa.Table],
    folder: Path,
    params: Matching,
    contracts: Path | None = None,
    *,
    memory_mb: int = Limits().memory_mb,
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
    memory_mb : int
        What the whole process may use, in MB; a fifth of it is used for sorting.

    Returns
    -------
    RecipientIndex
        Opened. The same recipients give the same bytes, whatever `memory_mb` is.

    Raises
    ------
    InputError
        When the file can't be read or lacks a column.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    scratch = temporary / "scratch"
    make_folder(folder.parent)
    scratch.mkdir(parents=True)
    room = int(memory_mb * 1e6 * MEMORY_SHARE)
    try:
        with ThreadPoolExecutor(max_workers=2) as threads:
            with phase("index_read") as span:
                rows = span.rows = _read_recipients(recipients, temporary, scratch, threads)
            release()  # what the blocks used
            read = _files_of(temporary)
            flushing = [threads.submit(_flush, read)]
            with phase("index_names", rows=rows):
                names = _lay_out_names(temporary, scratch, room)
            named = _files_of(temporary) - read
            with phase("index_words", rows=names):
                beside = threads.submit(_lay_out_lists, temporary, scratch, rows, params, room // 2)
                flushing.append(threads.submit(_flush, named))
                lay_out_words(temporary, scratch, params.max_word_postings, room // 2)
                beside.result()
            with phase("index_contracts"):
                lay_out_contracts(contracts, temporary, scratch, room)
            _flush(_files_of(temporary) - read - named)
            for flushed in flushing:
                flushed.result()
        shutil.rmtree(scratch)
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


def _files_of(folder: Path) -> set[Path]:
    return {path for path in folder.iterdir() if path.is_file()}


def _flush(files: Iterable[Path]) -> None:
    for file in files:
        sync_file(file)


def _read_recipients(
    recipients: Path | Iterable[pa.Table], folder: Path, scratch: Path, threads: ThreadPoolExecutor
) -> int:
    """Write what is known of each recipient, by row, and of each bearing of a name, as they come."""
    rows = 0
    schema = pa.schema([(name, pa.string()) for name in SHOWN])
    with (
        Columns(folder) as by_row,
        Columns(scratch) as bearings,
        pa.OSFile(str(folder / "recipients.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, schema) as shown,
    ):
        for block in read_blocks(recipients, threads):
            shown.write_batch(block.shown)
            by_row.add(**{f"place_{part.name}": getattr(block.places, part.name) for part in fields(Places)})
            by_row.add(row_uei=block.uei, row_duns=block.duns, row_parent=block.parent)
            names = block.names
            data, offsets = lay_out(names.core)
            bearings.add(
                place=place_key(block.places.zip5, block.places.number),
                town=block.places.city ^ block.places.state,
                joined=names.joined,
                row=(block.row + rows).astype(np.uint32),
                # As they are sorted: the legal name before an alternate one, then by form.
                kind=block.is_alias.astype(np.uint8) << 4 | names.form,
                text=data,
                word_hash=names.word_hash,
                word_length=names.word_length.astype(np.uint32),
            )
            bearings.add_starts("text_start", np.diff(offsets), np.int64)
            bearings.add_starts("word_start", np.diff(names.word_start), np.int64)
            rows += len(block)
    return rows


def _lay_out_names(folder: Path, scratch: Path, room: int) -> int:
    """Keep each distinct core name once, in the order of its hash, with the recipients that bear it."""
    read = column_reader(scratch)
    core, word_start = view_strings(read("text"), read("text_start")), read("word_start")
    hashes, lengths = read("word_hash"), read("word_length")
    names = 0
    with Columns(folder) as out, Columns(scratch / "names") as words:
        for part in sort_in_parts(read("joined"), room // _BYTES_PER_BEARING):
            first = find_groups(part.keys)
            out.add(name_joined=part.keys[first])
            sample = part.positions[first]
            count = np.diff(np.append(first, len(part.keys)))
            bearings = _sort_bearings(part, count, read)
            # What is expected of a name depends on how many firms bear it.
            words.add(bearers=count_bearers(bearings.name, read("town")[bearings.row], len(first)))
            out.add_starts("name_entries", np.bincount(bearings.name, minlength=len(first)), np.uint32)
            out.add(
                entry_name=bearings.name + np.uint32(names),
                entry_row=bearings.row,
                entry_form=bearings.kind & np.uint8(15),
                entry_alias=(bearings.kind & np.uint8(16)) > 0,
            )
            data, offsets = lay_out(core.take(pa.array(sample)))
            out.add(name_text=data)
            out.add_starts("name_text_start", np.diff(offsets), np.int64)
            start = word_start[sample]
            count = word_start[sample.astype(np.int64) + 1] - start
            inside = expand(start, count)
            out.add_starts("name_words", count, np.uint32)
            words.add(hash=hashes[inside], length=lengths[inside])
            names += len(first)
    return names


class _Bearings(NamedTuple):
    """Bearings of a part's names, by name, then row: the name's number in the part, the row, the kind."""

    name: npt.NDArray[np.uint32]
    row: npt.NDArray[np.uint32]
    kind: Bytes


def _sort_bearings(
    part: Part, count: Ints, read: Callable[[str], npt.NDArray[np.unsignedinteger[Any]]]
) -> _Bearings:
    """Say who bears each of a part's names, which have `count` bearings each."""
    # Name, row, whether it's an alternate name and form share one number, so that one plain sort orders them.
    packed = np.repeat(np.arange(len(count), dtype=np.uint64), count)
    for bits, column in ((_ROW_BITS, "row"), (_KIND_BITS, "kind")):
        packed <<= np.uint64(bits)
        packed |= read(column)[part.at][part.order]
    packed.sort(kind="stable")  # nearly in order already, which this kind makes use of
    # A recipient that bears a name twice, such as legally and as an alternate one, is listed once: legally.
    packed = packed[find_groups(packed >> np.uint64(_KIND_BITS))]
    kind = packed.astype(np.uint8) & np.uint8((1 << _KIND_BITS) - 1)
    packed >>= np.uint64(_KIND_BITS)
    row = (packed & np.uint64((1 << _ROW_BITS) - 1)).astype(np.uint32)
    packed >>= np.uint64(_ROW_BITS)
    return _Bearings(packed.astype(np.uint32), row, kind)


def _lay_out_lists(folder: Path, scratch: Path, rows: int, params: Matching, room: int) -> None:
    """Write what leads to names and recipients besides words: pairs of words, recipients and their keys."""
    lay_out_pairs(folder, scratch, params.max_word_postings, room)
    read, most = column_reader(folder), room // _BYTES_PER_KEY
    with Columns(folder) as out:
        first = 0
        for part in sort_in_parts(read("entry_row"), most):
            out.add(row_entry=part.positions)
            beyond = int(part.keys[-1]) + 1 if len(part.keys) else first
            out.add_starts("row_start", np.bincount(part.keys - first, minlength=beyond - first), np.uint32)
            first = beyond
        out.add_starts("row_start", np.zeros(rows - first, np.int64), np.uint32)
        for kind, keys in (
            ("uei", read("row_uei")),
            ("duns", read("row_duns")),
            ("place", read_column(scratch / "place.npy")),
        ):
            for part in sort_in_parts(keys, most):
                # Nobody is looked for by an identifier or a place that isn't known.
                known = np.searchsorted(part.keys, 0, side="right")
                out.add(**{f"{kind}_key": part.keys[known:], f"{kind}_rows": part.positions[known:]})
