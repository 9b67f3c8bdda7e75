"""Where each record of a CSV file begins and ends.

An abstract holds line breaks, so a record isn't a line: 219,500 awards take 540,000 lines. Rejected records
are reported with the line they start on and the text they were filed with, and one damaged record must not
swallow the good ones behind it. A CSV parser tells none of that, so the file is first cut into records here,
block by block, and only then parsed.

In a regular file a quote opens a field or closes it or is doubled; a line break ends a record exactly when
the number of quotes before it is even. That is found for a whole block at once. A block with something
irregular in it (a quote inside a bare field, a quote never closed, a lone carriage return, a NUL, bytes that
aren't UTF-8) is walked record by record: what can be read in one way only is mended and counted, and what
can't is set aside, one line at a time, so that reading goes on with the next line. Which way a record takes
doesn't depend on where the blocks are cut.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sbir_toolkit.sources.files import ByteStream

RECORD_BYTES = 1 << 20  # no record is longer; what is looks like a quote that was never closed
_MEND_BYTES = 1 << 16  # how far a damaged record is followed over its lines

_FIELD = rb'(?>"(?>[^"]++|"")*+"|[^",\r\n]*+)'
_RECORD = re.compile(_FIELD + rb"(?>," + _FIELD + rb")*+(\r?\n|\Z)")
_LOOSE_FIELD = re.compile(
    rb'[ \t]*+"((?>[^"]++|""|"(?![ \t]*+(?:,|\r?\n|\r?\Z)))*+)"[ \t]*+(?=,|\r?\n|\r?\Z)|([^,\n]*+)'
)
_NEEDS_QUOTES = re.compile(rb'[",\r\n]')
_CP1252 = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", "ignore") or bytes([byte]).decode("latin-1")
    for byte in range(0x80, 0x100)
}


@dataclass(frozen=True)
class OddRecord:
    """A record that couldn't be cut into fields."""

    row: int
    line: int
    reason: str
    raw: bytes


@dataclass
class Block:
    """Consecutive records of a file.

    Parameters
    ----------
    data
        The regular records with their line ends, as UTF-8.
    starts, ends : numpy.ndarray of int64
        Where each record begins and ends in `data`, the line end left out.
    rows, lines : numpy.ndarray of int64
        Each record's ordinal in the file and the physical line it starts on, from 1.
    odd
        The records that aren't in `data` because they couldn't be cut into fields.
    repaired
        What was mended, counted by kind.
    """

    data: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    odd: list[OddRecord] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)

    def raw(self, index: int) -> str:
        """Give the text of one regular record."""
        return self.data[self.starts[index] : self.ends[index]].decode("utf-8", "replace")


