"""What a run would save by another order of stages, by fewer of them, or by using what was known before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sbir_toolkit.performance.figures import START_UP

# What the phases that build the recipient index are called by, and what the matching itself is called.
_INDEX = "index"
_MATCH = "match"


@dataclass(frozen=True)
class Saving:
    """One change and the wall time it would save, with the measurements that it follows from.

    `settings` are the parameters that would make the change, as `KEY=VALUE`, if parameters can.
    """

    change: str
    where: str
    saved_s: float
    evidence: str
    confidence: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunTimes:
    """When the stages of a run ran, in seconds after its start.

    Attributes
    ----------
    elapsed_s
        Wall time of the run: its own figure, or to the end of the last stage while it is still going on.
    spans
        Start and end of each stage.
    cpu_s
        CPU time of each stage, where it was measured.
    is_over
        Whether the run has ended, so that all of it is covered.
    """

    elapsed_s: float
    spans: dict[str, tuple[float, float]]
    cpu_s: dict[str, float]
    is_over: bool = True

    @classmethod
    def of(cls, figures: pd.DataFrame, run: Mapping[str, Any]) -> RunTimes:
        """Read the times from a run's figures."""
        stages = figures[figures["phase"] == "all"]
        spans = {
            str(stage): (float(start), float(start + elapsed))
            for stage, start, elapsed in zip(
                stages["stage"], stages["started_s"], stages["elapsed_s"], strict=True
            )
        }
        known = stages.dropna(subset=["cpu_s"])
        cpu_s = {str(stage): float(cpu) for stage, cpu in zip(known["stage"], known["cpu_s"], strict=True)}
        # A run that is resumed still has the totals of the attempt before.
        total = (run.get("totals") or {}).get("elapsed_s") if run.get("status") != "running" else None
        elapsed_s = float(total) if total else max((end for _, end in spans.values()), default=0.0)
        return cls(elapsed_s, spans, cpu_s, is_over=bool(total))

    @property
    def covers(self) -> str:
        """What the shares refer to, in words."""
        if self.is_over:
            return f"the run's {self.elapsed_s:,.1f} s"
        return f"the first {self.elapsed_s:,.1f} s of the run ({', '.join(self.spans)})"

    def alone_s(self, stage: str) -> float:
        """Time in which this stage ran and no other did: the most that the run can save by it."""
        start, end = self.spans[stage]
        others = [span for name, span in self.spans.items() if name != stage]
        return (end - start) - _covered(
            [(max(start, a), min(end, b)) for a, b in others if b > start and a < end]
        )

    @property
    def covered_s(self) -> float:
        """Time in which at least one stage ran."""
        return _covered(list(self.spans.values()))


def find_run_savings(
    times: RunTimes, figures: pd.DataFrame, run: Mapping[str, Any], history_stages: pd.DataFrame | None
) -> tuple[list[Saving], list[str]]:
    """Apply the rules that look at whole stages; give the savings, and what can't be said."""
    savings, unknowns = [*_start_ups(times, figures), *_matching_alone(times, figures, run)], []
    if history_stages is None:
        unknowns.append("whether work was done before: no history was given")
    else:
        savings += _redone_stages(times, run, history_stages)
        savings += _rebuilt_index(times, figures, run, history_stages)
    if all("needs" in stage for stage in run.get("stages", {}).values()):
        savings += _side_by_side(times, run)
    else:
        unknowns.append("what stages could run side by side: the run doesn't say what each of them needs")
    return savings, unknowns


def _start_ups(times: RunTimes, figures: pd.DataFrame) -> list[Saving]:
    """Compute what starting notebooks costs.

    The shortest start-up of any stage (from its start to its first measured phase) is what each one costs at
    least; a stage's start-up counts as far as the stage ran alone. Saved: their sum, less the one that is
    always needed.
    """
    start_ups = figures[(figures["phase"] == START_UP) & figures["stage"].isin(list(times.spans))]
    if len(start_ups) < 2:
        return []
    each = float(start_ups["elapsed_s"].min())
    saved_s = sum(min(each, times.alone_s(stage)) for stage in times.spans) - each
    share = saved_s / times.elapsed_s if times.elapsed_s > 0 else 0.0
    evidence = (
        f"{len(times.spans)} notebooks ran; each took at least {each:.1f} s from its start to its first "
        f"measured phase, together {share:.0%} of the time"
    )
    change = "Run only the stages whose reports you need (--only STAGE)"
    return [Saving(change, "all stages", saved_s, evidence, "low")]


