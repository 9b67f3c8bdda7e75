import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.matching.accuracy.intervals import wilson_interval


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 2, 0.094531, 0.905469),
    ],
)
def test_known_intervals(numerator, denominator, low, high):
    """The 95 % interval equals the published closed form."""
    assert wilson_interval(numerator, denominator, 0.95) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 0), (3, 2), (-1, 2)])
def test_no_interval_without_a_share(numerator, denominator):
    """Counts that make no share have no interval."""
    assert all(math.isnan(end) for end in wilson_interval(numerator, denominator, 0.95))


@given(st.integers(1, 10**7), st.data(), st.floats(0.5, 0.999))
def test_interval_holds_the_share(denominator, data, confidence):
    """The interval lies in 0..1, holds the share, and a higher level makes it wider."""
    numerator = data.draw(st.integers(0, denominator))
    low, high = wilson_interval(numerator, denominator, confidence)
    wider_low, wider_high = wilson_interval(numerator, denominator, 0.9999)
    assert 0 <= low <= numerator / denominator <= high <= 1
    assert wider_low <= low
    assert wider_high >= high
    assert low < high
