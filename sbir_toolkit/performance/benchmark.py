"""Controlled benchmarks: the same work again and again, until it is known whether its cost has changed.

A run measures itself, on whatever came in that day. A benchmark does fixed work on purpose, often enough for
a verdict. Each repeat is preceded by the calibration task, which measures the machine.

1. *Screening.* The code of now is measured, either beside the code of before, in turns, or alone until the
   interval of its CPU time is tight. What differs from before by enough to speak of is a suspect: among
   dozens of stages, phases and measures some do by chance.
2. *Measured again.* Suspects count for nothing until fresh repeats show them again: in turns with the code of
   before where it is at hand, since what the machine does to a pair it does to both; else beside the stored
   baseline, the machine's drift taken out by the calibration. It is looked at after 10, 14, 20, 28 and
   40 turns, until each suspect is confirmed, or a part of it is, or it can be cleared: before the twentieth
   turn if it isn't likely to be there, later if the fresh repeats alone wouldn't have made it a suspect.
3. A suspect that this confirms is a regression or an improvement; one that it clears is no change; one that
   is still open after the last look stays a suspect.

What comes out is the verdict on every stage and phase (`StageVerdicts`), so a slow-down is found where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sbir_toolkit.params import Performance
from sbir_toolkit.performance.baseline import Baseline
from sbir_toolkit.performance.regression import MORE, NOUNS, StageVerdicts, identify, write_cost
from sbir_toolkit.performance.rule import Logs, date_onset
from sbir_toolkit.performance.sides import (
    Change,
    Key,
    Repeat,
    half_width,
    list_costs,
    measure_change,
    pick_keys,
)

_CONFIRMED = ("regression", "improvement")
# Six turns can't be surer than one in 64; beside a stored baseline fewer suspects need be measured again.
_SUSPECT_LEVEL_IN_TURNS, _SUSPECT_LEVEL = 0.05, 0.02
_LEAST_S = 0.05
_LEAST_SHARE = 0.05
_MOST_SCATTER = 1.5
_BYTES = ("memory", "io")


@dataclass(frozen=True)
class Patience:
    """How often a benchmark measures.

    Parameters
    ----------
    screening : int
        Turns, or repeats, before anything is looked at.
    longest_screening : int
        Repeats after which the interval may be as wide as it is.
    looks : tuple of int
        When what was measured again is looked at.
    least_again : int
        Before so many turns a suspect is cleared only where a change that counts isn't likely any more.
    tight_share : float
        The interval is tight when half of it is at most this share of the CPU time.
    """

    screening: int = 6
    longest_screening: int = 12
    looks: tuple[int, ...] = (10, 14, 20, 28, 40)
    least_again: int = 20
    tight_share: float = 0.025


@dataclass
class Benchmark:
    """One benchmark: how to measure, what to compare with, and what was found.

    Parameters
    ----------
    now : callable
        Measures the code of now once.
    performance
        `min_history_runs`, `baseline_runs`, `least_change_share`, `false_alarm_share`.
    before : callable, optional
        Measures the code of before once.
    baseline
        What the history knows. When given it is what screening compares with.
    before_turns : callable, optional
        Is told the stages that are measured again in turns, before that begins.
    say : callable, optional
        Is told what goes on, line by line.

    Attributes
    ----------
    repeats_, before_ : list of Repeat
        All that was measured of each code.
    alone_ : int
        How many of `repeats_` come first that were measured alone, as a stored baseline was.
    """

    now: Callable[[], Repeat]
    performance: Performance
    before: Callable[[], Repeat] | None = None
    baseline: Baseline | None = None
    patience: Patience = field(default_factory=Patience)
    before_turns: Callable[[set[str]], None] = lambda _stages: None
    say: Callable[[str], None] = lambda _line: None
    alone_: int = 0
    repeats_: list[Repeat] = field(default_factory=list)
    before_: list[Repeat] = field(default_factory=list)

    def run(self) -> StageVerdicts:
        """Measure until it is known whether something has changed, and judge."""
        if self.baseline is None and self.before is not None:
            self._take_turns(self.patience.screening)
        else:
            self._measure_alone()
        changes = self._compare(0, in_turns=self.baseline is None)
        least = self._least
        level = _SUSPECT_LEVEL_IN_TURNS if self.baseline is None else _SUSPECT_LEVEL
        suspects = {
            key
            for key, change in changes.items()
            if change is not None and change.is_worth_saying(least, level)
        }
        if not suspects:
            return self._tell(changes, {}, 0)
        names = ", ".join(sorted({identify(*key) for key in suspects}))
        looks = self.patience.looks
        self.say(f"{len(suspects)} suspect, measured again {looks[0]} to {looks[-1]} times: {names}")
        start = len(self.repeats_)
        again = self._measure_again(suspects)
        return self._tell(changes, again, len(self.repeats_) - start)

    @property
    def spread(self) -> float:
        """Half the interval of the CPU time of the whole, as a share; turns don't do the whole."""
        whole = self.repeats_[: self.alone_] or self.repeats_
        return half_width(np.log([_cpu_s(repeat) for repeat in whole]))

    @property
    def _least(self) -> float:
        return math.log1p(self.performance.least_change_share)

    def _measure_alone(self) -> None:
        patience = self.patience
        while len(self.repeats_) < patience.longest_screening and (
            len(self.repeats_) < patience.screening or self.spread > patience.tight_share
        ):
            self._repeat(1)
        self.alone_ = len(self.repeats_)

    def _repeat(self, times: int) -> None:
        for _ in range(times):
            self.repeats_.append(self.now())
            self.say(f"repeat {len(self.repeats_)}: {_describe(self.repeats_[-1])}")

    def _take_turns(self, turns: int) -> None:
        assert self.before is not None
        for _ in range(turns):
            # Who goes first changes from turn to turn, or going first would be a part of the difference.
            sides = [(self.before_, self.before), (self.repeats_, self.now)]
            for repeats, measure in sides if len(self.repeats_) % 2 else reversed(sides):
                repeats.append(measure())
            self.say(
                f"turn {len(self.repeats_)}: before {_describe(self.before_[-1])},"
                f" now {_describe(self.repeats_[-1])}"
            )

    def _measure_again(self, suspects: set[Key]) -> dict[Key, Change | None]:
        start, in_turns = len(self.repeats_), self.before is not None
        found: dict[Key, Change | None] = {}
        if in_turns:
            self.before_turns({stage for stage, _, _ in suspects})
        for look in self.patience.looks:
            missing = start + look - len(self.repeats_)
            if in_turns:
                self._take_turns(missing)
            else:
                self._repeat(missing)
            found = self._compare(start, in_turns=in_turns, only=suspects)
            still_open = sorted(identify(*key) for key in self._list_open(found, look))
            if not still_open:
                break
            self.say(
                f"after {look} of at most {self.patience.looks[-1]}, still open: {', '.join(still_open)}"
            )
        return found

    def _list_open(self, found: Mapping[Key, Change | None], turns: int) -> list[Key]:
        """Name what has to be measured on; not what is known by another measure, or by a part of it."""
        is_early = turns < self.patience.least_again
        known = {key for key, change in found.items() if change is not None and self._is_confirmed(change)}
        told = _with_wholes({(stage, phase) for stage, phase, _ in known}, self.repeats_[-1].figures)
        return [
            key
            for key, change in found.items()
            if change is not None
            and not self._is_confirmed(change)
            and (self._is_suspect(change) or (is_early and change.may_be_there(self._least)))
            and (key[2] in _BYTES or key[:2] not in told)
        ]

    def _is_suspect(self, change: Change) -> bool:
        return change.is_suspect(self._least, _SUSPECT_LEVEL_IN_TURNS)

    def _is_confirmed(self, change: Change) -> bool:
        return change.is_worth_saying(self._least, self.performance.false_alarm_share)

    def _compare(
        self, start: int, *, in_turns: bool, only: set[Key] | None = None
    ) -> dict[Key, Change | None]:
        fresh = self.repeats_[start:]
        costs = list_costs(fresh)
        keys = pick_keys(costs, least_s=_LEAST_S, least_share=_LEAST_SHARE) if only is None else sorted(only)
        if in_turns:
            beside = list_costs(self.before_[-len(fresh) :])
            nothing = np.full(len(fresh), np.nan)
            return {
                key: measure_change(beside.get(key, nothing), costs.get(key, nothing), in_turns=True)
                for key in keys
            }
        known = self.baseline or Baseline()
        earlier = list_costs(known.repeats)
        then, today = _calibrations(known.repeats), _calibrations(fresh)
        found: dict[Key, Change | None] = {}
        for key in keys:
            at = known.pick(identify(*key), self.performance.baseline_runs)
            if len(at) < self.performance.min_history_runs or key not in earlier or key not in costs:
                found[key] = None
                continue
            sides = _without_drift((earlier[key][at], costs[key]), (then[at], today), key[2])
            found[key] = measure_change(*sides, in_turns=False)
        return found

    def _tell(
        self, screened: Mapping[Key, Change | None], again: Mapping[Key, Change | None], fresh: int
    ) -> StageVerdicts:
        now = list_costs(self.repeats_)
        rows = []
        for key, first in screened.items():
            change = again.get(key, first)
            verdict = self._judge(change, is_fresh=key in again)
            value = float(np.exp(np.nanmedian(now[key])))
            unit = "bytes" if key[2] in _BYTES else "s"
            shift = change.shift if change is not None else math.nan
            base = value / math.exp(shift)
            onset = self._date(key, change) if verdict in _CONFIRMED else None
            rows.append(
                {
                    "id": identify(*key),
                    "stage": key[0],
                    "phase": key[1],
                    "measure": key[2],
                    "unit": unit,
                    "value": value,
                    "baseline": base,
                    "low": base * math.exp(-self._least),
                    "high": base * math.exp(self._least),
                    "change_share": math.expm1(shift),
                    "runs": self._base_size(key) if change is not None else 0,
                    "measured_again": fresh if key in again else 0,
                    "onset_run": onset["run_id"] if onset else None,
                    "since": onset["created"] if onset else math.nan,
                    "verdict": verdict,
                    "sentence": self._write(key, verdict, change, (value, fresh)),
                }
            )
        return StageVerdicts.of(rows)

    def _judge(self, change: Change | None, *, is_fresh: bool) -> str:
        if change is None:
            return "unknown"
        if not is_fresh:
            return "no change"
        if self._is_confirmed(change):
            return "regression" if change.shift > 0 else "improvement"
        return "suspect" if self._is_suspect(change) else "no change"

    def _date(self, key: Key, change: Change | None) -> Mapping[str, Any] | None:
        """Find the repeat with which a change began; between two codes measured in turns there is none."""
        if self.baseline is None or change is None:
            return None
        since = self.baseline.accepted.get(identify(*key), 0.0)
        known = [repeat for repeat in self.baseline.repeats if repeat.record["created"] >= since]
        alone = self.repeats_[: self.alone_] if self.before_ else self.repeats_
        series = [*known, *alone]
        sides = (list_costs(known)[key], list_costs(alone)[key])
        machine = _calibrations(known), _calibrations(alone)
        logs = np.concatenate(_without_drift(sides, machine, key[2]))
        told = np.isfinite(logs)
        after = float(np.nanmedian(logs[len(known) :]))
        onset = int(np.flatnonzero(told)[date_onset(logs[told].tolist(), after - change.shift, after)])
        return series[onset].record

    def _base_size(self, key: Key) -> int:
        if self.baseline is None:
            return len(self.before_)
        return len(self.baseline.pick(identify(*key), self.performance.baseline_runs))

    def _write(self, key: Key, verdict: str, change: Change | None, values: tuple[float, int]) -> str:
        (stage, phase, measure), (value, fresh) = key, values
        where, noun = stage if phase == "all" else f"{stage}, {phase}", NOUNS[measure]
        if change is None:
            known = len(self.baseline.repeats) if self.baseline is not None else 0
            least = self.performance.min_history_runs
            return f"{where}: no verdict yet on {noun}: {known} of {least} repeats of a baseline"
        unit = "bytes" if measure in _BYTES else "s"
        words = MORE[measure][0 if change.shift > 0 else 1]
        interval = f"{math.expm1(change.low):+.0%} to {math.expm1(change.high):+.0%}"
        base = write_cost(value / math.exp(change.shift), unit)
        told = f"{noun} {write_cost(value, unit)} against {base} ({interval})"
        if verdict == "no change":
            return f"{where}: {told}, no change"
        how = "in turns with the code of before" if self.before is not None else "beside the stored baseline"
        if verdict == "suspect":
            return f"{where}: suspected of being {words}, still open after {fresh} repeats {how}: {told}"
        share = f"{abs(math.expm1(change.shift)):.0%}"
        return f"{where}: {words} by {share}, confirmed by {fresh} repeats {how}: {told}"


