"""The rule: from a series of costs, whether they have risen or fallen for good, and since when.

Times on a shared machine scatter by several percent, come in bursts, and some have two humps, so nothing here
takes a distribution for granted. The rule goes through the series in the order of time.

1. The first runs are the *baseline*. It grows to `baseline_runs` and then stays as it is, until a person
   accepts a change; a slow creep isn't swallowed by it. While it holds fewer than nine, runs that took less
   are taken in and nothing is suspected of having improved: the machine may have been busy at first.
2. A run, or the mean of the last two, or the median of the last three, outside a narrow fence around the
   baseline's median is a *suspect*. Every sixth run or so is one by chance, so it proves nothing.
3. What is measured after the suspect is looked at when there are 3, 6, 12, 24 and 40 of it. The change is
   *confirmed* when a rank test (Mann-Whitney, exact, one-sided) says that these runs and the baseline's are
   not of one kind, and both their median shift and their lower quartile say that the change is worth
   speaking of. The level of the test is divided by the baseline's size, since a longer series asks it more
   often. A change three times as large as worth speaking of needs 5 runs and a milder level.
   When the shift falls below half of what is worth speaking of, the suspicion is dropped.
4. The onset is dated by the best single change point of the series (kernel change point detection).
5. A confirmed change ends when the median of the last three runs is nearer to the baseline again.

The suspect itself never counts as proof: it was chosen for being extreme.

Sources: H. B. Mann and D. R. Whitney (1947); S. Arlot, A. Celisse, Z. Harchaoui (2019) for the change point.
`benchmarks/regression_rules.py` measures how often the rule is wrong.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sbir_toolkit.params import Performance

State = Literal["steady", "suspect", "regression", "improvement"]

_LOOKS = (3, 5, 6, 12, 24, 40)
_FIRST_TEST = 6
_LARGE_TEST = 5
_LARGE = 3
_LARGE_LEVEL = 0.005
_SETTLED = 9
_LOWEST_SIGMA = 0.005
_MAD_TO_SIGMA = 1.4826
_NEWEST = 3


@dataclass(frozen=True)
class Judgement:
    """What the rule says about a series.

    Attributes
    ----------
    verdict
        regression, improvement, suspect, no change, or unknown (too short).
    baseline : float
        Median of the baseline; NaN when there is none yet.
    low, high : float
        The fence for one run.
    change_share : float
        Median shift of what was measured after the suspect, or else of the newest value, over the baseline.
    runs : int
        Size of the baseline.
    measured_again : int
        Values since the suspect.
    onset : int or None
        Where in the series a confirmed change began.
    level : float
        Probability of what was seen if nothing had changed (rank test), for a confirmed change; else NaN.
    """

    verdict: str
    baseline: float = math.nan
    low: float = math.nan
    high: float = math.nan
    change_share: float = math.nan
    runs: int = 0
    measured_again: int = 0
    onset: int | None = None
    level: float = math.nan


@dataclass
class Watch:
    """The rule at work on one series.

    Parameters
    ----------
    performance
        `min_history_runs`, `baseline_runs`, `least_change_share`, `suspect_sigmas` and `false_alarm_share`.

    Attributes
    ----------
    state_
        steady, suspect, regression or improvement.
    """

    performance: Performance
    state_: State = "steady"
    _series: list[float] = field(default_factory=list)
    _baseline: list[float] = field(default_factory=list)
    _newest: list[float] = field(default_factory=list)
    _held: list[float] = field(default_factory=list)
    _fresh: list[float] = field(default_factory=list)
    _sign: float = 1.0
    _level: float = math.nan
    _onset: int | None = None

    def feed(self, value: float) -> State:
        """Take the next cost (above zero) and say where things stand."""
        x = math.log(value)
        self._series.append(x)
        if self.state_ == "suspect":
            self._fresh.append(x)
            self._look()
        elif self.state_ != "steady":
            self._fresh.append(x)
            self._look_for_the_end()
        elif len(self._baseline) < self.performance.min_history_runs:
            self._baseline.append(x)
        elif self._is_suspicious(x):
            self.state_, self._held, self._fresh = "suspect", [x], []
        else:
            self._learn([x])
        return self.state_

    def judge(self) -> Judgement:
        """Say what is known so far."""
        if len(self._series) <= self.performance.min_history_runs:
            return Judgement("unknown", runs=len(self._baseline))
        centre, sigma = _centre_and_sigma(self._baseline)
        reach = max(self.performance.suspect_sigmas * sigma, self._least / 2)
        shift = self._series[-1] - centre
        if self._fresh:
            shift = _shift(np.array(self._baseline), np.array(self._fresh))
        verdict = "no change" if self.state_ == "steady" else self.state_
        return Judgement(
            verdict=verdict,
            baseline=math.exp(centre),
            low=math.exp(centre - reach),
            high=math.exp(centre + reach),
            change_share=math.expm1(shift),
            runs=len(self._baseline),
            measured_again=len(self._fresh),
            onset=self._onset,
            level=self._level,
        )

    @property
    def _least(self) -> float:
        return math.log1p(self.performance.least_change_share)

    def _is_suspicious(self, x: float) -> bool:
        centre, sigma = _centre_and_sigma(self._baseline)
        self._newest = [*self._newest, x][-_NEWEST:]
        away = [self._newest[-1], float(np.mean(self._newest[-2:])), float(np.median(self._newest))]
        for count, moved in enumerate((value - centre for value in away), start=1):
            reach = self.performance.suspect_sigmas * sigma / math.sqrt(count)
            is_settled = moved > 0 or len(self._baseline) >= _SETTLED
            if len(self._newest) >= count and abs(moved) > max(reach, self._least / 2) and is_settled:
                self._sign = math.copysign(1.0, moved)
                return True
        return False

    def _look(self) -> None:
        if len(self._fresh) not in _LOOKS:
            return
        baseline = self._sign * np.array(self._baseline)
        fresh = self._sign * np.array(self._fresh)
        shift = _shift(baseline, fresh)
        if self._is_confirmed(baseline, fresh, shift):
            self.state_ = "regression" if self._sign > 0 else "improvement"
            levels = float(np.median(self._baseline)), float(np.median(self._fresh))
            self._onset = date_onset(self._series, *levels)
        elif shift < self._least / 2 or len(self._fresh) == _LOOKS[-1]:
            self.state_ = "steady"
            self._learn([*self._held, *self._fresh])
            self._newest, self._held, self._fresh = [], [], []

    def _is_confirmed(
        self, baseline: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64], shift: float
    ) -> bool:
        self._level = rank_level(baseline, fresh)
        lower_quartile = float(np.quantile(fresh, 0.25) - np.median(baseline))
        # Something else on the machine can slow down a few measurements in a row, but not each of five.
        surest = 1.5 * float(fresh.min() - np.median(baseline))
        if len(fresh) >= _LARGE_TEST and min(shift, surest) >= _LARGE * self._least:
            return self._level <= _LARGE_LEVEL
        return (
            len(fresh) >= _FIRST_TEST
            and self._level <= self.performance.false_alarm_share / len(baseline)
            and shift >= 0.8 * self._least
            and lower_quartile >= self._least / 2
        )

    def _look_for_the_end(self) -> None:
        centre, _ = _centre_and_sigma(self._baseline)
        level = float(np.median(self._fresh))
        newest = float(np.median(self._fresh[-_NEWEST:]))
        if abs(newest - centre) < abs(newest - level):
            self.state_, self._newest, self._held, self._fresh = "steady", [], [], []
            self._level, self._onset = math.nan, None

    def _learn(self, values: list[float]) -> None:
        free = self.performance.baseline_runs - len(self._baseline)
        self._baseline += values[: max(0, free)]


def judge_series(values: Sequence[float], performance: Performance) -> Judgement:
    """Apply the rule to a series of costs, the oldest first.

    Parameters
    ----------
    values : sequence of float, above zero
        Costs of comparable runs: seconds per row, bytes.
    performance
        The rule's parameters.

    Examples
    --------
    >>> judge_series([10.0, 10.1, 9.9, 10.0, 10.2, 9.9, 10.1], Performance()).verdict
    'no change'
    >>> before, after = [10.0, 10.1, 9.9, 10.0, 10.2, 9.9], [13.0, 13.1, 12.9, 13.0, 13.2, 13.1]
    >>> slow = judge_series(before + after, Performance())
    >>> slow.verdict, slow.onset, round(slow.change_share, 2)
    ('regression', 6, 0.3)
    """
    watch = Watch(performance)
    for value in values:
        watch.feed(value)
    return watch.judge()


def date_onset(logs: Sequence[float], before: float, after: float) -> int:
    """Find the place in a series where its level changes from one that is known to another.

    Parameters
    ----------
    logs : sequence of float
        Logarithms of the costs.
    before, after
        The two levels. Values beyond both are drawn in to half the step outside them: a wild value must not
        count more than the change itself.
    """
    import ruptures

    half = abs(after - before) / 2
    signal = np.clip(logs, min(before, after) - half, max(before, after) + half).reshape(-1, 1)
    return int(ruptures.KernelCPD(kernel="linear", min_size=2).fit(signal).predict(n_bkps=1)[0])


def rank_level(baseline: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64]) -> float:
    """Compute the probability that values of one kind lie as far apart as these (Mann-Whitney, one-sided).

    Equal values count against a difference.

    Examples
    --------
    >>> rank_level(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1 / 6
    True
    """
    above = int(np.searchsorted(np.sort(baseline), fresh, side="left").sum())
    return float(rank_tails(len(baseline), len(fresh))[above])


@functools.lru_cache(maxsize=512)
def rank_tails(first: int, second: int) -> npt.NDArray[np.float64]:
    """Give the chance of each number of pairs in order, or more, between two samples of one kind."""
    # The numbers of arrangements by pairs in order are the coefficients of a Gaussian binomial.
    counts = np.zeros(first * second + 1)
    counts[0] = 1.0
    for step in range(1, second + 1):
        if first + step < len(counts):
            counts[first + step :] -= counts[: -(first + step)].copy()
        for start in range(step):
            counts[start::step] = np.cumsum(counts[start::step])
    tails: npt.NDArray[np.float64] = np.cumsum(counts[::-1])[::-1] / counts.sum()
    return tails


def _shift(baseline: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64]) -> float:
    differences: npt.NDArray[Any] = np.subtract.outer(fresh, baseline)
    return float(np.median(differences))


def _centre_and_sigma(logs: list[float]) -> tuple[float, float]:
    centre = float(np.median(logs))
    return centre, max(_LOWEST_SIGMA, _MAD_TO_SIGMA * float(np.median(np.abs(np.array(logs) - centre))))
