"""Why a stage takes longer than it did: what the change is made of, and what can account for it.

First, whether there is anything to explain: where both sides have several runs, a change that is no larger
than they scatter is left alone. Then arithmetic. The time of a stage is that of its phases, its start-up and
a rest between them. The change of each is split into

===============  =========================================================================================
part             what it is
===============  =========================================================================================
``work``         more rows at the old cost, as many more as the stage got
``mix``          more rows in this phase for each row of the stage: more candidates, fewer identifiers
``machine``      what a fixed calibration task took longer, when it did so beyond its own scatter
``computing``    more CPU time for the same rows
``memory``       of that, what the system spent on it while page faults rose
``disk``         time without CPU, and system time, while more bytes were moved
``parallelism``  time without CPU where several cores used to be busy: workers missing
``skew``         the same with as many workers as before, some of them idle while one had a long chunk
``waiting``      any other time without CPU
``start-up``     more CPU time before the first phase: starting, importing
``phase``        a phase that wasn't there before, or isn't there any more
===============  =========================================================================================

Then what changed between the two sides and lies on the stage's path (`differences`). A part is laid to what
may have caused a part of its kind: work to inputs, computing to code, libraries and parameters, missing
workers to what the machine is asked for. Where several may, all are named and the confidence falls, also
where no calibration tells a busy machine from a dearer program, or where one run on a side says nothing about
scatter; where nothing changed that could, the part is *not identifiable*, with what would be needed to say
more. No cause is ever named that isn't a measured difference. Parts of one kind with one cause are one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.performance.differences import (
    REST,
    Sharing,
    Side,
    StagePath,
    can_scatter,
    differs,
    find_changes,
    take_side,
)
from sbir_toolkit.performance.figures import START_UP
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.regression import StageVerdicts

CAUSE_COLUMNS = ("rank", "part", "where", "changed_s", "share", "cause", "evidence", "confidence")
_LEAST_SHARE = 0.05
# Levels at which a change counts as more than scatter: of a whole stage, and of one phase of a changed stage.
_STAGE_LEVEL, _PHASE_LEVEL = 0.01, 0.05
_ALIKE = 0.05
_FOLLOWS = 0.15
# A single calibration on each side within this share of the other proves nothing.
_CALIBRATION_SHARE = 0.1
_PARALLEL = 1.15
_MORE = 1.3
_LEAST_FAULTS, _LEAST_BYTES = 2_000, 1_000_000
_LEAST_IDLE = 0.1
_SHOWN_PHASES = 4
_NEEDED = "needed to say more: a profile of both versions, or runs that change one thing at a time"
_UNCALIBRATED = "needed: a calibration of the machine on both sides"
_UNKNOWN = "not identifiable: nothing recorded that surely accounts for it changed in between"
_MACHINE = "the machine itself was slower or faster"
_MADE_AGAIN = "it had to be made again: what it makes was at hand before"
_AT_HAND = "what it makes was at hand already"

# What may account for which part of a change, the likeliest first. Where a kind stands in a later group, it
# is asked only when none of the earlier ones changed.
_ABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "work": (("inputs",), ("parameters", "code")),
    "mix": (("inputs", "parameters", "code"),),
    "computing": (("code", "parameters", "libraries", "resources"), ("inputs",)),
    "memory": (("code", "parameters", "libraries", "resources"), ("inputs",)),
    "disk": (("code", "parameters", "resources"), ("inputs",)),
    "parallelism": (("resources",),),
    "skew": (("resources", "inputs"),),
    "waiting": (("resources",),),
    "start-up": (("code", "libraries"),),
    "phase": (("code", "parameters", "libraries", "inputs"),),
}


@dataclass(frozen=True)
class Explanation:
    """What a stage's change is made of, and what can account for it.

    Attributes
    ----------
    stage : str
    before_s, after_s : float
        Its time on both sides.
    changes : list of str
        All that differs between the sides and may matter to this stage.
    table : pandas.DataFrame
        One row for each kind of part with one cause, the largest first: rank, part, where (phases),
        changed_s, share (of the stage's change), cause, evidence, confidence.
    """

    stage: str
    before_s: float
    after_s: float
    changes: list[str]
    table: pd.DataFrame

    @property
    def sentence(self) -> str:
        """The likeliest cause in one sentence."""
        if self.table.empty:
            return f"{self.stage}: nothing to explain, {self.before_s:,.3g} s, now {self.after_s:,.3g} s"
        first = self.table.iloc[0]
        return (
            f"{self.stage}: {first['share']:.0%} of the change is {first['part']} in {first['where']} "
            f"({first['changed_s']:+,.3g} s); {first['cause']} ({first['confidence']} confidence)"
        )

    def __repr__(self) -> str:
        rows = [
            f"  {row['rank']}. {row['part']}, {row['where']}: {row['changed_s']:+,.3g} s "
            f"({row['share']:.0%}) - {row['cause']} [{row['confidence']}]; {row['evidence']}"
            for row in self.table.to_dict("records")
        ]
        told = [f"  changed in between: {', '.join(self.changes) or 'nothing that is recorded'}"]
        return "\n".join([self.sentence, *rows, *told])


@dataclass(frozen=True)
class _Part:
    """A part of a phase's change."""

    name: str
    phase: str
    changed_s: float
    evidence: str
    is_sure: bool = True


def explain_change(
    stage: str, before: Side, after: Side, *, project: Path | None = None, path: StagePath | None = None
) -> Explanation:
    """Explain the change of a stage's time between two sides.

    Parameters
    ----------
    stage
        A stage that worked on both sides.
    before, after
        From `take_side`.
    project
        The git checkout, to name commits and files; None: none are named.
    path
        What the stage depends on; None: everything.

    Returns
    -------
    Explanation
        With an empty table when the stage's time changed by less than a twentieth, or by no more than its
        runs scatter.
    """
    old, new = before.figures(stage), after.figures(stage)
    before_s, after_s = old["all"]["elapsed_s"], new["all"]["elapsed_s"]
    found = find_changes(before.facts, after.facts, project, path or StagePath())
    said = list(dict.fromkeys(words for kind in found.values() for words in kind))
    total = after_s - before_s
    runs = before.times[stage, "all"], after.times[stage, "all"]
    is_scatter = can_scatter(*runs) and not differs(*runs, level=_STAGE_LEVEL)
    if is_scatter or abs(total) < _LEAST_SHARE * before_s:
        return Explanation(stage, before_s, after_s, said, _table([], total))
    speed, is_calibrated = _machine(before, after)
    grown = _ratio(old["all"]["rows"], new["all"]["rows"])
    sharing = before.sharing.get(stage), after.sharing.get(stage)
    parts: list[_Part] = []
    for phase in dict.fromkeys([*old, *new]):
        if phase != "all":
            times = [side.times.get((stage, phase), []) for side in (before, after)]
            is_sure = not can_scatter(*times) or differs(*times, level=_PHASE_LEVEL)
            split = _split(phase, old.get(phase), new.get(phase), speed, grown)
            parts += [_Part(*part, is_sure=is_sure) for part in split]
    parts = _look_at_workers(parts, *sharing)
    rows = [_lay_to(part, found, is_calibrated=is_calibrated) for part in parts]
    best = "high" if can_scatter(*runs) else "medium"
    return Explanation(stage, before_s, after_s, said, _table(_gather(rows, best), total))


def explain_regressions(
    history: History,
    verdicts: StageVerdicts,
    *,
    project: Path | None = None,
    paths: Mapping[str, StagePath] | None = None,
    chunks_of: Callable[[str], pd.DataFrame] | None = None,
) -> dict[str, Explanation]:
    """Explain each confirmed regression of time: runs before its onset against those since.

    Parameters
    ----------
    history
        Where the runs are.
    verdicts
        From `judge_stages`.
    project
        As in `explain_change`.
    paths
        What each stage depends on.
    chunks_of
        As in `take_side`.

    Returns
    -------
    dict of str to Explanation
        By stage.
    """
    found = verdicts.regressions
    stages = history.stages()
    explained: dict[str, Explanation] = {}
    for stage, onset, since in found[["stage", "onset_run", "since"]].itertuples(index=False, name=None):
        own = stages[(stages["stage"] == stage) & (stages["status"] == "done")]
        first = own[own["run_id"] == onset]
        if stage in explained or first.empty:
            continue
        alike = own[(own["name"] == first["name"].iloc[0]) & (own["machine"] == first["machine"].iloc[0])]
        before, after = alike[alike["created"] < since], alike[alike["created"] >= since]
        if len(before) and len(after):
            sides = (
                take_side(history, before["run_id"].tolist(), f"{len(before)} runs before", chunks_of),
                take_side(history, after["run_id"].tolist(), f"{len(after)} runs since {onset}", chunks_of),
            )
            explained[stage] = explain_change(stage, *sides, project=project, path=(paths or {}).get(stage))
    return explained


def cause_frame(explained: Iterable[Explanation]) -> pd.DataFrame:
    """Put the explanations of several stages into one table, ranked over all of them.

    Returns
    -------
    pandas.DataFrame
        rank, stage, then the columns of each explanation's table; the largest change of time first.
    """
    tables = [told.table.assign(stage=told.stage) for told in explained if len(told.table)]
    columns = ["rank", "stage", *CAUSE_COLUMNS[1:]]
    if not tables:
        return pd.DataFrame(columns=columns)
    together = pd.concat(tables).sort_values("changed_s", key=abs, ascending=False, kind="stable")
    ranked: pd.DataFrame = together.assign(rank=range(1, len(together) + 1))[columns].reset_index(drop=True)
    return ranked


def _machine(before: Side, after: Side) -> tuple[float, bool]:
    """Give how much longer the calibration task took, and whether it was measured on both sides."""
    sides = before.calibrations, after.calibrations
    if not all(sides):
        return 1.0, False
    speed = after.calibration_s / before.calibration_s
    is_changed = (
        differs(*sides, level=_PHASE_LEVEL) if can_scatter(*sides) else abs(speed - 1) > _CALIBRATION_SHARE
    )
    return speed if is_changed else 1.0, True


def _ratio(old: float, new: float) -> float:
    return new / old if old > 0 and new > 0 else 1.0


def _split(
    phase: str,
    old: Mapping[str, float] | None,
    new: Mapping[str, float] | None,
    speed: float,
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
    more = _ratio(old["rows"], new["rows"])
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
    for share_s in (
        before_s * (by_work - 1),
        before_s * by_work * (by_mix - 1),
        before_s * by_work * by_mix * (speed - 1),
    ):
        # Each of these is an estimate: none explains more than there is.
        taken.append(math.copysign(min(abs(share_s), abs(left_s)), left_s) if share_s * left_s > 0 else 0.0)
        left_s -= taken[-1]
    counts = f"{old['rows']:,.0f} rows before, {new['rows']:,.0f} now"
    parts = [
        ("work", phase, taken[0], counts),
        ("mix", phase, taken[1], counts),
        ("machine", phase, taken[2], f"the calibration task took {speed - 1:+.0%}"),
    ]
    return [part for part in parts if part[2]] + _split_cost(phase, old, new, left_s, more * speed)


def _split_cost(
    phase: str, old: Mapping[str, float], new: Mapping[str, float], cost_s: float, expected: float
) -> list[tuple[str, str, float, str]]:
    """Split what isn't more work or a slower machine: CPU time, and time without it."""

    def grew(name: str) -> float:
        difference = new[name] - old[name] * expected
        return difference if math.isfinite(difference) else 0.0

    cores = [row["cpu_s"] / row["elapsed_s"] if row["elapsed_s"] > 0 else 0.0 for row in (old, new)]
    sign = math.copysign(1, cost_s)
    told = (
        f"{old['elapsed_s']:,.3g} s before, {new['elapsed_s']:,.3g} s now; "
        f"CPU time {old['cpu_s']:,.3g} s, now {new['cpu_s']:,.3g} s"
    )
    computing_s = cost_s
    if all(map(math.isfinite, cores)):
        # Where several cores are at it, a second of CPU time is less than one of the clock.
        computing_s = sign * min(abs(cost_s), max(0.0, sign * grew("cpu_s")) / max(1.0, cores[0]))
    idle_s = cost_s - computing_s
    if phase == START_UP:
        return [("start-up", phase, computing_s, told), ("waiting", phase, idle_s, told)]
    system_s = sign * min(abs(computing_s), max(0.0, sign * grew("system_s")) / max(1.0, cores[0]))
    moved = [row["read_bytes"] + row["written_bytes"] for row in (old, new)]
    is_disk = moved[1] > _MORE * moved[0] and moved[1] - moved[0] > _LEAST_BYTES
    is_memory = (
        new["minor_faults"] > _MORE * old["minor_faults"]
        and new["minor_faults"] - old["minor_faults"] > _LEAST_FAULTS
    )
    if is_disk:
        told_disk = f"{moved[0] / 1e6:,.1f} MB moved before, {moved[1] / 1e6:,.1f} MB now"
        parts = [("disk", phase, idle_s + system_s, f"{told}; {told_disk}")]
        return [*parts, ("computing", phase, computing_s - system_s, told)]
    name = "parallelism" if cores[0] > _PARALLEL and cores[1] < cores[0] else "waiting"
    told_cores = f"{told}; {cores[0]:.2g} cores busy, now {cores[1]:.2g}" if name == "parallelism" else told
    parts = [(name, phase, idle_s, told_cores)]
    if is_memory:
        faults = f"page faults {old['minor_faults']:,.0f}, now {new['minor_faults']:,.0f}"
        parts.append(("memory", phase, system_s, f"{told}; {faults}"))
        computing_s -= system_s
    return [*parts, ("computing", phase, computing_s, told)]


def _look_at_workers(parts: list[_Part], before: Sharing | None, after: Sharing | None) -> list[_Part]:
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
        _Part(name, part.phase, part.changed_s, told, part.is_sure)
        if part.name in lost and part.phase != REST
        else part
        for part in parts
    ]


def _lay_to(part: _Part, found: Mapping[str, list[str]], *, is_calibrated: bool) -> dict[str, Any]:
    """Name what may account for a part, and how sure that is."""
    row = {"part": part.name, "phase": part.phase, "changed_s": part.changed_s, "evidence": part.evidence}
    if part.name == "machine":
        return {**row, "cause": _MACHINE, "confidence": "high"}
    groups = [{kind: found[kind] for kind in group if found[kind]} for group in _ABLE[part.name]]
    able = next((group for group in groups if group), {})
    if part.name == "phase" and not able:
        return {**row, "cause": _MADE_AGAIN if part.changed_s > 0 else _AT_HAND, "confidence": "medium"}
    if not able or not part.is_sure:
        needed = _NEEDED if is_calibrated else _UNCALIBRATED
        why = needed if part.is_sure else f"no more than its runs scatter; {needed}"
        return {**row, "cause": _UNKNOWN, "evidence": f"{part.evidence}; {why}", "confidence": "low"}
    cause = "; ".join(dict.fromkeys(words for kind in able.values() for words in kind))
    sure = {1: "high", 2: "medium"}.get(len(able), "low")
    if not is_calibrated and part.name not in ("work", "mix"):
        # Nothing tells a busy machine from a dearer program then.
        sure = "low"
    elif part.name == "start-up" and sure == "high":
        sure = "medium"
    return {**row, "cause": cause, "confidence": sure}


def _gather(rows: list[dict[str, Any]], best: str) -> list[tuple[Any, ...]]:
    """Make one row of the parts of one kind with one cause; its evidence is that of the largest."""
    kinds: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault((row["part"], row["cause"], row["confidence"]), []).append(row)
    gathered = []
    for (part, cause, sure), same in kinds.items():
        changed_s = sum(row["changed_s"] for row in same)
        sign = math.copysign(1, changed_s)
        same.sort(key=lambda row: -sign * row["changed_s"])
        least_s = _LEAST_SHARE * abs(changed_s)
        phases = [row["phase"] for row in same if sign * row["changed_s"] >= least_s]
        more = f" and {len(phases) - _SHOWN_PHASES} more" if len(phases) > _SHOWN_PHASES else ""
        where = ", ".join(phases[:_SHOWN_PHASES]) + more
        confidence = best if sure == "high" else sure
        gathered.append((part, where, changed_s, cause, same[0]["evidence"], confidence))
    return gathered


def _table(rows: list[tuple[Any, ...]], total: float) -> pd.DataFrame:
    worth = [row for row in rows if abs(row[2]) >= _LEAST_SHARE * abs(total)]
    worth.sort(key=lambda row: (-math.copysign(1, total) * row[2], row[1], row[0]))
    ranked = [
        (rank, row[0], row[1], row[2], row[2] / total, *row[3:]) for rank, row in enumerate(worth, start=1)
    ]
    return pd.DataFrame(ranked, columns=list(CAUSE_COLUMNS))
