"""Which recipients are worth a closer look for each company.

Several routes lead from a company to recipients, and each sees what the others are blind to:

- its core name, blanks left out, is a recipient's (`exact`);
- it has the same plain words as a recipient's, in any order (`same words`);
- it shares rare words, or pairs of neighbouring words, with a recipient's name (`words`);
- one of its rare words is a letter away from a word of a recipient's name (`words`, through the mistyped
  forms);
- a recipient sits in the same building (`place`), which is how a renamed firm is found.

The first two cost one look-up. A company it finds at its own place needs no other route; the rest are looked for
by the others. What is found for a company depends on that company and the index alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA
from rapidfuzz.process import cpdist

from sbir_toolkit.matching.abbreviations import bag_hashes
from sbir_toolkit.matching.index import RecipientIndex, place_key, typo_keys, word_bits
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.places import LEVELS, Places, place_level
from sbir_toolkit.matching.texts import (
    Bytes,
    Flags,
    Floats,
    Hashes,
    Ints,
    cut_runs,
    expand,
    hash_strings,
    lay_out,
    powers,
)
from sbir_toolkit.params import Matching

_BLOCK_POSTINGS = 1_500_000
_SAME_BUILDING = 40
_CITY = LEVELS.index("city")
# A mistyped word is rare; the word that was meant may be common, though not so common that it tells nothing.
_RARE_COUNT, _MEANT_COUNT = 3, 300


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


def find_candidates(
    index: RecipientIndex, names: Names, places: Places, wanted: Flags, params: Matching
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
    is_settled = ~wanted
    is_settled[exact.pairs.company[exact.pairs.level >= _CITY]] = True
    open_names = np.flatnonzero(~is_settled[names.owner])
    query, name, score = _find_by_words(index, names, open_names, params)
    by_words = _with_recipients(index, names, places, query=query, name=name, score=score)
    by_place = _find_by_place(index, names, places, np.flatnonzero(~is_settled))
    return _best([exact, same_words, by_words, by_place], params.max_candidates)


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
    bounds = index["name_entries"].astype(np.int64)
    first, count = bounds[name], bounds[name + 1] - bounds[name]
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
    # A pair found by several routes counts once, with what the first of them knows.
    order = np.lexsort((-promise, pairs.name, pairs.query, pairs.row, pairs.company))
    pairs, promise = pairs.take(order), promise[order]
    same = np.ones(len(pairs), bool)
    for part in ("company", "row", "query", "name"):
        column = getattr(pairs, part)
        same[1:] &= column[1:] == column[:-1]
    same[:1] = False
    pairs, promise = pairs.take(np.flatnonzero(~same)), promise[~same]
    order = np.lexsort((pairs.name, pairs.query, pairs.row, -promise, pairs.company))
    company = pairs.company[order]
    first = np.searchsorted(company, company)
    kept = np.sort(order[np.arange(len(order)) - first < most])
    return pairs.take(kept)


_PLACE_PROMISE = np.array([0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4])


@dataclass(frozen=True)
class _Keys:
    """Keys of names into the index's lists: where a list starts, its length, what sharing it tells."""

    query: Ints
    first: Ints
    count: Ints
    bits: Floats
    is_pair: Flags


def _find_by_words(
    index: RecipientIndex, names: Names, wanted: Ints, params: Matching
) -> tuple[Ints, Ints, Floats]:
    """Find names that share words, for each distinct one of the names wanted."""
    texts = hash_strings(names.core.take(wanted))
    _, first, back = np.unique(texts, return_index=True, return_inverse=True)
    distinct = wanted[first]
    query, name, score = _search(index, names, distinct, params)
    # Names found for a distinct text hold for each company that bears it.
    bounds = np.searchsorted(query, np.arange(len(distinct) + 1))
    low, count = bounds[back], bounds[back + 1] - bounds[back]
    at = expand(low, count)
    return np.repeat(wanted, count), name[at], score[at]


