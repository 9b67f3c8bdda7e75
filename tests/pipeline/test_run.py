"""Runs of a small pipeline: order, reuse, failure, death, resume, and a record that is true throughout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sbir_toolkit.errors import BusyError, ParameterError
from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline import start
from sbir_toolkit.pipeline.advising import advise_run
from sbir_toolkit.pipeline.conduct import Order
from sbir_toolkit.pipeline.doing import duration
from sbir_toolkit.pipeline.plan import make_plan
from sbir_toolkit.pipeline.progress import describe_end, describe_runs, describe_status
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import list_runs, open_run, owning, read_run
from sbir_toolkit.pipeline.setup import make_setup
from sbir_toolkit.pipeline.start import RunResult, resume_pipeline, run_pipeline
from sbir_toolkit.storage import digest_file, read_json, read_lines

from .toy import FUNDING, RECOMMENDS, make_project, write_notebook

STAGES: dict[str, dict[str, object]] = {
    "advise": {"reads": ["funding"], "writes": ["recommendations"]},
    "count": {"writes": ["funding"], "uses": ["accuracy.seed"]},
}
PARAMS = {"synthetic": {"awards": 20, "recipients": 50}}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3))
    write_notebook(tmp_path / "notebooks" / "advise.ipynb", RECOMMENDS.format(name="advise"))
    return make_project(tmp_path, {name: dict(stage) for name, stage in STAGES.items()}, **PARAMS)


def run(project: Project, *overrides: str, order: Order | None = None) -> tuple[RunResult, list[str]]:
    said: list[str] = []
    params = load_params(project.root / "params" / "toy.yml", overrides)
    return run_pipeline(project, params, order=order, say=said.append), said


def statuses(result: RunResult) -> dict[str, str]:
    return {name: facts["status"] for name, facts in read_run(result.run)["stages"].items()}


def test_stages_run_in_order_and_hand_on_their_tables(project: Project) -> None:
    """The second stage sees what the first wrote; all is recorded, certified, measured, rendered."""
    result, _ = run(project)
    record = read_run(result.run)
    assert (result.exit_code, record["status"]) == (0, "done")
    assert statuses(result) == {"count": "done", "advise": "done"}
    assert record["stages"]["count"]["ended"] <= record["stages"]["advise"]["started"]
    assert record["certificate"]["is_complete"]
    outputs = {made["table"]: made for made in record["certificate"]["outputs"]}
    for table in ("funding", "recommendations"):
        assert outputs[table]["digest"] == digest_file(result.run.table(table))
        assert outputs[table]["rows"] == 1
    for name in ("count", "advise"):
        facts = record["stages"][name]
        assert facts["elapsed_s"] > 0 and facts["cpu_s"] > 0 and facts["peak_bytes"] > 20_000_000
        executed = json.loads(result.run.notebook(f"{name}.ipynb").read_text())
        assert executed["metadata"]["sbir_toolkit"]["peak_bytes"] == facts["peak_bytes"]
        assert result.run.report(f"{name}.ipynb").stat().st_size > 1000
    assert record["stages"]["advise"]["rows_in"] == 1
    assert (project.outputs / "index.html").exists()
    assert (project.outputs / "latest").resolve() == result.run.path.resolve()
    # What the run's page says would make it faster is what `advise` says afterwards.
    advice = advise_run(project, result.run).recommendations
    assert record["advice"]["sentence"] == advice.sentence
    assert record["advice"]["changes"] == advice.table.to_dict("records")
    assert advice.sentence in (result.run.path / "index.html").read_text().replace("&#39;", "'")
    assert "complete: all 2 required tables" in describe_end(result.run, record)


def test_same_again_does_nothing_and_a_change_reruns_what_depends_on_it(project: Project) -> None:
    """No new run for the same command; a used parameter reruns its stage, others only on new data."""
    first, _ = run(project)
    again, said = run(project)
    assert (again.run.run_id, again.is_new) == (first.run.run_id, False)
    assert any("nothing to do" in line for line in said)
    unused, said = run(project, "accuracy.decoys=3")
    assert not unused.is_new
    changed = load_params(project.root / "params" / "toy.yml", ["accuracy.seed=8"])
    plan = make_plan(make_setup(project, changed))
    assert plan.to_run == ["count", "advise"]
    assert "parameter accuracy.seed: 7 -> 8" in plan["count"].reason
    result, _ = run(project, "accuracy.seed=8")
    # The new table is the old one to the byte, so the stage that reads it needn't run after all.
    assert statuses(result) == {"count": "done", "advise": "reused"}
    assert read_run(result.run)["certificate"]["is_complete"]


def test_changed_notebook_reruns_and_its_new_data_travels_on(project: Project) -> None:
    """A notebook is part of its stage's key, and new data makes what reads it run."""
    run(project)
    write_notebook(project.root / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=4))
    result, said = run(project)
    assert statuses(result) == {"count": "done", "advise": "done"}
    assert any("count: runs - notebook changed" in line for line in said)
    assert any("advise: runs - table funding changed" in line for line in said)


