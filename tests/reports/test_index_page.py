from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sbir_toolkit.reports.index_page import write_index, write_run_page

DIGEST = "sha256:" + "ab" * 32


def record(run_id: str, created: float, **changes: Any) -> dict[str, Any]:
    run = {
        "run_id": run_id,
        "name": "sample",
        "created": created,
        "ended": created + 40,
        "status": "done",
        "exit_code": 0,
        "params_digest": DIGEST,
        "code": {"commit": "0123456789abcdef", "is_dirty": True},
        "inputs": {"awards": {"path": "award_data.csv", "bytes": 412_000_000, "digest": DIGEST}},
        "stages": {
            "load_awards": {
                "status": "done",
                "elapsed_s": 4.2,
                "cpu_s": 4.0,
                "peak_bytes": 310_000_000,
                "rows_in": 0,
                "rows_out": 9_990,
                "outputs": {},
                "report": "reports/01_load_awards.html",
                "reused_from": None,
                "reason": None,
            },
            "match_recipients": {
                "status": "died",
                "report": "reports/03_match.html",
                "reason": "killed by signal 9",
            },
            "accuracy": {"status": "reused", "reused_from": "r0"},
        },
        "totals": {"elapsed_s": 37.3, "cpu_s": 36.0, "peak_bytes": 1_310_000_000},
        "metrics": {"match_rate": 0.8136},
        "gates": [
            {
                "gate": "match_rate",
                "metric": "match_rate",
                "verdict": "pass",
                "value": 0.8136,
                "threshold": "fail below 50 %",
                "reason": "fine",
            },
            {
                "gate": "rejects",
                "metric": "award_rejected_share",
                "verdict": "warn",
                "value": 0.0,
                "threshold": "fail above 2 %",
                "reason": "hm",
            },
        ],
        "alerts": [{"id": "a", "severity": "warning", "message": "slower <than> before"}],
        "certificate": {
            "is_complete": True,
            "outputs": [{"table": "award_rejects", "rows": 0, "digest": DIGEST, "stage": "load_awards"}],
        },
    }
    return run | changes


def make_report(outputs: Path, run_id: str) -> None:
    report = outputs / "runs" / run_id / "reports" / "01_load_awards.html"
    report.parent.mkdir(parents=True)
    report.write_text("report")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    """The order of the records doesn't matter; the newest run is on top and in the strip."""
    runs = [record("r2", 2e9), record("r3", 3e9), record("r1", 1e9)]
    text = write_index(tmp_path, runs).read_text()
    table = text[text.index("<tbody>") :]
    assert table.index("r3") < table.index("r2") < table.index("r1")
    assert "<dd>r3</dd>" in text
    assert text == write_index(tmp_path, runs[::-1]).read_text()


def test_links_are_relative_and_lead_to_files(tmp_path: Path) -> None:
    """Each link of both pages leads to a file that is there; what isn't there isn't linked."""
    make_report(tmp_path, "r 1")
    page = write_index(tmp_path, [record("r 1", 1e9), record("gone", 2e9)])
    links = {}
    for path in (page, tmp_path / "runs" / "r 1" / "index.html"):
        links[path] = re.findall(r'href="([^"]+)"', path.read_text())
        for link in links[path]:
            assert (path.parent / link.replace("%20", " ")).is_file(), link
    assert links[page] == ["runs/r%201/index.html", "runs/r%201/reports/01_load_awards.html"]
    assert not (tmp_path / "runs" / "gone").exists()


def test_run_page_shows_stages_gates_and_certificate(tmp_path: Path) -> None:
    """One run's page has each stage with its fate, each gate, alert, input and output."""
    text = write_run_page(tmp_path, record("r1", 1e9)).read_text()
    for words in (
        "killed by signal 9", "reused from r0", "9,990", "slower &lt;than&gt; before", "award_data.csv",
        "412 MB",        "0123456789 with changes", "81.4 %", "ab" * 32, "Complete: each output",
    ):  # fmt: skip
        assert words in text
    assert '<span class="sbir-badge bad">died</span>' in text


def test_zero_is_not_unknown(tmp_path: Path) -> None:
    """A gate's value of zero, no rows in and an empty output aren't dashes."""
    text = write_run_page(tmp_path, record("r1", 1e9)).read_text()
    assert '<td class="n">0</td><td class="n">9,990</td>' in text
    assert '<td class="n">0 %</td><td>fail above 2 %</td>' in text
    assert '<td class="n">0</td><td class="s"><code>' in text


def test_worst_verdict_is_shown_in_the_list(tmp_path: Path) -> None:
    """The list shows the worst of a run's gates."""
    assert (
        '<span class="sbir-badge warn">warn</span>' in write_index(tmp_path, [record("r1", 1e9)]).read_text()
    )


def test_incomplete_run_is_not_certified(tmp_path: Path) -> None:
    """A run that misses outputs says so; one that goes on says that."""
    partial = record("r1", 1e9)["certificate"] | {"is_complete": False}
    failed = write_run_page(tmp_path, record("r1", 1e9, status="failed", certificate=partial)).read_text()
    assert "Not complete</strong>: some outputs this run promised were not made" in failed
    running = write_run_page(tmp_path, record("r1", 1e9, status="running", certificate=partial)).read_text()
    assert "Not complete</strong>: the run is still going on" in running


def test_bare_record_is_enough(tmp_path: Path) -> None:
    """A run that died at once has hardly a field; it is listed all the same."""
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    text = write_index(tmp_path, [{"run_id": "r1"}]).read_text()
    assert "unknown" in text
    assert "No stage has been planned." in (tmp_path / "runs" / "r1" / "index.html").read_text()


def test_no_runs_are_said(tmp_path: Path) -> None:
    """An empty list tells how to make the first run."""
    assert "There is no run yet." in write_index(tmp_path, []).read_text()


def test_pages_fetch_nothing_and_escape_what_they_are_told(tmp_path: Path) -> None:
    """A name from a file can't become markup, and no page names anything outside itself but its links."""
    evil = "<script src='https://x.org'></script>"
    make_report(tmp_path, "r1")
    page = write_index(tmp_path, [record("r1", 1e9, name=evil, alerts=[{"message": evil, "severity": evil}])])
    for path in (page, tmp_path / "runs" / "r1" / "index.html"):
        text = path.read_text()
        assert not re.search(r"<(script|img|link|iframe)\b", text)
        assert not re.search(r'(?:href|src)="(?:https?:)?//', text)
        assert "&lt;script" in text


def test_unchanged_pages_are_left_alone(tmp_path: Path) -> None:
    """Writing the same again doesn't touch the file."""
    page = write_index(tmp_path, [record("r1", 1e9)])
    before = page.stat().st_mtime_ns
    assert write_index(tmp_path, [record("r1", 1e9)]).stat().st_mtime_ns == before
