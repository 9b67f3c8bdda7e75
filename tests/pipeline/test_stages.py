"""A declaration that can't work is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbir_toolkit.errors import PipelineError
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.stages import Pipeline, load_pipeline, notebook_parameters

from .toy import make_project, write_notebook

ROOT = Path(__file__).parents[2]


def load(folder: Path, stages: dict[str, dict[str, object]]) -> Pipeline:
    return load_pipeline(make_project(folder, stages).declaration, Params())


def test_the_shipped_pipeline_is_in_order() -> None:
    """Each stage of the project comes after those whose tables it reads."""
    pipeline = load_pipeline(ROOT / "notebooks" / "pipeline.yml", Params())
    assert len(pipeline.stages) == 8
    for position, stage in enumerate(pipeline.stages):
        assert set(pipeline.before(stage)) <= set(pipeline.names[:position])
    assert pipeline.before(pipeline["load_awards"]) == pipeline.before(pipeline["load_recipients"]) == []
    assert "findings" in pipeline.dependants("load_awards")


def test_order_follows_from_the_data_not_from_the_file(tmp_path: Path) -> None:
    """A stage declared first still runs after the one that makes what it reads."""
    pipeline = load(tmp_path, {"second": {"reads": ["funding"]}, "first": {"writes": ["funding"]}})
    assert pipeline.names == ["first", "second"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (
            {
                "a": {"reads": ["funding"], "writes": ["gates"]},
                "b": {"reads": ["gates"], "writes": ["funding"]},
            },
            "in a circle",
        ),
        ({"a": {"reads": ["funding"]}}, "no stage writes the table 'funding'"),
        (
            {"a": {"writes": ["funding"]}, "b": {"writes": ["funding"]}},
            "two stages write the table 'funding'",
        ),
        ({"a": {"writes": ["unheard_of"]}}, "has no contract"),
        ({"a": {"uses": ["matching.luck"]}}, "there is no parameter 'matching.luck'"),
        ({"a": {"inputs": ["matching"]}}, "there is no parameter 'matching.path'"),
        ({"a": {"after": ["b"]}}, "there is no stage 'b'"),
        ({"a": {"rooms": ["cellar"]}}, "there is no room 'cellar'"),
        ({"a": {"needs_gates": True}}, "no stage writes the table 'gates'"),
        ({"a": {"raeds": ["funding"]}}, "raeds"),
    ],
)
def test_mistakes_in_a_declaration_are_named(
    tmp_path: Path, stages: dict[str, dict[str, object]], said: str
) -> None:
    """Cycle, missing producer, two producers, unknown table, parameter, stage, room or key."""
    with pytest.raises(PipelineError, match=said):
        load(tmp_path, stages)


def test_notebook_must_take_the_parameters_it_is_given(tmp_path: Path) -> None:
    """A notebook without `run_id`, without a parameters cell, or that isn't there is refused."""
    write_notebook(tmp_path / "notebooks" / "a.ipynb", parameters='params_file = "x"')
    with pytest.raises(PipelineError, match="no run_id"):
        load(tmp_path, {"a": {}})
    with pytest.raises(PipelineError, match=r"gone\.ipynb"):
        notebook_parameters(tmp_path / "gone.ipynb")
    write_notebook(tmp_path / "computed.ipynb", parameters="run_id = str(1)")
    with pytest.raises(PipelineError, match="literals only"):
        notebook_parameters(tmp_path / "computed.ipynb")


def test_malformed_files_are_refused(tmp_path: Path) -> None:
    """Neither a missing, an empty nor a broken declaration gets as far as running."""
    project = make_project(tmp_path, {"a": {}})
    for content, said in (("", "malformed"), ("stages: [", "malformed"), ("stages: 3", "malformed")):
        project.declaration.write_text(content)
        with pytest.raises(PipelineError, match=said):
            load_pipeline(project.declaration, Params())
    project.declaration.unlink()
    with pytest.raises(PipelineError, match="can't be read"):
        load_pipeline(project.declaration, Params())
