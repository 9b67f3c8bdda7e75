"""Why a stage takes longer than it did: what the change is made of, and what can account for it.

First arithmetic. The time of a stage is that of its phases, its start-up and a rest between them. The change
of each is split into *work* (more rows at the old cost), the *machine* (what a fixed calibration task took
longer) and *cost per row*; a phase that was or wasn't there before counts whole. Of what became dearer per
row, the part that shows as CPU time is *computing*; the rest is *waiting* (or *parallelism*, where the stage
used to keep several cores busy and no longer does).

Then what changed between the two sides: commits and rooms of the code on the stage's path, parameters,
versions of libraries, inputs' content. A part of the change is laid to what may have caused a part of that
kind: work to inputs and parameters, computing to code, parameters and libraries, waiting and parallelism only
to what the machine is asked for. Where several may, all are named and the confidence falls, also where no
calibration tells a busy machine from a dearer program; where nothing changed that could, the part is *not
identifiable*, with what would be needed to say more. No cause is ever named that isn't a measured difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.performance.figures import START_UP
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.regression import StageVerdicts
from sbir_toolkit.versions import commits_between

CAUSE_COLUMNS = ("rank", "part", "where", "changed_s", "share", "cause", "evidence", "confidence")
_REST = "between phases"
_LEAST_SHARE = 0.05
_PARALLEL = 1.2
_SHOWN_COMMITS = 3
_NEEDED = "needed to say more: a profile of both versions, or runs that change one thing at a time"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: one run, or the typical one of several.

    Attributes
    ----------
    label : str
        What to call it.
    facts : dict
        Of the newest of its runs, as in the history's table of runs.
    phases : pandas.DataFrame
        Index (stage, phase), 'all' for the stage itself; elapsed_s, cpu_s, rows: medians. A phase that others
        are a part of counts with what is left beside them.
    calibration_s : float
        What the calibration task took; NaN where it wasn't measured.
    """

    label: str
    facts: dict[str, Any]
    phases: pd.DataFrame
    calibration_s: float


@dataclass(frozen=True)
class Explanation:
    """What a stage's change is made of, and what can account for it.

    Attributes
    ----------
    stage : str
    before_s, after_s : float
        Its time on both sides.
    changes : list of str
        All that differs between the sides and may matter.
    table : pandas.DataFrame
        One row for each part, the largest first: rank, part, where, changed_s, share (of the stage's change),
        cause, evidence, confidence.
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


def take_side(history: History, run_ids: Sequence[str], label: str) -> Side:
    """Put together one side of a comparison from runs that the history knows."""
    runs, stages, phases = history.runs(), history.stages(), history.phases()
    own = runs[runs["run_id"].isin(run_ids)]
    worked = stages[stages["run_id"].isin(run_ids) & (stages["status"] == "done")]
    whole = worked.assign(phase="all", rows=worked["rows_in"])
    figures = ["run_id", "stage", "phase", "elapsed_s", "cpu_s", "rows"]
    inner = _without_parts(phases[phases["run_id"].isin(run_ids)])
    both = pd.concat([whole[figures], inner[figures]]).drop(columns="run_id")
    return Side(
        label=label,
        facts={str(name): value for name, value in own.to_dict("records")[-1].items()},
        phases=both.groupby(["stage", "phase"], sort=False).median(),
        calibration_s=float(own["calibration_s"].median()),
    )


def explain_change(
    stage: str, before: Side, after: Side, *, project: Path | None = None, rooms: Sequence[str] = ()
) -> Explanation:
    """Explain the change of a stage's time between two sides.

    Parameters
    ----------
    stage
        A stage that worked on both sides.
    before, after
        From `take_side`.
    project
        The git checkout, to name commits; None: none are named.
    rooms
        The rooms of the code on the stage's path; none: all.

    Returns
    -------
    Explanation
        With an empty table when the stage's time changed by less than a twentieth.
    """
    old, new = _times(before, stage), _times(after, stage)
    before_s, after_s = old["all"]["elapsed_s"], new["all"]["elapsed_s"]
    found = _changes(before.facts, after.facts, project, rooms)
    said = list(dict.fromkeys(words for kind in found.values() for words in kind))
    total = after_s - before_s
    if abs(total) < _LEAST_SHARE * before_s:
        return Explanation(stage, before_s, after_s, said, _table([], total))
    machine = after.calibration_s / before.calibration_s
    speed = machine if math.isfinite(machine) else 1.0
    parts: list[tuple[str, str, float, str]] = []
    for phase in dict.fromkeys([*old, *new]):
        if phase != "all":
            parts += _split(phase, old.get(phase), new.get(phase), speed)
    if old["all"]["cpu_s"] > _PARALLEL * before_s and new["all"]["cpu_s"] < _PARALLEL * after_s:
        parts = [("parallelism" if part == "waiting" else part, a, b, c) for part, a, b, c in parts]
    rows = [_lay_to(part, found, is_calibrated=math.isfinite(machine)) for part in parts]
    return Explanation(stage, before_s, after_s, said, _table(rows, total))


def explain_regressions(
    history: History,
    verdicts: StageVerdicts,
    *,
    project: Path | None = None,
    rooms: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Explanation]:
    """Explain each confirmed regression of time: runs before its onset against those since.

    Parameters
    ----------
    history
        Where the runs are.
    verdicts
        From `judge_stages`.
    project, rooms
        As in `explain_change`; the rooms of each stage.

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
                take_side(history, before["run_id"].tolist(), f"{len(before)} runs before"),
                take_side(history, after["run_id"].tolist(), f"{len(after)} runs since {onset}"),
            )
            explained[stage] = explain_change(
                stage, *sides, project=project, rooms=(rooms or {}).get(stage, ())
            )
    return explained