class RecordReader:
    """Cuts a stream into records.

    Parameters
    ----------
    stream
        The file, after its header.
    fields
        How many fields a record should have; a damaged record is mended only if that gives so many.
    block_bytes
        How much to read at once.
    max_rows
        How many records a block holds at most.
    head
        Bytes already read from the stream that belong to the records.
    line
        The physical line that `head` starts on.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        fields: int,
        block_bytes: int,
        max_rows: int,
        head: bytes = b"",
        line: int = 1,
    ) -> None:
        self._stream = stream
        self._fields = fields
        self._block_bytes = block_bytes
        self._max_rows = max_rows
        self._data = head
        self._line = line
        self._row = 1
        self._is_in_long_line = False

    def __iter__(self) -> Iterator[Block]:
        is_last = False
        while not is_last:
            chunk = self._stream.read(self._block_bytes)
            is_last = not chunk
            self._data += chunk
            block = self._scan(is_last) or self._walk(is_last)
            if len(block.rows) or block.odd or block.repaired:
                yield from self._split(block)

    def _scan(self, is_last: bool) -> Block | None:
        """Cut a regular block; None when there is something irregular in it."""
        if self._is_in_long_line:
            return None
        data = self._data
        codes = np.frombuffer(data, dtype=np.uint8)
        quotes = np.flatnonzero(codes == ord('"'))
        newlines = np.flatnonzero(codes == ord("\n"))
        ending = np.flatnonzero(np.searchsorted(quotes, newlines) % 2 == 0)
        stops = newlines[ending] + 1
        if is_last and len(data) and (not len(stops) or stops[-1] < len(data)):
            if len(quotes) % 2:
                return None
            stops = np.append(stops, len(data))
        size = int(stops[-1]) if len(stops) else 0
        text = data[:size]
        if len(data) - size > RECORD_BYTES or not _is_regular(
            text, codes, quotes[: np.searchsorted(quotes, size)]
        ):
            return None
        starts = np.concatenate(([0], stops))[:-1]
        if len(stops) and int((stops - starts).max()) > RECORD_BYTES:
            return None
        ends = stops - _line_end_size(codes, stops)
        lines = self._line + np.concatenate(([0], ending + 1))[: len(starts)]
        is_record = ends > starts
        block = Block(
            text,
            starts[is_record],
            ends[is_record],
            self._row + np.arange(int(is_record.sum())),
            lines[is_record],
            repaired=_count("blank_line", int((~is_record).sum())),
        )
        self._row += len(block.rows)
        self._line += int(np.searchsorted(newlines, size))
        self._data = data[size:]
        return block

    def _walk(self, is_last: bool) -> Block:
        """Cut a block record by record, mending what can be mended."""
        data = self._data
        walk = _Walk(self._row, self._line)
        position = self._skip_long_line(walk) if self._is_in_long_line else 0
        while position < len(data):
            stop = min(len(data), position + RECORD_BYTES)
            is_all = is_last and stop == len(data)
            match = _RECORD.match(data, position, stop)
            if match and (match[1] or is_all):
                walk.keep(data[position : match.start(1)], data[position : match.end()].count(b"\n"))
                position = match.end()
            elif stop == len(data) and not is_last:
                break
            else:
                position = self._mend(walk, position, stop)
        self._row, self._line = walk.row, walk.line
        self._data = data[position:]
        return walk.block()

    def _mend(self, walk: _Walk, position: int, stop: int) -> int:
        """Read an irregular record so that it has the right number of fields; else set its line aside."""
        data = self._data
        newline = data.find(b"\n", position, stop)
        if newline < 0 and stop - position == RECORD_BYTES:
            walk.set_aside(data[position:stop], "the line is longer than a mebibyte", 0)
            self._is_in_long_line = True
            return stop + self._skip_long_line(walk, stop)
        end = stop if newline < 0 else newline + 1
        line = data[position:end].rstrip(b"\r\n")
        kind = "stray_quote" if b'"' in line else "carriage_return"
        for fields in (_split_loosely(line, 0, len(line))[0], line.split(b",")):
            if len(fields) == self._fields:
                walk.keep(_join(fields), data.count(b"\n", position, end), kind)
                return end
        fields, far = _split_loosely(data, position, min(stop, position + _MEND_BYTES))
        is_ended = data[far - 1 : far] == b"\n" or far == len(data)
        if is_ended and len(fields) == self._fields and not self._swallows(data[end:far]):
            walk.keep(_join(fields), data.count(b"\n", position, far), kind)
            return far
        walk.set_aside(line, "a quote is not closed or not doubled", data.count(b"\n", position, end))
        return end

    def _skip_long_line(self, walk: _Walk, position: int = 0) -> int:
        """Give how many bytes from a position on still belong to a line that was set aside."""
        newline = self._data.find(b"\n", position)
        if newline < 0:
            return len(self._data) - position
        self._is_in_long_line = False
        walk.line += 1
        return newline + 1 - position

    def _swallows(self, text: bytes) -> bool:
        """Tell whether one of the lines is a whole record by itself."""
        return any(
            _RECORD.fullmatch(line) and len(_split_loosely(line, 0, len(line))[0]) == self._fields
            for line in (line.rstrip(b"\r") for line in text.split(b"\n"))
        )

    def _split(self, block: Block) -> Iterator[Block]:
        """Hand out a block in pieces of at most `max_rows` records."""
        if len(block.rows) <= self._max_rows:
            yield block
            return
        for first in range(0, len(block.rows), self._max_rows):
            part = slice(first, first + self._max_rows)
            is_end = first + self._max_rows >= len(block.rows)
            low = int(block.starts[first])
            high = len(block.data) if is_end else int(block.starts[first + self._max_rows])
            until = np.inf if is_end else block.rows[first + self._max_rows]
            since = -1 if first == 0 else block.rows[first]
            yield Block(
                block.data[low:high],
                block.starts[part] - low,
                block.ends[part] - low,
                block.rows[part],
                block.lines[part],
                [record for record in block.odd if since <= record.row < until],
                block.repaired if first == 0 else Counter(),
            )


class _Walk:
    """Collects the records of a block that is walked one by one."""

    def __init__(self, row: int, line: int) -> None:
        self.row = row
        self.line = line
        self._parts: list[bytes] = []
        self._rows: list[int] = []
        self._lines: list[int] = []
        self._odd: list[OddRecord] = []
        self._repaired: Counter[str] = Counter()

    def keep(self, record: bytes, newlines: int, kind: str | None = None) -> None:
        """Take a record that can be parsed."""
        record = self._clean(record)
        if record:
            self._parts.append(record)
            self._rows.append(self.row)
            self._lines.append(self.line)
            self.row += 1
            if kind:
                self._repaired[kind] += 1
        else:
            self._repaired["blank_line"] += 1
        self.line += newlines

    def set_aside(self, record: bytes, reason: str, newlines: int) -> None:
        """Take a record that can't be parsed."""
        self._odd.append(OddRecord(self.row, self.line, reason, record))
        self.row += 1
        self.line += newlines

    def block(self) -> Block:
        """Put the records together."""
        sizes = np.array([len(part) for part in self._parts], dtype=np.int64)
        starts = np.cumsum(sizes + 1) - sizes - 1
        return Block(
            b"".join(part + b"\n" for part in self._parts),
            starts,
            starts + sizes,
            np.array(self._rows, dtype=np.int64),
            np.array(self._lines, dtype=np.int64),
            self._odd,
            self._repaired,
        )

    def _clean(self, record: bytes) -> bytes:
        if b"\0" in record:
            self._repaired["nul_byte"] += 1
            record = record.replace(b"\0", b"")
        try:
            record.decode()
        except UnicodeDecodeError:
            self._repaired["not_utf8"] += 1
            record = decode_loosely(record).encode()
        return record


