"""Opening an input file, and saying in plain words when it can't be opened or read.

A download can be missing, a folder, empty, locked, cut off, or something else under the right name. Each of
these is found here, before a parser gives it a message of its own. A gzip file is recognised by its first
bytes, not by its name.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sbir_toolkit.errors import InputError, explain

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or an Excel file): unpack it, or save the sheet as CSV",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"%PDF": "a PDF file: download the CSV file",
    b"PGDMP": "a PostgreSQL dump: restore it and export the table as CSV",
}


class ByteStream(Protocol):
    """What a reader needs from an open file."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""


class _CheckedStream:
    """A stream whose failures are the toolkit's own."""

    def __init__(self, path: Path, stream: ByteStream) -> None:
        self._path = path
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as wrong:
            raise InputError(
                explain(
                    "the compressed file is cut off or damaged",
                    where=self._path,
                    expected="a whole gzip file",
                    got=wrong,
                    todo="download it again",
                )
            ) from wrong
        except OSError as wrong:
            raise _unreadable(self._path, wrong) from wrong


def is_parquet(path: Path) -> bool:
    """Tell from its first bytes whether a file is a Parquet file; refuse one that can't be used at all.

    Raises
    ------
    InputError
        When it is missing, a folder, not readable, empty, or of a kind that is clearly not a table in text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong
    if not head:
        raise InputError(
            explain(
                "the file is empty",
                where=path,
                expected="a header with column names, and records",
                got="0 bytes",
                todo="download it again",
            )
        )
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(
                explain(
                    "the file is no CSV file",
                    where=path,
                    expected="CSV or Parquet",
                    got=what.split(":")[0],
                    todo=what,
                )
            )
    return head.startswith(_PARQUET)


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[ByteStream]:
    """Open a file for reading bytes, decompressing gzip.

    Raises
    ------
    InputError
        When it can't be opened, or later, when it can't be read to its end.
    """
    try:
        file = path.open("rb")
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        is_gzip = file.read(2) == _GZIP
        file.seek(0)
        stream = stack.enter_context(gzip.GzipFile(fileobj=file)) if is_gzip else file
        yield _CheckedStream(path, stream)


def _unreadable(path: Path, wrong: OSError) -> InputError:
    if isinstance(wrong, FileNotFoundError):
        what, got, todo = (
            "the file doesn't exist",
            "nothing under this name",
            "check the path, or fetch the file",
        )
    elif isinstance(wrong, IsADirectoryError):
        what, got, todo = "this is a folder", "a folder", "name the file in it"
    elif isinstance(wrong, PermissionError):
        what, got, todo = (
            "the file may not be read",
            "permission denied",
            "give yourself the right to read it",
        )
    else:
        what, got, todo = "the file can't be read", str(wrong), "check the disk, or copy the file again"
    return InputError(explain(what, where=path, expected="a readable file", got=got, todo=todo))
