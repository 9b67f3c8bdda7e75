"""How a gate's numbers are written: with their unit, never so rounded that they contradict its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

_FIRST_DAY = date(1970, 1, 1)


def write_value(value: float, unit: str, *limits: float) -> str:
    """Write a value with its unit; 99.96 % isn't 100 %, and what is beyond a limit doesn't look like it.

    Examples
    --------
    >>> write_value(0.99999, "share")
    '99.999 %'
    >>> write_value(3e-07, "share")
    '0.00003 %'
    >>> write_value(18262, "date")
    '2020-01-01'
    """
    apart = [limit for limit in (0.0, 1.0, *limits) if limit != value and math.isfinite(limit)]
    for digits in range(3, 17):
        text = _with_digits(value, unit, digits)
        if all(text != _with_digits(limit, unit, digits) for limit in apart):
            return text
    return _with_digits(value, unit, 17)


def write_exactly(value: float, unit: str) -> str:
    """Write a threshold in full."""
    return _with_digits(value, unit, 12)


def write_end(value: float, unit: str) -> str:
    """Write an end of a band, which is an estimate and needs few digits."""
    if unit == "count":
        return f"{value:,.0f}"
    return _with_digits(value, unit, 4)


def write_change(change: float, unit: str, *, is_relative: bool) -> str:
    """Write a difference: in points for a share, in days for a date."""
    if is_relative:
        return f"{change * 100:.3g} %"
    if unit == "share":
        return f"{change * 100:.3g} points"
    return f"{change:,.0f} days" if unit == "date" else _with_digits(change, unit, 3)


def write_counts(measured: Mapping[Any, Any]) -> str:
    """Write what was counted out of what, in brackets; nothing where it isn't a share."""
    numerator, denominator = float(measured["numerator"]), float(measured["denominator"])
    if math.isnan(numerator) or math.isnan(denominator):
        return ""
    return f" ({numerator:,.0f} of {denominator:,.0f})"


def _with_digits(value: float, unit: str, digits: int) -> str:
    if unit == "share":
        # As a decimal it never takes the form 3e-05.
        return f"{Decimal(f'{value * 100:.{digits}g}'):f} %"
    if unit == "date":
        return (_FIRST_DAY + timedelta(days=round(value))).isoformat()
    is_large = abs(value) >= 1_000 and digits <= 6
    text = f"{value:,.0f}" if value == round(value) or is_large else f"{value:,.{digits}g}"
    return text if unit == "count" else f"{text} {unit}"
