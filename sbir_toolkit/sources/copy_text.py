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
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import Batch
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import Format, find_columns
from sbir_toolkit.sources.lines import Dialect, LineReader, Lines, block_bytes, parse_lines, split_batch
from sbir_toolkit.sources.records import decode_loosely
from sbir_toolkit.sources.values import text_bytes

_END = b"\\."
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
    dialect = _CopyText(len(columns))
    yield parse_lines(Lines.none(), layout, used, dialect)
    reader = LineReader(stream, dialect, block_bytes(limits))
    for lines in reader:
        yield from split_batch(parse_lines(lines, layout, used, dialect), limits.read_rows)
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
    yield parse_lines(Lines.none(), dataclasses.replace(layout, assumptions=told), used, dialect)


class _CopyText(Dialect):
    r"""A tab between fields, escapes with a backslash, `\N` for null, `\.` at the end."""

    def __init__(self, fields: int) -> None:
        super().__init__("\t", fields, (_END,), ("\\N",))

    def is_end(self, line: bytes) -> bool:
        return line == _END

    def clean(self, line: bytes, repaired: Counter[str]) -> bytes:
        if b"\r" in line:
            repaired["carriage_return"] += 1
            line = line.replace(b"\r", b"\\r")
        return super().clean(line, repaired)

    def mend(self, line: bytes, repaired: Counter[str]) -> bytes | None:
        fields = _FIELD.findall(line)[::2] if b"\\\t" in line else []
        if len(fields) != self.fields:
            return None
        repaired["escaped_tab"] += 1
        return b"\t".join(field.replace(b"\\\t", b"\\t") for field in fields)

    def finish(self, values: pa.Array, repaired: Counter[str]) -> pa.Array:
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
