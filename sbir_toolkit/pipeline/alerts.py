"""Alerts: what somebody should know about a run, said once, with the figures.

Alerts are a list in the run's record, a line each in `alerts.ndjson`, and a page of Markdown; what is new is
sent to the sinks in one message. Each has a stable id, so the same thing happening again is recognised
(`escalation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sbir_toolkit.pipeline.escalation import Alert, Settled
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.pipeline.sinks import send_message
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
        if row["verdict"] in _SEVERITIES and not row["overruled"]
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


def publish_alerts(run: RunFolder, settled: Settled, sinks: Sequence[str], status: str) -> list[Alert]:
    """Write a run's alerts to `alerts.ndjson` and `alerts.md`, and send one message when there is news.

    Returns
    -------
    list of dict
        The alerts that are said, with one for each sink that is down.
    """
    failures = send_message(sinks, _title(run, settled, status), _body(settled)) if settled.is_news else []
    down = [_sink_alert(words) for words in failures]
    whole = Settled([*settled.said, *down], settled.muted, settled.resolved)
    lines = run.path / "alerts.ndjson"
    lines.unlink(missing_ok=True)
    for alert in (*whole.said, *whole.muted, *whole.resolved):
        append_line(lines, {"run_id": run.run_id, **alert})
    write_text(run.path / "alerts.md", f"# Alerts of run {run.run_id}\n\n{_body(whole)}\n")
    return whole.said


def _title(run: RunFolder, settled: Settled, status: str) -> str:
    count = len(settled.said)
    worst = f", the worst: {settled.said[0]['severity']}" if count else ""
    return f"Run {run.run_id} {status}: {count} alert{'' if count == 1 else 's'}{worst}"


def _body(settled: Settled) -> str:
    parts = [_describe(alert) for alert in settled.said] or ["Nothing to report."]
    if settled.muted:
        parts += ["", "Muted:", "", *(f"- {alert['id']}: {alert['muted']}" for alert in settled.muted)]
    if settled.resolved:
        parts += ["", "Resolved:", "", *(f"- {alert['id']}" for alert in settled.resolved)]
    return "\n".join(parts)


def _describe(alert: Alert) -> str:
    told = {name: value for name, value in alert["metrics"].items() if value is not None}
    told.pop("cause", None)  # the message ends with it
    figures = ", ".join(f"{name}: {_write(value)}" for name, value in told.items())
    often = f" (run {alert['runs']} in a row, since {alert['since']})" if alert["since"] else ""
    return f"- **{alert['severity']}** {alert['message']}{often}" + (f"  \n  {figures}" if figures else "")


def _write(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _sink_alert(words: str) -> Alert:
    identity = f"sink:{words.split()[1]}"
    metrics: dict[str, Any] = {}
    message = f"Alerts weren't delivered: {words}"
    return {
        **{"id": identity, "severity": "warning", "message": message, "metrics": metrics},
        **{"runs": 1, "since": None, "state": "new"},
    }
