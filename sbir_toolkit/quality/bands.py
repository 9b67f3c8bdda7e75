"""What the last accepted runs let pass: a band around their median that knows how little it knows.

One number from before proves little, and a handful proves not much more. So the band is as wide as three
things ask for, whichever is most: the change that is worth a verdict at all (`warn_change`, `fail_change`);
`sigmas` deviations of the earlier values, estimated by Qn (Rousseeuw & Croux, 1993, J. Am. Stat. Assoc. 88,
1273-1283), which one wild run in five doesn't move and which wastes less of a short history than the median
absolute deviation; and `sigmas` deviations of mere counting, which are all there is where the history is one
run long or the slice small. Fewer runs widen it further, and where many slices are judged at once, each is
given more room, so that the whole gate doesn't cry more often than one that judges a single number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sbir_toolkit.params import HistoryRule

_QN_TO_SIGMA = 2.2219
# What makes Qn unbiased for so many normal values (Croux & Rousseeuw, 1992); from ten on by their formula.
_QN_SMALL = {2: 0.399, 3: 0.994, 4: 0.512, 5: 0.844, 6: 0.611, 7: 0.857, 8: 0.669, 9: 0.872}


@dataclass(frozen=True)
class Band:
    """What the history says about one metric of one slice.

    Attributes
    ----------
    runs
        Accepted runs it rests on.
    baseline
        Their median; NaN without any.
    reach
        How far a value may be from it by chance.
    """

    runs: int
    baseline: float
    reach: float

    def limits(self, rule: HistoryRule, change: float | None) -> tuple[float, float]:
        """Give the lowest and highest value that isn't yet a change of that size, in the rule's direction."""
        if change is None or math.isnan(self.baseline):
            return -math.inf, math.inf
        least = change * abs(self.baseline) if rule.is_relative else change
        reach = max(self.reach, least)
        low = -math.inf if rule.direction == "rise" else self.baseline - reach
        high = math.inf if rule.direction == "fall" else self.baseline + reach
        if self.baseline >= 0 and -math.inf < low < 0:
            low = 0.0  # what can't be negative can't be that low either
        return low, high


def make_band(past: Sequence[float], rule: HistoryRule, *, unit: str, rows: float, slices: int = 1) -> Band:
    """Work out the band from earlier values.

    Parameters
    ----------
    past
        What accepted runs measured, in any order.
    rule
        `sigmas` decides.
    unit
        Of the metric; shares and counts have noise of their own, from counting.
    rows
        Out of how many the new value is; NaN where that says nothing.
    slices
        How many slices the gate judges at once.
    """
    runs = len(past)
    if runs == 0:
        return Band(0, math.nan, math.inf)
    centre = float(np.median(past))
    # The median of few values is itself uncertain, and so is their spread: with n of them a deviation that
    # is exceeded as seldom as `sigmas` normal ones lies so much further out (fitted to simulated histories).
    room = math.sqrt(1 + 1.6 / runs) * (1 + 2.5 / runs)
    spread = max(estimate_spread(past) * room, _counting_noise(centre, unit, rows) * math.sqrt(1 + 1 / runs))
    return Band(runs, centre, _shared_sigmas(rule.sigmas, slices) * spread)


def estimate_spread(values: Sequence[float]) -> float:
    """Estimate the standard deviation by Qn; zero for fewer than two values.

    Examples
    --------
    >>> round(estimate_spread([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000]), 2)
    3.22
    """
    n = len(values)
    if n < 2:
        return 0.0
    numbers = np.asarray(values, dtype=float)
    first, second = np.triu_indices(n, 1)
    distances = np.sort(np.abs(numbers[first] - numbers[second]))
    half = n // 2 + 1
    usual = n / (n + 1.4) if n % 2 else n / (n + 3.8)
    return float(_QN_TO_SIGMA * _QN_SMALL.get(n, usual) * distances[half * (half - 1) // 2 - 1])


def _counting_noise(centre: float, unit: str, rows: float) -> float:
    if unit == "count":
        return math.sqrt(max(centre, 0.0))
    if unit != "share" or not rows > 0 or not 0 <= centre <= 1:
        return 0.0
    # Half a case more and half a case less: a share of exactly 0 or 1 isn't known without error either.
    share = (centre * rows + 0.5) / (rows + 1)
    return math.sqrt(share * (1 - share) / rows)


def _shared_sigmas(sigmas: float, slices: int) -> float:
    if slices <= 1:
        return sigmas
    beyond = NormalDist().cdf(-sigmas) / slices
    return -NormalDist().inv_cdf(beyond)
