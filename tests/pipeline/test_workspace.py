"""A notebook opened by itself finds what it needs, or says which notebook makes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import papermill
import pytest

from sbir_toolkit import open_stage
from sbir_toolkit.errors import ContractError, GateError, InputError, ParameterError
from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.project import Project, find_project
from sbir_toolkit.pipeline.start import run_pipeline
from sbir_toolkit.storage import digest_file

from .toy import FUNDING, RECOMMENDS, make_project, write_notebook


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3))
    write_notebook(tmp_path / "notebooks" / "advise.ipynb", RECOMMENDS.format(name="advise"))
    stages: dict[str, dict[str, object]] = {
        "count": {"writes": ["funding"], "uses": ["accuracy.seed"]},
        "advise": {"reads": ["funding"], "writes": ["recommendations"]},
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SBIR_OUTPUTS", raising=False)
    return make_project(tmp_path, stages)


def test_plain_papermill_runs_the_notebooks_one_by_one(project: Project) -> None:
    """From the project's folder or from `notebooks/`, each reads what the one before left."""
    notebooks = project.root / "notebooks"
    for name, folder in (("count", project.root), ("advise", notebooks)):
        papermill.execute_notebook(
            notebooks / f"{name}.ipynb", project.root / "out.ipynb", cwd=folder, progress_bar=False
        )
    stage = open_stage("advise", params_file="params/toy.yml")
    assert stage.read("funding")["awards"].tolist() == [3]
    assert "opened by itself" in repr(stage)


def test_missing_table_is_named_with_the_notebook_that_makes_it(project: Project) -> None:
    """Nobody has run `count` yet, or not with these parameters."""
    with pytest.raises(InputError, match=r"run count\.ipynb first"):
        open_stage("advise", params_file="params/toy.yml").read("funding")
    run_pipeline(project, load_params(project.root / "params" / "toy.yml"), say=lambda line: None)
    assert len(open_stage("advise", params_file="params/toy.yml").read("funding")) == 1
    (project.root / "params" / "toy.yml").write_text("name: toy\naccuracy: {seed: 8}\n")
    with pytest.raises(InputError, match=r"run count\.ipynb first"):
        open_stage("advise", params_file="params/toy.yml").read("funding")


def test_run_that_has_ended_is_read_and_left_alone(project: Project) -> None:
    """Opened on it, a notebook reads its tables with its parameters; what it writes goes elsewhere."""
    params = load_params(project.root / "params" / "toy.yml", ["accuracy.seed=11"])
    result = run_pipeline(project, params, run_id="ended", say=lambda line: None)
    before = digest_file(result.run.table("funding"))
    stage = open_stage("count", "ended", "params/toy.yml")
    assert stage.params.accuracy.seed == 11
    stage.write(funding=load_frame())
    assert digest_file(result.run.table("funding")) == before
    assert stage.path("funding").parent.parent.name == "lab-ended"
    assert "stays as it is" in repr(stage)
    assert len(open_stage("advise", "ended", "params/toy.yml").read("funding")) == 1


def test_gates_are_asked_also_by_hand(project: Project) -> None:
    """A stage that needs the gates doesn't open while they hold it up, and says how to let it pass."""
    values = {"metric": ["match_rate"], "slice": ["all"], "value": [0.1], "low": [None], "high": [None]}
    metrics = pd.DataFrame({**values, "numerator": [1.0], "denominator": [10.0], "unit": ["share"]})
    gates = {name: {"action": "continue"} for name in Params().quality.gates if name != "match_rate"}
    stages: dict[str, dict[str, object]] = {
        "measure": {"writes": ["metrics"]},
        "judge": {"reads": ["metrics"], "writes": ["gates"]},
        "find": {"reads": ["metrics"], "needs_gates": True},
    }
    project = make_project(project.root, stages, quality={"gates": gates})
    measure = open_stage("measure", params_file="params/toy.yml")
    measure.write(metrics=metrics)
    measure.finish()
    with pytest.raises(GateError, match=r"-p quality\.overrule\.match_rate=.who: why., or"):
        open_stage("find", params_file="params/toy.yml")
    project = make_project(
        project.root, stages, quality={"gates": {**gates, "match_rate": {"fail_below": 0.05}}}
    )
    assert "find" in repr(open_stage("find", params_file="params/toy.yml"))


def test_stage_refuses_what_breaks_its_contract(project: Project) -> None:
    """A wrong frame isn't written, and a stage that wrote nothing isn't finished."""
    stage = open_stage("count", params_file="params/toy.yml")
    with pytest.raises(ContractError, match="wrong columns"):
        stage.write(funding=load_frame().drop(columns="awards"))
    with pytest.raises(ContractError, match="didn't write the table 'funding'"):
        stage.finish()
    stage.write(funding=load_frame())
    assert "funding: 1 rows" in repr(stage.finish())


def load_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dimension": ["year"],
            "value": ["2000"],
            "awards": [1],
            "matched_awards": [1],
            "awards_usd": [1.0],
            "matched_usd": [1.0],
        }
    )


def test_unknown_names_are_refused(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A run, a parameters file or a project that isn't there is named."""
    with pytest.raises(ParameterError, match="there is no run 'gone'"):
        open_stage("count", "gone", "params/toy.yml")
    with pytest.raises(ParameterError, match=r"params/toy\.yml"):
        open_stage("count", params_file="params/gone.yml")
    with pytest.raises(ParameterError, match="isn't in a project"):
        find_project(start=tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(ParameterError, match=r"outputs can't be written(.|\n)* is no folder"):
        find_project(Path(__file__) / "below", Path(__file__).parent)


def test_command_line_says_errors_plainly(project: Project) -> None:
    """No traceback; the exit code of bad parameters."""
    for words, said in (
        (["run", "params/gone.yml"], "there is no such parameters file"),
        (["run", "params/toy.yml", "-p", "luck=1"], "there is no parameter 'luck'"),
        (["run", "params/toy.yml", "--only", "cook"], "there is no stage 'cook'"),
        (["status", "gone"], "there is no run 'gone'"),
        (["resume"], "there is no run yet"),
        (["run", "params/toy.yml", "--run-id", "a/b"], "a run's id is the name of a folder"),
        (["run", "params/toy.yml", "-p", "quality.gates.luck.fail_below=1"], "there is no gate 'luck'"),
        (["match", "gone.csv", "gone.csv", "-o", "x.parquet"], "the file doesn't exist"),
        (["match", ".", "gone.csv", "-o", "x.parquet"], "this is a folder"),
        (["match", "gone.csv", "gone.csv", "-o", "x.csv"], "a name that ends in .parquet"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sbir_toolkit.cli", *words],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert said in done.stderr
