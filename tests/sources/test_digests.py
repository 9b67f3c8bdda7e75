"""Digests, ids and repeats."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.sources.digests import Seen, digest_rows, spell_ids


def test_digests_are_the_same_everywhere() -> None:
    """A golden value: ids must not change with a library or a machine."""
    digests = digest_rows([pa.array(["Acme", "Acme", "é"]), pa.array(["x", None, ""])])
    ids = spell_ids(digests, np.zeros(3, dtype=np.int64)).to_pylist()
    assert ids == ["6b19243baadcfe97", "1fa5fbed4364cbeb", "22c3b6011d3f9079"]


def test_columns_do_not_run_together() -> None:
    """Text moved from one column to the next is another row; null and blank are the same."""
    digests = digest_rows([pa.array(["ab", "a", "", None]), pa.array(["c", "bc", "x", "x"])])
    assert digests[0] != digests[1]
    assert digests[2] == digests[3]


DIGEST = st.one_of(st.integers(0, 9), st.sampled_from([1 << 38, 1 << 39, 1 << 63, (1 << 64) - 1]))


@given(st.lists(st.lists(DIGEST, max_size=20), max_size=12))
def test_repeats_are_counted_over_all_calls(calls: list[list[int]]) -> None:
    """Each digest's count is that of equal ones before it, however they were handed in."""
    seen, before = Seen(), Counter[int]()
    for call in calls:
        expected = []
        for value in call:
            expected.append(before[value])
            before[value] += 1
        assert seen.count(np.array(call, dtype=np.uint64)).tolist() == expected


def test_repeats_are_found_among_many() -> None:
    """Of a million digests, in calls of all sizes, each that came before is counted, and no other."""
    seen, random = Seen(), np.random.default_rng(0)
    digests = random.integers(0, 1 << 63, 1_000_000, dtype=np.uint64) * np.uint64(2)
    digests[999_000:] = digests[:1_000]
    digests[500_000:500_010] = digests[499_990:500_000]
    parts = np.split(digests, [1, 1, 5_000, 400_000, 500_005, 900_000])
    counts = np.concatenate([seen.count(part) for part in parts])
    assert np.flatnonzero(counts).tolist() == [*range(500_000, 500_010), *range(999_000, 1_000_000)]
    assert counts.max() == 1
