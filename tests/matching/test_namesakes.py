"""How many other firms bear a name, learned from the register."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching import match_companies
from sbir_toolkit.matching.namesakes import Namesakes
from sbir_toolkit.params import Matching
from tests.matching.conftest import Make, make_companies

RARE, COMMON, LONG = 15.0, -6.0, 20


def expect_namesakes(bearers: np.ndarray, bits: np.ndarray, letters: np.ndarray) -> np.ndarray:
    """Learn from these names, in two pieces, and expect for each."""
    namesakes = Namesakes(0)
    for part in (slice(0, 3), slice(3, None)):
        namesakes.learn(bearers[part], bits[part], letters[part])
    return namesakes.expect(bearers, bits, letters)


def _expect(bearers: list[int], bits: float) -> np.ndarray:
    count = len(bearers)
    return expect_namesakes(np.array(bearers), np.full(count, bits), np.full(count, LONG))


def test_what_is_always_alone_has_no_namesakes() -> None:
    """Of 10,000 names of a class none is shared: one namesake in a hundred is the most to expect."""
    assert _expect([1] * 10_000, RARE).max() < 0.01


def test_turing_s_estimate_is_met_in_a_large_class() -> None:
    """20,000 names alone and 5,000 shared by two firms: a name alone has half a namesake to expect."""
    found = _expect([1] * 20_000 + [2] * 5_000, COMMON)
    assert found[0] == pytest.approx(10_000 / 20_000, rel=0.01)


def test_a_class_is_judged_by_itself() -> None:
    """That common names are shared says nothing about rare ones."""
    bits = np.repeat([COMMON, RARE], 6_000)
    bearers = np.array([1] * 3_000 + [2] * 3_000 + [1] * 6_000)
    found = expect_namesakes(bearers, bits, np.full(12_000, LONG))
    assert found[-1] < 0.02
    assert found[0] > 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.floats(-20, 40), st.integers(1, 60))
def test_expectations_are_positive_and_follow_order(bearers: list[int], bits: float, letters: int) -> None:
    """Every name gets a finite, positive number, and it doesn't matter where it stands."""
    count = len(bearers)
    rest = (np.full(count, bits), np.full(count, letters))
    found = expect_namesakes(np.array(bearers), *rest)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert found[::-1].tolist() == expect_namesakes(np.array(bearers[::-1]), *rest).tolist()


def test_the_same_name_proves_less_where_such_names_are_shared(make_index: Make) -> None:
    """One register has namesakes for every such name, the other none; company and recipient are the same."""
    wanted = {"recipient_id": "wanted", "recipient_name": "ORLVANE INC", "city": "AUSTIN", "state": "TX"}
    names = [f"{first}{second}VANE INC" for first in "ABCDEFGHKLMNPRST" for second in "AEIOU"]
    alone = [{"recipient_name": name, "city": "RENO", "state": "NV"} for name in names]
    shared = alone + [{"recipient_name": name, "city": "MIAMI", "state": "FL"} for name in names]
    company = make_companies({"company": "Orlvane Inc", "city": "Dallas", "state": "TX"})
    sure, doubtful = (
        match_companies(company, make_index([*register, wanted]), Matching())["match_probability"][0]
        for register in (alone, shared)
    )
    assert doubtful < sure
