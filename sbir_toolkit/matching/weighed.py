"""Weighed pairs: what name and place say of a company and a recipient, worked out once and kept.

Finding a company's candidates and comparing their names is what matching costs. What comes of it is one
number for each pair, and it depends on that company and that recipient alone. So it is kept with the company
(`keep`), a few bytes for each of its candidates: whatever is said of the company later, by others of its name
or in next month's file, the candidates compete anew (`judge`), and no name is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.identifiers import Identity, weigh_differing
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.model import Matrix, best_of_each, compete, weigh
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.matching.siblings import NOBODY, Siblings
from sbir_toolkit.matching.texts import Flags, Floats, Ints, lay_out
from sbir_toolkit.params import Matching

_UNPLACED = LEVELS.index("unknown")
_OTHER_NAME = 0.2
_LEAST_ODDS = 1e-6
# Bearing of the recipient's name, which of the company's names, how near, under quite another name, score.
_KEPT = np.dtype([("entry", "<u4"), ("nth", "<u2"), ("level", "u1"), ("is_other", "?"), ("score", "<f8")])


@dataclass(frozen=True)
class Weighed:
    """Pairs and what their names and places weigh.

    Parameters
    ----------
    pairs : Candidates of shape (n,)
    score : float64 array of shape (n,)
        In natural-log units.
    has_other_name : bool array of shape (n,)
        Whether the recipient's name is quite another one, or one that is only like it at an unknown place.
    """

    pairs: Candidates
    score: Floats
    has_other_name: Flags

    @classmethod
    def of(cls, pairs: Candidates, measures: dict[str, Floats], terms: Matrix) -> Weighed:
        """Weigh pairs by their measures, and the terms made of these."""
        # A firm in the same building under quite another name, or initials, may be renamed, or a neighbour.
        # And one of nearly that name, who knows where, may be its subsidiary, its fund or its campus.
        is_spelled = (measures["same_name"] + measures["same_words"] + measures["truncated"]) > 0
        is_unplaced = pairs.level == _UNPLACED
        has_other_name = (measures["covered"] < _OTHER_NAME) | (is_unplaced & ~is_spelled)
        return cls(pairs, weigh(terms), has_other_name)

    def best(self) -> Ints:
        """Give the positions of each company's and recipient's best pair, sorted by company, then row."""
        return best_of_each(self.pairs.company, self.pairs.row, self.score)

    def take(self, positions: Ints) -> Weighed:
        """Pick pairs, in the order given."""
        return Weighed(self.pairs.take(positions), self.score[positions], self.has_other_name[positions])

    def beside(self, other: Weighed) -> Weighed:
        """Add other pairs, and leave each recipient once for a company."""
        joined = (
            np.concatenate([getattr(self, part), getattr(other, part)])
            for part in ("score", "has_other_name")
        )
        order = np.argsort(np.concatenate([self.pairs.company, other.pairs.company]), kind="stable")
        score, has_other_name = (values[order] for values in joined)
        both = Weighed(self.pairs.beside(other.pairs), score, has_other_name)
        return both.take(both.best())

    def keep(self, names: Names, companies: int) -> pa.Array:
        """Pack the pairs, sorted by company, to be kept: one run of bytes for each of so many companies."""
        pairs = self.pairs
        packed = np.zeros(len(pairs), _KEPT)
        packed["entry"], packed["level"] = pairs.entry, pairs.level
        packed["nth"] = pairs.query - np.searchsorted(names.owner, pairs.company)
        packed["is_other"], packed["score"] = self.has_other_name, self.score
        counts = np.bincount(pairs.company, minlength=companies)
        offsets = np.concatenate([[0], np.cumsum(counts)]) * _KEPT.itemsize
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(packed)]
        return pa.Array.from_buffers(pa.binary(), companies, buffers)

    @classmethod
    def kept(cls, packed: pa.Array, names: Names, index: RecipientIndex) -> Weighed:
        """Unpack the pairs that were kept of some companies, whose names were read again."""
        data, offsets = lay_out(packed)
        found = np.ascontiguousarray(data).view(_KEPT)
        company = np.repeat(np.arange(len(packed)), np.diff(offsets) // _KEPT.itemsize)
        entry = found["entry"].astype(np.int64)
        name, row = (index[column][entry].astype(np.int64) for column in ("entry_name", "entry_row"))
        query = np.searchsorted(names.owner, company) + found["nth"]
        pairs = Candidates(company, query, name, entry, row, found["level"].copy())
        return cls(pairs, found["score"].copy(), found["is_other"].copy())


@dataclass(frozen=True)
class Judged:
    """How probable each of n pairs is, and what was said of it besides its names and places.

    Parameters
    ----------
    differing : float64 array of shape (n,)
        What weighs against a pair whose identifiers differ.
    moves : float64 array of shape (n,)
        What weighs for a pair as near as that, by how many places the name has in the awards.
    sibling : float64 array of shape (n,)
        What weighs for a pair that a company of the same name is known to be.
    told_by, doubted_by : object arrays of shape (n,)
        The id of that company, and of one whose other identifier speaks against the pair, with the odds or
        the chance that it is one firm with the company; or None.
    probability : float64 array of shape (n,)
    """

    differing: Floats
    moves: Floats
    sibling: Floats
    told_by: npt.NDArray[np.object_]
    doubted_by: npt.NDArray[np.object_]
    probability: Floats

    def take(self, positions: Ints) -> Judged:
        """Pick pairs, in the order given."""
        return Judged(*(getattr(self, part.name)[positions] for part in fields(self)))


def judge(
    weighed: Weighed, index: RecipientIndex, identity: Identity, siblings: Siblings | None, params: Matching
) -> Judged:
    """Let each company's candidates compete.

    Parameters
    ----------
    weighed : Weighed
        Sorted by company; each recipient once for a company.
    index : RecipientIndex
    identity : Identity
        The companies'.
    siblings : Siblings, or None
        What others of their name say of the companies.
    params : Matching
    """
    pairs = weighed.pairs
    differing = weigh_differing(index, identity, pairs)
    odds, told_by = np.zeros(len(pairs)), np.repeat(NOBODY, len(pairs))
    doubted_by, moves = told_by, np.zeros(len(pairs))
    if siblings is not None:
        odds, told_by = siblings.tell(pairs)
        doubt, doubted_by = siblings.weigh_strangers(index, pairs)
        # An identifier that differs makes the sibling another firm, too.
        odds = odds * np.exp(differing)
        differing = np.minimum(differing, doubt)
        moves = siblings.moves[pairs.company, pairs.level]
    own = weighed.score + differing + moves
    # A sibling's word is one more way to be its recipient: odds add up where evidence multiplies.
    sibling = np.logaddexp(own, np.log(np.maximum(odds, _LEAST_ODDS))) - own
    sibling = np.where(odds > 0, sibling, 0.0)
    probability = compete(pairs.company, own + sibling)
    probability = np.minimum(probability, np.maximum(_ceilings(weighed, params), odds / (1 + odds)))
    return Judged(differing, moves, sibling, told_by, doubted_by, probability)


def _ceilings(weighed: Weighed, params: Matching) -> Floats:
    """Say how sure a pair can be at most, where what is known leaves a doubt that no score takes away."""
    # Without a place nothing tells a firm from a namesake, however rare the name.
    unplaced = np.where(weighed.pairs.level == _UNPLACED, params.max_unplaced_probability, 1.0)
    return np.minimum(unplaced, np.where(weighed.has_other_name, params.max_renamed_probability, 1.0))
