"""Ordering keys as a stable sort would, and hashing texts that are compared whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.ordering import find_groups, find_starts, sort_keys
from sbir_toolkit.matching.texts import hash_strings

# Keys that differ in their last bits only stand for those that don't fit beside their position.
KEYS = st.lists(st.integers(0, 20) | st.integers(2**64 - 20, 2**64 - 1) | st.integers(0, 2**64 - 1))
TEXTS = st.lists(st.none() | st.text(max_size=30) | st.text("AB", max_size=20))


@given(KEYS)
def test_keys_are_sorted_as_by_a_stable_sort(keys: list[int]) -> None:
    """The order is that of a stable sort, and equal keys stand in groups."""
    array = np.array(keys, np.uint64)
    order, in_order = sort_keys(array)
    assert order.tolist() == np.argsort(array, kind="stable").tolist()
    assert in_order.tolist() == sorted(keys)
    assert in_order[find_groups(in_order)].tolist() == sorted(set(keys))


def test_starts_bound_each_code_s_items() -> None:
    """Each code's items are from its start to the next one's; a code without items has none."""
    assert find_starts(np.array([0, 0, 2]), 4).tolist() == [0, 2, 2, 3, 3]


@given(TEXTS)
def test_texts_have_one_hash_when_they_are_equal(texts: list[str | None]) -> None:
    """Equal texts have equal hashes, wherever they stand; what is empty or null has 0, nothing else has."""
    hashes = hash_strings(pa.array(texts, pa.string())).tolist()
    alone = [hash_strings(pa.array([text], pa.string()))[0] for text in texts]
    assert hashes == alone
    assert len(set(hashes)) == len({text or "" for text in texts})
    assert [one == 0 for one in hashes] == [not text for text in texts]
