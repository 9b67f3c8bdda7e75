"""Many short texts as one run of bytes, and the arithmetic on it.

Millions of names are too many to walk one by one in Python, and most of what a matcher asks of them is
simple: where does each word start, are two words equal, are they equal but for one letter. So the names of
a block are laid end to end in one byte array, and every question becomes arithmetic on whole arrays.

Equality is asked through a 64-bit polynomial hash of a run of bytes, `sum(code[byte_k] * BASE**k)` modulo
2**64. From one running sum over the block the hash of any run follows in two look-ups (`Hasher.run`); the
hash of two runs joined, or of a run with a letter left out, follows from the hashes of its parts. Two
different names of a register of 17 million share a hash with a probability of about one in 100,000, and a
candidate found by hash is still compared letter by letter. Texts that are only compared whole have a hash of
another kind, which is made faster (`hash_strings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


def lay_out(array: pa.Array) -> tuple[Bytes, Ints]:
    """View a string array as its bytes and the offsets of its texts, without a copy.

    Parameters
    ----------
    array : pyarrow.Array of string or large_string
        Without nulls.

    Returns
    -------
    bytes : uint8 array
    offsets : int64 array of length n + 1
    """
    width = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
    _, offsets, data = array.buffers()
    if offsets is None or len(array) == 0:
        return np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64)
    bounds = np.frombuffer(offsets, width, len(array) + 1, array.offset * width.itemsize).astype(np.int64)
    raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return raw[bounds[0] : bounds[-1]], bounds - bounds[0]


def to_strings(data: Bytes, offsets: Ints) -> pa.Array:
    """Make a string array of bytes and offsets."""
    return pa.Array.from_buffers(
        pa.string(),
        len(offsets) - 1,
        [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))],
    )


def view_strings(data: Bytes, offsets: Ints) -> pa.Array:
    """View bytes and offsets, which may be mapped into memory, as a large string array, without a copy."""
    return pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def cut_runs(data: Bytes, starts: Ints, ends: Ints) -> pa.Array:
    """Copy runs of bytes, which may overlap, into a string array."""
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return to_strings(data[expand(starts, lengths)], offsets)


def expand(starts: Ints, lengths: Ints) -> Ints:
    """List the positions of many runs, one run after the other.

    Examples
    --------
    >>> expand(np.array([5, 20]), np.array([2, 3])).tolist()
    [5, 6, 20, 21, 22]
    """
    total = int(lengths.sum())
    if total == 0:
        return np.zeros(0, np.int64)
    offsets = np.cumsum(lengths) - lengths
    positions: Ints = np.arange(total, dtype=np.int64) + np.repeat(starts - offsets, lengths)
    return positions


def hash_text(text: str) -> int:
    """Hash one text, as `Hasher` does it for runs of bytes."""
    data = np.frombuffer(text.encode(), np.uint8)
    with np.errstate(over="ignore"):
        return int((_CODES[data] * powers(len(data))).sum(dtype=np.uint64))


def letter_codes(letters: Bytes) -> Hashes:
    """Give the codes that stand for letters in the hashes; each is the hash of that letter alone."""
    return _CODES.take(letters)


def text_array(values: pa.ChunkedArray | pa.Array | pd.Series[str]) -> pa.Array:
    """Give texts, from Arrow or pandas and in however many pieces, as one string array.

    Examples
    --------
    >>> text_array(pa.chunked_array([["a"], ["b"]]).to_pandas()).to_pylist()
    ['a', 'b']
    """
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def hash_strings(array: pa.Array) -> Hashes:
    """Hash each text of a string array, eight bytes at a time; the empty text and null have hash 0."""
    data, offsets = lay_out(array.fill_null(""))
    padded = np.zeros(len(data) + 8, np.uint8)
    padded[: len(data)] = data
    eights = np.ndarray(len(data) + 1, "<u8", padded, strides=(1,))
    at, left = offsets[:-1], np.diff(offsets)
    hashes = _mix(left.astype(np.uint64) ^ (eights[at] & _FIRST_BYTES[np.minimum(left, 8)]))
    longer = np.flatnonzero(left > 8)
    at, left = at[longer] + 8, left[longer] - 8
    while len(longer):
        hashes[longer] = _mix(hashes[longer] ^ (eights[at] & _FIRST_BYTES[np.minimum(left, 8)]))
        is_longer = left > 8
        longer, at, left = longer[is_longer], at[is_longer] + 8, left[is_longer] - 8
    return hashes


def powers(count: int) -> Hashes:
    """Give the first powers of the base; the table grows as needed."""
    return _Powers.upward(count)


def inverse_powers(count: int) -> Hashes:
    """Give the first powers of the base's inverse; the table grows as needed."""
    return _Powers.downward(count)


