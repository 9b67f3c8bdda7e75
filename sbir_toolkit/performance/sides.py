"""Two sides of a benchmark: what the same work cost before and costs now, repeat by repeat.

The two may have been measured at different times, or in turns, each repeat of one beside a repeat of the
other. Turns are worth far more: what the machine does to a pair it does to both, so their difference is free
of it.

=========  ==================================  =====================================================
measured   the change is                       the test
=========  ==================================  =====================================================
in turns   the median of the Walsh averages    signed ranks of the pairs' differences (Wilcoxon)
apart      the median of all differences       ranks of one among the other (Mann-Whitney)
=========  ==================================  =====================================================

Both are exact and take no distribution for granted; both shifts are Hodges and Lehmann's, and their intervals
come from the same ranks.

Sources: F. Wilcoxon (1945); J. L. Hodges and E. L. Lehmann (1963).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from sbir_toolkit.performance.rule import Logs, rank_level, rank_tails
from sbir_toolkit.performance.series import MEASURES

Key: TypeAlias = tuple[str, str, str]

_PHASE_MEASURES = ("time", "cpu")
_SURENESS = 0.95
_REACH_SURENESS = 0.8  # of both sides; 90 % of one


@dataclass(frozen=True)
class Repeat:
    """One repeat of a workload, as a run that the history can keep.

    Attributes
    ----------
    record : dict
        Like a run's record.
    figures : pandas.DataFrame
        Of the contract STAGE_FIGURES.
    """

    record: dict[str, Any]
    figures: pd.DataFrame


@dataclass(frozen=True)
class Change:
    """How far apart two sides are in one measure, as logarithms of a ratio.

    Attributes
    ----------
    shift : float
        The typical change; above zero: dearer now.
    low, high : float
        Its interval, at 95 %.
    reach : float
        It is no further from none than this, at 90 % (one-sided).
    near_quartile : float
        A quarter of the changes seen are nearer to none than this, or go the other way (then below zero).
    level : float
        Probability of so large a change, in this direction, if there were none.
    """

    shift: float
    low: float
    high: float
    reach: float
    near_quartile: float
    level: float

    def is_suspect(self, least: float, level: float) -> bool:
        """Tell whether it looks large enough to speak of, and is sure enough at a level."""
        return abs(self.shift) >= 0.8 * least and self.level <= level

    def may_be_there(self, least: float) -> bool:
        """Tell whether it is known too badly to say that it isn't half as large again as the least."""
        return self.reach >= 1.5 * least

    def is_worth_saying(self, least: float, level: float) -> bool:
        """Tell whether it is sure enough at a level, and large enough in most repeats."""
        return self.is_suspect(least, level) and self.near_quartile >= least / 2


def list_costs(repeats: Iterable[Repeat]) -> dict[Key, Logs]:
    """Give the logarithms of what each stage and phase cost, by repeat; NaN where it cost nothing.

    Returns
    -------
    dict
        By stage, phase ('all' for the stage itself) and measure; stages are measured in all ways, phases in
        time and CPU time.
    """
    found: list[dict[Key, float]] = []
    for repeat in repeats:
        costs: dict[Key, float] = {}
        for row in repeat.figures.to_dict("records"):
            stage, phase = row["stage"], row["phase"]
            values = {"time": row["elapsed_s"], "cpu": row["cpu_s"]}
            if phase == "all":
                moved = row["read_bytes"] + row["written_bytes"]
                values |= {"memory": row["peak_bytes"], "io": moved}
            costs |= {(stage, phase, measure): float(value) for measure, value in values.items()}
        found.append(costs)
    keys = list(dict.fromkeys(key for costs in found for key in costs))
    return {key: _logs([costs.get(key, math.nan) for costs in found]) for key in keys}


def pick_keys(costs: Mapping[Key, Logs], *, least_s: float, least_share: float) -> list[Key]:
    """Name what is worth judging: stages, and phases that take long enough and enough of their stage."""
    kept = []
    for (stage, phase, measure), logs in costs.items():
        if not np.isfinite(logs).any():
            continue
        lasted = _typical(costs[stage, phase, "time"])
        whole = _typical(costs[stage, "all", "time"])
        is_large = lasted >= max(least_s, least_share * whole)
        if (phase == "all" and measure in MEASURES) or (measure in _PHASE_MEASURES and is_large):
            kept.append((stage, phase, measure))
    return kept


