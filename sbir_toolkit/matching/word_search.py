"""Finding names that share words with a company's name.

Every word of a name, and every pair of neighbouring words, lists the recipients' names it is in. A
company's rarest words are followed first, until their lists hold as many names as one list may; names that
share too little of what the words tell are dropped. Pairs find names made of common words only, and words
that one side writes as two. A word that isn't known, or nearly so, may be mistyped: the words a letter away
from it are followed as well, alone and beside its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import cpdist

from sbir_toolkit.matching.index import RecipientIndex, typo_keys, word_bits
from sbir_toolkit.matching.names import Names
from sbir_toolkit.matching.texts import (
    Flags,
    Floats,
    Hashes,
    Ints,
    cut_runs,
    expand,
    find_sorted,
    hash_strings,
    lay_out,
    powers,
)
from sbir_toolkit.params import Matching

_BLOCK_POSTINGS = 1_500_000
# How a query, a name's number and what a key tells are packed into 64 bits: the number has 28, what is
# told 18, in steps of a
# 1,024th of a bit.
_NAME, _TOLD, _BIT_STEPS = 28, 18, 1_024
_SCORE_STEPS = 200_000
# A mistyped word is rare; the word that was meant may be common, though not so common that it tells nothing.
_RARE_COUNT, _MEANT_COUNT = 3, 300
# A word that is nearly another one tells a little less than that one.
_MISTYPED = 0.85


def find_by_words(
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


@dataclass(frozen=True)
class _Keys:
    """Keys of names into the index's lists: where a list starts, its length, what sharing it tells."""

    query: Ints
    first: Ints
    count: Ints
    bits: Floats
    is_pair: Flags


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
    if len(at) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    name = np.empty(len(at), np.uint64)
    name[~is_pair] = index["word_postings"][at[~is_pair]]
    name[is_pair] = index["pair_postings"][at[is_pair]]
    # Query, name and bits share one number, so that a plain sort brings a pair's keys together. As whole
    # numbers the bits
    # add up to the same sum in any order.
    base = int(keys.query[part][0])
    told = np.round(keys.bits[part] * _BIT_STEPS).astype(np.uint64).clip(max=(1 << _TOLD) - 1)
    packed = ((keys.query[part] - base).astype(np.uint64) << np.uint64(_NAME + _TOLD)) | told
    both = np.repeat(packed, count) | (name << np.uint64(_TOLD))
    both.sort(kind="stable")  # of runs in order, which this kind makes use of
    pair = both >> np.uint64(_TOLD)
    first = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
    shared = np.add.reduceat(both & np.uint64((1 << _TOLD) - 1), first) / _BIT_STEPS
    query = (pair[first] >> np.uint64(_NAME)).astype(np.int64) + base
    name_at = (pair[first] & np.uint64((1 << _NAME) - 1)).astype(np.int64)
    total = own_bits[query] + index["name_bits"][name_at]
    score = np.minimum(1.0, 2 * shared / total)
    kept = np.flatnonzero(score >= params.min_word_overlap)
    query, name_at, score = query[kept], name_at[kept], score[kept]
    # Sorted as one number again: the query, then what is told least, then the name.
    steps = np.round((1 - score) * _SCORE_STEPS).astype(np.uint64)
    packed = ((query - base).astype(np.uint64) << np.uint64(_NAME + _TOLD)) | (steps << np.uint64(_NAME))
    packed |= name_at.astype(np.uint64)
    packed.sort(kind="stable")
    query = (packed >> np.uint64(_NAME + _TOLD)).astype(np.int64)
    top = np.arange(len(query)) - np.searchsorted(query, query) < params.max_candidates
    packed = packed[top]
    score = 1 - ((packed >> np.uint64(_NAME)) & np.uint64((1 << _TOLD) - 1)) / _SCORE_STEPS
    return query[top] + base, (packed & np.uint64((1 << _NAME) - 1)).astype(np.int64), score


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
        self.code = find_sorted(index["word_hash"], self.hash)
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
                    find_sorted(self.index["word_hash"], joined),
                    self.bits[left] + self.bits[left + 1],
                ),
                self._listed(
                    "pair", self.owner[left], find_sorted(self.index["pair_hash"], joined), pair_bits
                ),
                self._listed("pair", self.owner, find_sorted(self.index["pair_hash"], self.hash), self.bits),
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
        wanted = np.flatnonzero((self.count <= _MEANT_COUNT) & (self.length >= 4) & (self.length <= 32))
        _, one_of, back = np.unique(self.hash[wanted], return_index=True, return_inverse=True)
        source, word = self._near_words(wanted[one_of])
        # What is near a word is near each of its occurrences.
        order = np.argsort(back, kind="stable")
        bounds = np.searchsorted(back[order], np.arange(len(one_of) + 1))
        count = bounds[source + 1] - bounds[source]
        word = np.repeat(word, count)
        source = wanted[order[expand(bounds[source], count)]]
        bits = word_bits(self.index["word_count"][word].astype(np.int64), self.index.names)
        bits = np.minimum(bits, self.bits[source]) * _MISTYPED
        alone = self._listed("word", self.owner[source], word, bits)
        return _concatenate(
            [
                alone,
                self._beside(source, word, bits, before=True),
                self._beside(source, word, bits, before=False),
            ]
        )

    def _beside(self, source: Ints, word: Ints, bits: Floats, *, before: bool) -> _Keys:
        """Pair the word that may have been meant with its neighbour: pairs are rare where words aren't."""
        other = source - 1 if before else source + 1
        inside = (other >= 0) & (other < len(self.owner))
        inside[inside] = self.owner[other[inside]] == self.owner[source[inside]]
        source, word, other, bits = source[inside], word[inside], other[inside], bits[inside]
        meant: Hashes = self.index["word_hash"][word]
        table = powers(256)
        if before:
            joined = self.hash[other] + meant * table[np.minimum(self.length[other], 255)]
        else:
            joined = meant + self.hash[other] * table[self.index["word_length"][word]]
        return self._listed("pair", self.owner[source], find_sorted(self.index["pair_hash"], joined), bits)

    def _near_words(self, sources: Ints) -> tuple[Ints, Ints]:
        """Find the index's words a letter away from these, where the rarer may be the mistyped one."""
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


def _concatenate(parts: list[_Keys]) -> _Keys:
    return _Keys(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(_Keys)))
