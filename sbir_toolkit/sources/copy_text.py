r"""Reading what PostgreSQL's COPY writes: a row on each line, a tab between fields, no header.

Line breaks, tabs and backslashes in a value are written as escapes (`\n`, `\t`, `\\`), null is `\N`, and a
line `\.` ends the table. So a line is always a row, and an Arrow parser that knows of no quotes can cut it;
only the few values that hold a backslash are then read once more.

What PostgreSQL doesn't write is read as far as it can be read in one way only, and counted: a carriage return
or a tab that was left as it is behind a backslash, a backslash with nothing behind it, a byte of another
encoding, a NUL. A line with too few or too many fields is set aside. Rows behind the end mark are none; a
table without one may be cut off, which is an error in a dump and stated in other files.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import BLOCK_BYTES_PER_MB, WRONG_FIELDS, Batch, Fault
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import Format, Layout, find_columns
from sbir_toolkit.sources.records import RECORD_BYTES, decode_loosely
from sbir_toolkit.sources.values import text_bytes

AFTER_THE_END = "the line stands after the end of the table"
TOO_LONG = "the line is longer than a mebibyte"

_RAW_CHARACTERS = 2_000
_END = b"\\."
_BOM = b"\xef\xbb\xbf"
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.|\Z)", re.S)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_FIELD = re.compile(rb"(?:[^\t\\]|\\.)*+\\?", re.S)


def read_copy_text(
    stream: ByteStream,
    columns: Sequence[str],
    form: Format,
    limits: params.Limits,
    *,
    where: object,
    is_marked: bool,
) -> Iterator[Batch]:
    r"""Read COPY text in batches of at most `limits.read_rows` records.

    Parameters
    ----------
    stream
        The text, uncompressed.
    columns
        The columns' names in the file's order.
    form
        What the file should hold.
    limits
        How much may be in memory at once.
    where
        The file, for messages.
    is_marked
        Whether a line `\.` must end it, as in a dump.

    Yields
    ------
    Batch
        In the file's order; only the columns of `form` are in it. The first one is empty.

    Raises
    ------
    InputError
        When a required column isn't among `columns`, or a dump's table is cut off.
    """
    found = find_columns(columns, form, where)
    used = sorted(set(found.positions.values()))
    places = {column: used.index(at) for column, at in found.positions.items()}
    layout = dataclasses.replace(found, positions=places)
    yield _batch(_Lines.none(), layout, used, Counter())
    reader = _LineReader(stream, limits.memory_mb * BLOCK_BYTES_PER_MB)
    for lines in reader:
        yield from _split(_parse(lines, layout, used), limits.read_rows)
    if reader.is_ended:
        return
    if is_marked:
        raise InputError(
            explain(
                "the table is cut off",
                where=f"{where}, line {reader.line}",
                expected="a line \\. at its end",
                got="the end of the file",
                todo="download the dump again",
            )
        )
    told = (*layout.assumptions, "the file has no end mark \\., so nothing shows whether it is whole")
    yield _batch(_Lines.none(), dataclasses.replace(layout, assumptions=told), used, Counter())


@dataclass(frozen=True)
class _Lines:
    """Whole lines of a file, the ordinal of the first as a record, and where each is in the file."""

    data: bytes
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    faults: tuple[Fault, ...] = ()
    repaired: Counter[str] = dataclasses.field(default_factory=Counter)

    @staticmethod
    def none() -> _Lines:
        return _Lines(b"", np.array([], dtype=np.int64), np.array([], dtype=np.int64))

    @functools.cached_property
    def ends(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.frombuffer(self.data, dtype=np.uint8) == ord("\n"))

    def line(self, index: int) -> bytes:
        start = int(self.ends[index - 1]) + 1 if index else 0
        return self.data[start : int(self.ends[index])]

    def raw(self, index: int) -> str:
        return decode_loosely(self.line(index))


class _LineReader:
    """Cuts a stream into blocks of whole lines up to the end mark; mends what is no clean text."""

    def __init__(self, stream: ByteStream, block_bytes: int) -> None:
        self._stream = stream
        self._block_bytes = max(block_bytes, RECORD_BYTES)
        self._row = 1
        self.line = 1
        self.is_ended = False

    def __iter__(self) -> Iterator[_Lines]:
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
            if size:
                yield self._take(data[:size])
            if len(rest) > RECORD_BYTES:
                yield self._set_aside(rest)
                rest, is_in_long_line = b"", True

    def _take(self, data: bytes) -> _Lines:
        if self.is_ended or data.startswith(_END) or b"\n" + _END in data:
            return self._walk(data)
        has_odd = b"\0" in data or b"\r" in data or b"\n\n" in data or data.startswith(b"\n")
        if has_odd or _may_have_long_line(data) or not _is_utf8(data):
            return self._walk(data)
        return self._number(data)

    def _number(self, data: bytes) -> _Lines:
        count = data.count(b"\n")
        rows, lines = self._row + np.arange(count), self.line + np.arange(count)
        self._row += count
        self.line += count
        return _Lines(data, rows, lines)

    def _walk(self, data: bytes) -> _Lines:
        """Take a block line by line."""
        kept: list[bytes] = []
        rows: list[int] = []
        lines: list[int] = []
        faults: list[Fault] = []
        repaired: Counter[str] = Counter()
        for filed in data[:-1].split(b"\n"):
            text = filed.removesuffix(b"\r")
            if text == _END and not self.is_ended:
                self.is_ended = True
            elif not text:
                repaired["blank_line"] += not self.is_ended
            elif self.is_ended or len(text) > RECORD_BYTES:
                reason = AFTER_THE_END if self.is_ended else TOO_LONG
                faults.append(self._fault(text, reason))
            else:
                kept.append(_clean(text, repaired))
                rows.append(self._row)
                lines.append(self.line)
                self._row += 1
            self.line += 1
        joined = b"".join(text + b"\n" for text in kept)
        return _Lines(joined, np.array(rows, np.int64), np.array(lines, np.int64), tuple(faults), repaired)

    def _set_aside(self, text: bytes) -> _Lines:
        fault = self._fault(text, TOO_LONG)
        self.line += 1
        return dataclasses.replace(_Lines.none(), faults=(fault,))

    def _fault(self, text: bytes, reason: str) -> Fault:
        self._row += 1
        raw = decode_loosely(text[:_RAW_CHARACTERS])
        return Fault(self._row - 1, self.line, None, None, reason, raw)


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


def _clean(text: bytes, repaired: Counter[str]) -> bytes:
    if b"\0" in text:
        repaired["nul_byte"] += 1
        text = text.replace(b"\0", b"")
    if b"\r" in text:
        repaired["carriage_return"] += 1
        text = text.replace(b"\r", b"\\r")
    try:
        text.decode()
    except UnicodeDecodeError:
        repaired["not_utf8"] += 1
        text = decode_loosely(text).encode()
    return text


def _parse(lines: _Lines, layout: Layout, used: list[int]) -> Batch:
    """Cut lines into fields; lines with another number of fields are mended or set aside."""
    repaired = Counter(lines.repaired)
    table, skipped = _cut(lines.data, len(layout.header), used)
    if skipped:
        lines = _set_aside_odd(lines, len(layout.header), repaired)
        table, _ = _cut(lines.data, len(layout.header), used)
    columns = [_unescape(column.combine_chunks(), repaired) for column in table.columns]
    parsed = pa.table({str(at): column for at, column in enumerate(columns)})
    return dataclasses.replace(_batch(lines, layout, used, repaired), table=parsed)


def _batch(lines: _Lines, layout: Layout, used: list[int], repaired: Counter[str]) -> Batch:
    table = pa.table({str(at): pa.array([], pa.string()) for at in range(len(used))})
    return Batch(table, layout, lines.rows, lines.lines, lines.raw, lines.faults, +repaired)


def _split(batch: Batch, rows: int) -> Iterator[Batch]:
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


def _raw_behind(batch: Batch, first: int, index: int) -> str:
    return batch.raw(first + index)


def _cut(data: bytes, wanted: int, used: list[int]) -> tuple[pa.Table, int]:
    """Cut lines into the fields that are used; tell how many lines have another number of fields."""
    skipped = 0

    def skip(row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    names = [str(at) for at in range(wanted)]
    included = [names[at] for at in used]
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in included}), 0
    table = pa_csv.read_csv(
        pa.py_buffer(data),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(
            delimiter="\t", quote_char=False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(included, pa.string()),
            include_columns=included,
            null_values=["\\N"],
            strings_can_be_null=True,
            check_utf8=False,
        ),
    )
    return table, skipped


def _set_aside_odd(lines: _Lines, wanted: int, repaired: Counter[str]) -> _Lines:
    kept: list[bytes] = []
    places: list[int] = []
    faults = list(lines.faults)
    for index, text in enumerate(lines.data[:-1].split(b"\n")):
        count = text.count(b"\t") + 1
        fields = _FIELD.findall(text)[::2] if count > wanted and b"\\\t" in text else []
        if count == wanted:
            places.append(index)
            kept.append(text)
        elif len(fields) == wanted:
            repaired["escaped_tab"] += 1
            places.append(index)
            kept.append(b"\t".join(field.replace(b"\\\t", b"\\t") for field in fields))
        else:
            row, line = int(lines.rows[index]), int(lines.lines[index])
            raw = lines.raw(index)[:_RAW_CHARACTERS]
            faults.append(Fault(row, line, None, f"{count} fields", WRONG_FIELDS, raw))
    data = b"".join(text + b"\n" for text in kept)
    return _Lines(data, lines.rows[places], lines.lines[places], tuple(faults), lines.repaired)


def _unescape(values: pa.Array, repaired: Counter[str]) -> pa.Array:
    _, codes = text_bytes(values)
    if not (codes == ord("\\")).any():
        return values
    is_escaped = pc.fill_null(pc.match_substring(values, "\\"), False)
    texts = values.filter(is_escaped).to_pylist()
    repaired["lone_backslash"] += sum(_ends_alone(text) for text in texts)
    plain = [decode_loosely(_ESCAPE.sub(_read_escape, text.encode())) for text in texts]
    return pc.replace_with_mask(values, is_escaped, pa.array(plain, pa.string()))


def _ends_alone(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _read_escape(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    if not code:
        return b"\\"
    if code[0] in b"01234567":
        number = int(code, 8)
    elif code.startswith(b"x") and len(code) > 1:
        number = int(code[1:], 16)
    else:
        return _ESCAPES.get(code, code)
    return bytes([number % 256]).strip(b"\0")