def _without_drift(sides: tuple[Logs, Logs], machine: tuple[Logs, Logs], measure: str) -> tuple[Logs, Logs]:
    """Take the machine's drift out, unless the calibration scatters so much that it does more harm."""
    adjusted = sides[0] - machine[0], sides[1] - machine[1]
    if measure in _BYTES or _scatter(adjusted) > _MOST_SCATTER * _scatter(sides):
        return sides
    level = float(np.nanmedian(np.concatenate(machine)))
    return adjusted[0] + level, adjusted[1] + level


def _with_wholes(parts: set[tuple[str, str]], figures: pd.DataFrame) -> set[tuple[str, str]]:
    """Add the phases that these are parts of, and their stages."""
    inside = dict(zip(zip(figures["stage"], figures["phase"], strict=True), figures["inside"], strict=True))
    found = set(parts) | {(stage, "all") for stage, _ in parts}
    for stage, phase in parts:
        whole = inside.get((stage, phase))
        while isinstance(whole, str):
            found.add((stage, whole))
            whole = inside.get((stage, whole))
    return found


def _calibrations(repeats: Sequence[Repeat]) -> Logs:
    return np.log([float(repeat.record["calibration_s"]) for repeat in repeats])


def _scatter(sides: Sequence[Logs]) -> float:
    return float(np.nanmedian(np.concatenate([np.abs(side - np.nanmedian(side)) for side in sides])))


def _cpu_s(repeat: Repeat) -> float:
    return float(sum(stage["cpu_s"] for stage in repeat.record["stages"].values()))


def _describe(repeat: Repeat) -> str:
    wall_s = sum(stage["elapsed_s"] for stage in repeat.record["stages"].values())
    return f"{wall_s:.2f} s ({_cpu_s(repeat):.2f} s CPU)"
