"""How far a counted share may be from the true one.

Wilson's score interval (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212) stays inside 0..1 and is honest
for shares near 0 or 1 and for few cases, where the usual plus-minus interval isn't.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(numerator: float, denominator: float, confidence: float) -> tuple[float, float]:
    """Give the Wilson score interval of a share.

    Parameters
    ----------
    numerator, denominator
        Cases that count, out of how many.
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
    if denominator <= 0 or not 0 <= numerator <= denominator:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = numerator / denominator
    spread = 1 + z * z / denominator
    centre = (share + z * z / (2 * denominator)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / denominator + z * z / (4 * denominator * denominator))
    low = 0.0 if numerator == 0 else max(0.0, centre - half)
    high = 1.0 if numerator == denominator else min(1.0, centre + half)
    return low, high
