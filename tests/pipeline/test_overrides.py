"""People's decisions are an input of the pipeline, and lists for them to fill in an output."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbir_toolkit.errors import InputError
from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline.conduct import Order
from sbir_toolkit.pipeline.plan import make_plan
from sbir_toolkit.pipeline.progress import describe_end, describe_status
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import list_runs, read_run
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


def test_unfinished_lists_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """All rows that lack something are named at once; no run is begun that could only fail."""
    count: dict[str, object] = {"inputs": ["overrides", "labels"], "writes": ["funding"]}
    project = make_project(tmp_path, {"count": count}, synthetic={"awards": 20, "recipients": 50})
    rows = ["same,,,A,r1", "same,Ann,asked,B,r2", ",,,C,r3", "different,Ann,,D,r4", *["same,,x,E,r5"] * 9]
    (tmp_path / "filled.csv").write_text("decision,who,why,company,recipient_id\n" + "\n".join(rows))
    with pytest.raises(InputError, match="11 decided row") as refused:
        run(project, f"matching.overrides={tmp_path / 'filled.csv'}")
    said = str(refused.value)
    assert "row 2 (A: same) lacks who and why; row 5 (D: different) lacks why; row 6 (E: same)" in said
    assert said.count("(E: same)") == 6
    assert "3 more" in said
    assert refused.value.rows is not None
    assert len(refused.value.rows) == 11
    (tmp_path / "labels.csv").write_text("key,same,who,note\nnothing,yes,Ann,\n")
    with pytest.raises(InputError, match=r"row\(s\) of the labels can't be used"):
        run(project, f"accuracy.labels={tmp_path / 'labels.csv'}")
    assert not list_runs(project)


def test_a_stage_that_refuses_an_input_says_to_mend_it(tmp_path: Path) -> None:
    """Resuming would refuse the mended input, so that isn't what is advised."""
    refuse = (
        "from sbir_toolkit.errors import InputError\nraise InputError('two overrides contradict each other')"
    )
    write_notebook(tmp_path / "notebooks" / "count.ipynb", refuse)
    project = make_project(tmp_path, {"count": {"writes": ["funding"]}})
    result = run(project)
    assert result.exit_code == 2
    for said in (describe_status(result.run), describe_end(result.run, result.record)):
        assert "mend the input and run again" in said
        assert "resume" not in said
