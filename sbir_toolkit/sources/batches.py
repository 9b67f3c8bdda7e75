"""Reading a table's text, some records at a time, the same way from CSV and from Parquet.

A `Batch` holds the columns of ours that the file has, as text, with each record's ordinal and line. What
couldn't be cut into as many fields as the header names is in it too, as faults, so that every record of the
file is in exactly one place.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.files import ByteStream, Part, open_stream
from sbir_toolkit.sources.formats import Format, Layout, find_columns
from sbir_toolkit.sources.records import (
    RECORD_BYTES,
    Block,
    RecordReader,
    count_fields,
    decode_loosely,
)

WRONG_FIELDS = "wrong number of fields"
REPEATED_HEADER = "the record repeats the header"
BLOCK_BYTES_PER_MB = 5_000  # of text read at once; what is made of it takes some twenty times as much

_RAW_CHARACTERS = 2_000
_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb'(?:[^"\r\n]|"[^"]*")*+(?:\r?\n|\Z)')


@dataclass(frozen=True)
class Fault:
    """Why one record can't be used."""

    row: int
    line: int
    column: str | None
    value: str | None
    reason: str
    raw: str


@dataclass(frozen=True)
class Batch:
    """Consecutive records as text.

    Parameters
    ----------
    table : pyarrow.Table
        The file's columns as strings, named by their positions `0`, `1`, ...; at least those of ours.
    layout
        Which of them is which column of ours.
    rows, lines : numpy.ndarray of int64, shape (records,)
        Each record's ordinal and the physical line it starts on, from 1.
    raw
        Gives the text of the record at a position in the table.
    faults
        The records of this stretch of the file that aren't in `table`.
    repaired
        What was mended so far, counted by kind.
    file
        The name of the file, or of the member of an archive.
    repeats
        What a record is that has the id of an earlier one, where that is no fault.
    merged
        Records that are contained in these, counted by kind.
    contracts : pyarrow.Table, optional
        Contract numbers found, by the contract of the table `recipient_contracts`.
    """

    table: pa.Table
    layout: Layout
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    raw: Callable[[int], str]
    faults: tuple[Fault, ...]
    repaired: Counter[str]
    file: str = ""
    repeats: str = ""
    merged: Counter[str] = dataclasses.field(default_factory=Counter)
    contracts: pa.Table | None = None

    def text(self, column: str) -> pa.Array:
        """Give a column of ours as filed; blank where the file doesn't have it."""
        position = self.layout.positions.get(column)
        if position is None:
            return pa.nulls(len(self.rows), pa.string())
        return _one_chunk(self.table.column(str(position)))

    def columns(self) -> list[pa.Array]:
        """Give all columns of the file as filed."""
        return [_one_chunk(column) for column in self.table.columns]

    def keep(self, places: NDArray[np.int64]) -> Batch:
        """Give a batch with the records at these ascending positions only, and no faults."""
        # Nearly all are kept: a few long stretches are copied much faster than many single texts.
        gaps = np.flatnonzero(np.diff(places) != 1) + 1
        stretches = [self.table.slice(part[0], len(part)) for part in np.split(places, gaps) if len(part)]
        return Batch(
            pa.concat_tables([self.table.slice(0, 0), *stretches]).combine_chunks(),
            self.layout,
            self.rows[places],
            self.lines[places],
            lambda index: self.raw(int(places[index])),
            (),
            self.repaired,
            self.file,
            self.repeats,
        )

    def fault(self, index: int, column: str | None, value: str | None, reason: str) -> Fault:
        """Say why the record at a position in the table can't be used."""
        raw = self.raw(index)[:_RAW_CHARACTERS]
        return Fault(int(self.rows[index]), int(self.lines[index]), column, value, reason, raw)


def read_csv(part: Part, form: Format, limits: params.Limits) -> Iterator[Batch]:
    """Read CSV (plain or gzip) in batches of at most `limits.read_rows` records.

    Parameters
    ----------
    part
        The file.
    form
        What it should hold.
    limits
        How much may be in memory at once.

    Yields
    ------
    Batch
        In the file's order. The first one is empty and only carries the layout.

    Raises
    ------
    InputError
        When the file can't be read, or isn't what it should be.
    """
    with open_stream(part) as stream:
        header, head, line = _read_header(stream, part)
        layout = find_columns(header, form, part)
        yield _empty_batch(layout)
        reader = RecordReader(
            stream,
            fields=len(header),
            block_bytes=limits.memory_mb * BLOCK_BYTES_PER_MB,
            max_rows=limits.read_rows,
            head=head,
            line=line,
        )
        for block in reader:
            yield _parse(block, layout, part, form)


def read_parquet(path: Path, form: Format, limits: params.Limits) -> Iterator[Batch]:
    """Read a Parquet file, its values as text; otherwise as `read_csv`."""
    try:
        with pq.ParquetFile(path) as file:
            layout = find_columns(file.schema_arrow.names, form, path)
            yield _empty_batch(layout)
            row = 1
            for part in file.iter_batches(batch_size=limits.read_rows):
                yield _as_text(part, layout, row)
                row += part.num_rows
    except (pa.ArrowException, OSError) as wrong:
        raise InputError(
            explain(
                "the Parquet file is damaged or holds a kind of column that can't be read as text",
                where=path,
                expected="a whole Parquet file with columns of text or numbers",
                got=wrong,
                todo="write it again",
            )
        ) from wrong


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.array([], pa.string())])


def _empty_batch(layout: Layout) -> Batch:
    none = np.array([], dtype=np.int64)
    table = pa.table({str(at): pa.array([], pa.string()) for at in range(len(layout.header))})
    return Batch(table, layout, none, none, lambda index: "", (), Counter())


