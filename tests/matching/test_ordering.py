"""Ordering keys as a stable sort would, and hashing texts that are compared whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.ordering import find_groups, sort_in_parts, sort_keys
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


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=60), st.integers(1, 20))
def test_sorting_in_parts_is_sorting(keys: list[int], most: int) -> None:
    """The parts together are the whole in order, and no two parts share a key."""
    array = np.array(keys, np.uint64)
    parts = list(sort_in_parts(array, most))
    order, in_order = sort_keys(array)
    assert np.concatenate([part.positions for part in parts]).tolist() == order.tolist()
    assert np.concatenate([part.keys for part in parts]).tolist() == in_order.tolist()
    assert sum(len(np.unique(part.keys)) for part in parts) == len(np.unique(array))


def test_parts_are_no_larger_than_asked_for() -> None:
    """Keys that lie close together, as ZIP codes do, are parted as evenly as keys spread out."""
    random = np.random.default_rng(1)
    keys = np.append(random.integers(0, 99, 50_000), random.integers(0, 2**40, 50_000)).astype(np.uint64)
    assert max(len(part.at) for part in sort_in_parts(keys, 5_000)) < 7_500


@given(TEXTS)
def test_texts_have_one_hash_when_they_are_equal(texts: list[str | None]) -> None:
    """Equal texts have equal hashes, wherever they stand; what is empty or null has 0, nothing else has."""
    hashes = hash_strings(pa.array(texts, pa.string())).tolist()
    alone = [hash_strings(pa.array([text], pa.string()))[0] for text in texts]
    assert hashes == alone
    assert len(set(hashes)) == len({text or "" for text in texts})
    assert [one == 0 for one in hashes] == [not text for text in texts]
