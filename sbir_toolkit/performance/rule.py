"""The rule: from a series of costs, whether they have risen or fallen for good, and since when.

Times on a shared machine scatter by several percent, come in bursts, and some have two humps, so nothing here
takes a distribution for granted. The rule goes through the series in the order of time.

1. The first runs are the *baseline*. It grows to `baseline_runs` and then stays as it is, until a person
   accepts a change; a slow creep isn't swallowed by it. While it holds fewer than nine, runs that took less
   are taken in and nothing is suspected of having improved: the machine may have been busy at first.
2. A run, or the mean of the last two, or the median of the last three, away from the baseline's median is
   looked at again. Every fourth run or so is by chance, so it proves nothing; it is called a *suspect* where
   it lies outside the fence.
3. What is measured after it is looked at when there are 3, 6, 9, 14, 20, 28, 40, 60 and 90 of it. The change
   is *confirmed* when tests say that these runs and the baseline's are not of one kind, the shift is worth
   speaking of, and the lower parts of the runs have moved as well: a burst of something else on the machine
   moves a few runs far, a change moves all. Measurements made one right after the other can all lie in one
   burst, or in two that adjoin, so fourteen of them are needed; of runs that lie apart six are enough. When
   the shift falls below half of what is worth speaking of, or is surely below it, the suspicion is dropped.
4. The onset is dated by the best single change point (kernel change point detection) since the last suspicion
   that was dropped.
5. A confirmed change ends when the median of the last three runs is nearer to the baseline again.

The suspect itself never counts as proof: it was chosen for being extreme.

Two tests share the work. Student's, on values drawn in to two robust standard deviations, has the power that
few baseline runs need; the rank test (Mann-Whitney, exact) bears wild values, and alone it decides at a
stricter level. Both are strictest below ten runs of baseline, whose own luck counts most, and get stricter
again as it grows, since a longer series asks them more often and a larger baseline needs less leniency. Runs
of the baseline that something else held up (far above what the lower half reaches) don't count: a baseline
of ten with three of these would hide a change for ever.

Sources: H. B. Mann and D. R. Whitney (1947); S. Arlot, A. Celisse, Z. Harchaoui (2019) for the change point.
`benchmarks/regression_rules.py` measures how often the rule is wrong.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sbir_toolkit.params import Performance

Logs: TypeAlias = npt.NDArray[np.float64]
State = Literal["steady", "suspect", "regression", "improvement"]

_LOOKS = (3, 6, 9, 14, 20, 28, 40, 60, 90)
# Measured this long after the one before: whatever was at work on the machine then will be over.
_APART_S = 3600.0
_FIRST_APART = 6
_FIRST_AT_ONCE = 14
_LOWER_PARTS = (0.1, 0.25)
_MOVED_SHARE = 0.4
_WILD_SIGMAS = 5.0
_LEAST_WILD = math.log(1.25)
_DRAWN_IN = 2.0
_SURE_ERRORS = 2.0
_SETTLED = 9
_LENIENT_RUNS = 10
# A suspicion only costs a measurement. What is typical of few runs is known badly: closer ones are looked at.
_NEARER_SHARE, _NEARER_SHARE_OF_FEW = 0.7, 0.55
_FEW = 20
_LOWEST_SIGMA = 0.005
_LEAST_SCATTER = 0.01
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
        Probability of what was seen if nothing had changed, for a confirmed change; else NaN.
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
        steady, suspect (it wants more to be measured), regression or improvement.
    """

    performance: Performance
    state_: State = "steady"
    _series: list[float] = field(default_factory=list)
    _baseline: list[float] = field(default_factory=list)
    _newest: list[float] = field(default_factory=list)
    _held: list[float] = field(default_factory=list)
    _fresh: list[float] = field(default_factory=list)
    _sign: float = 1.0
    _is_outside: bool = False
    _cleared: int = 0
    _level: float = math.nan
    _onset: int | None = None
    _measured_at: float | None = None
    _occasions: int = 0

    def feed(self, value: float, at: float | None = None) -> State:
        """Take the next cost and say where things stand.

        Parameters
        ----------
        value
            Above zero.
        at
            When it was measured, in seconds; None: long after the one before.
        """
        x = math.log(value)
        self._series.append(x)
        is_apart = at is None or self._measured_at is None or at - self._measured_at > _APART_S
        self._measured_at = at
        if self.state_ == "suspect":
            self._fresh.append(x)
            self._occasions += is_apart
            self._look()
        elif self.state_ != "steady":
            self._fresh.append(x)
            self._look_for_the_end()
        elif len(self._baseline) < self.performance.min_history_runs:
            self._baseline.append(x)
        elif self._is_suspicious(x):
            self.state_, self._held, self._fresh, self._occasions = "suspect", [x], [], 0
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
        is_quiet = self.state_ == "steady" or (self.state_ == "suspect" and not self._is_outside)
        verdict = "no change" if is_quiet else self.state_
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
            fence = self.performance.suspect_sigmas * sigma / math.sqrt(count)
            # Several runs on one side say more than their mean does.
            nearer = _NEARER_SHARE if len(self._baseline) >= _FEW else _NEARER_SHARE_OF_FEW
            reach = max(nearer * fence * 0.8 ** (count - 1), self._least / 2)
            is_settled = moved > 0 or len(self._baseline) >= _SETTLED
            if len(self._newest) >= count and abs(moved) > reach and is_settled:
                self._sign = math.copysign(1.0, moved)
                self._is_outside = abs(moved) > max(fence, self._least / 2)
                return True
        return False

    def _look(self) -> None:
        if len(self._fresh) not in _LOOKS:
            return
        baseline = self._sign * _calm(np.array(self._baseline))
        fresh = self._sign * np.array(self._fresh)
        shift, error, self._level = _compare(baseline, fresh)
        is_cleared = shift < self._least / 2 or (
            len(fresh) >= _FIRST_APART and shift + _SURE_ERRORS * error < self._least
        )
        first = _FIRST_APART if self._occasions >= _FIRST_APART else _FIRST_AT_ONCE
        if len(fresh) >= first and self._is_confirmed(baseline, fresh, shift):
            self.state_ = "regression" if self._sign > 0 else "improvement"
            levels = float(np.median(self._baseline)), float(np.median(self._fresh))
            # What was cleared before belongs to the baseline; two such runs show where it was.
            start = max(0, min(self._cleared - 2, len(self._series) - 2 * _NEWEST))
            self._onset = start + date_onset(self._series[start:], *levels)
        elif is_cleared or len(fresh) == _LOOKS[-1]:
            self.state_, self._cleared = "steady", len(self._series)
            self._learn([*self._held, *self._fresh])
            self._newest, self._held, self._fresh = [], [], []

    def _is_confirmed(self, baseline: Logs, fresh: Logs, shift: float) -> bool:
        least_moved = float(np.min(np.quantile(fresh, _LOWER_PARTS) - np.quantile(baseline, _LOWER_PARTS)))
        if shift < self._least or least_moved < max(self._least / 2, _MOVED_SHARE * shift):
            return False
        share, size = self.performance.false_alarm_share, len(self._baseline)
        # Below ten runs the baseline's own luck counts most; above, each more makes it surer.
        leniency = _LENIENT_RUNS / size if size >= _LENIENT_RUNS else None
        student = share * (1.2 * leniency**4 if leniency else 0.01)
        if len(fresh) == _FIRST_APART:
            student /= 10
        ranks = rank_level(baseline, fresh)
        is_sure = self._level <= student and ranks <= share * (5 * leniency**4 if leniency else 0.5)
        return is_sure or ranks <= share / 50 / size

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


