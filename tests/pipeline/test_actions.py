"""What a failed gate leads to: each action in a real run of a small pipeline, and who may overrule it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sbir_toolkit.errors import ParameterError, PipelineError
from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.past import accepted_metrics, failing_since, is_accepted, keep_accepted
from sbir_toolkit.pipeline.plan import make_plan
from sbir_toolkit.pipeline.progress import describe_end
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, read_run
from sbir_toolkit.pipeline.setup import make_setup
from sbir_toolkit.pipeline.start import RunResult, run_pipeline
from sbir_toolkit.storage import read_marks
from sbir_toolkit.tables import METRIC_HISTORY, METRICS

from .toy import make_project, write_notebook

OPEN = """
import pandas as pd
import sbir_toolkit as sbir
from sbir_toolkit.tables import ACCURACY, ENRICHED_AWARDS
stage = sbir.open_stage("{name}", run_id, params_file)
"""
# Ten awards: four matched; one repeats another.
PREPARE = """
rows = [{"award_id": str(n), "source_row": n, "source_line": n, "company": "ACME", "agency": "A",
         "award_year": 2020, "award_usd": 1.0, "phase": "I", "program": "SBIR", "is_duplicate": n == 3,
         "decision": "accept" if n <= 4 else "reject", "match_probability": 0.9} for n in range(1, 11)]
stage.write(enriched_awards=pd.DataFrame(rows, columns=ENRICHED_AWARDS.names))
"""
JUDGE = """
quality, past = stage.params.quality, stage.accepted_metrics()
metrics = sbir.measure_quality({"enriched_awards": stage.path("enriched_awards")}, {}, quality, past)
gates = sbir.evaluate_gates(metrics.table, quality.gates, past, quality.overrule)
stage.write(metrics=metrics.table, metric_history=past, gates=gates.table)
stage.record(**metrics.values())
sbir.release_awards(stage.path("enriched_awards"), gates, quality.gates, stage.folder)
"""
COUNT = 'stage.write(funding=sbir.summarize_funding(stage.path("released_awards")))'
BESIDE = "stage.write(accuracy=pd.DataFrame(columns=ACCURACY.names))"
WRITES = ["metrics", "metric_history", "gates", "released_awards", "quarantined_awards"]
STAGES: dict[str, dict[str, Any]] = {
    "prepare": {"writes": ["enriched_awards"]},
    "judge": {
        "reads": ["enriched_awards"],
        "writes": WRITES,
        "uses": ["quality"],
        "conserves": ["enriched_awards = released_awards + quarantined_awards"],
    },
    "count": {"reads": ["released_awards"], "writes": ["funding"], "needs_gates": True},
    "beside": {"reads": ["metrics"], "writes": ["accuracy"]},
    "repair": {"after": ["judge"], "when": {"match_rate": ["fail"]}, "writes": ["recommendations"]},
}
SILENT = {name: {"action": "continue"} for name in Params().quality.gates}
CELLS = {"prepare": PREPARE, "judge": JUDGE, "count": COUNT, "beside": BESIDE}


def make_toy(folder: Path, *, without: tuple[str, ...] = ()) -> Project:
    """Write a pipeline whose default gates, most of which nobody measures here, lead to nothing."""
    stages = {name: dict(stage) for name, stage in STAGES.items() if name not in without}
    for name, cell in CELLS.items():
        write_notebook(folder / "notebooks" / f"{name}.ipynb", OPEN.format(name=name), cell, "stage.finish()")
    synthetic = {"awards": 20, "recipients": 50}
    return make_project(folder, stages, quality={"gates": SILENT}, synthetic=synthetic)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_toy(tmp_path_factory.mktemp("actions"), without=("repair",))


def run(project: Project, *overrides: str) -> tuple[RunResult, dict[str, Any], list[str]]:
    said: list[str] = []
    params = load_params(project.root / "params" / "toy.yml", overrides)
    result = run_pipeline(project, params, say=said.append)
    return result, read_run(result.run), said


def statuses(record: dict[str, Any]) -> dict[str, str]:
    return {name: facts["status"] for name, facts in record["stages"].items()}


def log_of(record: dict[str, Any], stage: str | None) -> dict[str, Any]:
    return next(entry for entry in record["decisions"] if entry["stage"] == stage)


def report_of(result: RunResult, stage: str) -> str:
    return result.run.report(f"{stage}.ipynb").read_text()


def ids(path: Path) -> list[str]:
    return list(pq.read_table(path)["award_id"].to_pylist())


def test_quarantine_and_degrade_let_the_rest_go_on(project: Project) -> None:
    """Failing awards are set aside, each once; what comes after bears the other gate's mark, everywhere."""
    result, record, _ = run(
        project,
        "quality.gates.duplicate_awards.action=quarantine",
        "quality.gates.match_rate.action=degrade",
    )
    assert (result.exit_code, record["status"]) == (0, "done")
    assert set(statuses(record).values()) == {"done"}
    assert ids(result.run.table("quarantined_awards")) == ["3"]
    assert ids(result.run.table("released_awards")) == [str(n) for n in range(1, 11) if n != 3]
    funding = pq.read_table(result.run.table("funding")).to_pandas()
    assert funding.loc[funding["dimension"] == "year", "awards"].sum() == 9
    mark = "gate match_rate failed: match_rate is 40 % (4 of 10), below 50 %"
    assert (
        read_marks(result.run.table("released_awards")) == read_marks(result.run.table("funding")) == [mark]
    )
    assert read_marks(result.run.table("enriched_awards")) == []
    certificate = record["certificate"]
    assert certificate["is_complete"]
    assert (certificate["degraded"], certificate["quarantined"]) == ([mark], ["duplicate_awards"])
    for stage in ("judge", "count", "beside"):
        assert f"Degraded: {mark}." in report_of(result, stage)
    assert {"gate:match_rate", "gate:duplicate_awards"} <= {alert["id"] for alert in record["alerts"]}
    assert log_of(record, "count")["outcome"] == "ran"
    assert not is_accepted(record)


