"""Publishing: what a person finds after a stage and after a run.

After a stage its executed notebook carries the stage's figures in its metadata and is rendered as a report.
After a run the index page links all runs, the alerts are written, and the history knows the run.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sbir_toolkit.locks import locked
from sbir_toolkit.performance import (
    History,
    calibrate,
    chunk_figures,
    explain_regressions,
    find_alerts,
    judge_stages,
    measure_run,
    name_causes,
    recommend,
)
from sbir_toolkit.pipeline.alerts import gate_alerts, publish_alerts, stage_alerts
from sbir_toolkit.pipeline.certificate import certify, collect_parts
from sbir_toolkit.pipeline.decisions import log_decisions
from sbir_toolkit.pipeline.escalation import settle_alerts
from sbir_toolkit.pipeline.gates import judge
from sbir_toolkit.pipeline.past import comparable_name, earlier_records, keep_accepted
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import ENDED_WELL, RunFolder, RunState, chunks_of, list_runs, read_run
from sbir_toolkit.pipeline.setup import Setup
from sbir_toolkit.pipeline.stages import Pipeline, Stage
from sbir_toolkit.reports.index_page import write_index
from sbir_toolkit.reports.units import format_moment
from sbir_toolkit.storage import atomic_path, read_json, read_lines

FIGURES = (
    "status",
    "started",
    "elapsed_s",
    "cpu_s",
    "peak_bytes",
    "read_bytes",
    "written_bytes",
    "rows_in",
    "rows_out",
    "rows_per_s",
)
_WAIT_S = 60.0


def publish_stage(stage: Stage, setup: Setup, state: RunState) -> None:
    """Write a stage's figures into its executed notebook, if it got so far, and render it as a report."""
    import nbformat

    folder = state.folder
    executed = folder.notebook(stage.notebook)
    if not executed.exists():
        return
    facts = state.stage(stage.name)
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["sbir_toolkit"] = {
        "run_id": folder.run_id,
        "stage": stage.name,
        **{name: facts.get(name) for name in FIGURES},
        "code": state.record["code"],
        "params_digest": state.record["params_digest"],
    }
    with atomic_path(executed) as temporary:
        nbformat.write(notebook, temporary)
    _render(stage, state, notices=_notices(stage, setup, state))
    state.update_stage(stage.name, report=f"reports/{folder.report(stage.notebook).name}")


def mark_reports(setup: Setup, state: RunState) -> None:
    """Put on top of every report of a run what concerns all of it: overruled gates, degraded outputs.

    A reused report may bear what was true of the run that it comes from; it is rendered anew then.
    """
    told = run_notices(state.record)
    state.update(notices=told)
    for stage in setup.pipeline.stages:
        facts = state.stage(stage.name)
        origin = RunFolder(setup.project.runs / str(facts.get("reused_from") or state.folder.run_id))
        is_marked = bool(origin.record.exists() and read_json(origin.record).get("notices"))
        if facts.get("report") and (told or is_marked):
            own = [notice for notice in _notices(stage, setup, state) if notice not in told]
            _render(stage, state, notices=[*told, *own])


def run_notices(record: Mapping[str, Any]) -> list[str]:
    """Say what every reader of a run's reports must know first."""
    overruled = [
        f"Gate {gate['gate']} failed and was overruled by {gate['overruled']}. It says: {gate['reason']}."
        for gate in record["gates"]
        if gate["overruled"]
    ]
    return [*overruled, *(f"Degraded: {mark}." for mark in record["marks"])]


def _render(stage: Stage, state: RunState, *, notices: list[str]) -> None:
    import nbformat

    from sbir_toolkit.reports.html import render_notebook

    executed, report = state.folder.notebook(stage.notebook), state.folder.report(stage.notebook)
    notebook = nbformat.read(executed, as_version=4)
    facts = notebook.metadata["sbir_toolkit"]
    render_notebook(
        executed,
        report,
        title=_title(notebook, stage.name),
        run_id=state.folder.run_id,
        header=_header(facts, state.record["name"]),
        notices=notices,
        home="../index.html",
    )


