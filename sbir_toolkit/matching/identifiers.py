"""What a company's UEI and DUNS say, and the contracts of its awards.

An identifier that a recipient has names that recipient, and little can outweigh it. But identifiers are
mistyped, and about one in a hundred DUNS of public SBIR awards stands beside the name of another firm. So
name and place are weighed too: where both contradict, the link is a conflict for a person to look at.

The number of a contract names who was paid under it, where award archives say so; it is asked after UEI and
DUNS. A company has as many as its awards have, so they may name several firms: that is a conflict, too.

An identifier that a candidate found by name does *not* share speaks against that candidate; not decisively,
since firms register again and have several sites (about 2 % of SBIR companies appear under more than one
DUNS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.candidates import Candidates, pairs_with_rows
from sbir_toolkit.matching.decide import same_firm
from sbir_toolkit.matching.evidence import measure_pairs
from sbir_toolkit.matching.index import RecipientIndex, duns_numbers
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.places import LEVELS, Places
from sbir_toolkit.matching.texts import Flags, Floats, Hashes, Ints, expand, hash_strings, text_array

# In natural-log units: the chance that a recipient named by an identifier is the right one, by what else
# is known. They
# follow the counts of name changes and wrong identifiers in public SBIR awards (see the module's text).
_BASE = {"uei": 6.0, "duns": 5.0, "contract": 5.0}
KINDS = tuple(_BASE)
"""What identifies a recipient, in the order in which it is believed; the tiers bear the same names."""
_CONTRACT = KINDS.index("contract")
_CODED_SBIR = 1.0
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
class Registration:
    """The identifiers that companies were registered under, as numbers; 0 where there is none.

    Parameters
    ----------
    uei : uint64 array of shape (n,)
        Hashes.
    duns : uint32 array of shape (n,)
    """

    uei: Hashes
    duns: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Identity(Registration):
    """All the companies' identifiers as numbers: those registered, and the contracts awarded.

    Parameters
    ----------
    contract : uint64 array
        Hashes of the contracts' keys, company by company.
    contracts : int64 array of shape (n,)
        How many of them each company has.
    """

    contract: Hashes
    contracts: Ints


@dataclass(frozen=True)
class Hits:
    """The recipient that each company's identifiers name.

    Parameters
    ----------
    row : int64 array of shape (n,)
        The recipient's row; -1 where no identifier is a recipient's.
    kind : int64 array of shape (n,)
        What named it, a place in `KINDS`.
    is_conflict : bool array of shape (n,)
        Whether name and place both contradict, or the contracts name several firms.
    identifier, name, place : float64 arrays of shape (n,)
        Their weights, in natural-log units.
    """

    row: Ints
    kind: Ints
    is_conflict: Flags
    identifier: Floats
    name: Floats
    place: Floats

    @property
    def probability(self) -> Floats:
        """The probability that it is the right one; 0 where there is none."""
        sure = 1 / (1 + np.exp(-(self.identifier + self.name + self.place)))
        return np.where(self.row >= 0, sure, 0.0)


def read_registration(companies: pa.Table | pd.DataFrame) -> Registration:
    """Read UEI and DUNS of companies, by the contract `companies`, as numbers."""
    uei, duns = (text_array(companies[name]) for name in ("uei", "duns"))
    return Registration(hash_strings(uei), duns_numbers(duns))


def read_identity(companies: pa.Table | pd.DataFrame) -> Identity:
    """Read all identifiers of companies, by the contract `companies`, as numbers."""
    contracts = text_array(companies["contracts"])
    lists = pc.split_pattern(contracts.filter(pc.is_valid(contracts)), "|")
    counts = np.zeros(len(contracts), np.int64)
    counts[pc.is_valid(contracts).to_numpy(zero_copy_only=False)] = pc.list_value_length(lists).to_numpy()
    return Identity(
        **vars(read_registration(companies)), contract=hash_strings(lists.flatten()), contracts=counts
    )


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
        Where they name different recipients, the one that name or place don't contradict, the UEI's before
        the DUNS's, and that before a contract's.
    """
    company, row, kind, is_coded = _look_up(index, identity)
    name, place, is_contradicted = _weigh(index, names, places, company, row)
    is_far = place < 0
    is_conflict = is_contradicted & is_far
    fullness = (index["row_uei"][row] != 0) * 2 + (index["row_duns"][row] != 0)
    order = np.lexsort((row, -fullness, -(name + place), kind, is_conflict, company))
    best = order[np.searchsorted(company[order], np.unique(company))]
    count = len(places.zip5)
    hits = Hits(
        np.full(count, -1),
        np.full(count, -1),
        np.zeros(count, bool),
        *(np.zeros(count) for _ in range(3)),
    )
    at = company[best]
    hits.row[at], hits.kind[at], hits.is_conflict[at] = row[best], kind[best], is_conflict[best]
    hits.identifier[at] = np.array(list(_BASE.values()))[kind[best]] + _CODED_SBIR * is_coded[best]
    hits.name[at], hits.place[at] = name[best], place[best]
    # Contracts of one company that name several firms can't all be its own.
    is_other = (kind == _CONTRACT) & (hits.kind[company] == _CONTRACT)
    is_other &= ~same_firm(index, row, hits.row[company])
    hits.is_conflict[company[is_other]] = True
    return hits


def look_up(index: RecipientIndex, identity: Identity) -> tuple[Ints, Ints, Ints]:
    """Find every recipient that an identifier of a company names.

    Returns
    -------
    company, row, kind : int64 arrays
        Position of the company, row of the recipient, and what they share, a place in `KINDS`: by company,
        the UEI's before the DUNS's before a contract's.
    """
    company, row, kind, _ = _look_up(index, identity)
    return company, row, kind


def _look_up(index: RecipientIndex, identity: Identity) -> tuple[Ints, Ints, Ints, Flags]:
    """As `look_up`; tells also whether what they share is a contract coded as SBIR or STTR."""
    everyone = np.arange(len(identity.uei))
    owned: dict[str, tuple[Ints, npt.NDArray[Any]]] = {
        "uei": (everyone, identity.uei),
        "duns": (everyone, identity.duns),
        "contract": (np.repeat(everyone, identity.contracts), identity.contract),
    }
    companies, rows, kinds, coded = [], [], [], []
    for kind, (owner, keys) in owned.items():
        known = np.flatnonzero(keys != 0)
        low = np.searchsorted(index[f"{kind}_key"], keys[known], side="left")
        count = np.searchsorted(index[f"{kind}_key"], keys[known], side="right") - low
        found = expand(low, count)
        rows.append(index[f"{kind}_rows"][found].astype(np.int64))
        companies.append(np.repeat(owner[known], count))
        kinds.append(np.full(len(found), KINDS.index(kind)))
        coded.append(index["contract_sbir"][found] if kind == "contract" else np.zeros(len(found), bool))
    company, row, which, is_coded = (np.concatenate(parts) for parts in (companies, rows, kinds, coded))
    order = np.lexsort((row, which, company))
    return company[order], row[order], which[order], is_coded[order]


def weigh_differing(index: RecipientIndex, identity: Identity, pairs: Candidates) -> Floats:
    """Weigh, in natural-log units, that a candidate has another identifier; 0 where either has none."""
    return np.where(differ(index, identity, pairs), DIFFERS, 0.0)


def differ(index: RecipientIndex, identity: Registration, pairs: Candidates) -> Flags:
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