def measure_change(before: Logs, now: Logs, *, in_turns: bool) -> Change | None:
    """Say how far apart two sides are.

    Parameters
    ----------
    before, now : array of float
        Logarithms of costs. In turns: of one length, each pair measured side by side.
    in_turns
        Whether they were.

    Returns
    -------
    Change or None
        None where fewer than three repeats of a side were measured.

    Examples
    --------
    >>> before, now = np.log([1.0, 2.0, 4.0, 8.0]), np.log([1.2, 2.4, 4.8, 9.6])
    >>> change = measure_change(before, now, in_turns=True)
    >>> round(math.expm1(change.shift), 2), change.level
    (0.2, 0.0625)
    """
    if in_turns:
        steps = (now - before)[np.isfinite(before) & np.isfinite(now)]
        if len(steps) < 3:
            return None
        first, second = np.triu_indices(len(steps))
        averages = np.sort((steps[first] + steps[second]) / 2)
        shift = float(np.median(averages))
        sign = 1.0 if shift >= 0 else -1.0
        level = signed_rank_level(sign * steps)
        near = float(np.quantile(sign * steps, 0.25))
        return Change(shift, *_intervals(averages, _signed_tails(len(steps))), near, level)
    before, now = before[np.isfinite(before)], now[np.isfinite(now)]
    if min(len(before), len(now)) < 3:
        return None
    apart = np.sort(np.subtract.outer(now, before).ravel())
    shift = float(np.median(apart))
    sign = 1.0 if shift >= 0 else -1.0
    level = rank_level(sign * before, sign * now)
    near = float(np.quantile(sign * now, 0.25) - np.median(sign * before))
    return Change(shift, *_intervals(apart, rank_tails(len(before), len(now))), near, level)


def signed_rank_level(steps: Logs) -> float:
    """Compute the probability that steps without a direction lie as far above zero as these (exact).

    Of equal sizes and of none the one against a rise is taken.

    Examples
    --------
    >>> signed_rank_level(np.array([0.1, 0.2, 0.3])), signed_rank_level(np.array([-0.1, 0.2, 0.3]))
    (0.125, 0.25)
    """
    order = np.lexsort((steps > 0, np.abs(steps)))
    above = int(sum(rank for rank, at in enumerate(order, start=1) if steps[at] > 0))
    return float(_signed_tails(len(steps))[above])


def half_width(logs: Logs) -> float:
    """Give half the width of the interval of what is typical, as a share; infinite below six values."""
    known = logs[np.isfinite(logs)]
    if len(known) < 6:
        return math.inf
    change = measure_change(np.zeros(len(known)), known, in_turns=True)
    return math.inf if change is None else (change.high - change.low) / 2


@functools.lru_cache(maxsize=64)
def _signed_tails(count: int) -> Logs:
    # How many choices of ranks 1..count have a given sum; the tail from each sum upwards.
    counts = np.ones(1)
    for rank in range(1, count + 1):
        longer = np.zeros(len(counts) + rank)
        longer[: len(counts)] += counts
        longer[rank:] += counts
        counts = longer
    tails: Logs = np.cumsum(counts[::-1])[::-1] / counts.sum()
    return tails


def _intervals(ordered: Logs, tails: Logs) -> tuple[float, float, float]:
    """Give the interval of a shift, and how far from none it reaches."""
    near, far = _interval(ordered, tails, _REACH_SURENESS)
    return *_interval(ordered, tails, _SURENESS), max(far, -near)


def _interval(ordered: Logs, tails: Logs, sureness: float) -> tuple[float, float]:
    """Leave out as many of a shift's ordered parts, at either end, as chance allows."""
    # tails[k] is the chance of a rank sum of at least k; by symmetry also of at most the largest less k.
    outside = int(np.searchsorted(-tails, -(1 - sureness) / 2, side="left"))
    left_out = max(0, len(tails) - outside - 1)
    left_out = min(left_out, (len(ordered) - 1) // 2)
    return float(ordered[left_out]), float(ordered[-1 - left_out])


def _logs(values: Sequence[float]) -> Logs:
    costs = np.array(values, dtype=float)
    return np.log(np.where(costs > 0, costs, np.nan))


def _typical(logs: Logs) -> float:
    known = logs[np.isfinite(logs)]
    return math.exp(float(np.median(known))) if len(known) else 0.0