def test_block_names_its_stages_and_leaves_nothing_fresh_looking(project: Project) -> None:
    """Only the named stage is held up, with exit code 3; the log says by what and since which run."""
    options = ("quality.gates.match_rate.action=block", "quality.gates.match_rate.blocks=[count]")
    result, record, said = run(project, *options)
    first = result.run.run_id
    assert (result.exit_code, record["status"]) == (3, "blocked")
    assert statuses(record)["count"] == "blocked"
    assert statuses(record)["beside"] in {"done", "reused"}
    assert not result.run.table("funding").exists()
    assert not result.run.report("count.ipynb").exists()
    assert not result.run.notebook("count.ipynb").exists()
    assert [gap["table"] for gap in record["certificate"]["missing"]] == ["funding"]
    entry = log_of(record, "count")
    assert (entry["outcome"], entry["gate"], entry["value"]) == ("blocked", "match_rate", 0.4)
    assert entry["threshold"] == "warn below 70 %, fail below 50 %"
    assert "Not run because of this: count." in report_of(result, "judge")
    assert "count: blocked" in "\n".join(said)
    assert '-p quality.overrule.match_rate="who: why"' in describe_end(result.run, record)
    plan = make_plan(make_setup(project, load_params(project.root / "params" / "toy.yml", options)))
    assert plan["count"].action == "blocked"
    again, record, _ = run(project, *options, "quality.gates.duplicate_awards.fail_above=0.06")
    assert again.run.run_id != first
    # The first run of all measured this failure already, whatever followed from it then.
    since = log_of(record, "count")["since"]
    assert since is not None and since <= first


def test_block_without_names_holds_up_those_that_ask(project: Project) -> None:
    """A stage that asks for the gates is blocked; one that only reads the metrics isn't."""
    result, record, _ = run(project, "quality.gates.match_rate.action=block")
    assert result.exit_code == 3
    assert (statuses(record)["count"], statuses(record)["beside"]) == ("blocked", "reused")


def test_stop_runs_nothing_more(project: Project) -> None:
    """Every stage that hasn't begun is blocked by the gate, also one that asked for none."""
    result, record, _ = run(project, "quality.gates.match_rate.action=stop")
    assert (result.exit_code, record["status"]) == (3, "stopped")
    assert (statuses(record)["count"], statuses(record)["beside"]) == ("blocked", "blocked")
    assert log_of(record, "beside")["gate"] == "match_rate"
    assert not result.run.table("accuracy").exists()
    assert any(alert["id"] == "gate:match_rate" for alert in record["alerts"])


def test_overruled_gate_lets_the_run_pass_and_is_named_everywhere(project: Project) -> None:
    """Who and why stand in gates, log, certificate and on top of each report, also of a reused one."""
    word = "Ada Lovelace: the agency is late, known since May"
    result, record, said = run(
        project, "quality.gates.match_rate.action=stop", f"quality.overrule.match_rate={word}"
    )
    assert (result.exit_code, record["status"]) == (0, "done")
    gate = next(row for row in record["gates"] if row["gate"] == "match_rate")
    assert (gate["verdict"], gate["action"], gate["overruled"]) == ("fail", "continue", word)
    assert [told["overruled"] for told in record["certificate"]["overruled"]] == [word]
    assert log_of(record, None)["overruled"] == word
    assert statuses(record)["prepare"] == "reused"
    for stage in ("prepare", "judge", "count", "beside"):
        assert f"overruled by {word}" in report_of(result, stage)
    assert any(f"overruled by {word}" in line for line in said)
    after, record, _ = run(project, "quality.gates.match_rate.action=degrade")
    assert word not in report_of(after, "prepare")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("quality.overrule.match_rate=because", "who: why"),
        ("quality.overrule.match_rate=: no name", "who: why"),
        ("quality.overrule.match_rate=Ada:", "who: why"),
        ("quality.overrule.match_rate=", "who: why"),
        ("quality.overrule.luck=Ada: why not", "there is no gate 'luck' to overrule"),
    ],
)
def test_overrule_without_a_name_a_reason_or_a_gate_is_refused(override: str, said: str) -> None:
    """Nobody overrules anonymously, without a reason, or what isn't there."""
    with pytest.raises(ParameterError, match=said):
        load_params(overrides=[override])