def publish_run(setup: Setup, state: RunState, *, wall_s: float) -> None:
    """Total up a run that has ended, certify it, find its alerts, enter it into history and index."""
    project, pipeline, params = setup.project, setup.pipeline, setup.params
    record = state.record
    stages = record["stages"]
    ran = [facts for facts in stages.values() if facts.get("elapsed_s") is not None]
    state.update(
        totals={
            "elapsed_s": wall_s,
            "cpu_s": sum(facts["cpu_s"] for facts in ran),
            "peak_bytes": max((facts["peak_bytes"] for facts in ran), default=0),
            "read_bytes": sum(facts["read_bytes"] for facts in ran),
            "written_bytes": sum(facts["written_bytes"] for facts in ran),
        },
        metrics=collect_metrics(pipeline, state.folder),
        calibration_s=(record.get("calibration_s") or calibrate()) / 2 + calibrate() / 2,
    )
    state.update(certificate=certify(pipeline, record, collect_parts(pipeline, state.folder)))
    mark_reports(setup, state)
    earlier = earlier_records(project, record)
    state.update(decisions=log_decisions(record, earlier))
    keep_accepted(project, state.folder, record, comparable_name(params))
    history = History(params.performance.history_url or project.history)
    events = read_lines(state.folder.events)
    figures = measure_run(record, events)
    alerts = [*stage_alerts(stages), *gate_alerts(record["gates"])]
    verdicts = judge_stages(history, record, figures, params.performance)
    explained = explain_regressions(
        history,
        verdicts,
        project=project.root,
        paths={stage.name: pipeline.path(stage) for stage in pipeline.stages},
        chunks_of=lambda run_id: chunks_of(project, run_id),
    )
    alerts += name_causes(find_alerts(record, verdicts, params.performance), explained)
    settled = settle_alerts(alerts, earlier, pipeline, params.alerts, today=datetime.date.today())
    said = publish_alerts(state.folder, settled, params.alerts.sinks, record["status"])
    state.update(alerts=said, muted_alerts=settled.muted, resolved_alerts=settled.resolved)
    advice = recommend(figures, chunk_figures(events), record, params.performance, history.stages())
    state.update(advice={"sentence": advice.sentence, "changes": advice.table.to_dict("records")})
    history.record_run(record, figures=figures)
    # A run that is killed before this is resumed: nothing is left to do but this, and it may be done twice.
    state.update(is_published=True)
    publish_index(project)


def publish_index(project: Project) -> None:
    """Write the page that lists all runs, and point `latest` to the newest."""
    with locked(project.outputs / "index.lock", "the index page", wait_s=_WAIT_S):
        folders = list_runs(project)
        write_index(project.outputs, [read_run(folder) for folder in folders])
        if folders:
            _point_to(project, folders[0])


def collect_metrics(pipeline: Pipeline, run: RunFolder) -> dict[str, float]:
    """Put together the numbers that the stages recorded about themselves."""
    found: dict[str, float] = {}
    for stage in pipeline.stages:
        path = run.metrics(stage.name)
        if path.exists():
            values: Mapping[str, Any] = read_json(path)
            found |= {
                name: value
                for name, value in values.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
    return found


def _title(notebook: Any, fallback: str) -> str:
    sources = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = next((source for source in sources if source.startswith("# ")), f"# {fallback}")
    return str(heading.splitlines()[0].removeprefix("# "))


def _header(facts: Mapping[str, Any], params: str) -> dict[str, str]:
    header = {
        "Stage": str(facts["status"]),
        "Started": format_moment(facts["started"]),
        "Time": f"{facts['elapsed_s']:.1f} s",
        "Memory at most": f"{facts['peak_bytes'] / 1e6:,.0f} MB",
        "Parameters": params,
    }
    commit = facts["code"]["commit"]
    header["Code"] = facts["code"]["release"] + (f" ({commit[:8]})" if commit else "")
    return header


def _notices(stage: Stage, setup: Setup, state: RunState) -> list[str]:
    facts = state.stage(stage.name)
    # An error that the notebook raised stands in the report already; how a process died doesn't.
    is_told = facts["status"] == "done" or (facts["status"] == "failed" and facts.get("error"))
    notices = [] if is_told else [f"This stage {facts['status']}: {facts['reason']}"]
    if "metrics" in stage.writes and facts["status"] in ENDED_WELL:
        tables = state.folder.table("metrics"), state.folder.table("metric_history")
        judgement = judge(*tables, setup.params)
        decision = judgement.decision
        if decision.overall != "continue":
            notices += [decision.headline, *decision.failures]
        if decision.exit_code:
            others = (other for other in setup.pipeline.stages if _comes_later(other, setup.pipeline))
            held = [other.name for other in others if judgement.hindrance(other)]
            notices.append(f"Not run because of this: {', '.join(held) or 'nothing'}.")
            notices.append(f"{judgement.way_out()[:1].upper()}{judgement.way_out()[1:]}.")
    return notices


def _comes_later(stage: Stage, pipeline: Pipeline) -> bool:
    judge_stage = pipeline.producer("metrics")
    return judge_stage is not None and judge_stage.name in pipeline.before(stage)


def _point_to(project: Project, run: RunFolder) -> None:
    latest = project.outputs / "latest"
    temporary = project.outputs / ".latest.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run.path.relative_to(project.outputs), target_is_directory=True)
    temporary.replace(latest)
