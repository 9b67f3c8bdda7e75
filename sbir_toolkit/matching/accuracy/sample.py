"""The sample: companies whose recipient an identifier tells, tried as if it didn't.

An identifier alone is no truth, as some are mistyped: the recipient's name must agree with the company's, or
it must be in the same city, as a firm that changed its name is. The sample is drawn evenly from all such
companies. Early years have few of them but weigh much (see `years`), so what the sample holds too little of
is topped up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.years import year_strata
from sbir_toolkit.matching.identifiers import match_identifiers, read_identity
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, place_level, read_places
from sbir_toolkit.matching.texts import Flags, Ints
from sbir_toolkit.params import Accuracy
from sbir_toolkit.tables import COMPANIES

_CITY = LEVELS.index("city")
# Trials of one stratum of years that the sample should have, where there are so many.
_OF_EACH_STRATUM = 200


@dataclass(frozen=True)
class Sample:
    """Companies with a known recipient, their identifiers blanked.

    Parameters
    ----------
    companies : pandas.DataFrame
        As the contract `companies` says.
    truth : int64 array
        The row of each one's recipient.
    is_added : bool array
        Whether it is there for its years only.
    hits, doubted : int
        Companies looked at whose identifier is a recipient's; those of them left out, as neither name nor
        city agrees.
    """

    companies: pd.DataFrame
    truth: Ints
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
        truth, is_hit = _recipients_of(with_id.iloc[part], index)
        good = np.flatnonzero(truth >= 0)[: size - found]
        # What comes after the last company wanted wasn't looked at.
        seen = int(good[-1]) + 1 if found + len(good) == size else len(part)
        hits, doubted = hits + int(is_hit[:seen].sum()), doubted + int((is_hit & (truth < 0))[:seen].sum())
        drawn.append((part[good], truth[good]))
        found += len(good)
        low += seen
    rest = order[low:]
    strata = year_strata(with_id["last_award_year"])
    taken = np.concatenate([at for at, _ in drawn]) if drawn else order[:0]
    missing = _shortfall(strata[taken], strata[rest])
    rank = pd.Series(strata[rest], dtype="str").groupby(strata[rest]).cumcount().to_numpy(np.int64)
    added = rest[rank < missing]
    truth, _ = _recipients_of(with_id.iloc[added], index)
    drawn.append((added[truth >= 0], truth[truth >= 0]))
    at = np.concatenate([part for part, _ in drawn])
    return Sample(
        blank_identifiers(with_id.iloc[at].reset_index(drop=True)),
        np.concatenate([part for _, part in drawn]),
        np.arange(len(at)) >= len(taken),
        hits,
        doubted,
    )


def blank_identifiers(companies: pd.DataFrame) -> pd.DataFrame:
    """Take the identifiers from companies."""
    nothing = pd.Series([None] * len(companies), index=companies.index, dtype="str")
    return companies.assign(uei=nothing, duns=nothing, contracts=nothing)


def _shortfall(taken: np.ndarray, rest: np.ndarray) -> Ints:
    """Say for each company that is left how many its stratum lacks."""
    values, count = np.unique(taken, return_counts=True)
    known = dict(zip(values.tolist(), count.tolist(), strict=True))
    return np.array([max(0, _OF_EACH_STRATUM - known.get(one, 0)) for one in rest.tolist()], np.int64)


def _recipients_of(companies: pd.DataFrame, index: RecipientIndex) -> tuple[Ints, Flags]:
    """Give the row that each one's identifier and name or city agree on, -1 for none; and who has a hit."""
    table = COMPANIES.arrow(companies)
    column = {name: table.column(name).combine_chunks() for name in COMPANIES.names}
    names = read_names(column["company"])
    places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
    hits = match_identifiers(index, names, places, read_identity(table))
    is_hit = hits.row >= 0
    level = np.zeros(len(companies), np.uint8)
    level[is_hit] = place_level(places.take(np.flatnonzero(is_hit)), index.places.take(hits.row[is_hit]))
    agrees = is_hit & ((hits.name > 0) | (level >= _CITY))
    return np.where(agrees, hits.row, -1), is_hit
