"""The parts of a stage's change: more work, another mix, a slower machine, dearer computing, lost time.

This is arithmetic on the figures of two sides; what may have caused each part is asked in `causes`. Counters
(rows, bytes, page faults) don't scatter as times do: a part that rests on one is sure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sbir_toolkit.performance.differences import REST, Sharing
from sbir_toolkit.performance.figures import START_UP

_ALIKE = 0.05
_FOLLOWS = 0.15
_PARALLEL = 1.15
_MORE = 1.3
_LEAST_FAULTS, _LEAST_BYTES = 2_000, 1_000_000
_LEAST_IDLE = 0.1
# Parts that are told apart by a counter, not by a time.
COUNTED = ("work", "mix", "disk", "memory", "phase", "skew")


@dataclass(frozen=True)
class Machine:
    """How the machine changed from one side to the other.

    `speed` is how many times as long a fixed task takes; `load` how many cores other work kept busy on each
    side, NaN where that isn't known.
    """

    speed: float = 1.0
    load: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class Part:
    """A part of a phase's change."""

    name: str
    phase: str
    changed_s: float
    evidence: str
    is_sure: bool = True


def has_counters_moved(
    old: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]
) -> bool:
    """Tell whether phases came or went, or worked on other numbers of rows, or wrote far more or less."""
    if set(old) != set(new):
        return True
    for phase in old:
        rows = [side[phase]["rows"] for side in (old, new)]
        if min(rows) > 0 and abs(rows[1] / rows[0] - 1) > _ALIKE:
            return True
        written = sorted(side[phase]["written_bytes"] for side in (old, new))
        if written[1] > _MORE * written[0] and written[1] - written[0] > _LEAST_BYTES:
            return True
    return False


def ratio(old: float, new: float) -> float:
    """Give how many times as much it is now; 1 where either isn't known."""
    return new / old if old > 0 and new > 0 else 1.0


def split_change(
    phase: str,
    old: Mapping[str, float] | None,
    new: Mapping[str, float] | None,
    machine: Machine,
    grown: float,
) -> list[tuple[str, str, float, str]]:
    """Split a phase's change; each part with its name, the phase, seconds, evidence."""
    if old is None or new is None:
        row = new or old
        assert row is not None
        sign = 1 if old is None else -1
        word = "wasn't there before" if old is None else "isn't there any more"
        return [("phase", phase, sign * row["elapsed_s"], f"the phase {word}")]
    before_s, after_s = old["elapsed_s"], new["elapsed_s"]
    more = ratio(old["rows"], new["rows"])
    if abs(more - 1) < _ALIKE:
        by_work = by_mix = 1.0
    elif abs(more / grown - 1) < _FOLLOWS:
        by_work, by_mix = more, 1.0
    else:
        # What the stage itself got more of explains its part; the rest is more for each of its rows.
        by_work = grown if (grown - 1) * (more - 1) > 0 else 1.0
        by_mix = more / by_work
    left_s = after_s - before_s
    taken: list[float] = []
    # Where it is known how long threads queued for a core, the calibration has a say in CPU time only.
    slower = 1.0 if _is_queueing_known(old, new, machine) else machine.speed
    for share_s in (
        before_s * (by_work - 1),
        before_s * by_work * (by_mix - 1),
        before_s * by_work * by_mix * (slower - 1),
    ):
        # Each of these is an estimate: none explains more than there is.
        taken.append(math.copysign(min(abs(share_s), abs(left_s)), left_s) if share_s * left_s > 0 else 0.0)
        left_s -= taken[-1]
    counts = f"{old['rows']:,.0f} rows before, {new['rows']:,.0f} now"
    parts = [
        ("work", phase, taken[0], counts),
        ("mix", phase, taken[1], counts),
        ("machine", phase, taken[2], _told_speed(machine.speed)),
    ]
    # CPU time is expected to have grown as far as time is explained: fewer rows explain no growth.
    expected = 1 + sum(taken) / before_s if before_s > 0 else 1.0
    parts += _split_cost(phase, old, new, left_s, expected=expected, machine=machine)
    return [part for part in parts if part[2]]


def _is_queueing_known(old: Mapping[str, float], new: Mapping[str, float], machine: Machine) -> bool:
    return all(map(math.isfinite, (old["queued_s"], new["queued_s"], *machine.load)))


def _more_by_others(
    old: Mapping[str, float], new: Mapping[str, float], sign: float, machine: Machine
) -> float:
    """Give the CPU time that other work used more, or less, than it would have at its rate on the other side.

    While a thread queues, others have its core: they can't have kept it waiting for longer than they ran.
    """
    before, now = machine.load
    return max(0.0, sign * (now - before)) * (new if sign > 0 else old)["elapsed_s"]


def _told_speed(speed: float) -> str:
    return f"the calibration task took {speed - 1:+.0%}"


