"""People's decisions are an input of the pipeline, and lists for them to fill in an output."""

from __future__ import annotations

from pathlib import Path

from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline.conduct import Order
from sbir_toolkit.pipeline.plan import make_plan
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import read_run
from sbir_toolkit.pipeline.setup import make_setup
from sbir_toolkit.pipeline.start import RunResult, run_pipeline

from .toy import FUNDING, RECOMMENDS, make_project, write_notebook

KINDS = ("used", "unused", "same", "different", "other")
LISTS = """
import sbir_toolkit as sbir

stage = sbir.open_stage("count", run_id, params_file)
stage.reports.mkdir(exist_ok=True)
_ = (stage.reports / "list.txt").write_text("for people")
kinds = ("used", "unused", "same", "different", "other")
stage.record(**{f"overrides_{kind}": 3 for kind in kinds})
stage.record(parts=[{"part": "part-a", "companies": 7, "digest": "sha256:abc"}])
print(stage.params.matching.overrides)
"""


def run(project: Project, *overrides: str, order: Order | None = None) -> RunResult:
    params = load_params(project.root / "params" / "toy.yml", overrides)
    return run_pipeline(project, params, order=order, say=lambda line: None)


def test_overrides_are_an_input_and_lists_for_people_an_output(tmp_path: Path) -> None:
    """Another content reruns the stage, another name doesn't; a reused stage brings its list along."""
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3), LISTS)
    write_notebook(tmp_path / "notebooks" / "advise.ipynb", RECOMMENDS.format(name="advise"))
    count = {"inputs": ["overrides"], "writes": ["funding"], "uses": ["matching"], "files": ["list.txt"]}
    advise = {"reads": ["funding"], "writes": ["recommendations"]}
    project = make_project(
        tmp_path, {"count": count, "advise": advise}, synthetic={"awards": 20, "recipients": 50}
    )
    first = run(project)
    assert (first.run.path / "reports" / "list.txt").read_text() == "for people"
    page = (first.run.path / "index.html").read_text()
    assert 'href="reports/list.txt"' in page
    assert "3 of these decisions are in force, 3 found nothing to decide" in page
    assert read_run(first.run)["certificate"]["overrides"] == dict.fromkeys(KINDS, 3)
    part = {"stage": "count", "part": "part-a", "companies": 7, "digest": "sha256:abc"}
    assert read_run(first.run)["certificate"]["parts"] == [part]
    assert "Put together from 1 committed part(s)" in page
    assert "overrides" not in read_run(first.run)["inputs"]

    (tmp_path / "filled.csv").write_text("decision,who,why,company\n")
    named = load_params(project.root / "params" / "toy.yml", ["matching.overrides=null"])
    changed = named.model_copy(
        update={"matching": named.matching.model_copy(update={"overrides": "filled.csv"})}
    )
    plan = make_plan(make_setup(project, changed))
    assert plan.to_run == ["count", "advise"]
    assert plan["count"].reason == "input overrides changed"
    second = run(project, f"matching.overrides={tmp_path / 'filled.csv'}")
    assert second.is_new
    assert read_run(second.run)["inputs"]["overrides"]["path"] == str(tmp_path / "filled.csv")

    (tmp_path / "filled.csv").rename(tmp_path / "renamed.csv")
    assert not run(project, f"matching.overrides={tmp_path / 'renamed.csv'}").is_new
    again = run(
        project, f"matching.overrides={tmp_path / 'renamed.csv'}", order=Order(redo=frozenset({"advise"}))
    )
    assert read_run(again.run)["stages"]["count"]["status"] == "reused"
    assert (again.run.path / "reports" / "list.txt").exists()


def test_a_list_that_was_not_written_fails_its_stage(tmp_path: Path) -> None:
    """What a stage declares for people must be there."""
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3))
    project = make_project(tmp_path, {"count": {"writes": ["funding"], "files": ["list.txt"]}})
    result = run(project)
    assert result.exit_code == 1
    assert "didn't write the file 'list.txt'" in read_run(result.run)["stages"]["count"]["reason"]
