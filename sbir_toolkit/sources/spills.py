"""Rows that don't fit into memory, cast into files so that what belongs together fits file by file.

Which file a row goes to follows from the digest of its key alone, and there are always as many files; so what
is made of them depends neither on the memory nor on how the rows came.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from sbir_toolkit.sources.digests import digest_rows

FILES = 64


class Spill:
    """Temporary files of rows by a key; they are gone when the block ends.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the rows.
    key
        The column whose digest says where a row goes.
    """

    def __init__(self, schema: pa.Schema, key: str) -> None:
        self._schema = schema
        self._key = key
        self._stack = ExitStack()

    def __enter__(self) -> Spill:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sbir-toolkit-")))
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._paths = [folder / f"{at:02}.arrow" for at in range(FILES)]
        self._writers = [
            self._stack.enter_context(pa.ipc.new_file(str(path), self._schema, options=options))
            for path in self._paths
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, rows: pa.Table) -> None:
        """Write rows; a file gets its rows in the order in which they come."""
        owners = digest_rows([rows[self._key].combine_chunks()]) % np.uint64(FILES)
        order = np.argsort(owners, kind="stable")
        sorted_rows = rows.take(pa.array(order))
        borders = np.searchsorted(owners[order], np.arange(FILES + 1))
        for writer, first, stop in zip(self._writers, borders[:-1], borders[1:], strict=True):
            if stop > first:
                writer.write_table(sorted_rows.slice(int(first), int(stop - first)))

    def read(self) -> Iterator[pa.Table]:
        """Give one file after the other; nothing can be added any more."""
        for writer in self._writers:
            writer.close()
        for path in self._paths:
            with pa.OSFile(str(path)) as stored, pa.ipc.open_file(stored) as file:
                rows = file.read_all()
            path.unlink()
            if rows.num_rows:
                yield rows