def test_damaged_result_is_made_again(project: Project) -> None:
    """A stored table whose bytes have changed isn't reused."""
    first, _ = run(project)
    with first.run.table("funding").open("ab") as file:
        file.write(b"x")
    result, said = run(project)
    assert result.is_new
    assert any("damaged or gone" in line for line in said)
    assert statuses(result)["count"] == "done"


def test_fresh_from_and_only(project: Project) -> None:
    """`--fresh` reuses nothing, `--from` redoes a stage, `--only` runs no other."""
    run(project)
    fresh, _ = run(project, order=Order(is_fresh=True))
    assert statuses(fresh) == {"count": "done", "advise": "done"}
    redone, _ = run(project, order=Order(redo=frozenset({"advise"})))
    assert statuses(redone) == {"count": "reused", "advise": "done"}
    only, _ = run(project, "accuracy.seed=9", order=Order(wanted=frozenset({"advise"})))
    assert statuses(only) == {"count": "skipped", "advise": "blocked"}
    reason = read_run(only.run)["stages"]["advise"]["reason"]
    assert "run first, or with it: --only count" in reason


def test_a_stage_that_does_not_exist_is_refused_before_anything_is_made(project: Project) -> None:
    """Nobody waits for input to be made and then learns of a slip of the pen."""
    for order in (Order(redo=frozenset({"cook"})), Order(wanted=frozenset({"cook", "count"}))):
        with pytest.raises(ParameterError, match=r"there is no stage 'cook'(.|\n)*one of: count, advise"):
            run(project, order=order)
    assert not project.outputs.exists()


@pytest.mark.parametrize(
    ("cell", "said", "code"),
    [
        ("raise ValueError('no luck')", "no luck", 1),
        ("from sbir_toolkit.errors import InputError\nraise InputError('bad file')", "bad file", 2),
        ("pass", "didn't write the table 'funding'", 1),
    ],
)
def test_failed_stage_is_reported_and_holds_up_what_reads_it(
    project: Project, cell: str, said: str, code: int
) -> None:
    """Any error or a missing table: status, reason, exit code, alert, and dependants that are blocked."""
    write_notebook(project.root / "notebooks" / "count.ipynb", cell)
    result, _ = run(project)
    record = read_run(result.run)
    assert (record["status"], result.exit_code) == ("failed", code)
    assert statuses(result) == {"count": "failed", "advise": "blocked"}
    assert said in record["stages"]["count"]["reason"]
    assert not record["certificate"]["is_complete"]
    assert [gap["table"] for gap in record["certificate"]["missing"]] == ["funding", "recommendations"]
    assert any(alert["id"] == "stage:count:failed" for alert in record["alerts"])
    assert said in (result.run.path / "alerts.md").read_text()
    assert said in describe_status(result.run)
    took = duration(record["totals"]["elapsed_s"])
    assert describe_status(result.run).startswith(f"run {result.run.run_id}: failed in {took}\n")
    assert f"{result.run.run_id}  " in describe_runs(project)
    assert f" {took}" in describe_runs(project)


