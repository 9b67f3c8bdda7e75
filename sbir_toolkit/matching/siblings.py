"""What the siblings of companies say of them.

A company that has been recognised tells the others of its name who they are, with the odds that the two are
one firm; and one whose identifier is no recipient's says that they aren't a recipient with another identifier
(`recognised` says how both are known). Here is what was said, beside the pairs of companies and recipients
that it weighs for and against, and as evidence keeps it.

A sibling's word is one more way to be its recipient, beside what the company's own name and place say; so the
odds are added to the strength of the pair (see `model`). Several siblings of one recipient count once, at
their best; siblings of different recipients compete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.identifiers import DIFFERS, Registration, differ, read_registration
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.lookup import find_recipients
from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.matching.texts import Floats, Ints, find_sorted

_Objects = npt.NDArray[np.object_]

NOBODY: _Objects = np.full(1, None, object)
"""The company_id of no company."""


@dataclass(frozen=True)
class Siblings:
    """What siblings say of n companies: m pairs of a company and a recipient, and what speaks against others.

    Parameters
    ----------
    company : int64 array of shape (m,)
        Position of the company; ascending.
    row : int64 array of shape (m,)
        The recipient's row; ascending for each company.
    odds : float64 array of shape (m,)
        That the company and the sibling are one firm, and the sibling is this recipient.
    told_by : object array of shape (m,)
        The sibling's company_id.
    stranger : Registration of shape (n,)
        The identifiers of each company's nearest sibling whose identifiers are no recipient's.
    doubted_by : object array of shape (n,)
        That sibling's company_id, or None.
    share : float64 array of shape (n,)
        The chance that the two are one firm; 0 where there is none.
    moves : float64 array of shape (n, levels of places)
        What weighs for a recipient as near as that, in natural-log units, by how many places the name has and
        whether anybody at one of them was recognised.
    """

    company: Ints
    row: Ints
    odds: Floats
    told_by: _Objects
    stranger: Registration
    doubted_by: _Objects
    share: Floats
    moves: Floats

    def part(self, low: int, high: int) -> Siblings:
        """Take those of the companies from `low` to before `high`, counted from there."""
        cut = slice(*np.searchsorted(self.company, [low, high]))
        return Siblings(
            self.company[cut] - low,
            self.row[cut],
            self.odds[cut],
            self.told_by[cut],
            Registration(self.stranger.uei[low:high], self.stranger.duns[low:high]),
            self.doubted_by[low:high],
            self.share[low:high],
            self.moves[low:high],
        )

    def tell(self, pairs: Candidates) -> tuple[Floats, _Objects]:
        """Give the odds that a sibling tells of each pair, 0 where none does, and who it is."""
        if len(self.row) == 0:
            return np.zeros(len(pairs)), np.repeat(NOBODY, len(pairs))
        told, asked = (
            (one.company.astype(np.uint64) << np.uint64(32)) | one.row.astype(np.uint64)
            for one in (self, pairs)
        )
        place = find_sorted(told, asked)
        said = np.array([None, *map(_write, self.told_by, self.odds)], object)
        return np.where(place >= 0, self.odds[place], 0.0), said[place + 1]

    def weigh_strangers(self, index: RecipientIndex, pairs: Candidates) -> tuple[Floats, _Objects]:
        """Weigh, in natural-log units, that a sibling has another identifier than the recipient; say who."""
        weight = np.log(1 - self.share * (1 - np.exp(DIFFERS)))[pairs.company]
        said = np.array([None, *map(_write, self.doubted_by, self.share)], object)
        differs = differ(index, self.stranger, pairs)
        return np.where(differs, weight, 0.0), said[np.where(differs, pairs.company + 1, 0)]


@dataclass(frozen=True)
class Word:
    """What the siblings of one company said of it, as its evidence keeps it and as people are told it.

    Parameters
    ----------
    teller : str
        The sibling that was recognised, with its place; empty where there was none.
    recipient_id : str
        The recipient it is.
    odds : float
        That it is one firm with the company.
    doubter : str
        The sibling whose identifiers are no recipient's, with its place; empty where there was none.
    uei, duns : str or None
        These identifiers.
    share : float
        The chance that it is one firm with the company.
    moves : float
        What the number of places of its name weighs, in natural-log units.
    """

    teller: str = ""
    recipient_id: str = ""
    odds: float = 0.0
    doubter: str = ""
    uei: str | None = None
    duns: str | None = None
    share: float = 0.0
    moves: float = 0.0

    def said(self, index: RecipientIndex) -> Siblings:
        """Give it as what siblings say of the only company there is."""
        rows = find_recipients(index, "recipient_id", [self.recipient_id] if self.teller else [])
        row = np.array(list(rows.values()), np.int64)
        told = len(row)
        ids = {"uei": pa.array([self.uei], pa.string()), "duns": pa.array([self.duns], pa.string())}
        return Siblings(
            np.zeros(told, np.int64),
            row,
            np.full(told, self.odds),
            np.full(told, self.teller, object),
            read_registration(pa.table(ids)),
            np.array([self.doubter or None], object),
            np.array([self.share]),
            np.full((1, len(LEVELS)), self.moves),
        )


def _write(company_id: str | None, number: float) -> str:
    return f"{company_id} {number:.6g}"


def read_said(said: str) -> tuple[str, float]:
    """Read from evidence who told or doubted, and with which odds or chance."""
    company_id, number = said.rsplit(" ", 1)
    return company_id, float(number)
