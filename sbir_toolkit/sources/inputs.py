"""From what was named as an input to batches of its records.

What is named may be one table or hold many: an archive of several parts of one table, a database dump of a
hundred tables. Here it is recognised, the parts that hold the wanted records are found, and each is given to
the reader of its kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sbir_toolkit import params
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.actions import roll_up
from sbir_toolkit.sources.batches import Batch, read_csv, read_parquet
from sbir_toolkit.sources.copy_text import read_copy_text
from sbir_toolkit.sources.dumps import DumpedTable, find_table, read_contents
from sbir_toolkit.sources.files import Part, list_members, open_stream, refuse_pipe
from sbir_toolkit.sources.formats import RECIPIENT_FORMAT, Format, state_columns
from sbir_toolkit.sources.json_text import read_json_records
from sbir_toolkit.sources.recognition import CONTENTS, Look, recognise, recognise_text
from sbir_toolkit.sources.sam import read_sam

_RECIPIENT_TABLES = ("recipient_lookup", "duns")
_TABLE_SUFFIXES = (".csv", ".csv.gz", ".dat", ".dat.gz", ".txt", ".tsv", ".json", ".jsonl")
_SPREADSHEET = "[Content_Types].xml"
_LARGEST_CONTENTS = 1 << 28  # bytes; USAspending's is half a megabyte


def read_input(
    paths: Sequence[Path], form: Format, limits: params.Limits, source: params.Source
) -> Iterator[Batch]:
    """Read the records of an input in batches of at most `limits.read_rows`.

    Parameters
    ----------
    paths
        The files, or the folders of PostgreSQL dumps, in the order in which they take precedence.
    form
        What they should hold.
    limits
        How much may be in memory at once.
    source
        What is to be known of a file that doesn't say it itself.

    Yields
    ------
    Batch
        Part by part, each in its order; the recipients of award archives come at the place of the first one.

    Raises
    ------
    InputError
        When one can't be read, or isn't what it should be.
    """
    parts = [part for path in paths for part in _find_parts(path, source)]
    stated = state_columns(form, source.columns)
    archives = [part for part, look in parts if look == "actions" and form is RECIPIENT_FORMAT]
    for part, look in parts:
        if look == "parquet":
            batches = read_parquet(part.path, stated, limits)
        elif look in ("copy text", "dump"):
            batches = _read_copy(part, form, limits, source)
        elif look == "sam":
            batches = _read_sam(part, form, limits)
        elif look == "json":
            batches = _read_json(part, stated, limits)
        elif part not in archives:
            batches = read_csv(part, stated, limits)
        else:
            batches = roll_up(archives, limits) if part == archives[0] else iter(())
        yield from _name(batches, part)


def find_files(path: Path, source: params.Source) -> list[Path]:
    """Find the files that what is read from one of an input's files depends on.

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
    refuse_pipe(path)
    folder = path if path.is_dir() else path.parent
    contents = folder / CONTENTS
    if not contents.is_file() or (path.is_file() and path != contents and not _is_dumped(path)):
        return [path]
    if path.is_file() and path != contents:
        return [path, contents]
    part, _ = _find_dumped(_list_parts(path), path, source)
    return [part.path, contents]


def _find_parts(path: Path, source: params.Source) -> list[tuple[Part, Look]]:
    """Find the files, or members of an archive, that hold an input's records, and tell what each is."""
    look = recognise(path, is_header_told=bool(source.header))
    if look in {"zip", "dump"}:
        parts = _list_parts(path)
        if any(part.name == CONTENTS for part in parts):
            return [(_find_dumped(parts, path, source)[0], "dump")]
        return [(part, recognise_text(part, is_header_told=bool(source.header))) for part in parts]
    return [(Part(path), "dump" if _find_contents(Part(path)) else look)]


def _name(batches: Iterator[Batch], part: Part) -> Iterator[Batch]:
    for batch in batches:
        yield dataclasses.replace(batch, file=batch.file or part.name)


def _read_json(part: Part, form: Format, limits: params.Limits) -> Iterator[Batch]:
    with open_stream(part) as stream:
        yield from read_json_records(stream, form, limits, where=part)


def _read_sam(part: Part, form: Format, limits: params.Limits) -> Iterator[Batch]:
    with open_stream(part) as stream:
        yield from read_sam(stream, form, limits, where=part)


def _list_parts(path: Path) -> list[Part]:
    """List what an archive or a dump's folder has; of an archive without a dump only what may be tables."""
    if path.name == CONTENTS or path.is_dir():
        folder = path if path.is_dir() else path.parent
        return [Part(file) for file in sorted(folder.iterdir())]
    if recognise(path) == "dump":
        found = _read_contents(Part(path))
        raise InputError(
            explain(
                "the table of contents of a dump has lost its name",
                where=path,
                expected=f"{CONTENTS} beside the files of the dump",
                got=f"{path.name}, for {len(found)} tables",
                todo=f"put it back as {CONTENTS}, and name the folder",
            )
        )
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
    if not _is_dumped(Path(part.name)):
        return None
    if part.member is None:
        contents = Part(part.path.parent / CONTENTS)
        is_there = contents.path.is_file()
    else:
        contents = Part(part.path, str(PurePosixPath(part.member).parent / CONTENTS))
        is_there = contents.member in list_members(part.path)
    tables = _read_contents(contents) if is_there else []
    return next((table for table in tables if table.file == part.name.removesuffix(".gz")), None)


def _is_dumped(path: Path) -> bool:
    stem = path.name.removesuffix(".gz").removesuffix(".dat")
    return stem.isdigit()


def _read_contents(part: Part) -> list[DumpedTable]:
    with open_stream(part) as stream:
        return read_contents(stream.read(_LARGEST_CONTENTS), part)


def _read_copy(part: Part, form: Format, limits: params.Limits, source: params.Source) -> Iterator[Batch]:
    table = _find_contents(part)
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
