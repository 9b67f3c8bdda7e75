"""Labels that a person gave are an input of the stage that measures accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbir_toolkit import open_stage
from sbir_toolkit.errors import InputError
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.keys import stage_key
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.setup import make_setup

from .toy import FUNDING, make_project, write_notebook


def labelled(project: Project, name: str | None) -> Params:
    """Make parameters that name a file of labels, and write them where the notebook finds them."""
    text = "null" if name is None else name
    (project.root / "params" / "toy.yml").write_text(
        f"name: toy\naccuracy: {{labels: {text}}}\nsynthetic: {{awards: 20, recipients: 50}}\n"
    )
    return Params.model_validate(
        {"name": "toy", "accuracy": {"labels": name}, "synthetic": {"awards": 20, "recipients": 50}}
    )


def test_labels_count_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another content makes another result, another name doesn't; a file that isn't there is named."""
    write_notebook(tmp_path / "notebooks" / "count.ipynb", FUNDING.format(name="count", awards=3))
    count: dict[str, object] = {"inputs": ["labels"], "writes": ["funding"], "uses": ["accuracy"]}
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SBIR_OUTPUTS", raising=False)
    project = make_project(tmp_path, {"count": count}, synthetic={"awards": 20, "recipients": 50})

    def key(name: str | None) -> str:
        setup = make_setup(project, labelled(project, name))
        return stage_key(setup.pipeline["count"], setup, {}, None).digest

    for name, text in (("one", "yes"), ("same", "yes"), ("other", "no")):
        (tmp_path / f"{name}.csv").write_text(text)
    assert key("one.csv") == key("same.csv")
    assert len({key(None), key("one.csv"), key("other.csv")}) == 3
    labelled(project, "one.csv")
    assert open_stage("count", params_file="params/toy.yml").labels == tmp_path / "one.csv"
    labelled(project, None)
    assert open_stage("count", params_file="params/toy.yml").labels is None
    with pytest.raises(InputError, match=r"the input 'labels' can't be read[\s\S]*accuracy\.labels=FILE"):
        make_setup(project, labelled(project, "nothing.csv"))
