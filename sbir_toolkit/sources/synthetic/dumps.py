"""A made-up dump of USAspending's database: its two tables of recipients, as `pg_dump` writes them.

The archive is a zip file of files that are compressed already, as the published one is: `toc.dat` in the form
of archive version 1.14 and one file of COPY text for each table. The numbers of the files say nothing, and
the columns stand in the production order, which isn't the one that the documentation gives.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.storage import atomic_path

LOOKUP_COLUMNS = (
    "id", "recipient_hash", "legal_business_name", "duns", "address_line_1", "address_line_2",
    "business_types_codes", "city", "congressional_district", "country_code", "parent_duns",
    "parent_legal_business_name", "state", "zip4", "zip5", "alternate_names", "source", "update_date", "uei",
    "parent_uei",
)  # fmt: skip
DUNS_COLUMNS = (
    "awardee_or_recipient_uniqu", "legal_business_name", "ultimate_parent_unique_ide",
    "ultimate_parent_legal_enti", "broker_duns_id", "update_date", "address_line_1", "address_line_2", "city",
    "congressional_district", "country_code", "state", "zip", "zip4", "business_types_codes", "dba_name",
    "entity_structure", "uei", "ultimate_parent_uei",
)  # fmt: skip

_FOLDER = "pruned_data_store_api_dump"
_OURS = {
    "awardee_or_recipient_uniqu": "duns",
    "broker_duns_id": "duns",
    "ultimate_parent_legal_enti": "parent_legal_business_name",
    "zip": "zip5",
    "ultimate_parent_uei": "parent_uei",
}
_CONSTANTS = {"update_date": "2025-04-07", "business_types_codes": "{2X}"}
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


class DumpedTable(NamedTuple):
    """A table of the dump: what it is called, its columns in order, the file that holds it."""

    schema: str
    name: str
    columns: tuple[str, ...]
    file: str


_TABLES = (
    DumpedTable("int", "duns", DUNS_COLUMNS, "5379.dat"),
    DumpedTable("rpt", "recipient_lookup", LOOKUP_COLUMNS, "5412.dat"),
)


def write_dump(
    path: Path,
    make_blocks: Callable[[], Iterator[pa.Table]],
    tables: Collection[str] = ("duns", "recipient_lookup"),
) -> None:
    """Write recipients as the dump of a database, in a zip archive.

    Parameters
    ----------
    path
        The archive.
    make_blocks
        Makes the recipients, by `sbir_toolkit.sources.synthetic.recipients.SCHEMA`; called for each table.
        All stand in `rpt.recipient_lookup`; those with a DUNS stand in `int.duns` too.
    tables
        Those of the two that the dump has.
    """
    chosen = tuple(table for table in _TABLES if table.name in tables)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(_entry("toc.dat"), write_contents(chosen))
        for table in chosen:
            member = _entry(f"{table.file}.gz")
            with (
                archive.open(member, "w", force_zip64=True) as packed,
                gzip.GzipFile("", "wb", 1, packed, mtime=0) as file,
            ):
                first = 1
                for block in make_blocks():
                    rows = block.filter(pc.is_valid(block["duns"])) if table.name == "duns" else block
                    file.write(write_copy_lines(rows, table.columns, first))
                    first += rows.num_rows
                file.write(b"\\.\n\n\n")


def write_contents(tables: tuple[DumpedTable, ...]) -> bytes:
    """Write a dump's table of contents, archive version 1.14."""
    data = b"PGDMP\x01\x0e\x00\x04\x08\x03" + _integer(-1)
    data += b"".join(_integer(part) for part in (0, 0, 5, 6, 3, 125, 0))
    data += _text("data_store_api") + _text("15.10") + _text("15.12") + _integer(2 * len(tables))
    for table in tables:
        data += _entry_bytes(table, "TABLE", "", "")
        columns = ", ".join(table.columns)
        schema = f'"{table.schema}"' if table.schema == "int" else table.schema
        copy = f"COPY {schema}.{table.name} ({columns}) FROM stdin;\n"
        data += _entry_bytes(table, "TABLE DATA", copy, table.file)
    return data


def write_copy_lines(rows: pa.Table, columns: tuple[str, ...], first: int) -> bytes:
    """Write recipients as lines of COPY text.

    Parameters
    ----------
    rows
        By `SCHEMA` of the recipients.
    columns
        The table's columns in order; those that recipients don't have are null.
    first
        The number of the first row, for a column `id`.
    """
    if not rows.num_rows:
        return b""
    fields = [_field(rows, column, first) for column in columns]
    fields[-1] = pc.binary_join_element_wise(fields[-1], "\n", "")
    lines = pc.binary_join_element_wise(*fields, "\t")
    lines = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    return b"".join(line.encode() for line in lines.to_pylist())


def _field(rows: pa.Table, column: str, first: int) -> pa.Array:
    if column == "id":
        return pa.array(range(first, first + rows.num_rows)).cast(pa.string())
    name = _OURS.get(column, column)
    if column in _CONSTANTS:
        values = pa.array([_CONSTANTS[column]] * rows.num_rows)
    elif name in rows.column_names:
        values = rows[name].combine_chunks()
    else:
        values = pa.nulls(rows.num_rows, pa.string())
    if column == "alternate_names":
        quoted = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
        listed = pc.replace_substring(quoted, "|", '","')
        values = pc.coalesce(pc.binary_join_element_wise('{"', listed, '"}', ""), "{}")
    for plain, escaped in _ESCAPES.items():
        values = pc.replace_substring(values, plain, escaped)
    return pc.fill_null(values, "\\N")


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{_FOLDER}/{name}", date_time=(2025, 4, 6, 0, 0, 0))


def _entry_bytes(table: DumpedTable, kind: str, copy: str, file: str) -> bytes:
    number = int(table.file.removesuffix(".dat")) + (kind == "TABLE")
    return b"".join(
        (
            *(_integer(number), _integer(1), _text("0"), _text("16389"), _text(table.name), _text(kind)),
            *(_integer(3), _text(""), _text(""), _text(copy), _text(table.schema), _text(""), _text("")),
            *(_text("postgres"), _text("false"), _integer(-1), _text(file)),
        )
    )


def _integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def _text(value: str) -> bytes:
    return _integer(len(value.encode())) + value.encode()