def _matching_alone(times: RunTimes, figures: pd.DataFrame, run: Mapping[str, Any]) -> list[Saving]:
    """Compute what the links alone would cost, without notebooks, reports, estimates and gates.

    That is one start-up and the phases of the stage that matches and of those that it needs. Saved: the time
    in which stages ran, less that. Silent where one of these stages did no work in this run: then nothing
    says what it takes.
    """
    stages = run.get("stages", {})
    matchers = figures.loc[figures["phase"] == _MATCH, "stage"].tolist()
    if not matchers or "needs" not in stages[matchers[0]]:
        return []
    path = {matchers[0]}
    while more := {needed for stage in path for needed in stages[stage].get("needs", ())} - path:
        path |= more
    own = figures[figures["stage"].isin(list(path)) & (figures["phase"] != "all")]
    is_start = own["phase"] == START_UP
    if set(own.loc[is_start, "stage"]) != path:
        return []
    work_s, start_s = float(own.loc[~is_start, "own_s"].sum()), float(own.loc[is_start, "elapsed_s"].min())
    saved_s = times.covered_s - work_s - start_s
    evidence = (
        f"reading and matching took {work_s:.1f} s and a start {start_s:.1f} s; the other "
        f"{saved_s:.1f} s went to notebooks, charts, reports, estimates and gates"
    )
    change = "Where only the links are wanted, make them without notebooks (sbir-toolkit match)"
    return [Saving(change, "all stages", saved_s, evidence, "medium")]


def _redone_stages(times: RunTimes, run: Mapping[str, Any], history: pd.DataFrame) -> list[Saving]:
    """Find stages that were done again although a result of the same key was known.

    Saved: the time in which they ran alone.
    """
    savings = []
    for stage in times.spans:
        facts = run["stages"][stage]
        if facts.get("status") != "done" or not facts.get("key"):
            continue
        known = history[
            (history["stage"] == stage)
            & (history["key"] == facts["key"])
            & (history["status"] == "done")
            & (history["run_id"] != run["run_id"])
            & (history["created"] < run["created"])
        ]
        if len(known):
            evidence = f"run {known['run_id'].iloc[-1]} made the result of the same key"
            saved_s = times.alone_s(stage)
            savings.append(
                Saving("Reuse the known result: run without --fresh", stage, saved_s, evidence, "high")
            )
    return savings


def _rebuilt_index(
    times: RunTimes, figures: pd.DataFrame, run: Mapping[str, Any], history: pd.DataFrame
) -> list[Saving]:
    """Find a recipient index that was built again although it was known.

    It was known when an earlier run finished the same stage with the same recipients (digest), parameters,
    code and machine. Saved: the time of the phases that build it, as far as the stage ran alone.
    """
    code, recipients = (run.get("code") or {}).get("digest"), _recipients_digest(run.get("stages", {}))
    is_built = figures["phase"].str.startswith(_INDEX) & figures["stage"].isin(list(times.spans))
    built = figures[is_built].groupby("stage")["own_s"].sum()
    if built.empty or code is None or recipients is None:
        return []
    same = history[
        (history["run_id"] != run["run_id"])
        & (history["created"] < run["created"])
        & (history["params_digest"] == run.get("params_digest"))
        & (history["code_digest"] == code)
        & (history["fingerprint"] == (run.get("environment") or {}).get("fingerprint"))
    ]
    outputs = same["outputs"].map(json.loads).map(lambda made: made.get("recipients", {}).get("digest"))
    with_these = same.loc[outputs == recipients, "run_id"]
    savings = []
    for stage, took_s in built.items():
        is_known = (same["stage"] == stage) & (same["status"] == "done") & same["run_id"].isin(with_these)
        if is_known.any():
            evidence = f"run {same.loc[is_known, 'run_id'].iloc[-1]} had built it from the same recipients"
            change = "Keep the recipient index: don't delete the store, run without --fresh"
            saved_s = min(float(took_s), times.alone_s(str(stage)))
            savings.append(Saving(change, f"{stage}, index", saved_s, evidence, "high"))
    return savings


def _side_by_side(times: RunTimes, run: Mapping[str, Any]) -> list[Saving]:
    """Compute what running independent stages at the same time would save.

    No order of the stages is shorter than the longest chain of stages that need one another, nor than their
    CPU time over the cores. Saved: the time in which stages ran, less the larger of the two.
    """
    lengths = {stage: end - start for stage, (start, end) in times.spans.items()}
    finished: dict[str, float] = {}

    def finish(stage: str) -> float:
        if stage not in finished:
            needs = run["stages"].get(stage, {}).get("needs", ())
            finished[stage] = lengths.get(stage, 0.0) + max((finish(needed) for needed in needs), default=0.0)
        return finished[stage]

    chain_s = max((finish(stage) for stage in lengths), default=0.0)
    cores = (run.get("environment") or {}).get("cores")
    bound_s = max(chain_s, sum(times.cpu_s.values()) / cores) if cores else chain_s
    evidence = (
        f"the stages took {times.covered_s:.1f} s; the longest chain of stages that need one another takes "
        f"{chain_s:.1f} s"
    )
    change = "Let independent stages run side by side (pipeline.parallel_stages)"
    settings = (f"pipeline.parallel_stages={cores or 2}",)
    return [Saving(change, "all stages", times.covered_s - bound_s, evidence, "medium", settings)]


def _recipients_digest(stages: Mapping[str, Any]) -> str | None:
    digests = [
        stage["outputs"]["recipients"].get("digest")
        for stage in stages.values()
        if "recipients" in (stage.get("outputs") or {})
    ]
    return digests[0] if digests else None


def _covered(spans: list[tuple[float, float]]) -> float:
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
