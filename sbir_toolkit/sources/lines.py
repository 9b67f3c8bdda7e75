"""Reading files without quotes: a record on each line, one separator between fields.

PostgreSQL's COPY text and SAM.gov's extracts are of this kind. A `Dialect` says how one of them ends, what is
no clean line and how it is mended; the rest is the same for all. A regular block of lines is cut by an Arrow
parser that knows of no quotes, and only the columns that are wanted become text. A block with something
irregular in it is walked line by line first: what can be read in one way only is mended and counted, and what
can't is set aside with its reason. Which way a line takes doesn't depend on where the blocks are cut.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from sbir_toolkit import params
from sbir_toolkit.sources.batches import BLOCK_BYTES_PER_MB, WRONG_FIELDS, Batch, Fault
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import Layout
from sbir_toolkit.sources.records import RECORD_BYTES, decode_loosely

AFTER_THE_END = "the line stands after the end of the table"
TOO_LONG = "the line is longer than a mebibyte"
UNENDED = "the record has no end"

_RAW_CHARACTERS = 2_000
_MEND_BYTES = 1 << 16  # how far a record without its end is followed over its lines
_BOM = b"\xef\xbb\xbf"


class Dialect(abc.ABC):
    """How one kind of file writes its lines.

    Parameters
    ----------
    separator
        The byte between fields.
    fields
        How many a line has.
    marks
        How lines begin that are about the file.
    nulls
        What stands for null.
    """

    def __init__(
        self, separator: str, fields: int, marks: tuple[bytes, ...], nulls: tuple[str, ...] = ()
    ) -> None:
        self.separator = separator
        self.fields = fields
        self.marks = marks
        self.nulls = nulls

    def set_apart(self, data: bytes) -> list[bytes]:
        """Cut whole lines in pieces, so that none about the file stands among records that could be regular.

        The first line is apart if it is about the file, and so is what stands from the next such line on.
        """
        head = data.find(b"\n") + 1 if data.startswith(self.marks) else 0
        found = [data.find(b"\n" + mark, max(head - 1, 0)) for mark in self.marks]
        tail = min((at + 1 for at in found if at >= 0), default=len(data))
        return [piece for piece in (data[:head], data[head:tail], data[tail:]) if piece]

    def is_regular(self, data: bytes) -> bool:
        """Tell whether each line of a piece is a record of its own with nothing to be mended in its text."""
        if data.startswith(self.marks):
            return False
        has_odd = b"\0" in data or b"\r" in data or b"\n\n" in data or data.startswith(b"\n")
        return not has_odd and not _may_have_long_line(data) and _is_utf8(data)

    @abc.abstractmethod
    def is_end(self, line: bytes) -> bool:
        """Tell whether a line is the mark after the last record."""

    def is_note(self, line: bytes) -> bool:
        """Tell whether a line is about the file and no record."""
        return False

    def is_whole(self, line: bytes) -> bool:
        """Tell whether a record ends with this line and doesn't go on in the next one."""
        return True

    def is_record(self, line: bytes) -> bool:
        """Tell whether a line can't be the rest of a record that was begun on the line before."""
        return True

    def clean(self, line: bytes, repaired: Counter[str]) -> bytes:
        """Mend a line's bytes so that it is text."""
        if b"\0" in line:
            repaired["nul_byte"] += 1
            line = line.replace(b"\0", b"")
        try:
            line.decode()
        except UnicodeDecodeError:
            repaired["not_utf8"] += 1
            line = decode_loosely(line).encode()
        return line

    def mend(self, line: bytes, repaired: Counter[str]) -> bytes | None:
        """Mend a line with another number of fields; None when it can't be done in one way only."""
        return None

    def finish(self, values: pa.Array, repaired: Counter[str]) -> pa.Array:
        """Undo what the dialect does to a column's values when it writes them."""
        return values


