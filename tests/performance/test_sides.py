"""Two sides of a benchmark are told apart by their ranks, whatever their scale and scatter."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbir_toolkit.performance.sides import half_width, measure_change, signed_rank_level

COSTS = st.lists(st.floats(-3, 3), min_size=4, max_size=9)


def test_level_of_signed_ranks_is_exact():
    """It is the share of all choices of signs whose sum of ranks is as large."""
    steps = np.array([0.5, -0.1, 0.9, 0.3, -0.2])
    ranks = np.argsort(np.argsort(np.abs(steps))) + 1
    seen = ranks[steps > 0].sum()
    sums = [np.dot(signs, ranks) for signs in product((0, 1), repeat=5)]
    assert signed_rank_level(steps) == pytest.approx(np.mean(np.array(sums) >= seen))


@pytest.mark.parametrize("in_turns", [True, False])
def test_the_interval_holds_what_it_should(in_turns):
    """In about 95 of 100 pairs of samples the interval holds the true change."""
    draw = np.random.default_rng(1)
    held = []
    for _ in range(400):
        change = measure_change(draw.normal(0, 1, 9), draw.normal(1, 1, 9), in_turns=in_turns)
        held.append(change.low <= 1 <= change.high)
    assert 0.92 <= np.mean(held) <= 0.99


@pytest.mark.parametrize("in_turns", [True, False])
@pytest.mark.parametrize("true", [1.5, -1.5])
def test_how_far_a_change_reaches(in_turns, true):
    """In about 90 of 100 pairs of samples the true change isn't further from none than it is said to be."""
    draw = np.random.default_rng(3)
    sides = [(draw.normal(0, 1, 14), draw.normal(true, 1, 14)) for _ in range(400)]
    reached = [measure_change(*pair, in_turns=in_turns).reach >= abs(true) for pair in sides]
    assert 0.86 <= np.mean(reached) <= 0.94


@settings(max_examples=40)
@given(COSTS, st.floats(-5, 5), st.booleans())
def test_a_pure_shift_is_found_as_it_is(before, step, in_turns):
    """What costs the same share more each time has changed by just that; its interval holds it."""
    change = measure_change(np.array(before), np.array(before) + step, in_turns=in_turns)
    assert change.low - 1e-9 <= change.shift <= change.high + 1e-9
    assert 0 < change.level <= 1
    if in_turns:
        assert change.shift == pytest.approx(step)


@settings(max_examples=40)
@given(COSTS, COSTS)
def test_sides_change_places(before, now):
    """Seen from the other side the change is the opposite one."""
    there = measure_change(np.array(before), np.array(now), in_turns=False)
    back = measure_change(np.array(now), np.array(before), in_turns=False)
    assert (there.shift, there.low, there.high) == pytest.approx((-back.shift, -back.high, -back.low))


def test_what_was_not_measured_is_left_out():
    """Pairs of which one is missing don't count; fewer than three tell nothing."""
    before, now = np.array([0.0, 0.1, np.nan, 0.2, 0.1]), np.array([1.0, 1.1, 5.0, 1.2, np.nan])
    assert measure_change(before, now, in_turns=True).shift == pytest.approx(1.0)
    assert measure_change(before[:3], now[:3], in_turns=True) is None


def test_more_repeats_make_it_tighter():
    """The interval of what is typical shrinks, and below six repeats there is none."""
    logs = np.random.default_rng(2).normal(0, 0.05, 40)
    assert half_width(logs) < half_width(logs[:8]) < 0.08
    assert half_width(logs[:5]) == np.inf
