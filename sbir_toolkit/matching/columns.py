"""Arrays on disk that grow piece by piece.

What is laid out of millions of recipients is larger than memory may be, so it is made in pieces and each is
appended to its file at once. When all are there the file is what `numpy.save` would have written of the
whole, and can be mapped into memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt


class Columns:
    """A folder's `.npy` files that are being written; they are whole when the block ends.

    Parameters
    ----------
    folder : pathlib.Path
        Where they go; made when missing.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Columns(folder) as columns:
    ...     columns.add(number=np.array([1, 2]))
    ...     columns.add(number=np.array([3]))
    >>> read_column(folder / "number.npy").tolist()
    [1, 2, 3]
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Growing] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Columns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Each is closed, also when another one's last bytes don't fit on the disk.
        with ExitStack() as stack:
            for file in self._files.values():
                stack.callback(file.close)

    def add(self, **pieces: npt.NDArray[Any]) -> None:
        """Append to columns; the first piece says what type a column has."""
        for name, piece in pieces.items():
            if name not in self._files:
                self._files[name] = _Growing(self._folder / f"{name}.npy", piece.dtype)
            self._files[name].append(piece)

    def add_starts(self, name: str, counts: npt.NDArray[Any], dtype: npt.DTypeLike) -> None:
        """Append where runs of so many items begin in another column; at last stands where they end."""
        if name not in self._files:
            self.add(**{name: np.zeros(1, dtype)})
        file = self._files[name]
        starts = file.total + np.cumsum(counts, dtype=np.int64)
        file.total = int(starts[-1]) if len(starts) else file.total
        file.append(starts.astype(dtype))


class _Growing:
    """One file; `total` is what the counts behind a column of starts add up to."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._file: BinaryIO = path.open("wb")
        self._dtype = dtype
        self._length = 0
        self.total = 0
        self._write_header()

    def append(self, piece: npt.NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(piece, self._dtype).data.cast("B") if len(piece) else b"")
        self._length += len(piece)

    def close(self) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        # The header leaves room for the length to grow, so it never moves what comes after it.
        described = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": described, "fortran_order": False, "shape": (self._length,)}
        )


def read_column(path: Path) -> npt.NDArray[Any]:
    """Map a column into memory, read-only."""
    # An empty file can't be mapped.
    array: npt.NDArray[Any] = np.load(path) if path.stat().st_size <= 128 else np.load(path, mmap_mode="r")
    return array


def column_reader(folder: Path) -> Callable[[str], npt.NDArray[Any]]:
    """Give a function that maps a folder's columns by their names."""
    return lambda name: read_column(folder / f"{name}.npy")
