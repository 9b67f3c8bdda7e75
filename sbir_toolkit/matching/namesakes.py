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

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.texts import Floats, Ints

# Classes: what the words tell beyond the size of the register, in steps of bits, and the letters.
_BITS = np.arange(-9.0, 31.0, 3.0)
_LETTERS = np.array([4, 5, 7, 11])
# Bearers are told apart up to so many; a name with more is met again as often as it was seen.
_MOST = 6
# A class leans on the coarser one as if it had this many recipients more.
_LEAN = 30.0
_LEAST_SHARED = 0.003


def lay_out_namesakes(folder: Path, letters: npt.NDArray[Any]) -> None:
    """Write how many firms, beside the right one, are expected to bear each name.

    Parameters
    ----------
    folder : pathlib.Path
        An index whose names, entries and places are laid out.
    letters : int array of shape (names,)
        Letters of each core name, blanks left out.
    """
    bearers = _count_bearers(folder)
    bits = np.load(folder / "name_bits.npy") - np.log2(len(letters) + 1)
    np.save(folder / "name_namesakes.npy", expect_namesakes(bearers, bits, letters).astype(np.float32))


def expect_namesakes(bearers: Ints, bits: Floats, letters: npt.NDArray[Any]) -> Floats:
    """Estimate for each name how many firms bear it beside the one looked for.

    Parameters
    ----------
    bearers : int array of shape (names,)
        Recipients that bear the name.
    bits : float array of shape (names,)
        What its words tell beyond the size of the register.
    letters : int array of shape (names,)

    Returns
    -------
    float64 array of shape (names,)
    """
    rarity, length = np.searchsorted(_BITS, bits, side="right"), np.searchsorted(_LETTERS, letters)
    fine, finest = len(_BITS) + 1, (len(_BITS) + 1) * (len(_LETTERS) + 1)
    shape = np.minimum(bearers, _MOST + 1)
    counts = np.zeros((finest, _MOST + 2))
    np.add.at(counts, (rarity * (len(_LETTERS) + 1) + length, shape), bearers)
    by_rarity = counts.reshape(fine, -1, _MOST + 2).sum(axis=1)
    shared = _shrink(by_rarity, _guess(fine))
    shared = _shrink(counts, np.repeat(shared, len(_LETTERS) + 1, axis=0))
    seen = np.minimum(shape, _MOST)
    again = shared[rarity * (len(_LETTERS) + 1) + length, seen - 1]
    return np.where(bearers > _MOST, bearers, seen * again)


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


def _count_bearers(folder: Path) -> Ints:
    """Count the recipients of each name, those in one city once."""
    name, row = np.load(folder / "entry_name.npy"), np.load(folder / "entry_row.npy")
    place = np.load(folder / "place_city.npy") ^ np.load(folder / "place_state.npy").astype(np.uint32)
    both = (name.astype(np.uint64) << np.uint64(32)) | place[row]
    both.sort()
    is_first = np.ones(len(both), bool)
    is_first[1:] = both[1:] != both[:-1]
    names = np.load(folder / "name_bits.npy", mmap_mode="r")
    return np.bincount((both[is_first] >> np.uint64(32)).astype(np.int64), minlength=len(names))
