"""Ids made from content, and whether a content was there before.

A digest here is 64 bits: pandas' `hash_array`, which is SipHash with a fixed key, the same on every machine
and computed for a whole column at once. Ids that people keep depend on it, so a test holds its values: a
version of pandas that changed them would be refused. Among 219,500 awards two different ones share a digest
with a probability of one in a thousand million; among 17 million recipients, of one in a hundred thousand.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_SEPARATOR = "\x1f"
_HEX_DIGITS = 16
_UUID_BYTES, _UUID_HYPHENS = 16, (8, 12, 16, 20)
_FIRST_SLOTS, _MOST_SLOTS = 1 << 18, 1 << 26
_SLOTS_PER_DIGEST = 8
_RANGES = 16


def digest_rows(columns: list[pa.Array]) -> NDArray[np.uint64]:
    """Digest the texts of several columns row by row; null counts as blank.

    Parameters
    ----------
    columns : list of pyarrow.StringArray
        All of one length.

    Returns
    -------
    numpy.ndarray of uint64, shape (rows,)
    """
    filled = [pc.fill_null(column, "") if column.null_count else column for column in columns]
    joined = pc.binary_join_element_wise(*filled, _SEPARATOR) if len(filled) > 1 else filled[0]
    # As bytes the texts needn't be decoded and encoded again; pandas digests both alike.
    texts = joined.cast(pa.binary()).to_numpy(zero_copy_only=False)
    return cast("NDArray[np.uint64]", pd.util.hash_array(texts, categorize=False))


def spell_ids(digests: NDArray[np.uint64], repeats: NDArray[np.int64]) -> pa.Array:
    """Write digests as 16 hexadecimal digits; the second of its kind ends with `-2`, the third with `-3`.

    Parameters
    ----------
    digests : numpy.ndarray of uint64
        One for each row.
    repeats : numpy.ndarray of int64
        How many equal ones came before each.

    Returns
    -------
    pyarrow.StringArray

    Examples
    --------
    >>> spell_ids(np.array([255, 255], dtype=np.uint64), np.array([0, 1])).to_pylist()
    ['00000000000000ff', '00000000000000ff-2']
    """
    offsets = np.arange(0, _HEX_DIGITS * (len(digests) + 1), _HEX_DIGITS, dtype=np.int32)
    text = digests.astype(">u8").tobytes().hex().encode()
    ids = pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))
    is_repeat = repeats > 0
    if not is_repeat.any():
        return ids
    firsts = ids.filter(pa.array(is_repeat)).to_pylist()
    numbered = [
        f"{first}-{before + 1}" for first, before in zip(firsts, repeats[is_repeat].tolist(), strict=True)
    ]
    return pc.replace_with_mask(ids, pa.array(is_repeat), pa.array(numbered, pa.string()))


def derive_recipient_ids(uei: pa.Array, duns: pa.Array, names: pa.Array) -> pa.Array:
    """Make recipients' ids by USAspending's rule.

    It is the MD5 of `UEI-` and the UEI, else of `DUNS-` and the DUNS, else of `NAME-` and the name, as a
    UUID.

    Parameters
    ----------
    uei, duns, names : pyarrow.StringArray
        Valid identifiers or null, and names.

    Returns
    -------
    pyarrow.StringArray

    References
    ----------
    fedspendingtransparency/usaspending-api, `recipient_hash`.

    Examples
    --------
    >>> none = pa.array([None], pa.string())
    >>> derive_recipient_ids(pa.array(["C111ATT311C8"]), none, pa.array(["AT&T CORP."])).to_pylist()
    ['43a4cc43-3a3b-c033-35bf-48f3179c40a2']
    """
    keys = pc.coalesce(
        pc.binary_join_element_wise("UEI", uei, "-"),
        pc.binary_join_element_wise("DUNS", duns, "-"),
        pc.binary_join_element_wise("NAME", pc.utf8_upper(names), "-"),
    )
    return _spell_uuids([_md5(key) for key in keys.cast(pa.binary()).to_pylist()])


class Seen:
    """Counts how often each digest came before, over all calls.

    The digests are kept in a few sorted arrays, each at least twice as long as the next, so that neither
    memory nor time grows faster than the data; and these apart by range, so that merging two of them never
    holds all digests twice. Most never came before: a table of slots, taken by the digests that begin like
    it, shows that for nearly all of them without a search.
    """

    def __init__(self) -> None:
        self._ranges: list[list[NDArray[np.uint64]]] = [[] for _ in range(_RANGES)]
        self._is_taken = np.zeros(_FIRST_SLOTS, dtype=bool)

    def count(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Count for each digest the equal ones before it, in this call and in earlier ones.

        Parameters
        ----------
        digests : numpy.ndarray of uint64, shape (rows,)
            In the file's order.

        Returns
        -------
        numpy.ndarray of int64, shape (rows,)
        """
        ordered = np.sort(digests)
        is_repeated = self._has_repeats(ordered)
        counts = self._count(digests) if is_repeated else np.zeros(len(digests), dtype=np.int64)
        self._remember(ordered)
        return counts

    def _has_repeats(self, ordered: NDArray[np.uint64]) -> bool:
        suspects = ordered[self._is_taken[self._slots(ordered)]]
        return bool((ordered[1:] == ordered[:-1]).any()) or any(
            (np.take(level, np.searchsorted(level, some), mode="clip") == some).any()
            for levels, some in zip(self._ranges, _cut(suspects), strict=True)
            for level in levels
        )

    def _slots(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        bits = len(self._is_taken).bit_length() - 1
        return (digests >> np.uint64(64 - bits)).astype(np.int64)

    def _count(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        order = np.argsort(digests, kind="stable")
        ordered = digests[order]
        places = np.arange(len(ordered))
        is_first = np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)]
        before = places - np.maximum.accumulate(np.where(is_first, places, 0))
        bounds = _bounds(ordered)
        for levels, (low, high) in zip(self._ranges, itertools.pairwise(bounds), strict=True):
            for level in levels:
                left, right = (np.searchsorted(level, ordered[low:high], side) for side in ("left", "right"))
                before[low:high] += right - left
        counts = np.empty_like(before)
        counts[order] = before
        return counts

    def _remember(self, ordered: NDArray[np.uint64]) -> None:
        for levels, some in zip(self._ranges, _cut(ordered), strict=True):
            if len(some):
                levels.append(some.copy())
            while len(levels) > 1 and len(levels[-2]) <= 2 * len(levels[-1]):
                merged = np.concatenate((levels[-2], levels.pop()))
                merged.sort(kind="stable")  # two runs in order: it only merges them
                levels[-1] = merged
        wanted = _SLOTS_PER_DIGEST * sum(len(level) for levels in self._ranges for level in levels)
        if len(self._is_taken) < min(wanted, _MOST_SLOTS):
            self._is_taken = np.zeros(min(1 << wanted.bit_length(), _MOST_SLOTS), dtype=bool)
            for levels in self._ranges:
                for level in levels:
                    self._is_taken[self._slots(level)] = True
        else:
            self._is_taken[self._slots(ordered)] = True


def _bounds(ordered: NDArray[np.uint64]) -> list[int]:
    """Say where each range begins among digests in order, and where the last one ends."""
    firsts = np.arange(_RANGES, dtype=np.uint64) << np.uint64(64 - _RANGES.bit_length() + 1)
    return [*np.searchsorted(ordered, firsts).tolist(), len(ordered)]


def _cut(ordered: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Cut digests in order into the ranges."""
    bounds = _bounds(ordered)
    return [ordered[low:high] for low, high in itertools.pairwise(bounds)]


def _spell_uuids(digests: list[bytes]) -> pa.Array:
    """Write digests of 16 bytes as 32 hexadecimal digits with four hyphens among them."""
    digits = np.frombuffer(b"".join(digests).hex().encode(), np.uint8).reshape(-1, 2 * _UUID_BYTES)
    texts = np.insert(digits, _UUID_HYPHENS, ord("-"), axis=1)
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * texts.shape[1]
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(texts.tobytes())]
    return pa.Array.from_buffers(pa.string(), len(digests), buffers)


def _md5(key: bytes) -> bytes:
    return hashlib.md5(key, usedforsecurity=False).digest()
