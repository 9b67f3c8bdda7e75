"""Files that are either whole or not there.

A process can die between any two instructions, so nothing the toolkit keeps is written in place. It is
written to a temporary name in the same folder, flushed to the disk, renamed over the final name, and the
folder is flushed; after that the file is whole under its name, before it the old one (or none) is.
`atomic_path` does this for any writer, and the other writers here go through it. What a file holds is known
by its digest (`digest_file`), never by its time stamp.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 32_768
_BLOCK = 1 << 20
_MARKS = b"sbir_toolkit.degraded"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends well it becomes `path`, else it is removed.

    Parameters
    ----------
    path
        The final name; its folder is made when missing.

    Yields
    ------
    pathlib.Path
        Where to write, in the same folder.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, each one's entry flushed to the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def drop_temporaries(folder: Path) -> None:
    """Remove what killed writers left in a folder; for its owner to call, when nobody else writes there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mark_used(folder: Path) -> None:
    """Note that something kept from run to run was used just now: what nobody uses is pruned one day."""
    os.utime(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; keys in their order, readable."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_line(path: Path, record: dict[str, Any], *, sync: bool = False) -> None:
    """Append one JSON record as a line, in a single write, so that several processes may append to one file.

    Parameters
    ----------
    path
        The file; made when missing.
    record
        What to append.
    sync
        Whether to flush it to the disk before returning, and the file's entry too when it is new.
    """
    is_new = sync and not path.exists()
    line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


class ParquetWriter:
    """Writes a table piece by piece so that its bytes don't depend on how it was cut into pieces.

    Rows are gathered until a row group is full; only full ones, and one last rest, are written.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, group_rows: int = ROW_GROUP_ROWS, **encoding: Any
    ) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._group_rows = group_rows
        self._file = pq.ParquetWriter(path, schema, **{"compression": "zstd", **encoding})
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write_table(self, table: pa.Table) -> None:
        """Append rows; `table` must have the schema's columns."""
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        self._rows += table.num_rows
        while self._rows >= self._group_rows:
            self._flush(self._group_rows)

    def close(self) -> None:
        """Write what is left and finish the file; closing twice does no harm."""
        if self._rows:
            self._flush(self._rows)
        self._file.close()

    def release(self) -> None:
        """Let go of the file, also after something went wrong; that closing fails then says nothing new."""
        import pyarrow as pa

        with contextlib.suppress(OSError, pa.ArrowException):
            self._file.close()

    def _flush(self, rows: int) -> None:
        import pyarrow as pa

        # Chunk boundaries would show in the pages, so a row group is always one chunk.
        gathered = pa.concat_tables(self._waiting)
        self._file.write_table(gathered.slice(0, rows).combine_chunks(), row_group_size=rows)
        self._waiting = [gathered.slice(rows)]
        self._rows -= rows


@contextlib.contextmanager
def parquet_writer(
    path: Path, schema: pa.Schema, group_rows: int = ROW_GROUP_ROWS, **encoding: Any
) -> Iterator[ParquetWriter]:
    """Give a writer whose file appears under `path` when the block ends well.

    Parameters
    ----------
    path
        The final name.
    schema
        Of the tables that will be written.
    group_rows
        How many rows go into a row group; as many are held in memory.
    **encoding
        How the columns are encoded, as for `pyarrow.parquet.ParquetWriter`; without it small rather than
        quickly written.

    Yields
    ------
    ParquetWriter
        The same rows give the same bytes, however they are cut.
    """
    with atomic_path(path) as temporary:
        writer = ParquetWriter(temporary, schema, group_rows, **encoding)
        try:
            yield writer
            writer.close()
        finally:
            writer.release()


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write an Arrow table as Parquet, whole or not at all; the same table gives the same bytes."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)


def mark_table(table: pa.Table, marks: Sequence[str]) -> pa.Table:
    """Write into a table's metadata why a reader should be wary of it; without marks it stays as it is."""
    if not marks:
        return table
    metadata = {**(table.schema.metadata or {}), _MARKS: json.dumps(list(marks)).encode()}
    return table.replace_schema_metadata(metadata)


def read_marks(path: Path) -> list[str]:
    """Read why a stored table is degraded, a sentence each; empty when it isn't.

    Parameters
    ----------
    path
        A Parquet file.
    """
    import pyarrow.parquet as pq

    found = (pq.read_schema(path).metadata or {}).get(_MARKS)
    return list(json.loads(found)) if found else []


def digest_file(path: Path) -> str:
    """Digest a file's content with SHA-256, as `sha256:` and 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def digest_value(value: Any) -> str:
    """Digest a JSON value; the order of its keys doesn't matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
