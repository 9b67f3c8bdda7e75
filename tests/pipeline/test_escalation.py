"""Alerts from run to run: said once, louder, muted, resolved; and one message to real sinks."""

from __future__ import annotations

import datetime
import json
import socketserver
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.params import Alerting, Silence, load_params
from sbir_toolkit.pipeline.alerts import publish_alerts
from sbir_toolkit.pipeline.escalation import Settled, settle_alerts
from sbir_toolkit.pipeline.run import RunFolder
from sbir_toolkit.pipeline.stages import Pipeline, Stage
from sbir_toolkit.storage import read_lines

from .servers import Hook, Mail, serving

TODAY = datetime.date(2026, 11, 23)
PIPELINE = Pipeline(
    (
        Stage(name="load", notebook="l.ipynb", writes=("awards",)),
        Stage(name="match", notebook="m.ipynb", reads=("awards",), writes=("matches",)),
        Stage(name="beside", notebook="b.ipynb"),
    ),
    Path(),
)


def alert(identity: str, severity: str = "warning", **metrics: Any) -> dict[str, Any]:
    return {"id": identity, "severity": severity, "message": f"about {identity}", "metrics": metrics}


def settle(found: list[Any], earlier: list[Any] | None = None, **alerting: Any) -> Settled:
    return settle_alerts(found, earlier or [], PIPELINE, Alerting(**alerting), today=TODAY)


def record(run_id: str, *ids: str) -> dict[str, Any]:
    return {"run_id": run_id, "alerts": [alert(identity) for identity in ids]}


def test_said_once_and_the_worst_first() -> None:
    """The same id found twice is one alert, with the higher severity."""
    settled = settle([alert("gate:a"), alert("gate:b"), alert("gate:b", "error")])
    assert [(one["id"], one["severity"]) for one in settled.said] == [
        ("gate:b", "error"),
        ("gate:a", "warning"),
    ]
    assert {one["state"] for one in settled.said} == {"new"}


@pytest.mark.parametrize(
    ("before", "severity", "state"),
    [
        (0, "warning", "new"),
        (1, "warning", "ongoing"),
        (2, "error", "louder"),
        (3, "error", "ongoing"),
        (5, "critical", "louder"),
        (8, "critical", "louder"),
    ],
)
def test_gets_louder_run_after_run(before: int, severity: str, state: str) -> None:
    """Each third run in a row raises it by one degree; a run without it breaks the row."""
    earlier = [record(f"run-{n}", "gate:a") for n in range(before, 0, -1)]
    (one,) = settle([alert("gate:a")], [*earlier, record("pause"), record("old", "gate:a")]).said
    assert (one["severity"], one["state"], one["runs"]) == (severity, state, before + 1)
    assert one["since"] == ("run-1" if before else None)


def test_what_goes_on_is_no_news() -> None:
    """A message is due when something begins, gets louder or ends."""
    assert settle([alert("gate:a")]).is_news
    assert not settle([alert("gate:a")], [record("before", "gate:a")]).is_news
    assert settle([], [record("before", "gate:a")]).is_news
    assert settle([alert("gate:a")], [record("before", "gate:a")], escalate_after_runs=2).is_news
    assert not settle([]).is_news


def test_what_follows_from_a_failed_stage_is_muted() -> None:
    """Alerts on the stages behind it, the gates and the whole run; not those on a stage beside it."""
    found = [alert(name) for name in ("peak_mb:match", "gate:a", "run_elapsed_s", "peak_mb:beside")]
    settled = settle([alert("stage:load:failed", "error"), *found])
    assert [one["id"] for one in settled.said] == ["stage:load:failed", "peak_mb:beside"]
    assert {one["muted"] for one in settled.muted} == {"follows from stage load, which failed"}


def test_gate_on_the_input_mutes_the_gates_on_the_result() -> None:
    """Blanked identifiers explain a fallen match rate; a mere warning explains nothing."""
    fallen = alert("gate:match_rate", "error", metric="match_rate")
    cause = alert("gate:identifiers", "error", metric="identifier_coverage")
    settled = settle([fallen, cause])
    assert [one["id"] for one in settled.said] == ["gate:identifiers"]
    assert "gate:identifiers" in settled.muted[0]["muted"]
    assert len(settle([fallen, {**cause, "severity": "warning"}]).said) == 2
    blocking = alert("gate:match_rate", "error", metric="match_rate", action="block")
    assert len(settle([blocking, cause]).said) == 2