def _without_parts(phases: pd.DataFrame) -> pd.DataFrame:
    parts = phases.groupby(["run_id", "stage", "inside"])[["elapsed_s", "cpu_s"]].sum()
    keys = pd.MultiIndex.from_frame(phases[["run_id", "stage", "phase"]])
    inside = parts.reindex(keys).fillna(0.0).to_numpy()
    left = (phases[["elapsed_s", "cpu_s"]] - inside).clip(lower=0)
    return phases.assign(elapsed_s=left["elapsed_s"], cpu_s=left["cpu_s"])


def cause_frame(explained: Mapping[str, Explanation]) -> pd.DataFrame:
    """Put the explanations of several stages into one table: stage, then the columns of each."""
    tables = [told.table.assign(stage=stage) for stage, told in explained.items()]
    together = pd.concat(tables) if tables else pd.DataFrame(columns=["stage", *CAUSE_COLUMNS])
    ordered: pd.DataFrame = together[["stage", *CAUSE_COLUMNS]].reset_index(drop=True)
    return ordered


def _times(side: Side, stage: str) -> dict[str, dict[str, float]]:
    own = side.phases.loc[[stage]].droplevel("stage")
    times = {str(phase): {str(k): float(v) for k, v in row.items()} for phase, row in own.iterrows()}
    inside = sum(row["elapsed_s"] for phase, row in times.items() if phase != "all")
    cpu_s = sum(row["cpu_s"] for phase, row in times.items() if phase not in ("all", START_UP))
    # Phases of several workers overlap: then there is no time between them to speak of.
    rest_s = max(0.0, times["all"]["elapsed_s"] - inside)
    times[_REST] = {"elapsed_s": rest_s, "cpu_s": max(0.0, times["all"]["cpu_s"] - cpu_s), "rows": math.nan}
    return times


