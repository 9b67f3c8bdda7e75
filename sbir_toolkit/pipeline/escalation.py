"""Which alerts are said, how loud, and which are done with.

An alert's id stays the same from run to run, so this can tell what is new from what goes on, and what is
gone. The same thing found twice is said once. What comes back run after run gets louder. What follows from
something else that is reported already is muted: a failed stage accounts for whatever is wrong with the
stages behind it, a gate on the input for the gates on the result, and a stage that got slower for its phases
that did. What a person silenced, with a reason and a last day, is muted too. Muted alerts are still listed,
with why.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sbir_toolkit.params import Alerting
from sbir_toolkit.pipeline.stages import Pipeline
from sbir_toolkit.quality.decisions import ACTIONS

LEVELS = ("warning", "error", "critical")
# Metrics of the result; every other gate looks at what came in, and comes first.
_OF_THE_RESULT = ("match_rate", "review_share", "reject_share", "matched_usd_share", "hidden_identifier")

Alert = dict[str, Any]


@dataclass(frozen=True)
class Settled:
    """A run's alerts: said, muted, and those of the run before that are gone."""

    said: list[Alert]
    muted: list[Alert]
    resolved: list[Alert]

    @property
    def is_news(self) -> bool:
        """Whether anything began, got louder or ended; what merely goes on needs no second message."""
        return bool(self.resolved) or any(alert["state"] != "ongoing" for alert in self.said)


def settle_alerts(
    found: Sequence[Alert],
    earlier: Sequence[Mapping[str, Any]],
    pipeline: Pipeline,
    alerting: Alerting,
    *,
    today: datetime.date,
) -> Settled:
    """Sort out what was found in a run.

    Parameters
    ----------
    found
        Alerts with id, severity, message and metrics.
    earlier
        Records of earlier comparable runs, the newest first.
    pipeline
        Tells which stages come after a failed one.
    alerting
        When to get louder, and what is silenced.
    today
        The day on which a silence is looked at.

    Returns
    -------
    Settled
        Each alert with `runs` (in a row, this one counted), `since` (the run it began in, None: this one),
        and `state`: new, louder or ongoing.
    """
    once: dict[str, Alert] = {}
    for alert in sorted(found, key=lambda alert: -_level(alert)):
        once.setdefault(alert["id"], alert)
    said: list[Alert] = []
    muted: list[Alert] = []
    for alert in once.values():
        grown = _grow(alert, earlier, alerting.escalate_after_runs)
        why = _silence(alert["id"], alerting, today) or _cause(alert, list(once.values()), pipeline)
        (muted if why else said).append({**grown, "muted": why} if why else grown)
    said.sort(key=lambda alert: -_level(alert))
    was_judged = any(alert["id"].startswith("gate:") for alert in found)
    resolved = [
        {**alert, "state": "resolved"}
        for alert in (earlier[0].get("alerts", ()) if earlier else ())
        if alert["id"] not in once and (was_judged or not _is_hidden(alert, once))
    ]
    return Settled(said, muted, resolved)


def _is_hidden(alert: Alert, once: Mapping[str, Alert]) -> bool:
    """Tell whether a gate may still fail for all that is known: a failed stage kept it from being judged."""
    has_failed = any(identity.startswith("stage:") for identity in once)
    return bool(alert["id"].startswith("gate:") and has_failed)


def _grow(alert: Alert, earlier: Sequence[Mapping[str, Any]], after: int) -> Alert:
    runs, since = 1, None
    for record in earlier:
        ids = {known["id"] for known in (*record.get("alerts", ()), *record.get("muted_alerts", ()))}
        if alert["id"] not in ids:
            break
        runs, since = runs + 1, record["run_id"]
    louder = min(_level(alert) + runs // after, len(LEVELS) - 1)
    is_louder = runs > 1 and runs % after == 0 and louder > _level(alert)
    state = "new" if runs == 1 else "louder" if is_louder else "ongoing"
    return {**alert, "severity": LEVELS[louder], "runs": runs, "since": since, "state": state}


def _silence(identity: str, alerting: Alerting, today: datetime.date) -> str:
    silence = alerting.silences.get(identity)
    if silence is None or today > silence.until:
        return ""
    return f"silenced until {silence.until.isoformat()}: {silence.reason}"


def _cause(alert: Alert, others: Sequence[Alert], pipeline: Pipeline) -> str:
    kind, _, subject = alert["id"].partition(":")
    failed = [other["id"].split(":")[1] for other in others if other["id"].startswith("stage:")]
    for name in failed if kind != "stage" else ():
        if subject.partition(":")[0] in {name, *pipeline.dependants(name)} or kind == "gate" or not subject:
            return f"follows from stage {name}, which failed"
    stage, _, phase = subject.partition("/")
    for other in others if phase and kind != "gate" else ():
        if other["id"] == f"{kind}:{stage}" and _level(other) >= _level(alert):
            return f"part of {other['id']}"
    if kind == "gate" and _is_of_the_result(alert):
        for other in others:
            is_input = other["id"].startswith("gate:") and not _is_of_the_result(other)
            if is_input and other["severity"] == "error" and _reach(other) >= _reach(alert):
                return f"may follow from {other['id']}, which is about the input"
    return ""


def _level(alert: Alert) -> int:
    return LEVELS.index(alert["severity"])


def _reach(alert: Alert) -> int:
    """How far what follows from a gate reaches: what holds up more isn't muted by what holds up less."""
    return ACTIONS.index(alert["metrics"].get("action", ACTIONS[0]))


def _is_of_the_result(alert: Alert) -> bool:
    return str(alert["metrics"].get("metric", "")).startswith(_OF_THE_RESULT)