def _split_cost(
    phase: str,
    old: Mapping[str, float],
    new: Mapping[str, float],
    cost_s: float,
    *,
    expected: float,
    machine: Machine,
) -> list[tuple[str, str, float, str]]:
    """Split what isn't more work: CPU time, time queued for a core, and time with neither.

    A thread that is ready to run and has no core is kept waiting: by other work, as far as that grew. On a
    machine as busy as it was, more queueing is what more CPU time costs there. A thread that sleeps waits for
    a disk, for another thread, or has nothing to do.
    """

    def grew(name: str) -> float:
        difference = new[name] - old[name] * expected
        return difference if math.isfinite(difference) else 0.0

    cores = [row["cpu_s"] / row["elapsed_s"] if row["elapsed_s"] > 0 else 0.0 for row in (old, new)]
    # Where several cores are at it, a second of CPU time is less than one of the clock.
    side_by_side = max(1.0, cores[0])
    sign = math.copysign(1, cost_s)
    told = (
        f"{old['elapsed_s']:,.3g} s before, {new['elapsed_s']:,.3g} s now; "
        f"CPU time {old['cpu_s']:,.3g} s, now {new['cpu_s']:,.3g} s"
    )
    computing_s = cost_s
    if all(map(math.isfinite, cores)):
        computing_s = sign * min(abs(cost_s), max(0.0, sign * grew("cpu_s")) / side_by_side)
    idle_s = cost_s - computing_s
    of_machine: list[tuple[str, str, float, str]] = []
    if _is_queueing_known(old, new, machine):
        slower_s = old["cpu_s"] * expected * (machine.speed - 1) / side_by_side
        slower_s = sign * min(abs(computing_s), max(0.0, sign * slower_s))
        more_queued_s = max(0.0, sign * grew("queued_s"))
        by_others_s = min(more_queued_s, _more_by_others(old, new, sign, machine))
        rate = max((row["queued_s"] / row["cpu_s"] for row in (old, new) if row["cpu_s"] > 0), default=0.0)
        by_itself_s = min(more_queued_s - by_others_s, rate * max(0.0, sign * grew("cpu_s")))
        queued_s = sign * min(abs(idle_s), by_others_s / side_by_side)
        crowded_s = sign * min(abs(idle_s - queued_s), by_itself_s / side_by_side)
        idle_s -= queued_s + crowded_s
        computing_s += crowded_s - slower_s
        before, now = machine.load
        told_queue = f"queued for a core {old['queued_s']:,.3g} s before, {new['queued_s']:,.3g} s now"
        told_load = f"other work kept {before:.2g} cores busy before, {now:.2g} now"
        of_machine = [
            ("queueing", phase, queued_s, f"{told}; {told_queue}; {told_load}"),
            ("machine", phase, slower_s, _told_speed(machine.speed)),
        ]
    if phase == START_UP:
        return [*of_machine, ("start-up", phase, computing_s, told), ("waiting", phase, idle_s, told)]
    # The system's part of the CPU time, and of the queueing that this costs.
    more_cpu_s, more_system_s = sign * grew("cpu_s"), sign * grew("system_s")
    system_s = computing_s * min(1.0, max(0.0, more_system_s) / more_cpu_s) if more_cpu_s > 0 else 0.0
    moved = [row["read_bytes"] + row["written_bytes"] for row in (old, new)]
    is_disk = moved[1] > _MORE * moved[0] and moved[1] - moved[0] > _LEAST_BYTES
    is_memory = (
        new["minor_faults"] > _MORE * old["minor_faults"]
        and new["minor_faults"] - old["minor_faults"] > _LEAST_FAULTS
    )
    if is_disk:
        told_disk = f"{moved[0] / 1e6:,.1f} MB moved before, {moved[1] / 1e6:,.1f} MB now"
        parts = [("disk", phase, idle_s + system_s, f"{told}; {told_disk}")]
        return [*of_machine, *parts, ("computing", phase, computing_s - system_s, told)]
    name = "parallelism" if cores[0] > _PARALLEL and cores[1] < cores[0] else "waiting"
    told_cores = f"{told}; {cores[0]:.2g} cores busy, now {cores[1]:.2g}" if name == "parallelism" else told
    parts = [(name, phase, idle_s, told_cores)]
    if is_memory:
        faults = f"page faults {old['minor_faults']:,.0f}, now {new['minor_faults']:,.0f}"
        parts.append(("memory", phase, system_s, f"{told}; {faults}"))
        computing_s -= system_s
    return [*of_machine, *parts, ("computing", phase, computing_s, told)]


def look_at_workers(parts: list[Part], before: Sharing | None, after: Sharing | None) -> list[Part]:
    """Tell missing workers from idle ones, where the chunks of both sides are known."""
    if before is None or after is None:
        return parts
    told = (
        f"workers {before.workers}, now {after.workers}; idle {before.idle_share:.0%} of their time, now "
        f"{after.idle_share:.0%}; longest chunk {before.longest_s:.2g} s of {before.window_s:.2g} s, now "
        f"{after.longest_s:.2g} s of {after.window_s:.2g} s"
    )
    is_skewed = (
        after.workers == before.workers > 1 and after.idle_share - before.idle_share > _LEAST_IDLE
    ) or (after.chunks < before.workers <= before.chunks)
    name = "skew" if is_skewed else "parallelism"
    lost = ("parallelism", "waiting") if is_skewed or after.workers < before.workers else ("parallelism",)
    return [
        Part(name, part.phase, part.changed_s, told, part.is_sure)
        if part.name in lost and part.phase != REST
        else part
        for part in parts
    ]
