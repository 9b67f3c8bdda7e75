"""The plan: which stages would run, which results would be reused, and why.

The plan walks the stages in order. As long as the digests of all that a stage reads are known, so is its key,
and the store either has its result or says what changed. Behind a stage that has to run nothing is known yet:
such a stage is looked at again when its turn comes, and if the new tables turn out to be the old ones to the
byte, its result is reused after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from sbir_toolkit.pipeline.gates import Hindrance, judge
from sbir_toolkit.pipeline.keys import ResultStore, StageKey, StoredResult, stage_key
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.pipeline.stages import Stage


@dataclass(frozen=True)
class PlannedStage:
    """What would become of a stage.

    Parameters
    ----------
    stage
        Its name.
    result
        The known result that would be reused; None: it would run.
    reason
        Why, in words.
    key
        Its key; None while something it reads isn't known yet.
    held_up
        As what it would end, blocked or skipped, where a gate judged by a known result holds it up.
    """

    stage: str
    result: StoredResult | None
    reason: str
    key: StageKey | None
    held_up: str = ""

    @property
    def action(self) -> str:
        """run, reuse, blocked or skipped."""
        return self.held_up or ("reuse" if self.result else "run")


@dataclass(frozen=True)
class Plan:
    """What would become of every stage, in order."""

    stages: tuple[PlannedStage, ...]

    @property
    def to_run(self) -> list[str]:
        """The stages that would run."""
        return [planned.stage for planned in self.stages if planned.action == "run"]

    def __getitem__(self, name: str) -> PlannedStage:
        return next(planned for planned in self.stages if planned.stage == name)

    def __repr__(self) -> str:
        width = max(len(planned.stage) for planned in self.stages)
        return "\n".join(
            f"{planned.stage:<{width}}  {planned.action:<7}  {planned.reason}" for planned in self.stages
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(planned.stage)}</td><td>{planned.action}</td>"
            f"<td>{escape(planned.reason)}</td></tr>"
            for planned in self.stages
        )
        return (
            f"<table><thead><tr><th>stage</th><th></th><th>why</th></tr></thead><tbody>{rows}</tbody></table>"
        )


def make_plan(setup: Setup, *, redo: frozenset[str] = frozenset()) -> Plan:
    """Plan a run.

    Parameters
    ----------
    redo
        Stages that must run even if their result is known.
    """
    planned: dict[str, PlannedStage] = {}
    tables: dict[str, str] = {}
    for stage in setup.pipeline.stages:
        planned[stage.name] = _plan_stage(stage, setup, tables, planned, redo)
        result = planned[stage.name].result
        if result is not None:
            tables |= {name: table.digest for name, table in result.tables.items()}
    return Plan(tuple(planned.values()))


def plan_stage(
    stage: Stage, key: StageKey, setup: Setup, *, run_id: str | None = None, is_redone: bool = False
) -> tuple[StoredResult | None, str]:
    """Decide about one stage whose key is known: its known result, or None; and why.

    Parameters
    ----------
    run_id
        The run it is decided for; what that run has made itself is always good.
    is_redone
        Whether results of other runs may not be reused.
    """
    if stage.measures_run:
        return None, "measures this run"
    store = ResultStore(setup.project)
    result = store.find(stage.name, key.digest)
    if result is not None and result.run_id == run_id:
        return result, "done before the run was interrupted, and its tables are whole"
    if is_redone:
        return None, "asked for"
    if result is not None:
        return result, f"nothing it depends on has changed since run {result.run_id}"
    before = store.newest(stage.name, setup.params.name)
    if before is None:
        return None, "has never run"
    return None, "; ".join(key.changes_since(before.parts)) or "its result is damaged or gone"


def _plan_stage(
    stage: Stage,
    setup: Setup,
    tables: Mapping[str, str],
    planned: Mapping[str, PlannedStage],
    redo: frozenset[str],
) -> PlannedStage:
    if stage.measures_run:
        others = [name for name, other in planned.items() if other.action == "run"]
        reason = (
            f"measures the run, in which {len(others)} other stage(s) run" if others else "measures the run"
        )
        return PlannedStage(stage.name, None, reason, None)
    unmade = [name for name in stage.inputs if name not in setup.inputs]
    if unmade:
        return PlannedStage(stage.name, None, f"its input {', '.join(unmade)} isn't made yet", None)
    running = [name for name in setup.pipeline.upstream(stage) if planned[name].result is None]
    if running:
        return PlannedStage(stage.name, None, f"{', '.join(running)} runs before it", None)
    key = stage_key(stage, setup, tables, None)
    hindrance = _hindrance(stage, setup, planned)
    if hindrance is not None:
        return PlannedStage(stage.name, None, hindrance.reason, key, held_up=hindrance.status)
    result, reason = plan_stage(stage, key, setup, is_redone=stage.name in redo)
    return PlannedStage(stage.name, result, reason, key)


def _hindrance(stage: Stage, setup: Setup, planned: Mapping[str, PlannedStage]) -> Hindrance | None:
    judge_stage = setup.pipeline.producer("metrics")
    if judge_stage is None or not setup.pipeline.asks_gates(stage):
        return None
    result = planned[judge_stage.name].result
    if result is None:
        return None
    tables = {name: setup.project.outputs / table.path for name, table in result.tables.items()}
    return judge(tables["metrics"], tables.get("metric_history"), setup.params).hindrance(stage)