def test_a_run_killed_after_its_last_stage_is_resumed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose stages have ended but that isn't certified yet is interrupted, and isn't reused whole."""
    with monkeypatch.context() as killed:
        killed.setattr(start, "publish_run", lambda *_, **__: sys.exit("killed"))
        with pytest.raises(SystemExit, match="killed"):
            run(project)
    (folder,) = list_runs(project)
    assert read_json(folder.record)["status"] == "done"
    assert read_run(folder)["status"] == "interrupted"
    assert f"go on with: sbir-toolkit resume {folder.run_id}" in describe_status(folder)
    said: list[str] = []
    resumed = resume_pipeline(project, folder, say=said.append)
    assert resumed.exit_code == 0
    assert any(line.startswith("count: kept") for line in said)
    assert resumed.record["certificate"]["is_complete"]
    assert resumed.record["totals"]["elapsed_s"] > 0
    assert read_run(folder)["status"] == "done"


def test_mended_run_is_resumed_inside_itself(project: Project) -> None:
    """After a failure is mended, `resume` runs what is missing and keeps what is done."""
    good = (project.root / "notebooks" / "advise.ipynb").read_text()
    write_notebook(project.root / "notebooks" / "advise.ipynb", "raise ValueError")
    failed, _ = run(project)
    assert statuses(failed) == {"count": "done", "advise": "failed"}
    (project.root / "notebooks" / "advise.ipynb").write_text(good)
    said: list[str] = []
    resumed = resume_pipeline(project, failed.run, say=said.append)
    assert (resumed.exit_code, resumed.run.run_id) == (0, failed.run.run_id)
    assert any(line.startswith("count: kept") for line in said)
    assert statuses(resumed) == {"count": "done", "advise": "done"}
    assert resume_pipeline(project, failed.run, say=said.append).exit_code == 0
    assert "nothing to resume" in said[-1]


def test_killed_kernel_is_seen_as_killed(project: Project) -> None:
    """The stage died, with signal and memory; its notebook doesn't claim that its cells completed."""
    write_notebook(
        project.root / "notebooks" / "count.ipynb",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "print('never')",
    )
    result, _ = run(project)
    facts = read_run(result.run)["stages"]["count"]
    assert facts["status"] == "died"
    assert "kernel was killed by SIGKILL; its processes held at most" in facts["reason"]
    cells = json.loads(result.run.notebook("count.ipynb").read_text())["cells"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells][-2:] == ["died", "not run"]
    assert result.exit_code == 1


def test_stage_that_takes_too_long_is_stopped(project: Project) -> None:
    """`pipeline.stage_timeout_s` ends a stage and everything it started."""
    write_notebook(project.root / "notebooks" / "count.ipynb", "import time\ntime.sleep(60)")
    started = time.monotonic()
    result, _ = run(project, "pipeline.stage_timeout_s=5")
    assert time.monotonic() - started < 30
    assert "pipeline.stage_timeout_s = 5 s" in read_run(result.run)["stages"]["count"]["reason"]
    assert statuses(result)["count"] == "died"


SLEEPER = """
from pathlib import Path
import time
Path("{flag}").touch()
time.sleep({seconds})
"""