@dataclass(frozen=True)
class Lines:
    """Whole lines of a file, the ordinal of each as a record, and where it is in the file."""

    data: bytes
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    faults: tuple[Fault, ...] = ()
    repaired: Counter[str] = dataclasses.field(default_factory=Counter)

    @staticmethod
    def none() -> Lines:
        """Give no lines."""
        return Lines(b"", np.array([], dtype=np.int64), np.array([], dtype=np.int64))

    @functools.cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where each line ends."""
        return np.flatnonzero(np.frombuffer(self.data, dtype=np.uint8) == ord("\n"))

    def raw(self, index: int) -> str:
        """Give the text of a line."""
        start = int(self.ends[index - 1]) + 1 if index else 0
        return decode_loosely(self.data[start : int(self.ends[index])])


class LineReader:
    """Cuts a stream into blocks of whole lines up to the end mark.

    Parameters
    ----------
    stream
        The file, uncompressed.
    dialect
        How it writes its lines.
    block_bytes
        How much to read at once.

    Attributes
    ----------
    line
        The physical line that comes next.
    records
        Records so far, those set aside among them.
    is_ended
        Whether the end mark was there.
    """

    def __init__(self, stream: ByteStream, dialect: Dialect, block_bytes: int) -> None:
        self._stream = stream
        self._dialect = dialect
        self._block_bytes = max(block_bytes, RECORD_BYTES)
        self.line = 1
        self.records = 0
        self.is_ended = False

    def __iter__(self) -> Iterator[Lines]:
        rest = b""
        is_first, is_last, is_in_long_line = True, False, False
        while not is_last:
            chunk = self._stream.read(self._block_bytes)
            is_last = not chunk
            data = rest + (chunk.removeprefix(_BOM) if is_first else chunk)
            is_first = False
            if is_in_long_line:
                is_in_long_line = b"\n" not in data
                data = b"" if is_in_long_line else data[data.find(b"\n") + 1 :]
            if is_last and data and not data.endswith(b"\n"):
                data += b"\n"
            size = data.rfind(b"\n") + 1
            rest = data[size:]
            unended = b""
            pieces = self._dialect.set_apart(data[:size])
            for at, piece in enumerate(pieces, start=1):
                if unended or self.is_ended or not self._dialect.is_regular(piece):
                    is_all = is_last and at == len(pieces)
                    lines, unended = self._walk(unended + piece, is_all=is_all)
                    yield lines
                else:
                    yield self._number(piece)
            rest = unended + rest
            tail = rest[rest.rfind(b"\n") + 1 :]
            if len(tail) > RECORD_BYTES:
                if len(tail) < len(rest):
                    yield self._walk(rest[: -len(tail)], is_all=True)[0]
                yield self._set_aside(tail)
                rest, is_in_long_line = b"", True

    def _number(self, data: bytes) -> Lines:
        count = data.count(b"\n")
        rows, lines = self.records + 1 + np.arange(count), self.line + np.arange(count)
        self.records += count
        self.line += count
        return Lines(data, rows, lines)

    def _walk(self, data: bytes, *, is_all: bool) -> tuple[Lines, bytes]:
        """Take a block line by line; give also the beginning of a record that goes on behind it."""
        dialect = self._dialect
        walk = _Walk()
        begun: list[bytes] = []
        for line in [*data[:-1].split(b"\n"), None]:
            is_record = line is not None and (not begun or dialect.is_record(line.removesuffix(b"\r")))
            if begun and (is_record or line is None or sum(map(len, begun)) > _MEND_BYTES):
                if line is None and not is_all:
                    break
                self._keep_fault(walk, b" ".join(begun), UNENDED, len(begun))
                begun = []
            if line is None:
                continue
            begun.append(line.removesuffix(b"\r"))
            if self._take(walk, b" ".join(begun), len(begun)):
                begun = []
        return walk.lines(), b"".join(line + b"\n" for line in begun)

    def _take(self, walk: _Walk, text: bytes, count: int) -> bool:
        """Take a record of so many lines; False when it goes on in the next one."""
        dialect = self._dialect
        if dialect.is_end(text) and not self.is_ended:
            self.is_ended = True
        elif not text:
            walk.repaired["blank_line"] += not self.is_ended
        elif self.is_ended or len(text) > RECORD_BYTES:
            self._keep_fault(walk, text, AFTER_THE_END if self.is_ended else TOO_LONG, count)
            return True
        elif dialect.is_note(text):
            pass
        elif not dialect.is_whole(text):
            return False
        else:
            self.records += 1
            walk.repaired["line_break"] += count > 1
            walk.keep(dialect.clean(text, walk.repaired), self.records, self.line)
        self.line += count
        return True

    def _keep_fault(self, walk: _Walk, text: bytes, reason: str, count: int) -> None:
        walk.faults.append(self._fault(text, reason))
        self.line += count

    def _set_aside(self, text: bytes) -> Lines:
        fault = self._fault(text, TOO_LONG)
        self.line += 1
        return dataclasses.replace(Lines.none(), faults=(fault,))

    def _fault(self, text: bytes, reason: str) -> Fault:
        self.records += 1
        raw = decode_loosely(text[:_RAW_CHARACTERS])
        return Fault(self.records, self.line, None, None, reason, raw)


class _Walk:
    """Collects the records of a block that is walked line by line."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.repaired: Counter[str] = Counter()
        self._kept: list[bytes] = []
        self._rows: list[int] = []
        self._lines: list[int] = []

    def keep(self, text: bytes, row: int, line: int) -> None:
        """Take a record."""
        self._kept.append(text)
        self._rows.append(row)
        self._lines.append(line)

    def lines(self) -> Lines:
        """Put them together."""
        data = b"".join(text + b"\n" for text in self._kept)
        rows, lines = np.array(self._rows, np.int64), np.array(self._lines, np.int64)
        return Lines(data, rows, lines, tuple(self.faults), self.repaired)


