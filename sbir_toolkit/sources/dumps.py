"""What a PostgreSQL dump says about itself: which file holds which table, and the order of its columns.

USAspending publishes its database as `pg_dump` writes it in directory format: a file `toc.dat` and one file
of COPY text for each table, named by a number that changes with every dump. Neither the numbers nor the order
of the columns can be remembered from one dump to the next; both stand in `toc.dat`, in the statement that
would load the table again. This is a reader of that file for archive versions 1.12 to 1.16 (PostgreSQL 9 to
17).

References
----------
PostgreSQL, `src/bin/pg_dump/pg_backup_archiver.c`, `ReadHead` and `ReadToc`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sbir_toolkit.errors import InputError, explain

MAGIC = b"PGDMP"

_OLDEST, _NEWEST = (1, 12), (1, 16)
_CUSTOM_FORMAT = 1
_COPY = re.compile(r"COPY (?P<table>.+?) \((?P<columns>.*)\) FROM stdin", re.S)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^",\s]+)')


@dataclass(frozen=True)
class DumpedTable:
    """A table of a dump.

    Parameters
    ----------
    schema, name
        What it is called.
    columns
        Its columns in the order of the file.
    file
        The file that holds its rows, without the suffix of its compression, such as `5412.dat`.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    file: str


def read_contents(data: bytes, where: object) -> list[DumpedTable]:
    """Read a dump's table of contents.

    Parameters
    ----------
    data
        The whole `toc.dat`.
    where
        Which one, for messages.

    Returns
    -------
    list of DumpedTable
        The tables whose rows are in the dump, in its order.

    Raises
    ------
    InputError
        When it is damaged, of a version that isn't known, or belongs to another format of dump.
    """
    reader = _Reader(data, where)
    version = reader.read_head()
    tables = []
    for _ in range(reader.integer()):
        kind, tag, schema, copy, file = reader.read_entry(version)
        if kind != "TABLE DATA":
            continue
        statement = _COPY.search(copy)
        if statement is None or not file:
            raise reader.refuse(f"the table {tag} without a COPY statement or a file")
        columns = tuple(_plain(found) for found in _NAME.finditer(statement["columns"]))
        tables.append(DumpedTable(schema, tag, columns, file))
    return tables


def find_table(tables: list[DumpedTable], wanted: tuple[str, ...], where: object) -> DumpedTable:
    """Find the first of some tables that a dump has.

    Parameters
    ----------
    tables
        What the dump has.
    wanted
        Names, with or without their schema, the preferred one first.
    where
        Which dump, for messages.

    Raises
    ------
    InputError
        When it has none of them.
    """
    for name in wanted:
        for table in tables:
            if name in {table.name, f"{table.schema}.{table.name}"}:
                return table
    names = sorted(f"{table.schema}.{table.name}" for table in tables)
    raise InputError(
        explain(
            "the dump doesn't have the table",
            where=where,
            expected=" or ".join(wanted),
            got=", ".join(names)[:500] or "no table with rows",
            todo="name a table of recipients that it has: -p recipients.table=NAME",
        )
    )


class _Reader:
    """Reads the numbers and texts of a table of contents, never beyond its end."""

    def __init__(self, data: bytes, where: object) -> None:
        self._data = data
        self._where = where
        self._at = 0
        self._integer_bytes = 4

    def refuse(self, got: str) -> InputError:
        return InputError(
            explain(
                "the dump's table of contents can't be read",
                where=f"{self._where}, byte {self._at:,}",
                expected=f"a whole toc.dat of pg_dump in directory format, archive version "
                f"{'.'.join(map(str, _OLDEST))} to {'.'.join(map(str, _NEWEST))}",
                got=got,
                todo="download the dump again, or write the table with psql's \\copy to a CSV file",
            )
        )

    def read_head(self) -> tuple[int, int]:
        """Read what stands before the entries; give the archive's version."""
        if self._take(len(MAGIC)) != MAGIC:
            raise self.refuse("a file that isn't of pg_dump")
        major, minor, _, self._integer_bytes, _, form = self._take(6)
        version = (major, minor)
        if not _OLDEST <= version <= _NEWEST:
            raise self.refuse(f"archive version {major}.{minor}")
        if form == _CUSTOM_FORMAT:
            raise self.refuse("a dump in custom format")
        if self._integer_bytes not in (4, 8):
            raise self.refuse(f"numbers of {self._integer_bytes} bytes")
        if version >= (1, 15):
            self._take(1)  # the algorithm of compression; the files tell theirs themselves
        else:
            self.integer()
        for _ in range(7):
            self.integer()  # when it was made
        for _ in range(3):
            self._text()  # the database, the versions of server and pg_dump
        return version

    def read_entry(self, version: tuple[int, int]) -> tuple[str, str, str, str, str]:
        """Read an entry; give its kind, name, schema, COPY statement and file."""
        self.integer()
        self.integer()
        self._text()
        self._text()
        tag, kind = self._text(), self._text()
        self.integer()
        self._text()
        self._text()
        copy, schema = self._text(), self._text()
        self._text()
        if version >= (1, 14):
            self._text()  # access method
        if version >= (1, 16):
            self.integer()  # kind of relation
        self._text()
        self._text()
        while self._text_or_none() is not None:
            pass  # what it depends on
        return kind, tag, schema, copy, self._text()

    def integer(self) -> int:
        """Read a number: its sign, then its bytes, the lowest first."""
        sign = self._take(1)[0]
        value = int.from_bytes(self._take(self._integer_bytes), "little")
        return -value if sign else value

    def _text(self) -> str:
        return self._text_or_none() or ""

    def _text_or_none(self) -> str | None:
        size = self.integer()
        if size < 0:
            return None
        return self._take(size).decode("utf-8", "replace")

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise self.refuse(f"{len(self._data):,} bytes, cut off or damaged")
        self._at += size
        return self._data[self._at - size : self._at]


def _plain(name: re.Match[str]) -> str:
    return name[2] if name[1] is None else name[1].replace('""', '"')
