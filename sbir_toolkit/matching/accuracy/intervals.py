"""Intervals: how far a counted share may be from the true one, and a count from what wasn't seen."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(hits: float, cases: float, confidence: float) -> tuple[float, float]:
    """Give Wilson's interval of a share.

    Parameters
    ----------
    hits, cases : float
        `hits` of `cases` count; more than no case. Cases may be an effective number, of weighted ones.
    confidence : float
        Level, 0..1.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> [round(end, 3) for end in wilson_interval(99, 100, 0.95)]
    [0.946, 0.998]
    """
    z = z_value(confidence)
    share = hits / cases
    middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    variance = max(0.0, share * (1 - share)) / cases + z * z / (4 * cases * cases)
    half = z / (1 + z * z / cases) * math.sqrt(variance)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


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
