r"""Reading SAM.gov's public monthly extract of entity registrations, layout V2.

The extract has no header: fields are told by their place, 142 on a line with a bar between them and `!end` as
the last one. The first and the last line say how many records there are. Free text isn't quoted, so a bar in
a name makes a field too many; SAM wraps such a field in NUL bytes or writes the bar as `|\|`, and both are
undone here. A record that was broken over two lines is put together again. Persons' fields are not read.

References
----------
GSA, "SAM Master Extract Mapping", layout of the public extract V2.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import Batch
from sbir_toolkit.sources.files import ByteStream
from sbir_toolkit.sources.formats import AWARD_FORMAT, Format, Layout
from sbir_toolkit.sources.lines import Dialect, LineReader, Lines, block_bytes, parse_lines, split_batch

_FIELDS = 142
_END = b"|!end"
_NOTES = (b"BOF ", b"EOF ")
_NOTE = re.compile(rb"(BOF|EOF) (\w+) (?:(V\d) )?\d{8} (\d{8}) (\d{7}) \d{7}")
_WRAPPED = re.compile(rb"\|\x00([^\x00]*)\x00(?=\|)")
_PLACES = {  # from 0
    "uei": 0,
    "cage": 3,
    "recipient_name": 11,
    "alternate_names": 12,
    "address1": 15,
    "city": 17,
    "state": 18,
    "zip5": 19,
    "country": 21,
    "business_types": 31,
    "naics": 32,
}
_NAICS_LIST, _LAST = 34, 141
_REPEATS = "another registration of the same recipient"
_MARK = "\ufffc"  # stands for a bar in a text until the fields are cut


def is_extract(head: bytes) -> bool:
    """Tell from its beginning whether a file is an extract of SAM.gov."""
    return head.removeprefix(b"\xef\xbb\xbf").startswith((b"BOF PUBLIC", b"BOF FOUO", b"BOF SENSITIVE"))


def read_sam(stream: ByteStream, form: Format, limits: params.Limits, *, where: object) -> Iterator[Batch]:
    """Read an extract in batches of at most `limits.read_rows` records.

    Parameters
    ----------
    stream
        The extract, uncompressed.
    form
        What the file should hold.
    limits
        How much may be in memory at once.
    where
        The file, for messages.

    Yields
    ------
    Batch
        In the file's order. The first and the last one are empty; the last one says what was assumed.

    Raises
    ------
    InputError
        When it is cut off, isn't the public extract in layout V2, or holds no awards where those are wanted.
    """
    if form is AWARD_FORMAT:
        raise InputError(
            explain(
                "this is no file of SBIR awards",
                where=where,
                expected=form.name,
                got="SAM.gov's extract of entity registrations",
                todo="give it as the recipients",
            )
        )
    used = [*_PLACES.values(), _NAICS_LIST, _LAST]
    told = "fields are told by their place in SAM.gov's public layout V2; those about persons are left out"
    places = {column: at for at, column in enumerate(_PLACES)} | {"source": len(used)}
    layout = Layout(tuple(map(str, range(_FIELDS))), places, (told,))
    dialect = _Extract(where)
    reader = LineReader(stream, dialect, block_bytes(limits))
    for lines in reader:
        batch = _complete(parse_lines(lines, layout, used, dialect))
        yield from split_batch(batch, limits.read_rows)
    if not reader.is_ended:
        raise InputError(
            explain(
                "the extract is cut off",
                where=f"{where}, line {reader.line}",
                expected="a last line that begins with EOF",
                got="the end of the file",
                todo="download it again",
            )
        )
    if dialect.declared not in (None, reader.records):
        counts = f"it says that it has {dialect.declared:,} records and has {reader.records:,}"
        layout = dataclasses.replace(layout, assumptions=(told, counts))
    yield _complete(parse_lines(Lines.none(), layout, used, dialect))


class _Extract(Dialect):
    """A bar between fields, `!end` as the last one; the first and the last line are about the file."""

    def __init__(self, where: object) -> None:
        super().__init__("|", _FIELDS, _NOTES)
        self._where = where
        self.declared: int | None = None

    def is_regular(self, data: bytes) -> bool:
        return data.count(_END + b"\n") == data.count(b"\n") and super().is_regular(data)

    def is_end(self, line: bytes) -> bool:
        return line.startswith(_NOTES[1]) and self._read_note(line)

    def is_note(self, line: bytes) -> bool:
        return line.startswith(_NOTES[0]) and self._read_note(line)

    def is_whole(self, line: bytes) -> bool:
        return line.endswith(_END)

    def is_record(self, line: bytes) -> bool:
        is_all = line.endswith(_END) and line.count(b"|") >= _FIELDS - 1
        return is_all or _NOTE.fullmatch(line) is not None

    def clean(self, line: bytes, repaired: Counter[str]) -> bytes:
        if b"\0" in line and line.count(b"|") >= _FIELDS:
            line, count = _WRAPPED.subn(_mark_bars, line)
            repaired["bar_in_text"] += count > 0
        line = line.replace(b"\r", b" ")
        return super().clean(line, repaired)

    def mend(self, line: bytes, repaired: Counter[str]) -> bytes | None:
        joined = line.replace(b"|\\|", _MARK.encode())
        if joined.count(b"|") != _FIELDS - 1:
            return None
        repaired["bar_in_text"] += 1
        return joined

    def finish(self, values: pa.Array, repaired: Counter[str]) -> pa.Array:
        return pc.replace_substring(values, _MARK, "|")

    def _read_note(self, line: bytes) -> bool:
        note = _NOTE.fullmatch(line.rstrip())
        if note is None:
            return False
        if (note[2], note[3]) != (b"PUBLIC", b"V2"):
            raise InputError(
                explain(
                    "the extract of SAM.gov is of another kind",
                    where=self._where,
                    expected="the public monthly extract in layout V2",
                    got=line.decode("ascii", "replace"),
                    todo="download SAM_PUBLIC_UTF-8_MONTHLY_V2_*.ZIP",
                )
            )
        self.declared = int(note[5])
        return True


def _mark_bars(wrapped: re.Match[bytes]) -> bytes:
    return b"|" + wrapped[1].replace(b"|", _MARK.encode())


def _complete(batch: Batch) -> Batch:
    """Put the primary NAICS code before the others, and say where the records come from."""
    columns = batch.table.columns
    at = list(_PLACES).index("naics")
    columns[at] = pc.binary_join_element_wise(columns[at], columns[-2], "~")
    source = pa.array(["sam"] * batch.table.num_rows, pa.string())
    names = [str(number) for number in range(len(columns) + 1)]
    table = pa.table([*columns, source], names=names)
    return dataclasses.replace(batch, table=table, repeats=_REPEATS)
