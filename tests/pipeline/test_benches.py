"""`bench` keeps what it measures, compares it with what was kept, and ends with 4 on a regression."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sbir_toolkit import Params
from sbir_toolkit.cli import main
from sbir_toolkit.errors import ParameterError, StageError
from sbir_toolkit.meter import STAGE_VARIABLE
from sbir_toolkit.meter.proc import KNOWS_QUEUES
from sbir_toolkit.performance import History, Patience
from sbir_toolkit.pipeline import workload as child_module
from sbir_toolkit.pipeline.benches import run_bench
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.repeats import Version, warm_up_both
from sbir_toolkit.pipeline.workload import Workload, do_work

from .toy import make_project

TINY = Workload("tiny", 30, 60)
PATIENCE = Patience(screening=6, longest_screening=6, looks=(10,))
# A workload that takes no time and says that it took some.
PRETENCE = """
import json, random, sys, time
job, slow, now = json.load(open(sys.argv[2])), float(sys.argv[1]), time.time()
draw = random.Random(now)
stages, events, at = {}, [], now
for stage, phase, cost in (("load", "read", 1.0), ("match", "score", 2.0 * slow)):
    cost *= draw.gauss(1, 0.01)
    used = {"elapsed_s": cost, "cpu_s": cost}
    stages[stage] = {"status": "done", "started": at, "rows_in": 9, "peak_bytes": 9, "read_bytes": 1,
                     "written_bytes": 1, **used}
    events.append({"at": at + cost, "kind": "phase", "stage": stage, "phase": phase, "started": at, **used})
    at += cost
json.dump(stages, open(job["outcome"], "w"))
open(job["events"], "w").write("".join(json.dumps(event) + "\\n" for event in events))
"""


def pretend(slow: float) -> list[str]:
    return [sys.executable, "-S", "-c", PRETENCE, str(slow)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that nothing was measured in yet, and a calibration that takes no time."""
    project = make_project(tmp_path, {"match": {"writes": ["funding"]}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SBIR_OUTPUTS", str(project.outputs))
    monkeypatch.setattr("sbir_toolkit.pipeline.repeats.calibrate", lambda: 0.03)
    return project


def test_a_slow_down_is_found_kept_and_accepted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The first benchmark is the baseline, the second is slower, and a person makes that the new baseline."""
    told = {"say": lambda _line: None, "patience": PATIENCE}
    first = run_bench(project, Params(), TINY, child=pretend(1.0), **told)
    assert first.verdict == "unknown"
    slow = run_bench(project, Params(), TINY, child=pretend(1.2), **told)
    assert slow.verdict == "regression"
    assert slow.verdicts.regressions["id"].str.contains("match").all()
    assert "slowdown:match/score" in set(slow.verdicts.regressions["id"])
    assert "| match | score | time | +" in slow.to_markdown()
    assert [told.stage for told in slow.explained] == ["match"]
    history = History(project.history)
    assert history.benchmarks()["verdict"].tolist() == ["unknown", "regression"]
    assert len(history.runs()) == 6 + 16
    assert main(["history"]) == 0
    assert slow.benchmark in capsys.readouterr().out
    for regression in slow.verdicts.regressions["id"]:
        assert main(["accept", regression, "--run", slow.benchmark, "--why", "more checks"]) == 0
    again = run_bench(project, Params(), TINY, child=pretend(1.2), **told)
    assert again.verdict == "no change"


def test_bench_ends_with_4_on_a_regression(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI it prints Markdown, and its exit code says whether it got slower."""
    monkeypatch.setattr(child_module, "WORKLOADS", {"small": TINY})
    monkeypatch.setattr(run_bench, "__kwdefaults__", run_bench.__kwdefaults__ | {"child": pretend(1.0)})
    assert main(["bench", "small", "--ci"]) == 0
    assert "## Benchmark tiny: unknown" in capsys.readouterr().out
    monkeypatch.setattr(run_bench, "__kwdefaults__", run_bench.__kwdefaults__ | {"child": pretend(1.3)})
    assert main(["bench", "small"]) == 4
    assert "sbir-toolkit accept" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(project: Project) -> None:
    """A revision that git doesn't know and a workload that fails are named."""
    with pytest.raises(ParameterError, match="no-such-revision"):
        run_bench(project, Params(), TINY, against="no-such-revision", say=lambda _line: None)
    with pytest.raises(StageError, match="out of order"):
        broken = [sys.executable, "-S", "-c", "raise SystemExit('out of order')"]
        run_bench(project, Params(), TINY, child=broken, say=lambda _line: None)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The input of a very small workload."""
    asked = ["synth", tmp_path, "--awards", "60", "--recipients", "300"]
    subprocess.run([sys.executable, "-m", "sbir_toolkit.cli", *asked], check=True, stdout=subprocess.DEVNULL)
    return tmp_path / "awards.csv", tmp_path / "recipients.csv"


def test_the_workload_goes_through_the_stages(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One repeat, for real: every stage worked and says what it took."""
    monkeypatch.setenv(STAGE_VARIABLE, "")
    stages = do_work(*files, tmp_path)
    names = ["load_awards", "load_recipients", "match_recipients", "accuracy", "quality_gates"]
    assert list(stages) == ["start", *names]
    assert stages["load_awards"]["rows_in"] == 60
    for facts in stages.values():
        assert 0 < facts["cpu_s"] == facts["user_s"] + facts["system_s"]
        assert facts["peak_bytes"] > 10_000_000
        assert min(facts[name] or 0 for name in ("queued_s", "others_cpu_s", "written_bytes")) >= 0
    if KNOWS_QUEUES:
        assert stages["match_recipients"]["queued_s"] > 0


def test_what_comes_after_the_last_suspect_is_left_out(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A repeat does the stages up to the one that is asked about."""
    template = {"benchmark": "b", "role": "r", "name": "tiny"}
    version = Version(Path(__file__).parents[2], files, tmp_path, template, until="load_awards")
    assert list(version.measure().record["stages"]) == ["start", "load_awards"]


def test_repeats_of_warm_processes(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Forked from a process that has imported already, they do the same work; both are warm or none."""
    told = Path(__file__).parents[2], files, tmp_path, {"benchmark": "b", "role": "r", "name": "tiny"}
    able, unable = Version(*told), Version(*told, pretend(1.0))
    with able:
        assert able.warm_up()
        first, second = able.measure(), able.measure()
        files[0].unlink()
        with pytest.raises(StageError, match="exit code 1 in a fork"):
            able.measure()
        warm_up_both(able, unable)
        with pytest.raises(StageError, match="a readable file"):
            able.measure()
    assert unable.measure().record["name"] == "tiny"
    assert {first.record["name"], second.record["name"]} == {"tiny, in turns"}
    assert list(first.record["stages"]) == list(second.record["stages"])
    assert first.record["stages"]["start"]["cpu_s"] < 0.2
    assert {"score", "read"} <= set(first.figures["phase"]) & set(second.figures["phase"])
