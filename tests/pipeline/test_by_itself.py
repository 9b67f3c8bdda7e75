"""Each of the project's notebooks can be opened by itself after a run, on what that run left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sbir_toolkit.params import Params, load_params
from sbir_toolkit.pipeline.nursery import Nursery
from sbir_toolkit.pipeline.project import OUTPUTS_VARIABLE, Project
from sbir_toolkit.pipeline.run import LATEST, RunFolder
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.pipeline.start import run_pipeline
from sbir_toolkit.pipeline.workspace import Finished
from sbir_toolkit.storage import digest_file

ROOT = Path(__file__).parents[2]
# The last first, so that none finds what another one opened by itself has left.
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"), reverse=True)
PIPELINE = load_pipeline(ROOT / "notebooks" / "pipeline.yml", Params())
TINY = """
extends: {base}
name: {name}
synthetic: {{awards: 200, recipients: 600}}
accuracy: {{sample_companies: 100, decoys: 30, label_sample: 20}}
"""


def write_params(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yml"
    path.write_text(TINY.format(base=ROOT / "params" / "base.yml", name=name))
    return path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, warm_nursery: Nursery) -> RunFolder:
    """A run of the whole pipeline on a small input."""
    folder = tmp_path_factory.mktemp("by_itself")
    params = load_params(write_params(folder, "tiny"))
    project = Project(ROOT, folder / "outputs")
    return run_pipeline(project, params, nursery=warm_nursery, say=lambda line: None).run


def execute(notebook: Path, **parameters: str) -> Finished:
    """Execute a notebook's cells in this process, which has imported what they need; give its last word."""
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    first, *others, last = ("".join(cell["source"]) for cell in cells)
    known: dict[str, Any] = {}
    exec(first, known)
    assert set(parameters) <= set(known)
    known |= parameters
    for source in others:
        exec(source, known)
    *before, verdict = last.splitlines()
    exec("\n".join(before), known)
    finished: Finished = eval(verdict, known)
    return finished


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_opens_by_itself(notebook: Path, ended: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On what a run left under the same parameters, whatever their name, and on that run as the newest."""
    monkeypatch.chdir(ROOT)
    outputs = ended.path.parents[1]
    monkeypatch.setenv(OUTPUTS_VARIABLE, str(outputs))
    (stage,) = (stage for stage in PIPELINE.stages if stage.notebook == notebook.name)
    before = {path: digest_file(path) for path in ended.path.rglob("*.parquet")}
    opened = {"lab-other": execute(notebook, params_file=str(write_params(outputs.parent, "other")))}
    if stage.conserves or stage.measures_run or stage.needs_gates:
        opened[f"lab-{ended.run_id}"] = execute(notebook, run_id=LATEST)
    for lab, finished in opened.items():
        assert (finished.run_id, finished.stage) == (lab, stage.name)
        assert set(finished.tables) == set(stage.writes)
        assert len(finished.sums) == len(stage.conserves)
    assert {path: digest_file(path) for path in ended.path.rglob("*.parquet")} == before
