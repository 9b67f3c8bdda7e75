"""The commands about speed, on runs that are made up."""

from __future__ import annotations

import re
from http.server import HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from sbir_toolkit import Params
from sbir_toolkit.cli import main
from sbir_toolkit.params import load_params
from sbir_toolkit.performance import History, measure_run
from sbir_toolkit.pipeline.advising import Checked
from sbir_toolkit.pipeline.conduct import Order
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, read_run
from sbir_toolkit.pipeline.start import run_pipeline
from sbir_toolkit.storage import read_json, read_lines, write_json, write_text

from ..performance.runs import CREATED, DAY_S, run_record, stage
from .servers import Hook, serving
from .toy import FUNDING, make_project, write_notebook

COSTS = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.1, 9.9, 13.0, 13.1, 12.9, 13.2, 12.8, 13.0, 13.1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose newest run is slower than it used to be."""
    project = make_project(tmp_path, {"match": {"writes": ["funding"]}})
    history = History(project.history)
    for number, elapsed_s in enumerate(COSTS):
        run = run_record(f"r{number:03}", {"match": stage(elapsed_s=elapsed_s)})
        run["created"] = CREATED + number * DAY_S
        history.record_run(run, measure_run(run, []))
        write_json(project.runs / run["run_id"] / "run.json", run)
        write_text(project.runs / run["run_id"] / "params.yml", Params().to_yaml())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SBIR_OUTPUTS", str(project.outputs))
    return project


def test_history_shows_runs_and_verdicts(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The table holds the newest runs, and below it stands what changed since when."""
    assert main(["history"]) == 0
    said = capsys.readouterr().out
    assert "r014" in said
    assert "slower by 30% since run r008" in said
    assert main(["history", "nothing"]) == 2
    newest = project.runs / "r014"
    write_json(newest / "run.json", read_json(newest / "run.json") | {"name": "another"})
    assert main(["history"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  unknown ")]
    assert len(lines) == 2
    assert re.search(r" match: 0 of 5 comparable earlier runs.* \(figures: 3\)$", lines[0])


@pytest.mark.parametrize(("name", "read"), [("h.csv", pd.read_csv), ("h.parquet", pd.read_parquet)])
def test_history_is_exported(project: Project, tmp_path: Path, name: str, read: object) -> None:
    """All runs go to a file that other tools read."""
    assert main(["history", "match", "--export", str(tmp_path / name)]) == 0
    assert callable(read)
    assert read(tmp_path / name)["elapsed_s"].tolist() == COSTS
    assert main(["history", "--export", str(tmp_path / "h.txt")]) == 2


def test_a_slower_run_reaches_the_sink_with_figures_trend_and_cause(tmp_path: Path) -> None:
    """What a real run took, after a history in which it used to be quick, is one message to a webhook."""
    brew = """
    import time
    from sbir_toolkit.meter import phase

    with phase("brew"):
        time.sleep(0.4)
    """
    write_notebook(tmp_path / "notebooks" / "count.ipynb", brew, FUNDING.format(name="count", awards=3))
    project = make_project(
        tmp_path, {"count": {"writes": ["funding"]}}, synthetic={"awards": 9, "recipients": 9}
    )
    before = _run_fresh(project)
    # That run again and again: at first it took a fifth.
    history, shares = History(project.history), [0.2] * 8 + [1.0] * 6
    for number, share in enumerate(shares):
        _keep_again(history, before, f"r{number:03}", share * (1 + 0.01 * (number % 3)), days=number - 99)
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as hook:
        address = f"json://127.0.0.1:{hook.server_address[1]}/"
        run = _run_fresh(project, f"alerts.sinks=[{address}]", "performance.alerts.stage_elapsed_s=0.1")
    (message,) = hook.received
    # A busy machine may add alerts of its own.
    assert re.fullmatch(rf"Run {run.run_id} done: \d alerts, the worst: error", message["title"])
    told, _, muted = message["message"].partition("\n\nMuted:\n")
    alerts = told.split("\n- ")
    (slower,) = [one for one in alerts if "**error** Stage count: slower by" in one]
    (long,) = [one for one in alerts if "**warning** Stage count took" in one]
    assert "since run r008, confirmed by 7 measurements" in slower
    assert "in the baseline of 8 runs" in slower
    assert re.search(r"Why: count: \d+% of the change is waiting in .* not identifiable", slower)
    assert re.search(r"value: [\d.]+, threshold: [\d.]+, unit: s, baseline: [\d.]+, change_share: ", slower)
    assert re.search(r"trend: ▁{8}.{8}, onset_run: r008", slower)
    assert ", more than 0.1 s" in long
    assert "slowdown:count/brew: part of slowdown:count" in muted
    told = {alert["id"]: alert for alert in read_lines(run.path / "alerts.ndjson")}
    assert told["slowdown:count"]["metrics"]["cause"] in slower


def _run_fresh(project: Project, *overrides: str) -> RunFolder:
    params = load_params(project.root / "params" / "toy.yml", overrides)
    return run_pipeline(project, params, order=Order(is_fresh=True), say=lambda _: None).run


def _keep_again(history: History, run: RunFolder, run_id: str, share: float, *, days: int) -> None:
    """Enter a run once more, as one of that many days later that took this share of its time."""
    record, events = read_run(run), read_lines(run.events)
    record |= {"run_id": run_id, "created": record["created"] + days * DAY_S}
    record["stages"]["count"]["elapsed_s"] *= share
    figures = measure_run(record, events)
    figures.loc[figures["phase"] != "all", ["elapsed_s", "own_s"]] *= share
    history.record_run(record, figures)


def test_a_change_is_accepted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Once it is accepted, the same runs aren't slower any more; the wrong name is refused."""
    assert main(["accept", "slowdown:load", "--why", "x"]) == 2
    assert main(["accept", "slowdown:match", "--why", "checks added"]) == 0
    assert "checks added" in capsys.readouterr().out
    assert main(["history", "match"]) == 0
    assert "slowdown:match " in capsys.readouterr().out
    assert History(project.history).accepted()["why"].tolist() == ["checks added"]


def test_two_runs_are_compared(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage's change is split and nothing is invented; in CI a confirmed regression ends with 4."""
    assert main(["compare", "r000", "r014"]) == 0
    said = capsys.readouterr().out
    assert "not identifiable" in said
    assert "confirmed regression: match: slower by 30% since run r008" in said
    assert main(["compare", "r000", "r014", "--ci"]) == 4
    assert "| match | 10.00 | 13.10 | +31% |" in capsys.readouterr().out
    assert main(["compare", "r000", "r007", "--ci"]) == 0
    assert "no regression is confirmed" in capsys.readouterr().out
    assert main(["compare", "r007", "r000"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("r007 -> r000 (backwards: r000 is the earlier run)\n")
    assert re.search(r"left out, below 5% .*: stages 1 \(match \+0\.10 s\), parts of others 0", said)


def test_advice_on_a_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """What held the run up is said, and what nothing can be said about."""
    assert main(["advise", "r013"]) == 0
    said = capsys.readouterr().out
    assert "where its time went" in said
    assert "no chunks were computed in this run" in said
    assert main(["advise", "--verify"]) == 0
    assert "tried:" not in capsys.readouterr().out


def test_what_a_change_really_saved() -> None:
    """A saving beyond the turns' scatter holds, one within it doesn't show, a loss is said to be worse."""
    assert "holds; +2.00 s saved (expected 2.50 s" in repr(Checked("x", 2.5, [5.0, 5.2], [3.0, 3.2]))
    assert "doesn't show" in repr(Checked("x", 2.5, [5.0, 5.4], [4.9, 5.1]))
    assert "makes it worse" in repr(Checked("x", 2.5, [5.0, 5.1], [7.0, 7.1]))