def _read_header(stream: ByteStream, part: Part) -> tuple[list[str], bytes, int]:
    """Read the header; give its names, the bytes read beyond it, and the line that those start on."""
    data = stream.read(RECORD_BYTES).removeprefix(_BOM)
    while len(data) < RECORD_BYTES and (more := stream.read(RECORD_BYTES)):
        data += more
    text = data.lstrip(b"\r\n")
    line = 1 + data[: len(data) - len(text)].count(b"\n")
    match = _HEADER.match(text)
    first = match[0] if match else text[:200]
    names = _cut_header(first)
    problem = None
    if not text:
        problem = "only blank lines"
    elif b"\0" in first:
        problem = "bytes that aren't text"
    elif match is None:
        problem = "a quote that is never closed" if b'"' in first else "line ends of a carriage return only"
    elif names is None:
        problem = "a quote inside a name, or a name longer than 100,000 characters"
    if match is None or names is None or problem:
        raise InputError(
            explain(
                "the file has no readable header",
                where=f"{part}, line {line}",
                expected="column names separated by commas",
                got=problem,
                todo="check that it is a CSV file in UTF-8 with ordinary line ends",
            )
        )
    return names, text[match.end() :], line + first.count(b"\n")


def _cut_header(text: bytes) -> list[str] | None:
    """Cut a header into its names; None when it isn't one record."""
    try:
        records = list(csv.reader(io.StringIO(decode_loosely(text.rstrip(b"\r\n")), newline="")))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _parse(block: Block, layout: Layout, part: Part, form: Format) -> Batch:
    """Cut a block's records into fields."""
    wanted = len(layout.header)
    faults = [
        Fault(odd.row, odd.line, None, None, odd.reason, decode_loosely(odd.raw)[:_RAW_CHARACTERS])
        for odd in block.odd
    ]
    used = range(wanted) if form.needs_all else sorted(set(layout.positions.values()))
    table, skipped = _parse_text(block.data, wanted, [str(at) for at in used])
    keep = np.arange(len(block.rows))
    if skipped:
        counts = count_fields(block)
        faults += [
            Fault(
                int(block.rows[at]),
                int(block.lines[at]),
                None,
                f"{counts[at]} fields",
                WRONG_FIELDS,
                block.raw(at)[:_RAW_CHARACTERS],
            )
            for at in np.flatnonzero(counts != wanted).tolist()
        ]
        keep = np.flatnonzero(counts == wanted)
    if table.num_rows != len(keep):
        raise InputError(
            explain(
                "two ways of counting the records of a stretch of the file disagree",
                where=f"{part}, lines {block.lines[:1]} to {block.lines[-1:]}",
                expected=f"{len(keep)} records",
                got=f"{table.num_rows} records",
                todo="look at the quotes and line ends there",
            )
        )
    batch = Batch(
        table,
        layout,
        block.rows[keep],
        block.lines[keep],
        lambda index: block.raw(int(keep[index])),
        tuple(faults),
        block.repaired,
    )
    return _drop_repeated_headers(batch)


def _parse_text(data: bytes, wanted: int, used: list[str]) -> tuple[pa.Table, int]:
    skipped = 0

    def skip(row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    names = [str(at) for at in range(wanted)]
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in used}), 0
    table = pa_csv.read_csv(
        pa.py_buffer(data),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(used, pa.string()),
            include_columns=used,
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    return table, skipped


def _drop_repeated_headers(batch: Batch) -> Batch:
    """Take out records that hold the header again, as files put together from several do."""
    if not len(batch.rows):
        return batch
    header = batch.layout.header
    at = batch.layout.positions[min(batch.layout.positions, key=batch.layout.positions.__getitem__)]
    suspects = np.flatnonzero(pc.equal(batch.table.column(str(at)), header[at]).to_numpy())
    repeats = [
        index
        for index in suspects.tolist()
        if all(batch.table[name][index].as_py() == header[int(name)] for name in batch.table.column_names)
    ]
    if not repeats:
        return batch
    faults = tuple(batch.fault(index, None, None, REPEATED_HEADER) for index in repeats)
    rest = batch.keep(np.setdiff1d(np.arange(len(batch.rows)), repeats))
    return dataclasses.replace(rest, faults=batch.faults + faults)


def _as_text(part: pa.RecordBatch, layout: Layout, row: int) -> Batch:
    used = set(layout.positions.values())
    repaired: Counter[str] = Counter()
    table = pa.table(
        {
            str(at): _mend_text(_to_string(part.column(at), is_used=at in used), repaired)
            for at in range(part.num_columns)
        }
    )
    rows = row + np.arange(part.num_rows)

    def raw(index: int) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([column[index].as_py() for column in table.columns])
        return line.getvalue()

    return Batch(table, layout, rows, rows, raw, (), repaired)


def _mend_text(texts: pa.Array, repaired: Counter[str]) -> pa.Array:
    """Give text in UTF-8; that of a Parquet file is promised to be so, and checked by nobody."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        values = texts.cast(pa.binary()).to_pylist()
        mended = [decode_loosely(value) for value in values]
        repaired["not_utf8"] += sum(new.encode() != old for new, old in zip(mended, values, strict=True))
        return pa.array(mended, pa.string())
    return texts


def _to_string(values: pa.Array, *, is_used: bool) -> pa.Array:
    """Give a column as text, null as blank; one that has no text and isn't used is blank altogether."""
    kind = values.type
    try:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            text = pc.binary_join(values.cast(pa.list_(pa.string())), "|")
        else:
            text = values.cast(pa.string())
    except pa.ArrowException:
        if is_used:
            raise
        text = pa.nulls(len(values), pa.string())
    return pc.fill_null(text, "")
