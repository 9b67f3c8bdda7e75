"""The two sides of a comparison, and what differs between them.

A *side* is one run, or several runs that did the same under the same conditions: what their stages and phases
took (medians), how that scattered, how their chunks were shared out among workers, and the facts that most
of them have in common. `find_changes` says what differs between the facts of two sides and lies on a stage's
path, by kind: code, parameters, libraries, inputs.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sbir_toolkit.performance.figures import START_UP
from sbir_toolkit.performance.history import History
from sbir_toolkit.performance.scatter import Scatter, can_scatter, differs, known_scatter
from sbir_toolkit.versions import commits_between, files_between

REST = "between phases"
_TIMES = ("elapsed_s", "cpu_s", "system_s", "queued_s")
FIGURES = (*_TIMES, "rows", "minor_faults", "read_bytes", "written_bytes")
# Parameters that say what the machine is asked for.
RESOURCES = ("compute.", "limits.", "pipeline.")
_SHARING = "compute."
_SHARED_OUT_BY = "enrichment"
# What every stage goes through, whatever rooms its declaration names.
_UNDER_ALL = ("errors", "params", "tables", "storage", "versions", "meter", "pipeline")
_SHOWN = 3
# What a fact is known by, and what says more about it.
_FACTS = {
    "code_digest": ("code_rooms", "code_commit", "code_is_dirty"),
    "params_digest": ("params",),
    "libraries": (),
    "inputs": (),
}


@dataclass(frozen=True)
class StagePath:
    """What a stage depends on; an empty one: on everything.

    Attributes
    ----------
    rooms
        Rooms of the code on its path.
    uses
        Parameters that matter to it, whole or by their beginnings.
    inputs
        Input files that it, or a stage before it, reads.
    """

    rooms: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def goes_through(self, room: str) -> bool:
        """Tell whether a room of the code lies on the path."""
        return not self.rooms or room in self.rooms or room in _UNDER_ALL

    def minds(self, parameter: str) -> bool:
        """Tell whether a parameter matters."""
        if not self.rooms:
            return True
        if parameter.startswith(_SHARING):
            return _SHARED_OUT_BY in self.rooms
        return parameter.startswith(RESOURCES) or any(
            parameter == used or parameter.startswith(f"{used}.") for used in self.uses
        )

    def reads(self, name: str) -> bool:
        """Tell whether an input matters."""
        return not self.inputs or name in self.inputs


@dataclass(frozen=True)
class Sharing:
    """How the chunks of a stage were shared out among its workers."""

    workers: int
    chunks: int
    window_s: float
    busy_s: float
    longest_s: float

    @classmethod
    def of(cls, chunks: pd.DataFrame) -> Sharing | None:
        """Read it from the figures of one stage's chunks (`chunk_figures`)."""
        if chunks.empty:
            return None
        return cls(
            workers=chunks["worker"].nunique(),
            chunks=len(chunks),
            window_s=float(chunks["ended"].max() - chunks["started"].min()),
            busy_s=float(chunks["elapsed_s"].sum()),
            longest_s=float(chunks["elapsed_s"].max()),
        )

    @property
    def idle_share(self) -> float:
        """Share of the workers' time in which they had no chunk."""
        whole = self.window_s * self.workers
        return max(0.0, 1 - self.busy_s / whole) if whole > 0 else 0.0


