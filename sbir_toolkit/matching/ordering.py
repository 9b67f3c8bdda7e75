"""Ordering millions of keys.

Plain 64-bit numbers are sorted several times faster than the order of them is found. So each key is packed
into one number with its position, the numbers are sorted, and the order is read off. Where key and position
don't fit together the key's last bits are left out, and the few that then stand wrong are put right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.texts import Ints

Positions = npt.NDArray[np.uint32]


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


def find_groups(in_order: npt.NDArray[Any]) -> Ints:
    """Say where each group of equal keys begins."""
    is_first = np.ones(len(in_order), bool)
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)


def find_starts(codes: npt.NDArray[Any], count: int) -> Positions:
    """Say where each code's items start when they are in order of their codes; at last, where they end."""
    return np.append(0, np.cumsum(np.bincount(codes, minlength=count))).astype(np.uint32)
