"""Which recipients are worth a closer look for each company.

Several routes lead from a company to recipients, and each sees what the others are blind to:

- its core name, blanks left out, is a recipient's (`exact`);
- it has the same plain words as a recipient's, in any order (`same words`);
- it shares rare words, or pairs of neighbouring words, with a recipient's name (`words`);
- one of its rare words is a letter away from a word of a recipient's name (`words`, through the mistyped
  forms);
- a recipient sits in the same building (`place`), which is how a renamed firm is found.

The first two cost one look-up. A company it finds at its own place needs no other route; the rest are
looked for by the others. What is found for a company depends on that company and the index alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sbir_toolkit.matching.abbreviations import bag_hashes
from sbir_toolkit.matching.index import RecipientIndex, place_key
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.ordering import sort_keys
from sbir_toolkit.matching.places import LEVELS, Places, place_level
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Floats,
    Ints,
    expand,
)
from sbir_toolkit.matching.word_search import find_by_words
from sbir_toolkit.params import Matching

_SAME_BUILDING = 40
# How promising a name with the same plain words is, beside 1 for the same name.
_SAME_WORDS = 0.95
_CITY = LEVELS.index("city")


@dataclass(frozen=True)
class Candidates:
    """Pairs of a company's name and a recipient's name, sorted by company.

    Parameters
    ----------
    company : int64 array of shape (n,)
        Position of the company.
    query : int64 array of shape (n,)
        Position of its name.
    name : int64 array of shape (n,)
        The recipient's core name, by number in the index.
    entry : int64 array of shape (n,)
        The recipient's bearing of that name, by number in the index.
    row : int64 array of shape (n,)
        The recipient's row.
    level : uint8 array of shape (n,)
        How near the places are, index into `places.LEVELS`.
    """

    company: Ints
    query: Ints
    name: Ints
    entry: Ints
    row: Ints
    level: Bytes

    def __len__(self) -> int:
        return len(self.company)

    def take(self, positions: Ints) -> Candidates:
        """Pick pairs, in the order given."""
        return Candidates(*(getattr(self, part.name)[positions] for part in fields(self)))

    def beside(self, other: Candidates) -> Candidates:
        """Add other pairs, sorted by company again."""
        both = Candidates(
            *(np.concatenate([getattr(self, part.name), getattr(other, part.name)]) for part in fields(self))
        )
        return both.take(np.argsort(both.company, kind="stable"))


def find_candidates(
    index: RecipientIndex,
    names: Names,
    places: Places,
    wanted: Flags,
    params: Matching,
    *,
    everywhere: Flags | bool = False,
) -> Candidates:
    """Find the recipients worth a closer look for each company.

    Parameters
    ----------
    index : RecipientIndex
    names : Names
        The companies' names; `owner` is the company's position.
    places : Places
        The companies' places.
    wanted : bool array of shape (companies,)
        Which companies to look for.
    params : Matching
    everywhere : bool array of shape (companies,), or False
        Which of them to look for by all routes, whatever the first ones find: what they find may not count.

    Returns
    -------
    Candidates
        At most `max_candidates` pairs for a company, sorted by company, then recipient's row.
    """
    if index.names == 0:
        nothing = np.zeros(0, np.int64)
        return Candidates(nothing, nothing, nothing, nothing, nothing, np.zeros(0, np.uint8))
    query, name = find_exact(index, names)
    is_wanted = wanted[names.owner[query]]
    query, name = query[is_wanted], name[is_wanted]
    exact = _with_recipients(index, names, places, query=query, name=name, score=np.ones(len(query)))
    query, name = _find_same_words(index, names)
    is_wanted = wanted[names.owner[query]]
    query, name = query[is_wanted], name[is_wanted]
    same_words = _with_recipients(
        index, names, places, query=query, name=name, score=np.full(len(query), _SAME_WORDS)
    )
    is_settled = np.zeros(len(wanted), bool)
    is_settled[exact.pairs.company[exact.pairs.level >= _CITY]] = True
    is_settled = ~wanted | (is_settled & ~np.asarray(everywhere))
    open_names = np.flatnonzero(~is_settled[names.owner])
    query, name, score = find_by_words(index, names, open_names, params)
    by_words = _with_recipients(index, names, places, query=query, name=name, score=score)
    by_place = _find_by_place(index, names, places, np.flatnonzero(~is_settled))
    return _best([exact, same_words, by_words, by_place], params.max_candidates)


def find_by_each_route(
    index: RecipientIndex, names: Names, places: Places, params: Matching
) -> dict[str, Candidates]:
    """Find what each route finds by itself, for every company, whatever the other routes found.

    Parameters
    ----------
    index : RecipientIndex
    names, places : Names, Places
        The companies'.
    params : Matching

    Returns
    -------
    dict of Candidates
        By route: exact, same words, words, place. Unlike in `find_candidates` no company is settled early,
        and none of the pairs is dropped because others are more promising.
    """
    everyone = np.arange(len(places.zip5))
    by_name = {
        "exact": find_exact(index, names),
        "same words": _find_same_words(index, names),
        "words": find_by_words(index, names, np.arange(len(names)), params)[:2],
    }
    found = {
        route: _with_recipients(index, names, places, query=query, name=name, score=np.ones(len(query)))
        for route, (query, name) in by_name.items()
    }
    found["place"] = _find_by_place(index, names, places, everyone)
    return {route: part.pairs for route, part in found.items()}


def find_exact(index: RecipientIndex, names: Names) -> tuple[Ints, Ints]:
    """Find the core names that equal a recipient's, blanks left out.

    Returns
    -------
    query, name : int64 arrays
        Positions in `names` and numbers in the index.
    """
    known = index["name_joined"]
    place = np.searchsorted(known, names.joined)
    hit = np.flatnonzero(place < len(known))
    hit = hit[known[place[hit]] == names.joined[hit]]
    return hit, place[hit]


def _find_same_words(index: RecipientIndex, names: Names) -> tuple[Ints, Ints]:
    """Find the core names with the same plain words, in any order."""
    bags = bag_hashes(names.word_plain, names.word_start)
    low = np.searchsorted(index["bag_key"], bags, side="left")
    count = np.searchsorted(index["bag_key"], bags, side="right") - low
    count[bags == 0] = 0
    name = index["bag_name"][expand(low, count)].astype(np.int64)
    query = np.repeat(np.arange(len(names)), count)
    other = index["name_joined"][name] != names.joined[query]
    return query[other], name[other]


@dataclass(frozen=True)
class _Found:
    pairs: Candidates
    score: Floats


def _with_recipients(
    index: RecipientIndex, names: Names, places: Places, *, query: Ints, name: Ints, score: Floats
) -> _Found:
    bounds = index["name_entries"]
    first = bounds[name].astype(np.int64)
    count = bounds[name + 1] - first
    entry = expand(first, count)
    query, name, score = np.repeat(query, count), np.repeat(name, count), np.repeat(score, count)
    row = index["entry_row"][entry].astype(np.int64)
    company = names.owner[query]
    level = place_level(places.take(company), index.places.take(row))
    return _Found(Candidates(company, query, name, entry, row, level), score)


def pairs_with_rows(
    index: RecipientIndex, names: Names, places: Places, company: Ints, row: Ints
) -> tuple[Candidates, Ints]:
    """Pair every name of each company with every name of the recipient beside it.

    Parameters
    ----------
    index : RecipientIndex
    names, places : Names, Places
        The companies'.
    company, row : int64 arrays of shape (n,)
        A company and a recipient's row each.

    Returns
    -------
    pairs : Candidates
        In the order of `company`.
    at : int64 array
        Which company and row each pair is for, as a position in these arrays.
    """
    at, entry = index.entries_of(row)
    first = np.searchsorted(names.owner, company[at])
    count = np.searchsorted(names.owner, company[at], side="right") - first
    query = expand(first, count)
    entry, at = np.repeat(entry, count), np.repeat(at, count)
    level = place_level(places.take(company), index.places.take(row))
    name = index["entry_name"][entry].astype(np.int64)
    return Candidates(company[at], query, name, entry, row[at], level[at]), at


def _find_by_place(index: RecipientIndex, names: Names, places: Places, companies: Ints) -> _Found:
    companies = companies[(places.number[companies] > 0) & (places.zip5[companies] > 0)]
    key = place_key(places.zip5[companies], places.number[companies])
    low = np.searchsorted(index["place_key"], key, side="left")
    count = np.searchsorted(index["place_key"], key, side="right") - low
    count[count > _SAME_BUILDING] = 0
    row = index["place_rows"][expand(low, count)].astype(np.int64)
    pairs, _ = pairs_with_rows(index, names, places, np.repeat(companies, count), row)
    return _Found(pairs, np.zeros(len(pairs)))


def _best(found: list[_Found], most: int) -> Candidates:
    """Keep each company's most promising pairs: more in common first, then the nearer place."""
    parts = [part.pairs for part in found]
    pairs = Candidates(
        *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Candidates))
    )
    promise = np.concatenate([part.score for part in found]) + _PLACE_PROMISE[pairs.level]
    pairs, promise = _each_once(pairs, promise)
    # Company, promise and place in line share one number, so that a plain sort puts the best of each first.
    steps = np.round((_MOST_PROMISE - promise) * _PROMISE_STEPS).astype(np.uint64)
    packed = (pairs.company.astype(np.uint64) << np.uint64(48)) | (steps << np.uint64(32))
    packed |= np.arange(len(pairs), dtype=np.uint64)
    packed.sort(kind="stable")  # nearly in order
    company = packed >> np.uint64(48)
    nth = np.arange(len(company)) - np.searchsorted(company, company)
    kept = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)[nth < most]
    return pairs.take(np.sort(kept))


def _each_once(pairs: Candidates, promise: Floats) -> tuple[Candidates, Floats]:
    """Sort pairs by company, then recipient; one found by several routes counts once, at its best."""
    order, keys = sort_keys((pairs.company.astype(np.uint64) << np.uint64(32)) | pairs.row.astype(np.uint64))
    several = np.flatnonzero(np.isin(keys, keys[1:][keys[1:] == keys[:-1]], assume_unique=False))
    inside = order[several]
    ranked = np.lexsort(
        (-promise[inside], pairs.name[inside], pairs.query[inside], pairs.row[inside], pairs.company[inside])
    )
    order[several] = inside[ranked]
    pairs, promise = pairs.take(order.astype(np.int64)), promise[order]
    again = np.zeros(len(pairs), bool)
    again[1:] = True
    for part in ("company", "row", "query", "name"):
        column = getattr(pairs, part)
        again[1:] &= column[1:] == column[:-1]
    return pairs.take(np.flatnonzero(~again)), promise[~again]


# Promise is at most 1 for the name and 0.4 for the place, and is told apart in steps.
_MOST_PROMISE, _PROMISE_STEPS = 1.5, 40_000
_PLACE_PROMISE = np.array([0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4])