def decode_loosely(text: bytes) -> str:
    r"""Decode UTF-8; bytes that aren't are taken for Windows-1252, which is what they are in practice.

    Examples
    --------
    >>> decode_loosely(b"Caf\xe9 \xc3\xa9")
    'Café é'
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "surrogateescape").translate(_CP1252)


def count_fields(block: Block) -> NDArray[np.int64]:
    """Count the fields of each record of a block."""
    codes = np.frombuffer(block.data, dtype=np.uint8)
    quotes = np.flatnonzero(codes == ord('"'))
    commas = np.flatnonzero(codes == ord(","))
    commas = commas[np.searchsorted(quotes, commas) % 2 == 0]
    owners = np.searchsorted(block.starts, commas, side="right") - 1
    counts: NDArray[np.int64] = np.bincount(owners, minlength=len(block.starts)) + 1
    return counts


def _is_regular(data: bytes, codes: NDArray[np.uint8], quotes: NDArray[np.int64]) -> bool:
    opening, closing = quotes[0::2], quotes[1::2]
    before = codes[np.maximum(opening - 1, 0)]
    is_opening = (before == ord(",")) | (before == ord("\n")) | (before == ord('"')) | (opening == 0)
    after = codes[np.minimum(closing + 1, len(codes) - 1)] if len(codes) else codes
    is_closing = (after == ord(",")) | (after == ord("\n")) | (after == ord("\r")) | (after == ord('"'))
    is_closing |= closing == len(data) - 1
    if not (is_opening.all() and is_closing.all()) or b"\0" in data:
        return False
    if b"\r" in data:
        returns = np.flatnonzero(codes[: len(data)] == ord("\r"))
        lone = returns[codes[np.minimum(returns + 1, len(data) - 1)] != ord("\n")]
        if (np.searchsorted(quotes, lone) % 2 == 0).any():
            return False
    return _is_utf8(data)


def _is_utf8(data: bytes) -> bool:
    text = pa.Array.from_buffers(
        pa.large_utf8(), 1, [None, pa.array([0, len(data)]).buffers()[1], pa.py_buffer(data)]
    )
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _line_end_size(codes: NDArray[np.uint8], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    has_newline = codes[stops - 1] == ord("\n")
    has_return = has_newline & (stops > 1) & (codes[np.maximum(stops - 2, 0)] == ord("\r"))
    sizes: NDArray[np.int64] = has_newline.astype(np.int64) + has_return
    return sizes


def _split_loosely(text: bytes, position: int, stop: int) -> tuple[list[bytes], int]:
    """Split one record into fields, taking a quote for a closing one only before a comma or a line end."""
    fields: list[bytes] = []
    while True:
        match = _LOOSE_FIELD.match(text, position, stop)
        if match is None:
            return fields, stop
        quoted, bare = match.groups()
        fields.append(quoted.replace(b'""', b'"') if bare is None else bare)
        position = match.end()
        if position < stop and text[position] == ord(","):
            position += 1
            continue
        fields[-1] = fields[-1] if bare is None else fields[-1].removesuffix(b"\r")
        newline = text.find(b"\n", position, stop)
        return fields, stop if newline < 0 else newline + 1


def _join(fields: list[bytes]) -> bytes:
    return b",".join(
        b'"' + field.replace(b'"', b'""') + b'"' if _NEEDS_QUOTES.search(field) else field for field in fields
    )


def _count(kind: str, number: int) -> Counter[str]:
    return Counter({kind: number}) if number else Counter()
