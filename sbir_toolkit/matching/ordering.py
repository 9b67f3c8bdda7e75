"""Ordering millions of keys.

Plain 64-bit numbers are sorted several times faster than the order of them is found. So each key is packed
into one number with its position, the numbers are sorted, and the order is read off. Where key and position
don't fit together the key's last bits are left out, and the few that then stand wrong are put right.

What is too long for memory is sorted in parts: each holds the keys of one range, and the parts follow each
other in the order of the ranges, so together they are what sorting the whole would have given. Where the
ranges lie is read off a sample, and doesn't show in the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.texts import Ints

Positions = npt.NDArray[np.uint32]

_SCANNED = 1 << 20
_SAMPLED_PER_PART = 256


def sort_keys(keys: npt.NDArray[Any]) -> tuple[Positions, npt.NDArray[Any]]:
    """Sort keys, equal ones in the order they come in.

    Parameters
    ----------
    keys : array of unsigned integers of shape (n,)

    Returns
    -------
    order : uint32 array of shape (n,)
        Sorts the keys.
    in_order : array of shape (n,)
        The keys in that order.

    Examples
    --------
    >>> order, in_order = sort_keys(np.array([7, 5, 7], np.uint64))
    >>> order.tolist(), in_order.tolist()
    ([1, 0, 2], [5, 7, 7])
    """
    width = len(keys).bit_length()
    left_out = max(0, int(keys.max(initial=0)).bit_length() + width - 64)
    packed = keys.astype(np.uint64)
    packed >>= np.uint64(left_out)
    packed <<= np.uint64(width)
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << width) - 1)
    order = packed.astype(np.uint32)
    del packed
    in_order = keys[order]
    wrong = np.flatnonzero(in_order[1:] < in_order[:-1])
    if len(wrong):
        kept = in_order >> np.uint64(left_out)
        at = np.flatnonzero(np.isin(kept, kept[wrong]))
        order[at] = order[at][np.argsort(in_order[at], kind="stable")]
        in_order = keys[order]
    return order, in_order


@dataclass(frozen=True)
class Part:
    """The keys of one range.

    Parameters
    ----------
    at : uint32 array of shape (n,)
        Their positions among all, ascending.
    order : uint32 array of shape (n,)
        Sorts them: which of `at` comes first, equal ones in the order they come in.
    keys : array of shape (n,)
        The keys in that order.
    """

    at: Positions
    order: Positions
    keys: npt.NDArray[Any]

    @property
    def positions(self) -> Positions:
        """The positions among all, in the order of the keys."""
        return self.at[self.order]


def sort_in_parts(keys: npt.NDArray[Any], most: int) -> Iterator[Part]:
    """Sort keys that may be too many to sort at once.

    Parameters
    ----------
    keys : array of unsigned integers of shape (n,)
        Mapped into memory, or in it.
    most : int
        About how many to sort at once; equal keys are never parted.

    Yields
    ------
    Part
        In the order of their keys; a single one, which may be empty, where there are no more than `most`.

    Examples
    --------
    >>> keys = np.array([7, 5, 1, 7], np.uint64)
    >>> np.concatenate([part.positions for part in sort_in_parts(keys, 2)]).tolist()
    [2, 1, 0, 3]
    """
    if len(keys) <= most:
        order, in_order = sort_keys(np.asarray(keys))
        yield Part(np.arange(len(keys), dtype=np.uint32), order, in_order)
        return
    parts = -(-len(keys) // most)
    sample = np.sort(keys[:: max(1, len(keys) // (parts * _SAMPLED_PER_PART))])
    bounds = np.unique(sample[np.arange(1, parts) * len(sample) // parts])
    for low, high in zip([None, *bounds], [*bounds, None], strict=True):
        at = _find_range(keys, low, high)
        order, in_order = sort_keys(keys[at])
        yield Part(at, order, in_order)


def _find_range(keys: npt.NDArray[Any], low: np.unsignedinteger[Any] | None, high: Any) -> Positions:
    """Say where the keys from `low` to below `high` are; None: no bound."""
    found = []
    for first in range(0, len(keys), _SCANNED):
        some = keys[first : first + _SCANNED]
        is_inside = np.ones(len(some), bool) if low is None else some >= low
        if high is not None:
            is_inside &= some < high
        found.append((np.flatnonzero(is_inside) + first).astype(np.uint32))
    return np.concatenate(found)


def find_groups(in_order: npt.NDArray[Any]) -> Ints:
    """Say where each group of equal keys begins."""
    is_first = np.ones(len(in_order), bool)
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)