@dataclass(frozen=True)
class Side:
    """One side of a comparison: one run, or the typical one of several.

    Attributes
    ----------
    label : str
        What to call it.
    facts : dict
        As in the history's table of runs: what most of its runs have in common, else of the newest.
    phases : pandas.DataFrame
        Index (stage, phase), 'all' for the stage itself; the figures of `FIGURES` and peak_bytes: medians. A
        phase that others are a part of counts with what is left beside them.
    runs : dict
        The figures of each (stage, phase), run by run.
    scatter : dict
        For time and CPU time, how they scatter among like runs of the history, by (stage, phase).
    calibrations : tuple of float
        What the calibration task took in the runs where it was measured.
    sharing : dict
        How each stage's chunks were shared out, in the newest run.
    load : dict
        How many cores other work kept busy during each stage; NaN where that isn't known.
    """

    label: str
    facts: dict[str, Any]
    phases: pd.DataFrame
    runs: dict[tuple[str, str], pd.DataFrame]
    scatter: dict[str, dict[tuple[str, str], Scatter]]
    calibrations: tuple[float, ...]
    sharing: dict[str, Sharing] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)

    @property
    def calibration_s(self) -> float:
        """The median of the calibrations; NaN when there are none."""
        return statistics.median(self.calibrations) if self.calibrations else math.nan

    def values(self, stage: str, phase: str, figure: str) -> list[float]:
        """Give what is known of a figure, run by run."""
        own = self.runs.get((stage, phase))
        return [] if own is None else [float(value) for value in own[figure].dropna()]

    def is_beyond_scatter(self, other: Side, stage: str, phase: str, figure: str, level: float) -> bool:
        """Tell whether time or CPU time differ on another side by more than they scatter."""
        values = [side.values(stage, phase, figure) for side in (self, other)]
        return differs(*values, level=level, known=other.scatter[figure].get((stage, phase)))

    def can_scatter(self, other: Side, stage: str, phase: str) -> bool:
        """Tell whether both sides have enough runs of a phase to know how they scatter."""
        return can_scatter(*(side.values(stage, phase, "elapsed_s") for side in (self, other)))

    def figures(self, stage: str) -> dict[str, dict[str, float]]:
        """Give what each phase of a stage took, and the time between phases as one more.

        Before the first phase nothing measures CPU time: what no phase used counts there, as far as one core
        can have used it in that time. What is left beyond that, and beyond the time between phases, was used
        by threads and processes that phases started: it counts to those that seem to have waited.
        """
        own = self.phases.loc[[stage]].droplevel("stage")
        times = {str(phase): {str(k): float(v) for k, v in row.items()} for phase, row in own.iterrows()}
        inner = [row for phase, row in times.items() if phase != "all"]
        # Phases of several workers overlap: then there is no time between them to speak of.
        rest = {name: _left(times["all"], inner, name) for name in FIGURES}
        if START_UP in times:
            elapsed_s = times[START_UP]["elapsed_s"]
            cpu_s = min(rest["cpu_s"], elapsed_s)
            queued_s = min(rest["queued_s"], elapsed_s - cpu_s)
            times[START_UP] = {**times[START_UP], "cpu_s": cpu_s, "queued_s": queued_s}
            rest = {**rest, "cpu_s": rest["cpu_s"] - cpu_s, "queued_s": rest["queued_s"] - queued_s}
        waiting = {
            phase: max(0.0, row["elapsed_s"] - row["cpu_s"])
            for phase, row in times.items()
            if phase not in ("all", START_UP) and math.isfinite(row["cpu_s"])
        }
        hidden_s = min(max(0.0, rest["cpu_s"] - rest["elapsed_s"]), sum(waiting.values()))
        rest["cpu_s"] -= hidden_s
        for phase, waited_s in waiting.items():
            if hidden_s > 0:
                share = waited_s / sum(waiting.values())
                times[phase] = {**times[phase], "cpu_s": times[phase]["cpu_s"] + share * hidden_s}
        return {**times, REST: {**rest, "rows": times["all"]["rows"]}}


def take_side(
    history: History,
    run_ids: Sequence[str],
    label: str,
    chunks_of: Callable[[str], pd.DataFrame] | None = None,
) -> Side:
    """Put together one side of a comparison from runs that the history knows.

    Parameters
    ----------
    chunks_of
        Gives the figures of a run's chunks (`chunk_figures`); without it nothing is said about how work was
        shared out.
    """
    runs, stages, phases = history.runs(), history.stages(), history.phases()
    own = runs[runs["run_id"].isin(run_ids)]
    worked = stages[stages["run_id"].isin(run_ids) & (stages["status"] == "done")]
    whole = worked.assign(phase="all", rows=worked["rows_in"])
    columns = ["run_id", "stage", "phase", "peak_bytes", *FIGURES]
    inner = _without_parts(phases[phases["run_id"].isin(run_ids)])
    both = pd.concat([whole[columns], inner[columns]])
    alike = pd.concat([stages.assign(phase="all")[stages["status"] == "done"], phases])
    grouped = both.drop(columns="run_id").groupby(["stage", "phase"], sort=False)
    facts = _typical_facts(own)
    chunks = chunks_of(facts["run_id"]) if chunks_of else pd.DataFrame(columns=["stage"])
    shared = {str(stage): Sharing.of(part) for stage, part in chunks.groupby("stage")}
    return Side(
        label=label,
        facts=facts,
        phases=grouped.median(),
        runs={(str(key[0]), str(key[1])): part for key, part in grouped},
        scatter={figure: known_scatter(alike, runs, figure) for figure in ("elapsed_s", "cpu_s")},
        calibrations=tuple(own["calibration_s"].dropna()),
        load={
            str(stage): float(share)
            for stage, share in (worked["others_cpu_s"] / worked["elapsed_s"])
            .groupby(worked["stage"])
            .median()
            .items()
        },
        sharing={stage: found for stage, found in shared.items() if found is not None},
    )


def _typical_facts(runs: pd.DataFrame) -> dict[str, Any]:
    """Give the newest run's facts, with the code, parameters, libraries and inputs that most runs had.

    A change may be dated a run too late or too early; then one run on a side has what the other side has.
    """
    facts = {str(name): value for name, value in runs.to_dict("records")[-1].items()}
    for key, names in _FACTS.items():
        values = runs[key].astype(str).fillna("")
        counts = values.value_counts()
        usual = runs[values.map(counts) == counts.max()]
        facts |= {str(name): value for name, value in usual[[key, *names]].to_dict("records")[-1].items()}
    return facts


