from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbir_toolkit.reports import units

OTHERS = {"format_interval", "format_metric", "format_shares"}
WRITERS = [getattr(units, name) for name in dir(units) if name.startswith("format_") and name not in OTHERS]


@pytest.mark.parametrize("write", WRITERS)
def test_what_is_not_known_is_a_dash(write: object) -> None:
    """None and NaN are never written as zero."""
    assert callable(write)
    assert write(None) == write(math.nan) == units.DASH


@given(st.floats(0, 1))
def test_share_is_only_rounded_to_the_ends_when_it_is_there(share: float) -> None:
    """A share that isn't exactly 0 or 1, as far as seven decimals tell, isn't written as 0 % or 100 %."""
    text = units.format_share(share)
    assert text.endswith(" %")
    assert float(text[:-2]) == pytest.approx(100 * share, abs=0.0501)
    if 1e-7 < share < 1 - 1e-7:
        assert text not in {"0 %", "100 %"}


@given(st.floats(1e-9, 1e6), st.floats(1e-9, 1e6))
def test_times_never_show_sixty_seconds_or_minutes(first: float, second: float) -> None:
    """A written time carries over into the next unit."""
    for seconds in (first, second):
        text = units.format_seconds(seconds)
        assert " 60 s" not in f" {text}".replace(" 0 min", "")
        assert "60 min" not in text


def test_interval_shows_the_same_digits_on_all_three() -> None:
    """An interval's ends have as many digits as its value."""
    assert units.format_interval(0.9915, 0.988, 0.9939) == "99.15 % (98.80 to 99.39)"
    assert units.format_interval(1.0, 0.96, 1.0) == "100 % (96.0 to 100)"
    assert units.format_interval(0.5, None, 0.6) == "50.0 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.96, "1 min 00 s"), (3599.7, "1 h 00 min"), (7199, "2 h 00 min"), (-90, "-1 min 30 s")],
)
def test_times_at_the_edges_of_units(seconds: float, text: str) -> None:
    """Rounding happens before the unit is chosen."""
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(999_999_999, "$1.00 billion"), (-2_500_000, "-$2.50 million"), (0, "$0")]
)
def test_large_sums_carry_over(usd: float, text: str) -> None:
    """A sum that rounds to the next word is written in it."""
    assert units.format_large_usd(usd) == text


def test_sizes_carry_over() -> None:
    """A size that rounds to 1000 of a unit is written in the next one."""
    assert units.format_bytes(999_999_999) == "1.00 GB"