def start_runner(project: Project, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sbir_toolkit.cli", *(words or ("run", "params/toy.yml"))]
    return subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_runner_leaves_the_truth_behind_and_can_be_resumed(
    project: Project, tmp_path: Path, number: signal.Signals
) -> None:
    """Others are refused while it runs; after the kill nothing runs on, status knows, resume ends it."""
    flag = tmp_path / "started"
    write_notebook(
        project.root / "notebooks" / "advise.ipynb",
        SLEEPER.format(flag=flag, seconds="0 if Path('" + str(tmp_path / "go") + "').exists() else 60"),
        RECOMMENDS.format(name="advise"),
    )
    runner = start_runner(project)
    wait_for(flag.exists, "the second stage starts")
    folder = open_run(project)
    assert read_run(folder)["status"] == "running"
    assert "advise             running" in describe_status(folder)
    with pytest.raises(BusyError, match=str(runner.pid)):
        resume_pipeline(project, folder, say=lambda line: None)
    below = psutil.Process(runner.pid).children(recursive=True)
    assert len(below) >= 2
    os.kill(runner.pid, number)
    runner.wait()
    _, alive = psutil.wait_procs(below, timeout=15)
    assert not alive
    record = read_run(folder)
    assert record["status"] == "interrupted"
    assert record["stages"]["count"]["status"] == "done"
    assert (
        record["stages"]["advise"]["status"]
        == {signal.SIGKILL: "died", signal.SIGTERM: "interrupted"}[number]
    )
    assert f"go on with: sbir-toolkit resume {folder.run_id}" in describe_status(folder)
    assert "interrupted" in describe_runs(project)
    (tmp_path / "go").touch()
    resumed = resume_pipeline(project, folder, say=lambda line: None)
    assert resumed.exit_code == 0
    assert statuses(resumed) == {"count": "done", "advise": "done"}
    assert len([line for line in read_lines(folder.events) if line["kind"] == "run"]) == 2


def test_two_runs_at_once_do_not_disturb_each_other(project: Project) -> None:
    """Both end well, each in a folder of its own, and the index knows both."""
    results: list[RunResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(run(project, order=Order(is_fresh=True))[0]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.exit_code for result in results] == [0, 0]
    assert len({result.run.run_id for result in results}) == 2
    index = (project.outputs / "index.html").read_text()
    assert all(result.run.run_id in index for result in results)


def test_run_ids_and_locks(project: Project) -> None:
    """A chosen id is used once; an unknown one is refused; the newest run is the default."""
    params = load_params(project.root / "params" / "toy.yml")
    result = run_pipeline(project, params, run_id="mine", say=lambda line: None)
    assert result.run.run_id == "mine"
    with pytest.raises(ParameterError, match="'mine' already"):
        run_pipeline(project, params, run_id="mine", say=lambda line: None)
    with pytest.raises(ParameterError, match="there is no run 'yours'"):
        open_run(project, "yours")
    assert open_run(project).run_id == open_run(project, "latest").run_id == "mine"
    assert open_run(project, str(project.outputs / "latest")).run_id == "mine"
    with owning(result.run), pytest.raises(BusyError), owning(result.run):
        pass
    assert [folder.run_id for folder in list_runs(project)] == ["mine"]
    assert read_json(result.run.record)["params_digest"].startswith("sha256:")


def test_resume_refuses_an_input_that_changed(project: Project, tmp_path: Path) -> None:
    """Half a run on one file and half on another would be no run at all."""
    for name in ("awards", "recipients"):
        (tmp_path / f"{name}.csv").write_text("old")
    stages: dict[str, dict[str, object]] = {
        "count": {"inputs": ["awards"], "writes": ["funding"]},
        "advise": {"reads": ["funding"], "writes": ["recommendations"]},
    }
    write_notebook(tmp_path / "notebooks" / "advise.ipynb", "raise ValueError")
    paths = {name: {"path": f"{name}.csv"} for name in ("awards", "recipients")}
    project = make_project(tmp_path, stages, **paths)
    failed, _ = run(project)
    assert failed.exit_code == 1
    (tmp_path / "awards.csv").write_text("new")
    with pytest.raises(ParameterError, match="'awards' has changed"):
        resume_pipeline(project, failed.run, say=lambda line: None)
