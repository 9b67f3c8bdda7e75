"""Reading records written as JSON: an array of objects, or an object on each line.

SBIR.gov's interface answers with an array; over the years its values were strings, numbers or null, and keys
came and went. So every value is taken as the text that stands there, and each record may have keys of its
own. An object that can't be read is set aside up to the next line that begins with one; an array without its
end is cut off, and an error.

Where records are all alike, many are read at once (`json_blocks`); where they aren't, one after the other,
and after a while the next block is tried.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import BLOCK_BYTES_PER_MB, Batch, Fault
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import Format, Layout, find_columns
from sbir_toolkit.sources.json_blocks import BlockReader, Objects
from sbir_toolkit.sources.records import RECORD_BYTES, decode_loosely

BROKEN = "the JSON object can't be read"
NO_OBJECT = "the value is no JSON object"

_RAW_CHARACTERS = 2_000
_LEAST_BLOCK_BYTES = 1 << 20
_MOST_SINGLY = 1 << 17
_GAP = re.compile(r"[\s,\x1e]*")
_NEXT = re.compile(r"\n[\s,]*(?=\{)")
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_LOOKS = re.compile(rb"\s*(\[\s*[\[\]{\"0-9ntf]|\{\s*[\"}])")


def is_json(head: bytes) -> bool:
    """Tell from its beginning whether a file is JSON."""
    return _LOOKS.match(head.removeprefix(codecs.BOM_UTF8)) is not None


def read_json_records(
    stream: ByteStream, form: Format, limits: params.Limits, *, where: object
) -> Iterator[Batch]:
    """Read records in batches of at most `limits.read_rows`.

    Parameters
    ----------
    stream
        The text, uncompressed.
    form
        What the file should hold.
    limits
        How much may be in memory at once.
    where
        The file, for messages.

    Yields
    ------
    Batch
        In the file's order.

    Raises
    ------
    InputError
        When the first record lacks what is required, or an array is cut off.
    """
    reader = _Reader(stream, limits, where)
    keys: dict[str, None] = {}
    records: list[_Record] = []
    for record in reader.records():
        if isinstance(record, _Block):
            if records or reader.faults:
                yield _batch(records, _layout(keys, form, where), reader)
                records = []
            keys.update(dict.fromkeys(record.table.column_names))
            yield _block_batch(record, _layout(keys, form, where))
            continue
        if isinstance(record, _Record):
            if not keys and record.values:
                find_columns(list(record.values), form, where)
            keys.update(dict.fromkeys(record.values))
            records.append(record)
        if len(records) + len(reader.faults) >= limits.read_rows:
            yield _batch(records, _layout(keys, form, where), reader)
            records = []
    if records or reader.faults:
        yield _batch(records, _layout(keys, form, where), reader)


@dataclass(frozen=True)
class _Record:
    values: dict[str, str | None]
    raw: str
    row: int
    line: int


@dataclass(frozen=True)
class _Block:
    """Many records at once; `data` is their text, and each begins and ends at a place in it."""

    data: bytes
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    table: pa.Table

    def raw(self, index: int) -> str:
        return self.data[self.starts[index] : self.stops[index]].decode()


class _Reader:
    """Cuts a stream of JSON into its objects."""

    def __init__(self, stream: ByteStream, limits: params.Limits, where: object) -> None:
        self._stream = stream
        self._where = where
        self._most = limits.read_rows
        self._block_bytes = max(limits.memory_mb * BLOCK_BYTES_PER_MB, _LEAST_BLOCK_BYTES)
        self._blocks = BlockReader()
        # The first record says what the file is, so it is looked at by itself. Where a block can't be read at
        # once, ever more records are read singly before another is tried.
        self._singly, self._patience = 1, 500
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._scan = json.JSONDecoder(parse_float=str, parse_int=str, strict=False).raw_decode
        self._text = ""
        self._at = 0
        self._row = 0
        self._line = 1
        self._is_all = False
        self.faults: list[Fault] = []

    def records(self) -> Iterator[_Record | _Block | None]:
        """Give the objects, many at once where that can be; None for each that was set aside."""
        self._more()
        self._text = self._text.removeprefix("\ufeff")
        is_array = self._peek() == "["
        self._drop(self._at + is_array)
        while first := self._peek():
            if is_array and first == "]":
                is_array = False
                self._drop(self._at + 1)
                continue
            if first == "{" and not self._singly:
                block = self._take_block()
                if block is not None:
                    self._patience = 500
                    yield block
                    continue
                self._patience = min(2 * self._patience, _MOST_SINGLY)
                self._singly = self._patience
            self._singly = max(0, self._singly - 1)
            yield self._next(is_array)
        if is_array:
            raise self._cut_off()

    def _take_block(self) -> _Block | None:
        while not self._is_all and len(self._text) - self._at < self._block_bytes:
            self._more()
        try:
            data = self._text[self._at : self._at + self._block_bytes].encode()
        except UnicodeEncodeError:
            return None
        found = self._blocks.read(data, self._most)
        return None if found is None else self._drop_block(data, found)

    def _drop_block(self, data: bytes, found: Objects) -> _Block:
        breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        lines = self._line + np.searchsorted(breaks, found.starts)
        rows = self._row + 1 + np.arange(len(found.starts))
        self._row += len(rows)
        self._drop(self._at + len(data[: found.stops[-1]].decode()))
        return _Block(data, found.starts, found.stops, rows, lines, found.table)

    def _next(self, is_array: bool) -> _Record | None:
        while True:
            try:
                value, stop = self._scan(self._text, self._at)
                values = _flatten(value) if isinstance(value, dict) else None
            except (ValueError, RecursionError):
                if not self._is_all and len(self._text) - self._at <= RECORD_BYTES:
                    self._more()
                    continue
                found = _NEXT.search(self._text, self._at)
                if self._is_all and is_array and found is None:
                    raise self._cut_off() from None
                self._set_aside(found.end() if found else len(self._text), BROKEN)
                return None
            if stop == len(self._text) and not self._is_all:
                self._more()  # a number or a word may go on
                continue
            break
        if values is None:
            self._set_aside(stop, NO_OBJECT)
            return None
        self._row += 1
        record = _Record(values, self._text[self._at : stop], self._row, self._line)
        self._drop(stop)
        return record

    def _set_aside(self, stop: int, reason: str) -> None:
        self._row += 1
        raw = _plain(self._text[self._at : min(stop, self._at + _RAW_CHARACTERS)]).rstrip()
        self.faults.append(Fault(self._row, self._line, None, None, reason, raw))
        self._drop(stop)

    def _cut_off(self) -> InputError:
        return InputError(
            explain(
                "the JSON is cut off",
                where=f"{self._where}, line {self._line}",
                expected="a ] at the end of the array",
                got="the end of the file",
                todo="download it again",
            )
        )

    def _more(self) -> None:
        data = self._stream.read(self._block_bytes)
        self._is_all = not data
        self._text = self._text[self._at :] + self._decode.decode(data, final=self._is_all)
        self._at = 0

    def _peek(self) -> str:
        """Give the next character that isn't between values; none at the end."""
        while True:
            gap = _GAP.match(self._text, self._at)
            self._drop(gap.end() if gap else self._at)
            if self._at < len(self._text) or self._is_all:
                return self._text[self._at : self._at + 1]
            self._more()

    def _drop(self, stop: int) -> None:
        self._line += self._text.count("\n", self._at, stop)
        self._at = stop


