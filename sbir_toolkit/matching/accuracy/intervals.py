"""Intervals: how far a counted share may be from the true one, and a count from what wasn't seen.

Wilson's score interval (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212) stays inside 0..1 and is honest
for shares near 0 or 1 and for few cases, where the usual plus-minus interval isn't.
"""

from __future__ import annotations

import math
from statistics import NormalDist

# Effective numbers may be a last bit above what they are effective numbers of.
_ROUNDED = 1 + 1e-9


def wilson_interval(numerator: float, denominator: float, confidence: float) -> tuple[float, float]:
    """Give the Wilson score interval of a share.

    Parameters
    ----------
    numerator, denominator
        Cases that count, out of how many; effective numbers of weighted cases too.
    confidence
        Level of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Lower and upper end, in 0..1; NaN where the counts aren't those of a share (no cases, or more that
        count than there are).

    Examples
    --------
    >>> low, high = wilson_interval(8, 10, 0.95)
    >>> print(round(low, 4), round(high, 4))
    0.4902 0.9433
    """
    if denominator <= 0 or not 0 <= numerator <= denominator * _ROUNDED:
        return math.nan, math.nan
    z = z_value(confidence)
    share = min(1.0, numerator / denominator)
    spread = 1 + z * z / denominator
    centre = (share + z * z / (2 * denominator)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / denominator + z * z / (4 * denominator * denominator))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def z_value(confidence: float) -> float:
    """Say how many standard deviations either side of the middle hold this share of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def capture_recapture(
    first: int, second: int, both: int, confidence: float
) -> tuple[float, float, float] | None:
    """Estimate how many there are, of whom two independent catches saw some.

    Chapman's estimate (D. G. Chapman, 1951) with the transformed logit interval (M. Sadinle, 2009, Statistics
    & Probability Letters 79, 1917-1921).

    Parameters
    ----------
    first, second : int
        How many each catch saw.
    both : int
        How many both saw.
    confidence : float
        Level, 0..1.

    Returns
    -------
    total, low, high : float
        None where no one was seen twice: then nothing can be said.

    Examples
    --------
    >>> [round(number) for number in capture_recapture(200, 150, 100, 0.95)]
    [300, 281, 331]
    """
    if both == 0:
        return None
    total = (first + 1) * (second + 1) / (both + 1) - 1
    only_first, only_second, twice = first - both + 0.5, second - both + 0.5, both + 0.5
    unseen = only_first * only_second / twice
    spread = math.sqrt(1 / twice + 1 / only_first + 1 / only_second + twice / (only_first * only_second))
    factor = math.exp(z_value(confidence) * spread)
    seen = first + second - both
    low, high = seen - 0.5 + unseen / factor, seen - 0.5 + unseen * factor
    return total, max(float(seen), min(low, total)), max(high, total)
