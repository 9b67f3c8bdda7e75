"""Telling that no key of a large table stands in it twice, without holding or sorting its texts.

Each text is mixed into 64 bits. Texts whose mixes all differ are all different, and that is nearly always how
it ends: among four million texts two have the same mix by chance in one table of two million. Only when two
mixes are the same must the texts themselves be looked at. Only texts of one length, such as ids, are mixed:
eight bytes of all of them at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WORD = 8
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)

Mixes = npt.NDArray[np.uint64]


def mix_texts(texts: pa.ChunkedArray) -> Mixes | None:
    """Mix each text into 64 bits; None when there are nulls, no texts, or texts of several lengths.

    Examples
    --------
    >>> import pyarrow as pa
    >>> mixes = mix_texts(pa.chunked_array([["a-1", "a-2", "a-1"]]))
    >>> bool(mixes[0] == mixes[2]), bool(mixes[0] == mixes[1])
    (True, False)
    >>> mix_texts(pa.chunked_array([["a", "bc"]])) is None
    True
    """
    if not pa.types.is_string(texts.type) or texts.null_count:
        return None
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    width = lengths["min"]
    if not width or width != lengths["max"]:
        return None
    padded = np.zeros((len(texts), -(-width // _WORD) * _WORD), dtype=np.uint8)
    filled = 0
    for chunk in texts.chunks:
        # A chunk may be a slice: its own texts begin where its first offset says.
        offsets, data = chunk.buffers()[1:]
        start = int(np.frombuffer(offsets, dtype=np.int32)[chunk.offset])
        own = np.frombuffer(data, dtype=np.uint8)[start : start + len(chunk) * width]
        padded[filled : filled + len(chunk), :width] = own.reshape(-1, width)
        filled += len(chunk)
    mixes = np.zeros(len(texts), dtype=np.uint64)
    for word in padded.view(np.uint64).T:
        mixes ^= word
        mixes *= _PRIME
        mixes ^= mixes >> _SHIFT
    return mixes


def are_distinct(parts: Sequence[Mixes | None]) -> bool:
    """Whether no two mixes of all parts are the same; a part without mixes: unknown, and so not."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return False
    mixes = np.sort(np.concatenate(known)) if known else np.zeros(0, dtype=np.uint64)
    return not bool(np.any(mixes[1:] == mixes[:-1]))