def find_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], project: Path | None, path: StagePath
) -> dict[str, list[str]]:
    """Say what differs between the facts of two sides and matters to a stage.

    Returns
    -------
    dict of str to list of str
        By kind: code, parameters, resources (those parameters that say what the machine is asked for),
        libraries, inputs.
    """
    parameters = [words for key, words in _differing("params", before, after).items() if path.minds(key)]
    return {
        "code": _code(before, after, project, path),
        "parameters": [words for words in parameters if not words.startswith(RESOURCES)],
        "resources": [words for words in parameters if words.startswith(RESOURCES)],
        "libraries": list(_differing("libraries", before, after).values()),
        "inputs": _inputs(before, after, path),
    }


def _code(
    before: Mapping[str, Any], after: Mapping[str, Any], project: Path | None, path: StagePath
) -> list[str]:
    old, new = (json.loads(side.get("code_rooms") or "{}") for side in (before, after))
    touched = [name for name in new if old.get(name, new[name]) != new[name] and path.goes_through(name)]
    if not touched:
        return ["code"] if not new and before.get("code_digest") != after.get("code_digest") else []
    words = f"code of {', '.join(touched)}"
    ends = (str(before.get("code_commit") or ""), str(after.get("code_commit") or ""))
    if project is None or not all(ends):
        return [words]
    files = files_between(project, *ends, touched)
    commits = commits_between(project, *ends, touched)
    told = [_shorten(files), _shorten(commits)]
    if after.get("code_is_dirty"):
        told.append("and changes that aren't committed")
    return [f"{words} ({'; '.join(filter(None, told))})" if any(told) else words]


def _inputs(before: Mapping[str, Any], after: Mapping[str, Any], path: StagePath) -> list[str]:
    old, new = (json.loads(side.get("inputs") or "{}") for side in (before, after))
    return [
        f"input {name}: other content, {_size(old[name])} -> {_size(new[name])}"
        for name in old
        if name in new and old[name].get("digest") != new[name].get("digest") and path.reads(name)
    ]


def _size(file: Mapping[str, Any]) -> str:
    return f"{file['bytes'] / 1e6:,.1f} MB" if file.get("bytes") is not None else "unknown size"


def _shorten(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _differing(column: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    old, new = (_flat(json.loads(side.get(column) or "{}")) for side in (before, after))
    return {
        key: f"{key} {old[key]} -> {new[key]}"
        # What only one release knew of is part of the code's change.
        for key in old
        if key in new and old[key] != new[key]
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _without_parts(phases: pd.DataFrame) -> pd.DataFrame:
    """Take from each phase what the phases inside it took; of its time only its share of the clock counts."""
    figures = [name for name in FIGURES if name != "rows"]
    keys = ["run_id", "stage"]
    parts = phases.groupby([*keys, "inside"])[figures].sum()
    inside = parts.reindex(pd.MultiIndex.from_frame(phases[[*keys, "phase"]])).fillna(0.0)
    own = phases.assign(**(phases[figures] - inside.to_numpy()).clip(lower=0))
    # Older histories don't know the shares.
    own["elapsed_s"] = phases["own_s"].fillna(own["elapsed_s"])
    return _with_hidden_cpu(own)


def _with_hidden_cpu(own: pd.DataFrame) -> pd.DataFrame:
    """Count the CPU time of threads that phases started to these, though only the phase around them knows it.

    A phase in a worker's thread knows the CPU time of that thread; the phase of the main thread around it
    knows the whole process's. What the outer one used beyond its own time was used in its parts, in those
    that seem to have waited.
    """
    keys = ["run_id", "stage"]
    outer = pd.MultiIndex.from_frame(own[[*keys, "phase"]])
    around = pd.MultiIndex.from_frame(own[[*keys, "inside"]])
    waited = (own["elapsed_s"] - own["cpu_s"]).clip(lower=0).fillna(0.0).to_numpy()
    in_parts = pd.Series(waited, index=around).groupby(level=[0, 1, 2]).sum()
    beyond = pd.Series((own["cpu_s"] - own["elapsed_s"]).clip(lower=0).to_numpy(), index=outer)
    moved = beyond.reindex(in_parts.index).fillna(0.0).clip(upper=in_parts)
    share = (moved / in_parts.where(in_parts > 0)).reindex(around).fillna(0.0).to_numpy()
    given = moved.reindex(outer).fillna(0.0).to_numpy()
    return own.assign(cpu_s=own["cpu_s"] + share * waited - given)


def _left(whole: Mapping[str, float], inner: Sequence[Mapping[str, float]], name: str) -> float:
    known = [row[name] for row in inner if math.isfinite(row[name])]
    return max(0.0, whole[name] - sum(known)) if math.isfinite(whole[name]) else math.nan
