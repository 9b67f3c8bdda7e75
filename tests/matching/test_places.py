"""Places as one piece of evidence."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.places import LEVELS, Places, place_level, read_places

PLACE = st.tuples(
    st.sampled_from([None, "12 Main St", "12 N. MAIN STREET Ste 4", "7 Oak Ave", "PO Box 9"]),
    st.sampled_from([None, "Boston", "Saint Paul", "ST. PAUL"]),
    st.sampled_from([None, "MA", "MN"]),
    st.sampled_from([None, "02110", "02139", "55101"]),
)


def read(*places: tuple[str | None, ...]) -> Places:
    """Read places given as address, city, state and ZIP."""
    return read_places(*(pa.array(list(column), pa.string()) for column in zip(*places, strict=True)))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (
            ("12 Main St, Ste 5", "Boston", "MA", "02110"),
            ("12 MAIN STREET", "BOSTON", "MA", "02110"),
            "building",
        ),
        (("12 Main St", "Boston", "MA", "02110"), ("12 N Main St", "Boston", "MA", None), "building"),
        (("12 Main St", "Boston", "MA", "02110"), ("7 Oak Ave", "Boston", "MA", "02110"), "zip5"),
        ((None, "St. Paul", "MN", "55101"), (None, "Saint Paul", "MN", "55102"), "city"),
        ((None, "Boston", "MA", "02110"), (None, "Chelsea", "MA", "02150"), "zip3"),
        ((None, "Boston", "MA", "02110"), (None, "Amherst", "MA", "01002"), "state"),
        ((None, "Boston", "MA", None), (None, "Austin", "TX", None), "elsewhere"),
        ((None, "Springfield", "MA", None), (None, "Springfield", "IL", None), "elsewhere"),
        ((None, None, None, None), (None, "Austin", "TX", "78741"), "unknown"),
    ],
)
def test_the_nearest_level_that_holds_counts(
    left: tuple[str | None, ...], right: tuple[str | None, ...], expected: str
) -> None:
    """Two places are as near as the narrowest thing they share."""
    assert LEVELS[place_level(read(left), read(right))[0]] == expected


@given(PLACE, PLACE)
def test_nearness_has_no_direction(left: tuple[str | None, ...], right: tuple[str | None, ...]) -> None:
    """Two places are as near from either side."""
    assert place_level(read(left), read(right)) == place_level(read(right), read(left))