def _layout(keys: dict[str, None], form: Format, where: object) -> Layout:
    """Say where the columns are among all keys so far; until there is one all are taken to be blank."""
    return find_columns(list(keys or form.aliases), form, where)


def _batch(records: list[_Record], layout: Layout, reader: _Reader) -> Batch:
    repaired: Counter[str] = Counter()
    columns = {
        str(at): _column([record.values.get(key) for record in records], repaired)
        for at, key in enumerate(layout.header)
    }
    rows = np.array([record.row for record in records], dtype=np.int64)
    lines = np.array([record.line for record in records], dtype=np.int64)
    faults, reader.faults = tuple(reader.faults), []
    raws = [record.raw for record in records]
    return Batch(pa.table(columns), layout, rows, lines, lambda index: _plain(raws[index]), faults, +repaired)


def _block_batch(block: _Block, layout: Layout) -> Batch:
    nothing = pa.nulls(len(block.rows), pa.string())
    known = set(block.table.column_names)
    columns = {
        str(at): block.table[key].cast(pa.string()) if key in known else nothing
        for at, key in enumerate(layout.header)
    }
    return Batch(pa.table(columns), layout, block.rows, block.lines, block.raw, (), Counter())


def _column(values: list[str | None], repaired: Counter[str]) -> pa.Array:
    """Give a column as text; only where not all is clean text it is looked at value by value."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        mended = [value and _plain(value) for value in values]
        repaired["not_utf8"] += sum(new != old for new, old in zip(mended, values, strict=True))
        return pa.array(mended, pa.string())


def _flatten(record: dict[str, object]) -> dict[str, str | None]:
    """Give each value as text, under a key that can be stored."""
    values = {
        key: value if value is None or isinstance(value, str) else _as_text(value)
        for key, value in record.items()
    }
    return values if "".join(values).isascii() else {_plain(key): value for key, value in values.items()}


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return "|".join(map(_as_text, value))
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def _plain(text: str) -> str:
    """Give text that can be stored: foreign bytes are taken for Windows-1252, half a character is dropped."""
    whole = _HALVES.sub("", text)
    return decode_loosely(whole.encode("utf-8", "surrogateescape"))
