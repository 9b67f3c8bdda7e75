"""The sample: companies whose recipient an identifier tells, tried as if it didn't.

An identifier alone is no truth, as some are mistyped: the recipient's name must agree with the company's, or
it must be in the same city, as a firm that changed its name is. The sample is drawn evenly from all such
companies. Early years have few of them but weigh much (see `years`), so what the sample holds too little of
is topped up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.years import year_strata
from sbir_toolkit.matching.identifiers import Hits, match_identifiers, read_identity
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, Places, place_level, read_places
from sbir_toolkit.matching.texts import Flags, Ints
from sbir_toolkit.params import Accuracy
from sbir_toolkit.tables import COMPANIES

_CITY = LEVELS.index("city")
# Trials of one stratum of years that the sample should have, where there are so many.
_OF_EACH_STRATUM = 200


class _Told(NamedTuple):
    """Of each company its recipient's row, -1 for none, and what named one, a place in `KINDS`, or -1."""

    row: Ints
    kind: Ints


@dataclass(frozen=True)
class Sample:
    """Companies with a known recipient, their identifiers blanked.

    Parameters
    ----------
    companies : pandas.DataFrame
        As the contract `companies` says.
    truth : int64 array
        The row of each one's recipient.
    known_by : int64 array
        What told it, a place in `KINDS`.
    contracts : pandas.Series of str
        The numbers of each one's contracts, which were blanked with the identifiers.
    is_added : bool array
        Whether it is there for its years only.
    hits, doubted : int
        Companies looked at whose identifier is a recipient's; those of them left out, as neither name nor
        city agrees.
    """

    companies: pd.DataFrame
    truth: Ints
    known_by: Ints
    contracts: pd.Series[str]
    is_added: Flags
    hits: int
    doubted: int


def draw_sample(companies: pd.DataFrame, index: RecipientIndex, accuracy: Accuracy) -> Sample:
    """Draw companies whose identifier tells their recipient; the same ones whatever the companies' order."""
    has_id = companies[["uei", "duns", "contracts"]].notna().any(axis=1)
    with_id = companies[has_id].sort_values("company_id")
    order = np.random.default_rng(accuracy.seed).permutation(len(with_id))
    size, drawn, hits, doubted = accuracy.sample_companies, [], 0, 0
    low = found = 0
    while low < len(order) and found < size:
        part = order[low : low + size]
        told = _recipients_of(with_id.iloc[part], index)
        is_hit = told.kind >= 0
        good = np.flatnonzero(told.row >= 0)[: size - found]
        # What comes after the last company wanted wasn't looked at.
        seen = int(good[-1]) + 1 if found + len(good) == size else len(part)
        hits, doubted = hits + int(is_hit[:seen].sum()), doubted + int((is_hit & (told.row < 0))[:seen].sum())
        drawn.append((part[good], told.row[good], told.kind[good]))
        found += len(good)
        low += seen
    rest = order[low:]
    strata = year_strata(with_id["last_award_year"])
    taken = np.concatenate([at for at, *_ in drawn]) if drawn else order[:0]
    missing = _shortfall(strata[taken], strata[rest])
    rank = pd.Series(strata[rest], dtype="str").groupby(strata[rest]).cumcount().to_numpy(np.int64)
    added = rest[rank < missing]
    told = _recipients_of(with_id.iloc[added], index)
    good = np.flatnonzero(told.row >= 0)
    drawn.append((added[good], told.row[good], told.kind[good]))
    at, truth, known_by = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    chosen = with_id.iloc[at].reset_index(drop=True)
    return Sample(
        blank_identifiers(chosen),
        truth,
        known_by,
        chosen["contracts"],
        np.arange(len(at)) >= len(taken),
        hits,
        doubted,
    )


def identify(companies: pd.DataFrame, index: RecipientIndex) -> tuple[Hits, Places]:
    """Say which recipients the identifiers of companies name, and where the companies are."""
    table = COMPANIES.arrow(companies)
    column = {name: table.column(name).combine_chunks() for name in COMPANIES.names}
    names = read_names(column["company"])
    places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
    return match_identifiers(index, names, places, read_identity(table)), places


def blank_identifiers(companies: pd.DataFrame) -> pd.DataFrame:
    """Take the identifiers from companies."""
    nothing = pd.Series([None] * len(companies), index=companies.index, dtype="str")
    return companies.assign(uei=nothing, duns=nothing, contracts=nothing)


def _shortfall(taken: np.ndarray, rest: np.ndarray) -> Ints:
    """Say for each company that is left how many its stratum lacks."""
    values, count = np.unique(taken, return_counts=True)
    known = dict(zip(values.tolist(), count.tolist(), strict=True))
    return np.array([max(0, _OF_EACH_STRATUM - known.get(one, 0)) for one in rest.tolist()], np.int64)


def _recipients_of(companies: pd.DataFrame, index: RecipientIndex) -> _Told:
    """Give the row that each one's identifier and name or city agree on, and what named one."""
    hits, places = identify(companies, index)
    is_hit = hits.row >= 0
    level = np.zeros(len(companies), np.uint8)
    level[is_hit] = place_level(places.take(np.flatnonzero(is_hit)), index.places.take(hits.row[is_hit]))
    agrees = is_hit & ((hits.name > 0) | (level >= _CITY))
    return _Told(np.where(agrees, hits.row, -1), hits.kind)
