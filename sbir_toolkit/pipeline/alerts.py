"""Alerts: what somebody should know about a run, said once, with the figures.

Alerts are a list in the run's record, a line each in `alerts.ndjson`, and a page of Markdown. Each has a
stable id, so the same thing happening again is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.storage import append_line, write_text

_SEVERITIES = {"fail": "error", "warn": "warning"}


def gate_alerts(gates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """An alert for each gate that failed or warned, from the gates of a run's record."""
    return [
        {
            "id": f"gate:{row['gate']}",
            "severity": _SEVERITIES[row["verdict"]],
            "message": f"Gate {row['gate']}: {row['verdict']}. {row['reason']}",
            "metrics": {
                "metric": row["metric"],
                "slice": row["slice"],
                "value": row["value"],
                "threshold": row["threshold"],
                "action": row["action"],
            },
        }
        for row in gates
        if row["verdict"] in _SEVERITIES
    ]


def stage_alerts(stages: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """An alert for each stage that failed or died."""
    return [
        {
            "id": f"stage:{name}:{facts['status']}",
            "severity": "error",
            "message": f"Stage {name} {facts['status']}: {facts['reason']}",
            "metrics": {key: facts.get(key) for key in ("elapsed_s", "cpu_s", "peak_bytes")},
        }
        for name, facts in stages.items()
        if facts["status"] in ("failed", "died")
    ]


def publish_alerts(run: RunFolder, alerts: Sequence[Mapping[str, Any]]) -> None:
    """Write a run's alerts to its `alerts.ndjson` and `alerts.md`; without any, the page says so."""
    lines = run.path / "alerts.ndjson"
    lines.unlink(missing_ok=True)
    for alert in alerts:
        append_line(lines, {"run_id": run.run_id, **alert})
    items = [
        f"- **{alert['severity']}** {alert['message']}  \n  "
        + ", ".join(f"{key}: {value}" for key, value in alert["metrics"].items() if value is not None)
        for alert in alerts
    ]
    body = "\n".join(items) if items else "Nothing to report."
    write_text(run.path / "alerts.md", f"# Alerts of run {run.run_id}\n\n{body}\n")
