"""Where a run stands, in words, read from its folder and nowhere else.

So it can be asked from any terminal, while the run goes on, after it has ended, and after it was killed.
"""

from __future__ import annotations

import time
from typing import Any

from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import ENDED_WELL, RunFolder, list_runs, read_run
from sbir_toolkit.storage import read_lines


def describe_status(run: RunFolder) -> str:
    """Describe a run: each stage's state, what a running one has done so far, and what to do next."""
    record = read_run(run)
    events = read_lines(run.events)
    ended = record["ended"] or (time.time() if record["status"] == "running" else _last_seen(events, record))
    lines = [f"run {run.run_id}: {record['status']}, {_duration(ended - record['created'])} since it began"]
    for name, facts in record["stages"].items():
        lines.append(f"  {name:<18} {facts['status']:<12} {_stage_words(name, facts, events)}".rstrip())
    lines += [f"  alert: {alert['severity']}: {alert['message']}" for alert in record["alerts"]]
    if record["status"] in ("interrupted", "failed"):
        lines.append(f"go on with: sbir-toolkit resume {run.run_id}")
    return "\n".join(lines)


def describe_end(run: RunFolder, record: dict[str, Any]) -> str:
    """Describe a run that has ended: status, totals, completeness, where the reports are."""
    totals, certificate = record["totals"], record["certificate"]
    lines = [
        f"run {run.run_id}: {record['status']} in {_duration(totals['elapsed_s'])}, "
        f"{totals['peak_bytes'] / 1e6:,.0f} MB at most, {totals['cpu_s']:.1f} s of CPU time"
    ]
    if certificate["is_complete"]:
        lines.append(
            f"complete: all {len(certificate['outputs'])} required tables are there and keep their contracts"
        )
    else:
        lines.append("not complete:")
        lines += [
            f"  {gap['table']} ({gap['stage']}): {_first_line(gap['why'])}" for gap in certificate["missing"]
        ]
    lines += [f"alert: {alert['severity']}: {_first_line(alert['message'])}" for alert in record["alerts"]]
    if record["status"] in ("interrupted", "failed"):
        lines.append(f"go on with: sbir-toolkit resume {run.run_id}")
    if record["way_out"]:
        lines.append(record["way_out"])
    lines.append(f"reports: {run.path / 'index.html'}")
    return "\n".join(lines)


def describe_runs(project: Project) -> str:
    """List all runs, a line each, the newest first."""
    lines = []
    for folder in list_runs(project):
        record = read_run(folder)
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(record["created"]))
        took = _duration(record["totals"]["elapsed_s"]) if record["totals"] else "-"
        rate = record["metrics"].get("match_rate")
        matched = f"{rate:.1%} matched" if rate is not None else ""
        lines.append(f"{folder.run_id:<32} {began}  {record['status']:<12} {took:>8}  {matched}".rstrip())
    return "\n".join(lines) or f"no runs yet in {project.runs}"


def _stage_words(name: str, facts: dict[str, Any], events: list[dict[str, Any]]) -> str:
    if facts["status"] == "running":
        samples = [event for event in events if event["kind"] == "sample" and event["stage"] == name]
        memory = f", {samples[-1]['memory_bytes'] / 1e6:,.0f} MB" if samples else ""
        return f"{_duration(time.time() - facts['started'])}{memory}{_chunk_words(name, facts, events)}"
    if facts["status"] in ENDED_WELL:
        took = f"{facts['elapsed_s']:.1f} s; " if facts["status"] == "done" else ""
        return took + ", ".join(f"{table} {made['rows']:,}" for table, made in facts["outputs"].items())
    return str(facts["reason"])


def _chunk_words(name: str, facts: dict[str, Any], events: list[dict[str, Any]]) -> str:
    own = [event for event in events if event["stage"] == name and event["at"] >= facts["started"]]
    plans = [event for event in own if event["kind"] == "chunks"]
    if not plans:
        return ""
    plan, done = plans[-1], [event for event in own if event["kind"] == "chunk"]
    rows = sum(event["rows"] for event in done)
    words = f"; chunks {plan['committed'] + len(done)} of {plan['total']}"
    if not done:
        return words
    spent = max(done[-1]["at"] - plan["at"], 1e-6)
    left = (plan["total"] - plan["committed"] - len(done)) * spent / len(done)
    return f"{words}, {rows / spent:,.0f} companies/s, about {_duration(left)} left"


def _first_line(text: str) -> str:
    # The whole message was said when the stage ended, and stands in its report.
    return text.partition("\n")[0]


def _last_seen(events: list[dict[str, Any]], record: dict[str, Any]) -> float:
    return float(max((event["at"] for event in events), default=record["created"]))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
