"""Where a run stands, in words, read from its folder and nowhere else.

So it can be asked from any terminal, while the run goes on, after it has ended, and after it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sbir_toolkit.errors import InputError
from sbir_toolkit.pipeline.doing import SILENT_S, Events, duration, find_doing, last_sign
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import ENDED_WELL, RunFolder, list_runs, read_run
from sbir_toolkit.storage import read_json


def describe_status(run: RunFolder, events: Events | None = None) -> str:
    """Describe a run: each stage's state, what a running one is doing, and what to do next.

    Parameters
    ----------
    run
        Which one.
    events
        Of this run, where somebody asks again and again; only what is new is read then.
    """
    record, seen = read_run(run), (events or Events(run.events)).follow()
    now, sign = time.time(), last_sign(seen)
    is_running = record["status"] == "running"
    ended = record["ended"] or (now if is_running else sign or record["created"])
    if record["ended"] and record["totals"]:
        took = f" in {duration(record['totals']['elapsed_s'])}"
    else:
        took = f", {duration(ended - record['created'])} since it began"
    lines = [f"run {run.run_id}: {record['status']}{took}"]
    if is_running and sign is not None:
        silent_s = max(now - sign, 0.0)
        words = "alive" if silent_s < SILENT_S else "no sign of life, though its process is there"
        lines[0] += f"; {words}, last heard of {duration(silent_s)} ago"
    for name, facts in record["stages"].items():
        words = _stage_words(name, facts, seen, now)
        lines.append(f"  {name:<18} {facts['status']:<12} {words}".rstrip())
    lines += [f"  alert: {alert['severity']}: {alert['message']}" for alert in record["alerts"]]
    if record["status"] in ("interrupted", "failed"):
        lines.append(_way_on(record))
    return "\n".join(lines)


def describe_doing(run: RunFolder, events: Events) -> list[str]:
    """Say in a line each what the running stages are doing; nothing about one that is just starting."""
    record, seen, now = read_json(run.record), events.follow(), time.time()
    lines = []
    for name, facts in record["stages"].items():
        if facts["status"] == "running":
            doing = find_doing(seen, name, facts["started"], now)
            if doing is not None:
                lines.append(f"{name}: {doing}")
    return lines


def describe_end(run: RunFolder, record: dict[str, Any]) -> str:
    """Describe a run that has ended: status, totals, completeness, where the reports are."""
    totals, certificate = record["totals"], record["certificate"]
    lines = [
        f"run {run.run_id}: {record['status']} in {duration(totals['elapsed_s'])}, "
        f"{totals['peak_bytes'] / 1e6:,.0f} MB at most, {totals['cpu_s']:.1f} s of CPU time"
    ]
    if certificate["is_complete"]:
        lines.append(
            f"complete: all {len(certificate['outputs'])} required tables are there and keep their contracts"
        )
    else:
        lines += ["not complete:", *_describe_gaps(certificate["missing"])]
    lines += [f"alert: {alert['severity']}: {_first_line(alert['message'])}" for alert in record["alerts"]]
    if record["status"] in ("interrupted", "failed"):
        lines.append(_way_on(record))
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
        took = duration(record["totals"]["elapsed_s"]) if record["totals"] else "-"
        rate = record["metrics"].get("match_rate")
        matched = f"{rate:.1%} matched" if rate is not None else ""
        lines.append(f"{folder.run_id:<32} {began}  {record['status']:<12} {took:>8}  {matched}".rstrip())
    return "\n".join(lines) or f"no runs yet in {project.runs}"


def _describe_gaps(gaps: list[dict[str, Any]]) -> list[str]:
    """Say which tables aren't there: those of one reason in one line."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for gap in gaps:
        reasons.setdefault(_first_line(gap["why"]), {}).setdefault(gap["stage"], []).append(gap["table"])
    lines = []
    for why, stages in reasons.items():
        tables = [table for several in stages.values() for table in several]
        what = tables[0] if len(tables) == 1 else f"{len(tables)} tables"
        lines.append(f"  {what} ({', '.join(stages)}): {why}")
    return lines


def _stage_words(name: str, facts: dict[str, Any], events: list[dict[str, Any]], now: float) -> str:
    if facts["status"] == "running":
        samples = [event for event in events if event["kind"] == "sample" and event["stage"] == name]
        words = duration(now - facts["started"])
        words += f", {samples[-1]['memory_bytes'] / 1e6:,.0f} MB" if samples else ""
        doing = find_doing(events, name, facts["started"], now)
        return f"{words}; {doing}" if doing else words
    if facts["status"] in ENDED_WELL:
        took = f"{facts['elapsed_s']:.1f} s; " if facts["status"] == "done" else ""
        return took + ", ".join(f"{table} {made['rows']:,}" for table, made in facts["outputs"].items())
    return str(facts["reason"])


def _way_on(record: Mapping[str, Any]) -> str:
    """Say how to go on: a mended input is another one, which resuming would refuse."""
    failed = [facts for facts in record["stages"].values() if facts["status"] == "failed"]
    if any(facts.get("error") == InputError.__name__ for facts in failed):
        return "mend the input and run again: what hasn't changed is reused"
    return f"go on with: sbir-toolkit resume {record['run_id']}"


def _first_line(text: str) -> str:
    # The whole message was said when the stage ended, and stands in its report.
    return text.partition("\n")[0]
