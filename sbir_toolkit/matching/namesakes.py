"""How many other firms bear a name: learned from the register itself.

That two names are equal proves little by itself: in a register of millions one recipient in five shares its
name with another firm. How much it proves depends on the name, and the register tells how. Of the recipients
whose names are as rare in their words and as long in letters, some have the name alone, some share it with
one other, some with two. A company that is in the register under such a name finds as many bearers of it as
a recipient of the class does, itself among them; a company that isn't there finds as many as a recipient has
*others*. The ratio of the two, shared among the bearers found, is what the equality of names tells.

So a name with `k` bearers is expected to be borne by `k * c[k + 1] / c[k]` firms beside the right one, where
`c[k]` counts the recipients of its class that have `k` bearers, themselves included: Turing's estimate of how
often what was seen `k` times is met again. Classes with few recipients lean on the coarser class, that one on
a plain guess.

Recipients of one name in one city count as one bearer.

References
----------
I. J. Good (1953), "The population frequencies of species and the estimation of population parameters",
Biometrika 40.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.ordering import find_groups
from sbir_toolkit.matching.texts import Floats, Ints

# Classes: what the words tell beyond the size of the register, in steps of bits, and the letters.
_BITS = np.arange(-9.0, 31.0, 3.0)
_LETTERS = np.array([4, 5, 7, 11])
# Bearers are told apart up to so many; a name with more is met again as often as it was seen.
_MOST = 6
# A class leans on the coarser one as if it had this many recipients more.
_LEAN = 30.0
_LEAST_SHARED = 0.003


def count_bearers(names: npt.NDArray[Any], towns: npt.NDArray[np.uint32], count: int) -> Ints:
    """Count the recipients of each name, those in one town once.

    Parameters
    ----------
    names, towns : unsigned integer arrays of shape (n,)
        For each bearing of a name its number and where the recipient is; quicker in the order of the names.
    count : int
        How many names there are.

    Returns
    -------
    int64 array of shape (count,)
    """
    both = (names.astype(np.uint64) << np.uint64(32)) | towns
    both.sort(kind="stable")
    return np.bincount((both[find_groups(both)] >> np.uint64(32)).astype(np.int64), minlength=count)


class Namesakes:
    """Learns from the names, block by block, and then says of each how many other firms bear it.

    Parameters
    ----------
    names : int
        How many names there are.

    Examples
    --------
    >>> namesakes = Namesakes(5000)
    >>> bearers, bits, letters = np.ones(5000, np.int64), np.full(5000, 30.0), np.full(5000, 9)
    >>> namesakes.learn(bearers, bits, letters)
    >>> bool((namesakes.expect(bearers, bits, letters) < 0.001).all())
    True
    """

    def __init__(self, names: int) -> None:
        self._bits = np.log2(names + 1)
        self._counts = np.zeros((len(_BITS) + 1) * (len(_LETTERS) + 1) * (_MOST + 2))

    def learn(self, bearers: Ints, bits: npt.NDArray[Any], letters: npt.NDArray[Any]) -> None:
        """Count how many recipients have names that are shared so often; parameters as for `expect`."""
        shape = np.minimum(bearers, _MOST + 1)
        cell = _classes(bits - self._bits, letters) * (_MOST + 2) + shape
        self._counts += np.bincount(cell, bearers, minlength=len(self._counts))

    def expect(self, bearers: Ints, bits: npt.NDArray[Any], letters: npt.NDArray[Any]) -> Floats:
        """Estimate for each name how many firms bear it beside the one looked for.

        Parameters
        ----------
        bearers : int array of shape (names,)
            Recipients that bear the name.
        bits : float array of shape (names,)
            What its words tell.
        letters : int array of shape (names,)

        Returns
        -------
        float64 array of shape (names,)
        """
        fine = len(_BITS) + 1
        counts = self._counts.reshape(-1, _MOST + 2)
        by_rarity = counts.reshape(fine, -1, _MOST + 2).sum(axis=1)
        shared = _shrink(by_rarity, _guess(fine))
        shared = _shrink(counts, np.repeat(shared, len(_LETTERS) + 1, axis=0))
        seen = np.minimum(bearers, _MOST)
        again = shared[_classes(bits - self._bits, letters), seen - 1]
        return np.where(bearers > _MOST, bearers, seen * again)


def _classes(bits: npt.NDArray[Any], letters: npt.NDArray[Any]) -> Ints:
    rarity, length = np.searchsorted(_BITS, bits, side="right"), np.searchsorted(_LETTERS, letters)
    found: Ints = rarity * (len(_LETTERS) + 1) + length
    return found


def _guess(classes: int) -> Floats:
    """Guess the share of those with one bearer more, about as it is among 70,000 public recipients."""
    least = np.concatenate([[_BITS[0] - 3], _BITS])[:classes]
    first = np.clip(0.02 * 2.0 ** (-least / 6), _LEAST_SHARED, 1.0)
    more = [np.full(classes, 0.5 * (one + 0.3) / (one + 1)) for one in range(1, _MOST)]
    return np.column_stack([first, *more])


def _shrink(counts: Floats, towards: Floats) -> Floats:
    alone, shared = counts[:, 1 : _MOST + 1], counts[:, 2 : _MOST + 2]
    ratio: Floats = (shared + _LEAN * towards) / (alone + _LEAN)
    return ratio
