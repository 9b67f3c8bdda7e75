"""Why a stage takes longer than it did: what the change is made of, and what can account for it.

First, whether there is anything to explain: where both sides have several runs, a change that is no larger
than such runs scatter is left alone (`scatter`); CPU time and counters have a say in that. Then arithmetic.
The time of a stage is that of its phases, its start-up and a rest between them. The change of each is split
into

===============  =========================================================================================
part             what it is
===============  =========================================================================================
``work``         more rows at the old cost, as many more as the stage got
``mix``          more rows in this phase for each row of the stage: more candidates, fewer identifiers
``machine``      what a fixed calibration task took longer, when it did so beyond its own scatter; only of CPU
                 time, where queueing is known
``queueing``     time in which threads were ready to run and had no core, as far as other work on the machine
                 grew that can have had it
``computing``    more CPU time for the same rows
``memory``       of that, what the system spent on it while page faults rose
``disk``         time without CPU, and system time, while more bytes were moved
``parallelism``  time without CPU where several cores used to be busy: workers missing
``skew``         the same with as many workers as before, some of them idle while one had a long chunk
``waiting``      any other time without CPU
``start-up``     more CPU time before the first phase: starting, importing
``phase``        a phase that wasn't there before, or isn't there any more
===============  =========================================================================================

Then what changed between the two sides and lies on the stage's path (`differences`); of start-up, what
changed in any room, as a process that starts loads them all. A part is laid to what may have caused a part of
its kind: work to inputs, computing to code, libraries and parameters, missing workers to what the machine is
asked for. Where several may, all are named and the confidence falls, also where no calibration tells a busy
machine from a dearer program, or where one run on a side says nothing about scatter; where nothing changed
that could, the part is *not identifiable*, with what would be needed to say more. No cause is ever named that
isn't a measured difference. Parts of one kind with one cause are one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.performance.differences import (
    Side,
    StagePath,
    find_changes,
    take_side,
)
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.parts import (
    COUNTED,
    Machine,
    Part,
    has_counters_moved,
    look_at_workers,
    ratio,
    split_change,
)
from sbir_toolkit.performance.regression import NOUNS, StageVerdicts
from sbir_toolkit.performance.scatter import can_scatter, differs

CAUSE_COLUMNS = ("rank", "part", "where", "changed_s", "share", "cause", "evidence", "confidence")
_LEAST_SHARE = 0.05
# Levels at which a change counts as more than scatter: of a whole stage, and of one phase of a changed stage.
_STAGE_LEVEL, _PHASE_LEVEL = 0.01, 0.05
# The same of a stage whose counters say that its work changed.
_COUNTED_LEVEL = 0.1
# A single calibration on each side within this share of the other proves nothing.
_CALIBRATION_SHARE = 0.1
_SHOWN_PHASES = 4
_DOUBT = ("high", "medium", "low")
_NEEDED = "needed to say more: a profile of both versions, or runs that change one thing at a time"
_UNCALIBRATED = "needed: a calibration of the machine on both sides"
_UNKNOWN = "not identifiable: nothing recorded that surely accounts for it changed in between"
_MACHINE = "the machine itself was slower or faster"
_BUSY = "the machine was busy with other work"
_MADE_AGAIN = "it had to be made again: what it makes was at hand before"
_AT_HAND = "what it makes was at hand already"

# What may account for which part of a change, the likeliest first. Where a kind stands in a later group, it
# is asked only when none of the earlier ones changed.
_ABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "work": (("inputs",), ("parameters", "code")),
    "queueing": (("resources",),),
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
    path = path or StagePath()
    found = find_changes(before.facts, after.facts, project, path)
    said = list(dict.fromkeys(words for kind in found.values() for words in kind))
    total = after_s - before_s
    is_known = before.can_scatter(after, stage, "all")
    if abs(total) < _LEAST_SHARE * before_s or (is_known and not _is_change(before, after, stage)):
        return Explanation(stage, before_s, after_s, said, _table([], total))
    speed, is_calibrated = _speed(before, after)
    machine = Machine(speed, (before.load[stage], after.load[stage]))
    grown = ratio(old["all"]["rows"], new["all"]["rows"])
    sharing = before.sharing.get(stage), after.sharing.get(stage)
    parts: list[Part] = []
    for phase in dict.fromkeys([*old, *new]):
        if phase != "all":
            is_sure = not before.can_scatter(after, stage, phase) or any(
                before.is_beyond_scatter(after, stage, phase, figure, _PHASE_LEVEL)
                for figure in ("elapsed_s", "cpu_s")
            )
            split = split_change(phase, old.get(phase), new.get(phase), machine, grown)
            parts += [Part(*part, is_sure=is_sure or part[0] in COUNTED) for part in split]
    parts = look_at_workers(parts, *sharing)
    # A process that starts loads rooms that its stage never comes to.
    loaded = find_changes(before.facts, after.facts, project, replace(path, rooms=()))
    rows = [
        _lay_to(part, loaded if part.name == "start-up" else found, is_calibrated=is_calibrated)
        for part in parts
    ]
    best = "high" if is_known else "medium"
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


def headline_frame(verdicts: StageVerdicts, explained: Mapping[str, Explanation]) -> pd.DataFrame:
    """Say in a row for each stage that got worse: what, by how much, since when, and why.

    Parameters
    ----------
    verdicts
        From `judge_stages`.
    explained
        From `explain_regressions`.

    Returns
    -------
    pandas.DataFrame
        what, change_share, since (seconds since 1970), onset_run, why; only what is confirmed. Those whose
        cause is surest come first, of these the largest change. Of a stage that got worse in several ways its
        time is told, then the largest of them.
    """
    found = verdicts.regressions
    order = found.assign(
        is_part=found["phase"] != "all",
        is_other=found["measure"] != "time",
        size=-found["change_share"].abs(),
    ).sort_values(["is_part", "is_other", "size"], kind="stable")
    rows = []
    for row in order.drop_duplicates("stage").to_dict("records"):
        told = explained.get(row["stage"])
        why, doubt = _write_why(told)
        part = "" if row["phase"] == "all" else f", {row['phase']}"
        what = f"{row['stage']}{part}: {NOUNS[row['measure']]}"
        rows.append(
            (doubt, -abs(row["change_share"]), what, row["change_share"], row["since"], row["onset_run"], why)
        )
    rows.sort(key=lambda found: found[:2])
    columns = ["what", "change_share", "since", "onset_run", "why"]
    return pd.DataFrame([row[2:] for row in rows], columns=columns)


def _write_why(told: Explanation | None) -> tuple[str, int]:
    """Write the likeliest cause first and then what it did; give also how doubtful it is."""
    if told is None:
        return "not asked: its time isn't confirmed", len(_DOUBT)
    if told.table.empty:
        return told.sentence.partition(": ")[2], len(_DOUBT)
    first = told.table.iloc[0]
    cause = "cause not identifiable" if first["cause"] == _UNKNOWN else first["cause"]
    what, sure = f"{first['part']} in {first['where']}, {first['changed_s']:+,.3g} s", first["confidence"]
    return f"{cause}: {first['share']:.0%} of the change is {what} ({sure} confidence)", _DOUBT.index(sure)


def _is_change(before: Side, after: Side, stage: str) -> bool:
    """Tell whether a stage's time changed by more than scatter.

    Time may say so by itself, or CPU time, which company on the machine moves less, if it went the same way.
    Where counters moved, something surely changed; then time has only to move beyond what is usual.
    """
    old, new = before.figures(stage), after.figures(stage)
    level = _COUNTED_LEVEL if has_counters_moved(old, new) else _STAGE_LEVEL
    if before.is_beyond_scatter(after, stage, "all", "elapsed_s", level):
        return True
    is_same_way = (new["all"]["elapsed_s"] - old["all"]["elapsed_s"]) * (
        new["all"]["cpu_s"] - old["all"]["cpu_s"]
    ) > 0
    return is_same_way and before.is_beyond_scatter(after, stage, "all", "cpu_s", level)


def _speed(before: Side, after: Side) -> tuple[float, bool]:
    """Give how much longer the calibration task took, and whether it was measured on both sides."""
    sides = before.calibrations, after.calibrations
    if not all(sides):
        return 1.0, False
    speed = after.calibration_s / before.calibration_s
    is_changed = (
        differs(*sides, level=_PHASE_LEVEL) if can_scatter(*sides) else abs(speed - 1) > _CALIBRATION_SHARE
    )
    return speed if is_changed else 1.0, True


def _lay_to(part: Part, found: Mapping[str, list[str]], *, is_calibrated: bool) -> dict[str, Any]:
    """Name what may account for a part, and how sure that is."""
    row = {"part": part.name, "phase": part.phase, "changed_s": part.changed_s, "evidence": part.evidence}
    if part.name == "machine":
        return {**row, "cause": _MACHINE, "confidence": "high"}
    groups = [{kind: found[kind] for kind in group if found[kind]} for group in _ABLE[part.name]]
    able = next((group for group in groups if group), {})
    if part.name == "phase" and not able:
        return {**row, "cause": _MADE_AGAIN if part.changed_s > 0 else _AT_HAND, "confidence": "medium"}
    if part.name == "queueing" and not able:
        return {**row, "cause": _BUSY, "confidence": "high"}
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
