"""Opening an input file, and saying in plain words when it can't be opened or read.

A download can be missing, a folder, empty, locked, cut off, or something else under the right name. Each of
these is found here, before a parser gives it a message of its own. What is read may be a file or a member of
a zip archive, which is read where it is and never unpacked to the disk; either may be compressed with gzip,
which is recognised by its first bytes and not by its name.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.meter import Span, progress

_GZIP = b"\x1f\x8b"


class ByteStream(Protocol):
    """What a reader needs from an open file."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""


@dataclass(frozen=True)
class Part:
    """Something that is read from its beginning to its end: a file, or a member of a zip archive."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """What it is called, without folders."""
        return self.path.name if self.member is None else Path(self.member).name

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member} in it"


class _CheckedStream:
    """A stream whose failures are the toolkit's own, and that says how much of its file has been read."""

    def __init__(self, part: Part, stream: ByteStream, file: io.BufferedIOBase, seen: Span) -> None:
        self._part = part
        self._stream = stream
        self._file = file
        self._seen = seen

    def read(self, size: int, /) -> bytes:
        try:
            block = self._stream.read(size)
            self._seen.done = self._file.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as wrong:
            raise _damaged(self._part, "a whole compressed file", wrong) from wrong
        except OSError as wrong:
            raise _unreadable(self._part, wrong) from wrong
        return block


def check_file(path: Path) -> None:
    """Refuse what isn't a file that can be read and has something in it.

    Raises
    ------
    InputError
        When it is missing, a folder, a pipe, not readable, or empty.
    """
    refuse_pipe(path)
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong
    if is_empty:
        raise InputError(
            explain(
                "the file is empty",
                where=path,
                expected="a header with column names, and records",
                got="0 bytes",
                todo="download it again",
            )
        )


def refuse_pipe(path: Path) -> None:
    """Refuse what would be waited for, or is gone once it has been read.

    Raises
    ------
    InputError
        When it is a pipe, a device or a socket.
    """
    try:
        is_other = path.exists() and not (path.is_file() or path.is_dir())
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong
    if is_other:
        raise InputError(
            explain(
                "this is no ordinary file",
                where=path,
                expected="a file, which can be read more than once",
                got="a pipe, a device or a socket",
                todo="save what comes out of it in a file and name that",
            )
        )


@contextlib.contextmanager
def open_stream(part: Part) -> Iterator[ByteStream]:
    """Open a file or a member of an archive for reading bytes, decompressing gzip.

    Raises
    ------
    InputError
        When it can't be opened, or later, when it can't be read to its end.
    """
    with contextlib.ExitStack() as stack:
        try:
            file, size = _open(part, stack)
            is_gzip = file.peek(2)[:2] == _GZIP
        except (zipfile.BadZipFile, zlib.error, EOFError) as wrong:
            raise _damaged(part, "a whole zip archive", wrong) from wrong
        except OSError as wrong:
            raise _unreadable(part, wrong) from wrong
        stream = stack.enter_context(gzip.GzipFile(fileobj=file)) if is_gzip else file
        seen = stack.enter_context(progress(f"read {part.name}", size, "bytes"))
        yield _CheckedStream(part, stream, file, seen)


def list_members(path: Path) -> list[str]:
    """List the files in a zip archive, without its folders.

    Raises
    ------
    InputError
        When it can't be read as one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except zipfile.BadZipFile as wrong:
        raise _damaged(Part(path), "a whole zip archive", wrong) from wrong
    except OSError as wrong:
        raise _unreadable(path, wrong) from wrong


def _open(part: Part, stack: contextlib.ExitStack) -> tuple[io.BufferedReader | zipfile.ZipExtFile, int]:
    """Open a part, and say how many bytes are in it."""
    if part.member is None:
        return stack.enter_context(part.path.open("rb")), part.path.stat().st_size
    archive = stack.enter_context(zipfile.ZipFile(part.path))
    try:
        member = stack.enter_context(archive.open(part.member))
    except (NotImplementedError, RuntimeError) as wrong:
        # This is how zipfile says that it lacks a method of compression, or a password.
        raise InputError(
            explain(
                "the member of the zip archive can't be unpacked",
                where=part,
                expected="a zip archive without a password, compressed by the usual method",
                got=wrong,
                todo="unpack it and name the file in it",
            )
        ) from wrong
    return cast(zipfile.ZipExtFile, member), archive.getinfo(part.member).file_size


def _damaged(part: Part, expected: str, wrong: Exception) -> InputError:
    return InputError(
        explain(
            "the compressed file is cut off or damaged",
            where=part,
            expected=expected,
            got=wrong,
            todo="download it again",
        )
    )


def _unreadable(where: Path | Part, wrong: OSError) -> InputError:
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
    return InputError(explain(what, where=where, expected="a readable file", got=got, todo=todo))