def _search(
    index: RecipientIndex, names: Names, distinct: Ints, params: Matching
) -> tuple[Ints, Ints, Floats]:
    words = _QueryWords(index, names, distinct)
    keys = _within_budget(words.keys(), len(distinct), params.max_word_postings)
    own_bits = np.bincount(words.owner, words.bits, minlength=len(distinct)).astype(float)
    results = []
    per_query = np.bincount(keys.query, keys.count, minlength=len(distinct))
    blocks = np.cumsum(per_query) // _BLOCK_POSTINGS
    key_bounds = np.searchsorted(keys.query, np.arange(len(distinct) + 1))
    for block in np.unique(blocks):
        inside = np.flatnonzero(blocks == block)
        part = slice(key_bounds[inside[0]], key_bounds[inside[-1] + 1])
        results.append(_search_block(index, keys, part, own_bits, params))
    if not results:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    query, name, score = (np.concatenate([result[place] for result in results]) for place in range(3))
    return query, name, score


def _search_block(
    index: RecipientIndex, keys: _Keys, part: slice, own_bits: Floats, params: Matching
) -> tuple[Ints, Ints, Floats]:
    count = keys.count[part]
    at = expand(keys.first[part], count)
    is_pair = np.repeat(keys.is_pair[part], count)
    name = np.empty(len(at), np.uint64)
    name[~is_pair] = index["word_postings"][at[~is_pair]]
    name[is_pair] = index["pair_postings"][at[is_pair]]
    both = (np.repeat(keys.query[part], count).astype(np.uint64) << np.uint64(32)) | name
    bits = np.repeat(keys.bits[part], count)
    order = np.argsort(both, kind="stable")
    both, bits = both[order], bits[order]
    first = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1]])[: len(both)])
    shared = np.add.reduceat(bits, first) if len(first) else bits
    query = (both[first] >> np.uint64(32)).astype(np.int64)
    name_at = (both[first] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    total = own_bits[query] + index["name_bits"][name_at]
    score = np.minimum(1.0, 2 * shared / total)
    kept = np.flatnonzero(score >= params.min_word_overlap)
    query, name_at, score = query[kept], name_at[kept], score[kept]
    order = np.lexsort((name_at, -score, query))
    query, name_at, score = query[order], name_at[order], score[order]
    first_of = np.searchsorted(query, query)
    top = np.arange(len(query)) - first_of < params.max_candidates
    return query[top], name_at[top], score[top]


def _within_budget(keys: _Keys, queries: int, budget: int) -> _Keys:
    """Keep each name's rarest keys until their lists hold as many names as one list may."""
    order = np.lexsort((keys.first, keys.is_pair, keys.count, keys.query))
    query, count = keys.query[order], keys.count[order]
    running = np.cumsum(count)
    first = np.searchsorted(query, query)
    before = np.where(first > 0, running[first - 1], 0)
    kept = order[(running - before <= budget) & (count > 0)]
    return _Keys(keys.query[kept], keys.first[kept], keys.count[kept], keys.bits[kept], keys.is_pair[kept])


class _QueryWords:
    """The words of the distinct names looked for, with what the index knows of them."""

    def __init__(self, index: RecipientIndex, names: Names, distinct: Ints) -> None:
        self.index, self.names = index, names
        lengths = np.diff(names.word_start)[distinct]
        at = expand(names.word_start[distinct], lengths)
        self.owner: Ints = np.repeat(np.arange(len(distinct)), lengths)
        self.hash: Hashes = names.word_hash[at]
        self.length: Ints = names.word_length[at]
        self.code = _find(index["word_hash"], self.hash)
        self.count = np.where(self.code >= 0, index["word_count"][self.code], 0).astype(np.int64)
        self.bits = word_bits(self.count, index.names)
        data, offsets = lay_out(names.core.take(distinct))
        nth = np.arange(len(self.length)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        before = np.cumsum(self.length) - self.length
        in_name = before - np.repeat(before[np.cumsum(lengths) - lengths] if len(before) else before, lengths)
        self._start = offsets[self.owner] + in_name + nth
        self._data = data

    def keys(self) -> _Keys:
        """Every way into the index's lists: words, neighbours joined, and words mistyped."""
        is_left = self.owner[1:] == self.owner[:-1] if len(self.owner) else np.zeros(0, bool)
        left = np.flatnonzero(is_left)
        joined = (
            self.hash[left]
            + self.hash[left + 1] * powers(int(self.length.max(initial=0)) + 1)[self.length[left]]
        )
        has_list = (
            np.where(self.code >= 0, np.diff(self.index["word_start"].astype(np.int64))[self.code], 0) > 0
        )
        unlisted = np.where(has_list, 0.0, self.bits)
        pair_bits = np.maximum(unlisted[left] + unlisted[left + 1], 0.1)
        return _concatenate(
            [
                self._listed("word", self.owner, self.code, self.bits),
                self._listed(
                    "word",
                    self.owner[left],
                    _find(self.index["word_hash"], joined),
                    self.bits[left] + self.bits[left + 1],
                ),
                self._listed("pair", self.owner[left], _find(self.index["pair_hash"], joined), pair_bits),
                self._listed("pair", self.owner, _find(self.index["pair_hash"], self.hash), self.bits),
                self._mistyped(),
            ]
        )

    def _listed(self, kind: str, query: Ints, code: Ints, bits: Floats) -> _Keys:
        known = np.flatnonzero(code >= 0)
        start = self.index[f"{kind}_start"]
        first = start[code[known]].astype(np.int64)
        count = start[code[known] + 1].astype(np.int64) - first
        return _Keys(query[known], first, count, bits[known], np.full(len(known), kind == "pair"))

    def _mistyped(self) -> _Keys:
        wanted = np.flatnonzero((self.count <= _MEANT_COUNT) & (self.length >= 5) & (self.length <= 32))
        _, one_of, back = np.unique(self.hash[wanted], return_index=True, return_inverse=True)
        source, word = self._near_words(wanted[one_of])
        # What is near a word is near each of its occurrences.
        order = np.argsort(back, kind="stable")
        bounds = np.searchsorted(back[order], np.arange(len(one_of) + 1))
        count = bounds[source + 1] - bounds[source]
        word = np.repeat(word, count)
        source = wanted[order[expand(bounds[source], count)]]
        bits = word_bits(self.index["word_count"][word].astype(np.int64), self.index.names)
        return self._listed("word", self.owner[source], word, np.minimum(bits, self.bits[source]) * _MISTYPED)

    def _near_words(self, sources: Ints) -> tuple[Ints, Ints]:
        """Find the index's words that are a letter away from some of these; the rarer of two may be the mistyped one."""
        texts = cut_runs(self._data, self._start[sources], self._start[sources] + self.length[sources])
        keys, owner = typo_keys(*lay_out(texts))
        low = np.searchsorted(self.index["typo_hash"], keys, side="left")
        count = np.searchsorted(self.index["typo_hash"], keys, side="right") - low
        word = self.index["typo_word"][expand(low, count)].astype(np.int64)
        at = np.repeat(owner, count)
        rarer = np.minimum(self.index["word_count"][word], self.count[sources[at]])
        worth = (word != self.code[sources[at]]) & (rarer <= _RARE_COUNT)
        both = np.unique((at[worth].astype(np.uint64) << np.uint64(32)) | word[worth].astype(np.uint64))
        at, word = (both >> np.uint64(32)).astype(np.int64), (both & np.uint64(0xFFFFFFFF)).astype(np.int64)
        spelled = texts.to_pylist()
        ours = [spelled[one] for one in at.tolist()]
        edits = cpdist(ours, self.index.words(word), scorer=OSA.distance, dtype=np.uint8, workers=-1)
        near = (edits <= 1) | ((edits == 2) & (self.length[sources[at]] >= 8))
        return at[near], word[near]


_MISTYPED = 0.85
_SAME_WORDS = 0.95


def _find(sorted_keys: npt.NDArray[np.uint64], keys: Hashes) -> Ints:
    """Find the position of each key among sorted ones; -1 where there is none."""
    if len(sorted_keys) == 0:
        return np.full(len(keys), -1)
    place = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, place, -1)


def _concatenate(parts: list[_Keys]) -> _Keys:
    return _Keys(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(_Keys)))
