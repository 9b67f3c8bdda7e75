"""From what was named as an input to batches of its records.

What is named may be one table or hold many: an archive of several parts of one table, a database dump of a
hundred tables. Here it is recognised, the parts that hold the wanted records are found, and each is given to
the reader of its kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import Batch, read_csv, read_parquet
from sbir_toolkit.sources.copy_text import read_copy_text
from sbir_toolkit.sources.dumps import DumpedTable, find_table, read_contents
from sbir_toolkit.sources.files import Part, list_members, open_stream
from sbir_toolkit.sources.formats import Format
from sbir_toolkit.sources.recognition import CONTENTS, recognise, recognise_text
from sbir_toolkit.sources.sam import read_sam

_RECIPIENT_TABLES = ("recipient_lookup", "duns")
_TABLE_SUFFIXES = (".csv", ".csv.gz", ".dat", ".dat.gz", ".txt", ".tsv")
_SPREADSHEET = "[Content_Types].xml"
_LARGEST_CONTENTS = 1 << 28  # bytes; USAspending's is half a megabyte


def read_input(path: Path, form: Format, limits: params.Limits, source: params.Source) -> Iterator[Batch]:
    """Read the records of an input in batches of at most `limits.read_rows`.

    Parameters
    ----------
    path
        The file, or the folder of a PostgreSQL dump.
    form
        What it should hold.
    limits
        How much may be in memory at once.
    source
        What is to be known of a file that doesn't say it itself.

    Yields
    ------
    Batch
        Part by part, each in its order.

    Raises
    ------
    InputError
        When it can't be read, or isn't what it should be.
    """
    look = recognise(path)
    if look == "parquet":
        yield from _name(read_parquet(path, form, limits), Part(path))
        return
    parts = _list_parts(path)
    if any(part.name == CONTENTS for part in parts) and look != "copy text":
        dumped, wanted = _find_dumped(parts, path, source)
        yield from _name(_read_copy(dumped, wanted, form, limits, source), dumped)
        return
    for part in parts if look == "zip" else [Part(path)]:
        yield from _name(_read_text(part, form, limits, source), part)


def find_files(path: Path, source: params.Source) -> list[Path]:
    """Find the files that what is read from an input depends on.

    Parameters
    ----------
    path
        The file, or the folder of a PostgreSQL dump.
    source
        What is to be known of it.

    Returns
    -------
    list of pathlib.Path
        The file itself; of a dump in a folder its table of contents and the table's own file.
    """
    folder = path if path.is_dir() else path.parent
    contents = folder / CONTENTS
    if not contents.is_file() or (path.is_file() and path != contents and not _is_dumped(path)):
        return [path]
    if path.is_file() and path != contents:
        return [path, contents]
    part, _ = _find_dumped(_list_parts(path), path, source)
    return [part.path, contents]


def _read_text(part: Part, form: Format, limits: params.Limits, source: params.Source) -> Iterator[Batch]:
    """Read a file or a member of an archive that isn't made of others."""
    table = _find_contents(part)
    look = recognise_text(part, is_header_told=bool(source.header))
    if table or look == "copy text":
        yield from _read_copy(part, table, form, limits, source)
    elif look == "sam":
        with open_stream(part) as stream:
            yield from read_sam(stream, form, limits, where=part)
    else:
        yield from read_csv(part, form, limits)


def _name(batches: Iterator[Batch], part: Part) -> Iterator[Batch]:
    for batch in batches:
        yield dataclasses.replace(batch, file=part.name)


def _list_parts(path: Path) -> list[Part]:
    """List what an archive or a dump's folder has; of an archive without a dump only what may be tables."""
    if path.name == CONTENTS or path.is_dir():
        folder = path if path.is_dir() else path.parent
        return [Part(file) for file in sorted(folder.iterdir())]
    if recognise(path) != "zip":
        return [Part(path)]
    members = [PurePosixPath(member) for member in list_members(path)]
    names = {member.name for member in members}
    if CONTENTS in names:
        return [Part(path, str(member)) for member in members]
    tables = [
        member
        for member in members
        if member.name.lower().endswith(_TABLE_SUFFIXES) and member.parts[0] != "__MACOSX"
    ]
    if not tables:
        is_spreadsheet = _SPREADSHEET in names
        raise InputError(
            explain(
                "the zip archive holds no table that can be read",
                where=path,
                expected=f"a file that ends in {', '.join(_TABLE_SUFFIXES)}, or a dump's {CONTENTS}",
                got="an Excel file" if is_spreadsheet else ", ".join(sorted(names))[:300] or "nothing",
                todo="save the sheet as CSV" if is_spreadsheet else "check that it is the right archive",
            )
        )
    return [Part(path, str(member)) for member in sorted(tables)]


def _find_dumped(parts: list[Part], path: Path, source: params.Source) -> tuple[Part, DumpedTable]:
    """Find the part of a dump that holds the wanted table."""
    contents = [part for part in parts if part.name == CONTENTS]
    if len(contents) != 1:
        raise InputError(
            explain(
                "the archive holds more than one dump",
                where=path,
                expected=f"one file {CONTENTS}",
                got=", ".join(str(part.member) for part in contents),
                todo="unpack the one that is meant, and name its folder",
            )
        )
    wanted = (source.table,) if source.table else _RECIPIENT_TABLES
    table = find_table(_read_contents(contents[0]), wanted, path)
    folder = _folder(contents[0])
    here = {part.name: part for part in parts if _folder(part) == folder}
    for name in (table.file, f"{table.file}.gz"):
        if name in here:
            return here[name], table
    others = [name for name in here if name.startswith(f"{table.file}.")]
    raise InputError(
        explain(
            f"the dump lacks the file of its table {table.schema}.{table.name}",
            where=path,
            expected=f"{table.file}.gz beside {CONTENTS}",
            got=", ".join(others) or "no such file",
            todo="unpack it with gzip's or no compression" if others else "download the dump again",
        )
    )


def _find_contents(part: Part) -> DumpedTable | None:
    """Find what a dump says about one of its files, when its table of contents is beside it."""
    contents = part.path.parent / CONTENTS
    if part.member is not None or not _is_dumped(part.path) or not contents.is_file():
        return None
    tables = _read_contents(Part(contents))
    return next((table for table in tables if table.file == part.name.removesuffix(".gz")), None)


def _is_dumped(path: Path) -> bool:
    stem = path.name.removesuffix(".gz").removesuffix(".dat")
    return stem.isdigit()


def _read_contents(part: Part) -> list[DumpedTable]:
    with open_stream(part) as stream:
        return read_contents(stream.read(_LARGEST_CONTENTS), part)


def _read_copy(
    part: Part, table: DumpedTable | None, form: Format, limits: params.Limits, source: params.Source
) -> Iterator[Batch]:
    columns = table.columns if table else source.header
    if not columns:
        raise InputError(
            explain(
                "the file is COPY text or has tabs between its fields, and nothing says what its columns are",
                where=part,
                expected=f"the dump's {CONTENTS} beside it, or the columns' names in order in the parameters",
                got="neither",
                todo="name the dump's zip archive or folder instead, or state recipients.header",
            )
        )
    with open_stream(part) as stream:
        yield from read_copy_text(stream, columns, form, limits, where=part, is_marked=table is not None)


def _folder(part: Part) -> PurePosixPath:
    return PurePosixPath(part.member or part.path.as_posix()).parent
