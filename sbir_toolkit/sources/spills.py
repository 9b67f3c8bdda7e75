"""Rows that don't fit into memory, cast into files so that what belongs together fits file by file.

Which file a row goes to follows from the digest of its key alone, and there are always as many files; so what
is made of them depends neither on the memory nor on how the rows came.
"""

from __future__ import annotations

import itertools
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
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sbir-toolkit-")))
        self._writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
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
        for at, (first, stop) in enumerate(itertools.pairwise(borders.tolist())):
            if stop > first:
                self._writer(at).write_table(sorted_rows.slice(first, stop - first))

    def read(self) -> Iterator[pa.Table]:
        """Give one file after the other; nothing can be added any more."""
        for writer in self._writers.values():
            writer.close()
        for at in sorted(self._writers):
            with pa.OSFile(str(self._path(at))) as stored, pa.ipc.open_file(stored) as file:
                rows = file.read_all()
            self._path(at).unlink()
            yield rows

    def _writer(self, at: int) -> pa.ipc.RecordBatchFileWriter:
        if at not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writer = pa.ipc.new_file(str(self._path(at)), self._schema, options=options)
            self._writers[at] = self._stack.enter_context(writer)
        return self._writers[at]

    def _path(self, at: int) -> Path:
        return self._folder / f"{at:02}.arrow"
