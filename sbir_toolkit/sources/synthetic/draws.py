"""Chance that can be looked up: a draw is a function of the seed, a purpose and a key, and of nothing else.

An ordinary random generator gives its numbers in a row, so what a row gets depends on how many were drawn
before it, and with that on the size of the blocks. Here a draw is the scrambled sum of a constant (from
seed and purpose) and a key (an entity's number, a row's, a slot's), as in SplitMix64 (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", 2014). Any row can be made at any time, alone or in
a block, and comes out the same.

`Draws` works on arrays of keys, `Picks` is the same for one string at a time, and `Choice` turns bits into
weighted choices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_Item = TypeVar("_Item")
_GAMMA = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


class Choice:
    """A weighted choice among `len(weights)` things, by one look into a table.

    Parameters
    ----------
    weights
        Relative weights; what weighs less than half of 2**-resolution of the sum is never chosen.
    resolution
        Bits of the table; the weights are rounded to 2**-resolution.
    """

    def __init__(self, weights: Sequence[float] | Floats, resolution: int = 16) -> None:
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        ends = np.rint(edges / edges[-1] * (1 << resolution)).astype(np.int64)
        self._table = np.repeat(np.arange(len(ends), dtype=np.int32), np.diff(ends, prepend=0))
        self._shift = np.uint64(64 - resolution)

    def take(self, bits: Bits) -> Integers:
        """Choose once for each 64-bit draw."""
        chosen: Integers = self._table[bits >> self._shift].astype(np.int64)
        return chosen


class Draws:
    """All draws of one seed.

    Parameters
    ----------
    seed
        Any whole number.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def bits(self, purpose: str, keys: Integers) -> Bits:
        """Draw 64 bits for each key; another purpose gives draws that have nothing to do with these."""
        state = np.asarray(keys).astype(np.uint64) * np.uint64(_GAMMA) + np.uint64(self._constant(purpose))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
        return state ^ (state >> np.uint64(31))

    def uniform(self, purpose: str, keys: Integers) -> Floats:
        """Draw a number in 0..1 (1 excluded) for each key."""
        return (self.bits(purpose, keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, purpose: str, keys: Integers, end: int) -> Integers:
        """Draw a whole number in 0..end-1 for each key."""
        return (self.uniform(purpose, keys) * end).astype(np.int64)

    def chance(self, purpose: str, keys: Integers, share: float) -> Flags:
        """Say yes for about `share` of the keys."""
        return self.uniform(purpose, keys) < share

    def choose(self, purpose: str, keys: Integers, choice: Choice) -> Integers:
        """Make a weighted choice for each key."""
        return choice.take(self.bits(purpose, keys))

    def shuffle(self, purpose: str, rows: int) -> Integers:
        """Put 0..rows-1 into an order that looks accidental."""
        return np.argsort(self.bits(purpose, np.arange(rows)), kind="stable").astype(np.int64)

    def _constant(self, purpose: str) -> int:
        digest = hashlib.blake2b(f"{self._seed}/{purpose}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")


class Picks:
    """Draws for one string at a time.

    Parameters
    ----------
    state
        Where to start: a draw of `Draws.bits`.
    """

    def __init__(self, state: int) -> None:
        self._state = state & _MASK

    def chance(self, share: float) -> bool:
        """Say yes with this probability."""
        return self._next() < share * 2.0**64

    def below(self, end: int) -> int:
        """Draw a whole number in 0..end-1."""
        return self._next() * end >> 64

    def choice(self, items: Sequence[_Item]) -> _Item:
        """Choose one of the items, each alike."""
        return items[self.below(len(items))]

    def uniform(self) -> float:
        """Draw a number in 0..1 (1 excluded)."""
        return float(self._next() >> 11) * 2.0**-53

    def _next(self) -> int:
        self._state = (self._state + _GAMMA) & _MASK
        state = self._state
        state = ((state ^ (state >> 30)) * _FIRST) & _MASK
        state = ((state ^ (state >> 27)) * _SECOND) & _MASK
        return state ^ (state >> 31)


def zipf_weights(count: int, exponent: float = 1.0, offset: float = 2.0) -> Floats:
    """Weigh ranks 1..count by 1 / (rank + offset) ** exponent (Zipf and Mandelbrot)."""
    ranks = np.arange(1, count + 1, dtype=np.float64)
    return (ranks + offset) ** -exponent