def test_condition_on_verdicts(tmp_path: Path) -> None:
    """A stage with `when` runs on the verdicts it names, else it is skipped, and nothing is missed."""
    project = make_toy(tmp_path, without=("count", "beside"))
    write_notebook(tmp_path / "notebooks" / "repair.ipynb", "raise ValueError('it runs')")
    result, record, _ = run(project)
    assert statuses(record)["repair"] == "failed"
    result, record, _ = run(project, "quality.gates.match_rate.fail_below=0.3")
    assert (result.exit_code, record["status"], statuses(record)["repair"]) == (0, "done", "skipped")
    assert record["certificate"]["is_complete"]
    entry = log_of(record, "repair")
    assert (entry["outcome"], entry["gate"]) == ("skipped", "match_rate")
    assert "runs only on fail" in entry["why"]


@pytest.mark.parametrize(
    ("stage", "override", "said"),
    [
        ({"needs_gates": ["luck"]}, "name=toy", "there is no gate 'luck'"),
        ({"when": {"luck": ["pass"]}}, "name=toy", "there is no gate 'luck'"),
        ({"when": {"match_rate": ["good"]}}, "name=toy", "there is no verdict 'good'"),
        (
            {},
            "quality.gates.match_rate={action: block, blocks: [cook]}",
            "a gate blocks the stage 'cook', which isn't there",
        ),
        ({}, "quality.gates.match_rate={action: block, blocks: [prepare]}", "in a circle"),
    ],
)
def test_conditions_that_can_never_be_met_are_refused(
    tmp_path: Path, stage: dict[str, Any], override: str, said: str
) -> None:
    """Gates, verdicts and stages that don't exist, or that come too early, are named before anything runs."""
    project = make_toy(tmp_path, without=("repair", "beside"))
    make_project(tmp_path, {**{n: dict(STAGES[n]) for n in ("prepare", "judge")}, "last": {**stage}})
    with pytest.raises(PipelineError, match=said):
        make_setup(project, load_params(project.root / "params" / "toy.yml", [override]))


def record_of(run_id: str, created: float, verdict: str, *, overruled: str | None = None) -> dict[str, Any]:
    gate = {"gate": "match_rate", "verdict": verdict, "overruled": overruled}
    return {"run_id": run_id, "name": "toy", "created": created, "status": "done", "gates": [gate]}


def test_only_accepted_runs_become_history(tmp_path: Path) -> None:
    """Failed runs are left out, the same data count once, and a run sees what was before it."""
    project = Project(tmp_path, tmp_path / "outputs")
    for number, (verdict, overruled, value) in enumerate(
        [
            ("pass", None, 0.8),
            ("fail", None, 0.1),
            ("warn", None, 0.7),
            ("fail", "Ada: so be it", 0.6),
            ("pass", None, 0.8),
        ]
    ):
        folder = RunFolder(project.runs / f"run-{number}")
        folder.table("metrics").parent.mkdir(parents=True)
        row = {"metric": ["match_rate"], "slice": ["all"], "value": [value], "numerator": [value * 10]}
        table = METRICS.arrow(pq_frame({**row, "denominator": [10.0], "unit": ["share"]}))
        pq.write_table(table, folder.table("metrics"))
        record = record_of(folder.run_id, float(number), verdict, overruled=overruled)
        keep_accepted(project, folder, record, "toy")
    past = METRIC_HISTORY.check(accepted_metrics(project, "toy"))
    assert list(zip(past["run_id"], past["value"], strict=True)) == [
        ("run-2", 0.7),
        ("run-3", 0.6),
        ("run-4", 0.8),
    ]
    assert accepted_metrics(project, "toy", before=3.0)["run_id"].tolist() == ["run-2"]
    assert METRIC_HISTORY.check(accepted_metrics(project, "other")).empty


def pq_frame(values: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.DataFrame(values).assign(low=float("nan"), high=float("nan"))


def test_since_when_a_gate_has_been_failing() -> None:
    """Back to the first failure without a pass between; runs that didn't judge the gate don't count."""
    now = record_of("now", 5.0, "fail")
    unjudged = {**record_of("x", 3.5, "fail"), "gates": []}
    earlier = [
        record_of("d", 4.0, "fail"),
        unjudged,
        record_of("c", 3.0, "fail"),
        record_of("b", 2.0, "pass"),
    ]
    assert failing_since("match_rate", now, [*earlier, record_of("a", 1.0, "fail")]) == "c"
    assert failing_since("match_rate", now, []) == "now"