def judge_series(
    values: Sequence[float], performance: Performance, at: Sequence[float] | None = None
) -> Judgement:
    """Apply the rule to a series of costs, the oldest first.

    Parameters
    ----------
    values : sequence of float, above zero
        Costs of comparable runs: seconds per row, bytes.
    performance
        The rule's parameters.
    at : sequence of float, optional
        When each was measured, in seconds; None: long after one another.

    Examples
    --------
    >>> judge_series([10.0, 10.1, 9.9, 10.0, 10.2, 9.9, 10.1], Performance()).verdict
    'no change'
    >>> before, after = [10.0, 10.1, 9.9, 10.0, 10.2, 9.9], [13.0, 13.1, 12.9, 13.0, 13.2] * 2
    >>> slow = judge_series(before + after, Performance())
    >>> slow.verdict, slow.onset, round(slow.change_share, 2)
    ('regression', 6, 0.3)
    """
    watch = Watch(performance)
    for place, value in enumerate(values):
        watch.feed(value, None if at is None else at[place])
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


def rank_level(baseline: Logs, fresh: Logs) -> float:
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
def rank_tails(first: int, second: int) -> Logs:
    """Give the chance of each number of pairs in order, or more, between two samples of one kind."""
    # The numbers of arrangements by pairs in order are the coefficients of a Gaussian binomial.
    counts = np.zeros(first * second + 1)
    counts[0] = 1.0
    for step in range(1, second + 1):
        if first + step < len(counts):
            counts[first + step :] -= counts[: -(first + step)].copy()
        for start in range(step):
            counts[start::step] = np.cumsum(counts[start::step])
    tails: Logs = np.cumsum(counts[::-1])[::-1] / counts.sum()
    return tails


def _compare(baseline: Logs, fresh: Logs) -> tuple[float, float, float]:
    """Give the shift of what is typical, its error and Student's level, with wild values drawn in."""
    centres, sigmas = zip(*(_centre_and_sigma(side) for side in (baseline, fresh)), strict=True)
    reach = _DRAWN_IN * max(sigmas)
    sides = [
        np.clip(side, centre - reach, centre + reach)
        for side, centre in zip((baseline, fresh), centres, strict=True)
    ]
    shift = float(sides[1].mean() - sides[0].mean())
    scatter = max(_LEAST_SCATTER, *(float(side.std(ddof=1)) for side in sides))
    error = scatter * math.sqrt(1 / len(baseline) + 1 / len(fresh))
    return shift, error, _student_tail(shift / error, len(baseline) + len(fresh) - 2)


def _student_tail(t: float, freedom: int) -> float:
    # D. L. Wallace (1959): as the tail of a normal distribution, right to a few percent of itself.
    if t <= 0:
        return 1.0
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _calm(logs: Logs) -> Logs:
    """Leave out what took so much longer than usual that something else must have been at work."""
    centre = float(np.median(logs))
    below = centre - logs[logs < centre]
    sigma = max(_LEAST_SCATTER, _MAD_TO_SIGMA * float(np.median(below)) if len(below) else 0.0)
    calm: Logs = logs[logs <= centre + max(_WILD_SIGMAS * sigma, _LEAST_WILD)]
    return calm


def _shift(baseline: Logs, fresh: Logs) -> float:
    differences: npt.NDArray[Any] = np.subtract.outer(fresh, baseline)
    return float(np.median(differences))


def _centre_and_sigma(logs: Sequence[float] | Logs) -> tuple[float, float]:
    centre = float(np.median(logs))
    return centre, max(_LOWEST_SIGMA, _MAD_TO_SIGMA * float(np.median(np.abs(np.array(logs) - centre))))