def test_a_slower_stage_mutes_its_slower_phases() -> None:
    """One slow-down is said once; not by a stage of which it is only suspected, nor for another measure."""
    phases = [alert(name, "error") for name in ("slowdown:match/score", "cpu_growth:match/score")]
    settled = settle([alert("slowdown:match", "error"), *phases])
    assert [one["id"] for one in settled.said] == ["slowdown:match", "cpu_growth:match/score"]
    assert settled.muted[0]["muted"] == "part of slowdown:match"
    assert len(settle([alert("slowdown:match"), *phases]).said) == 3


@pytest.mark.parametrize(("until", "said"), [(TODAY, 0), (TODAY - datetime.timedelta(days=1), 1)])
def test_silence_ends(until: datetime.date, said: int) -> None:
    """Silenced to the last day, with its reason beside it, and said again the day after."""
    settled = settle([alert("gate:a")], silences={"gate:a": Silence(reason="known", until=until)})
    assert len(settled.said) == said
    assert [one["muted"] for one in settled.muted] == ["silenced until 2026-11-23: known"][: 1 - said]


def test_gone_is_resolved_unless_nobody_looked() -> None:
    """An alert of the run before that isn't found any more is done with; not when its gate wasn't judged."""
    before = [record("before", "gate:a", "peak_mb:match")]
    assert [one["id"] for one in settle([], before).resolved] == ["gate:a", "peak_mb:match"]
    failed = settle([alert("stage:load:failed", "error")], before)
    assert [one["id"] for one in failed.resolved] == ["peak_mb:match"]


@pytest.mark.parametrize(
    "override",
    [
        "alerts.silences={'gate:a': {until: 2027-01-31}}",
        "alerts.silences={'gate:a': {reason: known}}",
        "alerts.silences={a: {reason: known, until: 2027-01-31}}",
    ],
)
def test_silence_without_reason_or_end_is_refused(override: str) -> None:
    """Nothing is kept quiet for ever, or for no reason."""
    with pytest.raises(ParameterError, match="silence"):
        load_params(overrides=[override])


def test_one_grouped_message_to_mail_and_webhook_and_a_sink_that_is_down_hurts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three alerts make one mail and one call; the dead sink is an alert of its own, without its secrets."""
    settled = settle([alert("gate:a", "error"), alert("gate:b"), alert("peak_mb:match")])
    run = RunFolder(tmp_path)
    mail_server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
    with serving(mail_server) as mail, serving(HTTPServer(("127.0.0.1", 0), Hook)) as hook:
        mail_to = (
            f"mailto://127.0.0.1:{mail.server_address[1]}?from=a@example.org&to=b@example.org&mode=insecure"
        )
        monkeypatch.setenv("SBIR_TEST_HOOK", f"json://127.0.0.1:{hook.server_address[1]}/alerts")
        sinks = (mail_to, "env:SBIR_TEST_HOOK", "json://user:secret@127.0.0.1:9/", "env:SBIR_UNSET", "luck")
        said = publish_alerts(run, settled, sinks, "blocked")
        assert (len(mail.received), len(hook.received)) == (1, 1)
        for text in (mail.received[0], hook.received[0]["message"]):
            assert all(name in text for name in ("gate:a", "gate:b", "peak_mb:match"))
        assert "blocked: 3 alerts, the worst: error" in hook.received[0]["title"]
        again = settle([alert("gate:a", "error")], [record("before", "gate:a")])
        publish_alerts(run, again, sinks, "blocked")
        assert (len(mail.received), len(hook.received)) == (1, 1)
    down = [one for one in said if one["id"].startswith("sink:")]
    assert [one["id"] for one in down] == ["sink:3", "sink:4", "sink:5"]
    assert "secret" not in json.dumps(said)


def test_files_are_always_written(tmp_path: Path) -> None:
    """Said, muted and resolved alerts stand in both files, without any sink."""
    silent = {"gate:b": Silence(reason="known", until=TODAY)}
    settled = settle([alert("gate:a"), alert("gate:b")], [record("before", "gate:c")], silences=silent)
    publish_alerts(RunFolder(tmp_path), settled, (), "done")
    lines = read_lines(tmp_path / "alerts.ndjson")
    assert [(line["id"], line.get("state")) for line in lines] == [
        ("gate:a", "new"),
        ("gate:b", "new"),
        ("gate:c", "resolved"),
    ]
    page = (tmp_path / "alerts.md").read_text()
    assert (
        "about gate:a" in page and "gate:b: silenced until 2026-11-23: known" in page and "- gate:c" in page
    )
