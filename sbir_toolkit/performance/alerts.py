"""What somebody should know about the speed and memory of a run.

An alert has an identity that stays the same from run to run (`slowdown:match_recipients`), so that the same
thing happening again is recognised, and carries the figures it follows from: value, threshold, unit. Finding
alerts has no effect; whoever runs the pipeline writes and sends them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sbir_toolkit.params import Performance
from sbir_toolkit.performance.causes import Explanation
from sbir_toolkit.performance.regression import StageVerdicts

_SEVERITIES = {"regression": "error", "suspect": "warning"}
# A suspect is cheap and mostly chance: it is told about when it is this many times what is worth speaking of
# and was still there when measured this often again.
_TOLD_TIMES = 3
_TOLD_AGAIN = 3


def find_alerts(
    run: Mapping[str, Any], verdicts: StageVerdicts, performance: Performance
) -> list[dict[str, Any]]:
    """Find what in a run's figures is beyond the alert thresholds.

    Parameters
    ----------
    run
        The run's record; totals and stages that have no figures raise no alert.
    verdicts
        From `judge_stages`: a confirmed change for the worse is an error, a large suspected one a warning.
    performance
        `alerts` holds the thresholds; only what is strictly above raises an alert.

    Returns
    -------
    list of dict
        Each with id, severity (error or warning), message, and metrics (value, threshold, unit); errors
        first, then the run, then the stages in their order.
    """
    limits = performance.alerts
    least = {"regression": 0.0, "suspect": _TOLD_TIMES * performance.least_change_share}
    found = []
    elapsed_s = (run.get("totals") or {}).get("elapsed_s")
    if elapsed_s is not None and elapsed_s > limits.run_elapsed_s:
        found.append(_alert("run_elapsed_s:run", "The run", elapsed_s, limits.run_elapsed_s, "s"))
    for name, stage in run.get("stages", {}).items():
        elapsed_s, peak_bytes = stage.get("elapsed_s"), stage.get("peak_bytes")
        if elapsed_s is not None and elapsed_s > limits.stage_elapsed_s:
            found.append(
                _alert(f"stage_elapsed_s:{name}", f"Stage {name}", elapsed_s, limits.stage_elapsed_s, "s")
            )
        if peak_bytes is not None and peak_bytes / 1e6 > limits.peak_mb:
            found.append(_alert(f"peak_mb:{name}", f"Stage {name}", peak_bytes / 1e6, limits.peak_mb, "MB"))
    found += [
        _change_alert(row)
        for row in verdicts.table.to_dict("records")
        if row["change_share"] > least.get(row["verdict"], math.inf)
        and (row["verdict"] == "regression" or row["measured_again"] >= _TOLD_AGAIN)
    ]
    return sorted(found, key=lambda alert: alert["severity"] != "error")


def name_causes(
    alerts: Sequence[dict[str, Any]], explained: Mapping[str, Explanation]
) -> list[dict[str, Any]]:
    """Add to each alert about a confirmed change of time what the change is made of."""
    named = []
    for alert in alerts:
        kind, _, where = alert["id"].partition(":")
        cause = explained.get(where.partition("/")[0])
        if kind == "slowdown" and alert["severity"] == "error" and cause is not None:
            named.append(
                {
                    **alert,
                    "message": f"{alert['message']}. Why: {cause.sentence}",
                    "metrics": {**alert["metrics"], "cause": cause.sentence},
                }
            )
        else:
            named.append(alert)
    return named


def _alert(identity: str, who: str, value: float, threshold: float, unit: str) -> dict[str, Any]:
    did = "used" if unit == "MB" else "took"
    told, most = (f"{figure:,.0f}" if figure >= 10 else f"{figure:.2g}" for figure in (value, threshold))
    return {
        "id": identity,
        "severity": "warning",
        "message": f"{who} {did} {told} {unit}, more than {most} {unit}",
        "metrics": {"value": value, "threshold": threshold, "unit": unit},
    }


def _change_alert(row: Mapping[Any, Any]) -> dict[str, Any]:
    figures = {
        "value": row["value"],
        "threshold": row["high"],
        "unit": row["unit"],
        "baseline": row["baseline"],
        "change_share": row["change_share"],
        "trend": row["trend"],
    }
    onset = {"onset_run": row["onset_run"]} if row["verdict"] == "regression" else {}
    return {
        "id": row["id"],
        "severity": _SEVERITIES[str(row["verdict"])],
        "message": f"Stage {row['sentence']}",
        "metrics": {**figures, **onset},
    }
