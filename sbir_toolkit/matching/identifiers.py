"""What a company's UEI and DUNS say.

An identifier that a recipient has names that recipient, and little can outweigh it. But identifiers are
mistyped, and about one in a hundred DUNS of public SBIR awards stands beside the name of another firm. So
name and place are weighed too: where both contradict, the link is a conflict for a person to look at.

An identifier that a candidate found by name does *not* share speaks against that candidate; not decisively,
since firms register again and have several sites (about 2 % of SBIR companies appear under more than one
DUNS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.candidates import Candidates, pairs_with_rows
from sbir_toolkit.matching.evidence import measure_pairs
from sbir_toolkit.matching.index import RecipientIndex, duns_numbers
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.places import LEVELS, Places
from sbir_toolkit.matching.texts import Flags, Floats, Hashes, Ints, expand, hash_strings

# In natural-log units: the chance that a recipient named by an identifier is the right one, by what else
# is known. They
# follow the counts of name changes and wrong identifiers in public SBIR awards (see the module's text).
_BASE = {"uei": 6.0, "duns": 5.0}
_NAME_AGREES, _NAME_CONTRADICTS = 1.5, -2.5
_PLACE = {
    "elsewhere": -0.7,
    "unknown": 0.0,
    "state": 0.2,
    "zip3": 0.3,
    "city": 0.4,
    "zip5": 0.5,
    "building": 1.0,
}
DIFFERS = -3.0
"""What weighs, in natural-log units, against a recipient with another identifier than the company's."""


@dataclass(frozen=True)
class Identity:
    """The companies' identifiers as numbers; 0 where there is none.

    Parameters
    ----------
    uei : uint64 array of shape (n,)
        Hashes.
    duns : uint32 array of shape (n,)
    """

    uei: Hashes
    duns: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Hits:
    """The recipient that each company's identifiers name.

    Parameters
    ----------
    row : int64 array of shape (n,)
        The recipient's row; -1 where no identifier is a recipient's.
    is_uei : bool array of shape (n,)
        Whether the UEI named it; otherwise the DUNS did.
    is_conflict : bool array of shape (n,)
        Whether name and place both contradict.
    identifier, name, place : float64 arrays of shape (n,)
        Their weights, in natural-log units.
    """

    row: Ints
    is_uei: Flags
    is_conflict: Flags
    identifier: Floats
    name: Floats
    place: Floats

    @property
    def probability(self) -> Floats:
        """The probability that it is the right one; 0 where there is none."""
        sure = 1 / (1 + np.exp(-(self.identifier + self.name + self.place)))
        return np.where(self.row >= 0, sure, 0.0)


def read_identity(uei: pa.Array, duns: pa.Array) -> Identity:
    """Read UEI and DUNS, text with nulls, as numbers."""
    return Identity(hash_strings(uei), duns_numbers(duns))


def match_identifiers(index: RecipientIndex, names: Names, places: Places, identity: Identity) -> Hits:
    """Find the recipient that each company's identifiers name.

    Parameters
    ----------
    index : RecipientIndex
    names, places, identity : Names, Places, Identity
        The companies'.

    Returns
    -------
    Hits
        Where UEI and DUNS name different recipients, the one that name or place don't contradict, the UEI's
        before the DUNS's.
    """
    company, row, is_uei = look_up(index, identity)
    name, place, is_contradicted = _weigh(index, names, places, company, row)
    is_far = place < 0
    is_conflict = is_contradicted & is_far
    fullness = (index["row_uei"][row] != 0) * 2 + (index["row_duns"][row] != 0)
    order = np.lexsort((row, -fullness, -(name + place), ~is_uei, is_conflict, company))
    best = order[np.searchsorted(company[order], np.unique(company))]
    count = len(places.zip5)
    hits = Hits(
        np.full(count, -1), *(np.zeros(count, bool) for _ in range(2)), *(np.zeros(count) for _ in range(3))
    )
    at = company[best]
    hits.row[at], hits.is_uei[at], hits.is_conflict[at] = row[best], is_uei[best], is_conflict[best]
    hits.identifier[at] = np.where(is_uei[best], _BASE["uei"], _BASE["duns"])
    hits.name[at], hits.place[at] = name[best], place[best]
    return hits


def look_up(index: RecipientIndex, identity: Identity) -> tuple[Ints, Ints, Flags]:
    """Find every recipient that has a company's UEI or DUNS.

    Returns
    -------
    company, row : int64 arrays
        Position of the company and row of the recipient, by company, the UEI's before the DUNS's.
    is_uei : bool array
        Whether they share the UEI; otherwise it is the DUNS.
    """
    companies, rows, flags = [], [], []
    for kind, keys in (("uei", identity.uei), ("duns", identity.duns)):
        known = np.flatnonzero(keys != 0)
        low = np.searchsorted(index[f"{kind}_key"], keys[known], side="left")
        count = np.searchsorted(index[f"{kind}_key"], keys[known], side="right") - low
        rows.append(index[f"{kind}_rows"][expand(low, count)].astype(np.int64))
        companies.append(np.repeat(known, count))
        flags.append(np.full(int(count.sum()), kind == "uei"))
    company, row, is_uei = (np.concatenate(parts) for parts in (companies, rows, flags))
    order = np.lexsort((row, ~is_uei, company))
    return company[order], row[order], is_uei[order]


def weigh_differing(index: RecipientIndex, identity: Identity, pairs: Candidates) -> Floats:
    """Weigh, in natural-log units, that a candidate has another identifier; 0 where either has none."""
    return np.where(differ(index, identity, pairs), DIFFERS, 0.0)


def differ(index: RecipientIndex, identity: Identity, pairs: Candidates) -> Flags:
    """Tell which pairs have different identifiers of one kind."""
    differs = np.zeros(len(pairs), bool)
    for ours, theirs in ((identity.uei, index["row_uei"]), (identity.duns, index["row_duns"])):
        one, other = ours[pairs.company], theirs[pairs.row]
        differs |= (one != 0) & (other != 0) & (one != other)
    return differs


def _weigh(
    index: RecipientIndex, names: Names, places: Places, company: Ints, row: Ints
) -> tuple[Floats, Floats, Flags]:
    """Weigh name and place of each company and the recipient named; its best name counts."""
    numbered = np.arange(len(company))
    pairs, at = pairs_with_rows(index, names, places, company, row)
    measures = measure_pairs(index, names, pairs)
    agrees = (
        (measures["covered"] >= 0.5)
        | (measures["letters"] >= 0.75)
        | (measures["first_word"] >= 0.9)
        | (measures["acronym"] > 0)
        | (measures["truncated"] > 0)
    )
    is_agreed = np.isin(numbered, at[agrees])
    level = np.full(len(company), LEVELS.index("unknown"))
    level[at] = pairs.level
    name = np.where(is_agreed, _NAME_AGREES, _NAME_CONTRADICTS)
    return name, np.array([_PLACE[one] for one in LEVELS])[level], ~is_agreed
