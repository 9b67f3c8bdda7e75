"""Starting, repeating and resuming runs.

`run_pipeline` first asks whether there is anything to do: when every result is known and an earlier run holds
them all, it says which and does nothing. `resume_pipeline` takes an interrupted or failed run's frozen
parameters and goes on inside the same run: stages that are done are verified and kept, committed chunks are
found in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.params import Params
from sbir_toolkit.performance import calibrate
from sbir_toolkit.pipeline.conduct import Conductor, Order, Say, exit_code_of, status_of
from sbir_toolkit.pipeline.delivery import check_delivery, deliver_run
from sbir_toolkit.pipeline.keys import stage_key
from sbir_toolkit.pipeline.nursery import Nursery, open_nursery
from sbir_toolkit.pipeline.plan import Plan, make_plan
from sbir_toolkit.pipeline.project import Project, fetch_inputs, input_paths
from sbir_toolkit.pipeline.publish import publish_index, publish_run
from sbir_toolkit.pipeline.run import (
    ENDED_WELL,
    RunFolder,
    RunState,
    create_run,
    has_ended,
    list_runs,
    owning,
    run_params,
)
from sbir_toolkit.pipeline.setup import NO_FILE, Setup, check_filled_in, make_setup
from sbir_toolkit.pipeline.stages import Stage, load_pipeline
from sbir_toolkit.sources.remote import find_url
from sbir_toolkit.storage import append_line, read_json, read_lines

OnStart = Callable[[RunFolder], object]


@dataclass(frozen=True)
class RunResult:
    """What came of asking for a run."""

    run: RunFolder
    record: dict[str, Any]
    is_new: bool

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return int(self.record["exit_code"])


def run_pipeline(
    project: Project,
    params: Params,
    *,
    order: Order | None = None,
    run_id: str | None = None,
    nursery: Nursery | None = None,
    say: Say,
    on_start: OnStart | None = None,
) -> RunResult:
    """Run the pipeline, or find that an earlier run has all of it.

    Parameters
    ----------
    project, params
        Where, and told what.
    order
        Stages to redo, stages to keep to, or everything afresh.
    run_id
        Id of the new run; None: the time and the parameters' name.
    nursery
        What the stages' processes are forked from, when it has been opened early; it stays open.
    say
        Receives one line for each thing that happens.
    on_start
        Called with the run's folder before its first stage starts, such as to follow its events.

    Returns
    -------
    RunResult
        With the record of the run.
    """
    order = order or Order()
    started = time.perf_counter()
    # What can't be done is refused before anything is downloaded or made.
    if asked := order.redo | (order.wanted or frozenset()):
        load_pipeline(project.declaration, params).require(asked)
    check_delivery(params)
    params = fetch_inputs(project, params, say=say)
    setup = make_setup(project, params, say=say)
    check_filled_in(setup)
    prepared_s = time.perf_counter() - started
    if not (order.is_fresh or order.redo or run_id):
        plan = make_plan(setup)
        twin = find_twin(setup, plan)
        if twin is not None:
            say(why_nothing(twin, plan))
            with owning(twin):
                known = RunState(twin, read_json(twin.record))
                deliver_run(known, params, say)
            return RunResult(twin, known.record, is_new=False)
    state = create_run(setup, run_id=run_id, is_fresh=order.is_fresh)
    state.update(order={"redo": sorted(order.redo), "wanted": sorted(order.wanted) if order.wanted else None})
    say(f"run {state.folder.run_id}")
    with owning(state.folder):
        _announce(state.folder, on_start)
        _conduct(setup, state, order, say, _Clock(started, prepared_s), nursery=nursery)
        deliver_run(state, params, say)
    return RunResult(state.folder, state.record, is_new=True)


def resume_pipeline(
    project: Project, run: RunFolder, *, say: Say, on_start: OnStart | None = None
) -> RunResult:
    """Go on with a run that was interrupted or failed; the parameters are as of `run_pipeline`.

    Raises
    ------
    ParameterError
        When an input has changed since the run began: its parts wouldn't belong together.
    BusyError
        When the run is still being conducted.
    """
    started = time.perf_counter()
    params = run_params(run)
    with owning(run):
        record = read_json(run.record)
        if is_settled(record):
            say(f"nothing to resume: run {run.run_id} is {record['status']}")
            ended = RunState(run, record)
            deliver_run(ended, params, say)
            return RunResult(run, ended.record, is_new=False)
        setup = make_setup(project, params, say=say)
        _refuse_changed_inputs(record, setup.inputs)
        state = RunState(run, record)
        for stage in setup.pipeline.stages:
            state.update_stage(stage.name, status="pending", reason="")
        order = Order(frozenset(record["order"]["redo"]), _wanted(record), bool(record["is_fresh"]))
        _announce(run, on_start)
        _conduct(setup, state, order, say, _Clock(started, 0.0))
        deliver_run(state, params, say)
    return RunResult(run, state.record, is_new=False)


def _announce(run: RunFolder, on_start: OnStart | None) -> None:
    if on_start is not None:
        on_start(run)


@dataclass(frozen=True)
class _Clock:
    """When the work on a run began, and how long preparing its input took."""

    started: float
    prepared_s: float


def _conduct(
    setup: Setup, state: RunState, order: Order, say: Say, clock: _Clock, *, nursery: Nursery | None = None
) -> None:
    spent_s = _spent(state)
    state.update(
        status="running",
        is_published=False,
        ended=None,
        exit_code=None,
        inputs={
            name: _describe_input(input_paths(setup.project, setup.params, name), digest)
            for name, digest in setup.inputs.items()
            if digest != NO_FILE
        },
    )
    publish_index(setup.project)
    state.update(calibration_s=calibrate())
    started = {"at": time.time(), "kind": "run", "stage": "", "prepared_s": clock.prepared_s}
    append_line(state.folder.events, started)
    with nullcontext(nursery) if nursery else open_nursery(setup.params.limits.memory_mb) as opened:
        conductor = Conductor(setup, state, order, opened, say)
        conductor.conduct()
    state.update(
        status=status_of(state.record, was_stopped=conductor.was_stopped),
        exit_code=exit_code_of(state.record),
        ended=time.time(),
    )
    publish_run(setup, state, wall_s=spent_s + time.perf_counter() - clock.started)


def _describe_input(paths: Sequence[Path], digest: str) -> dict[str, Any]:
    urls = [url for url in map(find_url, paths) if url is not None]
    return {
        "path": ", ".join(map(str, paths)),
        "bytes": sum(path.stat().st_size for path in paths),
        "digest": digest,
    } | ({"urls": urls} if urls else {})


def _spent(state: RunState) -> float:
    # A run that was killed wrote no totals; its events tell how long it had been going.
    if state.record["totals"]:
        return float(state.record["totals"]["elapsed_s"])
    events = read_lines(state.folder.events)
    return float(events[-1]["at"] - events[0]["at"]) if events else 0.0


def find_twin(setup: Setup, plan: Plan) -> RunFolder | None:
    """Find a run that ended by itself and whose every stage was made as it is planned."""
    measuring = {
        stage.name: _source_key(stage, setup) for stage in setup.pipeline.stages if stage.measures_run
    }
    if set(plan.to_run) - set(measuring):
        return None
    wanted = {planned.stage: planned.key.digest for planned in plan.stages if planned.key and planned.result}
    for folder in list_runs(setup.project):
        record = read_json(folder.record)
        stages = {name: facts for name, facts in record["stages"].items() if facts["status"] in ENDED_WELL}
        has_results = all(stages.get(name, {}).get("key") == key for name, key in wanted.items())
        measured_alike = all(stages.get(name, {}).get("source_key") == key for name, key in measuring.items())
        if is_settled(record) and has_results and measured_alike:
            return folder
    return None


def is_settled(record: dict[str, Any]) -> bool:
    """Tell whether a run came to its end by itself, so that nothing is left to resume."""
    return record["status"] in ("done", "blocked", "stopped") and has_ended(record)


def _source_key(stage: Stage, setup: Setup) -> str:
    return stage_key(stage, setup, dict.fromkeys(stage.reads, ""), None).source


def why_nothing(run: RunFolder, plan: Plan) -> str:
    """Say that a run has all that is planned, and why what is held up stays so."""
    held_up = [planned for planned in plan.stages if planned.held_up]
    words = "inputs, parameters, notebooks, code and libraries are the same (--fresh runs it all the same)"
    return f"nothing to do: run {run.run_id} has it all; {words}" + "".join(
        f"\n{planned.stage} stays {planned.held_up}: {planned.reason}" for planned in held_up
    )


def _wanted(record: dict[str, Any]) -> frozenset[str] | None:
    wanted = record["order"]["wanted"]
    return None if wanted is None else frozenset(wanted)


def _refuse_changed_inputs(record: dict[str, Any], inputs: Mapping[str, str]) -> None:
    for name, digest in inputs.items():
        before = record["inputs"].get(name, {}).get("digest", digest)
        if before != digest:
            raise ParameterError(
                explain(
                    f"the input '{name}' has changed since this run began",
                    where=record["inputs"][name]["path"],
                    expected=before,
                    got=digest,
                    todo="start a new run; what hasn't changed is reused",
                )
            )