def _split(
    phase: str, old: Mapping[str, float] | None, new: Mapping[str, float] | None, speed: float
) -> list[tuple[str, str, float, str]]:
    """Split a phase's change; each part with where, seconds, evidence."""
    if old is None or new is None:
        row = new or old
        assert row is not None
        sign = 1 if old is None else -1
        word = "wasn't there before" if old is None else "isn't there any more"
        return [("phase", phase, sign * row["elapsed_s"], f"the phase {word}")]
    before_s, after_s = old["elapsed_s"], new["elapsed_s"]
    grown = new["rows"] / old["rows"] if old["rows"] > 0 and new["rows"] > 0 else 1.0
    work_s = before_s * (grown - 1)
    machine_s = before_s * grown * (speed - 1)
    cost_s = after_s - before_s - work_s - machine_s
    parts = []
    if grown != 1:
        parts.append(("work", phase, work_s, f"{old['rows']:,.0f} rows before, {new['rows']:,.0f} now"))
    if speed != 1:
        parts.append(("machine", phase, machine_s, f"the calibration task took {speed - 1:+.0%}"))
    cpu = (old["cpu_s"], new["cpu_s"])
    computing_s = cost_s
    if phase != START_UP and all(math.isfinite(value) for value in cpu):
        dearer_s = cpu[1] - cpu[0] * grown * speed
        computing_s = math.copysign(min(abs(cost_s), max(0.0, math.copysign(1, cost_s) * dearer_s)), cost_s)
    told = f"{before_s:,.3g} s before, {after_s:,.3g} s now; CPU time {cpu[0]:,.3g} s, now {cpu[1]:,.3g} s"
    name = "start-up" if phase == START_UP else "computing"
    return [*parts, (name, phase, computing_s, told), ("waiting", phase, cost_s - computing_s, told)]


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], project: Path | None, rooms: Sequence[str]
) -> dict[str, list[str]]:
    code = []
    old, new = (json.loads(side.get("code_rooms") or "{}") for side in (before, after))
    touched = [name for name in new if old.get(name, new[name]) != new[name] and (not rooms or name in rooms)]
    if touched:
        commits: tuple[str, ...] = ()
        if project is not None and before.get("code_commit") and after.get("code_commit"):
            commits = commits_between(project, before["code_commit"], after["code_commit"], touched)
        code.append(f"code of {', '.join(touched)}" + _write_commits(commits))
    elif not new and before.get("code_digest") != after.get("code_digest"):
        code.append("code")
    return {
        "code": code,
        "parameters": _differing("params", before, after),
        "resources": [words for words in _differing("params", before, after) if words.startswith(_RESOURCES)],
        "libraries": _differing("libraries", before, after),
        "inputs": [f"input {words}" for words in _differing("inputs", before, after) if ".digest" in words],
    }


def _write_commits(commits: Sequence[str]) -> str:
    if not commits:
        return ""
    more = f" and {len(commits) - _SHOWN_COMMITS} more" if len(commits) > _SHOWN_COMMITS else ""
    return f" ({'; '.join(commits[:_SHOWN_COMMITS])}{more})"


def _differing(column: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = (_flat(json.loads(side.get(column) or "{}")) for side in (before, after))
    return [
        f"{key} {old[key]} -> {new[key]}"
        # What only one release knew of is part of the code's change.
        for key in old
        if key in new and old[key] != new[key]
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


# What may account for which part of a change.
_ABLE = {
    "work": ("inputs", "parameters", "code"),
    "phase": ("inputs", "parameters", "code"),
    "computing": ("code", "parameters", "libraries", "inputs"),
    "start-up": ("code", "libraries"),
    "waiting": ("resources",),
    "parallelism": ("resources",),
}
# Parameters that say what the machine is asked for.
_RESOURCES = ("compute.", "limits.", "pipeline.")


def _lay_to(
    part: tuple[str, str, float, str], found: Mapping[str, list[str]], *, is_calibrated: bool
) -> tuple[Any, ...]:
    name, where, changed_s, evidence = part
    if name == "machine":
        return name, where, changed_s, "the machine itself was slower or faster", evidence, "high"
    able = {kind: found[kind] for kind in _ABLE[name] if found[kind]}
    # A start-up's CPU time isn't known, so without a calibration a busy machine looks like slower code.
    if not able or (name == "start-up" and not is_calibrated):
        cause = "not identifiable: nothing recorded that surely accounts for it changed in between"
        needed = _NEEDED if is_calibrated else "needed: a calibration of the machine on both sides"
        return name, where, changed_s, cause, f"{evidence}; {needed}", "low"
    cause = "; ".join(words for kind in able.values() for words in kind)
    sure = {1: "high", 2: "medium"}.get(len(able), "low")
    if not is_calibrated and name != "work":
        # Nothing tells a busy machine from a dearer program then.
        sure = "low"
    elif name == "start-up" and sure == "high":
        sure = "medium"
    return name, where, changed_s, cause, evidence, sure


def _table(rows: Sequence[tuple[Any, ...]], total: float) -> pd.DataFrame:
    worth = [row for row in rows if abs(row[2]) >= _LEAST_SHARE * abs(total)]
    worth.sort(key=lambda row: (-math.copysign(1, total) * row[2], row[1], row[0]))
    ranked = [
        (rank, row[0], row[1], row[2], row[2] / total, *row[3:]) for rank, row in enumerate(worth, start=1)
    ]
    return pd.DataFrame(ranked, columns=list(CAUSE_COLUMNS))