@dataclass
class Hasher:
    """Hashes of any run of one byte array, from one running sum.

    Parameters
    ----------
    data : uint8 array
    """

    data: Bytes

    def __post_init__(self) -> None:
        self._sums = np.zeros(len(self.data) + 1, np.uint64)
        codes = letter_codes(self.data)
        codes *= powers(len(self.data))
        np.cumsum(codes, out=self._sums[1:])
        self._inverse = inverse_powers(len(self.data) + 1)

    def run(self, starts: Ints, ends: Ints) -> Hashes:
        """Hash the runs from `starts` to before `ends`."""
        result: Hashes = (self._sums[ends] - self._sums[starts]) * self._inverse[starts]
        return result

    def without_one(self, starts: Ints, ends: Ints) -> tuple[Hashes, Ints]:
        """Hash each run with each one of its bytes left out.

        Returns
        -------
        hashes : uint64 array
            One for each byte of each run.
        owner : int64 array
            Which run each belongs to.
        """
        lengths = ends - starts
        owner = np.repeat(np.arange(len(starts)), lengths)
        left_out = expand(starts, lengths)
        head = self.run(starts[owner], left_out)
        tail = self.run(left_out + 1, ends[owner])
        return head + tail * powers(int(lengths.max(initial=0)) + 1)[left_out - starts[owner]], owner


class _Powers:
    """Tables of powers of the base and of its inverse, made once and grown as needed."""

    _up: Hashes = np.ones(1, np.uint64)
    _down: Hashes = np.ones(1, np.uint64)

    @classmethod
    def upward(cls, count: int) -> Hashes:
        if len(cls._up) < count:
            cls._up = cls._grown(_BASE, count)
        return cls._up[:count]

    @classmethod
    def downward(cls, count: int) -> Hashes:
        if len(cls._down) < count:
            cls._down = cls._grown(_INVERSE, count)
        return cls._down[:count]

    @staticmethod
    def _grown(base: int, count: int) -> Hashes:
        # A larger table replaces the old one whole, so a thread that holds the old one isn't disturbed.
        size = 1 << max(10, (count - 1).bit_length())
        factors = np.full(size, base, np.uint64)
        factors[0] = 1
        return np.cumprod(factors)


def _mixed(seed: int, count: int) -> Hashes:
    """Make well-mixed constants (splitmix64), the same on every machine and version."""
    with np.errstate(over="ignore"):
        return _mix(np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_BASE))


def _mix(state: Hashes) -> Hashes:
    mixed = state ^ (state >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


_CODES = _mixed(20_261_123, 256)
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


def find_sorted(known: Hashes, keys: Hashes) -> Ints:
    """Find the position of each key among sorted ones; -1 where there is none."""
    if len(known) == 0:
        return np.full(len(keys), -1)
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[place] == keys, place, -1)


def take_from_each(pieces: Sequence[Any], rows: Ints) -> Iterator[Any]:
    """Take ascending rows from the Arrow arrays or batches they are in, those without any left out.

    Parameters
    ----------
    pieces : sequence of pyarrow.Array or pyarrow.RecordBatch
        Which lie one after the other.
    rows : int64 array of shape (n,)

    Yields
    ------
    pyarrow.Array or pyarrow.RecordBatch
    """
    firsts = np.cumsum([0, *map(len, pieces)])
    bounds = np.searchsorted(rows, firsts)
    for at in np.flatnonzero(np.diff(bounds)).tolist():
        yield pieces[at].take(pa.array(rows[bounds[at] : bounds[at + 1]] - firsts[at]))
