"""Reading records written as JSON: an array of objects, or an object on each line.

SBIR.gov's interface answers with an array; over the years its values were strings, numbers or null, and keys
came and went. So every value is taken as the text that stands there, and each record may have keys of its
own. An object that can't be read is set aside up to the next line that begins with one; an array without its
end is cut off, and an error.
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

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import Batch, Fault
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import Format, find_columns
from sbir_toolkit.sources.records import RECORD_BYTES, decode_loosely

BROKEN = "the JSON object can't be read"
NO_OBJECT = "the value is no JSON object"

_RAW_CHARACTERS = 2_000
_BLOCK_BYTES = 1 << 20
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
    reader = _Reader(stream, where)
    keys: dict[str, None] = {}
    records: list[_Record] = []
    for record in reader.records():
        if isinstance(record, _Record):
            if not keys:
                find_columns(list(record.values), form, where)
            keys.update(dict.fromkeys(record.values))
            records.append(record)
        if len(records) + len(reader.faults) >= limits.read_rows:
            yield _batch(records, list(keys), form, reader)
            records = []
    if records or reader.faults:
        yield _batch(records, list(keys), form, reader)


@dataclass(frozen=True)
class _Record:
    values: dict[str, object]
    raw: str
    row: int
    line: int


class _Reader:
    """Cuts a stream of JSON into its objects."""

    def __init__(self, stream: ByteStream, where: object) -> None:
        self._stream = stream
        self._where = where
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._scan = json.JSONDecoder(parse_float=str, parse_int=str, strict=False).raw_decode
        self._text = ""
        self._at = 0
        self._row = 0
        self._line = 1
        self._is_all = False
        self.faults: list[Fault] = []
        self.repaired: Counter[str] = Counter()

    def records(self) -> Iterator[_Record | None]:
        """Give the objects; None for each that was set aside."""
        self._more()
        self._text = self._text.removeprefix("\ufeff")
        is_array = self._peek() == "["
        self._drop(self._at + is_array)
        while first := self._peek():
            if is_array and first == "]":
                is_array = False
                self._drop(self._at + 1)
                continue
            yield self._next(is_array)
        if is_array:
            raise self._cut_off()

    def _next(self, is_array: bool) -> _Record | None:
        while True:
            try:
                value, stop = self._scan(self._text, self._at)
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
        if not isinstance(value, dict):
            self._set_aside(stop, NO_OBJECT)
            return None
        self._row += 1
        record = _Record(_with_plain_keys(value), self._text[self._at : stop], self._row, self._line)
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
        data = self._stream.read(_BLOCK_BYTES)
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


def _batch(records: list[_Record], keys: list[str], form: Format, reader: _Reader) -> Batch:
    layout = find_columns(keys, form, "") if keys else find_columns(list(form.aliases), form, "")
    repaired: Counter[str] = Counter(reader.repaired)
    columns = {
        str(at): _column([record.values.get(key) for record in records], repaired)
        for at, key in enumerate(layout.header)
    }
    rows = np.array([record.row for record in records], dtype=np.int64)
    lines = np.array([record.line for record in records], dtype=np.int64)
    faults, reader.faults = tuple(reader.faults), []
    raws = [record.raw for record in records]
    return Batch(pa.table(columns), layout, rows, lines, lambda index: _plain(raws[index]), faults, +repaired)


def _column(values: list[object], repaired: Counter[str]) -> pa.Array:
    """Give a column as text; only what isn't all clean text is looked at value by value."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return pa.array([_as_text(value, repaired) for value in values], pa.string())


def _as_text(value: object, repaired: Counter[str]) -> str:
    if isinstance(value, str):
        if value.isascii():
            return value
        plain = _plain(value)
        repaired["not_utf8"] += plain != value
        return plain
    if value is None:
        return ""
    if isinstance(value, list):
        return "|".join(_as_text(item, repaired) for item in value)
    return json.dumps(value)


def _with_plain_keys(values: dict[str, object]) -> dict[str, object]:
    if "".join(values).isascii():
        return values
    return {_plain(key): value for key, value in values.items()}


def _plain(text: str) -> str:
    """Give text that can be stored: foreign bytes are taken for Windows-1252, half a character is dropped."""
    whole = _HALVES.sub("", text)
    return decode_loosely(whole.encode("utf-8", "surrogateescape"))