def parse_lines(lines: Lines, layout: Layout, used: list[int], dialect: Dialect) -> Batch:
    """Cut lines into fields; lines with another number of fields are mended or set aside.

    Parameters
    ----------
    lines
        Whole lines.
    layout
        Where each column of ours is among those that are used.
    used
        The positions of the columns that are used.
    dialect
        How the file writes its lines.

    Returns
    -------
    Batch
    """
    repaired = Counter(lines.repaired)
    table, skipped = _cut(lines.data, used, dialect)
    if skipped:
        lines = _set_aside_odd(lines, dialect, repaired)
        table, _ = _cut(lines.data, used, dialect)
    columns = [dialect.finish(column.combine_chunks(), repaired) for column in table.columns]
    parsed = pa.table({str(at): column for at, column in enumerate(columns)})
    return Batch(parsed, layout, lines.rows, lines.lines, lines.raw, lines.faults, +repaired)


def split_batch(batch: Batch, rows: int) -> Iterator[Batch]:
    """Hand out a batch in pieces of at most so many records."""
    if len(batch.rows) <= rows:
        yield batch
        return
    for first in range(0, len(batch.rows), rows):
        part = slice(first, first + rows)
        until = np.inf if first + rows >= len(batch.rows) else batch.rows[first + rows]
        since = -1 if first == 0 else batch.rows[first]
        yield dataclasses.replace(
            batch,
            table=batch.table.slice(first, rows),
            rows=batch.rows[part],
            lines=batch.lines[part],
            raw=functools.partial(_raw_behind, batch, first),
            faults=tuple(fault for fault in batch.faults if since <= fault.row < until),
            repaired=batch.repaired if first == 0 else Counter(),
        )


def block_bytes(limits: params.Limits) -> int:
    """How much of a file to read at once."""
    return limits.memory_mb * BLOCK_BYTES_PER_MB


def _raw_behind(batch: Batch, first: int, index: int) -> str:
    return batch.raw(first + index)


def _may_have_long_line(data: bytes) -> bool:
    half = RECORD_BYTES // 2
    return len(data) > half and any(
        data.find(b"\n", at, at + half) < 0 for at in range(0, len(data) - half, half)
    )


def _is_utf8(data: bytes) -> bool:
    offsets = pa.array([0, len(data)]).buffers()[1]
    text = pa.Array.from_buffers(pa.large_utf8(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _cut(data: bytes, used: list[int], dialect: Dialect) -> tuple[pa.Table, int]:
    """Cut lines into the fields that are used; tell how many lines have another number of fields."""
    skipped = 0

    def skip(row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    names = [str(at) for at in range(dialect.fields)]
    included = [names[at] for at in used]
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in included}), 0
    table = pa_csv.read_csv(
        pa.py_buffer(data),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.separator, quote_char=False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(included, pa.string()),
            include_columns=included,
            null_values=list(dialect.nulls),
            strings_can_be_null=True,
            check_utf8=False,
        ),
    )
    return table, skipped


def _set_aside_odd(lines: Lines, dialect: Dialect, repaired: Counter[str]) -> Lines:
    kept: list[bytes] = []
    places: list[int] = []
    faults = list(lines.faults)
    for index, text in enumerate(lines.data[:-1].split(b"\n")):
        count = text.count(dialect.separator.encode()) + 1
        mended = text if count == dialect.fields else dialect.mend(text, repaired)
        if mended is None:
            row, line = int(lines.rows[index]), int(lines.lines[index])
            raw = lines.raw(index)[:_RAW_CHARACTERS]
            faults.append(Fault(row, line, None, f"{count} fields", WRONG_FIELDS, raw))
        else:
            places.append(index)
            kept.append(mended)
    data = b"".join(text + b"\n" for text in kept)
    return Lines(data, lines.rows[places], lines.lines[places], tuple(faults), lines.repaired)
